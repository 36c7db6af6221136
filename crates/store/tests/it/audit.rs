//! The audit tree in a store: what is sealed stays as it was, whoever seals, and
//! whatever is changed behind the store's back is found.

use strongroom_core::app::{Sealer, VerifiedEvents, Wrong};
use strongroom_core::audit::file::Checker;
use strongroom_core::audit::note::Checkpoint;
use strongroom_core::audit::tiles::{Place, Tile};
use strongroom_core::audit::{Gap, Head, Sealing, Span};
use strongroom_core::events::{EventFilter, EventKind};
use strongroom_core::{StoreError, TeamId};
use strongroom_testbed::Engine;
use uuid::Uuid;

use crate::support::{Instance, NOTHING, NOW, at, system_event};

impl Instance {
    async fn happen(&self, count: u32) {
        for number in 0..count {
            let mut event = system_event(EventKind::SecretCreated);
            event.team_id = Some(if number % 2 == 0 { self.team } else { TeamId::from_uuid(Uuid::max()) });
            event.object.id = Some(self.id());
            self.database.record(event).await.unwrap();
        }
    }

    async fn sealed(&self, sealer: &mut Sealer) -> Checkpoint {
        loop {
            let done = self.app.seal_events(sealer).await.unwrap().unwrap();
            if done.events == 0 {
                return self.app.own_checkpoint(&done.head.note).unwrap();
            }
        }
    }

    async fn verified(&self, kept: Vec<Checkpoint>) -> VerifiedEvents {
        self.app.verify_events(kept, |_| {}).await.unwrap()
    }

    fn alter(&self, statement: &str) {
        assert_eq!(self.behind(|database| database.execute(statement, NOTHING).unwrap()), 1, "{statement}");
    }
}

fn sealing(was: u64, size: u64) -> Sealing {
    let head = Head { size, settled: 1, note: "signed".to_owned(), at: at(NOW) };
    let span = Span { leaf: was, sequence: i64::try_from(was).unwrap() + 1, count: size - was };
    let tile = Tile::from_slice(&[u8::try_from(size).unwrap(); 64]).unwrap();
    Sealing { was, head, spans: vec![span], tiles: vec![(Place { level: 0, index: 0 }, tile)] }
}

#[tokio::test]
async fn a_sealing_is_stored_whole_and_by_one_alone() {
    let instance = Instance::new().await;
    let store = &instance.database;
    assert_eq!(store.audit_head().await.unwrap(), None);
    store.seal_events(sealing(0, 2)).await.unwrap();
    for late in [sealing(0, 3), sealing(1, 3), sealing(3, 9)] {
        assert!(matches!(store.seal_events(late).await, Err(StoreError::Changed)));
    }
    let place = Place { level: 0, index: 0 };
    let stored = || async {
        let tiles = store.audit_tiles(&[place, Place { level: 1, index: 0 }]).await.unwrap();
        let head = store.audit_head().await.unwrap().unwrap();
        (head.size, tiles.0.len(), tiles.0[&place].to_bytes()[0])
    };
    assert_eq!(stored().await, (2, 1, 2), "nothing of those that came late");
    let grown = Span { leaf: 0, sequence: 1, count: 9 };
    store.seal_events(Sealing { spans: vec![grown], ..sealing(2, 9) }).await.unwrap();
    assert_eq!(stored().await, (9, 1, 9));
    assert_eq!(store.audit_spans(0, 9).await.unwrap(), [grown]);
}

#[tokio::test]
async fn spans_and_events_are_found_by_leaf_and_by_place() {
    let instance = Instance::new().await;
    let store = &instance.database;
    instance.happen(9).await;
    let spans = [(0, 1, 3), (3, 7, 2), (5, 4, 2)];
    let spans = spans.map(|(leaf, sequence, count)| Span { leaf, sequence, count });
    store.seal_events(Sealing { spans: spans.to_vec(), ..sealing(0, 7) }).await.unwrap();
    let [first, second, third] = spans;
    for (leaf, limit, expected) in [
        (0, 9, vec![first, second, third]),
        (2, 2, vec![first, second]),
        (3, 9, vec![second, third]),
        (6, 9, vec![third]),
    ] {
        assert_eq!(store.audit_spans(leaf, limit).await.unwrap(), expected, "{leaf}");
    }
    for (place, limit, expected) in [
        (i64::MIN, 9, vec![first, third, second]),
        (3, 1, vec![first]),
        (5, 9, vec![third, second]),
        (6, 9, vec![third, second]),
        (99, 9, vec![second]),
    ] {
        assert_eq!(store.audit_spans_by_place(place, limit).await.unwrap(), expected, "{place}");
    }
    let places = |events: Vec<strongroom_core::events::Recorded>| {
        events.into_iter().map(|event| event.sequence).collect::<Vec<_>>()
    };
    let recorded = |first, last, team, limit| async move {
        places(store.recorded(Gap { first, last }, team, limit).await.unwrap())
    };
    assert_eq!(recorded(3, i64::MAX, None, 4).await, [3, 4, 5, 6]);
    assert_eq!(recorded(3, 5, None, 9).await, [3, 4, 5]);
    assert_eq!(recorded(3, 8, Some(instance.team), 9).await, [4, 6, 8]);
    let gaps = [Gap { first: 7, last: 8 }, Gap { first: 2, last: 2 }, Gap { first: 90, last: 99 }];
    assert_eq!(places(store.recorded_within(&gaps, 9).await.unwrap()), [2, 7, 8]);
    assert_eq!(places(store.recorded_within(&gaps, 2).await.unwrap()), [2, 7]);
    assert_eq!(places(store.recorded_within(&[], 2).await.unwrap()), [0; 0]);
}

#[tokio::test]
async fn a_sink_goes_on_where_it_was() {
    let instance = Instance::new().await;
    let store = &instance.database;
    assert_eq!(store.audit_sink("file a").await.unwrap(), None);
    for leaf in [3, 9] {
        store.move_audit_sink("file a", leaf).await.unwrap();
        store.move_audit_sink("file b", 1).await.unwrap();
        assert_eq!(store.audit_sink("file a").await.unwrap(), Some(leaf));
    }
    assert_eq!(store.audit_sink("file b").await.unwrap(), Some(1));
}

#[tokio::test]
async fn a_tree_grows_and_proves_itself_and_its_file() {
    let (instance, mut sealer) = (Instance::new().await, Sealer::default());
    let mut kept = Vec::new();
    for more in [0, 1, 40, 300] {
        instance.happen(more).await;
        kept.push(instance.sealed(&mut sealer).await);
    }
    let found = instance.verified(kept.clone()).await;
    assert_eq!((found.leaves, found.kept, found.wrong), (342, 4, vec![]));
    let mut export = instance.app.export_everything(EventFilter::default()).await.unwrap();
    let mut file = String::new();
    while instance.app.export_piece(&mut export, &mut file).await.unwrap() {}
    let mut checker = Checker::new(instance.app.verifier_keys(), kept);
    file.lines().try_for_each(|line| checker.line(line)).unwrap();
    assert_eq!(checker.finish().unwrap().events, 342);
    assert_eq!(instance.app.verify_states(|| {}).await.unwrap().wrong, []);
}

#[tokio::test]
async fn what_is_changed_behind_the_store_is_found() {
    let (instance, mut sealer) = (Instance::new().await, Sealer::default());
    instance.happen(60).await;
    let kept = instance.sealed(&mut sealer).await;
    instance.happen(60).await;
    instance.sealed(&mut sealer).await;
    let wrong = || async { instance.verified(vec![kept.clone()]).await.wrong };
    assert_eq!(wrong().await, []);
    let mac = match Engine::under_test() {
        Engine::Sqlite => "object_mac = x'00' WHERE sequence = 99",
        Engine::Postgres => "object_mac = '\\x00' WHERE sequence = 99",
    };
    for (alter, back, expected) in [
        ("at = at + 1 WHERE sequence = 90", "at = at - 1 WHERE sequence = 90", Wrong::Altered(89)),
        ("user_id = team_id WHERE sequence = 33", "user_id = NULL WHERE sequence = 33", Wrong::Kept(61)),
        (mac, "object_mac = NULL WHERE sequence = 99", Wrong::Altered(98)),
    ] {
        instance.alter(&format!("UPDATE events SET {alter}"));
        assert!(wrong().await.contains(&expected), "{alter}");
        instance.alter(&format!("UPDATE events SET {back}"));
        assert_eq!(wrong().await, []);
    }
    let of_another = "(SELECT hashes FROM audit_tiles WHERE level = 0 AND place = 1)";
    instance.alter(&format!("UPDATE audit_tiles SET hashes = {of_another} WHERE level = 0 AND place = 2"));
    assert_eq!(wrong().await, [Wrong::Hashes(32)]);
    instance.alter("DELETE FROM events WHERE sequence = 121");
    assert_eq!(wrong().await, [Wrong::Missing { leaf: 120, sequence: 121 }]);
    instance.alter("DELETE FROM audit_head");
    assert_eq!(wrong().await, [Wrong::Headless(61)]);
}

#[tokio::test]
async fn an_event_that_is_put_in_afterwards_is_found() {
    let (instance, mut sealer) = (Instance::new().await, Sealer::default());
    instance.happen(9).await;
    instance.sealed(&mut sealer).await;
    let overriding = match Engine::under_test() {
        Engine::Sqlite => "",
        Engine::Postgres => "OVERRIDING SYSTEM VALUE",
    };
    instance.alter(&format!(
        "INSERT INTO events (sequence, at, kind, object_table) {overriding} VALUES (-4, 1, 'secret.created', 'secrets')"
    ));
    assert_eq!(instance.verified(Vec::new()).await.wrong, [Wrong::Stray(-4)]);
}

/// Two transactions take their places in the record in one order and are committed in
/// the other: only PostgreSQL has several at a time.
#[tokio::test]
async fn a_transaction_that_is_committed_late_loses_no_event() {
    let (instance, mut sealer) = (Instance::postgres().await, Sealer::default());
    instance.happen(5).await;
    let begin = "BEGIN; INSERT INTO events (at, kind, object_table) VALUES (1, 'secret.created', 'secrets')";
    instance.behind(|database| database.execute_batch(begin).unwrap());
    instance.happen(5).await;
    assert_eq!(instance.sealed(&mut sealer).await.size, 11);
    assert_eq!(instance.database.audit_head().await.unwrap().unwrap().settled, 6);
    instance.behind(|database| database.execute_batch("COMMIT").unwrap());
    // A server that begins anew finds it, too.
    let kept = instance.sealed(&mut Sealer::default()).await;
    assert_eq!(kept.size, 12);
    instance.happen(1).await;
    assert_eq!(instance.sealed(&mut sealer).await.size, 13);
    assert_eq!(instance.verified(vec![kept]).await.wrong, []);
    assert_eq!(instance.database.audit_head().await.unwrap().unwrap().settled, 13);
}
