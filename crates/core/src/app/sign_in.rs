//! Signing in: proving a person by their password and second factor, and the
//! session that comes of it.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

use super::ask::Steps;
use super::auth::proof;
use super::guesses::{Against, Network};
use super::{App, Ask, Cause, Error, Planned, Suspect};
use crate::access::{Action, Caller, Means, Ownership};
use crate::clock::Timestamp;
use crate::events::{EventKind, Object};
use crate::grants::Grant;
use crate::ids::{SessionId, SignInId, UserId};
use crate::passwords::Password;
use crate::rows::{Proven, RowMac, Stored};
use crate::sessions::{LASTS, Session};
use crate::sign_ins::{Factors, SignIn};
use crate::store::{Change, Put};
use crate::teams::Team;
use crate::text::{BrowserName, Email};
use crate::tokens::{Token, TokenKind};
use crate::users::{Membership, TeamPlace, User};

/// In how many teams of theirs a person is looked for: in all, for others can make
/// them a member of as many as they like.
const PLACES: u32 = u32::MAX;
/// Keeps a browser's mark apart from all else that is vouched for.
const MARK: &str = "strongroom.browser.v1";

/// What somebody types who signs in.
pub struct Attempt {
    /// Their address.
    pub email: String,
    /// Their password.
    pub password: Password,
    /// What their app shows, or a code; empty without a second factor.
    pub code: String,
    /// Where from, and in which browser.
    pub at: Whereabouts,
}

/// Where somebody is who signs in.
#[derive(Clone, Default)]
pub struct Whereabouts {
    /// Their address on the network.
    pub from: Option<IpAddr>,
    /// What their browser says it is.
    pub browser: Option<BrowserName>,
    /// What was left in the browser by whoever signed in there before.
    pub mark: Option<String>,
}

/// A session that began.
pub struct SignedIn {
    /// The session's token, for the browser alone.
    pub token: Token,
    /// To be left in the browser: it is known from now on.
    pub mark: String,
}

/// Why nobody is signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// Something of it is wrong; it isn't said what.
    #[error("the address, the password or the code is wrong")]
    Wrong,
    /// There were too many failures; after so many seconds there may be another try.
    #[error("too many tries; try again in {0} s")]
    Wait(u64),
    /// They are nobody's member any more, or their team was deleted.
    #[error("you are in no team now, or have yet to open the invitation of one")]
    NoTeam,
    /// It could not be done.
    #[error(transparent)]
    Other(#[from] Error),
}

/// Somebody whose password and second factor are right.
pub(super) struct Person {
    pub(super) user: Proven<User>,
    pub(super) sign_in: Proven<SignIn>,
    /// What is to be stored because a code was used up.
    pub(super) spent: Option<Stored<SignIn>>,
}

impl Person {
    /// The step by which a code is used up, if there was one.
    pub(super) fn used_up(&self, ask: &Ask) -> Steps {
        self.spent.clone().map_or_else(Steps::default, |spent| used_up(ask, &self.sign_in, spent))
    }
}

/// A person's team, and their place in it.
pub(super) type ProvenPlace = TeamPlace<Proven<Membership>, Proven<Team>>;

impl App {
    /// Signs somebody in, into the oldest of their teams that knows their sign-in.
    /// Takes a moment of a processor's time: stretching a password is work.
    ///
    /// # Errors
    /// When anything is wrong, or it was tried too often.
    pub async fn sign_in(&self, attempt: Attempt, cause: Cause) -> Result<SignedIn, SignInError> {
        let person = self.prove_person(&attempt, cause).await?;
        let places = self.places(&person.user, cause).await?;
        let place = places.into_iter().find(|place| lets_in(place, person.sign_in.id));
        let place = place.ok_or(SignInError::NoTeam)?;
        let ask = signing_in(&person, &place, cause);
        let permit = ask.permit(Action::SignIn, Ownership::Own).map_err(Error::from)?;
        let mut steps = person.used_up(&ask);
        let signed_in = self.begin_session(&ask, person.sign_in.id, &attempt.at, &mut steps);
        // Of two that use the same code the other comes too late.
        Ok(self.carry_out(&ask, Planned::new(signed_in, permit, steps), None).await?)
    }

    /// The person whom what was typed proves. Every try counts as a failure until
    /// it is known to be none.
    pub(super) async fn prove_person(&self, attempt: &Attempt, cause: Cause) -> Result<Person, SignInError> {
        let known = self.person(&attempt.email, cause).await?;
        let sign_in = known.as_ref().map(|(_, sign_in)| sign_in);
        let at_home = sign_in.is_some_and(|sign_in| self.is_marked(sign_in.id, attempt.at.mark.as_deref()));
        let now = self.world.clock.monotonic();
        let against = against(attempt, sign_in.filter(|_| at_home));
        self.guesses.begin(&against, now).map_err(wait)?;
        let factors = match sign_in {
            Some(sign_in) => Factors::open(sign_in, &self.keys).map_err(Error::from)?,
            // An unknown address takes as long as a known one.
            None => Factors::nobodys(&*self.world.random),
        };
        let is_right = factors.password.is(&attempt.password);
        let Some((user, sign_in)) = known.filter(|_| is_right) else { return Err(SignInError::Wrong) };
        let spent = self.second(&sign_in, factors, &attempt.code, at_home)?;
        self.guesses.forgive(&against);
        Ok(Person { user, sign_in, spent })
    }

    /// Holds a code against a second factor, if there is one; what is to be kept then.
    pub(super) fn second(
        &self,
        sign_in: &Proven<SignIn>,
        mut factors: Factors,
        code: &str,
        at_home: bool,
    ) -> Result<Option<Stored<SignIn>>, SignInError> {
        let Some(second) = &mut factors.second else { return Ok(None) };
        let against = [Against::SecondFactor(sign_in.user_id)];
        if !at_home {
            self.guesses.begin(&against, self.world.clock.monotonic()).map_err(wait)?;
        }
        let now = self.world.clock.now();
        if !second.accepts(code, now) {
            return Err(SignInError::Wrong);
        }
        self.guesses.forgive(&against);
        Ok(Some(self.resealed(sign_in, &factors)?))
    }

    /// A sign-in with other factors.
    pub(super) fn resealed(&self, sign_in: &SignIn, factors: &Factors) -> Result<Stored<SignIn>, Error> {
        let times = (sign_in.created_at, self.world.clock.now());
        Ok(factors.seal((sign_in.user_id, sign_in.id), times, &self.keys, &*self.world.random)?)
    }

    /// The person with this address who has a sign-in and isn't disabled.
    async fn person(
        &self,
        email: &str,
        cause: Cause,
    ) -> Result<Option<(Proven<User>, Proven<SignIn>)>, Error> {
        let Ok(email) = Email::parse(email) else { return Ok(None) };
        let suspect = Suspect { caller: None, object: Object::of::<User>(None), cause: &cause };
        let Some(user) = self.readable(self.store.user_by_email(&email).await, suspect).await? else {
            // As many looks at the database as for a known one.
            self.sign_in_of(UserId::from_uuid(Uuid::nil()), cause).await?;
            return Ok(None);
        };
        let user = self.noting(self.keys.verify(user), suspect).await?;
        let sign_in = self.sign_in_of(user.id, cause).await?;
        let is_shut_out = user.disabled_at.is_some() || user.service_of.is_some();
        Ok(sign_in.filter(|_| !is_shut_out).map(|sign_in| (user, sign_in)))
    }

    /// A user's sign-in.
    pub(super) async fn sign_in_of(
        &self,
        user: UserId,
        cause: Cause,
    ) -> Result<Option<Proven<SignIn>>, Error> {
        let object = Object::of::<SignIn>(Some(user.uuid()));
        let suspect = Suspect { caller: None, object, cause: &cause };
        match self.readable(self.store.sign_in(user).await, suspect).await? {
            Some(stored) => self.noting(self.keys.verify(stored), suspect).await.map(Some),
            None => Ok(None),
        }
    }

    /// Where a user is a member, in teams that weren't deleted.
    pub(super) async fn places(&self, user: &User, cause: Cause) -> Result<Vec<ProvenPlace>, Error> {
        let mut places = self.all_places(user.id, cause).await?;
        places.retain(|place| place.team.deleted_at.is_none());
        Ok(places)
    }

    /// Where a user is a member.
    pub(super) async fn all_places(&self, user: UserId, cause: Cause) -> Result<Vec<ProvenPlace>, Error> {
        let object = Object::of::<Membership>(Some(user.uuid()));
        let suspect = Suspect { caller: None, object, cause: &cause };
        let mut places = Vec::new();
        for place in self.readable(self.store.places(user, PLACES).await, suspect).await? {
            let membership = self.noting(self.keys.verify(place.membership), suspect).await?;
            let team = self.noting(self.keys.verify(place.team), suspect).await?;
            if membership.removed_at.is_none() {
                places.push(TeamPlace { membership, team });
            }
        }
        Ok(places)
    }

    /// A new session of the one who asks, in the team in which they ask.
    pub(super) fn begin_session(
        &self,
        ask: &Ask,
        sign_in: SignInId,
        at: &Whereabouts,
        steps: &mut Steps,
    ) -> SignedIn {
        let id = SessionId::from_uuid(self.uuid());
        let token = Token::mint(TokenKind::Session, id.uuid(), &*self.world.random);
        let created_at = self.world.clock.now();
        let session = self.keys.authenticate(Session {
            id,
            team_id: ask.caller.team_id,
            user_id: ask.caller.user_id,
            sign_in,
            browser: at.browser.clone(),
            token_hash: self.keys.hash(&token),
            created_at,
            expires_at: Timestamp::from_millis(created_at.as_millis().saturating_add(LASTS)),
            ended_at: None,
        });
        let event = ask.event(EventKind::SessionStarted, id.uuid(), created_at, &session);
        steps.add(Change::Session(Put::new(session)), event);
        SignedIn { token, mark: self.mark(sign_in) }
    }

    /// What is left in a browser in which somebody signed in.
    fn mark(&self, sign_in: SignInId) -> String {
        let chance = format!("{:032x}", u128::from_be_bytes(crate::random::bytes(&*self.world.random)));
        let proof = self.keys.vouched(MARK, &[sign_in.as_bytes(), chance.as_bytes()]);
        format!("{chance}.{}", hex(proof.digest()))
    }

    /// The mark of the browser that this session is in, by what its person signs in with
    /// now: to be left there anew when that has changed.
    ///
    /// # Errors
    /// When the caller is in no session.
    pub async fn mark_of_session(&self, ask: &Ask) -> Result<String, Error> {
        let _permit = ask.permit(Action::ListSessions, Ownership::Own)?;
        Ok(self.mark(self.this_session(ask).await?.sign_in))
    }

    /// Whether a browser was left this mark by this sign-in.
    fn is_marked(&self, sign_in: SignInId, mark: Option<&str>) -> bool {
        let Some((chance, proof)) = mark.and_then(|mark| mark.split_once('.')) else { return false };
        let (now, pieces) = (self.world.clock.now(), [&sign_in.as_bytes()[..], chance.as_bytes()]);
        self.keys.has_vouched((MARK, &pieces), now, |vouched| {
            verify_slices_are_equal(hex(vouched).as_bytes(), proof.as_bytes()).is_ok()
        })
    }
}

/// Against what a try counts: the browser, where its user was before; else its network.
fn against(attempt: &Attempt, at_home: Option<&Proven<SignIn>>) -> Vec<Against> {
    if let (Some(sign_in), Some(mark)) = (at_home, &attempt.at.mark) {
        return vec![Against::Browser(sign_in.user_id, mark.clone())];
    }
    let network = Network::from(attempt.at.from);
    // No longer than an address is: what is kept is bounded.
    let address = attempt.email.chars().take(254).collect::<String>().to_ascii_lowercase();
    vec![Against::Address(network, address), Against::Network(network)]
}

pub(super) fn wait(wait: Duration) -> SignInError {
    SignInError::Wait(wait.as_millis().div_ceil(1_000).try_into().unwrap_or(u64::MAX))
}

/// Whether a sign-in comes into a team.
pub(super) fn lets_in(place: &ProvenPlace, sign_in: SignInId) -> bool {
    place.membership.sign_in == Some(sign_in)
}

/// Somebody who asks on the strength of what they just typed.
pub(super) fn signing_in(person: &Person, place: &ProvenPlace, cause: Cause) -> Ask {
    asking(Means::SignIn, person.sign_in.mac(), &person.user, place, cause)
}

/// Somebody who asks for nothing but to come in.
pub(super) fn asking(
    means: Means,
    mac: RowMac,
    user: &Proven<User>,
    place: &ProvenPlace,
    cause: Cause,
) -> Ask {
    let caller = Caller {
        team_id: place.team.id,
        user_id: user.id,
        means,
        grant: Arc::new(Grant::of_link(Timestamp::from_millis(i64::MAX))),
        team_deleted: false,
        run: None,
        proof: proof(mac, user.mac(), place.membership.mac(), place.team.mac()),
    };
    Ask::new(caller, cause)
}

/// The step by which a code is used up.
pub(super) fn used_up(ask: &Ask, before: &Proven<SignIn>, spent: Stored<SignIn>) -> Steps {
    let event = ask.event(EventKind::SignInChanged, before.user_id.uuid(), spent.row().updated_at, &spent);
    Steps::default().and(Change::SignIn(Put::over(before.mac(), spent)), event)
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
