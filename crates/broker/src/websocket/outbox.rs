//! Keeps what leaves in the order in which it came, while some payloads are known
//! later than what follows them.

use std::collections::VecDeque;

use super::frames::{Head, Kind};

/// More pieces than this don't wait, nor do more bytes that are known.
const CROWD: usize = 1024;
const KNOWN: usize = 64 << 10;

enum Piece {
    Head(Head),
    /// So many bytes of a payload.
    Payload(Kind, usize),
}

/// The pieces in their order, and what is known of payloads.
#[derive(Default)]
pub(super) struct Outbox {
    pieces: VecDeque<Piece>,
    data: VecDeque<u8>,
    control: VecDeque<u8>,
}

impl Outbox {
    pub(super) fn head(&mut self, head: &Head) {
        self.pieces.push_back(Piece::Head(*head));
    }

    /// A payload goes on by this length. What is known may be of an earlier one.
    pub(super) fn payload(&mut self, kind: Kind, length: usize, known: &[u8]) {
        match self.pieces.back_mut() {
            Some(Piece::Payload(last, before)) if *last == kind => *before += length,
            _ if length > 0 => self.pieces.push_back(Piece::Payload(kind, length)),
            _ => {}
        }
        self.known(kind).extend(known);
    }

    /// Whether so much waits that it should wait no longer.
    pub(super) fn is_crowded(&self) -> bool {
        self.pieces.len() > CROWD || self.data.len() + self.control.len() > KNOWN
    }

    /// Appends what is known and has nothing unknown before it.
    pub(super) fn leave(&mut self, output: &mut Vec<u8>) {
        while let Some(piece) = self.pieces.pop_front() {
            match piece {
                Piece::Head(head) => output.extend_from_slice(head.bytes()),
                Piece::Payload(kind, length) => {
                    let known = self.known(kind);
                    let ready = known.len().min(length);
                    output.extend(known.drain(..ready));
                    if ready < length {
                        self.pieces.push_front(Piece::Payload(kind, length - ready));
                        return;
                    }
                }
            }
        }
    }

    fn known(&mut self, kind: Kind) -> &mut VecDeque<u8> {
        match kind {
            Kind::Data => &mut self.data,
            Kind::Control => &mut self.control,
        }
    }
}
