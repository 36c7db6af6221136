//! What holds for the team: its name, how people fill in secrets, how they are sealed, and
//! what the server's operator has set.

mod sealing;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use maud::{Markup, html};
use std::sync::Arc;
use strongroom_core::access::{Action, Ownership};
use strongroom_core::text::TeamName;

use crate::desk::Desk;
use crate::forms::Sent;
use crate::refusal::{Refusal, to_mend};
use crate::secrets::refused;
use crate::visit::Visit;
use crate::{layout, parts};

/// Where the forms go that are folded away.
const FOUND: &str = "/settings/teams";
const DELETE: &str = "/settings/delete";

pub(crate) fn routes() -> Router<Arc<Desk>> {
    Router::new()
        .route("/settings", get(show))
        .route("/settings/name", post(rename))
        .route("/settings/fill", post(fill))
        .route(sealing::ROTATE, post(rotate))
        .route(DELETE, post(delete))
        .route(FOUND, post(found))
}

async fn show(State(desk): State<Arc<Desk>>, visit: Visit) -> Result<Response, Refusal> {
    Ok(layout::page(&desk, &visit, "Settings", &page(&desk, &visit, None).await?))
}

/// The page; when a form was refused, with why and which, which stays open.
async fn page(desk: &Desk, visit: &Visit, refused: Option<(&str, &str)>) -> Result<Markup, Refusal> {
    let is_open = |form| refused.is_some_and(|(_, of)| of == form);
    let may_change = visit.may(Action::UpdateTeam);
    let sealed = sealing::section(desk, visit).await?;
    Ok(html! {
        h1 { "Settings" }
        (parts::problem(refused.map(|(why, _)| why)))
        h2 { "Team" }
        @if may_change {
            form method="post" action=(desk.to("/settings/name")) {
                (parts::token(&visit.form))
                (parts::text(("The team's name", "name", ""), visit.team.name.as_str(), TeamName::MAX, true))
                button type="submit" { "Store" }
            }
        } @else {
            p { (visit.team.name) }
        }
        h2 { "Requests to fill in secrets" }
        (filling(desk, visit, may_change))
        @if let Some(sealed) = sealed { (sealed) }
        h2 { "The server" }
        (server(desk))
        @if visit.may(Action::CreateTeam) {
            h2 { "Another team" }
            (founding(desk, visit, is_open(FOUND)))
        }
        @if visit.may(Action::DeleteTeam) {
            h2 { "The end of this team" }
            (deleting(desk, visit, is_open(DELETE)))
        }
    })
}

fn filling(desk: &Desk, visit: &Visit, may_change: bool) -> Markup {
    let alone = visit.team.fills_by_link_since;
    html! {
        @match alone {
            Some(since) => p { "Since " (parts::time(since)) ", whoever has a request's link can fill it in without signing in. It becomes a secret of the asker's own." }
            None => p { "People sign in to fill in a secret, and need the role manager unless they asked for it themselves." }
        }
        @if may_change {
            @if alone.is_some() {
                (parts::button(&desk.to("/settings/fill"), &visit.form, "Have people sign in", &[("alone", "")]))
            } @else {
                (parts::danger("Let the link be enough",
                    "For people who have no place in this team. A link can be passed on, and whoever asks chooses to whom it is sent: what is filled in may be false, and nobody knows by whom.",
                    &parts::button(&desk.to("/settings/fill"), &visit.form, "Let the link be enough", &[("alone", "yes")])))
            }
        }
    }
}

fn server(desk: &Desk) -> Markup {
    let terms = &desk.terms;
    html! {
        dl.facts {
            dt { "Calls of the API" }
            dd {
                @if terms.requests_per_minute == 0 { "As many as come" } @else { (terms.requests_per_minute) " a minute for each API key and run, at each server" }
            }
            dt { "Deleted secrets" }
            dd { "Can be brought back for " (parts::count(u64::from(terms.retention_days), "day")) ", then they are destroyed; so are deleted teams." }
        }
        p { small { "Set by whoever runs the server, with " code { "--rate-limit" } " and " code { "--retention-days" } "." } }
    }
}

fn founding(desk: &Desk, visit: &Visit, is_open: bool) -> Markup {
    html! {
        details open[is_open] {
            summary { "Create a team" }
            p { "You become its owner, and go there." }
            form method="post" action=(desk.to(FOUND)) {
                (parts::token(&visit.form))
                (parts::text(("Name", "team-name", ""), "", TeamName::MAX, true))
                button type="submit" { "Create it" }
            }
        }
    }
}

fn deleting(desk: &Desk, visit: &Visit, is_open: bool) -> Markup {
    let days = parts::count(u64::from(desk.terms.retention_days), "day");
    html! {
        details.danger open[is_open] {
            summary { "Delete this team" }
            p {
                "Its runs end, its keys are refused and nobody comes in any more. An owner's API key can bring it back for "
                (days) "; then its secrets are destroyed for good."
            }
            form method="post" action=(desk.to(DELETE)) {
                (parts::token(&visit.form))
                (parts::text(("Its name, to be sure", "confirm", ""), "", TeamName::MAX, true))
                button type="submit" { "Delete the team" }
            }
        }
    }
}

/// The page anew, with what was done or what is in the way of a form.
async fn answered(
    desk: &Desk,
    visit: &Visit,
    done: Result<(), Refusal>,
    form: &str,
) -> Result<Response, Refusal> {
    let Err(refusal) = done else { return Ok(desk.go("/settings?done=settings-changed").into_response()) };
    let message = refusal.in_form()?;
    Ok(to_mend(layout::page(desk, visit, "Settings", &page(desk, visit, Some((&message, form))).await?)))
}

fn name(text: &str) -> Result<TeamName, Refusal> {
    TeamName::parse(text.trim()).map_err(|invalid| refused("name", invalid))
}

async fn rename(State(desk): State<Arc<Desk>>, sent: Sent) -> Result<Response, Refusal> {
    let ask = &sent.visit.ask;
    let done = match name(sent.fields.text("name")) {
        Ok(name) => desk.done(ask, || desk.app.update_team(ask, &name)).await.map(|_| ()),
        Err(refusal) => Err(refusal),
    };
    answered(&desk, &sent.visit, done, "").await
}

async fn fill(State(desk): State<Arc<Desk>>, sent: Sent) -> Result<Response, Refusal> {
    let (ask, alone) = (&sent.visit.ask, sent.fields.ticked("alone"));
    let done = desk.done(ask, || desk.app.let_links_fill(ask, alone)).await.map(|_| ());
    answered(&desk, &sent.visit, done, "").await
}

async fn rotate(State(desk): State<Arc<Desk>>, sent: Sent) -> Result<Response, Refusal> {
    let ask = &sent.visit.ask;
    match desk.done(ask, || desk.app.rotate_team_key(ask)).await {
        Ok(_) => Ok(desk.go("/settings?done=key-rotated").into_response()),
        Err(refusal) => answered(&desk, &sent.visit, Err(refusal), "").await,
    }
}

async fn found(State(desk): State<Arc<Desk>>, sent: Sent) -> Result<Response, Refusal> {
    let Sent { visit, fields } = sent;
    match founded(&desk, &visit, fields.text("team-name")).await {
        Ok(()) => Ok(desk.go("/overview?done=moved").into_response()),
        Err(refusal) => answered(&desk, &visit, Err(refusal), FOUND).await,
    }
}

/// Creates a team and goes there.
async fn founded(desk: &Desk, visit: &Visit, text: &str) -> Result<(), Refusal> {
    let (ask, name) = (&visit.ask, name(text)?);
    let team = desk.done(ask, || desk.app.found_team(ask, name.clone())).await?;
    desk.done(ask, || desk.app.move_session(ask, team.id)).await
}

async fn delete(State(desk): State<Arc<Desk>>, sent: Sent) -> Result<Response, Refusal> {
    let Sent { visit, fields } = sent;
    visit.ask.caller.permit(Action::DeleteTeam, Ownership::Shared)?;
    if fields.text("confirm").trim() != visit.team.name.as_str().trim() {
        let refusal = Refusal::invalid("That isn't the team's name. Nothing was deleted.");
        return answered(&desk, &visit, Err(refusal), DELETE).await;
    }
    desk.done(&visit.ask, || desk.app.delete_team(&visit.ask)).await?;
    Ok(desk.go("/sign-in?done=team-deleted").into_response())
}
