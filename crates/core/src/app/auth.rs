//! Proving a caller: token → key row → user and membership → [`Caller`].

use uuid::Uuid;

use super::callers::Known;
use super::{App, Cause, Error, Suspect};
use crate::access::{Caller, Proof, Role, Scopes};
use crate::api_keys::{ApiKey, KeyRows};
use crate::clock::Timestamp;
use crate::events::Object;
use crate::ids::{ApiKeyId, TeamId, UserId};
use crate::keyring::Keyring;
use crate::random::Random;
use crate::rows::Row;
use crate::sealing::IntegrityViolation;
use crate::store::StoreError;
use crate::text::{Invalid, KeyName, UserName};
use crate::tokens::{Token, TokenKind};
use crate::users::{Membership, User};

impl App {
    /// The caller whom this API key's token proves, as of now.
    ///
    /// # Errors
    /// [`Error::NotProven`] for whatever isn't valid, without saying why: a
    /// stranger learns nothing about which keys exist.
    pub async fn authenticate(&self, token: &str, cause: &Cause) -> Result<Caller, Error> {
        let token = Token::parse(TokenKind::ApiKey, token).map_err(|_| Error::NotProven)?;
        let hash = self.keys.hash(&token);
        let (key, now) = (ApiKeyId::from_uuid(token.id()), self.world.clock.monotonic());
        // A wrong secret is looked up as an unknown key is: neither is quicker.
        if let Some(known) = self.callers.find(key, now).filter(|known| hash.matches(&known.hash)) {
            let lapsed = lapsed(known.expires_at, self.world.clock.now());
            return if lapsed { Err(Error::NotProven) } else { Ok(known.caller.clone()) };
        }
        let known =
            self.decided(key, cause).await?.filter(|known| self.keys.proves(&token, &hash, &known.hash));
        let known = known.ok_or(Error::NotProven)?;
        let caller = known.caller.clone();
        self.callers.keep(known);
        Ok(caller)
    }

    /// Why a write found the caller's rows changed: they are no caller any
    /// more, or are one with other rights and may try again.
    pub(super) async fn stale(&self, caller: &Caller, cause: &Cause) -> Error {
        self.callers.forget(caller.key_id);
        match self.decided(caller.key_id, cause).await {
            Ok(Some(_)) => Error::Store(StoreError::StalePermit),
            Ok(None) => Error::NotProven,
            Err(error) => error,
        }
    }

    /// What the rows say about a key, whoever brings it. An unknown one costs
    /// what a known one does.
    async fn decided(&self, key: ApiKeyId, cause: &Cause) -> Result<Option<Known>, Error> {
        let object = Object { table: ApiKey::TABLE, id: Some(key.uuid()), ..Object::default() };
        let suspect = Suspect { caller: None, object, cause };
        let proven_at = self.world.clock.monotonic();
        let rows = self.readable(self.store.key_rows(key).await, suspect).await?;
        let rows = rows.unwrap_or_else(|| self.decoy.clone());
        let decided = self.noting(self.decide(rows), suspect).await?;
        let of_this_key = decided.filter(|(caller, _)| caller.key_id == key);
        Ok(of_this_key.map(|(caller, key)| Known {
            caller,
            hash: key.token_hash,
            expires_at: key.expires_at,
            proven_at,
        }))
    }

    /// Decides over rows. `None` when they say no.
    fn decide(&self, rows: KeyRows) -> Result<Option<(Caller, ApiKey)>, IntegrityViolation> {
        let (key_mac, user_mac) = (rows.key.mac(), rows.user.mac());
        let key = self.keys.verify(rows.key)?;
        let user = self.keys.verify(rows.user)?;
        let Some(membership) = rows.membership else { return Ok(None) };
        let proof = Proof { key: key_mac, user: user_mac, membership: membership.mac() };
        let membership = self.keys.verify(membership)?;
        let strangers =
            (key.user_id, key.team_id) != (membership.user_id, membership.team_id) || user.id != key.user_id;
        let ended = key.revoked_at.is_some() || user.disabled_at.is_some();
        if strangers || ended || lapsed(key.expires_at, self.world.clock.now()) {
            return Ok(None);
        }
        let caller = Caller {
            team_id: key.team_id,
            user_id: key.user_id,
            key_id: key.id,
            role: key.role.min(membership.role),
            scopes: key.scopes,
            proof,
        };
        Ok(Some((caller, key)))
    }
}

/// Whether a key that ends then is no longer one.
fn lapsed(expires_at: Option<Timestamp>, now: Timestamp) -> bool {
    expires_at.is_some_and(|end| end <= now)
}

/// The rows of a key that nobody has, to be verified in place of those that
/// aren't there. Its user has no rights, and nobody was ever given its token.
pub(super) fn decoy(keys: &Keyring, random: &dyn Random) -> Result<KeyRows, Invalid> {
    let nil = Uuid::nil();
    let (team_id, user_id) = (TeamId::from_uuid(nil), UserId::from_uuid(nil));
    let created_at = Timestamp::from_millis(0);
    let key = ApiKey {
        id: ApiKeyId::from_uuid(nil),
        team_id,
        user_id,
        name: KeyName::parse("nobody's key")?,
        role: Role::Member,
        scopes: Scopes::default(),
        token_hash: keys.hash(&Token::mint(TokenKind::ApiKey, nil, random)),
        created_at,
        expires_at: None,
        revoked_at: None,
    };
    let name = UserName::parse("nobody")?;
    let user = User { id: user_id, name, email: None, created_at, disabled_at: None };
    let membership = Membership { team_id, user_id, role: Role::Member, created_at };
    Ok(KeyRows {
        key: keys.authenticate(key),
        user: keys.authenticate(user),
        membership: Some(keys.authenticate(membership)),
    })
}
