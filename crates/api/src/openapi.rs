//! The description of the API, made from the operations themselves.

use axum::Extension;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use std::sync::{Arc, OnceLock};
use strongroom_core::access::{Action, By};
use strongroom_net::Address;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::response::Response;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, RefOr, Required,
    SecurityRequirement, Server,
};

use crate::{conditions, gate};

/// The groups of operations, in the order in which they are best read.
const GROUPS: [(&str, &str); 13] = [
    ("Secrets", "Named bundles of environment variables. Values go in and never come back."),
    ("Agents", "What runs: each has revisions, to which secrets are attached."),
    ("Revisions", "States of an agent, and which secrets a run of each receives."),
    ("Runs", "Leases on the values of a revision: who starts one, what it received, and how it ends."),
    ("API keys", "What programs identify themselves with, and links by which members make their own."),
    ("Teams", "Whose secrets and agents they are."),
    ("Fill requests", "A program asks for a secret, and a person fills it in."),
    ("Members", "Who is in a team, people and service users, and in which role."),
    ("Events", "What happened in the team: who did what to which object, by their ids."),
    (
        "Audit",
        "What proves that the record of what happened is what it was: signed heads, proofs, and files that prove themselves.",
    ),
    ("Profile", "Who you are, to the server."),
    ("Secrets (v1)", "The same as `Secrets` and `Revisions`, with the team taken from the API key."),
    ("Operation", "For whoever keeps the server running."),
];

/// Everything in the description but the operations.
pub(crate) fn frame() -> OpenApi {
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("srk_…")
        .description(Some("An API key in the header `Authorization: Bearer <key>`."))
        .build();
    let link = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("srl_…")
        .description(Some("The token of a key link in the header `Authorization: Bearer <link>`."))
        .build();
    let run = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("srr_…")
        .description(Some(
            "The token of a run in the header `Authorization: Bearer <token>`. It opens that run's \
            environment and its lease, asks people to fill in secrets, and nothing else.",
        ))
        .build();
    let license = LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build();
    let info = InfoBuilder::new()
        .title("Strongroom")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Secrets for AI agents. A secret is a named bundle of environment variables; on the wire it is called \
             a credential. Values go in and are never returned, but to a run. Fields of a body and parameters in a \
             query that nobody knows are ignored; with the header `Prefer: handling=strict` they are refused. What is \
             refused is answered with `error`, a word for programs, and `message`, a sentence for people. Every answer \
             names its request in `x-request-id`.",
        ))
        .license(Some(license))
        .build();
    OpenApiBuilder::new()
        .info(info)
        .components(Some(
            ComponentsBuilder::new()
                .security_scheme("bearerAuth", SecurityScheme::Http(bearer))
                .security_scheme("keyLink", SecurityScheme::Http(link))
                .security_scheme("runToken", SecurityScheme::Http(run))
                .build(),
        ))
        .tags(Some(GROUPS.map(|(name, about)| TagBuilder::new().name(name).description(Some(about)).build())))
        .security(Some([SecurityRequirement::new("bearerAuth", [] as [&str; 0])]))
        .build()
}

/// Says what every operation of the gate has: the parameters of a change, and
/// the headers of every answer.
pub(crate) fn complete(mut description: OpenApi) -> OpenApi {
    for item in description.paths.paths.values_mut() {
        let all = [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
        for operation in all.into_iter().flatten() {
            operation.responses.responses.values_mut().for_each(headed);
            if by(operation) == By::Run {
                of_a_run(operation);
            }
        }
        for operation in
            [&mut item.post, &mut item.put, &mut item.patch, &mut item.delete].into_iter().flatten()
        {
            changing(operation);
            if gate::action(operation).is_some_and(Action::is_conditional) {
                operation.parameters.get_or_insert_default().push(if_match());
            }
        }
    }
    description
}

/// With what kind of token an operation is asked for.
fn by(operation: &Operation) -> By {
    gate::action(operation).map_or(By::Key, Action::by)
}

/// Says what a run that is over is told.
fn of_a_run(operation: &mut Operation) {
    if let Some(RefOr::T(refused)) = operation.responses.responses.get_mut("401") {
        refused.description =
            "`invalid_token`: there is no valid token of a run in it. `run_stopped`, `run_expired`, \
            `run_revoked`: the run is over"
                .into();
    }
}

/// Adds the headers that the gate sends.
fn headed(response: &mut RefOr<Response>) {
    let RefOr::T(response) = response else { return };
    let number = |description: &str| header(Type::Integer, description);
    response.headers.insert(
        "x-request-id".into(),
        header(Type::String, "Names this request; it is in the server's log, too"),
    );
    response
        .headers
        .insert("x-ratelimit-limit".into(), number("Requests a minute that your token may make, if limited"));
    response.headers.insert("x-ratelimit-remaining".into(), number("How many are left"));
    response.headers.insert("x-ratelimit-reset".into(), number("When the minute ends, in Unix seconds"));
}

/// Adds how a change may be made.
fn changing(operation: &mut Operation) {
    let flag = ObjectBuilder::new().schema_type(Type::Boolean).build();
    let dry_run = parameter(conditions::DRY_RUN, ParameterIn::Query, flag);
    let dry_run = dry_run.description(Some("Answer as if it were done, and do nothing.")).build();
    operation.parameters.get_or_insert_default().push(dry_run.into());
    // A link is used once, and what a run does to itself may be done twice.
    if !matches!(by(operation), By::Key | By::Asker) {
        return;
    }
    let text = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(255));
    let key = parameter("Idempotency-Key", ParameterIn::Header, text.pattern(Some("^[!-~]+$")).build());
    let key = key.description(Some(
        "Names the request, for your token, this method and path, for 24 hours: sent again, it is not done again, but \
         answered the same, with `idempotency-replayed: true`. A UUID will do.",
    ));
    operation.parameters.get_or_insert_default().push(key.build().into());
    for response in operation.responses.responses.values_mut() {
        if let RefOr::T(response) = response {
            let replayed =
                header(Type::String, "`true` when this is the answer to the same request of before");
            response.headers.insert("idempotency-replayed".into(), replayed);
        }
    }
}

fn if_match() -> RefOr<Parameter> {
    let text = ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(r#"^(\*|(W/)?"[!#-+\-.0-~/]*"( ?, ?(W/)?"[!#-+\-.0-~/]*")*)$"#))
        .examples([r#""0123456789abcdef0123456789abcdef""#])
        .build();
    let words = "Change it only in this state: the `ETag` of an answer, several of them, or `*`.";
    parameter("If-Match", ParameterIn::Header, text).description(Some(words)).build().into()
}

fn parameter(name: &str, place: ParameterIn, schema: Object) -> ParameterBuilder {
    ParameterBuilder::new().name(name).parameter_in(place).required(Required::False).schema(Some(schema))
}

fn header(kind: Type, description: &str) -> RefOr<Header> {
    let schema = ObjectBuilder::new().schema_type(kind).build();
    RefOr::T(HeaderBuilder::new().schema(Some(schema)).description(Some(description)).build())
}

/// The whole description as JSON (OpenAPI 3.1), ending in a newline; the same
/// for every build of one version.
pub fn document() -> &'static str {
    static DOCUMENT: OnceLock<String> = OnceLock::new();
    DOCUMENT.get_or_init(|| json(&crate::description()))
}

fn json(description: &OpenApi) -> String {
    // Only maps with keys that aren't strings can't be written; there are none.
    let mut json = description.to_pretty_json().unwrap_or_default();
    json.push('\n');
    json
}

/// The description as one server gives it.
pub(crate) struct Served {
    /// Where clients find the server; unless it was named, relative to where
    /// they found the description.
    address: Address,
    document: OnceLock<Bytes>,
}

impl Served {
    pub(crate) fn new(address: Address) -> Self {
        Self { address, document: OnceLock::new() }
    }

    fn document(&self) -> Bytes {
        let made = self.document.get_or_init(|| match self.address.named() {
            None => Bytes::from_static(document().as_bytes()),
            Some(url) => {
                let mut description = crate::description();
                description.servers = Some(vec![Server::new(url)]);
                json(&description).into()
            }
        });
        made.clone()
    }
}

/// `GET /openapi.json`
pub(crate) async fn serve(Extension(served): Extension<Arc<Served>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], served.document())
}
