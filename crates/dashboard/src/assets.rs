//! What all pages need beside themselves.

use axum::Router;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// What is sent for one path.
#[derive(Clone)]
pub(crate) struct Page {
    kind: &'static str,
    content: Bytes,
}

impl Page {
    pub(crate) fn new(kind: &'static str, content: impl Into<Bytes>) -> Self {
        Self { kind, content: content.into() }
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        ([(CONTENT_TYPE, self.kind)], self.content).into_response()
    }
}

pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/assets/style.css", get(style))
        .route("/assets/desk.js", get(script))
        .route("/assets/mark.svg", get(mark))
}

async fn style() -> Page {
    Page::new("text/css; charset=utf-8", &include_bytes!("../assets/style.css")[..])
}

async fn script() -> Page {
    Page::new("text/javascript; charset=utf-8", &include_bytes!("../assets/desk.js")[..])
}

async fn mark() -> Page {
    Page::new("image/svg+xml", &include_bytes!("../assets/mark.svg")[..])
}
