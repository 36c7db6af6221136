//! What the parts of one connection know of each other: its phase, when that
//! phase must end, and how far requests and answers have come. All of it is
//! atomic, so that a service may read a body on another task; none of it locks
//! on the way of an ordinary request.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::http2::UnderWay;
use crate::limits::Limits;
use crate::proxies::TrustedProxies;
use crate::request_id::RequestId;

/// What all connections share.
pub(crate) struct Server {
    pub(crate) limits: Limits,
    pub(crate) proxies: TrustedProxies,
    pub(crate) request_ids: Box<dyn Fn() -> RequestId + Send + Sync>,
    /// Set before [`Server::leaving`] is notified.
    pub(crate) closing: AtomicBool,
    pub(crate) leaving: Arc<Notify>,
}

impl Server {
    /// Asks every connection to end after what it is doing.
    pub(crate) fn close(&self) {
        self.closing.store(true, Relaxed);
        self.leaving.notify_waiters();
    }
}

/// What a connection is waiting for. Each phase has one deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// The first byte of all.
    FirstByte,
    /// The rest of a head.
    Head,
    /// A body, the service, or the client's taking of the answer.
    Request,
    /// The last word of a service whose time is up.
    LastWord,
    /// The first byte of the next request.
    Idle,
    /// The client's reading of a last answer.
    Closing,
}

impl Phase {
    fn from_u8(number: u8) -> Self {
        match number {
            0 => Self::FirstByte,
            1 => Self::Head,
            2 => Self::Request,
            3 => Self::LastWord,
            4 => Self::Idle,
            _ => Self::Closing,
        }
    }
}

/// One connection, as its parts see it; of HTTP/2, one request.
pub(crate) struct Link {
    pub(crate) server: Arc<Server>,
    pub(crate) peer: SocketAddr,
    accepted: Instant,
    phase: AtomicU8,
    /// When the phase must end, in milliseconds after `accepted`.
    deadline: AtomicU64,
    /// Heads that arrived whole.
    heads: AtomicU32,
    /// Requests that the service was given.
    calls: AtomicU32,
    /// Answers of which the last byte is on its way to the socket.
    ended: AtomicU32,
    /// Answers that were written whole.
    answers: AtomicU32,
    /// The bodies of all heads that arrived have arrived, too.
    arrived: AtomicBool,
    /// The service has answered the request that it was last given.
    answering: AtomicBool,
    /// The service waits for more of the body.
    body_waits: AtomicBool,
    body_waker: Mutex<Option<Waker>>,
    /// Of HTTP/2: counts until this goes.
    under_way: Option<UnderWay>,
}

impl Link {
    /// A connection that was just accepted.
    pub(crate) fn new(server: Arc<Server>, peer: SocketAddr) -> Self {
        let first_byte = millis(server.limits.first_byte);
        Self {
            server,
            peer,
            accepted: Instant::now(),
            phase: AtomicU8::new(Phase::FirstByte as u8),
            deadline: AtomicU64::new(first_byte),
            heads: AtomicU32::new(0),
            calls: AtomicU32::new(0),
            ended: AtomicU32::new(0),
            answers: AtomicU32::new(0),
            arrived: AtomicBool::new(true),
            answering: AtomicBool::new(false),
            body_waits: AtomicBool::new(false),
            body_waker: Mutex::new(None),
            under_way: None,
        }
    }

    /// A request of HTTP/2 whose head has arrived.
    pub(crate) fn of_stream(server: Arc<Server>, peer: SocketAddr, under_way: UnderWay) -> Self {
        let link = Self { under_way: Some(under_way), ..Self::new(server, peer) };
        link.enter(Phase::Request);
        link
    }

    /// Whether it is to be known when an answer's bytes are gone.
    pub(crate) fn is_of_stream(&self) -> bool {
        self.under_way.is_some()
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.server.limits
    }

    pub(crate) fn phase(&self) -> Phase {
        Phase::from_u8(self.phase.load(Relaxed))
    }

    /// When the present phase must end.
    pub(crate) fn deadline(&self) -> Instant {
        self.accepted + Duration::from_millis(self.deadline.load(Relaxed))
    }

    pub(crate) fn enter(&self, phase: Phase) {
        let limits = self.limits();
        let time = match phase {
            Phase::FirstByte => limits.first_byte,
            Phase::Head => limits.head,
            Phase::Request => limits.request,
            Phase::Idle => limits.idle,
            Phase::LastWord | Phase::Closing => limits.drain_time,
        };
        self.phase.store(phase as u8, Relaxed);
        self.deadline.store(millis(self.accepted.elapsed()).saturating_add(millis(time)), Relaxed);
    }

    /// Bytes were read: so many heads became complete, a head is `open`, and
    /// all bodies have `arrived` or not.
    pub(crate) fn read(&self, heads: u32, open: bool, arrived: bool) {
        self.arrived.store(arrived, Relaxed);
        add(&self.heads, heads);
        match self.phase() {
            Phase::FirstByte | Phase::Idle | Phase::Head if heads > 0 => self.enter(Phase::Request),
            Phase::FirstByte | Phase::Idle if open => self.enter(Phase::Head),
            _ => {}
        }
    }

    /// The service is given a request.
    pub(crate) fn call(&self) {
        self.answering.store(false, Relaxed);
        add(&self.calls, 1);
    }

    /// The service has answered.
    pub(crate) fn answer(&self) {
        self.answering.store(true, Relaxed);
    }

    /// The service's answer has no more to it.
    pub(crate) fn end_answer(&self) {
        add(&self.ended, 1);
    }

    /// All that was to be written is written; a head may be `open`.
    pub(crate) fn flushed(&self, open: bool) {
        let ended = self.ended.load(Relaxed);
        if ended == self.answers.load(Relaxed) {
            return;
        }
        self.answers.store(ended, Relaxed);
        match open {
            _ if self.requests_wait() => self.enter(Phase::Request),
            true => self.enter(Phase::Head),
            false => self.enter(Phase::Idle),
        }
    }

    /// Whether there are requests without a complete answer.
    pub(crate) fn requests_wait(&self) -> bool {
        self.heads.load(Relaxed) != self.answers.load(Relaxed)
    }

    /// Whether the service has a request and hasn't begun to answer it.
    pub(crate) fn service_works(&self) -> bool {
        self.service_owns_writes() && !self.answering.load(Relaxed)
    }

    /// Whether what is written now is for a request that the service was given.
    pub(crate) fn service_owns_writes(&self) -> bool {
        self.calls.load(Relaxed) != self.answers.load(Relaxed)
    }

    /// Whether the body of the request that the service was last given is all
    /// here; a later head can only have arrived after it.
    pub(crate) fn body_arrived(&self) -> bool {
        self.arrived.load(Relaxed) || self.heads.load(Relaxed) != self.calls.load(Relaxed)
    }

    pub(crate) fn is_overdue(&self) -> bool {
        self.phase() == Phase::LastWord
    }

    pub(crate) fn body_waits(&self) -> bool {
        self.body_waits.load(Relaxed)
    }

    /// The body has nothing to give yet; its reader is to be woken when the
    /// request's time is up.
    pub(crate) fn wait_for_body(&self, waker: &Waker) {
        self.body_waits.store(true, Relaxed);
        self.body_waker().replace(waker.clone());
    }

    /// The service got an answer from its body, or lost interest in it.
    pub(crate) fn stop_waiting_for_body(&self) {
        self.body_waits.store(false, Relaxed);
    }

    /// The request's time is up: a body that is waited for fails, a service
    /// that works on is answered for.
    pub(crate) fn time_is_up(&self) {
        self.enter(Phase::LastWord);
        if let Some(waker) = self.body_waker().take() {
            waker.wake();
        }
    }

    fn body_waker(&self) -> impl std::ops::DerefMut<Target = Option<Waker>> {
        self.body_waker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds where only one task writes: no locked instruction is needed.
fn add(counter: &AtomicU32, more: u32) {
    counter.store(counter.load(Relaxed).wrapping_add(more), Relaxed);
}

/// Whole milliseconds; of more than a year, a year, so that sums don't overflow.
fn millis(time: Duration) -> u64 {
    const YEAR: u64 = 365 * 24 * 60 * 60 * 1000;
    u64::try_from(time.as_millis()).unwrap_or(YEAR).min(YEAR)
}
