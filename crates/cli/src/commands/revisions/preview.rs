//! `strongroom revisions preview`: which names a run would get, from which
//! secrets, and what may be wrong with them. The server shows no value.

use serde::Deserialize;
use std::collections::BTreeMap;

use super::path;
use crate::cli::agents::OneRevision;
use crate::client::{Client, Request};
use crate::failure::Failure;
use crate::output;
use crate::printable::printable;
use crate::table::{Column, Table};

/// What a run of the caller's would get.
#[derive(Deserialize)]
struct Preview {
    environment: Vec<Entry>,
    #[serde(rename = "credentials")]
    secrets: Vec<Attached>,
    collisions: u64,
}

/// One name of the environment.
#[derive(Deserialize)]
struct Entry {
    name: String,
    #[serde(rename = "credential_id")]
    secret_id: String,
    why: String,
    over: Vec<String>,
    health: Vec<String>,
}

/// An attached secret.
#[derive(Deserialize)]
struct Attached {
    id: String,
    name: String,
    user_id: Option<String>,
    health: Vec<String>,
}

pub(super) async fn run(args: &OneRevision) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let answer = client.send(Request::get(format!("{}/environment", path(args.agent, args.id)))).await?;
    if client.json() {
        return Ok(output::whole(answer.raw()?)?);
    }
    let preview: Preview = answer.read()?;
    if !preview.environment.is_empty() {
        output::whole(&preview.table(output::width()))?;
    }
    preview.notes().iter().for_each(|note| output::complain(note));
    Ok(())
}

impl Preview {
    fn table(&self, width: Option<usize>) -> String {
        let mut table = Table::new([
            Column::Whole("NAME"),
            Column::Cut("FROM"),
            Column::Whole("WHY"),
            Column::CutOrSpare("OVER"),
            Column::Whole("HEALTH"),
        ]);
        for entry in &self.environment {
            let over: Vec<_> = entry.over.iter().map(|id| self.title(id)).collect();
            let from = self.title(&entry.secret_id);
            table.row([&entry.name, &from, why(&entry.why), &listed(&over), &listed(&entry.health)]);
        }
        table.render(width)
    }

    /// What a secret is called, told apart from others of the same name.
    fn title(&self, id: &str) -> String {
        let Some(secret) = self.secrets.iter().find(|secret| secret.id == id) else { return id.to_owned() };
        let shown = secret.shown();
        let alike = self.secrets.iter().filter(|other| other.shown() == shown).count();
        if alike > 1 { format!("{shown} ({id})") } else { shown }
    }

    /// What a person should know besides.
    fn notes(&self) -> Vec<String> {
        if self.secrets.is_empty() {
            return vec![
                "No secrets are attached. To attach one: strongroom revision-secrets attach --help".into(),
            ];
        }
        let mut notes = Vec::new();
        if self.environment.is_empty() {
            notes.push("note: a run would get no values".to_owned());
        }
        if self.collisions > 0 {
            notes.push(collisions(self.collisions));
        }
        let mut unwell: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for secret in &self.secrets {
            for health in &secret.health {
                unwell.entry(health).or_default().push(printable(&self.title(&secret.id)));
            }
        }
        notes.extend(
            unwell.iter().map(|(health, titles)| format!("note: {}: {}", about(health), titles.join(", "))),
        );
        notes
    }
}

impl Attached {
    fn shown(&self) -> String {
        let whose = if self.user_id.is_some() { " (personal)" } else { "" };
        format!("{}{whose}", self.name)
    }
}

fn collisions(number: u64) -> String {
    let stand = if number == 1 { "1 name stands".to_owned() } else { format!("{number} names stand") };
    format!(
        "note: {stand} in more than one secret, so `--strict` would refuse to start; OVER says which lost"
    )
}

fn listed(texts: &[String]) -> String {
    if texts.is_empty() { "-".to_owned() } else { texts.join(", ") }
}

/// Why this secret gives the value, and no other.
fn why(code: &str) -> &str {
    match code {
        "personal" => "yours",
        other => other,
    }
}

/// What may be wrong with a secret.
fn about(health: &str) -> String {
    match health {
        "never_used" => "never received by a run".to_owned(),
        "empty" => "empty, gives a run nothing".to_owned(),
        "stale" => "stale, not changed for long".to_owned(),
        other => printable(other),
    }
}
