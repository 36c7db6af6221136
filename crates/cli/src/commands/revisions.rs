//! `strongroom revisions`: the versions of an agent, and which of them is live.

mod preview;

use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::{acknowledge, agents, change, counted, show_list};
use crate::cli::agents::{CreateRevision, ListRevisions, OneRevision, Promote, Revisions};
use crate::client::{Answer, Client, Request};
use crate::failure::Failure;
use crate::output;
use crate::printable::printable;
use crate::table::{Column, Table, labelled, minute};

pub(super) async fn run(command: &Revisions) -> Result<(), Failure> {
    match command {
        Revisions::List(args) => list(args).await,
        Revisions::Create(args) => create(args).await,
        Revisions::Get(args) => get(args).await,
        Revisions::Promote(args) => promote(args).await,
        Revisions::Preview(args) => preview::run(args).await,
    }
}

/// A revision as the API shows it, which calls it a build.
#[derive(Deserialize)]
struct Revision {
    id: String,
    agent_id: String,
    name: String,
    live: bool,
    created_by: String,
    created_at: String,
}

impl Revision {
    fn is_live(&self) -> &'static str {
        if self.live { "yes" } else { "no" }
    }
}

#[derive(Deserialize)]
struct One {
    build: Revision,
}

/// The path of an agent's revisions.
fn of(agent: Uuid) -> String {
    format!("{}/revisions", agents::path(agent))
}

/// The path of one of them.
pub(super) fn path(agent: Uuid, id: Uuid) -> String {
    format!("{}/{id}", of(agent))
}

async fn list(args: &ListRevisions) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let answer = counted::list(&client, Request::get(of(args.agent)), &args.part, "builds").await?;
    let none = format!(
        "No revisions yet. To create one: strongroom revisions create --agent {} --name NAME",
        args.agent
    );
    show_list(&client, &answer, |answer| answer.field("builds"), &none, table)
}

fn table(revisions: &[Revision]) -> String {
    let mut table = Table::new([
        Column::Whole("ID"),
        Column::Cut("NAME"),
        Column::Whole("LIVE"),
        Column::Spare("CREATED (UTC)"),
        Column::Spare("BY"),
    ]);
    for revision in revisions {
        let created = minute(&revision.created_at);
        table.row([&revision.id, &revision.name, revision.is_live(), &created, &revision.created_by]);
    }
    table.render(output::width())
}

async fn create(args: &CreateRevision) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let request = Request::post(of(args.agent)).body(&json!({"name": args.name}))?;
    let answer = change(&client, request, &args.write).await?;
    show(&client, &answer)?;
    if !args.write.dry_run && !client.json() {
        output::complain(&next_step(args.agent, &answer.read::<One>()?.build));
    }
    Ok(())
}

/// A revision without secrets gives a run nothing.
fn next_step(agent: Uuid, revision: &Revision) -> String {
    let id = printable(&revision.id);
    format!(
        "To attach a secret to it:\n  strongroom revision-secrets attach --agent {agent} --revision {id} --secret ID"
    )
}

async fn get(args: &OneRevision) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    show(&client, &client.send(Request::get(path(args.agent, args.id))).await?)
}

fn show(client: &Client, answer: &Answer) -> Result<(), Failure> {
    client.show(answer, |One { build: revision }| {
        labelled(&[
            ("id", &revision.id),
            ("name", &revision.name),
            ("live", revision.is_live()),
            ("agent", &revision.agent_id),
            ("created", &revision.created_at),
            ("created by", &revision.created_by),
        ])
    })
}

async fn promote(args: &Promote) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let body = match &args.name {
        Some(name) => json!({"revision_name": name}),
        None => json!({}),
    };
    let request = Request::post(format!("/v2/revisions/{}/promote", args.id)).body(&body)?;
    let answer = change(&client, request, &args.write).await?;
    acknowledge(&client, &answer, &args.write, &format!("The revision {} is live.", args.id))
}
