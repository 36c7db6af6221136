//! Invitations, opened: whoever never signed in here chooses how; whoever did
//! shows that they are who is invited.

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::get;
use maud::{Markup, html};
use std::sync::Arc;
use strongroom_core::app::{LinkKind, OpenLink};
use strongroom_core::text::Email;

use crate::browser;
use crate::desk::Desk;
use crate::forms::Stranger;
use crate::refusal::{Refusal, to_mend};
use crate::{layout, parts, set_up, sign_in};

const KIND: LinkKind = LinkKind::Invitation;

pub(crate) fn routes() -> Router<Arc<Desk>> {
    Router::new().route("/invitation/{token}", get(ask).post(accept))
}

async fn ask(
    State(desk): State<Arc<Desk>>,
    Path(token): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let cause = browser::cause(request.extensions());
    let link = set_up::opened(desk.app.open_link(KIND, &token, cause).await)?;
    Ok(sign_in::bound(&desk, request.headers(), |form| {
        layout::alone(&desk, "Join", &page(&desk, &token, (form, None), &link))
    }))
}

fn page(desk: &Desk, token: &str, (form, problem): (&str, Option<&str>), link: &OpenLink) -> Markup {
    if !link.signs_in_already {
        return set_up::page(desk, (KIND, token), (form, problem), link);
    }
    let email = link.user.email.as_ref().map_or("", Email::as_str);
    html! {
        h1 { "Join " (link.team.name) }
        p.lead { "You are invited as " (link.role) ". You sign in here already: show that it is you." }
        (parts::problem(problem))
        form method="post" action=(desk.to(&format!("/invitation/{token}"))) {
            (parts::token(form))
            (sign_in::factors(email))
            button type="submit" { "Join" }
        }
    }
}

async fn accept(
    State(desk): State<Arc<Desk>>,
    Path(token): Path<String>,
    sent: Stranger,
) -> Result<Response, Refusal> {
    let cause = browser::cause(&sent.parts.extensions);
    let link = set_up::opened(desk.app.open_link(KIND, &token, cause).await)?;
    if !link.signs_in_already {
        return set_up::chosen(&desk, (KIND, &token), link, &sent).await;
    }
    let attempt = sign_in::attempt(&sent.fields, &sent.parts, &desk);
    let app = Arc::clone(&desk.app);
    let done = desk.stretching(Box::pin(async move { app.join(link, attempt).await })).await?;
    match done {
        Ok(signed_in) => Ok(sign_in::begun(&desk, &signed_in, "/overview")),
        Err(error) => {
            let refusal = Refusal::from(error);
            let message = refusal.in_form()?;
            let link = set_up::opened(desk.app.open_link(KIND, &token, cause).await)?;
            let page = page(&desk, &token, (sent.form(), Some(&message)), &link);
            Ok(to_mend(layout::alone(&desk, "Join", &page)))
        }
    }
}
