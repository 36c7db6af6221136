//! What a server does beside answering: it writes down when keys were used and
//! how often callers were refused, and takes away what was deleted long enough ago. Of several servers on one
//! database one takes away, and another when that one is gone.

use std::sync::Arc;
use std::time::Duration;
use strongroom_core::app::Purged;
use strongroom_core::{App, Timestamp};
use tokio::time::{Instant, MissedTickBehavior, interval};

/// Between two looks at what is to be done: another server is missed after no
/// more than a few of them.
const LOOK: Duration = Duration::from_secs(2);
/// Between two times that uses are written down.
const USES: Duration = Duration::from_mins(1);
/// Between two purges.
const PURGE: Duration = Duration::from_hours(1);
const DAY: i64 = 24 * 60 * 60 * 1_000;

/// Keeps house until it is dropped; what is deleted is kept for `retention_days`.
pub(crate) async fn keep(app: Arc<App>, retention_days: u32) {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut used, mut purged) = (Instant::now(), None::<Instant>);
    loop {
        looks.tick().await;
        write_refusals(&app, false).await;
        if used.elapsed() >= USES {
            write_uses(&app).await;
            used = Instant::now();
        }
        let due = purged.is_none_or(|purged| purged.elapsed() >= PURGE);
        if elected(&app).await && due {
            purge(&app, retention_days).await;
            purged = Some(Instant::now());
        }
    }
}

async fn elected(app: &App) -> bool {
    match app.store().elected().await {
        Ok(elected) => elected,
        Err(error) => {
            tracing::debug!(%error, "housekeeping.elected");
            false
        }
    }
}

/// Records how often refusals came again; with `all`, also of those that still count.
pub(crate) async fn write_refusals(app: &App, all: bool) {
    if let Err(error) = app.write_refusals(all).await {
        tracing::warn!(%error, "housekeeping.refusals");
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
