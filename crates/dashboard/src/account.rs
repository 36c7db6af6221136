//! What concerns the person themselves: how they sign in, where they are
//! signed in, and in which team.

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use maud::{Markup, html};
use std::sync::Arc;
use strongroom_core::access::Means;
use strongroom_core::app::NewFactors;
use strongroom_core::passwords::Password;
use strongroom_core::text::{BrowserName, Email};
use strongroom_core::{SessionId, TeamId};

use crate::browser::Cookie;
use crate::desk::Desk;
use crate::forms::Sent;
use crate::refusal::{Refusal, to_mend};
use crate::visit::Visit;
use crate::{confirm, layout, parts, set_up, sign_in};

pub(crate) fn routes() -> Router<Arc<Desk>> {
    Router::new()
        .route("/account", get(show))
        .route("/account/sign-in", post(change))
        .route("/account/sessions/end", post(end))
        .route("/account/sessions/end-others", post(end_others))
        .route("/account/team", post(go))
}

async fn show(State(desk): State<Arc<Desk>>, visit: Visit) -> Result<Response, Refusal> {
    Ok(layout::page(&desk, &visit, "Account", &page(&desk, &visit, None).await?))
}

/// The page, with what is wrong with which change.
async fn page(desk: &Desk, visit: &Visit, problem: Option<(&str, &str)>) -> Result<Markup, Refusal> {
    let refused = |change| problem.is_some_and(|(of, _)| of == change);
    let state = desk.app.sign_in_state(&visit.ask).await?;
    let email = visit.member.user.email.as_ref().map_or("", Email::as_str);
    Ok(html! {
        h1 { (visit.member.user.name) }
        p.lead { (email) ", " (visit.role()) " of " (visit.team.name) }
        (parts::problem(problem.map(|(_, message)| message)))
        (teams(desk, visit).await?)
        (sessions(desk, visit).await?)
        h2 { "Password" }
        details open[refused("password")] {
            summary { "Change the password" }
            (changing(desk, visit, "password", "Change the password", &html! {
                (parts::field("New password", "new", "At least 15 characters; 8 are enough with an authenticator app.", &html! {
                    input #new name="new" type="password" required minlength="8" maxlength="256" autocomplete="new-password" aria-describedby="new-hint";
                }))
            }))
        }
        h2 { "Authenticator app" }
        @match state.codes_left {
            Some(left) => {
                p { "You sign in with an app. " (left) " recovery codes are left." }
                details open[refused("codes")] {
                    summary { "Make new recovery codes" }
                    (changing(desk, visit, "codes", "Make new codes", &html! {}))
                }
                details open[refused("no-app")] {
                    summary { "Do without an app" }
                    (changing(desk, visit, "no-app", "Remove the app", &html! {}))
                }
            }
            None => {
                p { "You sign in with your password alone." }
                details open[refused("app")] {
                    summary { "Add an authenticator app" }
                    form method="post" action=(desk.to("/account/sign-in")) {
                        (parts::token(&visit.form))
                        input type="hidden" name="change" value="app";
                        (set_up::app_offer(&state.app, email, "Six digits."))
                        (parts::field("Your password", "app-password", "", &html! {
                            input #app-password name="password" type="password" required maxlength="256" autocomplete="current-password";
                        }))
                        button type="submit" { "Add the app" }
                    }
                }
            }
        }
    })
}

/// A change that asks for what they sign in with now.
fn changing(desk: &Desk, visit: &Visit, change: &str, label: &str, more: &Markup) -> Markup {
    html! {
        form method="post" action=(desk.to("/account/sign-in")) {
            (parts::token(&visit.form))
            input type="hidden" name="change" value=(change);
            (sign_in::present(&format!("{change}-"), true))
            (more)
            button type="submit" { (label) }
        }
    }
}

async fn teams(desk: &Desk, visit: &Visit) -> Result<Markup, Refusal> {
    let teams = desk.app.teams_of_session(&visit.ask).await?;
    Ok(html! {
        @if teams.len() > 1 {
            h2 { "Teams" }
            ul.plain {
                @for team in &teams {
                    li {
                        (team.name) " "
                        @if team.id == visit.team.id { "(you are here)" } @else {
                            (parts::button(&desk.to("/account/team"), &visit.form, "Go there", &[("team", &team.id.to_string())]))
                        }
                    }
                }
            }
        }
    })
}

async fn sessions(desk: &Desk, visit: &Visit) -> Result<Markup, Refusal> {
    let sessions = desk.app.sessions(&visit.ask).await?;
    Ok(html! {
        h2 { "Where you are signed in" }
        div.scroll { table {
            thead { tr { th { "Browser" } th { "Since" } th { "Until" } th {} } }
            tbody {
                @for session in &sessions {
                    tr {
                        td { (session.browser.as_ref().map_or("unknown", BrowserName::as_str)) }
                        td data-label="Since" { (parts::time(session.created_at)) }
                        td data-label="Until" { (parts::time(session.expires_at)) }
                        td {
                            @if visit.ask.caller.means == Means::Session(session.id) { "this one" } @else {
                                (parts::button(&desk.to("/account/sessions/end"), &visit.form, "End", &[("session", &session.id.to_string())]))
                            }
                        }
                    }
                }
            }
        } }
        @if sessions.len() > 1 {
            (parts::button(&desk.to("/account/sessions/end-others"), &visit.form, "End all others", &[]))
        }
    })
}

async fn change(State(desk): State<Arc<Desk>>, sent: Sent) -> Result<Response, Refusal> {
    let Sent { visit, fields } = sent;
    let text = |name: &str| fields.text(name).to_owned();
    let (new, done) = match fields.text("change") {
        "password" => (NewFactors::Password(text("new")), "password-changed"),
        "app" => (NewFactors::App(text("code")), ""),
        "no-app" => (NewFactors::NoApp, "app-removed"),
        "codes" => (NewFactors::Codes, ""),
        _ => return Err(Refusal::absent()),
    };
    // The code of an app that is being added is that app's.
    let code = if matches!(new, NewFactors::App(_)) { String::new() } else { text("code") };
    let (app, ask, password) = (Arc::clone(&desk.app), visit.ask.clone(), Password::typed(text("password")));
    let changed = desk
        .stretching(Box::pin(async move { app.change_sign_in(&ask, (password, &code), new).await }))
        .await?;
    match changed {
        Ok(codes) => {
            let mut response = if codes.is_empty() {
                desk.go(&format!("/account?done={done}")).into_response()
            } else {
                layout::page(&desk, &visit, "Your recovery codes", &set_up::codes(&desk, &codes))
            };
            // The mark from before is of what they signed in with before.
            let mark = desk.app.mark_of_session(&visit.ask).await?;
            Cookie::Mark.leave(&mut response, &mark, desk.is_secure);
            Ok(response)
        }
        Err(error) => {
            let message = confirm::refused(error).in_form()?;
            let page = page(&desk, &visit, Some((fields.text("change"), &message))).await?;
            Ok(to_mend(layout::page(&desk, &visit, "Account", &page)))
        }
    }
}

async fn end(State(desk): State<Arc<Desk>>, sent: Sent) -> Result<Response, Refusal> {
    let id = SessionId::parse(sent.fields.text("session")).map_err(|_| Refusal::absent())?;
    let ask = &sent.visit.ask;
    desk.done(ask, || desk.app.end_session(ask, id)).await?;
    Ok(desk.go("/account?done=session-ended").into_response())
}

async fn end_others(State(desk): State<Arc<Desk>>, sent: Sent) -> Result<Response, Refusal> {
    let ask = &sent.visit.ask;
    desk.done(ask, || desk.app.end_other_sessions(ask)).await?;
    Ok(desk.go("/account?done=sessions-ended").into_response())
}

async fn go(State(desk): State<Arc<Desk>>, sent: Sent) -> Result<Response, Refusal> {
    let team = TeamId::parse(sent.fields.text("team")).map_err(|_| Refusal::absent())?;
    let ask = &sent.visit.ask;
    desk.done(ask, || desk.app.move_session(ask, team)).await?;
    Ok(desk.go("/overview?done=moved").into_response())
}
