//! API keys: what there is, and making and revoking them.

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use maud::{Markup, html};
use std::sync::Arc;
use strongroom_core::access::Action;
use strongroom_core::api_keys::{ApiKey, UsedKey};
use strongroom_core::app::{GrantWish, NewKey};
use strongroom_core::grants::{Agents, Networks};
use strongroom_core::rows::Proven;
use strongroom_core::text::{Invalid, KeyName};
use strongroom_core::tokens::Token;
use strongroom_core::users::ProvenMember;
use strongroom_core::{AgentId, ApiKeyId, Role, Scope, Scopes, Timestamp, UserId};

use crate::desk::Desk;
use crate::forms::{Fields, Sent};
use crate::members::Names;
use crate::refusal::{Refusal, to_mend};
use crate::visit::{self, Visit};
use crate::{confirm, layout, parts};

const DAY: i64 = 24 * 60 * 60 * 1_000;
/// How long a key may be made to last, in days.
const TERMS: [(&str, &str); 5] =
    [("", "for ever"), ("7", "a week"), ("30", "30 days"), ("90", "90 days"), ("365", "a year")];

pub(crate) fn routes() -> Router<Arc<Desk>> {
    Router::new().route("/keys", get(list).post(create)).route("/keys/revoke", post(revoke))
}

async fn list(State(desk): State<Arc<Desk>>, visit: Visit, request: Request) -> Result<Response, Refusal> {
    let from = visit::from(&request.into_parts().0);
    let page = page(&desk, &visit, (None, &Fields::default()), from).await?;
    Ok(layout::page(&desk, &visit, "API keys", &page))
}

/// The page, with what is wrong and what was filled in.
async fn page(
    desk: &Desk,
    visit: &Visit,
    (problem, filled): (Option<&str>, &Fields),
    from: usize,
) -> Result<Markup, Refusal> {
    let mut keys = desk.app.api_keys(&visit.ask).await?;
    // What is of use comes first, the newest at the top.
    keys.sort_by_key(|used| (used.key.revoked_at.is_some(), std::cmp::Reverse(used.key.id)));
    let names = Names::read(desk, visit).await?;
    Ok(html! {
        h1 { "API keys" }
        p { "A program proves with a key on whose behalf it acts. A key is shown once, when it is made." }
        (parts::problem(problem))
        @if visit.may(Action::CreateApiKey) {
            details open[keys.is_empty() || problem.is_some()] {
                summary { "Make a key" }
                (form(desk, visit, &names, filled).await?)
            }
        } @else {
            p { "Administrators make keys. Ask one for a link by which you make your own." }
        }
        @if keys.is_empty() {
            p { "There are none yet." }
        } @else {
            div.scroll { table {
                thead { tr { th { "Name" } th { "Acts as" } th { "Good for" } th { "Last used" } th { "Expires" } th {} } }
                tbody {
                    @for used in keys.iter().skip(from).take(parts::SHOWN) { (row(desk, visit, &names, used)) }
                }
            } }
            (parts::turned(desk, "/keys", from, keys.len()))
        }
    })
}

fn row(desk: &Desk, visit: &Visit, names: &Names, used: &UsedKey<Proven<ApiKey>>) -> Markup {
    let key = &used.key;
    let over = key.grant.expires_at.is_some_and(|end| end <= desk.app.clock().now());
    // Nobody reaches above themselves.
    let may_revoke = names.role(key.user_id) <= visit.role();
    html! {
        tr.gone[key.revoked_at.is_some() || over] {
            th scope="row" { (key.name) br; small { "made " (parts::time(key.created_at)) } }
            td data-label="Acts as" { (names.of(key.user_id)) br; small { "as " (key.grant.role) } }
            td data-label="Good for" { (limits(key)) }
            td data-label="Last used" { (parts::maybe_time(used.last_used_at, "never")) }
            td data-label="Expires" { (parts::maybe_time(key.grant.expires_at, "never")) }
            td {
                @if let Some(revoked) = key.revoked_at {
                    "revoked " (parts::time(revoked))
                } @else if over { "expired" } @else if may_revoke {
                    (parts::danger("Revoke", "Whatever uses this key is refused from then on.",
                        &parts::button(&desk.to("/keys/revoke"), &visit.form, "Revoke it", &[("key", &key.id.to_string())])))
                }
            }
        }
    }
}

/// What a key is good for, in a few words.
fn limits(key: &ApiKey) -> Markup {
    let grant = &key.grant;
    html! {
        (grant.scopes.to_string().replace(' ', ", "))
        @if let Some(agents) = &grant.agents { br; small { "runs of " (few(agents.iter().count())) " only" } }
        @if let Some(networks) = &grant.networks { br; small { "from " (networks) } }
    }
}

fn few(agents: usize) -> String {
    if agents == 1 { "one agent".to_owned() } else { format!("{agents} agents") }
}

async fn form(desk: &Desk, visit: &Visit, names: &Names, filled: &Fields) -> Result<Markup, Refusal> {
    let is_new = filled.all("role").next().is_none();
    let ticked = |name, value: &str| filled.all(name).any(|one| one == value);
    let agents = desk.app.agents(&visit.ask, None, (0, 100)).await?.agents;
    let services: Vec<&ProvenMember> =
        names.services().filter(|service| service.membership.role <= visit.role()).collect();
    Ok(html! {
        form method="post" action=(desk.to("/keys")) {
            (parts::token(&visit.form))
            (parts::text(("Name", "name", "What will use it, such as: deploy on the build server."), filled.text("name"), KeyName::MAX, true))
            @if !services.is_empty() {
                (parts::field("Acts as", "as", "A key of a service user stays when people leave.", &html! {
                    select #as name="as" aria-describedby="as-hint" {
                        option value="" { (visit.member.user.name) " (you)" }
                        @for service in services { option value=(service.user.id) selected[ticked("as", &service.user.id.to_string())] { (service.user.name) } }
                    }
                }))
            }
            (parts::field("Role at most", "role", "", &html! {
                select #role name="role" {
                    @for role in Role::ALL.into_iter().rev().filter(|role| *role <= visit.role()) {
                        option value=(role) selected[ticked("role", &role.to_string())] { (role) }
                    }
                }
            }))
            fieldset {
                legend { "Good for" }
                @for scope in Scope::ALL {
                    label.box {
                        input type="checkbox" name="scope" value=(scope.name()) checked[if is_new { scope != Scope::RunsStart && scope != Scope::Admin } else { ticked("scope", scope.name()) }];
                        " " code { (scope.name()) } " " (meaning(scope))
                    }
                }
            }
            @if !agents.is_empty() {
                fieldset {
                    legend { "Runs of these agents only" }
                    small { "None ticked: of any." }
                    @for agent in &agents {
                        label.box { input type="checkbox" name="agent" value=(agent.id) checked[ticked("agent", &agent.id.to_string())]; " " (agent.name) }
                    }
                }
            }
            (parts::text(("Only from these networks", "networks", "Such as 192.0.2.0/24, with spaces between them. Empty: from anywhere."), filled.text("networks"), 1_000, false))
            (parts::field("Lasts", "days", "", &html! {
                select #days name="days" { @for (days, words) in TERMS { option value=(days) selected[ticked("days", days)] { (words) } } }
            }))
            (confirm::asked(desk, visit, "key-").await?)
            button type="submit" { "Make the key" }
        }
    })
}

const fn meaning(scope: Scope) -> &'static str {
    match scope {
        Scope::SecretsRead => "list and look at secrets, never their values",
        Scope::SecretsWrite => "create, change and delete secrets",
        Scope::RunsStart => "start runs, which is to read the values of what is attached",
        Scope::TeamRead => "look at the team and its members",
        Scope::Admin => "change members, keys and the team",
    }
}

/// What somebody wishes for. A key's role is "at most" what is chosen: of a service user no
/// more than it has.
fn wish(fields: &Fields, members: &Names, now: Timestamp) -> Result<NewKey, Refusal> {
    let named = |what: &str, refused: Invalid| Refusal::invalid(format!("The {what} {}.", refused.reason()));
    let scopes: Option<Scopes> = fields.all("scope").map(Scope::from_name).collect();
    let scopes = scopes.filter(|scopes| *scopes != Scopes::default());
    let agents: Result<Vec<_>, _> = fields.all("agent").map(AgentId::parse).collect();
    let agents = agents.map_err(|_| Refusal::absent())?;
    let networks = fields
        .filled("networks")
        .map(|text| Networks::parse(text.split([' ', ',']).filter(|one| !one.is_empty())));
    let days = fields.filled("days").map(str::parse::<i64>).transpose().map_err(|_| Refusal::absent())?;
    let service_user = fields.filled("as").map(UserId::parse).transpose().map_err(|_| Refusal::absent())?;
    let role = Role::from_name(fields.text("role")).ok_or_else(Refusal::absent)?;
    Ok(NewKey {
        name: KeyName::parse(fields.text("name").trim()).map_err(|refused| named("name", refused))?,
        grant: GrantWish {
            role: Some(service_user.map_or(role, |service| role.min(members.role(service)))),
            scopes: Some(
                scopes
                    .ok_or_else(|| Refusal::invalid("A key is good for something: tick at least one box."))?,
            ),
            agents: (!agents.is_empty())
                .then(|| Agents::new(agents))
                .transpose()
                .map_err(|refused| named("agents", refused))?,
            networks: networks.transpose().map_err(|refused| named("networks", refused))?,
            expires_at: days
                .map(|days| Timestamp::from_millis(now.as_millis().saturating_add(days.saturating_mul(DAY)))),
        },
        service_user,
    })
}

async fn made(
    desk: &Desk,
    visit: &Visit,
    fields: &Fields,
    names: &Names,
) -> Result<(Proven<ApiKey>, Token), Refusal> {
    let new = wish(fields, names, desk.app.clock().now())?;
    let ask = confirm::by(desk, visit, fields).await?;
    let planned = desk.app.create_api_key(&ask, new).await?;
    Ok(desk.app.carry_out(&ask, planned, None).await?)
}

async fn create(State(desk): State<Arc<Desk>>, sent: Sent) -> Result<Response, Refusal> {
    let Sent { visit, fields } = sent;
    let names = Names::read(&desk, &visit).await?;
    match made(&desk, &visit, &fields, &names).await {
        Ok((key, token)) => {
            let content = shown(&desk, &visit, &key, token.reveal());
            Ok(layout::page(&desk, &visit, "Your new API key", &content))
        }
        Err(refusal) => {
            let message = refusal.in_form()?;
            let page = page(&desk, &visit, (Some(&message), &fields), 0).await?;
            Ok(to_mend(layout::page(&desk, &visit, "API keys", &page)))
        }
    }
}

/// A new key, shown this once, and what to do with it.
fn shown(desk: &Desk, visit: &Visit, key: &ApiKey, token: &str) -> Markup {
    let url = desk.address.url("/v1/credentials", visit.host.as_deref());
    let call = if key.grant.scopes.allow(Scope::SecretsRead) {
        url
    } else {
        desk.address.url("/v2/profile", visit.host.as_deref())
    };
    html! {
        h1 { "Your new API key" }
        p { "It is shown only now. Put it where the program finds it, not into the program." }
        (parts::copied("key", "API key", token))
        h2 { "Try it" }
        (parts::copied("call", "Paste this into a terminal", &format!("curl --url {call} \\\n  --header 'Authorization: Bearer {token}'")))
        p { a.button href=(desk.to("/keys")) { "I have kept it" } }
    }
}

async fn revoke(State(desk): State<Arc<Desk>>, sent: Sent) -> Result<Response, Refusal> {
    let id = ApiKeyId::parse(sent.fields.text("key")).map_err(|_| Refusal::absent())?;
    let ask = &sent.visit.ask;
    desk.done(ask, || desk.app.revoke_api_key(ask, id)).await?;
    Ok(desk.go("/keys?done=key-revoked").into_response())
}
