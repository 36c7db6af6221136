//! Agents, their revisions, and what is attached to them.

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use maud::{Markup, html};
use std::collections::HashMap;
use std::sync::Arc;
use strongroom_core::access::Action;
use strongroom_core::agents::{Agent, Revision};
use strongroom_core::app::{Preview, PreviewedName};
use strongroom_core::environment::Reason;
use strongroom_core::health::ValueHint;
use strongroom_core::rows::Proven;
use strongroom_core::secrets::{Filter, Secret};
use strongroom_core::text::{AgentName, RevisionName};
use strongroom_core::{AgentId, RevisionId, SecretId};

use crate::desk::Desk;
use crate::forms::Sent;
use crate::refusal::{Refusal, to_mend};
use crate::secrets::{keys, refused, whose};
use crate::visit::{self, Visit, query};
use crate::{layout, parts};

/// The most revisions that are shown.
const SHOWN: usize = 200;
/// The most secrets to choose from: each is proven before it is offered.
const OFFERED: usize = 100;
/// How many times the store is asked for secrets to choose from, of which few match.
const LOOKS: usize = 4;

pub(crate) fn routes() -> Router<Arc<Desk>> {
    Router::new()
        .route("/agents", get(list).post(create))
        .route("/agents/{id}", get(show).post(rename))
        .route("/agents/{id}/delete", post(delete))
        .route("/agents/{id}/revisions", post(create_revision))
        .route("/agents/{id}/promote", post(promote))
        .route("/agents/{id}/attach", post(attach))
        .route("/agents/{id}/detach", post(detach))
}

fn id(text: &str) -> Result<AgentId, Refusal> {
    AgentId::parse(text).map_err(|_| Refusal::absent())
}

async fn list(State(desk): State<Arc<Desk>>, visit: Visit, request: Request) -> Result<Response, Refusal> {
    let from = visit::from(&request.into_parts().0);
    Ok(layout::page(&desk, &visit, "Agents", &listed(&desk, &visit, None, from).await?))
}

async fn listed(desk: &Desk, visit: &Visit, problem: Option<&str>, from: usize) -> Result<Markup, Refusal> {
    let list = desk.app.agents(&visit.ask, None, (from, parts::SHOWN)).await?;
    Ok(html! {
        h1 { "Agents" }
        p { "An agent is a program that acts for the team. What is attached to its live revision, its runs receive." }
        (parts::problem(problem))
        @if visit.may_ever(Action::CreateAgent) {
            form.search method="post" action=(desk.to("/agents")) {
                (parts::token(&visit.form))
                label for="name" { "New agent" }
                input #name name="name" maxlength=(AgentName::MAX) required autocomplete="off";
                button type="submit" { "Create" }
            }
        }
        @if list.total == 0 { p { "There are none yet." } } @else {
            div.scroll { table {
                thead { tr { th { "Name" } th { "Live" } th { "Changed" } } }
                tbody {
                    @for agent in &list.agents {
                        tr {
                            th scope="row" { a href=(desk.to(&format!("/agents/{}", agent.id))) { (agent.name) } }
                            td data-label="Live" { @if agent.live.is_some() { "yes" } @else { "no revision yet" } }
                            td data-label="Changed" { (parts::time(agent.updated_at)) }
                        }
                    }
                }
            } }
            (parts::turned(desk, "/agents", from, list.total))
        }
    })
}

async fn create(State(desk): State<Arc<Desk>>, sent: Sent) -> Result<Response, Refusal> {
    let Sent { visit, fields } = sent;
    let made = match AgentName::parse(fields.text("name").trim()) {
        Ok(name) => {
            let plan = || async { desk.app.create_agent(&visit.ask, name.clone()) };
            desk.done(&visit.ask, plan).await
        }
        Err(invalid) => Err(refused("name", invalid)),
    };
    match made {
        Ok(agent) => Ok(desk.go(&format!("/agents/{}?done=agent-created", agent.id)).into_response()),
        Err(refusal) => {
            let message = refusal.in_form()?;
            let page = listed(&desk, &visit, Some(&message), 0).await?;
            Ok(to_mend(layout::page(&desk, &visit, "Agents", &page)))
        }
    }
}

async fn show(
    State(desk): State<Arc<Desk>>,
    visit: Visit,
    Path(text): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let search = query(&request.into_parts().0, "search").unwrap_or_default();
    shown(&desk, &visit, id(&text)?, (None, &search)).await
}

/// The page of an agent, with what is in the way and which secrets are looked for.
async fn shown(
    desk: &Desk,
    visit: &Visit,
    id: AgentId,
    (problem, search): (Option<&str>, &str),
) -> Result<Response, Refusal> {
    // All of them: the live one may be old, and the newest are what somebody looks for.
    let list = desk.app.revisions(&visit.ask, id, (0, usize::MAX)).await?;
    let agent = &list.agent;
    let content = html! {
        h1 { (agent.name) }
        dl.facts {
            dt { "Id" } dd { code { (agent.id) } }
            dt { "Created" } dd { (parts::time(agent.created_at)) }
        }
        p { a href=(desk.to(&format!("/runs?agent={id}"))) { "Its runs" } }
        (parts::problem(problem))
        @if let Some(live) = list.revisions.iter().find(|revision| agent.live == Some(revision.id)) {
            (of_revision(desk, visit, (agent, live), search).await?)
        } @else {
            p { "It has no revision yet. The first one becomes the live one." }
        }
        h2 { "Revisions" }
        (revisions(desk, visit, agent, &list.revisions))
        @if visit.may(Action::UpdateAgent) {
            h2 { "Settings" }
            form method="post" action=(desk.to(&format!("/agents/{id}"))) {
                (parts::token(&visit.form))
                (parts::text(("Name", "name", ""), agent.name.as_str(), AgentName::MAX, true))
                button type="submit" { "Rename" }
            }
        }
        @if visit.may(Action::DeleteAgent) {
            (parts::danger("Delete this agent", "Its runs end at once, and none can be started.",
                &parts::button(&desk.to(&format!("/agents/{id}/delete")), &visit.form, "Delete it", &[])))
        }
    };
    Ok(layout::page(desk, visit, agent.name.as_str(), &content))
}

fn revisions(desk: &Desk, visit: &Visit, agent: &Agent, revisions: &[Proven<Revision>]) -> Markup {
    html! {
        @if visit.may(Action::CreateRevision) {
            form.search method="post" action=(desk.to(&format!("/agents/{}/revisions", agent.id))) {
                (parts::token(&visit.form))
                label for="revision" { "New revision" }
                input #revision name="name" maxlength=(RevisionName::MAX) required autocomplete="off";
                button type="submit" { "Create" }
            }
        }
        ul.plain {
            @for revision in revisions.iter().rev().take(SHOWN) {
                li {
                    (revision.name) ", " (parts::time(revision.created_at)) " "
                    @if agent.live == Some(revision.id) { "(live)" } @else if visit.may(Action::PromoteRevision) {
                        (parts::button(&desk.to(&format!("/agents/{}/promote", agent.id)), &visit.form, "Make it live", &[("revision", &revision.id.to_string())]))
                    }
                }
            }
        }
        @if revisions.len() > SHOWN { p { "These are the newest " (SHOWN) " of " (revisions.len()) "." } }
    }
}

/// What runs of the live revision receive.
async fn of_revision(
    desk: &Desk,
    visit: &Visit,
    (agent, live): (&Agent, &Revision),
    search: &str,
) -> Result<Markup, Refusal> {
    let attached = desk.app.attached_secrets(&visit.ask, (agent.id, live.id)).await?;
    let preview = if visit.may(Action::PreviewEnvironment) {
        Some(desk.app.preview(&visit.ask, agent.id, live.id).await?)
    } else {
        None
    };
    Ok(html! {
        h2 { "What runs receive" }
        p { "Of the live revision, " (live.name) "; each run receives what is attached when it starts." }
        @if !attached.is_empty() {
            div.scroll { table {
                thead { tr { th { "Secret" } th { "Variables" } th { "Whose" } th {} } }
                tbody {
                    @for secret in &attached {
                        tr {
                            th scope="row" { a href=(desk.to(&format!("/secrets/{}", secret.id))) { (secret.name) } }
                            td { (keys(&secret.env_keys)) }
                            td data-label="Whose" { (whose(secret)) }
                            td {
                                @if may(visit, Action::DetachSecret, secret) {
                                    (parts::button(&desk.to(&format!("/agents/{}/detach", agent.id)), &visit.form, "Detach",
                                        &[("secret", &secret.id.to_string()), ("revision", &live.id.to_string())]))
                                }
                            }
                        }
                    }
                }
            } }
        }
        @if visit.may_ever(Action::AttachSecret) { (choice(desk, visit, (agent, live), (&attached, search)).await?) }
        @if let Some(preview) = &preview { (previewed(preview)) }
    })
}

/// Whether they may do this to a secret: with one of their own more than with the team's.
fn may(visit: &Visit, action: Action, secret: &Secret) -> bool {
    let caller = &visit.ask.caller;
    caller.permit(action, caller.ownership(secret.team_id, secret.owner)).is_ok()
}

/// Secrets that could be attached, found by a part of their names where there are many.
async fn choice(
    desk: &Desk,
    visit: &Visit,
    (agent, live): (&Agent, &Revision),
    (attached, search): (&[Proven<Secret>], &str),
) -> Result<Markup, Refusal> {
    let (secrets, are_all) = attachable(desk, visit, attached, search).await?;
    Ok(html! {
        @if !are_all || !search.is_empty() {
            form.search method="get" action=(desk.to(&format!("/agents/{}", agent.id))) role="search" {
                label for="search" { "Find a secret to attach" }
                input #search type="search" name="search" value=(search) maxlength="128";
                button type="submit" { "Search" }
            }
        }
        form.search method="post" action=(desk.to(&format!("/agents/{}/attach", agent.id))) {
            (parts::token(&visit.form))
            input type="hidden" name="revision" value=(live.id);
            label for="secret" { "Attach" }
            @if secrets.is_empty() {
                span { @if search.is_empty() { "There is no other secret to attach." } @else { "None that could be attached matches." } }
            } @else {
                select #secret name="secret" {
                    @for secret in &secrets { option value=(secret.id) { (secret.name) " (" (whose(secret)) ")" } }
                }
                button type="submit" { "Attach" }
                @if !are_all { small { "These are " (secrets.len()) " of them: search for others." } }
            }
        }
    })
}

/// Some of the secrets that match and could be attached, and whether they are all.
async fn attachable(
    desk: &Desk,
    visit: &Visit,
    attached: &[Proven<Secret>],
    search: &str,
) -> Result<(Vec<Proven<Secret>>, bool), Refusal> {
    let few = u32::try_from(OFFERED).unwrap_or(u32::MAX);
    let (filter, mut after, mut found) = (Filter::new(Some(search), None), None, Vec::new());
    for _ in 0..LOOKS {
        let page = desk.app.secrets_after(&visit.ask, after, &filter, few).await?;
        after = page.next;
        found.extend(page.secrets.into_iter().filter(|secret| {
            may(visit, Action::AttachSecret, secret) && attached.iter().all(|there| there.id != secret.id)
        }));
        // One more than is shown tells that they aren't all.
        if after.is_none() || found.len() > OFFERED {
            break;
        }
        // A long search lets others have their turn.
        tokio::task::yield_now().await;
    }
    let are_all = after.is_none() && found.len() <= OFFERED;
    found.truncate(OFFERED);
    Ok((found, are_all))
}

fn previewed(preview: &Preview) -> Markup {
    let names: HashMap<SecretId, &str> =
        preview.secrets.iter().map(|one| (one.secret.id, one.secret.name.as_str())).collect();
    let called = |id: &SecretId| names.get(id).copied().unwrap_or("another secret");
    html! {
        @if !preview.names.is_empty() {
            h3 { "The environment of a run of yours" }
            div.scroll { table {
                thead { tr { th { "Name" } th { "From" } th { "Note" } } }
                tbody {
                    @for name in &preview.names {
                        tr {
                            th scope="row" { code { (name.key) } }
                            td data-label="From" { (called(&name.secret_id)) }
                            td { (note(name, &name.over.iter().map(called).collect::<Vec<_>>())) }
                        }
                    }
                }
            } }
        }
    }
}

fn note(name: &PreviewedName, over: &[&str]) -> Markup {
    let why = match name.reason {
        Reason::Only => "",
        Reason::Personal => "your own wins over the team's",
        Reason::Later => "this one was attached later",
    };
    html! {
        @if !over.is_empty() { strong { "Collision" } " with " (over.join(", ")) ": " (why) ". " }
        @for hint in &name.hints { (noticed(*hint)) " " }
    }
}

const fn noticed(hint: ValueHint) -> &'static str {
    match hint {
        ValueHint::Placeholder => "It reads like an example that nobody filled in.",
        ValueHint::Quoted => "It has quotes around it, which programs take as part of it.",
        ValueHint::Whitespace => "It has white space at its beginning or end.",
    }
}

/// Leads back to the page of an agent, with what was done or what is in the way.
async fn answered<T>(
    desk: &Desk,
    visit: &Visit,
    id: AgentId,
    done: Result<T, Refusal>,
    name: &str,
) -> Result<Response, Refusal> {
    let Err(refusal) = done else { return Ok(desk.go(&format!("/agents/{id}?done={name}")).into_response()) };
    let message = refusal.in_form()?;
    Ok(to_mend(shown(desk, visit, id, (Some(&message), "")).await?))
}

async fn rename(
    State(desk): State<Arc<Desk>>,
    Path(text): Path<String>,
    sent: Sent,
) -> Result<Response, Refusal> {
    let (id, ask) = (id(&text)?, &sent.visit.ask);
    let done = match AgentName::parse(sent.fields.text("name").trim()) {
        Ok(name) => desk.done(ask, || desk.app.update_agent(ask, id, &name)).await,
        Err(invalid) => Err(refused("name", invalid)),
    };
    answered(&desk, &sent.visit, id, done, "agent-changed").await
}

async fn delete(
    State(desk): State<Arc<Desk>>,
    Path(text): Path<String>,
    sent: Sent,
) -> Result<Response, Refusal> {
    let (id, ask) = (id(&text)?, &sent.visit.ask);
    desk.done(ask, || desk.app.delete_agent(ask, id)).await?;
    Ok(desk.go("/agents?done=agent-deleted").into_response())
}

async fn create_revision(
    State(desk): State<Arc<Desk>>,
    Path(text): Path<String>,
    sent: Sent,
) -> Result<Response, Refusal> {
    let (id, ask) = (id(&text)?, &sent.visit.ask);
    let done = match RevisionName::parse(sent.fields.text("name").trim()) {
        Ok(name) => desk.done(ask, || desk.app.create_revision(ask, id, &name)).await.map(|_| ()),
        Err(invalid) => Err(refused("name", invalid)),
    };
    answered(&desk, &sent.visit, id, done, "revision-created").await
}

async fn promote(
    State(desk): State<Arc<Desk>>,
    Path(text): Path<String>,
    sent: Sent,
) -> Result<Response, Refusal> {
    let (id, ask) = (id(&text)?, &sent.visit.ask);
    let revision = RevisionId::parse(sent.fields.text("revision")).map_err(|_| Refusal::absent())?;
    let done = desk.done(ask, || desk.app.promote_revision(ask, revision, None)).await;
    answered(&desk, &sent.visit, id, done, "promoted").await
}

/// Which secret, and to or from which revision.
fn named(sent: &Sent) -> Result<(SecretId, RevisionId), Refusal> {
    let secret = SecretId::parse(sent.fields.text("secret")).map_err(|_| Refusal::absent())?;
    Ok((secret, RevisionId::parse(sent.fields.text("revision")).map_err(|_| Refusal::absent())?))
}

async fn attach(
    State(desk): State<Arc<Desk>>,
    Path(text): Path<String>,
    sent: Sent,
) -> Result<Response, Refusal> {
    let (id, ask, (secret, revision)) = (id(&text)?, &sent.visit.ask, named(&sent)?);
    let done = desk.done(ask, || desk.app.attach_secret(ask, (id, revision), secret)).await;
    answered(&desk, &sent.visit, id, done, "attached").await
}

async fn detach(
    State(desk): State<Arc<Desk>>,
    Path(text): Path<String>,
    sent: Sent,
) -> Result<Response, Refusal> {
    let (id, ask, (secret, revision)) = (id(&text)?, &sent.visit.ask, named(&sent)?);
    let done = desk.done(ask, || desk.app.detach_secret(ask, (id, revision), secret)).await;
    answered(&desk, &sent.visit, id, done, "detached").await
}
