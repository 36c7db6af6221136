//! Signing in and out.

use axum::Router;
use axum::extract::{FromRequestParts, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use maud::{Markup, html};
use std::sync::Arc;
use strongroom_core::access::Means;
use strongroom_core::app::{Attempt, SignedIn};
use strongroom_core::passwords::Password;

use crate::browser::{self, Cookie};
use crate::desk::Desk;
use crate::forms::{Fields, Sent, Stranger};
use crate::layout;
use crate::parts;
use crate::refusal::{Refusal, to_mend};
use crate::visit::{Visit, query};

/// What they are told who sent a form and weren't signed in any more.
const OVER: &str =
    "You weren't signed in any more when you sent that form: nothing was done. Sign in, and do it again.";

pub(crate) fn routes() -> Router<Arc<Desk>> {
    Router::new()
        .route("/", get(front))
        .route("/sign-in", get(ask).post(sign_in))
        .route("/sign-out", post(sign_out))
}

/// Where everybody begins.
async fn front(State(desk): State<Arc<Desk>>, _: Visit) -> Response {
    desk.go("/overview").into_response()
}

async fn ask(State(desk): State<Arc<Desk>>, request: Request) -> Response {
    let (mut head, _) = request.into_parts();
    let to = query(&head, "to").unwrap_or_default();
    if Visit::from_request_parts(&mut head, &desk).await.is_ok() {
        return desk.go(&inside(&to)).into_response();
    }
    let notice = query(&head, "done").as_deref().and_then(parts::notice);
    let problem = query(&head, "over").map(|_| OVER);
    bound(&desk, &head.headers, |form| {
        let content = html! {
            @if let Some(notice) = notice { p.notice role="status" { (notice) } }
            (page(&desk, form, problem, ("", &to)))
        };
        layout::alone(&desk, "Sign in", &content)
    })
}

/// A page whose form is bound to what lies in the browser, or is left there now.
pub(crate) fn bound(
    desk: &Desk,
    headers: &axum::http::HeaderMap,
    page: impl FnOnce(&str) -> Response,
) -> Response {
    let known = Cookie::Form.read(headers, desk.is_secure);
    let bound_to = known.clone().unwrap_or_else(|| desk.app.stranger_form());
    let mut response = page(&desk.app.stranger_form_token(&bound_to));
    if known.is_none() {
        Cookie::Form.leave(&mut response, &bound_to, desk.is_secure);
    }
    response
}

fn page(desk: &Desk, form: &str, problem: Option<&str>, (email, to): (&str, &str)) -> Markup {
    html! {
        h1 { "Sign in" }
        (parts::problem(problem))
        form method="post" action=(desk.to("/sign-in")) {
            (parts::token(form))
            input type="hidden" name="to" value=(to);
            (factors(email))
            button type="submit" { "Sign in" }
        }
        details {
            summary { "You can't, or never did?" }
            p {
                "If you never signed in here, ask an administrator of your team for an invitation. If you forgot your password or lost your app, ask whoever runs this server for a link from "
                code { "strongroom setup-link" } "."
            }
        }
    }
}

/// What somebody fills in who shows who they are.
pub(crate) fn factors(email: &str) -> Markup {
    html! {
        (parts::field("Email address", "email", "", &html! {
            input #email name="email" type="email" value=(email) required maxlength="254" autocomplete="username";
        }))
        (present("", true))
    }
}

/// The password that they have, and the code of their app. A page with several forms
/// calls each by another name, so that a label is of the field that it stands at.
pub(crate) fn present(of: &str, required: bool) -> Markup {
    let (password, code) = (format!("{of}password"), format!("{of}code"));
    // Browsers fill in again what stood in a field, when one goes back to it, unless it is
    // "off"; and a recovery code may still be good.
    html! {
        (parts::field("Password", &password, "", &html! {
            input #(password) name="password" type="password" required[required] maxlength="256" autocomplete="current-password";
        }))
        (parts::field("Code", &code, "Only if you have an authenticator app: the six digits that it shows, or one of your recovery codes.", &html! {
            input #(code) name="code" autocomplete="off" maxlength="32" aria-describedby={ (code) "-hint" };
        }))
    }
}

/// What somebody typed.
pub(crate) fn attempt(fields: &Fields, parts: &axum::http::request::Parts, desk: &Desk) -> Attempt {
    Attempt {
        email: fields.text("email").trim().to_owned(),
        password: Password::typed(fields.text("password").to_owned()),
        code: fields.text("code").trim().to_owned(),
        at: browser::whereabouts(parts, desk.is_secure),
    }
}

async fn sign_in(State(desk): State<Arc<Desk>>, sent: Stranger) -> Result<Response, Refusal> {
    let Stranger { parts, fields } = sent;
    let attempt = attempt(&fields, &parts, &desk);
    let (app, cause) = (Arc::clone(&desk.app), browser::cause(&parts.extensions));
    let done = desk.stretching(Box::pin(async move { app.sign_in(attempt, cause).await })).await?;
    match done {
        Ok(signed_in) => Ok(begun(&desk, &signed_in, &inside(fields.text("to")))),
        Err(error) => {
            // Without the address: people type passwords there, too.
            tracing::warn!(from = ?browser::from(&parts.extensions), %error, "sign_in.refused");
            let refusal = Refusal::from(error);
            let message = refusal.in_form()?;
            let shown = (fields.text("email"), fields.text("to"));
            let page = bound(&desk, &parts.headers, |form| {
                layout::alone(&desk, "Sign in", &page(&desk, form, Some(&message), shown))
            });
            Ok(to_mend(page))
        }
    }
}

/// Leads somebody who signed in to where they were going.
pub(crate) fn begun(desk: &Desk, signed_in: &SignedIn, to: &str) -> Response {
    let mut response = desk.go(to).into_response();
    leave(desk, signed_in, &mut response);
    response
}

/// Leaves a session in the browser.
pub(crate) fn leave(desk: &Desk, signed_in: &SignedIn, response: &mut Response) {
    Cookie::Session.leave(response, signed_in.token.reveal(), desk.is_secure);
    Cookie::Mark.leave(response, &signed_in.mark, desk.is_secure);
    Cookie::Form.take_away(response, desk.is_secure);
}

/// A path of these pages; any other is the first one.
fn inside(to: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_');
    if to.starts_with('/') && !to.starts_with("//") && to.chars().all(plain) {
        to.to_owned()
    } else {
        "/overview".to_owned()
    }
}

async fn sign_out(State(desk): State<Arc<Desk>>, sent: Sent) -> Result<Response, Refusal> {
    let ask = &sent.visit.ask;
    if let Means::Session(session) = ask.caller.means {
        desk.done(ask, || desk.app.end_session(ask, session)).await?;
    }
    let mut response = desk.go("/sign-in").into_response();
    Cookie::Session.take_away(&mut response, desk.is_secure);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_led_elsewhere() {
        for (to, leads) in [
            (
                "/secrets/3c90c3cc-0d44-4b50-8888-8dd25736052a",
                "/secrets/3c90c3cc-0d44-4b50-8888-8dd25736052a",
            ),
            ("", "/overview"),
            ("//evil.example", "/overview"),
            ("/\\evil.example", "/overview"),
            ("https://evil.example", "/overview"),
            ("/a?b", "/overview"),
            ("/a\r\nSet-Cookie: b", "/overview"),
        ] {
            assert_eq!(inside(to), leads);
        }
    }
}
