//! A team's key gives way to a new one. What comes is sealed under the new key from then on,
//! and what is there is sealed anew, a little at a time, while everything goes on: what an
//! older key sealed opens for as long as that key is there.

use super::ask::Steps;
use super::custody::RootState;
use super::purge::system_event;
use super::{App, Ask, Error, Planned};
use crate::access::{Action, Ownership};
use crate::clock::Timestamp;
use crate::events::{EventKind, Object};
use crate::ids::{KeyId, TeamId};
use crate::instance::Instance;
use crate::keyring::WrappedKey;
use crate::sealing::{IntegrityViolation, Sealed, SealingKey};
use crate::secrets::Version;
use crate::store::Change;
use crate::teams::Team;

/// Versions that are looked at together.
const BATCH: u32 = 200;
/// How long an older key stays when nothing is sealed under it any more, in milliseconds:
/// longer than any request that began to seal with it could take.
const STAYS: i64 = 48 * 60 * 60 * 1_000;

/// One of a team's keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TeamKeyState {
    /// The key.
    pub id: KeyId,
    /// Counts from 1; the highest seals.
    pub version: u16,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A team's keys, the newest first, and how far values are sealed under that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TeamKeys {
    /// The keys.
    pub keys: Vec<TeamKeyState>,
    /// Versions of secrets that there are, where they were counted.
    pub versions: u64,
    /// Those that an older key sealed.
    pub left: u64,
}

/// What wraps the team's keys in the end, and what opens a backup of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedUnder {
    /// The root keys, any of which opens the instance; its own first.
    pub roots: Vec<RootState>,
    /// The `age` recipient whose identity opens backups.
    pub recipient: String,
}

impl TeamKeyState {
    fn of(key: &WrappedKey) -> Self {
        Self { id: key.id, version: key.version, created_at: key.created_at }
    }
}

/// How sealing a team's values anew went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resealed {
    /// Versions that were sealed anew.
    pub versions: u64,
    /// Those that don't open, and stay as they are.
    pub broken: u64,
    /// Whether the team's older keys are gone by now.
    pub retired: bool,
}

impl App {
    /// The keys that the team's values are sealed under.
    ///
    /// # Errors
    /// When the caller may not see them.
    pub async fn team_keys(&self, ask: &Ask) -> Result<TeamKeys, Error> {
        ask.permit(Action::ReadTeamKeys, Ownership::Shared)?;
        self.counted(ask.caller.team_id, self.team_key_states(ask.caller.team_id).await?).await
    }

    /// The same, without counting what an only key sealed, which is all: that takes the longer the more
    /// there is.
    ///
    /// # Errors
    /// When the caller may not see them.
    pub async fn turning_team_keys(&self, ask: &Ask) -> Result<TeamKeys, Error> {
        ask.permit(Action::ReadTeamKeys, Ownership::Shared)?;
        self.turning(ask.caller.team_id).await
    }

    /// What wraps the team's keys in the end.
    ///
    /// # Errors
    /// When the caller may not see it.
    pub async fn sealed_under(&self, ask: &Ask) -> Result<SealedUnder, Error> {
        ask.permit(Action::ReadTeamKeys, Ownership::Shared)?;
        let stored = self.store.instance().await?.ok_or(IntegrityViolation)?;
        let suspect = ask.suspect(Object::of::<Instance>(Some(stored.row().id.uuid())));
        let instance = self.noting(self.keys.verify(stored), suspect).await?;
        let mut roots = vec![RootState::of(&instance)];
        for copy in self.store.root_copies().await? {
            roots.push(RootState::added(&*self.noting(self.keys.verify(copy), suspect).await?));
        }
        Ok(SealedUnder { roots, recipient: instance.recovery_recipient.clone() })
    }

    async fn team_key_states(&self, team: TeamId) -> Result<Vec<TeamKeyState>, Error> {
        let mut keys: Vec<_> = self.store.team_keys(team).await?.iter().map(TeamKeyState::of).collect();
        keys.sort_by_key(|key| std::cmp::Reverse(key.version));
        Ok(keys)
    }

    async fn turning(&self, team: TeamId) -> Result<TeamKeys, Error> {
        let keys = self.team_key_states(team).await?;
        if keys.len() > 1 {
            self.counted(team, keys).await
        } else {
            Ok(TeamKeys { keys, ..TeamKeys::default() })
        }
    }

    async fn counted(&self, team: TeamId, keys: Vec<TeamKeyState>) -> Result<TeamKeys, Error> {
        let Some(newest) = keys.first() else { return Ok(TeamKeys::default()) };
        let (versions, left) = self.store.count_versions(team, newest.id).await?;
        Ok(TeamKeys { keys, versions, left })
    }

    /// Gives the team a new key.
    ///
    /// # Errors
    /// When the caller may not, or values are still sealed under an older one.
    pub async fn rotate_team_key(&self, ask: &Ask) -> Result<Planned<TeamKeyState>, Error> {
        let permit = ask.permit(Action::RotateTeamKey, Ownership::Shared)?;
        let (team, now) = (ask.caller.team_id, self.world.clock.now());
        let state = self.turning(team).await?;
        let newest = state.keys.first().ok_or(IntegrityViolation)?;
        if state.left > 0 {
            return Err(Error::Conflict(
                "values are still being sealed under the newest key; look at the team's keys, and rotate when none is left",
            ));
        }
        let id = KeyId::from_uuid(self.uuid());
        let version = newest.version.checked_add(1).ok_or(IntegrityViolation)?;
        let key = self.keys.next_team_key((id, version), team, now, &*self.world.random);
        let outcome = TeamKeyState::of(&key);
        let object = Object { version: Some(version.into()), ..Object::of::<Team>(Some(team.uuid())) };
        let event = ask.event_of(EventKind::TeamKeyRotated, now, object);
        Ok(Planned::new(outcome, permit, Steps::default().with(Change::Key(key)).telling(event)))
    }

    /// Teams whose values may be sealed under older keys, and the version of the newest.
    ///
    /// # Errors
    /// When the store can't tell.
    pub async fn teams_to_reseal(&self) -> Result<Vec<(TeamId, u16)>, Error> {
        Ok(self.store.teams_with_older_keys().await?)
    }

    /// Seals a team's values under its newest key, from the first to the last; takes away
    /// the older keys when nothing needed them for long. `between` is waited for after
    /// each batch, so that others have their turn.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn reseal_team<F: Future<Output = ()>>(
        &self,
        team: TeamId,
        between: impl Fn() -> F,
    ) -> Result<Resealed, Error> {
        let keys = self.store.team_keys(team).await?;
        let seals = self.admit_team(team, &keys, self.world.clock.monotonic()).await?;
        let newest = keys.iter().max_by_key(|key| key.version).ok_or(IntegrityViolation)?;
        let (mut done, mut after) = (Resealed::default(), None);
        loop {
            let page = self.store.versions_of_team(team, after, BATCH).await?;
            after = page.last().map(|last| (last.secret_id, last.number));
            let whole = page.len() < BATCH as usize;
            done.versions += self.reseal(team, &seals, page, &mut done.broken).await?;
            if whole {
                break;
            }
            between().await;
        }
        let age = self.world.clock.now().as_millis().saturating_sub(newest.created_at.as_millis());
        if done.versions == 0 && done.broken == 0 && age > STAYS {
            let version = Some(newest.version.into());
            let object = Object { version, ..Object::of::<Team>(Some(team.uuid())) };
            let event = system_event(EventKind::TeamKeysRetired, team, self.world.clock.now(), object);
            self.store.retire_keys(team, newest.version, event).await?;
            self.keys.forget_team(team);
            done.retired = true;
        }
        Ok(done)
    }

    /// Seals those of these versions anew that another key sealed.
    async fn reseal(
        &self,
        team: TeamId,
        newest: &SealingKey,
        versions: Vec<Version>,
        broken: &mut u64,
    ) -> Result<u64, Error> {
        let mut anew = Vec::new();
        for version in versions {
            match self.sealed_anew(team, newest, &version).await {
                Ok(None) => {}
                Ok(Some(sealed)) => anew.push((version, sealed)),
                Err(Error::Integrity(IntegrityViolation)) => *broken += 1,
                Err(error) => return Err(error),
            }
        }
        if anew.is_empty() { Ok(0) } else { Ok(self.store.reseal(anew).await?) }
    }

    /// A version under the newest key, unless it is already.
    async fn sealed_anew(
        &self,
        team: TeamId,
        newest: &SealingKey,
        version: &Version,
    ) -> Result<Option<Sealed>, Error> {
        let id = version.sealed.key_id()?;
        if id == newest.id() {
            return Ok(None);
        }
        let old = self.opening_key(team, id).await?;
        let context = Version::context(self.keys.instance(), team, version.secret_id, version.number);
        let plaintext = old.open(&context, &version.sealed)?;
        Ok(Some(newest.seal(&context, plaintext, &*self.world.random)))
    }
}
