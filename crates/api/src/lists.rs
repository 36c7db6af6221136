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

    /// An empty list of any length, when its turn has come.
    pub(crate) async fn begin(&self) -> List {
        // The semaphore is never closed; without a permit a list goes ahead all the same.
        List { items: Vec::new(), _turn: Arc::clone(&self.0).acquire_owned().await.ok() }
    }
}

/// A list that is being put together. One whose length is bounded needs no turn.
#[derive(Default)]
pub(crate) struct List {
    /// JSON, with commas in between.
    items: Vec<u8>,
    _turn: Option<OwnedSemaphorePermit>,
}

impl List {
    /// Adds a page, then lets others have the thread.
    pub(crate) async fn extend<T: Serialize>(&mut self, page: impl Iterator<Item = T>) {
        for item in page {
            if !self.items.is_empty() {
                self.items.push(b',');
            }
            // Writing plain structs to memory doesn't fail.
            let _ = serde_json::to_writer(&mut self.items, &item);
        }
        tokio::task::yield_now().await;
    }
}

impl IntoResponse for List {
    fn into_response(mut self) -> Response {
        self.items.insert(0, b'[');
        self.items.push(b']');
        ([(CONTENT_TYPE, "application/json")], self.items).into_response()
    }
}
