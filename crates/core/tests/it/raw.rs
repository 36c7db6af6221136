//! Rows as a stranger finds them in the database: columns of bytes, in the
//! order of `docs/reference/sealing.md`.

use strongroom_core::agents::{Agent, Attachment, Revision};
use strongroom_core::answers::KeptAnswer;
use strongroom_core::api_keys::ApiKey;
use strongroom_core::fill_requests::FillRequest;
use strongroom_core::grants::Networks;
use strongroom_core::instance::Instance;
use strongroom_core::invitations::Invitation;
use strongroom_core::key_links::KeyLink;
use strongroom_core::rows::{Row, Stored};
use strongroom_core::runs::{Run, RunMode};
use strongroom_core::secrets::Secret;
use strongroom_core::sessions::Session;
use strongroom_core::sign_ins::SignIn;
use strongroom_core::teams::Team;
use strongroom_core::text::{Email, RunNote};
use strongroom_core::users::{Membership, User};
use strongroom_core::{Grant, RevisionId, ServiceSlug, TeamId, Timestamp, UserId};

use crate::independent::{self, Id, Key32};

pub(crate) type Columns = Vec<(&'static str, Option<Vec<u8>>)>;

/// A row without its types.
pub(crate) struct RawRow {
    pub(crate) table: &'static str,
    pub(crate) columns: Columns,
    pub(crate) row_mac: Vec<u8>,
}

impl RawRow {
    pub(crate) fn of<T: Raw>(stored: &Stored<T>) -> Self {
        let row_mac = stored.mac().as_bytes().to_vec();
        Self { table: T::TABLE, columns: stored.row().columns(), row_mac }
    }

    pub(crate) fn column(&self, name: &str) -> Option<&[u8]> {
        let found = self.columns.iter().find(|(column, _)| *column == name);
        found.unwrap_or_else(|| panic!("no column {name}")).1.as_deref()
    }

    pub(crate) fn id(&self, name: &str) -> Id {
        self.column(name).unwrap().try_into().unwrap()
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        std::str::from_utf8(self.column(name).unwrap()).unwrap()
    }

    /// What `row_mac` must be.
    pub(crate) fn mac(&self, key: &Key32, instance: &Id) -> Vec<u8> {
        let version = independent::version_of(&self.row_mac);
        independent::row_mac(key, version, instance, self.table, &self.columns)
    }
}

/// A row that can be written as columns.
pub(crate) trait Raw: Row {
    fn columns(&self) -> Columns;
}

fn bytes(value: impl AsRef<[u8]>) -> Vec<u8> {
    value.as_ref().to_vec()
}

fn time(time: Timestamp) -> Vec<u8> {
    bytes(time.as_millis().to_be_bytes())
}

fn number(number: impl Into<i64>) -> Vec<u8> {
    bytes(number.into().to_be_bytes())
}

impl Raw for Instance {
    fn columns(&self) -> Columns {
        vec![
            ("id", Some(bytes(self.id.as_bytes()))),
            ("root_provider", Some(bytes(&self.root_provider))),
            ("root_parameters", Some(bytes(&self.root_parameters))),
            ("root_key_id", Some(bytes(self.root_key_id.as_bytes()))),
            ("master", Some(bytes(self.master.as_bytes()))),
            ("recovery_recipient", Some(bytes(&self.recovery_recipient))),
            ("recovery", Some(bytes(&self.recovery))),
            ("created_at", Some(time(self.created_at))),
        ]
    }
}

impl Raw for Team {
    fn columns(&self) -> Columns {
        vec![
            ("id", Some(bytes(self.id.as_bytes()))),
            ("name", Some(bytes(self.name.as_str()))),
            ("created_at", Some(time(self.created_at))),
            ("deleted_at", self.deleted_at.map(time)),
            ("shredded_at", self.shredded_at.map(time)),
            ("fills_by_link_since", self.fills_by_link_since.map(time)),
        ]
    }
}

impl Raw for User {
    fn columns(&self) -> Columns {
        vec![
            ("id", Some(bytes(self.id.as_bytes()))),
            ("name", Some(bytes(self.name.as_str()))),
            ("email", self.email.as_ref().map(Email::as_str).map(bytes)),
            ("created_at", Some(time(self.created_at))),
            ("disabled_at", self.disabled_at.map(time)),
            ("service_of", self.service_of.as_ref().map(TeamId::as_bytes).map(bytes)),
        ]
    }
}

impl Raw for Membership {
    fn columns(&self) -> Columns {
        vec![
            ("team_id", Some(bytes(self.team_id.as_bytes()))),
            ("user_id", Some(bytes(self.user_id.as_bytes()))),
            ("role", Some(bytes(self.role.name()))),
            ("created_at", Some(time(self.created_at))),
            ("removed_at", self.removed_at.map(time)),
            ("sign_in", self.sign_in.map(|sign_in| bytes(sign_in.as_bytes()))),
        ]
    }
}

impl Raw for ApiKey {
    fn columns(&self) -> Columns {
        vec![
            ("id", Some(bytes(self.id.as_bytes()))),
            ("team_id", Some(bytes(self.team_id.as_bytes()))),
            ("user_id", Some(bytes(self.user_id.as_bytes()))),
            ("name", Some(bytes(self.name.as_str()))),
            ("role", Some(bytes(self.grant.role.name()))),
            ("scopes", Some(bytes(self.grant.scopes.to_string()))),
            ("token_hash", Some(bytes(self.token_hash.as_bytes()))),
            ("created_at", Some(time(self.created_at))),
            ("expires_at", self.grant.expires_at.map(time)),
            ("revoked_at", self.revoked_at.map(time)),
            ("agents", agents(&self.grant)),
            ("networks", networks(&self.grant)),
            ("created_by", self.created_by.as_ref().map(UserId::as_bytes).map(bytes)),
        ]
    }
}

impl Raw for SignIn {
    fn columns(&self) -> Columns {
        vec![
            ("user_id", Some(bytes(self.user_id.as_bytes()))),
            ("id", Some(bytes(self.id.as_bytes()))),
            ("sealed", Some(bytes(self.sealed.as_bytes()))),
            ("created_at", Some(time(self.created_at))),
            ("updated_at", Some(time(self.updated_at))),
        ]
    }
}

impl Raw for Session {
    fn columns(&self) -> Columns {
        vec![
            ("id", Some(bytes(self.id.as_bytes()))),
            ("team_id", Some(bytes(self.team_id.as_bytes()))),
            ("user_id", Some(bytes(self.user_id.as_bytes()))),
            ("sign_in", Some(bytes(self.sign_in.as_bytes()))),
            ("browser", self.browser.as_ref().map(|browser| bytes(browser.as_str()))),
            ("token_hash", Some(bytes(self.token_hash.as_bytes()))),
            ("created_at", Some(time(self.created_at))),
            ("expires_at", Some(time(self.expires_at))),
            ("ended_at", self.ended_at.map(time)),
        ]
    }
}

impl Raw for Invitation {
    fn columns(&self) -> Columns {
        vec![
            ("id", Some(bytes(self.id.as_bytes()))),
            ("team_id", Some(bytes(self.team_id.as_bytes()))),
            ("user_id", Some(bytes(self.user_id.as_bytes()))),
            ("token_hash", Some(bytes(self.token_hash.as_bytes()))),
            ("created_by", Some(bytes(self.created_by.as_bytes()))),
            ("created_at", Some(time(self.created_at))),
            ("expires_at", Some(time(self.expires_at))),
            ("closed_at", self.closed_at.map(time)),
        ]
    }
}

impl Raw for FillRequest {
    fn columns(&self) -> Columns {
        let run = self.run.as_ref();
        vec![
            ("id", Some(bytes(self.id.as_bytes()))),
            ("team_id", Some(bytes(self.team_id.as_bytes()))),
            ("user_id", Some(bytes(self.user_id.as_bytes()))),
            ("key_id", self.key_id.map(|key| bytes(key.as_bytes()))),
            ("run_id", run.map(|run| bytes(run.run_id.as_bytes()))),
            ("agent_id", run.map(|run| bytes(run.agent_id.as_bytes()))),
            ("revision_id", run.map(|run| bytes(run.revision_id.as_bytes()))),
            ("name", Some(bytes(self.name.as_str()))),
            ("service_slug", self.service_slug.as_ref().map(|slug| bytes(slug.as_str()))),
            ("env_keys", Some(bytes(self.env_key_lines()))),
            ("note", self.note.as_ref().map(|note| bytes(note.as_str()))),
            ("token_hash", Some(bytes(self.token_hash.as_bytes()))),
            ("created_at", Some(time(self.created_at))),
            ("expires_at", Some(time(self.expires_at))),
            ("closed_at", self.closed_at.map(time)),
            ("secret_id", self.secret_id.map(|secret| bytes(secret.as_bytes()))),
        ]
    }
}

impl Raw for KeyLink {
    fn columns(&self) -> Columns {
        vec![
            ("id", Some(bytes(self.id.as_bytes()))),
            ("team_id", Some(bytes(self.team_id.as_bytes()))),
            ("user_id", Some(bytes(self.user_id.as_bytes()))),
            ("name", Some(bytes(self.name.as_str()))),
            ("role", Some(bytes(self.grant.role.name()))),
            ("scopes", Some(bytes(self.grant.scopes.to_string()))),
            ("agents", agents(&self.grant)),
            ("networks", networks(&self.grant)),
            ("key_expires_at", self.grant.expires_at.map(time)),
            ("token_hash", Some(bytes(self.token_hash.as_bytes()))),
            ("created_by", Some(bytes(self.created_by.as_bytes()))),
            ("made_with", Some(bytes(self.made_with.as_bytes()))),
            ("created_at", Some(time(self.created_at))),
            ("expires_at", Some(time(self.expires_at))),
            ("closed_at", self.closed_at.map(time)),
        ]
    }
}

/// 16 bytes for each.
fn agents(grant: &Grant) -> Option<Vec<u8>> {
    grant.agents.as_ref().map(|agents| agents.iter().flat_map(|agent| *agent.as_bytes()).collect())
}

/// A space between them.
fn networks(grant: &Grant) -> Option<Vec<u8>> {
    let texts = |networks: &Networks| networks.iter().map(ToString::to_string).collect::<Vec<_>>();
    grant.networks.as_ref().map(|networks| bytes(texts(networks).join(" ")))
}

impl Raw for KeptAnswer {
    fn columns(&self) -> Columns {
        vec![
            ("id", Some(bytes(self.id.as_bytes()))),
            ("request", Some(bytes(self.request.as_bytes()))),
            ("answer", Some(self.answer.clone())),
            ("created_at", Some(time(self.created_at))),
        ]
    }
}

impl Raw for Secret {
    fn columns(&self) -> Columns {
        vec![
            ("team_id", Some(bytes(self.team_id.as_bytes()))),
            ("id", Some(bytes(self.id.as_bytes()))),
            ("owner", self.owner.as_ref().map(UserId::as_bytes).map(bytes)),
            ("name", Some(bytes(self.name.as_str()))),
            ("service_slug", self.service_slug.as_ref().map(ServiceSlug::as_str).map(bytes)),
            ("env_keys", Some(bytes(self.env_key_lines()))),
            ("version", Some(number(self.version))),
            ("created_by", Some(bytes(self.created_by.as_bytes()))),
            ("created_at", Some(time(self.created_at))),
            ("updated_at", Some(time(self.updated_at))),
            ("deleted_at", self.deleted_at.map(time)),
            ("policy", self.policy.as_ref().map(|policy| bytes(policy.to_stored()))),
        ]
    }
}

impl Raw for Agent {
    fn columns(&self) -> Columns {
        vec![
            ("team_id", Some(bytes(self.team_id.as_bytes()))),
            ("id", Some(bytes(self.id.as_bytes()))),
            ("name", Some(bytes(self.name.as_str()))),
            ("live", self.live.as_ref().map(RevisionId::as_bytes).map(bytes)),
            ("generation", Some(number(self.generation))),
            ("created_by", Some(bytes(self.created_by.as_bytes()))),
            ("created_at", Some(time(self.created_at))),
            ("updated_at", Some(time(self.updated_at))),
            ("deleted_at", self.deleted_at.map(time)),
        ]
    }
}

impl Raw for Revision {
    fn columns(&self) -> Columns {
        vec![
            ("team_id", Some(bytes(self.team_id.as_bytes()))),
            ("agent_id", Some(bytes(self.agent_id.as_bytes()))),
            ("id", Some(bytes(self.id.as_bytes()))),
            ("name", Some(bytes(self.name.as_str()))),
            ("created_by", Some(bytes(self.created_by.as_bytes()))),
            ("created_at", Some(time(self.created_at))),
        ]
    }
}

impl Raw for Attachment {
    fn columns(&self) -> Columns {
        vec![
            ("team_id", Some(bytes(self.team_id.as_bytes()))),
            ("revision_id", Some(bytes(self.revision_id.as_bytes()))),
            ("secret_id", Some(bytes(self.secret_id.as_bytes()))),
            ("id", Some(bytes(self.id.as_bytes()))),
            ("created_by", Some(bytes(self.created_by.as_bytes()))),
            ("created_at", Some(time(self.created_at))),
        ]
    }
}

impl Raw for Run {
    fn columns(&self) -> Columns {
        vec![
            ("id", Some(bytes(self.id.as_bytes()))),
            ("team_id", Some(bytes(self.team_id.as_bytes()))),
            ("agent_id", Some(bytes(self.agent_id.as_bytes()))),
            ("revision_id", Some(bytes(self.revision_id.as_bytes()))),
            ("user_id", Some(bytes(self.user_id.as_bytes()))),
            ("key_id", Some(bytes(self.key_id.as_bytes()))),
            ("generation", Some(number(self.generation))),
            ("strict", Some(number(self.strict))),
            ("note", self.note.as_ref().map(RunNote::as_str).map(bytes)),
            ("composition", Some(composition(self))),
            ("token_hash", Some(bytes(self.token_hash.as_bytes()))),
            ("lease", Some(number(self.lease))),
            ("created_at", Some(time(self.created_at))),
            ("updated_at", Some(time(self.updated_at))),
            ("expires_at", Some(time(self.expires_at))),
            ("stopped_at", self.stopped_at.map(time)),
            ("revoked_at", self.revoked_at.map(time)),
            ("mode", (self.mode == RunMode::Broker).then(|| bytes("broker"))),
            ("broker_hash", self.broker_hash.map(|hash| bytes(hash.as_bytes()))),
        ]
    }
}

/// A line for each secret: its id in hexadecimal with hyphens, and the names
/// that it won, a space before each.
fn composition(run: &Run) -> Vec<u8> {
    let line = |part: &strongroom_core::environment::Part| {
        let hex = independent::to_hex(part.secret_id.as_bytes());
        let id = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-");
        part.won.iter().fold(id, |line, key| line + " " + key.as_str())
    };
    let lines: Vec<_> = run.composition.parts().iter().map(line).collect();
    bytes(lines.join("\n"))
}
