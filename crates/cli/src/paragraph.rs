//! Breaks words for people into lines that fit a terminal. What somebody may
//! copy stays in one piece: lines that begin with two blanks, and everything
//! within backticks.

use unicode_width::UnicodeWidthStr;

/// The text in lines of at most `width`, as far as its words allow it.
pub(crate) fn fitted(text: &str, width: usize) -> String {
    let lines: Vec<_> = text.split('\n').map(|line| broken(line, width)).collect();
    lines.join("\n")
}

fn broken(line: &str, width: usize) -> String {
    if line.starts_with("  ") {
        return line.to_owned();
    }
    let mut text = String::new();
    let mut used = 0;
    for word in words(line) {
        let needed = word.width() + usize::from(used > 0);
        let fits = used + needed <= width;
        if used > 0 {
            text.push(if fits { ' ' } else { '\n' });
        }
        text.push_str(word);
        used = if fits { used + needed } else { word.width() };
    }
    text
}

/// What stands between blanks; blanks within backticks divide nothing.
fn words(line: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    line.split(move |c| {
        quoted ^= c == '`';
        c == ' ' && !quoted
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words() {
        let text = "hint: give the värde again, or none";
        assert_eq!(fitted(text, 16), "hint: give the\nvärde again, or\nnone");
        assert_eq!(fitted(text, 80), text);
        assert_eq!(fitted("a b", 0), "a\nb");
    }

    #[test]
    fn what_is_copied_is_not_broken() {
        let command = "  strongroom login --url https://strongroom.example";
        assert_eq!(fitted(&format!("To begin:\n{command}"), 12), format!("To begin:\n{command}"));
        assert_eq!(fitted("run `teams show ID` first", 8), "run\n`teams show ID`\nfirst");
        assert_eq!(fitted("an `open quote is one word", 8), "an\n`open quote is one word");
    }
}
