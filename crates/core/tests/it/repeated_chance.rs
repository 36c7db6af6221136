//! A machine that was cloned, or whose chance is stuck, seals different records
//! with different keys all the same. Only the very same record gives the same
//! blob, which shows a reader of the database that it is the same.

use std::collections::HashSet;
use std::sync::Arc;
use strongroom_core::app::{Ask, Cause, Founding, Recovery, RecoveryError, World, create_instance};
use strongroom_core::root_key::LocalRootKey;
use strongroom_core::secrets::NewSecret;
use strongroom_core::text::{Email, TeamName};
use strongroom_core::{App, Bundle, EnvKey, SecretName, SecretValue};

use crate::independent::{BEFORE, HEADER, Id, gcm_open, hedged_salt, lp, record_keys, seal_with_salt};
use crate::memory_store::MemoryStore;
use crate::support::{
    Place, Seeded, StoppedClock, Stuck, at_once, opened, sealed_with, sealing_key, seeded, seeded_id,
    seeded_key,
};

const KEY_ID: Id = [3; 16];

fn salt(blob: &[u8]) -> &[u8] {
    &blob[HEADER..HEADER + 32]
}

fn commitment(blob: &[u8]) -> &[u8] {
    &blob[HEADER + 32..BEFORE]
}

/// Records that differ in little: neighbouring numbers, plaintexts of all
/// lengths that begin alike, and bytes that stand on one side or the other of
/// the border between context and plaintext.
fn records() -> Vec<(Place, Vec<u8>)> {
    let (instance, team) = (seeded_id("instance"), seeded_id("team"));
    let place = |number| Place::version(&instance, &team, &seeded_id("secret"), number);
    let mut records: Vec<_> = (0..100).map(|number| (place(number), b"the same".to_vec())).collect();
    records.extend((0..100).map(|length| (place(1), vec![b'a'; length])));
    records.extend((0..100).map(|at| (place(1), seeded(&format!("{at}"), 40))));
    for length in 0..5 {
        // A field at the end of the context, and the same bytes at the
        // beginning of the plaintext.
        let (label, field) = (format!("border {length}"), vec![b'f'; length]);
        records.push((Place::new(&label, &[&field]), b"plaintext".to_vec()));
        records.push((Place::new(&label, &[]), [lp(&field).as_slice(), b"plaintext"].concat()));
    }
    records
}

#[test]
fn different_records_share_neither_salt_nor_key_when_chance_is_stuck() {
    let key = seeded_key("key");
    let sealer = sealing_key(&KEY_ID, &key);
    let records = records();
    let blobs: Vec<_> =
        records.iter().map(|(place, plain)| sealed_with(&sealer, place, plain, &Stuck(0xAA))).collect();
    let salts: HashSet<_> = blobs.iter().map(|blob| salt(blob)).collect();
    let commitments: HashSet<_> = blobs.iter().map(|blob| commitment(blob)).collect();
    let record_key = |((place, _), blob): (&(Place, Vec<u8>), &Vec<u8>)| {
        record_keys(&key, salt(blob), &blob[..HEADER], &place.bytes()).0
    };
    let record_keys: HashSet<_> = records.iter().zip(&blobs).map(record_key).collect();
    assert_eq!((salts.len(), commitments.len(), record_keys.len()), (310, 310, 310));
    for ((place, plain), blob) in records.iter().zip(&blobs) {
        assert_eq!(opened(&sealer, place, blob).as_ref(), Some(plain));
    }
}

#[test]
fn the_very_same_record_gives_the_same_blob_when_chance_repeats() {
    let sealer = sealing_key(&KEY_ID, &seeded_key("key"));
    for (place, plain) in records() {
        let [one, two] = [5, 5].map(|byte| sealed_with(&sealer, &place, &plain, &Stuck(byte)));
        let three = sealed_with(&sealer, &place, &plain, &Stuck(6));
        assert!(one == two, "documented: it is the same record");
        assert_ne!(salt(&one), salt(&three), "other chance, other salt");
    }
}

#[test]
fn two_keys_share_no_salt_when_chance_is_stuck() {
    let (place, plain) = (Place::new("place", &[]), b"value");
    let salts = (0..100).map(|at| {
        let sealer = sealing_key(&KEY_ID, &seeded_key(&format!("{at}")));
        salt(&sealed_with(&sealer, &place, plain, &Stuck(0))).to_vec()
    });
    assert_eq!(salts.collect::<HashSet<_>>().len(), 100);
}

/// Without the hedge a repeated salt repeats the key stream, and two
/// ciphertexts give the difference of their plaintexts away: what the tests
/// above would have to notice.
#[test]
fn a_salt_of_chance_alone_would_give_plaintexts_away() {
    let (key, context) = (seeded_key("key"), Place::new("place", &[]).bytes());
    let (one, two) = (b"attack at dawn!!", b"retreat by night");
    let differences = |salts: [[u8; 32]; 2]| {
        let [one, two] = [(salts[0], one), (salts[1], two)]
            .map(|(salt, plain)| seal_with_salt(&key, &KEY_ID, &context, &salt, plain));
        one[BEFORE..BEFORE + 16].iter().zip(&two[BEFORE..]).map(|(a, b)| a ^ b).collect::<Vec<_>>()
    };
    let given_away: Vec<_> = one.iter().zip(two).map(|(a, b)| a ^ b).collect();
    assert_eq!(differences([[0xAA; 32]; 2]), given_away);
    let hedged = [one, two].map(|plain| hedged_salt(&key, &context, &[0xAA; 32], plain));
    assert_ne!(differences(hedged), given_away);
    let blob = seal_with_salt(&key, &KEY_ID, &context, &hedged[0], one);
    let (encryption, _) = record_keys(&key, salt(&blob), &blob[..HEADER], &context);
    assert!(gcm_open(&encryption, &[&blob[..HEADER], &context].concat(), &blob[BEFORE..]).is_some());
}

struct NoRecovery;

impl Recovery for NoRecovery {
    fn recipient(&self) -> String {
        String::new()
    }

    fn encrypt(&self, _: &[u8]) -> Result<Vec<u8>, RecoveryError> {
        Ok(Vec::new())
    }
}

fn new_secret(value: &str) -> NewSecret {
    let value = SecretValue::parse(value.to_owned()).unwrap();
    NewSecret {
        name: SecretName::parse("name").unwrap(),
        service_slug: None,
        shared: true,
        values: Bundle::new(vec![(EnvKey::parse("A").unwrap(), value)]).unwrap(),
    }
}

/// Two clones of one machine, in one moment, with one chance: even the ids of
/// their secrets are the same.
#[test]
fn cloned_machines_seal_different_values_with_different_keys() {
    let store = Arc::new(MemoryStore::default());
    let root = LocalRootKey::take("file", &mut seeded_key("root"));
    let chance = Seeded::new("before the clone");
    let world = |random: &Seeded| World { clock: Arc::new(StoppedClock), random: Arc::new(random.clone()) };
    let founding = Founding {
        team: TeamName::parse("team").unwrap(),
        email: Email::parse("ada@example.com").unwrap(),
        root: &root,
        root_parameters: String::new(),
        recovery: &NoRecovery,
    };
    let created = at_once(create_instance(store.clone(), founding, &world(&chance))).unwrap();
    let after = Seeded::new("after the clone");
    let versions = ["one", "two", "two"].map(|value| {
        let cloned = Arc::new(MemoryStore::with(store.tables().clone()));
        let app = at_once(App::open(cloned.clone(), &root, world(&after))).unwrap();
        let caller = at_once(app.authenticate(created.api_key.reveal(), None, &Cause::default())).unwrap();
        let ask = Ask::new(caller, Cause::default());
        let planned = at_once(app.create_secret(&ask, new_secret(value))).unwrap();
        at_once(app.carry_out(&ask, planned, None)).unwrap();
        cloned.tables().versions[0].clone()
    });
    let [one, two, same] = &versions;
    assert_eq!((one.secret_id, two.secret_id), (two.secret_id, same.secret_id), "ids repeat");
    let [one, two, same] = [one, two, same].map(|version| version.sealed.as_bytes());
    assert_ne!(salt(one), salt(two));
    assert_ne!(commitment(one), commitment(two));
    assert!(two == same, "the same value in the same secret");
}
