//! What a key or link is good for: five columns of the table that it is in.

use super::rows::Columns;
use strongroom_core::Role;
use strongroom_core::grants::{Agents, Grant, Networks, Scopes};

/// Reads role, scopes, agents, networks and end.
pub(super) fn read(columns: &mut Columns<'_, '_>) -> rusqlite::Result<Grant> {
    Ok(Grant {
        role: columns.text(|name| Role::from_name(name).ok_or(()))?,
        scopes: columns.text(|names| Scopes::parse(names).ok_or(()))?,
        agents: columns.optional(|ids: Vec<u8>| Agents::from_slice(&ids))?,
        networks: columns.optional(|networks: String| Networks::from_stored(&networks))?,
        expires_at: columns.optional_time()?,
    })
}
