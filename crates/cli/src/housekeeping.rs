//! What a server does beside answering: it writes down when keys were used and
//! how often callers were refused, and takes away what was deleted long enough ago. Of several servers on one
//! database one takes away, and another when that one is gone.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use strongroom_core::app::{FollowError, Purged, Resealed};
use strongroom_core::keyring::Superseded;
use strongroom_core::{App, TeamId, Timestamp, with_causes};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

/// Between two looks at what is to be done: another server is missed after no
/// more than a few of them.
const LOOK: Duration = Duration::from_secs(2);
/// Between two times that uses are written down.
const USES: Duration = Duration::from_mins(1);
/// Between two purges.
const PURGE: Duration = Duration::from_hours(1);
/// Teams and their newest keys, and when nothing was found sealed under an older one.
type Clean = HashMap<(TeamId, u16), Instant>;

/// Until a team is looked at again in which nothing was sealed under an older key.
const RESEAL: Duration = Duration::from_hours(1);
/// After each batch that is sealed anew, so that others have their turn.
const TURN: Duration = Duration::from_millis(5);
const DAY: i64 = 24 * 60 * 60 * 1_000;

/// Follows what becomes of the instance's own keys, until those at hand are of no use any
/// more. By itself, as nothing else may keep it waiting: a new master key can be had for
/// some seconds only.
pub(crate) async fn follow(app: Arc<App>) -> Superseded {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // What was replaced when no server was there is to go, too.
    let (mut state, mut is_clean) = (None, false);
    loop {
        looks.tick().await;
        let followed = match app.follow_keys().await {
            Ok(followed) => followed,
            Err(FollowError::Superseded(superseded)) => return superseded,
            Err(FollowError::Store(error)) => {
                tracing::debug!(error = with_causes(&error), "housekeeping.keys");
                continue;
            }
        };
        if followed.has_old_ways
            && elected(&app).await
            && let Err(error) = app.close_ways().await
        {
            tracing::warn!(error = with_causes(&error), "housekeeping.keys");
        }
        is_clean &= state.replace(followed.state) == Some(followed.state);
        is_clean = is_clean || app.store().scrub().await.unwrap_or(false);
    }
}

/// Keeps house until `ending` resolves, and writes down what is still counted then; what is deleted
/// is kept for `retention_days`.
pub(crate) async fn keep(app: Arc<App>, retention_days: u32, ending: impl Future<Output = ()>) {
    let mut ending = pin!(ending);
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut used, mut purged, mut clean) = (Instant::now(), None::<Instant>, Clean::new());
    loop {
        tokio::select! {
            biased;
            () = ending.as_mut() => break,
            _ = looks.tick() => {}
        }
        write_refusals(&app, false).await;
        if used.elapsed() >= USES {
            write_uses(&app).await;
            used = Instant::now();
        }
        // Of this nothing is lost when it is cut short; the next server goes on with it.
        tokio::select! {
            biased;
            () = ending.as_mut() => break,
            () = tidy(&app, retention_days, (&mut purged, &mut clean)) => {}
        }
    }
    write_uses(&app).await;
    write_refusals(&app, true).await;
}

async fn tidy(app: &App, retention_days: u32, (purged, clean): (&mut Option<Instant>, &mut Clean)) {
    if !elected(app).await {
        return;
    }
    if purged.is_none_or(|purged| purged.elapsed() >= PURGE) {
        purge(app, retention_days).await;
        *purged = Some(Instant::now());
    }
    reseal(app, clean).await;
}

async fn elected(app: &App) -> bool {
    match app.store().elected().await {
        Ok(elected) => elected,
        Err(error) => {
            tracing::debug!(error = with_causes(&error), "housekeeping.elected");
            false
        }
    }
}

/// Records how often refusals came again; with `all`, also of those that still count.
async fn write_refusals(app: &App, all: bool) {
    if let Err(error) = app.write_refusals(all).await {
        tracing::warn!(error = with_causes(&error), "housekeeping.refusals");
    }
}

/// Writes down when keys were last used.
async fn write_uses(app: &App) {
    if let Err(error) = app.write_uses().await {
        tracing::warn!(error = with_causes(&error), "housekeeping.uses");
    }
}

async fn purge(app: &App, retention_days: u32) {
    let now = app.clock().now().as_millis();
    let before = Timestamp::from_millis(now.saturating_sub(i64::from(retention_days) * DAY));
    match app.purge(before).await {
        Ok(purged) if purged == Purged::default() => tracing::debug!("housekeeping.purged"),
        Ok(purged) => tracing::info!(secrets = purged.secrets, teams = purged.teams, "housekeeping.purged"),
        Err(error) => tracing::warn!(error = with_causes(&error), "housekeeping.purge"),
    }
}

/// Seals what older keys of teams sealed under the newest.
async fn reseal(app: &App, clean: &mut Clean) {
    let teams = match app.teams_to_reseal().await {
        Ok(teams) => teams,
        Err(error) => return tracing::warn!(error = with_causes(&error), "housekeeping.reseal"),
    };
    clean.retain(|team, seen| teams.contains(team) && seen.elapsed() < RESEAL);
    for of in teams {
        if clean.contains_key(&of) {
            continue;
        }
        let (team, _) = of;
        match app.reseal_team(team, || sleep(TURN)).await {
            Ok(Resealed { versions: 0, broken, retired }) => {
                tracing::debug!(%team, broken, retired, "housekeeping.resealed");
                clean.insert(of, Instant::now());
            }
            Ok(Resealed { versions, broken, .. }) => {
                tracing::info!(%team, versions, broken, "housekeeping.resealed");
            }
            Err(error) => {
                tracing::warn!(error = with_causes(&error), %team, "housekeeping.reseal");
                clean.insert(of, Instant::now());
            }
        }
    }
}
