//! Secrets: create, look at, list, change, delete and bring back.

use super::ask::Steps;
use super::{App, Ask, Error, Planned};
use crate::access::{Action, Denied, Ownership, Permit};
use crate::events::{EventKind, Object};
use crate::ids::SecretId;
use crate::rows::{Proven, Stored};
use crate::secrets::{Edit, Filter, NewSecret, Patch, Secret, Version};
use crate::store::{Change, Put};
use crate::text::{SecretName, ServiceSlug};
use crate::values::{Bundle, Entries, EnvKey};
use zeroize::Zeroizing;

/// Secrets in a page: what is read, verified and written before others get
/// their turn.
const PAGE: u32 = 256;

/// Some of a list.
pub struct Page {
    /// The secrets, by creation.
    pub secrets: Vec<Proven<Secret>>,
    /// After which the list goes on; `None` at its end.
    pub next: Option<SecretId>,
}

impl App {
    /// Seals the values for a new secret: the caller's own, or the team's when
    /// it is to be shared.
    ///
    /// # Errors
    /// When the caller may not.
    pub async fn create_secret(&self, ask: &Ask, new: NewSecret) -> Result<Planned<Proven<Secret>>, Error> {
        let NewSecret { name, service_slug, shared, values } = new;
        let permit = ask.permit(Action::CreateSecret, target(shared))?;
        let (secret, steps) = self.creating_secret(ask, (name, service_slug, shared), values).await?;
        Ok(Planned::new(secret, permit, steps))
    }

    /// The steps by which a secret comes to be.
    pub(super) async fn creating_secret(
        &self,
        ask: &Ask,
        named: (SecretName, Option<ServiceSlug>, bool),
        values: Bundle,
    ) -> Result<(Proven<Secret>, Steps), Error> {
        let secret = self.new_secret(ask, named, values.keys().cloned().collect());
        let version = self.seal(ask, &secret, values.into_plaintext()).await?;
        let stored = self.keys.authenticate(secret);
        let event = ask.event_of(EventKind::SecretCreated, stored.row().created_at, object(&stored));
        let created = stored.proven();
        let steps =
            Steps::default().and(Change::Secret(Put::new(stored)), event).with(Change::Version(version));
        Ok((created, steps))
    }

    /// The row of a secret that is about to be.
    pub(super) fn new_secret(
        &self,
        ask: &Ask,
        (name, service_slug, shared): (SecretName, Option<ServiceSlug>, bool),
        env_keys: Vec<EnvKey>,
    ) -> Secret {
        let now = self.world.clock.now();
        Secret {
            id: SecretId::from_uuid(self.mint.uuid(now, &*self.world.random)),
            team_id: ask.caller.team_id,
            owner: (!shared).then_some(ask.caller.user_id),
            name,
            service_slug,
            env_keys,
            version: 1,
            created_by: ask.caller.user_id,
            created_at: now,
            updated_at: now,
            deleted_at: None,
            policy: None,
        }
    }

    /// Seals the content of a secret's current version.
    pub(super) async fn seal(
        &self,
        ask: &Ask,
        secret: &Secret,
        plaintext: Zeroizing<Vec<u8>>,
    ) -> Result<Version, Error> {
        let context = Version::context(self.keys.instance(), secret.team_id, secret.id, secret.version);
        let sealed = self.team_key(secret.team_id).await?.seal(&context, plaintext, &*self.world.random);
        let (number, created_by, created_at) = (secret.version, ask.caller.user_id, secret.updated_at);
        Ok(Version { secret_id: secret.id, number, sealed, created_by, created_at })
    }

    /// One secret that the caller sees.
    ///
    /// # Errors
    /// [`Denied::Invisible`] when there is none, whatever the reason.
    pub async fn secret(&self, ask: &Ask, id: SecretId) -> Result<Proven<Secret>, Error> {
        Ok(self.present(ask, Action::ReadSecret, id).await?.0)
    }

    /// The deleted secrets that the caller saw, while they can be brought back: the newest
    /// 256, the last that was deleted first.
    ///
    /// # Errors
    /// When the key isn't for it, or a row isn't what was stored.
    pub async fn deleted_secrets(&self, ask: &Ask) -> Result<Vec<Proven<Secret>>, Error> {
        let caller = &ask.caller;
        caller.permit(Action::ListSecrets, Ownership::Shared)?;
        let suspect = ask.suspect(Object::of::<Secret>(None));
        let stored = self.store.deleted_secrets(caller.team_id, caller.user_id, PAGE).await;
        let mut secrets = Vec::new();
        for row in self.readable(stored, suspect).await? {
            let secret = self.proven(ask, row).await?;
            caller.permit(Action::ListSecrets, caller.ownership(secret.team_id, secret.owner))?;
            secrets.push(secret);
        }
        Ok(secrets)
    }

    /// The secrets that the caller sees and that match: some of those after
    /// `after`, at most `limit` of them.
    ///
    /// # Errors
    /// When the key isn't for it, or a row isn't what was stored.
    pub async fn secrets_after(
        &self,
        ask: &Ask,
        after: Option<SecretId>,
        filter: &Filter,
        limit: u32,
    ) -> Result<Page, Error> {
        let caller = &ask.caller;
        caller.permit(Action::ListSecrets, Ownership::Shared)?;
        let rows = if filter.is_empty() { limit.min(PAGE) } else { PAGE };
        let suspect = ask.suspect(Object::of::<Secret>(None));
        let stored = self.store.secrets_visible_to(caller.team_id, caller.user_id, after, rows).await;
        let stored = self.readable(stored, suspect).await?;
        let full = u32::try_from(stored.len()).is_ok_and(|read| read == rows);
        let mut next = stored.last().filter(|_| full).map(|last| last.row().id);
        let mut secrets = Vec::with_capacity(stored.len());
        for row in stored.into_iter().filter(|row| filter.matches(row.row())) {
            if u32::try_from(secrets.len()).is_ok_and(|found| found == limit) {
                next = secrets.last().map(|last: &Proven<Secret>| last.id);
                break;
            }
            let secret = self.proven(ask, row).await?;
            caller.permit(Action::ListSecrets, caller.ownership(secret.team_id, secret.owner))?;
            secrets.push(secret);
        }
        Ok(Page { secrets, next })
    }

    /// Changes a secret. Only what becomes different is changed: an empty
    /// patch changes nothing.
    ///
    /// # Errors
    /// When the caller may not, the values can't be edited so, or they must confirm that
    /// what was theirs becomes the team's ([`App::must_confirm`]).
    pub async fn update_secret(
        &self,
        ask: &Ask,
        id: SecretId,
        patch: &Patch,
    ) -> Result<Planned<Proven<Secret>>, Error> {
        let (before, mut permit) = self.present(ask, Action::UpdateSecret, id).await?;
        ask.demands(before.mac())?;
        let mut after = self.touched(&before);
        after.name = patch.name.clone().unwrap_or(after.name);
        after.service_slug = patch.service_slug.clone().unwrap_or(after.service_slug);
        if let Some(shared) = patch.shared.filter(|shared| *shared != before.owner.is_none()) {
            permit = ask.permit(Action::ShareSecret, ask.caller.ownership(before.team_id, before.owner))?;
            if shared {
                self.is_certain(ask).await?;
            }
            after.owner = (!shared).then_some(ask.caller.user_id);
        }
        let version = self.edited(ask, &before, &mut after, &patch.values).await?;
        let same = (&after.name, &after.service_slug, after.owner)
            == (&before.name, &before.service_slug, before.owner);
        if same && version.is_none() {
            return Ok(Planned::nothing(before));
        }
        Ok(self.replacing(ask, (EventKind::SecretUpdated, permit), &before, (after, version)))
    }

    /// The new version that an edit makes, if it makes one.
    async fn edited(
        &self,
        ask: &Ask,
        before: &Secret,
        after: &mut Secret,
        edit: &Edit,
    ) -> Result<Option<Version>, Error> {
        match edit {
            Edit::Keep => Ok(None),
            Edit::Replace(values) => self.next_version(ask, after, &values.entries()).await.map(Some),
            Edit::Change { rename, remove, add }
                if rename.is_empty() && remove.is_empty() && add.is_empty() =>
            {
                Ok(None)
            }
            Edit::Change { rename, remove, add } => {
                let present = self.open_content(ask, before, before.version).await?;
                let mut entries = present.entries();
                entries.rename(rename)?;
                entries.remove(remove)?;
                entries.add(add)?;
                self.next_version(ask, after, &entries).await.map(Some)
            }
        }
    }

    /// Makes these entries the content of a secret's next version.
    pub(super) async fn next_version(
        &self,
        ask: &Ask,
        secret: &mut Secret,
        entries: &Entries<'_>,
    ) -> Result<Version, Error> {
        secret.version =
            secret.version.checked_add(1).ok_or(Error::Conflict("this secret has too many versions"))?;
        secret.env_keys = entries.keys().cloned().collect();
        self.seal(ask, secret, entries.plaintext()).await
    }

    /// Deletes a secret, so that it is gone at once, but can be brought back
    /// until it is purged.
    ///
    /// # Errors
    /// When the caller may not.
    pub async fn delete_secret(&self, ask: &Ask, id: SecretId) -> Result<Planned<()>, Error> {
        let (before, permit) = self.present(ask, Action::DeleteSecret, id).await?;
        ask.demands(before.mac())?;
        let after = Secret { deleted_at: Some(self.world.clock.now()), ..self.touched(&before) };
        let planned = self.replacing(ask, (EventKind::SecretDeleted, permit), &before, (after, None));
        Ok(planned.map(|_| ()))
    }

    /// Brings a deleted secret back. One that isn't deleted stays as it is.
    ///
    /// # Errors
    /// When the caller may not, or it was purged.
    pub async fn undelete_secret(&self, ask: &Ask, id: SecretId) -> Result<Planned<Proven<Secret>>, Error> {
        let (before, permit) = self.present(ask, Action::UndeleteSecret, id).await?;
        ask.demands(before.mac())?;
        if before.deleted_at.is_none() {
            return Ok(Planned::nothing(before));
        }
        let after = Secret { deleted_at: None, ..self.touched(&before) };
        Ok(self.replacing(ask, (EventKind::SecretUndeleted, permit), &before, (after, None)))
    }

    /// A secret as it is, changed now; never before it changed last.
    pub(super) fn touched(&self, before: &Proven<Secret>) -> Secret {
        Secret { updated_at: self.world.clock.now().max(before.updated_at), ..Secret::clone(before) }
    }

    /// Plans to put a row in the place of another.
    pub(super) fn replacing(
        &self,
        ask: &Ask,
        (kind, permit): (EventKind, Permit),
        before: &Proven<Secret>,
        (after, version): (Secret, Option<Version>),
    ) -> Planned<Proven<Secret>> {
        let stored = self.keys.authenticate(after);
        let event = ask.event_of(kind, stored.row().updated_at, object(&stored));
        let outcome = stored.proven();
        let mut steps = Steps::default().and(Change::Secret(Put::over(before.mac(), stored)), event);
        if let Some(version) = version {
            steps = steps.with(Change::Version(version));
        }
        Planned::new(outcome, permit, steps)
    }

    /// A secret, for an act that the caller may do to it. One that is deleted
    /// is there only to be brought back.
    pub(super) async fn present(
        &self,
        ask: &Ask,
        action: Action,
        id: SecretId,
    ) -> Result<(Proven<Secret>, Permit), Error> {
        // Before anything is looked up: a key that may not, learns nothing.
        ask.caller.screen(action)?;
        let suspect = ask.suspect(Object::of::<Secret>(Some(id.uuid())));
        let stored = self.readable(self.store.secret(ask.caller.team_id, id).await, suspect).await?;
        let secret = self.proven(ask, stored.ok_or(Denied::Invisible)?).await?;
        if secret.deleted_at.is_some() && action != Action::UndeleteSecret {
            return Err(Denied::Invisible.into());
        }
        let permit = ask.permit(action, ask.caller.ownership(secret.team_id, secret.owner))?;
        Ok((secret, permit))
    }

    async fn proven(&self, ask: &Ask, stored: Stored<Secret>) -> Result<Proven<Secret>, Error> {
        let suspect = ask.suspect(unproven(&stored));
        self.noting(self.keys.verify(stored), suspect).await
    }
}

/// Whose a new secret will be.
pub(super) fn target(shared: bool) -> Ownership {
    if shared { Ownership::Shared } else { Ownership::Own }
}

/// A secret in an event.
pub(super) fn object(stored: &Stored<Secret>) -> Object {
    Object { version: Some(stored.row().version), mac: Some(stored.mac()), ..unproven(stored) }
}

fn unproven(stored: &Stored<Secret>) -> Object {
    Object::of::<Secret>(Some(stored.row().id.uuid()))
}
