//! What went on in a team, day by day.

use strongroom_core::app::{Activity, Ask};
use strongroom_core::{Role, Timestamp};

use crate::instance::Instance;
use crate::support::at_once;

const DAY: i64 = 24 * 60 * 60 * 1_000;

fn day(moment: Timestamp) -> i64 {
    moment.as_millis() / DAY
}

impl Instance {
    fn activity_of(&self, by: &Ask) -> Activity {
        at_once(self.app.activity(by, 14)).unwrap()
    }
}

#[test]
fn runs_and_deliveries_are_counted_by_day() {
    let instance = Instance::new();
    let place = instance.agent();
    let secret = instance.secret(&instance.owner, true, &[("A", "1")]);
    instance.attach(&instance.owner, place, secret).unwrap();
    let first = day(instance.now());
    instance.started(&instance.owner, place);
    instance.clock.pass(2 * DAY);
    let (_, token) = instance.started(&instance.owner, place);
    let (_, again) = instance.started(&instance.owner, place);
    for token in [&token, &token, &again] {
        instance.received(&instance.by_run(token).unwrap()).unwrap();
    }
    let seen = instance.activity_of(&instance.owner);
    assert_eq!(seen.by_day.runs, [(first, 1), (first + 2, 2)]);
    assert_eq!(seen.by_day.deliveries, [(first + 2, 2)], "a version to each run once");
    assert_eq!((seen.first_day, seen.deliveries_seen), (first + 2 - 13, true));
    // Who may not see what others received is told nothing of it.
    let member = instance.activity_of(&instance.colleague(Role::Builder));
    assert_eq!((member.by_day.deliveries.len(), member.deliveries_seen), (0, false));
    assert_eq!(member.by_day.runs.len(), 2);
    // After two weeks it isn't shown any more.
    instance.clock.pass(12 * DAY);
    assert_eq!(instance.activity_of(&instance.owner).by_day.runs, [(first + 2, 2)]);
}

#[test]
fn what_has_not_changed_for_long_is_stale() {
    let instance = Instance::new();
    let old = instance.secret(&instance.owner, true, &[("A", "1")]);
    let elsewhere = instance.other_team();
    instance.clock.pass(91 * DAY);
    instance.secret(&instance.owner, true, &[("A", "1")]);
    let stale = instance.activity_of(&instance.owner).stale;
    assert_eq!(stale.iter().map(|secret| secret.id).collect::<Vec<_>>(), [old]);
    assert!(instance.activity_of(&elsewhere).stale.is_empty(), "another team's");
}
