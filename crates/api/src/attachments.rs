//! Which secrets are attached to a revision, on the wire. Attaching one makes
//! its values a part of what runs receive; nothing here shows a value.

use axum::Json as JsonAnswer;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use std::sync::Arc;
use strongroom_core::{AgentId, App, RevisionId, SecretId};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::act::{Act, Success};
use crate::body::Json;
use crate::error::{Absent, ApiError, BodyRefused, ChangeRefused, Refused};
use crate::path::{AttachedId, OnPath};
use crate::secrets::Secret;
use crate::shared::Shared;
use crate::values::Parsed;

/// The operations of this file.
pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(list_attached, attach))
        .routes(routes!(detach))
        .routes(routes!(list_attached_v1, attach_v1))
        .routes(routes!(detach_v1))
}

/// List the secrets attached to a revision
///
/// Those that you see, in the order in which they were attached; never their values. Needs the scope `secrets:read`.
#[utoipa::path(get, path = "/v2/agents/{agentId}/revisions/{buildId}/credentials",
    operation_id = "listRevisionSecrets", tag = "Revisions",
    params(("agentId" = String, Path, description = "The agent", format = Uuid),
        ("buildId" = String, Path, description = "The revision", format = Uuid)),
    responses((status = 200, description = "The secrets, without their values", body = Vec<Secret>),
        Refused, Absent))]
async fn list_attached(
    State(app): State<Arc<App>>,
    act: Act,
    OnPath(agent): OnPath<AgentId>,
    OnPath(revision): OnPath<RevisionId>,
) -> Result<JsonAnswer<Vec<Secret>>, ApiError> {
    let secrets = app.attached_secrets(&act.ask, (agent, revision)).await?;
    Ok(JsonAnswer(secrets.iter().map(|secret| Secret::from(&**secret)).collect()))
}

/// List the secrets attached to a revision (v1)
///
/// As `listRevisionSecrets`.
#[utoipa::path(get, path = "/v1/agents/{agentId}/revisions/{buildId}/credentials",
    operation_id = "listRevisionSecretsV1", tag = "Secrets (v1)",
    params(("agentId" = String, Path, description = "The agent", format = Uuid),
        ("buildId" = String, Path, description = "The revision", format = Uuid)),
    responses((status = 200, description = "The secrets, without their values", body = Vec<Secret>),
        Refused, Absent))]
async fn list_attached_v1(
    state: State<Arc<App>>,
    act: Act,
    agent: OnPath<AgentId>,
    revision: OnPath<RevisionId>,
) -> Result<JsonAnswer<Vec<Secret>>, ApiError> {
    list_attached(state, act, agent, revision).await
}

/// Which secret to attach.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"credentialId": "018f4d2a-7c3b-7e21-9a40-1b2c3d4e5f60"}))]
struct AttachSecret {
    /// The secret.
    #[serde(rename = "credentialId")]
    #[schema(value_type = String, format = Uuid)]
    secret: Parsed<SecretId>,
}

/// Attach a secret to a revision
///
/// Its values are a part of what runs of the revision receive that are started from then on. Your own secret goes to your
/// own runs alone, and only you can attach it; one shared with the team goes to everybody's, and needs the role builder.
/// Needs the scope `secrets:write`. Shows no value.
#[utoipa::path(post, path = "/v2/agents/{agentId}/revisions/{buildId}/credentials",
    operation_id = "attachRevisionSecret", tag = "Revisions",
    params(("agentId" = String, Path, description = "The agent", format = Uuid),
        ("buildId" = String, Path, description = "The revision", format = Uuid)),
    request_body = AttachSecret,
    responses((status = 201, description = "Attached", body = Success),
        Refused, Absent, ChangeRefused, BodyRefused))]
async fn attach(
    State(app): State<Arc<App>>,
    act: Act,
    OnPath(agent): OnPath<AgentId>,
    OnPath(revision): OnPath<RevisionId>,
    Json(AttachSecret { secret: Parsed(secret) }): Json<AttachSecret>,
) -> Result<Response, ApiError> {
    let plan = || app.attach_secret(&act.ask, (agent, revision), secret);
    act.retrying(&app, plan, |()| Success::created()).await
}

/// Attach a secret to a revision (v1)
///
/// As `attachRevisionSecret`.
#[utoipa::path(post, path = "/v1/agents/{agentId}/revisions/{buildId}/credentials",
    operation_id = "attachRevisionSecretV1", tag = "Secrets (v1)",
    params(("agentId" = String, Path, description = "The agent", format = Uuid),
        ("buildId" = String, Path, description = "The revision", format = Uuid)),
    request_body = AttachSecret,
    responses((status = 201, description = "Attached", body = Success),
        Refused, Absent, ChangeRefused, BodyRefused))]
async fn attach_v1(
    state: State<Arc<App>>,
    act: Act,
    agent: OnPath<AgentId>,
    revision: OnPath<RevisionId>,
    secret: Json<AttachSecret>,
) -> Result<Response, ApiError> {
    attach(state, act, agent, revision, secret).await
}

/// Detach a secret from a revision
///
/// Runs that are started from then on don't receive it; those under way do, until they are over. What runs received
/// already they keep. Needs the scope `secrets:write`, and for a secret shared with the team the role builder.
#[utoipa::path(delete, path = "/v2/agents/{agentId}/revisions/{buildId}/credentials/{credentialId}",
    operation_id = "detachRevisionSecret", tag = "Revisions",
    params(("agentId" = String, Path, description = "The agent", format = Uuid),
        ("buildId" = String, Path, description = "The revision", format = Uuid),
        ("credentialId" = String, Path, description = "The secret", format = Uuid)),
    responses((status = 200, description = "Detached", body = Success), Refused, Absent, ChangeRefused))]
async fn detach(
    State(app): State<Arc<App>>,
    act: Act,
    OnPath(agent): OnPath<AgentId>,
    OnPath(revision): OnPath<RevisionId>,
    OnPath(AttachedId(secret)): OnPath<AttachedId>,
) -> Result<Response, ApiError> {
    let plan = || app.detach_secret(&act.ask, (agent, revision), secret);
    act.retrying(&app, plan, |()| Success::answer()).await
}

/// Detach a secret from a revision (v1)
///
/// As `detachRevisionSecret`.
#[utoipa::path(delete, path = "/v1/agents/{agentId}/revisions/{buildId}/credentials/{credentialId}",
    operation_id = "detachRevisionSecretV1", tag = "Secrets (v1)",
    params(("agentId" = String, Path, description = "The agent", format = Uuid),
        ("buildId" = String, Path, description = "The revision", format = Uuid),
        ("credentialId" = String, Path, description = "The secret", format = Uuid)),
    responses((status = 200, description = "Detached", body = Success), Refused, Absent, ChangeRefused))]
async fn detach_v1(
    state: State<Arc<App>>,
    act: Act,
    agent: OnPath<AgentId>,
    revision: OnPath<RevisionId>,
    secret: OnPath<AttachedId>,
) -> Result<Response, ApiError> {
    detach(state, act, agent, revision, secret).await
}
