//! `strongroom teams`: teams, and the first link into a new one.

use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::keys::{ShownLink, show_link};
use super::{acknowledge, confirm, note_dry_run};
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
    let answer = client.send(request.write(&args.write)).await?;
    if args.write.dry_run {
        return acknowledge(&client, &answer, true, "");
    }
    let Made { team, key_link } = answer.read()?;
    output::complain(&format!("Created the team \"{}\" ({}).", printable(&team.name), printable(&team.id)));
    show_link(&client, &answer, &key_link)
}

async fn rename(args: &RenameTeam) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let request = Request::patch(path(args.id)).body(&json!({"name": args.name}))?;
    let answer = client.send(request.write(&args.write)).await?;
    note_dry_run(args.write.dry_run);
    show(&client, &answer)
}

async fn delete(args: &DeleteTeam) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    if confirm::needed(&args.confirmed) {
        confirm::possible(&args.confirmed)?;
        let One { team } = client.send(Request::get(path(args.id))).await?.read()?;
        let question = format!(
            "Delete the team \"{}\" ({}) with all its secrets, members and keys?",
            printable(&team.name),
            args.id
        );
        confirm::confirm(&args.confirmed, &question)?;
    }
    let answer = client.send(Request::delete(path(args.id)).write(&args.confirmed.write)).await?;
    let done = format!("Deleted the team {0}. To bring it back: strongroom teams undelete {0}", args.id);
    acknowledge(&client, &answer, args.confirmed.write.dry_run, &done)
}

async fn undelete(args: &UndeleteTeam) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let request = Request::post(format!("{}/undelete", path(args.id)));
    let answer = client.send(request.write(&args.write)).await?;
    note_dry_run(args.write.dry_run);
    show(&client, &answer)
}
