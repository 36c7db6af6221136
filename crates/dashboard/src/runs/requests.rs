//! What a run asked for through the broker, as it happens: what came of it, and where
//! something was refused, what is missing and where that is changed. What a request names was
//! written by the run's process: it is shown, and nothing is filled in with it.

use maud::{Markup, html};
use std::collections::HashSet;
use strongroom_core::SecretId;
use strongroom_core::access::Denied;
use strongroom_core::app::{Error, EventNames};
use strongroom_core::events::Recorded;
use strongroom_core::policies::Scheme;
use strongroom_core::requests::Requested;
use strongroom_core::rows::{Proven, Row};
use strongroom_core::runs::{ProvenRun, Run};
use strongroom_core::secrets::Secret;

use super::{ANEW, secret};
use crate::desk::Desk;
use crate::parts;
use crate::refusal::Refusal;
use crate::visit::Visit;

/// Requests on a page: each may be recorded twice.
const SHOWN: u32 = 100;
/// How many secrets a refusal names.
const NAMED: usize = 3;

/// A part of the requests, the newest first, before a place of the record.
pub(super) async fn of(
    desk: &Desk,
    visit: &Visit,
    rows: &ProvenRun,
    before: Option<i64>,
) -> Result<Markup, Refusal> {
    let run = &rows.run;
    let page = desk.app.run_requests(&visit.ask, run.id, before, SHOWN).await?;
    let told = once_each(&page.events);
    let used = told.iter().filter_map(|(event, _)| used(event));
    let called = desk.app.name_secrets(&visit.ask, used).await?;
    let any_refused = told.iter().any(|(_, requested)| requested.refused.is_some());
    let secrets = if any_refused { secrets_of(desk, visit, run).await? } else { Vec::new() };
    let anew = (before.is_none() && rows.ended(desk.app.clock().now()).is_none()).then_some(ANEW);
    let to = |query: &str| desk.to(&format!("/runs/{}{query}", run.id));
    Ok(html! {
        div.scroll.requests data-reload=[anew] {
            @if told.is_empty() { p { "Nothing so far." } } @else {
                table {
                    thead { tr { th { "When" } th { "Answer" } th { "Request" } th { "With" } th { "Sent, received" } th { "Took" } } }
                    tbody { @for (event, requested) in &told { (row(desk, (*event, requested), &called, &secrets)) } }
                }
            }
        }
        (parts::pages(&[
            ("Newest", before.map(|_| to(""))),
            ("Older", page.next.map(|next| to(&format!("?before={next}")))),
        ]))
        @if any_refused { (policies(desk, &secrets)) }
    })
}

/// Each request as it was told of last.
fn once_each(events: &[Recorded]) -> Vec<(&Recorded, Requested<'_>)> {
    let mut seen = HashSet::new();
    let is_last = |event: &&Recorded| event.request_id.is_none_or(|id| seen.insert(id));
    events
        .iter()
        .filter(is_last)
        .filter_map(|event| Some((event, event.requested.as_ref()?.read())))
        .collect()
}

/// The secret of which a value went in.
fn used(event: &Recorded) -> Option<SecretId> {
    event.object_id.filter(|_| event.table == Secret::TABLE).map(SecretId::from_uuid)
}

/// The secrets of a run that whoever looks sees, too.
async fn secrets_of(desk: &Desk, visit: &Visit, run: &Run) -> Result<Vec<Proven<Secret>>, Refusal> {
    let mut found = Vec::new();
    for part in run.composition.parts() {
        match desk.app.policy(&visit.ask, part.secret_id).await {
            Ok(secret) => found.push(secret),
            Err(Error::Denied(Denied::Invisible)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}

fn row(
    desk: &Desk,
    (event, requested): (&Recorded, &Requested<'_>),
    called: &EventNames,
    secrets: &[Proven<Secret>],
) -> Markup {
    html! {
        tr {
            td { (parts::second(event.at)) }
            td data-label="Answer" { (answer(requested)) }
            td {
                code { (requested.method) " " (place(requested)) }
                @if let Some(why) = &requested.refused { (refused(desk, requested, why, secrets)) }
            }
            td data-label="With" {
                @if let Some(id) = used(event) { a href=(desk.to(&format!("/secrets/{id}"))) { (secret(called, id)) } }
            }
            td data-label="Sent, received" { (size(requested.sent)) ", " (size(requested.received)) }
            td data-label="Took" { (took(requested.millis)) }
        }
    }
}

fn answer(requested: &Requested<'_>) -> Markup {
    html! {
        @match (&requested.refused, requested.status) {
            (Some(_), _) => strong.wrong { "refused" },
            (None, Some(status)) => { (status) @if !requested.ended { ", going on" } }
            (None, None) if requested.ended => "none",
            (None, None) => "none yet",
        }
    }
}

/// Where a request went.
fn place(requested: &Requested<'_>) -> String {
    let Requested { scheme, host, port, path, .. } = requested;
    let usual = Scheme::parse(scheme).is_ok_and(|scheme| scheme.usual_port() == *port);
    let port = if usual { String::new() } else { format!(":{port}") };
    format!("{scheme}://{host}{port}{path}")
}

/// What was in the way, and where it is changed.
fn refused(desk: &Desk, requested: &Requested<'_>, why: &str, secrets: &[Proven<Secret>]) -> Markup {
    let Why { words, is_of_policy } = Why::of(why);
    let about = about(requested, secrets);
    html! {
        br;
        small {
            (words)
            @if is_of_policy && about.is_empty() { " The " a href="#policies" { "policies of its secrets" } " say where they may be used." }
            @if is_of_policy {
                @for secret in about.iter().take(NAMED) { " " a href=(path(desk, secret)) { "The policy of " (secret.name) } }
            }
        }
    }
}

/// Of these secrets those that have rules for the host.
fn about<'a>(requested: &Requested<'_>, secrets: &'a [Proven<Secret>]) -> Vec<&'a Secret> {
    let Ok(scheme) = Scheme::parse(&requested.scheme) else { return Vec::new() };
    let has_rules = |secret: &&Proven<Secret>| {
        let policy = secret.policy_in_force().0;
        policy
            .is_some_and(|policy| policy.rules_for(scheme, &requested.host, requested.port).next().is_some())
    };
    secrets.iter().filter(has_rules).map(|secret| &**secret).collect()
}

fn path(desk: &Desk, secret: &Secret) -> String {
    desk.to(&format!("/secrets/{}/policy", secret.id))
}

fn policies(desk: &Desk, secrets: &[Proven<Secret>]) -> Markup {
    html! {
        h3 #policies { "Where its secrets may be used" }
        p { "Something was refused. If it was meant to be, nothing is to be done. Otherwise add to the policy of the secret that it is for:" }
        ul.plain {
            @for secret in secrets.iter().take(parts::SHOWN) { li { a href=(path(desk, secret)) { (secret.name) } } }
            @if secrets.is_empty() { li { "None of its secrets is yours to see." } }
        }
    }
}

/// Why something was refused, in words.
struct Why<'a> {
    words: &'a str,
    /// Whether a policy could allow it.
    is_of_policy: bool,
}

impl<'a> Why<'a> {
    /// Of the name that the broker has for it; that of a later program stands for itself.
    fn of(name: &'a str) -> Self {
        let (words, is_of_policy) = match name {
            "no_rule" => ("No secret of the run may be used at this host.", true),
            "not_covered" => ("There are rules for this host, but none for this method and path.", true),
            "placeholder_misplaced" => ("A placeholder stood where no rule puts its value.", true),
            "foreign_credential" => ("A credential that is none of the run's was in it.", true),
            "out_of_reach" => ("The host is in a private network, which no rule for it allows.", true),
            "placeholder_of_another_run" => ("A placeholder of another run was in it.", false),
            "value_unfit" => (
                "The value has a character that can't stand in its place: look whether it was stored whole.",
                false,
            ),
            "invalid_request" => ("It couldn't be read as a request.", false),
            "not_for_a_proxy" => ("It wasn't sent as one through a proxy is.", false),
            "address_refused" => ("Hosts are asked for by their names, never by an address.", false),
            "host_mismatch" => ("It named another host than its tunnel was opened for.", false),
            "unsupported" => ("The broker lets none of this kind through.", false),
            "body_refused" => {
                ("Its body is too large to put a value in, or isn't what its type says.", false)
            }
            "run_limit" => ("The run has had as much as it may.", false),
            "upstream_failed" => ("The host didn't answer, or couldn't prove who it is.", false),
            "answer_unreadable" => {
                ("The answer couldn't be looked through for values, so it was held back.", false)
            }
            "unavailable" => ("It couldn't be recorded at that moment, so it didn't go through.", false),
            other => (other, false),
        };
        Self { words, is_of_policy }
    }
}

/// Bytes as people read them.
fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{}.{} kB", bytes / 1_000, bytes % 1_000 / 100),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
    }
}

fn took(millis: u64) -> String {
    match millis {
        0..10_000 => format!("{millis} ms"),
        _ => format!("{} s", millis / 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_short() {
        let sizes = [0, 999, 1_000, 1_260, 999_999, 1_000_000, 12_345_678].map(size);
        assert_eq!(sizes, ["0 B", "999 B", "1.0 kB", "1.2 kB", "999.9 kB", "1.0 MB", "12.3 MB"]);
        assert_eq!([9_999, 10_000, 61_500].map(took), ["9999 ms", "10 s", "61 s"]);
    }

    #[test]
    fn a_reason_of_a_later_program_stands_for_itself() {
        assert_eq!(Why::of("moon_phase").words, "moon_phase");
        assert!(Why::of("no_rule").is_of_policy && !Why::of("run_limit").is_of_policy);
    }
}
