//! Who must wait for whom. A write rests on rows that it doesn't change: those
//! behind its permit, and those that it demands to be as they were. Whoever
//! changes such a row waits until all that rest on it are done, and they for
//! them: so a revocation that was acknowledged has no write behind it.
//!
//! The locks are PostgreSQL's advisory ones, for teams and for runs, always
//! taken in the same order; they cost no write of the rows themselves.

use std::collections::BTreeMap;

use crate::query::Query;
use crate::tables::Value;
use strongroom_core::access::{Means, Permit};
use strongroom_core::rows::Row;
use strongroom_core::store::{Change, Put, Write};
use strongroom_core::{RunId, TeamId};

/// In the upper half of each lock's number: whose locks they are. `SRlk`.
const OURS: i64 = 0x5352_6c6b << 32;
/// How many locks there are for teams, and for runs: each stands for many, so
/// that one transaction never holds more of them than the server has room for.
const STRIPES: i64 = 32;

/// The lock of whoever brings the schema up to date.
pub(super) const MIGRATION: i64 = OURS | 1 << 16;
/// The lock of the server that does what is done by one of them.
pub(super) const LEADER: i64 = OURS | 2 << 16;
/// The lock of whoever brings an instance into the database: makes or copies it.
pub(super) const COPY: i64 = OURS | 3 << 16;

/// The lock of whoever replaces the instance's own keys, and of who adds a key meanwhile.
const KEYS: i64 = OURS | 4 << 16;

/// The locks of a transaction: those to be held alone, and those that others
/// may hold as well.
#[derive(Default)]
pub(super) struct Locks(BTreeMap<i64, bool>);

impl Locks {
    /// Those that a permit rests on.
    pub(super) fn resting(&mut self, permit: &Permit) {
        self.resting_in(permit.team_id());
        if let Means::Run(run) = permit.means() {
            self.add(of_run(run), false);
        }
    }

    /// Those of a write.
    pub(super) fn of(write: &Write) -> Self {
        let mut locks = Self::default();
        locks.resting(&write.permit);
        for change in &write.changes {
            locks.changing(change);
        }
        locks
    }

    /// That of the instance's keys.
    pub(super) fn keys(&mut self, alone: bool) {
        self.add(KEYS, alone);
    }

    /// A team's, alone.
    pub(super) fn alone(&mut self, team: TeamId) {
        self.add(of_team(team), true);
    }

    /// A team's.
    pub(super) fn resting_in(&mut self, team: TeamId) {
        self.add(of_team(team), false);
    }

    /// Those of a row that others may rest on.
    fn changing(&mut self, change: &Change) {
        match change {
            Change::Team(put) => self.replacing(put, |team| team.id),
            Change::Membership(put) => self.replacing(put, |membership| membership.team_id),
            Change::ApiKey(put) => self.replacing(put, |key| key.team_id),
            Change::KeyLink(put) => self.replacing(put, |link| link.team_id),
            Change::Session(put) => self.replacing(put, |session| session.team_id),
            Change::Invitation(put) => self.replacing(put, |invitation| invitation.team_id),
            Change::FillRequest(put) => self.replacing(put, |request| request.team_id),
            Change::Agent(put) => self.replacing(put, |agent| agent.team_id),
            Change::HasOwner(team) | Change::HasNoKey(team, _) | Change::AsksForFewer(team, ..) => {
                self.add(of_team(*team), true);
            }
            Change::Key(_) => self.keys(false),
            Change::Run(put) if put.was.is_some() => self.add(of_run(put.now.row().id), true),
            // In whichever teams they are.
            Change::User(put) if put.was.is_some() => {
                (0..STRIPES).for_each(|stripe| self.add(OURS | stripe, true));
            }
            _ => {}
        }
    }

    fn replacing<T: Row>(&mut self, put: &Put<T>, team: impl FnOnce(&T) -> TeamId) {
        if put.was.is_some() {
            self.add(of_team(team(put.now.row())), true);
        }
    }

    fn add(&mut self, lock: i64, alone: bool) {
        *self.0.entry(lock).or_default() |= alone;
    }

    /// In the order in which everybody takes them, and whether alone.
    pub(super) fn in_order(self) -> impl Iterator<Item = (i64, bool)> {
        self.0.into_iter()
    }
}

/// Takes the lock of whoever brings an instance into the database, without waiting:
/// how often it was to be had.
pub(super) fn founding() -> Query<'static, u64> {
    let take = "SELECT count(*) FROM (SELECT pg_try_advisory_xact_lock(?1) AS taken) AS lock WHERE taken";
    Query::new("instance", take, [Value::Number(COPY)])
}

fn of_team(team: TeamId) -> i64 {
    OURS | stripe(team.as_bytes())
}

fn of_run(run: RunId) -> i64 {
    OURS | (STRIPES + stripe(run.as_bytes()))
}

/// By the last byte, which is a random one in every id: the same on every
/// server, whichever program it runs.
fn stripe(id: &[u8; 16]) -> i64 {
    let [.., last] = *id;
    i64::from(last) % STRIPES
}
