//! Who one is: the first thing that a new key is tried on, so it needs no scope.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use std::sync::Arc;
use strongroom_core::App;
use strongroom_core::text::Email;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::act::Act;
use crate::error::{ApiError, Refused};
use crate::shared::Shared;

/// The operations of this file.
pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(get_profile))
}

/// The answer about who one is.
#[derive(Serialize, ToSchema)]
struct ProfileAnswer {
    profile: Profile,
}

/// As whom an API key acts, and where.
#[derive(Serialize, ToSchema)]
struct Profile {
    /// Names the user.
    #[schema(format = Uuid, example = "019ab3c4-7c1e-7d55-8a3f-0d3b4f5a6c7d")]
    id: String,
    /// What the user is called.
    #[schema(example = "Ada Lovelace")]
    name: String,
    /// Where the user gets mail, if known. A service user has no address.
    #[schema(required, format = Email, example = "ada@example.com")]
    email: Option<String>,
    /// The team of the API key.
    #[serde(rename = "teamId")]
    #[schema(format = Uuid)]
    team_id: String,
}

/// See who you are
///
/// The user as whom your API key acts, and its team. Any valid key may ask: it needs no scope.
#[utoipa::path(get, path = "/v2/profile", operation_id = "getProfile", tag = "Profile",
    responses((status = 200, description = "Who you are", body = ProfileAnswer), Refused))]
async fn get_profile(State(app): State<Arc<App>>, act: Act) -> Result<Json<ProfileAnswer>, ApiError> {
    let user = app.profile(&act.ask).await?.user;
    let profile = Profile {
        id: user.id.to_string(),
        name: user.name.to_string(),
        email: user.email.as_ref().map(Email::as_str).map(Into::into),
        team_id: act.ask.caller.team_id.to_string(),
    };
    Ok(Json(ProfileAnswer { profile }))
}
