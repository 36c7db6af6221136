//! Proving a caller: token → key row → user and membership → [`Caller`].

use super::callers::Known;
use super::{App, Cause, Error, Suspect};
use crate::access::{Caller, Proof};
use crate::api_keys::{ApiKey, KeyRows};
use crate::clock::Timestamp;
use crate::events::Object;
use crate::ids::ApiKeyId;
use crate::rows::Row;
use crate::sealing::IntegrityViolation;
use crate::tokens::{Token, TokenKind};

impl App {
    /// The caller whom this API key's token proves, as of now.
    ///
    /// # Errors
    /// [`Error::NotProven`] for whatever isn't valid, without saying why: a
    /// stranger learns nothing about which keys exist.
    pub async fn authenticate(&self, token: &str, cause: &Cause) -> Result<Caller, Error> {
        let token = Token::parse(TokenKind::ApiKey, token).map_err(|_| Error::NotProven)?;
        let key = ApiKeyId::from_uuid(token.id());
        if let Some(known) = self.callers.find(key, self.world.clock.monotonic()) {
            return if self.still_proves(&token, &known) {
                Ok(known.caller.clone())
            } else {
                Err(Error::NotProven)
            };
        }
        let object = Object { table: ApiKey::TABLE, id: Some(token.id()), ..Object::default() };
        let suspect = Suspect { caller: None, object, cause };
        let rows = self.readable(self.store.key_rows(key).await, suspect).await?;
        let kept = rows.as_ref().map(|rows| &rows.key.row().token_hash);
        if !self.keys.proves(&token, kept) {
            return Err(Error::NotProven);
        }
        let known = self.decide(rows.ok_or(Error::NotProven)?);
        let known = self.noting(known, suspect).await?.ok_or(Error::NotProven)?;
        let caller = known.caller.clone();
        self.callers.keep(known);
        Ok(caller)
    }

    /// Whether this is the token of a caller proven a moment ago, and not
    /// expired since.
    fn still_proves(&self, token: &Token, known: &Known) -> bool {
        self.keys.proves(token, Some(&known.hash)) && !lapsed(known.expires_at, self.world.clock.now())
    }

    /// Decides over rows whose token was right. `None` when they say no.
    fn decide(&self, rows: KeyRows) -> Result<Option<Known>, IntegrityViolation> {
        let Some(membership) = rows.membership else { return Ok(None) };
        let proof = Proof { key: rows.key.mac(), user: rows.user.mac(), membership: membership.mac() };
        let key = self.keys.verify(rows.key)?;
        let user = self.keys.verify(rows.user)?;
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
        let proven_at = self.world.clock.monotonic();
        Ok(Some(Known { caller, hash: key.token_hash, expires_at: key.expires_at, proven_at }))
    }
}

/// Whether a key that ends then is no longer one.
fn lapsed(expires_at: Option<Timestamp>, now: Timestamp) -> bool {
    expires_at.is_some_and(|end| end <= now)
}
