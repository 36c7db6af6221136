//! `strongroom runs`: what was started, what it received, and stopping it.

use std::collections::HashSet;

use serde::Deserialize;
use uuid::Uuid;

use super::confirm::confirm_about;
use super::{acknowledge, change, counted, show_list};
use crate::cli::client::Part;
use crate::cli::runs::{ListRuns, OneRun, RunRequests, Runs, StopRun};
use crate::cli::secrets;
use crate::client::{Client, Request};
use crate::failure::Failure;
use crate::output;
use crate::printable::printable;
use crate::table::{Column, Table, labelled, minute, second};

pub(super) async fn run(command: &Runs) -> Result<(), Failure> {
    match command {
        Runs::List(args) => list(args).await,
        Runs::Get(args) => get(args).await,
        Runs::Stop(args) => stop(args).await,
        Runs::Deliveries(args) => deliveries(args).await,
        Runs::Requests(args) => requests(args).await,
    }
}

/// A run as the API shows it.
#[derive(Deserialize)]
struct Run {
    id: String,
    team_id: String,
    agent_id: String,
    build_id: String,
    user_id: String,
    api_key_id: Option<String>,
    mode: String,
    strict: bool,
    note: Option<String>,
    status: String,
    started_at: String,
    completed_at: Option<String>,
    expires_at: String,
}

#[derive(Deserialize)]
struct One {
    run: Run,
}

/// The path of one run.
fn path(id: Uuid) -> String {
    format!("/v2/runs/{id}")
}

/// There are ever more of them, so a list without a limit isn't all.
async fn list(args: &ListRuns) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let request = Request::get(client.in_team("runs").await?).query("agent_id", args.agent);
    let part = Part { limit: Some(args.limit), offset: args.offset };
    let answer = counted::list(&client, request, &part, "data").await?;
    show_list(&client, &answer, |answer| answer.field("data"), "No runs here.", table)
}

fn table(runs: &[Run]) -> String {
    let mut table = Table::new([
        Column::Whole("ID"),
        Column::Whole("STATUS"),
        Column::Whole("MODE"),
        Column::Whole("STARTED (UTC)"),
        Column::CutOrSpare("NOTE"),
        Column::Spare("AGENT"),
    ]);
    for run in runs {
        let note = run.note.as_deref().unwrap_or("-");
        table.row([&run.id, &run.status, &run.mode, &minute(&run.started_at), note, &run.agent_id]);
    }
    table.render(output::width())
}

async fn get(args: &OneRun) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let answer = client.send(Request::get(path(args.id))).await?;
    client.show(&answer, |One { run }| run.whole())
}

impl Run {
    /// All that is known of it.
    fn whole(&self) -> String {
        let end = match &self.completed_at {
            Some(at) => ("ended", at.as_str()),
            None => ("expires", self.expires_at.as_str()),
        };
        labelled(&[
            ("id", &self.id),
            ("status", &self.status),
            ("note", self.note.as_deref().unwrap_or("-")),
            ("agent", &self.agent_id),
            ("revision", &self.build_id),
            ("mode", &self.mode),
            ("strict", if self.strict { "yes" } else { "no" }),
            ("started", &self.started_at),
            end,
            ("user", &self.user_id),
            ("API key", self.api_key_id.as_deref().unwrap_or("-")),
            ("team", &self.team_id),
        ])
    }

    /// What it is, for a question.
    fn title(&self) -> String {
        let note = self.note.as_ref().map(|note| format!("\"{}\" ", printable(note))).unwrap_or_default();
        format!("the {} run {note}({})", printable(&self.status), printable(&self.id))
    }
}

async fn stop(args: &StopRun) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let question = |One { run }: One| format!("Stop {}? Its token is refused from then on.", run.title());
    confirm_about(&client, path(args.id), &args.confirmed, question).await?;
    let request = Request::post(format!("{}/stop", path(args.id)));
    let answer = change(&client, request, &args.confirmed.write).await?;
    acknowledge(&client, &answer, &args.confirmed.write, &format!("Stopped the run {}.", args.id))
}

/// A version of a secret that a run received. Asked about either of the two, the
/// server tells the other.
#[derive(Deserialize)]
struct Delivery {
    #[serde(alias = "credential_id", alias = "run_id")]
    other: String,
    version: u64,
    env_var_keys: Vec<String>,
    delivered_at: String,
}

async fn deliveries(args: &OneRun) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let answer = client.send(Request::get(format!("{}/deliveries", path(args.id)))).await?;
    let none = "The run has received nothing.";
    show_list(&client, &answer, |answer| answer.field("deliveries"), none, |seen| delivered("SECRET", seen))
}

/// A request of a run, as the API shows it.
#[derive(Deserialize)]
struct RunRequest {
    at: String,
    request_id: String,
    credential_id: Option<String>,
    requested: Requested,
}

/// What was asked for, and what came of it.
#[derive(Deserialize)]
struct Requested {
    scheme: String,
    host: String,
    port: u16,
    method: String,
    path: String,
    status: Option<u16>,
    refused: Option<String>,
    ended: bool,
}

impl Requested {
    fn url(&self) -> String {
        let Self { scheme, host, port, path, .. } = self;
        match (scheme.as_str(), port) {
            ("https", 443) | ("http", 80) => format!("{scheme}://{host}{path}"),
            _ => format!("{scheme}://{host}:{port}{path}"),
        }
    }

    fn result(&self) -> String {
        match (&self.refused, self.status) {
            (Some(why), _) => why.clone(),
            (None, Some(status)) if self.ended => status.to_string(),
            (None, Some(status)) => format!("{status}, going on"),
            (None, None) if self.ended => "no answer".to_owned(),
            (None, None) => "under way".to_owned(),
        }
    }
}

async fn requests(args: &RunRequests) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let request = Request::get(format!("{}/requests", path(args.id)));
    let answer = client.send(request.query("limit", Some(args.limit)).query("cursor", args.cursor)).await?;
    let none = match args.cursor {
        None => "No request of the run through the broker is on record.",
        Some(_) => "No older request of the run is on record.",
    };
    show_list(&client, &answer, |answer| answer.field("data"), none, requested)?;
    if let Some(next) = answer.field::<Option<i64>>("next")? {
        output::complain(&format!("note: there are older ones; --cursor {next} shows them"));
    }
    Ok(())
}

fn requested(requests: &[RunRequest]) -> String {
    let mut table = Table::new([
        Column::Whole("TIME (UTC)"),
        Column::Whole("RESULT"),
        Column::Whole("METHOD"),
        Column::Cut("URL"),
        Column::Spare("SECRET"),
    ]);
    let mut over = HashSet::new();
    for RunRequest { at, request_id, credential_id, requested } in requests {
        // One that took long is told of when it begins and when it ends: the newer says all.
        if requested.ended {
            over.insert(request_id);
        } else if over.contains(request_id) {
            continue;
        }
        let secret = credential_id.as_deref().unwrap_or("-");
        table.row([&second(at), &requested.result(), &requested.method, &requested.url(), secret]);
    }
    table.render(output::width())
}

/// `strongroom secrets runs`.
pub(super) async fn of_secret(args: &secrets::One) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let path = format!("{}/runs", super::secrets::path(&args.id));
    let answer = client.send(Request::get(path)).await?;
    let none = "No run has received it.";
    show_list(&client, &answer, |answer| answer.field("runs"), none, |seen| delivered("RUN", seen))
}

fn delivered(other: &'static str, deliveries: &[Delivery]) -> String {
    let mut table = Table::new([
        Column::Whole(other),
        Column::Whole("VERSION"),
        Column::Whole("RECEIVED (UTC)"),
        Column::CutOrSpare("KEYS"),
    ]);
    for delivery in deliveries {
        let received = minute(&delivery.delivered_at);
        let keys = delivery.env_var_keys.join(", ");
        table.row([&delivery.other, &delivery.version.to_string(), &received, &keys]);
    }
    table.render(output::width())
}
