//! Events as a server tells them, and the words for them.

use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::HashMap;
use strongroom_core::events::{EventFilter, EventKind};
use strongroom_core::{ApiKeyId, RunId, UserId};

use crate::cli::audit::Filter;
use crate::client::{Answer, Client, Request};
use crate::failure::Failure;
use crate::table::{cut, second};

/// The most that a server gives at a time.
pub(super) const PAGE: u32 = 200;

/// As much of a name as is shown.
const NAME: usize = 24;

/// One thing that happened.
#[derive(Deserialize)]
pub(super) struct Event {
    pub(super) sequence: i64,
    at: String,
    action: String,
    times: u32,
    user_id: Option<String>,
    run_id: Option<String>,
    object_type: String,
    object_id: Option<String>,
    version: Option<u32>,
    denied_operation: Option<String>,
    denied_reason: Option<String>,
}

/// What users are called, by their ids.
#[derive(Default)]
pub(super) struct Names(HashMap<String, String>);

#[derive(Deserialize)]
struct Member {
    id: String,
    name: String,
}

impl Names {
    /// Those of the team's members, if the caller may know them; ids do where they aren't
    /// known.
    pub(super) async fn of_members(client: &Client) -> Self {
        let Ok(path) = client.in_team("members").await else { return Self::default() };
        let asked = client.send(Request::get(path)).await;
        let members: Vec<Member> = asked.and_then(|answer| answer.field("members")).unwrap_or_default();
        Self(members.into_iter().map(|member| (member.id, member.name)).collect())
    }
}

impl Event {
    /// When, what, by whom, to what, and its id.
    pub(super) fn cells(&self, names: &Names) -> [String; 5] {
        let times = if self.times > 1 { format!(" ×{}", self.times) } else { String::new() };
        let action = format!("{}{times}", self.action);
        let id = self.object_id.clone().unwrap_or_default();
        [second(&self.at), action, self.who(names), self.what(), id]
    }

    fn who(&self, names: &Names) -> String {
        let user = self
            .user_id
            .as_ref()
            .map(|id| names.0.get(id).map_or_else(|| id.clone(), |name| cut(name, NAME)));
        match (user, &self.run_id) {
            (Some(user), Some(_)) => format!("{user} (run)"),
            (Some(user), None) => user,
            (None, Some(run)) => format!("run {run}"),
            (None, None) => "-".to_owned(),
        }
    }

    fn what(&self) -> String {
        let kind = &self.object_type;
        match (&self.denied_operation, &self.denied_reason, self.version) {
            (Some(operation), Some(reason), _) => format!("{operation}: {reason}"),
            (Some(operation), None, _) => operation.clone(),
            (None, _, Some(version)) if kind == "secrets" => format!("{kind} v{version}"),
            _ => kind.clone(),
        }
    }
}

/// The events of an answer, as the server wrote them.
pub(super) fn written(answer: &Answer) -> Result<Vec<Box<RawValue>>, Failure> {
    answer.field("events")
}

/// An event that was written.
pub(super) fn read(written: &RawValue) -> Result<Event, Failure> {
    serde_json::from_str(written.get()).map_err(|_| crate::client::strange())
}

impl Filter {
    /// As a server is asked.
    pub(super) fn query(&self) -> Vec<(String, String)> {
        let id = |id: Option<uuid::Uuid>| id.map(|id| id.to_string());
        let moment = |at: Option<strongroom_core::Timestamp>| at.map(|at| at.to_string());
        let pairs = [
            ("action", self.action.map(EventKind::name).map(str::to_owned)),
            ("user_id", id(self.user)),
            ("api_key_id", id(self.key)),
            ("run_id", id(self.run)),
            ("object_type", self.object_type.clone()),
            ("object_id", id(self.object)),
            ("since", moment(self.since)),
            ("until", moment(self.until)),
        ];
        pairs.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }

    /// As an instance itself is asked.
    pub(super) fn events(&self) -> EventFilter {
        EventFilter {
            kinds: self.action.into_iter().collect(),
            user: self.user.map(UserId::from_uuid),
            key: self.key.map(ApiKeyId::from_uuid),
            run: self.run.map(RunId::from_uuid),
            table: self.object_type.clone(),
            objects: self.object.into_iter().collect(),
            naming: None,
            since: self.since,
            until: self.until,
        }
    }
}
