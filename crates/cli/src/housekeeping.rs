//! What a server does beside answering: it writes down when keys were used,
//! and takes away what was deleted long enough ago.

use std::sync::Arc;
use std::time::Duration;
use strongroom_core::app::Purged;
use strongroom_core::{App, Timestamp};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// Between two looks at what is to be done.
const MINUTE: Duration = Duration::from_mins(1);
/// Minutes between two purges.
const PURGE_EACH: u32 = 60;
const DAY: i64 = 24 * 60 * 60 * 1_000;

/// Keeps house until it is dropped; what is deleted is kept for `retention_days`.
pub(crate) async fn keep(app: Arc<App>, retention_days: u32) {
    let mut minutes = interval_at(Instant::now() + MINUTE, MINUTE);
    minutes.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for minute in 0_u32.. {
        minutes.tick().await;
        write_uses(&app).await;
        if minute.is_multiple_of(PURGE_EACH) {
            purge(&app, retention_days).await;
        }
    }
}

/// Writes down when keys were last used.
pub(crate) async fn write_uses(app: &App) {
    if let Err(error) = app.write_uses().await {
        tracing::warn!(%error, "housekeeping.uses");
    }
}

async fn purge(app: &App, retention_days: u32) {
    let now = app.clock().now().as_millis();
    let before = Timestamp::from_millis(now.saturating_sub(i64::from(retention_days) * DAY));
    match app.purge(before).await {
        Ok(purged) if purged == Purged::default() => tracing::debug!("housekeeping.purged"),
        Ok(purged) => tracing::info!(secrets = purged.secrets, teams = purged.teams, "housekeeping.purged"),
        Err(error) => tracing::warn!(%error, "housekeeping.purge"),
    }
}
