//! What the core asks of a store. A change is one [`Write`]: what a verb does,
//! its permit, its audit events and, when the request may come again, its
//! answer, all in one transaction. The permit's rows are proven again inside
//! it, and a row is replaced only while it is as the verb saw it: unique
//! constraints and MACs decide, never check-then-write.

use std::sync::Arc;

use async_trait::async_trait;

use crate::access::Permit;
use crate::agents::{Agent, Attachment, Revision};
use crate::answers::{AnswerId, KeptAnswer};
use crate::api_keys::{ApiKey, ProofRows, UsedKey};
use crate::audit::tiles::{Place, Tiles};
use crate::audit::{Gap, Head, Sealing, Span};
use crate::clock::Timestamp;
use crate::events::{Event, EventFilter, EventPage, Recorded};
use crate::fill_requests::FillRequest;
use crate::ids::{
    AgentId, ApiKeyId, FillRequestId, InvitationId, KeyId, KeyLinkId, RevisionId, RunId, SecretId, SessionId,
    TeamId, UserId,
};
use crate::instance::{Instance, NewInstance, RootCopy};
use crate::invitations::Invitation;
use crate::key_links::KeyLink;
use crate::keyring::WrappedKey;
use crate::rows::{RowMac, Stored};
use crate::runs::{Delivery, Run, RunsOf, StoredRun};
use crate::sealing::Sealed;
use crate::secrets::{Secret, Version};
use crate::sessions::Session;
use crate::sign_ins::SignIn;
use crate::teams::Team;
use crate::text::Email;
use crate::users::{Membership, StoredMember, TeamPlace, User};

/// Why a store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database can't serve now: disk full, busy, stopping. Nothing was
    /// written; the act may be tried again.
    #[error("the database is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The connection to the database broke during a commit, and it can't be
    /// asked what became of it. It was done, or it was not; the same request
    /// under the same idempotency key is done once in all.
    #[error("it isn't known whether it was done")]
    Unsettled,
    /// The store has stopped for good, after an error past which it can't know
    /// what is on the disk. Only a restart helps.
    #[error("the database has stopped after an input/output error")]
    Stopped,
    /// A row isn't of the form in which it was written.
    #[error("a row of {0} can't be read")]
    Malformed(&'static str),
    /// The rows on which a permit was granted have changed since.
    #[error("the caller's rights changed in the meantime")]
    StalePermit,
    /// The object is there already.
    #[error("it exists already")]
    Exists,
    /// A row that was to be replaced, or to stay as it was, is another by now.
    #[error("it changed in the meantime")]
    Changed,
    /// A team would be left without an owner.
    #[error("the team would have no owner")]
    LastOwner,
    /// A user would have asked for more secrets to be filled in than they may at a time.
    #[error("too many of the user's requests are open")]
    AskedTooOften,
    /// The request was answered before.
    #[error("it was answered before")]
    Answered,
    /// It could have been done, and was undone: nothing else was asked for.
    #[error("it was only rehearsed")]
    Rehearsed,
}

/// A row to be stored.
pub struct Put<T> {
    /// The MAC of the row whose place it takes; `None`: it is new.
    pub was: Option<RowMac>,
    /// The row.
    pub now: Stored<T>,
}

impl<T> Put<T> {
    /// A new row.
    pub fn new(now: Stored<T>) -> Self {
        Self { was: None, now }
    }

    /// A row in the place of the one that had this MAC.
    pub fn over(was: RowMac, now: Stored<T>) -> Self {
        Self { was: Some(was), now }
    }
}

/// One step of a [`Write`]. A step that can't be done undoes the whole.
pub enum Change {
    /// Stores a secret.
    Secret(Put<Secret>),
    /// Stores a new version.
    Version(Version),
    /// Stores a team.
    Team(Put<Team>),
    /// Stores a team's key, as long as the master key that sealed it is the instance's.
    Key(WrappedKey),
    /// Stores a user.
    User(Put<User>),
    /// Stores a membership.
    Membership(Put<Membership>),
    /// Stores an API key.
    ApiKey(Put<ApiKey>),
    /// Stores a link.
    KeyLink(Put<KeyLink>),
    /// Stores a sign-in.
    SignIn(Put<SignIn>),
    /// Stores a session.
    Session(Put<Session>),
    /// Stores an invitation.
    Invitation(Put<Invitation>),
    /// Stores a request to fill in a secret.
    FillRequest(Put<FillRequest>),
    /// Stores an agent.
    Agent(Put<Agent>),
    /// Stores a revision.
    Revision(Put<Revision>),
    /// Stores an attachment.
    Attachment(Put<Attachment>),
    /// Takes away the attachment of a secret to a revision, which had this MAC.
    Detach(TeamId, RevisionId, SecretId, RowMac),
    /// Stores a run.
    Run(Put<Run>),
    /// Notes a delivery, unless the very same is noted.
    Delivery(Delivery),
    /// Changes nothing, but demands that this agent is as it was.
    AgentIs(TeamId, AgentId, RowMac),
    /// Changes nothing, but demands that this secret is attached as it was.
    AttachmentIs(TeamId, RevisionId, SecretId, RowMac),
    /// Changes nothing, but demands that this secret is as it was.
    SecretIs(TeamId, SecretId, RowMac),
    /// Changes nothing, but demands that this membership is as it was.
    MembershipIs(TeamId, UserId, RowMac),
    /// Changes nothing, but demands that the team has an owner by now: a
    /// person who is a member and isn't disabled.
    HasOwner(TeamId),
    /// Changes nothing, but demands that the user has no key in the team by now
    /// that isn't revoked.
    HasNoKey(TeamId, UserId),
    /// Changes nothing, but demands that fewer than
    /// [`MOST_OPEN`](crate::fill_requests::MOST_OPEN) of the user's requests to fill in
    /// a secret of this team can be filled in after this moment.
    AsksForFewer(TeamId, UserId, Timestamp),
}

/// What a verb does to the store, in one transaction.
pub struct Write {
    /// What allows it; its rows are proven again.
    pub permit: Permit,
    /// The steps, in order.
    pub changes: Vec<Change>,
    /// What is told of it.
    pub events: Vec<Event>,
    /// The answer, when the request may come again, under each id that it may be
    /// looked for by. A younger answer than [`crate::answers::KEPT_FOR`] with the
    /// same id makes it [`StoreError::Answered`]; an older one gives way.
    pub answers: Vec<Stored<KeptAnswer>>,
    /// Do all of it, then undo it and say [`StoreError::Rehearsed`].
    pub rehearsal: bool,
}

/// The most events that are looked at for one page of those that match.
pub const EVENTS_LOOKED_AT: u32 = 4_096;

/// What a purge takes away.
pub enum Purge {
    /// This secret and its versions, while its row is as it was.
    Secret(TeamId, SecretId, RowMac),
    /// The keys of a team, its memberships, API keys and links. The team's row
    /// stays, and says when it happened.
    Team(Put<Team>),
}

/// What becomes of the keys of the instance itself, all or nothing.
pub struct KeyTurn {
    /// The master key that all of this goes out from: it must be the instance's still.
    pub master: KeyId,
    /// The instance's row, in the place of the one that was read.
    pub instance: Option<Put<Instance>>,
    /// The master key under further root keys.
    pub copies: Vec<Put<RootCopy>>,
    /// Such a copy that is taken away: its kind, and its MAC.
    pub removed: Option<(String, RowMac)>,
    /// Keys as they were read, and sealed by another master key. When there are any, they
    /// must be all that there are but for ways to a master key.
    pub rewrapped: Vec<(WrappedKey, Sealed)>,
    /// Keys that are new.
    pub added: Vec<WrappedKey>,
    /// What is told of it.
    pub events: Vec<Event>,
}

/// One row of the walk over everything that is sealed or has a MAC.
pub enum AnyRow {
    /// A key of the hierarchy. All of them come before any other row.
    Key(WrappedKey),
    /// The master key under one more root key.
    RootCopy(Stored<RootCopy>),
    /// A team.
    Team(Stored<Team>),
    /// A user.
    User(Stored<User>),
    /// A membership.
    Membership(Stored<Membership>),
    /// An API key.
    ApiKey(Stored<ApiKey>),
    /// A link.
    KeyLink(Stored<KeyLink>),
    /// A sign-in.
    SignIn(Stored<SignIn>),
    /// A session.
    Session(Stored<Session>),
    /// An invitation.
    Invitation(Stored<Invitation>),
    /// A request to fill in a secret.
    FillRequest(Stored<FillRequest>),
    /// A kept answer.
    Answer(Stored<KeptAnswer>),
    /// An agent, deleted ones too.
    Agent(Stored<Agent>),
    /// A revision.
    Revision(Stored<Revision>),
    /// An attachment.
    Attachment(Stored<Attachment>),
    /// A run.
    Run(Stored<Run>),
    /// A secret, deleted ones too, with all its versions.
    Secret(Stored<Secret>, Vec<Version>),
    /// A row of this table that can't even be read.
    Malformed(&'static str),
}

/// Rows stay as they are for as long as this lives, and no longer than a few
/// seconds.
pub struct Held(Option<Box<dyn Send + Sync>>);

impl Held {
    /// Held by this, until it is dropped.
    pub fn by(holder: impl Send + Sync + 'static) -> Self {
        Self(Some(Box::new(holder)))
    }

    /// Where nothing has to be held.
    pub fn by_nobody() -> Self {
        Self(None)
    }

    /// Whether anything is held.
    pub fn is_held(&self) -> bool {
        self.0.is_some()
    }
}

/// How much there was on each day: its number from 1970 in UTC, and how many.
pub type Days = Vec<(i64, u64)>;

/// What happened on each day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ByDay {
    /// Runs that were started.
    pub runs: Days,
    /// Versions of secrets that were delivered to them first.
    pub deliveries: Days,
}

/// Keeps rows; knows no plaintext of any value, and no key.
#[async_trait]
pub trait Store: Send + Sync {
    /// The instance row; `None` in a database that has none yet.
    async fn instance(&self) -> Result<Option<Stored<Instance>>, StoreError>;

    /// Stores a new instance.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when there is one.
    async fn create_instance(&self, new: NewInstance) -> Result<(), StoreError>;

    /// The keys of the hierarchy that are the instance's own, and ways to its master key.
    async fn purpose_keys(&self) -> Result<Vec<WrappedKey>, StoreError>;

    /// Stores a key of a purpose that has none; with one there, nothing.
    ///
    /// # Errors
    /// When another master key than the instance's sealed it.
    async fn add_purpose_key(&self, key: WrappedKey) -> Result<(), StoreError>;

    /// Every key of the hierarchy.
    async fn keys(&self) -> Result<Vec<WrappedKey>, StoreError>;

    /// The master key under further root keys than the instance's own; none where the schema is
    /// of before there were any.
    async fn root_copies(&self) -> Result<Vec<Stored<RootCopy>>, StoreError>;

    /// Replaces keys of the instance itself.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when one of them is another by now.
    async fn turn_keys(&self, turn: KeyTurn) -> Result<(), StoreError>;

    /// Takes away the ways to a master key that were made before this moment. How many it were.
    async fn close_ways(&self, before: Timestamp) -> Result<u64, StoreError>;

    /// The newest events about the instance's own keys and its row, whatever they tell: at
    /// most `limit`.
    async fn events_of_keys(&self, limit: u32) -> Result<Vec<Recorded>, StoreError>;

    /// Has the next reads see what another program wrote meanwhile, where they don't anyway.
    fn look_again(&self) {}

    /// Takes what was replaced or taken away out of the database's files, where the engine
    /// lets that be done; whether nothing is left to do.
    async fn scrub(&self) -> Result<bool, StoreError> {
        Ok(true)
    }

    /// A team's keys.
    async fn team_keys(&self, team: TeamId) -> Result<Vec<WrappedKey>, StoreError>;

    /// Teams that have more than one key, and the version of the newest, in no order.
    async fn teams_with_older_keys(&self) -> Result<Vec<(TeamId, u16)>, StoreError>;

    /// The versions of a team's secrets by secret and number: at most `limit` of those
    /// after `after`.
    async fn versions_of_team(
        &self,
        team: TeamId,
        after: Option<(SecretId, u32)>,
        limit: u32,
    ) -> Result<Vec<Version>, StoreError>;

    /// How many versions a team's secrets have, and how many of them aren't sealed under this key.
    async fn count_versions(&self, team: TeamId, key: KeyId) -> Result<(u64, u64), StoreError>;

    /// Seals versions anew: each while it is sealed as it was. How many it were.
    async fn reseal(&self, versions: Vec<(Version, Sealed)>) -> Result<u64, StoreError>;

    /// Takes away a team's keys before this version.
    async fn retire_keys(&self, team: TeamId, before: u16, event: Event) -> Result<(), StoreError>;

    /// The rows that decide about an API key.
    async fn key_rows(&self, key: ApiKeyId) -> Result<Option<ProofRows<ApiKey>>, StoreError>;

    /// The rows that decide about a link.
    async fn link_rows(&self, link: KeyLinkId) -> Result<Option<ProofRows<KeyLink>>, StoreError>;

    /// The rows that decide about a session.
    async fn session_rows(&self, session: SessionId) -> Result<Option<ProofRows<Session>>, StoreError>;

    /// The rows that decide about an invitation.
    async fn invitation_rows(
        &self,
        invitation: InvitationId,
    ) -> Result<Option<ProofRows<Invitation>>, StoreError>;

    /// The rows that decide about a request to fill in a secret, by its link alone.
    async fn fill_request_rows(
        &self,
        request: FillRequestId,
    ) -> Result<Option<ProofRows<FillRequest>>, StoreError>;

    /// A user's sign-in.
    async fn sign_in(&self, user: UserId) -> Result<Option<Stored<SignIn>>, StoreError>;

    /// A user's sessions that nobody ended and that last longer than this, by
    /// their beginning: the newest `limit`.
    async fn sessions(
        &self,
        user: UserId,
        beyond: Timestamp,
        limit: u32,
    ) -> Result<Vec<Stored<Session>>, StoreError>;

    /// Where a user is a member, by the age of the team: at most `limit`.
    async fn places(
        &self,
        user: UserId,
        limit: u32,
    ) -> Result<Vec<TeamPlace<Stored<Membership>, Stored<Team>>>, StoreError>;

    /// An invitation into this team.
    async fn invitation(
        &self,
        team: TeamId,
        invitation: InvitationId,
    ) -> Result<Option<Stored<Invitation>>, StoreError>;

    /// The invitations into a team that aren't closed, by creation: at most
    /// `limit` of those after `after`.
    async fn invitations(
        &self,
        team: TeamId,
        after: Option<InvitationId>,
        limit: u32,
    ) -> Result<Vec<Stored<Invitation>>, StoreError>;

    /// A request of this team to fill in a secret.
    async fn fill_request(
        &self,
        team: TeamId,
        request: FillRequestId,
    ) -> Result<Option<Stored<FillRequest>>, StoreError>;

    /// The requests to fill in a secret, of a team or of one user in it, that aren't
    /// closed and can be filled in after this moment, by their end: the last `limit`.
    async fn fill_requests(
        &self,
        whose: (TeamId, Option<UserId>),
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Stored<FillRequest>>, StoreError>;

    /// Forgets requests to fill in a secret that could be until before this moment:
    /// at most `limit`. How many it were.
    async fn forget_fill_requests(&self, before: Timestamp, limit: u32) -> Result<u32, StoreError>;

    /// Forgets sessions and invitations that ended before this moment, one way or
    /// another: at most `limit` of each. How many it were.
    async fn forget_sessions(&self, before: Timestamp, limit: u32) -> Result<u32, StoreError>;

    /// A secret of this team, deleted or not.
    async fn secret(&self, team: TeamId, id: SecretId) -> Result<Option<Stored<Secret>>, StoreError>;

    /// The team's shared secrets and this user's own, without deleted ones, by
    /// creation: at most `limit` of those after `after`.
    async fn secrets_visible_to(
        &self,
        team: TeamId,
        user: UserId,
        after: Option<SecretId>,
        limit: u32,
    ) -> Result<Vec<Stored<Secret>>, StoreError>;

    /// The team's shared secrets and this user's own that are deleted and not purged, by
    /// when they were: the newest `limit`.
    async fn deleted_secrets(
        &self,
        team: TeamId,
        user: UserId,
        limit: u32,
    ) -> Result<Vec<Stored<Secret>>, StoreError>;

    /// One version of a secret.
    async fn version(&self, secret: SecretId, number: u32) -> Result<Option<Version>, StoreError>;

    /// A secret's versions, by number: at most `limit` of those after `after`.
    async fn versions(&self, secret: SecretId, after: u32, limit: u32) -> Result<Vec<Version>, StoreError>;

    /// A team.
    async fn team(&self, team: TeamId) -> Result<Option<Stored<Team>>, StoreError>;

    /// A user's place in a team, also when they were removed.
    async fn member(&self, team: TeamId, user: UserId) -> Result<Option<StoredMember>, StoreError>;

    /// A team's members, without those who were removed, by the age of the
    /// user: at most `limit` of those after `after`.
    async fn members(
        &self,
        team: TeamId,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<StoredMember>, StoreError>;

    /// A user.
    async fn user(&self, user: UserId) -> Result<Option<Stored<User>>, StoreError>;

    /// The user with this address, in any case of its ASCII letters.
    async fn user_by_email(&self, email: &Email) -> Result<Option<Stored<User>>, StoreError>;

    /// An API key of this team.
    async fn api_key(&self, team: TeamId, key: ApiKeyId) -> Result<Option<Stored<ApiKey>>, StoreError>;

    /// The API keys of a team, or of one user in it, by creation: at most
    /// `limit` of those after `after`.
    async fn api_keys(
        &self,
        team: TeamId,
        user: Option<UserId>,
        after: Option<ApiKeyId>,
        limit: u32,
    ) -> Result<Vec<UsedKey<Stored<ApiKey>>>, StoreError>;

    /// A link of this team.
    async fn key_link(&self, team: TeamId, link: KeyLinkId) -> Result<Option<Stored<KeyLink>>, StoreError>;

    /// The links of a team that aren't closed, by creation: at most `limit` of
    /// those after `after`.
    async fn key_links(
        &self,
        team: TeamId,
        after: Option<KeyLinkId>,
        limit: u32,
    ) -> Result<Vec<Stored<KeyLink>>, StoreError>;

    /// An agent of this team, deleted or not.
    async fn agent(&self, team: TeamId, agent: AgentId) -> Result<Option<Stored<Agent>>, StoreError>;

    /// A team's agents, without deleted ones, by creation: at most `limit` of
    /// those after `after`.
    async fn agents(
        &self,
        team: TeamId,
        after: Option<AgentId>,
        limit: u32,
    ) -> Result<Vec<Stored<Agent>>, StoreError>;

    /// A revision of an agent of this team.
    async fn revision(
        &self,
        team: TeamId,
        revision: RevisionId,
    ) -> Result<Option<Stored<Revision>>, StoreError>;

    /// An agent's revisions, by creation: at most `limit` of those after `after`.
    async fn revisions(
        &self,
        team: TeamId,
        agent: AgentId,
        after: Option<RevisionId>,
        limit: u32,
    ) -> Result<Vec<Stored<Revision>>, StoreError>;

    /// What is attached to a revision, in no order.
    async fn attachments(
        &self,
        team: TeamId,
        revision: RevisionId,
    ) -> Result<Vec<Stored<Attachment>>, StoreError>;

    /// Where a secret is attached, in no order: at most `limit`.
    async fn attachments_of(
        &self,
        team: TeamId,
        secret: SecretId,
        limit: u32,
    ) -> Result<Vec<Stored<Attachment>>, StoreError>;

    /// The rows that decide about a run.
    async fn run(&self, run: RunId) -> Result<Option<StoredRun>, StoreError>;

    /// Runs of a team, the newest first: at most `limit` of those behind the
    /// first `skip`.
    async fn runs(
        &self,
        team: TeamId,
        of: RunsOf,
        (skip, limit): (u32, u32),
    ) -> Result<Vec<StoredRun>, StoreError>;

    /// Runs of a team that nobody stopped and whose lease ends after `at`, the newest
    /// first: at most `limit` of those that are older than `before`.
    async fn open_runs(
        &self,
        team: TeamId,
        of: RunsOf,
        at: Timestamp,
        (before, limit): (Option<RunId>, u32),
    ) -> Result<Vec<StoredRun>, StoreError>;

    /// How many runs there are.
    async fn count_runs(&self, team: TeamId, of: RunsOf) -> Result<u64, StoreError>;

    /// How many of a team's runs were started on each day since this moment, and how
    /// many deliveries there were to them; of the newest `most` runs. Days are counted
    /// from 1970 in UTC; those without any are left out.
    async fn runs_by_day(&self, team: TeamId, since: Timestamp, most: u32) -> Result<ByDay, StoreError>;

    /// How often the access table refused somebody something in a team on each day since
    /// this moment, of the newest `most` events that tell of it.
    async fn refusals_by_day(&self, team: TeamId, since: Timestamp, most: u32) -> Result<Days, StoreError>;

    /// What was delivered to runs of a team, in the order of the runs: to at most `limit`
    /// of those that are newer than `after`. A run that received nothing is there with nothing.
    async fn deliveries(
        &self,
        team: TeamId,
        of: RunsOf,
        (after, limit): (Option<RunId>, u32),
    ) -> Result<Vec<(RunId, Option<Delivery>)>, StoreError>;

    /// What was delivered of a secret, the newest versions and runs first: at most
    /// `limit`.
    async fn deliveries_of(&self, secret: SecretId, limit: u32) -> Result<Vec<Delivery>, StoreError>;

    /// Forgets runs of shredded teams, with what was delivered to them: at most
    /// `limit`. How many it were.
    async fn forget_runs(&self, limit: u32) -> Result<u32, StoreError>;

    /// A kept answer, however old.
    async fn answer(&self, id: AnswerId) -> Result<Option<Stored<KeptAnswer>>, StoreError>;

    /// Does what a verb planned.
    ///
    /// # Errors
    /// [`StoreError::StalePermit`], [`StoreError::Changed`], [`StoreError::Exists`],
    /// [`StoreError::LastOwner`], [`StoreError::AskedTooOften`], [`StoreError::Answered`];
    /// nothing was done then.
    async fn write(&self, write: Write) -> Result<(), StoreError>;

    /// Keeps these secrets of a team from being changed while a write that rests
    /// on them is planned and done, because others have been quicker too often.
    async fn hold(&self, team: TeamId, secrets: &[SecretId]) -> Result<Held, StoreError>;

    /// Keeps the answer to a request that changed nothing; as [`Write::answers`].
    async fn keep_answer(&self, answer: Stored<KeptAnswer>) -> Result<(), StoreError>;

    /// Forgets answers from before this moment: at most `limit`. How many it were.
    async fn forget_answers(&self, before: Timestamp, limit: u32) -> Result<u32, StoreError>;

    /// Notes when API keys were last used, unless something later is noted.
    async fn note_uses(&self, uses: Vec<(ApiKeyId, Timestamp)>) -> Result<(), StoreError>;

    /// Secrets that are due: deleted by `before`, the personal ones of members
    /// removed by then who aren't back, and those of shredded teams. At most
    /// `limit` of those behind the first `skip`, always in the same order;
    /// `None` for a row that can't be read.
    async fn secrets_due(
        &self,
        before: Timestamp,
        skip: u32,
        limit: u32,
    ) -> Result<Vec<Option<Stored<Secret>>>, StoreError>;

    /// Teams that were deleted by `before` and aren't shredded; `None` for a
    /// row that can't be read.
    async fn teams_due(&self, before: Timestamp) -> Result<Vec<Option<Stored<Team>>>, StoreError>;

    /// Takes away what is due, each with its event, all or nothing.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when one of them is another by now.
    async fn purge(&self, purges: Vec<(Purge, Event)>) -> Result<(), StoreError>;

    /// Stores an audit row that belongs to no other write.
    async fn record(&self, event: Event) -> Result<(), StoreError> {
        self.record_all(Arc::new([event])).await.map(|_| ())
    }

    /// Stores audit rows that belong to no other write, in this order, all or nothing. Tells
    /// which place in the record the first has, where the others follow without a gap.
    async fn record_all(&self, events: Arc<[Event]>) -> Result<Option<i64>, StoreError>;

    /// Events of a team that match, the newest first: at most `limit` of those
    /// before this place. Where few match, no more than [`EVENTS_LOOKED_AT`] are
    /// looked at, so there may be fewer of them, or none, and more further on.
    async fn events(
        &self,
        team: TeamId,
        filter: &EventFilter,
        before: Option<i64>,
        limit: u32,
    ) -> Result<EventPage, StoreError>;

    /// Requests that a run of this team made through the broker, the newest first: at most
    /// `limit` of those before this place.
    async fn run_requests(
        &self,
        team: TeamId,
        run: RunId,
        before: Option<i64>,
        limit: u32,
    ) -> Result<EventPage, StoreError>;

    /// The newest head of the audit tree; `None` before the first.
    async fn audit_head(&self) -> Result<Option<Head>, StoreError>;

    /// Those of these tiles of the audit tree that are there.
    async fn audit_tiles(&self, places: &[Place]) -> Result<Tiles, StoreError>;

    /// The spans in the order of their leaves, from the one that has this leaf: at most
    /// `limit`.
    async fn audit_spans(&self, leaf: u64, limit: u32) -> Result<Vec<Span>, StoreError>;

    /// The spans in the order of the record, from the one that has this place, or else the
    /// last before it: at most `limit`.
    async fn audit_spans_by_place(&self, sequence: i64, limit: u32) -> Result<Vec<Span>, StoreError>;

    /// Events between two places in the record, of a team or of everybody, in its order:
    /// at most `limit`.
    async fn recorded(
        &self,
        places: Gap,
        team: Option<TeamId>,
        limit: u32,
    ) -> Result<Vec<Recorded>, StoreError>;

    /// The events that are in these gaps of the record, in its order: at most `limit`.
    async fn recorded_within(&self, gaps: &[Gap], limit: u32) -> Result<Vec<Recorded>, StoreError>;

    /// Up to which leaf a sink of this name has everything; `None` for one that is new.
    async fn audit_sink(&self, name: &str) -> Result<Option<u64>, StoreError>;

    /// Notes up to which leaf a sink has everything.
    async fn move_audit_sink(&self, name: &str, leaf: u64) -> Result<(), StoreError>;

    /// Makes leaves of events.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when somebody else did meanwhile.
    async fn seal_events(&self, sealing: Sealing) -> Result<(), StoreError>;

    /// Shows every row that is sealed or has a MAC, as of one moment.
    async fn walk(&self, visit: &mut (dyn FnMut(AnyRow) + Send)) -> Result<(), StoreError>;

    /// About how often [`Self::walk`] will call `visit`; for a progress bar.
    async fn rows(&self) -> Result<u64, StoreError>;

    /// Whether this server is the one that does what only one of several on the
    /// same database should. To be asked every few seconds; who isn't asked any
    /// more is followed by another within ten.
    ///
    /// # Errors
    /// When the store can't be asked: then it isn't.
    async fn elected(&self) -> Result<bool, StoreError>;

    /// Resolves when the store has stopped for good; pending as long as it serves.
    async fn stopped(&self);
}
