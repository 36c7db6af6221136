//! The policy of a secret: where its values may be used, in plain words, and the pages on
//! which it is changed. What is filled in is shown in words before it is stored.

mod form;
mod words;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use maud::{Markup, html};
use std::sync::Arc;
use strongroom_core::access::Action;
use strongroom_core::policies::{Policy, PolicySource, Rule};
use strongroom_core::rows::Proven;
use strongroom_core::secrets::{NewPolicy, Secret};
use strongroom_core::tags::Condition;
use strongroom_core::{EnvKey, SecretId};

use crate::desk::Desk;
use crate::forms::{self, Fields, Sent};
use crate::refusal::{Refusal, to_mend};
use crate::secrets::{bundle, rows, service};
use crate::visit::Visit;
use crate::{layout, parts};
use form::Filled;

pub(crate) fn routes() -> Router<Arc<Desk>> {
    Router::new()
        .route("/secrets/{id}/policy", get(show).post(look))
        .route("/secrets/{id}/policy/set", post(set))
}

fn id(text: &str) -> Result<SecretId, Refusal> {
    SecretId::parse(text).map_err(|_| Refusal::absent())
}

/// Where a secret may be used, for its own page.
pub(crate) fn told(desk: &Desk, secret: &Secret, may_set: bool) -> Markup {
    let path = desk.to(&format!("/secrets/{}/policy", secret.id));
    html! {
        (in_force(secret))
        @if may_set { p { a href=(path) { "Change where it may be used" } } }
    }
}

fn in_force(secret: &Secret) -> Markup {
    let (policy, source) = secret.policy_in_force();
    let rules = policy.map(Policy::rules).unwrap_or_default();
    html! {
        @if rules.is_empty() {
            p { "Nowhere by the broker: it puts its values into no request." }
        } @else {
            p { "By the broker, which puts its values into these requests and no others:" }
            ul { @for rule in rules { li { (words::rule(rule)) } } }
        }
        p { small { (from_where(secret, source)) } }
        p {
            @if secret.is_broker_only() { "Only by the broker: no run has its values in its environment." }
            @else { "Runs that don't go by the broker have its values in their environment." }
        }
    }
}

/// From where a policy comes.
fn from_where(secret: &Secret, source: PolicySource) -> Markup {
    html! {
        @match (source, &secret.service_slug) {
            (PolicySource::Own, _) => "This was set for this secret.",
            (PolicySource::Service, Some(slug)) => { "This is what is known of the service " (service(slug)) "; nothing was set for this secret." }
            _ => "Nothing was set for this secret, and nothing is known of its service.",
        }
    }
}

fn may_set(visit: &Visit, secret: &Secret) -> Result<(), Refusal> {
    let ownership = visit.ask.caller.ownership(secret.team_id, secret.owner);
    visit.ask.caller.permit(Action::SetPolicy, ownership)?;
    Ok(())
}

async fn show(
    State(desk): State<Arc<Desk>>,
    visit: Visit,
    Path(text): Path<String>,
) -> Result<Response, Refusal> {
    let secret = desk.app.policy(&visit.ask, id(&text)?).await?;
    let content = if may_set(&visit, &secret).is_ok() {
        let rules = secret.policy_in_force().0.map(Policy::rules).unwrap_or_default();
        let filled = Filled::of(rules, secret.is_broker_only());
        let filled = if rules.is_empty() { filled.and_one_more() } else { filled };
        to_fill_in(&desk, &visit, &secret, (&filled, None))
    } else {
        html! { (heading(&desk, &secret)) (in_force(&secret)) }
    };
    Ok(layout::page(&desk, &visit, &title(&secret), &content))
}

fn title(secret: &Secret) -> String {
    format!("Where {} may be used", secret.name)
}

fn heading(desk: &Desk, secret: &Secret) -> Markup {
    html! {
        h1 { "Where it may be used" }
        p { "The secret " a href=(desk.to(&format!("/secrets/{}", secret.id))) { (secret.name) } "." }
    }
}

fn to_fill_in(
    desk: &Desk,
    visit: &Visit,
    secret: &Secret,
    (filled, problem): (&Filled, Option<&str>),
) -> Markup {
    html! {
        (heading(desk, secret))
        p { "A run by the broker has placeholders in its environment. On the way out the broker puts the values in their places: into the requests that these rules allow, and no others." }
        p { small { (from_where(secret, secret.policy_in_force().1)) } }
        (parts::problem(problem))
        form method="post" action=(desk.to(&format!("/secrets/{}/policy", secret.id))) autocomplete="off" autocapitalize="off" spellcheck="false" {
            (parts::token(&visit.form))
            (filled.fields())
            div.buttons {
                button type="submit" name="act" value="look" { "See what it would allow" }
                button.second type="submit" name="act" value="more" { "One more rule" }
            }
        }
        p { small { "Nothing is stored yet: you see it in words first." } }
    }
}

/// Shows what is filled in: in words, or with what is wrong with it, or with one more rule.
async fn look(
    State(desk): State<Arc<Desk>>,
    Path(text): Path<String>,
    sent: Sent,
) -> Result<Response, Refusal> {
    let Sent { visit, fields } = sent;
    let secret = desk.app.policy(&visit.ask, id(&text)?).await?;
    may_set(&visit, &secret)?;
    let page = |content: &Markup| layout::page(&desk, &visit, &title(&secret), content);
    match fields.text("act") {
        "more" => {
            let filled = Filled::read(&fields).and_one_more();
            return Ok(page(&to_fill_in(&desk, &visit, &secret, (&filled, None))));
        }
        "edit" => {
            let new = carried(&fields)?;
            let filled = Filled::of(new.rules(), new.is_broker_only());
            return Ok(page(&to_fill_in(&desk, &visit, &secret, (&filled, None))));
        }
        _ => {}
    }
    let mut filled = Filled::read(&fields);
    let problem = match filled.parsed().map(|(rules, broker_only)| Policy::new(rules, broker_only)) {
        Some(Ok(new)) => return Ok(page(&preview(&desk, &visit, (&secret, &new), None))),
        Some(Err(refused)) => format!("The rules {}.", refused.reason()),
        None => "Something isn't right yet: it stands beside its field.".to_owned(),
    };
    Ok(to_mend(page(&to_fill_in(&desk, &visit, &secret, (&filled, Some(&problem))))))
}

/// What a policy would allow, to be stored or changed further.
fn preview(
    desk: &Desk,
    visit: &Visit,
    (secret, new): (&Proven<Secret>, &Policy),
    problem: Option<&str>,
) -> Markup {
    let path = desk.to(&format!("/secrets/{}/policy", secret.id));
    let carried = [("policy", new.to_stored())];
    let told: Vec<(&str, &str)> = carried.iter().map(|(name, text)| (*name, text.as_str())).collect();
    html! {
        (heading(desk, secret))
        (parts::problem(problem))
        (allowed(secret, new))
        (not_allowed(secret, new))
        form method="post" action={ (path) "/set" } autocomplete="off" {
            (parts::token(&visit.form))
            @for (name, value) in &told { input type="hidden" name=(name) value=(value); }
            (forms::state(secret))
            @if secret.is_loosened_by(new) { (values_again(secret)) }
            button type="submit" { "Store it" }
        }
        p { (parts::button(&path, &visit.form, "Change it further", &[&told[..], &[("act", "edit")]].concat())) }
    }
}

fn allowed(secret: &Secret, new: &Policy) -> Markup {
    let before = secret.policy_in_force().0.map(Policy::rules).unwrap_or_default();
    let is_new = |rule: &Rule| before.iter().all(|old| rule.wider_than(old));
    html! {
        h2 { "What it will allow" }
        @if new.rules().is_empty() { p { "Nothing: the broker puts its values into no request." } } @else {
            ul { @for rule in new.rules() { li { (words::rule(rule)) @if is_new(rule) { " " span.live { "new" } } } } }
        }
    }
}

fn not_allowed(secret: &Secret, new: &Policy) -> Markup {
    let before = secret.policy_in_force().0.map(Policy::rules).unwrap_or_default();
    let is_over = |old: &&Rule| new.rules().iter().all(|rule| old.wider_than(rule));
    html! {
        h2 { "What it won't" }
        ul {
            @for old in before.iter().filter(is_over) { li { "No longer as a whole: " (words::rule(old)) } }
            li { "Its values go into no other request, and to no other place of one" }
            @if new.is_broker_only() { li { "Environments: no run receives its values there, not even one that is going on" } }
        }
        @if !new.is_broker_only() {
            p { "Runs that don't go by the broker still receive its values in their environment: what they do with them is not looked at." }
        }
    }
}

fn values_again(secret: &Secret) -> Markup {
    let keys: Vec<&str> = secret.env_keys.iter().map(EnvKey::as_str).collect();
    html! {
        h2 { "All values again" }
        p { "The secret is for the broker only, and this allows more. So that nobody gets values out by it who doesn't know them, fill in all of them anew: they take the place of those that are stored, and no earlier version comes back." }
        (rows(&keys))
    }
}

/// The policy that a page of these carries on.
fn carried(fields: &Fields) -> Result<Policy, Refusal> {
    Policy::from_stored(fields.text("policy"))
        .map_err(|_| Refusal::invalid("That isn't what this page showed. Go back, and fill it in again."))
}

async fn set(
    State(desk): State<Arc<Desk>>,
    Path(text): Path<String>,
    sent: Sent,
) -> Result<Response, Refusal> {
    let (id, Sent { visit, fields }) = (id(&text)?, sent);
    let secret = desk.app.policy(&visit.ask, id).await?;
    may_set(&visit, &secret)?;
    let new = carried(&fields)?;
    let Err(refusal) = stored(&desk, &visit, (&secret, &new), &fields).await else {
        return Ok(desk.go(&format!("/secrets/{id}?done=policy-set")).into_response());
    };
    let mut problem = refusal.in_form()?.into_owned();
    if secret.is_loosened_by(&new) {
        problem.push_str(" Fill in the values again: they aren't sent back to your browser.");
    }
    let content = preview(&desk, &visit, (&secret, &new), Some(&problem));
    Ok(to_mend(layout::page(&desk, &visit, &title(&secret), &content)))
}

/// Stores what was shown, in the place of what it was shown beside.
async fn stored(
    desk: &Desk,
    visit: &Visit,
    (secret, new): (&Secret, &Policy),
    fields: &Fields,
) -> Result<(), Refusal> {
    let mut ask = visit.ask.clone();
    ask.condition = fields.condition().or(Some(Condition::IsOneOf(Vec::new())));
    let values = if secret.is_loosened_by(new) { Some(bundle(fields)?) } else { None };
    let new = NewPolicy { rules: new.rules().to_vec(), broker_only: new.is_broker_only(), values };
    desk.done(&ask, || desk.app.set_policy(&ask, secret.id, &new)).await.map(|_| ())
}
