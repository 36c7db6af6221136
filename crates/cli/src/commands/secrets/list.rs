//! `strongroom secrets list`: all pages, or the first so many.

use super::pages;
use super::view::{self, Secret};
use crate::cli::secrets::List;
use crate::client::{Answer, Client, Request};
use crate::failure::Failure;
use crate::output;

pub(super) async fn run(args: &List) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let path = client.in_team("credentials").await?;
    let request = Request::get(path.as_str())
        .query("search", args.search.as_ref())
        .query("service_slug", args.service_slug.as_ref())
        .query("limit", args.limit);
    let first = client.send(request).await?;
    if args.limit.is_none() {
        return show(&client, &pages::all(&client, &path, first).await?);
    }
    if first.next().is_some() {
        output::complain("note: there are more; without --limit all are listed");
    }
    show(&client, &first)
}

fn show(client: &Client, answer: &Answer) -> Result<(), Failure> {
    if client.json() {
        return client.show(answer, |_: Vec<Secret>| String::new());
    }
    let secrets: Vec<Secret> = answer.read()?;
    if secrets.is_empty() {
        output::complain("No secrets here. To create one: strongroom secrets create --help");
        return Ok(());
    }
    Ok(output::whole(&view::table(&secrets, output::width()))?)
}
