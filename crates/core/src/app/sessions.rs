//! Sessions, once they have begun: seen, ended, and taken to another team.

use super::ask::Steps;
use super::sign_in::lets_in;
use super::{App, Ask, Error, Planned};
use crate::access::{Action, Denied, Means, Ownership};
use crate::events::{Event, EventKind, Object};
use crate::ids::{SessionId, SignInId, TeamId, UserId};
use crate::rows::Proven;
use crate::sessions::Session;
use crate::store::{Change, Put};
use crate::teams::Team;

/// The most sessions of a user that are listed, the newest. All are ended.
const LISTED: u32 = 256;
/// What a form carries that only this session's pages have.
const FORM: &str = "strongroom.form.v1";
const STRANGERS_FORM: &str = "strongroom.strangers-form.v1";

impl App {
    /// What a form of this session's pages carries, so that no other site's
    /// form passes for one.
    ///
    /// # Errors
    /// When the caller is in no session.
    pub fn form_token(&self, ask: &Ask) -> Result<String, Denied> {
        Ok(super::sign_in::hex(self.keys.vouched(FORM, &[session_of(ask)?.as_bytes()]).digest()))
    }

    /// The same where nobody is signed in: what a form carries that is bound to
    /// this, which lies in the browser.
    pub fn stranger_form_token(&self, bound_to: &str) -> String {
        super::sign_in::hex(self.keys.vouched(STRANGERS_FORM, &[bound_to.as_bytes()]).digest())
    }

    /// Something fresh for a form to be bound to.
    pub fn stranger_form(&self) -> String {
        super::sign_in::hex(&crate::random::bytes::<16>(&*self.world.random))
    }

    /// The caller's sessions, by their beginning.
    ///
    /// # Errors
    /// When the caller is in none.
    pub async fn sessions(&self, ask: &Ask) -> Result<Vec<Proven<Session>>, Error> {
        let _permit = ask.permit(Action::ListSessions, Ownership::Own)?;
        self.sessions_of(ask, ask.caller.user_id, LISTED).await
    }

    async fn sessions_of(&self, ask: &Ask, user: UserId, most: u32) -> Result<Vec<Proven<Session>>, Error> {
        let suspect = ask.suspect(Object::of::<Session>(None));
        let stored = self.store.sessions(user, self.world.clock.now(), most).await;
        let mut sessions = Vec::new();
        for stored in self.readable(stored, suspect).await? {
            sessions.push(self.noting(self.keys.verify(stored), suspect).await?);
        }
        Ok(sessions)
    }

    /// Ends one of the caller's sessions. One that has ended is gone.
    ///
    /// # Errors
    /// When it isn't theirs.
    pub async fn end_session(&self, ask: &Ask, id: SessionId) -> Result<Planned<()>, Error> {
        let permit = ask.permit(Action::EndSession, Ownership::Own)?;
        let session = self.open_session(ask, id).await?.ok_or(Denied::Invisible)?;
        Ok(Planned::new((), permit, self.ended(ask, &session)))
    }

    /// Ends all of the caller's sessions but this one.
    ///
    /// # Errors
    /// When the caller is in none.
    pub async fn end_other_sessions(&self, ask: &Ask) -> Result<Planned<()>, Error> {
        let permit = ask.permit(Action::EndSession, Ownership::Own)?;
        let here = session_of(ask)?;
        Ok(Planned::of(permit, self.ended_sessions(ask, ask.caller.user_id, Some(here)).await?))
    }

    /// The steps that end a user's sessions but for one.
    pub(super) async fn ended_sessions(
        &self,
        ask: &Ask,
        user: UserId,
        but: Option<SessionId>,
    ) -> Result<Steps, Error> {
        let mut steps = Steps::default();
        let sessions = self.sessions_of(ask, user, u32::MAX).await?;
        for session in sessions.iter().filter(|session| Some(session.id) != but) {
            steps.extend(self.ended(ask, session));
        }
        Ok(steps)
    }

    fn ended(&self, ask: &Ask, before: &Proven<Session>) -> Steps {
        let now = self.world.clock.now();
        let stored = self.keys.authenticate(Session { ended_at: Some(now), ..Session::clone(before) });
        let event = ask.event(EventKind::SessionEnded, before.id.uuid(), now, &stored);
        let event = Event { team_id: Some(before.team_id), ..event };
        Steps::default().and(Change::Session(Put::over(before.mac(), stored)), event)
    }

    /// The teams of the caller that let this session in, by age.
    ///
    /// # Errors
    /// When the caller is in no session.
    pub async fn teams_of_session(&self, ask: &Ask) -> Result<Vec<Proven<Team>>, Error> {
        let _permit = ask.permit(Action::ListSessions, Ownership::Own)?;
        let user = self.profile(ask).await?.user;
        let sign_in = self.this_session(ask).await?.sign_in;
        let places = self.places(&user, ask.cause).await?;
        Ok(places.into_iter().filter(|place| lets_in(place, sign_in)).map(|place| place.team).collect())
    }

    /// Takes the session to another of the caller's teams.
    ///
    /// # Errors
    /// When that doesn't let it in.
    pub async fn move_session(&self, ask: &Ask, team: TeamId) -> Result<Planned<()>, Error> {
        let permit = ask.permit(Action::MoveSession, Ownership::Own)?;
        let (user, before) = (self.profile(ask).await?.user, self.this_session(ask).await?);
        let places = self.places(&user, ask.cause).await?;
        let place = places.iter().find(|place| place.team.id == team && lets_in(place, before.sign_in));
        place.ok_or(Denied::Invisible)?;
        if before.team_id == team {
            return Ok(Planned::nothing(()));
        }
        let now = self.world.clock.now();
        let stored = self.keys.authenticate(Session { team_id: team, ..Session::clone(&before) });
        let event = ask.event(EventKind::SessionMoved, before.id.uuid(), now, &stored);
        let steps = Steps::default().and(Change::Session(Put::over(before.mac(), stored)), event);
        Ok(Planned::new((), permit, steps))
    }

    /// The caller's session itself.
    pub(super) async fn this_session(&self, ask: &Ask) -> Result<Proven<Session>, Error> {
        self.open_session(ask, session_of(ask)?).await?.ok_or(Error::NotProven)
    }

    /// One of the caller's sessions, unless it is over.
    async fn open_session(&self, ask: &Ask, id: SessionId) -> Result<Option<Proven<Session>>, Error> {
        let suspect = ask.suspect(Object::of::<Session>(Some(id.uuid())));
        let Some(rows) = self.readable(self.store.session_rows(id).await, suspect).await? else {
            return Ok(None);
        };
        let session = self.noting(self.keys.verify(rows.means), suspect).await?;
        let is_open = session.ended_at.is_none() && session.expires_at > self.world.clock.now();
        Ok(Some(session).filter(|session| is_open && session.user_id == ask.caller.user_id))
    }

    /// The step by which this session goes on under another sign-in.
    pub(super) async fn resumed(&self, ask: &Ask, sign_in: SignInId) -> Result<Steps, Error> {
        let (before, now) = (self.this_session(ask).await?, self.world.clock.now());
        let stored = self.keys.authenticate(Session { sign_in, ..Session::clone(&before) });
        let event = ask.event(EventKind::SignInChanged, before.id.uuid(), now, &stored);
        Ok(Steps::default().and(Change::Session(Put::over(before.mac(), stored)), event))
    }
}

/// The session that the caller is in.
pub(super) fn session_of(ask: &Ask) -> Result<SessionId, Denied> {
    match ask.caller.means {
        Means::Session(session) => Ok(session),
        _ => Err(Denied::Invisible),
    }
}
