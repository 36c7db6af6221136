//! Runs: those that there are and were, what each received and asked for, and the
//! ways to end one.

mod requests;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use maud::{Markup, html};
use std::sync::Arc;
use strongroom_core::access::Action;
use strongroom_core::app::{EventNames, Exposed, Suspected};
use strongroom_core::runs::{Delivery, ProvenRun, RunMode};
use strongroom_core::text::RunNote;
use strongroom_core::{AgentId, RunId, SecretId, Timestamp};

use crate::desk::Desk;
use crate::forms::Sent;
use crate::refusal::Refusal;
use crate::secret::short;
use crate::secrets::every_key;
use crate::visit::{Visit, query};
use crate::{layout, parts};

/// Runs on a page.
const SHOWN: u32 = 50;
/// Seconds after which a list of runs is shown anew.
const ANEW: u32 = 5;

pub(crate) fn routes() -> Router<Arc<Desk>> {
    Router::new()
        .route("/runs", get(list))
        .route("/runs/{id}", get(show))
        .route("/runs/{id}/stop", post(stop))
        .route("/runs/{id}/panic", post(panic))
}

fn id(text: &str) -> Result<RunId, Refusal> {
    RunId::parse(text).map_err(|_| Refusal::absent())
}

async fn list(State(desk): State<Arc<Desk>>, visit: Visit, request: Request) -> Result<Response, Refusal> {
    let parts = request.into_parts().0;
    let agent = query(&parts, "agent").map(|text| AgentId::parse(&text)).transpose();
    let agent = agent.map_err(|_| Refusal::absent())?;
    let from = query(&parts, "from").and_then(|text| text.parse().ok()).unwrap_or(0);
    let list = desk.app.runs(&visit.ask, agent, (from, SHOWN)).await?;
    let now = desk.app.clock().now();
    let to = |from: u32| {
        let of_agent = agent.map(|agent| format!("&agent={agent}")).unwrap_or_default();
        desk.to(&format!("/runs?from={from}{of_agent}"))
    };
    let more = u64::from(from) + u64::from(SHOWN) < list.total;
    let content = html! {
        h1 { "Runs" }
        p { "A run is a lease on the values of what is attached to an agent. It is started with an API key: " code { "strongroom run --agent NAME -- COMMAND" } "." }
        @if list.runs.is_empty() { p { "There are none" @if agent.is_some() { " of this agent" } "." } } @else {
            div.scroll data-reload=(ANEW) { table {
                thead { tr { th { "Run" } th { "Agent" } th { "Started" } th { "State" } } }
                tbody { @for run in &list.runs { (row(&desk, run, now)) } }
            } }
        }
        (parts::pages(&[
            ("Newer", (from > 0).then(|| to(from.saturating_sub(SHOWN)))),
            ("Older", more.then(|| to(from + SHOWN))),
        ]))
    };
    Ok(layout::page(&desk, &visit, "Runs", &content))
}

fn row(desk: &Desk, rows: &ProvenRun, now: Timestamp) -> Markup {
    html! {
        tr {
            th scope="row" {
                a href=(desk.to(&format!("/runs/{}", rows.run.id))) { code { (short(&rows.run.id.to_string())) } }
                @if let Some(note) = &rows.run.note { br; small { (note) } }
            }
            td data-label="Agent" {
                (rows.agent.name)
                @if rows.run.mode == RunMode::Broker { br; small { "by the broker" } }
            }
            td data-label="Started" { (parts::time(rows.run.created_at)) br; small { "by " (rows.user.name) } }
            td data-label="State" { (state(rows, now)) }
        }
    }
}

/// How a run gets its values.
fn mode(mode: RunMode) -> &'static str {
    match mode {
        RunMode::Inject => "in its environment",
        RunMode::Broker => "put in by the broker; its environment has placeholders",
    }
}

fn state(rows: &ProvenRun, now: Timestamp) -> Markup {
    html! {
        @match rows.ended(now) {
            None => { span.live { "live" } ", until " (parts::time(rows.run.expires_at)) }
            Some(ended) => { (ended.name()) @if let Some(at) = rows.ended_at(now) { ", " (parts::time(at)) } }
        }
    }
}

async fn show(
    State(desk): State<Arc<Desk>>,
    visit: Visit,
    Path(text): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let id = id(&text)?;
    let before = query(&request.into_parts().0, "before").and_then(|text| text.parse().ok());
    let rows = desk.app.run(&visit.ask, id).await?;
    let now = desk.app.clock().now();
    let whose = visit.ask.caller.concern(rows.run.user_id);
    let may = |action| visit.ask.caller.permit(action, whose).is_ok();
    let received =
        if may(Action::ListDeliveries) { desk.app.deliveries(&visit.ask, id).await? } else { Vec::new() };
    let called = desk.app.name_secrets(&visit.ask, received.iter().map(|one| one.secret_id)).await?;
    let content = html! {
        h1 { "Run " code { (short(&text)) } }
        dl.facts {
            dt { "Agent" } dd { a href=(desk.to(&format!("/agents/{}", rows.agent.id))) { (rows.agent.name) } }
            dt { "State" } dd { (state(&rows, now)) }
            dt { "Values" } dd { (mode(rows.run.mode)) }
            dt { "Started" } dd { (parts::time(rows.run.created_at)) " by " (rows.user.name) ", with the key " (rows.key.name) }
            @if let Some(note) = rows.run.note.as_ref().map(RunNote::as_str) { dt { "Note" } dd { (note) } }
            dt { "Id" } dd { code { (id) } }
        }
        @if rows.run.mode == RunMode::Broker {
            h2 { "What it asked for" }
            @if may(Action::ListRunRequests) { (requests::of(&desk, &visit, &rows, before).await?) } @else {
                p { "Managers see what runs of others asked for." }
            }
        } @else {
            h2 { "What it received" }
            @if may(Action::ListDeliveries) { (deliveries(&desk, &received, &called)) } @else {
                p { "Managers see what runs of others received." }
            }
        }
        @if may(Action::StopRun) && rows.ended(now).is_none() {
            (parts::danger("Stop this run", "It receives nothing any more. What it has, it has.",
                &parts::button(&desk.to(&format!("/runs/{id}/stop")), &visit.form, "Stop it", &[])))
        }
        @if may(Action::Panic) {
            (parts::danger("Its values may be in wrong hands", "The run is revoked at once, and you are shown what it received: what must be changed at its source.",
                &parts::button(&desk.to(&format!("/runs/{id}/panic")), &visit.form, "Revoke it, and list what to change", &[])))
        }
    };
    Ok(layout::page(&desk, &visit, "Run", &content))
}

fn deliveries(desk: &Desk, received: &[Delivery], called: &EventNames) -> Markup {
    html! {
        @if received.is_empty() { p { "Nothing so far." } } @else {
            div.scroll { table {
                thead { tr { th { "Secret" } th { "Version" } th { "Variables" } th { "When" } } }
                tbody {
                    @for delivery in received {
                        tr {
                            td { a href=(desk.to(&format!("/secrets/{}", delivery.secret_id))) { (secret(called, delivery.secret_id)) } }
                            td data-label="Version" { (delivery.version) }
                            td { (every_key(delivery.env_keys.iter())) }
                            td { (parts::time(delivery.at)) }
                        }
                    }
                }
            } }
        }
    }
}

async fn stop(
    State(desk): State<Arc<Desk>>,
    Path(text): Path<String>,
    sent: Sent,
) -> Result<Response, Refusal> {
    let (id, ask) = (id(&text)?, &sent.visit.ask);
    desk.done(ask, || desk.app.stop_run(ask, id)).await?;
    Ok(desk.go(&format!("/runs/{id}?done=run-stopped")).into_response())
}

async fn panic(
    State(desk): State<Arc<Desk>>,
    Path(text): Path<String>,
    sent: Sent,
) -> Result<Response, Refusal> {
    let (id, visit) = (id(&text)?, &sent.visit);
    let suspected = Suspected::Run(id);
    desk.done(&visit.ask, || desk.app.panic(&visit.ask, suspected)).await?;
    let (_, exposed) = desk.app.exposed(&visit.ask, suspected, false).await?;
    let called = desk.app.name_secrets(&visit.ask, exposed.iter().map(|one| one.secret_id)).await?;
    Ok(layout::page(&desk, visit, "Revoked", &to_change(&desk, &exposed, &called)))
}

/// What a secret is called; the end of its id where that isn't to be known.
fn secret(called: &EventNames, id: SecretId) -> Markup {
    html! {
        @match called.of(id.uuid()) {
            Some(name) => (name),
            None => code { (short(&id.to_string())) },
        }
    }
}

/// What was delivered, to be changed where it comes from.
fn to_change(desk: &Desk, exposed: &[Exposed], called: &EventNames) -> Markup {
    html! {
        h1 { "Revoked" }
        @if exposed.is_empty() { p { "The run received nothing: there is nothing to change." } } @else {
            p { "It receives nothing any more. Change these values at their source, then store the new ones here:" }
            ul {
                @for one in exposed {
                    li { a href=(desk.to(&format!("/secrets/{}", one.secret_id))) { (secret(called, one.secret_id)) ", version " (one.version) } ": " (every_key(one.env_keys.iter())) }
                }
            }
        }
    }
}
