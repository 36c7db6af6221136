//! What was made with each key of the instance: what still needs an older one.

use std::collections::{BTreeMap, HashMap};

use super::App;
use crate::ids::{KeyId, TeamId};
use crate::keyring::{KeyOwner, Purpose, WrappedKey};
use crate::rows::{Row, Stored};
use crate::secrets::Version;
use crate::store::{AnyRow, StoreError};
use crate::tokens::TokenHash;

impl App {
    /// Counts what was made with each key; `progress` is told of each row.
    ///
    /// # Errors
    /// When the store can't be read to its end.
    pub async fn key_uses(&self, mut progress: impl FnMut() + Send) -> Result<KeyUses, StoreError> {
        let mut counting = Counting::default();
        self.store
            .walk(&mut |row| {
                counting.count(&row);
                progress();
            })
            .await?;
        Ok(counting.uses)
    }
}

/// How much was made with each key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyUses {
    /// Rows, by purpose and version of the key.
    pub purposes: BTreeMap<(Purpose, u16), u64>,
    /// Versions of secrets under the newest key of their team.
    pub newest: u64,
    /// Those under an older one.
    pub older: u64,
}

#[derive(Default)]
struct Counting {
    uses: KeyUses,
    /// The newest key of each team.
    teams: HashMap<TeamId, (u16, KeyId)>,
    /// The versions of the keys that seal what people sign in with.
    sign_in: HashMap<KeyId, u16>,
}

impl Counting {
    fn count(&mut self, row: &AnyRow) {
        match row {
            AnyRow::Key(key) => self.key(key),
            AnyRow::RootCopy(row) => self.mac(row),
            AnyRow::Team(row) => self.mac(row),
            AnyRow::User(row) => self.mac(row),
            AnyRow::Membership(row) => self.mac(row),
            AnyRow::ApiKey(row) => self.bearer(row, &row.row().token_hash),
            AnyRow::KeyLink(row) => self.bearer(row, &row.row().token_hash),
            AnyRow::Session(row) => self.bearer(row, &row.row().token_hash),
            AnyRow::Invitation(row) => self.bearer(row, &row.row().token_hash),
            AnyRow::FillRequest(row) => self.bearer(row, &row.row().token_hash),
            AnyRow::Run(row) => self.bearer(row, &row.row().token_hash),
            AnyRow::SignIn(row) => {
                self.mac(row);
                let version = row.row().sealed.key_id().ok().and_then(|id| self.sign_in.get(&id).copied());
                if let Some(version) = version {
                    self.used(Purpose::SignIn, version);
                }
            }
            AnyRow::Answer(row) => {
                self.mac(row);
                self.used(Purpose::Idempotency, row.row().id.key_version());
            }
            AnyRow::Agent(row) => self.mac(row),
            AnyRow::Revision(row) => self.mac(row),
            AnyRow::Attachment(row) => self.mac(row),
            AnyRow::Secret(row, versions) => {
                self.mac(row);
                let newest = self.teams.get(&row.row().team_id).map(|(_, id)| *id);
                let under = |version: &&Version| version.sealed.key_id().ok() == newest;
                let under = u64::try_from(versions.iter().filter(under).count()).unwrap_or(u64::MAX);
                self.uses.newest += under;
                self.uses.older += u64::try_from(versions.len()).unwrap_or(u64::MAX) - under;
            }
            AnyRow::Malformed(_) => {}
        }
    }

    fn key(&mut self, key: &WrappedKey) {
        match key.owner {
            KeyOwner::Team(team) => {
                let newest = self.teams.entry(team).or_insert((key.version, key.id));
                *newest = (*newest).max((key.version, key.id));
            }
            KeyOwner::Purpose(Purpose::SignIn) => {
                self.sign_in.insert(key.id, key.version);
            }
            KeyOwner::Purpose(_) | KeyOwner::Master => {}
        }
    }

    fn bearer<T: Row>(&mut self, row: &Stored<T>, hash: &TokenHash) {
        self.mac(row);
        self.used(Purpose::ApiKeyPepper, hash.pepper_version());
    }

    fn mac<T: Row>(&mut self, row: &Stored<T>) {
        self.used(Purpose::RowMac, row.key_version());
    }

    fn used(&mut self, purpose: Purpose, version: u16) {
        *self.uses.purposes.entry((purpose, version)).or_default() += 1;
    }
}
