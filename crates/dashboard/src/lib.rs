//! The pages for people, rendered here and whole without a script. So far they
//! are the documentation: every guide, and each operation of the API as its own
//! description tells it.

mod guides;
mod headers;
mod index;
mod layout;
mod markdown;
mod reference;
mod schema;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use crate::reference::Reference;

const HTML: &str = "text/html; charset=utf-8";
const MARKDOWN: &str = "text/markdown; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";

/// The pages.
pub struct Pages {
    /// The API's description, as JSON (OpenAPI 3.1).
    description: fn() -> &'static str,
    /// Where clients find the server, if that is known.
    public_url: Option<String>,
    /// Every page by its path, made when the first is asked for: most servers
    /// are never asked.
    made: OnceLock<HashMap<String, Page>>,
}

/// What is sent for one path.
#[derive(Clone)]
struct Page {
    kind: &'static str,
    content: Bytes,
}

impl Page {
    fn new(kind: &'static str, content: impl Into<Bytes>) -> Self {
        Self { kind, content: content.into() }
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        ([(CONTENT_TYPE, self.kind)], self.content).into_response()
    }
}

impl Pages {
    /// Those of the API that this describes, at this URL.
    pub fn new(description: fn() -> &'static str, public_url: Option<String>) -> Self {
        Self { description, public_url, made: OnceLock::new() }
    }

    /// What serves them: under `/docs`, to which `/` leads, under `/assets`, and at
    /// `/llms.txt`.
    pub fn routes<S: Clone + Send + Sync + 'static>(self) -> Router<S> {
        Router::new()
            .route("/", get(to_docs))
            .route("/docs", get(index))
            .route("/docs/", get(to_docs))
            .route("/docs/{*page}", get(page))
            .route("/llms.txt", get(llms))
            .route("/assets/style.css", get(style))
            .route("/assets/mark.svg", get(mark))
            .layer(axum::middleware::map_response(headers::add))
            .with_state(Arc::new(self))
    }

    fn made(&self) -> &HashMap<String, Page> {
        self.made.get_or_init(|| {
            let reference = Reference::read((self.description)());
            let mut pages: HashMap<_, _> =
                guides::pages().map(|(path, text)| (path, Page::new(MARKDOWN, text))).collect();
            let base = self.public_url.as_deref().unwrap_or("");
            pages.insert("/llms.txt".to_owned(), Page::new(PLAIN, index::llms(base, &reference)));
            let frame = layout::Frame::new(&reference);
            let html = index::pages(&frame, &reference)
                .chain(guides::rendered(&frame))
                .chain(reference.pages(&frame));
            pages.extend(html.map(|(path, html)| (path, Page::new(HTML, html.into_string()))));
            pages
        })
    }

    fn at(&self, path: &str) -> Response {
        let made = self.made();
        match (made.get(path), made.get(index::MISSING)) {
            (Some(page), _) if path != index::MISSING => page.clone().into_response(),
            (_, Some(page)) => (StatusCode::NOT_FOUND, page.clone()).into_response(),
            (_, None) => StatusCode::NOT_FOUND.into_response(),
        }
    }
}

async fn to_docs() -> Redirect {
    Redirect::to("/docs")
}

async fn index(State(pages): State<Arc<Pages>>) -> Response {
    pages.at("/docs")
}

async fn page(State(pages): State<Arc<Pages>>, Path(page): Path<String>) -> Response {
    pages.at(&format!("/docs/{page}"))
}

async fn llms(State(pages): State<Arc<Pages>>) -> Response {
    pages.at("/llms.txt")
}

async fn style() -> Page {
    Page::new("text/css; charset=utf-8", &include_bytes!("../assets/style.css")[..])
}

async fn mark() -> Page {
    Page::new("image/svg+xml", &include_bytes!("../assets/mark.svg")[..])
}
