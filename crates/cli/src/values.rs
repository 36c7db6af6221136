//! Values on their way to a server: read from where the command line says,
//! checked without being shown, and written into the body of one request.

use secrecy::{ExposeSecret, SecretString};
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::Path;
use strongroom_core::{EnvKey, SecretValue, env_file};

use crate::failure::Failure;
use crate::output;

/// The most bytes that are read from one place: a value has at most 65,536
/// characters of at most 4 bytes, a file of values at most 1 MiB, perhaps escaped.
const MOST: u64 = 4 << 20;

const VISIBLE: &str = "warning: every process on this machine can see a value on the command line, and the shell may keep it; give values as KEY (asked for), KEY=@FILE or KEY=-";

/// Named values in the order in which they were given; no name twice.
pub(crate) struct Values(Vec<(EnvKey, SecretString)>);

impl Values {
    /// Reads the values that `KEY[=VALUE]` arguments and a file of values name.
    ///
    /// # Errors
    /// When one can't be read, is refused, or stands twice; names it by its key.
    pub(crate) fn gather(arguments: &[String], env_file: Option<&Path>) -> Result<Self, Failure> {
        let named = arguments.iter().enumerate().map(|(at, text)| named(at + 1, text));
        let named = named.collect::<Result<Vec<_>, _>>()?;
        once_from_standard_input(&named, env_file)?;
        let visible = named.iter().any(|(_, source)| matches!(source, Source::Argument(_)));
        let mut entries = Vec::new();
        for (key, source) in named {
            let value = source.read(&key)?;
            entries.push((key, value));
        }
        if let Some(path) = env_file {
            entries.extend(read_env_file(path)?);
        }
        let values = Self::checked(entries)?;
        if visible {
            output::complain(VISIBLE);
        }
        Ok(values)
    }

    fn checked(entries: Vec<(EnvKey, SecretString)>) -> Result<Self, Failure> {
        let mut seen = HashSet::new();
        for (key, value) in &entries {
            acceptable(key, value)?;
            if !seen.insert(key.as_str()) {
                return Err(Failure::new(format!("{key} is given twice")).hint("leave one of the two out"));
            }
        }
        Ok(Self(entries))
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Values {
    #[expect(clippy::disallowed_methods, reason = "values are written into the body that creates them")]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key.as_str(), value.expose_secret())?;
        }
        map.end()
    }
}

/// Where a value comes from.
enum Source<'a> {
    Argument(&'a str),
    StandardInput,
    File(&'a Path),
    Prompt,
}

/// What one `KEY[=VALUE]` names; `at` counts from 1.
fn named(at: usize, text: &str) -> Result<(EnvKey, Source<'_>), Failure> {
    let (key, source) = match text.split_once('=') {
        None => (text, Source::Prompt),
        Some((key, "-")) => (key, Source::StandardInput),
        Some((key, rest)) => match (rest.strip_prefix('='), rest.strip_prefix('@')) {
            (Some(literal), _) => (key, Source::Argument(literal)),
            (None, Some(path)) => (key, Source::File(Path::new(path))),
            (None, None) => (key, Source::Argument(rest)),
        },
    };
    // The text itself may be a value in the wrong place: it isn't quoted.
    let key = EnvKey::parse(key).map_err(|invalid| {
        Failure::new(format!("value {at}: its name {invalid}")).hint("give values as KEY=@FILE, KEY=- or KEY")
    })?;
    Ok((key, source))
}

impl Source<'_> {
    fn read(self, key: &EnvKey) -> Result<SecretString, Failure> {
        match self {
            Self::Argument(text) => Ok(text.into()),
            Self::StandardInput => piped(&format!("{key} from standard input")).map(one_line),
            // The path isn't said: it may be a value that begins with @.
            Self::File(path) => {
                read_file(&format!("the file of {key}"), path).map(one_line).map_err(|failure| {
                    failure.hint_if_none(format!("a value that begins with @ is given as {key}==VALUE"))
                })
            }
            Self::Prompt => ask(key),
        }
        .map(SecretString::from)
    }
}

fn ask(key: &EnvKey) -> Result<String, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::new(format!("{key} has no value, and there is no terminal to ask on"))
            .hint(format!("give it as {key}=@FILE or {key}=-")));
    }
    rpassword::prompt_password(format!("{key}: "))
        .map_err(|error| Failure::because(format!("{key} could not be read"), &error))
}

fn read_env_file(path: &Path) -> Result<Vec<(EnvKey, SecretString)>, Failure> {
    let (name, text) = if path == Path::new("-") {
        let name = "standard input";
        (name.to_owned(), piped(name)?)
    } else {
        let name = path.display().to_string();
        let text = read_file(&name, path)?;
        (name, text)
    };
    env_file::parse(&text)
        .map_err(|mistake| Failure::new(format!("{name}, {mistake}")).hint(env_file::GRAMMAR))
}

fn read_file(name: &str, path: &Path) -> Result<String, Failure> {
    let file = File::open(path).map_err(|error| Failure::because(format!("{name} can't be read"), &error))?;
    text(name, file)
}

/// What standard input holds, unless somebody would have to type it in sight.
fn piped(name: &str) -> Result<String, Failure> {
    if io::stdin().is_terminal() {
        return Err(Failure::new("standard input is a terminal, which would show what is typed")
            .hint("pipe the values in, or give KEY alone to be asked for its value unseen"));
    }
    text(name, io::stdin().lock())
}

/// Everything that can be read, as text.
fn text(name: &str, reader: impl Read) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let read = reader.take(MOST + 1).read_to_end(&mut bytes);
    let read = read.map_err(|error| Failure::because(format!("{name} can't be read"), &error))?;
    if u64::try_from(read).is_ok_and(|read| read > MOST) {
        return Err(
            Failure::new(format!("{name} has more than 4 MiB")).hint("a value has at most 65,536 characters")
        );
    }
    String::from_utf8(bytes).map_err(|_| {
        Failure::new(format!("{name} is not text in UTF-8"))
            .hint("a value is text; encode other bytes first, for example with base64")
    })
}

/// A single line without the line feed that ends it, which tools add and no
/// token has. Text of several lines is kept to the last byte: a PEM file needs
/// its last line feed.
fn one_line(mut text: String) -> String {
    if text.matches('\n').count() == 1
        && let Some(line) = text.strip_suffix('\n')
    {
        text.truncate(line.strip_suffix('\r').unwrap_or(line).len());
    }
    text
}

#[expect(clippy::disallowed_methods, reason = "its length is checked before it is sent")]
fn acceptable(key: &EnvKey, value: &SecretString) -> Result<(), Failure> {
    let text = value.expose_secret();
    if text.is_empty() {
        return Err(Failure::new(format!("{key} is empty, and a secret holds no empty values"))
            .hint("leave it out, or give it a value"));
    }
    SecretValue::parse(text.to_owned()).map(drop).map_err(|invalid| Failure::new(format!("{key} {invalid}")))
}

fn once_from_standard_input(named: &[(EnvKey, Source<'_>)], env_file: Option<&Path>) -> Result<(), Failure> {
    let values = named.iter().filter(|(_, source)| matches!(source, Source::StandardInput)).count();
    let file = usize::from(env_file == Some(Path::new("-")));
    if values + file > 1 {
        return Err(Failure::new("standard input can be read only once").hint(
            "give one value with KEY=- or one file with `--from-env-file -`, the others as KEY=@FILE",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_line_loses_its_end_and_nothing_else_does() {
        for (given, kept) in [
            ("token\n", "token"),
            ("token\r\n", "token"),
            ("token", "token"),
            (" a=b \n", " a=b "),
            ("token\n\n", "token\n\n"),
            ("-----BEGIN\nx\n-----END\n", "-----BEGIN\nx\n-----END\n"),
            ("\ntoken", "\ntoken"),
            ("a\r\nb\r\n", "a\r\nb\r\n"),
        ] {
            assert_eq!(one_line(given.to_owned()), kept, "{given:?}");
        }
    }

    #[test]
    fn values_are_refused_by_their_key_only() {
        let long = format!("LONG={}", "x".repeat(65_537));
        for (argument, message) in [
            ("EMPTY=", "EMPTY is empty"),
            ("EMPTY==", "EMPTY is empty"),
            ("NUL=a\0b", "NUL must be"),
            (long.as_str(), "LONG must be a string of 1 to 65,536 characters"),
            ("hunter2=x", "value 1: its name must match"),
            ("hunter2", "value 1: its name must match"),
            ("F=@/nonexistent/hunter2", "the file of F can't be read: No such file"),
        ] {
            let Err(failure) = Values::gather(&[argument.to_owned()], None) else { panic!("{argument}") };
            assert!(failure.message().starts_with(message), "{}", failure.message());
            assert!(!failure.message().contains("hunter2"));
        }
    }

    #[test]
    fn the_longest_value_is_taken_and_the_order_kept() {
        let arguments = [format!("B={}", "🔑".repeat(65_536)), "A===x=".to_owned(), "C==-".to_owned()];
        let values = Values::gather(&arguments, None).unwrap_or_else(|failure| panic!("{failure:?}"));
        let body = serde_json::to_string(&values).unwrap();
        assert!(body.starts_with("{\"B\":\"🔑") && body.ends_with("\"A\":\"=x=\",\"C\":\"-\"}"));
    }

    #[test]
    fn a_name_stands_once_and_standard_input_is_read_once() {
        let twice = ["A=1".to_owned(), "A=2".to_owned()];
        assert_eq!(Values::gather(&twice, None).err().unwrap().message(), "A is given twice");
        let twice = ["A=-".to_owned()];
        let refused = Values::gather(&twice, Some(Path::new("-"))).err().unwrap();
        assert!(refused.message().contains("only once"));
    }
}
