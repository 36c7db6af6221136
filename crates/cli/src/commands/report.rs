//! What an examination found: one line a check, and a remedy for each that fails.

use crate::failure::Failure;
use crate::output;
use crate::paragraph::fitted;

/// One thing that was looked at: what is good about it, or what is wrong.
pub(super) struct Check {
    /// In a word or two.
    pub(super) name: &'static str,
    /// What was found.
    pub(super) found: Result<String, Failure>,
}

/// How many of what is wrong are named; there may be millions.
const NAMED: usize = 20;

/// The first of them in words, and how many more there are.
pub(super) fn few<T>(all: &[T], words: impl Fn(&T) -> String) -> String {
    let named: Vec<_> = all.iter().take(NAMED).map(words).collect();
    match all.len().saturating_sub(NAMED) {
        0 => named.join("; "),
        more => format!("{}; and {more} more", named.join("; ")),
    }
}

/// Shows them to a person, or as one JSON object to a program; whether all is well.
///
/// # Errors
/// When it can't be written.
pub(super) fn show(checks: &[Check], as_json: bool) -> Result<bool, Failure> {
    let healthy = checks.iter().all(|check| check.found.is_ok());
    output::answer(&if as_json { json(checks, healthy) } else { text(checks, healthy) })?;
    Ok(healthy)
}

fn text(checks: &[Check], healthy: bool) -> String {
    let mut lines = Vec::new();
    for check in checks {
        match &check.found {
            Ok(detail) => lines.push(line("ok", check.name, detail)),
            Err(failure) => {
                lines.push(line("FAIL", check.name, failure.message()));
                lines.extend(failure.remedy().map(|remedy| line("", "to do:", remedy)));
            }
        }
    }
    let failed = checks.iter().filter(|check| check.found.is_err()).count();
    lines.push(String::new());
    lines.push(if healthy {
        "All is well.".to_owned()
    } else {
        format!("{failed} of {} checks failed.", checks.len())
    });
    lines.join("\n")
}

/// One line; on a terminal as many as it takes, below each other.
fn line(state: &str, name: &str, words: &str) -> String {
    let begin = format!("{state:<4}  {name:<15} ");
    let Some(room) = output::width().and_then(|width| width.checked_sub(begin.len())) else {
        return begin + words;
    };
    let indent = format!("\n{}", " ".repeat(begin.len()));
    begin + &fitted(words, room).replace('\n', &indent)
}

fn json(checks: &[Check], healthy: bool) -> String {
    let checks: Vec<_> = checks
        .iter()
        .map(|check| match &check.found {
            Ok(detail) => serde_json::json!({"name": check.name, "ok": true, "detail": detail}),
            Err(failure) => serde_json::json!({
                "name": check.name, "ok": false, "detail": failure.message(), "remedy": failure.remedy(),
            }),
        })
        .collect();
    serde_json::json!({"ok": healthy, "checks": checks}).to_string()
}
