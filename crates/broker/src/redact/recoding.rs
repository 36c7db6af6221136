//! A body in content codings: undone, redacted, and put back, as a stream.

use hyper::body::Bytes;
use strongroom_core::scanner::{Finder, Redactor};

use super::Unreadable;
use super::codings::Coding;
use super::layers::{CHUNK, Layer, Then};

/// How many pieces are decoded before others have their turn.
pub(super) const TURN: usize = 16;

/// The codings around a body, the outermost first.
struct Layers(Vec<Layer>);

impl Layers {
    fn new(codings: &[Coding]) -> Self {
        Self(codings.iter().map(|coding| Layer::new(*coding)).collect())
    }

    fn feed(&mut self, input: Bytes) {
        if let Some(outermost) = self.0.first_mut() {
            outermost.feed(input);
        }
    }

    fn end(&mut self) -> Result<(), Unreadable> {
        self.0.iter_mut().try_for_each(Layer::end)
    }

    fn encode(&mut self, piece: &[u8], then: Then) -> Result<Vec<u8>, Unreadable> {
        let encode = |piece: Vec<u8>, layer: &mut Layer| layer.encode(&piece, then);
        self.0.iter_mut().rev().try_fold(piece.to_vec(), encode)
    }
}

/// Decodes some of what was fed, and says how many bytes: none when more is needed.
fn decode(layers: &mut [Layer], buffer: &mut [u8]) -> Result<usize, Unreadable> {
    let Some((innermost, around)) = layers.split_last_mut() else { return Ok(0) };
    loop {
        if innermost.is_hungry() {
            let mut piece = vec![0; if around.is_empty() { 0 } else { CHUNK }];
            let decoded = decode(around, &mut piece)?;
            piece.truncate(decoded);
            if piece.is_empty() {
                return Ok(0);
            }
            innermost.feed(piece.into());
        }
        let decoded = innermost.decode(buffer)?;
        if decoded > 0 {
            return Ok(decoded);
        }
    }
}

/// Redacts a body within its codings.
pub(super) struct Recoding {
    layers: Layers,
    redactor: Redactor,
    buffer: Vec<u8>,
    /// Whether the encoders may have something that hasn't left.
    is_behind: bool,
}

impl Recoding {
    pub(super) fn new(codings: &[Coding], redactor: Redactor) -> Self {
        Self { layers: Layers::new(codings), redactor, buffer: vec![0; CHUNK], is_behind: false }
    }

    pub(super) fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Takes the next piece, when [`Self::step`] has used up the last one.
    pub(super) fn feed(&mut self, input: Bytes) {
        self.layers.feed(input);
    }

    /// Works on some of what was fed. `None` when more is needed.
    pub(super) fn step(&mut self) -> Result<Option<Vec<u8>>, Unreadable> {
        let decoded = decode(&mut self.layers.0, &mut self.buffer)?;
        if decoded == 0 {
            return Ok(None);
        }
        let mut redacted = Vec::with_capacity(decoded);
        self.redactor.push(self.buffer.get(..decoded).unwrap_or_default(), &mut redacted);
        self.is_behind |= !redacted.is_empty();
        self.layers.encode(&redacted, Then::More).map(Some)
    }

    /// Hands over what the encoders have, since nothing follows for now.
    pub(super) fn pause(&mut self) -> Result<Vec<u8>, Unreadable> {
        if std::mem::take(&mut self.is_behind) {
            self.layers.encode(&[], Then::Pause)
        } else {
            Ok(Vec::new())
        }
    }

    /// See [`Redactor::release`].
    pub(super) fn release(&mut self, hidden_from: usize) -> Result<Vec<u8>, Unreadable> {
        let mut redacted = Vec::new();
        self.redactor.release(hidden_from, &mut redacted);
        self.layers.encode(&redacted, Then::Pause)
    }

    /// Hands over the rest, at the end of the body.
    pub(super) fn end(&mut self) -> Result<Vec<u8>, Unreadable> {
        self.layers.end()?;
        let mut redacted = Vec::new();
        self.redactor.release(usize::MAX, &mut redacted);
        self.layers.encode(&redacted, Then::End)
    }
}

/// A look into a body within its codings.
pub(super) struct Survey {
    layers: Layers,
    finder: Finder,
    buffer: Vec<u8>,
    has_found: bool,
}

impl Survey {
    pub(super) fn new(codings: &[Coding], finder: Finder, body: Bytes) -> Self {
        let mut layers = Layers::new(codings);
        layers.feed(body);
        Self { layers, finder, buffer: vec![0; CHUNK], has_found: false }
    }

    /// Looks on for a while, and says whether it is through.
    pub(super) fn step(&mut self) -> Result<bool, Unreadable> {
        for _ in 0..TURN {
            let decoded = decode(&mut self.layers.0, &mut self.buffer)?;
            if decoded == 0 {
                self.layers.end()?;
                return Ok(true);
            }
            self.has_found = self.finder.push(self.buffer.get(..decoded).unwrap_or_default());
        }
        Ok(self.has_found)
    }

    pub(super) fn has_found(&self) -> bool {
        self.has_found
    }
}
