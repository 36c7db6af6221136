//! Requests that a person fill in a secret.

use super::secrets::env_keys;
use super::{Cells, Columns, Malformed, Read, Record, Shape, Value, bytes, id, number, text};
use crate::query::{Query, Statement};
use std::sync::LazyLock;
use strongroom_core::clock::Timestamp;
use strongroom_core::fill_requests::{AskingRun, FillRequest, MOST_OPEN};
use strongroom_core::rows::{Row, Stored};
use strongroom_core::text::{FillNote, SecretName, ServiceSlug};
use strongroom_core::{AgentId, ApiKeyId, FillRequestId, RevisionId, RunId, SecretId, TeamId, UserId};

impl Record for FillRequest {
    fn shape() -> &'static Shape {
        static SHAPE: Shape = Shape::new(
            FillRequest::TABLE,
            &[id("id")],
            &[
                id("team_id"),
                id("user_id"),
                id("key_id"),
                id("run_id"),
                id("agent_id"),
                id("revision_id"),
                text("name"),
                text("service_slug"),
                text("env_keys"),
                text("note"),
                bytes("token_hash"),
                number("created_at"),
                number("expires_at"),
                number("closed_at"),
                id("secret_id"),
            ],
        );
        &SHAPE
    }

    fn values(&self) -> Vec<Value<'_>> {
        let run = self.run.as_ref();
        vec![
            self.id.as_bytes().into(),
            self.team_id.as_bytes().into(),
            self.user_id.as_bytes().into(),
            self.key_id.as_ref().map(ApiKeyId::as_bytes).into(),
            run.map(|run| run.run_id.as_bytes()).into(),
            run.map(|run| run.agent_id.as_bytes()).into(),
            run.map(|run| run.revision_id.as_bytes()).into(),
            self.name.as_str().into(),
            self.service_slug.as_ref().map(ServiceSlug::as_str).into(),
            Value::text(self.env_key_lines()),
            self.note.as_ref().map(FillNote::as_str).into(),
            Value::bytes(self.token_hash.as_bytes().as_slice()),
            self.created_at.into(),
            self.expires_at.into(),
            self.closed_at.into(),
            self.secret_id.as_ref().map(SecretId::as_bytes).into(),
        ]
    }
}

impl Read for FillRequest {
    fn read<'r>(columns: &mut Columns<'r, impl Cells<'r>>) -> Result<Self, Malformed> {
        Ok(Self {
            id: columns.id(FillRequestId::from_slice)?,
            team_id: columns.id(TeamId::from_slice)?,
            user_id: columns.id(UserId::from_slice)?,
            key_id: columns.optional_id(ApiKeyId::from_slice)?,
            run: run(columns)?,
            name: columns.text(SecretName::parse)?,
            service_slug: columns.optional_text(ServiceSlug::parse)?,
            env_keys: columns.text(env_keys)?,
            note: columns.optional_text(FillNote::parse)?,
            token_hash: columns.token_hash()?,
            created_at: columns.time()?,
            expires_at: columns.time()?,
            closed_at: columns.optional_time()?,
            secret_id: columns.optional_id(SecretId::from_slice)?,
        })
    }
}

/// All of a run, or nothing of it.
fn run<'r>(columns: &mut Columns<'r, impl Cells<'r>>) -> Result<Option<AskingRun>, Malformed> {
    let run = columns.optional_id(RunId::from_slice)?;
    let agent = columns.optional_id(AgentId::from_slice)?;
    let revision = columns.optional_id(RevisionId::from_slice)?;
    match (run, agent, revision) {
        (Some(run_id), Some(agent_id), Some(revision_id)) => {
            Ok(Some(AskingRun { run_id, agent_id, revision_id }))
        }
        (None, None, None) => Ok(None),
        _ => Err(Malformed),
    }
}

/// Which of a team's can be filled in after a moment.
macro_rules! open {
    () => {
        "team_id = ?1 AND closed_at IS NULL AND expires_at > ?2"
    };
}

/// A team's requests that can be filled in after this moment, or one user's in it, the
/// last of them first.
pub(crate) fn open(
    (team, user): (TeamId, Option<UserId>),
    now: Timestamp,
    limit: u32,
) -> Query<'static, Stored<FillRequest>> {
    static OPEN: LazyLock<[String; 2]> = LazyLock::new(|| {
        let order = "ORDER BY team_id, expires_at DESC, id DESC LIMIT ?3";
        let select = |which| FillRequest::shape().select(&format!("{which} {order}"));
        [select(open!()), select(concat!(open!(), " AND user_id = ?4"))]
    });
    let [of_team, of_user] = &*OPEN;
    let values = [team.as_bytes().into(), now.into(), Value::number(limit)];
    match user {
        None => Query::new(FillRequest::TABLE, of_team.as_str(), values),
        Some(user) => {
            let values = values.into_iter().chain([user.as_bytes().into()]);
            Query::new(FillRequest::TABLE, of_user.as_str(), values)
        }
    }
}

/// How many of a user's can be.
pub(crate) fn how_many(team: TeamId, user: UserId, now: Timestamp) -> Query<'static, u64> {
    const COUNT: &str = concat!("SELECT count(*) FROM fill_requests WHERE ", open!(), " AND user_id = ?3");
    Query::new(FillRequest::TABLE, COUNT, [team.as_bytes().into(), now.into(), user.as_bytes().into()])
}

/// Whether one more may be asked for beside so many.
pub(crate) fn few(open: u64) -> bool {
    usize::try_from(open).is_ok_and(|open| open < MOST_OPEN)
}

/// Forgets those whose time was over before this moment.
pub(crate) fn forget(before: Timestamp, limit: u32) -> Statement<'static> {
    let delete = "DELETE FROM fill_requests WHERE id IN \
                  (SELECT id FROM fill_requests WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)";
    Query::new(FillRequest::TABLE, delete, [before.into(), Value::number(limit)])
}
