//! What operations share, whichever request they answer.

use axum::extract::FromRef;
use std::sync::Arc;
use strongroom_core::App;
use strongroom_net::Address;

use crate::lists::Lists;

/// What operations share. Each takes what it needs; a layer for each part would be
/// another hop of every request.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) app: Arc<App>,
    pub(crate) lists: Lists,
    /// Where clients find the server.
    pub(crate) address: Arc<Address>,
}

impl FromRef<Shared> for Arc<App> {
    fn from_ref(shared: &Shared) -> Self {
        Self::clone(&shared.app)
    }
}

impl FromRef<Shared> for Lists {
    fn from_ref(shared: &Shared) -> Self {
        shared.lists.clone()
    }
}
