//! What members are in a team.

use std::fmt;

/// What a member is in a team, from low to high.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Has personal secrets, sees shared ones.
    Member,
    /// Builds agents and attaches secrets to them.
    Builder,
    /// Creates and changes shared secrets.
    Manager,
    /// Manages members and keys.
    Administrator,
    /// Everything, and can't be removed as the last of their kind.
    Owner,
}

impl Role {
    /// Every role, from low to high.
    pub const ALL: [Self; 5] = [Self::Member, Self::Builder, Self::Manager, Self::Administrator, Self::Owner];

    /// The name on the wire and in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Builder => "builder",
            Self::Manager => "manager",
            Self::Administrator => "administrator",
            Self::Owner => "owner",
        }
    }

    /// The role of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
