//! Links by which somebody sets up how they sign in: the server's
//! administrator's, and invitations of a team's.

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::get;
use maud::{Markup, PreEscaped, html};
use qrcode::QrCode;
use qrcode::render::svg;
use std::sync::Arc;
use strongroom_core::app::{Chosen, Error, LinkKind, OpenLink};
use strongroom_core::second_factor::AppSecret;
use strongroom_core::text::Email;

use crate::browser;
use crate::desk::Desk;
use crate::forms::Stranger;
use crate::layout;
use crate::parts;
use crate::refusal::{Refusal, to_mend};
use crate::sign_in;

pub(crate) fn routes() -> Router<Arc<Desk>> {
    Router::new().route("/setup/{token}", get(ask).post(set_up))
}

/// Where a link of this kind leads.
pub(crate) const fn path(kind: LinkKind) -> &'static str {
    match kind {
        LinkKind::SetUp => "/setup",
        LinkKind::Invitation => "/invitation",
    }
}

async fn ask(
    State(desk): State<Arc<Desk>>,
    Path(token): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let cause = browser::cause(request.extensions());
    let link = opened(desk.app.open_link(LinkKind::SetUp, &token, cause).await)?;
    Ok(sign_in::bound(&desk, request.headers(), |form| {
        layout::alone(
            &desk,
            "Set up how you sign in",
            &page(&desk, (LinkKind::SetUp, &token), (form, None), &link),
        )
    }))
}

/// A link that is good; of one that isn't nothing more is said.
pub(crate) fn opened<T>(link: Result<T, Error>) -> Result<T, Refusal> {
    link.map_err(|error| match error {
        Error::NotProven => Refusal::new(
            axum::http::StatusCode::GONE,
            "This link was used, withdrawn, or is too old. Ask whoever sent it for another.",
        ),
        other => other.into(),
    })
}

/// What is chosen by somebody who never signed in here.
pub(crate) fn page(
    desk: &Desk,
    (kind, token): (LinkKind, &str),
    (form, problem): (&str, Option<&str>),
    link: &OpenLink,
) -> Markup {
    html! {
        h1 { "Set up how you sign in" }
        p.lead {
            "You are " strong { (link.user.name) } ", " (link.role) " of " strong { (link.team.name) } "."
        }
        (parts::problem(problem))
        form method="post" action=(desk.to(&format!("{}/{token}", path(kind)))) {
            (parts::token(form))
            // For the browser, which keeps the password under it.
            input type="hidden" name="email" value=(address(link)) autocomplete="username";
            (parts::field("A new password", "password", "At least 15 characters; 8 are enough with an authenticator app. A few words make a good one.", &html! {
                input #password name="password" type="password" required minlength="8" maxlength="256"
                    autocomplete="new-password" aria-describedby="password-hint";
            }))
            details {
                summary { "Add an authenticator app (recommended)" }
                (app_offer(&link.app, address(link), "Six digits. Leave it empty to do without an app."))
            }
            button type="submit" { "Set up and sign in" }
        }
    }
}

fn address(link: &OpenLink) -> &str {
    link.user.email.as_ref().map_or("", Email::as_str)
}

/// What an authenticator app is given, and shows.
pub(crate) fn app_offer(app: &AppSecret, account: &str, hint: &str) -> Markup {
    let uri = app.uri(account, "Strongroom");
    html! {
        p { "Scan this with the app, or type the text into it." }
        @if let Ok(code) = QrCode::new(uri.as_bytes()) {
            @let picture = code.render::<svg::Color<'_>>().min_dimensions(200, 200).build();
            // The picture is made here of nothing but black and white.
            div.qr role="img" aria-label="A picture for the app to scan" {
                (PreEscaped(picture.trim_start_matches("<?xml version=\"1.0\" standalone=\"yes\"?>")))
            }
        }
        p { code.wide { (app.text()) } }
        (parts::field("What the app shows now", "app-code", hint, &html! {
            input #app-code name="code" inputmode="numeric" autocomplete="one-time-code" maxlength="16" aria-describedby="app-code-hint";
        }))
    }
}

async fn set_up(
    State(desk): State<Arc<Desk>>,
    Path(token): Path<String>,
    sent: Stranger,
) -> Result<Response, Refusal> {
    let cause = browser::cause(&sent.parts.extensions);
    let link = opened(desk.app.open_link(LinkKind::SetUp, &token, cause).await)?;
    chosen(&desk, (LinkKind::SetUp, &token), link, &sent).await
}

/// Sets up what somebody chose, or says what is wrong with it.
pub(crate) async fn chosen(
    desk: &Arc<Desk>,
    (kind, token): (LinkKind, &str),
    link: OpenLink,
    sent: &Stranger,
) -> Result<Response, Refusal> {
    let chosen = Chosen {
        password: sent.fields.text("password").to_owned(),
        code: sent.fields.text("code").trim().to_owned(),
    };
    let (app, at) = (Arc::clone(&desk.app), browser::whereabouts(&sent.parts, desk.is_secure));
    let done = desk.stretching(Box::pin(async move { app.set_up(link, chosen, &at).await })).await?;
    match done {
        Ok(set_up) if set_up.codes.is_empty() => Ok(sign_in::begun(desk, &set_up.signed_in, "/overview")),
        Ok(set_up) => {
            let mut response = layout::alone(desk, "Your recovery codes", &codes(desk, &set_up.codes));
            sign_in::leave(desk, &set_up.signed_in, &mut response);
            Ok(response)
        }
        Err(error) => {
            let refusal = Refusal::from(error);
            let message = refusal.in_form()?;
            let cause = browser::cause(&sent.parts.extensions);
            let link = opened(desk.app.open_link(kind, token, cause).await)?;
            let page = page(desk, (kind, token), (sent.form(), Some(&message)), &link);
            Ok(to_mend(layout::alone(desk, "Set up how you sign in", &page)))
        }
    }
}

/// Codes for when the app is lost.
pub(crate) fn codes(desk: &Desk, codes: &[String]) -> Markup {
    html! {
        h1 { "Your recovery codes" }
        p { "They are shown only now. Each signs you in once in place of the app, should you lose it. Keep them on paper or in a password manager." }
        (parts::copied("codes", "Recovery codes", &codes.join("\n")))
        p { a.button href=(desk.to("/overview")) { "I have kept them" } }
    }
}
