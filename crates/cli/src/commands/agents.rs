//! `strongroom agents`: what has revisions and is run.

use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::confirm::confirm_about;
use super::{acknowledge, change, counted, show_list};
use crate::cli::agents::{Agents, CreateAgent, DeleteAgent, ListAgents, OneAgent, UpdateAgent};
use crate::client::{Answer, Client, Request};
use crate::failure::Failure;
use crate::output;
use crate::printable::printable;
use crate::table::{Column, Table, day, labelled};

pub(super) async fn run(command: &Agents) -> Result<(), Failure> {
    match command {
        Agents::List(args) => list(args).await,
        Agents::Create(args) => create(args).await,
        Agents::Get(args) => get(args).await,
        Agents::Update(args) => update(args).await,
        Agents::Delete(args) => delete(args).await,
    }
}

/// An agent as the API shows it.
#[derive(Deserialize)]
struct Agent {
    id: String,
    team_id: String,
    name: String,
    live_build_id: Option<String>,
    created_by: String,
    created_at: String,
    updated_at: String,
}

impl Agent {
    /// The revision that runs start from, if there is one.
    fn live(&self) -> &str {
        self.live_build_id.as_deref().unwrap_or("-")
    }
}

#[derive(Deserialize)]
struct One {
    agent: Agent,
}

/// The path of one agent.
pub(super) fn path(id: Uuid) -> String {
    format!("/v2/agents/{id}")
}

async fn list(args: &ListAgents) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let request = Request::get(client.in_team("agents").await?).query("search", args.search.as_ref());
    let answer = counted::list(&client, request, &args.part, "agents").await?;
    let none = "No agents here. To create one: strongroom agents create --name NAME";
    show_list(&client, &answer, |answer| answer.field("agents"), none, table)
}

fn table(agents: &[Agent]) -> String {
    let mut table = Table::new([
        Column::Whole("ID"),
        Column::Cut("NAME"),
        Column::Spare("CREATED"),
        Column::Spare("LIVE REVISION"),
    ]);
    for agent in agents {
        table.row([&agent.id, &agent.name, day(&agent.created_at), agent.live()]);
    }
    table.render(output::width())
}

async fn create(args: &CreateAgent) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let request = Request::post(client.in_team("agents").await?).body(&json!({"name": args.name}))?;
    let answer = change(&client, request, &args.write).await?;
    show(&client, &answer)?;
    if !args.write.dry_run && !client.json() {
        let id = printable(&answer.read::<One>()?.agent.id);
        output::complain(&format!(
            "To give it a revision:\n  strongroom revisions create --agent {id} --name NAME"
        ));
    }
    Ok(())
}

async fn get(args: &OneAgent) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    show(&client, &client.send(Request::get(path(args.id))).await?)
}

async fn update(args: &UpdateAgent) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let request = Request::patch(path(args.id)).body(&json!({"name": args.name}))?;
    show(&client, &change(&client, request, &args.write).await?)
}

fn show(client: &Client, answer: &Answer) -> Result<(), Failure> {
    client.show(answer, |One { agent }| {
        labelled(&[
            ("id", &agent.id),
            ("name", &agent.name),
            ("live revision", agent.live()),
            ("team", &agent.team_id),
            ("created", &agent.created_at),
            ("created by", &agent.created_by),
            ("updated", &agent.updated_at),
        ])
    })
}

async fn delete(args: &DeleteAgent) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let question = |One { agent }: One| {
        let name = printable(&agent.name);
        format!("Delete the agent \"{name}\" ({}) with its revisions? Its runs end at once.", args.id)
    };
    confirm_about(&client, path(args.id), &args.confirmed, question).await?;
    let answer = change(&client, Request::delete(path(args.id)), &args.confirmed.write).await?;
    acknowledge(&client, &answer, &args.confirmed.write, &format!("Deleted the agent {}.", args.id))
}
