//! What holds for the team: its name, how people fill in secrets, and what the
//! server's operator has set.

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use maud::{Markup, html};
use std::sync::Arc;
use strongroom_core::access::Action;
use strongroom_core::text::TeamName;

use crate::desk::Desk;
use crate::forms::Sent;
use crate::refusal::Refusal;
use crate::secrets::refused;
use crate::visit::Visit;
use crate::{layout, parts};

pub(crate) fn routes() -> Router<Arc<Desk>> {
    Router::new()
        .route("/settings", get(show))
        .route("/settings/name", post(rename))
        .route("/settings/fill", post(fill))
        .route("/settings/delete", post(delete))
        .route("/settings/teams", post(found))
}

async fn show(State(desk): State<Arc<Desk>>, visit: Visit) -> Result<Response, Refusal> {
    Ok(layout::page(&desk, &visit, "Settings", &page(&desk, &visit, None)))
}

fn page(desk: &Desk, visit: &Visit, problem: Option<&str>) -> Markup {
    let may_change = visit.may(Action::UpdateTeam);
    html! {
        h1 { "Settings" }
        (parts::problem(problem))
        h2 { "Team" }
        @if may_change {
            form method="post" action=(desk.to("/settings/name")) {
                (parts::token(&visit.form))
                (parts::field("Name", "name", "", &parts::text("name", visit.team.name.as_str(), TeamName::MAX, true)))
                button type="submit" { "Store" }
            }
        } @else {
            p { (visit.team.name) }
        }
        h2 { "Requests to fill in secrets" }
        (filling(desk, visit, may_change))
        h2 { "The server" }
        (server(desk))
        @if visit.may(Action::CreateTeam) {
            h2 { "Another team" }
            (founding(desk, visit))
        }
        @if visit.may(Action::DeleteTeam) { (deleting(desk, visit)) }
    }
}

fn filling(desk: &Desk, visit: &Visit, may_change: bool) -> Markup {
    let alone = visit.team.fills_by_link_since;
    html! {
        @match alone {
            Some(since) => p { "Since " (parts::time(since)) ", whoever has a request's link can fill it in without signing in. It becomes a secret of the asker's own." }
            None => p { "People sign in to fill in a secret, and need the role manager, or have asked for it themselves." }
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
            dt { "Requests" }
            dd {
                @if terms.requests_per_minute == 0 { "As many as come" } @else { (terms.requests_per_minute) " a minute for each API key and run, at each server" }
            }
            dt { "Deleted secrets" }
            dd { "Can be brought back for " (terms.retention_days) " days, then they are destroyed. So with deleted teams." }
        }
        p { small { "Set by whoever runs the server, with " code { "--rate-limit" } " and " code { "--retention-days" } "." } }
    }
}

fn founding(desk: &Desk, visit: &Visit) -> Markup {
    html! {
        details {
            summary { "Create a team" }
            p { "You become its owner, and go there." }
            form method="post" action=(desk.to("/settings/teams")) {
                (parts::token(&visit.form))
                (parts::field("Name", "team-name", "", &parts::text("team-name", "", TeamName::MAX, true)))
                button type="submit" { "Create it" }
            }
        }
    }
}

fn deleting(desk: &Desk, visit: &Visit) -> Markup {
    let form = html! {
        form method="post" action=(desk.to("/settings/delete")) {
            (parts::token(&visit.form))
            (parts::field("Its name, to be sure", "confirm", "", &parts::text("confirm", "", TeamName::MAX, true)))
            button type="submit" { "Delete the team" }
        }
    };
    parts::danger(
        "Delete this team",
        &format!(
            "Its runs end, its keys are refused and nobody comes in any more. An owner's API key can bring it back for {} days; then its secrets are destroyed for good.",
            desk.terms.retention_days
        ),
        &form,
    )
}

/// The page anew, with what was done or what is in the way.
fn answered(desk: &Desk, visit: &Visit, done: Result<(), Refusal>, name: &str) -> Result<Response, Refusal> {
    let Err(refusal) = done else { return Ok(desk.go(&format!("/settings?done={name}")).into_response()) };
    let status = refusal.status;
    let message = refusal.in_form()?;
    Ok((status, layout::page(desk, visit, "Settings", &page(desk, visit, Some(&message)))).into_response())
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
    answered(&desk, &sent.visit, done, "settings-changed")
}

async fn fill(State(desk): State<Arc<Desk>>, sent: Sent) -> Result<Response, Refusal> {
    let (ask, alone) = (&sent.visit.ask, sent.fields.ticked("alone"));
    let done = desk.done(ask, || desk.app.let_links_fill(ask, alone)).await.map(|_| ());
    answered(&desk, &sent.visit, done, "settings-changed")
}

async fn found(State(desk): State<Arc<Desk>>, sent: Sent) -> Result<Response, Refusal> {
    let Sent { visit, fields } = sent;
    match founded(&desk, &visit, fields.text("team-name")).await {
        Ok(()) => Ok(desk.go("/overview?done=moved").into_response()),
        Err(refusal) => answered(&desk, &visit, Err(refusal), ""),
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
    if fields.text("confirm").trim() != visit.team.name.as_str().trim() {
        let refusal = Refusal::invalid("That isn't the team's name. Nothing was deleted.");
        return answered(&desk, &visit, Err(refusal), "");
    }
    desk.done(&visit.ask, || desk.app.delete_team(&visit.ask)).await?;
    Ok(desk.go("/sign-in").into_response())
}
