//! Where frames begin and end: the heads are read, payloads are handed on in the pieces
//! in which they come.

use super::Ended;

/// A head has no more bytes.
const LONGEST: usize = 14;
/// The payload of a control frame isn't longer.
const CONTROL: u64 = 125;

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Data,
    Control,
}

/// The head of a frame.
#[derive(Clone, Copy)]
pub(super) struct Head {
    pub(super) kind: Kind,
    /// Zeros, when the payload isn't masked.
    pub(super) mask: [u8; 4],
    bytes: [u8; LONGEST],
    length: usize,
    /// Of the payload.
    payload: u64,
}

impl Head {
    /// As it came.
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// What comes next.
pub(super) enum Step<'a> {
    Head(Head),
    /// Some of the payload behind this head.
    Payload(Head, &'a [u8]),
}

/// Reads frames of one direction.
pub(super) struct Heads {
    is_masked: bool,
    /// What there is of the next head.
    partial: Vec<u8>,
    frame: Option<(Head, u64)>,
    /// Whether a message goes on in the next data frame.
    is_within: bool,
}

impl Heads {
    /// What clients send is masked, what servers send isn't.
    pub(super) fn new(is_masked: bool) -> Self {
        Self { is_masked, partial: Vec::with_capacity(LONGEST), frame: None, is_within: false }
    }

    /// Reads on, and says what is left of the input. `None` when all of it was read.
    pub(super) fn step<'a>(&mut self, input: &'a [u8]) -> Result<Option<(Step<'a>, &'a [u8])>, Ended> {
        if let Some((head, left)) = &mut self.frame {
            let length = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
            let (payload, rest) = input.split_at(length);
            *left -= u64::try_from(length).unwrap_or(*left);
            let head = *head;
            if *left == 0 {
                self.frame = None;
            }
            return Ok((!payload.is_empty()).then_some((Step::Payload(head, payload), rest)));
        }
        let mut rest = input;
        while let Some((byte, after)) = rest.split_first() {
            rest = after;
            self.partial.push(*byte);
            if let Some(head) = self.head()? {
                self.partial.clear();
                self.frame = Some((head, head.payload)).filter(|(_, left)| *left > 0);
                return Ok(Some((Step::Head(head), rest)));
            }
        }
        Ok(None)
    }

    /// The head, once it is whole.
    fn head(&mut self) -> Result<Option<Head>, Ended> {
        let [first, second, rest @ ..] = &self.partial[..] else {
            return self.partial.first().map_or(Ok(None), |first| kind(*first).map(|_| None));
        };
        let kind = kind(*first)?;
        let short = second & 0x7F;
        let extended = match short {
            127 => 8,
            126 => 2,
            _ => 0,
        };
        if (second & 0x80 != 0) != self.is_masked {
            return Err(Ended::Malformed);
        }
        let masked = if self.is_masked { 4 } else { 0 };
        if rest.len() < extended + masked {
            return Ok(None);
        }
        let (length, mask) = rest.split_at(extended);
        let length = length.iter().fold(0, |length, byte| (length << 8) | u64::from(*byte));
        let payload = if extended == 0 { u64::from(short) } else { length };
        let mask = mask.try_into().unwrap_or_default();
        self.check(*first, kind, payload)?;
        let mut bytes = [0; LONGEST];
        bytes.iter_mut().zip(&self.partial).for_each(|(to, from)| *to = *from);
        Ok(Some(Head { kind, mask, bytes, length: self.partial.len(), payload }))
    }

    /// Control frames are short and whole; a message goes on until it is over.
    fn check(&mut self, first: u8, kind: Kind, payload: u64) -> Result<(), Ended> {
        let is_final = first & 0x80 != 0;
        let is_well = match kind {
            Kind::Control => is_final && payload <= CONTROL,
            Kind::Data => {
                let is_more = opcode(first) == 0;
                is_more == std::mem::replace(&mut self.is_within, !is_final) && payload < 1 << 63
            }
        };
        if is_well { Ok(()) } else { Err(Ended::Malformed) }
    }
}

fn kind(first: u8) -> Result<Kind, Ended> {
    match opcode(first) {
        _ if first & 0x70 != 0 => Err(Ended::Extension),
        0..=2 => Ok(Kind::Data),
        8..=10 => Ok(Kind::Control),
        _ => Err(Ended::Malformed),
    }
}

fn opcode(first: u8) -> u8 {
    first & 0x0F
}
