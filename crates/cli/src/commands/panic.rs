//! `strongroom panic`: revokes what is no longer trusted, and says which values
//! it had. What was revoked is shown whatever else fails.

mod rotation;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::change;
use super::confirm::confirm;
use super::secrets::list::visible;
use super::secrets::view::Secret;
use crate::cli::runs::{Panic, Suspect};
use crate::client::{Client, Request};
use crate::failure::Failure;
use crate::output;
use crate::table::{Column, Table};
use rotation::{Delivered, Rotation};

/// What is revoked, on the wire.
#[derive(Serialize)]
struct Revocation {
    #[serde(rename = "run_id", skip_serializing_if = "Option::is_none")]
    run: Option<Uuid>,
    #[serde(rename = "agent_id", skip_serializing_if = "Option::is_none")]
    agent: Option<Uuid>,
    #[serde(rename = "key_id", skip_serializing_if = "Option::is_none")]
    key: Option<Uuid>,
    #[serde(rename = "user_id", skip_serializing_if = "Option::is_none")]
    user: Option<Uuid>,
}

impl From<&Suspect> for Revocation {
    fn from(suspect: &Suspect) -> Self {
        let Suspect { run, agent, key, user } = *suspect;
        Self { run, agent, key, user }
    }
}

/// What the server revoked, and what that had received.
#[derive(Deserialize)]
struct Told {
    revoked: Revoked,
    deliveries: Vec<Delivered>,
}

#[derive(Deserialize)]
struct Revoked {
    runs: Vec<String>,
    /// Also those that are not named. A server of before names them all.
    #[serde(default)]
    runs_total: usize,
    api_keys: Vec<String>,
    key_links: Vec<String>,
}

pub(super) async fn run(args: &Panic) -> Result<(), Failure> {
    let client = Client::open(&args.common)?;
    confirm(&args.confirmed, &question(&args.suspect))?;
    let team = format!("/v2/teams/{}", client.team().await?);
    let request = Request::post(format!("{team}/panic")).body(&Revocation::from(&args.suspect))?;
    let answer = change(&client, request, &args.confirmed.write).await?;
    if client.json() {
        return Ok(output::whole(answer.raw()?)?);
    }
    let Told { revoked, deliveries } = answer.read()?;
    output::whole(&revoked.words(args.confirmed.write.dry_run))?;
    let rotation = Rotation::of(deliveries);
    let visible = if rotation.is_empty() { None } else { looked_up(&client, &team).await };
    Ok(output::whole(&format!("\n{}", rotation.words(visible.as_deref())))?)
}

fn question(suspect: &Suspect) -> String {
    let what = [
        suspect.run.map(|id| format!("the run {id}")),
        suspect.agent.map(|id| format!("every run of the agent {id}")),
        suspect.key.map(|id| format!("the API key {id} and every run that it started")),
        suspect.user.map(|id| format!("every API key, link and run of the user {id}")),
    ];
    format!("Revoke {} at once?", what.into_iter().flatten().collect::<String>())
}

/// The secrets that the caller can see. Without them the list is still one to
/// work through.
async fn looked_up(client: &Client, team: &str) -> Option<Vec<Secret>> {
    let visible = visible(client, &format!("{team}/credentials")).await;
    let noted = |failure: Failure| {
        let why = failure.message();
        output::complain(&format!("note: the secrets' names can't be looked up: {why}"));
    };
    visible.map_err(noted).ok()
}

impl Revoked {
    fn words(&self, dry_run: bool) -> String {
        let all = [("run", &self.runs), ("API key", &self.api_keys), ("link", &self.key_links)];
        if all.iter().all(|(_, ids)| ids.is_empty()) {
            return "Nothing was left to revoke.".to_owned();
        }
        let heading = if dry_run { "WOULD BE REVOKED" } else { "REVOKED" };
        let mut table = Table::new([Column::Whole(heading), Column::Whole("ID")]);
        for (kind, ids) in all {
            for id in ids {
                table.row([kind, id]);
            }
        }
        let named = table.render(output::width());
        match self.runs_total.saturating_sub(self.runs.len()) {
            0 => named,
            1 => format!("{named}\nand an older run"),
            more => format!("{named}\nand {more} older runs"),
        }
    }
}
