//! The access table: every act, and what it asks of its caller. An [`Action`] without a row
//! doesn't compile.

use super::By;
use crate::grants::Scope;
use crate::roles::Role;

/// Everything that can be done, one for each kind of act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Create a secret.
    CreateSecret,
    /// List the secrets that one sees.
    ListSecrets,
    /// Look at one secret.
    ReadSecret,
    /// Change a secret's name, service or values.
    UpdateSecret,
    /// Share a secret with the team, or take it back.
    ShareSecret,
    /// Delete a secret.
    DeleteSecret,
    /// See a secret's history: names, never values.
    ListVersions,
    /// Make an earlier version current again.
    RollbackSecret,
    /// Bring a deleted secret back.
    UndeleteSecret,
    /// Copy a secret, values and all.
    CopySecret,
    /// Learn which values of two secrets are the same.
    CompareSecrets,
    /// See where a secret may be used.
    ReadPolicy,
    /// Set where a secret may be used.
    SetPolicy,
    /// See who one is.
    ReadProfile,
    /// See one's team in a list.
    ListTeams,
    /// See one's team.
    ReadTeam,
    /// Create a team.
    CreateTeam,
    /// Rename the team.
    UpdateTeam,
    /// Delete the team.
    DeleteTeam,
    /// Bring the deleted team back.
    UndeleteTeam,
    /// See the members.
    ListMembers,
    /// Add a member.
    AddMember,
    /// Change a member's role.
    UpdateMember,
    /// Remove a member; oneself is leaving.
    RemoveMember,
    /// See API keys: one's own, or the team's.
    ListApiKeys,
    /// Make an API key, for oneself or a service user.
    CreateApiKey,
    /// Revoke an API key.
    RevokeApiKey,
    /// See the links that are still open.
    ListKeyLinks,
    /// Make a link by which a member makes a key of their own.
    CreateKeyLink,
    /// Withdraw such a link.
    CancelKeyLink,
    /// Make the key that a link is for.
    ClaimKeyLink,
    /// Create an agent.
    CreateAgent,
    /// List the agents.
    ListAgents,
    /// Look at an agent.
    ReadAgent,
    /// Rename an agent.
    UpdateAgent,
    /// Delete an agent; its runs end.
    DeleteAgent,
    /// Create a revision.
    CreateRevision,
    /// List an agent's revisions.
    ListRevisions,
    /// Look at a revision.
    ReadRevision,
    /// Make a revision the live one.
    PromoteRevision,
    /// See which secrets are attached to a revision.
    ListAttachments,
    /// Attach a secret to a revision.
    AttachSecret,
    /// Detach a secret from a revision.
    DetachSecret,
    /// See what the environment of a run of one's own would be, without a value.
    PreviewEnvironment,
    /// Start a run, which is to read its values.
    StartRun,
    /// List runs.
    ListRuns,
    /// Look at a run.
    ReadRun,
    /// Stop a run.
    StopRun,
    /// See what a run received: versions and names, never values.
    ListDeliveries,
    /// See which requests a run made through the broker.
    ListRunRequests,
    /// See which runs received a secret.
    ListSecretRuns,
    /// Revoke runs and what could start more, and see what they received.
    Panic,
    /// Receive the values of one's run.
    ReceiveEnvironment,
    /// Extend the lease of one's run.
    ExtendRun,
    /// End one's run.
    EndRun,
    /// Begin a session.
    SignIn,
    /// Set up how one signs in.
    SetUp,
    /// Change one's password or second factor.
    ChangeSignIn,
    /// See one's sessions.
    ListSessions,
    /// End a session of one's own.
    EndSession,
    /// Go to another of one's teams.
    MoveSession,
    /// See the invitations that are still open.
    ListInvitations,
    /// Make a link by which a member comes to sign in.
    CreateInvitation,
    /// Withdraw such a link.
    CancelInvitation,
    /// Ask for a secret to be filled in.
    RequestFill,
    /// See what came of such a request.
    ReadFillRequest,
    /// See the requests that are still open.
    ListFillRequests,
    /// Withdraw such a request.
    CancelFillRequest,
    /// Fill in what was asked for.
    Fill,
    /// See what happened: what one did oneself, or everything in the team.
    ListEvents,
    /// Have what happened as a file that proves itself.
    ExportEvents,
    /// Have it proven that an event is in the audit tree.
    ProveEvent,
    /// See the audit tree's signed head.
    ReadCheckpoint,
    /// Have it proven that the audit tree goes on from an older one.
    ProveConsistency,
    /// See which keys the team's values are sealed under.
    ReadTeamKeys,
    /// Give the team a new key.
    RotateTeamKey,
}

/// One row of the table: what an act asks of its caller.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// The operation that does it: the API's, or one of the pages'.
    pub operation: &'static str,
    /// The key must be for this; `None`: any key will do.
    pub scope: Option<Scope>,
    /// The least role on what is the caller's own.
    pub own: Role,
    /// The least role on what is the team's.
    pub shared: Role,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 76] = [
        Self::CreateSecret,
        Self::ListSecrets,
        Self::ReadSecret,
        Self::UpdateSecret,
        Self::ShareSecret,
        Self::DeleteSecret,
        Self::ListVersions,
        Self::RollbackSecret,
        Self::UndeleteSecret,
        Self::CopySecret,
        Self::CompareSecrets,
        Self::ReadPolicy,
        Self::SetPolicy,
        Self::ReadProfile,
        Self::ListTeams,
        Self::ReadTeam,
        Self::CreateTeam,
        Self::UpdateTeam,
        Self::DeleteTeam,
        Self::UndeleteTeam,
        Self::ListMembers,
        Self::AddMember,
        Self::UpdateMember,
        Self::RemoveMember,
        Self::ListApiKeys,
        Self::CreateApiKey,
        Self::RevokeApiKey,
        Self::ListKeyLinks,
        Self::CreateKeyLink,
        Self::CancelKeyLink,
        Self::ClaimKeyLink,
        Self::CreateAgent,
        Self::ListAgents,
        Self::ReadAgent,
        Self::UpdateAgent,
        Self::DeleteAgent,
        Self::CreateRevision,
        Self::ListRevisions,
        Self::ReadRevision,
        Self::PromoteRevision,
        Self::ListAttachments,
        Self::AttachSecret,
        Self::DetachSecret,
        Self::PreviewEnvironment,
        Self::StartRun,
        Self::ListRuns,
        Self::ReadRun,
        Self::StopRun,
        Self::ListDeliveries,
        Self::ListRunRequests,
        Self::ListSecretRuns,
        Self::Panic,
        Self::ReceiveEnvironment,
        Self::ExtendRun,
        Self::EndRun,
        Self::SignIn,
        Self::SetUp,
        Self::ChangeSignIn,
        Self::ListSessions,
        Self::EndSession,
        Self::MoveSession,
        Self::ListInvitations,
        Self::CreateInvitation,
        Self::CancelInvitation,
        Self::RequestFill,
        Self::ReadFillRequest,
        Self::ListFillRequests,
        Self::CancelFillRequest,
        Self::Fill,
        Self::ListEvents,
        Self::ExportEvents,
        Self::ProveEvent,
        Self::ReadCheckpoint,
        Self::ProveConsistency,
        Self::ReadTeamKeys,
        Self::RotateTeamKey,
    ];

    /// The table. What is [`Ownership::Foreign`] has no column: nobody's role
    /// reaches it, and it looks as if it weren't there.
    #[expect(clippy::too_many_lines, reason = "it is the table, a line for each act")]
    pub const fn rule(self) -> Rule {
        use Role::{Administrator, Builder, Manager, Member, Owner};
        use Scope::{Admin, RunsStart, SecretsRead, SecretsWrite, TeamRead};
        let (operation, scope, own, shared) = match self {
            Self::CreateSecret => ("createSecret", Some(SecretsWrite), Member, Manager),
            Self::ListSecrets => ("listSecrets", Some(SecretsRead), Member, Member),
            Self::ReadSecret => ("getSecret", Some(SecretsRead), Member, Member),
            Self::UpdateSecret => ("updateSecret", Some(SecretsWrite), Member, Manager),
            Self::ShareSecret => ("updateSecret", Some(SecretsWrite), Manager, Manager),
            Self::DeleteSecret => ("deleteSecret", Some(SecretsWrite), Member, Manager),
            Self::ListVersions => ("listSecretVersions", Some(SecretsRead), Member, Member),
            Self::RollbackSecret => ("rollbackSecret", Some(SecretsWrite), Member, Manager),
            Self::UndeleteSecret => ("undeleteSecret", Some(SecretsWrite), Member, Manager),
            Self::CopySecret => ("copySecret", Some(SecretsWrite), Member, Manager),
            Self::CompareSecrets => ("compareSecrets", Some(SecretsWrite), Member, Manager),
            Self::ReadPolicy => ("getSecretPolicy", Some(SecretsRead), Member, Member),
            Self::SetPolicy => ("setSecretPolicy", Some(SecretsWrite), Member, Manager),
            Self::ReadProfile => ("getProfile", None, Member, Member),
            Self::ListTeams => ("listTeams", Some(TeamRead), Member, Member),
            Self::ReadTeam => ("getTeam", Some(TeamRead), Member, Member),
            Self::CreateTeam => ("createTeam", Some(Admin), Owner, Owner),
            Self::UpdateTeam => ("updateTeam", Some(Admin), Administrator, Administrator),
            Self::DeleteTeam => ("deleteTeam", Some(Admin), Owner, Owner),
            Self::UndeleteTeam => ("undeleteTeam", Some(Admin), Owner, Owner),
            Self::ListMembers => ("listMembers", Some(TeamRead), Member, Member),
            Self::AddMember => ("addMember", Some(Admin), Administrator, Administrator),
            Self::UpdateMember => ("updateMember", Some(Admin), Member, Administrator),
            Self::RemoveMember => ("removeMember", Some(Admin), Member, Administrator),
            Self::ListApiKeys => ("listApiKeys", Some(Admin), Member, Administrator),
            Self::CreateApiKey => ("createApiKey", Some(Admin), Administrator, Administrator),
            Self::RevokeApiKey => ("revokeApiKey", Some(Admin), Member, Administrator),
            Self::ListKeyLinks => ("listKeyLinks", Some(Admin), Administrator, Administrator),
            Self::CreateKeyLink => ("createKeyLink", Some(Admin), Administrator, Administrator),
            Self::CancelKeyLink => ("cancelKeyLink", Some(Admin), Administrator, Administrator),
            Self::ClaimKeyLink => ("claimKeyLink", None, Member, Member),
            Self::CreateAgent => ("createAgent", Some(SecretsWrite), Builder, Builder),
            Self::ListAgents => ("listAgents", Some(SecretsRead), Member, Member),
            Self::ReadAgent => ("getAgent", Some(SecretsRead), Member, Member),
            Self::UpdateAgent => ("updateAgent", Some(SecretsWrite), Builder, Builder),
            Self::DeleteAgent => ("deleteAgent", Some(SecretsWrite), Manager, Manager),
            Self::CreateRevision => ("createRevision", Some(SecretsWrite), Builder, Builder),
            Self::ListRevisions => ("listRevisions", Some(SecretsRead), Member, Member),
            Self::ReadRevision => ("getRevision", Some(SecretsRead), Member, Member),
            Self::PromoteRevision => ("promoteRevision", Some(SecretsWrite), Builder, Builder),
            Self::ListAttachments => ("listRevisionSecrets", Some(SecretsRead), Member, Member),
            Self::AttachSecret => ("attachRevisionSecret", Some(SecretsWrite), Member, Builder),
            Self::DetachSecret => ("detachRevisionSecret", Some(SecretsWrite), Member, Builder),
            Self::PreviewEnvironment => ("previewEnvironment", Some(SecretsRead), Builder, Builder),
            Self::StartRun => ("startRun", Some(RunsStart), Builder, Builder),
            Self::ListRuns => ("listRuns", Some(SecretsRead), Member, Member),
            Self::ReadRun => ("getRun", Some(SecretsRead), Member, Member),
            Self::StopRun => ("stopRun", Some(SecretsWrite), Member, Manager),
            Self::ListDeliveries => ("listDeliveries", Some(SecretsRead), Member, Manager),
            Self::ListRunRequests => ("listRunRequests", Some(SecretsRead), Member, Manager),
            Self::ListSecretRuns => ("listSecretRuns", Some(SecretsRead), Member, Member),
            Self::Panic => ("panic", Some(Admin), Member, Administrator),
            Self::ReceiveEnvironment => ("getRunEnvironment", None, Member, Member),
            Self::ExtendRun => ("extendRun", None, Member, Member),
            Self::EndRun => ("endRun", None, Member, Member),
            Self::SignIn => ("signIn", None, Member, Member),
            Self::SetUp => ("setUp", None, Member, Member),
            Self::ChangeSignIn => ("changeSignIn", None, Member, Member),
            Self::ListSessions => ("listSessions", None, Member, Member),
            Self::EndSession => ("endSession", None, Member, Member),
            Self::MoveSession => ("moveSession", None, Member, Member),
            Self::ListInvitations => ("listInvitations", Some(Admin), Administrator, Administrator),
            Self::CreateInvitation => ("createInvitation", Some(Admin), Administrator, Administrator),
            Self::CancelInvitation => ("cancelInvitation", Some(Admin), Administrator, Administrator),
            Self::RequestFill => ("createFillRequest", Some(SecretsWrite), Member, Member),
            Self::ReadFillRequest => ("getFillRequest", Some(SecretsRead), Member, Manager),
            Self::ListFillRequests => ("listFillRequests", Some(SecretsRead), Member, Manager),
            Self::CancelFillRequest => ("cancelFillRequest", Some(SecretsWrite), Member, Manager),
            Self::Fill => ("fill", None, Member, Manager),
            Self::ListEvents => ("listEvents", Some(TeamRead), Member, Administrator),
            Self::ExportEvents => ("exportEvents", Some(TeamRead), Member, Administrator),
            Self::ProveEvent => ("proveEvent", Some(TeamRead), Member, Administrator),
            Self::ReadCheckpoint => ("getCheckpoint", Some(TeamRead), Member, Member),
            Self::ProveConsistency => ("proveConsistency", Some(TeamRead), Member, Member),
            Self::ReadTeamKeys => ("getTeamKeys", Some(TeamRead), Administrator, Administrator),
            Self::RotateTeamKey => ("rotateTeamKey", Some(Admin), Owner, Owner),
        };
        Rule { operation, scope, own, shared }
    }

    /// What kind of token proves its caller.
    pub const fn by(self) -> By {
        match self {
            Self::ClaimKeyLink => By::Link,
            Self::ReceiveEnvironment | Self::ExtendRun | Self::EndRun => By::Run,
            Self::SignIn => By::SignIn,
            Self::SetUp => By::SetUp,
            Self::RequestFill | Self::ReadFillRequest => By::Asker,
            Self::Fill => By::Filler,
            Self::ChangeSignIn | Self::ListSessions | Self::EndSession | Self::MoveSession => By::Session,
            _ => By::Key,
        }
    }

    /// Whether it changes, copies or ends one object that is there already, so
    /// that it can be asked for on the condition that this is as it was.
    pub const fn is_conditional(self) -> bool {
        matches!(
            self,
            Self::UpdateSecret
                | Self::ShareSecret
                | Self::DeleteSecret
                | Self::RollbackSecret
                | Self::UndeleteSecret
                | Self::CopySecret
                | Self::SetPolicy
                | Self::UpdateTeam
                | Self::DeleteTeam
                | Self::UndeleteTeam
                | Self::UpdateMember
                | Self::RemoveMember
                | Self::RevokeApiKey
                | Self::CancelKeyLink
                | Self::CancelFillRequest
                | Self::UpdateAgent
                | Self::DeleteAgent
                | Self::PromoteRevision
                | Self::DetachSecret
                | Self::StopRun
                | Self::ExtendRun
                | Self::EndRun
        )
    }

    /// The first action of this operation: what is asked of its caller before
    /// anything else is known.
    pub fn of_operation(operation: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.rule().operation == operation)
    }
}
