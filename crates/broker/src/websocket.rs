//! Looks into the frames of a WebSocket as they pass: takes values out of what the
//! origin sends, and refuses placeholders in what the run sends. No frame is ever held
//! whole, whatever size it claims; no extension is understood (RFC 6455, section 5.2).

mod frames;
mod outbox;

use std::time::Duration;
use strongroom_core::scanner::{Finder, Redactor, Scanner};

use crate::redact;
use frames::{Head, Heads, Kind, Step};
use outbox::Outbox;

/// Why a WebSocket is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// The frames are not as the protocol demands.
    #[error("the WebSocket's frames are not as the protocol demands")]
    Malformed,
    /// A bit of an extension is set, though none was agreed upon.
    #[error("the WebSocket uses an extension that wasn't agreed upon")]
    Extension,
    /// The run sent a placeholder, which has no place here.
    #[error("a placeholder was sent through the WebSocket")]
    Refused,
}

/// What the origin sends to the run: each byte of a value becomes a `*`, also when the
/// value is cut by fragments, frames or messages. Heads of frames stay as they are.
pub struct FromOrigin {
    heads: Heads,
    data: Redactor,
    control: Redactor,
    outbox: Outbox,
}

impl FromOrigin {
    /// Takes out what this scanner finds.
    pub fn new(scanner: &Scanner) -> Self {
        let [data, control] = [(), ()].map(|()| scanner.redactor());
        Self { heads: Heads::new(false), data, control, outbox: Outbox::default() }
    }

    /// Takes the next bytes, and appends what may leave now.
    ///
    /// # Errors
    /// When they aren't such frames, or use an extension. Nothing more is taken then.
    pub fn push(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<(), Ended> {
        let mut rest = input;
        while let Some((step, after)) = self.heads.step(rest)? {
            rest = after;
            match step {
                Step::Head(head) => self.outbox.head(&head),
                Step::Payload(head, payload) => {
                    let redactor = self.redactor(head.kind);
                    let mut redacted = Vec::with_capacity(payload.len());
                    redactor.push(payload, &mut redacted);
                    self.outbox.payload(head.kind, payload.len(), &redacted);
                }
            }
            self.outbox.leave(output);
            if self.outbox.is_crowded() {
                self.flush(output);
            }
        }
        Ok(())
    }

    /// Whether something is held, as the beginning of a value or behind one, and how
    /// long at most to wait in silence for what follows. Then [`Self::flush`].
    pub fn patience(&self) -> Option<Duration> {
        let redactors = [&self.data, &self.control].into_iter().filter(|redactor| redactor.held() > 0);
        redactors.map(|redactor| redact::patience(redactor.begun())).max()
    }

    /// Whether something is held.
    pub fn holds(&self) -> bool {
        self.patience().is_some()
    }

    /// Lets go of what is held: when it took too long, or at the end. From a length on
    /// that isn't chance, the beginning of a value leaves as stars.
    pub fn flush(&mut self, output: &mut Vec<u8>) {
        self.release();
        self.outbox.leave(output);
    }

    fn release(&mut self) {
        for (kind, redactor) in [(Kind::Data, &mut self.data), (Kind::Control, &mut self.control)] {
            let mut late = Vec::new();
            redact::release_late(redactor, &mut late);
            self.outbox.payload(kind, 0, &late);
        }
    }

    fn redactor(&mut self, kind: Kind) -> &mut Redactor {
        match kind {
            Kind::Data => &mut self.data,
            Kind::Control => &mut self.control,
        }
    }
}

/// What the run sends to the origin: passes as it is, unless a placeholder is in it.
pub struct FromRun {
    heads: Heads,
    data: Finder,
    control: Finder,
    /// Where in the mask the next byte of the payload is.
    masked: usize,
}

impl FromRun {
    /// Refuses what this scanner finds.
    pub fn new(placeholders: &Scanner) -> Self {
        let [data, control] = [(), ()].map(|()| placeholders.finder());
        Self { heads: Heads::new(true), data, control, masked: 0 }
    }

    /// Takes the next bytes, and appends them if they may leave.
    ///
    /// # Errors
    /// When a placeholder is in them, they aren't such frames, or use an extension.
    /// Nothing of this piece leaves then, and nothing more is taken.
    pub fn push(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<(), Ended> {
        let mut rest = input;
        while let Some((step, after)) = self.heads.step(rest)? {
            rest = after;
            match step {
                Step::Head(_) => self.masked = 0,
                Step::Payload(head, payload) => self.look(&head, payload)?,
            }
        }
        output.extend_from_slice(input);
        Ok(())
    }

    fn look(&mut self, head: &Head, payload: &[u8]) -> Result<(), Ended> {
        let finder = match head.kind {
            Kind::Data => &mut self.data,
            Kind::Control => &mut self.control,
        };
        let mask = head.mask.iter().cycle().skip(self.masked);
        let plain: Vec<u8> = payload.iter().zip(mask).map(|(byte, mask)| byte ^ mask).collect();
        self.masked = (self.masked + payload.len()) % head.mask.len();
        if finder.push(&plain) { Err(Ended::Refused) } else { Ok(()) }
    }
}
