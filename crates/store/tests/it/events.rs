//! The record read back: what a search finds, in which order, and where it goes
//! on when it has looked at enough.

use std::sync::Arc;
use strongroom_core::access::{Action, Denied};
use strongroom_core::audit::Gap;
use strongroom_core::events::{
    Actor, Event, EventFilter, EventKind, EventPage, Object, Place, Recorded, Refusal,
};
use strongroom_core::requests::Requested;
use strongroom_core::store::{EVENTS_LOOKED_AT, Write};
use strongroom_core::{AgentId, ApiKeyId, RevisionId, RunId, SessionId, StoreError, TeamId, UserId};
use strongroom_testbed::Engine;
use uuid::Uuid;

use crate::support::{Instance, NOW, at, system_event};

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// An event in which every id is another.
fn full(team: TeamId, number: u128) -> Event {
    let base = number * 100;
    Event {
        at: at(NOW + i64::try_from(number).unwrap()),
        kind: EventKind::RunStarted,
        team_id: Some(team),
        actor: Actor {
            user_id: Some(UserId::from_uuid(id(base + 1))),
            key_id: Some(ApiKeyId::from_uuid(id(base + 2))),
            run_id: Some(RunId::from_uuid(id(base + 3))),
            session_id: Some(SessionId::from_uuid(id(base + 4))),
        },
        place: Place {
            agent_id: Some(AgentId::from_uuid(id(base + 5))),
            revision_id: Some(RevisionId::from_uuid(id(base + 6))),
        },
        object: Object { table: "runs", id: Some(id(base + 7)), version: Some(9), mac: None },
        request_id: Some(id(base + 8)),
        refusal: None,
        requested: None,
    }
}

/// An instance in which these events were recorded after its own.
async fn recorded(events: impl Fn(TeamId) -> Vec<Event>) -> Instance {
    let instance = Instance::new().await;
    for event in events(instance.team) {
        instance.database.record(event).await.unwrap();
    }
    instance
}

async fn page(instance: &Instance, filter: &EventFilter, before: Option<i64>, limit: u32) -> EventPage {
    instance.database.events(instance.team, filter, before, limit).await.unwrap()
}

async fn all(instance: &Instance, filter: &EventFilter) -> Vec<Recorded> {
    page(instance, filter, None, 100).await.events
}

#[tokio::test]
async fn an_event_is_read_as_it_was_written() {
    let instance = recorded(|team| vec![full(team, 1)]).await;
    let (event, read) = (full(instance.team, 1), all(&instance, &EventFilter::default()).await.remove(0));
    assert_eq!((read.at, &*read.kind, read.known_kind()), (event.at, "run.started", Some(event.kind)));
    assert_eq!((read.team_id, read.actor, read.place), (event.team_id, event.actor, event.place));
    assert_eq!((&*read.table, read.object_id, read.version), ("runs", event.object.id, Some(9)));
    assert_eq!((read.request_id, read.refusal, read.times), (event.request_id, None, 1));
}

/// A request of a run through the broker.
fn requested(team: TeamId, run: u128, number: u16) -> Event {
    let asked = Requested {
        rule: Some(number),
        scheme: "https".into(),
        host: "api.example.com".into(),
        port: 443,
        method: "GET".into(),
        path: "/\"é\\/\0".into(),
        status: None,
        sent: u64::MAX,
        received: 0,
        millis: 7,
        refused: Some("no_rule".into()),
        ended: true,
    };
    let event = full(team, number.into());
    let actor = Actor { run_id: Some(RunId::from_uuid(id(run))), ..event.actor };
    Event { kind: EventKind::RunRequested, actor, requested: Some(asked.text()), ..event }
}

fn rules(page: &EventPage) -> Vec<u16> {
    page.events.iter().map(|event| event.requested.as_ref().unwrap().read().rule.unwrap()).collect()
}

#[tokio::test]
async fn a_run_s_requests_are_read_page_by_page_and_no_other_s() {
    let instance = Instance::new().await;
    let (database, team, run) = (&instance.database, instance.team, RunId::from_uuid(id(1)));
    let other = TeamId::from_uuid(id(5));
    let mut events: Vec<_> = (0..150).map(|number| requested(team, u128::from(number % 2), number)).collect();
    events.extend([requested(other, 1, 500), full(team, 3)]);
    let first = events[1].requested.clone();
    database.record_all(events.into()).await.unwrap();
    let newest = database.run_requests(team, run, None, 70).await.unwrap();
    assert_eq!(rules(&newest), (10..150).rev().filter(|number| number % 2 == 1).collect::<Vec<_>>());
    assert_eq!(newest.next, newest.events.last().map(|event| event.sequence));
    let oldest = database.run_requests(team, run, newest.next, 5).await.unwrap();
    assert_eq!((rules(&oldest), oldest.next), (vec![9, 7, 5, 3, 1], None));
    assert_eq!(oldest.events.last().unwrap().requested, first);
    assert_eq!(database.run_requests(other, run, None, 9).await.unwrap().events.len(), 1);
}

#[tokio::test]
async fn many_events_are_recorded_in_their_order_and_quickly() {
    let instance = Instance::new().await;
    let events = |from: u16, many: u16| (from..from + many).map(|n| requested(instance.team, 1, n)).collect();
    instance.database.record_all(events(0, 200)).await.unwrap();
    let begun = std::time::Instant::now();
    instance.database.record_all(events(200, 1_500)).await.unwrap();
    // Each engine takes less than 100 ms, unoptimised; a machine that does much else beside may need longer.
    assert!(begun.elapsed().as_secs() < 3, "{:?}", begun.elapsed());
    let run = RunId::from_uuid(id(1));
    let all = instance.database.run_requests(instance.team, run, None, 2_000).await.unwrap();
    assert_eq!(rules(&all), (0..1_700).rev().collect::<Vec<_>>());
    assert_eq!(instance.database.record_all(Arc::new([])).await.unwrap(), None);
}

/// Each of them has a place of its own in every index, so that most pages are written to: a part of a transaction
/// that large once failed on SQLite.
#[tokio::test]
async fn requests_of_many_runs_are_recorded_together() {
    let instance = Instance::new().await;
    let run = |number: u16| u128::from(number) * 7_919 % 64 + 1;
    for _ in 0..12 {
        let events = (0..4_096).map(|number| requested(instance.team, run(number), number)).collect();
        instance.database.record_all(events).await.unwrap();
    }
    let one = RunId::from_uuid(id(run(5)));
    let page = instance.database.run_requests(instance.team, one, None, 1_000).await.unwrap();
    let of_it = (0..4_096).rev().filter(|number| run(*number) == run(5)).collect::<Vec<_>>();
    assert_eq!(rules(&page), of_it.repeat(12));
}

#[tokio::test]
async fn who_recorded_events_is_told_their_places_where_nobody_else_has_any_between() {
    let instance = Instance::new().await;
    for number in 0..9_u16 {
        let count = 70 * number + 1;
        let events: Vec<_> = (0..count).map(|_| requested(instance.team, 1, number)).collect();
        let first = instance.database.record_all(events.clone().into()).await.unwrap();
        instance.database.record(full(instance.team, 3)).await.unwrap();
        if Engine::under_test() == Engine::Postgres {
            assert_eq!(first, None);
            continue;
        }
        let (first, last) = (first.unwrap(), first.unwrap() + i64::from(count) - 1);
        let read = instance.database.recorded(Gap { first, last }, None, u32::MAX).await.unwrap();
        let told = (first..).zip(&events).map(|(sequence, event)| Recorded::of(sequence, event));
        assert_eq!(read, told.collect::<Vec<_>>());
        let around = Gap { first: first - 1, last: last + 1 };
        let around = instance.database.recorded(around, None, u32::MAX).await.unwrap();
        let others = around.iter().filter(|event| event.kind != "run.requested").count();
        assert_eq!((around.len(), others), (usize::from(count) + 2, 2));
    }
}

#[tokio::test]
async fn a_row_of_the_record_is_the_event_that_was_stored() {
    let instance = Instance::new().await;
    let refused =
        |times| Refusal { action: Some(Action::DeleteSecret), reason: Some(Denied::TeamDeleted), times };
    let events = [
        full(instance.team, 1),
        requested(instance.team, 7, 2),
        Event { refusal: Some(refused(1)), ..full(instance.team, 3) },
        Event { refusal: Some(refused(7)), ..full(instance.team, 4) },
        system_event(EventKind::SecretCreated),
    ];
    for event in events {
        instance.database.record(event.clone()).await.unwrap();
        let all = Gap { first: 1, last: i64::MAX };
        let read = instance.database.recorded(all, None, u32::MAX).await.unwrap().pop().unwrap();
        assert_eq!(read, Recorded::of(read.sequence, &event));
    }
}

#[tokio::test]
async fn events_that_are_alike_keep_what_is_each_one_s_own() {
    let instance = Instance::new().await;
    let of_one = requested(instance.team, 1, 0);
    let event = |number: u16| {
        let apart = requested(instance.team, 1, number);
        // In one of the groups that are stored together, one is of another version.
        let version = if number == 100 { Some(8) } else { Some(9) };
        let object = Object { version, ..of_one.object };
        Event {
            at: apart.at,
            request_id: apart.request_id,
            requested: apart.requested,
            object,
            ..of_one.clone()
        }
    };
    instance.database.record_all((0..150).map(event).collect()).await.unwrap();
    let read =
        instance.database.run_requests(instance.team, RunId::from_uuid(id(1)), None, 200).await.unwrap();
    assert_eq!(read.events.len(), 150);
    for (number, read) in (0..).zip(read.events.iter().rev()) {
        let event = event(number);
        assert_eq!(
            (read.at, read.request_id, &read.requested),
            (event.at, event.request_id, &event.requested)
        );
        assert_eq!((read.team_id, read.actor, read.place), (event.team_id, event.actor, event.place));
        assert_eq!((&*read.kind, read.known_kind()), ("run.requested", Some(event.kind)));
        let object = (&*read.table, read.object_id, read.version);
        assert_eq!(object, (event.object.table, event.object.id, event.object.version), "{number}");
        assert_eq!((&read.object_mac, &read.refusal, read.times), (&None, &None, 1));
    }
}

#[tokio::test]
async fn what_is_no_request_can_not_be_read_as_one() {
    let instance = recorded(|team| vec![requested(team, 1, 1)]).await;
    let run = RunId::from_uuid(id(1));
    let alter = "UPDATE events SET requested = requested || '1' WHERE requested IS NOT NULL";
    instance.behind(|database| database.execute_batch(alter).unwrap());
    let read = instance.database.run_requests(instance.team, run, None, 9).await;
    assert!(matches!(read, Err(StoreError::Malformed("events"))), "{read:?}");
}

#[tokio::test]
async fn a_refusal_is_read_with_how_often_it_came() {
    let refused = |team, times| {
        let refusal =
            Refusal { action: Some(Action::DeleteSecret), reason: Some(Denied::TeamDeleted), times };
        let event = system_event(EventKind::AccessDenied);
        Event { team_id: Some(team), refusal: Some(refusal), ..event }
    };
    let instance = recorded(|team| vec![refused(team, 1), refused(team, 70)]).await;
    let read =
        all(&instance, &EventFilter { kinds: vec![EventKind::AccessDenied], ..EventFilter::default() }).await;
    assert_eq!(read.iter().map(|event| event.times).collect::<Vec<_>>(), [70, 1]);
    let refusal = read[0].refusal.clone().unwrap();
    assert_eq!(
        (refusal.action.as_deref(), refusal.reason.as_deref()),
        (Some("deleteSecret"), Some("team_deleted"))
    );
}

#[tokio::test]
async fn what_a_later_program_recorded_is_read_by_its_names() {
    let instance = recorded(|team| vec![full(team, 1)]).await;
    let later = "UPDATE events SET kind = 'choir.sang', object_table = 'choirs', refusal = 'sing out of tune' \
                 WHERE kind = 'run.started'";
    instance.behind(|database| database.execute(later, crate::support::NOTHING).unwrap());
    let read = all(&instance, &EventFilter::default()).await.remove(0);
    assert_eq!((&*read.kind, read.known_kind(), &*read.table), ("choir.sang", None, "choirs"));
    assert_eq!(read.refusal.unwrap().reason.as_deref(), Some("out of tune"));
}

#[tokio::test]
async fn what_was_put_in_a_mac_s_place_hides_nothing() {
    let instance = recorded(|team| vec![full(team, 1)]).await;
    let altered = "UPDATE events SET object_mac = ? WHERE kind = 'run.started'";
    instance.behind(|database| database.execute(altered, [b"short".as_slice()]).unwrap());
    assert_eq!(all(&instance, &EventFilter::default()).await[0].kind, "run.started");
}

#[tokio::test]
async fn pages_neither_overlap_nor_leave_anything_out() {
    let instance = recorded(|team| (1..=7).map(|number| full(team, number)).collect()).await;
    let whole = all(&instance, &EventFilter::default()).await;
    assert_eq!(whole.len(), 8, "the founding, too");
    assert!(whole.is_sorted_by_key(|event| std::cmp::Reverse(event.sequence)));
    for limit in 1..=9 {
        let (mut paged, mut before) = (Vec::new(), None);
        loop {
            let page = page(&instance, &EventFilter::default(), before, limit).await;
            assert!(page.events.len() <= limit as usize);
            paged.extend(page.events);
            let Some(next) = page.next else { break };
            before = Some(next);
        }
        assert_eq!(paged, whole, "{limit} at a time");
    }
    let other = TeamId::from_uuid(instance.id());
    let none = instance.database.events(other, &EventFilter::default(), None, 9).await.unwrap();
    assert_eq!(none, EventPage::default(), "another team's");
}

/// Each way to search for the second of three events, and one that differs from
/// it in nothing but that it finds none of them.
fn searches() -> Vec<(EventFilter, EventFilter)> {
    let with = |change: &dyn Fn(&mut EventFilter, u128)| {
        [200, 900].map(|base| {
            let mut filter = EventFilter::default();
            change(&mut filter, base);
            filter
        })
    };
    let mut pairs = vec![
        with(&|filter, base| filter.user = Some(UserId::from_uuid(id(base + 1)))),
        with(&|filter, base| filter.key = Some(ApiKeyId::from_uuid(id(base + 2)))),
        with(&|filter, base| filter.run = Some(RunId::from_uuid(id(base + 3)))),
        with(&|filter, base| filter.objects = vec![id(5), id(base + 7), id(6)]),
        with(&|filter, base| filter.since = Some(at(NOW + if base == 200 { 2 } else { 4 }))),
        with(&|filter, base| filter.until = Some(at(NOW + if base == 200 { 3 } else { 1 }))),
        with(&|filter, base| filter.table = Some(if base == 200 { "runs" } else { "run" }.to_owned())),
        with(&|filter, base| {
            let first = if base == 200 { EventKind::RunStarted } else { EventKind::RunStopped };
            filter.kinds = vec![EventKind::SecretCopied, first];
        }),
    ];
    pairs.extend((1..=8).map(|place| with(&move |filter, base| filter.naming = Some(id(base + place)))));
    pairs.into_iter().map(|[finds, misses]| (finds, misses)).collect()
}

#[tokio::test]
async fn a_search_finds_what_matches_and_nothing_else() {
    let instance = recorded(|team| (1..=3).map(|number| full(team, number)).collect()).await;
    let numbered = async |filter: &EventFilter| {
        let found = all(&instance, filter).await;
        found.iter().map(|event| event.at.as_millis() - NOW).filter(|number| *number > 0).collect::<Vec<_>>()
    };
    for (finds, misses) in searches() {
        let found = numbered(&finds).await;
        assert!(found.contains(&2), "{finds:?} finds {found:?}");
        assert_eq!(numbered(&misses).await, [0_i64; 0], "{misses:?}");
        let whole = all(&instance, &EventFilter::default()).await;
        let matching: Vec<_> = whole.iter().filter(|event| finds.matches(event)).cloned().collect();
        assert_eq!(all(&instance, &finds).await, matching, "as the core would choose: {finds:?}");
    }
    let both = EventFilter {
        kinds: vec![EventKind::RunStarted],
        until: Some(at(NOW + 3)),
        ..EventFilter::default()
    };
    assert_eq!(numbered(&both).await, [2, 1], "everything must hold");
}

#[tokio::test]
async fn a_search_for_little_says_where_it_goes_on() {
    let instance = Instance::new().await;
    let (permit, rare) = (instance.permit().await, full(instance.team, 1));
    let many = u128::from(EVENTS_LOOKED_AT) + 10;
    let common =
        (0..many).map(|_| Event { team_id: Some(instance.team), ..system_event(EventKind::SecretUpdated) });
    let events = [rare].into_iter().chain(common).collect();
    let write = Write { permit, changes: vec![], events, answers: Vec::new(), rehearsal: false };
    instance.database.write(write).await.unwrap();
    let filter = EventFilter { kinds: vec![EventKind::RunStarted], ..EventFilter::default() };
    let first = page(&instance, &filter, None, 5).await;
    assert_eq!(first.events, [], "it isn't among the newest");
    let second = page(&instance, &filter, first.next, 5).await;
    assert_eq!((second.events.len(), second.next), (1, None), "goes on where the first stopped");
    let newest = all(&instance, &EventFilter::default()).await[0].sequence;
    assert_eq!(first.next, Some(newest - i64::from(EVENTS_LOOKED_AT) + 1));
}
