//! Root keys that somebody else keeps: AWS KMS, a PKCS#11 token, a Transit engine.
//! Which of them there are is chosen when the program is built.
//!
//! What the instance remembers of its key stands in a database that others may
//! write to. So it never says where a credential is sent or which code is loaded:
//! that is said anew by whoever starts the server.

use std::path::PathBuf;
use strongroom_core::RootKey;

use crate::private_file::PrivateFileError;

/// A key of AWS KMS.
#[derive(Clone, Debug, Default)]
pub struct AwsKms {
    /// Its ARN, or an alias.
    pub key: Option<String>,
}

/// A key on a PKCS#11 token.
#[derive(Clone, Debug, Default)]
pub struct Pkcs11 {
    /// The library that speaks to the token.
    pub module: Option<PathBuf>,
    /// The token's label.
    pub token: Option<String>,
    /// The token's slot, instead of its label.
    pub slot: Option<u64>,
    /// The key's label.
    pub key: Option<String>,
    /// A private file with the user's PIN.
    pub pin_file: Option<PathBuf>,
}

/// A key of the Transit engine of Vault or OpenBao.
#[derive(Clone, Debug, Default)]
pub struct Transit {
    /// The server.
    pub url: Option<String>,
    /// Whether plain HTTP may leave this machine.
    pub insecure_http: bool,
    /// Where the engine is mounted.
    pub mount: Option<String>,
    /// The namespace in which that is.
    pub namespace: Option<String>,
    /// The key's name.
    pub key: Option<String>,
    /// A private file with a token.
    pub token_file: Option<PathBuf>,
    /// The role of an application, instead of a token.
    pub role_id: Option<String>,
    /// A private file with that role's secret id.
    pub secret_id_file: Option<PathBuf>,
    /// The authorities that the server's certificate is held against, in PEM,
    /// instead of the system's.
    pub ca_file: Option<PathBuf>,
}

/// A keeper elsewhere, as whoever starts the server names it.
#[derive(Clone, Debug)]
pub enum Remote {
    /// AWS KMS.
    AwsKms(AwsKms),
    /// A PKCS#11 token.
    Pkcs11(Pkcs11),
    /// A Transit engine.
    Transit(Transit),
}

/// A root key for a new instance.
pub struct Made {
    /// The key.
    pub key: Box<dyn RootKey>,
    /// What the instance must remember of it; not secret.
    pub parameters: String,
    /// What its owner should know, if the key itself was made just now.
    pub note: Option<String>,
}

/// What kind of trouble there is with a key elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Another key than the instance's, or what it should open isn't what it sealed:
    /// a keeper doesn't tell the two apart.
    #[error("is not the one that this instance is sealed under")]
    WrongKey,
    /// No such key.
    #[error("is not there")]
    MissingKey,
    /// The key is of no use here.
    #[error("can't seal an instance")]
    Unsuitable,
    /// The keeper refuses.
    #[error("may not be used")]
    Denied,
    /// No keeper answers.
    #[error("can't be reached")]
    Unreachable,
    /// The keeper itself has to be opened first.
    #[error("is locked")]
    Locked,
}

/// Why a keeper didn't do its work, in one sentence: which key of whose, what is
/// wrong, what to do. Says nothing in the keeper's own words, which could repeat
/// a credential.
#[derive(Debug, thiserror::Error)]
#[error("{subject} {trouble}: {detail}; {remedy}")]
pub struct KeeperError {
    /// What kind of trouble.
    pub trouble: Trouble,
    /// Which key.
    pub(crate) subject: String,
    pub(crate) detail: String,
    pub(crate) remedy: String,
}

/// Why there is no root key from elsewhere.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// This program can't speak to that keeper.
    #[error(
        "this program was built without the root key `{0}`; take a released one, or build with: cargo build --release -p strongroom-cli --features {0}"
    )]
    NotBuilt(&'static str),
    /// Not enough was said.
    #[error("the root key `{provider}` is not named whole: {missing} is missing; {remedy}")]
    Unnamed {
        /// The kind of keeper.
        provider: &'static str,
        /// The option that says it.
        missing: &'static str,
        /// What to give there.
        remedy: String,
    },
    /// What was said can't be.
    #[error("the root key `{provider}` can't be used so: {reason}")]
    Misnamed {
        /// The kind of keeper.
        provider: &'static str,
        /// Why, and what to do.
        reason: String,
    },
    /// A file can't be used.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// The instance's record of its key makes no sense.
    #[error(
        "what the instance remembers of its root key is malformed; the database was altered or is damaged"
    )]
    Parameters,
    /// The keeper didn't do it.
    #[error(transparent)]
    Keeper(#[from] KeeperError),
}

impl Remote {
    /// The kinds, as instances name them.
    pub const AWS_KMS: &str = "aws-kms";
    /// See [`Self::AWS_KMS`].
    pub const PKCS11: &str = "pkcs11";
    /// See [`Self::AWS_KMS`].
    pub const TRANSIT: &str = "transit";

    /// The kind of keeper.
    pub fn provider(&self) -> &'static str {
        match self {
            Self::AwsKms(_) => Self::AWS_KMS,
            Self::Pkcs11(_) => Self::PKCS11,
            Self::Transit(_) => Self::TRANSIT,
        }
    }

    /// Finds out whether this program can speak to it at all.
    ///
    /// # Errors
    /// When it was built without.
    pub fn built(&self) -> Result<(), RemoteError> {
        let built = match self {
            Self::AwsKms(_) => cfg!(feature = "aws-kms"),
            Self::Pkcs11(_) => cfg!(feature = "pkcs11"),
            Self::Transit(_) => cfg!(feature = "transit"),
        };
        if built { Ok(()) } else { Err(RemoteError::NotBuilt(self.provider())) }
    }

    /// Contacts the keeper for a new instance's root key.
    ///
    /// # Errors
    /// When it isn't named whole, can't be reached, or has no such key.
    #[cfg_attr(
        not(any(feature = "aws-kms", feature = "pkcs11", feature = "transit")),
        expect(clippy::unused_async, reason = "there is nobody to wait for in such a build")
    )]
    pub async fn create(&self) -> Result<Made, RemoteError> {
        match self {
            #[cfg(feature = "aws-kms")]
            Self::AwsKms(named) => crate::aws_kms::create(named).await,
            #[cfg(feature = "pkcs11")]
            Self::Pkcs11(named) => crate::pkcs11::create(named).await,
            #[cfg(feature = "transit")]
            Self::Transit(named) => crate::transit::create(named).await,
            #[cfg(not(all(feature = "aws-kms", feature = "pkcs11", feature = "transit")))]
            other => Err(RemoteError::NotBuilt(other.provider())),
        }
    }

    /// The root key of an instance that remembers these parameters. The keeper
    /// isn't contacted before the key is used.
    ///
    /// # Errors
    /// When it isn't named whole, or is named as another than the instance's.
    #[cfg_attr(
        not(any(feature = "aws-kms", feature = "pkcs11", feature = "transit")),
        expect(unused_variables, reason = "nothing is opened in such a build")
    )]
    #[cfg_attr(
        not(feature = "aws-kms"),
        expect(clippy::unused_async, reason = "the SDK alone looks around before it is used")
    )]
    pub async fn open(&self, parameters: &str) -> Result<Box<dyn RootKey>, RemoteError> {
        match self {
            #[cfg(feature = "aws-kms")]
            Self::AwsKms(named) => crate::aws_kms::open(named, parameters).await,
            #[cfg(feature = "pkcs11")]
            Self::Pkcs11(named) => crate::pkcs11::open(named, parameters),
            #[cfg(feature = "transit")]
            Self::Transit(named) => crate::transit::open(named, parameters),
            #[cfg(not(all(feature = "aws-kms", feature = "pkcs11", feature = "transit")))]
            other => Err(RemoteError::NotBuilt(other.provider())),
        }
    }
}
