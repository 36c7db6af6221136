//! Requests that may come again: each is done once, and its answer repeated.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use uuid::Uuid;

use super::{App, Cause, Error, Suspect};
use crate::access::{Caller, Means};
use crate::answers::{AnswerId, KEPT_FOR, KeptAnswer, Repeatable, RequestDigest};
use crate::events::Object;
use crate::rows::Stored;

/// A request that is under way for the first time. As long as this lives, the
/// same request is told to wait.
pub struct Once {
    requests: Vec<Named>,
    in_flight: InFlight,
}

/// A request as one of the keys for it names it.
#[derive(Clone, Copy)]
struct Named {
    id: AnswerId,
    request: RequestDigest,
}

/// What a request that may come again turns out to be.
pub enum Begun {
    /// It comes for the first time.
    First(Once),
    /// It was answered; this is the answer.
    Again(Vec<u8>),
    /// Another request had the same key.
    Other,
    /// The first is still under way.
    UnderWay,
}

/// The requests under way.
#[derive(Clone, Default)]
pub(super) struct InFlight(Arc<Mutex<HashSet<AnswerId>>>);

impl InFlight {
    fn change<T>(&self, change: impl FnOnce(&mut HashSet<AnswerId>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether none of these was under way; from here on all are.
    fn admits(&self, requests: &[Named]) -> bool {
        self.change(|under_way| {
            let is_first = !requests.iter().any(|request| under_way.contains(&request.id));
            if is_first {
                under_way.extend(requests.iter().map(|request| request.id));
            }
            is_first
        })
    }
}

impl Drop for Once {
    fn drop(&mut self) {
        self.in_flight.change(|under_way| {
            for request in &self.requests {
                under_way.remove(&request.id);
            }
        });
    }
}

impl App {
    /// Tells whether a request comes for the first time. Only callers with an
    /// API key or a run's token have requests that may come again.
    ///
    /// # Errors
    /// When the store can't tell.
    pub async fn begin(
        &self,
        caller: &Caller,
        request: &Repeatable<'_>,
        cause: &Cause,
    ) -> Result<Begun, Error> {
        let by = match caller.means {
            Means::Key(key) => key.uuid(),
            Means::Run(run) => run.uuid(),
            _ => return Err(Error::NotProven),
        };
        let versions = self.keys.idempotency_versions(self.world.clock.now());
        let requests: Vec<_> = versions.into_iter().map(|version| self.named(version, by, request)).collect();
        let in_flight = self.in_flight.clone();
        if !in_flight.admits(&requests) {
            return Ok(Begun::UnderWay);
        }
        // From here on it is under way: whoever was quicker has left its answer.
        let once = Once { requests, in_flight };
        for named in &once.requests {
            let kept = self.kept(caller, named.id, cause).await?;
            match kept.filter(|kept| self.is_fresh(kept)) {
                None => {}
                Some(kept) if kept.request.matches(&named.request) => return Ok(Begun::Again(kept.answer)),
                Some(_) => return Ok(Begun::Other),
            }
        }
        Ok(Begun::First(once))
    }

    /// A request of this caller under this version of the key.
    fn named(&self, version: u16, by: Uuid, request: &Repeatable<'_>) -> Named {
        let [method, path, name] = [request.method, request.path, request.key].map(str::as_bytes);
        let id = self.keys.digest(version, "strongroom.answer.v1", &[by.as_bytes(), method, path, name]);
        let id = AnswerId::new(id);
        let pieces = [&[id.as_bytes().as_slice()], request.rest].concat();
        let request = RequestDigest::new(self.keys.digest(version, "strongroom.request.v1", &pieces));
        Named { id, request }
    }

    async fn kept(&self, caller: &Caller, id: AnswerId, cause: &Cause) -> Result<Option<KeptAnswer>, Error> {
        let suspect = Suspect { caller: Some(caller), object: Object::of::<KeptAnswer>(None), cause };
        let Some(stored) = self.readable(self.store.answer(id).await, suspect).await? else {
            return Ok(None);
        };
        let proven = self.noting(self.keys.verify(stored), suspect).await?;
        Ok(Some(proven.into_row()))
    }

    fn is_fresh(&self, kept: &KeptAnswer) -> bool {
        self.world.clock.now().as_millis() - kept.created_at.as_millis() < KEPT_FOR
    }

    /// The answer to a request, ready to be kept under each of its names: a server that
    /// doesn't know the newest key yet, or did when it began, meets one of them.
    pub fn keepable(&self, once: &Once, answer: &[u8]) -> Vec<Stored<KeptAnswer>> {
        let created_at = self.world.clock.now();
        let kept = |named: &Named| {
            let (id, request, answer) = (named.id, named.request, answer.to_vec());
            self.keys.authenticate(KeptAnswer { id, request, answer, created_at })
        };
        once.requests.iter().map(kept).collect()
    }

    /// Keeps the answer to a request that nothing was done for.
    ///
    /// # Errors
    /// When the store can't.
    pub async fn keep(&self, once: &Once, answer: &[u8]) -> Result<(), Error> {
        for answer in self.keepable(once, answer) {
            self.store.keep_answer(answer).await?;
        }
        Ok(())
    }
}
