//! One content coding around a body: undone piece by piece, and put around it again.
//! No piece is larger than the buffer it is decoded into, whatever it expands to.

use compression_codecs::brotli::params::EncoderParams;
use compression_codecs::core::Level;
use compression_codecs::core::util::{PartialBuffer, WriteBuffer};
use compression_codecs::flate::params::FlateEncoderParams;
use compression_codecs::zstd::params::DParameter;
use compression_codecs::{
    BrotliDecoder, BrotliEncoder, DecodeV2, DeflateDecoder, DeflateEncoder, EncodeV2, GzipDecoder,
    GzipEncoder, ZlibDecoder, ZlibEncoder, ZstdDecoder, ZstdEncoder,
};
use hyper::body::{Buf, Bytes};

use super::Unreadable;
use super::codings::Coding;

/// Bytes that are decoded or encoded at once.
pub(super) const CHUNK: usize = 16 << 10;
/// The largest window that the coding may have (RFC 9659), as a power of two.
const ZSTD_WINDOW: u32 = 23;
/// A power of two, in place of the usual 4 MiB: what is encoded passes by.
const BROTLI_WINDOW: i32 = 18;

/// What follows behind a piece that is encoded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    More,
    /// All of it is to leave now.
    Pause,
    End,
}

/// The kinds of streams that codings are made of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Gzip,
    Zlib,
    Raw,
    Brotli,
    Zstd,
}

pub(super) struct Layer {
    coding: Coding,
    input: Bytes,
    /// Known from the first byte.
    codec: Option<Codec>,
}

struct Codec {
    kind: Kind,
    decoder: Box<dyn DecodeV2 + Send>,
    /// Made when it is first needed.
    encoder: Option<Box<dyn EncodeV2 + Send>>,
    /// Whether the buffer had no room for all that the decoder has.
    is_full: bool,
    has_ended: bool,
}

impl Layer {
    pub(super) fn new(coding: Coding) -> Self {
        Self { coding, input: Bytes::new(), codec: None }
    }

    /// Takes the next piece, when the last one is used up.
    pub(super) fn feed(&mut self, input: Bytes) {
        self.input = input;
    }

    /// Whether nothing comes any more without another piece.
    pub(super) fn is_hungry(&self) -> bool {
        self.input.is_empty() && self.codec.as_ref().is_none_or(|codec| !codec.is_full)
    }

    /// Decodes some of it into the buffer, and says how many bytes; may be none.
    pub(super) fn decode(&mut self, buffer: &mut [u8]) -> Result<usize, Unreadable> {
        let coding = self.coding;
        match (&mut self.codec, self.input.first()) {
            (Some(codec), _) => codec.decode(&mut self.input, buffer),
            (None, Some(first)) => {
                let codec = Codec::new(Kind::of(coding, *first)?);
                self.codec.insert(codec).decode(&mut self.input, buffer)
            }
            (None, None) => Ok(0),
        }
    }

    /// Checks that what was decoded is whole. A body without a byte is.
    pub(super) fn end(&mut self) -> Result<(), Unreadable> {
        self.codec.as_mut().map_or(Ok(()), Codec::end)
    }

    /// Encodes all of the piece, and appends what leaves of it now.
    pub(super) fn encode(&mut self, piece: &[u8], then: Then) -> Result<Vec<u8>, Unreadable> {
        self.codec.as_mut().map_or(Ok(Vec::new()), |codec| codec.encode(piece, then))
    }
}

/// The first byte of a brotli stream with a large window.
const LARGE_WINDOW: u8 = 0x11;

impl Kind {
    /// No raw stream that anybody makes begins as those with a header do: its first
    /// block would be a stored one, with something in its padding.
    ///
    /// # Errors
    /// For brotli with a window beyond what RFC 7932 knows, of up to 1 GiB.
    fn of(coding: Coding, first: u8) -> Result<Self, Unreadable> {
        Ok(match coding {
            Coding::Gzip => Self::Gzip,
            Coding::Deflate if first & 0x0F == 8 => Self::Zlib,
            Coding::Deflate => Self::Raw,
            Coding::Brotli if first == LARGE_WINDOW => return Err(Unreadable::Coding),
            Coding::Brotli => Self::Brotli,
            Coding::Zstd => Self::Zstd,
        })
    }

    fn decoder(self) -> Box<dyn DecodeV2 + Send> {
        match self {
            Self::Gzip => Box::new(GzipDecoder::new()),
            Self::Zlib => Box::new(ZlibDecoder::new()),
            Self::Raw => Box::new(DeflateDecoder::new()),
            Self::Brotli => Box::new(BrotliDecoder::new()),
            Self::Zstd => Box::new(ZstdDecoder::new_with_params(&[DParameter::window_log_max(ZSTD_WINDOW)])),
        }
    }

    /// Fast ones: the way to the run is short.
    fn encoder(self) -> Box<dyn EncodeV2 + Send> {
        let flate = || FlateEncoderParams::from(Level::Fastest);
        let brotli = || EncoderParams::default().quality(Level::Precise(2)).window_size(BROTLI_WINDOW);
        match self {
            Self::Gzip => Box::new(GzipEncoder::new(flate())),
            Self::Zlib => Box::new(ZlibEncoder::new(flate())),
            Self::Raw => Box::new(DeflateEncoder::new(flate())),
            Self::Brotli => Box::new(BrotliEncoder::new(brotli())),
            Self::Zstd => Box::new(ZstdEncoder::new(1)),
        }
    }

    /// Whether such streams may follow one another.
    fn repeats(self) -> bool {
        matches!(self, Self::Gzip | Self::Zstd)
    }

    /// Whether a decoder without input hands over the rest only when told to flush.
    fn drains_by_flush(self) -> bool {
        matches!(self, Self::Gzip | Self::Zlib | Self::Raw)
    }
}

impl Codec {
    fn new(kind: Kind) -> Self {
        Self { kind, decoder: kind.decoder(), encoder: None, is_full: false, has_ended: false }
    }

    fn decode(&mut self, input: &mut Bytes, buffer: &mut [u8]) -> Result<usize, Unreadable> {
        let mut output = WriteBuffer::new_initialized(buffer);
        if input.is_empty() {
            self.drain(&mut output)?;
        } else {
            self.begin_again()?;
            let mut piece = PartialBuffer::new(&input[..]);
            self.has_ended = self.decoder.decode(&mut piece, &mut output).map_err(corrupt)?;
            let used = piece.written_len();
            if used == 0 && output.written_len() == 0 {
                return Err(Unreadable::Corrupt);
            }
            input.advance(used);
        }
        self.is_full = output.has_no_spare_space() && !self.has_ended;
        Ok(output.written_len())
    }

    fn drain(&mut self, output: &mut WriteBuffer<'_>) -> Result<(), Unreadable> {
        if self.is_full && self.kind.drains_by_flush() {
            self.decoder.flush(output).map_err(corrupt)?;
        } else if self.is_full {
            self.has_ended =
                self.decoder.decode(&mut PartialBuffer::new(&[][..]), output).map_err(corrupt)?;
        }
        Ok(())
    }

    fn begin_again(&mut self) -> Result<(), Unreadable> {
        match std::mem::take(&mut self.has_ended) {
            false => Ok(()),
            true if self.kind.repeats() => self.decoder.reinit().map_err(corrupt),
            true => Err(Unreadable::Corrupt),
        }
    }

    fn end(&mut self) -> Result<(), Unreadable> {
        let mut nothing = [0; 16];
        let mut output = WriteBuffer::new_initialized(&mut nothing);
        let is_whole = self.has_ended || self.decoder.finish(&mut output).map_err(corrupt)?;
        if is_whole && output.written_len() == 0 { Ok(()) } else { Err(Unreadable::Corrupt) }
    }

    fn encode(&mut self, piece: &[u8], then: Then) -> Result<Vec<u8>, Unreadable> {
        let encoder = self.encoder.get_or_insert_with(|| self.kind.encoder());
        let (mut done, mut buffer) = (Vec::new(), vec![0; CHUNK]);
        let mut piece = PartialBuffer::new(piece);
        loop {
            let mut output = WriteBuffer::new_initialized(&mut buffer);
            let is_done = if piece.unwritten().is_empty() {
                match then {
                    Then::More => Ok(true),
                    Then::Pause => encoder.flush(&mut output),
                    Then::End => encoder.finish(&mut output),
                }
            } else {
                encoder.encode(&mut piece, &mut output).map(|()| false)
            };
            done.extend_from_slice(output.written());
            if is_done.map_err(corrupt)? {
                return Ok(done);
            }
        }
    }
}

/// Messages of decoders may quote what they read.
fn corrupt(_: std::io::Error) -> Unreadable {
    Unreadable::Corrupt
}
