//! `strongroom fill-requests`: a person is asked for a secret, and fills it in by a
//! link. What they fill in never comes here.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::keys::make;
use super::{acknowledge, change, show_list};
use crate::cli::fill_requests::{Cancel, Create, FillRequests, Listing, One};
use crate::client::{Answer, Client, Request};
use crate::failure::Failure;
use crate::output;
use crate::printable::printable;
use crate::table::{Column, Table, labelled, minute};

pub(super) async fn run(command: &FillRequests) -> Result<(), Failure> {
    match command {
        FillRequests::Create(args) => create(args).await,
        FillRequests::List(args) => list(args).await,
        FillRequests::Get(args) => get(args).await,
        FillRequests::Cancel(args) => cancel(args).await,
    }
}

/// A request as the API shows it.
#[derive(Deserialize)]
struct FillRequest {
    id: String,
    status: String,
    name: String,
    service_slug: Option<String>,
    env_var_keys: Vec<String>,
    note: Option<String>,
    created_at: String,
    expires_at: String,
}

/// What is asked for.
#[derive(Serialize)]
struct New<'a> {
    name: &'a str,
    env_var_keys: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    service_slug: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<u32>,
}

async fn create(args: &Create) -> Result<(), Failure> {
    if args.value.iter().any(|key| key.contains('=')) {
        return Err(Failure::new("a value is asked for by its name alone; nothing was sent")
            .hint("leave out the = and what follows it: whoever fills it in types that"));
    }
    let client = Client::open(&args.common)?;
    let new = New {
        name: &args.name,
        env_var_keys: &args.value,
        service_slug: args.service_slug.as_deref(),
        note: args.note.as_deref(),
        expires_in: args.expires_in,
    };
    let request = Request::post(client.in_team("fill-requests").await?).body(&new)?;
    match make(&client, request, &args.write).await? {
        Some(answer) => show_link(&client, &answer),
        None => Ok(()),
    }
}

/// An answer that shows a link, once.
#[derive(Deserialize)]
struct Shown {
    id: String,
    expires_at: String,
    url: Option<String>,
}

/// Shows the link of a new request, which nobody can look up again.
fn show_link(client: &Client, answer: &Answer) -> Result<(), Failure> {
    let Shown { id, expires_at, url } = answer.read()?;
    let id = printable(&id);
    let url = url.ok_or_else(|| {
        Failure::new(format!("the server made the request {id} and did not show its link"))
            .hint(format!("withdraw it (`strongroom fill-requests cancel {id}`), and ask again"))
    })?;
    let words = format!(
        "The link is shown only now, and works once, until {} UTC. Send it to whoever has the values. To see \
         whether they filled it in:\n  strongroom fill-requests get {id}",
        minute(&printable(&expires_at)),
    );
    client.show_once(answer, &printable(&url), &words)
}

async fn list(args: &Listing) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let answer = client.send(Request::get(client.in_team("fill-requests").await?)).await?;
    let none = "Nothing is asked for just now.";
    show_list(&client, &answer, |answer| answer.field("fill_requests"), none, table)
}

fn table(requests: &[FillRequest]) -> String {
    let mut table = Table::new([
        Column::Whole("ID"),
        Column::Cut("NAME"),
        Column::Spare("UNTIL (UTC)"),
        Column::CutOrSpare("VALUES"),
    ]);
    for request in requests {
        let values = request.env_var_keys.join(" ");
        table.row([&request.id, &request.name, &minute(&request.expires_at), &values]);
    }
    table.render(output::width())
}

async fn get(args: &One) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let answer = client.send(Request::get(path(&client, args.id).await?)).await?;
    client.show(&answer, |request: FillRequest| request.whole())
}

impl FillRequest {
    /// All that is known of it.
    fn whole(&self) -> String {
        labelled(&[
            ("id", &self.id),
            ("status", &self.status),
            ("name", &self.name),
            ("service", self.service_slug.as_deref().unwrap_or("-")),
            ("values", &self.env_var_keys.join(" ")),
            ("note", self.note.as_deref().unwrap_or("-")),
            ("created", &self.created_at),
            ("expires", &self.expires_at),
        ])
    }
}

async fn cancel(args: &Cancel) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let path = path(&client, args.id).await?;
    let answer = change(&client, Request::delete(path), &args.write).await?;
    acknowledge(&client, &answer, &args.write, &format!("Withdrew the request {}.", args.id))
}

/// The path of one request.
async fn path(client: &Client, id: Uuid) -> Result<String, Failure> {
    client.in_team(&format!("fill-requests/{id}")).await
}
