//! Showing once more what one signs in with, before one makes what outlasts the
//! session.

use maud::{Markup, html};
use std::sync::Arc;
use strongroom_core::app::{Ask, SignInError};
use strongroom_core::passwords::Password;

use crate::desk::Desk;
use crate::forms::Fields;
use crate::refusal::Refusal;
use crate::sign_in;
use crate::visit::Visit;

/// What a form asks for besides, when it is a while since they signed in.
pub(crate) async fn asked(desk: &Desk, visit: &Visit, of: &str) -> Result<Markup, Refusal> {
    let why = "You signed in a while ago, and what is made here outlasts your session. Show once more that it is you.";
    fields(desk, visit, why, &sign_in::present(of, true)).await
}

/// The same in a form that does other things, too.
pub(crate) async fn asked_to_share(desk: &Desk, visit: &Visit) -> Result<Markup, Refusal> {
    let why = "You signed in a while ago. To share it with the team, show once more that it is you.";
    fields(desk, visit, why, &sign_in::present("share-", false)).await
}

async fn fields(desk: &Desk, visit: &Visit, why: &str, present: &Markup) -> Result<Markup, Refusal> {
    let must = desk.app.must_confirm(&visit.ask).await?;
    Ok(html! {
        @if must { fieldset { legend { "Is it you?" } p { (why) } (present) } }
    })
}

/// Who filled in a form, confirmed when they showed that it is them.
pub(crate) async fn by(desk: &Desk, visit: &Visit, fields: &Fields) -> Result<Ask, Refusal> {
    let password = fields.text("password");
    if password.is_empty() {
        return Ok(visit.ask.clone());
    }
    let (app, ask) = (Arc::clone(&desk.app), visit.ask.clone());
    let (password, code) = (Password::typed(password.to_owned()), fields.text("code").trim().to_owned());
    let confirmed =
        desk.stretching(Box::pin(async move { app.confirm(&ask, (password, &code)).await })).await?;
    confirmed.map_err(|error| {
        tracing::warn!(user = %visit.member.user.id, %error, "confirm.refused");
        refused(error)
    })
}

/// What is said to somebody who is signed in.
pub(crate) fn refused(error: SignInError) -> Refusal {
    match error {
        // No address is asked for here.
        SignInError::Wrong => Refusal::invalid(
            "The password or the code is wrong, or the code was used already; each is good for once.",
        ),
        other => other.into(),
    }
}
