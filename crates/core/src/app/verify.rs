//! Verifying a whole instance: every key and blob opens, every MAC holds.
//! Values are opened and dropped; what is reported are tables and ids.

use std::collections::{HashMap, HashSet};

use super::{App, Error};
use crate::ids::{KeyId, SecretId, TeamId};
use crate::keyring::{KeyOwner, Keyring, WrappedKey};
use crate::rows::{Proven, Row, Stored};
use crate::sealing::{IntegrityViolation, SealingKey};
use crate::secrets::{Secret, Version};
use crate::sign_ins::{Factors, SignIn};
use crate::store::AnyRow;
use crate::teams::Team;
use crate::values::{Bundle, EnvKey};

/// A row that is not what was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Its table.
    pub table: &'static str,
    /// Its id, or as much of it as can be read.
    pub id: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// What a verification saw.
#[derive(Debug, Default)]
pub struct Verified {
    /// Rows whose MAC or seal was checked.
    pub rows: u64,
    /// Values that were opened.
    pub values: u64,
    /// Those that failed.
    pub findings: Vec<Finding>,
}

impl App {
    /// Checks every row that is sealed or has a MAC; `progress` is told of each.
    ///
    /// # Errors
    /// When the store can't be read to its end.
    pub async fn verify(&self, mut progress: impl FnMut() + Send) -> Result<Verified, Error> {
        let mut examination = Examination::new(&self.keys);
        self.store
            .walk(&mut |row| {
                examination.check(row);
                progress();
            })
            .await?;
        Ok(examination.end())
    }

    /// Opens a version of a secret whose row was proven.
    pub(super) fn open_version(
        &self,
        key: &SealingKey,
        secret: &Secret,
        version: &Version,
    ) -> Result<Bundle, IntegrityViolation> {
        let bundle = open(&self.keys, key, secret.team_id, version)?;
        let current = version.number == secret.version;
        if current && !bundle.keys().eq(&secret.env_keys) {
            return Err(IntegrityViolation);
        }
        Ok(bundle)
    }
}

fn open(
    keys: &Keyring,
    key: &SealingKey,
    team: TeamId,
    version: &Version,
) -> Result<Bundle, IntegrityViolation> {
    let context = Version::context(keys.instance(), team, version.secret_id, version.number);
    let plain = key.open(&context, &version.sealed)?;
    Bundle::from_plaintext(&plain).ok_or(IntegrityViolation)
}

/// What must be known of a secret to open its versions.
struct Known {
    team: TeamId,
    /// The current version, and the names in it.
    version: u32,
    env_keys: String,
    is_current_there: bool,
}

/// The check of rows that come one after another, from wherever they are kept: every key
/// of the hierarchy before all else, teams before secrets, and each secret before its
/// versions.
pub struct Examination<'a> {
    keyring: &'a Keyring,
    keys: HashMap<(TeamId, KeyId), SealingKey>,
    /// Teams without keys: what they sealed opens no more, and is soon gone.
    shredded: HashSet<TeamId>,
    secrets: HashMap<SecretId, Known>,
    seen: Verified,
}

impl<'a> Examination<'a> {
    /// One with these keys.
    pub fn new(keyring: &'a Keyring) -> Self {
        let (keys, shredded, secrets) = (HashMap::new(), HashSet::new(), HashMap::new());
        Self { keyring, keys, shredded, secrets, seen: Verified::default() }
    }

    /// Checks a row.
    pub fn check(&mut self, row: AnyRow) {
        self.seen.rows += 1;
        match row {
            AnyRow::Key(key) => self.key(&key),
            AnyRow::RootCopy(row) => self.mac(row, |copy| copy.key_id.to_string()),
            AnyRow::Team(row) => self.team(row),
            AnyRow::User(row) => self.mac(row, |user| user.id.to_string()),
            AnyRow::Membership(row) => self.mac(row, |m| format!("{}/{}", m.team_id, m.user_id)),
            AnyRow::ApiKey(row) => self.mac(row, |key| key.id.to_string()),
            AnyRow::KeyLink(row) => self.mac(row, |link| link.id.to_string()),
            AnyRow::SignIn(row) => self.sign_in(row),
            AnyRow::Session(row) => self.mac(row, |session| session.id.to_string()),
            AnyRow::Invitation(row) => self.mac(row, |invitation| invitation.id.to_string()),
            AnyRow::FillRequest(row) => self.mac(row, |request| request.id.to_string()),
            AnyRow::Answer(row) => self.mac(row, |_| "?".to_owned()),
            AnyRow::Agent(row) => self.mac(row, |agent| agent.id.to_string()),
            AnyRow::Revision(row) => self.mac(row, |revision| revision.id.to_string()),
            AnyRow::Attachment(row) => self.mac(row, |a| format!("{}/{}", a.revision_id, a.secret_id)),
            AnyRow::Run(row) => self.mac(row, |run| run.id.to_string()),
            AnyRow::Secret(row, versions) => self.secret_and_versions(row, &versions),
            AnyRow::Malformed(table) => self.found(table, "?".to_owned(), "can't be read"),
        }
    }

    fn secret_and_versions(&mut self, row: Stored<Secret>, versions: &[Version]) {
        let id = row.row().id;
        self.remember(row);
        for version in versions {
            self.open(version);
        }
        if let Some(known) = self.secrets.remove(&id) {
            self.judge(id, &known);
        }
    }

    /// Checks a secret whose versions come later, each by itself.
    pub fn secret(&mut self, row: Stored<Secret>) {
        self.seen.rows += 1;
        self.remember(row);
    }

    fn remember(&mut self, row: Stored<Secret>) {
        let secret = row.row();
        let (team, version, id) = (secret.team_id, secret.version, secret.id);
        let known = Known { team, version, env_keys: secret.env_key_lines(), is_current_there: false };
        self.mac(row, |secret| secret.id.to_string());
        self.secrets.insert(id, known);
    }

    /// Opens a version of a secret that was checked before.
    pub fn version(&mut self, version: &Version) {
        self.open(version);
    }

    fn open(&mut self, version: &Version) {
        let Some(known) = self.secrets.get_mut(&version.secret_id) else {
            return self.found("versions", version.secret_id.to_string(), "belongs to no secret");
        };
        let is_current = known.version == version.number;
        known.is_current_there |= is_current;
        if self.shredded.contains(&known.team) {
            return;
        }
        self.seen.rows += 1;
        if let Ok(values) = opened(self.keyring, &self.keys, known, version) {
            self.seen.values += values;
        } else {
            let id = format!("{}/{}", version.secret_id, version.number);
            self.found("versions", id, "does not open");
        }
    }

    fn judge(&mut self, id: SecretId, known: &Known) {
        if !known.is_current_there {
            self.found("versions", id.to_string(), "the current version is missing");
        }
    }

    /// What was seen, when there are no more rows.
    pub fn end(mut self) -> Verified {
        for (id, known) in std::mem::take(&mut self.secrets) {
            self.judge(id, &known);
        }
        self.seen
    }

    fn found(&mut self, table: &'static str, id: String, problem: &'static str) {
        self.seen.findings.push(Finding { table, id, problem });
    }

    fn key(&mut self, key: &WrappedKey) {
        // Only the master key of before opens the way to this one.
        if key.owner == KeyOwner::Master {
            return;
        }
        match (self.keyring.unwrap(key), key.owner) {
            (Err(IntegrityViolation), _) => self.found("keys", key.id.to_string(), "does not open"),
            (Ok(opened), KeyOwner::Team(team)) => {
                self.keys.insert((team, key.id), opened);
            }
            (Ok(_), KeyOwner::Purpose(_) | KeyOwner::Master) => {}
        }
    }

    fn team(&mut self, row: Stored<Team>) {
        let Some(team) = self.proven(row, |team| team.id.to_string()) else { return };
        if team.shredded_at.is_some() {
            self.shredded.insert(team.id);
            let left: Vec<_> =
                self.keys.keys().filter(|(of, _)| *of == team.id).map(|(_, key)| *key).collect();
            for key in left {
                self.found("keys", key.to_string(), "is there, but its team was shredded");
            }
        }
    }

    fn sign_in(&mut self, row: Stored<SignIn>) {
        let Some(sign_in) = self.proven(row, |sign_in| sign_in.user_id.to_string()) else { return };
        if Factors::open(&sign_in, self.keyring).is_err() {
            self.found(SignIn::TABLE, sign_in.user_id.to_string(), "does not open");
        }
    }

    fn mac<T: Row>(&mut self, row: Stored<T>, id: impl Fn(&T) -> String) {
        self.proven(row, id);
    }

    /// The row, when its MAC holds.
    fn proven<T: Row>(&mut self, row: Stored<T>, id: impl Fn(&T) -> String) -> Option<Proven<T>> {
        let id = id(row.row());
        let proven = self.keyring.verify(row).ok();
        if proven.is_none() {
            self.found(T::TABLE, id, "its MAC does not hold");
        }
        proven
    }
}

/// Opens a version, and counts its values.
fn opened(
    keyring: &Keyring,
    keys: &HashMap<(TeamId, KeyId), SealingKey>,
    known: &Known,
    version: &Version,
) -> Result<u64, IntegrityViolation> {
    let id = version.sealed.key_id()?;
    let key = keys.get(&(known.team, id)).ok_or(IntegrityViolation)?;
    let bundle = open(keyring, key, known.team, version)?;
    let names: Vec<_> = bundle.keys().map(EnvKey::as_str).collect();
    if known.version == version.number && names.join("\n") != known.env_keys {
        return Err(IntegrityViolation);
    }
    Ok(u64::try_from(names.len()).unwrap_or(u64::MAX))
}
