//! `strongroom members`: who is in a team, and as what.

use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::confirm;
use crate::cli::people::{AddMember, ListMembers, Members, RemoveMember, UpdateMember};
use crate::client::{Answer, Client, Request};
use crate::failure::Failure;
use crate::output;
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

/// A page with its elements as the server wrote them.
#[derive(Deserialize, Serialize)]
struct Page {
    members: Vec<Box<RawValue>>,
    total: u64,
    limit: u64,
    offset: u64,
}

async fn list(args: &ListMembers) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let path = format!("/v2/teams/{}/members", client.team().await?);
    let first = page(&client, &path, args, args.offset.into()).await?;
    let answer = if args.limit.is_some() { first } else { all(&client, &path, args, first).await? };
    client.show(&answer, |listed: Listed| table(&listed.members))
}

async fn page(client: &Client, path: &str, args: &ListMembers, offset: u64) -> Result<Answer, Failure> {
    let request = Request::get(path)
        .query("search", args.search.as_ref())
        .query("limit", args.limit)
        .query("offset", (offset > 0).then_some(offset));
    client.send(request).await
}

/// Asks on until all are there. What was one page stays as the server wrote it.
async fn all(client: &Client, path: &str, args: &ListMembers, first: Answer) -> Result<Answer, Failure> {
    let mut whole: Page = first.read()?;
    let start = whole.offset;
    let mut came = whole.members.len() as u64;
    if start + came >= whole.total {
        return Ok(first);
    }
    while start + came < whole.total {
        let further: Page = page(client, path, args, start + came).await?.read()?;
        if further.members.is_empty() {
            break;
        }
        whole.members.extend(further.members);
        came = whole.members.len() as u64;
    }
    whole.limit = came;
    Ok(first.joined(serde_json::to_string(&whole)?))
}

fn table(members: &[Member]) -> String {
    let mut table =
        Table::new([Column::Whole("ID"), Column::Cut("NAME"), Column::Cut("EMAIL"), Column::Whole("ROLE")]);
    for member in members {
        table.row([&member.id, &member.name, member.address(), &member.role]);
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
    let path = format!("/v2/teams/{}/members", client.team().await?);
    let new = New {
        name: args.name.as_deref(),
        email: args.who.email.as_deref(),
        user_id: args.who.user_id,
        role: args.role.as_str(),
        service: args.who.service,
    };
    let answer = client.send(Request::post(path).body(&new)?.write(&args.write)).await?;
    show(&client, &answer, args.write.dry_run)?;
    if !args.write.dry_run && !client.json() {
        output::complain("To give them a key: strongroom keys link USER-ID --name NAME");
    }
    Ok(())
}

async fn update(args: &UpdateMember) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let path = format!("/v2/teams/{}/members/{}", client.team().await?, args.user_id);
    let request = Request::patch(path).body(&json!({"role": args.role.as_str()}))?;
    let answer = client.send(request.write(&args.write)).await?;
    show(&client, &answer, args.write.dry_run)
}

fn show(client: &Client, answer: &Answer, dry_run: bool) -> Result<(), Failure> {
    super::note_dry_run(dry_run);
    client.show(answer, |One { member }| {
        labelled(&[
            ("id", &member.id),
            ("name", &member.name),
            ("email", member.address()),
            ("role", &member.role),
        ])
    })
}

async fn remove(args: &RemoveMember) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let question = format!("Remove the member {}? Their keys end at once.", args.user_id);
    confirm::confirm(&args.confirmed, &question)?;
    let path = format!("/v2/teams/{}/members/{}", client.team().await?, args.user_id);
    let answer = client.send(Request::delete(path).write(&args.confirmed.write)).await?;
    let done = format!("Removed the member {}.", args.user_id);
    super::acknowledge(&client, &answer, args.confirmed.write.dry_run, &done)
}
