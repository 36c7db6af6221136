//! Sealed records of every kind of context, and of contexts of no kind.

use serde_json::{Value, json};
use std::time::Duration;
use strongroom_core::Timestamp;
use strongroom_core::keyring::{KeyOwner, Keyring, Purpose, WrappedKey};
use strongroom_core::root_key::LocalRootKey;
use strongroom_core::rows::Row as _;
use strongroom_core::sealing::{Sealed, SealingKey};
use strongroom_core::secrets::Version;
use strongroom_core::teams::Team;
use strongroom_core::text::TeamName;
use strongroom_core::tokens::{Token, TokenKind};
use strongroom_core::{InstanceId, KeyId, RootKey as _, SecretId, TeamId};
use uuid::Uuid;

use super::{bytes, id, key, text, vectors};
use crate::independent::{self, Id, Key32, from_hex, to_hex};
use crate::raw::Raw as _;
use crate::support::{
    KnownMaster, NOW, Place, Scripted, at_once, opened, sealed_with, sealing_key, seeded, seeded_id,
    seeded_key, seeded_uuid,
};

/// A sealed record and all that went into it.
struct Record {
    place: Place,
    key: Key32,
    key_id: Id,
    random: Key32,
    plaintext: Vec<u8>,
    sealed: Vec<u8>,
}

impl Record {
    fn read(vector: &Value) -> Self {
        let fields = vector["fields"].as_array().unwrap().iter();
        let fields = fields.map(|field| from_hex(field.as_str().unwrap())).collect();
        Self {
            place: Place { label: text(vector, "label").to_owned(), fields },
            key: key(vector, "key"),
            key_id: id(vector, "key_id"),
            random: key(vector, "random"),
            plaintext: bytes(vector, "plaintext"),
            sealed: bytes(vector, "sealed"),
        }
    }

    fn written(name: &str, place: &Place, key: Key32, key_id: Id, plaintext: &[u8]) -> Value {
        let random = seeded_key(&format!("{name}/random"));
        let sealed = independent::seal(&key, &key_id, &place.bytes(), &random, plaintext);
        json!({
            "name": name,
            "label": place.label,
            "fields": place.fields.iter().map(|field| to_hex(field)).collect::<Vec<_>>(),
            "key": to_hex(&key),
            "key_id": to_hex(&key_id),
            "random": to_hex(&random),
            "plaintext": to_hex(plaintext),
            "sealed": to_hex(&sealed),
        })
    }

    fn sealer(&self) -> SealingKey {
        sealing_key(&self.key_id, &self.key)
    }

    fn stored(&self) -> Sealed {
        Sealed::from_bytes(self.sealed.clone())
    }

    fn id_field(&self, at: usize) -> Uuid {
        Uuid::from_slice(&self.place.fields[at]).unwrap()
    }

    fn instance(&self) -> InstanceId {
        InstanceId::from_uuid(self.id_field(0))
    }
}

/// Plaintexts around every border: nothing, AES blocks, hash blocks, the
/// largest value of ASCII.
const SIZES: [usize; 20] =
    [0, 1, 2, 7, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 127, 128, 129, 255, 1024, 65_536];

pub(super) fn write() -> Vec<Value> {
    let mut records = Vec::new();
    for (at, size) in SIZES.into_iter().enumerate() {
        let seed = |what: &str| format!("version {at}/{what}");
        let ids = ["instance", "team", "secret"].map(|what| seeded_id(&seed(what)));
        let number = [1, 2, 255, 256, 65_536, u32::MAX][at % 6];
        let place = Place::version(&ids[0], &ids[1], &ids[2], number);
        let (key, key_id) = (seeded_key(&seed("key")), seeded_id(&seed("key id")));
        let name = format!("a version of {size} bytes");
        records.push(Record::written(&name, &place, key, key_id, &seeded(&seed("plaintext"), size)));
    }
    for at in 0..10 {
        let seed = |what: &str| format!("master {at}/{what}");
        let root = seeded_key(&seed("root"));
        let place = Place::master(&seeded_id(&seed("instance")));
        let root_key_id = independent::root_key_id(&root);
        let name = format!("master key {at}");
        records.push(Record::written(&name, &place, root, root_key_id, &seeded_key(&seed("master"))));
    }
    for at in 0..40_u16 {
        let seed = |what: &str| format!("key {at}/{what}");
        let purpose = Purpose::ALL.into_iter().nth(usize::from(at % 8));
        let team = TeamId::from_uuid(seeded_uuid(&seed("team")));
        let owner = purpose.map_or(KeyOwner::Team(team), KeyOwner::Purpose);
        let version = [1, 1, 2, 256, u16::MAX][usize::from(at / 8)];
        let place = Place::key(&seeded_id(&seed("instance")), owner, &seeded_id(&seed("id")), version);
        let name = format!("{} key, version {version} ({at})", owner.name());
        let (master, secret) = (seeded_key(&seed("master")), seeded_key(&seed("secret")));
        records.push(Record::written(&name, &place, master, [0; 16], &secret));
    }
    // Contexts of no kind in use: what a field may be at all.
    let fields: [&[&[u8]]; 6] = [&[], &[b""], &[b"", b""], &[b"a", b"bc"], &[b"ab", b"c"], &[&[0xFF; 300]]];
    for (at, (label, fields)) in
        ["", "a", "label.v1"].into_iter().flat_map(|label| fields.map(|fields| (label, fields))).enumerate()
    {
        let name = format!("other context {at}");
        let place = Place::new(label, fields);
        let (key, key_id) = (seeded_key(&name), [0xFF; 16]);
        records.push(Record::written(&name, &place, key, key_id, &seeded(&name, at * 3)));
    }
    records
}

#[test]
fn records_open_and_seal_as_they_did() {
    for vector in vectors("records") {
        let (name, record) = (text(&vector, "name"), Record::read(&vector));
        assert_eq!(record.stored().key_id().unwrap().as_bytes(), &record.key_id, "{name}");
        assert!(
            opened(&record.sealer(), &record.place, &record.sealed).as_ref() == Some(&record.plaintext),
            "{name}"
        );
        let chance = Scripted::new(&record.random);
        let sealed = sealed_with(&record.sealer(), &record.place, &record.plaintext, &chance);
        assert!(sealed == record.sealed && chance.used_up(), "{name}");
    }
}

#[test]
fn records_open_in_the_other_library() {
    for vector in vectors("records") {
        let (name, record) = (text(&vector, "name"), Record::read(&vector));
        let plaintext = independent::open(&record.key, &record.place.bytes(), &record.sealed);
        assert!(plaintext == Ok(record.plaintext), "{name}");
    }
}

/// Each record again, by way of the function that has it to do in a running
/// instance.
#[test]
fn records_open_where_they_are_used() {
    let mut seen = [0; 3];
    for vector in vectors("records") {
        let (name, record) = (text(&vector, "name"), Record::read(&vector));
        match record.place.label.as_str() {
            "strongroom.master.v1" => {
                seen[0] += 1;
                as_master(name, &record);
            }
            "strongroom.key.v1" => {
                seen[1] += 1;
                as_key(name, &record);
            }
            "strongroom.version.v1" => {
                seen[2] += 1;
                let number = u32::from_be_bytes(record.place.fields[3].clone().try_into().unwrap());
                let (team, secret) = (record.id_field(1), record.id_field(2));
                let (team, secret) = (TeamId::from_uuid(team), SecretId::from_uuid(secret));
                let context = Version::context(record.instance(), team, secret, number);
                let plain = record.sealer().open(&context, &record.stored()).unwrap();
                assert!(*plain == record.plaintext, "{name}");
            }
            _ => {}
        }
    }
    assert!(seen.iter().all(|count| *count >= 10), "of some kind there are too few: {seen:?}");
}

fn as_master(name: &str, record: &Record) {
    let root = LocalRootKey::take("file", &mut record.key.clone());
    assert_eq!(root.id().as_bytes(), &record.key_id, "{name}");
    let master = at_once(root.unwrap(record.instance(), &record.stored())).unwrap();
    assert_eq!(*master, record.plaintext, "{name}");
    let chance = Scripted::new(&record.random);
    let wrapped = at_once(root.wrap(record.instance(), master, &chance)).unwrap();
    assert_eq!(wrapped.as_bytes(), record.sealed, "{name}");
}

fn as_key(name: &str, record: &Record) {
    let master = KnownMaster { instance: *record.instance().as_bytes(), key: record.key };
    let team = Uuid::from_slice(&record.place.fields[2]).ok().map(TeamId::from_uuid);
    let owner = std::str::from_utf8(&record.place.fields[1]).unwrap();
    let wrapped = WrappedKey {
        id: KeyId::from_uuid(record.id_field(3)),
        owner: KeyOwner::from_name(owner, team).unwrap(),
        version: u16::from_be_bytes(record.place.fields[4].clone().try_into().unwrap()),
        sealed: record.stored(),
        created_at: NOW,
    };
    let secret: Key32 = record.plaintext.clone().try_into().unwrap();
    if wrapped.version == 1 {
        let chance = Scripted::new(&[record.plaintext.as_slice(), &record.random].concat());
        let again = master.master().new_key(wrapped.id, wrapped.owner, NOW, &chance);
        assert_eq!(again.sealed.as_bytes(), record.sealed, "{name}");
    }
    let others = master.purposes(&[]).into_iter().filter(|other| other.owner != wrapped.owner);
    let ring = Keyring::new(
        master.master(),
        &others.chain([wrapped.clone()]).collect::<Vec<_>>(),
        Timestamp::from_millis(0),
    );
    does_its_work(name, &ring.unwrap(), &wrapped, &secret);
}

/// Shows that an opened key is the right one by what it makes. What the last
/// four make is no record of a vector.
fn does_its_work(name: &str, ring: &Keyring, wrapped: &WrappedKey, secret: &Key32) {
    match wrapped.owner {
        KeyOwner::Team(team) => {
            let (place, id) = (Place::new("probe", &[]), *wrapped.id.as_bytes());
            let blob = independent::seal(secret, &id, &place.bytes(), &[0; 32], b"probe");
            let key = ring.admit_team(team, std::slice::from_ref(wrapped), Duration::ZERO).unwrap();
            assert_eq!(opened(&key, &place, &blob).unwrap(), b"probe", "{name}");
        }
        KeyOwner::Purpose(Purpose::RowMac) => {
            let team = Team {
                id: TeamId::from_uuid(Uuid::nil()),
                name: TeamName::parse("T").unwrap(),
                created_at: NOW,
                deleted_at: None,
                shredded_at: None,
                fills_by_link_since: None,
            };
            let (columns, instance) = (team.columns(), *ring.instance().as_bytes());
            let mac = independent::row_mac(secret, wrapped.version, &instance, Team::TABLE, &columns);
            assert_eq!(ring.authenticate(team).mac().as_bytes().as_slice(), mac, "{name}");
        }
        KeyOwner::Purpose(Purpose::ApiKeyPepper) => {
            let token = Token::mint(TokenKind::ApiKey, Uuid::nil(), &Scripted::new(&[0; 32]));
            let hash = independent::token_hash(secret, wrapped.version, token.reveal());
            assert_eq!(ring.hash(&token).as_bytes().as_slice(), hash, "{name}");
        }
        KeyOwner::Purpose(
            Purpose::Idempotency
            | Purpose::Cookies
            | Purpose::AuditSigning
            | Purpose::SignIn
            | Purpose::Authority,
        )
        | KeyOwner::Master => {}
    }
}
