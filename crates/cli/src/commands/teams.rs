//! `strongroom teams`: teams, and the first link into a new one.

use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::confirm::confirm_about;
use super::keys::{ShownLink, make, show_link};
use super::{acknowledge, change};
use crate::cli::people::{CreateTeam, DeleteTeam, ListTeams, RenameTeam, ShowTeam, Teams, UndeleteTeam};
use crate::client::{Answer, Client, Request};
use crate::failure::Failure;
use crate::output;
use crate::printable::printable;
use crate::table::{Column, Table, labelled};

pub(super) async fn run(command: &Teams) -> Result<(), Failure> {
    match command {
        Teams::List(args) => list(args).await,
        Teams::Show(args) => show_one(args).await,
        Teams::Create(args) => create(args).await,
        Teams::Rename(args) => rename(args).await,
        Teams::Delete(args) => delete(args).await,
        Teams::Undelete(args) => undelete(args).await,
    }
}

/// A team; a list leaves out when it was made.
#[derive(Deserialize)]
struct Team {
    id: String,
    name: String,
    created_at: Option<String>,
}

#[derive(Deserialize)]
struct Listed {
    teams: Vec<Team>,
}

#[derive(Deserialize)]
struct One {
    team: Team,
}

/// The path of one team.
fn path(id: Uuid) -> String {
    format!("/v2/teams/{id}")
}

async fn list(args: &ListTeams) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let answer = client.send(Request::get("/v2/teams")).await?;
    client.show(&answer, |listed: Listed| {
        let mut table = Table::new([Column::Whole("ID"), Column::Cut("NAME")]);
        listed.teams.iter().for_each(|team| table.row([&team.id, &team.name]));
        table.render(output::width())
    })
}

async fn show_one(args: &ShowTeam) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let id = match args.id {
        Some(id) => id,
        None => client.team().await?,
    };
    show(&client, &client.send(Request::get(path(id))).await?)
}

fn show(client: &Client, answer: &Answer) -> Result<(), Failure> {
    client.show(answer, |One { team }| {
        let created = team.created_at.as_deref().unwrap_or("-");
        labelled(&[("id", &team.id), ("name", &team.name), ("created", created)])
    })
}

#[derive(Deserialize)]
struct Made {
    team: Team,
    key_link: ShownLink,
}

async fn create(args: &CreateTeam) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let request = Request::post("/v2/teams").body(&json!({"name": args.name}))?;
    let Some(answer) = make(&client, request, &args.write).await? else { return Ok(()) };
    let Made { team, key_link } = answer.read()?;
    output::complain(&format!("Created the team \"{}\" ({}).", printable(&team.name), printable(&team.id)));
    show_link(&client, &answer, &key_link, "For a key in it, run:", "--link-stdin --profile NAME")
}

async fn rename(args: &RenameTeam) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let request = Request::patch(path(args.id)).body(&json!({"name": args.name}))?;
    show(&client, &change(&client, request, &args.write).await?)
}

async fn delete(args: &DeleteTeam) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let question = |One { team }: One| {
        let name = printable(&team.name);
        format!("Delete the team \"{name}\" ({}) with all its secrets, members and keys?", args.id)
    };
    confirm_about(&client, path(args.id), &args.confirmed, question).await?;
    let answer = change(&client, Request::delete(path(args.id)), &args.confirmed.write).await?;
    let done = format!("Deleted the team {0}. To bring it back:\n  strongroom teams undelete {0}", args.id);
    acknowledge(&client, &answer, &args.confirmed.write, &done)
}

async fn undelete(args: &UndeleteTeam) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let request = Request::post(format!("{}/undelete", path(args.id)));
    show(&client, &change(&client, request, &args.write).await?)
}
