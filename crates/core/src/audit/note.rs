//! Signed heads of the tree: C2SP `tlog-checkpoint` in a `signed-note`, with Ed25519.
//! Any witness or verifier that knows those formats takes them.

use aws_lc_rs::digest;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt;
use std::str::FromStr;

use super::tree::Hash;
use crate::ids::InstanceId;
use crate::memory::KeyBytes;
use crate::sealing::IntegrityViolation;

/// The signature type of Ed25519 in a signed note.
const ED25519_TYPE: u8 = 1;
/// Bytes of a signature of Ed25519.
const SIGNATURE: usize = 64;
/// What a line with a signature begins with.
const SIGNED_BY: &str = "— ";
/// The most bytes in a note that is read: a head, and many signatures.
const MOST_BYTES: usize = 64 * 1024;
/// The most signatures in a note that is read, as the format has it.
const MOST_SIGNATURES: usize = 100;

/// What a head says: how much there is, and the hash over it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log it is of.
    pub origin: String,
    /// How many leaves.
    pub size: u64,
    /// The hash of the tree.
    pub root: Hash,
}

/// The name of an instance's log, and of the keys that sign its heads.
pub fn origin(instance: InstanceId) -> String {
    format!("strongroom.audit/{instance}")
}

/// The text that is signed.
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, self.root)
    }
}

impl Checkpoint {
    /// From the signed text; lines of extensions are allowed after the three.
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
        let is_plain = size == "0" || !size.starts_with(['0', '+']);
        let is_whole = !origin.is_empty() && lines.all(|line| !line.is_empty());
        if !is_plain || !is_whole {
            return None;
        }
        Some(Self { origin: origin.to_owned(), size: size.parse().ok()?, root: Hash::parse(root)? })
    }
}

/// The public key by which heads are checked: `NAME+ID+KEY`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: [u8; 4],
    key: [u8; 32],
}

impl VerifierKey {
    fn new(name: &str, key: [u8; 32]) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        for piece in [name.as_bytes(), b"\n", &[ED25519_TYPE], &key] {
            context.update(piece);
        }
        let mut id = [0; 4];
        id.iter_mut().zip(context.finish().as_ref()).for_each(|(id, byte)| *id = *byte);
        Self { name: name.to_owned(), id, key }
    }

    /// Whose it is: for a log's own key, the log's origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn verifies(&self, text: &str, signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.key).verify(text.as_bytes(), signature).is_ok()
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key: Vec<u8> = [ED25519_TYPE].into_iter().chain(self.key).collect();
        write!(f, "{}+{:08x}+{}", self.name, u32::from_be_bytes(self.id), STANDARD.encode(key))
    }
}

/// It isn't a verifier key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a verifier key is NAME+ID+KEY, as `strongroom audit key` prints it")]
pub struct NotAKey;

impl FromStr for VerifierKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        let mut parts = text.splitn(3, '+');
        let (name, id, key) = (parts.next(), parts.next(), parts.next());
        let (Some(name), Some(id), Some(key)) = (name.filter(|name| is_name(name)), id, key) else {
            return Err(NotAKey);
        };
        let key = STANDARD.decode(key).map_err(|_| NotAKey)?;
        let Some((&ED25519_TYPE, key)) = key.split_first() else { return Err(NotAKey) };
        let key = Self::new(name, key.try_into().map_err(|_| NotAKey)?);
        if format!("{:08x}", u32::from_be_bytes(key.id)) == id { Ok(key) } else { Err(NotAKey) }
    }
}

/// Whether a signed note may name somebody so.
fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains('+') && !name.chars().any(char::is_whitespace)
}

/// Signs heads.
pub struct Signer {
    pair: Ed25519KeyPair,
    verifier: VerifierKey,
}

impl Signer {
    /// The signer with this seed.
    pub(crate) fn new(name: &str, seed: &KeyBytes) -> Result<Self, IntegrityViolation> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.expose()).map_err(|_| IntegrityViolation)?;
        let key = pair.public_key().as_ref().try_into().map_err(|_| IntegrityViolation)?;
        Ok(Self { verifier: VerifierKey::new(name, key), pair })
    }

    /// The key by which its signatures are checked.
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    fn line(&self, text: &str) -> String {
        let signature = self.pair.sign(text.as_bytes());
        let bytes: Vec<u8> = self.verifier.id.iter().chain(signature.as_ref()).copied().collect();
        format!("{SIGNED_BY}{} {}\n", self.verifier.name, STANDARD.encode(bytes))
    }
}

/// A head with a signature of each of these.
pub fn sign<'a>(checkpoint: &Checkpoint, signers: impl IntoIterator<Item = &'a Signer>) -> String {
    let text = checkpoint.to_string();
    let lines: String = signers.into_iter().map(|signer| signer.line(&text)).collect();
    format!("{text}\n{lines}")
}

/// Why a signed head isn't to be believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSigned {
    /// It isn't of the form of a signed head.
    #[error("it is not a signed head of a log")]
    Malformed,
    /// No key that is trusted signed it.
    #[error("it is signed by none of the keys that it is checked with")]
    Unknown,
    /// A signature that a trusted key should have made isn't its.
    #[error("the signature of {0} is wrong")]
    Wrong(String),
}

/// The notes in a text that holds one behind another, each as [`SignedHead::parse`] takes
/// it; empty lines may part them. What is no note comes as it is, and is refused there.
pub fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches('\n');
        let (note, behind) = rest.split_at_checked(end_of_first(rest))?;
        rest = behind;
        (!note.is_empty()).then_some(note)
    })
}

/// Behind the signatures that follow the first empty line: a head itself has none.
fn end_of_first(text: &str) -> usize {
    let Some(body) = text.find("\n\n") else { return text.len() };
    let mut end = body + 2;
    for line in text.get(end..).unwrap_or_default().split_inclusive('\n') {
        if !line.starts_with(SIGNED_BY) {
            break;
        }
        end += line.len();
    }
    end
}

/// A head as it was read, whoever signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedHead {
    text: String,
    signatures: Vec<(String, Vec<u8>)>,
    checkpoint: Checkpoint,
}

impl SignedHead {
    /// Reads one; nothing is proven by this.
    ///
    /// # Errors
    /// When it has another form.
    pub fn parse(note: &str) -> Result<Self, NotSigned> {
        let (text, signatures) = parts(note)?;
        let checkpoint = Checkpoint::parse(&text).ok_or(NotSigned::Malformed)?;
        if signatures.len() > MOST_SIGNATURES {
            return Err(NotSigned::Malformed);
        }
        Ok(Self { text, signatures, checkpoint })
    }

    /// What it says, when one of these keys signed it and none of them wrongly.
    ///
    /// # Errors
    /// When it isn't so.
    pub fn verify(&self, keys: &[VerifierKey]) -> Result<&Checkpoint, NotSigned> {
        let mut is_known = false;
        for (name, bytes) in &self.signatures {
            let Some((id, signature)) = bytes.split_at_checked(4) else { continue };
            let Some(key) = keys.iter().find(|key| key.name == *name && key.id == id) else { continue };
            if signature.len() != SIGNATURE || !key.verifies(&self.text, signature) {
                return Err(NotSigned::Wrong(name.clone()));
            }
            is_known = true;
        }
        if is_known { Ok(&self.checkpoint) } else { Err(NotSigned::Unknown) }
    }

    /// What it says, whether or not that is to be believed.
    pub fn unverified(&self) -> &Checkpoint {
        &self.checkpoint
    }
}

/// Whose signature it is, and its bytes.
type Signature = (String, Vec<u8>);

/// A note's text and its signatures.
fn parts(note: &str) -> Result<(String, Vec<Signature>), NotSigned> {
    let malformed = NotSigned::Malformed;
    let is_plain = |note: &str| note.len() <= MOST_BYTES && !note.chars().any(|c| c < ' ' && c != '\n');
    let (body, signatures) = Some(note)
        .filter(|note| is_plain(note))
        .and_then(|note| note.rsplit_once("\n\n"))
        .ok_or(malformed)?;
    let lines = signatures.strip_suffix('\n').ok_or(NotSigned::Malformed)?.split('\n');
    let signatures: Vec<_> = lines.map(signature).collect::<Option<_>>().ok_or(NotSigned::Malformed)?;
    Ok((format!("{body}\n"), signatures))
}

/// A note whose text is no head, with one signature. The text says in its first line what
/// it is, ends with a line feed, and has no empty line.
pub fn sign_text(text: &str, signer: &Signer) -> String {
    format!("{text}\n{}", signer.line(text))
}

/// A note whose text is no head, as it was read, whoever signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedText {
    text: String,
    name: String,
    signature: Vec<u8>,
}

impl SignedText {
    /// Reads one; nothing is proven by this.
    ///
    /// # Errors
    /// When it has another form, or not exactly one signature.
    pub fn parse(note: &str) -> Result<Self, NotSigned> {
        let (text, signatures) = parts(note)?;
        match <[_; 1]>::try_from(signatures) {
            Ok([(name, signature)]) => Ok(Self { text, name, signature }),
            Err(_) => Err(NotSigned::Malformed),
        }
    }

    /// What it says, when this key signed it.
    ///
    /// # Errors
    /// When another did, or nobody.
    pub fn verify(&self, key: &VerifierKey) -> Result<&str, NotSigned> {
        let (id, signature) = self.signature.split_at_checked(4).ok_or(NotSigned::Malformed)?;
        if self.name != key.name || id != key.id {
            return Err(NotSigned::Unknown);
        }
        if signature.len() != SIGNATURE || !key.verifies(&self.text, signature) {
            return Err(NotSigned::Wrong(self.name.clone()));
        }
        Ok(&self.text)
    }

    /// What it says, whether or not that is to be believed.
    pub fn unverified(&self) -> &str {
        &self.text
    }
}

fn signature(line: &str) -> Option<(String, Vec<u8>)> {
    let (name, bytes) = line.strip_prefix(SIGNED_BY)?.split_once(' ')?;
    let bytes = STANDARD.decode(bytes).ok().filter(|bytes| bytes.len() > 4)?;
    is_name(name).then(|| (name.to_owned(), bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer(seed: u8) -> Signer {
        Signer::new("strongroom.audit/x", &KeyBytes::take(&mut [seed; 32])).unwrap()
    }

    fn notes() -> Vec<String> {
        let signers = [signer(1), signer(2)];
        let note = |size: u64| {
            let root = Hash::leaf(&size.to_be_bytes());
            let checkpoint = Checkpoint { origin: "strongroom.audit/x".to_owned(), size, root };
            sign(&checkpoint, signers.iter().take(1 + usize::try_from(size % 2).unwrap()))
        };
        (1..6).map(note).collect()
    }

    #[test]
    fn notes_behind_one_another_are_told_apart() {
        let notes = notes();
        for between in ["", "\n", "\n\n\n"] {
            let text = format!("{between}{}{between}", notes.join(between));
            assert_eq!(split(&text).collect::<Vec<_>>(), notes, "{between:?}");
        }
        assert!(notes.iter().all(|note| SignedHead::parse(note).is_ok()));
        assert_eq!(split("").chain(split("\n\n")).count(), 0);
    }

    #[test]
    fn what_is_cut_or_put_between_is_refused_and_hides_no_other() {
        let notes = notes();
        let text = notes.concat();
        for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
            let read: Vec<_> = split(&text[..end]).map(SignedHead::parse).collect();
            let whole = notes.iter().scan(0, |at, note| {
                *at += note.len();
                Some(*at)
            });
            let whole = whole.take_while(|at| *at <= end).count();
            assert!(read.iter().take(whole).all(Result::is_ok) && read.len() >= whole, "{end}");
        }
        let with_noise = format!("{}noise\n\n{}", notes[0], notes[1]);
        let read: Vec<_> = split(&with_noise).map(|note| SignedHead::parse(note).is_ok()).collect();
        assert_eq!(read, [true, false, true]);
    }
}
