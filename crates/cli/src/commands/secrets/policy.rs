//! Where a secret may be used: its policy, shown and set from a file.

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::io::Read;
use std::path::Path;
use strongroom_core::policies::{Placement, Policy, Rule};

use super::path;
use crate::cli::secrets::{One, SetPolicy};
use crate::client::{Answer, Client, Request};
use crate::commands::change;
use crate::failure::Failure;
use crate::output;
use crate::table::{Column, Table};
use crate::values::Values;

/// The most bytes of a file: several times what a server takes.
const MOST: u64 = 4 * Policy::MAX_BYTES as u64;

pub(super) async fn policy(args: &One) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    show(&client, &client.send(Request::get(format!("{}/policy", path(&args.id)))).await?)
}

/// What sets a policy.
#[derive(Serialize)]
struct New {
    rules: Vec<Box<RawValue>>,
    broker_only: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    values: Option<Values>,
}

pub(super) async fn set_policy(args: &SetPolicy) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    if args.file == Path::new("-") && reads_standard_input(args) {
        return Err(Failure::new("both the policy and values are to come from standard input")
            .hint("give one of them in a file"));
    }
    let Written { rules, broker_only, .. } = read(&args.file)?;
    let values = Values::gather(&args.value, args.from_env_file.as_deref())?;
    let new = New { rules, broker_only, values: (!values.is_empty()).then_some(values) };
    let request = Request::put(format!("{}/policy", path(&args.id))).body(&new)?;
    let request = request.if_match(args.if_match.as_ref());
    show(&client, &change(&client, request, &args.write).await?)
}

fn reads_standard_input(args: &SetPolicy) -> bool {
    let piped = |value: &String| value.split_once('=').is_some_and(|(_, source)| source == "-");
    args.value.iter().any(piped) || args.from_env_file.as_deref() == Some(Path::new("-"))
}

/// A policy as somebody wrote it down, or as `secrets policy --json` did. The server reads the
/// rules; a member that it would ignore is refused here, as it says something else than was meant.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    rules: Vec<Box<RawValue>>,
    #[serde(default)]
    broker_only: bool,
    #[serde(default, rename = "source")]
    _source: Option<IgnoredAny>,
}

fn read(path: &Path) -> Result<Written, Failure> {
    let mut text = String::new();
    let reading = if path == Path::new("-") {
        std::io::stdin().lock().take(MOST).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(MOST).read_to_string(&mut text))
    };
    reading.map_err(|error| Failure::because("the file of the policy can't be read", &error))?;
    serde_json::from_str(&text).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        Failure::new(format!("the file isn't a policy; look at {place}"))
            .hint("strongroom secrets set-policy --help shows one: an object with `rules` and `broker_only`")
    })
}

/// A policy as the API shows it.
#[derive(Deserialize)]
struct Shown {
    rules: Vec<Rule>,
    broker_only: bool,
    source: String,
}

fn show(client: &Client, answer: &Answer) -> Result<(), Failure> {
    client.show(answer, |policy: Shown| policy.whole(answer.etag(), output::width()))
}

impl Shown {
    fn whole(&self, tag: Option<&str>, width: Option<usize>) -> String {
        let source = match self.source.as_str() {
            "own" => "set for this secret",
            "service" => "what is known of its service",
            _ => "none",
        };
        let only = if self.broker_only { "yes, in no run's environment" } else { "no" };
        let mut lines = vec![("policy", source), ("broker only", only)];
        lines.extend(tag.map(|tag| ("version tag", tag)));
        let about = crate::table::labelled(&lines);
        if self.rules.is_empty() {
            return format!("{about}\n\nNo rule: it can't be used through the broker.");
        }
        format!("{about}\n\n{}", self.table(width))
    }

    fn table(&self, width: Option<usize>) -> String {
        let mut table = Table::new([
            Column::Cut("WHERE"),
            Column::Whole("METHODS"),
            Column::CutOrSpare("PLACE"),
            Column::Spare("ALSO"),
        ]);
        for rule in &self.rules {
            table.row([&place(rule), &methods(rule), &placement(rule.placement()), also(rule)]);
        }
        table.render(width)
    }
}

/// Where requests go: the port is said when it isn't the usual one.
fn place(rule: &Rule) -> String {
    let (scheme, host, prefix) = (rule.scheme(), rule.host().as_str(), rule.path_prefix().as_str());
    let port = if rule.port() == scheme.usual_port() { String::new() } else { format!(":{}", rule.port()) };
    format!("{}://{host}{port}{prefix}", scheme.name())
}

fn methods(rule: &Rule) -> String {
    let names = rule.methods().names();
    if names.is_empty() { "any".to_owned() } else { names.join(", ") }
}

fn placement(placement: &Placement) -> String {
    match placement {
        Placement::Header(name, None) => format!("header {}", name.as_str()),
        Placement::Header(name, Some(scheme)) => format!("header {}: {} …", name.as_str(), scheme.as_str()),
        Placement::Query(name) => format!("query {}", name.as_str()),
        Placement::Form(name) => format!("form {}", name.as_str()),
        Placement::Json(pointer) => format!("JSON {}", pointer.as_str()),
        Placement::Basic(part) => format!("Basic {}", part.name()),
    }
}

fn also(rule: &Rule) -> &'static str {
    match (rule.allows_private(), rule.allows_foreign()) {
        (false, false) => "-",
        (true, false) => "private addresses",
        (false, true) => "other credentials",
        (true, true) => "private addresses, other credentials",
    }
}
