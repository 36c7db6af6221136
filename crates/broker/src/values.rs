//! Values that are open: those of a run's secrets that may be used at any host, and what takes
//! them out of answers. To look for a value in every encoding costs more than the request itself,
//! so what was made for it is kept for a second after it was made, and no longer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use strongroom_core::app::{Cause, Error};
use strongroom_core::rows::Proven;
use strongroom_core::scanner::Scanner;
use strongroom_core::secrets::Secret;
use strongroom_core::values::{EnvKey, SecretValue};
use strongroom_core::{App, RunId, SecretId};

use crate::known::Known;
use crate::redact::Redaction;

/// How long values are open.
const OPEN_FOR: Duration = Duration::from_secs(1);
/// How many sets of values are open at a time.
const MOST: usize = 1_024;

/// The values of a secret, by their names.
type Entries = Vec<(EnvKey, SecretValue)>;

/// The open values of a run's secrets that have a rule.
pub(crate) struct Values {
    bundles: Vec<(SecretId, Entries)>,
    redaction: Redaction,
}

impl Values {
    /// One of them.
    pub(crate) fn value(&self, secret: SecretId, key: &EnvKey) -> Option<&SecretValue> {
        let entries = self.bundles.iter().find(|(id, _)| *id == secret).map(|(_, entries)| entries)?;
        entries.iter().find(|(own, _)| own == key).map(|(_, value)| value)
    }

    /// What takes them out of answers.
    pub(crate) fn redaction(&self) -> &Redaction {
        &self.redaction
    }
}

/// Which secrets of a run, in which versions.
type Which = (RunId, Vec<(SecretId, u32)>);

/// Open values at hand.
#[derive(Default)]
pub(crate) struct OpenValues(Mutex<HashMap<Which, (Arc<Values>, Duration)>>);

impl OpenValues {
    /// The values of a run's secrets that have any rule: where one's value got to, another host may
    /// know it, too, and send it back.
    ///
    /// # Errors
    /// When one doesn't open.
    pub(crate) async fn of(&self, app: &App, known: &Known, cause: &Cause) -> Result<Arc<Values>, Error> {
        let has_rules = |secret: &&Proven<Secret>| {
            secret.policy_in_force().0.is_some_and(|policy| !policy.rules().is_empty())
        };
        let rows: Vec<_> = known.brokered.secrets.iter().filter(has_rules).collect();
        let which = (known.brokered.run.id, rows.iter().map(|row| (row.id, row.version)).collect());
        let now = app.clock().monotonic();
        if let Some((values, since)) = self.open().get(&which)
            && now.saturating_sub(*since) < OPEN_FOR
        {
            return Ok(Arc::clone(values));
        }
        let mut bundles = Vec::with_capacity(rows.len());
        for row in rows {
            bundles.push((row.id, app.open_brokered(&known.brokered, row, cause).await?.into_entries()));
        }
        let values = Arc::new(Values { redaction: redaction(&bundles), bundles });
        let mut open = self.open();
        if open.len() >= MOST {
            open.clear();
        }
        open.insert(which, (Arc::clone(&values), now));
        Ok(values)
    }

    /// Closes those whose time is over.
    pub(crate) fn sweep(&self, now: Duration) {
        self.open().retain(|_, (_, since)| now.saturating_sub(*since) < OPEN_FOR);
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Which, (Arc<Values>, Duration)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[expect(clippy::disallowed_methods, reason = "the values are what is looked for in answers")]
fn redaction(bundles: &[(SecretId, Entries)]) -> Redaction {
    let values = bundles.iter().flat_map(|(_, entries)| entries);
    Redaction::new(Scanner::new(values.map(|(_, value)| value.reveal().as_bytes())))
}
