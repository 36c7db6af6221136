//! The page behind the link of a request: who asks, for what, where the values will
//! go, and a form for them. What is filled in goes nowhere but into the secret.

use axum::Router;
use axum::extract::{FromRequestParts, Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use maud::{Markup, html};
use std::fmt::Display;
use std::sync::Arc;
use strongroom_core::access::{Action, Denied, Means, Ownership};
use strongroom_core::app::{Ask, Error, FillLink};
use strongroom_core::rows::Proven;
use strongroom_core::secrets::Secret;
use strongroom_core::text::{AgentName, RevisionName};
use strongroom_core::{AgentId, EnvKey, RevisionId, SecretId, StoreError};

use crate::browser;
use crate::desk::Desk;
use crate::forms::{Fields, Sent, Stranger};
use crate::refusal::{Refusal, to_mend};
use crate::secrets::{bundle, service};
use crate::set_up::opened;
use crate::visit::Visit;
use crate::{catalog, layout, parts, sign_in};

pub(crate) fn routes() -> Router<Arc<Desk>> {
    Router::new().route("/fill/{token}", get(ask).post(fill)).route("/fill/{token}/alone", post(fill_alone))
}

async fn ask(
    State(desk): State<Arc<Desk>>,
    Path(token): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let (mut head, _) = request.into_parts();
    let link = opened(desk.app.fill_link(&token, browser::cause(&head.extensions)).await)?;
    match Visit::from_request_parts(&mut head, &desk).await {
        Ok(visit) => signed_in(&desk, &visit, (&token, &link), (None, &Fields::default())).await,
        Err(refusal) if refusal.status != StatusCode::UNAUTHORIZED => Err(refusal),
        Err(refusal) if link.alone().is_none() => Err(refusal),
        Err(_) => Ok(sign_in::bound(&desk, &head.headers, |form| {
            layout::alone(&desk, "Fill in a secret", &alone(&desk, (&token, &link), (form, None)))
        })),
    }
}

/// As what somebody may fill it in.
#[derive(Clone, Copy)]
struct May {
    /// As the team's.
    shared: bool,
    /// As their own: they asked for it themselves.
    own: bool,
}

impl May {
    fn of(visit: &Visit, link: &FillLink) -> Self {
        let caller = &visit.ask.caller;
        Self {
            shared: caller.permit(Action::Fill, Ownership::Shared).is_ok(),
            own: caller.user_id == link.request.user_id,
        }
    }
}

/// The page for somebody who is signed in.
async fn signed_in(
    desk: &Desk,
    visit: &Visit,
    (token, link): (&str, &FillLink),
    (problem, filled): (Option<&str>, &Fields),
) -> Result<Response, Refusal> {
    let may = May::of(visit, link);
    let place = attachable(desk, visit, link).await?;
    let content = html! {
        (asked(link))
        (parts::problem(problem))
        @if visit.team.id != link.team.id {
            (elsewhere(desk, visit, link).await?)
        } @else if may.shared || may.own {
            form method="post" action=(desk.to(&format!("/fill/{token}"))) autocomplete="off" {
                (parts::token(&visit.form))
                (values(link))
                (places(place.as_ref(), (may, filled)))
                button type="submit" { "Fill it in" }
            }
        } @else {
            p role="alert" { "A secret of the team's is filled in by somebody with the role manager or higher. Send them the link." }
            @if link.alone().is_some() {
                p { "Who isn't signed in can fill it in, too: it becomes a secret of " strong { (theirs(&link.asker.name)) } "'s own then." }
            }
        }
    };
    Ok(layout::page(desk, visit, "Fill in a secret", &content))
}

/// For somebody who is in another team just now.
async fn elsewhere(desk: &Desk, visit: &Visit, link: &FillLink) -> Result<Markup, Refusal> {
    let reachable = desk.app.teams_of_session(&visit.ask).await?.iter().any(|team| team.id == link.team.id);
    Ok(html! {
        p role="alert" { "This is asked of the team " strong { (theirs(&link.team.name)) } ", and you are in " strong { (theirs(&visit.team.name)) } "." }
        @if reachable {
            (parts::button(&desk.to("/account/team"), &visit.form, "Go there", &[("team", &link.team.id.to_string())]))
            p { "Then open the link again." }
        }
    })
}

/// What somebody else wrote: whichever way it turns the letters, those around it stay
/// as they are.
fn theirs(text: &impl Display) -> Markup {
    html! { bdi { (text.to_string()) } }
}

/// Who asks, and for what.
fn asked(link: &FillLink) -> Markup {
    let request = &link.request;
    html! {
        h1 { "Fill in " (theirs(&request.name)) }
        p.lead {
            @match &link.asking {
                Some((agent, revision)) => {
                    "The agent " strong { (theirs(&agent.name)) }
                    @if let Some(revision) = revision { " (" (theirs(&revision.name)) ")" }
                    ", in a run that " strong { (theirs(&link.asker.name)) } " started, asks the team "
                }
                None => {
                    strong { (theirs(&link.asker.name)) }
                    @if let Some(key) = &link.key { ", or a program with the API key " q { (theirs(key)) } "," }
                    " asks the team "
                }
            }
            strong { (theirs(&link.team.name)) } " for this."
        }
        dl.facts {
            @if let Some(slug) = &request.service_slug { dt { "Service" } dd { (service(slug)) } }
            @if let Some(note) = &request.note { dt { "What for" } dd { q { (theirs(note)) } " " small { "(their words, which nobody checked)" } } }
            dt { "Until" } dd { (parts::time(request.expires_at)) }
        }
    }
}

fn values(link: &FillLink) -> Markup {
    let slug = link.request.service_slug.as_ref();
    html! {
        @if let Some(about) = slug.and_then(|slug| catalog::entry(slug.as_str())).and_then(|entry| entry.where_to_get.as_deref()) {
            p { (about) }
        }
        @for key in &link.request.env_keys {
            div.field {
                label for={ "value-" (key) } { code { (key) } }
                input type="hidden" name="key" value=(key);
                textarea.value #{ "value-" (key) } name="value" rows="1" required spellcheck="false" autocomplete="off" autocapitalize="off" {}
            }
        }
        p { small { "Whoever asks learns that it was filled in, and never what. No page shows the values again." } }
    }
}

/// Where the values will be allowed to go: no further than is chosen, which stays
/// chosen when the form was refused.
fn places(place: Option<&Attachable<'_>>, (may, filled): (May, &Fields)) -> Markup {
    let shared = filled.ticked("shared");
    html! {
        fieldset {
            legend { "Where they go" }
            @if may.shared && may.own {
                label.box { input type="radio" name="shared" value="" checked[!shared]; " Into a secret of your own: only runs that you start receive it" }
                label.box { input type="radio" name="shared" value="yes" checked[shared]; " Into a secret of the team's: runs that anybody in it starts receive it" }
            } @else if may.shared {
                input type="hidden" name="shared" value="yes";
                p { "Into a new secret of the team's." }
            } @else {
                p { "Into a new secret of your own: only runs that you start receive it." }
            }
            p { "No run receives them until the secret is attached to an agent." }
            @if let Some(Attachable { agent, revision, beaten }) = place {
                label.box {
                    input type="checkbox" name="attach" value="yes" checked[filled.ticked("attach")];
                    " Attach it to the agent " strong { (theirs(agent)) } " (" (theirs(revision)) "): runs of that revision that start from now on receive it"
                }
                @if !beaten.is_empty() {
                    p { "They receive " @for key in beaten { code { (key) } " " } "from another secret by now. Attached, this one can take its place." }
                }
            }
        }
    }
}

/// What it can be attached to.
struct Attachable<'l> {
    agent: &'l AgentName,
    revision: &'l RevisionName,
    /// Which of what is asked for the revision's runs receive by now.
    beaten: Vec<EnvKey>,
}

/// The agent and revision that ask, where this person may attach to them.
async fn attachable<'l>(
    desk: &Desk,
    visit: &Visit,
    link: &'l FillLink,
) -> Result<Option<Attachable<'l>>, Refusal> {
    let Some((agent, Some(revision))) = &link.asking else { return Ok(None) };
    let here = visit.team.id == link.team.id && agent.deleted_at.is_none();
    if !here || !visit.may(Action::AttachSecret) {
        return Ok(None);
    }
    let attached = desk.app.attached_secrets(&visit.ask, (agent.id, revision.id)).await?;
    let is_there = |key: &&EnvKey| attached.iter().any(|secret| secret.env_keys.contains(key));
    let beaten = link.request.env_keys.iter().filter(is_there).cloned().collect();
    Ok(Some(Attachable { agent: &agent.name, revision: &revision.name, beaten }))
}

/// The page for whoever has the link, where that is enough.
fn alone(desk: &Desk, (token, link): (&str, &FillLink), (form, problem): (&str, Option<&str>)) -> Markup {
    html! {
        (asked(link))
        (parts::problem(problem))
        form method="post" action=(desk.to(&format!("/fill/{token}/alone"))) autocomplete="off" {
            (parts::token(form))
            (values(link))
            p { "They go into a new secret of " strong { (theirs(&link.asker.name)) } "'s own: only runs that they start receive it, and only once they attach it to an agent." }
            button type="submit" { "Fill it in" }
        }
        p { a href=(desk.to(&format!("/sign-in?to=/fill/{token}"))) { "Sign in instead" } }
    }
}

async fn fill(
    State(desk): State<Arc<Desk>>,
    Path(token): Path<String>,
    sent: Sent,
) -> Result<Response, Refusal> {
    let Sent { visit, fields } = sent;
    let link = opened(desk.app.fill_link(&token, visit.ask.cause).await)?;
    if visit.team.id != link.team.id {
        let page = signed_in(&desk, &visit, (&token, &link), (None, &fields)).await?;
        // As whatever is another team's: not there.
        return Ok((StatusCode::NOT_FOUND, page).into_response());
    }
    if !fields.ticked("shared") && !May::of(&visit, &link).own {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "Only whoever asked for it makes it a secret of their own. Nothing was stored.",
        ));
    }
    let done = filled(&desk, &visit.ask, &link, (&fields, fields.ticked("shared"))).await;
    match done {
        Ok(secret) => {
            let attached = attach(&desk, &visit, &link, (&fields, secret.id)).await;
            Ok(layout::page(&desk, &visit, "Filled in", &thanks(&desk, Some((&secret, attached)))))
        }
        Err(refusal) => {
            let message = again(refusal)?;
            let page = signed_in(&desk, &visit, (&token, &link), (Some(&message), &fields)).await?;
            Ok(to_mend(page))
        }
    }
}

async fn fill_alone(
    State(desk): State<Arc<Desk>>,
    Path(token): Path<String>,
    sent: Stranger,
) -> Result<Response, Refusal> {
    let link = opened(desk.app.fill_link(&token, browser::cause(&sent.parts.extensions)).await)?;
    let Some(ask) = link.alone() else {
        return Ok(desk.go(&format!("/sign-in?to=/fill/{token}")).into_response());
    };
    match filled(&desk, ask, &link, (&sent.fields, false)).await {
        Ok(_) => Ok(layout::alone(&desk, "Filled in", &thanks(&desk, None))),
        Err(refusal) => {
            let message = again(refusal)?;
            let page = alone(&desk, (&token, &link), (sent.form(), Some(&message)));
            Ok(to_mend(layout::alone(&desk, "Fill in a secret", &page)))
        }
    }
}

/// What stands in a form that was refused: no page gives a value back.
fn again(refusal: Refusal) -> Result<String, Refusal> {
    Ok(format!("{} Nothing was stored: fill in each value again.", refusal.in_form()?))
}

/// Fills in what was sent; done by somebody else at the same time, the link is used up.
async fn filled(
    desk: &Desk,
    ask: &Ask,
    link: &FillLink,
    (fields, shared): (&Fields, bool),
) -> Result<Proven<Secret>, Refusal> {
    let values = bundle(fields)?;
    let planned = match desk.app.fill(ask, link.request.id, (values, shared)).await {
        Err(Error::Denied(Denied::Invisible)) => opened(Err(Error::NotProven)),
        planned => opened(planned),
    };
    match desk.app.carry_out(ask, planned?, None).await {
        Err(Error::Store(StoreError::Changed)) => opened(Err(Error::NotProven)),
        Err(Error::NotProven) if !matches!(ask.caller.means, Means::Fill(_)) => Err(Refusal::signed_out()),
        done => opened(done),
    }
}

/// Attaches the secret to the revision that asked, if that was wished: whether it is.
async fn attach(
    desk: &Desk,
    visit: &Visit,
    link: &FillLink,
    (fields, secret): (&Fields, SecretId),
) -> Option<bool> {
    let run = link.request.run.filter(|_| fields.ticked("attach"))?;
    let to: (AgentId, RevisionId) = (run.agent_id, run.revision_id);
    Some(desk.done(&visit.ask, || desk.app.attach_secret(&visit.ask, to, secret)).await.is_ok())
}

fn thanks(desk: &Desk, secret: Option<(&Secret, Option<bool>)>) -> Markup {
    html! {
        h1 { "Filled in" }
        p role="status" { "Whoever asked is told that it was, and nothing of what. The link is used up." }
        @if let Some((secret, attached)) = secret {
            @match attached {
                Some(true) => p { "It is attached: runs that start from now on receive it." },
                Some(false) => p role="alert" { "It could not be attached to the agent: look at the agent's page." },
                None => p { "No run receives it until it is attached to an agent." },
            }
            p { a.button href=(desk.to(&format!("/secrets/{}", secret.id))) { "See the secret" } }
        } @else {
            p { "You can close this page." }
        }
    }
}
