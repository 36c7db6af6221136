//! The list of secrets, and a new one.

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use maud::{Markup, html};
use std::sync::Arc;
use strongroom_core::access::{Action, Ownership};
use strongroom_core::app::Page;
use strongroom_core::rows::Proven;
use strongroom_core::secrets::{Filter, NewSecret, Secret};
use strongroom_core::text::Invalid;
use strongroom_core::{Bundle, EnvKey, SecretId, SecretName, SecretValue, ServiceSlug, env_file};

use crate::catalog::{self, Entry};
use crate::desk::Desk;
use crate::forms::{Fields, Sent};
use crate::refusal::{Refusal, sentence, to_mend};
use crate::visit::{Visit, query};
use crate::{layout, parts};

/// Secrets on a page.
const SHOWN: u32 = 50;
/// How many times the store is asked for a page of few that match.
const LOOKS: usize = 2;
/// Empty rows of a form without a script.
const ROWS: usize = 4;
/// Which list is of those that are deleted.
const DELETED: &str = "deleted";

pub(crate) fn routes() -> Router<Arc<Desk>> {
    Router::new().route("/secrets", get(list).post(create)).route("/secrets/new", get(ask))
}

/// What a list is about.
#[derive(Default)]
struct Wanted {
    search: String,
    /// `team`, `personal`, or nothing for both.
    whose: String,
    after: Option<SecretId>,
    /// What was just deleted, to be brought back.
    deleted: Option<SecretId>,
}

impl Wanted {
    fn read(parts: &axum::http::request::Parts) -> Self {
        let id = |name| query(parts, name).and_then(|text| SecretId::parse(&text).ok());
        Self {
            search: query(parts, "search").unwrap_or_default(),
            whose: query(parts, "whose").unwrap_or_default(),
            after: id("after"),
            deleted: id("deleted"),
        }
    }

    fn filter(&self) -> Filter {
        let search = Some(self.search.trim()).filter(|search| !search.is_empty());
        let shared = match self.whose.as_str() {
            "team" => Some(true),
            "personal" => Some(false),
            _ => None,
        };
        Filter { shared, ..Filter::new(search, None) }
    }

    /// The same list, from another place on.
    fn path(&self, whose: &str, after: Option<SecretId>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let pairs = [("search", self.search.clone()), ("whose", whose.to_owned())];
        let after = after.map(|id| ("after", id.to_string()));
        pairs.into_iter().chain(after).filter(|(_, value)| !value.is_empty()).for_each(|(name, value)| {
            query.append_pair(name, &value);
        });
        let query = query.finish();
        if query.is_empty() { "/secrets".to_owned() } else { format!("/secrets?{query}") }
    }
}

async fn list(State(desk): State<Arc<Desk>>, visit: Visit, request: Request) -> Result<Response, Refusal> {
    let wanted = Wanted::read(&request.into_parts().0);
    if wanted.whose == DELETED {
        let secrets = desk.app.deleted_secrets(&visit.ask).await?;
        return Ok(layout::page(
            &desk,
            &visit,
            "Deleted secrets",
            &deleted(&desk, &visit, &wanted, &secrets),
        ));
    }
    let page = found(&desk, &visit, &wanted).await?;
    Ok(layout::page(&desk, &visit, "Secrets", &listed(&desk, &visit, &wanted, &page)))
}

/// A page of those that match; a store looks at so many at a time.
async fn found(desk: &Desk, visit: &Visit, wanted: &Wanted) -> Result<Page, Refusal> {
    let (filter, mut after) = (wanted.filter(), wanted.after);
    let mut all = Vec::new();
    for _ in 0..LOOKS {
        let room = SHOWN.saturating_sub(u32::try_from(all.len()).unwrap_or(SHOWN));
        let page = desk.app.secrets_after(&visit.ask, after, &filter, room).await?;
        all.extend(page.secrets);
        after = page.next;
        if after.is_none() || all.len() >= SHOWN as usize {
            break;
        }
        // A long search lets others have their turn.
        tokio::task::yield_now().await;
    }
    Ok(Page { secrets: all, next: after })
}

fn listed(desk: &Desk, visit: &Visit, wanted: &Wanted, page: &Page) -> Markup {
    let is_all = wanted.filter().is_empty();
    html! {
        div.title {
            h1 { "Secrets" }
            @if visit.may_ever(Action::CreateSecret) {
                a.button href=(desk.to("/secrets/new")) { "Add a secret" }
            }
        }
        @if let Some(id) = wanted.deleted {
            (parts::button(&desk.to(&format!("/secrets/{id}/undelete")), &visit.form, "Bring it back", &[]))
        }
        (tabs(desk, wanted))
        form.search method="get" action=(desk.to("/secrets")) role="search" {
            input type="hidden" name="whose" value=(wanted.whose);
            label for="search" { "Search" }
            input #search type="search" name="search" value=(wanted.search) maxlength="128";
            button type="submit" { "Search" }
        }
        @if page.secrets.is_empty() {
            @if is_all && wanted.after.is_none() {
                p { "There are none yet. A secret is a named bundle of environment variables: its values go in here, and come out only inside a run of an agent that it is attached to." }
            } @else {
                p role="status" {
                    "None of those that were looked at match."
                    @if let Some(next) = page.next {
                        // A script goes on by itself, so that each answer stays quick.
                        " " a data-go-on href=(desk.to(&wanted.path(&wanted.whose, Some(next)))) { "Look further" }
                    }
                }
            }
        } @else {
            div.scroll { table {
                thead { tr { th { "Name" } th { "Variables" } th { "Whose" } th { "Changed" } } }
                tbody { @for secret in &page.secrets { (row(desk, secret)) } }
            } }
        }
        (parts::pages(&[
            ("From the beginning", wanted.after.map(|_| desk.to(&wanted.path(&wanted.whose, None)))),
            ("More", page.next.map(|next| desk.to(&wanted.path(&wanted.whose, Some(next))))),
        ]))
    }
}

fn tabs(desk: &Desk, wanted: &Wanted) -> Markup {
    html! {
        nav.tabs aria-label="Whose" {
            @for (whose, name) in [("", "All"), ("team", "Team"), ("personal", "Personal"), (DELETED, "Deleted")] {
                a href=(desk.to(&wanted.path(whose, None))) aria-current=[(wanted.whose == whose).then_some("page")] { (name) }
            }
        }
    }
}

/// Those that can be brought back.
fn deleted(desk: &Desk, visit: &Visit, wanted: &Wanted, secrets: &[Proven<Secret>]) -> Markup {
    let may = |secret: &Secret| {
        let ownership = visit.ask.caller.ownership(secret.team_id, secret.owner);
        visit.ask.caller.permit(Action::UndeleteSecret, ownership).is_ok()
    };
    html! {
        h1 { "Deleted secrets" }
        (tabs(desk, wanted))
        p { "They can be brought back for " (desk.terms.retention_days) " days, then their values are destroyed. Runs don't receive them." }
        @if secrets.is_empty() { p { "There are none." } } @else {
            div.scroll { table {
                thead { tr { th { "Name" } th { "Variables" } th { "Whose" } th { "Deleted" } th {} } }
                tbody {
                    @for secret in secrets.iter().take(parts::SHOWN) {
                        tr {
                            th scope="row" { (secret.name) }
                            td { (keys(&secret.env_keys)) }
                            td data-label="Whose" { (whose(secret)) }
                            td data-label="Deleted" { (parts::maybe_time(secret.deleted_at, "")) }
                            td { @if may(secret) { (parts::button(&desk.to(&format!("/secrets/{}/undelete", secret.id)), &visit.form, "Bring it back", &[])) } }
                        }
                    }
                }
            } }
            @if secrets.len() > parts::SHOWN { p { "These are the newest " (parts::SHOWN) "." } }
        }
    }
}

fn row(desk: &Desk, secret: &Proven<Secret>) -> Markup {
    html! {
        tr {
            th scope="row" {
                a href=(desk.to(&format!("/secrets/{}", secret.id))) { (secret.name) }
                @if let Some(slug) = &secret.service_slug { br; small { (service(slug)) } }
            }
            td { (keys(&secret.env_keys)) }
            td data-label="Whose" { (whose(secret)) }
            td data-label="Changed" { (parts::time(secret.updated_at)) }
        }
    }
}

/// What a service is called.
pub(crate) fn service(slug: &ServiceSlug) -> String {
    catalog::entry(slug.as_str()).map_or_else(|| slug.to_string(), |entry| entry.name.clone())
}

pub(crate) fn whose(secret: &Secret) -> &'static str {
    if secret.owner.is_none() { "team" } else { "personal" }
}

/// Names of variables, the first few of many.
pub(crate) fn keys(keys: &[EnvKey]) -> Markup {
    const FEW: usize = 6;
    html! {
        (every_key(keys.iter().take(FEW)))
        @if keys.len() > FEW { small { "and " (keys.len() - FEW) " more" } }
    }
}

/// Names of variables, each of them.
pub(crate) fn every_key<'a>(keys: impl ExactSizeIterator<Item = &'a EnvKey>) -> Markup {
    html! {
        @if keys.len() == 0 { small { "none" } }
        @for key in keys { code { (key) } " " }
    }
}

async fn ask(State(desk): State<Arc<Desk>>, visit: Visit, request: Request) -> Result<Response, Refusal> {
    let service = query(&request.into_parts().0, "service").and_then(|slug| catalog::entry(&slug));
    Ok(layout::page(&desk, &visit, "Add a secret", &form(&desk, &visit, (None, &Fields::default()), service)))
}

fn form(
    desk: &Desk,
    visit: &Visit,
    (problem, filled): (Option<&str>, &Fields),
    service: Option<&'static Entry>,
) -> Markup {
    let may_share = visit.ask.caller.permit(Action::CreateSecret, Ownership::Shared).is_ok();
    let name = service.map_or(filled.text("name"), |service| &service.name);
    let slug = service.map_or(filled.text("service"), |service| &service.slug);
    // Values are never sent back, also not after a mistake: they are filled in again.
    let typed: Vec<&str> = filled.all("key").filter(|key| !key.is_empty()).collect();
    let keys: Vec<&str> = match service {
        Some(service) if typed.is_empty() => service.env_keys.iter().map(String::as_str).collect(),
        _ => typed,
    };
    html! {
        h1 { "Add a secret" }
        (parts::problem(problem))
        @if problem.is_some() { p { "Fill in the values again: they aren't sent back to your browser." } }
        form.search method="get" action=(desk.to("/secrets/new")) {
            label for="service-pick" { "For a known service" }
            select #service-pick name="service" {
                @for entry in catalog::all() { option value=(entry.slug) selected[entry.slug == slug] { (entry.name) } }
            }
            button type="submit" { "Use its names" }
        }
        form method="post" action=(desk.to("/secrets")) autocomplete="off" {
            (parts::token(&visit.form))
            (parts::text(("Name", "name", "What people call it. Need not be unique."), name, SecretName::MAX, true))
            (parts::text(("Service", "service", "Which service it is for, if for one; any short text."), slug, ServiceSlug::MAX, false))
            @if let Some(about) = service.and_then(|service| service.where_to_get.as_deref()) { p { (about) } }
            (rows(&keys))
            @if may_share {
                label.box {
                    input type="checkbox" name="shared" value="yes" checked[filled.ticked("shared")];
                    " Share it with the team: managers may change it, builders attach it to agents"
                }
            }
            button type="submit" { "Store it" }
        }
    }
}

/// Rows of names and values, and a place to paste a file of them.
pub(crate) fn rows(keys: &[&str]) -> Markup {
    let empty = ROWS.saturating_sub(keys.len()).max(1);
    html! {
        fieldset.rows {
            legend { "Variables" }
            div #rows {
                @for key in keys.iter().copied().chain(std::iter::repeat_n("", empty)) {
                    div.row {
                        input name="key" value=(key) maxlength=(EnvKey::MAX) placeholder="NAME" aria-label="Name of a variable"
                            pattern="[A-Z_][A-Z0-9_]*" title="Capital letters, digits and underscores" autocapitalize="characters" spellcheck="false" autocomplete="off";
                        textarea.value name="value" rows="1" placeholder="value" aria-label="Its value" spellcheck="false" autocomplete="off" autocapitalize="off" {}
                    }
                }
            }
            button type="button" data-more="rows" hidden { "One more" }
            details {
                summary { "Or paste a .env file" }
                textarea.value #pasted name="pasted" rows="6" aria-label="Lines of NAME=value" spellcheck="false" autocomplete="off" autocapitalize="off" {}
                small { (env_file::GRAMMAR) }
            }
        }
    }
}

/// What was filled into [`rows`]. No message holds a value.
pub(crate) fn bundle(fields: &Fields) -> Result<Bundle, Refusal> {
    let mut entries = Vec::new();
    for (at, (key, value)) in fields.all("key").zip(fields.all("value")).enumerate() {
        let key = key.trim();
        if key.is_empty() && value.is_empty() {
            continue;
        }
        let at = at + 1;
        let key = EnvKey::parse(key).map_err(|invalid| refused(&format!("name in row {at}"), invalid))?;
        let value = SecretValue::parse(value.to_owned())
            .map_err(|invalid| refused(&format!("value of {key}"), invalid))?;
        entries.push((key, value));
    }
    entries.extend(pasted(fields.text("pasted"))?);
    Bundle::new(entries).map_err(|error| Refusal::invalid(format!("In what you filled in, {error}.")))
}

#[expect(clippy::disallowed_methods, reason = "what was pasted is parsed into values")]
fn pasted(text: &str) -> Result<Vec<(EnvKey, SecretValue)>, Refusal> {
    use secrecy::ExposeSecret as _;
    let entries = env_file::parse(text).map_err(|mistake| {
        Refusal::invalid(format!("In what you pasted, {mistake}. {}", sentence(env_file::GRAMMAR)))
    })?;
    let parsed = entries.into_iter().map(|(key, value)| {
        let value = SecretValue::parse(value.expose_secret().to_owned());
        value.map_err(|invalid| refused(&format!("value of {key}"), invalid)).map(|value| (key, value))
    });
    parsed.collect()
}

pub(crate) fn refused(what: &str, invalid: Invalid) -> Refusal {
    Refusal::invalid(format!("The {what} {}.", invalid.reason()))
}

/// What somebody fills in for a new secret.
fn new(fields: &Fields) -> Result<NewSecret, Refusal> {
    let slug = fields.filled("service").map(ServiceSlug::parse).transpose();
    let new = NewSecret {
        name: SecretName::parse(fields.text("name").trim()).map_err(|invalid| refused("name", invalid))?,
        service_slug: slug.map_err(|invalid| refused("service", invalid))?,
        shared: fields.ticked("shared"),
        values: bundle(fields)?,
    };
    if new.values.is_empty() {
        return Err(Refusal::invalid("A secret has at least one value: fill in a row, or paste a file."));
    }
    Ok(new)
}

async fn create(State(desk): State<Arc<Desk>>, sent: Sent) -> Result<Response, Refusal> {
    let Sent { visit, fields } = sent;
    let created = match new(&fields) {
        Ok(new) => match desk.app.create_secret(&visit.ask, new).await {
            Ok(planned) => desk.app.carry_out(&visit.ask, planned, None).await.map_err(Refusal::from),
            Err(error) => Err(error.into()),
        },
        Err(refusal) => Err(refusal),
    };
    match created {
        Ok(secret) => Ok(desk.go(&format!("/secrets/{}?done=secret-created", secret.id)).into_response()),
        Err(refusal) => {
            let message = refusal.in_form()?;
            let form = form(&desk, &visit, (Some(&message), &fields), None);
            Ok(to_mend(layout::page(&desk, &visit, "Add a secret", &form)))
        }
    }
}
