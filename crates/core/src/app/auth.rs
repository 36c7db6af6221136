//! Proving a caller: token → key row → user and membership → [`Caller`].

use super::{App, Cause, Error, Suspect};
use crate::access::{Caller, Proof};
use crate::api_keys::{ApiKey, KeyRows};
use crate::events::Object;
use crate::ids::ApiKeyId;
use crate::rows::Row;
use crate::tokens::{Token, TokenKind};

impl App {
    /// The caller whom this API key's token proves, as of now.
    ///
    /// # Errors
    /// [`Error::NotProven`] for whatever isn't valid, without saying why: a
    /// stranger learns nothing about which keys exist.
    pub async fn authenticate(&self, token: &str, cause: &Cause) -> Result<Caller, Error> {
        let token = Token::parse(TokenKind::ApiKey, token).map_err(|_| Error::NotProven)?;
        let object = Object { table: ApiKey::TABLE, id: Some(token.id()), ..Object::default() };
        let suspect = Suspect { caller: None, object, cause };
        let rows = self.store.key_rows(ApiKeyId::from_uuid(token.id())).await;
        let rows = self.readable(rows, suspect).await?;
        let kept = rows.as_ref().map(|rows| &rows.key.row().token_hash);
        if !self.keys.proves(&token, kept) {
            return Err(Error::NotProven);
        }
        let caller = self.caller(rows.ok_or(Error::NotProven)?);
        self.noting(caller, suspect).await?.ok_or(Error::NotProven)
    }

    /// Decides over rows whose token was right. `None` when they say no.
    fn caller(&self, rows: KeyRows) -> Result<Option<Caller>, crate::sealing::IntegrityViolation> {
        let Some(membership) = rows.membership else { return Ok(None) };
        let proof = Proof { key: rows.key.mac(), user: rows.user.mac(), membership: membership.mac() };
        let key = self.keys.verify(rows.key)?;
        let user = self.keys.verify(rows.user)?;
        let membership = self.keys.verify(membership)?;
        let now = self.world.clock.now();
        let lapsed = key.revoked_at.is_some() || key.expires_at.is_some_and(|end| end <= now);
        let strangers =
            (key.user_id, key.team_id) != (membership.user_id, membership.team_id) || user.id != key.user_id;
        if lapsed || strangers || user.disabled_at.is_some() {
            return Ok(None);
        }
        Ok(Some(Caller {
            team_id: key.team_id,
            user_id: key.user_id,
            key_id: key.id,
            role: key.role.min(membership.role),
            scopes: key.scopes,
            proof,
        }))
    }
}
