//! When API keys were last used. Noted in memory and written now and then:
//! a read that had to write would be no read any more.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::{App, Error};
use crate::clock::Timestamp;
use crate::ids::ApiKeyId;

/// The uses not yet written.
#[derive(Default)]
pub(super) struct Uses(Mutex<HashMap<ApiKeyId, Timestamp>>);

impl Uses {
    fn change<T>(&self, change: impl FnOnce(&mut HashMap<ApiKeyId, Timestamp>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn note(&self, key: ApiKeyId, at: Timestamp) {
        self.change(|uses| uses.insert(key, at));
    }

    /// When it was last used, if that isn't written yet.
    pub(super) fn latest(&self, key: ApiKeyId) -> Option<Timestamp> {
        self.change(|uses| uses.get(&key).copied())
    }
}

impl App {
    /// Writes down when keys were last used. To be called about once a minute;
    /// a crash loses no more than what came since.
    ///
    /// # Errors
    /// When the store can't; the uses are tried again with the next ones.
    pub async fn write_uses(&self) -> Result<(), Error> {
        let uses = self.uses.change(std::mem::take);
        if uses.is_empty() {
            return Ok(());
        }
        let written = self.store.note_uses(uses.iter().map(|(key, at)| (*key, *at)).collect()).await;
        if written.is_err() {
            self.uses.change(|newer| {
                for (key, at) in uses {
                    newer.entry(key).or_insert(at);
                }
            });
        }
        Ok(written?)
    }
}
