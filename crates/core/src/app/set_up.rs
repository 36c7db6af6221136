//! Setting up how somebody signs in: by a link of the server's administrator,
//! or by an invitation of a team's. A new sign-in comes into the teams whose
//! word the link is: all of the user's, or the one.

use aws_lc_rs::constant_time::verify_slices_are_equal;

use super::ask::Steps;
use super::sign_in::{Person, SignInError, SignedIn, Whereabouts, asking};
use super::{App, Ask, Attempt, Cause, Error, Planned, Suspect};
use crate::access::{Action, Denied, Means, Ownership};
use crate::clock::Timestamp;
use crate::events::{EventKind, Object};
use crate::ids::{SignInId, UserId};
use crate::invitations::Invitation;
use crate::passwords::{Password, Stretched};
use crate::roles::Role;
use crate::rows::{Proven, RowMac};
use crate::second_factor::{AppSecret, SecondFactor};
use crate::sign_ins::{Factors, SignIn};
use crate::store::{Change, Put};
use crate::teams::Team;
use crate::text::Email;
use crate::tokens::{Token, TokenKind};
use crate::users::{Membership, TeamPlace, User};

/// How long a link of the server's administrator is good, in milliseconds: a day.
pub const LINK_LASTS: i64 = 24 * 60 * 60 * 1_000;
/// How many bytes of what vouches for a link it bears.
const PROOF: usize = 24;
/// Keep apart what is vouched for.
const LINK: &str = "strongroom.set-up.v1";
const APP: &str = "strongroom.app-secret.v1";

/// Whose link it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// The server's administrator made it.
    SetUp,
    /// A team's administrator made it.
    Invitation,
}

/// A link that is good, and what it is for.
pub struct OpenLink {
    /// Who is to set up how they sign in.
    pub user: Proven<User>,
    /// The team that they come into first.
    pub team: Proven<Team>,
    /// What they are there.
    pub role: Role,
    /// Whether they sign in already, and the invitation only lets that sign-in in.
    pub signs_in_already: bool,
    /// What an authenticator app may be given; the same each time that the link is opened.
    pub app: AppSecret,
    ask: Ask,
    /// Where the sign-in will come in.
    places: Vec<TeamPlace<Proven<Membership>, Proven<Team>>>,
    before: Option<Proven<SignIn>>,
    invitation: Option<Proven<Invitation>>,
}

/// What somebody chose to sign in with.
pub struct Chosen {
    /// A password.
    pub password: String,
    /// What their authenticator app shows; empty: they want none.
    pub code: String,
}

/// A sign-in that was set up, and the session that began with it.
pub struct SetUp {
    /// The session.
    pub signed_in: SignedIn,
    /// Codes for paper, to be shown once; none without an app.
    pub codes: Vec<String>,
}

impl App {
    /// Makes a link by which the user with this address sets up how they sign in.
    /// Nothing is stored: the link is vouched for, and is good once because using
    /// it changes what it was made for.
    ///
    /// # Errors
    /// [`Denied::Invisible`] when there is no such user, or they are in no team.
    pub async fn set_up_link(&self, email: &Email) -> Result<Token, Error> {
        let cause = Cause::default();
        let suspect = Suspect { caller: None, object: Object::of::<User>(None), cause: &cause };
        let user = self.readable(self.store.user_by_email(email).await, suspect).await?;
        let user = self.noting(self.keys.verify(user.ok_or(Denied::Invisible)?), suspect).await?;
        if user.disabled_at.is_some() || self.places(&user, cause).await?.is_empty() {
            return Err(Denied::Invisible.into());
        }
        let state = self.state(&user, cause).await?;
        let end = self.world.clock.now().as_millis().saturating_add(LINK_LASTS);
        let mut secret = [0; 32];
        let (until, proof) = secret.split_at_mut(8);
        until.copy_from_slice(&end.to_be_bytes());
        let pieces = [user.id.as_bytes(), &*until, state.as_bytes()];
        proof.iter_mut().zip(self.keys.vouched(LINK, &pieces).digest()).for_each(|(to, from)| *to = *from);
        Ok(Token::bearing(TokenKind::Link, user.id.uuid(), &secret))
    }

    /// What changes when a link is used: the sign-in, or that there is none.
    async fn state(&self, user: &Proven<User>, cause: Cause) -> Result<RowMac, Error> {
        Ok(self.sign_in_of(user.id, cause).await?.map_or(user.mac(), |sign_in| sign_in.mac()))
    }

    /// Opens a link, which uses it up in no way.
    ///
    /// # Errors
    /// [`Error::NotProven`] for whatever isn't good, without saying why.
    pub async fn open_link(&self, kind: LinkKind, token: &str, cause: Cause) -> Result<OpenLink, Error> {
        let token = Token::parse(TokenKind::Link, token).map_err(|_| Error::NotProven)?;
        match kind {
            LinkKind::SetUp => self.open_set_up(&token, cause).await,
            LinkKind::Invitation => self.open_invitation(&token, cause).await,
        }
    }

    async fn open_set_up(&self, token: &Token, cause: Cause) -> Result<OpenLink, Error> {
        let secret = token.borne();
        let (end, given) = secret.split_first_chunk::<8>().ok_or(Error::NotProven)?;
        let until = Timestamp::from_millis(i64::from_be_bytes(*end));
        let id = UserId::from_uuid(token.id());
        let user = self.user_named(id, cause).await?.ok_or(Error::NotProven)?;
        let before = self.sign_in_of(id, cause).await?;
        let state = before.as_ref().map_or(user.mac(), Proven::mac);
        let (now, pieces) = (self.world.clock.now(), [&id.as_bytes()[..], end, state.as_bytes()]);
        let is_it = |vouched: &[u8]| {
            vouched.get(..PROOF).is_some_and(|proof| verify_slices_are_equal(proof, given).is_ok())
        };
        let is_good = self.keys.has_vouched((LINK, &pieces), now, is_it);
        if !is_good || until <= now || user.disabled_at.is_some() {
            return Err(Error::NotProven);
        }
        let places = self.places(&user, cause).await?;
        let first = places.first().ok_or(Error::NotProven)?;
        let ask = asking(Means::SetUp, user.mac(), &user, first, cause);
        let (team, role) = (first.team.clone(), first.membership.role);
        let app = self.offered(token)?;
        Ok(OpenLink { signs_in_already: false, user, team, role, app, ask, places, before, invitation: None })
    }

    async fn open_invitation(&self, token: &Token, cause: Cause) -> Result<OpenLink, Error> {
        let caller = self.authenticate_invitation(token, &cause).await?;
        let ask = Ask::new(caller, cause);
        let invitation = self.invitation(&ask, token.id()).await?;
        self.inviter_stands(&ask, &invitation).await?;
        let user = self.user_named(invitation.user_id, cause).await?.ok_or(Error::NotProven)?;
        let mut places = self.places(&user, cause).await?;
        places.retain(|place| place.team.id == invitation.team_id);
        let here = places.first().ok_or(Error::NotProven)?;
        let (team, role) = (here.team.clone(), here.membership.role);
        let before = self.sign_in_of(user.id, cause).await?;
        let app = self.offered(token)?;
        let invitation = Some(invitation);
        Ok(OpenLink {
            signs_in_already: before.is_some(),
            user,
            team,
            role,
            app,
            ask,
            places,
            before,
            invitation,
        })
    }

    /// What an app is offered by this link.
    fn offered(&self, token: &Token) -> Result<AppSecret, Error> {
        let vouched = self.keys.vouched(APP, &[&*token.borne(), token.id().as_bytes()]);
        AppSecret::from_digest(vouched.digest()).ok_or(Error::NotProven)
    }

    /// A user, whichever team they are in.
    async fn user_named(&self, id: UserId, cause: Cause) -> Result<Option<Proven<User>>, Error> {
        let suspect = Suspect { caller: None, object: Object::of::<User>(Some(id.uuid())), cause: &cause };
        match self.readable(self.store.user(id).await, suspect).await? {
            Some(stored) => self.noting(self.keys.verify(stored), suspect).await.map(Some),
            None => Ok(None),
        }
    }

    /// Sets up how the user of a link signs in, and signs them in. A sign-in from
    /// before ends, with its sessions.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the password is too easy or the app shows something
    /// else; [`Error::NotProven`] or [`StoreError::Changed`](crate::StoreError::Changed) when the link was used
    /// meanwhile.
    pub async fn set_up(&self, link: OpenLink, chosen: Chosen, at: &Whereabouts) -> Result<SetUp, Error> {
        let OpenLink { user, app, ask, places, before, invitation, signs_in_already, .. } = link;
        if signs_in_already {
            return Err(Error::NotProven);
        }
        let permit = ask.permit(Action::SetUp, Ownership::Own)?;
        let (factors, codes) = self.factors(chosen, app)?;
        let (id, now) = (SignInId::from_uuid(self.uuid()), self.world.clock.now());
        let stored = factors.seal((user.id, id), (now, now), &self.keys, &*self.world.random)?;
        let event = ask.event(EventKind::SignInSetUp, user.id.uuid(), now, &stored);
        let put = match &before {
            Some(before) => Put::over(before.mac(), stored),
            None => Put::new(stored),
        };
        let mut steps = Steps::default().and(Change::SignIn(put), event);
        steps.extend(self.ended_sessions(&ask, user.id, None).await?);
        steps.extend(self.let_in(&ask, &places, id));
        steps.extend(self.accepted(&ask, invitation.as_ref()));
        let signed_in = self.begin_session(&ask, id, at, &mut steps);
        let planned = Planned::new(SetUp { signed_in, codes }, permit, steps);
        self.carry_out(&ask, planned, None).await
    }

    /// Lets the sign-in that the user of an invitation has into its team, once they
    /// have shown that it is theirs, and signs them in there.
    ///
    /// # Errors
    /// When what they typed is wrong, or it was tried too often.
    pub async fn join(&self, link: OpenLink, attempt: Attempt) -> Result<SignedIn, SignInError> {
        let OpenLink { user, ask, places, invitation, .. } = link;
        // A link of the server's administrator sets up anew, and is used up by that.
        let invitation = invitation.ok_or(Error::NotProven)?;
        let mut person: Person = self.prove_person(&attempt, ask.cause).await?;
        if person.user.id != user.id {
            return Err(SignInError::Wrong);
        }
        let permit = ask.permit(Action::SetUp, Ownership::Own).map_err(Error::from)?;
        if person.spent.is_none() {
            // Sealed anew, so that of this and a change to what proved them, which would
            // leave out this team, only one is done.
            let factors = Factors::open(&person.sign_in, &self.keys).map_err(Error::from)?;
            person.spent = Some(self.resealed(&person.sign_in, &factors)?);
        }
        let mut steps = person.used_up(&ask);
        steps.extend(self.let_in(&ask, &places, person.sign_in.id));
        steps.extend(self.accepted(&ask, Some(&invitation)));
        let signed_in = self.begin_session(&ask, person.sign_in.id, &attempt.at, &mut steps);
        Ok(self.carry_out(&ask, Planned::new(signed_in, permit, steps), None).await?)
    }

    /// What somebody chose, as it is kept.
    fn factors(&self, chosen: Chosen, app: AppSecret) -> Result<(Factors, Vec<String>), Error> {
        let wants_app = !chosen.code.trim().is_empty();
        let password = Password::choose(chosen.password, !wants_app);
        let password = password.map_err(|refused| invalid("the password", refused.reason()))?;
        let (second, codes) = if wants_app {
            let (second, codes) = self.app_shown(app, &chosen.code)?;
            (Some(second), codes)
        } else {
            (None, Vec::new())
        };
        Ok((Factors { password: Stretched::of(&password, &*self.world.random), second }, codes))
    }

    /// A second factor of an app that shows the right password.
    pub(super) fn app_shown(
        &self,
        app: AppSecret,
        typed: &str,
    ) -> Result<(SecondFactor, Vec<String>), Error> {
        SecondFactor::new(app, typed, self.world.clock.now(), &*self.world.random).ok_or_else(|| {
            Error::Invalid(
                "the code isn't what the app should show now; scan the picture again, and look at the clocks of \
                 both machines"
                    .into(),
            )
        })
    }

    /// Has these teams let a sign-in in.
    pub(super) fn let_in(
        &self,
        ask: &Ask,
        places: &[TeamPlace<Proven<Membership>, Proven<Team>>],
        id: SignInId,
    ) -> Steps {
        let mut steps = Steps::default();
        for place in places {
            let before = &place.membership;
            let stored =
                self.keys.authenticate(Membership { sign_in: Some(id), ..Membership::clone(before) });
            let event =
                ask.event(EventKind::MemberUpdated, before.user_id.uuid(), self.world.clock.now(), &stored);
            let event = crate::events::Event { team_id: Some(before.team_id), ..event };
            steps.add(Change::Membership(Put::over(before.mac(), stored)), event);
        }
        steps
    }
}

pub(super) fn invalid(what: &str, reason: &str) -> Error {
    Error::Invalid(format!("{what} {reason}").into())
}
