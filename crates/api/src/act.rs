//! What every operation is given, and how every change is answered: dry runs,
//! conditions and repeated requests are dealt with here and nowhere else.

use axum::extract::FromRequestParts;
use axum::http::header::{CONTENT_TYPE, ETAG, HeaderValue};
use axum::http::request::Parts;
use axum::http::{StatusCode, header::HeaderName};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use strongroom_core::app::{self, Ask, Once, Planned};
use strongroom_core::rows::RowMac;
use strongroom_core::tags::Tag;
use strongroom_core::{App, StoreError};
use uuid::Uuid;

use crate::error::{self, ApiError};

/// Says that an answer was given before, to the same request.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// How often a change is planned anew because its object changed meanwhile.
/// Each time somebody else was quicker, so this is how many may be.
const ATTEMPTS: u32 = 256;

/// A request that passed the gate: who asks for what, and how it is to be done.
#[derive(Clone)]
pub(crate) struct Act {
    pub(crate) ask: Ask,
    /// Nothing is to be done.
    pub(crate) dry_run: bool,
    /// The request may come again.
    pub(crate) once: Option<Arc<Once>>,
}

impl<S: Send + Sync> FromRequestParts<S> for Act {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        // Only an operation that is served past the gate can lack it.
        parts.extensions.remove().ok_or_else(error::ungated)
    }
}

impl Act {
    /// The same, done each time, and also when it was only to be tried: for
    /// what tells more than whether it could be done, and must leave its trace.
    pub(crate) fn in_earnest(self) -> Self {
        Self { dry_run: false, once: None, ..self }
    }

    /// Does what was planned, unless it is a dry run, and answers.
    ///
    /// # Errors
    /// When it can't be done.
    pub(crate) async fn carry_out<T>(
        &self,
        app: &App,
        planned: Planned<T>,
        render: impl FnOnce(&T) -> Answer,
    ) -> Result<Response, ApiError> {
        Ok(self.attempt(app, planned, render).await?)
    }

    /// The same for what depends on an object's present state: planned anew
    /// when somebody else was quicker.
    ///
    /// # Errors
    /// When it can't be done, or somebody else is always quicker.
    pub(crate) async fn retrying<T, F>(
        &self,
        app: &App,
        plan: impl Fn() -> F,
        render: impl Fn(&T) -> Answer,
    ) -> Result<Response, ApiError>
    where
        F: Future<Output = Result<Planned<T>, app::Error>>,
    {
        Ok(until_settled(|| async { self.attempt(app, plan().await?, &render).await }).await?)
    }

    /// The same for an answer that is only known when it is done. It is kept
    /// afterwards, so this is for what may be done twice.
    ///
    /// # Errors
    /// When it can't be done, somebody else is always quicker, or it was done
    /// but can't be told.
    pub(crate) async fn retrying_then<T, F, G>(
        &self,
        app: &App,
        plan: impl Fn() -> F,
        tell: impl FnOnce(T) -> G,
    ) -> Result<Response, ApiError>
    where
        F: Future<Output = Result<Planned<T>, app::Error>>,
        G: Future<Output = Result<Answer, app::Error>>,
    {
        if self.dry_run {
            let rehearsed = until_settled(|| async { app.rehearse(&self.ask, plan().await?).await }).await?;
            return Ok(tell(rehearsed).await?.into_response());
        }
        let done = until_settled(|| async { app.carry_out(&self.ask, plan().await?, None).await }).await?;
        let answer = tell(done).await.map_err(error::untold)?;
        if let Some(once) = &self.once {
            app.keep(once, &answer.kept()).await.map_err(error::untold)?;
        }
        Ok(answer.into_response())
    }

    async fn attempt<T>(
        &self,
        app: &App,
        planned: Planned<T>,
        render: impl FnOnce(&T) -> Answer,
    ) -> Result<Response, app::Error> {
        let answer = render(&planned.outcome);
        if self.dry_run {
            app.rehearse(&self.ask, planned).await?;
        } else {
            let kept = self.once.iter().flat_map(|once| app.keepable(once, &answer.kept()));
            app.carry_out(&self.ask, planned, kept).await?;
        }
        Ok(answer.into_response())
    }
}

/// Tries again as long as somebody else was quicker.
async fn until_settled<T, F>(attempt: impl Fn() -> F) -> Result<T, app::Error>
where
    F: Future<Output = Result<T, app::Error>>,
{
    let mut attempts = 1;
    loop {
        match attempt().await {
            // What exists by now is found by the next plan.
            Err(app::Error::Store(StoreError::Changed | StoreError::Exists)) if attempts < ATTEMPTS => {
                attempts += 1;
            }
            done => return done,
        }
    }
}

/// An answer to a change.
#[derive(Serialize, Deserialize)]
pub(crate) struct Answer {
    status: u16,
    etag: Option<String>,
    /// JSON.
    body: String,
    /// It shows a token of this object, and is never kept.
    #[serde(skip)]
    shows: Option<Uuid>,
}

impl Answer {
    /// An answer with this body.
    pub(crate) fn new(status: StatusCode, body: &impl Serialize) -> Self {
        // Writing plain structs to memory doesn't fail.
        Self::written(status, serde_json::to_string(body).unwrap_or_default())
    }

    /// The same, about an object in this state.
    pub(crate) fn tagged(mut self, mac: RowMac) -> Self {
        self.etag = Some(etag(mac));
        self
    }

    /// The same, with a token of this object in it.
    pub(crate) fn showing_token_of(mut self, id: Uuid) -> Self {
        self.shows = Some(id);
        self
    }

    /// An answer whose body is JSON already.
    pub(crate) fn written(status: StatusCode, body: String) -> Self {
        Self { status: status.as_u16(), etag: None, body, shows: None }
    }

    /// What is kept of it: never a token.
    pub(crate) fn kept(&self) -> Vec<u8> {
        let kept = match self.shows {
            Some(id) => {
                let (status, refused) = error::already_done(id);
                serde_json::to_vec(&Self::new(status, &refused))
            }
            None => serde_json::to_vec(self),
        };
        kept.unwrap_or_default()
    }

    /// The answer again that was kept.
    pub(crate) fn again(kept: &[u8]) -> Result<Response, ApiError> {
        let answer: Self = serde_json::from_slice(kept).map_err(|_| error::unreadable_answer())?;
        let mut response = answer.into_response();
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        Ok(response)
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, [(CONTENT_TYPE, "application/json")], self.body).into_response();
        if let Some(etag) = self.etag.and_then(|etag| HeaderValue::try_from(etag).ok()) {
            response.headers_mut().insert(ETAG, etag);
        }
        response
    }
}

/// That a change was made which has nothing else to tell.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct Success {
    /// Always true; anything else is an error.
    success: bool,
}

impl Success {
    /// The answer to a change that leaves nothing to show.
    pub(crate) fn answer() -> Answer {
        Answer::new(StatusCode::OK, &Self { success: true })
    }

    /// The same for what made something that isn't shown.
    pub(crate) fn created() -> Answer {
        Answer::new(StatusCode::CREATED, &Self { success: true })
    }
}

/// An object's state as a header.
pub(crate) fn etag(mac: RowMac) -> String {
    format!("\"{}\"", Tag::of(mac))
}

/// An object, as it is.
pub(crate) fn shown(mac: RowMac, body: &impl Serialize) -> Response {
    Answer::new(StatusCode::OK, body).tagged(mac).into_response()
}
