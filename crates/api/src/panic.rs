//! On the wire, what to do when values may be in wrong hands: one request
//! revokes whatever could fetch them, and tells what was fetched.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use strongroom_core::app::{Exposed as CoreExposed, Revoked as CoreRevoked, Runs, Suspected};
use strongroom_core::{AgentId, ApiKeyId, App, RunId, UserId};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::act::{Act, Answer};
use crate::body::Json;
use crate::error::{Absent, ApiError, BodyRefused, ChangeRefused, Refused};
use crate::shared::Shared;
use crate::values::{Parsed, given};

/// The operations of this file.
pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(panic))
}

/// Whom not to trust any more: exactly one of these.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"agent_id": "019ab3c4-7c1e-7d55-8a3f-0d3b4f5a6c7d"}))]
#[expect(clippy::struct_field_names, reason = "the wire calls them so")]
struct Panic {
    /// A run.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = String, format = Uuid, required = false)]
    run_id: Option<Parsed<RunId>>,
    /// An agent: all of its runs.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = String, format = Uuid, required = false)]
    agent_id: Option<Parsed<AgentId>>,
    /// An API key, and all runs that were started with it.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = String, format = Uuid, required = false)]
    key_id: Option<Parsed<ApiKeyId>>,
    /// A member: their keys, key links for them and by them, and all runs that they started.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = String, format = Uuid, required = false)]
    user_id: Option<Parsed<UserId>>,
}

impl Panic {
    fn into_suspected(self) -> Result<Suspected, ApiError> {
        match (self.run_id, self.agent_id, self.key_id, self.user_id) {
            (Some(Parsed(run)), None, None, None) => Ok(Suspected::Run(run)),
            (None, Some(Parsed(agent)), None, None) => Ok(Suspected::Agent(agent)),
            (None, None, Some(Parsed(key)), None) => Ok(Suspected::Key(key)),
            (None, None, None, Some(Parsed(user))) => Ok(Suspected::User(user)),
            _ => Err(ApiError::invalid("send exactly one of `run_id`, `agent_id`, `key_id` and `user_id`")),
        }
    }
}

/// What is revoked, and what was delivered before.
#[derive(Serialize, ToSchema)]
struct PanicAnswer {
    revoked: Revoked,
    /// The versions that were delivered: change these values where they are valid.
    deliveries: Vec<Exposed>,
}

/// What is revoked.
#[derive(Serialize, ToSchema)]
struct Revoked {
    /// The suspected's runs that are revoked by now, whose lease would go on: the newest 1,000 of them.
    #[schema(value_type = Vec<uuid::Uuid>)]
    runs: Vec<String>,
    /// How many of them there are.
    runs_total: u64,
    /// The API keys that this request revoked.
    #[schema(value_type = Vec<uuid::Uuid>)]
    api_keys: Vec<String>,
    /// The key links that this request withdrew.
    #[schema(value_type = Vec<uuid::Uuid>)]
    key_links: Vec<String>,
}

impl Revoked {
    fn of(revoked: &CoreRevoked, runs: &Runs) -> Self {
        Self {
            runs: runs.newest.iter().map(ToString::to_string).collect(),
            runs_total: runs.count,
            api_keys: revoked.keys.iter().map(ToString::to_string).collect(),
            key_links: revoked.links.iter().map(ToString::to_string).collect(),
        }
    }
}

/// A version of a secret that was delivered.
#[derive(Serialize, ToSchema)]
struct Exposed {
    /// The secret.
    #[schema(format = Uuid)]
    credential_id: String,
    /// Which of its versions.
    version: u32,
    /// Whose the secret is; null when it is shared with the team, or gone.
    #[schema(format = Uuid, required)]
    user_id: Option<String>,
    /// The names of the values that were delivered.
    #[schema(example = json!(["STRIPE_API_KEY"]))]
    env_var_keys: Vec<String>,
    /// To which runs: the newest 1,000 of them.
    #[schema(value_type = Vec<uuid::Uuid>)]
    runs: Vec<String>,
    /// How many of them there are.
    runs_total: u64,
}

impl From<&CoreExposed> for Exposed {
    fn from(exposed: &CoreExposed) -> Self {
        Self {
            credential_id: exposed.secret_id.to_string(),
            version: exposed.version,
            user_id: exposed.owner.map(|owner| owner.to_string()),
            env_var_keys: exposed.env_keys.iter().map(ToString::to_string).collect(),
            runs: exposed.runs.newest.iter().map(ToString::to_string).collect(),
            runs_total: exposed.runs.count,
        }
    }
}

/// Revoke whatever could fetch values, and see what was fetched
///
/// For when a run, an agent, an API key or a member may be in wrong hands. From the answer on nothing is delivered to its
/// runs any more, and no key of a revoked one's starts others; the agent itself, and the member's place in the team, stay.
/// The answer lists every version that was ever delivered to its runs, by the names of the values, never the values:
/// those are to be changed at their source. Sent again, it lists the same. A dry run revokes nothing, and lists the runs
/// that would be revoked and what was delivered so far. Your own run, key and self need any role, everything else the role
/// administrator, and no user above yourself or your key. Needs the scope `admin`.
#[utoipa::path(post, path = "/v2/teams/{teamId}/panic", operation_id = "panic", tag = "Runs",
    params(("teamId" = String, Path, description = "The team of your API key", format = Uuid)),
    request_body = Panic,
    responses((status = 200, description = "What is revoked, and what was delivered", body = PanicAnswer),
        Refused, Absent, ChangeRefused, BodyRefused))]
async fn panic(
    State(app): State<Arc<App>>,
    act: Act,
    Json(panic): Json<Panic>,
) -> Result<Response, ApiError> {
    let suspected = panic.into_suspected()?;
    act.retrying_then(
        &app,
        || app.panic(&act.ask, suspected),
        async |revoked| {
            let (runs, exposed) = app.exposed(&act.ask, suspected, act.dry_run).await?;
            let deliveries = exposed.iter().map(Exposed::from).collect();
            let body = PanicAnswer { revoked: Revoked::of(&revoked, &runs), deliveries };
            Ok(Answer::new(StatusCode::OK, &body))
        },
    )
    .await
}
