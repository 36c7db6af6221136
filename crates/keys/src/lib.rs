//! Where root keys come from: a file, a passphrase, or a keeper elsewhere that
//! never hands its key out. And the recovery key, for the day on which the root
//! key is lost. Nothing here knows what the master key protects.

#[cfg(feature = "aws-kms")]
mod aws_kms;
pub mod file;
#[cfg(any(feature = "aws-kms", feature = "pkcs11", feature = "transit"))]
mod keeper;
#[cfg(any(test, feature = "aws-kms"))]
mod kms_words;
pub mod passphrase;
#[cfg(feature = "pkcs11")]
mod pkcs11;
pub mod private_file;
pub mod recovery;
pub mod remote;
#[cfg(feature = "transit")]
mod transit;
