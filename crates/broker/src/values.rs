//! Values that are open: those of a run's secrets that may be used at any host, and what takes
//! them out of answers. To look for a value in every encoding costs more than the request itself,
//! so what was made for it is kept for a second after it was made, and no longer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use smallvec::SmallVec;
use strongroom_core::app::{Cause, Error};
use strongroom_core::rows::Proven;
use strongroom_core::scanner::Scanner;
use strongroom_core::secrets::Secret;
use strongroom_core::values::{EnvKey, SecretValue};
use strongroom_core::{App, LogLimit, RunId, SecretId, with_causes};
use tokio::sync::OnceCell;

use crate::known::Known;
use crate::redact::Redaction;
use crate::refuse::Refusal;
use crate::work;

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
type Which = (RunId, SmallVec<[(SecretId, u32); 2]>);

/// Open values and since when they are, or values that are being opened.
type Opening = Arc<OnceCell<(Arc<Values>, Duration)>>;

/// Open values at hand.
#[derive(Default)]
pub(crate) struct OpenValues {
    open: Mutex<HashMap<Which, Opening>>,
    unopened: LogLimit,
}

impl OpenValues {
    /// The values of a run's secrets that have any rule: where one's value got to, another host may
    /// know it, too, and send it back. Who asks while they are opened waits for that.
    ///
    /// # Errors
    /// When one doesn't open.
    pub(crate) async fn of(&self, app: &App, known: &Known, cause: &Cause) -> Result<Arc<Values>, Refusal> {
        let has_rules = |secret: &&Proven<Secret>| {
            secret.policy_in_force().0.is_some_and(|policy| !policy.rules().is_empty())
        };
        let rows = || known.brokered.secrets.iter().filter(has_rules);
        let which = (known.brokered.run.id, rows().map(|row| (row.id, row.version)).collect());
        let opening = self.opening(which, app.clock().monotonic());
        let open = || async {
            let refused = |error| self.refused(&error);
            let (mut bundles, mut earlier) = (Vec::new(), Vec::new());
            for row in rows() {
                let opened = app.open_brokered(&known.brokered, row, cause).await.map_err(refused)?;
                bundles.push((row.id, opened.into_entries()));
                // Who was told one may say it still.
                let before = app.open_earlier(&known.brokered, row, cause).await.map_err(refused)?;
                earlier.extend(before.into_iter().map(|bundle| (row.id, bundle.into_entries())));
            }
            let effort = bytes(&bundles) + bytes(&earlier);
            let values =
                work::done(effort, move || ready(bundles, &earlier)).await.ok_or(Refusal::Unavailable)?;
            Ok((Arc::new(values), app.clock().monotonic()))
        };
        // What is seldom done isn't to make room for itself in every request.
        let opened = opening.get_or_try_init(|| Box::pin(open()));
        opened.await.map(|(values, _)| Arc::clone(values))
    }

    fn opening(&self, which: Which, now: Duration) -> Opening {
        let mut open = self.open();
        if let Some(opening) = open.get(&which).filter(|opening| is_good(opening, now)) {
            return Arc::clone(opening);
        }
        if open.len() >= MOST {
            open.clear();
        }
        let opening = Opening::default();
        open.insert(which, Arc::clone(&opening));
        opening
    }

    /// Closes those whose time is over, and forgets those that nobody opens any more.
    pub(crate) fn sweep(&self, now: Duration) {
        let is_opened = |opening: &Opening| opening.initialized() || Arc::strong_count(opening) > 1;
        self.open().retain(|_, opening| is_opened(opening) && is_good(opening, now));
    }

    fn refused(&self, error: &Error) -> Refusal {
        if !matches!(error, Error::Integrity(_))
            && let Some(unlogged) = self.unopened.one_more()
        {
            tracing::warn!(error = with_causes(error), unlogged = unlogged.told(), "broker.unopened");
        }
        Refusal::Unavailable
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Which, Opening>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether what is opened, or will be, may be used.
fn is_good(opening: &Opening, now: Duration) -> bool {
    opening.get().is_none_or(|(_, since)| now.saturating_sub(*since) < OPEN_FOR)
}

#[expect(clippy::disallowed_methods, reason = "only their lengths are counted")]
fn bytes(bundles: &[(SecretId, Entries)]) -> usize {
    bundles.iter().flat_map(|(_, entries)| entries).map(|(_, value)| value.reveal().len()).sum()
}

#[expect(clippy::disallowed_methods, reason = "the values are what is looked for in answers")]
fn ready(bundles: Vec<(SecretId, Entries)>, earlier: &[(SecretId, Entries)]) -> Values {
    let values = bundles.iter().chain(earlier).flat_map(|(_, entries)| entries);
    let scanner = Scanner::new(values.map(|(_, value)| value.reveal().as_bytes()));
    Values { redaction: Redaction::new(scanner), bundles }
}
