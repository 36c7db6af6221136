//! What is attached to a revision: attach, detach, list.

use super::agents::place;
use super::ask::Steps;
use super::{App, Ask, Error, Planned};
use crate::access::{Action, Denied, Ownership};
use crate::agents::{Agent, Attachment, Revision};
use crate::clock::Timestamp;
use crate::environment::strength;
use crate::events::{Event, EventKind, Object};
use crate::ids::{AgentId, AttachmentId, RevisionId, SecretId};
use crate::rows::{Proven, RowMac};
use crate::secrets::Secret;
use crate::store::{Change, Put};

/// In how many revisions a secret is looked for.
const PLACES: u32 = 1_000;

/// A secret that is attached, and how.
pub(super) struct Attached {
    pub(super) attachment: Proven<Attachment>,
    pub(super) secret: Proven<Secret>,
}

impl App {
    /// Attaches a secret to a revision: the caller's own, or the team's.
    ///
    /// # Errors
    /// When the caller may not, it is attached, or it or the revision isn't there.
    pub async fn attach_secret(
        &self,
        ask: &Ask,
        (agent, revision): (AgentId, RevisionId),
        secret: SecretId,
    ) -> Result<Planned<()>, Error> {
        ask.caller.screen(Action::AttachSecret)?;
        let mut steps = Steps::default();
        self.revision_or_new(ask, (agent, revision), &mut steps).await?;
        let (secret, permit) = self.present(ask, Action::AttachSecret, secret).await?;
        let present = self.attachments_of(ask, revision).await?;
        if present.iter().any(|attachment| attachment.secret_id == secret.id) {
            return Err(Error::Conflict("this secret is attached to this revision already"));
        }
        if self.known_among(ask, &present).await? >= Attachment::MAX {
            return Err(Error::Conflict(
                "a revision has at most 64 secrets of the team's and your own together, deleted ones counted until \
                 they are purged; detach one, or join some to one",
            ));
        }
        let stored = self.keys.authenticate(Attachment {
            team_id: ask.caller.team_id,
            revision_id: revision,
            secret_id: secret.id,
            id: AttachmentId::from_uuid(self.uuid()),
            created_by: ask.caller.user_id,
            created_at: self.world.clock.now(),
        });
        let told = (EventKind::SecretAttached, stored.row().created_at);
        let event = attachment_event(ask, told, agent, (stored.row(), stored.mac()));
        // Whoever may use it as it is now decides; it may be somebody else's in a moment.
        let steps = steps
            .with(Change::SecretIs(secret.team_id, secret.id, secret.mac()))
            .and(Change::Attachment(Put::new(stored)), event);
        Ok(Planned::new((), permit, steps))
    }

    /// Detaches a secret from a revision.
    ///
    /// # Errors
    /// When the caller may not, or it isn't attached.
    pub async fn detach_secret(
        &self,
        ask: &Ask,
        (agent, revision): (AgentId, RevisionId),
        secret: SecretId,
    ) -> Result<Planned<()>, Error> {
        ask.caller.screen(Action::DetachSecret)?;
        self.present_revision(ask, agent, revision).await?;
        let (secret, permit) = self.present(ask, Action::DetachSecret, secret).await?;
        let mut present = self.attachments_of(ask, revision).await?.into_iter();
        let attachment = present.find(|attachment| attachment.secret_id == secret.id);
        let attachment = attachment.ok_or(Denied::Invisible)?;
        ask.demands(attachment.mac())?;
        let told = (EventKind::SecretDetached, self.world.clock.now());
        let event = attachment_event(ask, told, agent, (&attachment, attachment.mac()));
        let gone = Change::Detach(attachment.team_id, revision, secret.id, attachment.mac());
        Ok(Planned::new((), permit, Steps::default().and(gone, event)))
    }

    /// The secrets attached to a revision that the caller sees, in the order in
    /// which they were attached.
    ///
    /// # Errors
    /// When the key isn't for it, or there is no such revision.
    pub async fn attached_secrets(
        &self,
        ask: &Ask,
        (agent, revision): (AgentId, RevisionId),
    ) -> Result<Vec<Proven<Secret>>, Error> {
        let _permit = ask.permit(Action::ListAttachments, Ownership::Shared)?;
        self.present_revision(ask, agent, revision).await?;
        let mut attached = self.attached(ask, revision).await?;
        attached.sort_by_key(|attached| attached.attachment.id);
        Ok(attached.into_iter().map(|attached| attached.secret).collect())
    }

    /// Where a secret of the caller's is attached, by the age of the attachment: at
    /// most so many of the revisions that are there, each with its agent.
    ///
    /// # Errors
    /// When the caller doesn't see the secret.
    pub async fn attached_to(
        &self,
        ask: &Ask,
        id: SecretId,
    ) -> Result<Vec<(Proven<Revision>, Proven<Agent>)>, Error> {
        let _permit = ask.permit(Action::ListAttachments, Ownership::Shared)?;
        self.present(ask, Action::ListAttachments, id).await?;
        let suspect = ask.suspect(Object::of::<Attachment>(Some(id.uuid())));
        let stored = self.store.attachments_of(ask.caller.team_id, id, PLACES).await;
        let mut attachments = Vec::new();
        for stored in self.readable(stored, suspect).await? {
            attachments.push(self.noting(self.keys.verify(stored), suspect).await?);
        }
        attachments.sort_by_key(|attachment| attachment.id);
        let mut places = Vec::new();
        for attachment in &attachments {
            let Some(revision) = self.any_revision(ask, attachment.revision_id).await? else { continue };
            match self.present_agent(ask, revision.agent_id).await {
                Ok(agent) => places.push((revision, agent)),
                Err(Error::Denied(Denied::Invisible)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(places)
    }

    async fn attachments_of(
        &self,
        ask: &Ask,
        revision: RevisionId,
    ) -> Result<Vec<Proven<Attachment>>, Error> {
        let suspect = ask.suspect(Object::of::<Attachment>(Some(revision.uuid())));
        let stored = self.store.attachments(ask.caller.team_id, revision).await;
        let stored = self.readable(stored, suspect).await?;
        let mut attachments = Vec::with_capacity(stored.len());
        for attachment in stored {
            attachments.push(self.noting(self.keys.verify(attachment), suspect).await?);
        }
        Ok(attachments)
    }

    /// How many of these are of the team's secrets or the caller's own, deleted
    /// or not. Others' personal ones take no place from those who can't see them.
    async fn known_among(&self, ask: &Ask, attachments: &[Proven<Attachment>]) -> Result<usize, Error> {
        let mut known = 0;
        for attachment in attachments {
            known += usize::from(self.known(ask, attachment.secret_id).await?.is_some());
        }
        Ok(known)
    }

    /// What is attached to a revision and there for the caller, the strongest first.
    pub(super) async fn attached(&self, ask: &Ask, revision: RevisionId) -> Result<Vec<Attached>, Error> {
        let mut attached = Vec::new();
        for attachment in self.attachments_of(ask, revision).await? {
            if let Some(secret) = self.seen(ask, attachment.secret_id).await? {
                attached.push(Attached { attachment, secret });
            }
        }
        attached.sort_by_key(|attached| strength(&attached.secret, attached.attachment.id));
        Ok(attached)
    }

    /// A secret that isn't deleted and is the team's or the caller's own.
    pub(super) async fn seen(&self, ask: &Ask, id: SecretId) -> Result<Option<Proven<Secret>>, Error> {
        Ok(self.known(ask, id).await?.filter(|secret| secret.deleted_at.is_none()))
    }

    /// A secret that is the team's or the caller's own, deleted or not.
    async fn known(&self, ask: &Ask, id: SecretId) -> Result<Option<Proven<Secret>>, Error> {
        let suspect = ask.suspect(Object::of::<Secret>(Some(id.uuid())));
        let stored = self.readable(self.store.secret(ask.caller.team_id, id).await, suspect).await?;
        let Some(stored) = stored else { return Ok(None) };
        let secret = self.noting(self.keys.verify(stored), suspect).await?;
        let theirs = ask.caller.ownership(secret.team_id, secret.owner) == Ownership::Foreign;
        Ok((!theirs).then_some(secret))
    }
}

/// An attachment is told of by its secret; where, the event's place says.
fn attachment_event(
    ask: &Ask,
    (kind, at): (EventKind, Timestamp),
    agent: AgentId,
    (attachment, mac): (&Attachment, RowMac),
) -> Event {
    let object = Object { mac: Some(mac), ..Object::of::<Attachment>(Some(attachment.secret_id.uuid())) };
    let place = place(agent, Some(attachment.revision_id));
    Event { place, ..ask.event_of(kind, at, object) }
}
