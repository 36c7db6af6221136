//! Verifying a whole instance: every key and blob opens, every MAC holds.
//! Values are opened and dropped; what is reported are tables and ids.

use std::collections::{HashMap, HashSet};

use super::{App, Error};
use crate::ids::{KeyId, TeamId};
use crate::keyring::{KeyOwner, WrappedKey};
use crate::rows::{Proven, Row, Stored};
use crate::sealing::{IntegrityViolation, SealingKey};
use crate::secrets::{Secret, Version};
use crate::sign_ins::{Factors, SignIn};
use crate::store::AnyRow;
use crate::teams::Team;
use crate::values::Bundle;

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
    /// Those that failed.
    pub findings: Vec<Finding>,
}

impl App {
    /// Checks every row that is sealed or has a MAC; `progress` is told of each.
    ///
    /// # Errors
    /// When the store can't be read to its end.
    pub async fn verify(&self, mut progress: impl FnMut() + Send) -> Result<Verified, Error> {
        let (keys, shredded) = (HashMap::new(), HashSet::new());
        let mut walk = Walk { app: self, keys, shredded, seen: Verified::default() };
        self.store
            .walk(&mut |row| {
                walk.check(row);
                progress();
            })
            .await?;
        Ok(walk.seen)
    }

    /// Opens a version of a secret whose row was proven.
    pub(super) fn open_version(
        &self,
        key: &SealingKey,
        secret: &Secret,
        version: &Version,
    ) -> Result<Bundle, IntegrityViolation> {
        let context = Version::context(self.keys.instance(), secret.team_id, secret.id, version.number);
        let plain = key.open(&context, &version.sealed)?;
        let bundle = Bundle::from_plaintext(&plain).ok_or(IntegrityViolation)?;
        let current = version.number == secret.version;
        if current && !bundle.keys().eq(&secret.env_keys) {
            return Err(IntegrityViolation);
        }
        Ok(bundle)
    }
}

/// The state of one verification.
struct Walk<'a> {
    app: &'a App,
    keys: HashMap<(TeamId, KeyId), SealingKey>,
    /// Teams without keys: what they sealed opens no more, and is soon gone.
    shredded: HashSet<TeamId>,
    seen: Verified,
}

impl Walk<'_> {
    fn check(&mut self, row: AnyRow) {
        self.seen.rows += 1;
        match row {
            AnyRow::Key(key) => self.key(&key),
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
            AnyRow::Secret(row, versions) => self.secret(row, &versions),
            AnyRow::Malformed(table) => self.found(table, "?".to_owned(), "can't be read"),
        }
    }

    fn found(&mut self, table: &'static str, id: String, problem: &'static str) {
        self.seen.findings.push(Finding { table, id, problem });
    }

    fn key(&mut self, key: &WrappedKey) {
        match (self.app.keys.unwrap(key), key.owner) {
            (Err(IntegrityViolation), _) => self.found("keys", key.id.to_string(), "does not open"),
            (Ok(opened), KeyOwner::Team(team)) => {
                self.keys.insert((team, key.id), opened);
            }
            (Ok(_), KeyOwner::Purpose(_)) => {}
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
        if Factors::open(&sign_in, &self.app.keys).is_err() {
            self.found(SignIn::TABLE, sign_in.user_id.to_string(), "does not open");
        }
    }

    fn mac<T: Row>(&mut self, row: Stored<T>, id: impl Fn(&T) -> String) {
        self.proven(row, id);
    }

    /// The row, when its MAC holds.
    fn proven<T: Row>(&mut self, row: Stored<T>, id: impl Fn(&T) -> String) -> Option<Proven<T>> {
        let id = id(row.row());
        let proven = self.app.keys.verify(row).ok();
        if proven.is_none() {
            self.found(T::TABLE, id, "its MAC does not hold");
        }
        proven
    }

    fn secret(&mut self, row: Stored<Secret>, versions: &[Version]) {
        let secret = row.row().clone();
        self.mac(row, |secret| secret.id.to_string());
        if !versions.iter().any(|version| version.number == secret.version) {
            self.found("versions", secret.id.to_string(), "the current version is missing");
        }
        if self.shredded.contains(&secret.team_id) {
            return;
        }
        for version in versions {
            self.seen.rows += 1;
            if self.open(&secret, version).is_err() {
                self.found("versions", format!("{}/{}", secret.id, version.number), "does not open");
            }
        }
    }

    fn open(&self, secret: &Secret, version: &Version) -> Result<Bundle, IntegrityViolation> {
        let id = version.sealed.key_id()?;
        let key = self.keys.get(&(secret.team_id, id)).ok_or(IntegrityViolation)?;
        self.app.open_version(key, secret, version)
    }
}
