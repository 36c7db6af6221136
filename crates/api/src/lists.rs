//! Answers that are bare arrays of any length. They are put together a page at
//! a time, with a pause for others in between, and only a few at once, so that
//! long ones take neither all the threads nor all the memory.

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Lists that are put together at the same time; more wait for their turn.
const AT_ONCE: usize = 4;

/// Gives out turns.
#[derive(Clone)]
pub(crate) struct Lists(Arc<Semaphore>);

impl Lists {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }

    /// An empty list, when its turn has come.
    pub(crate) async fn begin(&self) -> List {
        // The semaphore is never closed; without a permit a list goes ahead all the same.
        List { json: vec![b'['], _turn: Arc::clone(&self.0).acquire_owned().await.ok() }
    }
}

/// A list that is being put together.
pub(crate) struct List {
    json: Vec<u8>,
    _turn: Option<OwnedSemaphorePermit>,
}

impl List {
    /// Adds a page, then lets others have the thread.
    pub(crate) async fn extend<T: Serialize>(&mut self, page: impl Iterator<Item = T>) {
        for item in page {
            if self.json.len() > 1 {
                self.json.push(b',');
            }
            // Writing plain structs to memory doesn't fail.
            let _ = serde_json::to_writer(&mut self.json, &item);
        }
        tokio::task::yield_now().await;
    }
}

impl IntoResponse for List {
    fn into_response(mut self) -> Response {
        self.json.push(b']');
        ([(CONTENT_TYPE, "application/json")], self.json).into_response()
    }
}
