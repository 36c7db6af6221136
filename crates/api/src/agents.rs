//! Agents on the wire: programs that act for a team, each with revisions to
//! which secrets are attached.

use axum::Json as JsonAnswer;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde::{Deserialize, Deserializer, Serialize};
use std::sync::Arc;
use strongroom_core::agents::Agent as StoredAgent;
use strongroom_core::rows::Proven;
use strongroom_core::text::AgentName;
use strongroom_core::{AgentId, App, Timestamp};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::act::{Act, Answer, Success, shown};
use crate::body::Json;
use crate::error::{Absent, ApiError, BodyRefused, ChangeRefused, Refused};
use crate::path::OnPath;
use crate::query::{self, Page};
use crate::shared::Shared;
use crate::timestamps;
use crate::values::parsed;

/// The operations of this file.
pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(list_agents, create_agent)).routes(routes!(
        get_agent,
        update_agent,
        delete_agent
    ))
}

/// An agent.
#[derive(Serialize, ToSchema)]
struct Agent {
    /// Names it.
    #[schema(format = Uuid, example = "019ab3c4-7c1e-7d55-8a3f-0d3b4f5a6c7d")]
    id: String,
    /// Whose team's it is.
    #[schema(format = Uuid)]
    team_id: String,
    /// What people call it.
    #[schema(example = "Invoices")]
    name: String,
    /// The revision whose environment a run receives that names none; null: there is no revision yet.
    #[schema(format = Uuid, required)]
    live_build_id: Option<String>,
    /// The same as `id`.
    #[schema(format = Uuid)]
    copilot_id: String,
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
    /// When anything of it last changed.
    #[serde(serialize_with = "timestamps::serialize")]
    #[schema(value_type = String, format = DateTime, example = "2026-11-07T05:31:56.000Z")]
    updated_at: Timestamp,
}

impl From<&StoredAgent> for Agent {
    fn from(agent: &StoredAgent) -> Self {
        Self {
            id: agent.id.to_string(),
            team_id: agent.team_id.to_string(),
            name: agent.name.to_string(),
            live_build_id: agent.live.map(|revision| revision.to_string()),
            copilot_id: agent.id.to_string(),
            config: None,
            created_by: agent.created_by.to_string(),
            created_at: agent.created_at,
            updated_at: agent.updated_at,
        }
    }
}

/// A new agent.
#[derive(Serialize, ToSchema)]
struct CreatedAgent {
    agent: Agent,
}

/// The answer about one agent.
#[derive(Serialize, ToSchema)]
struct AgentAnswer {
    agent: Agent,
    user_context: UserContext,
}

/// What an agent is to you.
#[derive(Default, Serialize, ToSchema)]
struct UserContext {
    /// Always null: agents can't be pinned.
    #[schema(required)]
    pinned_at: Option<String>,
}

impl From<&StoredAgent> for AgentAnswer {
    fn from(agent: &StoredAgent) -> Self {
        Self { agent: agent.into(), user_context: UserContext::default() }
    }
}

/// The answer about agents.
#[derive(Serialize, ToSchema)]
struct AgentsAnswer {
    agents: Vec<Agent>,
    /// How many there are that match, in this answer or not.
    total: usize,
    /// At most how many are in this answer.
    limit: u32,
    /// How many come before those in this answer.
    offset: u32,
}

/// Which agents are wanted.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes a parameter; `query` reads it")]
struct Search {
    /// Only those with this text, in any case, in their name.
    #[param(value_type = String, min_length = 1, max_length = 128, pattern = "^[^\\u0000]*$", required = false)]
    search: Option<String>,
}

/// List the agents of your team
///
/// By creation; 50 at a time unless `limit` says otherwise. Go on with an `offset` raised by `limit`, until it reaches
/// `total`. Needs the scope `secrets:read`.
#[utoipa::path(get, path = "/v2/teams/{teamId}/agents", operation_id = "listAgents", tag = "Agents",
    params(("teamId" = String, Path, description = "The team of your API key", format = Uuid), Page, Search),
    responses((status = 200, description = "The agents", body = AgentsAnswer), Refused))]
async fn list_agents(
    State(app): State<Arc<App>>,
    act: Act,
    uri: Uri,
) -> Result<JsonAnswer<AgentsAnswer>, ApiError> {
    let (page, search) = (Page::parse(&uri)?, query::search(&uri)?);
    let list = app.agents(&act.ask, search.as_deref(), page.bounds()).await?;
    let agents = list.agents.iter().map(|agent| Agent::from(&**agent)).collect();
    let Page { limit, offset } = page;
    Ok(JsonAnswer(AgentsAnswer { agents, total: list.total, limit, offset }))
}

/// What an agent is called.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"name": "Invoices"}))]
struct NameAgent {
    /// What to call it. Need not be unique.
    #[serde(deserialize_with = "agent_name")]
    #[schema(value_type = String, min_length = 1, max_length = 128, pattern = "^[^\\u0000]*$")]
    name: AgentName,
}

fn agent_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<AgentName, D::Error> {
    parsed(deserializer, AgentName::parse)
}

/// Create an agent
///
/// It has no revision yet: `createRevision` makes one, to which secrets are attached. Needs the role builder and the scope
/// `secrets:write`.
#[utoipa::path(post, path = "/v2/teams/{teamId}/agents", operation_id = "createAgent", tag = "Agents",
    params(("teamId" = String, Path, description = "The team of your API key", format = Uuid)),
    request_body = NameAgent,
    responses((status = 201, description = "Created", body = CreatedAgent,
        headers(("etag" = String, description = "The agent's state"))), Refused, ChangeRefused, BodyRefused))]
async fn create_agent(
    State(app): State<Arc<App>>,
    act: Act,
    Json(NameAgent { name }): Json<NameAgent>,
) -> Result<Response, ApiError> {
    let planned = app.create_agent(&act.ask, name)?;
    act.carry_out(&app, planned, created).await
}

fn created(agent: &Proven<StoredAgent>) -> Answer {
    let body = CreatedAgent { agent: Agent::from(&**agent) };
    Answer::new(StatusCode::CREATED, &body).tagged(agent.mac())
}

/// Look at an agent
///
/// Needs the scope `secrets:read`.
#[utoipa::path(get, path = "/v2/agents/{agentId}", operation_id = "getAgent", tag = "Agents",
    params(("agentId" = String, Path, description = "The agent", format = Uuid)),
    responses((status = 200, description = "The agent", body = AgentAnswer,
        headers(("etag" = String, description = "The agent's state"))), Refused, Absent))]
async fn get_agent(
    State(app): State<Arc<App>>,
    act: Act,
    OnPath(id): OnPath<AgentId>,
) -> Result<Response, ApiError> {
    let agent = app.agent(&act.ask, id).await?;
    Ok(shown(agent.mac(), &AgentAnswer::from(&*agent)))
}

/// Rename an agent
///
/// Its revisions, and what is attached to them, stay as they are. Needs the role builder and the scope `secrets:write`.
#[utoipa::path(patch, path = "/v2/agents/{agentId}", operation_id = "updateAgent", tag = "Agents",
    params(("agentId" = String, Path, description = "The agent", format = Uuid)),
    request_body = NameAgent,
    responses((status = 200, description = "The agent as it is now", body = AgentAnswer,
        headers(("etag" = String, description = "The agent's state"))),
        Refused, Absent, ChangeRefused, BodyRefused))]
async fn update_agent(
    State(app): State<Arc<App>>,
    act: Act,
    OnPath(id): OnPath<AgentId>,
    Json(NameAgent { name }): Json<NameAgent>,
) -> Result<Response, ApiError> {
    let plan = || app.update_agent(&act.ask, id, &name);
    act.retrying(&app, plan, |agent| {
        Answer::new(StatusCode::OK, &AgentAnswer::from(&**agent)).tagged(agent.mac())
    })
    .await
}

/// Delete an agent
///
/// It is gone from this answer on, with its revisions, and all of its runs are revoked. The secrets that were attached
/// stay. It can't be brought back. Needs the role manager and the scope `secrets:write`.
#[utoipa::path(delete, path = "/v2/agents/{agentId}", operation_id = "deleteAgent", tag = "Agents",
    params(("agentId" = String, Path, description = "The agent", format = Uuid)),
    responses((status = 200, description = "Deleted", body = Success), Refused, Absent, ChangeRefused))]
async fn delete_agent(
    State(app): State<Arc<App>>,
    act: Act,
    OnPath(id): OnPath<AgentId>,
) -> Result<Response, ApiError> {
    act.retrying(&app, || app.delete_agent(&act.ask, id), |()| Success::answer()).await
}
