//! What happened, on the wire: who did what to which object, by ids. Never a
//! value.

use axum::Json as JsonAnswer;
use axum::extract::State;
use axum::http::Uri;
use axum::http::header::LINK;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::sync::Arc;
use strongroom_core::events::{EventFilter, EventKind, EventPage, Recorded};
use strongroom_core::{ApiKeyId, App, RunId, Timestamp, UserId};
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::act::Act;
use crate::error::{ApiError, Refused};
use crate::requests::Requested;
use crate::shared::Shared;
use crate::{query, timestamps};

/// How many times the store is asked for a page of few that match.
const LOOKS: usize = 8;

/// The operations of this file.
pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(list_events))
}

/// One thing that happened.
#[derive(Serialize, ToSchema)]
struct Event {
    /// Its place in the record: what was recorded later has a higher one.
    sequence: i64,
    /// When.
    #[serde(serialize_with = "timestamps::serialize")]
    #[schema(value_type = String, format = DateTime, example = "2026-11-07T05:31:56.000Z")]
    at: Timestamp,
    /// What. Later versions have more of these names.
    #[schema(example = "secret.created")]
    action: String,
    /// How often: more than once only where repeats were counted.
    #[schema(example = 1)]
    times: u32,
    /// By whom; null: by the server itself.
    #[schema(format = Uuid, required)]
    user_id: Option<String>,
    /// With which API key; for a run, the one that it was started with.
    #[schema(format = Uuid, required)]
    api_key_id: Option<String>,
    /// By which run.
    #[schema(format = Uuid, required)]
    run_id: Option<String>,
    /// In which session of a browser.
    #[schema(format = Uuid, required)]
    session_id: Option<String>,
    /// What kind of object it was done to.
    #[schema(example = "secrets")]
    object_type: String,
    /// To which object.
    #[schema(format = Uuid, required)]
    object_id: Option<String>,
    /// The object's version after it, where it has versions.
    #[schema(required)]
    version: Option<u32>,
    /// In or of which agent.
    #[schema(format = Uuid, required)]
    agent_id: Option<String>,
    /// And which of its revisions.
    #[schema(format = Uuid, required)]
    build_id: Option<String>,
    /// In answer to which request: the `x-request-id` of its answer.
    #[schema(format = Uuid, required)]
    request_id: Option<String>,
    /// For `access.denied`: which operation was asked for, if it is known.
    #[schema(required, example = json!(null))]
    denied_operation: Option<String>,
    /// For `access.denied`: why it was refused; null for several reasons.
    #[schema(required, example = json!(null))]
    denied_reason: Option<String>,
    /// For `run.requested`: what was asked for through the broker, and what came of it.
    #[schema(required, example = json!(null))]
    requested: Option<Requested>,
}

fn text<T: ToString>(id: Option<T>) -> Option<String> {
    id.map(|id| id.to_string())
}

impl From<Recorded> for Event {
    fn from(event: Recorded) -> Self {
        let (operation, reason) =
            event.refusal.map_or((None, None), |refusal| (refusal.action, refusal.reason));
        Self {
            sequence: event.sequence,
            at: event.at,
            action: event.kind.into_owned(),
            times: event.times,
            user_id: text(event.actor.user_id),
            api_key_id: text(event.actor.key_id),
            run_id: text(event.actor.run_id),
            session_id: text(event.actor.session_id),
            object_type: event.table.into_owned(),
            object_id: text(event.object_id),
            version: event.version,
            agent_id: text(event.place.agent_id),
            build_id: text(event.place.revision_id),
            request_id: text(event.request_id),
            denied_operation: operation,
            denied_reason: reason,
            requested: event.requested.as_ref().map(Requested::from),
        }
    }
}

/// The answer about what happened.
#[derive(Serialize, ToSchema)]
struct EventsAnswer {
    /// The newest first.
    events: Vec<Event>,
}

/// Which part of the list is asked for.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "described here, read below")]
pub(crate) struct Part {
    /// At most so many.
    #[param(minimum = 1, maximum = 200, default = 50, required = false)]
    limit: u32,
    /// Where to go on: taken from the `Link` of the answer before.
    #[param(minimum = 1, maximum = 9_223_372_036_854_775_807_i64, required = false)]
    cursor: i64,
}

impl Part {
    /// Where to go on, and how far.
    ///
    /// # Errors
    /// When one of them stands twice or is none.
    pub(crate) fn parse(uri: &Uri) -> Result<(Option<i64>, u32), ApiError> {
        let cursor = "taken from the `Link` of the answer before";
        let cursor = query::number(uri, "cursor", cursor, 1..=i64::MAX)?;
        let limit = query::number(uri, "limit", "a number from 1 to 200", 1..=200)?.unwrap_or(50);
        Ok((cursor, limit))
    }
}

/// Which events are asked for.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "described here, read below")]
pub(crate) struct Wanted {
    /// Only of this name.
    #[param(required = false, schema_with = names)]
    action: String,
    /// Only by this user.
    #[param(required = false, format = Uuid)]
    user_id: String,
    /// Only with this API key, or by runs that were started with it.
    #[param(required = false, format = Uuid)]
    api_key_id: String,
    /// Only by this run.
    #[param(required = false, format = Uuid)]
    run_id: String,
    /// Only to objects of this kind.
    #[param(required = false, pattern = "^[a-z_]{1,32}$", example = "secrets")]
    object_type: String,
    /// Only to this object.
    #[param(required = false, format = Uuid)]
    object_id: String,
    /// Only from this moment on.
    #[param(required = false, format = DateTime)]
    since: String,
    /// Only before this moment.
    #[param(required = false, format = DateTime)]
    until: String,
}

/// The names of what can happen.
fn names() -> Object {
    let names = EventKind::ALL.map(EventKind::name);
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names)).build()
}

const ID: &str = "a UUID such as 3c90c3cc-0d44-4b50-8888-8dd25736052a";
const MOMENT: &str = "a date and time of RFC 3339 such as 2026-11-07T05:31:56Z";

pub(crate) fn filter(uri: &Uri) -> Result<EventFilter, ApiError> {
    let id = |name| query::parsed(uri, name, ID, |text| UserId::parse(text).ok().map(UserId::uuid));
    let moment = |name| query::parsed(uri, name, MOMENT, |text| Timestamp::parse(text).ok());
    let kind =
        query::parsed(uri, "action", "the name of an action such as secret.created", EventKind::from_name)?;
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    let table =
        |text: &str| ((1..=32).contains(&text.len()) && text.bytes().all(fits)).then(|| text.to_owned());
    Ok(EventFilter {
        kinds: kind.into_iter().collect(),
        user: id("user_id")?.map(UserId::from_uuid),
        key: id("api_key_id")?.map(ApiKeyId::from_uuid),
        run: id("run_id")?.map(RunId::from_uuid),
        table: query::parsed(uri, "object_type", "1 to 32 small letters and _", table)?,
        objects: id("object_id")?.into_iter().collect::<Vec<Uuid>>(),
        naming: None,
        since: moment("since")?,
        until: moment("until")?,
    })
}

/// List what happened
///
/// Everything in the team for administrators, what you did yourself for everybody else; the newest first. Where few
/// match, an answer may have fewer than `limit`, or none, and still go on: as long as there is a header `Link` with
/// `rel="next"`, there may be more.
#[utoipa::path(get, path = "/v2/teams/{teamId}/events", operation_id = "listEvents", tag = "Events",
    params(("teamId" = String, Path, description = "The team of your API key", format = Uuid), Part, Wanted),
    responses((status = 200, description = "What happened", body = EventsAnswer,
        headers(("link" = String, description = "Where the list goes on, if it does"))), Refused))]
async fn list_events(State(app): State<Arc<App>>, act: Act, uri: Uri) -> Result<Response, ApiError> {
    let page = found(&app, &act, &filter(&uri)?, Part::parse(&uri)?).await?;
    let next = page.next.map(|next| [(LINK, query::next(&uri, &[("cursor", next.to_string())]))]);
    let answer = EventsAnswer { events: page.events.into_iter().map(Event::from).collect() };
    Ok((next, JsonAnswer(answer)).into_response())
}

/// A page of those that match; the store looks at so many at a time.
async fn found(
    app: &App,
    act: &Act,
    filter: &EventFilter,
    (mut before, limit): (Option<i64>, u32),
) -> Result<EventPage, ApiError> {
    let mut all = EventPage::default();
    for _ in 0..LOOKS {
        let room = limit.saturating_sub(u32::try_from(all.events.len()).unwrap_or(limit));
        let page = app.events(&act.ask, filter, before, room).await?;
        all.events.extend(page.events);
        (all.next, before) = (page.next, page.next);
        if before.is_none() || all.events.len() >= limit as usize {
            break;
        }
    }
    Ok(all)
}
