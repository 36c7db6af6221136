//! `strongroom audit verify FILE`: an exported file, checked line by line without a server.

use indicatif::ProgressBar;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;
use strongroom_core::audit::file::{Checker, Proven, Tampered};

use super::held;
use crate::cli::audit::Verify;
use crate::failure::Failure;
use crate::output;
use crate::printable::printable;

/// Bytes in a line; an event has a few hundred, and a head's signatures some thousand.
const MOST_BYTES: u64 = 1 << 20;
/// After how many lines the bar moves.
const STEP: u64 = 1_024;

pub(super) fn run(args: &Verify, path: &Path) -> Result<(), Failure> {
    let keys = held::keys(&args.key)?;
    let held = held::newest(&args.held.checkpoint)?;
    let heads = held.iter().map(|held| held.checkpoint(&keys)).collect::<Result<Vec<_>, _>>()?;
    let compared = heads.len();
    let (input, length) = input(path)?;
    let bar = match length {
        0 => ProgressBar::hidden(),
        length => crate::commands::bar("checking", length, "{bytes}/{total_bytes}"),
    };
    let checked = checked(input, Checker::new(keys, heads), &bar);
    bar.finish_and_clear();
    let proven = checked.map_err(|wrong| wrong.into_failure(path, args.json))?;
    if args.complete && proven.skipped > 0 {
        return Err(incomplete(&proven, path, args.json));
    }
    answer(args, &proven, compared)
}

/// What is read, and how long it is.
fn input(path: &Path) -> Result<(Box<dyn BufRead>, u64), Failure> {
    if path.as_os_str() == "-" {
        return Ok((Box::new(io::stdin().lock()), 0));
    }
    let unread = |error: io::Error| {
        Failure::because(format!("{} can't be read", path.display()), &error)
            .hint("name a file that `strongroom audit export` made")
    };
    let file = File::open(path).map_err(unread)?;
    let length = file.metadata().map_err(unread)?.len();
    Ok((Box::new(BufReader::with_capacity(1 << 16, file)), length))
}

/// What is wrong, and in which line; 0: with the whole.
struct Wrong {
    line: u64,
    what: What,
}

enum What {
    Tampered(Tampered),
    Unread(io::Error),
    LineEnds,
}

fn checked(mut input: impl BufRead, mut checker: Checker, bar: &ProgressBar) -> Result<Proven, Wrong> {
    let (mut line, mut number, mut passed) = (Vec::new(), 0, 0);
    loop {
        line.clear();
        let read = input.by_ref().take(MOST_BYTES).read_until(b'\n', &mut line);
        let read = read.map_err(|error| Wrong { line: number, what: What::Unread(error) })?;
        if read == 0 {
            break;
        }
        number += 1;
        let wrong = |what| Wrong { line: number, what };
        if line.pop_if(|last| *last == b'\n').is_none() && read as u64 == MOST_BYTES {
            return Err(wrong(What::Tampered(Tampered::Line)));
        }
        if line.last() == Some(&b'\r') {
            return Err(wrong(What::LineEnds));
        }
        let text = str::from_utf8(&line).map_err(|_| wrong(What::Tampered(Tampered::Line)))?;
        checker.line(text).map_err(|tampered| wrong(What::Tampered(tampered)))?;
        passed += read as u64;
        if number % STEP == 0 {
            bar.set_position(passed);
        }
    }
    checker.finish().map_err(|tampered| Wrong { line: 0, what: What::Tampered(tampered) })
}

impl Wrong {
    fn into_failure(self, path: &Path, json: bool) -> Failure {
        let name =
            if path.as_os_str() == "-" { "standard input".to_owned() } else { path.display().to_string() };
        let place = if self.line > 0 { format!(", line {}", self.line) } else { String::new() };
        let problem = printable(&self.what.to_string());
        let failure = Failure::new(format!("{name}{place}: {problem}")).hint(self.what.remedy());
        if !json {
            return failure;
        }
        let line = Some(self.line).filter(|line| *line > 0);
        failure.answer(serde_json::json!({"ok": false, "line": line, "problem": problem}).to_string())
    }
}

impl std::fmt::Display for What {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tampered(tampered) => tampered.fmt(f),
            Self::Unread(error) => write!(f, "it can't be read on: {error}"),
            Self::LineEnds => f.write_str("its line ends were changed to those of Windows"),
        }
    }
}

impl What {
    fn remedy(&self) -> &'static str {
        match self {
            Self::Unread(_) => "try again, or export it again",
            Self::LineEnds => "a leaf is a line's exact bytes: change the line ends back, or export it again",
            Self::Tampered(Tampered::Signature(_)) => {
                "check that the key is this log's (`strongroom audit key`); if it is, the file was made by somebody else"
            }
            Self::Tampered(Tampered::OtherLog(_) | Tampered::HeldOfOther(_)) => {
                "compare files, keys and heads of one instance with each other"
            }
            Self::Tampered(Tampered::Astride(_)) => "export it with --checkpoint and the file of that head",
            Self::Tampered(Tampered::Held(_) | Tampered::Truncated { .. }) => {
                "the file, or the record that it is from, was changed or is older than the head: keep both, and compare with another export; `strongroom audit verify --data-dir …` looks at the instance"
            }
            Self::Tampered(_) => {
                "it isn't what was exported: keep it as it is, and export it again to compare"
            }
        }
    }
}

fn incomplete(proven: &Proven, path: &Path, json: bool) -> Failure {
    let problem = format!("{} of {} are left out", proven.skipped, super::events(proven.head.size));
    let failure = Failure::new(format!("{}: {problem}", path.display())).hint(
        "a team's export never has the others' events: an operator exports everything with --data-dir and without filters",
    );
    if json {
        failure.answer(serde_json::json!({"ok": false, "line": null, "problem": problem}).to_string())
    } else {
        failure
    }
}

fn answer(args: &Verify, proven: &Proven, compared: usize) -> Result<(), Failure> {
    let head = &proven.head;
    if args.json {
        let answer = serde_json::json!({
            "ok": true, "signed": proven.is_signed, "log": head.origin, "size": head.size,
            "root": head.root.to_string(), "events": proven.events, "skipped": proven.skipped,
            "checkpoints": compared,
        });
        output::answer(&answer.to_string())?;
    } else {
        output::answer(&words(proven, compared))?;
    }
    if !proven.is_signed {
        output::complain(
            "warning: no --key was given, so it is consistent with itself only: anybody can have made it",
        );
    }
    Ok(())
}

fn words(proven: &Proven, compared: usize) -> String {
    let head = &proven.head;
    let left_out = match proven.skipped {
        0 => "none".to_owned(),
        skipped => format!("{skipped} (of other teams, not yours to see, or not asked for)"),
    };
    let signed = if proven.is_signed { "by a key that was named" } else { "not checked" };
    let compared = if compared > 0 { compared.to_string() } else { "none".to_owned() };
    crate::table::labelled(&[
        ("events", &proven.events.to_string()),
        ("left out", &left_out),
        ("log", &head.origin),
        ("head", &format!("over {}", super::events(head.size))),
        ("root", &head.root.to_string()),
        ("signed", signed),
        ("heads held", &compared),
    ]) + if proven.is_signed {
        "\n\nNothing was changed, put in, taken out or moved since the head was signed."
    } else {
        "\n\nIt is consistent with itself."
    }
}
