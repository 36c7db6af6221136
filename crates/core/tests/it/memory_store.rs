//! A store in memory that keeps what it is given, so that a test can look at
//! every stored byte. Its promises are the trait's; its speed is nobody's.

use async_trait::async_trait;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use strongroom_core::access::{Means, Permit, Proof};
use strongroom_core::agents::{Agent, Attachment, Revision};
use strongroom_core::answers::{AnswerId, KEPT_FOR, KeptAnswer};
use strongroom_core::api_keys::{ApiKey, ProofRows, UsedKey};
use strongroom_core::audit::tiles::{Place, Tiles};
use strongroom_core::audit::{Gap, Head, Sealing, Span};
use strongroom_core::events::{Event, EventFilter, EventKind, EventPage, Recorded};
use strongroom_core::fill_requests::{FillRequest, MOST_OPEN};
use strongroom_core::instance::{Instance, NewInstance, RootCopy};
use strongroom_core::invitations::Invitation;
use strongroom_core::key_links::KeyLink;
use strongroom_core::keyring::{KeyOwner, WrappedKey};
use strongroom_core::rows::{Row, RowMac, Stored};
use strongroom_core::runs::{Delivery, Run, RunRows, RunsOf, StoredRun};
use strongroom_core::sealing::Sealed;
use strongroom_core::secrets::{Secret, Version};
use strongroom_core::sessions::Session;
use strongroom_core::sign_ins::SignIn;
use strongroom_core::store::{AnyRow, ByDay, Change, Days, Held, KeyTurn, Purge, Put, Write};
use strongroom_core::teams::Team;
use strongroom_core::text::Email;
use strongroom_core::users::{Member, Membership, StoredMember, TeamPlace, User};
use strongroom_core::{
    AgentId, ApiKeyId, FillRequestId, InvitationId, KeyId, KeyLinkId, RevisionId, Role, RunId, SecretId,
    SessionId, Store, StoreError, TeamId, Timestamp, UserId,
};

/// Every table.
#[derive(Clone, Default)]
pub(crate) struct Tables {
    pub(crate) instance: Option<Stored<Instance>>,
    pub(crate) keys: Vec<WrappedKey>,
    pub(crate) copies: Vec<Stored<RootCopy>>,
    pub(crate) teams: Vec<Stored<Team>>,
    pub(crate) users: Vec<Stored<User>>,
    pub(crate) memberships: Vec<Stored<Membership>>,
    pub(crate) api_keys: Vec<Stored<ApiKey>>,
    pub(crate) key_links: Vec<Stored<KeyLink>>,
    pub(crate) sign_ins: Vec<Stored<SignIn>>,
    pub(crate) sessions: Vec<Stored<Session>>,
    pub(crate) invitations: Vec<Stored<Invitation>>,
    pub(crate) fill_requests: Vec<Stored<FillRequest>>,
    pub(crate) answers: Vec<Stored<KeptAnswer>>,
    pub(crate) secrets: Vec<Stored<Secret>>,
    pub(crate) versions: Vec<Version>,
    pub(crate) agents: Vec<Stored<Agent>>,
    pub(crate) revisions: Vec<Stored<Revision>>,
    pub(crate) attachments: Vec<Stored<Attachment>>,
    pub(crate) runs: Vec<Stored<Run>>,
    pub(crate) deliveries: Vec<Delivery>,
    pub(crate) uses: Vec<(ApiKeyId, Timestamp)>,
    pub(crate) events: Vec<Event>,
    /// Places in the record whose transactions are still under way.
    pub(crate) under_way: BTreeSet<i64>,
    pub(crate) head: Option<Head>,
    pub(crate) spans: Vec<Span>,
    pub(crate) tiles: Tiles,
    pub(crate) sinks: BTreeMap<String, u64>,
}

impl Tables {
    /// The events that can be seen, with their places.
    pub(crate) fn record(&self) -> impl Iterator<Item = Recorded> {
        self.record_within(Gap { first: 1, last: i64::MAX })
    }

    fn record_within(&self, places: Gap) -> impl Iterator<Item = Recorded> {
        let first = places.first.max(1);
        let room = usize::try_from(places.last.saturating_sub(first).saturating_add(1).max(0)).unwrap();
        let from = self.events.iter().skip(usize::try_from(first - 1).unwrap()).take(room);
        let seen = (first..).zip(from).filter(|(sequence, _)| !self.under_way.contains(sequence));
        seen.map(|(sequence, event)| Recorded::of(sequence, event))
    }
}

/// The row for which this holds.
fn find<T: Row + Clone>(rows: &[Stored<T>], is: impl Fn(&T) -> bool) -> Option<Stored<T>> {
    rows.iter().find(|row| is(row.row())).cloned()
}

/// The first of the rows for which this holds, by their ids.
fn page<T: Row + Clone, I: Ord>(
    rows: &[Stored<T>],
    limit: u32,
    id: impl Fn(&T) -> I,
    is: impl Fn(&T) -> bool,
) -> Vec<Stored<T>> {
    let mut found: Vec<_> = rows.iter().filter(|row| is(row.row())).cloned().collect();
    found.sort_by_key(|row| id(row.row()));
    found.truncate(usize::try_from(limit).unwrap());
    found
}

/// Stores a row over the one that has the same `key`.
fn put<T: Row, K: PartialEq>(
    rows: &mut Vec<Stored<T>>,
    put: Put<T>,
    key: impl Fn(&T) -> K,
) -> Result<(), StoreError> {
    let there = rows.iter_mut().find(|row| key(row.row()) == key(put.now.row()));
    match (there, put.was) {
        (None, None) => rows.push(put.now),
        (Some(_), None) => return Err(StoreError::Exists),
        (Some(there), Some(was)) if there.mac() == was => *there = put.now,
        (_, Some(_)) => return Err(StoreError::Changed),
    }
    Ok(())
}

fn holds(condition: bool, otherwise: StoreError) -> Result<(), StoreError> {
    if condition { Ok(()) } else { Err(otherwise) }
}

impl Tables {
    fn turn(&mut self, turn: KeyTurn) -> Result<(), StoreError> {
        let KeyTurn { master, instance, copies, removed, rewrapped, added, events } = turn;
        let of_instance = self.keys.iter().find(|key| key.owner.purpose().is_some());
        let is_own = of_instance.is_some_and(|key| key.sealed.key_id() == Ok(master));
        holds(is_own, StoreError::Changed)?;
        if let Some(put) = instance {
            let is_seen = self.instance.as_ref().map(Stored::mac) == put.was;
            holds(is_seen, StoreError::Changed)?;
            self.instance = Some(put.now);
        }
        copies.into_iter().try_for_each(|copy| put(&mut self.copies, copy, |row| row.provider.clone()))?;
        if let Some((provider, mac)) = removed {
            let there = self.copies.len();
            self.copies.retain(|copy| copy.row().provider != provider || copy.mac() != mac);
            holds(self.copies.len() < there, StoreError::Changed)?;
        }
        let lasting = self.keys.iter().filter(|key| key.owner != KeyOwner::Master).count();
        holds(rewrapped.is_empty() || rewrapped.len() == lasting, StoreError::Changed)?;
        for (key, anew) in rewrapped {
            let there = self.keys.iter_mut().find(|there| there.id == key.id && there.sealed == key.sealed);
            there.ok_or(StoreError::Changed)?.sealed = anew;
        }
        for key in added {
            match key.owner {
                KeyOwner::Master => self.keys.push(key),
                _ => self.add_key(key)?,
            }
        }
        self.events.extend(events);
        Ok(())
    }

    fn add_key(&mut self, key: WrappedKey) -> Result<(), StoreError> {
        let of_instance = self.keys.iter().find(|key| key.owner.purpose().is_some()).unwrap();
        let is_alike = of_instance.sealed.key_id() == key.sealed.key_id();
        holds(is_alike, StoreError::Unavailable("another master key sealed it".into()))?;
        let place = |key: &WrappedKey| (key.owner, key.version);
        holds(self.keys.iter().all(|there| place(there) != place(&key)), StoreError::Exists)?;
        self.keys.push(key);
        Ok(())
    }

    fn team_of(&self, id: TeamId) -> Option<Stored<Team>> {
        find(&self.teams, |team| team.id == id)
    }

    fn secret_of(&self, team: TeamId, id: SecretId) -> Option<Stored<Secret>> {
        find(&self.secrets, |secret| (secret.team_id, secret.id) == (team, id))
    }

    fn membership_of(&self, team: TeamId, user: UserId) -> Option<Stored<Membership>> {
        find(&self.memberships, |row| (row.team_id, row.user_id) == (team, user))
    }

    fn member_of(&self, team: TeamId, id: UserId) -> Option<StoredMember> {
        let user = find(&self.users, |user| user.id == id)?;
        Some(Member { user, membership: self.membership_of(team, id)? })
    }

    fn rows_of<T: Row>(&self, means: Stored<T>, (team, user): (TeamId, UserId)) -> Option<ProofRows<T>> {
        let (team_row, user_row) = (self.team_of(team)?, find(&self.users, |row| row.id == user)?);
        let membership = self.membership_of(team, user);
        Some(ProofRows { means, user: user_row, membership, team: team_row })
    }

    fn key_rows_of(&self, id: ApiKeyId) -> Option<ProofRows<ApiKey>> {
        let key = find(&self.api_keys, |key| key.id == id)?;
        let place = (key.row().team_id, key.row().user_id);
        self.rows_of(key, place)
    }

    fn link_rows_of(&self, id: KeyLinkId) -> Option<ProofRows<KeyLink>> {
        let link = find(&self.key_links, |link| link.id == id)?;
        let place = (link.row().team_id, link.row().user_id);
        self.rows_of(link, place)
    }

    fn session_rows_of(&self, id: SessionId) -> Option<ProofRows<Session>> {
        let session = find(&self.sessions, |session| session.id == id)?;
        let place = (session.row().team_id, session.row().user_id);
        self.rows_of(session, place)
    }

    fn invitation_rows_of(&self, id: InvitationId) -> Option<ProofRows<Invitation>> {
        let invitation = find(&self.invitations, |invitation| invitation.id == id)?;
        let place = (invitation.row().team_id, invitation.row().user_id);
        self.rows_of(invitation, place)
    }

    fn fill_request_rows_of(&self, id: FillRequestId) -> Option<ProofRows<FillRequest>> {
        let request = find(&self.fill_requests, |request| request.id == id)?;
        let place = (request.row().team_id, request.row().user_id);
        self.rows_of(request, place)
    }

    fn sign_in_of(&self, user: UserId) -> Option<Stored<SignIn>> {
        find(&self.sign_ins, |sign_in| sign_in.user_id == user)
    }

    fn run_rows_of(&self, id: RunId) -> Option<StoredRun> {
        let run = find(&self.runs, |run| run.id == id)?;
        let (team, user) = (run.row().team_id, run.row().user_id);
        let key = find(&self.api_keys, |key| key.id == run.row().key_id)?;
        let agent = find(&self.agents, |agent| (agent.team_id, agent.id) == (team, run.row().agent_id))?;
        let Member { user, membership } = self.member_of(team, user)?;
        Some(RunRows { run, key, agent, user, membership, team: self.team_of(team)? })
    }

    /// The runs that a question is about, the newest first.
    fn runs_of(&self, team: TeamId, of: RunsOf) -> Vec<&Run> {
        let wanted = |run: &&Run| {
            run.team_id == team
                && match of {
                    RunsOf::Team => true,
                    RunsOf::Run(id) => run.id == id,
                    RunsOf::Agent(agent) => run.agent_id == agent,
                    RunsOf::Key(key) => run.key_id == key,
                    RunsOf::User(user) => run.user_id == user,
                }
        };
        let mut runs: Vec<_> = self.runs.iter().map(Stored::row).filter(wanted).collect();
        runs.sort_by_key(|run| Reverse(run.id));
        runs
    }

    fn deliver(&mut self, delivery: Delivery) {
        let same = |there: &Delivery| {
            (there.run_id, there.secret_id, there.version, &there.env_keys)
                == (delivery.run_id, delivery.secret_id, delivery.version, &delivery.env_keys)
        };
        if !self.deliveries.iter().any(same) {
            self.deliveries.push(delivery);
        }
    }

    fn detach(
        &mut self,
        (team, revision, secret): (TeamId, RevisionId, SecretId),
        mac: RowMac,
    ) -> Result<(), StoreError> {
        let this =
            |row: &Attachment| (row.team_id, row.revision_id, row.secret_id) == (team, revision, secret);
        is(find(&self.attachments, this), mac)?;
        self.attachments.retain(|row| !this(row.row()));
        Ok(())
    }

    fn prove(&self, permit: &Permit) -> Result<(), StoreError> {
        let now = match permit.means() {
            Means::Key(id) => self.key_rows_of(id).and_then(proof),
            Means::Link(id) => self.link_rows_of(id).and_then(proof),
            Means::Run(id) => self.run_rows_of(id).map(|rows| run_proof(&rows)),
            Means::Session(id) => self.session_rows_of(id).and_then(proof),
            Means::Invitation(id) => self.invitation_rows_of(id).and_then(proof),
            Means::Fill(id) => self.fill_request_rows_of(id).and_then(proof),
            Means::SignIn => {
                let (team, user) = (permit.team_id(), permit.user_id());
                self.sign_in_of(user).and_then(|row| self.rows_of(row, (team, user))).and_then(proof)
            }
            Means::SetUp => {
                let (team, user) = (permit.team_id(), permit.user_id());
                let row = find(&self.users, |row| row.id == user);
                row.and_then(|row| self.rows_of(row, (team, user))).and_then(proof)
            }
        };
        holds(now == Some(permit.proof()), StoreError::StalePermit)
    }

    fn step(&mut self, change: Change) -> Result<(), StoreError> {
        match change {
            Change::Secret(row) => put(&mut self.secrets, row, |row| (row.team_id, row.id)),
            Change::Version(version) => self.add_version(version),
            Change::Team(row) => put(&mut self.teams, row, |row| row.id),
            Change::Key(key) => self.add_key(key),
            Change::User(row) => {
                put(&mut self.users, row, |row| row.id)?;
                self.addresses_differ()
            }
            Change::Membership(row) => put(&mut self.memberships, row, |row| (row.team_id, row.user_id)),
            Change::ApiKey(row) => put(&mut self.api_keys, row, |row| row.id),
            Change::KeyLink(row) => put(&mut self.key_links, row, |row| row.id),
            Change::SignIn(row) => put(&mut self.sign_ins, row, |row| row.user_id),
            Change::Session(row) => put(&mut self.sessions, row, |row| row.id),
            Change::Invitation(row) => put(&mut self.invitations, row, |row| row.id),
            Change::FillRequest(row) => put(&mut self.fill_requests, row, |row| row.id),
            Change::Agent(row) => put(&mut self.agents, row, |row| (row.team_id, row.id)),
            Change::Revision(row) => put(&mut self.revisions, row, |row| (row.team_id, row.id)),
            Change::Attachment(row) => {
                put(&mut self.attachments, row, |row| (row.team_id, row.revision_id, row.secret_id))
            }
            Change::Detach(team, revision, secret, mac) => self.detach((team, revision, secret), mac),
            Change::Run(row) => put(&mut self.runs, row, |row| row.id),
            Change::Delivery(delivery) => {
                self.deliver(delivery);
                Ok(())
            }
            Change::AgentIs(team, id, mac) => {
                is(find(&self.agents, |row| (row.team_id, row.id) == (team, id)), mac)
            }
            Change::AttachmentIs(team, revision, secret, mac) => {
                let this = |row: &Attachment| {
                    (row.team_id, row.revision_id, row.secret_id) == (team, revision, secret)
                };
                is(find(&self.attachments, this), mac)
            }
            Change::SecretIs(team, id, mac) => is(self.secret_of(team, id), mac),
            Change::MembershipIs(team, user, mac) => is(self.membership_of(team, user), mac),
            Change::HasOwner(team) => holds(self.has_owner(team), StoreError::LastOwner),
            Change::HasNoKey(team, user) => {
                let good =
                    |key: &ApiKey| (key.team_id, key.user_id) == (team, user) && key.revoked_at.is_none();
                holds(find(&self.api_keys, good).is_none(), StoreError::Changed)
            }
            Change::AsksForFewer(team, user, now) => {
                let theirs = |row: &FillRequest| (row.team_id, row.user_id) == (team, user);
                let open = self.fill_requests.iter().map(Stored::row).filter(|row| theirs(row));
                let open = open.filter(|row| is_open(row, now)).count();
                holds(open < MOST_OPEN, StoreError::AskedTooOften)
            }
        }
    }

    fn add_version(&mut self, version: Version) -> Result<(), StoreError> {
        let key = |version: &Version| (version.secret_id, version.number);
        holds(self.versions.iter().all(|there| key(there) != key(&version)), StoreError::Exists)?;
        self.versions.push(version);
        Ok(())
    }

    fn addresses_differ(&self) -> Result<(), StoreError> {
        let addresses = self.users.iter().filter_map(|user| user.row().email.as_ref());
        let mut addresses: Vec<_> = addresses.map(|email| email.as_str().to_ascii_lowercase()).collect();
        addresses.sort();
        holds(addresses.windows(2).all(|pair| pair[0] != pair[1]), StoreError::Exists)
    }

    fn has_owner(&self, team: TeamId) -> bool {
        self.memberships.iter().map(Stored::row).any(|row| {
            let person = |user: &User| {
                user.id == row.user_id && user.disabled_at.is_none() && user.service_of.is_none()
            };
            (row.team_id, row.role, row.removed_at) == (team, Role::Owner, None)
                && find(&self.users, person).is_some()
        })
    }

    fn keep(&mut self, answer: Stored<KeptAnswer>) -> Result<(), StoreError> {
        let (id, now) = (answer.row().id, answer.row().created_at.as_millis());
        self.answers.retain(|kept| kept.row().id != id || kept.row().created_at.as_millis() > now - KEPT_FOR);
        put(&mut self.answers, Put::new(answer), |row| row.id).map_err(|_| StoreError::Answered)
    }

    fn is_due(&self, secret: &Secret, before: Timestamp) -> bool {
        let by = |time: Option<Timestamp>| time.is_some_and(|time| time <= before);
        let owner = secret.owner.and_then(|owner| self.membership_of(secret.team_id, owner));
        let shredded = find(&self.teams, |team| team.id == secret.team_id && team.shredded_at.is_some());
        by(secret.deleted_at) || owner.is_some_and(|row| by(row.row().removed_at)) || shredded.is_some()
    }

    fn purge_one(&mut self, purge: Purge) -> Result<(), StoreError> {
        match purge {
            Purge::Secret(team, id, mac) => {
                is(self.secret_of(team, id), mac)?;
                self.secrets.retain(|secret| secret.row().id != id);
                self.versions.retain(|version| version.secret_id != id);
                self.attachments.retain(|row| (row.row().team_id, row.row().secret_id) != (team, id));
            }
            Purge::Team(row) => {
                let id = row.now.row().id;
                put(&mut self.teams, row, |row| row.id)?;
                self.keys.retain(|key| key.owner.team() != Some(id));
                self.memberships.retain(|row| row.row().team_id != id);
                self.api_keys.retain(|key| key.row().team_id != id);
                self.key_links.retain(|link| link.row().team_id != id);
                self.sessions.retain(|session| session.row().team_id != id);
                self.invitations.retain(|invitation| invitation.row().team_id != id);
                self.fill_requests.retain(|request| request.row().team_id != id);
                self.attachments.retain(|row| row.row().team_id != id);
                self.revisions.retain(|row| row.row().team_id != id);
                self.agents.retain(|row| row.row().team_id != id);
            }
        }
        Ok(())
    }
}

fn proof<T: Row>(rows: ProofRows<T>) -> Option<Proof> {
    let membership = rows.membership?.mac();
    Some(Proof {
        means: rows.means.mac(),
        user: rows.user.mac(),
        membership,
        team: rows.team.mac(),
        start: None,
    })
}

fn run_proof(rows: &StoredRun) -> Proof {
    Proof {
        means: rows.run.mac(),
        user: rows.user.mac(),
        membership: rows.membership.mac(),
        team: rows.team.mac(),
        start: Some((rows.key.mac(), rows.agent.mac())),
    }
}

fn is<T: Row>(row: Option<Stored<T>>, mac: RowMac) -> Result<(), StoreError> {
    holds(row.is_some_and(|row| row.mac() == mac), StoreError::Changed)
}

/// What happens between the reads of a verb and its write. An error is the write's.
pub(crate) type Meanwhile = Box<dyn FnMut() -> Result<(), StoreError> + Send>;

#[derive(Default)]
pub(crate) struct MemoryStore {
    tables: Mutex<Tables>,
    meanwhile: Mutex<Option<Meanwhile>>,
}

impl MemoryStore {
    pub(crate) fn with(tables: Tables) -> Self {
        Self { tables: Mutex::new(tables), meanwhile: Mutex::default() }
    }

    pub(crate) fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap()
    }

    /// Does this before each write from now on, but not before its own.
    pub(crate) fn set_meanwhile(&self, meanwhile: Meanwhile) {
        *self.meanwhile.lock().unwrap() = Some(meanwhile);
    }

    pub(crate) fn clear_meanwhile(&self) {
        *self.meanwhile.lock().unwrap() = None;
    }

    fn happens(&self) -> Result<(), StoreError> {
        let taken = self.meanwhile.lock().unwrap().take();
        let Some(mut meanwhile) = taken else { return Ok(()) };
        let happened = meanwhile();
        *self.meanwhile.lock().unwrap() = Some(meanwhile);
        happened
    }

    /// Does this whole, or not at all.
    fn all_or_nothing(
        &self,
        work: impl FnOnce(&mut Tables) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut tables = self.tables();
        let mut changed = tables.clone();
        work(&mut changed)?;
        *tables = changed;
        Ok(())
    }
}

fn is_open(request: &FillRequest, now: Timestamp) -> bool {
    request.closed_at.is_none() && request.expires_at > now
}

#[async_trait]
impl Store for MemoryStore {
    async fn instance(&self) -> Result<Option<Stored<Instance>>, StoreError> {
        Ok(self.tables().instance.clone())
    }

    async fn create_instance(&self, new: NewInstance) -> Result<(), StoreError> {
        let mut tables = self.tables();
        if tables.instance.is_some() {
            return Err(StoreError::Exists);
        }
        *tables = Tables {
            instance: Some(new.instance),
            keys: new.keys,
            teams: vec![new.team],
            users: vec![new.owner],
            memberships: vec![new.membership],
            api_keys: vec![new.api_key],
            events: vec![new.event],
            ..Tables::default()
        };
        Ok(())
    }

    async fn purpose_keys(&self) -> Result<Vec<WrappedKey>, StoreError> {
        Ok(self.tables().keys.iter().filter(|key| key.owner.team().is_none()).cloned().collect())
    }

    async fn team_keys(&self, team: TeamId) -> Result<Vec<WrappedKey>, StoreError> {
        Ok(self.tables().keys.iter().filter(|key| key.owner.team() == Some(team)).cloned().collect())
    }

    async fn teams_with_older_keys(&self) -> Result<Vec<(TeamId, u16)>, StoreError> {
        let (tables, mut versions) = (self.tables(), BTreeMap::<TeamId, Vec<u16>>::new());
        for key in &tables.keys {
            key.owner.team().into_iter().for_each(|team| versions.entry(team).or_default().push(key.version));
        }
        let several = versions.into_iter().filter(|(_, versions)| versions.len() > 1);
        Ok(several.map(|(team, versions)| (team, versions.into_iter().max().unwrap())).collect())
    }

    async fn versions_of_team(
        &self,
        team: TeamId,
        after: Option<(SecretId, u32)>,
        limit: u32,
    ) -> Result<Vec<Version>, StoreError> {
        let tables = self.tables();
        let ours =
            |secret: SecretId| find(&tables.secrets, |row| row.id == secret && row.team_id == team).is_some();
        let mut versions: Vec<_> =
            tables.versions.iter().filter(|version| ours(version.secret_id)).cloned().collect();
        versions.sort_by_key(|version| (version.secret_id, version.number));
        versions.retain(|version| after.is_none_or(|after| (version.secret_id, version.number) > after));
        versions.truncate(limit as usize);
        Ok(versions)
    }

    async fn count_versions(&self, team: TeamId, key: KeyId) -> Result<(u64, u64), StoreError> {
        let all = self.versions_of_team(team, None, u32::MAX).await?;
        let left = all.iter().filter(|version| version.sealed.key_id() != Ok(key)).count();
        Ok((u64::try_from(all.len()).unwrap(), u64::try_from(left).unwrap()))
    }

    async fn reseal(&self, versions: Vec<(Version, Sealed)>) -> Result<u64, StoreError> {
        let mut done = 0;
        for (old, sealed) in versions {
            let mut tables = self.tables();
            let is = |version: &&mut Version| {
                (version.secret_id, version.number, &version.sealed)
                    == (old.secret_id, old.number, &old.sealed)
            };
            if let Some(version) = tables.versions.iter_mut().find(is) {
                version.sealed = sealed;
                done += 1;
            }
        }
        Ok(done)
    }

    async fn retire_keys(&self, team: TeamId, before: u16, event: Event) -> Result<(), StoreError> {
        let mut tables = self.tables();
        tables.keys.retain(|key| key.owner.team() != Some(team) || key.version >= before);
        tables.events.push(event);
        Ok(())
    }

    async fn key_rows(&self, key: ApiKeyId) -> Result<Option<ProofRows<ApiKey>>, StoreError> {
        Ok(self.tables().key_rows_of(key))
    }

    async fn link_rows(&self, link: KeyLinkId) -> Result<Option<ProofRows<KeyLink>>, StoreError> {
        Ok(self.tables().link_rows_of(link))
    }

    async fn session_rows(&self, session: SessionId) -> Result<Option<ProofRows<Session>>, StoreError> {
        Ok(self.tables().session_rows_of(session))
    }

    async fn invitation_rows(
        &self,
        invitation: InvitationId,
    ) -> Result<Option<ProofRows<Invitation>>, StoreError> {
        Ok(self.tables().invitation_rows_of(invitation))
    }

    async fn sign_in(&self, user: UserId) -> Result<Option<Stored<SignIn>>, StoreError> {
        Ok(self.tables().sign_in_of(user))
    }

    async fn sessions(
        &self,
        user: UserId,
        beyond: Timestamp,
        limit: u32,
    ) -> Result<Vec<Stored<Session>>, StoreError> {
        let open = |row: &Session| row.user_id == user && row.ended_at.is_none() && row.expires_at > beyond;
        Ok(page(&self.tables().sessions, limit, |row| Reverse(row.id), open))
    }

    async fn places(
        &self,
        user: UserId,
        limit: u32,
    ) -> Result<Vec<TeamPlace<Stored<Membership>, Stored<Team>>>, StoreError> {
        let tables = self.tables();
        let here = |row: &Membership| row.user_id == user && row.removed_at.is_none();
        let found = page(&tables.memberships, limit, |row| row.team_id, here);
        let place = |membership: Stored<Membership>| {
            let team = tables.team_of(membership.row().team_id).unwrap();
            TeamPlace { membership, team }
        };
        Ok(found.into_iter().map(place).collect())
    }

    async fn invitation(
        &self,
        team: TeamId,
        invitation: InvitationId,
    ) -> Result<Option<Stored<Invitation>>, StoreError> {
        Ok(find(&self.tables().invitations, |row| (row.team_id, row.id) == (team, invitation)))
    }

    async fn invitations(
        &self,
        team: TeamId,
        after: Option<InvitationId>,
        limit: u32,
    ) -> Result<Vec<Stored<Invitation>>, StoreError> {
        let open = |row: &Invitation| row.team_id == team && row.closed_at.is_none() && Some(row.id) > after;
        Ok(page(&self.tables().invitations, limit, |row| row.id, open))
    }

    async fn fill_request_rows(
        &self,
        request: FillRequestId,
    ) -> Result<Option<ProofRows<FillRequest>>, StoreError> {
        Ok(self.tables().fill_request_rows_of(request))
    }

    async fn fill_request(
        &self,
        team: TeamId,
        request: FillRequestId,
    ) -> Result<Option<Stored<FillRequest>>, StoreError> {
        Ok(find(&self.tables().fill_requests, |row| (row.team_id, row.id) == (team, request)))
    }

    async fn fill_requests(
        &self,
        whose: (TeamId, Option<UserId>),
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Stored<FillRequest>>, StoreError> {
        let theirs = |row: &FillRequest| whose.1.is_none_or(|user| row.user_id == user);
        let open = |row: &FillRequest| row.team_id == whose.0 && theirs(row) && is_open(row, now);
        let by_end = |row: &FillRequest| Reverse((row.expires_at, row.id));
        Ok(page(&self.tables().fill_requests, limit, by_end, open))
    }

    async fn forget_fill_requests(&self, before: Timestamp, _: u32) -> Result<u32, StoreError> {
        let mut tables = self.tables();
        let rows = tables.fill_requests.len();
        tables.fill_requests.retain(|row| row.row().expires_at >= before);
        Ok(u32::try_from(rows - tables.fill_requests.len()).unwrap())
    }

    async fn forget_sessions(&self, before: Timestamp, _: u32) -> Result<u32, StoreError> {
        let mut tables = self.tables();
        let rows = tables.sessions.len() + tables.invitations.len();
        tables.sessions.retain(|row| row.row().expires_at >= before);
        tables.invitations.retain(|row| row.row().expires_at >= before);
        Ok(u32::try_from(rows - tables.sessions.len() - tables.invitations.len()).unwrap())
    }

    async fn add_purpose_key(&self, key: WrappedKey) -> Result<(), StoreError> {
        let mut tables = self.tables();
        if tables.keys.iter().any(|there| there.owner == key.owner) {
            return Ok(());
        }
        tables.add_key(key)
    }

    async fn keys(&self) -> Result<Vec<WrappedKey>, StoreError> {
        Ok(self.tables().keys.clone())
    }

    async fn root_copies(&self) -> Result<Vec<Stored<RootCopy>>, StoreError> {
        Ok(self.tables().copies.clone())
    }

    async fn turn_keys(&self, turn: KeyTurn) -> Result<(), StoreError> {
        self.happens()?;
        self.all_or_nothing(|tables| tables.turn(turn))
    }

    async fn close_ways(&self, before: Timestamp) -> Result<u64, StoreError> {
        let keys = &mut self.tables().keys;
        let there = keys.len();
        keys.retain(|key| key.owner != KeyOwner::Master || key.created_at >= before);
        Ok(u64::try_from(there - keys.len()).unwrap())
    }

    async fn events_of_keys(&self, limit: u32) -> Result<Vec<Recorded>, StoreError> {
        let mut found: Vec<_> = self.tables().record().collect();
        found.retain(|event| ["instance", "keys", "root_copies"].contains(&&*event.table));
        found.reverse();
        found.truncate(limit as usize);
        Ok(found)
    }

    async fn user(&self, user: UserId) -> Result<Option<Stored<User>>, StoreError> {
        Ok(find(&self.tables().users, |row| row.id == user))
    }

    async fn secret(&self, team: TeamId, id: SecretId) -> Result<Option<Stored<Secret>>, StoreError> {
        Ok(self.tables().secret_of(team, id))
    }

    async fn secrets_visible_to(
        &self,
        team: TeamId,
        user: UserId,
        after: Option<SecretId>,
        limit: u32,
    ) -> Result<Vec<Stored<Secret>>, StoreError> {
        let visible = |row: &Secret| {
            let theirs = row.owner.is_none_or(|owner| owner == user) && row.deleted_at.is_none();
            row.team_id == team && theirs && after.is_none_or(|after| row.id > after)
        };
        Ok(page(&self.tables().secrets, limit, |row| row.id, visible))
    }

    async fn deleted_secrets(
        &self,
        team: TeamId,
        user: UserId,
        limit: u32,
    ) -> Result<Vec<Stored<Secret>>, StoreError> {
        let deleted = |row: &Secret| {
            let theirs = row.owner.is_none_or(|owner| owner == user) && row.deleted_at.is_some();
            row.team_id == team && theirs
        };
        Ok(page(&self.tables().secrets, limit, |row| Reverse(row.deleted_at), deleted))
    }

    async fn version(&self, secret: SecretId, number: u32) -> Result<Option<Version>, StoreError> {
        let wanted = |row: &&Version| (row.secret_id, row.number) == (secret, number);
        Ok(self.tables().versions.iter().find(wanted).cloned())
    }

    async fn versions(&self, secret: SecretId, after: u32, limit: u32) -> Result<Vec<Version>, StoreError> {
        let wanted = |row: &&Version| row.secret_id == secret && row.number > after;
        let mut found: Vec<_> = self.tables().versions.iter().filter(wanted).cloned().collect();
        found.sort_by_key(|row| row.number);
        found.truncate(usize::try_from(limit).unwrap());
        Ok(found)
    }

    async fn team(&self, team: TeamId) -> Result<Option<Stored<Team>>, StoreError> {
        Ok(self.tables().team_of(team))
    }

    async fn member(&self, team: TeamId, user: UserId) -> Result<Option<StoredMember>, StoreError> {
        Ok(self.tables().member_of(team, user))
    }

    async fn members(
        &self,
        team: TeamId,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<StoredMember>, StoreError> {
        let tables = self.tables();
        let present = |row: &Membership| {
            row.team_id == team && row.removed_at.is_none() && after.is_none_or(|after| row.user_id > after)
        };
        let rows = page(&tables.memberships, limit, |row| row.user_id, present);
        Ok(rows.iter().filter_map(|row| tables.member_of(team, row.row().user_id)).collect())
    }

    async fn user_by_email(&self, email: &Email) -> Result<Option<Stored<User>>, StoreError> {
        let same = |other: &Email| other.as_str().eq_ignore_ascii_case(email.as_str());
        Ok(find(&self.tables().users, |user| user.email.as_ref().is_some_and(same)))
    }

    async fn api_key(&self, team: TeamId, key: ApiKeyId) -> Result<Option<Stored<ApiKey>>, StoreError> {
        Ok(find(&self.tables().api_keys, |row| (row.team_id, row.id) == (team, key)))
    }

    async fn api_keys(
        &self,
        team: TeamId,
        user: Option<UserId>,
        after: Option<ApiKeyId>,
        limit: u32,
    ) -> Result<Vec<UsedKey<Stored<ApiKey>>>, StoreError> {
        let tables = self.tables();
        let wanted = |row: &ApiKey| {
            let theirs = user.is_none_or(|user| row.user_id == user);
            row.team_id == team && theirs && after.is_none_or(|after| row.id > after)
        };
        let with_use = |key: Stored<ApiKey>| {
            let noted = tables.uses.iter().filter(|(of, _)| *of == key.row().id);
            UsedKey { last_used_at: noted.map(|(_, at)| *at).max(), key }
        };
        Ok(page(&tables.api_keys, limit, |row| row.id, wanted).into_iter().map(with_use).collect())
    }

    async fn key_link(&self, team: TeamId, link: KeyLinkId) -> Result<Option<Stored<KeyLink>>, StoreError> {
        Ok(find(&self.tables().key_links, |row| (row.team_id, row.id) == (team, link)))
    }

    async fn key_links(
        &self,
        team: TeamId,
        after: Option<KeyLinkId>,
        limit: u32,
    ) -> Result<Vec<Stored<KeyLink>>, StoreError> {
        let open = |row: &KeyLink| {
            row.team_id == team && row.closed_at.is_none() && after.is_none_or(|after| row.id > after)
        };
        Ok(page(&self.tables().key_links, limit, |row| row.id, open))
    }

    async fn agent(&self, team: TeamId, agent: AgentId) -> Result<Option<Stored<Agent>>, StoreError> {
        Ok(find(&self.tables().agents, |row| (row.team_id, row.id) == (team, agent)))
    }

    async fn agents(
        &self,
        team: TeamId,
        after: Option<AgentId>,
        limit: u32,
    ) -> Result<Vec<Stored<Agent>>, StoreError> {
        let present = |row: &Agent| {
            row.team_id == team && row.deleted_at.is_none() && after.is_none_or(|after| row.id > after)
        };
        Ok(page(&self.tables().agents, limit, |row| row.id, present))
    }

    async fn revision(
        &self,
        team: TeamId,
        revision: RevisionId,
    ) -> Result<Option<Stored<Revision>>, StoreError> {
        Ok(find(&self.tables().revisions, |row| (row.team_id, row.id) == (team, revision)))
    }

    async fn revisions(
        &self,
        team: TeamId,
        agent: AgentId,
        after: Option<RevisionId>,
        limit: u32,
    ) -> Result<Vec<Stored<Revision>>, StoreError> {
        let wanted = |row: &Revision| {
            (row.team_id, row.agent_id) == (team, agent) && after.is_none_or(|after| row.id > after)
        };
        Ok(page(&self.tables().revisions, limit, |row| row.id, wanted))
    }

    async fn attachments(
        &self,
        team: TeamId,
        revision: RevisionId,
    ) -> Result<Vec<Stored<Attachment>>, StoreError> {
        let wanted = |row: &Attachment| (row.team_id, row.revision_id) == (team, revision);
        Ok(page(&self.tables().attachments, u32::MAX, |row| row.secret_id, wanted))
    }

    async fn attachments_of(
        &self,
        team: TeamId,
        secret: SecretId,
        limit: u32,
    ) -> Result<Vec<Stored<Attachment>>, StoreError> {
        let of = |row: &Attachment| (row.team_id, row.secret_id) == (team, secret);
        Ok(page(&self.tables().attachments, limit, |row| row.id, of))
    }

    async fn run(&self, run: RunId) -> Result<Option<StoredRun>, StoreError> {
        Ok(self.tables().run_rows_of(run))
    }

    async fn runs(
        &self,
        team: TeamId,
        of: RunsOf,
        (skip, limit): (u32, u32),
    ) -> Result<Vec<StoredRun>, StoreError> {
        let tables = self.tables();
        let runs = tables.runs_of(team, of).into_iter();
        let page = runs.skip(usize::try_from(skip).unwrap()).take(usize::try_from(limit).unwrap());
        Ok(page.filter_map(|run| tables.run_rows_of(run.id)).collect())
    }

    async fn open_runs(
        &self,
        team: TeamId,
        of: RunsOf,
        at: Timestamp,
        (before, limit): (Option<RunId>, u32),
    ) -> Result<Vec<StoredRun>, StoreError> {
        let tables = self.tables();
        let is_open = |run: &&Run| run.expires_at > at && run.stopped_at.is_none();
        let older = |run: &&Run| before.is_none_or(|before| run.id < before);
        let runs = tables.runs_of(team, of).into_iter().filter(is_open).filter(older);
        let page = runs.take(usize::try_from(limit).unwrap());
        Ok(page.filter_map(|run| tables.run_rows_of(run.id)).collect())
    }

    async fn runs_by_day(&self, team: TeamId, since: Timestamp, most: u32) -> Result<ByDay, StoreError> {
        let tables = self.tables();
        let mut newest: Vec<_> = tables.runs.iter().map(Stored::row).collect();
        newest.retain(|run| run.team_id == team && run.created_at >= since);
        newest.sort_by_key(|run| Reverse(run.id));
        newest.truncate(most.try_into().unwrap());
        let to = |delivery: &&Delivery| newest.iter().any(|run| run.id == delivery.run_id);
        let deliveries = tables.deliveries.iter().filter(to).map(|delivery| delivery.at);
        Ok(ByDay { runs: by_day(newest.iter().map(|run| run.created_at)), deliveries: by_day(deliveries) })
    }

    async fn refusals_by_day(&self, team: TeamId, since: Timestamp, _: u32) -> Result<Days, StoreError> {
        let mut days = BTreeMap::new();
        for event in &self.tables().events {
            let refusal = event.refusal.filter(|_| event.team_id == Some(team) && event.at >= since);
            if let Some(refusal) = refusal {
                *days.entry(event.at.as_millis() / 86_400_000).or_insert(0) += u64::from(refusal.times);
            }
        }
        Ok(days.into_iter().collect())
    }

    async fn count_runs(&self, team: TeamId, of: RunsOf) -> Result<u64, StoreError> {
        Ok(u64::try_from(self.tables().runs_of(team, of).len()).unwrap())
    }

    async fn deliveries(
        &self,
        team: TeamId,
        of: RunsOf,
        (after, limit): (Option<RunId>, u32),
    ) -> Result<Vec<(RunId, Option<Delivery>)>, StoreError> {
        let tables = self.tables();
        let mut runs: Vec<_> = tables.runs_of(team, of).into_iter().map(|run| run.id).collect();
        runs.retain(|run| after.is_none_or(|after| *run > after));
        runs.sort_unstable();
        runs.truncate(usize::try_from(limit).unwrap());
        let received = |run: RunId| {
            let theirs = tables.deliveries.iter().filter(move |row| row.run_id == run).cloned();
            let theirs: Vec<_> = theirs.map(|row| (run, Some(row))).collect();
            if theirs.is_empty() { vec![(run, None)] } else { theirs }
        };
        Ok(runs.into_iter().flat_map(received).collect())
    }

    async fn deliveries_of(&self, secret: SecretId, limit: u32) -> Result<Vec<Delivery>, StoreError> {
        let tables = self.tables();
        let mut found: Vec<_> =
            tables.deliveries.iter().filter(|row| row.secret_id == secret).cloned().collect();
        found.sort_by_key(|row| Reverse((row.version, row.run_id)));
        found.truncate(usize::try_from(limit).unwrap());
        Ok(found)
    }

    async fn forget_runs(&self, limit: u32) -> Result<u32, StoreError> {
        let mut tables = self.tables();
        let shredded: Vec<_> = tables
            .teams
            .iter()
            .map(Stored::row)
            .filter(|team| team.shredded_at.is_some())
            .map(|team| team.id)
            .collect();
        let gone = tables.runs.iter().map(Stored::row);
        let gone: Vec<_> = gone.filter(|run| shredded.contains(&run.team_id)).map(|run| run.id).collect();
        let gone = &gone[..gone.len().min(usize::try_from(limit).unwrap())];
        tables.runs.retain(|run| !gone.contains(&run.row().id));
        tables.deliveries.retain(|row| !gone.contains(&row.run_id));
        Ok(u32::try_from(gone.len()).unwrap())
    }

    async fn answer(&self, id: AnswerId) -> Result<Option<Stored<KeptAnswer>>, StoreError> {
        Ok(find(&self.tables().answers, |row| row.id == id))
    }

    async fn write(&self, write: Write) -> Result<(), StoreError> {
        self.happens()?;
        self.all_or_nothing(|tables| {
            tables.prove(&write.permit)?;
            write.changes.into_iter().try_for_each(|change| tables.step(change))?;
            tables.events.extend(write.events);
            write.answers.into_iter().try_for_each(|answer| tables.keep(answer))?;
            if write.rehearsal { Err(StoreError::Rehearsed) } else { Ok(()) }
        })
    }

    async fn keep_answer(&self, answer: Stored<KeptAnswer>) -> Result<(), StoreError> {
        self.tables().keep(answer)
    }

    async fn forget_answers(&self, before: Timestamp, limit: u32) -> Result<u32, StoreError> {
        let answers = &mut self.tables().answers;
        let mut left = limit;
        answers.retain(|row| {
            let goes = row.row().created_at < before && left > 0;
            left -= u32::from(goes);
            !goes
        });
        Ok(limit - left)
    }

    async fn note_uses(&self, uses: Vec<(ApiKeyId, Timestamp)>) -> Result<(), StoreError> {
        self.tables().uses.extend(uses);
        Ok(())
    }

    async fn secrets_due(
        &self,
        before: Timestamp,
        skip: u32,
        limit: u32,
    ) -> Result<Vec<Option<Stored<Secret>>>, StoreError> {
        let tables = self.tables();
        let due = page(&tables.secrets, skip + limit, |row| row.id, |row| tables.is_due(row, before));
        Ok(due.into_iter().skip(usize::try_from(skip).unwrap()).map(Some).collect())
    }

    async fn teams_due(&self, before: Timestamp) -> Result<Vec<Option<Stored<Team>>>, StoreError> {
        let due = |row: &Team| row.deleted_at.is_some_and(|at| at <= before) && row.shredded_at.is_none();
        Ok(page(&self.tables().teams, u32::MAX, |row| row.id, due).into_iter().map(Some).collect())
    }

    async fn purge(&self, purges: Vec<(Purge, Event)>) -> Result<(), StoreError> {
        self.all_or_nothing(|tables| {
            purges.into_iter().try_for_each(|(purge, event)| {
                tables.events.push(event);
                tables.purge_one(purge)
            })
        })
    }

    async fn record_all(&self, events: Arc<[Event]>) -> Result<Option<i64>, StoreError> {
        let mut tables = self.tables();
        let first = i64::try_from(tables.events.len()).unwrap() + 1;
        tables.events.extend(events.iter().cloned());
        Ok((!events.is_empty()).then_some(first))
    }

    async fn events(
        &self,
        team: TeamId,
        filter: &EventFilter,
        before: Option<i64>,
        limit: u32,
    ) -> Result<EventPage, StoreError> {
        let all = self.tables().events.clone();
        let newest_first =
            (1..).zip(&all).map(|(sequence, event)| Recorded::of(sequence, event)).collect::<Vec<_>>();
        let older = newest_first
            .into_iter()
            .rev()
            .filter(|event| before.is_none_or(|before| event.sequence < before));
        let ours = older.filter(|event| event.team_id == Some(team) && filter.matches(event));
        let mut events: Vec<_> = ours.collect();
        let room = usize::try_from(limit).unwrap();
        let next = (events.len() > room).then(|| events[room - 1].sequence);
        events.truncate(room);
        Ok(EventPage { events, next })
    }

    async fn run_requests(
        &self,
        team: TeamId,
        run: RunId,
        before: Option<i64>,
        limit: u32,
    ) -> Result<EventPage, StoreError> {
        let kinds = vec![EventKind::RunRequested];
        let filter = EventFilter { kinds, run: Some(run), ..EventFilter::default() };
        self.events(team, &filter, before, limit).await
    }

    async fn audit_head(&self) -> Result<Option<Head>, StoreError> {
        Ok(self.tables().head.clone())
    }

    async fn audit_tiles(&self, places: &[Place]) -> Result<Tiles, StoreError> {
        let tables = self.tables();
        let tile = |place: &Place| Some((*place, tables.tiles.0.get(place)?.clone()));
        Ok(Tiles(places.iter().filter_map(tile).collect()))
    }

    async fn audit_spans(&self, leaf: u64, limit: u32) -> Result<Vec<Span>, StoreError> {
        let spans = self.tables().spans.clone();
        let behind = spans.into_iter().filter(|span| span.end_leaf() > leaf);
        Ok(behind.take(limit as usize).collect())
    }

    async fn audit_spans_by_place(&self, sequence: i64, limit: u32) -> Result<Vec<Span>, StoreError> {
        let mut spans = self.tables().spans.clone();
        spans.sort_by_key(|span| span.sequence);
        let from = spans.iter().rposition(|span| span.sequence <= sequence).unwrap_or(0);
        Ok(spans.into_iter().skip(from).take(limit as usize).collect())
    }

    async fn recorded(
        &self,
        places: Gap,
        team: Option<TeamId>,
        limit: u32,
    ) -> Result<Vec<Recorded>, StoreError> {
        let tables = self.tables();
        let theirs = tables.record_within(places).filter(|event| team.is_none() || event.team_id == team);
        Ok(theirs.take(limit as usize).collect())
    }

    async fn recorded_within(&self, gaps: &[Gap], limit: u32) -> Result<Vec<Recorded>, StoreError> {
        let tables = self.tables();
        let is_within = |at: i64| gaps.iter().any(|gap| (gap.first..=gap.last).contains(&at));
        let within = tables.record().filter(|event| is_within(event.sequence));
        Ok(within.take(limit as usize).collect())
    }

    async fn audit_sink(&self, name: &str) -> Result<Option<u64>, StoreError> {
        Ok(self.tables().sinks.get(name).copied())
    }

    async fn move_audit_sink(&self, name: &str, leaf: u64) -> Result<(), StoreError> {
        self.tables().sinks.insert(name.to_owned(), leaf);
        Ok(())
    }

    async fn seal_events(&self, sealing: Sealing) -> Result<(), StoreError> {
        let mut tables = self.tables();
        if tables.head.as_ref().map_or(0, |head| head.size) != sealing.was {
            return Err(StoreError::Changed);
        }
        tables.head = Some(sealing.head);
        for span in sealing.spans {
            tables.spans.retain(|known| known.leaf != span.leaf);
            tables.spans.push(span);
        }
        tables.tiles.0.extend(sealing.tiles);
        Ok(())
    }

    async fn walk(&self, visit: &mut (dyn FnMut(AnyRow) + Send)) -> Result<(), StoreError> {
        let tables = self.tables().clone();
        tables.keys.into_iter().for_each(|row| visit(AnyRow::Key(row)));
        tables.copies.into_iter().for_each(|row| visit(AnyRow::RootCopy(row)));
        tables.teams.into_iter().for_each(|row| visit(AnyRow::Team(row)));
        tables.users.into_iter().for_each(|row| visit(AnyRow::User(row)));
        tables.memberships.into_iter().for_each(|row| visit(AnyRow::Membership(row)));
        tables.api_keys.into_iter().for_each(|row| visit(AnyRow::ApiKey(row)));
        tables.key_links.into_iter().for_each(|row| visit(AnyRow::KeyLink(row)));
        tables.sign_ins.into_iter().for_each(|row| visit(AnyRow::SignIn(row)));
        tables.sessions.into_iter().for_each(|row| visit(AnyRow::Session(row)));
        tables.fill_requests.into_iter().for_each(|row| visit(AnyRow::FillRequest(row)));
        tables.invitations.into_iter().for_each(|row| visit(AnyRow::Invitation(row)));
        tables.answers.into_iter().for_each(|row| visit(AnyRow::Answer(row)));
        tables.agents.into_iter().for_each(|row| visit(AnyRow::Agent(row)));
        tables.revisions.into_iter().for_each(|row| visit(AnyRow::Revision(row)));
        tables.attachments.into_iter().for_each(|row| visit(AnyRow::Attachment(row)));
        tables.runs.into_iter().for_each(|row| visit(AnyRow::Run(row)));
        for secret in tables.secrets {
            let id = secret.row().id;
            let versions = tables.versions.iter().filter(|version| version.secret_id == id);
            visit(AnyRow::Secret(secret, versions.cloned().collect()));
        }
        Ok(())
    }

    async fn rows(&self) -> Result<u64, StoreError> {
        let tables = self.tables();
        let rows = tables.keys.len() + tables.secrets.len() + tables.versions.len();
        Ok(u64::try_from(rows).unwrap())
    }

    async fn hold(&self, _: TeamId, _: &[SecretId]) -> Result<Held, StoreError> {
        Ok(Held::by_nobody())
    }

    async fn elected(&self) -> Result<bool, StoreError> {
        Ok(true)
    }

    async fn stopped(&self) {
        std::future::pending::<()>().await;
    }
}

fn by_day(moments: impl Iterator<Item = Timestamp>) -> Days {
    let mut days = BTreeMap::new();
    for moment in moments {
        *days.entry(moment.as_millis() / 86_400_000).or_insert(0) += 1;
    }
    days.into_iter().collect()
}
