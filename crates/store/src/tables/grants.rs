//! What a key or link is good for: five columns of the table that it is in.

use super::{Cells, Columns, Malformed, Value};
use strongroom_core::Role;
use strongroom_core::grants::{Agents, Grant, Networks, Scopes};

/// Reads role, scopes, agents, networks and end.
pub(super) fn read<'r>(columns: &mut Columns<'r, impl Cells<'r>>) -> Result<Grant, Malformed> {
    Ok(Grant {
        role: columns.text(|name| Role::from_name(name).ok_or(Malformed))?,
        scopes: columns.text(|names| Scopes::parse(names).ok_or(Malformed))?,
        agents: columns.optional_bytes(Agents::from_slice)?,
        networks: columns.optional_text(Networks::from_stored)?,
        expires_at: columns.optional_time()?,
    })
}

/// Their values.
pub(super) fn values(grant: &Grant) -> [Value<'_>; 5] {
    [
        grant.role.name().into(),
        Value::text(grant.scopes.to_string()),
        grant.agents.as_ref().map_or(Value::Null, |agents| Value::bytes(agents.to_bytes())),
        grant.networks.as_ref().map_or(Value::Null, |networks| Value::text(networks.to_string())),
        grant.expires_at.into(),
    ]
}
