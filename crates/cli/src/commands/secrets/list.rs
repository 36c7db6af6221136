//! `strongroom secrets list`: all pages, or the first so many.

use super::pages;
use super::view::{self, Secret};
use crate::cli::secrets::List;
use crate::client::{Answer, Client, Request};
use crate::commands::show_list;
use crate::failure::Failure;
use crate::output;

/// The most that the server lists at once.
const MOST: u16 = 1000;

const NONE: &str = "No secrets here. To create one: strongroom secrets create --help";

pub(super) async fn run(args: &List) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let path = client.in_team("credentials").await?;
    let request = Request::get(path.as_str())
        .query("search", args.search.as_ref())
        .query("service_slug", args.service_slug.as_ref())
        .query("limit", args.limit);
    let first = client.send(request).await?;
    if args.limit.is_none() {
        return show(&client, &pages::all(&client, &path, first).await?, NONE);
    }
    if first.next().is_some() {
        output::complain("note: there are more; without --limit all are listed");
    }
    show(&client, &first, NONE)
}

/// Shows many secrets; `none` is said when there are none.
///
/// # Errors
/// When the answer isn't a list of secrets.
pub(in crate::commands) fn show(client: &Client, answer: &Answer, none: &str) -> Result<(), Failure> {
    show_list(client, answer, Answer::read, none, |secrets: &[Secret]| view::table(secrets, output::width()))
}

/// All secrets that the caller can see, listed at this path.
///
/// # Errors
/// When the caller may list none.
pub(in crate::commands) async fn visible(client: &Client, path: &str) -> Result<Vec<Secret>, Failure> {
    let first = client.send(Request::get(path).query("limit", Some(MOST))).await?;
    pages::all(client, path, first).await?.read()
}
