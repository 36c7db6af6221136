//! Makes leaves of what was recorded, each second and before the server ends, and keeps
//! the signed heads outside the database, where a writer of that can't reach them.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use strongroom_core::app::{SEALED_AT_ONCE, Sealer};
use strongroom_core::audit::{Broken, Head};
use strongroom_core::{App, StoreError, with_causes};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::checkpoints::Checkpoints;
use crate::sinks::Heads;

/// The longest that an event waits for its leaf.
const SECOND: Duration = Duration::from_secs(1);
/// How many events may come in the meantime before the next head is signed sooner.
const EVENTS: u32 = 1_000;
/// What a head costs however few events it is over: no more than ten a second.
const SOONEST: Duration = Duration::from_millis(100);

/// Seals what was recorded, for one server.
pub(crate) struct Sealing {
    app: Arc<App>,
    checkpoints: Checkpoints,
    sealer: Sealer,
    /// The size of the tree, for those who send its leaves on; none while another seals.
    heads: watch::Sender<Option<u64>>,
    /// What was told already, until it is right again.
    told: Option<Trouble>,
}

impl Sealing {
    pub(crate) fn new(app: Arc<App>, checkpoints: Checkpoints) -> Self {
        let heads = watch::Sender::new(None);
        Self { app, checkpoints, sealer: Sealer::default(), heads, told: None }
    }

    /// Tells how far it is.
    pub(crate) fn heads(&self) -> Heads {
        self.heads.subscribe()
    }

    /// Seals until `ending` resolves, and then what there is by then. A turn that is under way
    /// is finished first: what the store does of it would go on, and nobody would keep its head.
    pub(crate) async fn keep(mut self, ending: impl Future<Output = ()>) {
        let mut ending = pin!(ending);
        self.checkpoints.compare(&self.app).await;
        loop {
            let events = self.turn().await;
            let soon = SECOND * EVENTS / events.max(EVENTS);
            if timeout(soon.max(SOONEST), ending.as_mut()).await.is_ok() {
                break;
            }
        }
        self.turn().await;
    }

    /// Seals what there is, if this server is the one that does. How many events it were.
    async fn turn(&mut self) -> u32 {
        let mut sealed = 0;
        // Each time: who has much to seal isn't silent for as long as that takes.
        while self.app.store().elected().await.unwrap_or(false) {
            match self.app.seal_events(&mut self.sealer).await {
                Ok(None) => return sealed,
                Ok(Some(done)) => {
                    if self.told.take().is_some() {
                        tracing::info!("audit.sealed: what was recorded meanwhile is sealed");
                    }
                    self.note(&done.head);
                    self.heads.send_replace(Some(done.head.size));
                    sealed += done.events;
                    if done.events < SEALED_AT_ONCE {
                        return sealed;
                    }
                }
                Err(error) => {
                    self.tell(&error);
                    return sealed;
                }
            }
        }
        self.heads.send_replace(None);
        // What another server signed is kept here, too.
        if let Ok(Some(head)) = self.app.newest_head().await {
            self.note(&head);
        }
        sealed
    }

    fn note(&mut self, head: &Head) {
        self.checkpoints.note(head);
    }

    /// Tells once what is wrong, until it is right again.
    fn tell(&mut self, error: &Broken) {
        // Somebody else was quicker, or is about to be elected.
        if matches!(error, Broken::Store(StoreError::Changed)) {
            return;
        }
        let (trouble, error) = (Trouble::of(error), with_causes(error));
        if !trouble.is_news_after(self.told) {
            return;
        }
        self.told = Some(trouble);
        match trouble {
            Trouble::Away => {
                tracing::warn!(error, "audit.unsealed: nothing is sealed until the database answers again");
            }
            Trouble::Wrong => tracing::error!(
                error,
                "audit.unsealed: nothing is sealed until this is mended; run `strongroom audit verify`"
            ),
        }
    }
}

/// Why nothing is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    /// The database can't be asked.
    Away,
    /// What is there isn't what it should be.
    Wrong,
}

impl Trouble {
    fn of(error: &Broken) -> Self {
        match error {
            Broken::Store(StoreError::Unavailable(_) | StoreError::Unsettled) => Self::Away,
            _ => Self::Wrong,
        }
    }

    /// Whether it is to be told when this was told already: the worse of the two also after the other.
    fn is_news_after(self, told: Option<Self>) -> bool {
        told.is_none_or(|told| told < self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_record_is_told_also_after_a_database_that_was_away() {
        let away = Trouble::of(&Broken::Store(StoreError::Unavailable("away".into())));
        assert_eq!(away, Trouble::of(&Broken::Store(StoreError::Unsettled)));
        let wrong = Trouble::of(&Broken::Store(StoreError::Stopped));
        assert!(away.is_news_after(None) && wrong.is_news_after(None));
        assert!(wrong.is_news_after(Some(away)));
        for (trouble, told) in [(away, away), (wrong, wrong), (away, wrong)] {
            assert!(!trouble.is_news_after(Some(told)), "{trouble:?} after {told:?}");
        }
    }
}
