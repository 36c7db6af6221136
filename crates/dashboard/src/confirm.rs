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
    let must = desk.app.must_confirm(&visit.ask).await?;
    Ok(html! {
        @if must {
            fieldset {
                legend { "Is it you?" }
                p { "You signed in a while ago, and what is made here outlasts your session. Show once more that it is you." }
                (sign_in::present(of))
            }
        }
    })
}

/// Who filled in a form, confirmed when they showed that it is them.
pub(crate) async fn by(desk: &Desk, visit: &Visit, fields: &Fields) -> Result<Ask, Refusal> {
    let Some(password) = fields.filled("password") else { return Ok(visit.ask.clone()) };
    let (app, ask) = (Arc::clone(&desk.app), visit.ask.clone());
    let (password, code) = (Password::typed(password.to_owned()), fields.text("code").trim().to_owned());
    let confirmed =
        desk.stretching(Box::pin(async move { app.confirm(&ask, (password, &code)).await })).await?;
    confirmed.map_err(refused)
}

/// What is said to somebody who is signed in.
pub(crate) fn refused(error: SignInError) -> Refusal {
    match error {
        // No address is asked for here.
        SignInError::Wrong => Refusal::invalid("The password or the code is wrong."),
        other => other.into(),
    }
}
