//! `strongroom keys status` and `keys rotate`: the keys that seal, and giving new ones.

use serde::Deserialize;
use std::time::Duration;
use tokio::time::{Instant, sleep};

use super::super::{acknowledge, audit, change, progress};
use super::status;
use crate::cli::keys::{RotateTeam, Status};
use crate::client::{Client, Request};
use crate::failure::Failure;
use crate::output;
use crate::printable::printable;
use crate::table::{Column, Table, minute};

/// Between two looks at how far it is.
const LOOK: Duration = Duration::from_millis(500);

#[derive(Deserialize)]
struct TeamKey {
    id: String,
    version: u16,
    created_at: String,
}

#[derive(Deserialize)]
struct TeamKeys {
    keys: Vec<TeamKey>,
    versions: u64,
    left: u64,
}

#[derive(Deserialize)]
struct Rotated {
    key: TeamKey,
}

pub(super) async fn show(args: &Status) -> Result<(), Failure> {
    if let Some(app) = audit::opened(&args.itself, &args.common.server, args.common.team).await? {
        return status::show(&app, args).await;
    }
    let client = Client::open(&args.common)?;
    let answer = client.send(Request::get(client.in_team("keys").await?)).await?;
    client.show(&answer, |keys: TeamKeys| words(&keys))
}

fn words(state: &TeamKeys) -> String {
    let mut table =
        Table::new([Column::Whole("KEY"), Column::Whole("VERSION"), Column::Whole("SINCE (UTC)")]);
    for key in &state.keys {
        table.row([&key.id, &key.version.to_string(), &minute(&key.created_at)]);
    }
    let TeamKeys { versions, left, .. } = state;
    let told = match (versions, left) {
        (0, _) => "No value is sealed yet.".to_owned(),
        (_, 0) => format!("All {versions} versions of secrets are sealed under the newest."),
        _ => format!("{left} of {versions} versions of secrets are still sealed under an older one."),
    };
    format!("{}\n{told}\n", table.render(output::width()))
}

pub(super) async fn team(args: &RotateTeam) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    let answer = change(&client, Request::post(client.in_team("keys/rotate").await?), &args.write).await?;
    if args.write.dry_run {
        return acknowledge(&client, &answer, &args.write, "");
    }
    let Rotated { key } = answer.read()?;
    let made = format!("The team's values are sealed under {} from now on.", printable(&key.id));
    acknowledge(&client, &answer, &args.write, &made)?;
    if args.no_wait {
        return Ok(());
    }
    wait(&client).await?;
    if !client.json() {
        output::complain("Everything is sealed anew. The old key goes in two days.");
    }
    Ok(())
}

/// Waits until nothing is sealed under an older key.
async fn wait(client: &Client) -> Result<(), Failure> {
    let path = client.in_team("keys").await?;
    let mut bar = None;
    loop {
        let asked = Instant::now();
        let state: TeamKeys = client.send(Request::get(path.clone())).await?.read()?;
        let bar = bar.get_or_insert_with(|| progress("sealing", state.left));
        bar.set_position(bar.length().unwrap_or(0).saturating_sub(state.left));
        if state.left == 0 {
            bar.finish_and_clear();
            return Ok(());
        }
        // A large team is counted for longer, and shouldn't be all the time.
        sleep(LOOK.max(asked.elapsed() * 5)).await;
    }
}
