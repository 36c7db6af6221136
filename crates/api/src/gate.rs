//! The gate before every operation that asks for a token, in this order: who is
//! asking, how often, whether the access table allows such an act at all, on
//! which conditions, and whether the same request was answered before. Until a
//! request is counted, nothing but its token is looked at; a body is read last.

use axum::body::Body;
use axum::extract::{FromRequestParts, MatchedPath, RawPathParams, Request, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, IF_MATCH};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use strongroom_core::access::{Action, By, Caller, Denied, Means};
use strongroom_core::answers::Repeatable;
use strongroom_core::app::{Ask, Begun, Cause, Once};
use strongroom_core::events::Object;
use strongroom_core::teams::Team;
use strongroom_core::tokens::TokenKind;
use strongroom_core::{App, TeamId};
use strongroom_net::{CallerAddr, RequestId};
use utoipa::openapi::path::{Operation, Parameter, ParameterIn};
use utoipa::openapi::{OpenApi, RefOr};
use uuid::Uuid;

use crate::act::{Act, Answer};
use crate::auth::bearer;
use crate::error::{self, ApiError, Passing};
use crate::path::PathId;
use crate::rate::{Limiter, Standing};
use crate::{body, conditions, path};

/// Refusals that leave open what is there and what isn't leave at the end of
/// such a span: ten times what it takes to find out, so that the time which
/// that took doesn't tell what the answer doesn't.
const SPAN: Duration = Duration::from_millis(1);
/// Which refusals do.
const REVEALING_NOTHING: [StatusCode; 2] = [StatusCode::UNAUTHORIZED, StatusCode::NOT_FOUND];

/// Refusals are a few hundred bytes.
const REFUSAL: usize = 64 * 1024;

/// Refusals that the same change may not get when it comes again: the caller's
/// rights have changed, or it was sent in another form.
const PASSING: [StatusCode; 4] = [
    StatusCode::UNAUTHORIZED,
    StatusCode::FORBIDDEN,
    StatusCode::TOO_MANY_REQUESTS,
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
];
/// The headers that make a request another one, beside those that name it.
const TELLING: [HeaderName; 4] =
    [IF_MATCH, HeaderName::from_static("prefer"), CONTENT_TYPE, CONTENT_ENCODING];

/// What the gate knows.
pub(crate) struct Gate {
    app: Arc<App>,
    limiter: Limiter,
    operations: Operations,
}

/// What is known of a request before it is answered.
#[derive(Default)]
struct Seen {
    standing: Option<Standing>,
    asked: Option<Asked>,
}

/// Who asks for what, in case that they are refused.
struct Asked {
    caller: Caller,
    cause: Cause,
    uri: Uri,
    pattern: Option<MatchedPath>,
}

impl Asked {
    fn of(parts: &Parts, ask: &Ask) -> Self {
        let pattern = parts.extensions.get().cloned();
        Self { caller: ask.caller.clone(), cause: ask.cause, uri: parts.uri.clone(), pattern }
    }

    /// What the path names last: the object, or the team in which it would be.
    fn object(&self) -> Object {
        let pattern = self.pattern.as_ref().map_or("", MatchedPath::as_str);
        let named = pattern.split('/').zip(self.uri.path().split('/'));
        let named =
            named.filter_map(|(name, text)| Some((path::table(name)?, TeamId::parse(text).ok()?.uuid())));
        match named.last() {
            Some((table, id)) => Object { table, id: Some(id), ..Object::default() },
            None => Object::of::<Team>(Some(self.caller.team_id.uuid())),
        }
    }
}

/// By path, then by method.
type Operations = HashMap<String, Vec<(Method, Known)>>;

/// What the gate knows of an operation.
struct Known {
    /// What it does.
    action: Action,
    /// What may stand in the query.
    parameters: Vec<String>,
}

impl Gate {
    /// The gate before the operations of this description.
    pub(crate) fn new(app: Arc<App>, description: &OpenApi, requests_per_minute: u32) -> Self {
        Self { app, limiter: Limiter::new(requests_per_minute), operations: operations(description) }
    }

    /// Lets a request through, or says why not.
    async fn pass(&self, request: Request, next: Next, seen: &mut Seen) -> Result<Response, ApiError> {
        let (mut parts, body) = request.into_parts();
        let Known { action, parameters } = self.operation(&parts).ok_or_else(error::ungated)?;
        let action = *action;
        let mut ask = self.ask(&parts, action).await?;
        if let Some(caller) = counted(ask.caller.means) {
            seen.standing = self.limiter.count(caller, self.app.clock());
        }
        if seen.standing.is_some_and(|standing| standing.wait.is_some()) {
            return Err(error::rate_limited());
        }
        seen.asked = Some(Asked::of(&parts, &ask));
        in_team(&mut parts, &ask).await?;
        ask.caller.screen(action)?;
        if conditions::is_strict(&parts.headers) {
            conditions::known_parameters(&parts.uri, parameters)?;
        }
        if parts.method.is_safe() {
            let act = Act { ask, dry_run: false, once: None };
            return Ok(run(act, Request::from_parts(parts, body), next).await);
        }
        ask.condition = conditions::if_match(&parts.headers, action)?;
        let act = Act { dry_run: conditions::dry_run(&parts)?, once: None, ask };
        match conditions::idempotency_key(&parts.headers)? {
            Some(key) if !act.dry_run && may_come_again(act.ask.caller.means, action) => {
                Box::pin(self.once(act, &key, (parts, body), next)).await
            }
            _ => Ok(run(act, Request::from_parts(parts, body), next).await),
        }
    }

    fn operation(&self, parts: &Parts) -> Option<&Known> {
        let method = if parts.method == Method::HEAD { &Method::GET } else { &parts.method };
        let of_path = self.operations.get(parts.extensions.get::<MatchedPath>()?.as_str())?;
        of_path.iter().find(|(found, _)| found == method).map(|(_, known)| known)
    }

    /// Proves the caller, and looks at nothing else.
    async fn ask(&self, parts: &Parts, action: Action) -> Result<Ask, ApiError> {
        let request_id = parts.extensions.get().copied().map(RequestId::uuid);
        let cause = Cause { request_id, action: Some(action) };
        let token = bearer(parts)?;
        let from = parts.extensions.get::<CallerAddr>().and_then(|caller| caller.0);
        // What is rarely asked for is boxed: each request has room for the rest.
        let caller = match action.by() {
            By::Link => Box::pin(self.app.authenticate_link(token, &cause)).await?,
            By::Run => Box::pin(self.app.authenticate_run(token, from, &cause)).await?,
            By::Asker if token.starts_with(TokenKind::Run.prefix()) => {
                Box::pin(self.app.authenticate_run(token, from, &cause)).await?
            }
            By::Key | By::Asker => self.app.authenticate(token, from, &cause).await?,
            // What people do on pages is no operation of the API.
            By::Session | By::SignIn | By::SetUp | By::Filler => return Err(error::ungated()),
        };
        Ok(Ask::new(caller, cause))
    }

    /// Does a request that may come again once, and keeps its answer.
    async fn once(
        &self,
        act: Act,
        key: &str,
        (parts, body): (Parts, Body),
        next: Next,
    ) -> Result<Response, ApiError> {
        let bytes = body::read(body).await?;
        let query = parts.uri.query().unwrap_or_default();
        let [condition, preference, kind, encoding] = &TELLING.map(|name| lines(&parts.headers, &name));
        let request = Repeatable {
            method: parts.method.as_str(),
            path: parts.uri.path(),
            key,
            rest: &[query.as_bytes(), condition, preference, kind, encoding, &bytes],
        };
        let once = match self.app.begin(&act.ask.caller, &request, &act.ask.cause).await? {
            Begun::First(once) => Arc::new(once),
            Begun::Again(answer) => return Answer::again(&answer),
            Begun::Other => return Err(error::idempotency_mismatch()),
            Begun::UnderWay => return Err(error::under_way()),
        };
        let act = Act { once: Some(Arc::clone(&once)), ..act };
        let response = run(act, Request::from_parts(parts, bytes.into()), next).await;
        self.keep_refusal(&once, response).await
    }

    /// Keeps a refusal that would be the same again. What was done is kept by
    /// the change itself.
    async fn keep_refusal(&self, once: &Once, response: Response) -> Result<Response, ApiError> {
        let status = response.status();
        let lasting = status.is_client_error()
            && !PASSING.contains(&status)
            && response.extensions().get::<Passing>().is_none();
        if !lasting {
            return Ok(response);
        }
        let (head, body) = response.into_parts();
        let body = axum::body::to_bytes(body, REFUSAL).await.unwrap_or_default();
        let answer = Answer::written(status, String::from_utf8_lossy(&body).into_owned());
        self.app.keep(once, &answer.kept()).await?;
        Ok(Response::from_parts(head, Body::from(body)))
    }
}

/// Middleware around every operation that asks for a token.
pub(crate) async fn gate(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let (begun, mut seen) = (gate.app.clock().monotonic(), Seen::default());
    let passed = gate.pass(request, next, &mut seen).await;
    let mut response = passed.unwrap_or_else(IntoResponse::into_response);
    if let (Some(denied), Some(asked)) = (response.extensions().get::<Denied>().copied(), &seen.asked) {
        gate.app.note_refusal(&asked.caller, &asked.cause, asked.object(), denied).await;
    }
    if REVEALING_NOTHING.contains(&response.status()) {
        let took = gate.app.clock().monotonic().saturating_sub(begun);
        tokio::time::sleep(rest_of_span(took)).await;
    }
    if let Some(standing) = seen.standing {
        standing.write(response.headers_mut());
    }
    response
}

/// How long it is to the end of the span in which this time ends.
fn rest_of_span(took: Duration) -> Duration {
    let into = took.as_nanos() % SPAN.as_nanos();
    SPAN.saturating_sub(Duration::from_nanos(u64::try_from(into).unwrap_or(0)))
}

/// Whose requests are counted. A link has one that counts.
fn counted(means: Means) -> Option<Uuid> {
    match means {
        Means::Key(key) => Some(key.uuid()),
        Means::Run(run) => Some(run.uuid()),
        _ => None,
    }
}

/// Whether the same change may come again and is done once. A link is used once, and
/// what a run does to itself may be done twice.
fn may_come_again(means: Means, action: Action) -> bool {
    match means {
        Means::Key(_) => true,
        Means::Run(_) => action.by() == By::Asker,
        _ => false,
    }
}

async fn run(act: Act, mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(act);
    next.run(request).await
}

/// All values of a header, each with a line feed behind it, which none can hold.
fn lines(headers: &HeaderMap, name: &HeaderName) -> Vec<u8> {
    let mut lines = Vec::new();
    for value in headers.get_all(name) {
        lines.extend_from_slice(value.as_bytes());
        lines.push(b'\n');
    }
    lines
}

/// Refuses a path that names another team than the caller's.
async fn in_team(parts: &mut Parts, ask: &Ask) -> Result<(), ApiError> {
    let named = RawPathParams::from_request_parts(parts, &()).await;
    let named = named.map_err(|_| ApiError::invalid("an id in the path is not UTF-8"))?;
    match named.iter().find(|(name, _)| *name == TeamId::PARAMETER) {
        Some((_, text)) => {
            let team =
                TeamId::parse(text).map_err(|invalid| error::malformed_id(TeamId::PARAMETER, invalid))?;
            Ok(ask.caller.in_team(team)?)
        }
        None => Ok(()),
    }
}

/// What is known of each described operation. One that the access table doesn't
/// know is missing here, and refused.
fn operations(description: &OpenApi) -> Operations {
    let mut operations = Operations::new();
    for (path, item) in &description.paths.paths {
        let described = [
            (Method::GET, &item.get),
            (Method::POST, &item.post),
            (Method::PUT, &item.put),
            (Method::PATCH, &item.patch),
            (Method::DELETE, &item.delete),
        ];
        for (method, operation) in described {
            let known = operation.as_ref().and_then(|operation| known(&method, operation));
            let of_path = operations.entry(path.clone()).or_default();
            of_path.extend(known.map(|known| (method, known)));
        }
    }
    operations
}

fn known(method: &Method, operation: &Operation) -> Option<Known> {
    let mut parameters: Vec<_> = operation.parameters.iter().flatten().filter_map(in_query).collect();
    if !method.is_safe() {
        parameters.push(conditions::DRY_RUN.to_owned());
    }
    Some(Known { action: action(operation)?, parameters })
}

/// The name of a parameter that stands in the query.
fn in_query(parameter: &RefOr<Parameter>) -> Option<String> {
    match parameter {
        RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Query => Some(parameter.name.clone()),
        // Every parameter is described where it is used.
        _ => None,
    }
}

/// What a described operation does.
pub(crate) fn action(operation: &Operation) -> Option<Action> {
    let name = operation.operation_id.as_deref()?;
    Action::of_operation(name.strip_suffix("V1").unwrap_or(name))
}
