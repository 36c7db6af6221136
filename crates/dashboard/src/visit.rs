//! A person on a page: who is signed in, and in which team.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use std::sync::Arc;
use strongroom_core::Role;
use strongroom_core::access::{Action, Ownership};
use strongroom_core::app::{Ask, Error};
use strongroom_core::rows::Proven;
use strongroom_core::teams::Team;
use strongroom_core::users::ProvenMember;

use crate::browser::{self, Cookie};
use crate::desk::Desk;
use crate::refusal::Refusal;

/// A person who is signed in.
pub(crate) struct Visit {
    pub(crate) ask: Ask,
    /// Who they are.
    pub(crate) member: ProvenMember,
    pub(crate) team: Proven<Team>,
    /// What their forms carry.
    pub(crate) form: String,
    /// What the browser calls this server.
    pub(crate) host: Option<String>,
    /// The path of the page.
    pub(crate) path: String,
    /// What was just done, by its name in the query.
    pub(crate) done: Option<String>,
}

impl Visit {
    /// What they are in this team.
    pub(crate) fn role(&self) -> Role {
        self.member.membership.role
    }

    /// Whether they may do this to what is the team's.
    pub(crate) fn may(&self, action: Action) -> bool {
        self.ask.caller.permit(action, Ownership::Shared).is_ok()
    }

    /// Whether they may do this to anything.
    pub(crate) fn may_ever(&self, action: Action) -> bool {
        self.ask.caller.screen(action).is_ok()
    }
}

impl FromRequestParts<Arc<Desk>> for Visit {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, desk: &Arc<Desk>) -> Result<Self, Refusal> {
        let token = Cookie::Session.read(&parts.headers, desk.is_secure).ok_or_else(Refusal::signed_out)?;
        let cause = browser::cause(&parts.extensions);
        let caller = desk.app.authenticate_session(&token, &cause).await?;
        let ask = Ask::new(caller, cause);
        let team = match desk.app.team(&ask).await {
            // Its owners bring it back by the API; nobody is here until then.
            Err(Error::Denied(strongroom_core::access::Denied::TeamDeleted)) => {
                return Err(Refusal::signed_out());
            }
            team => team?,
        };
        Ok(Self {
            member: desk.app.profile(&ask).await?,
            team,
            form: desk.app.form_token(&ask)?,
            host: strongroom_net::host(parts).map(ToOwned::to_owned),
            path: parts.uri.path().to_owned(),
            done: query(parts, "done"),
            ask,
        })
    }
}

/// From which place on a list is to be shown.
pub(crate) fn from(parts: &Parts) -> usize {
    query(parts, "from").and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// A parameter of the query.
pub(crate) fn query(parts: &Parts, name: &str) -> Option<String> {
    let query = parts.uri.query().unwrap_or_default();
    form_urlencoded::parse(query.as_bytes())
        .find(|(found, value)| found == name && !value.is_empty())
        .map(|(_, value)| value.into_owned())
}
