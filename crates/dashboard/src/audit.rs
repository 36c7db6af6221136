//! What happened, in plain words: who did what to which object, searched and
//! exported. Ids and names, never a value.

mod export;
mod proof;
mod words;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::get;
use maud::{Markup, html};
use std::sync::Arc;
use strongroom_core::access::Action;
use strongroom_core::app::EventNames;
use strongroom_core::events::{EventFilter, EventKind, EventPage, Recorded};
use strongroom_core::secrets::{Filter, Secret};
use strongroom_core::{RunId, Timestamp, UserId};
use uuid::Uuid;

use crate::desk::Desk;
use crate::members::Names;
use crate::refusal::Refusal;
use crate::secret::short;
use crate::visit::{Visit, query};
use crate::{layout, parts};

/// Events on a page.
const SHOWN: u32 = 50;
/// How many times the store is asked for a page of few that match.
const LOOKS: usize = 8;
/// Secrets read at a time, and how many times, to find those of a name.
const SECRETS: (u32, usize) = (256, 4);
/// Told where a search by a name left something out.
const NOT_WHOLE: &str = "Not every secret of that name was found: there are too many, or too many to look at. Search for more of the name, or for the id, which finds everything.";
/// Milliseconds of a day.
const DAY: i64 = 24 * 60 * 60 * 1_000;

pub(crate) fn routes() -> Router<Arc<Desk>> {
    Router::new()
        .route("/audit", get(list))
        .route("/audit/export", get(export::export))
        .merge(proof::routes())
}

/// What is searched for.
#[derive(Default)]
struct Wanted {
    /// A group of kinds, by its name; empty: all.
    group: String,
    person: Option<UserId>,
    /// Days, in UTC: from the one to the end of the other.
    since: String,
    until: String,
    /// An id, or a part of a secret's name.
    search: String,
    before: Option<i64>,
}

impl Wanted {
    fn read(parts: &Parts) -> Result<Self, Refusal> {
        let text = |name| query(parts, name).unwrap_or_default();
        let person = query(parts, "person").map(|text| UserId::parse(&text)).transpose();
        Ok(Self {
            group: text("group"),
            person: person.map_err(|_| Refusal::absent())?,
            since: text("since"),
            until: text("until"),
            search: text("search").trim().to_owned(),
            before: query(parts, "before").and_then(|text| text.parse().ok()),
        })
    }

    /// The same search, from another place on or in another form.
    fn path(&self, path: &str, more: &[(&str, String)]) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let person = self.person.map(|person| person.to_string()).unwrap_or_default();
        let pairs = [
            ("group", &self.group),
            ("person", &person),
            ("since", &self.since),
            ("until", &self.until),
            ("search", &self.search),
        ];
        query.extend_pairs(pairs.iter().filter(|(_, value)| !value.is_empty()));
        query.extend_pairs(more);
        let query = query.finish();
        if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
    }

    /// As the core is asked, `None` when nothing can match; and whether that is all that
    /// was wanted.
    async fn filter(&self, desk: &Desk, visit: &Visit) -> Result<(Option<EventFilter>, bool), Refusal> {
        let until = day(&self.until)?.map(|day| Timestamp::from_millis(day.as_millis().saturating_add(DAY)));
        let kinds = words::kinds_of(&self.group).ok_or_else(Refusal::absent)?;
        let mut filter = EventFilter {
            kinds,
            user: self.person,
            since: day(&self.since)?,
            until,
            ..EventFilter::default()
        };
        if let Ok(id) = RunId::parse(&self.search) {
            filter.naming = Some(id.uuid());
        } else if !self.search.is_empty() {
            let (objects, are_all) = secrets_called(desk, visit, &self.search).await?;
            filter.objects = objects;
            return Ok((Some(filter).filter(|filter| !filter.objects.is_empty()), are_all));
        }
        Ok((Some(filter), true))
    }
}

/// The beginning of a day.
fn day(text: &str) -> Result<Option<Timestamp>, Refusal> {
    if text.is_empty() {
        return Ok(None);
    }
    let day = Timestamp::parse(&format!("{text}T00:00:00Z"));
    day.map(Some).map_err(|_| Refusal::invalid("A day is written as 2026-11-07."))
}

/// The secrets with this in their names that the person sees, deleted ones among them, as
/// many as a search takes; and whether those are all.
async fn secrets_called(desk: &Desk, visit: &Visit, search: &str) -> Result<(Vec<Uuid>, bool), Refusal> {
    let (at_a_time, looks) = SECRETS;
    let (filter, mut after, mut found) = (Filter::new(Some(search), None), None, Vec::new());
    let search = search.to_lowercase();
    let called = |secret: &Secret| secret.name.as_str().to_lowercase().contains(&search);
    let deleted = desk.app.deleted_secrets(&visit.ask).await?;
    found.extend(deleted.iter().filter(|secret| called(secret)).map(|secret| secret.id.uuid()));
    for _ in 0..looks {
        let page = desk.app.secrets_after(&visit.ask, after, &filter, at_a_time).await?;
        found.extend(page.secrets.iter().filter(|secret| called(secret)).map(|secret| secret.id.uuid()));
        after = page.next;
        if after.is_none() || found.len() > EventFilter::MOST_OBJECTS {
            break;
        }
        // A long search lets others have their turn.
        tokio::task::yield_now().await;
    }
    let are_all = after.is_none() && found.len() <= EventFilter::MOST_OBJECTS;
    found.truncate(EventFilter::MOST_OBJECTS);
    Ok((found, are_all))
}

async fn list(State(desk): State<Arc<Desk>>, visit: Visit, request: Request) -> Result<Response, Refusal> {
    let wanted = Wanted::read(&request.into_parts().0)?;
    let (filter, is_whole) = wanted.filter(&desk, &visit).await?;
    let page = match filter {
        Some(filter) => found(&desk, &visit, &filter, wanted.before).await?,
        None => EventPage::default(),
    };
    let mut names = EventNames::default();
    desk.app.name_events(&visit.ask, &page.events, &mut names).await?;
    let people = if sees_all(&visit) { Some(Names::read(&desk, &visit).await?) } else { None };
    let content = listed(&desk, (&wanted, people.as_ref()), (&page, is_whole), &names);
    Ok(layout::page(&desk, &visit, "Audit", &content))
}

fn sees_all(visit: &Visit) -> bool {
    visit.may(Action::ListEvents)
}

/// A page of those that match; a store looks at so many at a time.
async fn found(
    desk: &Desk,
    visit: &Visit,
    filter: &EventFilter,
    mut before: Option<i64>,
) -> Result<EventPage, Refusal> {
    let mut all = EventPage::default();
    for _ in 0..LOOKS {
        let room = SHOWN.saturating_sub(u32::try_from(all.events.len()).unwrap_or(SHOWN));
        let page = desk.app.events(&visit.ask, filter, before, room).await?;
        all.events.extend(page.events);
        (all.next, before) = (page.next, page.next);
        if before.is_none() || all.events.len() >= SHOWN as usize {
            break;
        }
    }
    Ok(all)
}

fn listed(
    desk: &Desk,
    (wanted, people): (&Wanted, Option<&Names>),
    (page, is_whole): (&EventPage, bool),
    names: &EventNames,
) -> Markup {
    let export = |format: &str| desk.to(&wanted.path("/audit/export", &[("format", format.to_owned())]));
    html! {
        h1 { "Audit" }
        p {
            @if people.is_some() { "What happened in the team, the newest first." }
            @else { "What you did yourself, the newest first. Administrators see what everybody did." }
            " " a href=(desk.to("/audit/proof")) { "What proves it" }
        }
        (form(desk, wanted, people))
        @if !is_whole { p role="status" { (NOT_WHOLE) } }
        @if page.events.is_empty() {
            p { @if page.next.is_some() { "None of those that were looked at match; there are older ones." } @else { "Nothing that matches." } }
        } @else {
            div.scroll { table.events {
                thead { tr { th { "When" } th { "Who" } th { "What" } } }
                tbody { @for event in &page.events { (row(desk, event, names)) } }
            } }
        }
        (parts::pages(&[
            ("The newest", wanted.before.map(|_| desk.to(&wanted.path("/audit", &[])))),
            ("Older", page.next.map(|next| desk.to(&wanted.path("/audit", &[("before", next.to_string())])))),
        ]))
        @if is_whole && (!page.events.is_empty() || page.next.is_some()) {
            p {
                "Download all that matches: " a href=(export("csv")) { "CSV" } ", " a href=(export("jsonl")) { "JSON Lines" }
                ", or " a href=(export("proven")) { "with proofs" } "."
            }
        }
    }
}

fn form(desk: &Desk, wanted: &Wanted, people: Option<&Names>) -> Markup {
    html! {
        form.search.filters method="get" action=(desk.to("/audit")) role="search" {
            div {
                label for="group" { "What" }
                select #group name="group" {
                    option value="" { "Everything" }
                    @for group in words::GROUPS { option value=(group.name) selected[group.name == wanted.group] { (group.label) } }
                }
            }
            @if let Some(people) = people {
                div {
                    label for="person" { "Who" }
                    select #person name="person" { (persons(wanted.person, people)) }
                }
            }
            div { label for="since" { "From" } input #since type="date" name="since" value=(wanted.since); }
            div { label for="until" { "To" } input #until type="date" name="until" value=(wanted.until); }
            div {
                label for="search" { "Secret or id" }
                input #search type="search" name="search" value=(wanted.search) maxlength="128";
            }
            button type="submit" { "Search" }
        }
    }
}

fn persons(chosen: Option<UserId>, people: &Names) -> Markup {
    html! {
        option value="" { "Everybody" }
        @for (id, name) in people.all() { option value=(id) selected[chosen == Some(id)] { (name) } }
        @if let Some(gone) = chosen.filter(|chosen| people.all().all(|(id, _)| id != *chosen)) {
            option value=(gone) selected { (people.of(gone)) }
        }
    }
}

fn row(desk: &Desk, event: &Recorded, names: &EventNames) -> Markup {
    html! {
        tr {
            td { (parts::time(event.at)) }
            td { (who(desk, event, names)) }
            td { (what(desk, event, names)) }
        }
    }
}

fn who(desk: &Desk, event: &Recorded, names: &EventNames) -> Markup {
    let actor = &event.actor;
    let key = actor.key_id.map(|key| named(names, key.uuid()));
    html! {
        @match actor.user_id {
            Some(user) => (named(names, user.uuid())),
            None => "the server",
        }
        @if let Some(run) = actor.run_id {
            br; small { "by run " a href=(desk.to(&format!("/runs/{run}"))) { code { (short(&run.to_string())) } } }
        } @else if let Some(key) = key {
            br; small { "with the key “" (key) "”" }
        } @else if actor.session_id.is_some() {
            br; small { "on these pages" }
        }
    }
}

fn what(desk: &Desk, event: &Recorded, names: &EventNames) -> Markup {
    // The first version is there with the secret.
    let version = event.version.filter(|_| event.known_kind() != Some(EventKind::SecretCreated));
    let agent = event.place.agent_id.filter(|agent| event.object_id != Some(agent.uuid()));
    html! {
        (words::clause(event))
        @if let Some(id) = event.object_id.filter(|_| !is_told(&event.table)) { " " (object(desk, &event.table, id, names)) }
        @else if event.refusal.is_some() { " this" }
        @if let Some(version) = version { ", version " (version) }
        @if let Some(agent) = agent { ", agent " (link(desk, names, agent.uuid(), "/agents/")) }
        @if event.times > 1 { ", " (event.times) " times" }
        br; small.id { (event.kind) } " "
        small { a href=(desk.to(&format!("/audit/proof/{}", event.sequence))) { "Proof" } }
    }
}

/// Whether the words say all that there is to say of an object: what is one's
/// own, or the team itself.
fn is_told(table: &str) -> bool {
    matches!(table, "sign_ins" | "teams" | "instance")
}

/// What something is called, or the beginning of its id.
fn named(names: &EventNames, id: Uuid) -> Markup {
    html! {
        @match names.of(id) {
            Some(name) => (name),
            None => code title=(id) { (short(&id.to_string())) },
        }
    }
}

fn link(desk: &Desk, names: &EventNames, id: Uuid, page: &str) -> Markup {
    html! {
        @if names.is_there(id) { a href=(desk.to(&format!("{page}{id}"))) { (named(names, id)) } }
        @else { (named(names, id)) }
    }
}

/// An object, with a link to its page where there is one.
fn object(desk: &Desk, table: &str, id: Uuid, names: &EventNames) -> Markup {
    html! {
        @match table {
            "secrets" | "attachments" => (link(desk, names, id, "/secrets/")),
            "agents" => (link(desk, names, id, "/agents/")),
            "runs" => a href=(desk.to(&format!("/runs/{id}"))) { code { (short(&id.to_string())) } },
            "users" | "memberships" if names.is_there(id) => a href=(desk.to("/members")) { (named(names, id)) },
            "api_keys" if names.is_there(id) => a href=(desk.to("/keys")) { (named(names, id)) },
            _ => (named(names, id)),
        }
    }
}
