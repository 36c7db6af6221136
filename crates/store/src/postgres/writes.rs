//! What a verb does, as one transaction: its permit is proven, then each of its
//! steps is done in order.

use super::locks::{self, Locks};
use super::transaction::{Expected, Transaction};
use crate::query::{self, Query};
use crate::tables::{
    Record, Value, agents, answers, api_keys, audit, events, fill_requests, instance, invitations, proofs,
    purge, runs, secrets, sessions, users,
};
use strongroom_core::agents::{Agent, Attachment};
use strongroom_core::answers::KeptAnswer;
use strongroom_core::audit::Sealing;
use strongroom_core::clock::Timestamp;
use strongroom_core::events::Event;
use strongroom_core::instance::NewInstance;
use strongroom_core::keyring::{KeyOwner, WrappedKey};
use strongroom_core::rows::{Row, RowMac, Stored};
use strongroom_core::sealing::Sealed;
use strongroom_core::secrets::{Secret, Version};
use strongroom_core::store::{Change, KeyTurn, Purge, Put, Write};
use strongroom_core::users::Membership;
use strongroom_core::{ApiKeyId, StoreError, TeamId};

/// The transaction of a write.
pub(super) fn of(write: &Write) -> Transaction<'_> {
    let mut transaction =
        Transaction { locks: Locks::of(write), rehearsal: write.rehearsal, ..Transaction::default() };
    let permit = &write.permit;
    let proof = proofs::proof(permit.means(), (permit.team_id(), permit.user_id()));
    transaction.add(proof, Expected::Proof(write.permit.proof()));
    write.changes.iter().for_each(|change| step(&mut transaction, change));
    write.events.iter().for_each(|event| record(&mut transaction, event));
    write.answers.iter().for_each(|answer| keep(&mut transaction, answer));
    transaction
}

fn step<'a>(transaction: &mut Transaction<'a>, change: &'a Change) {
    match change {
        Change::Secret(row) => put(transaction, row),
        Change::Version(version) => insert(transaction, version),
        Change::Team(row) => put(transaction, row),
        Change::Key(key) => new_key(transaction, key),
        Change::User(row) => put(transaction, row),
        Change::Membership(row) => put(transaction, row),
        Change::ApiKey(row) => put(transaction, row),
        Change::KeyLink(row) => put(transaction, row),
        Change::SignIn(row) => put(transaction, row),
        Change::Session(row) => put(transaction, row),
        Change::Invitation(row) => put(transaction, row),
        Change::FillRequest(row) => put(transaction, row),
        Change::Agent(row) => put(transaction, row),
        Change::Revision(row) => put(transaction, row),
        Change::Attachment(row) => put(transaction, row),
        Change::Run(row) => put(transaction, row),
        Change::Detach(team, revision, secret, mac) => {
            transaction.add(agents::detach((*team, *revision, *secret), mac), Expected::Found);
        }
        Change::Delivery(delivery) => transaction.add(runs::note(delivery), Expected::Anything),
        Change::AgentIs(team, id, mac) => {
            let key = [team.as_bytes(), id.as_bytes()];
            transaction.add(query::unchanged::<Agent>(key, *mac), Expected::Found);
        }
        Change::AttachmentIs(team, revision, secret, mac) => {
            let key = [team.as_bytes(), revision.as_bytes(), secret.as_bytes()];
            transaction.add(query::unchanged::<Attachment>(key, *mac), Expected::Found);
        }
        Change::SecretIs(team, id, mac) => {
            let key = [team.as_bytes(), id.as_bytes()];
            transaction.add(query::unchanged::<Secret>(key, *mac), Expected::Found);
        }
        Change::MembershipIs(team, user, mac) => {
            let key = [team.as_bytes(), user.as_bytes()];
            transaction.add(query::unchanged::<Membership>(key, *mac), Expected::Found);
        }
        Change::HasOwner(team) => {
            transaction
                .add(users::owners(*team), Expected::Count(|owners| owners > 0, || StoreError::LastOwner));
        }
        Change::HasNoKey(team, user) => {
            let none = Expected::Count(|keys| keys == 0, || StoreError::Changed);
            transaction.add(api_keys::good(*team, *user), none);
        }
        Change::AsksForFewer(team, user, now) => {
            let few = Expected::Count(fill_requests::few, || StoreError::AskedTooOften);
            transaction.add(fill_requests::how_many(*team, *user, *now), few);
        }
    }
}

/// Stores a key that the instance's master key sealed.
fn new_key<'a>(transaction: &mut Transaction<'a>, key: &'a WrappedKey) {
    sealed_alike(transaction, key);
    insert(transaction, key);
}

/// Demands that the instance's master key sealed it; whose replacement waits until this is done.
fn sealed_alike<'a>(transaction: &mut Transaction<'a>, key: &'a WrappedKey) {
    transaction.add(instance::sealed_alike(key), Expected::Count(|alike| alike > 0, query::superseded));
}

/// Replaces keys of the instance itself, when no key is being added.
pub(super) fn turning(turn: &KeyTurn) -> Transaction<'_> {
    let mut transaction = Transaction::default();
    transaction.locks.keys(true);
    let is_own = Expected::Count(|keys| keys > 0, || StoreError::Changed);
    transaction.add(instance::sealed_by(turn.master), is_own);
    turn.instance.iter().for_each(|row| put(&mut transaction, row));
    turn.copies.iter().for_each(|row| put(&mut transaction, row));
    if let Some(removed) = &turn.removed {
        transaction.add(instance::remove_copy(removed), Expected::Found);
    }
    for key in &turn.rewrapped {
        transaction.add(instance::rewrap(key), Expected::Found);
    }
    if !turn.rewrapped.is_empty() {
        transaction.add(instance::lasting_keys(), Expected::Exactly(turn.rewrapped.len()));
    }
    for key in &turn.added {
        // A way to the new master key is sealed by the old one.
        match key.owner {
            KeyOwner::Master => insert(&mut transaction, key),
            _ => new_key(&mut transaction, key),
        }
    }
    turn.events.iter().for_each(|event| record(&mut transaction, event));
    transaction
}

/// Takes away ways to a master key.
pub(super) fn closing_ways(before: Timestamp) -> Transaction<'static> {
    let mut transaction = Transaction::default();
    transaction.add(instance::close_ways(before), Expected::Anything);
    transaction
}

/// Stores a row that is new, or takes the place of another.
fn put<'a, T: Record + Row>(transaction: &mut Transaction<'a>, put: &'a Put<T>) {
    match put.was {
        None => insert_stored(transaction, &put.now, || StoreError::Exists),
        Some(was) => {
            let values = with_mac(&put.now).into_iter().chain([mac(was)]);
            let update = T::shape().update();
            transaction.add(Query::<()>::new(T::TABLE, update, values), Expected::Found);
        }
    }
}

/// Stores a new row that has a MAC.
fn insert_stored<'a, T: Record + Row>(
    transaction: &mut Transaction<'a>,
    row: &'a Stored<T>,
    otherwise: fn() -> StoreError,
) {
    let insert = T::shape().insert();
    transaction.add(Query::<()>::new(T::TABLE, insert, with_mac(row)), Expected::New(otherwise));
}

/// Stores a new row of a table without MACs.
fn insert<'a, T: Record>(transaction: &mut Transaction<'a>, record: &'a T) {
    let (shape, exists) = (T::shape(), Expected::New(|| StoreError::Exists));
    let insert = shape.insert();
    transaction.add(Query::<()>::new(shape.table, insert, record.values()), exists);
}

/// A row's values, and its MAC.
pub(super) fn with_mac<T: Record + Row>(stored: &Stored<T>) -> Vec<Value<'_>> {
    let mut values = stored.row().values();
    values.push(mac(stored.mac()));
    values
}

/// A MAC's value.
pub(super) fn mac<'a>(mac: RowMac) -> Value<'a> {
    Value::Bytes(mac.as_bytes().to_vec().into())
}

/// Stores an audit row.
pub(super) fn record<'a>(transaction: &mut Transaction<'a>, event: &'a Event) {
    transaction.add(events::one(event), Expected::Anything);
}

/// Keeps an answer in the place of one that is too old to stand.
pub(super) fn keep<'a>(transaction: &mut Transaction<'a>, answer: &'a Stored<KeptAnswer>) {
    transaction.add(answers::give_way(answer.row()), Expected::Anything);
    insert_stored(transaction, answer, || StoreError::Answered);
}

/// Stores a new instance.
pub(super) fn found(new: &NewInstance) -> Transaction<'_> {
    let mut transaction = Transaction::default();
    let exists: fn() -> StoreError = || StoreError::Exists;
    // Nobody copies an instance here meanwhile, nor has a part of one.
    transaction.add(locks::founding(), Expected::Count(|taken| taken > 0, meanwhile));
    transaction.add(instance::keys(), Expected::Count(|keys| keys == 0, exists));
    insert_stored(&mut transaction, &new.instance, exists);
    new.keys.iter().for_each(|key| insert(&mut transaction, key));
    insert_stored(&mut transaction, &new.team, exists);
    insert_stored(&mut transaction, &new.owner, exists);
    insert_stored(&mut transaction, &new.membership, exists);
    insert_stored(&mut transaction, &new.api_key, exists);
    record(&mut transaction, &new.event);
    transaction
}

fn meanwhile() -> StoreError {
    StoreError::Unavailable("an instance is being copied there; wait until that is done, or end it".into())
}

/// Takes away what was found due, each with its event.
pub(super) fn purging(purges: &Vec<(Purge, Event)>) -> Transaction<'_> {
    let mut transaction = Transaction::default();
    for (due, event) in purges {
        match due {
            Purge::Secret(team, id, was) => {
                transaction.locks.resting_in(*team);
                transaction.add(purge::secret(*team, *id, was), Expected::Found);
                for step in purge::with_secret(*team, *id) {
                    transaction.add(step, Expected::Anything);
                }
            }
            Purge::Team(row) => {
                transaction.locks.alone(row.now.row().id);
                put(&mut transaction, row);
                purge::with_team(row.now.row().id).for_each(|step| transaction.add(step, Expected::Anything));
            }
        }
        record(&mut transaction, event);
    }
    transaction
}

/// Seals versions anew.
pub(super) fn resealing(versions: &[(Version, Sealed)]) -> Transaction<'_> {
    let mut transaction = Transaction::default();
    for version in versions {
        transaction.add(secrets::reseal(version), Expected::Anything);
    }
    transaction
}

/// Takes away a team's older keys.
pub(super) fn retiring((team, before, event): &(TeamId, u16, Event)) -> Transaction<'_> {
    let mut transaction = Transaction::default();
    transaction.locks.resting_in(*team);
    transaction.add(instance::retire_keys(*team, *before), Expected::Anything);
    record(&mut transaction, event);
    transaction
}

/// Makes leaves of events.
pub(super) fn sealing(sealing: &Sealing) -> Transaction<'_> {
    let mut transaction = Transaction::default();
    transaction.add(audit::put_head(sealing.was, &sealing.head), Expected::Found);
    sealing.spans.iter().for_each(|span| transaction.add(audit::put_span(span), Expected::Anything));
    sealing.tiles.iter().for_each(|tile| transaction.add(audit::put_tile(tile), Expected::Anything));
    transaction
}

/// Notes up to which leaf a sink has everything.
pub(super) fn moving_sink((name, leaf): &(String, u64)) -> Transaction<'_> {
    let mut transaction = Transaction::default();
    transaction.add(audit::move_sink(name, *leaf), Expected::Anything);
    transaction
}

/// Keeps an answer to a request that changed nothing.
pub(super) fn keeping(answer: &Stored<KeptAnswer>) -> Transaction<'_> {
    let mut transaction = Transaction::default();
    keep(&mut transaction, answer);
    transaction
}

/// Stores audit rows that belong to no other write.
pub(super) fn recording(events: &[Event]) -> Transaction<'_> {
    let mut transaction = Transaction::default();
    for statement in events::all(events) {
        transaction.add(statement, Expected::Anything);
    }
    transaction
}

/// Notes when keys were used.
pub(super) fn noting(uses: &Vec<(ApiKeyId, Timestamp)>) -> Transaction<'_> {
    let mut transaction = Transaction::default();
    for (key, used_at) in uses {
        transaction.add(api_keys::note_use(*key, *used_at), Expected::Anything);
    }
    transaction
}

/// Forgets old answers, and marks of transactions that nobody asks about any more.
pub(super) fn forgetting_answers((before, limit): &(Timestamp, u32)) -> Transaction<'_> {
    let mut transaction = Transaction::default();
    let marks = "DELETE FROM commits WHERE id IN \
                 (SELECT id FROM commits WHERE at < now() - interval '1 hour' LIMIT 10000)";
    transaction.add(Query::<()>::new("commits", marks, []), Expected::Anything);
    transaction.add(answers::forget(*before, *limit), Expected::Anything);
    transaction
}

/// Forgets invitations whose time was over.
pub(super) fn forgetting_invitations((before, limit): &(Timestamp, u32)) -> Transaction<'_> {
    let mut transaction = Transaction::default();
    transaction.add(invitations::forget(*before, *limit), Expected::Anything);
    transaction
}

/// Forgets requests to fill in a secret whose time was over.
pub(super) fn forgetting_fill_requests((before, limit): &(Timestamp, u32)) -> Transaction<'_> {
    let mut transaction = Transaction::default();
    transaction.add(fill_requests::forget(*before, *limit), Expected::Anything);
    transaction
}

/// Forgets sessions whose time was over.
pub(super) fn forgetting_sessions((before, limit): &(Timestamp, u32)) -> Transaction<'_> {
    let mut transaction = Transaction::default();
    transaction.add(sessions::forget(*before, *limit), Expected::Anything);
    transaction
}

/// Stores a key of a purpose, unless there is one.
pub(super) fn adding_key(key: &WrappedKey) -> Transaction<'_> {
    let mut transaction = Transaction::default();
    transaction.locks.keys(false);
    sealed_alike(&mut transaction, key);
    transaction.add(instance::add_purpose_key(key), Expected::Anything);
    transaction
}

/// Forgets runs of shredded teams.
pub(super) fn forgetting_runs(limit: &u32) -> Transaction<'_> {
    let mut transaction = Transaction::default();
    transaction.add(runs::forget(*limit), Expected::Anything);
    transaction
}
