//! Reads files of `KEY=VALUE` lines ("dotenv"). Programs differ in how they
//! read such files; a value that can't be looked at again must not be guessed,
//! so what they read differently is refused, with the line and never its text.
//! Nothing is expanded: a `$` is a dollar sign.

use secrecy::SecretString;

use crate::values::EnvKey;

/// Why a file can't be taken, and where; never a piece of it. Lines count from 1.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct Mistake {
    line: usize,
    reason: String,
}

/// The entries of a file in their order.
///
/// # Errors
/// When a line can be read in more than one way, or in none.
pub fn parse(text: &str) -> Result<Vec<(EnvKey, SecretString)>, Mistake> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader { rest: text, line: 1 };
    let mut entries = Vec::new();
    while !reader.rest.is_empty() {
        entries.extend(reader.entry()?);
    }
    Ok(entries)
}

/// How to write such a file.
pub const GRAMMAR: &str = "write NAME=value, NAME='taken as it is', or NAME=\"with \\n, \\r, \\t, \\\", \\\\ or \\$\"; quoted values may have several lines; # begins a comment";

struct Reader<'a> {
    rest: &'a str,
    line: usize,
}

impl Reader<'_> {
    /// The entry at the start of a line; none if it is blank or a comment.
    fn entry(&mut self) -> Result<Option<(EnvKey, SecretString)>, Mistake> {
        let line = self.rest.split('\n').next().unwrap_or_default();
        let content = line.trim();
        if content.is_empty() || content.starts_with('#') {
            self.is_one(line)?;
            self.advance(line.len() + 1);
            return Ok(None);
        }
        let (name, _) = line.split_once('=').ok_or_else(|| self.mistake("there is no `=` in it"))?;
        let key = self.key(name)?;
        self.advance(name.len() + 1);
        self.skip_blanks();
        let began = self.line;
        let value = self.value()?;
        if value.is_empty() {
            let reason = format!("{key} is empty, and a secret holds no empty values");
            return Err(Mistake { line: began, reason });
        }
        Ok(Some((key, SecretString::from(value))))
    }

    fn key(&self, text: &str) -> Result<EnvKey, Mistake> {
        let text = text.trim();
        let exported = text.strip_prefix("export").filter(|rest| rest.starts_with([' ', '\t']));
        EnvKey::parse(exported.unwrap_or(text).trim())
            .map_err(|invalid| self.mistake(&format!("the name before `=` {invalid}")))
    }

    fn value(&mut self) -> Result<String, Mistake> {
        match self.rest.chars().next() {
            Some('\'') => self.single_quoted(),
            Some('"') => self.double_quoted(),
            Some('`') => Err(self.mistake("it begins with a backtick: put the value in single quotes")),
            Some('#') => {
                Err(self.mistake("it begins with `#`, a comment to some programs: put it in quotes"))
            }
            _ => self.bare(),
        }
    }

    /// Up to the end of the line or a comment, without the blanks around it.
    fn bare(&mut self) -> Result<String, Mistake> {
        let line = self.rest.split('\n').next().unwrap_or_default();
        self.is_one(line)?;
        let comment = line
            .match_indices('#')
            .find(|(at, _)| line.get(..*at).is_some_and(|before| before.ends_with([' ', '\t'])));
        let value = comment.and_then(|(at, _)| line.get(..at)).unwrap_or(line).trim().to_owned();
        self.advance(line.len() + 1);
        Ok(value)
    }

    fn single_quoted(&mut self) -> Result<String, Mistake> {
        let inner = self.rest.get(1..).unwrap_or_default();
        let (value, _) = inner.split_once('\'').ok_or_else(|| self.unended())?;
        let value = value.to_owned();
        self.advance(value.len() + 2);
        self.end_of_line()?;
        Ok(value)
    }

    fn double_quoted(&mut self) -> Result<String, Mistake> {
        let mut value = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        let end = loop {
            match chars.next() {
                None => return Err(self.unended()),
                Some((at, '"')) => break at,
                Some((at, '\\')) => value.push(self.escape(at, chars.next().map(|(_, c)| c))?),
                Some((_, c)) => value.push(c),
            }
        };
        self.advance(end + 1);
        self.end_of_line()?;
        Ok(value)
    }

    fn escape(&self, at: usize, escaped: Option<char>) -> Result<char, Mistake> {
        match escaped {
            Some('n') => Ok('\n'),
            Some('r') => Ok('\r'),
            Some('t') => Ok('\t'),
            Some(c @ ('"' | '\\' | '$' | '`')) => Ok(c),
            _ => {
                let before = self.rest.get(..at).unwrap_or_default();
                let line = self.line + before.matches('\n').count();
                let reason = "a backslash that programs read differently: write \\\\, or use single quotes";
                Err(Mistake { line, reason: reason.to_owned() })
            }
        }
    }

    /// After a closing quote: nothing but blanks and a comment.
    fn end_of_line(&mut self) -> Result<(), Mistake> {
        let line = self.rest.split('\n').next().unwrap_or_default();
        let trimmed = line.trim_start();
        let comment = trimmed.starts_with('#') && trimmed.len() < line.len();
        if !trimmed.is_empty() && !comment {
            return Err(self.mistake("something follows the closing quote"));
        }
        self.is_one(line)?;
        self.advance(line.len() + 1);
        Ok(())
    }

    /// Whether this is one line to every program.
    fn is_one(&self, line: &str) -> Result<(), Mistake> {
        if line.trim_end().contains('\r') {
            let reason = "a carriage return in it ends the line to some programs: end lines by a line feed, or put the value in quotes";
            return Err(self.mistake(reason));
        }
        Ok(())
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }

    /// Goes on behind so many bytes, counting the lines that end in them.
    fn advance(&mut self, bytes: usize) {
        let (passed, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.line += passed.matches('\n').count();
        self.rest = rest;
    }

    fn unended(&self) -> Mistake {
        self.mistake("the quote that begins here has no end")
    }

    fn mistake(&self, reason: &str) -> Mistake {
        Mistake { line: self.line, reason: reason.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    #[expect(clippy::disallowed_methods, reason = "the test compares what was read")]
    fn read(text: &str) -> Vec<(String, String)> {
        let entries = parse(text).unwrap_or_else(|mistake| panic!("{text:?}: {mistake:?}"));
        entries.iter().map(|(key, value)| (key.to_string(), value.expose_secret().to_owned())).collect()
    }

    fn one(text: &str) -> String {
        let mut entries = read(text);
        assert_eq!(entries.len(), 1, "{text:?}");
        entries.remove(0).1
    }

    fn refused(text: &str) -> String {
        parse(text).err().unwrap_or_else(|| panic!("taken: {text:?}")).to_string()
    }

    #[test]
    fn the_forms_of_a_value() {
        for (line, value) in [
            ("A=b", "b"),
            ("A = b ", "b"),
            ("  export A=b", "b"),
            ("export\tA=b", "b"),
            ("A=b # comment", "b"),
            ("A=b#c", "b#c"),
            ("A=b=c==", "b=c=="),
            ("A=two words", "two words"),
            ("A=it's", "it's"),
            ("A=$HOME${HOME}$(id)`id`", "$HOME${HOME}$(id)`id`"),
            ("A=back\\nslash", "back\\nslash"),
            ("A=käse🔑", "käse🔑"),
            ("A='#1 $x \\n \"q\"' # comment", "#1 $x \\n \"q\""),
            ("A=\"#1 $x \\$y \\n\\r\\t\\\\ \\\"q\\\" 'p'\"\t# comment", "#1 $x $y \n\r\t\\ \"q\" 'p'"),
            ("A='  kept  '", "  kept  "),
            ("\u{feff}A=b", "b"),
        ] {
            for end in ["", "\n", "\r\n"] {
                assert_eq!(one(&format!("{line}{end}")), value, "{line:?}{end:?}");
            }
        }
    }

    #[test]
    fn quoted_values_have_several_lines() {
        assert_eq!(one("A=\"-----BEGIN\nabc=\n-----END\n\"\n"), "-----BEGIN\nabc=\n-----END\n");
        assert_eq!(one("A='x\n\n# not a comment\nB=c'"), "x\n\n# not a comment\nB=c");
        assert_eq!(one("A='x\r\ny'\r\n"), "x\r\ny", "line ends within quotes are the value's");
    }

    #[test]
    fn many_entries_keep_their_order() {
        let text = "# head\r\n\r\nB='1\n2'\n\n  # more\nA=3\nexport C=\"4\"\n";
        let expected = [("B", "1\n2"), ("A", "3"), ("C", "4")];
        assert_eq!(read(text), expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused_by_its_line() {
        for (text, reason) in [
            ("A=1\nB=", "line 2: B is empty"),
            ("A=''", "line 1: A is empty"),
            ("A= # nothing", "line 1: it begins with `#`"),
            ("A=#b", "line 1: it begins with `#`"),
            ("A=`b`", "line 1: it begins with a backtick"),
            ("A=1\rB=2\r", "line 1: a carriage return in it"),
            ("C=3\nA=1\rB=2\n", "line 2: a carriage return in it"),
            ("# c\rA=1\nB=2", "line 1: a carriage return in it"),
            ("A='x' # c\rB=2", "line 1: a carriage return in it"),
            ("\n\nA='b", "line 3: the quote that begins here has no end"),
            ("A=\"b\\\"", "line 1: the quote that begins here has no end"),
            ("A='b'c", "line 1: something follows"),
            ("A='b'#c", "line 1: something follows"),
            ("A=\"x\n\\q\"", "line 2: a backslash"),
            ("A=b\nhunter2", "line 2: there is no `=`"),
            ("hunter2=b", "line 1: the name before `=` must match"),
            ("=b", "line 1: the name before `=` must match"),
            ("exportA=b", "line 1: the name before `=` must match"),
        ] {
            let message = refused(text);
            assert!(message.starts_with(reason), "{text:?}: {message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
    }

    proptest! {
        #[test]
        fn any_value_survives_double_quotes(value in "[^\0]{1,60}", before in "(# [a-z']*\n)?") {
            let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
            prop_assert_eq!(one(&format!("{before}KEY=\"{escaped}\"\n")), value);
        }

        #[test]
        fn any_value_without_one_survives_single_quotes(value in "[^\0']{1,60}") {
            prop_assert_eq!(one(&format!("KEY='{value}' # \"'\n")), value);
        }

        #[test]
        fn a_bare_word_is_itself(value in "[A-Za-z0-9+/=_.:$\\\\-][A-Za-z0-9+/=_.:$\\\\#'\"-]{0,40}") {
            prop_assert_eq!(one(&format!("export KEY={value}\r\n")), value);
        }

        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in "\\PC{0,80}|[A=#'\"\\\\\n\r ]{0,30}") {
            let _ = parse(&text);
        }
    }
}
