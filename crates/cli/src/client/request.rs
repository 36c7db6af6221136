//! One request of the API, before it is sent.

use reqwest::Method;
use serde::Serialize;
use strongroom_core::{OsRandom, random};
use uuid::Uuid;

use crate::cli::client::Write;
use crate::failure::Failure;

/// A request. Changes carry an idempotency key, so that sending one again
/// can't make it twice.
#[derive(Clone)]
pub(crate) struct Request {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) body: Option<Vec<u8>>,
    pub(super) idempotency_key: Option<String>,
    pub(super) if_match: Option<String>,
    pub(super) harmless: bool,
}

impl Request {
    /// Looks at something.
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            query: Vec::new(),
            body: None,
            idempotency_key: None,
            if_match: None,
            harmless: false,
        }
    }

    /// Creates or does something.
    pub(crate) fn post(path: impl Into<String>) -> Self {
        Self::change(Method::POST, path)
    }

    /// Changes something.
    pub(crate) fn patch(path: impl Into<String>) -> Self {
        Self::change(Method::PATCH, path)
    }

    /// Puts something in the place of what is there.
    pub(crate) fn put(path: impl Into<String>) -> Self {
        Self::change(Method::PUT, path)
    }

    /// Deletes something.
    pub(crate) fn delete(path: impl Into<String>) -> Self {
        Self::change(Method::DELETE, path)
    }

    fn change(method: Method, path: impl Into<String>) -> Self {
        let key = Uuid::from_bytes(random::bytes(&OsRandom));
        Self { method, idempotency_key: Some(key.to_string()), ..Self::get(path) }
    }

    /// With a body of JSON.
    ///
    /// # Errors
    /// Never in practice: bodies are made of texts, numbers and lists.
    pub(crate) fn body(mut self, body: &impl Serialize) -> Result<Self, Failure> {
        self.body = Some(serde_json::to_vec(body)?);
        Ok(self)
    }

    /// With a parameter, if there is one to give.
    pub(crate) fn query(mut self, name: &'static str, value: Option<impl ToString>) -> Self {
        self.query.extend(value.map(|value| (name.to_owned(), value.to_string())));
        self
    }

    /// With these parameters and no others.
    pub(crate) fn queries(mut self, query: Vec<(String, String)>) -> Self {
        self.query = query;
        self
    }

    /// As the options for changes have it.
    pub(crate) fn write(mut self, write: &Write) -> Self {
        if let Some(key) = &write.idempotency_key {
            self.idempotency_key = Some(key.clone());
        }
        self.query("dry_run", write.dry_run.then_some(true))
    }

    /// Only while this version tag holds. Its quotes may be left out, as shells
    /// take them away.
    pub(crate) fn if_match(mut self, tag: Option<&String>) -> Self {
        let quoted = |tag: &String| {
            if tag.contains('"') || tag == "*" { tag.clone() } else { format!("\"{tag}\"") }
        };
        self.if_match = tag.map(quoted);
        self
    }

    /// Without an idempotency key: sent once, unless it surely didn't arrive.
    pub(crate) fn once(mut self) -> Self {
        self.idempotency_key = None;
        self
    }

    /// Without an idempotency key, and sent again all the same: done twice it
    /// does no harm.
    pub(crate) fn harmless(self) -> Self {
        Self { harmless: true, ..self.once() }
    }

    /// Whether it may be sent again after its answer was lost.
    pub(super) fn repeatable(&self) -> bool {
        self.method == Method::GET || self.harmless || self.idempotency_key.is_some()
    }
}
