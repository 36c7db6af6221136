//! Invitations: who makes them, for whom, and that they reach no further than
//! the team in which they were made.

use strongroom_core::access::Denied;
use strongroom_core::app::{
    Ask, Attempt, Error, LinkKind, NewFactors, NewMember, Newcomer, SignInError, SignedIn, Whereabouts,
};
use strongroom_core::invitations::LASTS;
use strongroom_core::rows::Stored;
use strongroom_core::text::UserName;
use strongroom_core::tokens::Token;
use strongroom_core::{InvitationId, Role, StoreError, UserId};

use super::{ADA, BEN, PASSWORD, WithApp, attempt, chosen, not_proven, typed, wrong};
use crate::instance::Instance;
use crate::support::at_once;

const EVE: &str = "eve@example.com";

impl Instance {
    pub(crate) fn invited(&self, by: &Ask, user: UserId) -> Result<Token, Error> {
        self.done(by, at_once(self.app.invite(by, user))).map(|(_, token)| token)
    }

    pub(super) fn joined(&self, token: &Token, attempt: Attempt) -> Result<SignedIn, SignInError> {
        let link = self.open(LinkKind::Invitation, token.reveal())?;
        at_once(self.app.join(link, attempt))
    }

    fn opens(&self, token: &Token) -> bool {
        match self.open(LinkKind::Invitation, token.reveal()) {
            Ok(_) => true,
            Err(Error::NotProven) => false,
            Err(error) => panic!("{error:?}"),
        }
    }

    fn invitations(&self, by: &Ask) -> Vec<(InvitationId, UserId)> {
        let invitations = at_once(self.app.invitations(by)).unwrap();
        invitations.iter().map(|invitation| (invitation.id, invitation.user_id)).collect()
    }

    /// Another person's key in their team.
    fn colleague_at(&self, role: Role, email: &str) -> Ask {
        let user = self.person(&self.owner_now(), role, email);
        self.by_key(&self.key_for(user, crate::instance::everything())).unwrap()
    }
}

#[test]
fn administrators_invite_members_who_are_not_above_them() {
    let instance = Instance::new();
    let [administrator, builder] = [Role::Administrator, Role::Builder].map(|role| instance.colleague(role));
    let member = instance.person(&instance.owner_now(), Role::Member, BEN);
    let refused = instance.invited(&builder, member).err();
    assert!(matches!(refused, Some(Error::Denied(Denied::Role(Role::Administrator)))), "{refused:?}");
    let refused = instance.invited(&administrator, instance.ada()).err();
    assert!(matches!(refused, Some(Error::Denied(Denied::Above(_)))), "{refused:?}");
    let who = Newcomer::Service(UserName::parse("deployer").unwrap());
    let planned =
        at_once(instance.app.add_member(&instance.owner_now(), &NewMember { who, role: Role::Member }));
    let service = instance.done(&instance.owner_now(), planned).unwrap().user.id;
    let refused = instance.invited(&administrator, service).err();
    assert!(matches!(refused, Some(Error::Invalid(_))), "{refused:?}");
    let nobody = UserId::from_uuid(instance.id());
    let refused = instance.invited(&administrator, nobody).err();
    assert!(matches!(refused, Some(Error::Denied(Denied::Invisible))), "{refused:?}");
    assert!(instance.store.tables().invitations.is_empty());
    let token = instance.invited(&administrator, member).unwrap();
    let link = instance.open(LinkKind::Invitation, token.reveal()).ok().unwrap();
    assert_eq!((link.user.id, link.team.id, link.role), (member, instance.team(), Role::Member));
    assert_eq!(instance.invitations(&administrator), [(InvitationId::from_uuid(token.id()), member)]);
    let refused = at_once(instance.app.invitations(&builder)).err();
    assert!(matches!(refused, Some(Error::Denied(Denied::Role(Role::Administrator)))), "{refused:?}");
    // Oneself, and another of the same role.
    let own = administrator.caller.user_id;
    assert!(instance.invited(&administrator, own).is_ok());
    assert!(instance.invited(&instance.owner_now(), instance.ada()).is_ok());
}

#[test]
fn an_invitation_sets_up_a_sign_in_for_its_team_alone() {
    let instance = Instance::new();
    let gliders = instance.other_team();
    let ben = instance.person(&instance.owner_now(), Role::Builder, BEN);
    assert_eq!(instance.person(&gliders, Role::Owner, BEN), ben);
    let token = instance.invited(&instance.owner_now(), ben).unwrap();
    let signed_in =
        instance.set_up_by(LinkKind::Invitation, &token, chosen(PASSWORD, "")).ok().unwrap().signed_in;
    let by_ben = instance.by_session(&signed_in.token).unwrap();
    assert_eq!((by_ben.caller.team_id, by_ben.caller.grant.role), (instance.team(), Role::Builder));
    assert_eq!(at_once(instance.app.teams_of_session(&by_ben)).unwrap().len(), 1);
    let elsewhere = at_once(instance.app.move_session(&by_ben, gliders.caller.team_id)).err();
    assert!(matches!(elsewhere, Some(Error::Denied(Denied::Invisible))), "{elsewhere:?}");
    assert!(!instance.opens(&token), "it was used");
    // The other team lets it in once its own invitation is opened.
    let token = instance.invited(&gliders, ben).unwrap();
    let link = instance.open(LinkKind::Invitation, token.reveal()).ok().unwrap();
    assert!(link.signs_in_already);
    let joined = instance.joined(&token, attempt(BEN, PASSWORD, "")).ok().unwrap();
    assert_eq!(instance.by_session(&joined.token).unwrap().caller.team_id, gliders.caller.team_id);
    assert_eq!(at_once(instance.app.teams_of_session(&by_ben)).unwrap().len(), 2);
    assert!(!instance.opens(&token), "it was used");
    assert!(instance.by_session(&signed_in.token).is_ok(), "nothing ended by it");
}

#[test]
fn of_two_who_have_an_invitation_open_one_sets_up() {
    let instance = Instance::new();
    let ben = instance.person(&instance.owner_now(), Role::Builder, BEN);
    let token = instance.invited(&instance.owner_now(), ben).unwrap();
    let links = [(); 2].map(|()| instance.open(LinkKind::Invitation, token.reveal()).ok().unwrap());
    let passwords = [PASSWORD, "another good password"];
    let [first, second] = links;
    let set_up =
        |link, password| at_once(instance.app.set_up(link, chosen(password, ""), &Whereabouts::default()));
    assert!(set_up(first, passwords[0]).is_ok());
    assert!(not_proven(&set_up(second, passwords[1])));
    assert!(instance.sign_in(attempt(BEN, passwords[0], "")).is_ok());
    assert!(wrong(&instance.sign_in(attempt(BEN, passwords[1], ""))));
}

#[test]
fn who_signs_in_already_joins_by_what_is_theirs_alone() {
    let ada = WithApp::new();
    let (instance, gliders) = (&ada.instance, ada.instance.other_team());
    instance.person(&instance.owner_now(), Role::Owner, EVE);
    instance.set_up(EVE, PASSWORD);
    let token = instance.invited(&gliders, instance.ada()).unwrap();
    let before = instance.rows();
    let code = ada.next();
    for (email, password, code) in
        [(ADA, "another password", &*code), (ADA, PASSWORD, ""), (EVE, PASSWORD, ""), ("", "", "")]
    {
        assert!(wrong(&instance.joined(&token, attempt(email, password, code))), "{email} {password} {code}");
    }
    let link = instance.open(LinkKind::Invitation, token.reveal()).ok().unwrap();
    let anew =
        at_once(instance.app.set_up(link, chosen("another good password", ""), &Whereabouts::default()));
    assert!(not_proven(&anew), "what was there before is never changed");
    assert_eq!(instance.rows(), before);
    assert!(instance.joined(&token, attempt(ADA, PASSWORD, &code)).is_ok());
    assert!(wrong(&ada.sign_in(&code)), "the code was used up");
    assert!(!instance.opens(&token));
}

/// An owner of one team has nothing of a member's in another, whatever they set up.
#[test]
fn nobody_comes_into_another_team_by_an_address_in_theirs() {
    let instance = Instance::new();
    let gliders = instance.other_team();
    // Ada has keys in both teams, and never signed in; an owner of Gliders opens her invitation.
    let token = instance.invited(&gliders, instance.ada()).unwrap();
    let eves =
        instance.set_up_by(LinkKind::Invitation, &token, chosen("password of eve's", "")).ok().unwrap();
    let by_eve = instance.by_session(&eves.signed_in.token).unwrap();
    assert_eq!(by_eve.caller.team_id, gliders.caller.team_id);
    let signed_in = instance.session_of(ADA, "password of eve's");
    assert_eq!(signed_in.caller.team_id, gliders.caller.team_id, "the older team doesn't know it");
    let elsewhere = at_once(instance.app.move_session(&by_eve, instance.team())).err();
    assert!(matches!(elsewhere, Some(Error::Denied(Denied::Invisible))), "{elsewhere:?}");
    // Ada's own team invites her: that lets nobody in who doesn't hold it.
    let own = instance.invited(&instance.owner_now(), instance.ada()).unwrap();
    let elsewhere = at_once(instance.app.move_session(&by_eve, instance.team())).err();
    assert!(matches!(elsewhere, Some(Error::Denied(Denied::Invisible))), "{elsewhere:?}");
    assert!(wrong(&instance.joined(&own, attempt(ADA, PASSWORD, ""))));
    // The server's administrator helps: from then on she is herself everywhere.
    let hers = instance.set_up(ADA, PASSWORD);
    assert!(not_proven(&instance.by_session(&eves.signed_in.token)));
    assert!(wrong(&instance.sign_in(attempt(ADA, "password of eve's", ""))));
    let by_ada = instance.by_session(&hers.token).unwrap();
    assert_eq!(at_once(instance.app.teams_of_session(&by_ada)).unwrap().len(), 2);
}

#[test]
fn an_invitation_ends_with_what_it_stands_on() {
    type Loss = fn(&Instance, &Ask, UserId, InvitationId);
    let losses: [(&str, Loss); 10] = [
        ("cancelled", |instance, by, _, id| {
            instance.done(by, at_once(instance.app.cancel_invitation(by, id))).unwrap();
        }),
        ("too old", |instance, _, _, _| instance.clock.pass(LASTS)),
        ("maker demoted", |instance, by, _, _| {
            instance.change_role(&instance.owner_now(), by.caller.user_id, Role::Manager);
        }),
        ("maker removed", |instance, by, _, _| instance.remove(&instance.owner_now(), by.caller.user_id)),
        ("maker disabled", |instance, by, _, _| instance.disable(by.caller.user_id)),
        ("maker demoted behind its back", |instance, by, _, _| {
            instance.alter_membership(by.caller.user_id, |row| row.role = Role::Manager);
        }),
        ("member raised above its maker", |instance, _, ben, _| {
            instance.change_role(&instance.owner_now(), ben, Role::Owner);
        }),
        ("member removed", |instance, _, ben, _| instance.remove(&instance.owner_now(), ben)),
        ("member disabled", |instance, _, ben, _| instance.disable(ben)),
        ("team deleted", |instance, _, _, _| instance.delete_team(&instance.owner_now())),
    ];
    for (way, loss) in losses {
        let instance = Instance::new();
        let by = instance.colleague_at(Role::Administrator, EVE);
        let ben = instance.person(&instance.owner_now(), Role::Member, BEN);
        let token = instance.invited(&by, ben).unwrap();
        let link = instance.open(LinkKind::Invitation, token.reveal()).ok().unwrap();
        loss(&instance, &by, ben, InvitationId::from_uuid(token.id()));
        assert!(!instance.opens(&token), "{way}");
        let late = at_once(instance.app.set_up(link, chosen(PASSWORD, ""), &Whereabouts::default()));
        // Time alone changes no row, nor does a maker's role behind the back of the verbs.
        let unseen = ["too old", "maker disabled", "maker demoted behind its back"].contains(&way);
        assert!(unseen || not_proven(&late), "{way}: {:?}", late.err());
    }
}

#[test]
fn an_invitation_is_good_for_a_week() {
    let instance = Instance::new();
    let ben = instance.person(&instance.owner_now(), Role::Member, BEN);
    let token = instance.invited(&instance.owner_now(), ben).unwrap();
    instance.clock.pass(LASTS - 1);
    assert!(instance.opens(&token));
    assert_eq!(instance.invitations(&instance.owner_now()).len(), 1);
    instance.clock.pass(1);
    assert!(!instance.opens(&token));
    assert!(instance.invitations(&instance.owner_now()).is_empty());
    assert_eq!(LASTS, 7 * 24 * 60 * 60 * 1_000);
}

#[test]
fn a_new_invitation_takes_the_place_of_the_one_before() {
    let instance = Instance::new();
    let [ben, eve] = [BEN, EVE].map(|email| instance.person(&instance.owner_now(), Role::Member, email));
    let first = instance.invited(&instance.owner_now(), ben).unwrap();
    let other = instance.invited(&instance.owner_now(), eve).unwrap();
    let second = instance.invited(&instance.owner_now(), ben).unwrap();
    assert_eq!([&first, &second, &other].map(|token| instance.opens(token)), [false, true, true]);
    let listed = instance.invitations(&instance.owner_now());
    assert_eq!(listed.iter().map(|(_, user)| *user).collect::<Vec<_>>(), [eve, ben]);
}

#[test]
fn whoever_reaches_the_member_cancels_once() {
    let instance = Instance::new();
    let gliders = instance.other_team();
    let [administrator, builder] = [Role::Administrator, Role::Builder].map(|role| instance.colleague(role));
    let [ben, eve] = [(BEN, Role::Member), (EVE, Role::Owner)]
        .map(|(email, role)| instance.person(&instance.owner_now(), role, email));
    let [for_ben, for_eve] = [ben, eve].map(|user| instance.invited(&instance.owner_now(), user).unwrap());
    let cancel = |by: &Ask, token: &Token| {
        let id = InvitationId::from_uuid(token.id());
        instance.done(by, at_once(instance.app.cancel_invitation(by, id)))
    };
    assert!(matches!(cancel(&builder, &for_ben), Err(Error::Denied(Denied::Role(_)))));
    assert!(matches!(cancel(&gliders, &for_ben), Err(Error::Denied(Denied::Invisible))));
    assert!(matches!(cancel(&administrator, &for_eve), Err(Error::Denied(Denied::Above(_)))));
    assert!(instance.opens(&for_ben) && instance.opens(&for_eve));
    cancel(&administrator, &for_ben).unwrap();
    assert!(matches!(cancel(&administrator, &for_ben), Err(Error::Denied(Denied::Invisible))));
    assert!(!instance.opens(&for_ben) && instance.opens(&for_eve));
}

/// One that was being made while its member was removed.
#[test]
fn who_comes_back_has_no_invitation_of_before() {
    let instance = Instance::new();
    let ben = instance.person(&instance.owner_now(), Role::Member, BEN);
    let token = instance.invited(&instance.owner_now(), ben).unwrap();
    let open = instance.store.tables().invitations[0].clone();
    instance.remove(&instance.owner_now(), ben);
    instance.store.tables().invitations[0] = open;
    let who = Newcomer::Former(ben);
    let back =
        at_once(instance.app.add_member(&instance.owner_now(), &NewMember { who, role: Role::Member }));
    instance.done(&instance.owner_now(), back).unwrap();
    assert!(!instance.opens(&token));
}

/// What proved them was changed between the look at it and the joining.
#[test]
fn nobody_joins_by_a_password_of_before() {
    let instance = std::sync::Arc::new(Instance::new());
    let gliders = instance.other_team();
    let signed_in = instance.set_up(ADA, PASSWORD);
    let in_gliders = instance.ada();
    instance.store.tables().memberships.iter_mut().for_each(|row| {
        if row.row().team_id == gliders.caller.team_id {
            let mut changed = row.row().clone();
            changed.sign_in = None;
            *row = instance.sign(changed);
        }
    });
    let token = instance.invited(&gliders, in_gliders).unwrap();
    let link = instance.open(LinkKind::Invitation, token.reveal()).ok().unwrap();
    let meanwhile = std::sync::Arc::downgrade(&instance);
    instance.store.set_meanwhile(Box::new(move || {
        let instance = meanwhile.upgrade().unwrap();
        let by_ada = instance.by_session(&signed_in.token).unwrap();
        let new = NewFactors::Password("another good password".to_owned());
        let changed = at_once(instance.app.change_sign_in(&by_ada, (typed(PASSWORD), ""), new));
        // The second time it is that already.
        assert!(changed.is_ok() || wrong(&changed));
        Ok(())
    }));
    let joined = at_once(instance.app.join(link, attempt(ADA, PASSWORD, "")));
    instance.store.clear_meanwhile();
    assert!(joined.is_err());
    assert!(instance.opens(&token), "it was not used");
    assert!(instance.joined(&token, attempt(ADA, "another good password", "")).is_ok());
}

/// The other way round: a password of before came into another team while it was being
/// changed.
#[test]
fn no_session_slips_past_a_change_by_an_invitation() {
    let instance = std::sync::Arc::new(Instance::new());
    let first = instance.set_up(ADA, PASSWORD).token;
    let gliders = instance.other_team();
    let token = instance.invited(&gliders, instance.ada()).unwrap();
    let by_ada = instance.by_session(&first).unwrap();
    let joined = std::sync::Arc::new(std::sync::Mutex::new(None));
    let (meanwhile, kept) = (std::sync::Arc::downgrade(&instance), joined.clone());
    instance.store.set_meanwhile(Box::new(move || {
        let signed_in = meanwhile.upgrade().unwrap().joined(&token, attempt(ADA, PASSWORD, ""));
        *kept.lock().unwrap() = signed_in.ok().map(|signed_in| signed_in.token);
        Ok(())
    }));
    let change = || {
        let new = NewFactors::Password("another good password".to_owned());
        at_once(instance.app.change_sign_in(&by_ada, (typed(PASSWORD), ""), new))
    };
    let late = change();
    instance.store.clear_meanwhile();
    assert!(matches!(late, Err(SignInError::Other(Error::Store(StoreError::Changed)))), "{:?}", late.err());
    let joined = joined.lock().unwrap().take().expect("they came in");
    assert!(instance.by_session(&joined).is_ok());
    change().expect("planned anew");
    assert!(not_proven(&instance.by_session(&joined)));
    let by_ada = instance.by_session(&first).unwrap();
    assert_eq!(at_once(instance.app.teams_of_session(&by_ada)).unwrap().len(), 2);
}

/// A list of many is read whole.
#[test]
fn all_invitations_are_listed() {
    let instance = Instance::new();
    let ben = instance.person(&instance.owner_now(), Role::Member, BEN);
    instance.invited(&instance.owner_now(), ben).unwrap();
    let first = instance.store.tables().invitations[0].row().clone();
    let more: Vec<Stored<_>> = (0..300)
        .map(|_| {
            let id = InvitationId::from_uuid(instance.id());
            instance.sign(strongroom_core::invitations::Invitation { id, ..first.clone() })
        })
        .collect();
    instance.store.tables().invitations.extend(more);
    assert_eq!(instance.invitations(&instance.owner_now()).len(), 301);
    instance.remove(&instance.owner_now(), ben);
    assert!(instance.invitations(&instance.owner_now()).is_empty());
}
