//! What proves the record: the signed head, whether it goes on from one that somebody kept,
//! and the proof of each event. What is said here is this server's word; each page says how
//! to check it without.

use axum::extract::{Path, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use maud::html;
use serde_json::json;
use std::sync::Arc;
use strongroom_core::access::Denied;
use strongroom_core::app::{Ask, InclusionProof};
use strongroom_core::audit::note::{Checkpoint, SignedHead};
use strongroom_core::audit::tree::{Hash, proves_consistency, proves_inclusion};

use crate::desk::Desk;
use crate::forms::Sent;
use crate::refusal::Refusal;
use crate::visit::Visit;
use crate::{layout, parts};

/// The most characters of a head that is compared.
const MOST: usize = 4_096;

pub(super) fn routes() -> Router<Arc<Desk>> {
    Router::new()
        .route("/audit/proof", get(head).post(compare))
        .route("/audit/head", get(download))
        .route("/audit/proof/{sequence}", get(event))
}

/// How a head that was kept compares with the record.
enum Compared {
    Same(u64),
    GoesOn(u64),
    Other(&'static str),
}

async fn head(State(desk): State<Arc<Desk>>, visit: Visit) -> Result<Response, Refusal> {
    shown(&desk, &visit, "", None).await
}

async fn shown(
    desk: &Desk,
    visit: &Visit,
    kept: &str,
    compared: Option<Compared>,
) -> Result<Response, Refusal> {
    let note = desk.app.checkpoint(&visit.ask).await?;
    let newest = read(desk, &note)?;
    let keys: Vec<_> = desk.app.verifier_keys().iter().map(ToString::to_string).collect();
    let content = html! {
        h1 { "What proves the record" }
        p {
            "Every event is a leaf of a tree of hashes, and each second in which something happened the server signs a head over all of it. "
            "Whoever keeps a head can tell whether anything before it was changed, taken away, or put in. "
            "What is younger than the newest head, a second or so, is not covered yet."
        }
        h2 { "The newest head" }
        p { "It is over " (parts::count(newest.size, "event")) " of this server, in all teams. " a href=(desk.to("/audit/head")) { "Download it" } ", and keep it where this server can't change it." }
        (parts::copied("head", "The signed head", &note))
        (parts::copied("keys", "By what it is checked: the verifier key", &keys.join("\n")))
        h2 { "Compare with a head that you kept" }
        @match compared {
            None => {}
            Some(Compared::Same(size)) => p role="status" { "That is the newest head: nothing was added to its " (parts::count(size, "event")) " since." },
            Some(Compared::GoesOn(size)) => p role="status" { "The record goes on from that head: its " (parts::count(size, "event")) " are as they were." },
            Some(Compared::Other(problem)) => (parts::problem(Some(problem))),
        }
        form method="post" action=(desk.to("/audit/proof")) {
            (parts::token(&visit.form))
            (parts::field("The head", "kept", "All of its lines, with the signature.", &html! {
                textarea #kept name="kept" rows="6" maxlength=(MOST) required spellcheck="false" aria-describedby="kept-hint" { (kept) }
            }))
            button type="submit" { "Compare" }
        }
        h2 { "Without this server's word" }
        p { "This page only tells what this server says of itself." }
        (parts::copied("commands", "To check it anywhere, with nothing but the verifier key", &commands(&keys)))
    };
    Ok(layout::page(desk, visit, "What proves the record", &content))
}

fn commands(keys: &[String]) -> String {
    let key = keys.first().map_or("", String::as_str);
    format!("strongroom audit export --out audit.jsonl\nstrongroom audit verify audit.jsonl --key '{key}'")
}

fn read(desk: &Desk, note: &str) -> Result<Checkpoint, Refusal> {
    desk.app.own_checkpoint(note).map_err(|_| Refusal::broken())
}

async fn compare(State(desk): State<Arc<Desk>>, sent: Sent) -> Result<Response, Refusal> {
    // A browser's lines may have lost the last end.
    let kept = format!("{}\n", sent.fields.text("kept").trim());
    let compared = compared(&desk, &sent.visit.ask, &kept).await?;
    shown(&desk, &sent.visit, kept.trim_end(), Some(compared)).await
}

async fn compared(desk: &Desk, ask: &Ask, kept: &str) -> Result<Compared, Refusal> {
    let old = match desk.app.own_checkpoint(kept) {
        Ok(kept) => kept,
        Err(_) if SignedHead::parse(kept).is_ok() => {
            return Ok(Compared::Other(
                "That head isn't signed by this server's key: it is another server's, or somebody made it up.",
            ));
        }
        Err(_) => {
            return Ok(Compared::Other(
                "That isn't a signed head. Paste all of its lines, with the signature.",
            ));
        }
    };
    let new = read(desk, &desk.app.checkpoint(ask).await?)?;
    if old == new {
        return Ok(Compared::Same(old.size));
    }
    let proof = desk.app.prove_consistency(ask, old.size, new.size).await?;
    let holds = proof
        .is_some_and(|proof| proves_consistency((old.size, old.root), (new.size, new.root), &proof.proof));
    Ok(if holds {
        Compared::GoesOn(old.size)
    } else {
        Compared::Other(
            "The record does NOT go on from that head: it was changed, cut off, or an older state was put back. Keep that head, and tell whoever runs the server.",
        )
    })
}

async fn download(State(desk): State<Arc<Desk>>, visit: Visit) -> Result<Response, Refusal> {
    let note = desk.app.checkpoint(&visit.ask).await?;
    let size = read(&desk, &note)?.size;
    let headers = [
        (CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"strongroom-head-{size}.txt\"")),
    ];
    Ok((headers, note).into_response())
}

async fn event(
    State(desk): State<Arc<Desk>>,
    visit: Visit,
    Path(sequence): Path<String>,
) -> Result<Response, Refusal> {
    let (number, as_file) = match sequence.strip_suffix(".json") {
        Some(number) => (number, true),
        None => (sequence.as_str(), false),
    };
    let number = number.parse().map_err(|_| Refusal::absent())?;
    let proof = desk.app.prove_event(&visit.ask, number).await?.ok_or(Refusal::from(Denied::Invisible))?;
    if as_file {
        return Ok(file(number, &proof));
    }
    let head = read(&desk, &proof.checkpoint)?;
    let leaf = (proof.leaf, Hash::leaf(proof.line.as_bytes()));
    let holds = proves_inclusion(leaf, (head.size, head.root), &proof.proof);
    let content = html! {
        h1 { "Proof of an event" }
        @if holds {
            p role="status" { "It is leaf " (proof.leaf) " of the " (parts::count(head.size, "event")) " that the newest head is signed over, exactly as it stands here." }
        } @else {
            (parts::problem(Some("This event is NOT what it was when it was sealed. Tell whoever runs the server.")))
        }
        (parts::copied("line", "The event, as it is hashed", &proof.line))
        (parts::copied("hashes", "The hashes beside the way from it to the root", &texts(&proof).join("\n")))
        (parts::copied("head", "The signed head that they lead to", &proof.checkpoint))
        p { a href=(desk.to(&format!("/audit/proof/{number}.json"))) { "Download it as a file" } " · " a href=(desk.to("/audit/proof")) { "What proves the record" } " · " a href=(desk.to("/audit")) { "Audit" } }
    };
    Ok(layout::page(&desk, &visit, "Proof of an event", &content))
}

fn texts(proof: &InclusionProof) -> Vec<String> {
    proof.proof.iter().map(ToString::to_string).collect()
}

/// The proof as the API has it.
fn file(sequence: i64, proof: &InclusionProof) -> Response {
    let name = format!("attachment; filename=\"strongroom-event-{sequence}.json\"");
    let InclusionProof { leaf, line, checkpoint, .. } = proof;
    let content = json!({"leaf": leaf, "line": line, "proof": texts(proof), "checkpoint": checkpoint});
    ([(CONTENT_DISPOSITION, name)], Json(content)).into_response()
}
