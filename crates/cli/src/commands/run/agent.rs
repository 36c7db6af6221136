//! Which agent is meant: an id is taken as it is, a name is looked up.

use serde::Deserialize;
use uuid::Uuid;

use crate::client::{Client, Request};
use crate::failure::{Exit, Failure};
use crate::printable::printable;

/// As many as a page may have.
const PAGE: usize = 200;

#[derive(Deserialize)]
struct Agent {
    id: Uuid,
    name: String,
}

#[derive(Deserialize)]
struct Agents {
    agents: Vec<Agent>,
    total: usize,
}

/// The id of the agent that is named so, or has this id.
///
/// # Errors
/// When none or several have the name, or the key may not look.
pub(super) async fn find(client: &Client, team: Uuid, wanted: &str) -> Result<Uuid, Failure> {
    if let Ok(id) = Uuid::parse_str(wanted) {
        return Ok(id);
    }
    let ids = named(client, team, wanted).await.map_err(|failure| {
        if failure.is("insufficient_scope") || failure.is("forbidden") {
            failure.hint("a key that may only start runs can't look an agent up by its name: give its id")
        } else {
            failure
        }
    })?;
    let shown = printable(wanted);
    match ids.as_slice() {
        [id] => Ok(*id),
        [] => Err(Failure::new(format!("there is no agent named \"{shown}\" that you can see"))
            .hint("check its name, or give its id")
            .exit(Exit::NotFound)),
        several => {
            let ids: Vec<_> = several.iter().map(Uuid::to_string).collect();
            Err(Failure::new(format!("{} agents are named \"{shown}\"", ids.len()))
                .hint(format!("give the id of one of them: {}", ids.join(", "))))
        }
    }
}

/// The agents of exactly this name. The search finds more.
async fn named(client: &Client, team: Uuid, name: &str) -> Result<Vec<Uuid>, Failure> {
    let (mut ids, mut seen) = (Vec::new(), 0);
    loop {
        let request = Request::get(format!("/v2/teams/{team}/agents"))
            .query("search", Some(name))
            .query("limit", Some(PAGE))
            .query("offset", Some(seen));
        let Agents { agents, total } = client.send(request).await?.read()?;
        seen += agents.len();
        let last = agents.is_empty() || seen >= total;
        ids.extend(agents.into_iter().filter(|agent| agent.name == name).map(|agent| agent.id));
        if last {
            return Ok(ids);
        }
    }
}
