//! Answers laid out for people: tables that fit the terminal, and lists of
//! labelled lines. Every cell is made fit for a terminal here, so that no
//! command can forget it.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::printable::printable;

/// Between two columns.
const GAP: &str = "  ";
/// A column that gives way to a narrow terminal keeps at least this width.
const NARROWEST: usize = 7;

/// A column's heading, and how it gives way when the terminal is narrow.
#[derive(Clone, Copy)]
pub(crate) enum Column {
    /// Shown whole: ids, dates, words of ours.
    Whole(&'static str),
    /// Cut to fit: names that people chose.
    Cut(&'static str),
    /// Left out where it has no room, the last one first.
    Spare(&'static str),
    /// Cut to fit, and left out where even that has no room.
    CutOrSpare(&'static str),
}

impl Column {
    const fn heading(self) -> &'static str {
        match self {
            Self::Whole(heading) | Self::Cut(heading) | Self::Spare(heading) | Self::CutOrSpare(heading) => {
                heading
            }
        }
    }

    const fn may_be_cut(self) -> bool {
        matches!(self, Self::Cut(_) | Self::CutOrSpare(_))
    }

    const fn may_be_left_out(self) -> bool {
        matches!(self, Self::Spare(_) | Self::CutOrSpare(_))
    }
}

/// Rows under a line of headings.
pub(crate) struct Table<const N: usize> {
    columns: [Column; N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    /// An empty table.
    pub(crate) fn new(columns: [Column; N]) -> Self {
        Self { columns, rows: Vec::new() }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: [&str; N]) {
        self.rows.push(cells.map(printable));
    }

    /// The lines, no wider than `width` as far as the columns allow it.
    pub(crate) fn render(&self, width: Option<usize>) -> String {
        let widths = self.widths(width);
        let headings = self.columns.map(|column| column.heading().to_owned());
        let lines: Vec<_> =
            std::iter::once(&headings).chain(&self.rows).map(|row| line(row, widths)).collect();
        lines.join("\n")
    }

    fn widths(&self, width: Option<usize>) -> [usize; N] {
        let mut widths = self.columns.map(|column| column.heading().width());
        for row in &self.rows {
            for (widest, cell) in widths.iter_mut().zip(row) {
                *widest = cell.width().max(*widest);
            }
        }
        let available = width.unwrap_or(usize::MAX);
        self.leave_out(&mut widths, available);
        while taken(&widths) > available && self.narrow(&mut widths) {}
        widths
    }

    /// Takes spare columns away, the last one first, until the others have
    /// room or none is left.
    fn leave_out(&self, widths: &mut [usize; N], available: usize) {
        let mut spare: Vec<_> = self.columns.iter().enumerate().collect();
        spare.retain(|(_, column)| column.may_be_left_out());
        while let Some((at, _)) = spare.pop() {
            let mut least = *widths;
            while self.narrow(&mut least) {}
            if taken(&least) <= available {
                break;
            }
            if let Some(width) = widths.get_mut(at) {
                *width = 0;
            }
        }
    }

    /// Takes one cell off the widest column that gives way, if there is one.
    fn narrow(&self, widths: &mut [usize; N]) -> bool {
        let gives_way = |(column, width): &(&Column, &mut usize)| {
            column.may_be_cut() && **width > NARROWEST.max(column.heading().width())
        };
        let widest = self.columns.iter().zip(widths.iter_mut()).filter(gives_way).max_by_key(|(_, w)| **w);
        widest.map(|(_, width)| *width -= 1).is_some()
    }
}

/// What the columns take of a line; those without a width are left out.
fn taken(widths: &[usize]) -> usize {
    let shown = widths.iter().filter(|width| **width > 0);
    shown.map(|width| width + GAP.len()).sum::<usize>().saturating_sub(GAP.len())
}

fn line<const N: usize>(cells: &[String; N], widths: [usize; N]) -> String {
    let mut text = String::new();
    for (cell, width) in cells.iter().zip(widths).filter(|(_, width)| *width > 0) {
        let shown = cut(cell, width);
        let padding = width.saturating_sub(shown.width());
        text.push_str(&shown);
        text.push_str(&" ".repeat(padding));
        text.push_str(GAP);
    }
    text.trim_end().to_owned()
}

/// The text, or as much of it as fits with a mark that there was more.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut shown = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > width {
            break;
        }
        shown.push(c);
    }
    shown.push('…');
    shown
}

/// Labelled lines, the texts below each other.
pub(crate) fn labelled(lines: &[(&str, &str)]) -> String {
    let widest = lines.iter().map(|(label, _)| label.width()).max().unwrap_or(0);
    let line = |(label, text): &(&str, &str)| format!("{label:widest$}{GAP}{}", printable(text));
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The day of a moment of the wire.
pub(crate) fn day(timestamp: &str) -> &str {
    timestamp.get(..10).filter(|_| timestamp.ends_with('Z')).unwrap_or(timestamp)
}

/// A moment of the wire, to the minute: `2026-11-07T05:31:56.000Z` is shown as
/// `2026-11-07 05:31`. What doesn't look like one is shown as it is.
pub(crate) fn minute(timestamp: &str) -> String {
    match (timestamp.get(..10), timestamp.get(11..16)) {
        (Some(day), Some(time)) if timestamp.ends_with('Z') => format!("{day} {time}"),
        _ => timestamp.to_owned(),
    }
}

/// A moment of the wire, to the second.
pub(crate) fn second(timestamp: &str) -> String {
    match (timestamp.get(..10), timestamp.get(11..19)) {
        (Some(day), Some(time)) if timestamp.ends_with('Z') => format!("{day} {time}"),
        _ => timestamp.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table<3> {
        let mut table = Table::new([Column::Whole("ID"), Column::Cut("NAME"), Column::Cut("KEYS")]);
        table.row(["1", "日本語のとても長い名前", "A"]);
        table.row(["22", "plain", "SMTP_USER, SMTP_PASSWORD"]);
        table
    }

    #[test]
    fn columns_are_aligned_by_what_is_seen() {
        let text = table().render(None);
        assert_eq!(
            text,
            "ID  NAME                    KEYS\n1   日本語のとても長い名前  A\n22  plain                   SMTP_USER, SMTP_PASSWORD"
        );
    }

    #[test]
    fn a_narrow_terminal_cuts_what_may_be_cut() {
        for width in 26..60 {
            let text = table().render(Some(width));
            assert!(text.lines().all(|line| line.width() <= width), "{width}: {text}");
            assert!(text.contains("22"));
        }
        assert!(table().render(Some(30)).contains('…'));
    }

    #[test]
    fn a_terminal_that_is_far_too_narrow_is_no_reason_to_stop() {
        assert!(table().render(Some(1)).contains("22"));
    }

    #[test]
    fn spare_columns_go_before_others_are_too_narrow() {
        let mut table =
            Table::new([Column::Whole("ID"), Column::Spare("A"), Column::Cut("NAME"), Column::Spare("B")]);
        table.row(["1", "spare", "a name of some length", "more"]);
        let headings = |width| table.render(Some(width)).lines().next().unwrap_or_default().to_owned();
        assert_eq!(headings(80).split_whitespace().collect::<Vec<_>>(), ["ID", "A", "NAME", "B"]);
        assert_eq!(headings(20).split_whitespace().collect::<Vec<_>>(), ["ID", "A", "NAME"]);
        assert_eq!(headings(14).split_whitespace().collect::<Vec<_>>(), ["ID", "NAME"]);
    }

    #[test]
    fn a_column_may_be_cut_first_and_left_out_then() {
        let mut table =
            Table::new([Column::Whole("ID"), Column::CutOrSpare("SCOPES"), Column::CutOrSpare("B")]);
        table.row(["1", "secrets:read team:read", "more"]);
        assert_eq!(table.render(Some(20)), "ID  SCOPES      B\n1   secrets:r…  more");
        assert_eq!(table.render(Some(14)), "ID  SCOPES\n1   secrets:r…");
        assert_eq!(table.render(Some(9)), "ID\n1");
    }

    #[test]
    fn escapes_in_cells_are_written_out() {
        let mut table = Table::new([Column::Cut("NAME")]);
        table.row(["\u{1b}[2Jgone"]);
        assert_eq!(table.render(None), "NAME\n\\u{1b}[2Jgone");
        assert_eq!(labelled(&[("a", "b\nc")]), "a  b\\u{a}c");
    }

    #[test]
    fn moments_are_shown_to_the_minute_or_the_second() {
        assert_eq!(minute("2026-11-07T05:31:56.000Z"), "2026-11-07 05:31");
        assert_eq!(second("2026-11-07T05:31:56.000Z"), "2026-11-07 05:31:56");
        assert_eq!((minute("soon"), second("soon")), ("soon".to_owned(), "soon".to_owned()));
    }
}
