//! What the pages of an instance share.

use axum::response::Redirect;
use std::sync::Arc;
use strongroom_core::App;
use strongroom_core::app::{self, Ask, Planned};
use strongroom_core::store::StoreError;
use strongroom_net::Address;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::Terms;
use crate::refusal::Refusal;

/// How many passwords are stretched at a time: each takes 19 MiB, and a
/// processor for as long.
const STRETCHED: usize = 2;
/// How many exports are sent at a time; more wait for their turn.
const EXPORTED: usize = 4;
/// How often a change is planned anew because its object changed meanwhile.
const ATTEMPTS: u32 = 8;

/// The instance, and where its pages are.
pub(crate) struct Desk {
    pub(crate) app: Arc<App>,
    pub(crate) address: Address,
    /// Whether cookies go by TLS alone.
    pub(crate) is_secure: bool,
    pub(crate) terms: Terms,
    stretching: Arc<Semaphore>,
    /// Turns for exports.
    pub(crate) exporting: Arc<Semaphore>,
}

impl Desk {
    pub(crate) fn new(app: Arc<App>, address: Address, terms: Terms) -> Self {
        let is_secure = address.is_secure();
        let [stretching, exporting] = [STRETCHED, EXPORTED].map(|turns| Arc::new(Semaphore::new(turns)));
        Self { app, address, is_secure, terms, stretching, exporting }
    }

    /// What a link to this path is.
    pub(crate) fn to(&self, path: &str) -> String {
        format!("{}{path}", self.address.base())
    }

    /// Leads to a page once something is done.
    pub(crate) fn go(&self, path: &str) -> Redirect {
        Redirect::to(&self.to(path))
    }

    /// Does what is planned; planned anew when somebody else was quicker.
    ///
    /// # Errors
    /// When it can't be done.
    pub(crate) async fn done<T, F>(&self, ask: &Ask, plan: impl Fn() -> F) -> Result<T, Refusal>
    where
        F: Future<Output = Result<Planned<T>, app::Error>>,
    {
        let mut attempts = 0;
        loop {
            attempts += 1;
            match self.app.carry_out(ask, plan().await?, None).await {
                Err(app::Error::Store(StoreError::Changed)) if attempts < ATTEMPTS => {}
                done => return Ok(done?),
            }
        }
    }

    /// Does what stretches a password, where it holds up nobody else.
    pub(crate) async fn stretching<T, F>(&self, work: F) -> Result<T, Refusal>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let turn = Arc::clone(&self.stretching).acquire_owned().await;
        let runtime = Handle::current();
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            runtime.block_on(work)
        });
        done.await.map_err(|_| Refusal::broken())
    }
}
