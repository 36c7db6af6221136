//! `strongroom audit list`: the newest events that match.

use serde_json::value::RawValue;

use super::events::{self, Names, PAGE};
use crate::cli::audit::List;
use crate::client::{Client, Request};
use crate::failure::Failure;
use crate::output;
use crate::table::{Column, Table};

pub(super) async fn run(args: &List) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let (found, more) = found(&client, args).await?;
    if client.json() {
        let texts: Vec<_> = found.iter().map(|event| event.get()).collect();
        output::whole(&format!(r#"{{"events":[{}]}}"#, texts.join(",")))?;
    } else if found.is_empty() {
        output::complain("Nothing happened that you can see and asked for.");
    } else {
        let names = Names::of_members(&client).await;
        output::whole(&table(&found, &names)?)?;
    }
    if more {
        output::complain(&format!("note: the newest {}; --limit shows more", found.len()));
    }
    Ok(())
}

/// The events, and whether there are more.
async fn found(client: &Client, args: &List) -> Result<(Vec<Box<RawValue>>, bool), Failure> {
    let limit = args.limit as usize;
    let path = client.in_team("events").await?;
    let mut query = args.filter.query();
    query.push(("limit".to_owned(), args.limit.min(PAGE).to_string()));
    let mut found = Vec::new();
    loop {
        let answer = client.send(Request::get(&path).queries(query)).await?;
        found.extend(events::written(&answer)?);
        let next = answer.next();
        if found.len() > limit {
            found.truncate(limit);
            return Ok((found, true));
        }
        match next {
            Some(next) if found.len() < limit => query = next,
            next => return Ok((found, next.is_some())),
        }
    }
}

fn table(found: &[Box<RawValue>], names: &Names) -> Result<String, Failure> {
    let mut table = Table::new([
        Column::Whole("TIME (UTC)"),
        Column::Whole("ACTION"),
        Column::Cut("WHO"),
        Column::Cut("WHAT"),
        Column::Spare("ID"),
    ]);
    for event in found {
        table.row(events::read(event)?.cells(names).each_ref().map(String::as_str));
    }
    Ok(table.render(output::width()))
}
