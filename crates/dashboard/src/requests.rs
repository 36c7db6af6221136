//! Requests that people fill in secrets: those that are open, and a new one.

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use maud::{Markup, html};
use std::sync::Arc;
use strongroom_core::access::Action;
use strongroom_core::app::NewFillRequest;
use strongroom_core::fill_requests::{FillRequest, USUALLY_SECONDS};
use strongroom_core::rows::Proven;
use strongroom_core::text::FillNote;
use strongroom_core::{EnvKey, FillRequestId, SecretName, ServiceSlug};

use crate::desk::Desk;
use crate::forms::{Fields, Sent};
use crate::members::Names;
use crate::refusal::{Refusal, to_mend};
use crate::secrets::{keys, refused, service};
use crate::visit::{self, Visit};
use crate::{layout, parts};

/// For how long one can ask, in seconds, and how people say so.
const TIMES: [(u32, &str); 3] = [(3_600, "an hour"), (USUALLY_SECONDS, "a day"), (604_800, "a week")];

pub(crate) fn routes() -> Router<Arc<Desk>> {
    Router::new().route("/requests", get(list).post(create)).route("/requests/cancel", post(cancel))
}

async fn list(State(desk): State<Arc<Desk>>, visit: Visit, request: Request) -> Result<Response, Refusal> {
    let from = visit::from(&request.into_parts().0);
    let page = page(&desk, &visit, from, (None, &Fields::default())).await?;
    Ok(layout::page(&desk, &visit, "Requests", &page))
}

async fn page(
    desk: &Desk,
    visit: &Visit,
    from: usize,
    (problem, filled): (Option<&str>, &Fields),
) -> Result<Markup, Refusal> {
    let open = desk.app.fill_requests(&visit.ask).await?;
    let names = Names::read(desk, visit).await?;
    Ok(html! {
        h1 { "Requests" }
        p { "Somebody, or an agent in its run, asks for a secret; whoever has the values fills them in by a link. The asker learns that it was done, and no value." }
        (parts::problem(problem))
        @if visit.may_ever(Action::RequestFill) {
            details open[problem.is_some()] {
                summary { "Ask for a secret" }
                (form(desk, visit, filled))
            }
        }
        @if open.is_empty() {
            p { "Nothing is asked for just now." }
        } @else {
            div.scroll { table {
                thead { tr { th { "Secret" } th { "Variables" } th { "Who asks" } th { "Until" } th {} } }
                tbody { @for request in open.iter().skip(from).take(parts::SHOWN) { (row(desk, visit, &names, request)) } }
            } }
            (parts::turned(desk, "/requests", from, open.len()))
        }
    })
}

fn row(desk: &Desk, visit: &Visit, names: &Names, request: &Proven<FillRequest>) -> Markup {
    html! {
        tr {
            th scope="row" {
                (request.name)
                @if let Some(slug) = &request.service_slug { br; small { (service(slug)) } }
                @if let Some(note) = &request.note { br; small { q { (note) } } }
            }
            td { (keys(&request.env_keys)) }
            td data-label="Asked by" {
                (names.of(request.user_id))
                @if let Some(run) = request.run { br; small { a href=(desk.to(&format!("/runs/{}", run.run_id))) { "in a run" } } }
            }
            td data-label="Until" { (parts::time(request.expires_at)) }
            td { (parts::button(&desk.to("/requests/cancel"), &visit.form, "Withdraw", &[("request", &request.id.to_string())])) }
        }
    }
}

fn form(desk: &Desk, visit: &Visit, filled: &Fields) -> Markup {
    let chosen = filled.text("valid").parse().unwrap_or(USUALLY_SECONDS);
    html! {
        form method="post" action=(desk.to("/requests")) {
            (parts::token(&visit.form))
            (parts::text(("Name", "name", "What the secret is to be called."), filled.text("name"), SecretName::MAX, true))
            (parts::text(("Service", "service", "Which service it is for, if for one."), filled.text("service"), ServiceSlug::MAX, false))
            (parts::field("Variables", "keys", "Their names, apart by spaces or lines: capital letters, digits and _.", &html! {
                textarea #keys name="keys" rows="2" required aria-describedby="keys-hint" spellcheck="false" autocapitalize="characters" { (filled.text("keys")) }
            }))
            (parts::text(("What for", "note", "Whoever fills it in reads this beside your name."), filled.text("note"), FillNote::MAX, false))
            (parts::field("Lasts", "valid", "", &html! {
                select #valid name="valid" {
                    @for (seconds, name) in TIMES { option value=(seconds) selected[chosen == seconds] { (name) } }
                }
            }))
            button type="submit" { "Make a link" }
        }
    }
}

fn new(fields: &Fields) -> Result<NewFillRequest, Refusal> {
    let slug = fields.filled("service").map(ServiceSlug::parse).transpose();
    let note = fields.filled("note").map(FillNote::parse).transpose();
    let keys = fields.text("keys").split([' ', ',', '\n', '\t']).filter(|key| !key.is_empty());
    let keys: Result<Vec<_>, _> = keys.map(EnvKey::parse).collect();
    let valid = TIMES.iter().map(|(seconds, _)| *seconds).find(|s| s.to_string() == fields.text("valid"));
    Ok(NewFillRequest {
        name: SecretName::parse(fields.text("name").trim()).map_err(|invalid| refused("name", invalid))?,
        service_slug: slug.map_err(|invalid| refused("service", invalid))?,
        env_keys: keys.map_err(|invalid| refused("name of a variable", invalid))?,
        note: note.map_err(|invalid| refused("text", invalid))?,
        valid_seconds: valid.unwrap_or(USUALLY_SECONDS),
    })
}

async fn create(State(desk): State<Arc<Desk>>, sent: Sent) -> Result<Response, Refusal> {
    let Sent { visit, fields } = sent;
    match made(&desk, &visit, &fields).await {
        Ok(content) => Ok(layout::page(&desk, &visit, "A link to be filled in", &content)),
        Err(refusal) => {
            let message = refusal.in_form()?;
            let page = page(&desk, &visit, 0, (Some(&message), &fields)).await?;
            Ok(to_mend(layout::page(&desk, &visit, "Requests", &page)))
        }
    }
}

/// Makes the request: its link, which is shown once.
async fn made(desk: &Desk, visit: &Visit, fields: &Fields) -> Result<Markup, Refusal> {
    let planned = desk.app.request_fill(&visit.ask, &new(fields)?).await?;
    let (request, token) = desk.app.carry_out(&visit.ask, planned, None).await?;
    let url = desk.address.url(&format!("/fill/{}", token.reveal()), visit.host.as_deref());
    let alone = visit.team.fills_by_link_since.is_some();
    Ok(html! {
        h1 { "Ask for " (request.name) }
        p {
            "Send this link to whoever has the values. It is shown only now, works once, and until " (parts::time(request.expires_at)) ". "
            @if alone { "Whoever has it can fill it in, as a secret of yours; who signs in with the role manager, as one of the team's." }
            @else { "They sign in, and need the role manager; or fill it in yourself, as a secret of your own." }
        }
        (parts::copied("link", "Link", &url))
        p { a.button href=(desk.to("/requests")) { "I have sent it" } }
    })
}

async fn cancel(State(desk): State<Arc<Desk>>, sent: Sent) -> Result<Response, Refusal> {
    let id = FillRequestId::parse(sent.fields.text("request")).map_err(|_| Refusal::absent())?;
    let ask = &sent.visit.ask;
    desk.done(ask, || desk.app.cancel_fill_request(ask, id)).await?;
    Ok(desk.go("/requests?done=request-cancelled").into_response())
}
