//! The preview of an environment: what a run of the caller's would receive,
//! which secret wins each name, and what is likely wrong with it. Values are
//! opened to look at their shape, and dropped.

use super::{App, Ask, Error};
use crate::access::{Action, Ownership};
use crate::clock::Timestamp;
use crate::environment::{Reason, Winner, is_received, winners};
use crate::health::{self, SecretHint, ValueHint};
use crate::ids::{AgentId, RevisionId, SecretId};
use crate::rows::Proven;
use crate::runs::RunMode;
use crate::secrets::Secret;
use crate::values::EnvKey;
use std::collections::HashMap;

/// What a run would receive.
pub struct Preview {
    /// Its names, with the strongest secret's first.
    pub names: Vec<PreviewedName>,
    /// Its secrets, the strongest first.
    pub secrets: Vec<PreviewedSecret>,
}

/// A name of an environment.
pub struct PreviewedName {
    /// The name.
    pub key: EnvKey,
    /// From which secret its value comes.
    pub secret_id: SecretId,
    /// Why from that one.
    pub reason: Reason,
    /// Which secrets have a value of this name that it doesn't get.
    pub over: Vec<SecretId>,
    /// What is noticed of the value.
    pub hints: Vec<ValueHint>,
}

/// A secret of an environment.
pub struct PreviewedSecret {
    /// The secret.
    pub secret: Proven<Secret>,
    /// When it was attached.
    pub attached_at: Timestamp,
    /// What is noticed of it.
    pub hints: Vec<SecretHint>,
}

impl App {
    /// What a run of this revision would receive if the caller started it now.
    ///
    /// # Errors
    /// When the caller may not, or there is no such revision.
    pub async fn preview(&self, ask: &Ask, agent: AgentId, revision: RevisionId) -> Result<Preview, Error> {
        let _permit = ask.permit(Action::PreviewEnvironment, Ownership::Shared)?;
        self.present_revision(ask, agent, revision).await?;
        let (mut secrets, mut hints_of) = (Vec::new(), Vec::new());
        for attached in self.attached(ask, revision).await? {
            let secret = attached.secret;
            hints_of.push(self.value_hints(ask, &secret).await?);
            let used = !self.noted(ask, self.store.deliveries_of(secret.id, 1).await).await?.is_empty();
            let hints = health::of_secret(&secret, used, self.world.clock.now());
            let attached_at = attached.attachment.created_at;
            secrets.push(PreviewedSecret { secret, attached_at, hints });
        }
        let won = winners(secrets.iter().map(|previewed| received_keys(&previewed.secret)));
        let names = won.into_iter().filter_map(|winner| previewed(winner, &secrets, &hints_of)).collect();
        Ok(Preview { names, secrets })
    }

    /// What is noticed of each value that a run would receive. Only those are opened, one
    /// secret at a time: together they could be 64 MiB.
    async fn value_hints(&self, ask: &Ask, secret: &Secret) -> Result<Hints, Error> {
        if !is_received(secret, RunMode::Inject) {
            return Ok(Hints::new());
        }
        let content = self.open_content(ask, secret, secret.version).await?.into_entries();
        Ok(content.iter().map(|(key, value)| (key.clone(), health::of_value(value))).collect())
    }
}

/// The names that a secret brings into an environment.
fn received_keys(secret: &Secret) -> &[EnvKey] {
    if is_received(secret, RunMode::Inject) { &secret.env_keys } else { &[] }
}

/// What is noticed of each value of a secret.
type Hints = HashMap<EnvKey, Vec<ValueHint>>;

fn previewed(winner: Winner, secrets: &[PreviewedSecret], hints_of: &[Hints]) -> Option<PreviewedName> {
    let of = |source: usize| secrets.get(source).map(|previewed| &previewed.secret);
    let from = of(winner.source)?;
    let hints = hints_of.get(winner.source)?.get(&winner.key)?.clone();
    let beaten: Vec<_> = winner.over.iter().filter_map(|source| of(*source)).collect();
    let reason = match beaten.first() {
        None => Reason::Only,
        // The strongest of them tells.
        Some(next) if from.owner.is_some() && next.owner.is_none() => Reason::Personal,
        Some(_) => Reason::Later,
    };
    Some(PreviewedName {
        secret_id: from.id,
        reason,
        over: beaten.iter().map(|secret| secret.id).collect(),
        hints,
        key: winner.key,
    })
}
