//! Runs with something open: a tunnel, a WebSocket. All of it ends when the run does, which is
//! looked at once for a run, however much it has open, and for all runs side by side.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use strongroom_core::RunId;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::broker::Bearer;
use crate::refuse::Refusal;

/// How often it is looked. What is known of a run may be 800 ms old then, and its end is to be
/// noticed within a second.
const LOOKS: Duration = Duration::from_millis(150);
/// Runs that are looked at together: looked at one by one, a thousand would take longer than that.
const AT_ONCE: usize = 32;
/// How long one look at all of them may take. Who isn't reached by then is the first of the next.
const LOOKED_IN: Duration = Duration::from_secs(1);
/// How long it may not be told whether a run is over: then it counts as over, since values are in use.
const UNTOLD: Duration = Duration::from_secs(5);

/// That a run goes on, as long as it does.
pub(crate) struct Lease {
    bearer: Bearer,
    over: watch::Sender<bool>,
    /// When it was last told that the run goes on.
    told: Mutex<Instant>,
}

impl Lease {
    fn new(bearer: &Bearer) -> Self {
        let (over, told) = (watch::Sender::new(false), Mutex::new(Instant::now()));
        Self { bearer: bearer.clone(), over, told }
    }

    /// Whether the run is over.
    pub(crate) fn is_over(&self) -> bool {
        *self.over.borrow()
    }

    /// Resolves when the run is over.
    pub(crate) async fn over(&self) {
        let _either_way = self.over.subscribe().wait_for(|over| *over).await.is_ok();
    }

    fn told(&self) -> Instant {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the run proved itself just now.
    pub(crate) fn goes_on(&self) {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

/// The leases that somebody holds.
#[derive(Default)]
pub(crate) struct Leases(Mutex<HashMap<Place, Weak<Lease>>>);

/// Of which run, and where its process is: which of them may use it isn't the same everywhere.
pub(crate) type Place = (RunId, IpAddr);

impl Leases {
    /// The lease of a run that proved itself just now.
    pub(crate) fn of(&self, bearer: &Bearer) -> Arc<Lease> {
        let mut leases = self.leases();
        let place = bearer.place();
        if let Some(lease) = leases.get(&place).and_then(Weak::upgrade) {
            lease.goes_on();
            return lease;
        }
        let lease = Arc::new(Lease::new(bearer));
        leases.insert(place, Arc::downgrade(&lease));
        lease
    }

    /// Ends those of runs that are over, until it is dropped. `look` says whether a run is.
    pub(crate) async fn keep<L>(&self, look: impl Fn(Bearer) -> L)
    where
        L: Future<Output = Result<(), Refusal>>,
    {
        loop {
            sleep(LOOKS).await;
            let looks = self.held().into_iter().map(|lease| {
                let looked = look(lease.bearer.clone());
                async move { self.note(&lease, &looked.await) }
            });
            let all = stream::iter(looks).buffer_unordered(AT_ONCE).for_each(|()| async {});
            let _the_rest_later = timeout(LOOKED_IN, all).await;
            for lease in self.held().iter().take_while(|lease| lease.told().elapsed() >= UNTOLD) {
                self.end(lease);
            }
        }
    }

    fn note(&self, lease: &Lease, looked: &Result<(), Refusal>) {
        match looked {
            Ok(()) => lease.goes_on(),
            Err(Refusal::Unavailable) => {}
            Err(_) => self.end(lease),
        }
    }

    fn end(&self, lease: &Lease) {
        self.leases().remove(&lease.bearer.place());
        lease.over.send_replace(true);
    }

    /// Those that are held, and of which it is the longest not told, first; the others are forgotten.
    fn held(&self) -> Vec<Arc<Lease>> {
        let mut leases = self.leases();
        leases.retain(|_, lease| lease.strong_count() > 0);
        let mut held: Vec<_> = leases.values().filter_map(Weak::upgrade).collect();
        held.sort_by_cached_key(|lease| lease.told());
        held
    }

    fn leases(&self) -> MutexGuard<'_, HashMap<Place, Weak<Lease>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use std::sync::atomic::{AtomicBool, Ordering};
    use strongroom_core::OsRandom;
    use strongroom_core::app::BrokerToken;
    use strongroom_core::tokens::{Token, TokenHash, TokenKind};
    use uuid::Uuid;

    /// As many runs as a server may have.
    const RUNS: usize = 1_000;

    fn bearer(number: usize) -> Bearer {
        let token = Token::mint(TokenKind::Broker, Uuid::from_u128(number as u128), &OsRandom);
        let hash = TokenHash::from_slice(&[0; TokenHash::LENGTH]).unwrap();
        Bearer { token: Arc::new(BrokerToken::new(token, hash)), from: IpAddr::V4(Ipv4Addr::LOCALHOST) }
    }

    fn held(leases: &Leases) -> Vec<Arc<Lease>> {
        (0..RUNS).map(|number| leases.of(&bearer(number))).collect()
    }

    async fn all_over(held: &[Arc<Lease>]) {
        for lease in held {
            lease.over().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn of_a_thousand_runs_the_end_of_each_is_noticed_in_time() {
        let leases = Leases::default();
        let (held, over) = (held(&leases), AtomicBool::new(false));
        let look = |of: Bearer| {
            let is_over = &over;
            async move {
                // As long as a database may take for it.
                sleep(Duration::from_millis(5)).await;
                if is_over.load(Ordering::Relaxed) && of.place() != bearer(0).place() {
                    Err(Refusal::RunOver)
                } else {
                    Ok(())
                }
            }
        };
        let ends = async {
            sleep(Duration::from_secs(10)).await;
            assert!(!held.iter().any(|lease| lease.is_over()), "while they go on");
            over.store(true, Ordering::Relaxed);
            let since = Instant::now();
            all_over(held.get(1..).unwrap()).await;
            // What is known of them may be old already.
            assert!(since.elapsed() < Duration::from_millis(400), "{:?}", since.elapsed());
            sleep(Duration::from_secs(10)).await;
            assert!(!held[0].is_over());
        };
        tokio::select! {
            () = leases.keep(look) => {}
            () = ends => {}
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_isnt_told_of_is_over_after_five_seconds_however_long_looks_take() {
        for answers in [false, true] {
            let leases = Leases::default();
            let (held, began) = (held(&leases), Instant::now());
            let look = |_| async move {
                if !answers {
                    std::future::pending::<()>().await;
                }
                Err(Refusal::Unavailable)
            };
            let ends = async {
                sleep(Duration::from_millis(4_900)).await;
                assert!(!held.iter().any(|lease| lease.is_over()), "too soon");
                all_over(&held).await;
                assert!(began.elapsed() <= Duration::from_millis(6_500), "{:?}", began.elapsed());
            };
            tokio::select! {
                () = leases.keep(look) => {}
                () = ends => {}
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_too_slow_for_all_at_once_tells_of_each_in_turn() {
        let leases = Leases::default();
        let held = held(&leases);
        let look = |_| async {
            sleep(Duration::from_millis(90)).await;
            Ok(())
        };
        let passes = async {
            sleep(Duration::from_secs(30)).await;
            assert!(!held.iter().any(|lease| lease.is_over()), "it was told that they go on");
        };
        tokio::select! {
            () = leases.keep(look) => {}
            () = passes => {}
        }
    }
}
