//! Policies of secrets on the wire: where values may be used through the broker. A rule has
//! the same form here as in the database, and is read and written by its own type.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::sync::Arc;
use strongroom_core::policies::{
    AuthScheme, FieldName, HeaderName, HostPattern, JsonPointer, PathPrefix, Policy, PolicySource, Rule,
};
use strongroom_core::rows::Proven;
use strongroom_core::secrets::{NewPolicy, Secret};
use strongroom_core::{App, Bundle, SecretId};
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, Object, ObjectBuilder, Schema, Type};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::act::{Act, Answer, shown};
use crate::body::Json;
use crate::error::{Absent, ApiError, BodyRefused, ChangeRefused, Refused};
use crate::path::OnPath;
use crate::shared::Shared;
use crate::values::{self, Values, given};

/// The operations of this file.
pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(get_policy, set_policy))
}

/// Where a secret may be used.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"rules": [{"host": "api.stripe.com", "path_prefix": "/v1/", "methods": ["GET", "POST"],
    "placement": {"header": "authorization", "scheme": "Bearer"}}], "broker_only": true}))]
struct SetSecretPolicy {
    /// The requests in which a value may stand, and where. What none of them covers is refused; no rules: nowhere.
    #[schema(max_items = 64)]
    rules: Vec<PolicyRule>,
    /// Whether the values never get into a run's environment, but only into requests through the broker.
    #[serde(default)]
    #[schema(default = false)]
    broker_only: bool,
    /// Takes the place of all values, as a new version. Needed, and taken, only where the secret is for the broker only
    /// and that is switched off or its rules are widened.
    #[serde(default, deserialize_with = "given")]
    #[schema(schema_with = values::described, required = false)]
    values: Option<Values>,
}

impl SetSecretPolicy {
    fn into_new(self) -> Result<NewPolicy, ApiError> {
        let Self { rules, broker_only, values } = self;
        let rules = rules.into_iter().map(|PolicyRule(rule)| rule).collect();
        let values = values.map(|values| Bundle::new(values.0)).transpose()?;
        Ok(NewPolicy { rules, broker_only, values })
    }
}

/// The policy of a secret.
#[derive(Serialize, ToSchema)]
struct SecretPolicy {
    /// The requests in which a value may stand, and where.
    rules: Vec<PolicyRule>,
    /// Whether the values never get into a run's environment.
    broker_only: bool,
    /// From where it comes.
    source: Source,
}

/// From where a policy comes: it was set for this secret, it is what is known of the secret's service, or there is none.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Source {
    Own,
    Service,
    None,
}

impl From<&Secret> for SecretPolicy {
    fn from(secret: &Secret) -> Self {
        let (policy, source) = secret.policy_in_force();
        let rules = policy.map(Policy::rules).unwrap_or_default();
        Self {
            rules: rules.iter().cloned().map(PolicyRule).collect(),
            broker_only: secret.is_broker_only(),
            source: match source {
                PolicySource::Own => Source::Own,
                PolicySource::Service => Source::Service,
                PolicySource::None => Source::None,
            },
        }
    }
}

/// See where a secret may be used
///
/// Its own policy or, while none was set for it, what is known of its service. Never a value. Whoever sees a secret sees
/// this.
#[utoipa::path(get, path = "/v2/credentials/{id}/policy", operation_id = "getSecretPolicy", tag = "Secrets",
    params(("id" = String, Path, description = "The secret", format = Uuid)),
    responses((status = 200, description = "Its policy", body = SecretPolicy,
        headers(("etag" = String, description = "The secret's state"))), Refused, Absent))]
async fn get_policy(
    State(app): State<Arc<App>>,
    act: Act,
    OnPath(id): OnPath<SecretId>,
) -> Result<Response, ApiError> {
    let secret = app.policy(&act.ask, id).await?;
    Ok(shown(secret.mac(), &SecretPolicy::from(&*secret)))
}

/// Set where a secret may be used
///
/// Takes the place of the policy that it has. A secret that is for the broker only can be given a narrower policy by
/// whoever may change it; switching that off, or allowing anything that its rules don't, needs all `values` again in the
/// same request. They become a new version, and no earlier one can be made current again: so whoever doesn't know the
/// values can't get them out.
#[utoipa::path(put, path = "/v2/credentials/{id}/policy", operation_id = "setSecretPolicy", tag = "Secrets",
    params(("id" = String, Path, description = "The secret", format = Uuid)),
    request_body = SetSecretPolicy,
    responses((status = 200, description = "Its policy as it is now", body = SecretPolicy,
        headers(("etag" = String, description = "The secret's state"))),
        Refused, Absent, ChangeRefused, BodyRefused))]
async fn set_policy(
    State(app): State<Arc<App>>,
    act: Act,
    OnPath(id): OnPath<SecretId>,
    Json(policy): Json<SetSecretPolicy>,
) -> Result<Response, ApiError> {
    let new = policy.into_new()?;
    act.retrying(&app, || app.set_policy(&act.ask, id, &new), answered).await
}

fn answered(secret: &Proven<Secret>) -> Answer {
    Answer::new(StatusCode::OK, &SecretPolicy::from(&**secret)).tagged(secret.mac())
}

/// One rule of a policy.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct PolicyRule(Rule);

impl ToSchema for PolicyRule {
    fn name() -> Cow<'static, str> {
        "PolicyRule".into()
    }
}

impl utoipa::PartialSchema for PolicyRule {
    fn schema() -> RefOr<Schema> {
        let rule = strict()
            .description(Some("Requests, and where in them a value may stand."))
            .property("scheme", word("By which scheme.", &["https", "http"], Some("https")))
            .property("host", host())
            .required("host")
            .property("port", port())
            .property("methods", methods())
            .property("path_prefix", path_prefix())
            .property("placement", placement())
            .required("placement")
            .property("allow_private", flag("Whether the host's address may be one of a private network."))
            .property(
                "allow_foreign",
                flag("Whether a credential that is none of these may stand at this place."),
            );
        rule.build().into()
    }
}

/// An object with these members and no others.
fn strict() -> ObjectBuilder {
    let nothing_else = Some(AdditionalProperties::<Schema>::FreeForm(false));
    ObjectBuilder::new().schema_type(Type::Object).additional_properties(nothing_else)
}

fn text(description: &str, pattern: &str, most: usize) -> ObjectBuilder {
    let text = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(most));
    text.pattern(Some(pattern)).description(Some(description))
}

fn word(description: &str, words: &[&str], usual: Option<&str>) -> Object {
    let word = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words.iter().copied()));
    word.default(usual.map(Into::into)).description(Some(description)).build()
}

fn flag(description: &str) -> Object {
    let flag = ObjectBuilder::new().schema_type(Type::Boolean).default(Some(false.into()));
    flag.description(Some(description)).build()
}

fn host() -> Object {
    let words = "Which host: a name, or with `*.` before it those with exactly one label more. Never an address. One of a \
        single label, such as `localhost`, needs `allow_private`.";
    let name = text(words, r"^(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$", HostPattern::MAX);
    name.examples(["api.example.com"]).build()
}

fn port() -> Object {
    let port = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(65_535));
    port.description(Some("At which port; 443 without it, or 80 for http.")).build()
}

fn methods() -> ArrayBuilder {
    let method = text("A method in upper case; never TRACE or CONNECT.", "^[A-Z-]+$", 32);
    let words = "By which methods; any without it.";
    ArrayBuilder::new()
        .items(method)
        .unique_items(true)
        .description(Some(words))
        .examples([serde_json::json!(["GET"])])
}

fn path_prefix() -> Object {
    let words = "How the path begins, by whole segments: `/v1` is not `/v10`. Without `..`, `//` and encoded dots and \
        slashes; a request's path that has them is only under `/`.";
    let prefix = text(words, r#"^/[!"$->@-\[\]-~]*$"#, PathPrefix::MAX);
    prefix.default(Some("/".into())).examples(["/v1/"]).build()
}

fn placement() -> ObjectBuilder {
    let token = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$";
    let header =
        text("It is this header. None that frames a message or is for a proxy.", token, HeaderName::MAX);
    let scheme =
        text("What stands before it in the header, and a space; never Basic.", token, AuthScheme::MAX);
    let field = |words| text(words, r"^[^\u0000-\u001F\u007F-\u009F]*$", FieldName::MAX);
    let pointer = r"^/([^~\u0000-\u001F\u007F-\u009F]|~[01])*$";
    let parts = &["username", "password"];
    strict()
        .description(Some(
            "Where in a request a value may stand: one of these, and `scheme` only with `header`.",
        ))
        .property("header", header.examples(["authorization"]))
        .property("scheme", scheme.examples(["Bearer"]))
        .property("query", field("It is this parameter of the query."))
        .property("form", field("It is this field of a form in the body."))
        .property("json", text("It is the text at this JSON pointer (RFC 6901).", pointer, JsonPointer::MAX))
        .property("basic", word("It is this part of Basic authentication.", parts, None))
}
