//! The record that proves itself: leaves, heads, proofs and files; and that whoever
//! changes what was sealed is found.

use strongroom_core::app::{Ask, Error, Export, Sealer, VerifiedEvents, Wrong};
use strongroom_core::audit::Broken;
use strongroom_core::audit::file::{Checker, Proven, Tampered};
use strongroom_core::audit::note::{Checkpoint, NotSigned, SignedHead, VerifierKey};
use strongroom_core::audit::tree::{Hash, proves_consistency, proves_inclusion};
use strongroom_core::events::{Actor, Event, EventFilter, EventKind, Object, Place};
use strongroom_core::{Role, TeamId, Timestamp};
use uuid::Uuid;

use crate::instance::Instance;
use crate::support::{NOW, at_once};

/// Chance from a seed: xorshift64*.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let drawn = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(drawn).unwrap() % end
    }
}

/// Something that happened in a team.
fn event(team: TeamId, number: u128) -> Event {
    Event {
        at: Timestamp::from_millis(NOW.as_millis() + i64::try_from(number).unwrap()),
        kind: EventKind::SecretCreated,
        team_id: Some(team),
        actor: Actor::default(),
        place: Place::default(),
        object: Object { table: "secrets", id: Some(Uuid::from_u128(number)), ..Object::default() },
        request_id: None,
        refusal: None,
        requested: None,
    }
}

fn other_team() -> TeamId {
    TeamId::from_uuid(Uuid::from_u128(77 << 64))
}

impl Instance {
    fn our_team(&self) -> TeamId {
        self.owner.caller.team_id
    }

    /// So many more events, of our team and of another one.
    fn happen(&self, count: usize) {
        let mut tables = self.store.tables();
        let from = tables.events.len();
        for number in from..from + count {
            let team = if number % 3 == 0 { other_team() } else { self.our_team() };
            tables.events.push(event(team, u128::try_from(number).unwrap()));
        }
    }

    /// Seals everything; the head.
    fn sealed(&self, sealer: &mut Sealer) -> Checkpoint {
        while at_once(self.app.seal_events(sealer)).unwrap().unwrap().events > 0 {}
        let head = at_once(self.app.checkpoint(&self.owner)).unwrap();
        self.app.own_checkpoint(&head).unwrap()
    }

    fn export(&self, by: &Ask, filter: &EventFilter, stops: &[u64]) -> String {
        let export = at_once(self.app.export_events(by, filter, None)).unwrap();
        self.written(export.stopping_at(stops.iter().copied()))
    }

    fn everything(&self) -> String {
        self.written(at_once(self.app.export_everything(EventFilter::default())).unwrap())
    }

    fn written(&self, mut export: Export) -> String {
        let mut file = String::new();
        while at_once(self.app.export_piece(&mut export, &mut file)).unwrap() {}
        file
    }

    fn verified(&self, kept: Vec<Checkpoint>) -> VerifiedEvents {
        at_once(self.app.verify_events(kept, |_| {})).unwrap()
    }

    fn wrong(&self, kept: Vec<Checkpoint>) -> Vec<Wrong> {
        self.verified(kept).wrong
    }
}

fn checked<'a>(
    lines: impl IntoIterator<Item = &'a str>,
    keys: Vec<VerifierKey>,
    held: Vec<Checkpoint>,
) -> Result<Proven, Tampered> {
    let mut checker = Checker::new(keys, held);
    lines.into_iter().try_for_each(|line| checker.line(line))?;
    checker.finish()
}

#[test]
fn what_is_sealed_is_proven_to_who_may_see_it() {
    let (instance, mut sealer) = (Instance::new(), Sealer::default());
    let member = instance.colleague(Role::Member);
    let mut heads = Vec::new();
    for more in [1, 14, 1, 30, 200] {
        instance.happen(more);
        heads.push(instance.sealed(&mut sealer));
    }
    let last = heads.last().unwrap().clone();
    assert_eq!(last.size, 247, "with the instance's own creation");
    for old in &heads {
        let proof = at_once(instance.app.prove_consistency(&member, old.size, last.size)).unwrap().unwrap();
        assert!(proves_consistency((old.size, old.root), (last.size, last.root), &proof.proof));
    }
    assert_eq!(at_once(instance.app.prove_consistency(&member, 5, last.size + 1)).unwrap(), None);
    for sequence in 1..=247 {
        let found = at_once(instance.app.prove_event(&instance.owner, sequence)).unwrap();
        let Some(found) = found else {
            assert_eq!(
                instance.store.tables().events[usize::try_from(sequence - 1).unwrap()].team_id,
                Some(other_team())
            );
            continue;
        };
        let head = instance.app.own_checkpoint(&found.checkpoint).unwrap();
        let leaf = (found.leaf, Hash::leaf(found.line.as_bytes()));
        assert!(proves_inclusion(leaf, (head.size, head.root), &found.proof));
        let none = at_once(instance.app.prove_event(&member, sequence)).unwrap();
        assert_eq!(none, None, "a member sees what they did themselves");
    }
    instance.happen(2);
    let late = at_once(instance.app.prove_event(&instance.owner, 249));
    assert!(matches!(late, Err(Error::Conflict(_))), "no leaf yet: {late:?}");
    assert_eq!(instance.wrong(heads), []);
}

/// PostgreSQL's transactions are committed in another order than that in which they took
/// their places in the record.
#[test]
fn what_is_committed_late_becomes_a_leaf_late_and_nothing_is_lost() {
    let (instance, mut sealer) = (Instance::new(), Sealer::default());
    instance.happen(40);
    instance.store.tables().under_way.extend([5, 6, 7, 20, 38]);
    let first = instance.sealed(&mut sealer);
    assert_eq!(first.size, 36);
    instance.store.tables().under_way.remove(&6);
    assert_eq!(instance.sealed(&mut sealer).size, 37);
    // Another server takes over, which has seen nothing.
    let mut other = Sealer::default();
    instance.store.tables().under_way.remove(&20);
    instance.happen(3);
    assert_eq!(instance.sealed(&mut other).size, 41);
    instance.store.tables().under_way.retain(|place| *place != 5 && *place != 7);
    assert_eq!(instance.sealed(&mut sealer).size, 43, "and back to the first");
    assert_eq!(instance.store.tables().head.as_ref().unwrap().settled, 37);
    assert_eq!(instance.wrong(vec![first]), []);
    assert_eq!(
        checked(instance.everything().lines(), instance.app.verifier_keys(), Vec::new()).unwrap().events,
        43
    );
    // The last one was undone; it is waited for no longer than it takes.
    for _ in 0..100 {
        instance.happen(1);
        instance.sealed(&mut sealer);
    }
    assert_eq!(instance.store.tables().head.as_ref().unwrap().settled, 144);
    assert_eq!(instance.wrong(Vec::new()), []);
    instance.store.tables().under_way.clear();
    assert_eq!(instance.wrong(Vec::new()), [Wrong::Stray(38)], "who writes it there now put it in");
}

/// More leaves than are looked at at once follow one another without a gap, and then there is one.
#[test]
fn a_gap_behind_many_leaves_is_no_harm() {
    let (instance, mut sealer) = (Instance::new(), Sealer::default());
    instance.happen(4_100);
    let gap = i64::try_from(instance.store.tables().events.len()).unwrap();
    instance.store.tables().under_way.insert(gap);
    instance.happen(3);
    let head = instance.sealed(&mut sealer);
    let seen = instance.verified(vec![head.clone()]);
    assert_eq!((seen.wrong, seen.leaves), (vec![], head.size));
}

#[test]
fn servers_that_take_turns_make_one_tree() {
    let (instance, mut one, mut other) = (Instance::new(), Sealer::default(), Sealer::default());
    let mut heads = Vec::new();
    for _ in 0..10 {
        instance.happen(7);
        heads.push(instance.sealed(&mut one));
        instance.happen(9);
        heads.push(instance.sealed(&mut other));
    }
    assert_eq!(heads.last().unwrap().size, 161);
    assert_eq!(instance.store.tables().spans.len(), 1, "one after the other");
    assert_eq!(instance.wrong(heads), []);
}

#[test]
fn a_file_has_what_was_asked_for_and_hashes_of_the_rest() {
    let (instance, mut sealer) = (Instance::new(), Sealer::default());
    instance.happen(500);
    let half = instance.sealed(&mut sealer);
    instance.happen(500);
    let head = instance.sealed(&mut sealer);
    let keys = instance.app.verifier_keys();
    let team = instance.export(&instance.owner, &EventFilter::default(), &[]);
    let found = checked(team.lines(), keys.clone(), Vec::new()).unwrap();
    assert_eq!((found.head.clone(), found.is_signed), (head.clone(), true));
    let ours = instance
        .store
        .tables()
        .events
        .iter()
        .filter(|event| event.team_id == Some(instance.our_team()))
        .count();
    assert_eq!((found.events, found.skipped), (u64::try_from(ours).unwrap(), head.size - found.events));
    assert!(!team.contains(&other_team().to_string()), "nothing of another team");

    let of_one = EventFilter { objects: vec![Uuid::from_u128(700)], ..EventFilter::default() };
    let one = instance.export(&instance.owner, &of_one, &[]);
    assert_eq!(checked(one.lines(), keys.clone(), Vec::new()).unwrap().events, 1);
    assert!(one.lines().count() < 30, "{one}");
    assert_eq!(checked(one.lines(), keys.clone(), vec![half.clone()]), Err(Tampered::Astride(501)));
    let one = instance.export(&instance.owner, &of_one, &[501, 0, 5_000]);
    assert_eq!(checked(one.lines(), keys.clone(), vec![half.clone(), head.clone()]).unwrap().events, 1);

    let nobody = instance.colleague(Role::Member);
    let nothing = instance.export(&nobody, &EventFilter::default(), &[]);
    let found = checked(nothing.lines(), keys.clone(), Vec::new()).unwrap();
    assert_eq!((found.events, found.skipped), (0, head.size));

    let all = instance.everything();
    let found = checked(all.lines(), Vec::new(), vec![half]).unwrap();
    assert_eq!((found.is_signed, found.events, found.skipped), (false, head.size, 0));
    let one = instance.written(at_once(instance.app.export_everything(of_one)).unwrap());
    assert_eq!(checked(one.lines(), keys, Vec::new()).unwrap().events, 1);
}

#[test]
fn a_file_is_believed_by_the_keys_of_its_log_only() {
    let (instance, mut sealer) = (Instance::new(), Sealer::default());
    instance.happen(20);
    instance.sealed(&mut sealer);
    let file = instance.everything();
    let stranger = Instance::new();
    stranger.happen(20);
    stranger.sealed(&mut Sealer::default());
    let unknown = checked(file.lines(), stranger.app.verifier_keys(), Vec::new());
    assert_eq!(unknown, Err(Tampered::Signature(NotSigned::Unknown)));
    // Their head in the place of ours, which is over as many events.
    let theirs = stranger.everything();
    let forged: Vec<_> = file.lines().take(22).chain(theirs.lines().skip(22)).collect();
    let found = checked(forged, stranger.app.verifier_keys(), Vec::new());
    assert!(matches!(found, Err(Tampered::OtherLog(_))), "{found:?}");
    let found = checked(theirs.lines(), Vec::new(), Vec::new()).unwrap();
    assert!(!found.is_signed, "it is consistent with itself, and that is all");
    let held = checked(file.lines(), Vec::new(), vec![found.head]);
    assert_eq!(held, Err(Tampered::HeldOfOther(stranger.app.audit_origin())));
}

/// What somebody does to a file, who knows its form but not the signing key.
fn tamper(lines: &mut Vec<String>, dice: &mut Dice, others: &[String]) {
    let events = lines.len() - 2;
    let at = 1 + dice.below(events);
    match dice.below(8) {
        // An edit of one byte that leaves a line of an event.
        0 => {
            let byte = "{\"sequence\":".len() + dice.below(lines[at].len() - "{\"sequence\":".len());
            let mut bytes = lines[at].clone().into_bytes();
            bytes[byte] ^= 1 << dice.below(7);
            lines[at] = String::from_utf8_lossy(&bytes).replace('\n', " ");
        }
        1 => drop(lines.remove(at)),
        2 => lines.insert(at, others[dice.below(others.len())].clone()),
        3 => {
            let twin = lines[at].clone();
            lines.insert(at, twin);
        }
        4 => {
            let other = 1 + (at + dice.below(events - 1)) % events;
            lines.swap(at, if other == at { at % events + 1 } else { other });
        }
        // The end is cut off, with the head or without.
        5 => {
            let head = lines.pop().unwrap();
            lines.truncate(at);
            if dice.below(2) == 0 {
                lines.push(head);
            }
        }
        // The last events, and a true older head in the place of the newest.
        6 => {
            lines.truncate(1 + 2_400);
            lines.push(others.last().unwrap().clone());
        }
        _ => {
            let moved = lines.remove(at);
            let to = 1 + dice.below(events - 1);
            lines.insert(if to == at { at % (events - 1) + 1 } else { to }, moved);
        }
    }
}

#[test]
fn whatever_is_done_to_a_file_is_found() {
    let (instance, mut sealer) = (Instance::new(), Sealer::default());
    // With the instance's creation.
    instance.happen(2_399);
    instance.sealed(&mut sealer);
    let older_head = instance.everything().lines().last().unwrap().to_owned();
    instance.happen(100);
    let held = instance.sealed(&mut sealer);
    instance.happen(7_500);
    instance.sealed(&mut sealer);
    let clean: Vec<_> = instance.everything().lines().map(str::to_owned).collect();
    assert_eq!(clean.len(), 10_002);
    let stranger = Instance::new();
    stranger.happen(50);
    stranger.sealed(&mut Sealer::default());
    let mut others: Vec<_> = stranger.everything().lines().skip(2).take(49).map(str::to_owned).collect();
    others.push(older_head);
    let keys = instance.app.verifier_keys();
    let check =
        |lines: &[String]| checked(lines.iter().map(String::as_str), keys.clone(), vec![held.clone()]);
    assert_eq!(check(&clean).unwrap().events, 10_000);
    let mut dice = Dice(7);
    for round in 0..1_000 {
        let mut lines = clean.clone();
        tamper(&mut lines, &mut dice, &others);
        assert!(lines != clean, "{round}");
        assert!(check(&lines).is_err(), "round {round} was not found");
    }
    // Without the head that is held the older one is as good as any.
    let mut cut: Vec<_> = clean[..=2_400].to_vec();
    cut.extend(others.last().cloned());
    assert_eq!(check(&cut), Err(Tampered::Truncated { found: 2_400, held: 2_500 }));
    assert!(checked(cut.iter().map(String::as_str), keys.clone(), Vec::new()).is_ok());
}

#[test]
fn a_thousand_clean_files_raise_no_alarm() {
    let (instance, mut sealer, mut dice) = (Instance::new(), Sealer::default(), Dice(11));
    let (mut heads, mut files) = (Vec::new(), 0);
    while files < 1_000 {
        instance.happen(1 + dice.below(8));
        heads.push(instance.sealed(&mut sealer));
        for _ in 0..5 {
            let since = Timestamp::from_millis(NOW.as_millis() + i64::try_from(dice.below(2_000)).unwrap());
            let filter = match dice.below(3) {
                0 => EventFilter::default(),
                1 => EventFilter { since: Some(since), ..EventFilter::default() },
                _ => EventFilter { until: Some(since), ..EventFilter::default() },
            };
            let held = heads[dice.below(heads.len())].clone();
            let file = match dice.below(2) {
                0 => instance.everything(),
                _ => instance.export(&instance.owner, &filter, &[held.size]),
            };
            checked(file.lines(), instance.app.verifier_keys(), vec![held]).unwrap();
            files += 1;
        }
    }
}

#[test]
fn whatever_is_done_to_the_store_is_found_and_where() {
    let (instance, mut sealer) = (Instance::new(), Sealer::default());
    instance.happen(300);
    let kept = instance.sealed(&mut sealer);
    instance.happen(300);
    instance.sealed(&mut sealer);
    let good = instance.store.tables().clone();
    let after = |alter: &dyn Fn(&mut crate::memory_store::Tables)| {
        let mut tables = good.clone();
        alter(&mut tables);
        *instance.store.tables() = tables;
        instance.wrong(vec![kept.clone()])
    };
    assert_eq!(after(&|_| {}), []);
    let edited = after(&|tables| tables.events[120].kind = EventKind::SecretDeleted);
    assert_eq!(edited, [Wrong::Kept(301), Wrong::Altered(120)]);
    let edited = after(&|tables| tables.events[420].at = NOW);
    assert_eq!(edited, [Wrong::Altered(420)]);
    assert_eq!(after(&|tables| tables.events.swap(310, 311)), [Wrong::Altered(310)]);
    let deleted = after(&|tables| tables.under_way.extend([401]));
    assert_eq!(deleted, [Wrong::Missing { leaf: 400, sequence: 401 }]);
    let hashes = after(&|tables| {
        let (_, tile) = tables.tiles.0.iter_mut().nth(3).unwrap();
        *tile = strongroom_core::audit::tiles::Tile::from_slice(&[9; 512]).unwrap();
    });
    assert_eq!(hashes, [Wrong::Hashes(48)]);
    assert_eq!(after(&|tables| tables.tiles.0.clear()), [Wrong::Hashes(0)]);
    assert_eq!(after(&|tables| tables.head.as_mut().unwrap().note.insert(0, 'x')), [Wrong::Head]);
    assert_eq!(after(&|tables| drop(tables.head.take())), [Wrong::Headless(301)]);
    assert_eq!(after(&|tables| tables.spans.clear()), [Wrong::Unlisted(0)]);
    let misplaced = after(&|tables| tables.spans[0].sequence += 1);
    assert_eq!(misplaced, [Wrong::Kept(301), Wrong::Missing { leaf: 600, sequence: 602 }]);
}

#[test]
fn an_older_database_is_found_by_a_head_that_was_kept() {
    let (instance, mut sealer) = (Instance::new(), Sealer::default());
    instance.happen(10);
    instance.sealed(&mut sealer);
    let old = instance.store.tables().clone();
    instance.happen(10);
    let kept = instance.sealed(&mut sealer);
    *instance.store.tables() = old;
    assert_eq!(instance.wrong(Vec::new()), [], "by itself it is whole");
    assert_eq!(instance.wrong(vec![kept.clone()]), [Wrong::Truncated { found: 11, kept: 21 }]);
    assert!(!at_once(instance.app.goes_on_from(&kept)).unwrap());
    // It goes on in another way, until it is as long and longer.
    for _ in 0..2 {
        instance.store.tables().events.push(event(other_team(), 4_000));
        instance.happen(9);
        instance.sealed(&mut Sealer::default());
        assert!(!at_once(instance.app.goes_on_from(&kept)).unwrap());
        assert_eq!(instance.wrong(vec![kept.clone()]), [Wrong::Kept(21)]);
    }
}

#[test]
fn nothing_is_signed_over_hashes_that_are_not_the_last_heads() {
    let (instance, mut sealer) = (Instance::new(), Sealer::default());
    instance.happen(30);
    instance.sealed(&mut sealer);
    let good = instance.store.tables().clone();
    instance.happen(1);
    let alter: [fn(&mut crate::memory_store::Tables); 3] = [
        |tables| tables.head.as_mut().unwrap().note = "forged\n1\nx\n\n— x y\n".to_owned(),
        |tables| tables.tiles.0.clear(),
        |tables| {
            let tiles = tables.tiles.0.values_mut();
            tiles.for_each(|tile| {
                let mut bytes = tile.to_bytes();
                bytes[3] ^= 1;
                *tile = strongroom_core::audit::tiles::Tile::from_slice(&bytes).unwrap();
            });
        },
    ];
    for alter in alter {
        let before = instance.store.tables().events.clone();
        *instance.store.tables() = good.clone();
        instance.store.tables().events = before;
        alter(&mut instance.store.tables());
        let refused = at_once(instance.app.seal_events(&mut Sealer::default()));
        assert!(matches!(refused, Err(Broken::Tree)), "{refused:?}");
    }
}

#[test]
fn a_head_is_a_signed_note_that_others_read() {
    let (instance, mut sealer) = (Instance::new(), Sealer::default());
    instance.happen(1);
    instance.sealed(&mut sealer);
    let note = at_once(instance.app.checkpoint(&instance.owner)).unwrap();
    let lines: Vec<_> = note.lines().collect();
    let origin = instance.app.audit_origin();
    assert_eq!((lines[0], lines[1], lines[3], lines.len()), (origin.as_str(), "2", "", 5));
    assert!(lines[4].starts_with(&format!("— {origin} ")), "{note}");
    let key = instance.app.verifier_keys().remove(0);
    let read: VerifierKey = key.to_string().parse().unwrap();
    assert_eq!((read.name(), &read), (origin.as_str(), &key));
    for wrong in ["", "a+b", "a+00000000+AAAA", &key.to_string()[1..], &key.to_string().replace('+', "-")] {
        assert!(wrong.parse::<VerifierKey>().is_err(), "{wrong}");
    }
    let signed = SignedHead::parse(&note).unwrap();
    assert_eq!(signed.verify(std::slice::from_ref(&key)).unwrap().size, 2);
    for wrong in [
        note.replace("\n2\n", "\n3\n"),
        note.replace("\n2\n", "\n02\n"),
        note.replace("\n\n", "\n"),
        note.trim_end().to_owned(),
        format!("{note}\n"),
        note.replace("— ", "- "),
        note.replacen('\n', "\r\n", 1),
    ] {
        let read =
            SignedHead::parse(&wrong).and_then(|head| head.verify(std::slice::from_ref(&key)).cloned());
        assert!(read.is_err(), "{wrong:?}");
    }
    // A second signature by somebody else is theirs.
    let witnessed = format!("{note}— witness.example AAAAAAAA\n");
    assert_eq!(SignedHead::parse(&witnessed).unwrap().verify(&[key]).unwrap().size, 2);
}

#[test]
fn a_row_that_was_put_back_or_taken_away_is_found_by_its_events() {
    let instance = Instance::new();
    let secret = instance.secret(&instance.owner, true, &[("A", "1")]);
    let other = instance.secret(&instance.owner, true, &[("A", "1")]);
    let place = instance.agent();
    instance.attach(&instance.owner, place, secret).unwrap();
    let before = instance.store.tables().clone();
    instance.update(&instance.owner, secret, &crate::instance::replacing(&[("A", "2")]));
    instance.detach(&instance.owner, place, secret).unwrap();
    let good = instance.store.tables().clone();
    let after = |alter: &dyn Fn(&mut crate::memory_store::Tables)| {
        let mut tables = good.clone();
        alter(&mut tables);
        *instance.store.tables() = tables;
        let found = at_once(instance.app.verify_states(|| {})).unwrap();
        found
            .wrong
            .into_iter()
            .map(|wrong| (wrong.table, wrong.id, wrong.problem.contains("missing")))
            .collect::<Vec<_>>()
    };
    assert_eq!(after(&|_| {}), []);
    let put_back = after(&|tables| tables.secrets.clone_from(&before.secrets));
    assert_eq!(put_back, [("secrets".to_owned(), secret.to_string(), false)]);
    let attached = after(&|tables| tables.attachments.clone_from(&before.attachments));
    assert_eq!(attached.len(), 1, "{attached:?}");
    assert!(attached[0].0 == "attachments" && attached[0].1.ends_with(&secret.to_string()));
    let gone = after(&|tables| tables.secrets.retain(|row| row.row().id != other));
    assert_eq!(gone, [("secrets".to_owned(), other.to_string(), true)]);
}
