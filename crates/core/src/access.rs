//! Who may do what: the whole table is [`Action::rule`], and nothing outside
//! this file decides. An [`Action`] without a row doesn't compile; a write of
//! the store asks for the [`Permit`] that only this file hands out.

use std::fmt;

use crate::ids::{ApiKeyId, TeamId, UserId};
use crate::rows::RowMac;

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

/// A kind of act that a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// List and look at secrets; never their values.
    SecretsRead,
    /// Create, change and delete secrets.
    SecretsWrite,
    /// Start runs, which is to read the values of what is attached.
    RunsStart,
    /// Members, keys, settings.
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 4] = [Self::SecretsRead, Self::SecretsWrite, Self::RunsStart, Self::Admin];

    /// The name on the wire and in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SecretsRead => "secrets:read",
            Self::SecretsWrite => "secrets:write",
            Self::RunsStart => "runs:start",
            Self::Admin => "admin",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of [`Scope`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// All of them.
    pub fn all() -> Self {
        Scope::ALL.into_iter().collect()
    }

    /// Whether this one is among them.
    pub const fn contains(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// From names with one space between them; `None` when one is unknown.
    pub fn parse(names: &str) -> Option<Self> {
        let find = |name| Scope::ALL.into_iter().find(|scope| scope.name() == name);
        names.split(' ').filter(|name| !name.is_empty()).map(find).collect()
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | scope.bit()))
    }
}

/// The names in the order of [`Scope::ALL`], one space between them.
impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named: Vec<_> =
            Scope::ALL.into_iter().filter(|scope| self.contains(*scope)).map(Scope::name).collect();
        f.write_str(&named.join(" "))
    }
}

/// Who is asking, proven.
#[derive(Clone, Debug)]
pub struct Caller {
    /// In which team they act.
    pub team_id: TeamId,
    /// Who they are.
    pub user_id: UserId,
    /// By which key they proved it.
    pub key_id: ApiKeyId,
    /// The lower of the key's role and the user's present one.
    pub role: Role,
    /// What the key is for.
    pub scopes: Scopes,
    pub(crate) proof: Proof,
}

/// The MACs of the rows by which a caller was proven. Any change to one of
/// those rows changes its MAC, so a store that compares them inside a write's
/// transaction knows that the proof still stands, without holding a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Of the API key's row.
    pub key: RowMac,
    /// Of the user's row.
    pub user: RowMac,
    /// Of the membership's row.
    pub membership: RowMac,
}

/// Everything that can be done, one for each kind of act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Create a secret.
    CreateSecret,
    /// Look at one secret.
    ReadSecret,
    /// List the secrets that one sees.
    ListSecrets,
}

/// Whose the object of an act is, seen from the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ownership {
    /// The caller's own.
    Own,
    /// The team's.
    Shared,
    /// Somebody else's, or another team's.
    Foreign,
}

/// One row of the table: what an act asks of its caller.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// The key must be for this.
    pub scope: Scope,
    /// The least role on what is the caller's own.
    pub own: Role,
    /// The least role on what is the team's.
    pub shared: Role,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 3] = [Self::CreateSecret, Self::ReadSecret, Self::ListSecrets];

    /// The operation of the API that does it.
    pub const fn operation(self) -> &'static str {
        match self {
            Self::CreateSecret => "createSecret",
            Self::ReadSecret => "getSecret",
            Self::ListSecrets => "listSecrets",
        }
    }

    /// The table. What is [`Ownership::Foreign`] has no column: nobody's role
    /// reaches it, and it looks as if it weren't there.
    pub const fn rule(self) -> Rule {
        let (scope, own, shared) = match self {
            Self::CreateSecret => (Scope::SecretsWrite, Role::Member, Role::Manager),
            Self::ReadSecret | Self::ListSecrets => (Scope::SecretsRead, Role::Member, Role::Member),
        };
        Rule { scope, own, shared }
    }
}

/// Why an act is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The object isn't the caller's to see; it must look absent.
    #[error("there is no such object, or it is not yours to see")]
    Invisible,
    /// The key isn't for this.
    #[error("this API key lacks the scope {}; use a key that has it", .0.name())]
    Scope(Scope),
    /// The role doesn't reach.
    #[error("this needs the role {0} or higher; ask an administrator of the team")]
    Role(Role),
    /// The path names a team that isn't the caller's.
    #[error("this API key belongs to another team; use a key of the team in the path")]
    OtherTeam,
}

/// Proof that the table allows one act of one caller. Only [`Caller::permit`]
/// makes one; a store proves [`Permit::proof`] again inside its transaction.
#[derive(Clone, Debug)]
pub struct Permit {
    action: Action,
    team_id: TeamId,
    user_id: UserId,
    key_id: ApiKeyId,
    proof: Proof,
}

impl Permit {
    /// What is allowed.
    pub fn action(&self) -> Action {
        self.action
    }

    /// In which team.
    pub fn team_id(&self) -> TeamId {
        self.team_id
    }

    /// To whom.
    pub fn user_id(&self) -> UserId {
        self.user_id
    }

    /// By which key.
    pub fn key_id(&self) -> ApiKeyId {
        self.key_id
    }

    /// On the strength of which rows.
    pub fn proof(&self) -> Proof {
        self.proof
    }
}

impl Caller {
    /// Asks the table.
    ///
    /// # Errors
    /// When it says no.
    pub fn permit(&self, action: Action, ownership: Ownership) -> Result<Permit, Denied> {
        let rule = action.rule();
        let least = match ownership {
            Ownership::Own => rule.own,
            Ownership::Shared => rule.shared,
            Ownership::Foreign => return Err(Denied::Invisible),
        };
        if !self.scopes.contains(rule.scope) {
            return Err(Denied::Scope(rule.scope));
        }
        if self.role < least {
            return Err(Denied::Role(least));
        }
        let Self { team_id, user_id, key_id, proof, .. } = *self;
        Ok(Permit { action, team_id, user_id, key_id, proof })
    }

    /// Refuses a path that names another team.
    ///
    /// # Errors
    /// When it isn't the caller's.
    pub fn in_team(&self, team: TeamId) -> Result<(), Denied> {
        if team == self.team_id { Ok(()) } else { Err(Denied::OtherTeam) }
    }

    /// Whose an object is, seen from here: nobody's (`None`) is the team's.
    pub fn ownership(&self, team: TeamId, owner: Option<UserId>) -> Ownership {
        match owner {
            _ if team != self.team_id => Ownership::Foreign,
            None => Ownership::Shared,
            Some(owner) if owner == self.user_id => Ownership::Own,
            Some(_) => Ownership::Foreign,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expectation beside the table, written out: (action, role, ownership) → allowed.
    #[test]
    fn the_table_cell_by_cell() {
        let allowed = |action, role, ownership| {
            let mac = RowMac::from_slice(&[0; RowMac::LENGTH]).unwrap();
            let caller = Caller {
                team_id: TeamId::from_uuid(uuid::Uuid::nil()),
                user_id: UserId::from_uuid(uuid::Uuid::nil()),
                key_id: ApiKeyId::from_uuid(uuid::Uuid::nil()),
                role,
                scopes: Scopes::all(),
                proof: Proof { key: mac, user: mac, membership: mac },
            };
            caller.permit(action, ownership).map(|_| ())
        };
        for role in Role::ALL {
            let manager = role >= Role::Manager;
            let expected = [
                (Action::CreateSecret, Ownership::Own, Ok(())),
                (
                    Action::CreateSecret,
                    Ownership::Shared,
                    if manager { Ok(()) } else { Err(Denied::Role(Role::Manager)) },
                ),
                (Action::ReadSecret, Ownership::Own, Ok(())),
                (Action::ReadSecret, Ownership::Shared, Ok(())),
                (Action::ListSecrets, Ownership::Own, Ok(())),
                (Action::ListSecrets, Ownership::Shared, Ok(())),
            ];
            for (action, ownership, answer) in expected {
                assert_eq!(allowed(action, role, ownership), answer, "{action:?} {role} {ownership:?}");
            }
            for action in Action::ALL {
                assert_eq!(allowed(action, role, Ownership::Foreign), Err(Denied::Invisible));
            }
        }
    }

    #[test]
    fn scopes_round_trip_as_text() {
        for bits in 0..16 {
            let scopes = Scopes(bits);
            assert_eq!(Scopes::parse(&scopes.to_string()), Some(scopes));
        }
        assert_eq!(Scopes::parse("secrets:read everything"), None);
    }
}
