//! Members of a team on the wire: people and service users, with their roles.

use axum::Json as JsonAnswer;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde::{Deserialize, Deserializer, Serialize};
use std::sync::Arc;
use strongroom_core::app::{NewMember, Newcomer};
use strongroom_core::text::{Email, UserName};
use strongroom_core::users::ProvenMember;
use strongroom_core::{App, UserId};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::act::{Act, Answer, Success};
use crate::body::Json;
use crate::error::{Absent, ApiError, BodyRefused, ChangeRefused, Refused};
use crate::grants::{Name, RoleName};
use crate::path::OnPath;
use crate::query::{self, Page};
use crate::shared::Shared;
use crate::values::{Parsed, given, parsed};

/// The operations of this file.
pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(list_members, add_member))
        .routes(routes!(update_member, remove_member))
}

/// A member of a team.
#[derive(Serialize, ToSchema)]
struct Member {
    /// Names the user.
    #[schema(format = Uuid, example = "019ab3c4-7c1e-7d55-8a3f-0d3b4f5a6c7d")]
    id: String,
    /// What the user is called.
    #[schema(example = "Ada Lovelace")]
    name: String,
    /// Where the user gets mail, if known. A service user has no address.
    #[schema(required, format = Email, example = "ada@example.com")]
    email: Option<String>,
    /// What the user may do at most; a key may lower it.
    #[schema(example = "builder")]
    role: RoleName,
    /// Always false: there are no organizations above teams.
    #[serde(rename = "inheritedFromOrg")]
    inherited_from_org: bool,
    /// Whether this is a program, which belongs to this team alone.
    service: bool,
}

impl From<&ProvenMember> for Member {
    fn from(member: &ProvenMember) -> Self {
        Self {
            id: member.user.id.to_string(),
            name: member.user.name.to_string(),
            email: member.user.email.as_ref().map(Email::as_str).map(Into::into),
            role: Name(member.membership.role),
            inherited_from_org: false,
            service: member.user.service_of.is_some(),
        }
    }
}

/// The answer about one member.
#[derive(Serialize, ToSchema)]
struct MemberAnswer {
    member: Member,
}

fn answer(status: StatusCode, member: &ProvenMember) -> Answer {
    Answer::new(status, &MemberAnswer { member: member.into() }).tagged(member.membership.mac())
}

/// The answer about members.
#[derive(Serialize, ToSchema)]
struct MembersAnswer {
    members: Vec<Member>,
    /// How many there are that match, in this answer or not.
    total: usize,
    /// At most how many are in this answer.
    limit: u32,
    /// How many come before those in this answer.
    offset: u32,
}

/// Which members are wanted.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes a parameter; `query` reads it")]
struct Search {
    /// Only those with this text, in any case, in their name or address.
    #[param(value_type = String, min_length = 1, max_length = 128, pattern = "^[^\\u0000]*$", required = false)]
    search: Option<String>,
}

/// List the members of your team
///
/// By the age of the user; 50 at a time unless `limit` says otherwise. Go on with an `offset` raised by `limit`, until it
/// reaches `total`.
#[utoipa::path(get, path = "/v2/teams/{teamId}/members", operation_id = "listMembers", tag = "Members",
    params(("teamId" = String, Path, description = "The team of your API key", format = Uuid), Page, Search),
    responses((status = 200, description = "The members", body = MembersAnswer), Refused))]
async fn list_members(
    State(app): State<Arc<App>>,
    act: Act,
    uri: Uri,
) -> Result<JsonAnswer<MembersAnswer>, ApiError> {
    let (page, search) = (Page::parse(&uri)?, query::search(&uri)?);
    let list = app.members(&act.ask, search.as_deref(), page.bounds()).await?;
    let members = list.members.iter().map(Member::from).collect();
    let Page { limit, offset } = page;
    Ok(JsonAnswer(MembersAnswer { members, total: list.total, limit, offset }))
}

/// Who is to become a member, and as what: a person by `email`, a service user by `service` and `name`, or somebody who
/// was removed before by `user_id`.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"email": "ada@example.com", "name": "Ada Lovelace", "role": "builder"}))]
struct AddMember {
    /// What to call them, with `email` or `service`. Somebody who is known keeps the name that they have.
    #[serde(default, deserialize_with = "user_name")]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 128, pattern = "^[^\\u0000]*$")]
    name: Option<UserName>,
    /// The person's address. Upper and lower case are the same.
    #[serde(default, deserialize_with = "email")]
    #[schema(value_type = String, required = false, format = Email, max_length = 254)]
    email: Option<Email>,
    /// Somebody who was a member of this team before. Keys that they had stay revoked.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = String, required = false, format = Uuid)]
    user_id: Option<Parsed<UserId>>,
    /// As what; not above yourself.
    #[schema(example = "builder")]
    role: RoleName,
    /// A program rather than a person: it has no address, belongs to this team alone, and administrators make its keys.
    #[serde(default)]
    #[schema(default = false)]
    service: bool,
}

fn user_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<UserName>, D::Error> {
    parsed(deserializer, UserName::parse).map(Some)
}

fn email<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Email>, D::Error> {
    parsed(deserializer, Email::parse).map(Some)
}

impl AddMember {
    fn into_new(self) -> Result<NewMember, ApiError> {
        let Self { name, email, user_id, role: Name(role), service } = self;
        let who = match (service, name, email, user_id) {
            (true, Some(name), None, None) => Newcomer::Service(name),
            (true, ..) => {
                return Err(ApiError::invalid(
                    "a service user has a `name`, and neither `email` nor `user_id`",
                ));
            }
            (false, None, None, Some(Parsed(user))) => Newcomer::Former(user),
            (false, Some(name), Some(email), None) => Newcomer::Person(email, name),
            (false, None, Some(_), None) => {
                return Err(ApiError::invalid(
                    "`name` is required with `email`; somebody who is known keeps theirs",
                ));
            }
            (false, _, _, Some(_)) => {
                return Err(ApiError::invalid(
                    "`user_id` names somebody who is known; leave out `name` and `email`",
                ));
            }
            (false, _, None, None) => {
                return Err(ApiError::invalid(
                    "say who: a person by `email`, a service user by `service` and `name`, or a former member by `user_id`",
                ));
            }
        };
        Ok(NewMember { who, role })
    }
}

/// Add a member to your team
///
/// They have no API key yet: send a person a key link, or make a key for a service user. Needs the role administrator,
/// and gives no role above your own; nor does it bring back somebody whose role was. A dry run with an `email` answers as
/// for somebody new, with a nil `id`.
#[utoipa::path(post, path = "/v2/teams/{teamId}/members", operation_id = "addMember", tag = "Members",
    params(("teamId" = String, Path, description = "The team of your API key", format = Uuid)),
    request_body = AddMember,
    responses((status = 201, description = "Added", body = MemberAnswer,
        headers(("etag" = String, description = "The member's state"))), Refused, Absent, ChangeRefused, BodyRefused))]
async fn add_member(
    State(app): State<Arc<App>>,
    act: Act,
    Json(new): Json<AddMember>,
) -> Result<Response, ApiError> {
    let new = new.into_new()?;
    let plan = || app.add_member(&act.ask, &new);
    act.retrying(&app, plan, |member| match &new.who {
        Newcomer::Person(email, name) if act.dry_run => stranger(email, name, member),
        _ => answer(StatusCode::CREATED, member),
    })
    .await
}

/// What is answered of a person who is not added: as if nobody knew them.
/// Otherwise anybody's administrator could try, without a trace, who has which address.
fn stranger(email: &Email, name: &UserName, member: &ProvenMember) -> Answer {
    let (id, name, email) = (Uuid::nil().to_string(), name.to_string(), Some(email.as_str().into()));
    let shown = Member { id, name, email, ..Member::from(member) };
    Answer::new(StatusCode::CREATED, &MemberAnswer { member: shown }).tagged(member.membership.mac())
}

/// What is to become of a member.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"role": "manager"}))]
struct UpdateMember {
    /// As what; not above yourself.
    role: RoleName,
}

/// Change a member's role
///
/// Their keys are worth no more than their new role from then on; key links that they made are withdrawn. Needs the role
/// administrator, or lowers your own. Reaches nobody above yourself, and leaves the team an owner.
#[utoipa::path(patch, path = "/v2/teams/{teamId}/members/{userId}", operation_id = "updateMember", tag = "Members",
    params(("teamId" = String, Path, description = "The team of your API key", format = Uuid),
        ("userId" = String, Path, description = "The member", format = Uuid)),
    request_body = UpdateMember,
    responses((status = 200, description = "The member as they are now", body = MemberAnswer,
        headers(("etag" = String, description = "The member's state"))), Refused, Absent, ChangeRefused, BodyRefused))]
async fn update_member(
    State(app): State<Arc<App>>,
    act: Act,
    OnPath(user): OnPath<UserId>,
    Json(UpdateMember { role: Name(role) }): Json<UpdateMember>,
) -> Result<Response, ApiError> {
    let plan = || app.update_member(&act.ask, user, role);
    act.retrying(&app, plan, |member| answer(StatusCode::OK, member)).await
}

/// Remove a member, or leave
///
/// Their keys in this team are revoked for good, and key links for them and by them withdrawn, at once. Their personal
/// secrets are purged after the retention time, unless they are added again before. Needs the role administrator, but
/// for leaving oneself. Reaches nobody above yourself, and leaves the team an owner.
#[utoipa::path(delete, path = "/v2/teams/{teamId}/members/{userId}", operation_id = "removeMember", tag = "Members",
    params(("teamId" = String, Path, description = "The team of your API key", format = Uuid),
        ("userId" = String, Path, description = "The member", format = Uuid)),
    responses((status = 200, description = "Removed", body = Success), Refused, Absent, ChangeRefused))]
async fn remove_member(
    State(app): State<Arc<App>>,
    act: Act,
    OnPath(user): OnPath<UserId>,
) -> Result<Response, ApiError> {
    act.retrying(&app, || app.remove_member(&act.ask, user), |()| Success::answer()).await
}
