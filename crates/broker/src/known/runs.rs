//! Runs as they were when they were last asked about, so that what finds the placeholders of one
//! is made once for it: not for every request, nor for each of those that come together.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use strongroom_core::RunId;
use strongroom_core::app::Brokered;
use tokio::sync::OnceCell;

use super::{Finder, Known};
use crate::refuse::Refusal;
use crate::work;

/// Runs whose placeholders can be found without making what finds them anew.
const MOST_KNOWN: usize = 1_024;

/// What finds a run's placeholders, made or being made.
type Making = Arc<OnceCell<Arc<Finder>>>;

/// Runs as they were.
#[derive(Default)]
pub(crate) struct KnownRuns(Mutex<HashMap<RunId, (Arc<Brokered>, Making)>>);

impl KnownRuns {
    /// A run as it is now.
    ///
    /// # Errors
    /// When what finds its placeholders can't be made.
    pub(crate) async fn now(&self, brokered: Arc<Brokered>) -> Result<Known, Refusal> {
        let making = self.making(&brokered);
        let finder = making.get_or_try_init(|| made(Arc::clone(&brokered))).await?;
        Ok(Known { finder: Arc::clone(finder), brokered })
    }

    /// What is being made for it: that of a moment ago, if its placeholders are the same.
    fn making(&self, brokered: &Arc<Brokered>) -> Making {
        let mut runs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = runs.get(&brokered.run.id);
        if let Some((_, making)) = before.filter(|(own, _)| Arc::ptr_eq(own, brokered)) {
            return Arc::clone(making);
        }
        let is_same = |(own, _): &&(Arc<Brokered>, Making)| own.placeholders == brokered.placeholders;
        let making = before.filter(is_same).map(|(_, making)| Arc::clone(making)).unwrap_or_default();
        if runs.len() >= MOST_KNOWN && !runs.contains_key(&brokered.run.id) {
            runs.clear();
        }
        runs.insert(brokered.run.id, (Arc::clone(brokered), Arc::clone(&making)));
        making
    }
}

async fn made(brokered: Arc<Brokered>) -> Result<Arc<Finder>, Refusal> {
    let bytes = brokered.placeholders.iter().map(|one| one.text.len()).sum();
    let finder = work::done(bytes, move || Finder::new(&brokered.placeholders)).await;
    finder.flatten().map(Arc::new).ok_or(Refusal::Unavailable)
}
