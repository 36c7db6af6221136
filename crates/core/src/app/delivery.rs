//! The one way out of the whole system: a run receives its environment. Which
//! versions it receives is stored, and safe on the disk, before a value leaves.

use std::collections::{BTreeSet, HashMap};

use super::ask::Steps;
use super::runs::refuse_collisions;
use super::{App, Ask, Error, Planned};
use crate::access::{Action, Denied, Ownership};
use crate::environment::{is_received, winners};
use crate::events::{Event, EventKind, Place};
use crate::placeholders::placeholders;
use crate::rows::Proven;
use crate::runs::{Delivery, Run, RunMode};
use crate::secrets::Secret;
use crate::store::{Change, Held, StoreError};
use crate::values::{EnvKey, SecretValue};

/// How often it is tried again when a secret or the run changed meanwhile.
const ATTEMPTS: u32 = 64;
/// After how many tries the secrets are held: where the store is a network away,
/// somebody who changes one without a pause is quicker every time.
const PATIENT: u32 = 4;

/// The most bytes of names and values in an environment: 2 MiB, which is about
/// what a process can have, and a bound for what one request holds in memory.
const MOST_BYTES: usize = 2 << 20;

/// An environment: names and values.
type Delivered = Vec<(EnvKey, SecretValue)>;

impl App {
    /// The environment of the caller's run: the present values of its secrets, or what
    /// stands for them when they go by the broker.
    ///
    /// # Errors
    /// [`Error::RunOver`] when the run is over; when it could not be stored that
    /// these values leave, they don't.
    pub async fn deliver(&self, ask: &Ask) -> Result<Delivered, Error> {
        if ask.caller.run.as_ref().is_some_and(|run| run.mode == RunMode::Broker) {
            return self.stand_ins(ask).await;
        }
        let mut ask = ask.clone();
        for attempt in 1..ATTEMPTS {
            let _held = if attempt > PATIENT { self.held(&ask).await? } else { Held::by_nobody() };
            let planned = match self.delivery(&ask).await {
                Ok(planned) => planned,
                // A run that is over hears that, and not what else is in the way.
                Err(refused) => return Err(self.own_run(&ask).await.err().unwrap_or(refused)),
            };
            match self.carry_out(&ask, planned, None).await {
                Err(Error::Store(StoreError::Changed)) => ask = self.own_run(&ask).await?.1,
                done => return done,
            }
        }
        Err(StoreError::Changed.into())
    }

    /// The environment of a run whose values go by the broker: the same names, and
    /// placeholders. No value is opened and nothing is delivered, so nothing is written, and
    /// the run is proven here.
    async fn stand_ins(&self, ask: &Ask) -> Result<Delivered, Error> {
        let (rows, ask) = self.own_run(ask).await?;
        ask.permit(Action::ReceiveEnvironment, Ownership::Own)?;
        let secrets = self.received(&ask, &rows.run).await?;
        let won = winners(secrets.iter().map(|secret| secret.env_keys.as_slice()));
        if rows.run.strict {
            refuse_collisions(&won)?;
        }
        let all = placeholders(&rows.run, secrets.iter().map(|secret| &**secret));
        let mut all: HashMap<_, _> =
            all.into_iter().map(|one| ((one.secret_id, one.env_key), one.text)).collect();
        let mut environment = Vec::with_capacity(won.len());
        for winner in won {
            let from = secrets.get(winner.source).map(|secret| (secret.id, winner.key.clone()));
            let text = from.and_then(|from| all.remove(&from)).ok_or(Denied::Invisible)?;
            let value =
                SecretValue::parse(text).map_err(|invalid| Error::Invalid(invalid.to_string().into()))?;
            environment.push((winner.key, value));
        }
        Ok(environment)
    }

    /// Holds the secrets of the caller's run.
    async fn held(&self, ask: &Ask) -> Result<Held, Error> {
        let parts = ask.caller.run.iter().flat_map(|run| run.composition.parts());
        let secrets: Vec<_> = parts.map(|part| part.secret_id).collect();
        Ok(self.store.hold(ask.caller.team_id, &secrets).await?)
    }

    async fn delivery(&self, ask: &Ask) -> Result<Planned<Delivered>, Error> {
        let permit = ask.permit(Action::ReceiveEnvironment, Ownership::Own)?;
        let run = ask.caller.run.as_deref().ok_or(Denied::Invisible)?;
        let secrets = self.received(ask, run).await?;
        let won = winners(secrets.iter().map(|secret| secret.env_keys.as_slice()));
        if run.strict {
            refuse_collisions(&won)?;
        }
        let mut steps = Steps::default();
        let mut environment = Vec::with_capacity(won.len());
        for (source, secret) in secrets.iter().enumerate() {
            let names: BTreeSet<_> = won
                .iter()
                .filter(|winner| winner.source == source)
                .map(|winner| winner.key.clone())
                .collect();
            if names.is_empty() {
                continue;
            }
            let content = self.open_content(ask, secret, secret.version).await?;
            let received = content.into_entries().into_iter().filter(|(key, _)| names.contains(key));
            environment.extend(received);
            bounded(&environment)?;
            steps = self.delivering(ask, steps, (run, secret), names);
        }
        Ok(Planned::new(environment, permit, steps))
    }

    /// The secrets of a run that are still there for its starter and may still be in its
    /// environment, the strongest first.
    pub(super) async fn received(&self, ask: &Ask, run: &Run) -> Result<Vec<Proven<Secret>>, Error> {
        let mut secrets = Vec::with_capacity(run.composition.parts().len());
        for part in run.composition.parts() {
            secrets
                .extend(self.seen(ask, part.secret_id).await?.filter(|secret| is_received(secret, run.mode)));
        }
        Ok(secrets)
    }

    fn delivering(
        &self,
        ask: &Ask,
        steps: Steps,
        (run, secret): (&Proven<Run>, &Proven<Secret>),
        env_keys: BTreeSet<EnvKey>,
    ) -> Steps {
        let at = self.world.clock.now();
        let delivery =
            Delivery { run_id: run.id, secret_id: secret.id, version: secret.version, env_keys, at };
        let object = super::versions::version_object(secret, Some(secret.version));
        let place = Place { agent_id: Some(run.agent_id), revision_id: Some(run.revision_id) };
        let event = Event { place, ..ask.event_of(EventKind::SecretDelivered, at, object) };
        steps
            .with(Change::SecretIs(secret.team_id, secret.id, secret.mac()))
            .and(Change::Delivery(delivery), event)
    }
}

/// Refuses more than a process could have.
fn bounded(environment: &[(EnvKey, SecretValue)]) -> Result<(), Error> {
    let bytes = environment.iter().map(|(key, value)| key.as_str().len() + value.size()).sum::<usize>();
    if bytes > MOST_BYTES {
        return Err(Error::Conflict(
            "this run's environment has more than 2 MiB, more than a process can have; detach a secret, or make one smaller",
        ));
    }
    Ok(())
}
