//! Revisions of agents on the wire, where they are called builds. A revision
//! never changes but for its name and what is attached to it.

use axum::Json as JsonAnswer;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde::{Deserialize, Deserializer, Serialize};
use std::sync::Arc;
use strongroom_core::agents::{Agent as StoredAgent, Revision as StoredRevision};
use strongroom_core::rows::Proven;
use strongroom_core::text::RevisionName;
use strongroom_core::{AgentId, App, RevisionId, Timestamp};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::act::{Act, Answer, Success, shown};
use crate::body::Json;
use crate::error::{Absent, ApiError, BodyRefused, ChangeRefused, Refused};
use crate::path::OnPath;
use crate::query::Page;
use crate::shared::Shared;
use crate::timestamps;
use crate::values::parsed;

/// The operations of this file.
pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(list_revisions, create_revision))
        .routes(routes!(get_revision))
        .routes(routes!(promote_revision))
}

/// A revision of an agent.
#[derive(Serialize, ToSchema)]
struct Revision {
    /// Names it.
    #[schema(format = Uuid, example = "019ab3c4-7c1e-7d55-8a3f-0d3b4f5a6c7d")]
    id: String,
    /// Of which agent it is.
    #[schema(format = Uuid)]
    agent_id: String,
    /// The same as `agent_id`.
    #[schema(format = Uuid)]
    copilot_id: String,
    /// What people call it.
    #[schema(example = "2026-11-07")]
    name: String,
    /// Whether it is the one whose environment a run receives that names none.
    live: bool,
    /// Always null: how a program works is its own matter.
    #[schema(required)]
    config: Option<String>,
    /// Who created it.
    #[schema(format = Uuid)]
    created_by: String,
    /// When it was created.
    #[serde(serialize_with = "timestamps::serialize")]
    #[schema(value_type = String, format = DateTime, example = "2026-11-07T05:31:56.000Z")]
    created_at: Timestamp,
}

impl Revision {
    fn of(revision: &StoredRevision, agent: &StoredAgent) -> Self {
        Self {
            id: revision.id.to_string(),
            agent_id: revision.agent_id.to_string(),
            copilot_id: revision.agent_id.to_string(),
            name: revision.name.to_string(),
            live: agent.live == Some(revision.id),
            config: None,
            created_by: revision.created_by.to_string(),
            created_at: revision.created_at,
        }
    }
}

/// The answer about one revision.
#[derive(Serialize, ToSchema)]
struct RevisionAnswer {
    build: Revision,
}

/// A new revision, and of which agent it is.
#[derive(Serialize, ToSchema)]
struct CreatedRevision {
    build: Revision,
    agent: AgentOfRevision,
}

/// The agent of a new revision.
#[derive(Serialize, ToSchema)]
struct AgentOfRevision {
    /// Names it.
    #[schema(format = Uuid)]
    id: String,
}

/// The answer about revisions.
#[derive(Serialize, ToSchema)]
struct RevisionsAnswer {
    builds: Vec<Revision>,
    /// How many there are, in this answer or not.
    total: usize,
    /// At most how many are in this answer.
    limit: u32,
    /// How many come before those in this answer.
    offset: u32,
}

/// List the revisions of an agent
///
/// By creation; 50 at a time unless `limit` says otherwise. Go on with an `offset` raised by `limit`, until it reaches
/// `total`. Needs the scope `secrets:read`.
#[utoipa::path(get, path = "/v2/agents/{agentId}/revisions", operation_id = "listRevisions", tag = "Revisions",
    params(("agentId" = String, Path, description = "The agent", format = Uuid), Page),
    responses((status = 200, description = "The revisions", body = RevisionsAnswer), Refused, Absent))]
async fn list_revisions(
    State(app): State<Arc<App>>,
    act: Act,
    OnPath(agent): OnPath<AgentId>,
    uri: Uri,
) -> Result<JsonAnswer<RevisionsAnswer>, ApiError> {
    let page = Page::parse(&uri)?;
    let list = app.revisions(&act.ask, agent, page.bounds()).await?;
    let builds = list.revisions.iter().map(|revision| Revision::of(revision, &list.agent)).collect();
    let Page { limit, offset } = page;
    Ok(JsonAnswer(RevisionsAnswer { builds, total: list.total, limit, offset }))
}

/// What a revision is called.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"name": "2026-11-07"}))]
struct CreateRevision {
    /// What to call it. Need not be unique.
    #[serde(deserialize_with = "revision_name")]
    #[schema(value_type = String, min_length = 1, max_length = 128, pattern = "^[^\\u0000]*$")]
    name: RevisionName,
}

fn revision_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RevisionName, D::Error> {
    parsed(deserializer, RevisionName::parse)
}

/// Create a revision of an agent
///
/// Nothing is attached to it yet. The first one of an agent is live; a later one is when `promoteRevision` makes it so.
/// Needs the role builder and the scope `secrets:write`.
#[utoipa::path(post, path = "/v2/agents/{agentId}/revisions", operation_id = "createRevision", tag = "Revisions",
    params(("agentId" = String, Path, description = "The agent", format = Uuid)),
    request_body = CreateRevision,
    responses((status = 201, description = "Created", body = CreatedRevision,
        headers(("etag" = String, description = "The revision's state"))),
        Refused, Absent, ChangeRefused, BodyRefused))]
async fn create_revision(
    State(app): State<Arc<App>>,
    act: Act,
    OnPath(agent): OnPath<AgentId>,
    Json(CreateRevision { name }): Json<CreateRevision>,
) -> Result<Response, ApiError> {
    let plan = || app.create_revision(&act.ask, agent, &name);
    act.retrying(&app, plan, |(revision, agent)| created(revision, agent)).await
}

fn created(revision: &Proven<StoredRevision>, agent: &StoredAgent) -> Answer {
    let build = Revision::of(revision, agent);
    let body = CreatedRevision { build, agent: AgentOfRevision { id: agent.id.to_string() } };
    Answer::new(StatusCode::CREATED, &body).tagged(revision.mac())
}

/// Look at a revision
///
/// Needs the scope `secrets:read`.
#[utoipa::path(get, path = "/v2/agents/{agentId}/revisions/{buildId}", operation_id = "getRevision",
    tag = "Revisions",
    params(("agentId" = String, Path, description = "The agent", format = Uuid),
        ("buildId" = String, Path, description = "The revision", format = Uuid)),
    responses((status = 200, description = "The revision", body = RevisionAnswer,
        headers(("etag" = String, description = "The revision's state, but for whether it is live"))),
        Refused, Absent))]
async fn get_revision(
    State(app): State<Arc<App>>,
    act: Act,
    OnPath(agent): OnPath<AgentId>,
    OnPath(id): OnPath<RevisionId>,
) -> Result<Response, ApiError> {
    let (revision, agent) = app.revision(&act.ask, agent, id).await?;
    Ok(shown(revision.mac(), &RevisionAnswer { build: Revision::of(&revision, &agent) }))
}

/// What else is to become of a revision that goes live.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"revision_name": "2026-11-07, checked"}))]
struct PromoteRevision {
    /// What to call it from now on; as before without it.
    #[serde(default, deserialize_with = "given_name")]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 128, pattern = "^[^\\u0000]*$")]
    revision_name: Option<RevisionName>,
}

fn given_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<RevisionName>, D::Error> {
    revision_name(deserializer).map(Some)
}

/// Make a revision the live one
///
/// Runs that name no revision receive its environment from then on; those under way keep what they were started with.
/// Needs the role builder and the scope `secrets:write`.
#[utoipa::path(post, path = "/v2/revisions/{buildId}/promote", operation_id = "promoteRevision", tag = "Revisions",
    params(("buildId" = String, Path, description = "The revision", format = Uuid)),
    request_body = PromoteRevision,
    responses((status = 200, description = "It is live", body = Success),
        Refused, Absent, ChangeRefused, BodyRefused))]
async fn promote_revision(
    State(app): State<Arc<App>>,
    act: Act,
    OnPath(id): OnPath<RevisionId>,
    Json(PromoteRevision { revision_name }): Json<PromoteRevision>,
) -> Result<Response, ApiError> {
    let plan = || app.promote_revision(&act.ask, id, revision_name.as_ref());
    act.retrying(&app, plan, |()| Success::answer()).await
}
