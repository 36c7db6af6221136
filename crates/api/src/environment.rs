//! Environments on the wire: what a run would receive, without a value, and
//! what a run does receive. This is the only file from which values go out.

use axum::Json as JsonAnswer;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, VARY};
use axum::response::{IntoResponse, Response};
use serde::{Serialize, Serializer};
use std::io::{self, Write};
use std::sync::Arc;
use strongroom_core::app::{Preview, PreviewedName, PreviewedSecret};
use strongroom_core::environment::Reason;
use strongroom_core::health::{SecretHint, ValueHint};
use strongroom_core::{AgentId, App, EnvKey, RevisionId, SecretValue, Timestamp};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zeroize::Zeroizing;

use crate::act::Act;
use crate::error::{self, Absent, ApiError, Error, Refused};
use crate::grants::{Name, Named};
use crate::path::OnPath;
use crate::shared::Shared;
use crate::{accept, dotenv, timestamps};

/// The operations of this file.
pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(preview_environment)).routes(routes!(get_run_environment))
}

/// The name of a [`Reason`].
type Why = Name<Reason>;
/// The name of a [`ValueHint`].
type ValueHealth = Name<ValueHint>;
/// The name of a [`SecretHint`].
type SecretHealth = Name<SecretHint>;

impl Named for Reason {
    const ALL: &'static [Self] = &[Self::Only, Self::Personal, Self::Later];
    const TYPE: &'static str = "Why";
    const ABOUT: &'static str = "Why a value comes from this secret: no other has the name, it is your own and the others \
        are the team's, or it was attached later.";

    fn name(self) -> &'static str {
        Self::name(self)
    }
}

impl Named for ValueHint {
    const ALL: &'static [Self] = &[Self::Placeholder, Self::Quoted, Self::Whitespace];
    const TYPE: &'static str = "ValueHealth";
    const ABOUT: &'static str = "What is noticed of a value: it reads like a placeholder, is in quotes, or has white space \
        around it or line ends of Windows.";

    fn name(self) -> &'static str {
        Self::name(self)
    }
}

impl Named for SecretHint {
    const ALL: &'static [Self] = &[Self::NeverUsed, Self::Empty, Self::Stale, Self::BrokerOnly];
    const TYPE: &'static str = "SecretHealth";
    const ABOUT: &'static str = "What is noticed of a secret: no run ever received it, there are no values in it, it \
        didn't change for 90 days, or it is for the broker only and in no run's environment.";

    fn name(self) -> &'static str {
        Self::name(self)
    }
}

/// A name that a run would receive, and from where its value comes.
#[derive(Serialize, ToSchema)]
struct EnvironmentName {
    /// The name.
    #[schema(example = "STRIPE_API_KEY")]
    name: String,
    /// The secret that its value comes from.
    #[schema(format = Uuid)]
    credential_id: String,
    /// Why from that one.
    why: Why,
    /// The secrets that have a value of this name, too, which the run would not receive.
    #[schema(value_type = Vec<uuid::Uuid>)]
    over: Vec<String>,
    /// What is noticed of the value.
    #[schema(value_type = Vec<ValueHealth>)]
    health: Vec<ValueHealth>,
}

impl From<&PreviewedName> for EnvironmentName {
    fn from(previewed: &PreviewedName) -> Self {
        Self {
            name: previewed.key.to_string(),
            credential_id: previewed.secret_id.to_string(),
            why: Name(previewed.reason),
            over: previewed.over.iter().map(ToString::to_string).collect(),
            health: previewed.hints.iter().copied().map(Name).collect(),
        }
    }
}

/// A secret that is attached: a run would receive it, unless it is for the broker only.
#[derive(Serialize, ToSchema)]
struct EnvironmentSecret {
    /// Names it.
    #[schema(format = Uuid)]
    id: String,
    /// What people call it.
    #[schema(example = "Stripe")]
    name: String,
    /// Whose it is; null when it is shared with the team.
    #[schema(format = Uuid, required)]
    user_id: Option<String>,
    /// The names of its values.
    #[schema(example = json!(["STRIPE_API_KEY"]))]
    env_var_keys: Vec<String>,
    /// When it was attached to the revision.
    #[serde(serialize_with = "timestamps::serialize")]
    #[schema(value_type = String, format = DateTime, example = "2026-11-07T05:31:56.000Z")]
    attached_at: Timestamp,
    /// What is noticed of it.
    #[schema(value_type = Vec<SecretHealth>)]
    health: Vec<SecretHealth>,
}

impl From<&PreviewedSecret> for EnvironmentSecret {
    fn from(previewed: &PreviewedSecret) -> Self {
        let secret = &previewed.secret;
        Self {
            id: secret.id.to_string(),
            name: secret.name.to_string(),
            user_id: secret.owner.map(|owner| owner.to_string()),
            env_var_keys: secret.env_keys.iter().map(ToString::to_string).collect(),
            attached_at: previewed.attached_at,
            health: previewed.hints.iter().copied().map(Name).collect(),
        }
    }
}

/// What a run would receive.
#[derive(Serialize, ToSchema)]
struct EnvironmentPreview {
    /// The names, each with the secret that its value comes from.
    environment: Vec<EnvironmentName>,
    /// The secrets, the strongest first: your own before the team's, then those attached later.
    credentials: Vec<EnvironmentSecret>,
    /// How many names several secrets have a value of.
    collisions: usize,
}

impl From<Preview> for EnvironmentPreview {
    fn from(preview: Preview) -> Self {
        Self {
            environment: preview.names.iter().map(EnvironmentName::from).collect(),
            credentials: preview.secrets.iter().map(EnvironmentSecret::from).collect(),
            collisions: preview.names.iter().filter(|name| !name.over.is_empty()).count(),
        }
    }
}

/// Preview the environment of a run
///
/// What a run of this revision would receive if you started it now: which names, from which secrets and why from those,
/// and what is likely wrong with them. Never a value. Needs the role builder and the scope `secrets:read`.
#[utoipa::path(get, path = "/v2/agents/{agentId}/revisions/{buildId}/environment",
    operation_id = "previewEnvironment", tag = "Revisions",
    params(("agentId" = String, Path, description = "The agent", format = Uuid),
        ("buildId" = String, Path, description = "The revision", format = Uuid)),
    responses((status = 200, description = "The environment, without its values", body = EnvironmentPreview),
        Refused, Absent))]
async fn preview_environment(
    State(app): State<Arc<App>>,
    act: Act,
    OnPath(agent): OnPath<AgentId>,
    OnPath(revision): OnPath<RevisionId>,
) -> Result<JsonAnswer<EnvironmentPreview>, ApiError> {
    let preview = app.preview(&act.ask, agent, revision).await?;
    Ok(JsonAnswer(preview.into()))
}

/// A run's environment.
#[derive(Serialize, ToSchema)]
struct RunEnvironment<'a> {
    /// The values by their names.
    #[schema(value_type = std::collections::BTreeMap<String, String>, example = json!({"STRIPE_API_KEY": "sk_test_…"}))]
    environment: Revealed<'a>,
}

/// Values by their names, in their order.
struct Revealed<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Revealed<'a> {
    #[expect(clippy::disallowed_methods, reason = "a run receives its values here, and nobody else anywhere")]
    fn of(environment: &'a [(EnvKey, SecretValue)]) -> Self {
        Self(environment.iter().map(|(key, value)| (key.as_str(), value.reveal())).collect())
    }

    fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        self.0.iter().try_for_each(|entry| dotenv::write(out, *entry))
    }
}

impl Serialize for Revealed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

/// Receive the environment of your run
///
/// The present values of its secrets. Send the run's token where an API key stands elsewhere: `Authorization: Bearer
/// srr_…`. Which versions are received is recorded before they leave. With an `Accept` that wants `text/plain` more than
/// `application/json` they come as lines of `NAME=value` ("dotenv"). `strongroom` itself reads those back exactly, and so
/// do shells by `set -a; . file`; python-dotenv does with `interpolate=False`, but for carriage returns and for values in
/// which `'` or `\` meets `$` or a backtick.
#[utoipa::path(get, path = "/v2/run/environment", operation_id = "getRunEnvironment", tag = "Runs",
    security(("runToken" = [])),
    responses((status = 200, description = "The values", headers(("vary" = String, description = "Always `accept`")),
            content((RunEnvironment = "application/json"), (String = "text/plain"))),
        (status = 409, description = "The run is strict, and two secrets have a value of the same name by now; or the \
            values have more than 2 MiB together", body = Error),
        Refused))]
async fn get_run_environment(
    State(app): State<Arc<App>>,
    act: Act,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let environment = app.deliver(&act.ask).await?;
    let revealed = Revealed::of(&environment);
    let (kind, body) = if accept::prefers_text(&headers) {
        ("text/plain; charset=utf-8", written(|mut out| revealed.write_text(&mut out)))
    } else {
        let body = RunEnvironment { environment: revealed };
        ("application/json", written(|out| Ok(serde_json::to_writer(out, &body)?)))
    };
    let body = body.map_err(|_| error::unwritten())?;
    Ok(([(CONTENT_TYPE, kind), (VARY, ACCEPT.as_str())], body).into_response())
}

/// A body that is erased when it was sent. It is written twice, to count first:
/// a buffer that grows leaves pieces behind.
fn written(write: impl Fn(&mut dyn Write) -> io::Result<()>) -> io::Result<Bytes> {
    let mut length = Length(0);
    write(&mut length)?;
    let mut body = Zeroizing::new(Vec::with_capacity(length.0));
    write(&mut *body)?;
    Ok(Bytes::from_owner(body))
}

/// Counts what is written to it.
struct Length(usize);

impl Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
