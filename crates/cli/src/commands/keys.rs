//! `strongroom keys`: API keys, and links that give one. A key or a link goes
//! to standard output, once, alone.

mod files;
mod instance;
mod rotation;
mod status;

pub(super) use instance::{may_have_turned, refused};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::confirm::confirm;
use super::{acknowledge, change};
use crate::cli::client::{Server, Write};
use crate::cli::keys::{CancelLink, Claim, Create, Grant, Keys, Link, Listing, Revoke, Rotate};
use crate::client::{Answer, Client, Request, Target};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::printable::printable;
use crate::table::{Column, Table, day, minute};
use crate::{output, token_input};

pub(super) async fn run(command: &Keys) -> Result<(), Failure> {
    match command {
        Keys::List(args) => list(args).await,
        Keys::Create(args) => create(args).await,
        Keys::Revoke(args) => revoke(args).await,
        Keys::Link(args) => link(args).await,
        Keys::Links(args) => links(args).await,
        Keys::CancelLink(args) => cancel_link(args).await,
        Keys::Claim(args) => claim(args).await,
        Keys::Status(args) => rotation::show(args).await,
        Keys::Rotate(Rotate::Team(args)) => rotation::team(args).await,
        Keys::Rotate(Rotate::Root(args)) => Box::pin(instance::rotate_root(args)).await,
        Keys::Rotate(Rotate::Master(args)) => Box::pin(instance::rotate_master(args)).await,
        Keys::Rotate(Rotate::Purpose(args)) => instance::rotate_purpose(args).await,
        Keys::AddRoot(args) => Box::pin(instance::add_root(args)).await,
        Keys::RemoveRoot(args) => instance::remove_root(args).await,
    }
}

/// An API key without the key.
#[derive(Deserialize)]
struct ApiKey {
    id: String,
    user_id: String,
    name: String,
    role: String,
    scopes: Vec<String>,
    expires_at: Option<String>,
    revoked_at: Option<String>,
    last_used_at: Option<String>,
}

#[derive(Deserialize)]
struct ApiKeys {
    api_keys: Vec<ApiKey>,
}

async fn list(args: &Listing) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let answer = client.send(Request::get(client.in_team("api-keys").await?)).await?;
    client.show(&answer, |listed: ApiKeys| keys_table(&listed.api_keys))
}

fn keys_table(keys: &[ApiKey]) -> String {
    let mut table = Table::new([
        Column::Whole("ID"),
        Column::Cut("NAME"),
        Column::Whole("ENDS"),
        Column::Spare("ROLE"),
        Column::Spare("LAST USED"),
        Column::CutOrSpare("SCOPES"),
        Column::Spare("USER"),
    ]);
    for key in keys {
        let used = key.last_used_at.as_deref().map_or("never", day);
        table.row([&key.id, &key.name, key.ends(), &key.role, used, &key.scopes.join(" "), &key.user_id]);
    }
    table.render(output::width())
}

impl ApiKey {
    fn ends(&self) -> &str {
        match (&self.revoked_at, &self.expires_at) {
            (Some(_), _) => "revoked",
            (None, Some(at)) => day(at),
            (None, None) => "never",
        }
    }
}

/// What a key may do, on the wire.
#[derive(Serialize)]
struct Granted<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    scopes: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    agents: &'a [Uuid],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    cidrs: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_user_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    valid_seconds: Option<u32>,
}

impl<'a> From<&'a Grant> for Granted<'a> {
    fn from(grant: &'a Grant) -> Self {
        Self {
            name: &grant.name,
            role: grant.role.map(crate::cli::people::RoleName::as_str),
            scopes: &grant.scope,
            agents: &grant.agent,
            cidrs: &grant.cidr,
            expires_at: grant.expires_at.as_deref(),
            service_user_id: None,
            user_id: None,
            valid_seconds: None,
        }
    }
}

/// An answer that shows a key, once.
#[derive(Deserialize)]
struct Shown {
    id: String,
    api_key: Option<String>,
}

async fn create(args: &Create) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let granted = Granted { service_user_id: args.service_user, ..(&args.grant).into() };
    let request = Request::post(client.in_team("api-keys").await?).body(&granted)?;
    match make(&client, request, &args.write).await? {
        Some(answer) => show_key(&client, &answer),
        None => Ok(()),
    }
}

/// Makes what is shown once. After a dry run there is no such thing, and no
/// answer: it has been shown.
pub(super) async fn make(
    client: &Client,
    request: Request,
    write: &Write,
) -> Result<Option<Answer>, Failure> {
    let answer = change(client, request, write).await?;
    if write.dry_run {
        return acknowledge(client, &answer, write, "").map(|()| None);
    }
    Ok(Some(answer))
}

/// Shows a new key, which nobody can look up again.
fn show_key(client: &Client, answer: &Answer) -> Result<(), Failure> {
    let Shown { id, api_key } = answer.read()?;
    let api_key = api_key.ok_or_else(|| {
        Failure::new(format!("the server made the key {} and did not show it", printable(&id)))
            .hint("revoke it, and create another")
    })?;
    let words = format!("The API key {} is shown only now; whoever has it can use it.", printable(&id));
    client.show_once(answer, &printable(&api_key), &words)
}

async fn revoke(args: &Revoke) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let question = format!("Revoke the API key {}? Whoever uses it is refused at once.", args.id);
    confirm(&args.confirmed, &question)?;
    let path = client.in_team(&format!("api-keys/{}", args.id)).await?;
    let answer = change(&client, Request::delete(path), &args.confirmed.write).await?;
    acknowledge(&client, &answer, &args.confirmed.write, &format!("Revoked the API key {}.", args.id))
}

/// An answer that shows a link, once.
#[derive(Deserialize)]
pub(super) struct ShownLink {
    id: String,
    expires_at: String,
    link: Option<String>,
}

async fn link(args: &Link) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let granted =
        Granted { user_id: Some(args.user_id), valid_seconds: args.valid_seconds, ..(&args.grant).into() };
    let request = Request::post(client.in_team("key-links").await?).body(&granted)?;
    match make(&client, request, &args.write).await? {
        Some(answer) => {
            show_link(&client, &answer, &answer.read()?, "Whoever it is for runs:", "--link-stdin")
        }
        None => Ok(()),
    }
}

/// Shows a new link, and how it is used: `who` runs a login with these options.
pub(super) fn show_link(
    client: &Client,
    answer: &Answer,
    shown: &ShownLink,
    who: &str,
    options: &str,
) -> Result<(), Failure> {
    let id = printable(&shown.id);
    let link = shown.link.as_ref().ok_or_else(|| {
        Failure::new(format!("the server made the link {id} and did not show it"))
            .hint(format!("take it back (`strongroom keys cancel-link {id}`), and make another"))
    })?;
    let words = format!(
        "The link {id} is shown only now, and works once, until {} UTC. {who}\n  strongroom login --url {} {options}",
        minute(&printable(&shown.expires_at)),
        client.url(),
    );
    client.show_once(answer, &printable(link), &words)
}

/// A link that nobody has used yet.
#[derive(Deserialize)]
struct OpenLink {
    id: String,
    user_id: String,
    name: String,
    role: String,
    expires_at: String,
}

#[derive(Deserialize)]
struct OpenLinks {
    key_links: Vec<OpenLink>,
}

async fn links(args: &Listing) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let answer = client.send(Request::get(client.in_team("key-links").await?)).await?;
    client.show(&answer, |open: OpenLinks| links_table(&open.key_links))
}

fn links_table(links: &[OpenLink]) -> String {
    let mut table = Table::new([
        Column::Whole("ID"),
        Column::Cut("NAME"),
        Column::Spare("ROLE"),
        Column::Spare("UNTIL (UTC)"),
        Column::Spare("USER"),
    ]);
    for link in links {
        table.row([&link.id, &link.name, &link.role, &minute(&link.expires_at), &link.user_id]);
    }
    table.render(output::width())
}

async fn cancel_link(args: &CancelLink) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let path = client.in_team(&format!("key-links/{}", args.id)).await?;
    let answer = change(&client, Request::delete(path), &args.write).await?;
    acknowledge(&client, &answer, &args.write, &format!("Took the link {} back.", args.id))
}

async fn claim(args: &Claim) -> Result<(), Failure> {
    let (client, answer) = use_link(&args.server, &Environment::read()?, args.json).await?;
    show_key(&client, &answer)
}

/// Uses a link that is read from standard input or asked for. It works once,
/// so it isn't sent again when the answer was lost.
pub(super) async fn use_link(
    server: &Server,
    environment: &Environment,
    json: bool,
) -> Result<(Client, Answer), Failure> {
    let link = token_input::link()?;
    let client = Client::to(Target::with_token(server, environment, link)?, json)?;
    let answer = client.send(Request::post("/v2/key-links/claim").once()).await?;
    Ok((client, answer))
}
