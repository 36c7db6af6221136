//! Environments as files of `NAME=value` lines ("dotenv"). Programs differ in
//! how they read such files: a value stands in quotes in which they agree, and
//! no shell that is given such a file runs a piece of a value.

use std::io::{self, Write};

/// Quotes around a value.
enum Quotes {
    None,
    /// In which everything stands for itself.
    Single,
    /// In which a backslash takes the meaning from what follows.
    Double,
}

/// Writes one line, or as many as there are in the value.
///
/// # Errors
/// When nothing more can be written.
pub(crate) fn write(out: &mut impl Write, (name, value): (&str, &str)) -> io::Result<()> {
    write!(out, "{name}=")?;
    match quotes(value) {
        Quotes::None => out.write_all(value.as_bytes())?,
        Quotes::Single => write!(out, "'{value}'")?,
        Quotes::Double => {
            out.write_all(b"\"")?;
            for c in value.chars() {
                let escape = if HAVING_A_MEANING.contains(&c) { "\\" } else { "" };
                write!(out, "{escape}{c}")?;
            }
            out.write_all(b"\"")?;
        }
    }
    out.write_all(b"\n")
}

/// What a shell looks at between double quotes.
const HAVING_A_MEANING: [char; 4] = ['\\', '"', '$', '`'];

fn quotes(value: &str) -> Quotes {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.,:/@%+=".contains(c);
    if !value.is_empty() && value.chars().all(plain) {
        Quotes::None
    // A backslash before another is one to python-dotenv between any quotes,
    // to shells only between double ones.
    } else if value.contains(['\'', '\\']) {
        Quotes::Double
    } else {
        Quotes::Single
    }
}
