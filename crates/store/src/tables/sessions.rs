//! Sessions.

use super::{Cells, Columns, Malformed, Read, Record, Shape, Value, bytes, id, number, text};
use crate::query::{Query, Statement};
use std::sync::LazyLock;
use strongroom_core::clock::Timestamp;
use strongroom_core::rows::{Row, Stored};
use strongroom_core::sessions::Session;
use strongroom_core::text::BrowserName;
use strongroom_core::{SessionId, SignInId, TeamId, UserId};

impl Record for Session {
    fn shape() -> &'static Shape {
        static SHAPE: Shape = Shape::new(
            Session::TABLE,
            &[id("id")],
            &[
                id("team_id"),
                id("user_id"),
                id("sign_in"),
                text("browser"),
                bytes("token_hash"),
                number("created_at"),
                number("expires_at"),
                number("ended_at"),
            ],
        );
        &SHAPE
    }

    fn values(&self) -> Vec<Value<'_>> {
        vec![
            self.id.as_bytes().into(),
            self.team_id.as_bytes().into(),
            self.user_id.as_bytes().into(),
            self.sign_in.as_bytes().into(),
            self.browser.as_ref().map(BrowserName::as_str).into(),
            Value::bytes(self.token_hash.as_bytes().as_slice()),
            self.created_at.into(),
            self.expires_at.into(),
            self.ended_at.into(),
        ]
    }
}

impl Read for Session {
    fn read<'r>(columns: &mut Columns<'r, impl Cells<'r>>) -> Result<Self, Malformed> {
        Ok(Self {
            id: columns.id(SessionId::from_slice)?,
            team_id: columns.id(TeamId::from_slice)?,
            user_id: columns.id(UserId::from_slice)?,
            sign_in: columns.id(SignInId::from_slice)?,
            browser: columns.optional_text(BrowserName::parse)?,
            token_hash: columns.token_hash()?,
            created_at: columns.time()?,
            expires_at: columns.time()?,
            ended_at: columns.optional_time()?,
        })
    }
}

/// A user's sessions that last longer than this.
pub(crate) fn open(user: UserId, beyond: Timestamp, limit: u32) -> Query<'static, Stored<Session>> {
    static OPEN: LazyLock<String> = LazyLock::new(|| {
        Session::shape().select(
            "user_id = ?1 AND ended_at IS NULL AND expires_at > ?2 ORDER BY user_id DESC, id DESC LIMIT ?3",
        )
    });
    Query::new(Session::TABLE, OPEN.as_str(), [user.as_bytes().into(), beyond.into(), Value::number(limit)])
}

/// Forgets those whose time was over before this moment.
pub(crate) fn forget(before: Timestamp, limit: u32) -> Statement<'static> {
    let delete = "DELETE FROM sessions WHERE id IN \
                  (SELECT id FROM sessions WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)";
    Query::new(Session::TABLE, delete, [before.into(), Value::number(limit)])
}
