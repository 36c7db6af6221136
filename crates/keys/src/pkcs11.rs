//! The root key on a PKCS#11 token: AES-256, which the token doesn't hand out. The
//! master key goes into the token and comes out of it; each contact loads the
//! module, signs in, and leaves.

use async_trait::async_trait;
use cryptoki::error::RvError;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use strongroom_core::ids::InstanceId;
use strongroom_core::root_key::{RootKey, context};
use zeroize::Zeroizing;

use self::token::Session;
use crate::keeper::{
    Keeper, RemoteRootKey, Subject, credential, from_parameters, in_time, named, to_parameters,
};
use crate::remote::{KeeperError, Made, Pkcs11, Remote, RemoteError, Trouble};

mod token;

/// Of the initialization vector, which stands before what is sealed.
const IV: usize = 12;

/// What the instance remembers. The module is remembered to be named when it is
/// missed; what is loaded is what whoever starts the server says.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Remembered {
    module: PathBuf,
    token: String,
    key: String,
}

/// Where the token is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Label(String),
    Slot(u64),
}

/// All that a contact needs; a thread of its own has it.
struct Access {
    module: PathBuf,
    place: Place,
    key: String,
    pin: SecretString,
    pin_file: PathBuf,
    subject: Subject,
}

struct Token(Arc<Access>);

pub(crate) async fn create(options: &Pkcs11) -> Result<Made, RemoteError> {
    let remedy = "name the library that came with the token";
    let module = named(options.module.as_deref(), Remote::PKCS11, "--pkcs11-module", remedy)?;
    let remedy = "give the label that the key has or is to have";
    let key = named(options.key.as_deref(), Remote::PKCS11, "--pkcs11-key", remedy)?;
    let label = options.token.clone().map(Place::Label);
    let place = options.slot.map(Place::Slot).or(label);
    let remedy = "give the token's label, or its slot with --pkcs11-slot";
    let place = named(place.as_ref(), Remote::PKCS11, "--pkcs11-token", remedy)?;
    let token = Token(Arc::new(Access::new(options, module, place.clone(), key)?));
    let (label, made) =
        in_time(&token, token.contact(|session| Ok((session.label(), session.find_or_make()?)))).await?;
    let remembered = Remembered { module: module.to_owned(), token: label, key: key.to_owned() };
    let note = made.then(|| {
        format!(
            "made the key `{key}` on the token `{}`: AES-256, which the token doesn't hand out",
            remembered.token
        )
    });
    let parameters = to_parameters(&remembered)?;
    Ok(Made { key: Box::new(RemoteRootKey::new(token, key)), parameters, note })
}

pub(crate) fn open(options: &Pkcs11, parameters: &str) -> Result<Box<dyn RootKey>, RemoteError> {
    let remembered: Remembered = from_parameters(parameters)?;
    let remedy = format!("the instance was made with {}", remembered.module.display());
    let module = named(options.module.as_deref(), Remote::PKCS11, "--pkcs11-module", remedy)?;
    let key = options.key.as_ref().unwrap_or(&remembered.key);
    let label = Place::Label(options.token.as_ref().unwrap_or(&remembered.token).clone());
    let place = options.slot.map_or(label, Place::Slot);
    let access = Access::new(options, module, place, key)?;
    if *key != remembered.key {
        let detail = format!("the instance's is `{}`", remembered.key);
        return Err(access
            .subject
            .has(Trouble::WrongKey, detail, "leave --pkcs11-key out, or name that")
            .into());
    }
    let token = Token(Arc::new(access));
    Ok(Box::new(RemoteRootKey::new(token, &remembered.key)))
}

impl Access {
    fn new(options: &Pkcs11, module: &Path, place: Place, key: &str) -> Result<Self, RemoteError> {
        let remedy = "name a file of mode 0600 whose first line is the PIN of the token's user";
        let pin_file = named(options.pin_file.as_deref(), Remote::PKCS11, "--pkcs11-pin-file", remedy)?;
        let place_of = match &place {
            Place::Label(label) => format!("the PKCS#11 token `{label}`"),
            Place::Slot(slot) => format!("the PKCS#11 token in slot {slot}"),
        };
        Ok(Self {
            module: module.to_owned(),
            place,
            key: key.to_owned(),
            pin: credential(pin_file)?,
            pin_file: pin_file.to_owned(),
            subject: Subject(format!("the root key `{key}` on {place_of}")),
        })
    }

    fn away(&self, detail: impl Into<String>) -> KeeperError {
        let module = self.module.display();
        let remedy = format!(
            "look whether the token is there and {module} speaks to it, or name another place with --pkcs11-module, --pkcs11-token or --pkcs11-slot"
        );
        self.subject.has(Trouble::Unreachable, detail, remedy)
    }

    /// What a token's refusal means, by its code.
    fn refused(&self, error: &cryptoki::error::Error) -> KeeperError {
        let cryptoki::error::Error::Pkcs11(code, function) = error else {
            return self.away("the module doesn't speak PKCS#11 as it should");
        };
        let failed = format!("C_{function:?} fails with {code:?}");
        let (trouble, remedy) = match code {
            RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange => (
                Trouble::Locked,
                format!(
                    "the PIN is wrong: put the right one into {} before the token refuses all of them",
                    self.pin_file.display()
                ),
            ),
            RvError::PinLocked | RvError::PinExpired | RvError::UserPinNotInitialized => {
                (Trouble::Locked, "have the token's security officer set the user's PIN anew".to_owned())
            }
            RvError::KeyFunctionNotPermitted
            | RvError::TokenWriteProtected
            | RvError::SessionReadOnly
            | RvError::ActionProhibited
            | RvError::UserNotLoggedIn => {
                (Trouble::Denied, "allow the token's user to encrypt and decrypt with it".to_owned())
            }
            RvError::MechanismInvalid | RvError::MechanismParamInvalid | RvError::KeyTypeInconsistent => {
                (Trouble::Unsuitable, "take a token that does AES-GCM, and an AES-256 key on it".to_owned())
            }
            _ => return self.away(failed),
        };
        self.subject.has(trouble, failed, remedy)
    }
}

impl Token {
    /// Does something with the token on a thread that nobody waits for if the
    /// module hangs.
    async fn contact<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Session<'_>) -> Result<T, KeeperError> + Send + 'static,
    ) -> Result<T, KeeperError> {
        let (tell, told) = tokio::sync::oneshot::channel();
        let access = Arc::clone(&self.0);
        std::thread::spawn(move || tell.send(token::contact(&access, act)));
        told.await.unwrap_or_else(|_| Err(self.0.away("the module broke down")))
    }
}

#[async_trait]
impl Keeper for Token {
    const PROVIDER: &'static str = Remote::PKCS11;

    fn subject(&self) -> &Subject {
        &self.0.subject
    }

    fn when_away(&self) -> String {
        "look whether the token is there and answers, then start again".to_owned()
    }

    async fn seal(
        &self,
        instance: InstanceId,
        master: Zeroizing<Vec<u8>>,
        iv: [u8; 12],
    ) -> Result<Vec<u8>, KeeperError> {
        self.contact(move |session| session.seal(&context(instance), &master, iv)).await
    }

    async fn open(&self, instance: InstanceId, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeeperError> {
        let sealed = sealed.to_vec();
        self.contact(move |session| session.open(&context(instance), &sealed)).await
    }
}
