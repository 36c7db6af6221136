//! The description of the API, made from the operations themselves.

use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use std::sync::OnceLock;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, SecurityRequirement,
};

/// Everything in the description but the operations.
pub(crate) fn frame() -> OpenApi {
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("srk_…")
        .description(Some("An API key in the header `Authorization: Bearer <key>`."))
        .build();
    let link = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("srl_…")
        .description(Some("The token of a key link in the header `Authorization: Bearer <link>`."))
        .build();
    let license = LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build();
    let info = InfoBuilder::new()
        .title("Strongroom")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Secrets for AI agents. A secret is a named bundle of environment variables; on the wire it is called \
             a credential. Values go in and are never returned.",
        ))
        .license(Some(license))
        .build();
    OpenApiBuilder::new()
        .info(info)
        .components(Some(
            ComponentsBuilder::new()
                .security_scheme("bearerAuth", SecurityScheme::Http(bearer))
                .security_scheme("keyLink", SecurityScheme::Http(link))
                .build(),
        ))
        .security(Some([SecurityRequirement::new("bearerAuth", [] as [&str; 0])]))
        .build()
}

/// The whole description as JSON (OpenAPI 3.1), ending in a newline; the same
/// for every build of one version.
pub fn document() -> &'static str {
    static DOCUMENT: OnceLock<String> = OnceLock::new();
    DOCUMENT.get_or_init(|| {
        let (_, openapi) = crate::operations().split_for_parts();
        // Only maps with keys that aren't strings can't be written; there are none.
        let mut json = openapi.to_pretty_json().unwrap_or_default();
        json.push('\n');
        json
    })
}

/// `GET /openapi.json`
pub(crate) async fn serve() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], document())
}
