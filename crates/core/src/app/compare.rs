//! Which values of two secrets are the same: opened and compared here, and
//! nothing of them told but that.

use super::ask::Steps;
use super::versions::version_object;
use super::{App, Ask, Error, Planned};
use crate::access::Action;
use crate::events::EventKind;
use crate::ids::SecretId;
use crate::secrets::Comparison;
use crate::store::Change;
use crate::values::{Bundle, EnvKey};

impl App {
    /// Compares two secrets, name by name: those of the first in its order,
    /// then those that only the second has.
    ///
    /// # Errors
    /// When the caller may not change both, or either is for the broker only: whether a guess
    /// is right would tell of its values what nobody is to learn.
    pub async fn compare_secrets(
        &self,
        ask: &Ask,
        a: SecretId,
        b: SecretId,
    ) -> Result<Planned<Vec<(EnvKey, Comparison)>>, Error> {
        let (a, permit) = self.present(ask, Action::CompareSecrets, a).await?;
        let (b, _) = self.present(ask, Action::CompareSecrets, b).await?;
        if a.is_broker_only() || b.is_broker_only() {
            return Err(Error::Conflict(
                "a secret that is for the broker only can't be compared: the answer would tell whether a guess at its \
                 values is right",
            ));
        }
        let outcome = compared(
            &self.open_content(ask, &a, a.version).await?,
            &self.open_content(ask, &b, b.version).await?,
        );
        let at = self.world.clock.now();
        let both = [&a, &b];
        let event = |secret| {
            ask.event_of(EventKind::SecretCompared, at, version_object(secret, Some(secret.version)))
        };
        let mut steps = Steps::default();
        for secret in both {
            // Whoever lost the right to either in the meantime learns nothing.
            let unchanged = Change::SecretIs(secret.team_id, secret.id, secret.mac());
            steps = steps.with(unchanged).telling(event(secret));
        }
        Ok(Planned::new(outcome, permit, steps))
    }
}

fn compared(a: &Bundle, b: &Bundle) -> Vec<(EnvKey, Comparison)> {
    let of_a = a.keys().map(|key| {
        let comparison = match (a.value(key), b.value(key)) {
            (Some(mine), Some(theirs)) if mine.matches(theirs) => Comparison::Same,
            (_, Some(_)) => Comparison::Different,
            (_, None) => Comparison::OnlyA,
        };
        (key.clone(), comparison)
    });
    let of_b = b.keys().filter(|key| a.value(key).is_none()).map(|key| (key.clone(), Comparison::OnlyB));
    of_a.chain(of_b).collect()
}
