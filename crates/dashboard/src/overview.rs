//! Where people begin: what went on, day by day, and what is likely to be looked at
//! next.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use maud::{Markup, html};
use std::sync::Arc;
use strongroom_core::access::{Action, Ownership};
use strongroom_core::app::Activity;
use strongroom_core::secrets::Filter;

use crate::desk::Desk;
use crate::refusal::Refusal;
use crate::visit::Visit;
use crate::{chart, layout, parts};

/// How many days are shown: two weeks.
const DAYS: u16 = 14;
/// How many stale secrets are named.
const NAMED: usize = 5;

pub(crate) fn routes() -> Router<Arc<Desk>> {
    Router::new().route("/overview", get(show))
}

async fn show(State(desk): State<Arc<Desk>>, visit: Visit) -> Result<Response, Refusal> {
    let activity = desk.app.activity(&visit.ask, DAYS).await?;
    let (steps, has_secret) = first_steps(&desk, &visit, &activity).await?;
    let content = html! {
        h1 { (visit.team.name) }
        (steps)
        div.charts {
            (chart::days("Runs started", "run", &activity.by_day.runs, (activity.first_day, DAYS)))
            @if activity.deliveries_seen {
                (chart::days("Secrets delivered", "delivery", &activity.by_day.deliveries, (activity.first_day, DAYS)))
            }
            @if let Some(refusals) = &activity.refusals {
                (chart::days("Refused", "refusal", refusals, (activity.first_day, DAYS)))
            }
        }
        @if activity.is_cut { p { small { "Of the newest 2,000 runs: there were more." } } }
        @if has_secret { (stale(&desk, &activity)) }
    };
    Ok(layout::page(&desk, &visit, "Overview", &content))
}

/// What is still to be done until a first run receives a secret, nothing once all is;
/// and whether there is a secret.
async fn first_steps(desk: &Desk, visit: &Visit, activity: &Activity) -> Result<(Markup, bool), Refusal> {
    let has_secret =
        !desk.app.secrets_after(&visit.ask, None, &Filter::default(), 1).await?.secrets.is_empty();
    let has_agent = !desk.app.agents(&visit.ask, None, (0, 1)).await?.agents.is_empty();
    // A list of runs counts all that there ever were.
    let has_run =
        !activity.by_day.runs.is_empty() || !desk.app.runs(&visit.ask, None, (0, 1)).await?.runs.is_empty();
    let may = |action| visit.ask.caller.permit(action, Ownership::Own).is_ok();
    let steps = [
        ("/secrets/new", "Add a secret", has_secret, may(Action::CreateSecret)),
        ("/agents", "Create an agent, and attach the secret to it", has_agent, may(Action::CreateAgent)),
        ("/docs/first-run", "Start a run, which receives the values", has_run, may(Action::StartRun)),
    ];
    let shown = html! {
        @if steps.iter().any(|(_, _, done, may)| *may && !done) {
            section.steps aria-labelledby="first-steps" {
                h2 #first-steps { "First steps" }
                ol {
                    @for (path, name, done, _) in steps.iter().filter(|(.., may)| *may) {
                        li { @if *done { s { (name) } " (done)" } @else { a href=(desk.to(path)) { (name) } } }
                    }
                }
            }
        }
    };
    Ok((shown, has_secret))
}

fn stale(desk: &Desk, activity: &Activity) -> Markup {
    html! {
        h2 { "Stale secrets" }
        @if activity.stale.is_empty() {
            p { "None: each of yours changed within the last 90 days; the oldest 100 were looked at." }
        } @else {
            p {
                @if activity.stale.len() == 1 { "One of your secrets hasn't" } @else { (activity.stale.len()) " of your secrets haven't" }
                " changed for 90 days; the oldest 100 were looked at. Consider changing values at their source."
            }
            ul.plain {
                @for secret in activity.stale.iter().take(NAMED) {
                    li {
                        a href=(desk.to(&format!("/secrets/{}", secret.id))) { (secret.name) }
                        ", since " (parts::time(secret.updated_at))
                    }
                }
            }
        }
    }
}
