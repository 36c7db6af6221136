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
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use std::collections::HashMap;
use std::iter;
use std::sync::Arc;
use tokio::sync::OnceCell;

use crate::guides::GUIDES;
use crate::layout::Frame;
use crate::reference::Reference;

const HTML: &str = "text/html; charset=utf-8";
const MARKDOWN: &str = "text/markdown; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";

/// The pages.
pub struct Pages {
    /// The API's description, as JSON (OpenAPI 3.1).
    description: fn() -> &'static str,
    /// Where clients find the server, if that is known.
    public_url: String,
    /// Made when the first is asked for: most servers are never asked.
    made: OnceCell<Made>,
}

/// All pages.
struct Made {
    by_path: HashMap<String, Page>,
    /// The one for what isn't there.
    missing: Page,
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
        Self { description, public_url: public_url.unwrap_or_default(), made: OnceCell::new() }
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

    /// What stands before each path: clients may find the server under one.
    fn base(&self) -> &str {
        let behind_host =
            self.public_url.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..]));
        behind_host.unwrap_or_default().trim_end_matches('/')
    }

    /// Makes all of them, which takes a while.
    fn make(&self) -> Made {
        let reference = Reference::read((self.description)());
        let groups = reference.groups().iter().map(|group| (group.path(), group.name.clone()));
        let guides = GUIDES.iter().map(|guide| (guide.path(), guide.title().to_owned()));
        let frame = Frame::new(self.base(), vec![("Guides", guides.collect()), ("API", groups.collect())]);
        let guides = GUIDES.iter().map(|guide| {
            (guide.path(), frame.page(&guide.path(), guide.title(), &frame.rendered(guide.text)))
        });
        let html = iter::once(index::page(&frame, &reference))
            .chain(guides)
            .chain(reference.pages(&frame))
            .map(|(path, html)| (path, Page::new(HTML, html.into_string())));
        let markdown = guides::pages(self.base()).map(|(path, text)| (path, Page::new(MARKDOWN, text)));
        let llms = Page::new(PLAIN, index::llms(self.public_url.trim_end_matches('/'), &reference));
        let by_path = html.chain(markdown).chain([("/llms.txt".to_owned(), llms)]).collect();
        Made { by_path, missing: Page::new(HTML, index::missing(&frame).into_string()) }
    }

    /// The page at this path, or the one for what isn't there.
    async fn at(self: Arc<Self>, path: &str) -> Response {
        let begin = || {
            let pages = Arc::clone(&self);
            tokio::task::spawn_blocking(move || pages.make())
        };
        match self.made.get_or_try_init(begin).await {
            Ok(made) => match made.by_path.get(path) {
                Some(page) => page.clone().into_response(),
                None => (StatusCode::NOT_FOUND, made.missing.clone()).into_response(),
            },
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}

async fn to_docs(State(pages): State<Arc<Pages>>) -> Redirect {
    Redirect::to(&format!("{}/docs", pages.base()))
}

async fn index(State(pages): State<Arc<Pages>>) -> Response {
    pages.at("/docs").await
}

async fn page(State(pages): State<Arc<Pages>>, path: Result<Path<String>, PathRejection>) -> Response {
    // What isn't text names no page.
    let page = path.map(|Path(page)| page).unwrap_or_default();
    pages.at(&format!("/docs/{page}")).await
}

async fn llms(State(pages): State<Arc<Pages>>) -> Response {
    pages.at("/llms.txt").await
}

async fn style() -> Page {
    Page::new("text/css; charset=utf-8", &include_bytes!("../assets/style.css")[..])
}

async fn mark() -> Page {
    Page::new("image/svg+xml", &include_bytes!("../assets/mark.svg")[..])
}
