//! What the caller signs in with: seen and changed, each time by showing that
//! it is still theirs. Whatever changes ends their other sessions.

use super::ask::Steps;
use super::guesses::Against;
use super::sessions::session_of;
use super::set_up::invalid;
use super::sign_in::{SignInError, lets_in, used_up};
use super::{App, Ask, Error, Planned};
use crate::access::{Action, Denied, Ownership};
use crate::events::EventKind;
use crate::ids::SignInId;
use crate::passwords::{Password, Stretched};
use crate::rows::{Proven, Stored};
use crate::second_factor::AppSecret;
use crate::sign_ins::{Factors, SignIn};
use crate::store::{Change, Put};

/// For how long after signing in nobody has to show again what they sign in with, in
/// milliseconds: ten minutes, in which a newcomer makes a first key.
pub const FRESH: i64 = 10 * 60 * 1_000;

/// Keeps what an app is offered apart from all else that is vouched for.
const APP: &str = "strongroom.new-app-secret.v1";

/// What a caller signs in with, as far as it is shown.
pub struct SignInState {
    /// How many codes for paper are left; `None` without an authenticator app.
    pub codes_left: Option<usize>,
    /// What an app may be given, where there is none.
    pub app: AppSecret,
}

/// What is to become of a sign-in.
pub enum NewFactors {
    /// Another password.
    Password(String),
    /// An authenticator app, which shows this.
    App(String),
    /// No authenticator app any more.
    NoApp,
    /// Fresh codes for paper.
    Codes,
}

impl App {
    /// What the caller signs in with.
    ///
    /// # Errors
    /// When they are in no session.
    pub async fn sign_in_state(&self, ask: &Ask) -> Result<SignInState, Error> {
        let _permit = ask.permit(Action::ListSessions, Ownership::Own)?;
        let sign_in = self.own_sign_in(ask).await?;
        let factors = Factors::open(&sign_in, &self.keys)?;
        let codes_left = factors.second.map(|second| second.codes_left());
        Ok(SignInState { codes_left, app: self.app_for(ask, &sign_in)? })
    }

    async fn own_sign_in(&self, ask: &Ask) -> Result<Proven<SignIn>, Error> {
        self.sign_in_of(ask.caller.user_id, ask.cause).await?.ok_or(Error::NotProven)
    }

    /// Another secret once the sign-in has changed.
    fn app_for(&self, ask: &Ask, sign_in: &Proven<SignIn>) -> Result<AppSecret, Error> {
        let pieces = [&session_of(ask)?.as_bytes()[..], sign_in.mac().as_bytes()].map(<[u8]>::to_vec);
        let vouched = self.keys.vouched(APP, &pieces.each_ref().map(Vec::as_slice));
        Ok(AppSecret::from_digest(vouched.digest()).ok_or(Denied::Invisible)?)
    }

    /// Changes what the caller signs in with, when `password` is theirs, and
    /// `code` what their app shows, if they have one. Codes for paper come of some
    /// changes, to be shown once.
    ///
    /// # Errors
    /// When either is wrong, it was tried too often, or the change makes no sense.
    pub async fn change_sign_in(
        &self,
        ask: &Ask,
        (password, code): (Password, &str),
        new: NewFactors,
    ) -> Result<Vec<String>, SignInError> {
        let permit = ask.permit(Action::ChangeSignIn, Ownership::Own).map_err(Error::from)?;
        let before = self.own_sign_in(ask).await?;
        let used = self.shown_again(ask, &before, (&password, code))?;
        let now: &SignIn = used.as_ref().map_or(&before, Stored::row);
        let mut factors = Factors::open(now, &self.keys).map_err(Error::from)?;
        let codes = self.changed(&mut factors, &password, new, self.app_for(ask, &before)?)?;
        let steps = self.replacing_sign_in(ask, &before, &factors).await?;
        Ok(self.carry_out(ask, Planned::new(codes, permit, steps), None).await?)
    }

    /// Holds what the caller shows against what they sign in with; what is to be kept
    /// then, because a code was used up.
    fn shown_again(
        &self,
        ask: &Ask,
        sign_in: &Proven<SignIn>,
        (password, code): (&Password, &str),
    ) -> Result<Option<Stored<SignIn>>, SignInError> {
        // Against this session alone: neither who sits at another, nor who guesses at the
        // app from elsewhere, keeps anybody from changing what they know.
        let here = session_of(ask).map_err(Error::from)?;
        let against = [Against::Browser(ask.caller.user_id, here.to_string())];
        self.guesses.begin(&against, self.world.clock.monotonic()).map_err(super::sign_in::wait)?;
        let factors = Factors::open(sign_in, &self.keys).map_err(Error::from)?;
        if !factors.password.is(password) {
            return Err(SignInError::Wrong);
        }
        let used = self.second(sign_in, factors, code, true)?;
        self.guesses.forgive(&against);
        Ok(used)
    }

    /// Whether the caller has to show what they sign in with, in order to make what
    /// lets anybody receive values who otherwise wouldn't, also when the session has ended: a
    /// key, an invitation, a higher role, what was one's own given to the team.
    ///
    /// # Errors
    /// When that can't be told.
    pub async fn must_confirm(&self, ask: &Ask) -> Result<bool, Error> {
        if ask.is_confirmed || session_of(ask).is_err() {
            return Ok(false);
        }
        let began = self.this_session(ask).await?.created_at.as_millis();
        Ok(self.world.clock.now().as_millis().saturating_sub(began) >= FRESH)
    }

    /// The same one who asks, when `password` is theirs, and `code` what their app
    /// shows, if they have one.
    ///
    /// # Errors
    /// When either is wrong, or it was tried too often.
    pub async fn confirm(&self, ask: &Ask, shown: (Password, &str)) -> Result<Ask, SignInError> {
        let permit = ask.permit(Action::ChangeSignIn, Ownership::Own).map_err(Error::from)?;
        let sign_in = self.own_sign_in(ask).await?;
        if let Some(spent) = self.shown_again(ask, &sign_in, (&shown.0, shown.1))? {
            let steps = used_up(ask, &sign_in, spent);
            self.carry_out(ask, Planned::new((), permit, steps), None).await?;
        }
        Ok(Ask { is_confirmed: true, ..ask.clone() })
    }

    /// Demands that the caller need not show what they sign in with.
    pub(super) async fn is_certain(&self, ask: &Ask) -> Result<(), Error> {
        let message =
            "you signed in a while ago, and this outlasts your session: type your password once more";
        if self.must_confirm(ask).await? { Err(Error::Invalid(message.into())) } else { Ok(()) }
    }

    /// The steps by which other factors take the place of these, under another id:
    /// so neither a session counts that began by these meanwhile, nor what they left
    /// in browsers.
    async fn replacing_sign_in(
        &self,
        ask: &Ask,
        before: &Proven<SignIn>,
        now: &Factors,
    ) -> Result<Steps, Error> {
        let (user, id, at) = (before.user_id, SignInId::from_uuid(self.uuid()), self.world.clock.now());
        let stored = now.seal((user, id), (before.created_at, at), &self.keys, &*self.world.random)?;
        let event = ask.event(EventKind::SignInChanged, user.uuid(), at, &stored);
        let mut steps = Steps::default().and(Change::SignIn(Put::over(before.mac(), stored)), event);
        let mut places = self.all_places(user, ask.cause).await?;
        places.retain(|place| lets_in(place, before.id));
        steps.extend(self.let_in(ask, &places, id));
        steps.extend(self.ended_sessions(ask, user, Some(session_of(ask)?)).await?);
        steps.extend(self.resumed(ask, id).await?);
        Ok(steps)
    }

    fn changed(
        &self,
        factors: &mut Factors,
        present: &Password,
        new: NewFactors,
        app: AppSecret,
    ) -> Result<Vec<String>, Error> {
        match (new, &mut factors.second) {
            (NewFactors::Password(text), second) => {
                let password = Password::choose(text, second.is_none());
                let password = password.map_err(|refused| invalid("the new password", refused.reason()))?;
                factors.password = Stretched::of(&password, &*self.world.random);
                Ok(Vec::new())
            }
            (NewFactors::App(typed), None) => {
                let (second, codes) = self.app_shown(app, &typed)?;
                factors.second = Some(second);
                Ok(codes)
            }
            (NewFactors::App(_), Some(_)) => {
                Err(Error::Conflict("there is an authenticator app already; take that off first"))
            }
            (NewFactors::NoApp, Some(_)) if present.length() < Password::SHORTEST_ALONE => {
                Err(Error::Conflict(
                    "without an app the password must have at least 15 characters; choose a longer one first",
                ))
            }
            (NewFactors::NoApp, second) => {
                *second = None;
                Ok(Vec::new())
            }
            (NewFactors::Codes, Some(second)) => Ok(second.renewed(&*self.world.random)),
            (NewFactors::Codes, None) => {
                Err(Error::Conflict("codes are for when an app is lost; there is none"))
            }
        }
    }
}
