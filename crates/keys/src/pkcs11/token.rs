//! One session with a token, from loading the module to leaving it. The PIN goes
//! to the module alone.

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Function, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::UserType;
use cryptoki::slot::Slot;
use strongroom_core::sealing::Context;
use zeroize::Zeroizing;

use super::{Access, IV, Place};
use crate::keeper::UNOPENED;
use crate::remote::{KeeperError, Trouble};

/// Of the tag behind what is sealed, in bits.
const TAG_BITS: u64 = 128;
/// Of the key, in bytes.
const KEY_LENGTH: u64 = 32;

/// An open session of the token's user.
pub(super) struct Session<'a> {
    access: &'a Access,
    opened: cryptoki::session::Session,
    label: String,
}

/// Loads the module, signs in, acts, and leaves.
pub(super) fn contact<T>(
    access: &Access,
    act: impl FnOnce(&Session<'_>) -> Result<T, KeeperError>,
) -> Result<T, KeeperError> {
    let refused = |error: Error| access.refused(&error);
    let module = Pkcs11::new(&access.module)
        .map_err(|_| access.away(format!("the module {} can't be loaded", access.module.display())))?;
    module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).map_err(refused)?;
    let done = Session::begin(access, &module).and_then(|session| {
        let done = act(&session);
        // It is closed in any case; the token may be gone by now.
        let _left = session.opened.logout();
        done
    });
    let _left = module.finalize();
    done
}

impl<'a> Session<'a> {
    fn begin(access: &'a Access, module: &Pkcs11) -> Result<Self, KeeperError> {
        let refused = |error: Error| access.refused(&error);
        let (slot, label) = find(access, module)?;
        // A key may have to be made, and some tokens sign in to such sessions only.
        let opened = module.open_rw_session(slot).map_err(refused)?;
        opened.login(UserType::User, Some(&access.pin)).map_err(refused)?;
        Ok(Self { access, opened, label })
    }

    /// The token's label.
    pub(super) fn label(&self) -> String {
        self.label.clone()
    }

    /// Sees to it that the key is there; whether it had to be made.
    pub(super) fn find_or_make(&self) -> Result<bool, KeeperError> {
        match self.look_up()? {
            Some(key) => self.must_suit(key).map(|()| false),
            None => self.make().map(|()| true),
        }
    }

    /// Initialization vector, then what the token makes of the master key, with
    /// the tag behind it.
    pub(super) fn seal(
        &self,
        context: &Context,
        master: &[u8],
        mut iv: [u8; IV],
    ) -> Result<Vec<u8>, KeeperError> {
        let key = self.key()?;
        let fresh = iv;
        let mechanism = self.gcm(&mut iv, context)?;
        let sealed = self.opened.encrypt(&mechanism, key, master).map_err(|error| self.refused(&error))?;
        Ok([&fresh[..], &sealed].concat())
    }

    /// The master key.
    pub(super) fn open(&self, context: &Context, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeeperError> {
        let key = self.key()?;
        let Some((iv, sealed)) = sealed.split_first_chunk::<IV>() else { return Err(self.wrong()) };
        let mut iv = *iv;
        let mechanism = self.gcm(&mut iv, context)?;
        let opened = self.opened.decrypt(&mechanism, key, sealed);
        opened.map(Zeroizing::new).map_err(|error| match error {
            // Tokens say so in several ways; each is what a foreign tag comes to.
            Error::Pkcs11(
                RvError::EncryptedDataInvalid
                | RvError::EncryptedDataLenRange
                | RvError::DataInvalid
                | RvError::DataLenRange
                | RvError::SignatureInvalid
                | RvError::FunctionFailed
                | RvError::GeneralError,
                Function::Decrypt,
            ) => self.wrong(),
            other => self.refused(&other),
        })
    }

    fn gcm<'b>(&self, iv: &'b mut [u8; IV], context: &'b Context) -> Result<Mechanism<'b>, KeeperError> {
        let parameters = GcmParams::new(iv, context.as_bytes(), TAG_BITS.into());
        let parameters = parameters.map_err(|error| self.refused(&error))?;
        Ok(Mechanism::AesGcm(parameters))
    }

    fn key(&self) -> Result<ObjectHandle, KeeperError> {
        self.look_up()?.ok_or_else(|| {
            let remedy = "restore the key to the token from its backup, or name the token that has it";
            self.access.subject.has(Trouble::MissingKey, "the token has no secret key of that label", remedy)
        })
    }

    fn look_up(&self) -> Result<Option<ObjectHandle>, KeeperError> {
        let sought = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::AES),
            Attribute::Token(true),
            Attribute::Label(self.access.key.clone().into_bytes()),
        ];
        let found = self.opened.find_objects(&sought).map_err(|error| self.refused(&error))?;
        match found.as_slice() {
            [] => Ok(None),
            [key] => Ok(Some(*key)),
            several => Err(self.access.subject.has(
                Trouble::Unsuitable,
                format!("the token has {} AES keys of that label", several.len()),
                "leave only one of them that label",
            )),
        }
    }

    fn make(&self) -> Result<(), KeeperError> {
        let key = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::AES),
            Attribute::ValueLen(KEY_LENGTH.into()),
            Attribute::Label(self.access.key.clone().into_bytes()),
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Encrypt(true),
            Attribute::Decrypt(true),
        ];
        self.opened.generate_key(&Mechanism::AesKeyGen, &key).map(drop).map_err(|error| self.refused(&error))
    }

    /// Refuses a key that is shorter, or that the token would hand out.
    fn must_suit(&self, key: ObjectHandle) -> Result<(), KeeperError> {
        let asked = [AttributeType::Extractable, AttributeType::Sensitive, AttributeType::ValueLen];
        let has = self.opened.get_attributes(key, &asked).map_err(|error| self.refused(&error))?;
        let unsuitable = |detail| {
            let remedy = "have `init` make another: give a label that no key has";
            Err(self.access.subject.has(Trouble::Unsuitable, detail, remedy))
        };
        for attribute in has {
            match attribute {
                Attribute::Extractable(true) => return unsuitable("it can be taken out of the token"),
                Attribute::Sensitive(false) => return unsuitable("the token shows it"),
                Attribute::ValueLen(length) if u64::from(length) != KEY_LENGTH => {
                    return unsuitable("it doesn't have 256 bits");
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn wrong(&self) -> KeeperError {
        let remedy = "name the token that has the instance's own key, or restore a backup";
        self.access.subject.has(Trouble::WrongKey, UNOPENED, remedy)
    }

    fn refused(&self, error: &Error) -> KeeperError {
        self.access.refused(error)
    }
}

/// The token's slot and label.
fn find(access: &Access, module: &Pkcs11) -> Result<(Slot, String), KeeperError> {
    let slots = module.get_slots_with_token().map_err(|error| access.refused(&error))?;
    for slot in slots {
        // One that was just pulled out is none that is sought.
        let Ok(token) = module.get_token_info(slot) else { continue };
        let label = token.label().trim_end().to_owned();
        let sought = match &access.place {
            Place::Label(sought) => *sought == label,
            Place::Slot(sought) => *sought == slot.id(),
        };
        if sought {
            return Ok((slot, label));
        }
    }
    Err(access.away("the module knows no such token"))
}
