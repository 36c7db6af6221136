//! Text from elsewhere, made fit for a terminal: a name that somebody chose
//! must not move the cursor, change colours or turn the reading direction.

/// The text with every character that a terminal would act on written out,
/// such as `\u{1b}`.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if acts(c) { shown.extend(c.escape_unicode()) } else { shown.push(c) }
    }
    shown
}

/// Controls, line and paragraph separators, marks of direction, and characters
/// that can't be seen at all.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_acts_on_is_written_out() {
        assert_eq!(printable("a\u{1b}[31mb\u{9b}c\r\n"), "a\\u{1b}[31mb\\u{9b}c\\u{d}\\u{a}");
        assert_eq!(printable("user\u{202e}nimda"), "user\\u{202e}nimda");
    }

    #[test]
    fn other_text_stays_as_it_is() {
        for text in ["Mail", "käse 🔑", "日本語", "a\\b \"c\""] {
            assert_eq!(printable(text), text);
        }
    }
}
