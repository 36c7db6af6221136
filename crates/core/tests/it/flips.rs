//! Every bit, every cut, every added byte, every swap: nothing but the
//! untouched blob in its own place opens. The same counting is done over
//! careless openers, which do take altered blobs.

use std::collections::HashSet;
use std::time::Duration;
use strongroom_core::Timestamp;
use strongroom_core::keyring::{KeyOwner, Keyring, Purpose};
use strongroom_core::sealing::Sealed;
use strongroom_core::{SecretId, TeamId};

use crate::independent::{self, BEFORE, HEADER, Id, Key32, gcm_open, gcm_seal};
use crate::support::{
    KnownMaster, Place, opened, sealed_by_us, sealing_key, seeded, seeded_id, seeded_key, seeded_uuid,
};

/// A blob and where it belongs.
struct Blob {
    place: Place,
    bytes: Vec<u8>,
}

const KEY_ID: Id = [0x5a; 16];

fn key() -> Key32 {
    seeded_key("the key under attack")
}

/// How many of these were tried, and how many of them a given opener took.
#[derive(Debug, PartialEq, Eq)]
struct Count {
    tried: usize,
    taken: usize,
}

/// Shows every altered blob to the opener.
fn count<'a>(
    altered: impl Iterator<Item = (&'a Place, Vec<u8>)>,
    opens: impl Fn(&Place, &[u8]) -> bool,
) -> Count {
    let mut count = Count { tried: 0, taken: 0 };
    for (place, bytes) in altered {
        count.tried += 1;
        count.taken += usize::from(opens(place, &bytes));
    }
    count
}

fn bit_flips(blobs: &[Blob]) -> impl Iterator<Item = (&Place, Vec<u8>)> {
    blobs.iter().flat_map(|blob| {
        (0..blob.bytes.len() * 8).map(|bit| {
            let mut bytes = blob.bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            (&blob.place, bytes)
        })
    })
}

/// Every beginning and every end of each blob, but the whole.
fn cuts(blobs: &[Blob]) -> impl Iterator<Item = (&Place, Vec<u8>)> {
    blobs.iter().flat_map(|blob| {
        let heads = (0..blob.bytes.len()).map(|length| &blob.bytes[..length]);
        let tails = (1..=blob.bytes.len()).map(|from| &blob.bytes[from..]);
        heads.chain(tails).map(|piece| (&blob.place, piece.to_vec()))
    })
}

/// Each blob with each byte behind it, before it, and between ciphertext and
/// what is before that.
fn extensions(blobs: &[Blob]) -> impl Iterator<Item = (&Place, Vec<u8>)> {
    blobs.iter().flat_map(|blob| {
        [0, BEFORE, blob.bytes.len()].into_iter().flat_map(move |at| {
            (0..=u8::MAX).map(move |byte| {
                let mut bytes = blob.bytes.clone();
                bytes.insert(at, byte);
                (&blob.place, bytes)
            })
        })
    })
}

/// Each blob in each other one's place.
fn swaps(blobs: &[Blob]) -> impl Iterator<Item = (&Place, Vec<u8>)> {
    blobs.iter().enumerate().flat_map(move |(at, home)| {
        let others = blobs.iter().enumerate().filter(move |(other, _)| *other != at);
        others.map(|(_, other)| (&home.place, other.bytes.clone()))
    })
}

fn untouched(blobs: &[Blob]) -> impl Iterator<Item = (&Place, Vec<u8>)> {
    blobs.iter().map(|blob| (&blob.place, blob.bytes.clone()))
}

/// Places as close to each other as they come: all kinds, neighbouring ids,
/// versions and numbers.
fn places() -> Vec<Place> {
    let ids: Vec<Id> = (0..10_u128).map(u128::to_be_bytes).collect();
    let mut places: Vec<_> = ids.iter().map(Place::master).collect();
    for version in 1..=10 {
        let purposes = Purpose::ALL.into_iter().map(KeyOwner::Purpose);
        let teams = ids[..2].iter().map(|id| KeyOwner::Team(TeamId::from_slice(id).unwrap()));
        places.extend(purposes.chain(teams).map(|owner| Place::key(&ids[0], owner, &ids[0], version)));
    }
    for at in 0..100 {
        let number = u32::try_from(at % 5).unwrap();
        places.push(Place::version(&ids[0], &ids[at / 25], &ids[at / 5 % 5], number));
    }
    places
}

/// One plaintext in each of 200 places, under one key: only the place is left
/// to tell them apart.
fn placed() -> Vec<Blob> {
    let key = sealing_key(&KEY_ID, &key());
    let blob = |place: Place| Blob { bytes: sealed_by_us(&key, &place, &[7; 32]), place };
    places().into_iter().map(blob).collect()
}

/// 50 blobs of 176 to 225 bytes.
fn blobs() -> Vec<Blob> {
    let key = sealing_key(&KEY_ID, &key());
    let blob = |(at, place): (usize, Place)| {
        let plaintext = seeded(&format!("plaintext {at}"), 78 + at);
        Blob { bytes: sealed_by_us(&key, &place, &plaintext), place }
    };
    places().into_iter().step_by(4).enumerate().map(blob).collect()
}

fn ours() -> impl Fn(&Place, &[u8]) -> bool {
    let key = sealing_key(&KEY_ID, &key());
    move |place, bytes| opened(&key, place, bytes).is_some()
}

/// What so many programs do: AES-GCM with a key derived for the record, and
/// nothing about where the record belongs. It keeps the layout, so that the
/// same attacks fit, but looks at neither header nor commitment.
fn careless_key(blob: &[u8]) -> Key32 {
    independent::record_keys(&key(), &blob[HEADER..HEADER + 32], &[], &[]).0
}

fn careless_seal(place: &Place, plaintext: &[u8]) -> Vec<u8> {
    let mut blob = independent::seal(&key(), &KEY_ID, &place.bytes(), &seeded_key("chance"), plaintext);
    blob.truncate(BEFORE);
    blob.extend(gcm_seal(&careless_key(&blob), &[], plaintext));
    blob
}

fn careless_opens(_: &Place, blob: &[u8]) -> bool {
    blob.len() >= BEFORE && gcm_open(&careless_key(blob), &[], &blob[BEFORE..]).is_some()
}

/// A reader that believes whatever has the layout.
fn believes_the_layout(_: &Place, blob: &[u8]) -> bool {
    Sealed::from_bytes(blob.to_vec()).key_id().is_ok()
}

#[test]
fn every_flipped_bit_is_refused() {
    let blobs = blobs();
    assert_eq!(count(untouched(&blobs), ours()), Count { tried: 50, taken: 50 });
    assert_eq!(count(bit_flips(&blobs), ours()), Count { tried: 80_200, taken: 0 });
}

#[test]
fn a_careless_opener_takes_flipped_bits() {
    let place = Place::new("anywhere", &[]);
    let blob = Blob { bytes: careless_seal(&place, b"short"), place };
    assert!(careless_opens(&blob.place, &blob.bytes));
    // It misses all of the header and of the commitment, and nothing else.
    assert_eq!(count(bit_flips(&[blob]), careless_opens).taken, (HEADER + 32) * 8);
}

#[test]
fn every_cut_and_every_added_byte_is_refused() {
    let blobs = blobs();
    let bytes: usize = blobs.iter().map(|blob| blob.bytes.len()).sum();
    assert_eq!(count(cuts(&blobs), ours()), Count { tried: 2 * bytes, taken: 0 });
    assert_eq!(count(extensions(&blobs), ours()), Count { tried: 3 * 256 * 50, taken: 0 });
    assert!(count(cuts(&blobs), believes_the_layout).taken > 1_000);
    assert!(count(extensions(&blobs), believes_the_layout).taken >= 2 * 256 * 50);
}

#[test]
fn every_swap_is_refused() {
    let blobs = placed();
    let distinct: HashSet<_> = blobs.iter().map(|blob| blob.place.bytes()).collect();
    assert_eq!(distinct.len(), 200);
    assert_eq!(count(untouched(&blobs), ours()), Count { tried: 200, taken: 200 });
    assert_eq!(count(swaps(&blobs), ours()), Count { tried: 39_800, taken: 0 });
}

#[test]
fn a_careless_opener_takes_every_swap() {
    let blob = |place: Place| Blob { bytes: careless_seal(&place, &[7; 32]), place };
    let blobs: Vec<_> = places().into_iter().step_by(10).map(blob).collect();
    assert_eq!(count(swaps(&blobs), careless_opens), Count { tried: 380, taken: 380 });
}

#[test]
fn a_record_of_another_format_or_suite_is_refused() {
    let (key, place) = (key(), Place::new("place", &[]));
    let sealer = sealing_key(&KEY_ID, &key);
    // Sealed as a later writer would: everything right but for the two bytes,
    // which it binds like ours.
    let of_suite = |format, suite| {
        let header = [&[format, suite], KEY_ID.as_slice()].concat();
        independent::seal_under_header(&key, &header, &place.bytes(), &[1; 32], b"a value")
    };
    let mut refused = 0;
    for (format, suite) in
        (0..=u8::MAX).flat_map(|byte| [(byte, 1), (1, byte)]).filter(|pair| *pair != (1, 1))
    {
        let blob = of_suite(format, suite);
        assert_eq!(opened(&sealer, &place, &blob), None, "format {format}, suite {suite}");
        assert!(Sealed::from_bytes(blob).key_id().is_err(), "format {format}, suite {suite}");
        refused += 1;
    }
    assert_eq!(refused, 510);
    assert_eq!(opened(&sealer, &place, &of_suite(1, 1)).unwrap(), b"a value");
}

#[test]
fn a_key_of_the_hierarchy_opens_as_nothing_else() {
    let master = KnownMaster::new("flips");
    let teams: Vec<_> = (0..5).map(|at| TeamId::from_uuid(seeded_uuid(&format!("team {at}")))).collect();
    let purposes = Purpose::ALL.into_iter().map(KeyOwner::Purpose);
    let owners = purposes.chain(teams.into_iter().map(KeyOwner::Team));
    let keys: Vec<_> = owners.map(|owner| master.wrap(owner, 1, &seeded_key("one key for all"))).collect();
    let others = master.purposes(&[]);
    let ring = Keyring::new(master.master(), &others, Timestamp::from_millis(0)).unwrap();
    let opens = |key: &strongroom_core::keyring::WrappedKey| match key.owner {
        KeyOwner::Team(team) => ring.admit_team(team, std::slice::from_ref(key), Duration::ZERO).is_ok(),
        KeyOwner::Purpose(_) => {
            let rest = others.iter().filter(|other| other.owner != key.owner);
            let all: Vec<_> = rest.chain([key]).cloned().collect();
            Keyring::new(master.master(), &all, Timestamp::from_millis(0)).is_ok()
        }
        KeyOwner::Master => panic!("a way to a master key is for a master key alone"),
    };
    assert!(keys.iter().all(opens));
    for (home, other) in keys.iter().flat_map(|home| keys.iter().map(move |other| (home, other))) {
        if home.id == other.id {
            continue;
        }
        // The blob alone, and the whole row but for its owner.
        let mut moved = home.clone();
        moved.sealed = other.sealed.clone();
        assert!(!opens(&moved), "{:?} as {:?}", other.owner, home.owner);
        moved.id = other.id;
        assert!(!opens(&moved), "{:?} as {:?} with its id", other.owner, home.owner);
    }
    let mut aged = keys[0].clone();
    aged.version = 2;
    assert!(!opens(&aged), "a key under another version");
}

#[test]
fn a_team_is_not_given_the_keys_of_another() {
    let master = KnownMaster::new("flips");
    let [here, there] = ["here", "there"].map(|label| TeamId::from_uuid(seeded_uuid(label)));
    let ring = master.keyring(&[]);
    let [own, foreign] = [here, there].map(|team| master.wrap(KeyOwner::Team(team), 1, &key()));
    let pepper = master.wrap(KeyOwner::Purpose(Purpose::ApiKeyPepper), 1, &key());
    for keys in [vec![], vec![foreign.clone()], vec![own.clone(), foreign], vec![pepper]] {
        assert!(ring.admit_team(here, &keys, Duration::ZERO).is_err());
        assert!(ring.team_key(here, Duration::ZERO).is_none());
    }
    ring.admit_team(here, std::slice::from_ref(&own), Duration::ZERO).unwrap();
    assert!(
        ring.team_key(here, Duration::ZERO).is_some_and(|key| key.id() == own.id)
            && ring.team_key(there, Duration::ZERO).is_none()
    );
}

/// But for those that came later: it is given keys for them when it is served.
#[test]
fn no_instance_opens_without_a_key_for_each_purpose() {
    let master = KnownMaster::new("flips");
    let all = master.purposes(&[]);
    assert!(Keyring::new(master.master(), &all, Timestamp::from_millis(0)).is_ok());
    let later = [Purpose::SignIn, Purpose::Authority];
    for missing in Purpose::ALL.into_iter().filter(|purpose| !later.contains(purpose)) {
        let rest = all.iter().filter(|key| key.owner != KeyOwner::Purpose(missing)).cloned();
        assert!(
            Keyring::new(master.master(), &rest.collect::<Vec<_>>(), Timestamp::from_millis(0)).is_err(),
            "{missing:?}"
        );
    }
}

#[test]
fn the_constructors_of_places_are_the_crates_own() {
    // The attacks above run in places that the tests build; this ties them to
    // those of the crate.
    let (instance, team, secret) = (seeded_id("instance"), seeded_id("team"), seeded_id("secret"));
    let ids = (
        strongroom_core::InstanceId::from_slice(&instance).unwrap(),
        TeamId::from_slice(&team).unwrap(),
        SecretId::from_slice(&secret).unwrap(),
    );
    let key = sealing_key(&KEY_ID, &key());
    let context = strongroom_core::secrets::Version::context(ids.0, ids.1, ids.2, 70_000);
    let blob = sealed_by_us(&key, &Place::version(&instance, &team, &secret, 70_000), b"x");
    assert!(key.open(&context, &Sealed::from_bytes(blob)).is_ok());
}
