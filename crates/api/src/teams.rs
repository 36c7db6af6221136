//! Teams on the wire. A key sees one team, its own; creating another gives out
//! a link for the first key there.

use axum::Json as JsonAnswer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Deserializer, Serialize};
use std::sync::Arc;
use strongroom_core::app::{NewTeam, TeamKeyState, TeamKeys};
use strongroom_core::rows::Proven;
use strongroom_core::teams::Team as StoredTeam;
use strongroom_core::text::TeamName;
use strongroom_core::{App, Timestamp};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::act::{Act, Answer, Success, shown};
use crate::body::Json;
use crate::error::{ApiError, BodyRefused, ChangeRefused, Refused};
use crate::key_links::NewLink;
use crate::shared::Shared;
use crate::timestamps;
use crate::values::parsed;

/// The operations of this file.
pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(list_teams, create_team))
        .routes(routes!(get_team, update_team, delete_team))
        .routes(routes!(undelete_team))
        .routes(routes!(get_team_keys))
        .routes(routes!(rotate_team_key))
}

/// A team.
#[derive(Serialize, ToSchema)]
struct Team {
    /// Names it.
    #[schema(format = Uuid, example = "019ab3c4-7c1e-7d55-8a3f-0d3b4f5a6c7d")]
    id: String,
    /// What people call it.
    #[schema(example = "Rockets")]
    name: String,
    /// When it was created.
    #[serde(serialize_with = "timestamps::serialize")]
    #[schema(value_type = String, format = DateTime, example = "2026-11-07T05:31:56.000Z")]
    created_at: Timestamp,
    /// Always null: there are no organizations above teams.
    #[schema(required)]
    organization_id: Option<String>,
    /// Always null: no team is tied to Slack.
    #[schema(required)]
    slack_team_id: Option<String>,
    /// Always `request`: nobody joins without an administrator.
    #[schema(example = "request")]
    discovery_mode: &'static str,
}

impl From<&StoredTeam> for Team {
    fn from(team: &StoredTeam) -> Self {
        Self {
            id: team.id.to_string(),
            name: team.name.to_string(),
            created_at: team.created_at,
            organization_id: None,
            slack_team_id: None,
            discovery_mode: "request",
        }
    }
}

/// The answer about one team.
#[derive(Serialize, ToSchema)]
struct TeamAnswer {
    team: Team,
}

impl TeamAnswer {
    fn of(team: &Proven<StoredTeam>) -> Self {
        Self { team: Team::from(&**team) }
    }
}

fn answer(team: &Proven<StoredTeam>) -> Answer {
    Answer::new(StatusCode::OK, &TeamAnswer::of(team)).tagged(team.mac())
}

/// A team, as lists have it.
#[derive(Serialize, ToSchema)]
struct ListedTeam {
    /// Names it.
    #[schema(format = Uuid, example = "019ab3c4-7c1e-7d55-8a3f-0d3b4f5a6c7d")]
    id: String,
    /// What people call it.
    #[schema(example = "Rockets")]
    name: String,
    /// Always null: there are no organizations above teams.
    #[schema(required)]
    organization_id: Option<String>,
}

/// The answer about teams.
#[derive(Serialize, ToSchema)]
struct TeamsAnswer {
    teams: Vec<ListedTeam>,
}

/// What a team is called.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"name": "Rockets"}))]
struct NameTeam {
    /// What to call it. Need not be unique.
    #[serde(deserialize_with = "team_name")]
    #[schema(value_type = String, min_length = 1, max_length = 128, pattern = "^[^\\u0000]*$")]
    name: TeamName,
}

fn team_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TeamName, D::Error> {
    parsed(deserializer, TeamName::parse)
}

/// A new team, and the way to its first key.
#[derive(Serialize, ToSchema)]
struct CreatedTeam {
    team: Team,
    /// By this its owner makes the first API key there, with `claimKeyLink`, within a day.
    key_link: NewLink,
}

/// List your teams
///
/// The one team that your API key belongs to.
#[utoipa::path(get, path = "/v2/teams", operation_id = "listTeams", tag = "Teams",
    responses((status = 200, description = "The team of your API key", body = TeamsAnswer), Refused))]
async fn list_teams(State(app): State<Arc<App>>, act: Act) -> Result<JsonAnswer<TeamsAnswer>, ApiError> {
    let team = app.team(&act.ask).await?;
    let team = ListedTeam { id: team.id.to_string(), name: team.name.to_string(), organization_id: None };
    Ok(JsonAnswer(TeamsAnswer { teams: vec![team] }))
}

/// Create a team
///
/// With a sealing key of its own. You become its owner; an API key belongs to one team, so the answer has a link by which
/// you make your first one there. The link's token is shown once. It gives no more than your present key has, but for
/// the role.
#[utoipa::path(post, path = "/v2/teams", operation_id = "createTeam", tag = "Teams",
    request_body = NameTeam,
    responses((status = 201, description = "Created", body = CreatedTeam,
        headers(("etag" = String, description = "The team's state"))), Refused, ChangeRefused, BodyRefused))]
async fn create_team(
    State(app): State<Arc<App>>,
    act: Act,
    Json(NameTeam { name }): Json<NameTeam>,
) -> Result<Response, ApiError> {
    // Planned anew when the master key that wraps the team's was replaced a moment ago.
    let plan = || std::future::ready(app.create_team(&act.ask, name.clone()));
    act.retrying(&app, plan, |new| created(&act, new)).await
}

fn created(act: &Act, new: &NewTeam) -> Answer {
    let key_link = NewLink::of(act, &new.link, &new.token);
    let body = CreatedTeam { team: Team::from(&*new.team), key_link };
    Answer::new(StatusCode::CREATED, &body).tagged(new.team.mac()).showing_token_of(new.team.id.uuid())
}

/// Look at your team
#[utoipa::path(get, path = "/v2/teams/{teamId}", operation_id = "getTeam", tag = "Teams",
    params(("teamId" = String, Path, description = "The team of your API key", format = Uuid)),
    responses((status = 200, description = "The team", body = TeamAnswer,
        headers(("etag" = String, description = "The team's state"))), Refused))]
async fn get_team(State(app): State<Arc<App>>, act: Act) -> Result<Response, ApiError> {
    let team = app.team(&act.ask).await?;
    Ok(shown(team.mac(), &TeamAnswer::of(&team)))
}

/// Rename your team
///
/// Needs the role administrator.
#[utoipa::path(patch, path = "/v2/teams/{teamId}", operation_id = "updateTeam", tag = "Teams",
    params(("teamId" = String, Path, description = "The team of your API key", format = Uuid)),
    request_body = NameTeam,
    responses((status = 200, description = "The team as it is now", body = TeamAnswer,
        headers(("etag" = String, description = "The team's state"))), Refused, ChangeRefused, BodyRefused))]
async fn update_team(
    State(app): State<Arc<App>>,
    act: Act,
    Json(NameTeam { name }): Json<NameTeam>,
) -> Result<Response, ApiError> {
    act.retrying(&app, || app.update_team(&act.ask, &name), answer).await
}

/// A key that the team's values are sealed under.
#[derive(Serialize, ToSchema)]
struct TeamKey {
    #[schema(format = Uuid)]
    id: String,
    /// Counts from 1; the highest seals.
    #[schema(example = 1)]
    version: u16,
    #[serde(serialize_with = "timestamps::serialize")]
    #[schema(value_type = String, format = DateTime, example = "2026-11-07T05:31:56.000Z")]
    created_at: Timestamp,
}

/// The team's keys, and how far values are sealed under the newest.
#[derive(Serialize, ToSchema)]
struct TeamKeysAnswer {
    /// The newest first.
    keys: Vec<TeamKey>,
    /// Versions of secrets that there are.
    versions: u64,
    /// Those that an older key sealed: they are being sealed anew.
    left: u64,
}

/// The team's new key.
#[derive(Serialize, ToSchema)]
struct RotatedTeamKey {
    key: TeamKey,
}

impl From<&TeamKeyState> for TeamKey {
    fn from(key: &TeamKeyState) -> Self {
        Self { id: key.id.to_string(), version: key.version, created_at: key.created_at }
    }
}

/// List your team's keys
///
/// By which keys the team's values are sealed, and how many of them still by an older one. Never a key itself. Needs the
/// role administrator.
#[utoipa::path(get, path = "/v2/teams/{teamId}/keys", operation_id = "getTeamKeys", tag = "Teams",
    params(("teamId" = String, Path, description = "The team of your API key", format = Uuid)),
    responses((status = 200, description = "The keys", body = TeamKeysAnswer), Refused))]
async fn get_team_keys(
    State(app): State<Arc<App>>,
    act: Act,
) -> Result<JsonAnswer<TeamKeysAnswer>, ApiError> {
    let TeamKeys { keys, versions, left } = app.team_keys(&act.ask).await?;
    Ok(JsonAnswer(TeamKeysAnswer { keys: keys.iter().map(TeamKey::from).collect(), versions, left }))
}

/// Give your team a new key
///
/// What is sealed from now on is sealed under it, and what is there is sealed anew in the background, while everything goes
/// on; `getTeamKeys` tells how far that is. The old key goes two days after nothing is sealed under it any more. Needs the
/// role owner.
#[utoipa::path(post, path = "/v2/teams/{teamId}/keys/rotate", operation_id = "rotateTeamKey", tag = "Teams",
    params(("teamId" = String, Path, description = "The team of your API key", format = Uuid)),
    responses((status = 201, description = "The new key", body = RotatedTeamKey), Refused, ChangeRefused))]
async fn rotate_team_key(State(app): State<Arc<App>>, act: Act) -> Result<Response, ApiError> {
    let rotated = |key: &TeamKeyState| Answer::new(StatusCode::CREATED, &RotatedTeamKey { key: key.into() });
    act.retrying(&app, || app.rotate_team_key(&act.ask), rotated).await
}

/// Delete your team
///
/// From then on every key of the team is refused with 403, for everything but `undeleteTeam` by an owner. After the
/// retention time the team's keys are destroyed, and with them everything that they sealed here; a backup from before
/// still has both. Needs the role owner.
#[utoipa::path(delete, path = "/v2/teams/{teamId}", operation_id = "deleteTeam", tag = "Teams",
    params(("teamId" = String, Path, description = "The team of your API key", format = Uuid)),
    responses((status = 200, description = "Deleted", body = Success), Refused, ChangeRefused))]
async fn delete_team(State(app): State<Arc<App>>, act: Act) -> Result<Response, ApiError> {
    act.retrying(&app, || app.delete_team(&act.ask), |_| Success::answer()).await
}

/// Bring your deleted team back
///
/// With all that was in it, until the retention time is over. One that isn't deleted stays as it is. Needs the role owner.
#[utoipa::path(post, path = "/v2/teams/{teamId}/undelete", operation_id = "undeleteTeam", tag = "Teams",
    params(("teamId" = String, Path, description = "The team of your API key", format = Uuid)),
    responses((status = 200, description = "The team as it is now", body = TeamAnswer,
        headers(("etag" = String, description = "The team's state"))), Refused, ChangeRefused))]
async fn undelete_team(State(app): State<Arc<App>>, act: Act) -> Result<Response, ApiError> {
    act.retrying(&app, || app.undelete_team(&act.ask), answer).await
}
