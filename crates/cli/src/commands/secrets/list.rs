//! `strongroom secrets list`: all pages, or the first so many.

use serde_json::value::RawValue;

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
    let answer = match first.next() {
        None => first,
        Some(_) if args.limit.is_some() => {
            output::complain("note: there are more; without --limit all are listed");
            first
        }
        Some(next) => all(&client, &path, first, next).await?,
    };
    show(&client, &answer)
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

/// Follows the pages to their end; together they are one array, each element as
/// the server wrote it.
async fn all(
    client: &Client,
    path: &str,
    first: Answer,
    mut next: Vec<(String, String)>,
) -> Result<Answer, Failure> {
    let mut elements: Vec<Box<RawValue>> = first.read()?;
    loop {
        let page = client.send(Request::get(path).queries(next.clone())).await?;
        elements.extend(page.read::<Vec<Box<RawValue>>>()?);
        match page.next() {
            None => break,
            Some(same) if same == next => {
                return Err(Failure::new("the server's list has no end: a page names itself as the next"));
            }
            Some(further) => next = further,
        }
    }
    let texts: Vec<_> = elements.iter().map(|element| element.get()).collect();
    Ok(first.joined(format!("[{}]", texts.join(","))))
}
