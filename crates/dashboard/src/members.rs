//! Members of the team: people and service users, their roles, and the links by
//! which people come to sign in.

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use maud::{Markup, html};
use std::collections::HashMap;
use std::sync::Arc;
use strongroom_core::access::Action;
use strongroom_core::app::{LinkKind, NewMember, Newcomer};
use strongroom_core::text::{Email, Invalid, UserName};
use strongroom_core::users::ProvenMember;
use strongroom_core::{InvitationId, Role, UserId};

use crate::desk::Desk;
use crate::forms::{Fields, Sent};
use crate::refusal::{Refusal, to_mend};
use crate::visit::{self, Visit};
use crate::{confirm, layout, parts, set_up};

/// The most members that are shown.
const MOST: usize = 1_000;

pub(crate) fn routes() -> Router<Arc<Desk>> {
    Router::new()
        .route("/members", get(list).post(add))
        .route("/members/role", post(change))
        .route("/members/remove", post(remove))
        .route("/members/invite", post(invite))
        .route("/members/uninvite", post(uninvite))
}

/// What members are called, for pages that name them.
pub(crate) struct Names {
    members: Vec<ProvenMember>,
    places: HashMap<UserId, usize>,
}

impl Names {
    pub(crate) async fn read(desk: &Desk, visit: &Visit) -> Result<Self, Refusal> {
        let members = desk.app.members(&visit.ask, None, (0, MOST)).await?.members;
        let places = members.iter().enumerate().map(|(at, member)| (member.user.id, at)).collect();
        Ok(Self { members, places })
    }

    /// What a user is called; those who left have no name here.
    pub(crate) fn of(&self, user: UserId) -> &str {
        let member = self.places.get(&user).and_then(|at| self.members.get(*at));
        // Of a larger team only the first so many are known here.
        let unknown = if self.members.len() < MOST { "somebody who left" } else { "somebody" };
        member.map_or(unknown, |member| member.user.name.as_str())
    }

    /// Every member, and what they are called.
    pub(crate) fn all(&self) -> impl Iterator<Item = (UserId, &str)> {
        self.members.iter().map(|member| (member.user.id, member.user.name.as_str()))
    }

    /// What a user is in the team; who left is as the lowest.
    pub(crate) fn role(&self, user: UserId) -> Role {
        let member = self.places.get(&user).and_then(|at| self.members.get(*at));
        member.map_or(Role::Member, |member| member.membership.role)
    }

    /// The team's service users.
    pub(crate) fn services(&self) -> impl Iterator<Item = &ProvenMember> {
        self.members.iter().filter(|member| member.user.service_of.is_some())
    }
}

async fn list(State(desk): State<Arc<Desk>>, visit: Visit, request: Request) -> Result<Response, Refusal> {
    let from = visit::from(&request.into_parts().0);
    let page = page(&desk, &visit, (None, &Fields::default()), from).await?;
    Ok(layout::page(&desk, &visit, "Members", &page))
}

/// The page, with what is wrong and what was filled in.
async fn page(
    desk: &Desk,
    visit: &Visit,
    (problem, filled): (Option<&str>, &Fields),
    from: usize,
) -> Result<Markup, Refusal> {
    let names = Names::read(desk, visit).await?;
    let few = (from, parts::SHOWN);
    let list = desk.app.members(&visit.ask, None, few).await?;
    Ok(html! {
        h1 { "Members" }
        (parts::problem(problem))
        @if visit.may(Action::AddMember) {
            details open[filled.filled("name").is_some()] {
                summary { "Add a member" }
                (form(desk, visit, filled))
            }
        }
        div.scroll { table {
            thead { tr { th { "Name" } th { "Role" } th { "Signs in" } th {} } }
            tbody {
                @for member in &list.members { (row(desk, visit, member)) }
            }
        } }
        (parts::turned(desk, "/members", from, list.total))
        @if visit.may(Action::ListInvitations) { (invitations(desk, visit, &names).await?) }
    })
}

fn row(desk: &Desk, visit: &Visit, member: &ProvenMember) -> Markup {
    let (user, role) = (&member.user, member.membership.role);
    let id = user.id.to_string();
    let is_person = user.service_of.is_none();
    let is_self = user.id == visit.member.user.id;
    let below = visit.may(Action::UpdateMember) && role <= visit.role();
    html! {
        tr {
            th scope="row" {
                (user.name) @if is_self { " (you)" }
                br; small { (user.email.as_ref().map_or("service user", Email::as_str)) }
            }
            // Everybody may be less than they are.
            td { @if below || is_self && role > Role::Member { (roles(desk, visit, &id, role)) } @else { (role) } }
            td data-label="Signs in" { @if !is_person { "never" } @else if member.membership.sign_in.is_some() { "yes" } @else { "not yet" } }
            td {
                @if below && is_person && !is_self {
                    (parts::button(&desk.to("/members/invite"), &visit.form, "Invite", &[("user", &id)]))
                }
                @if below || is_self {
                    (parts::danger(if is_self { "Leave" } else { "Remove" },
                        if is_self {
                            "Your keys are revoked and your runs end. Your personal secrets stay for a while, in case you come back."
                        } else {
                            "Their keys are revoked and their runs end. Their personal secrets stay for a while, in case they come back."
                        },
                        &parts::button(&desk.to("/members/remove"), &visit.form, if is_self { "Leave the team" } else { "Remove them" }, &[("user", &id)])))
                }
            }
        }
    }
}

fn roles(desk: &Desk, visit: &Visit, id: &str, present: Role) -> Markup {
    html! {
        form.inline method="post" action=(desk.to("/members/role")) {
            (parts::token(&visit.form))
            input type="hidden" name="user" value=(id);
            (role_choice(visit, present, &format!("role-{id}")))
            button type="submit" { "Change" }
        }
    }
}

fn role_choice(visit: &Visit, present: Role, id: &str) -> Markup {
    html! {
        select #(id) name="role" aria-label="Role" {
            @for role in Role::ALL.into_iter().filter(|role| *role <= visit.role()) {
                option value=(role) selected[role == present] { (role) }
            }
        }
    }
}

fn form(desk: &Desk, visit: &Visit, filled: &Fields) -> Markup {
    let chosen = Role::from_name(filled.text("role")).unwrap_or(Role::Member);
    html! {
        form method="post" action=(desk.to("/members")) {
            (parts::token(&visit.form))
            (parts::text(("Name", "name", ""), filled.text("name"), UserName::MAX, true))
            (parts::field("Email address", "email", "Of a person. Leave it empty for a service user: one that programs act as, and that stays when people leave.", &html! {
                input #email name="email" type="email" value=(filled.text("email")) maxlength="254" autocomplete="off" aria-describedby="email-hint";
            }))
            (parts::field("Role", "role", "", &role_choice(visit, chosen, "role")))
            button type="submit" { "Add" }
        }
    }
}

async fn invitations(desk: &Desk, visit: &Visit, names: &Names) -> Result<Markup, Refusal> {
    let open = desk.app.invitations(&visit.ask).await?;
    Ok(html! {
        @if !open.is_empty() {
            h2 { "Open invitations" }
            ul.plain {
                @for invitation in &open {
                    li {
                        (names.of(invitation.user_id)) ", until " (parts::time(invitation.expires_at)) " "
                        @if names.role(invitation.user_id) <= visit.role() {
                            (parts::button(&desk.to("/members/uninvite"), &visit.form, "Withdraw", &[("invitation", &invitation.id.to_string())]))
                        }
                    }
                }
            }
        }
    })
}

fn newcomer(fields: &Fields) -> Result<NewMember, Refusal> {
    let named = |what: &str, refused: Invalid| Refusal::invalid(format!("The {what} {}.", refused.reason()));
    let name = UserName::parse(fields.text("name").trim()).map_err(|refused| named("name", refused))?;
    let who = match fields.filled("email") {
        Some(email) => {
            Newcomer::Person(Email::parse(email).map_err(|refused| named("address", refused))?, name)
        }
        None => Newcomer::Service(name),
    };
    Ok(NewMember { who, role: role(fields)? })
}

fn role(fields: &Fields) -> Result<Role, Refusal> {
    Role::from_name(fields.text("role")).ok_or_else(Refusal::absent)
}

fn user(fields: &Fields) -> Result<UserId, Refusal> {
    UserId::parse(fields.text("user")).map_err(|_| Refusal::absent())
}

async fn add(State(desk): State<Arc<Desk>>, sent: Sent) -> Result<Response, Refusal> {
    let Sent { visit, fields } = sent;
    let added = match newcomer(&fields) {
        Ok(new) => desk.done(&visit.ask, || desk.app.add_member(&visit.ask, &new)).await.map(|_| ()),
        Err(refusal) => Err(refusal),
    };
    answered(&desk, &visit, (added, &fields), "member-added").await
}

async fn change(State(desk): State<Arc<Desk>>, sent: Sent) -> Result<Response, Refusal> {
    let Sent { visit, fields } = sent;
    let (id, role) = (user(&fields)?, role(&fields)?);
    let changed = async {
        let ask = confirm::by(&desk, &visit, &fields).await?;
        desk.done(&ask, || desk.app.update_member(&ask, id, role)).await.map(|_| ())
    };
    let Err(refusal) = changed.await else {
        return answered(&desk, &visit, (Ok(()), &Fields::default()), "member-changed").await;
    };
    let names = Names::read(&desk, &visit).await?;
    // To be less nobody has to show that it is them.
    if role <= names.role(id) || !desk.app.must_confirm(&visit.ask).await? {
        return answered(&desk, &visit, (Err(refusal), &Fields::default()), "member-changed").await;
    }
    let again = Again {
        title: format!("Make {} {role}", names.of(id)),
        path: "/members/role",
        told: &[("user", id.to_string()), ("role", role.to_string())],
        button: "Change",
    };
    again.page(&desk, &visit, refusal).await
}

async fn remove(State(desk): State<Arc<Desk>>, sent: Sent) -> Result<Response, Refusal> {
    let (id, ask) = (user(&sent.fields)?, &sent.visit.ask);
    let removed = desk.done(ask, || desk.app.remove_member(ask, id)).await;
    answered(&desk, &sent.visit, (removed, &Fields::default()), "member-removed").await
}

/// The list anew, with what was done or what is in the way.
async fn answered(
    desk: &Desk,
    visit: &Visit,
    (done, filled): (Result<(), Refusal>, &Fields),
    name: &str,
) -> Result<Response, Refusal> {
    let Err(refusal) = done else { return Ok(desk.go(&format!("/members?done={name}")).into_response()) };
    let message = refusal.in_form()?;
    let page = page(desk, visit, (Some(&message), filled), 0).await?;
    Ok(to_mend(layout::page(desk, visit, "Members", &page)))
}

async fn invite(State(desk): State<Arc<Desk>>, sent: Sent) -> Result<Response, Refusal> {
    let Sent { visit, fields } = sent;
    let (id, names) = (user(&fields)?, Names::read(&desk, &visit).await?);
    let invited = async {
        let ask = confirm::by(&desk, &visit, &fields).await?;
        desk.done(&ask, || desk.app.invite(&ask, id)).await
    };
    let title = format!("Invite {}", names.of(id));
    let (invitation, token) = match invited.await {
        Ok(made) => made,
        Err(refusal) if !desk.app.must_confirm(&visit.ask).await? => return Err(refusal),
        Err(refusal) => {
            let told = [("user", id.to_string())];
            let again = Again { title, path: "/members/invite", told: &told, button: "Invite" };
            return again.page(&desk, &visit, refusal).await;
        }
    };
    let path = format!("{}/{}", set_up::path(LinkKind::Invitation), token.reveal());
    let content = html! {
        h1 { (title) }
        p { "Send them this link by a way that only they read. It is shown only now, works once, and until " (parts::time(invitation.expires_at)) ". Whoever opens it is taken for them in this team." }
        (parts::copied("link", "Invitation", &desk.address.url(&path, visit.host.as_deref())))
        p { a.button href=(desk.to("/members")) { "I have sent it" } }
    };
    Ok(layout::page(&desk, &visit, "Invitation", &content))
}

/// An act that is tried again once what is in the way is mended.
struct Again<'a> {
    title: String,
    path: &'a str,
    /// What it is told, by name.
    told: &'a [(&'a str, String)],
    button: &'a str,
}

impl Again<'_> {
    async fn page(&self, desk: &Desk, visit: &Visit, refusal: Refusal) -> Result<Response, Refusal> {
        let problem = refusal.in_form()?;
        let content = html! {
            h1 { (self.title) }
            (parts::problem(Some(&problem)))
            form method="post" action=(desk.to(self.path)) {
                (parts::token(&visit.form))
                @for (name, value) in self.told { input type="hidden" name=(name) value=(value); }
                (confirm::asked(desk, visit, "").await?)
                button type="submit" { (self.button) }
            }
            p { a href=(desk.to("/members")) { "Back to the members" } }
        };
        Ok(to_mend(layout::page(desk, visit, &self.title, &content)))
    }
}

async fn uninvite(State(desk): State<Arc<Desk>>, sent: Sent) -> Result<Response, Refusal> {
    let id = InvitationId::parse(sent.fields.text("invitation")).map_err(|_| Refusal::absent())?;
    let ask = &sent.visit.ask;
    desk.done(ask, || desk.app.cancel_invitation(ask, id)).await?;
    Ok(desk.go("/members?done=invitation-cancelled").into_response())
}
