//! Time as a parameter. Only the command line implements [`Clock`] with the
//! real one; tests bring a fixed one.

use std::fmt;
use std::time::Duration;

use crate::text::Invalid;

/// Tells the time.
pub trait Clock: Send + Sync {
    /// The present moment, UTC. May jump, either way.
    fn now(&self) -> Timestamp;

    /// Time since some fixed moment. Never jumps: what is kept for a while is
    /// kept by this.
    fn monotonic(&self) -> Duration;
}

/// A moment in UTC: milliseconds since 1970-01-01T00:00:00Z, the precision of
/// the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since the Unix epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// As it is displayed; `None` before the year -9999 and after 9999, which no clock says.
    pub fn rfc3339(self) -> Option<String> {
        jiff::Timestamp::from_millisecond(self.0).ok().map(|moment| format!("{moment:.3}"))
    }

    /// From the date and time of RFC 3339 §5.6, with any offset. What is finer
    /// than a millisecond is cut off; a leap second is the one before it.
    ///
    /// # Errors
    /// When it is anything else; the message never quotes it.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        const REFUSED: Invalid =
            Invalid::new("must be a date and time of RFC 3339 such as 2026-11-07T05:31:56Z");
        rfc3339(text).map(Self).ok_or(REFUSED)
    }
}

/// The form is held here, because the other parser takes more than it; the
/// calendar is left to that one.
fn rfc3339(text: &str) -> Option<i64> {
    let (seconds, rest) = text.split_at_checked("0000-00-00T00:00:00".len())?;
    let (millis, offset) = match rest.strip_prefix('.') {
        Some(rest) => fraction(rest)?,
        None => (0, rest),
    };
    let is_offset = has_form(offset, "Z") || has_form(offset, "+00:00") || has_form(offset, "-00:00");
    let in_a_day = offset.get(1..3).is_none_or(|hours| hours <= "23");
    if !has_form(seconds, "0000-00-00T00:00:00") || !is_offset || !in_a_day {
        return None;
    }
    let moment: jiff::Timestamp = format!("{seconds}{offset}").to_uppercase().parse().ok()?;
    let moment = moment.as_millisecond() + millis;
    // Only what can be written again: the very last second is cut short.
    jiff::Timestamp::from_millisecond(moment).ok().map(|_| moment)
}

/// The milliseconds in the digits of a fraction, and what follows them.
fn fraction(text: &str) -> Option<(i64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end).filter(|(digits, _)| !digits.is_empty())?;
    let padded: String = digits.chars().chain("00".chars()).take(3).collect();
    Some((padded.parse().ok()?, rest))
}

/// Whether a text has a digit for each 0 of `form`, and its other characters
/// in any case.
fn has_form(text: &str, form: &str) -> bool {
    let fits = |(byte, form): (u8, u8)| match form {
        b'0' => byte.is_ascii_digit(),
        _ => byte.eq_ignore_ascii_case(&form),
    };
    text.len() == form.len() && text.bytes().zip(form.bytes()).all(fits)
}

/// RFC 3339, UTC, three decimals and `Z`: `2026-11-07T05:31:56.000Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rfc3339().ok_or(fmt::Error)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn always_three_decimals_and_z() {
        let whole_second = Timestamp::from_millis(1_699_335_116_000);
        assert_eq!(whole_second.to_string(), "2023-11-07T05:31:56.000Z");
        assert_eq!(Timestamp::from_millis(7).to_string(), "1970-01-01T00:00:00.007Z");
    }

    #[test]
    fn every_form_of_rfc_3339_is_read() {
        for (text, as_utc) in [
            ("2026-11-07T05:31:56Z", "2026-11-07T05:31:56.000Z"),
            ("2026-11-07t05:31:56z", "2026-11-07T05:31:56.000Z"),
            ("2026-11-07T05:31:56.1Z", "2026-11-07T05:31:56.100Z"),
            ("2026-11-07T05:31:56.12Z", "2026-11-07T05:31:56.120Z"),
            ("2026-11-07T05:31:56.1239999999999999Z", "2026-11-07T05:31:56.123Z"),
            ("2026-11-07T05:31:56.007+05:30", "2026-11-07T00:01:56.007Z"),
            ("2026-11-07T23:31:56-23:59", "2026-11-08T23:30:56.000Z"),
            ("2026-11-07T05:31:56-00:00", "2026-11-07T05:31:56.000Z"),
            ("1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z"),
            ("2028-02-29T00:00:00Z", "2028-02-29T00:00:00.000Z"),
            ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59.000Z"),
            ("9999-12-30T21:59:59.999Z", "9999-12-30T21:59:59.999Z"),
        ] {
            assert_eq!(Timestamp::parse(text).unwrap().to_string(), as_utc, "{text}");
        }
    }

    #[test]
    fn nothing_else_is_read() {
        for text in [
            "",
            "2026-11-07",
            "2026-11-07T05:31Z",
            "2026-11-07T05:31:56",
            "2026-11-07 05:31:56Z",
            "2026-11-07T05:31:56,5Z",
            "2026-11-07T05:31:56.Z",
            "2026-11-07T05:31:56+0530",
            "2026-11-07T05:31:56+05",
            "2026-11-07T05:31:56+24:00",
            "2026-11-07T05:31:56+05:60",
            "2026-11-07T05:31:56+05:30:00",
            "2026-11-07T05:31:56Z[UTC]",
            "2026-11-07T05:31:56Z ",
            " 2026-11-07T05:31:56Z",
            "2026-11-07T24:00:00Z",
            "2026-11-07T05:31:61Z",
            "2026-13-07T05:31:56Z",
            "2026-02-29T05:31:56Z",
            "20261107T053156Z",
            "+002026-11-07T05:31:56Z",
            "2026-W45-6T05:31:56Z",
            "9999-12-31T23:59:59Z",
            "1794029516",
            "2026-11-07T05:31:5éZ",
            "２026-11-07T05:31:56Z",
        ] {
            assert!(Timestamp::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_read_can_be_written() {
        for text in ["9999-12-30T22:00:00Z", "9999-12-30T22:00:00.999Z", "0000-01-01T00:00:00Z"] {
            assert!(Timestamp::parse(text).map_or(true, |moment| !moment.to_string().is_empty()), "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for millis in [0, 7, -1, 1_794_000_000_123, -62_135_596_800_000] {
            let moment = Timestamp::from_millis(millis);
            assert_eq!(Timestamp::parse(&moment.to_string()), Ok(moment));
        }
    }
}
