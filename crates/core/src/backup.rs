//! The container of a backup: what is around the payload, so that anybody can check every
//! byte of the file without a key. `docs/reference/backup.md` describes it for strangers.
//!
//! Nothing here opens the payload, or knows what is in it.

mod manifest;

pub use manifest::{Manifest, Payload, RootKeyName, Table};

use aws_lc_rs::digest;
use std::fmt::Write as _;
use std::io::{self, Read, Seek, SeekFrom, Write};

use crate::audit::note::{NotSigned, Signer, VerifierKey};

/// What a backup begins with.
pub const MAGIC: &[u8; 21] = b"strongroom-backup-v1\n";
/// What its last line begins with; behind it are the 20 digits of the manifest's length.
const FOOTER: &str = "strongroom-backup-end ";
/// Bytes of the last line.
const FOOTER_BYTES: usize = 43;
/// The most bytes of a manifest that is read.
const MOST_MANIFEST: u64 = 64 * 1024;
/// Bytes that are read at a time.
const READ: usize = 64 * 1024;

/// Why a file is not a backup that can be relied on.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It begins with something else.
    #[error("it is not a Strongroom backup, or its beginning is damaged")]
    Foreign,
    /// Its end isn't one.
    #[error("its end is missing or damaged: it was cut off, or something was appended")]
    End,
    /// The manifest doesn't say what it should.
    #[error("its manifest is damaged")]
    Manifest,
    /// The manifest's signature isn't one.
    #[error("its manifest is not what was signed: {0}")]
    Unsigned(#[from] NotSigned),
    /// It is signed with another key than the one that is trusted.
    #[error("it is signed with another key: {0}")]
    AnotherKey(VerifierKey),
    /// The payload isn't the one that was signed.
    #[error("its payload is not what was signed: it is damaged, or another's")]
    Payload,
}

/// A file that is being written as a backup. What is written to it is the payload.
pub struct Writer<W> {
    out: W,
    digest: digest::Context,
    length: u64,
}

impl<W: Write> Writer<W> {
    /// Begins one.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn begin(mut out: W) -> io::Result<Self> {
        out.write_all(MAGIC)?;
        Ok(Self { out, digest: digest::Context::new(&digest::SHA256), length: 0 })
    }

    /// Ends it with a manifest, which learns what the payload is, and is signed.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn finish(mut self, mut manifest: Manifest, signer: &Signer) -> io::Result<(W, Manifest)> {
        manifest.payload = Payload { length: self.length, sha256: hex(self.digest.finish().as_ref()) };
        manifest.verifier_key = signer.verifier().to_string();
        let note = manifest.sign(signer)?;
        self.out.write_all(note.as_bytes())?;
        writeln!(self.out, "{FOOTER}{:020}", note.len())?;
        Ok((self.out, manifest))
    }
}

impl<W: Write> Write for Writer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        let written = bytes.get(..count).unwrap_or(bytes);
        self.digest.update(written);
        self.length += u64::try_from(count).unwrap_or(u64::MAX);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A backup whose manifest was checked, and fits the file.
#[derive(Clone, Debug)]
pub struct Container {
    /// What it says of itself.
    pub manifest: Manifest,
}

impl Container {
    /// Checks everything but the payload. With a `pinned` key the backup must be signed by
    /// that; else it only agrees with itself, as anybody's would.
    ///
    /// # Errors
    /// When anything isn't as it was written.
    pub fn open(file: &mut (impl Read + Seek), pinned: Option<&VerifierKey>) -> Result<Self, BackupError> {
        let length = file.seek(SeekFrom::End(0))?;
        file.rewind()?;
        let mut magic = [0; MAGIC.len()];
        whole(file, &mut magic, BackupError::Foreign)?;
        if magic != *MAGIC {
            return Err(BackupError::Foreign);
        }
        let noted = noted(file, length)?;
        let begins = length.checked_sub(FOOTER_BYTES as u64 + noted).ok_or(BackupError::End)?;
        file.seek(SeekFrom::Start(begins))?;
        let mut note = vec![0; usize::try_from(noted).map_err(|_| BackupError::End)?];
        whole(file, &mut note, BackupError::End)?;
        let manifest = Manifest::verify(&note, pinned)?;
        // Nothing is between the three parts.
        if begins.checked_sub(MAGIC.len() as u64) != Some(manifest.payload.length) {
            return Err(BackupError::End);
        }
        Ok(Self { manifest })
    }

    /// The payload, in a file that was opened for it. Its end is refused where it isn't
    /// what was signed.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn payload<R: Read + Seek>(&self, mut file: R) -> io::Result<Checked<R>> {
        file.seek(SeekFrom::Start(MAGIC.len() as u64))?;
        let Payload { length, sha256 } = self.manifest.payload.clone();
        Ok(Checked { file, left: length, sha256, digest: digest::Context::new(&digest::SHA256) })
    }

    /// Reads the payload to its end; `told` hears how many bytes more were read.
    ///
    /// # Errors
    /// When it isn't what was signed.
    pub fn check_payload(
        &self,
        file: impl Read + Seek,
        mut told: impl FnMut(u64),
    ) -> Result<(), BackupError> {
        let mut payload = self.payload(file)?;
        let mut buffer = vec![0; READ];
        loop {
            match payload.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => told(u64::try_from(count).unwrap_or(0)),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(BackupError::Payload),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// How long the manifest is, as the last line has it.
fn noted(file: &mut (impl Read + Seek), length: u64) -> Result<u64, BackupError> {
    let begins = length.checked_sub(FOOTER_BYTES as u64).ok_or(BackupError::End)?;
    file.seek(SeekFrom::Start(begins))?;
    let mut footer = [0; FOOTER_BYTES];
    whole(file, &mut footer, BackupError::End)?;
    let digits = str::from_utf8(&footer)
        .ok()
        .and_then(|footer| footer.strip_prefix(FOOTER)?.strip_suffix('\n'))
        .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()));
    let noted: u64 = digits.and_then(|digits| digits.parse().ok()).ok_or(BackupError::End)?;
    if noted > MOST_MANIFEST { Err(BackupError::End) } else { Ok(noted) }
}

/// Fills a buffer; a file that ends before is refused so.
fn whole(file: &mut impl Read, buffer: &mut [u8], short: BackupError) -> Result<(), BackupError> {
    file.read_exact(buffer).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => short,
        _ => BackupError::Io(error),
    })
}

/// A payload whose end is an error (of the kind `InvalidData`) when it isn't what was
/// signed.
pub struct Checked<R> {
    file: R,
    left: u64,
    sha256: String,
    digest: digest::Context,
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let wanted = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let count = match buffer.get_mut(..wanted) {
            Some(wanted) if !wanted.is_empty() => self.file.read(wanted)?,
            _ => 0,
        };
        self.left -= u64::try_from(count).unwrap_or(0);
        self.digest.update(buffer.get(..count).unwrap_or_default());
        let is_whole = self.left == 0 && hex(self.digest.clone().finish().as_ref()) == self.sha256;
        if count == 0 && !is_whole {
            return Err(io::Error::new(io::ErrorKind::InvalidData, BackupError::Payload));
        }
        Ok(count)
    }
}

/// What the fuzzer gets to call; compiled for it only.
#[cfg(fuzzing)]
pub mod fuzzing {
    /// Reads a manifest, as if its signature held.
    pub fn manifest(note: &[u8]) {
        let _ = super::Manifest::verify(note, None);
        let _ = str::from_utf8(note).ok().and_then(super::Manifest::read);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::note;
    use crate::ids::InstanceId;
    use crate::memory::KeyBytes;
    use std::io::Cursor;

    fn signer(seed: u8) -> Signer {
        let name = note::origin(InstanceId::from_uuid(uuid::Uuid::nil()));
        Signer::new(&name, &KeyBytes::take(&mut [seed; 32])).unwrap()
    }

    fn backup(payload: &[u8], signer: &Signer) -> Vec<u8> {
        let manifest = Manifest {
            instance_id: uuid::Uuid::nil(),
            made_at: "2026-11-29T00:00:00Z".into(),
            program: "1".into(),
            schema: 1,
            tables: vec![Table { name: "instance".into(), rows: 1 }],
            payload: Payload::default(),
            root_key: RootKeyName { provider: "file".into(), id: uuid::Uuid::nil() },
            recovery_recipient: "age1".into(),
            checkpoint: None,
            verifier_key: String::new(),
        };
        let mut writer = Writer::begin(Vec::new()).unwrap();
        writer.write_all(payload).unwrap();
        writer.finish(manifest, signer).unwrap().0
    }

    fn check(bytes: &[u8], pinned: Option<&VerifierKey>) -> Result<Manifest, BackupError> {
        let container = Container::open(&mut Cursor::new(bytes), pinned)?;
        container.check_payload(Cursor::new(bytes), |_| {})?;
        Ok(container.manifest)
    }

    #[test]
    fn every_bit_and_every_length_counts() {
        let bytes = backup(b"a payload", &signer(7));
        assert_eq!(check(&bytes, None).unwrap().rows(), 1);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(check(&flipped, None).is_err(), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(check(&bytes[..length], None).is_err(), "{length} bytes");
            assert!(check(&[&bytes[..], &bytes[..=length]].concat(), None).is_err());
        }
    }

    #[test]
    fn a_pinned_key_refuses_what_agrees_only_with_itself() {
        let (own, foreign) = (signer(7), signer(8));
        let pinned = own.verifier();
        assert!(check(&backup(b"a payload", &own), Some(pinned)).is_ok());
        let forged = check(&backup(b"a payload", &foreign), Some(pinned));
        assert!(matches!(forged, Err(BackupError::AnotherKey(key)) if key == *foreign.verifier()));
        assert!(check(&backup(b"a payload", &foreign), None).is_ok(), "a control");
    }

    #[test]
    fn a_payload_is_refused_at_its_end_where_another_was_signed() {
        let (one, other) = (backup(b"payload 1", &signer(7)), backup(b"payload 2", &signer(7)));
        let container = Container::open(&mut Cursor::new(&one), None).unwrap();
        let read = |bytes: &[u8]| {
            let mut plain = Vec::new();
            container.payload(Cursor::new(bytes)).unwrap().read_to_end(&mut plain).map(|_| plain)
        };
        assert_eq!(read(&one).unwrap(), b"payload 1");
        assert!(read(&other).is_err());
    }
}
