//! What went on in a team, day by day.

use super::{App, Ask, Error};
use crate::access::{Action, Ownership};
use crate::clock::Timestamp;
use crate::health::{SecretHint, of_secret};
use crate::rows::Proven;
use crate::secrets::{Filter, Secret};
use crate::store::{ByDay, Days};

/// Milliseconds in a day.
const DAY: i64 = 24 * 60 * 60 * 1_000;
/// The most runs that are looked at, the newest: what is told doesn't take longer in a
/// team that starts more.
const RUNS: u32 = 2_000;
/// How many secrets are looked at for stale ones, the oldest.
const SECRETS: u32 = 100;

/// What went on in a team.
pub struct Activity {
    /// The first day's number from 1970 in UTC.
    pub first_day: i64,
    /// What there was on each day, of the newest 2,000 runs.
    pub by_day: ByDay,
    /// Whether there were more runs than are told of.
    pub is_cut: bool,
    /// Whether the caller may see what was delivered.
    pub deliveries_seen: bool,
    /// How often somebody was refused something on each day; `None` when the caller may
    /// not see that.
    pub refusals: Option<Days>,
    /// Of the caller's 100 oldest secrets, those that haven't changed for long, the
    /// oldest first.
    pub stale: Vec<Proven<Secret>>,
}

impl App {
    /// What went on in the caller's team on the last `days` days, today among them.
    ///
    /// # Errors
    /// When the caller may not see runs or secrets.
    pub async fn activity(&self, ask: &Ask, days: u16) -> Result<Activity, Error> {
        let _permit = ask.permit(Action::ListRuns, Ownership::Shared)?;
        let deliveries_seen = ask.permit(Action::ListDeliveries, Ownership::Shared).is_ok();
        let first_day = self.world.clock.now().as_millis() / DAY + 1 - i64::from(days);
        let since = Timestamp::from_millis(first_day * DAY);
        let team = ask.caller.team_id;
        let mut by_day = self.store.runs_by_day(team, since, RUNS).await?;
        let is_cut = by_day.runs.iter().map(|(_, runs)| runs).sum::<u64>() >= u64::from(RUNS);
        if !deliveries_seen {
            by_day.deliveries.clear();
        }
        let refusals = match ask.permit(Action::ListEvents, Ownership::Shared) {
            Ok(_permit) => Some(self.store.refusals_by_day(team, since, RUNS).await?),
            Err(_) => None,
        };
        Ok(Activity {
            first_day,
            by_day,
            is_cut,
            deliveries_seen,
            refusals,
            stale: self.stale_secrets(ask).await?,
        })
    }

    async fn stale_secrets(&self, ask: &Ask) -> Result<Vec<Proven<Secret>>, Error> {
        let now = self.world.clock.now();
        let mut oldest = self.secrets_after(ask, None, &Filter::default(), SECRETS).await?.secrets;
        oldest.retain(|secret| of_secret(secret, true, now).contains(&SecretHint::Stale));
        Ok(oldest)
    }
}
