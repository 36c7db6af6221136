//! How a person proves to a browser who they are: a password, and a second
//! factor if they like. All of it is one sealed blob, so that whoever reads the
//! database learns neither what to guess at nor who has a second factor.

use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::ids::{InstanceId, SignInId, UserId};
use crate::keyring::Keyring;
use crate::passwords::Stretched;
use crate::random::Random;
use crate::rows::{Fields, Row, Stored};
use crate::sealing::{Context, IntegrityViolation, Sealed};
use crate::second_factor::SecondFactor;

/// A user's way of signing in, as it is kept. There is one a user; ways that
/// come later, such as a passkey, are further ways into the same sign-in.
#[derive(Clone)]
pub struct SignIn {
    /// Whose.
    pub user_id: UserId,
    /// Another one each time it is set up anew, or what is signed in with changes: teams
    /// let in the one that they know.
    pub id: SignInId,
    /// The [`Factors`], sealed.
    pub sealed: Sealed,
    /// Since when.
    pub created_at: Timestamp,
    /// When a factor was last changed or used up.
    pub updated_at: Timestamp,
}

impl Row for SignIn {
    const TABLE: &'static str = "sign_ins";

    fn fields(&self, fields: &mut Fields) {
        fields.bytes("user_id", self.user_id.as_bytes());
        fields.bytes("id", self.id.as_bytes());
        fields.bytes("sealed", self.sealed.as_bytes());
        fields.number("created_at", self.created_at.as_millis());
        fields.number("updated_at", self.updated_at.as_millis());
    }
}

/// What a person signs in with.
pub(crate) struct Factors {
    pub(crate) password: Stretched,
    pub(crate) second: Option<SecondFactor>,
}

/// The layout of what is sealed.
const FORMAT: u8 = 1;

impl Factors {
    fn context(instance: InstanceId, user: UserId, id: SignInId) -> Context {
        Context::new("strongroom.sign-in.v1")
            .field(instance.as_bytes())
            .field(user.as_bytes())
            .field(id.as_bytes())
    }

    /// Format, password, whether there is a second factor, that or as many zeros:
    /// nothing else, so that each has one form, and all are equally long.
    fn plaintext(&self) -> Zeroizing<Vec<u8>> {
        let mut plain = Zeroizing::new(Vec::with_capacity(512));
        plain.push(FORMAT);
        self.password.write(&mut plain);
        plain.push(self.second.is_some().into());
        let length = plain.len() + SecondFactor::WRITTEN;
        if let Some(second) = &self.second {
            second.write(&mut plain);
        }
        plain.resize(length, 0);
        plain
    }

    fn from_plaintext(plain: &[u8]) -> Option<Self> {
        let (&[FORMAT], rest) = plain.split_first_chunk::<1>()? else { return None };
        let (password, rest) = Stretched::read(rest)?;
        let second = match rest.split_first()? {
            (1, second) => Some(SecondFactor::read(second)?),
            (0, none) if none.len() == SecondFactor::WRITTEN && none.iter().all(|byte| *byte == 0) => None,
            _ => return None,
        };
        Some(Self { password, second })
    }

    /// The row of these.
    pub(crate) fn seal(
        &self,
        (user_id, id): (UserId, SignInId),
        (created_at, updated_at): (Timestamp, Timestamp),
        keys: &Keyring,
        random: &dyn Random,
    ) -> Result<Stored<SignIn>, IntegrityViolation> {
        let context = Self::context(keys.instance(), user_id, id);
        let sealed = keys.sign_in_key()?.seal(&context, self.plaintext(), random);
        Ok(keys.authenticate(SignIn { user_id, id, sealed, created_at, updated_at }))
    }

    /// What is sealed in a proven row.
    pub(crate) fn open(sign_in: &SignIn, keys: &Keyring) -> Result<Self, IntegrityViolation> {
        let context = Self::context(keys.instance(), sign_in.user_id, sign_in.id);
        let plain = keys.opening_sign_in_key(&sign_in.sealed)?.open(&context, &sign_in.sealed)?;
        Self::from_plaintext(&plain).ok_or(IntegrityViolation)
    }

    /// Of nobody: to be checked in place of those that aren't there.
    pub(crate) fn nobodys(random: &dyn Random) -> Self {
        Self { password: Stretched::nobodys(random), second: None }
    }
}
