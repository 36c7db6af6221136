//! Requests to fill in a secret: a program asks, a person fills in. The asker
//! never decides who may do so, and what is filled in is always a new secret.

use std::collections::HashSet;
use uuid::Uuid;

use super::ask::Steps;
use super::{App, Ask, Cause, Error, Planned, Suspect};
use crate::access::{Action, Denied, Means, Ownership, Permit};
use crate::agents::{Agent, Revision};
use crate::clock::Timestamp;
use crate::events::{Event, EventKind, Object, Place};
use crate::fill_requests::{AskingRun, Fate, FillRequest, MOST_KEYS};
use crate::ids::{FillRequestId, SecretId, UserId};
use crate::rows::{Proven, Stored};
use crate::runs::Ended;
use crate::secrets::Secret;
use crate::store::{Change, Put};
use crate::teams::Team;
use crate::text::{FillNote, KeyName, SecretName, ServiceSlug};
use crate::tokens::{Token, TokenKind};
use crate::users::User;
use crate::values::{Bundle, EnvKey};

/// The most open requests of a team that are looked at.
const PAGE: u32 = 1_000;

/// What somebody asks for.
#[derive(Clone)]
pub struct NewFillRequest {
    /// What the secret is to be called.
    pub name: SecretName,
    /// Which service it is for.
    pub service_slug: Option<ServiceSlug>,
    /// What its values are to be called: at least one.
    pub env_keys: Vec<EnvKey>,
    /// What for.
    pub note: Option<FillNote>,
    /// How long it can be filled in, in seconds.
    pub valid_seconds: u32,
}

/// What whoever has the link of a request is shown.
pub struct FillLink {
    /// What is asked for.
    pub request: Proven<FillRequest>,
    /// Who asks.
    pub asker: Proven<User>,
    /// For which team.
    pub team: Proven<Team>,
    /// What the key is called with which it was asked; `None`: on a page.
    pub key: Option<KeyName>,
    /// Whose run asks: the agent, and its revision while that is there.
    pub asking: Option<(Proven<Agent>, Option<Proven<Revision>>)>,
    /// In whose name it is filled in by the link alone: the asker's.
    by_link: Ask,
}

impl FillLink {
    /// Who fills it in without signing in; `None` where the team demands that
    /// people do.
    pub fn alone(&self) -> Option<&Ask> {
        self.team.fills_by_link_since.map(|_| &self.by_link)
    }
}

impl App {
    /// Asks for a secret to be filled in. The outcome's token is shown once.
    ///
    /// # Errors
    /// [`Error::Invalid`] when no value or too many are asked for, or one twice. It
    /// becomes [`Error::Conflict`] when too many requests of the asker's are open.
    pub async fn request_fill(
        &self,
        ask: &Ask,
        new: &NewFillRequest,
    ) -> Result<Planned<(Proven<FillRequest>, Token)>, Error> {
        // A run's row changes with its lease: as it was a moment ago it may do nothing.
        let again = match ask.caller.means {
            Means::Run(_) => Some(self.own_run(ask).await?.1),
            _ => None,
        };
        let ask = again.as_ref().unwrap_or(ask);
        let permit = ask.permit(Action::RequestFill, Ownership::Own)?;
        distinct(&new.env_keys)?;
        let (stored, token) = self.new_request(ask, new.clone());
        let request = stored.row();
        let event = ask.event(EventKind::FillRequestCreated, request.id.uuid(), request.created_at, &stored);
        let event = Event { place: place(request), ..event };
        let few = Change::AsksForFewer(request.team_id, request.user_id, request.created_at);
        let outcome = (stored.proven(), token);
        let steps = Steps::default().with(few).and(Change::FillRequest(Put::new(stored)), event);
        Ok(Planned::new(outcome, permit, steps))
    }

    fn new_request(&self, ask: &Ask, new: NewFillRequest) -> (Stored<FillRequest>, Token) {
        let id = FillRequestId::from_uuid(self.uuid());
        let token = Token::mint(TokenKind::Link, id.uuid(), &*self.world.random);
        let created_at = self.world.clock.now();
        let run = ask.caller.run.as_ref();
        let key_id = match ask.caller.means {
            Means::Key(key) => Some(key),
            _ => run.map(|run| run.key_id),
        };
        let stored = self.keys.authenticate(FillRequest {
            id,
            team_id: ask.caller.team_id,
            user_id: ask.caller.user_id,
            key_id,
            run: run.map(|run| AskingRun {
                run_id: run.id,
                agent_id: run.agent_id,
                revision_id: run.revision_id,
            }),
            name: new.name,
            service_slug: new.service_slug,
            env_keys: new.env_keys,
            note: new.note,
            token_hash: self.keys.hash(&token),
            created_at,
            expires_at: Timestamp::from_millis(
                created_at.as_millis().saturating_add(i64::from(new.valid_seconds) * 1_000),
            ),
            closed_at: None,
            secret_id: None,
        });
        (stored, token)
    }

    /// A request of the caller's, or of the team's for who may fill those in. A run
    /// sees what it asked for itself.
    ///
    /// # Errors
    /// [`Denied::Invisible`] when there is none, whatever the reason.
    pub async fn fill_request(&self, ask: &Ask, id: FillRequestId) -> Result<Proven<FillRequest>, Error> {
        let request = self.any_request(ask, id).await?;
        permit(ask, Action::ReadFillRequest, &request)?;
        Ok(request)
    }

    /// The requests that can still be filled in, by their end: the caller's, and for
    /// who may fill those in, the team's.
    ///
    /// # Errors
    /// When the key isn't for it.
    pub async fn fill_requests(&self, ask: &Ask) -> Result<Vec<Proven<FillRequest>>, Error> {
        let _permit = ask.permit(Action::ListFillRequests, Ownership::Own)?;
        let sees_all = ask.permit(Action::ListFillRequests, Ownership::Shared).is_ok();
        self.open_requests(ask, (!sees_all).then_some(ask.caller.user_id)).await
    }

    /// Withdraws a request. One that is over is gone: what came of it stays so.
    ///
    /// # Errors
    /// When the caller may not, or there is none.
    pub async fn cancel_fill_request(&self, ask: &Ask, id: FillRequestId) -> Result<Planned<()>, Error> {
        let before = self.any_request(ask, id).await?;
        let permit = permit(ask, Action::CancelFillRequest, &before)?;
        if before.fate(self.world.clock.now()) != Fate::Open {
            return Err(Denied::Invisible.into());
        }
        ask.demands(before.mac())?;
        Ok(Planned::new((), permit, self.closed_request(ask, &before, None)))
    }

    /// What whoever has this link is shown.
    ///
    /// # Errors
    /// [`Error::NotProven`] for whatever isn't valid: filled in, withdrawn, too old,
    /// or of somebody who may not ask any more.
    pub async fn fill_link(&self, token: &str, cause: Cause) -> Result<FillLink, Error> {
        let token = Token::parse(TokenKind::Link, token).map_err(|_| Error::NotProven)?;
        let caller = self.authenticate_fill(&token, &cause).await?;
        caller.screen(Action::Fill).map_err(|_| Error::NotProven)?;
        let by_link = Ask::new(caller, cause);
        let id = FillRequestId::from_uuid(token.id());
        let request = self.any_request(&by_link, id).await.map_err(not_proven)?;
        let key = self.asker_stands(&by_link, &request).await?;
        let asking = match request.run {
            Some(run) => self.asking(&by_link, run).await?,
            None => None,
        };
        Ok(FillLink {
            asker: self.member(&by_link, request.user_id).await.map_err(not_proven)?.user,
            team: self.own_team(&by_link).await.map_err(not_proven)?,
            request,
            key,
            asking,
            by_link,
        })
    }

    async fn asking(
        &self,
        ask: &Ask,
        run: AskingRun,
    ) -> Result<Option<(Proven<Agent>, Option<Proven<Revision>>)>, Error> {
        let Some(agent) = self.any_agent(ask, run.agent_id).await? else { return Ok(None) };
        Ok(Some((agent, self.any_revision(ask, run.revision_id).await?)))
    }

    /// Fills in what was asked for: a new secret of the team's, or of the asker's
    /// when they do so themselves or somebody does by the link alone.
    ///
    /// # Errors
    /// [`Error::Invalid`] when other values are given than were asked for;
    /// [`Denied::Invisible`] when the request is over, or another team's.
    pub async fn fill(
        &self,
        ask: &Ask,
        id: FillRequestId,
        (values, shared): (Bundle, bool),
    ) -> Result<Planned<Proven<Secret>>, Error> {
        let request = self.any_request(ask, id).await?;
        let ownership = if shared {
            Ownership::Shared
        } else {
            // What is nobody's but one's own can't be another's.
            ask.caller.ownership(request.team_id, Some(request.user_id))
        };
        let permit = ask.permit(Action::Fill, ownership)?;
        self.fillable(ask, &request).await?;
        if !same_names(&values, &request.env_keys) {
            return Err(Error::Invalid(
                "every value that was asked for is to be filled in, and no other".into(),
            ));
        }
        let named = (request.name.clone(), request.service_slug.clone(), shared);
        let (secret, mut steps) = self.creating_secret(ask, named, values).await?;
        steps.extend(self.closed_request(ask, &request, Some(secret.id)));
        Ok(Planned::new(secret, permit, steps))
    }

    /// Demands that a request can be filled in by the one who asks.
    async fn fillable(&self, ask: &Ask, request: &FillRequest) -> Result<(), Error> {
        if request.fate(self.world.clock.now()) != Fate::Open {
            return Err(Denied::Invisible.into());
        }
        if let Means::Fill(link) = ask.caller.means {
            let lets_links = self.own_team(ask).await?.fills_by_link_since.is_some();
            if link != request.id || !lets_links {
                return Err(Error::NotProven);
            }
        }
        self.asker_stands(ask, request).await.map(|_| ())
    }

    /// Demands that the asker may still ask: that neither they nor their key or run
    /// was revoked since. What their key is called, if they had one.
    async fn asker_stands(&self, ask: &Ask, request: &FillRequest) -> Result<Option<KeyName>, Error> {
        let asker = self.member(ask, request.user_id).await.map_err(not_proven)?;
        let (mut stands, mut named) = (asker.user.disabled_at.is_none(), None);
        if let Some(key) = request.key_id {
            let rows = self.store.key_rows(key).await?.ok_or(Error::NotProven)?;
            let key =
                self.noting(self.keys.verify(rows.means), suspect(ask, Some(request.id.uuid()))).await?;
            stands &= key.revoked_at.is_none();
            named = Some(key.name.clone());
        }
        if let Some(run) = request.run {
            let rows = self.run_rows(run.run_id, suspect(ask, Some(request.id.uuid()))).await?;
            // Runs are kept: one that isn't there was taken away.
            let ended = rows.ok_or(Error::NotProven)?.ended(self.world.clock.now());
            stands &= ended != Some(Ended::Revoked);
        }
        if stands { Ok(named) } else { Err(Error::NotProven) }
    }

    /// Withdraws the open requests of a user.
    pub(super) async fn withdrawn_requests_of(&self, ask: &Ask, user: UserId) -> Result<Steps, Error> {
        let mut steps = Steps::default();
        for request in self.open_requests(ask, Some(user)).await? {
            steps.extend(self.closed_request(ask, &request, None));
        }
        Ok(steps)
    }

    /// The open requests of the caller's team, or of one user in it.
    async fn open_requests(
        &self,
        ask: &Ask,
        user: Option<UserId>,
    ) -> Result<Vec<Proven<FillRequest>>, Error> {
        let (suspect, now) = (suspect(ask, None), self.world.clock.now());
        let stored = self.store.fill_requests((ask.caller.team_id, user), now, PAGE).await;
        let mut requests = Vec::new();
        for stored in self.readable(stored, suspect).await? {
            requests.push(self.noting(self.keys.verify(stored), suspect).await?);
        }
        Ok(requests)
    }

    /// A request of the caller's team, whatever came of it.
    async fn any_request(&self, ask: &Ask, id: FillRequestId) -> Result<Proven<FillRequest>, Error> {
        let suspect = suspect(ask, Some(id.uuid()));
        let stored = self.readable(self.store.fill_request(ask.caller.team_id, id).await, suspect).await?;
        self.noting(self.keys.verify(stored.ok_or(Denied::Invisible)?), suspect).await
    }

    /// The step by which a request is over: filled in as a secret, or withdrawn.
    fn closed_request(&self, ask: &Ask, before: &Proven<FillRequest>, secret: Option<SecretId>) -> Steps {
        let now = self.world.clock.now();
        let after = FillRequest { closed_at: Some(now), secret_id: secret, ..FillRequest::clone(before) };
        let kind = match secret {
            Some(_) => EventKind::FillRequestFilled,
            None => EventKind::FillRequestCancelled,
        };
        let stored = self.keys.authenticate(after);
        let event = Event { place: place(before), ..ask.event(kind, before.id.uuid(), now, &stored) };
        Steps::default().and(Change::FillRequest(Put::over(before.mac(), stored)), event)
    }
}

/// Asks the access table about a request. Whom it would take a higher role doesn't
/// see it.
fn permit(ask: &Ask, action: Action, request: &FillRequest) -> Result<Permit, Denied> {
    ask.permit(action, whose(ask, request)).map_err(|denied| match denied {
        Denied::Role(_) => Denied::Invisible,
        other => other,
    })
}

/// Whose a request is, seen from the caller: a run's is its own alone.
fn whose(ask: &Ask, request: &FillRequest) -> Ownership {
    match (ask.caller.means, request.run) {
        (Means::Run(run), Some(asking)) if asking.run_id == run => Ownership::Own,
        (Means::Run(_), _) => Ownership::Foreign,
        _ if request.user_id == ask.caller.user_id => Ownership::Own,
        _ => Ownership::Shared,
    }
}

fn place(request: &FillRequest) -> Place {
    request.run.map_or_else(Place::default, |run| super::agents::place(run.agent_id, Some(run.revision_id)))
}

fn distinct(keys: &[EnvKey]) -> Result<(), Error> {
    if keys.is_empty() || keys.len() > MOST_KEYS {
        return Err(Error::Invalid("1 to 32 values can be asked for at a time".into()));
    }
    let names: HashSet<&str> = keys.iter().map(EnvKey::as_str).collect();
    if names.len() == keys.len() { Ok(()) } else { Err(Error::Invalid("a name is asked for twice".into())) }
}

fn same_names(values: &Bundle, keys: &[EnvKey]) -> bool {
    let given: HashSet<&str> = values.keys().map(EnvKey::as_str).collect();
    let asked: HashSet<&str> = keys.iter().map(EnvKey::as_str).collect();
    given == asked
}

/// To whoever has a link, what the request hangs on being gone is the link being
/// refused.
fn not_proven(error: Error) -> Error {
    match error {
        Error::Denied(Denied::Invisible) => Error::NotProven,
        other => other,
    }
}

fn suspect(ask: &Ask, id: Option<Uuid>) -> Suspect<'_> {
    ask.suspect(Object::of::<FillRequest>(id))
}
