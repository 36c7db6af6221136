//! Proving a caller: token → row of the key or link → user, membership and
//! team → [`Caller`].

use std::net::IpAddr;
use std::sync::Arc;
use uuid::Uuid;

use super::callers::Known;
use super::{App, Cause, Error, Suspect};
use crate::access::{Caller, Denied, Means, Proof};
use crate::api_keys::{ApiKey, ProofRows};
use crate::clock::Timestamp;
use crate::events::Object;
use crate::fill_requests::FillRequest;
use crate::grants::{Grant, Scopes};
use crate::ids::{ApiKeyId, FillRequestId, InvitationId, KeyLinkId, RunId, SessionId, TeamId, UserId};
use crate::invitations::Invitation;
use crate::key_links::KeyLink;
use crate::keyring::Keyring;
use crate::random::Random;
use crate::roles::Role;
use crate::rows::{Row, RowMac};
use crate::runs::{ProvenRun, Run, RunRows, StoredRun};
use crate::sealing::IntegrityViolation;
use crate::sessions::{self, Session};
use crate::store::StoreError;
use crate::teams::Team;
use crate::text::{Invalid, KeyName, TeamName, UserName};
use crate::tokens::{Token, TokenHash, TokenKind};
use crate::users::{Membership, User};

/// What proves somebody.
trait Proving: Row {
    fn means(&self) -> Means;
    fn team_id(&self) -> TeamId;
    fn user_id(&self) -> UserId;
    fn grant(&self) -> Grant;
    fn token_hash(&self) -> TokenHash;
    /// Whether it was ended before its time.
    fn ended(&self) -> bool;
    /// When its time is over.
    fn expires_at(&self) -> Option<Timestamp>;
    /// Whether a member comes in by it.
    fn is_let_in(&self, _: &Membership) -> bool {
        true
    }
}

impl Proving for ApiKey {
    fn means(&self) -> Means {
        Means::Key(self.id)
    }

    fn team_id(&self) -> TeamId {
        self.team_id
    }

    fn user_id(&self) -> UserId {
        self.user_id
    }

    fn grant(&self) -> Grant {
        self.grant.clone()
    }

    fn token_hash(&self) -> TokenHash {
        self.token_hash
    }

    fn ended(&self) -> bool {
        self.revoked_at.is_some()
    }

    fn expires_at(&self) -> Option<Timestamp> {
        self.grant.expires_at
    }
}

/// Links that are good for one act, once, until their time is over.
macro_rules! links {
    ($($row:ident is $means:ident;)*) => {$(
        impl Proving for $row {
            fn means(&self) -> Means {
                Means::$means(self.id)
            }

            fn team_id(&self) -> TeamId {
                self.team_id
            }

            fn user_id(&self) -> UserId {
                self.user_id
            }

            fn grant(&self) -> Grant {
                Grant::of_link(self.expires_at)
            }

            fn token_hash(&self) -> TokenHash {
                self.token_hash
            }

            fn ended(&self) -> bool {
                self.closed_at.is_some()
            }

            fn expires_at(&self) -> Option<Timestamp> {
                Some(self.expires_at)
            }
        }
    )*};
}

links! {
    KeyLink is Link;
    Invitation is Invitation;
    FillRequest is Fill;
}

impl Proving for Session {
    fn means(&self) -> Means {
        Means::Session(self.id)
    }

    fn team_id(&self) -> TeamId {
        self.team_id
    }

    fn user_id(&self) -> UserId {
        self.user_id
    }

    fn grant(&self) -> Grant {
        sessions::grant()
    }

    fn token_hash(&self) -> TokenHash {
        self.token_hash
    }

    fn ended(&self) -> bool {
        self.ended_at.is_some()
    }

    fn expires_at(&self) -> Option<Timestamp> {
        Some(self.expires_at)
    }

    fn is_let_in(&self, membership: &Membership) -> bool {
        membership.sign_in == Some(self.sign_in)
    }
}

impl App {
    /// The caller whom this API key's token proves, as of now, when it may be
    /// used from this address.
    ///
    /// # Errors
    /// [`Error::NotProven`] for whatever isn't valid, without saying why: a
    /// stranger learns nothing about which keys exist.
    pub async fn authenticate(
        &self,
        token: &str,
        from: Option<IpAddr>,
        cause: &Cause,
    ) -> Result<Caller, Error> {
        let token = Token::parse(TokenKind::ApiKey, token).map_err(|_| Error::NotProven)?;
        let hash = self.keys.hash(&token);
        let (key, now) = (ApiKeyId::from_uuid(token.id()), self.world.clock.monotonic());
        // A wrong secret is looked up as an unknown key is: neither is quicker.
        let is_of_it = |kept: &_| self.keys.proves(&token, &hash, kept);
        if let Some(known) = self.callers.find(&Means::Key(key), now, is_of_it) {
            return self.admitted(known.proven.clone(), from, cause).await;
        }
        let known = Box::pin(self.decided(key, cause)).await?.filter(|known| is_of_it(&known.hash));
        let known = known.ok_or(Error::NotProven)?;
        let caller = known.proven.clone();
        self.callers.keep(caller.means, known);
        let caller = self.admitted(caller, from, cause).await?;
        self.uses.note(key, self.world.clock.now());
        Ok(caller)
    }

    /// The caller whom this link's token proves. It can do nothing but make
    /// the key that the link is for.
    ///
    /// # Errors
    /// [`Error::NotProven`] for whatever isn't valid, without saying why.
    pub async fn authenticate_link(&self, token: &str, cause: &Cause) -> Result<Caller, Error> {
        let token = Token::parse(TokenKind::Link, token).map_err(|_| Error::NotProven)?;
        let rows = self.store.link_rows(KeyLinkId::from_uuid(token.id())).await;
        let caller = self.by_link(&token, rows, cause).await?;
        self.admitted(caller, None, cause).await
    }

    /// The person whose browser brings this session's token.
    ///
    /// # Errors
    /// [`Error::NotProven`] for whatever isn't valid, without saying why.
    pub async fn authenticate_session(&self, token: &str, cause: &Cause) -> Result<Caller, Error> {
        let token = Token::parse(TokenKind::Session, token).map_err(|_| Error::NotProven)?;
        let hash = self.keys.hash(&token);
        let (id, now) = (SessionId::from_uuid(token.id()), self.world.clock.monotonic());
        let is_of_it = |kept: &_| self.keys.proves(&token, &hash, kept);
        if let Some(known) = self.callers.find(&Means::Session(id), now, is_of_it) {
            return Ok(known.proven.clone());
        }
        let known = self.decided_session(id, cause).await?;
        let known = known.filter(|known| self.keys.proves(&token, &hash, &known.hash));
        let known = known.ok_or(Error::NotProven)?;
        let caller = known.proven.clone();
        self.callers.keep(caller.means, known);
        Ok(caller)
    }

    /// Whom this invitation's token proves. They can do nothing but set up how
    /// they sign in, or let their sign-in into the team.
    ///
    /// # Errors
    /// [`Error::NotProven`] for whatever isn't valid, without saying why.
    pub(super) async fn authenticate_invitation(
        &self,
        token: &Token,
        cause: &Cause,
    ) -> Result<Caller, Error> {
        let rows = self.store.invitation_rows(InvitationId::from_uuid(token.id())).await;
        self.by_link(token, rows, cause).await
    }

    /// Whoever has this link, in the name of the asker. They can do nothing but fill
    /// in what was asked for.
    ///
    /// # Errors
    /// [`Error::NotProven`] for whatever isn't valid, without saying why.
    pub(super) async fn authenticate_fill(&self, token: &Token, cause: &Cause) -> Result<Caller, Error> {
        let rows = self.store.fill_request_rows(FillRequestId::from_uuid(token.id())).await;
        self.by_link(token, rows, cause).await
    }

    /// Whom the token of a link proves, by the rows that decide about it.
    async fn by_link<T: Proving>(
        &self,
        token: &Token,
        rows: Result<Option<ProofRows<T>>, StoreError>,
        cause: &Cause,
    ) -> Result<Caller, Error> {
        let suspect = Suspect { caller: None, object: Object::of::<T>(Some(token.id())), cause };
        let rows = self.readable(rows, suspect).await?.ok_or(Error::NotProven)?;
        let decided = self.noting(self.decide(rows), suspect).await?;
        let (caller, kept) = decided.ok_or(Error::NotProven)?;
        if self.keys.proves(token, &self.keys.hash(token), &kept) {
            Ok(caller)
        } else {
            Err(Error::NotProven)
        }
    }

    /// The run that this token proves, when it may be used from this address:
    /// one from which its starter's key may. That it is good was so a moment ago:
    /// whatever it does then is done only if it still is.
    ///
    /// # Errors
    /// [`Error::RunOver`] to whoever has the token of a run that is over;
    /// [`Error::NotProven`] for whatever else isn't valid.
    pub async fn authenticate_run(
        &self,
        token: &str,
        from: Option<IpAddr>,
        cause: &Cause,
    ) -> Result<Caller, Error> {
        let token = Token::parse(TokenKind::Run, token).map_err(|_| Error::NotProven)?;
        let hash = self.keys.hash(&token);
        let (id, proven_at) = (RunId::from_uuid(token.id()), self.world.clock.monotonic());
        let good =
            |known: &Arc<Known<Caller>>| !lapsed(known.proven.grant.expires_at, self.world.clock.now());
        let is_of_it = |kept: &_| self.keys.proves(&token, &hash, kept);
        if let Some(known) = self.callers.find(&Means::Run(id), proven_at, is_of_it).filter(good) {
            return self.admitted(known.proven.clone(), from, cause).await;
        }
        let suspect = Suspect { caller: None, object: Object::of::<Run>(Some(token.id())), cause };
        let era = self.callers.era();
        let rows = self.run_rows(id, suspect).await?.ok_or(Error::NotProven)?;
        let kept = rows.run.token_hash;
        if !self.keys.proves(&token, &hash, &kept) {
            return Err(Error::NotProven);
        }
        let caller = self.running(rows)?;
        self.callers.keep(caller.means, Known { proven: caller.clone(), hash: kept, proven_at, era });
        self.admitted(caller, from, cause).await
    }

    /// The rows of a run, proven.
    pub(super) async fn run_rows(&self, id: RunId, suspect: Suspect<'_>) -> Result<Option<ProvenRun>, Error> {
        match self.readable(self.store.run(id).await, suspect).await? {
            Some(stored) => self.noting(self.prove_run(stored), suspect).await.map(Some),
            None => Ok(None),
        }
    }

    /// Proves each of the rows that decide about a run.
    pub(super) fn prove_run(&self, stored: StoredRun) -> Result<ProvenRun, IntegrityViolation> {
        Ok(RunRows {
            run: self.keys.verify(stored.run)?,
            key: self.keys.verify(stored.key)?,
            agent: self.keys.verify(stored.agent)?,
            user: self.keys.verify(stored.user)?,
            membership: self.keys.verify(stored.membership)?,
            team: self.keys.verify(stored.team)?,
        })
    }

    /// A run as a caller, while it is good. Beside its own environment and
    /// lease there is nothing that it may do.
    pub(super) fn running(&self, rows: ProvenRun) -> Result<Caller, Error> {
        if let Some(ended) = rows.ended(self.world.clock.now()) {
            return Err(Error::RunOver(ended));
        }
        let RunRows { run, key, agent, user, membership, team } = rows;
        let start = Some((key.mac(), agent.mac()));
        Ok(Caller {
            team_id: run.team_id,
            user_id: run.user_id,
            means: Means::Run(run.id),
            grant: Arc::new(Grant {
                role: Role::Member,
                scopes: Scopes::default(),
                agents: None,
                networks: key.grant.networks.clone(),
                expires_at: Some(run.expires_at),
            }),
            team_deleted: false,
            proof: Proof { start, ..proof(run.mac(), user.mac(), membership.mac(), team.mac()) },
            run: Some(Arc::new(run)),
        })
    }

    /// A proven caller, unless the time is over or the place is wrong.
    async fn admitted(&self, caller: Caller, from: Option<IpAddr>, cause: &Cause) -> Result<Caller, Error> {
        self.admit(&caller, from, cause).await?;
        Ok(caller)
    }

    /// Refuses a proven caller when the time is over or the place is wrong.
    pub(super) async fn admit(
        &self,
        caller: &Caller,
        from: Option<IpAddr>,
        cause: &Cause,
    ) -> Result<(), Error> {
        if lapsed(caller.grant.expires_at, self.world.clock.now()) {
            return Err(Error::NotProven);
        }
        match &caller.grant.networks {
            Some(networks) if !from.is_some_and(|from| networks.contain(from)) => {
                let team = Object::of::<Team>(Some(caller.team_id.uuid()));
                Box::pin(self.note_refusal(caller, cause, team, Denied::Address)).await;
                Err(Denied::Address.into())
            }
            _ => Ok(()),
        }
    }

    /// Why a write found the caller's rows changed: they are no caller any
    /// more, or are one with other rights and may try again.
    pub(super) async fn stale(&self, means: Means, cause: &Cause) -> Error {
        self.callers.forget(&means);
        let decided = match means {
            Means::Key(key) => self.decided(key, cause).await,
            Means::Session(session) => self.decided_session(session, cause).await,
            // It may only have been extended, or used by another: planned anew, that shows.
            Means::Run(_) | Means::SignIn | Means::SetUp => return Error::Store(StoreError::Changed),
            Means::Link(_) | Means::Invitation(_) | Means::Fill(_) => Ok(None),
        };
        match decided {
            Ok(Some(_)) => Error::Store(StoreError::StalePermit),
            Ok(None) => Error::NotProven,
            Err(error) => error,
        }
    }

    /// What the rows say about a key, whoever brings it. An unknown one costs
    /// what a known one does.
    async fn decided(&self, key: ApiKeyId, cause: &Cause) -> Result<Option<Known<Caller>>, Error> {
        let object = Object::of::<ApiKey>(Some(key.uuid()));
        let suspect = Suspect { caller: None, object, cause };
        let (proven_at, era) = (self.world.clock.monotonic(), self.callers.era());
        let rows = self.readable(self.store.key_rows(key).await, suspect).await?;
        let rows = rows.unwrap_or_else(|| self.decoy.clone());
        let decided = self.noting(self.decide(rows), suspect).await?;
        let of_this_key = decided.filter(|(caller, _)| caller.means == Means::Key(key));
        Ok(of_this_key.map(|(caller, hash)| Known { proven: caller, hash, proven_at, era }))
    }

    /// What the rows say about a session, whoever brings it.
    async fn decided_session(&self, id: SessionId, cause: &Cause) -> Result<Option<Known<Caller>>, Error> {
        let suspect = Suspect { caller: None, object: Object::of::<Session>(Some(id.uuid())), cause };
        let (proven_at, era) = (self.world.clock.monotonic(), self.callers.era());
        let Some(rows) = self.readable(self.store.session_rows(id).await, suspect).await? else {
            return Ok(None);
        };
        let decided = self.noting(self.decide(rows), suspect).await?;
        Ok(decided.map(|(caller, hash)| Known { proven: caller, hash, proven_at, era }))
    }

    /// Decides over rows: the caller, and the hash that their token must have.
    /// `None` when the rows say no.
    fn decide<T: Proving>(
        &self,
        rows: ProofRows<T>,
    ) -> Result<Option<(Caller, TokenHash)>, IntegrityViolation> {
        let means = self.keys.verify(rows.means)?;
        let user = self.keys.verify(rows.user)?;
        let team = self.keys.verify(rows.team)?;
        let Some(membership) = rows.membership else { return Ok(None) };
        let membership = self.keys.verify(membership)?;
        let (team_id, user_id) = (means.team_id(), means.user_id());
        let strangers = (team_id, user_id) != (membership.team_id, membership.user_id)
            || (team_id, user_id) != (team.id, user.id);
        let ended = means.ended() || user.disabled_at.is_some() || membership.removed_at.is_some();
        let mut grant = means.grant();
        let shut_out = !means.is_let_in(&membership);
        if strangers || ended || shut_out || lapsed(means.expires_at(), self.world.clock.now()) {
            return Ok(None);
        }
        grant.role = grant.role.min(membership.role);
        let proof = proof(means.mac(), user.mac(), membership.mac(), team.mac());
        let caller = Caller {
            team_id,
            user_id,
            means: means.means(),
            grant: Arc::new(grant),
            team_deleted: team.deleted_at.is_some(),
            run: None,
            proof,
        };
        Ok(Some((caller, means.token_hash())))
    }
}

pub(super) fn proof(means: RowMac, user: RowMac, membership: RowMac, team: RowMac) -> Proof {
    Proof { means, user, membership, team, start: None }
}

/// Whether what ends then is over.
fn lapsed(expires_at: Option<Timestamp>, now: Timestamp) -> bool {
    expires_at.is_some_and(|end| end <= now)
}

/// The rows of a key that nobody has, to be verified in place of those that
/// aren't there. Its user has no rights, and nobody was ever given its token.
pub(super) fn decoy(keys: &Keyring, random: &dyn Random) -> Result<ProofRows<ApiKey>, Invalid> {
    let nil = Uuid::nil();
    let (team_id, user_id) = (TeamId::from_uuid(nil), UserId::from_uuid(nil));
    let created_at = Timestamp::from_millis(0);
    let key = ApiKey {
        id: ApiKeyId::from_uuid(nil),
        team_id,
        user_id,
        name: KeyName::parse("nobody's key")?,
        grant: Grant {
            role: Role::Member,
            scopes: Scopes::default(),
            agents: None,
            networks: None,
            expires_at: None,
        },
        token_hash: keys.hash(&Token::mint(TokenKind::ApiKey, nil, random)),
        created_by: None,
        created_at,
        revoked_at: None,
    };
    let name = UserName::parse("nobody")?;
    let user = User { id: user_id, name, email: None, created_at, disabled_at: None, service_of: None };
    let membership =
        Membership { team_id, user_id, role: Role::Member, created_at, removed_at: None, sign_in: None };
    let name = TeamName::parse("nobody's team")?;
    let team = Team {
        id: team_id,
        name,
        created_at,
        deleted_at: None,
        shredded_at: None,
        fills_by_link_since: None,
    };
    Ok(ProofRows {
        means: keys.authenticate(key),
        user: keys.authenticate(user),
        membership: Some(keys.authenticate(membership)),
        team: keys.authenticate(team),
    })
}
