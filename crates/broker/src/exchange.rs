//! One request from its beginning to the last byte of its answer, as it is told of: counted on
//! both ways, stopped when something is found on the way that may not be there.

use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use http::Method;
use smallvec::{SmallVec, smallvec};
use strongroom_core::app::BrokeredRequest;
use strongroom_core::requests::{MOST_PATH, Requested, kept};
use strongroom_core::{SecretId, Timestamp};
use uuid::Uuid;

use crate::broker::{Broker, Client};
use crate::known::Known;
use crate::leases::Lease;
use crate::limits::{Seat, Spent};
use crate::refuse::Refusal;
use crate::target::Target;

/// A request under way.
pub(crate) struct Exchange {
    broker: Arc<Broker>,
    known: Known,
    spent: Arc<Spent>,
    lease: Arc<Lease>,
    seat: OnceLock<Seat>,
    id: Uuid,
    at: Timestamp,
    began: Duration,
    target: Arc<Target>,
    method: Method,
    path: String,
    /// Which values went in, one for each secret.
    used: OnceLock<AllUsed>,
    status: AtomicU16,
    sent: AtomicU64,
    received: AtomicU64,
    refused: Mutex<Option<Refusal>>,
    /// Whether it was told of already.
    told: AtomicBool,
    /// Whether nothing is told of it.
    is_silent: AtomicBool,
}

/// What is told of one request: mostly once.
type Told = SmallVec<[BrokeredRequest; 1]>;

/// Which values went in, one for each secret: mostly one.
pub(crate) type AllUsed = SmallVec<[Used; 1]>;

/// Which value went in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Used {
    pub(crate) secret: SecretId,
    pub(crate) version: u32,
    pub(crate) rule: u16,
}

impl Exchange {
    /// One that begins now.
    pub(crate) fn begin(
        broker: &Arc<Broker>,
        (known, client): (Known, &Client),
        (target, method, path): (&Arc<Target>, &Method, &str),
    ) -> Arc<Self> {
        let clock = broker.app.clock();
        client.lease.goes_on();
        client.spent.lasts(known.brokered.run.expires_at);
        let exchange = Arc::new(Self {
            spent: Arc::clone(&client.spent),
            lease: Arc::clone(&client.lease),
            seat: OnceLock::new(),
            known,
            id: (broker.request_ids)(),
            at: clock.now(),
            began: clock.monotonic(),
            target: Arc::clone(target),
            method: method.clone(),
            path: kept(path, MOST_PATH).to_owned(),
            used: OnceLock::new(),
            status: AtomicU16::new(0),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            refused: Mutex::default(),
            told: AtomicBool::new(false),
            is_silent: AtomicBool::new(false),
            broker: Arc::clone(broker),
        });
        broker.recorder.began(&exchange);
        exchange
    }

    /// Counts it among what its run may have; `asks_host` says whether its host, too.
    ///
    /// # Errors
    /// When it is too much.
    pub(crate) fn admit(&self, asks_host: bool) -> Result<(), Refusal> {
        self.spent.request(&self.broker.limits).inspect_err(|_| {
            // Once says it: a run that goes on and on isn't to fill the record.
            self.is_silent.store(self.spent.is_told_of_its_end(), Ordering::Relaxed);
        })?;
        let _first = self.seat.set(self.spent.under_way()?);
        if asks_host { self.spent.host(&self.target, &self.broker.limits) } else { Ok(()) }
    }

    /// That its run goes on.
    pub(crate) fn lease(&self) -> &Arc<Lease> {
        &self.lease
    }

    /// Its id, also in the record.
    pub(crate) fn id(&self) -> Uuid {
        self.id
    }

    /// Notes which values go in, one for each secret.
    pub(crate) fn uses(&self, used: AllUsed) {
        let _first = self.used.set(used);
    }

    /// Notes the status of the answer.
    pub(crate) fn answered(&self, status: http::StatusCode) {
        self.status.store(status.as_u16(), Ordering::Relaxed);
    }

    /// Notes that so many bytes of the request's body were sent.
    ///
    /// # Errors
    /// When the run has had too many, or is over.
    pub(crate) fn sent(&self, bytes: usize) -> Result<(), Refusal> {
        self.counted(&self.sent, bytes)
    }

    /// Notes that so many bytes of the answer's body came.
    ///
    /// # Errors
    /// When the run has had too many, or is over.
    pub(crate) fn received(&self, bytes: usize) -> Result<(), Refusal> {
        self.counted(&self.received, bytes)
    }

    fn counted(&self, count: &AtomicU64, bytes: usize) -> Result<(), Refusal> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        count.fetch_add(bytes, Ordering::Relaxed);
        if self.lease.is_over() {
            return Err(Refusal::RunOver);
        }
        self.spent.more(bytes, &self.broker.limits)
    }

    /// Notes why it goes no further.
    pub(crate) fn stop(&self, refusal: Refusal) {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(refusal);
    }

    /// Why it was stopped, if it was.
    pub(crate) fn stopped(&self) -> Option<Refusal> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is to be told of it while it is under way.
    pub(crate) fn under_way(&self) -> Told {
        let is_silent = self.is_silent.load(Ordering::Relaxed);
        if is_silent || self.told.swap(true, Ordering::Relaxed) { Told::new() } else { self.told(false) }
    }

    /// A record for each secret of which a value went in, and one where none did.
    fn told(&self, ended: bool) -> Told {
        match self.used.get().map(SmallVec::as_slice) {
            None | Some([]) => smallvec![self.record(None, ended)],
            Some(used) => used.iter().map(|used| self.record(Some(used), ended)).collect(),
        }
    }

    fn record(&self, used: Option<&Used>, ended: bool) -> BrokeredRequest {
        let clock = self.broker.app.clock();
        let status = self.status.load(Ordering::Relaxed);
        let millis = clock.monotonic().saturating_sub(self.began).as_millis();
        BrokeredRequest {
            brokered: Arc::clone(&self.known.brokered),
            request_id: self.id,
            at: if ended && self.told.load(Ordering::Relaxed) { clock.now() } else { self.at },
            secret: used.map(|used| (used.secret, used.version)),
            requested: Requested {
                rule: used.map(|used| used.rule),
                scheme: self.target.scheme.name().into(),
                host: (&*self.target.host).into(),
                port: self.target.port,
                method: self.method.as_str().into(),
                path: (&*self.path).into(),
                status: (status > 0).then_some(status),
                sent: self.sent.load(Ordering::Relaxed),
                received: self.received.load(Ordering::Relaxed),
                millis: u64::try_from(millis).unwrap_or(u64::MAX),
                refused: self.stopped().map(|refusal| refusal.name().into()),
                ended,
            }
            .text(),
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let is_silent = self.is_silent.load(Ordering::Relaxed);
        self.broker.recorder.ended(self.id, if is_silent { Told::new() } else { self.told(true) });
    }
}
