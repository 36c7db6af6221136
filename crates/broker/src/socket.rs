//! A WebSocket on its way: frames pass both ways as they come, those of the host without the
//! values, those of the run's process unless a placeholder is in them.

use std::io;
use std::sync::Arc;

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};
use tokio::time::timeout;

use crate::exchange::Exchange;
use crate::known::Known;
use crate::refuse::Refusal;
use crate::values::Values;
use crate::websocket::{Ended, FromOrigin, FromRun};

/// What is read at once.
const PIECE: usize = 16 << 10;
/// Closes a WebSocket because of a policy (RFC 6455, section 7.4.1): 1008.
const AGAINST_POLICY: [u8; 4] = [0x88, 2, 0x03, 0xF0];

/// A WebSocket that a run's process asked for.
pub(crate) struct Socket {
    exchange: Arc<Exchange>,
    ours: OnUpgrade,
}

impl Socket {
    pub(crate) fn new(exchange: &Arc<Exchange>, ours: OnUpgrade) -> Self {
        Self { exchange: Arc::clone(exchange), ours }
    }

    /// Relays it until either side ends it, or the run is over.
    pub(crate) async fn relay(self, theirs: OnUpgrade, known: Known, values: Arc<Values>) {
        let Self { exchange, ours } = self;
        let Ok((ours, theirs)) = tokio::try_join!(ours, theirs) else { return };
        let [ours, theirs] = [ours, theirs].map(TokioIo::new);
        tokio::select! {
            _ = frames((ours, theirs), (&known, &values), &exchange) => {}
            () = exchange.lease().over() => exchange.stop(Refusal::RunOver),
        }
    }
}

async fn frames(
    (ours, theirs): (TokioIo<Upgraded>, TokioIo<Upgraded>),
    (known, values): (&Known, &Values),
    exchange: &Exchange,
) -> io::Result<()> {
    let (mut from_run, mut to_run) = split(ours);
    let (mut from_host, mut to_host) = split(theirs);
    let mut outward = FromRun::new(known.finder().scanner());
    let inward = FromOrigin::new(values.redaction().scanner());
    let ended = tokio::select! {
        ended = outgoing((&mut from_run, &mut to_host), &mut outward, exchange) => ended,
        ended = incoming((&mut from_host, &mut to_run), inward, exchange) => ended,
    };
    if let Err(refusal) = ended? {
        exchange.stop(refusal);
        to_run.write_all(&AGAINST_POLICY).await?;
    }
    to_run.shutdown().await?;
    to_host.shutdown().await
}

/// How one direction ended: by itself, or because it may not go on.
type Direction = io::Result<Result<(), Refusal>>;

async fn outgoing(
    (from, to): (&mut (impl AsyncRead + Unpin), &mut (impl AsyncWrite + Unpin)),
    frames: &mut FromRun,
    exchange: &Exchange,
) -> Direction {
    let (mut piece, mut ready) = (vec![0; PIECE], Vec::new());
    loop {
        let count = from.read(&mut piece).await?;
        if count == 0 {
            return Ok(Ok(()));
        }
        if let Err(refusal) = exchange.sent(count) {
            return Ok(Err(refusal));
        }
        ready.clear();
        if let Err(ended) = frames.push(piece.get(..count).unwrap_or_default(), &mut ready) {
            return Ok(Err(refusal(ended)));
        }
        to.write_all(&ready).await?;
        to.flush().await?;
    }
}

async fn incoming(
    (from, to): (&mut (impl AsyncRead + Unpin), &mut (impl AsyncWrite + Unpin)),
    mut frames: FromOrigin,
    exchange: &Exchange,
) -> Direction {
    let (mut piece, mut ready) = (vec![0; PIECE], Vec::new());
    loop {
        let read = match frames.patience() {
            Some(patience) => timeout(patience, from.read(&mut piece)).await.ok(),
            None => Some(from.read(&mut piece).await),
        };
        ready.clear();
        match read {
            // What is held was held for long enough.
            None => frames.flush(&mut ready),
            Some(count) => {
                let count = count?;
                if count == 0 {
                    frames.flush(&mut ready);
                    to.write_all(&ready).await?;
                    return Ok(Ok(()));
                }
                if let Err(refusal) = exchange.received(count) {
                    return Ok(Err(refusal));
                }
                if let Err(ended) = frames.push(piece.get(..count).unwrap_or_default(), &mut ready) {
                    return Ok(Err(refusal(ended)));
                }
            }
        }
        to.write_all(&ready).await?;
        to.flush().await?;
    }
}

fn refusal(ended: Ended) -> Refusal {
    match ended {
        Ended::Refused => Refusal::MISPLACED_IN_BODY,
        Ended::Malformed | Ended::Extension => Refusal::Malformed("a frame of the WebSocket"),
    }
}
