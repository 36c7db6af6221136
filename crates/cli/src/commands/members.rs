//! `strongroom members`: who is in a team, and as what.

use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::confirm::confirm;
use super::{acknowledge, change, counted};
use crate::cli::people::{AddMember, ListMembers, Members, RemoveMember, UpdateMember};
use crate::client::{Answer, Client, Request};
use crate::failure::Failure;
use crate::output;
use crate::printable::printable;
use crate::table::{Column, Table, labelled};

pub(super) async fn run(command: &Members) -> Result<(), Failure> {
    match command {
        Members::List(args) => list(args).await,
        Members::Add(args) => add(args).await,
        Members::Update(args) => update(args).await,
        Members::Remove(args) => remove(args).await,
    }
}

/// Somebody in a team.
#[derive(Deserialize)]
struct Member {
    id: String,
    name: String,
    email: Option<String>,
    role: String,
    #[serde(default)]
    service: bool,
}

impl Member {
    fn address(&self) -> &str {
        self.email.as_deref().unwrap_or(if self.service { "(service)" } else { "-" })
    }
}

#[derive(Deserialize)]
struct Listed {
    members: Vec<Member>,
}

#[derive(Deserialize)]
struct One {
    member: Member,
}

async fn list(args: &ListMembers) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let request = Request::get(client.in_team("members").await?).query("search", args.search.as_ref());
    let answer = counted::list(&client, request, &args.part, "members").await?;
    client.show(&answer, |listed: Listed| table(&listed.members))
}

fn table(members: &[Member]) -> String {
    let mut table = Table::new([
        Column::Whole("ID"),
        Column::Cut("NAME"),
        Column::Spare("ROLE"),
        Column::CutOrSpare("EMAIL"),
    ]);
    for member in members {
        table.row([&member.id, &member.name, &member.role, member.address()]);
    }
    table.render(output::width())
}

/// Who is to be a member.
#[derive(Serialize)]
struct New<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<Uuid>,
    role: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    service: bool,
}

async fn add(args: &AddMember) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let new = New {
        name: args.name.as_deref(),
        email: args.who.email.as_deref(),
        user_id: args.who.user_id,
        role: args.role.as_str(),
        service: args.who.service,
    };
    let request = Request::post(client.in_team("members").await?).body(&new)?;
    let answer = change(&client, request, &args.write).await?;
    show(&client, &answer)?;
    if !args.write.dry_run && !client.json() {
        output::complain(&next_step(&answer.read::<One>()?.member));
    }
    Ok(())
}

/// A member without a key can do nothing.
fn next_step(member: &Member) -> String {
    let id = printable(&member.id);
    if member.service {
        format!(
            "To make a key for it:\n  strongroom keys create --service-user {id} --scope runs:start --name NAME"
        )
    } else {
        format!("To give them a key:\n  strongroom keys link {id} --name NAME")
    }
}

async fn update(args: &UpdateMember) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let path = client.in_team(&format!("members/{}", args.user_id)).await?;
    let request = Request::patch(path).body(&json!({"role": args.role.as_str()}))?;
    show(&client, &change(&client, request, &args.write).await?)
}

fn show(client: &Client, answer: &Answer) -> Result<(), Failure> {
    client.show(answer, |One { member }| {
        labelled(&[
            ("id", &member.id),
            ("name", &member.name),
            ("role", &member.role),
            ("email", member.address()),
        ])
    })
}

async fn remove(args: &RemoveMember) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let question = format!("Remove the member {}? Their keys end at once.", args.user_id);
    confirm(&args.confirmed, &question)?;
    let path = client.in_team(&format!("members/{}", args.user_id)).await?;
    let answer = change(&client, Request::delete(path), &args.confirmed.write).await?;
    let done = format!("Removed the member {}.", args.user_id);
    acknowledge(&client, &answer, &args.confirmed.write, &done)
}
