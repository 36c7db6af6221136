//! One secret: what is known of it, what is changed of it, and where it went.

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use maud::{Markup, html};
use std::sync::Arc;
use strongroom_core::access::Action;
use strongroom_core::health::{self, SecretHint};
use strongroom_core::policies::Policy;
use strongroom_core::rows::Proven;
use strongroom_core::runs::Delivery;
use strongroom_core::secrets::{Edit, Patch, Secret, VersionInfo};
use strongroom_core::{Bundle, EnvKey, SecretId, SecretName, SecretValue, ServiceSlug};

use crate::desk::Desk;
use crate::forms::{self, Fields, Sent};
use crate::members::Names;
use crate::refusal::{Refusal, to_mend};
use crate::secrets::{bundle, keys, refused, rows, service, whose};
use crate::visit::{self, Visit};
use crate::{confirm, layout, parts, policy};

/// How many versions, and deliveries, are shown: the newest.
const NEWEST: usize = 20;

pub(crate) fn routes() -> Router<Arc<Desk>> {
    Router::new()
        .route("/secrets/{id}", get(show).post(change))
        .route("/secrets/{id}/values", post(set))
        .route("/secrets/{id}/rollback", post(roll_back))
        .route("/secrets/{id}/delete", post(delete))
        .route("/secrets/{id}/undelete", post(undelete))
}

fn id(text: &str) -> Result<SecretId, Refusal> {
    SecretId::parse(text).map_err(|_| Refusal::absent())
}

async fn show(
    State(desk): State<Arc<Desk>>,
    visit: Visit,
    Path(text): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let from = visit::from(&request.into_parts().0);
    shown(&desk, &visit, id(&text)?, (from, None, None)).await
}

/// The page of a secret, with what is wrong with what was filled in, and that where it can be mended.
/// Variables are shown from one on, the first few of many.
async fn shown(
    desk: &Desk,
    visit: &Visit,
    id: SecretId,
    (from, problem, filled): (usize, Option<&str>, Option<&Fields>),
) -> Result<Response, Refusal> {
    let secret = desk.app.secret(&visit.ask, id).await?;
    let names = Names::read(desk, visit).await?;
    let deliveries = desk.app.secret_runs(&visit.ask, id).await?;
    let ownership = visit.ask.caller.ownership(secret.team_id, secret.owner);
    let may = |action| visit.ask.caller.permit(action, ownership).is_ok();
    let content = html! {
        h1 { (secret.name) }
        (facts(desk, &secret, &names, !deliveries.is_empty()))
        (parts::problem(problem))
        h2 { "Variables" }
        @if may(Action::UpdateSecret) { (values(desk, visit, &secret, from)) } @else { p { (keys(&secret.env_keys)) } }
        h2 { "Where it goes" }
        (attached(desk, visit, id).await?)
        (received(desk, &deliveries))
        h2 { "Where it may be used" }
        (policy::told(desk, &secret, may(Action::SetPolicy)))
        h2 { "Versions" }
        (versions(desk, visit, &secret, &names, may(Action::RollbackSecret)).await?)
        @if may(Action::UpdateSecret) {
            h2 { "Settings" }
            (settings(desk, visit, (&secret, filled), may(Action::ShareSecret)).await?)
        }
        @if may(Action::DeleteSecret) {
            (parts::danger("Delete this secret", "Runs receive it no more. It can be brought back until it is purged.",
                &parts::button(&desk.to(&format!("/secrets/{id}/delete")), &visit.form, "Delete it", &[])))
        }
    };
    Ok(layout::page(desk, visit, secret.name.as_str(), &content))
}

fn facts(desk: &Desk, secret: &Secret, names: &Names, used: bool) -> Markup {
    html! {
        dl.facts {
            @if let Some(slug) = &secret.service_slug { dt { "Service" } dd { (service(slug)) } }
            dt { "Whose" } dd { (whose(secret)) }
            dt { "Created" } dd { (parts::time(secret.created_at)) " by " (names.of(secret.created_by)) }
            dt { "Changed" } dd { (parts::time(secret.updated_at)) ", version " (secret.version) }
            @for hint in health::of_secret(secret, used, desk.app.clock().now()) {
                dt { "Note" } dd { (noticed(hint)) }
            }
        }
    }
}

const fn noticed(hint: SecretHint) -> &'static str {
    match hint {
        SecretHint::NeverUsed => "No run has received it yet.",
        SecretHint::Empty => "There are no values in it.",
        SecretHint::Stale => {
            "It hasn't changed for 90 days or more: consider changing its values at their source."
        }
        SecretHint::BrokerOnly => "It is for the broker only: no run's environment has its values.",
    }
}

/// Values are filled in, never shown.
fn values(desk: &Desk, visit: &Visit, secret: &Proven<Secret>, from: usize) -> Markup {
    html! {
        form method="post" action=(desk.to(&format!("/secrets/{}/values", secret.id))) autocomplete="off" {
            (parts::token(&visit.form))
            (forms::state(secret))
            @if !secret.env_keys.is_empty() {
                div.scroll { table {
                    thead { tr { th { "Name" } th { "New value" } th { "New name" } th { "Remove" } } }
                    tbody {
                        @for key in secret.env_keys.iter().skip(from).take(parts::SHOWN) {
                            tr {
                                th scope="row" { code { (key) } input type="hidden" name="old" value=(key); }
                                td data-label="New value" { textarea.value name={ "value-" (key) } rows="1" placeholder="stays as it is" aria-label={ "New value of " (key) } spellcheck="false" autocomplete="off" autocapitalize="off" {} }
                                td data-label="New name" { input name={ "name-" (key) } maxlength=(EnvKey::MAX) pattern="[A-Z_][A-Z0-9_]*" placeholder=(key) aria-label={ "New name of " (key) } spellcheck="false" autocomplete="off"; }
                                td data-label="Remove" { input type="checkbox" name="remove" value=(key) aria-label={ "Remove " (key) }; }
                            }
                        }
                    }
                } }
            }
            details {
                summary { "Add variables" }
                (rows(&[]))
            }
            button type="submit" { "Store the change" }
        }
        (parts::turned(desk, &format!("/secrets/{}", secret.id), from, secret.env_keys.len()))
    }
}

/// As they are, or as somebody filled them in who is to mend something.
async fn settings(
    desk: &Desk,
    visit: &Visit,
    (secret, filled): (&Proven<Secret>, Option<&Fields>),
    may_share: bool,
) -> Result<Markup, Refusal> {
    let slug = secret.service_slug.as_ref().map_or("", ServiceSlug::as_str);
    let (name, slug, is_shared) = match filled {
        Some(fields) => (fields.text("name"), fields.text("service"), fields.ticked("shared")),
        None => (secret.name.as_str(), slug, secret.owner.is_none()),
    };
    Ok(html! {
        form method="post" action=(desk.to(&format!("/secrets/{}", secret.id))) {
            (parts::token(&visit.form))
            @match filled { Some(fields) => (forms::same_state(fields)), None => (forms::state(secret)) }
            (parts::text(("Name", "name", ""), name, SecretName::MAX, true))
            (parts::text(("Service", "service", ""), slug, ServiceSlug::MAX, false))
            @if may_share {
                label.box {
                    input type="checkbox" name="shared" value="yes" checked[is_shared];
                    " Shared with the team"
                }
            } @else if secret.owner.is_none() {
                input type="hidden" name="shared" value="yes";
            }
            @if may_share && secret.owner.is_some() { (confirm::asked_to_share(desk, visit).await?) }
            button type="submit" { "Store" }
        }
    })
}

async fn attached(desk: &Desk, visit: &Visit, id: SecretId) -> Result<Markup, Refusal> {
    let places = desk.app.attached_to(&visit.ask, id).await?;
    Ok(html! {
        @if places.is_empty() {
            p { "It is attached to no agent: no run receives it. Attach it on the page of an " a href=(desk.to("/agents")) { "agent" } "." }
        } @else {
            ul.plain {
                @for (revision, agent) in &places {
                    li {
                        a href=(desk.to(&format!("/agents/{}", agent.id))) { (agent.name) } ", " (revision.name)
                        @if agent.live == Some(revision.id) { " (live)" }
                    }
                }
            }
        }
    })
}

fn received(desk: &Desk, deliveries: &[Delivery]) -> Markup {
    html! {
        @if !deliveries.is_empty() {
            details {
                summary { "Runs that received it (" (deliveries.len()) ")" }
                div.scroll { table {
                    thead { tr { th { "Run" } th { "Version" } th { "When" } } }
                    tbody {
                        @for delivery in deliveries.iter().take(NEWEST) {
                            tr {
                                td { a href=(desk.to(&format!("/runs/{}", delivery.run_id))) { code { (short(&delivery.run_id.to_string())) } } }
                                td data-label="Version" { (delivery.version) }
                                td { (parts::time(delivery.at)) }
                            }
                        }
                    }
                } }
            }
        }
    }
}

/// The end of an id, which tells it from others.
pub(crate) fn short(id: &str) -> String {
    id.rsplit('-').next().unwrap_or(id).to_owned()
}

async fn versions(
    desk: &Desk,
    visit: &Visit,
    secret: &Proven<Secret>,
    names: &Names,
    may_roll_back: bool,
) -> Result<Markup, Refusal> {
    let newest = newest(desk, visit, secret).await?;
    // What was stored under a narrower policy stays behind it.
    let oldest = secret.policy.as_ref().map_or(0, Policy::oldest_version);
    let may_go_back = |version: &VersionInfo| may_roll_back && !version.current && version.number >= oldest;
    Ok(html! {
        div.scroll { table {
            thead { tr { th { "Version" } th { "Variables" } th { "Made" } th {} } }
            tbody {
                @for version in newest.iter().rev() {
                    tr {
                        th scope="row" { (version.number) @if version.current { " (current)" } }
                        td { (keys(&version.env_keys)) }
                        td { (parts::time(version.created_at)) " by " (names.of(version.created_by)) }
                        td {
                            @if may_go_back(version) {
                                (parts::button(&desk.to(&format!("/secrets/{}/rollback", secret.id)), &visit.form, "Go back to it", &[("number", &version.number.to_string())]))
                            }
                        }
                    }
                }
            }
        } }
    })
}

/// The newest versions; a page of them holds a few.
async fn newest(desk: &Desk, visit: &Visit, secret: &Secret) -> Result<Vec<VersionInfo>, Refusal> {
    let few = u32::try_from(NEWEST).unwrap_or(u32::MAX);
    let (mut after, mut all) = (secret.version.saturating_sub(few), Vec::new());
    loop {
        let page = desk.app.versions_after(&visit.ask, secret.id, after, few).await?;
        let Some(last) = page.last() else { return Ok(all) };
        after = last.number;
        all.extend(page);
    }
}

/// Leads back to the page of a secret, with what was done or what is in the way.
async fn answered<T>(
    desk: &Desk,
    visit: &Visit,
    id: SecretId,
    done: Result<T, Refusal>,
    name: &str,
) -> Result<Response, Refusal> {
    let Err(refusal) = done else {
        return Ok(desk.go(&format!("/secrets/{id}?done={name}")).into_response());
    };
    let message = refusal.in_fresh_form()?;
    Ok(to_mend(shown(desk, visit, id, (0, Some(&message), None)).await?))
}

async fn patched(
    desk: &Desk,
    visit: &Visit,
    id: SecretId,
    (fields, patch): (&Fields, Patch),
) -> Result<(), Refusal> {
    let mut ask = confirm::by(desk, visit, fields).await?;
    // What another page or person changed meanwhile isn't put back unseen.
    ask.condition = fields.condition();
    desk.done(&ask, || desk.app.update_secret(&ask, id, &patch)).await.map(|_| ())
}

async fn change(
    State(desk): State<Arc<Desk>>,
    Path(text): Path<String>,
    sent: Sent,
) -> Result<Response, Refusal> {
    let (id, Sent { visit, fields }) = (id(&text)?, sent);
    // First, so that no code is used up for what makes no sense.
    let patch = match settings_patch(&fields) {
        Ok(patch) => patch,
        Err(refusal) => {
            let message = refusal.in_form()?;
            return Ok(to_mend(shown(&desk, &visit, id, (0, Some(&message), Some(&fields))).await?));
        }
    };
    let done = patched(&desk, &visit, id, (&fields, patch)).await;
    answered(&desk, &visit, id, done, "secret-changed").await
}

fn settings_patch(fields: &Fields) -> Result<Patch, Refusal> {
    let slug = fields.filled("service").map(ServiceSlug::parse).transpose();
    Ok(Patch {
        name: Some(
            SecretName::parse(fields.text("name").trim()).map_err(|invalid| refused("name", invalid))?,
        ),
        service_slug: Some(slug.map_err(|invalid| refused("service", invalid))?),
        shared: Some(fields.ticked("shared")),
        values: Edit::Keep,
    })
}

async fn set(
    State(desk): State<Arc<Desk>>,
    Path(text): Path<String>,
    sent: Sent,
) -> Result<Response, Refusal> {
    let (id, Sent { visit, fields }) = (id(&text)?, sent);
    let done = match values_patch(&fields) {
        Ok(patch) => patched(&desk, &visit, id, (&fields, patch)).await,
        Err(refusal) => Err(refusal),
    };
    answered(&desk, &visit, id, done, "secret-changed").await
}

/// Renames first, then removes, then puts in: what is filled in is of the old names.
fn values_patch(fields: &Fields) -> Result<Patch, Refusal> {
    let parse =
        |text: &str| EnvKey::parse(text.trim()).map_err(|invalid| refused("name of a variable", invalid));
    let gone: Vec<&str> = fields.all("remove").collect();
    let (mut rename, mut remove, mut add) = (Vec::new(), Vec::new(), Vec::new());
    for old in fields.all("old") {
        let key = parse(old)?;
        if gone.contains(&old) {
            remove.push(key);
            continue;
        }
        let named = fields.filled(&format!("name-{old}")).map(parse).transpose()?.filter(|new| *new != key);
        let value = fields.text(&format!("value-{old}"));
        if !value.is_empty() {
            let value = SecretValue::parse(value.to_owned())
                .map_err(|invalid| refused(&format!("value of {key}"), invalid))?;
            add.push((named.clone().unwrap_or_else(|| key.clone()), value));
        }
        rename.extend(named.map(|new| (key, new)));
    }
    let more = bundle(fields)?.into_entries();
    if let Some((key, _)) = more.iter().find(|(key, _)| rename.iter().any(|(_, new)| new == key)) {
        return Err(Refusal::invalid(format!(
            "{key} is the new name of another variable: it can't be added as well."
        )));
    }
    add.extend(more);
    let add =
        Bundle::new(add).map_err(|error| Refusal::invalid(format!("In what you filled in, {error}.")))?;
    if rename.is_empty() && remove.is_empty() && add.is_empty() {
        return Err(Refusal::invalid("Nothing is filled in: there is nothing to change."));
    }
    Ok(Patch { values: Edit::Change { rename, remove, add }, ..Patch::default() })
}

async fn roll_back(
    State(desk): State<Arc<Desk>>,
    Path(text): Path<String>,
    sent: Sent,
) -> Result<Response, Refusal> {
    let (id, ask) = (id(&text)?, &sent.visit.ask);
    let number = sent.fields.text("number").parse().map_err(|_| Refusal::absent())?;
    let done = desk.done(ask, || desk.app.roll_back_secret(ask, id, number)).await;
    answered(&desk, &sent.visit, id, done, "rolled-back").await
}

async fn delete(
    State(desk): State<Arc<Desk>>,
    Path(text): Path<String>,
    sent: Sent,
) -> Result<Response, Refusal> {
    let (id, ask) = (id(&text)?, &sent.visit.ask);
    desk.done(ask, || desk.app.delete_secret(ask, id)).await?;
    Ok(desk.go(&format!("/secrets?done=secret-deleted&deleted={id}")).into_response())
}

async fn undelete(
    State(desk): State<Arc<Desk>>,
    Path(text): Path<String>,
    sent: Sent,
) -> Result<Response, Refusal> {
    let (id, ask) = (id(&text)?, &sent.visit.ask);
    let done = desk.done(ask, || desk.app.undelete_secret(ask, id)).await;
    answered(&desk, &sent.visit, id, done, "secret-undeleted").await
}
