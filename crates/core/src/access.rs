//! Who may do what: the whole table is [`Action::rule`], and nothing outside
//! this file decides by it. A write of the store asks for the [`Permit`] that
//! only this file hands out.

mod table;

use std::sync::Arc;

use crate::grants::{Grant, Scope, Wider};
use crate::ids::{ApiKeyId, FillRequestId, InvitationId, KeyLinkId, RunId, SessionId, TeamId, UserId};
use crate::roles::Role;
use crate::rows::{Proven, RowMac};
use crate::runs::Run;

pub use table::{Action, Rule};

/// By what a caller proved themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Means {
    /// An API key.
    Key(ApiKeyId),
    /// A link by which a user makes a key of their own, once.
    Link(KeyLinkId),
    /// A run's token.
    Run(RunId),
    /// A browser's session.
    Session(SessionId),
    /// A password, given just now.
    SignIn,
    /// A link of the server's administrator by which the user sets up how they sign in.
    SetUp,
    /// The same of a team's administrator.
    Invitation(InvitationId),
    /// The link of a request to fill in a secret, and nothing else: nobody knows who has it.
    Fill(FillRequestId),
}

/// With what kind of [`Means`] an act is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum By {
    /// An API key; or a session, in which a person may do what a key can be for.
    Key,
    /// A link.
    Link,
    /// A run's token.
    Run,
    /// A session, which no key stands in for.
    Session,
    /// A password, given just now.
    SignIn,
    /// A link for setting up how its user signs in.
    SetUp,
    /// What [`By::Key`] is, or a run's token.
    Asker,
    /// A session, or the link of a request to fill in a secret.
    Filler,
}

impl Means {
    /// Whether it is of the kind by which an act is done.
    pub const fn is_for(self, by: By) -> bool {
        match by {
            By::Key => matches!(self, Self::Key(_) | Self::Session(_)),
            By::Link => matches!(self, Self::Link(_)),
            By::Run => matches!(self, Self::Run(_)),
            By::Session => matches!(self, Self::Session(_)),
            By::SignIn => matches!(self, Self::SignIn),
            By::SetUp => matches!(self, Self::SetUp | Self::Invitation(_)),
            By::Asker => matches!(self, Self::Key(_) | Self::Session(_) | Self::Run(_)),
            By::Filler => matches!(self, Self::Session(_) | Self::Fill(_)),
        }
    }
}

/// Who is asking, proven.
#[derive(Clone, Debug)]
pub struct Caller {
    /// In which team they act.
    pub team_id: TeamId,
    /// Who they are.
    pub user_id: UserId,
    /// By what they proved it.
    pub means: Means,
    /// What that is good for, its role no higher than the user's present one.
    pub grant: Arc<Grant>,
    pub(crate) team_deleted: bool,
    /// The run itself, when its token is what proved them.
    pub(crate) run: Option<Arc<Proven<Run>>>,
    pub(crate) proof: Proof,
}

/// The MACs of the rows by which a caller was proven. Any change to one of
/// those rows changes its MAC, so a store that compares them inside a write's
/// transaction knows that the proof still stands, without holding a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Of the row of what proved them: the API key's, the link's, the run's, the session's
    /// or the invitation's; of the sign-in's, with a password; of the user's, with the
    /// server's administrator's link.
    pub means: RowMac,
    /// Of the user's row.
    pub user: RowMac,
    /// Of the membership's row.
    pub membership: RowMac,
    /// Of the team's row.
    pub team: RowMac,
    /// Of the rows of a run's key and agent, when a run is what proved the caller.
    pub start: Option<(RowMac, RowMac)>,
}

/// Whose the object of an act is, seen from the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ownership {
    /// The caller's own: their secret, their key, their membership.
    Own,
    /// The team's: a shared secret, another member or their key, the team itself.
    Shared,
    /// Somebody else's, or another team's.
    Foreign,
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
    /// The caller's team was deleted.
    #[error("this team was deleted; an owner can still bring it back")]
    TeamDeleted,
    /// The key isn't for this agent.
    #[error("this API key may not start runs of this agent; ask an administrator for one that may")]
    Agent,
    /// The key's allow-list doesn't have the caller's address.
    #[error("this API key may not be used from your address; ask an administrator for one that may")]
    Address,
    /// Somebody above the caller is concerned, or would be made.
    #[error("this would reach above you: {0}")]
    Above(&'static str),
}

impl Denied {
    /// What it is called in the record.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Invisible => "invisible",
            Self::Scope(_) => "scope",
            Self::Role(_) => "role",
            Self::OtherTeam => "other_team",
            Self::TeamDeleted => "team_deleted",
            Self::Agent => "agent",
            Self::Address => "address",
            Self::Above(_) => "above",
        }
    }
}

impl From<Wider> for Denied {
    fn from(wider: Wider) -> Self {
        Self::Above(wider.0)
    }
}

/// Proof that the table allows one act of one caller. Only [`Caller::permit`]
/// makes one; a store proves [`Permit::proof`] again inside its transaction.
#[derive(Clone, Debug)]
pub struct Permit {
    action: Action,
    team_id: TeamId,
    user_id: UserId,
    means: Means,
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

    /// By what they proved themselves.
    pub fn means(&self) -> Means {
        self.means
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
        self.eligible(action)?;
        if self.grant.role < least {
            return Err(Denied::Role(least));
        }
        let Self { team_id, user_id, means, proof, .. } = *self;
        Ok(Permit { action, team_id, user_id, means, proof })
    }

    /// Whether the table allows this act on anything at all: asked before a
    /// body is read and anything is looked up, so that who may not act learns
    /// nothing, and makes nobody hold what they send.
    ///
    /// # Errors
    /// When it doesn't.
    pub fn screen(&self, action: Action) -> Result<(), Denied> {
        self.eligible(action)?;
        let rule = action.rule();
        let least = rule.own.min(rule.shared);
        if self.grant.role < least { Err(Denied::Role(least)) } else { Ok(()) }
    }

    /// What is asked whatever the act is done to.
    fn eligible(&self, action: Action) -> Result<(), Denied> {
        if !self.means.is_for(action.by()) {
            return Err(Denied::Invisible);
        }
        if self.team_deleted && action != Action::UndeleteTeam {
            return Err(Denied::TeamDeleted);
        }
        // Runs have no scopes: what they may do is told by their kind of token.
        let scope = action.rule().scope.filter(|_| !matches!(self.means, Means::Run(_)));
        match scope {
            Some(scope) if !self.grant.scopes.allow(scope) => Err(Denied::Scope(scope)),
            _ => Ok(()),
        }
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

    /// Whose a member's concern is, seen from here: the caller's own, or the team's.
    pub fn concern(&self, user: UserId) -> Ownership {
        if user == self.user_id { Ownership::Own } else { Ownership::Shared }
    }

    /// Refuses to reach above oneself: nobody changes who has more than they,
    /// or gives more than they have.
    ///
    /// # Errors
    /// When the role is higher than the caller's.
    pub fn reaches(&self, role: Role) -> Result<(), Denied> {
        if role > self.grant.role { Err(Denied::Above("the role is higher than yours")) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grants::Scopes;
    use uuid::Uuid;

    /// Whose the object is → who may: `+` or `-` for member, builder, manager, administrator and owner.
    type Column = &'static str;

    /// What the table must say of one action.
    #[derive(Clone, Copy)]
    struct Row {
        action: Action,
        scope: &'static str,
        own: Column,
        shared: Column,
    }

    macro_rules! expected {
        ($($action:ident $scope:literal $own:literal $shared:literal;)*) => {
            const EXPECTED: &[Row] =
                &[$(Row { action: Action::$action, scope: $scope, own: $own, shared: $shared }),*];

            /// Doesn't compile while an action has no row here.
            const fn has_a_row(action: Action) -> bool {
                match action { $(Action::$action => true),* }
            }
        };
    }

    expected! {
        CreateSecret   "secrets:write" "+++++" "--+++";
        ListSecrets    "secrets:read"  "+++++" "+++++";
        ReadSecret     "secrets:read"  "+++++" "+++++";
        UpdateSecret   "secrets:write" "+++++" "--+++";
        ShareSecret    "secrets:write" "--+++" "--+++";
        DeleteSecret   "secrets:write" "+++++" "--+++";
        ListVersions   "secrets:read"  "+++++" "+++++";
        RollbackSecret "secrets:write" "+++++" "--+++";
        UndeleteSecret "secrets:write" "+++++" "--+++";
        CopySecret     "secrets:write" "+++++" "--+++";
        CompareSecrets "secrets:write" "+++++" "--+++";
        ReadPolicy     "secrets:read"  "+++++" "+++++";
        SetPolicy      "secrets:write" "+++++" "--+++";
        ReadProfile    ""              "+++++" "+++++";
        ListTeams      "team:read"     "+++++" "+++++";
        ReadTeam       "team:read"     "+++++" "+++++";
        CreateTeam     "admin"         "----+" "----+";
        UpdateTeam     "admin"         "---++" "---++";
        DeleteTeam     "admin"         "----+" "----+";
        UndeleteTeam   "admin"         "----+" "----+";
        ListMembers    "team:read"     "+++++" "+++++";
        AddMember      "admin"         "---++" "---++";
        UpdateMember   "admin"         "+++++" "---++";
        RemoveMember   "admin"         "+++++" "---++";
        ListApiKeys    "admin"         "+++++" "---++";
        CreateApiKey   "admin"         "---++" "---++";
        RevokeApiKey   "admin"         "+++++" "---++";
        ListKeyLinks   "admin"         "---++" "---++";
        CreateKeyLink  "admin"         "---++" "---++";
        CancelKeyLink  "admin"         "---++" "---++";
        ClaimKeyLink   ""              "+++++" "+++++";
        CreateAgent        "secrets:write" "-++++" "-++++";
        ListAgents         "secrets:read"  "+++++" "+++++";
        ReadAgent          "secrets:read"  "+++++" "+++++";
        UpdateAgent        "secrets:write" "-++++" "-++++";
        DeleteAgent        "secrets:write" "--+++" "--+++";
        CreateRevision     "secrets:write" "-++++" "-++++";
        ListRevisions      "secrets:read"  "+++++" "+++++";
        ReadRevision       "secrets:read"  "+++++" "+++++";
        PromoteRevision    "secrets:write" "-++++" "-++++";
        ListAttachments    "secrets:read"  "+++++" "+++++";
        AttachSecret       "secrets:write" "+++++" "-++++";
        DetachSecret       "secrets:write" "+++++" "-++++";
        PreviewEnvironment "secrets:read"  "-++++" "-++++";
        StartRun           "runs:start"    "-++++" "-++++";
        ListRuns           "secrets:read"  "+++++" "+++++";
        ReadRun            "secrets:read"  "+++++" "+++++";
        StopRun            "secrets:write" "+++++" "--+++";
        ListDeliveries     "secrets:read"  "+++++" "--+++";
        ListRunRequests    "secrets:read"  "+++++" "--+++";
        ListSecretRuns     "secrets:read"  "+++++" "+++++";
        Panic              "admin"         "+++++" "---++";
        ReceiveEnvironment ""              "+++++" "+++++";
        ExtendRun          ""              "+++++" "+++++";
        EndRun             ""              "+++++" "+++++";
        SignIn             ""              "+++++" "+++++";
        SetUp              ""              "+++++" "+++++";
        ChangeSignIn       ""              "+++++" "+++++";
        ListSessions       ""              "+++++" "+++++";
        EndSession         ""              "+++++" "+++++";
        MoveSession        ""              "+++++" "+++++";
        ListInvitations    "admin"         "---++" "---++";
        CreateInvitation   "admin"         "---++" "---++";
        CancelInvitation   "admin"         "---++" "---++";
        RequestFill        "secrets:write" "+++++" "+++++";
        ReadFillRequest    "secrets:read"  "+++++" "--+++";
        ListFillRequests   "secrets:read"  "+++++" "--+++";
        CancelFillRequest  "secrets:write" "+++++" "--+++";
        Fill               ""              "+++++" "--+++";
        ListEvents         "team:read"     "+++++" "---++";
        ExportEvents       "team:read"     "+++++" "---++";
        ProveEvent         "team:read"     "+++++" "---++";
        ReadCheckpoint     "team:read"     "+++++" "+++++";
        ProveConsistency   "team:read"     "+++++" "+++++";
        ReadTeamKeys       "team:read"     "---++" "---++";
        RotateTeamKey      "admin"         "----+" "----+";
    }

    /// Somebody who came with what this action asks for.
    fn caller(action: Action, role: Role, scopes: Scopes) -> Caller {
        let nil = Uuid::nil();
        let mac = RowMac::from_slice(&[0; RowMac::LENGTH]).unwrap();
        Caller {
            team_id: TeamId::from_uuid(nil),
            user_id: UserId::from_uuid(nil),
            means: match action.by() {
                By::Key | By::Asker => Means::Key(ApiKeyId::from_uuid(nil)),
                By::Link => Means::Link(KeyLinkId::from_uuid(nil)),
                By::Run => Means::Run(RunId::from_uuid(nil)),
                By::Session => Means::Session(SessionId::from_uuid(nil)),
                By::SignIn => Means::SignIn,
                By::SetUp => Means::SetUp,
                By::Filler => Means::Fill(FillRequestId::from_uuid(nil)),
            },
            grant: Arc::new(Grant { role, scopes, agents: None, networks: None, expires_at: None }),
            team_deleted: false,
            run: None,
            proof: Proof { means: mac, user: mac, membership: mac, team: mac, start: None },
        }
    }

    /// The cells of a column, each with whether its role is let through.
    fn column(column: Column) -> Vec<(Role, bool)> {
        assert_eq!(column.len(), Role::ALL.len());
        Role::ALL.into_iter().zip(column.bytes().map(|cell| cell == b'+')).collect()
    }

    type Cell = (Action, Ownership, Role);

    /// The whole of what is expected, a cell each.
    fn cells() -> Vec<(Cell, bool)> {
        let mut cells = Vec::new();
        for &Row { action, own, shared, .. } in EXPECTED {
            for (ownership, cells_of) in [(Ownership::Own, own), (Ownership::Shared, shared)] {
                cells.extend(
                    column(cells_of).into_iter().map(|(role, allowed)| ((action, ownership, role), allowed)),
                );
            }
        }
        cells
    }

    fn granted(action: Action, ownership: Ownership, role: Role) -> Result<(), Denied> {
        caller(action, role, Scopes::all()).permit(action, ownership).map(|_| ())
    }

    /// The cells of which the table says something else.
    fn differing(expected: &[(Cell, bool)]) -> Vec<Cell> {
        let differs = |((action, ownership, role), allowed): &(Cell, bool)| {
            granted(*action, *ownership, *role).is_ok() != *allowed
        };
        expected.iter().filter(|cell| differs(cell)).map(|(cell, _)| *cell).collect()
    }

    #[test]
    fn the_table_cell_by_cell() {
        assert_eq!(differing(&cells()), []);
    }

    #[test]
    fn each_flipped_cell_is_found() {
        let mut flipped = cells();
        for place in 0..flipped.len() {
            flipped[place].1 ^= true;
            assert_eq!(differing(&flipped), [flipped[place].0]);
            flipped[place].1 ^= true;
        }
    }

    #[test]
    fn who_is_refused_hears_which_role_it_takes() {
        for &Row { action, own, shared, .. } in EXPECTED {
            for (ownership, cells) in [(Ownership::Own, column(own)), (Ownership::Shared, column(shared))] {
                let least = cells.iter().find(|(_, allowed)| *allowed).unwrap().0;
                for (role, _) in cells.into_iter().filter(|(_, allowed)| !allowed) {
                    assert_eq!(
                        granted(action, ownership, role),
                        Err(Denied::Role(least)),
                        "{action:?} {role}"
                    );
                }
            }
        }
    }

    #[test]
    fn every_action_is_in_the_list_once() {
        assert!(Action::ALL.into_iter().all(has_a_row));
        assert_eq!(Action::ALL.len(), EXPECTED.len());
        for (place, Row { action, .. }) in EXPECTED.iter().enumerate() {
            assert_eq!(Action::ALL.iter().position(|listed| listed == action), Some(place), "{action:?}");
        }
    }

    #[test]
    fn what_is_foreign_is_invisible_to_everybody() {
        for action in Action::ALL {
            for role in Role::ALL {
                assert_eq!(
                    granted(action, Ownership::Foreign, role),
                    Err(Denied::Invisible),
                    "{action:?} {role}"
                );
            }
        }
    }

    /// Whether a key for these scopes, by their names, is for what asks for this one.
    fn is_for(given: &[&str], asked: &str) -> bool {
        asked.is_empty() || given.contains(&asked) || asked == "team:read" && given.contains(&"admin")
    }

    #[test]
    fn a_key_does_what_its_scopes_say_and_nothing_else() {
        for &Row { action, scope: asked, .. } in EXPECTED {
            for bits in 0..1_u8 << Scope::ALL.len() {
                let given = Scope::ALL.into_iter().enumerate().filter(|(place, _)| bits >> place & 1 == 1);
                let given: Vec<_> = given.map(|(_, scope)| scope).collect();
                let names: Vec<_> = given.iter().map(|scope| scope.name()).collect();
                let caller = caller(action, Role::Owner, given.into_iter().collect());
                let verdict = match Scope::from_name(asked) {
                    Some(scope) if !is_for(&names, asked) => Err(Denied::Scope(scope)),
                    _ => Ok(()),
                };
                assert_eq!(
                    caller.permit(action, Ownership::Own).map(|_| ()),
                    verdict,
                    "{action:?} {names:?}"
                );
                assert_eq!(caller.screen(action), verdict, "{action:?} {names:?}");
            }
        }
    }

    #[test]
    fn the_screen_lets_through_whoever_may_do_it_to_anything() {
        for &Row { action, own, shared, .. } in EXPECTED {
            for ((role, own), (_, shared)) in column(own).into_iter().zip(column(shared)) {
                let screened = caller(action, role, Scopes::all()).screen(action);
                assert_eq!(screened.is_ok(), own || shared, "{action:?} {role}: {screened:?}");
            }
        }
    }

    #[test]
    fn what_is_for_little_does_that_alone_and_no_key_does_it() {
        let by_run = [Action::ReceiveEnvironment, Action::ExtendRun, Action::EndRun];
        let by_session =
            [Action::ChangeSignIn, Action::ListSessions, Action::EndSession, Action::MoveSession];
        for action in Action::ALL {
            let by = match action {
                Action::ClaimKeyLink => By::Link,
                Action::SignIn => By::SignIn,
                Action::SetUp => By::SetUp,
                _ if by_run.contains(&action) => By::Run,
                Action::RequestFill | Action::ReadFillRequest => By::Asker,
                Action::Fill => By::Filler,
                _ if by_session.contains(&action) => By::Session,
                _ => By::Key,
            };
            assert_eq!(action.by(), by, "{action:?}");
        }
        for means in every_means() {
            for action in Action::ALL {
                let caller = Caller { means, ..caller(action, Role::Owner, Scopes::all()) };
                let expected = if does(means, action.by()) { Ok(()) } else { Err(Denied::Invisible) };
                assert_eq!(caller.screen(action), expected, "{means:?} {action:?}");
                let permit = caller.permit(action, Ownership::Own).map(|_| ());
                assert_eq!(permit, expected, "{means:?} {action:?}");
            }
        }
    }

    fn every_means() -> [Means; 8] {
        let nil = Uuid::nil();
        [
            Means::Key(ApiKeyId::from_uuid(nil)),
            Means::Session(SessionId::from_uuid(nil)),
            Means::Run(RunId::from_uuid(nil)),
            Means::Link(KeyLinkId::from_uuid(nil)),
            Means::SignIn,
            Means::SetUp,
            Means::Invitation(InvitationId::from_uuid(nil)),
            Means::Fill(FillRequestId::from_uuid(nil)),
        ]
    }

    /// Said again, by what somebody has: a person is in no session for less than what
    /// a key is for, and whoever has a link does one thing by it.
    fn does(means: Means, by: By) -> bool {
        match means {
            Means::Key(_) => [By::Key, By::Asker].contains(&by),
            Means::Session(_) => [By::Key, By::Session, By::Asker, By::Filler].contains(&by),
            Means::Run(_) => [By::Run, By::Asker].contains(&by),
            Means::Link(_) => by == By::Link,
            Means::SignIn => by == By::SignIn,
            Means::SetUp | Means::Invitation(_) => by == By::SetUp,
            Means::Fill(_) => by == By::Filler,
        }
    }

    #[test]
    fn a_run_asks_without_scopes_and_a_key_does_not() {
        let run = Means::Run(RunId::from_uuid(Uuid::nil()));
        let with_none =
            |means| Caller { means, ..caller(Action::RequestFill, Role::Member, Scopes::default()) };
        let key = Means::Key(ApiKeyId::from_uuid(Uuid::nil()));
        assert_eq!(with_none(run).screen(Action::RequestFill), Ok(()));
        assert_eq!(with_none(key).screen(Action::RequestFill), Err(Denied::Scope(Scope::SecretsWrite)));
    }

    #[test]
    fn a_deleted_team_can_be_brought_back_and_nothing_else() {
        for action in Action::ALL {
            let caller = Caller { team_deleted: true, ..caller(action, Role::Owner, Scopes::all()) };
            let expected = if action == Action::UndeleteTeam { Ok(()) } else { Err(Denied::TeamDeleted) };
            assert_eq!(caller.permit(action, Ownership::Shared).map(|_| ()), expected, "{action:?}");
            assert_eq!(caller.screen(action), expected, "{action:?}");
        }
    }

    #[test]
    fn a_permit_says_what_was_asked() {
        let caller = caller(Action::DeleteSecret, Role::Manager, Scopes::all());
        let permit = caller.permit(Action::DeleteSecret, Ownership::Shared).unwrap();
        assert_eq!((permit.action(), permit.team_id()), (Action::DeleteSecret, caller.team_id));
        assert_eq!((permit.user_id(), permit.means()), (caller.user_id, caller.means));
        assert_eq!(permit.proof(), caller.proof);
    }

    #[test]
    fn ownership_is_seen_from_the_caller() {
        let caller = caller(Action::ReadSecret, Role::Owner, Scopes::all());
        let (me, ours) = (caller.user_id, caller.team_id);
        let (somebody, theirs) = (UserId::from_uuid(Uuid::max()), TeamId::from_uuid(Uuid::max()));
        assert_eq!(caller.ownership(ours, Some(me)), Ownership::Own);
        assert_eq!(caller.ownership(ours, None), Ownership::Shared);
        assert_eq!(caller.ownership(ours, Some(somebody)), Ownership::Foreign);
        for owner in [None, Some(me), Some(somebody)] {
            assert_eq!(caller.ownership(theirs, owner), Ownership::Foreign);
        }
        assert_eq!((caller.concern(me), caller.concern(somebody)), (Ownership::Own, Ownership::Shared));
        assert_eq!((caller.in_team(ours), caller.in_team(theirs)), (Ok(()), Err(Denied::OtherTeam)));
    }

    #[test]
    fn nobody_reaches_above_themselves() {
        for (mine, own) in Role::ALL.into_iter().enumerate() {
            for (theirs, role) in Role::ALL.into_iter().enumerate() {
                let reaches = caller(Action::UpdateMember, own, Scopes::all()).reaches(role);
                assert_eq!(reaches.is_ok(), theirs <= mine, "{own} {role}");
            }
        }
    }

    #[test]
    fn roles_are_named_and_ordered() {
        let names = ["member", "builder", "manager", "administrator", "owner"];
        assert_eq!(Role::ALL.map(Role::name), names);
        assert_eq!(Role::ALL.map(|role| Role::from_name(role.name())), Role::ALL.map(Some));
        assert!(Role::ALL.is_sorted());
        assert_eq!(Role::from_name("Owner"), None);
    }

    #[test]
    fn an_operations_first_action_is_the_one_of_its_name() {
        assert_eq!(Action::of_operation("updateSecret"), Some(Action::UpdateSecret));
        assert_eq!(Action::of_operation("updateSecretV1"), None);
        for action in Action::ALL.into_iter().filter(|action| *action != Action::ShareSecret) {
            assert_eq!(Action::of_operation(action.rule().operation), Some(action));
        }
    }
}
