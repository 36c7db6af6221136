//! A second factor: one-time passwords of an authenticator app (RFC 6238:
//! SHA-1, six digits, 30 seconds, as every such app takes them), and codes on
//! paper for when the app is lost. Each of them is good once.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest;
use totp_rs::{Builder, Totp};
use zeroize::{Zeroize, Zeroizing};

use crate::clock::Timestamp;
use crate::random::{self, Random};

/// Bytes of an app's secret: RFC 4226 asks for 160 bits.
const SECRET: usize = 20;
/// How many codes for paper there are.
pub const CODES: usize = 10;
/// Letters and digits of such a code, 5 bits each.
const LETTERS: usize = 16;
/// Without those that look alike.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// The secret that an authenticator app shares with us.
#[derive(Clone)]
pub struct AppSecret([u8; SECRET]);

impl AppSecret {
    /// From keyed bytes.
    pub(crate) fn from_digest(digest: &[u8]) -> Option<Self> {
        digest.first_chunk().copied().map(Self)
    }

    /// In the form that a person types into an app: base32 without padding.
    pub fn text(&self) -> String {
        const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        spelt(&self.0, BASE32).collect()
    }

    /// In the form that an app reads from a picture.
    pub fn uri(&self, account: &str, issuer: &str) -> String {
        let account = encoded(account);
        let issuer = encoded(issuer);
        format!("otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}", self.text())
    }

    fn totp(&self) -> Totp {
        Builder::new().with_secret(self.0.to_vec()).build_noncompliant()
    }

    /// The 30 seconds for which this is the app's password, give or take one
    /// such span: clocks differ.
    fn step(&self, typed: &str, now: Timestamp) -> Option<u64> {
        let digits: String = typed.chars().filter(|c| !c.is_whitespace()).collect();
        let seconds = u64::try_from(now.as_millis() / 1_000).ok()?;
        self.totp().check(&digits, seconds)
    }
}

impl Drop for AppSecret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// What is kept of a second factor.
pub(crate) struct SecondFactor {
    secret: AppSecret,
    /// The newest 30 seconds of which the password was used.
    used: u64,
    /// Digests of the codes that are left. Each has 80 random bits, which need no stretching.
    codes: Vec<[u8; 32]>,
}

impl SecondFactor {
    /// Bytes in which it is written, however many codes are left.
    pub(crate) const WRITTEN: usize = SECRET + size_of::<u64>() + 1 + 32 * CODES;

    /// One of an app that shows the right password now, with fresh codes for
    /// paper; `None` when it doesn't.
    pub(crate) fn new(
        secret: AppSecret,
        typed: &str,
        now: Timestamp,
        random: &dyn Random,
    ) -> Option<(Self, Vec<String>)> {
        let used = secret.step(typed, now)?;
        let (texts, codes) = fresh_codes(random);
        Some((Self { secret, used, codes }, texts))
    }

    /// The same app with fresh codes for paper.
    pub(crate) fn renewed(&mut self, random: &dyn Random) -> Vec<String> {
        let (texts, codes) = fresh_codes(random);
        self.codes = codes;
        texts
    }

    /// How many codes are left.
    pub(crate) fn codes_left(&self) -> usize {
        self.codes.len()
    }

    /// Uses up what was typed: the app's password, or a code.
    pub(crate) fn accepts(&mut self, typed: &str, now: Timestamp) -> bool {
        if let Some(step) = self.secret.step(typed, now) {
            let is_new = step > self.used;
            self.used = self.used.max(step);
            return is_new;
        }
        let digest = digest_of(typed);
        let place = self.codes.iter().position(|kept| verify_slices_are_equal(kept, &digest).is_ok());
        place.map(|place| self.codes.remove(place)).is_some()
    }

    pub(crate) fn write(&self, plain: &mut Vec<u8>) {
        plain.extend(self.secret.0);
        plain.extend(self.used.to_be_bytes());
        plain.extend(u8::try_from(self.codes.len()));
        let none = [0; 32];
        self.codes.iter().chain(std::iter::repeat(&none)).take(CODES).for_each(|code| plain.extend(code));
    }

    pub(crate) fn read(plain: &[u8]) -> Option<Self> {
        let (secret, rest) = plain.split_first_chunk()?;
        let (used, rest) = rest.split_first_chunk()?;
        let (&[left], rest) = rest.split_first_chunk()?;
        let (codes, rest) = rest.as_chunks::<32>();
        let (codes, none) = codes.split_at_checked(left.into())?;
        let whole =
            rest.is_empty() && codes.len() + none.len() == CODES && none.iter().all(|code| *code == [0; 32]);
        let used = u64::from_be_bytes(*used);
        whole.then(|| Self { secret: AppSecret(*secret), used, codes: codes.to_vec() })
    }
}

fn fresh_codes(random: &dyn Random) -> (Vec<String>, Vec<[u8; 32]>) {
    let texts: Vec<_> = (0..CODES).map(|_| code(random)).collect();
    let digests = texts.iter().map(|text| digest_of(text)).collect();
    (texts, digests)
}

/// Four groups of four.
fn code(random: &dyn Random) -> String {
    let bytes = Zeroizing::new(random::bytes::<{ LETTERS * 5 / 8 }>(random));
    let letters: Vec<_> = spelt(&*bytes, ALPHABET).collect();
    let groups: Vec<String> = letters.chunks(4).map(|group| group.iter().collect()).collect();
    groups.join("-")
}

/// 5 bits a letter.
fn spelt<'a>(bytes: &'a [u8], alphabet: &'a [u8; 32]) -> impl Iterator<Item = char> + 'a {
    bytes.chunks(5).flat_map(move |five| {
        let bits = five.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        (0..8).rev().map(move |place| {
            let digit = usize::try_from(bits >> (5 * place) & 31).unwrap_or(0);
            char::from(alphabet.get(digit).copied().unwrap_or(b'?'))
        })
    })
}

/// However it was typed: case, spaces and hyphens don't matter.
fn digest_of(typed: &str) -> [u8; 32] {
    let kept = typed.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase());
    let plain = Zeroizing::new(kept.collect::<String>());
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, plain.as_bytes()).as_ref());
    out
}

/// Percent-encoded but for what never needs it (RFC 3986, 2.3).
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::OsRandom;

    fn app() -> AppSecret {
        AppSecret(*b"12345678901234567890")
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn shown(seconds: u64) -> String {
        app().totp().generate(seconds).to_string()
    }

    /// RFC 6238, appendix B, the last six digits of each.
    #[test]
    fn the_passwords_are_those_of_the_rfc() {
        for (seconds, password) in
            [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924"), (20_000_000_000, "353130")]
        {
            assert_eq!(shown(seconds), password);
        }
    }

    #[test]
    fn each_password_is_good_once_and_none_before_it() {
        let (mut factor, _) = SecondFactor::new(app(), &shown(3_000), at(3_000), &OsRandom).unwrap();
        assert!(!factor.accepts(&shown(3_000), at(3_000)), "it was used to set it up");
        assert!(factor.accepts(&shown(3_030), at(3_029)), "the app's clock is fast");
        assert!(!factor.accepts(&shown(3_030), at(3_031)));
        assert!(!factor.accepts(&shown(3_000), at(3_031)));
        assert!(!factor.accepts(&shown(3_200), at(3_031)));
        assert!(factor.accepts(&format!("{} ", shown(3_060)), at(3_090)), "the app's clock is slow");
    }

    #[test]
    fn each_code_is_good_once_however_it_is_typed() {
        let (mut factor, codes) = SecondFactor::new(app(), &shown(3_000), at(3_000), &OsRandom).unwrap();
        assert_eq!((codes.len(), codes[0].len()), (CODES, LETTERS + 3));
        assert!(factor.accepts(&codes[3].to_uppercase().replace('-', " "), at(3_000)));
        assert!(!factor.accepts(&codes[3], at(3_000)));
        assert!(!factor.accepts("", at(3_000)));
        assert_eq!(factor.codes_left(), CODES - 1);
        let fresh = factor.renewed(&OsRandom);
        assert!(!factor.accepts(&codes[4], at(3_000)));
        assert!(factor.accepts(&fresh[4], at(3_000)));
    }

    #[test]
    fn what_is_written_is_read() {
        let (mut factor, codes) = SecondFactor::new(app(), &shown(3_000), at(3_000), &OsRandom).unwrap();
        for used in 0..CODES {
            let mut plain = Vec::new();
            factor.write(&mut plain);
            assert_eq!(plain.len(), SecondFactor::WRITTEN, "its length tells nothing");
            let mut read = SecondFactor::read(&plain).unwrap();
            assert_eq!(read.codes_left(), CODES - used);
            assert!(!read.accepts(&shown(3_000), at(3_000)) && read.accepts(&codes[9], at(3_000)));
            assert!(SecondFactor::read(&plain[1..]).is_none());
            assert!(SecondFactor::read(&[&plain[..], &[0; 32]].concat()).is_none());
            plain[SECRET + 8] ^= 1;
            assert!(SecondFactor::read(&plain).is_none_or(|read| read.codes_left() != CODES - used));
            assert!(factor.accepts(&codes[used], at(3_000)));
        }
        let mut plain = Vec::new();
        factor.write(&mut plain);
        assert!(!SecondFactor::read(&plain).unwrap().accepts("", at(3_000)), "where no code is");
    }

    #[test]
    fn an_app_is_told_in_its_own_words() {
        assert_eq!(app().text(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        let uri = app().uri("ada+x@example.com", "Strongroom");
        assert!(uri.starts_with("otpauth://totp/Strongroom:ada%2Bx%40example.com?secret=GEZDG"));
    }
}
