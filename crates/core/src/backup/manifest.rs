//! What a backup says of itself, readable without a key: a signed note whose text is a
//! line that names it and a line of JSON.

use serde::{Deserialize, Serialize};
use std::io;
use uuid::Uuid;

use super::BackupError;
use crate::audit::note::{self, SignedText, Signer, VerifierKey};
use crate::ids::InstanceId;

/// The first line of the signed text.
const TITLE: &str = "strongroom-backup-manifest-v1";

/// What is in a backup, from when, and what opens it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The instance that it is of.
    pub instance_id: Uuid,
    /// The moment that it holds, as RFC 3339 has it.
    pub made_at: String,
    /// The version of the program that made it.
    pub program: String,
    /// The number of the schema.
    pub schema: u32,
    /// The tables, in their order.
    pub tables: Vec<Table>,
    /// The encrypted payload.
    pub payload: Payload,
    /// The root key that the instance needs.
    pub root_key: RootKeyName,
    /// The `age` recipient that the payload is encrypted to.
    pub recovery_recipient: String,
    /// The newest signed head of the audit tree in it, if there is one.
    pub checkpoint: Option<String>,
    /// The key by which this is checked.
    pub verifier_key: String,
}

/// A table of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// How many rows it has.
    pub rows: u64,
}

/// The encrypted payload of a backup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payload {
    /// How many bytes.
    pub length: u64,
    /// Their SHA-256, in hexadecimal.
    pub sha256: String,
}

/// Which root key it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RootKeyName {
    /// The kind of its keeper.
    pub provider: String,
    /// Its id.
    pub id: Uuid,
}

impl Manifest {
    /// How many rows are in the backup.
    pub fn rows(&self) -> u64 {
        self.tables.iter().fold(0, |sum, table| sum.saturating_add(table.rows))
    }

    /// How many rows a table has.
    pub fn rows_of(&self, table: &str) -> u64 {
        self.tables.iter().find(|known| known.name == table).map_or(0, |known| known.rows)
    }

    /// As it is in the file.
    pub(super) fn sign(&self, signer: &Signer) -> io::Result<String> {
        let json = serde_json::to_string(self)?;
        Ok(note::sign_text(&format!("{TITLE}\n{json}\n"), signer))
    }

    /// Reads what [`Self::sign`] made.
    pub(super) fn verify(bytes: &[u8], pinned: Option<&VerifierKey>) -> Result<Self, BackupError> {
        let text = str::from_utf8(bytes).map_err(|_| BackupError::Manifest)?;
        let signed = SignedText::parse(text)?;
        let manifest = Self::read(signed.unverified()).ok_or(BackupError::Manifest)?;
        let key: VerifierKey = manifest.verifier_key.parse().map_err(|_| BackupError::Manifest)?;
        if key.name() != note::origin(InstanceId::from_uuid(manifest.instance_id)) {
            return Err(BackupError::Manifest);
        }
        signed.verify(&key)?;
        match pinned {
            Some(pinned) if *pinned != key => Err(BackupError::AnotherKey(key)),
            _ => Ok(manifest),
        }
    }

    pub(super) fn read(text: &str) -> Option<Self> {
        let json = text.strip_prefix(TITLE)?.strip_prefix('\n')?.strip_suffix('\n')?;
        if json.contains('\n') {
            return None;
        }
        serde_json::from_str(json).ok()
    }
}
