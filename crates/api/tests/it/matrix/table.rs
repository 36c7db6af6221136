//! The expectation as cells, what was seen in them, and what is wrong with it.

use reqwest::Method;
use std::collections::BTreeMap;
use strongroom_core::Role;

use super::expected::{BY_RUN, SCOPES};
use crate::support::Answer;

/// An operation of the API's own description.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) name: String,
    pub(super) method: Method,
    /// With the names of its parameters in braces.
    pub(super) path: String,
}

impl Operation {
    /// Whether it can change something, and so can be tried without doing it.
    pub(super) fn changes(&self) -> bool {
        self.method != Method::GET
    }

    /// What it does, in whichever version of the API.
    pub(super) fn verb(&self) -> &str {
        self.name.strip_suffix("V1").unwrap_or(&self.name)
    }
}

/// Every operation that the API's description has.
pub(super) fn described() -> Vec<Operation> {
    let description: serde_json::Value = serde_json::from_str(strongroom_api::document()).unwrap();
    let mut operations = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let name = operation["operationId"].as_str().unwrap().to_owned();
            let method = method.to_uppercase().parse().unwrap();
            operations.push(Operation { name, method, path: path.clone() });
        }
    }
    operations
}

/// One cell of the matrix.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cell {
    pub(super) operation: &'static str,
    pub(super) object: &'static str,
    pub(super) role: Role,
}

/// The lines of a table below its head, in words.
fn lines(table: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    let lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines.filter(|words| !words.is_empty()).skip(1)
}

/// Which status each cell is to have, as a table has it.
pub(super) fn expected(table: &'static str) -> Vec<(Cell, u16)> {
    let mut cells = Vec::new();
    for words in lines(table) {
        let [operation, object, statuses @ ..] = &words[..] else { panic!("{words:?}") };
        assert_eq!(statuses.len(), Role::ALL.len(), "{words:?}");
        for (role, status) in Role::ALL.into_iter().zip(statuses) {
            cells.push((Cell { operation, object, role }, status.parse().unwrap()));
        }
    }
    cells
}

/// What an operation asks of a key, and an object that an owner may do it to.
pub(super) struct Demand {
    pub(super) operation: &'static str,
    pub(super) scope: &'static str,
    pub(super) object: &'static str,
}

/// What each operation asks of a key.
pub(super) fn demands() -> Vec<Demand> {
    let demand = |words: Vec<&'static str>| {
        let [operation, scope, object] = words[..] else { panic!("{words:?}") };
        Demand { operation, scope, object }
    };
    lines(SCOPES).map(demand).collect()
}

/// What the demands say of the operations that are described.
pub(super) fn demanded() -> Vec<(Operation, Demand)> {
    let described = described();
    let operation = |demand: &Demand| described.iter().find(|operation| operation.name == demand.operation);
    demands().into_iter().filter_map(|demand| Some((operation(&demand)?.clone(), demand))).collect()
}

/// Operations without a row, and rows without an operation.
pub(super) fn gaps<'a>(described: &[&'a str], rows: &[&'a str]) -> Vec<&'a str> {
    let without = |some: &[&'a str], others: &[&'a str]| {
        some.iter().filter(|name| !others.contains(name)).copied().collect::<Vec<_>>()
    };
    let mut gaps = [without(described, rows), without(rows, described)].concat();
    gaps.sort_unstable();
    gaps.dedup();
    gaps
}

/// An answer, as far as it is the same for everybody who gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) status: u16,
    /// The error's code; empty when it is none.
    pub(super) code: String,
    pub(super) body: String,
    pub(super) headers: Vec<(String, String)>,
}

/// Headers that differ from request to request, whatever the answer is.
const PASSING: [&str; 5] =
    ["x-request-id", "date", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"];

impl Seen {
    pub(super) fn of(answer: Answer) -> Self {
        let status = answer.status.as_u16();
        let code = if status >= 400 && !answer.body.is_empty() { answer.code() } else { String::new() };
        let mut headers: Vec<_> = { &answer.headers }
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .filter(|(name, _)| !PASSING.contains(&name.as_str()))
            .collect();
        headers.sort_unstable();
        Self { status, code, body: answer.body, headers }
    }
}

/// For the controls.
impl Seen {
    pub(super) fn as_expected(cell: &Cell, status: u16) -> Self {
        Self { status, code: code(cell, status).into(), body: String::new(), headers: Vec::new() }
    }
}

/// What was seen, cell by cell.
pub(super) type Sight = BTreeMap<Cell, Seen>;

/// The code that goes with a status in a cell.
fn code(cell: &Cell, status: u16) -> &'static str {
    match status {
        200 | 201 => "",
        400 => "invalid_request",
        401 if BY_RUN.contains(&cell.operation) => over(cell.object),
        401 => "invalid_token",
        403 => "forbidden",
        404 => "not_found",
        409 => "conflict",
        other => panic!("no cell has the status {other}"),
    }
}

/// The code that goes with a run that is over. A member's own is: they were a
/// builder when they started it.
fn over(run: &str) -> &'static str {
    match run {
        "own-stopped" => "run_stopped",
        "own-expired" => "run_expired",
        "own" | "own-revoked" | "own-orphaned" => "run_revoked",
        _ => "invalid_token",
    }
}

/// The cells in which something else was seen than is expected, or nothing.
pub(super) fn differing(expected: &[(Cell, u16)], sight: &Sight) -> Vec<Cell> {
    let differs = |cell: &Cell, status: u16| {
        sight.get(cell).is_none_or(|seen| (seen.status, seen.code.as_str()) != (status, code(cell, status)))
    };
    expected.iter().filter(|(cell, status)| differs(cell, *status)).map(|(cell, _)| cell.clone()).collect()
}

/// Which cells of one operation and role must not be told apart: all that
/// aren't there, and all under another team's path.
fn alike(cell: &Cell, seen: &Seen) -> Option<&'static str> {
    let elsewhere = cell.object.ends_with("@other") || cell.object.ends_with("@unknown");
    match seen.status {
        404 => Some("absent"),
        403 if elsewhere => Some("elsewhere"),
        _ => None,
    }
}

/// The cells whose answer tells that something is there which must look absent.
pub(super) fn telling(sight: &Sight) -> Vec<Cell> {
    let mut first = BTreeMap::new();
    let mut telling = Vec::new();
    for (cell, seen) in sight {
        let Some(group) = alike(cell, seen) else { continue };
        if *first.entry((cell.operation, cell.role, group)).or_insert(seen) != seen {
            telling.push(cell.clone());
        }
    }
    telling
}
