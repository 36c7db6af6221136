//! Why a page isn't what was asked for, in words for the person who asked.

use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use maud::html;
use std::borrow::Cow;
use std::sync::Arc;
use strongroom_core::access::Denied;
use strongroom_core::app::{Cause, Error, SignInError};
use strongroom_core::events::Object;
use strongroom_core::store::StoreError;
use strongroom_core::teams::Team;
use strongroom_core::with_causes;
use zeroize::Zeroizing;

use crate::browser::{self, Cookie};
use crate::desk::Desk;
use crate::{acts, layout};

/// A page that says what is in the way.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) message: Cow<'static, str>,
    /// The access table refused it: that is recorded.
    denied: Option<Denied>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, message: message.into(), denied: None }
    }

    /// What was filled in makes no sense.
    pub(crate) fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, message)
    }

    /// Nothing that the person could mend.
    pub(crate) fn broken() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "Something is wrong on the server; its operator finds it in the log.",
        )
    }

    /// Nobody is signed in here, or not any more.
    pub(crate) fn signed_out() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "You are signed out.")
    }

    pub(crate) fn absent() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "There is no such page, or what it was about is gone or not yours to see.",
        )
    }

    /// The message, to stand in a form that was filled in wrongly; other refusals
    /// are pages of their own.
    pub(crate) fn in_form(self) -> Result<Cow<'static, str>, Self> {
        if self.status == StatusCode::UNPROCESSABLE_ENTITY { Ok(self.message) } else { Err(self) }
    }

    /// The same for a form that is shown again beside what is there now: also that this
    /// isn't what it was filled in for.
    pub(crate) fn in_fresh_form(self) -> Result<Cow<'static, str>, Self> {
        if self.status == StatusCode::CONFLICT {
            return Ok("Somebody changed it meanwhile, so nothing of yours was stored. It is shown as it is now: decide anew.".into());
        }
        self.in_form()
    }
}

/// A page with a form that was filled in wrongly.
pub(crate) fn to_mend(page: Response) -> Response {
    (StatusCode::UNPROCESSABLE_ENTITY, page).into_response()
}

/// With a capital letter and a full stop: messages of the core are clauses.
pub(crate) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let end = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let status = match &error {
            Error::NotProven | Error::RunOver(_) => return Self::signed_out(),
            Error::Denied(Denied::Invisible) => return Self::absent(),
            Error::Denied(denied) => {
                let refused = Self::new(StatusCode::FORBIDDEN, sentence(&denied.to_string()));
                return Self { denied: Some(*denied), ..refused };
            }
            Error::Invalid(_) | Error::Bundle(_) | Error::Collision(_) | Error::Conflict(_) => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Error::Precondition | Error::Store(StoreError::Changed | StoreError::StalePermit) => {
                return Self::new(
                    StatusCode::CONFLICT,
                    "Somebody changed it just now. Go back, look again, and decide anew.",
                );
            }
            Error::Store(StoreError::Unavailable(_) | StoreError::Unsettled) => {
                tracing::warn!(error = with_causes(&error), "page.unavailable");
                return Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "The database can't be reached just now. Try again in a moment, and look whether it was done.",
                );
            }
            _ => {
                tracing::error!(error = with_causes(&error), "page.failed");
                return Self::broken();
            }
        };
        Self::new(status, sentence(&error.to_string()))
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        Error::from(denied).into()
    }
}

impl From<SignInError> for Refusal {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::Other(Error::Store(StoreError::Changed | StoreError::StalePermit)) => {
                Self::invalid("It was done elsewhere at the same time. Try again.")
            }
            SignInError::Other(error) => error.into(),
            told => Self::invalid(sentence(&told.to_string())),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// What somebody asked for with whom a refusal deals.
struct Asked {
    session: Option<Zeroizing<String>>,
    cause: Cause,
    pattern: Option<MatchedPath>,
    method: Method,
    path: String,
}

impl Asked {
    fn of(desk: &Desk, request: &Request) -> Self {
        Self {
            session: Cookie::Session.read(request.headers(), desk.is_secure).map(Zeroizing::new),
            cause: browser::cause(request.extensions()),
            pattern: request.extensions().get().cloned(),
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
        }
    }

    /// Where somebody signs in and goes on: to what they looked for, or to the page that
    /// has the form that they sent. That nothing was done is told there.
    fn sign_in(&self) -> String {
        let pattern = self.pattern.as_ref().map_or("", MatchedPath::as_str);
        let is_look = self.method.is_safe();
        let is_page = is_look || acts::action(&Method::GET, pattern).is_some();
        let mut query = form_urlencoded::Serializer::new(String::new());
        if is_page && self.path != "/" {
            query.append_pair("to", &self.path);
        }
        // Who wanted to be out is.
        if !is_look && pattern != "/sign-out" {
            query.append_pair("over", "yes");
        }
        let query = query.finish().replace("%2F", "/");
        if query.is_empty() { "/sign-in".to_owned() } else { format!("/sign-in?{query}") }
    }

    /// Has the refusal recorded.
    async fn record(&self, desk: &Desk, denied: Denied) {
        let Some(session) = &self.session else { return };
        let pattern = self.pattern.as_ref().map_or("", MatchedPath::as_str);
        let cause = Cause { action: acts::action(&self.method, pattern), ..self.cause };
        if let Ok(caller) = desk.app.authenticate_session(session, &cause).await {
            let object = acts::object(pattern, &self.path)
                .unwrap_or_else(|| Object::of::<Team>(Some(caller.team_id.uuid())));
            desk.app.note_refusal(&caller, &cause, object, denied).await;
        }
    }
}

/// Makes a page of a refusal; who is signed out is led to sign in.
pub(crate) async fn shown(State(desk): State<Arc<Desk>>, request: Request, next: Next) -> Response {
    let asked = Asked::of(&desk, &request);
    let mut response = next.run(request).await;
    let Some(refusal) = response.extensions_mut().remove::<Refusal>() else { return response };
    if let Some(denied) = refusal.denied {
        asked.record(&desk, denied).await;
    }
    if refusal.status == StatusCode::UNAUTHORIZED {
        return desk.go(&asked.sign_in()).into_response();
    }
    let title = match refusal.status {
        StatusCode::NOT_FOUND => "Not here",
        StatusCode::GONE => "This link is over",
        StatusCode::FORBIDDEN => "Not allowed",
        StatusCode::UNPROCESSABLE_ENTITY => "That doesn't work",
        _ => "Not done",
    };
    let content = html! {
        h1 { (title) }
        p role="alert" { (refusal.message) }
        p { a href=(desk.to("/")) { "Back to the beginning" } }
    };
    (refusal.status, layout::alone(&desk, title, &content)).into_response()
}
