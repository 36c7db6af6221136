//! Passwords, and what is kept of them.

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeSet;
use zeroize::{Zeroize, Zeroizing};

use crate::random::{self, Random};
use crate::text::Invalid;

/// A password in the clear. Erased when dropped, never printed.
pub struct Password(SecretString);

impl Password {
    /// The fewest characters beside a second factor (NIST SP 800-63B-4, 3.1.1.2).
    pub const SHORTEST: usize = 8;
    /// The fewest characters of one that is all (the same).
    pub const SHORTEST_ALONE: usize = 15;
    /// The most characters; a password manager's longest are shorter.
    pub const LONGEST: usize = 256;
    /// How many different characters it has at least.
    const DIFFERENT: usize = 5;

    /// What somebody typed who signs in: whatever it is, it is compared with what is kept.
    pub fn typed(text: String) -> Self {
        Self(text.into())
    }

    /// Takes one that somebody chose.
    ///
    /// # Errors
    /// When it is easily guessed; the message never quotes it.
    pub fn choose(text: String, is_alone: bool) -> Result<Self, Invalid> {
        let text = Zeroizing::new(text);
        let length = text.chars().take(Self::LONGEST + 1).count();
        let different = text.chars().collect::<BTreeSet<_>>().len();
        if length > Self::LONGEST {
            return Err(Invalid::new("must have at most 256 characters"));
        }
        if is_alone && length < Self::SHORTEST_ALONE {
            return Err(Invalid::new(
                "must have at least 15 characters, or at least 8 beside an authenticator app",
            ));
        }
        if length < Self::SHORTEST {
            return Err(Invalid::new("must have at least 8 characters"));
        }
        if different < Self::DIFFERENT {
            return Err(Invalid::new(
                "must have at least 5 different characters; a few words make a good one",
            ));
        }
        Ok(Self(text.as_str().into()))
    }

    /// How many characters it has.
    pub(crate) fn length(&self) -> usize {
        self.text().chars().count()
    }

    #[expect(clippy::disallowed_methods, reason = "it is stretched, or its length is checked")]
    fn text(&self) -> &str {
        self.0.expose_secret()
    }
}

/// KiB, passes and lanes of a new one: OWASP's second choice of equal strength,
/// which a small machine has the memory for.
const COST: [u32; 3] = [19 * 1024, 2, 1];
/// The most that a stored one may cost: what is written there was written here,
/// and is not to be turned into a way to use up the machine.
const MOST: [u32; 3] = [256 * 1024, 16, 16];

/// What is kept of a password: Argon2id's numbers, salt and output.
pub(crate) struct Stretched {
    cost: [u32; 3],
    salt: [u8; 16],
    hash: [u8; 32],
}

impl Stretched {
    /// Stretches a password; takes some 20 ms and 19 MiB.
    pub(crate) fn of(password: &Password, random: &dyn Random) -> Self {
        let salt = random::bytes(random);
        let mut hash = [0; 32];
        let known = stretch(password, COST, &salt, &mut hash);
        debug_assert!(known.is_some(), "the numbers are constants");
        Self { cost: COST, salt, hash }
    }

    /// Of no password.
    pub(crate) fn nobodys(random: &dyn Random) -> Self {
        Self { cost: COST, salt: random::bytes(random), hash: random::bytes(random) }
    }

    /// Whether this is the password; takes as long as stretching does.
    pub(crate) fn is(&self, password: &Password) -> bool {
        let mut hash = Zeroizing::new([0; 32]);
        stretch(password, self.cost, &self.salt, &mut hash).is_some()
            && verify_slices_are_equal(&*hash, &self.hash).is_ok()
    }

    pub(crate) fn write(&self, plain: &mut Vec<u8>) {
        self.cost.iter().for_each(|number| plain.extend(number.to_be_bytes()));
        plain.extend(self.salt);
        plain.extend(self.hash);
    }

    pub(crate) fn read(plain: &[u8]) -> Option<(Self, &[u8])> {
        let mut rest = plain;
        let mut cost = [0; 3];
        for (number, most) in cost.iter_mut().zip(MOST) {
            let (bytes, after) = rest.split_first_chunk::<4>()?;
            *number = u32::from_be_bytes(*bytes);
            rest = after;
            if *number > most {
                return None;
            }
        }
        let (salt, rest) = rest.split_first_chunk()?;
        let (hash, rest) = rest.split_first_chunk()?;
        Some((Self { cost, salt: *salt, hash: *hash }, rest))
    }
}

impl Drop for Stretched {
    fn drop(&mut self) {
        self.hash.zeroize();
    }
}

/// `None` when the numbers make no sense.
fn stretch(
    password: &Password,
    [memory, passes, lanes]: [u32; 3],
    salt: &[u8],
    hash: &mut [u8; 32],
) -> Option<()> {
    let params = Params::new(memory, passes, lanes, Some(hash.len())).ok()?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password_into(password.text().as_bytes(), salt, hash).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::OsRandom;

    fn kept(text: &str) -> Stretched {
        Stretched::of(&Password::typed(text.to_owned()), &OsRandom)
    }

    #[test]
    fn only_the_password_itself_is_it() {
        let kept = kept("correct horse battery");
        for (typed, right) in [("correct horse battery", true), ("correct horse batterz", false), ("", false)]
        {
            assert_eq!(kept.is(&Password::typed(typed.to_owned())), right, "{typed}");
        }
    }

    #[test]
    fn nobodys_is_no_password() {
        assert!(!Stretched::nobodys(&OsRandom).is(&Password::typed(String::new())));
    }

    #[test]
    fn what_is_written_is_read() {
        let (kept, mut plain) = (kept("correct horse battery"), Vec::new());
        kept.write(&mut plain);
        plain.push(7);
        let (read, rest) = Stretched::read(&plain).unwrap();
        assert!(read.is(&Password::typed("correct horse battery".to_owned())));
        assert_eq!(rest, [7]);
        for length in 0..plain.len() - 1 {
            assert!(Stretched::read(&plain[..length]).is_none());
        }
        plain[0] = 0xff;
        assert!(Stretched::read(&plain).is_none(), "4 TiB of memory");
    }

    #[test]
    fn a_chosen_one_is_no_easy_guess() {
        for (text, alone, taken) in [
            ("fourteen chars", true, false),
            ("fifteen chars!!", true, true),
            ("fourteen chars", false, true),
            ("eight ch", false, true),
            ("seven c", false, false),
            ("aaaaaaaaaaaaaaaaaaaa", true, false),
            ("ab ab ab ab ab ab ab", true, false),
            ("ünïcödé is fine", true, true),
        ] {
            assert_eq!(Password::choose(text.to_owned(), alone).is_ok(), taken, "{text}");
        }
        assert!(Password::choose("abcdefgh".repeat(33), true).is_err());
    }
}
