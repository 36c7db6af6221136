//! The record proving itself, on the wire: signed heads, proofs, and the record as a file
//! that anybody can check who has the verifier key.

use axum::Json as JsonAnswer;
use axum::extract::State;
use axum::http::Uri;
use axum::http::header::{CONTENT_TYPE, LINK};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::sync::Arc;
use strongroom_core::App;
use strongroom_core::access::Denied;
use strongroom_core::audit::tree::Hash;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::act::Act;
use crate::error::{ApiError, Error, Refused};
use crate::events::{self, Wanted};
use crate::path::{EventPlace, OnPath};
use crate::query;
use crate::shared::Shared;

/// Plain text, which a signed note is.
const TEXT: &str = "text/plain; charset=utf-8";
/// The media type of JSON Lines.
const JSON_LINES: &str = "application/jsonl; charset=utf-8";

/// The operations of this file.
pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(get_checkpoint))
        .routes(routes!(prove_consistency))
        .routes(routes!(prove_event))
        .routes(routes!(export_events))
}

/// The operation that asks for no token.
pub(crate) fn open_routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(verifier_keys))
}

/// By what heads of this log are checked.
#[derive(Serialize, ToSchema)]
struct Verifier {
    /// The name of the log: the first line of each head.
    #[schema(example = "strongroom.audit/01890a5d-ac96-774b-bcce-b302099a8057")]
    origin: String,
    /// The keys that sign heads, the newest first, in the form of C2SP signed notes.
    verifier_keys: Vec<String>,
}

/// What heads are checked by
///
/// The name of this server's audit log, and its verifier keys. Note them where this server can't change them: with a
/// key that came together with what it should prove, only consistency is shown.
#[utoipa::path(get, path = "/.well-known/strongroom-audit", operation_id = "getVerifierKeys", tag = "Audit",
    security(()), responses((status = 200, description = "The keys", body = Verifier)))]
async fn verifier_keys(State(app): State<Arc<App>>) -> JsonAnswer<Verifier> {
    let verifier_keys = app.verifier_keys().iter().map(ToString::to_string).collect();
    JsonAnswer(Verifier { origin: app.audit_origin(), verifier_keys })
}

/// Get the signed head
///
/// The newest head of the audit tree: how many events are in it, and the hash over them, as a C2SP `tlog-checkpoint`
/// signed with Ed25519. Keep one, and nothing before it can be changed unseen. It is signed each second in which
/// something happened.
#[utoipa::path(get, path = "/v2/audit/checkpoint", operation_id = "getCheckpoint", tag = "Audit",
    responses(
        (status = 200, description = "The head", body = String, content_type = "text/plain"),
        (status = 409, description = "Nothing is sealed yet", body = Error),
        Refused,
    ))]
async fn get_checkpoint(State(app): State<Arc<App>>, act: Act) -> Result<Response, ApiError> {
    Ok(([(CONTENT_TYPE, TEXT)], app.checkpoint(&act.ask).await?).into_response())
}

/// That the tree of one size goes on as that of another.
#[derive(Serialize, ToSchema)]
struct Consistency {
    /// Leaves of the smaller.
    old: u64,
    /// Leaves of the larger.
    new: u64,
    /// The hashes of RFC 6962 §2.1.2, in base64.
    proof: Vec<String>,
}

fn texts(proof: &[Hash]) -> Vec<String> {
    proof.iter().map(ToString::to_string).collect()
}

/// Which two sizes.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "described here, read below")]
struct Sizes {
    /// Leaves of the smaller tree: the second line of the head that is held.
    #[param(minimum = 1, maximum = 9_223_372_036_854_775_807_i64)]
    old: i64,
    /// Leaves of the larger.
    #[param(minimum = 1, maximum = 9_223_372_036_854_775_807_i64)]
    new: i64,
}

/// Prove that nothing before changed
///
/// The proof that the tree of one size goes on as that of another, by which who holds a head checks a newer one.
#[utoipa::path(get, path = "/v2/audit/consistency", operation_id = "proveConsistency", tag = "Audit", params(Sizes),
    responses(
        (status = 200, description = "The proof", body = Consistency),
        (status = 404, description = "There are no trees of these sizes, one behind the other", body = Error),
        Refused,
    ))]
async fn prove_consistency(State(app): State<Arc<App>>, act: Act, uri: Uri) -> Result<Response, ApiError> {
    let size = |name| {
        let found = query::number(&uri, name, "a number of leaves", 1..=i64::MAX)?;
        let missing = || ApiError::invalid(format!("`{name}` is missing in the query: a number of leaves"));
        found.map(i64::unsigned_abs).ok_or_else(missing)
    };
    let (old, new) = (size("old")?, size("new")?);
    let proof = app.prove_consistency(&act.ask, old, new).await?.ok_or(Denied::Invisible)?;
    Ok(JsonAnswer(Consistency { old, new, proof: texts(&proof.proof) }).into_response())
}

/// That an event is in the tree.
#[derive(Serialize, ToSchema)]
struct Inclusion {
    /// Its leaf, counted from 0.
    leaf: u64,
    /// The event as it is hashed: SHA-256 over a zero byte and these exact bytes.
    line: String,
    /// The hashes of RFC 6962 §2.1.1, in base64.
    proof: Vec<String>,
    /// The signed head that they lead to.
    checkpoint: String,
}

/// Prove an event
///
/// The proof that an event is in the audit tree, and the signed head that it leads to.
#[utoipa::path(get, path = "/v2/teams/{teamId}/events/{sequence}/proof", operation_id = "proveEvent", tag = "Audit",
    params(("teamId" = String, Path, description = "The team of your API key", format = Uuid),
        ("sequence" = i64, Path, description = "The event's `sequence`", minimum = 1)),
    responses(
        (status = 200, description = "The proof", body = Inclusion),
        (status = 404, description = "You see no such event", body = Error),
        (status = 409, description = "The event is not sealed yet: that takes a second", body = Error),
        Refused,
    ))]
async fn prove_event(
    State(app): State<Arc<App>>,
    act: Act,
    place: OnPath<EventPlace>,
) -> Result<Response, ApiError> {
    let found = app.prove_event(&act.ask, place.0.0).await?.ok_or(Denied::Invisible)?;
    let proof = texts(&found.proof);
    let (leaf, line, checkpoint) = (found.leaf, found.line, found.checkpoint);
    Ok(JsonAnswer(Inclusion { leaf, line, proof, checkpoint }).into_response())
}

/// Which part of the record, as a file.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "described here, read below")]
struct Part {
    /// Over so many leaves; without it, over all that there are. All pages of a file are over as many.
    #[param(minimum = 1, maximum = 9_223_372_036_854_775_807_i64, required = false)]
    size: i64,
    /// From this leaf on: from the `Link` of the page before.
    #[param(minimum = 0, maximum = 9_223_372_036_854_775_807_i64, required = false)]
    leaf: i64,
    /// Sizes of heads that the file is to be compared with, parted by commas: what is skipped ends there.
    #[param(required = false, pattern = "^[0-9]{1,18}(,[0-9]{1,18}){0,15}$", example = "1000")]
    stops: String,
}

/// Export what happened
///
/// Everything that `listEvents` would find, from the beginning on, as JSON Lines that prove themselves: each line is
/// an event's exact bytes, or the hashes of what isn't yours to see or wasn't asked for, and the last line is the signed
/// head over it all. A page is a piece of the file; as long as there is a header `Link` with `rel="next"`, append the
/// next one. `strongroom audit verify` checks the file.
#[utoipa::path(get, path = "/v2/teams/{teamId}/events/export", operation_id = "exportEvents", tag = "Audit",
    params(("teamId" = String, Path, description = "The team of your API key", format = Uuid), Wanted, Part),
    responses(
        (status = 200, description = "A piece of the file", body = String, content_type = "application/jsonl",
            headers(("link" = String, description = "Where the file goes on, if it does"))),
        (status = 409, description = "Nothing is sealed yet, or not so many leaves", body = Error),
        Refused,
    ))]
async fn export_events(State(app): State<Arc<App>>, act: Act, uri: Uri) -> Result<Response, ApiError> {
    let number = |name, least| query::number(&uri, name, "a number of leaves", least..=i64::MAX);
    let (size, leaf) = (number("size", 1)?.map(i64::unsigned_abs), number("leaf", 0)?.map(i64::unsigned_abs));
    let stops = query::parsed(&uri, "stops", "up to 16 numbers of leaves, parted by commas", sizes)?;
    let export = app.export_events(&act.ask, &events::filter(&uri)?, size).await?;
    let mut export = export.from_leaf(leaf.unwrap_or(0)).stopping_at(stops.unwrap_or_default());
    let mut lines = String::new();
    let more = app.export_page(&act.ask, &mut export, &mut lines).await?;
    let next = [("size", export.size().to_string()), ("leaf", export.at().to_string())];
    let next = more.then(|| [(LINK, query::next(&uri, &next))]);
    Ok((next, [(CONTENT_TYPE, JSON_LINES)], lines).into_response())
}

fn sizes(text: &str) -> Option<Vec<u64>> {
    let is_size =
        |text: &str| (1..=18).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let sizes = text.split(',').map(|text| text.parse().ok().filter(|_| is_size(text)));
    sizes.collect::<Option<Vec<_>>>().filter(|sizes| sizes.len() <= 16)
}
