//! A team: the owner of secrets, and the border that none of them crosses.

use crate::clock::Timestamp;
use crate::ids::TeamId;
use crate::rows::{Fields, Row};
use crate::text::TeamName;

/// A group of users who share secrets. Has a sealing key of its own.
#[derive(Clone, Debug)]
pub struct Team {
    /// Names it.
    pub id: TeamId,
    /// What people call it.
    pub name: TeamName,
    /// When it was created.
    pub created_at: Timestamp,
    /// Since when nothing can be done with it but bring it back.
    pub deleted_at: Option<Timestamp>,
    /// Since when its keys are destroyed, and with them its values.
    pub shredded_at: Option<Timestamp>,
    /// Since when whoever has the link of a request to fill in a secret may do so
    /// without signing in; `None`: they may not.
    pub fills_by_link_since: Option<Timestamp>,
}

impl Row for Team {
    const TABLE: &'static str = "teams";

    fn fields(&self, fields: &mut Fields) {
        fields.bytes("id", self.id.as_bytes());
        fields.bytes("name", self.name.as_str());
        fields.number("created_at", self.created_at.as_millis());
        fields.optional_number("deleted_at", self.deleted_at.map(Timestamp::as_millis));
        fields.optional_number("shredded_at", self.shredded_at.map(Timestamp::as_millis));
        fields.optional_number("fills_by_link_since", self.fills_by_link_since.map(Timestamp::as_millis));
    }
}
