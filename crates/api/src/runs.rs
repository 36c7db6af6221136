//! Runs on the wire: leases on the environment of a revision. A run's token
//! stands in one answer only, the one to whoever started it.

use axum::Json as JsonAnswer;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde::de::{self, IgnoredAny};
use serde::{Deserialize, Deserializer, Serialize};
use std::sync::Arc;
use strongroom_core::app::{self, NewRun};
use strongroom_core::runs::{
    Ended, LEASE, LONGEST_LEASE, ProvenRun, Run as StoredRun, RunMode, SHORTEST_LEASE,
};
use strongroom_core::text::RunNote;
use strongroom_core::tokens::Token;
use strongroom_core::{AgentId, App, RevisionId, RunId, Timestamp};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::act::{Act, Answer, Success, shown};
use crate::body::Json;
use crate::error::{Absent, ApiError, BodyRefused, ChangeRefused, Refused};
use crate::grants::{Name, Named};
use crate::path::OnPath;
use crate::query::{self, Page};
use crate::shared::Shared;
use crate::timestamps;
use crate::values::{Parsed, given, parsed};

/// The operations of this file.
pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(start_run, list_runs))
        .routes(routes!(get_run))
        .routes(routes!(stop_run))
        .routes(routes!(extend_run))
        .routes(routes!(end_run))
}

/// A run: everything but its token.
#[derive(Serialize, ToSchema)]
struct Run {
    /// Names it.
    #[schema(format = Uuid, example = "019ab3c4-7c1e-7d55-8a3f-0d3b4f5a6c7d")]
    id: String,
    /// Whose team's it is.
    #[schema(format = Uuid)]
    team_id: String,
    /// Of which agent.
    #[schema(format = Uuid)]
    agent_id: String,
    /// Of which revision.
    #[schema(format = Uuid)]
    build_id: String,
    /// Who started it.
    #[schema(format = Uuid)]
    user_id: String,
    /// With which API key.
    #[schema(format = Uuid)]
    api_key_id: String,
    /// How it gets its values.
    mode: Mode,
    /// Whether no two of its secrets may have a value of the same name.
    strict: bool,
    /// What it is for, in its starter's words.
    #[schema(required, example = "nightly invoices")]
    note: Option<String>,
    /// What became of it.
    status: Status,
    /// Always `api`: a run is started by a request.
    #[schema(example = "api")]
    source: &'static str,
    /// Always null: nothing is executed here.
    #[schema(required)]
    sandbox_id: Option<String>,
    /// Always false: nobody is asked while it runs.
    human_in_the_loop_enabled: bool,
    /// When it was started.
    #[serde(serialize_with = "timestamps::serialize")]
    #[schema(value_type = String, format = DateTime, example = "2026-11-07T05:31:56.000Z")]
    started_at: Timestamp,
    /// When it was over; null: it isn't, or nobody knows when.
    #[serde(serialize_with = "timestamps::optional")]
    #[schema(value_type = Option<String>, format = DateTime, required)]
    completed_at: Option<Timestamp>,
    /// When its lease ends.
    #[serde(serialize_with = "timestamps::serialize")]
    #[schema(value_type = String, format = DateTime, example = "2026-11-07T06:31:56.000Z")]
    expires_at: Timestamp,
    /// The same as `started_at`.
    #[serde(serialize_with = "timestamps::serialize")]
    #[schema(value_type = String, format = DateTime, example = "2026-11-07T05:31:56.000Z")]
    created_at: Timestamp,
    /// When anything of it last changed.
    #[serde(serialize_with = "timestamps::serialize")]
    #[schema(value_type = String, format = DateTime, example = "2026-11-07T05:31:56.000Z")]
    updated_at: Timestamp,
}

/// The name of a [`RunMode`].
type Mode = Name<RunMode>;

impl Named for RunMode {
    const ALL: &'static [Self] = &[Self::Inject, Self::Broker];
    const TYPE: &'static str = "Mode";
    const ABOUT: &'static str = "How a run gets its values: into its environment, as they are; or not at all, but \
        placeholders, in whose place the broker puts values on their way to where each may be used.";

    fn name(self) -> &'static str {
        Self::name(self)
    }
}

/// What became of a run.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Status {
    Running,
    Stopped,
    Expired,
    Revoked,
}

impl From<Option<Ended>> for Status {
    fn from(ended: Option<Ended>) -> Self {
        match ended {
            None => Self::Running,
            Some(Ended::Stopped) => Self::Stopped,
            Some(Ended::Expired) => Self::Expired,
            Some(Ended::Revoked) => Self::Revoked,
        }
    }
}

impl Run {
    fn of(run: &StoredRun, ended: Option<Ended>, completed_at: Option<Timestamp>) -> Self {
        Self {
            id: run.id.to_string(),
            team_id: run.team_id.to_string(),
            agent_id: run.agent_id.to_string(),
            build_id: run.revision_id.to_string(),
            user_id: run.user_id.to_string(),
            api_key_id: run.key_id.to_string(),
            mode: Name(run.mode),
            strict: run.strict,
            note: run.note.as_ref().map(ToString::to_string),
            status: ended.into(),
            source: "api",
            sandbox_id: None,
            human_in_the_loop_enabled: false,
            started_at: run.created_at,
            completed_at,
            expires_at: run.expires_at,
            created_at: run.created_at,
            updated_at: run.updated_at,
        }
    }

    /// A run as it is now.
    fn now(app: &App, rows: &ProvenRun) -> Self {
        let now = app.clock().now();
        Self::of(&rows.run, rows.ended(now), rows.ended_at(now))
    }
}

/// What a run is to be.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"agent_id": "019ab3c4-7c1e-7d55-8a3f-0d3b4f5a6c7d", "note": "nightly invoices"}))]
pub(crate) struct StartRun {
    /// Of which agent.
    #[schema(value_type = String, format = Uuid)]
    agent_id: Parsed<AgentId>,
    /// Of which revision; the live one without it.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = String, format = Uuid, required = false)]
    build_id: Option<Parsed<RevisionId>>,
    /// How it gets its values; `inject` without it.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Mode, required = false)]
    mode: Option<Mode>,
    /// How long its lease is, in seconds. It doesn't outlive your API key.
    #[serde(default = "usually", deserialize_with = "lease")]
    #[schema(minimum = 10, maximum = 604_800, default = 3_600)]
    ttl_seconds: u32,
    /// Refuse when several secrets have a value of the same name, instead of taking the strongest one's.
    #[serde(default)]
    #[schema(default = false)]
    strict: bool,
    /// What it is for.
    #[serde(default, deserialize_with = "note")]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 512, pattern = "^[^\\u0000]*$")]
    note: Option<RunNote>,
    /// For a server that executes something.
    #[serde(default)]
    #[schema(ignore)]
    message: Option<IgnoredAny>,
    /// The same.
    #[serde(default)]
    #[schema(ignore)]
    sandbox_id: Option<IgnoredAny>,
    /// The same.
    #[serde(default)]
    #[schema(ignore)]
    webhook_url: Option<IgnoredAny>,
}

fn usually() -> u32 {
    LEASE
}

fn lease<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let seconds = u32::deserialize(deserializer).ok();
    let seconds = seconds.filter(|seconds| (SHORTEST_LEASE..=LONGEST_LEASE).contains(seconds));
    seconds.ok_or_else(|| de::Error::custom("must be a whole number of seconds from 10 to 604800"))
}

fn note<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<RunNote>, D::Error> {
    parsed(deserializer, RunNote::parse).map(Some)
}

impl StartRun {
    pub(crate) fn into_new(self) -> Result<NewRun, ApiError> {
        let Self { agent_id, build_id, mode, ttl_seconds, strict, note, .. } = self;
        if self.message.or(self.sandbox_id).or(self.webhook_url).is_some() {
            return Err(ApiError::invalid(
                "`message`, `sandbox_id` and `webhook_url` have no meaning here: Strongroom executes nothing; \
                 start the program yourself with `strongroom run`",
            ));
        }
        Ok(NewRun {
            agent: agent_id.0,
            revision: build_id.map(|Parsed(revision)| revision),
            strict,
            note,
            lease: ttl_seconds,
            mode: mode.map_or_else(RunMode::default, |Name(mode)| mode),
        })
    }
}

/// A new run, with its tokens.
#[derive(Serialize, ToSchema)]
struct StartedRun {
    run: Run,
    /// The token, shown this once: `getRunEnvironment` gives whoever has it the values, or what stands for them. Null in a
    /// dry run, which starts none.
    #[schema(required, example = "srr_…")]
    token: Option<String>,
    /// The token for the broker, shown this once, for the password of the proxy's URL. It is good for nothing else. Null
    /// for an inject run, and in a dry run.
    #[schema(required, example = json!(null))]
    broker_token: Option<String>,
    /// Where the broker is: a proxy for HTTP and HTTPS. Null for an inject run.
    #[schema(required, example = json!(null))]
    broker_url: Option<String>,
    /// The certificate of the broker's authority as PEM, which the run's programs must trust. Null for an inject run.
    #[schema(required, example = json!(null))]
    broker_ca: Option<String>,
    /// When its lease ends, unless `extendRun` extends it.
    #[serde(serialize_with = "timestamps::serialize")]
    #[schema(value_type = String, format = DateTime, example = "2026-11-07T06:31:56.000Z")]
    expires_at: Timestamp,
}

/// Start a run
///
/// Starting an inject run is reading its values: by the run's token, shown once, here, whoever has it receives what is
/// attached to the revision, the team's secrets and your own. So it needs the role builder and the scope `runs:start`,
/// which only the instance's first key has without being given it by name; a key may be narrowed to some agents. Nothing
/// is executed here: start the program yourself, with `strongroom run`. No value is in the answer. A run of the mode
/// `broker` receives placeholders, and makes its requests through the server's broker; where there is none, that is
/// refused.
#[utoipa::path(post, path = "/v2/teams/{teamId}/runs", operation_id = "startRun", tag = "Runs",
    params(("teamId" = String, Path, description = "The team of your API key", format = Uuid)),
    request_body = StartRun,
    responses((status = 201, description = "The run, and its token", body = StartedRun,
        headers(("etag" = String, description = "The run's state"))), Refused, Absent, ChangeRefused, BodyRefused))]
async fn start_run(
    State(app): State<Arc<App>>,
    act: Act,
    Json(new): Json<StartRun>,
) -> Result<Response, ApiError> {
    let new = new.into_new()?;
    let plan = || app.start_run(&act.ask, &new);
    act.retrying(&app, plan, |new| started(&app, &act, new)).await
}

fn started(app: &App, act: &Act, started: &app::StartedRun) -> Answer {
    let run = &started.run;
    let shown = |token: &Token| (!act.dry_run).then(|| token.reveal().to_owned());
    let broker = app.broker().filter(|_| run.mode == RunMode::Broker);
    let body = StartedRun {
        run: Run::of(run, None, None),
        token: shown(&started.token),
        broker_token: started.broker_token.as_ref().and_then(shown),
        broker_url: broker.map(|broker| broker.url.clone()),
        broker_ca: broker.map(|broker| broker.ca.clone()),
        expires_at: run.expires_at,
    };
    Answer::new(StatusCode::CREATED, &body).tagged(run.mac()).showing_token_of(run.id.uuid())
}

/// The answer about runs.
#[derive(Serialize, ToSchema)]
struct RunsAnswer {
    data: Vec<Run>,
    /// How many there are, in this answer or not.
    total: u64,
    /// At most how many are in this answer.
    limit: u32,
    /// How many come before those in this answer.
    offset: u32,
}

/// Which runs are wanted.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes a parameter; `query` reads it")]
struct OfAgent {
    /// Only those of this agent.
    #[param(value_type = String, format = Uuid, required = false)]
    agent_id: Option<AgentId>,
}

/// List the runs of your team
///
/// The newest first, those that are over, too; 50 at a time unless `limit` says otherwise. Go on with an `offset` raised
/// by `limit`, until it reaches `total`. Needs the scope `secrets:read`.
#[utoipa::path(get, path = "/v2/teams/{teamId}/runs", operation_id = "listRuns", tag = "Runs",
    params(("teamId" = String, Path, description = "The team of your API key", format = Uuid), Page, OfAgent),
    responses((status = 200, description = "The runs, without their tokens", body = RunsAnswer), Refused, Absent))]
async fn list_runs(
    State(app): State<Arc<App>>,
    act: Act,
    uri: Uri,
) -> Result<JsonAnswer<RunsAnswer>, ApiError> {
    let Page { limit, offset } = Page::parse(&uri)?;
    let agent = query::parsed(&uri, "agent_id", "an agent's UUID", |text| AgentId::parse(text).ok())?;
    let list = app.runs(&act.ask, agent, (offset, limit)).await?;
    let data = list.runs.iter().map(|rows| Run::now(&app, rows)).collect();
    Ok(JsonAnswer(RunsAnswer { data, total: list.total, limit, offset }))
}

/// The answer about one run.
#[derive(Serialize, ToSchema)]
struct RunAnswer {
    run: Run,
}

/// Look at a run
///
/// Needs the scope `secrets:read`.
#[utoipa::path(get, path = "/v2/runs/{runId}", operation_id = "getRun", tag = "Runs",
    params(("runId" = String, Path, description = "The run", format = Uuid)),
    responses((status = 200, description = "The run, without its token", body = RunAnswer,
        headers(("etag" = String, description = "The run's state, but for what time and others do to it"))),
        Refused, Absent))]
async fn get_run(
    State(app): State<Arc<App>>,
    act: Act,
    OnPath(id): OnPath<RunId>,
) -> Result<Response, ApiError> {
    let rows = app.run(&act.ask, id).await?;
    Ok(shown(rows.run.mac(), &RunAnswer { run: Run::now(&app, &rows) }))
}

/// Stop a run
///
/// Its token is refused from this answer on; what it received already it keeps, and the program goes on. One that is over
/// stays as it is. Others' runs need the role manager. Needs the scope `secrets:write`.
#[utoipa::path(post, path = "/v2/runs/{runId}/stop", operation_id = "stopRun", tag = "Runs",
    params(("runId" = String, Path, description = "The run", format = Uuid)),
    responses((status = 200, description = "It is over", body = Success), Refused, Absent, ChangeRefused))]
async fn stop_run(
    State(app): State<Arc<App>>,
    act: Act,
    OnPath(id): OnPath<RunId>,
) -> Result<Response, ApiError> {
    act.retrying(&app, || app.stop_run(&act.ask, id), |()| Success::answer()).await
}

/// How long a lease is to go on.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"ttl_seconds": 3600}))]
struct ExtendRun {
    /// For so many seconds from now on; for as many as the run was started with without it.
    #[serde(default, deserialize_with = "given_lease")]
    #[schema(value_type = u32, required = false, minimum = 10, maximum = 604_800)]
    ttl_seconds: Option<u32>,
}

fn given_lease<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    lease(deserializer).map(Some)
}

/// A run whose lease goes on.
#[derive(Serialize, ToSchema)]
struct ExtendedRun {
    run: Run,
    /// When its lease ends now.
    #[serde(serialize_with = "timestamps::serialize")]
    #[schema(value_type = String, format = DateTime, example = "2026-11-07T07:31:56.000Z")]
    expires_at: Timestamp,
}

/// Extend the lease of your run
///
/// From now on, and never past the end of the API key that started it; what is left of it isn't shortened. Send the run's token where an API key stands
/// elsewhere: `Authorization: Bearer srr_…`. A run that is over can't be extended.
#[utoipa::path(post, path = "/v2/run/extend", operation_id = "extendRun", tag = "Runs",
    security(("runToken" = [])),
    request_body = ExtendRun,
    responses((status = 200, description = "The run as it is now", body = ExtendedRun,
        headers(("etag" = String, description = "The run's state"))), Refused, ChangeRefused, BodyRefused))]
async fn extend_run(
    State(app): State<Arc<App>>,
    act: Act,
    Json(ExtendRun { ttl_seconds }): Json<ExtendRun>,
) -> Result<Response, ApiError> {
    let plan = || app.extend_run(&act.ask, ttl_seconds);
    act.retrying(&app, plan, |rows| {
        let body = ExtendedRun { run: Run::now(&app, rows), expires_at: rows.run.expires_at };
        Answer::new(StatusCode::OK, &body).tagged(rows.run.mac())
    })
    .await
}

/// End your run
///
/// Its token is refused from this answer on, also for this. Send it where an API key stands elsewhere: `Authorization:
/// Bearer srr_…`, and no body.
#[utoipa::path(post, path = "/v2/run/stop", operation_id = "endRun", tag = "Runs",
    security(("runToken" = [])),
    responses((status = 200, description = "It is over", body = Success), Refused, ChangeRefused))]
async fn end_run(State(app): State<Arc<App>>, act: Act) -> Result<Response, ApiError> {
    act.retrying(&app, || app.end_run(&act.ask), |()| Success::answer()).await
}
