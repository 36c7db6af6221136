//! The documentation: every guide, and each operation of the API as its own
//! description tells it.

mod guides;
mod index;
pub(crate) mod markdown;
mod reference;
mod schema;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use std::collections::HashMap;
use std::iter;
use std::sync::Arc;
use strongroom_net::Address;
use tokio::sync::OnceCell;

use self::guides::GUIDES;
use self::reference::Reference;
use crate::assets::Page;
use crate::layout::Frame;

const HTML: &str = "text/html; charset=utf-8";
const MARKDOWN: &str = "text/markdown; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";

/// The documentation's pages.
pub(crate) struct Docs {
    /// The API's description, as JSON (OpenAPI 3.1).
    description: fn() -> &'static str,
    /// Where clients find the server, if that is known.
    public_url: String,
    /// What stands before each path.
    base: String,
    /// Made when the first is asked for: most servers are never asked.
    made: OnceCell<Made>,
}

/// All pages.
struct Made {
    by_path: HashMap<String, Page>,
    /// The one for what isn't there.
    missing: Page,
}

impl Docs {
    /// Those of the API that this describes, at this address.
    pub(crate) fn new(description: fn() -> &'static str, address: &Address) -> Self {
        let (public_url, base) = (address.named().unwrap_or_default(), address.base().to_owned());
        Self { description, base, public_url, made: OnceCell::new() }
    }

    /// What serves them: under `/docs`, and at `/llms.txt`.
    pub(crate) fn routes<S: Clone + Send + Sync + 'static>(self) -> Router<S> {
        Router::new()
            .route("/docs", get(index))
            .route("/docs/", get(to_docs))
            .route("/docs/{*page}", get(page))
            .route("/llms.txt", get(llms))
            .with_state(Arc::new(self))
    }

    /// Makes all of them, which takes a while.
    fn make(&self) -> Made {
        let reference = Reference::read((self.description)());
        let groups = reference.groups().iter().map(|group| (group.path(), group.name.clone()));
        let guides = GUIDES.iter().map(|guide| (guide.path(), guide.title().to_owned()));
        let frame = Frame::new(&self.base, vec![("Guides", guides.collect()), ("API", groups.collect())]);
        let guides = GUIDES.iter().map(|guide| {
            (guide.path(), frame.page(&guide.path(), guide.title(), &frame.rendered(guide.text)))
        });
        let html = iter::once(index::page(&frame, &reference))
            .chain(guides)
            .chain(reference.pages(&frame))
            .map(|(path, html)| (path, Page::new(HTML, html.into_string())));
        let markdown = guides::pages(&self.base).map(|(path, text)| (path, Page::new(MARKDOWN, text)));
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

async fn to_docs(State(pages): State<Arc<Docs>>) -> Redirect {
    Redirect::to(&format!("{}/docs", pages.base))
}

async fn index(State(pages): State<Arc<Docs>>) -> Response {
    pages.at("/docs").await
}

async fn page(State(pages): State<Arc<Docs>>, path: Result<Path<String>, PathRejection>) -> Response {
    // What isn't text names no page.
    let page = path.map(|Path(page)| page).unwrap_or_default();
    pages.at(&format!("/docs/{page}")).await
}

async fn llms(State(pages): State<Arc<Docs>>) -> Response {
    pages.at("/llms.txt").await
}
