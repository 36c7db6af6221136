//! Where root keys come from: a file, a passphrase. And the recovery key, for
//! the day on which the root key is lost. Nothing here knows what the master
//! key protects.

pub mod file;
pub mod passphrase;
pub mod private_file;
pub mod recovery;
