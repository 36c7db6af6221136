//! Whole instances across the two implementations: what is created through the
//! public API is read by the independent reader from the root key's bytes and
//! the stored columns alone, and the other way round.

use std::sync::{Arc, Mutex};
use strongroom_core::api_keys::ApiKey;
use strongroom_core::app::{
    Ask, BrokerAddress, Cause, Created, Founding, NewRun, OpenError, Recovery, RecoveryError, StartedRun,
    World, create_instance,
};
use strongroom_core::instance::Instance;
use strongroom_core::keyring::{KeyOwner, Purpose};
use strongroom_core::placeholders::placeholders;
use strongroom_core::root_key::{LocalRootKey, RootKeyError};
use strongroom_core::rows::{RowMac, Stored};
use strongroom_core::runs::RunMode;
use strongroom_core::sealing::Sealed;
use strongroom_core::secrets::{Filter, NewSecret, Secret, Version};
use strongroom_core::teams::Team;
use strongroom_core::text::{AgentName, Email, KeyName, RevisionName, RunNote, TeamName, UserName};
use strongroom_core::tokens::TokenHash;
use strongroom_core::users::{Membership, User};
use strongroom_core::{
    ApiKeyId, App, Bundle, EnvKey, Grant, KeyId, OsRandom, Role, RootKey as _, Scope, SecretId, SecretName,
    SecretValue, ServiceSlug, TeamId, Timestamp, UserId,
};
use uuid::Uuid;

use crate::independent::{self, Id, Key32, Refused};
use crate::memory_store::{MemoryStore, Tables};
use crate::raw::{Raw, RawRow};
use crate::support::{KnownMaster, NOW, Place, StoppedClock, at_once, seeded_key, seeded_uuid};

const ROOT_KEY_FILE: &str =
    "strongroom-root-key-v1:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";

fn root_key() -> Key32 {
    independent::root_key_file(ROOT_KEY_FILE)
}

fn local_root_key() -> LocalRootKey {
    LocalRootKey::take("file", &mut root_key())
}

fn world() -> World {
    World { clock: Arc::new(StoppedClock), random: Arc::new(OsRandom) }
}

/// "Encrypts" to somebody who keeps the bytes to compare them.
#[derive(Default)]
struct Witness(Mutex<Vec<u8>>);

impl Recovery for Witness {
    fn recipient(&self) -> String {
        "witness".to_owned()
    }

    fn encrypt(&self, master: &[u8]) -> Result<Vec<u8>, RecoveryError> {
        *self.0.lock().unwrap() = master.to_vec();
        Ok(b"an age file".to_vec())
    }
}

type Variables = Vec<(String, Vec<u8>)>;

fn variables(pairs: &[(&str, &str)]) -> Variables {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect()
}

/// Bundles of every shape: none, one, many, the longest name, the longest
/// value, text of every width.
fn bundles() -> Vec<Variables> {
    let many: Vec<_> = (0..256).map(|at| (format!("KEY_{at}"), format!("value {at}"))).collect();
    let many: Vec<_> = many.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    vec![
        variables(&[]),
        variables(&[("A", "1")]),
        variables(&[("Z", "last name first"), ("A", "then another"), ("_", "…")]),
        variables(&[("STRIPE_API_KEY", "sk_live_\"\\é🔑\n=end")]),
        variables(&[(&"N".repeat(128), &"🔑".repeat(65_536))]),
        variables(&many),
    ]
}

fn bundle(variables: &Variables) -> Bundle {
    let entry = |(name, value): &(String, Vec<u8>)| {
        let value = SecretValue::parse(String::from_utf8(value.clone()).unwrap()).unwrap();
        (EnvKey::parse(name.as_str()).unwrap(), value)
    };
    Bundle::new(variables.iter().map(entry).collect()).unwrap()
}

/// An instance with a secret for each of [`bundles`], every other one shared
/// and of a service.
fn instance_with_secrets(recovery: &Witness) -> (Arc<MemoryStore>, Created) {
    let store = Arc::new(MemoryStore::default());
    let root = local_root_key();
    let founding = Founding {
        team: TeamName::parse("Équipe").unwrap(),
        email: Email::parse("ada@example.com").unwrap(),
        root: &root,
        root_parameters: String::new(),
        recovery,
    };
    let created = at_once(create_instance(store.clone(), founding, &world())).unwrap();
    let app = at_once(App::open(store.clone(), &root, world())).unwrap();
    let caller = at_once(app.authenticate(created.api_key.reveal(), None, &Cause::default())).unwrap();
    let ask = Ask::new(caller, Cause::default());
    for (at, variables) in bundles().iter().enumerate() {
        let new = NewSecret {
            name: SecretName::parse(format!("secret {at}")).unwrap(),
            service_slug: at.is_multiple_of(2).then(|| ServiceSlug::parse("stripe").unwrap()),
            shared: at.is_multiple_of(2),
            values: bundle(variables),
        };
        let planned = at_once(app.create_secret(&ask, new)).unwrap();
        at_once(app.carry_out(&ask, planned, None)).unwrap();
    }
    (store, created)
}

/// A key as the stranger opened it.
struct OpenedKey {
    owner: &'static str,
    team: Option<Id>,
    id: Id,
    version: u16,
    key: Key32,
}

/// Somebody with the database, the root key and the reference page.
struct Stranger {
    instance: Id,
    master: Key32,
    keys: Vec<OpenedKey>,
}

impl Stranger {
    fn enter(root_key: &Key32, tables: &Tables) -> Self {
        let row = tables.instance.as_ref().unwrap().row();
        let instance = *row.id.as_bytes();
        assert_eq!(row.root_key_id.as_bytes(), &independent::root_key_id(root_key));
        let master = row.master.as_bytes();
        assert_eq!(independent::key_id_of(master), independent::root_key_id(root_key));
        let master = independent::open(root_key, &independent::master_context(&instance), master).unwrap();
        let mut stranger = Self { instance, master: master.try_into().unwrap(), keys: Vec::new() };
        stranger.keys = tables.keys.iter().map(|row| stranger.open_key(row)).collect();
        stranger
    }

    fn open_key(&self, row: &strongroom_core::keyring::WrappedKey) -> OpenedKey {
        let (owner, id, version) = (row.owner.name(), *row.id.as_bytes(), row.version);
        let team = row.owner.team().map(|team| *team.as_bytes());
        let context = independent::key_context(&self.instance, owner, team.as_ref(), &id, version);
        assert_eq!(independent::key_id_of(row.sealed.as_bytes()), [0; 16]);
        let key = independent::open(&self.master, &context, row.sealed.as_bytes()).unwrap();
        OpenedKey { owner, team, id, version, key: key.try_into().unwrap() }
    }

    /// The key of this purpose that a MAC or a hash names in its first two
    /// bytes.
    fn purpose_key(&self, purpose: &str, mac: &[u8]) -> &Key32 {
        let version = independent::version_of(mac);
        &self.keys.iter().find(|key| (key.owner, key.version) == (purpose, version)).unwrap().key
    }

    fn open_version(&self, team: &Id, version: &Version) -> Result<Variables, Refused> {
        let blob = version.sealed.as_bytes();
        let is_sealer = |key: &&OpenedKey| key.team == Some(*team) && key.id == independent::key_id_of(blob);
        let key = &self.keys.iter().find(is_sealer).unwrap().key;
        let secret = version.secret_id.as_bytes();
        let context = independent::version_context(&self.instance, team, secret, version.number);
        independent::open(key, &context, blob).map(|plaintext| independent::bundle(&plaintext))
    }

    fn holds(&self, row: &RawRow) -> bool {
        row.mac(self.purpose_key("row_mac", &row.row_mac), &self.instance) == row.row_mac
    }
}

fn raw_rows(tables: &Tables) -> Vec<RawRow> {
    let mut rows: Vec<_> = tables.instance.iter().map(RawRow::of).collect();
    rows.extend(tables.teams.iter().map(RawRow::of));
    rows.extend(tables.users.iter().map(RawRow::of));
    rows.extend(tables.memberships.iter().map(RawRow::of));
    rows.extend(tables.api_keys.iter().map(RawRow::of));
    rows.extend(tables.secrets.iter().map(RawRow::of));
    rows.extend(tables.agents.iter().map(RawRow::of));
    rows.extend(tables.revisions.iter().map(RawRow::of));
    rows.extend(tables.attachments.iter().map(RawRow::of));
    rows.extend(tables.runs.iter().map(RawRow::of));
    rows
}

/// Starts a run of an agent with every secret, for a broker.
fn with_a_run(store: &Arc<MemoryStore>, created: &Created) -> StartedRun {
    let app = at_once(App::open(store.clone(), &local_root_key(), world())).unwrap();
    let broker = BrokerAddress { url: "http://127.0.0.1:1".to_owned(), ca: String::new() };
    let app = app.with_broker(Some(broker));
    let caller = at_once(app.authenticate(created.api_key.reveal(), None, &Cause::default())).unwrap();
    let ask = Ask::new(caller, Cause::default());
    let agent = app.create_agent(&ask, AgentName::parse("Kurier").unwrap()).unwrap();
    let agent = at_once(app.carry_out(&ask, agent, None)).unwrap().id;
    let name = RevisionName::parse("first").unwrap();
    let revision = at_once(app.create_revision(&ask, agent, &name)).unwrap();
    let revision = at_once(app.carry_out(&ask, revision, None)).unwrap().0.id;
    let secrets: Vec<_> = store.tables().secrets.iter().map(|secret| secret.row().id).collect();
    for secret in secrets {
        let planned = at_once(app.attach_secret(&ask, (agent, revision), secret)).unwrap();
        at_once(app.carry_out(&ask, planned, None)).unwrap();
    }
    let note = Some(RunNote::parse("…").unwrap());
    let new = NewRun { agent, revision: None, strict: false, note, lease: 60, mode: RunMode::Broker };
    let planned = at_once(app.start_run(&ask, &new)).unwrap();
    at_once(app.carry_out(&ask, planned, None)).unwrap()
}

#[test]
fn a_stranger_with_the_root_key_and_the_page_reads_everything() {
    let recovery = Witness::default();
    let (store, created) = instance_with_secrets(&recovery);
    let run = with_a_run(&store, &created);
    let tables = store.tables();
    let stranger = Stranger::enter(&root_key(), &tables);
    assert_eq!(stranger.master.as_slice(), *recovery.0.lock().unwrap(), "recovery gives the master key");
    let owners: Vec<_> = stranger.keys.iter().map(|key| key.owner).collect();
    let purposes = Purpose::ALL.map(Purpose::name);
    assert_eq!(owners, [&purposes[..], &["team"]].concat());

    for row in raw_rows(&tables) {
        assert!(stranger.holds(&row), "a MAC of {}", row.table);
    }
    let (api_key, run_row) = (RawRow::of(&tables.api_keys[0]), RawRow::of(&tables.runs[0]));
    let tokens = [
        (&api_key, "token_hash", &created.api_key),
        (&run_row, "token_hash", &run.token),
        (&run_row, "broker_hash", run.broker_token.as_ref().unwrap()),
    ];
    for (row, column, token) in tokens {
        let kept = row.column(column).unwrap();
        let pepper = stranger.purpose_key("api_key_pepper", kept);
        let hash = independent::token_hash(pepper, independent::version_of(kept), token.reveal());
        assert_eq!(hash, kept);
        assert_eq!(&row.id("id"), token.id().as_bytes());
    }
    let secrets: Vec<_> = tables.secrets.iter().map(Stored::row).collect();
    let placeholders = placeholders(&run.run, secrets.iter().copied());
    let mut generic = placeholders.iter().filter(|one| one.text.starts_with("srp_")).peekable();
    assert!(generic.peek().is_some());
    for one in generic {
        let info = [&one.secret_id.as_bytes()[..], one.env_key.as_str().as_bytes()].concat();
        let hash = run_row.column("broker_hash").unwrap();
        let secret = independent::hkdf(hash, b"strongroom.placeholder.v1", &info);
        assert_eq!(one.text, independent::token("srp_", &run_row.id("id"), &secret));
    }
    let received: Vec<_> = run_row.text("composition").lines().map(|line| line[..36].to_owned()).collect();
    assert_eq!(received.len(), bundles().len());
    let is_received = |secret: &Stored<Secret>| received.contains(&secret.row().id.to_string());
    assert!(tables.secrets.iter().all(is_received));

    assert_eq!(tables.versions.len(), bundles().len());
    for ((secret, version), given) in tables.secrets.iter().zip(&tables.versions).zip(bundles()) {
        let secret = RawRow::of(secret);
        assert_eq!(version.secret_id.as_bytes(), &secret.id("id"));
        let read = stranger.open_version(&secret.id("team_id"), version).unwrap();
        assert!(read == given, "other variables than were given");
        let names: Vec<_> = read.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names.join("\n"), secret.text("env_keys"));
    }
}

#[test]
fn the_events_carry_the_macs_of_their_rows() {
    let (store, _) = instance_with_secrets(&Witness::default());
    let tables = store.tables();
    let events: Vec<_> = tables.events.iter().filter_map(|event| event.object.mac).collect();
    let rows: Vec<_> = tables.secrets.iter().map(Stored::mac).collect();
    assert_eq!((events.len(), events), (bundles().len(), rows));
}

#[test]
fn the_stranger_too_refuses_what_was_moved() {
    let (store, _) = instance_with_secrets(&Witness::default());
    let tables = store.tables();
    let stranger = Stranger::enter(&root_key(), &tables);
    let team = *tables.secrets[1].row().team_id.as_bytes();
    let moved = Version { secret_id: tables.secrets[0].row().id, ..tables.versions[1].clone() };
    assert_eq!(stranger.open_version(&team, &moved), Err(Refused::Commitment));
    let mut row = RawRow::of(&tables.secrets[1]);
    row.row_mac = RawRow::of(&tables.secrets[0]).row_mac;
    assert!(!stranger.holds(&row), "the MAC of another secret's row");
}

/// The ids and keys of an instance that the crate under test had no part in.
struct Foreign {
    master: KnownMaster,
    row_mac: Key32,
    pepper: Key32,
    team_key: Key32,
    token: String,
    key_id: Uuid,
}

impl Foreign {
    fn new() -> Self {
        let key_id = seeded_uuid("api key");
        Self {
            master: KnownMaster::new("foreign"),
            row_mac: seeded_key("foreign row_mac"),
            pepper: seeded_key("foreign pepper"),
            team_key: seeded_key("foreign team"),
            token: independent::token("srk_", key_id.as_bytes(), &seeded_key("token")),
            key_id,
        }
    }

    fn team_id() -> TeamId {
        TeamId::from_uuid(seeded_uuid("team"))
    }

    fn user_id() -> UserId {
        UserId::from_uuid(seeded_uuid("user"))
    }

    /// A row with the independent writer's MAC.
    fn row<T: Raw>(&self, row: T) -> Stored<T> {
        let mac = independent::row_mac(&self.row_mac, 7, &self.master.instance, T::TABLE, &row.columns());
        Stored::unproven(row, RowMac::from_slice(&mac).unwrap())
    }

    fn instance(&self) -> Instance {
        let context = independent::master_context(&self.master.instance);
        let root_key_id = independent::root_key_id(&root_key());
        let master =
            independent::seal(&root_key(), &root_key_id, &context, &seeded_key("salt"), &self.master.key);
        Instance {
            id: self.master.instance_id(),
            root_provider: "file".to_owned(),
            root_parameters: String::new(),
            root_key_id: KeyId::from_uuid(Uuid::from_bytes(root_key_id)),
            master: Sealed::from_bytes(master),
            recovery_recipient: String::new(),
            recovery: Vec::new(),
            created_at: NOW,
        }
    }

    fn api_key(&self) -> ApiKey {
        let hash = independent::token_hash(&self.pepper, 3, &self.token);
        ApiKey {
            id: ApiKeyId::from_uuid(self.key_id),
            team_id: Self::team_id(),
            user_id: Self::user_id(),
            name: KeyName::parse("foreign").unwrap(),
            grant: Grant {
                role: Role::Manager,
                scopes: [Scope::SecretsRead, Scope::SecretsWrite].into_iter().collect(),
                agents: None,
                networks: None,
                expires_at: None,
            },
            token_hash: TokenHash::from_slice(&hash).unwrap(),
            created_by: None,
            created_at: NOW,
            revoked_at: None,
        }
    }

    fn secret(at: usize, variables: &Variables) -> Secret {
        Secret {
            id: SecretId::from_uuid(seeded_uuid(&format!("secret {at}"))),
            team_id: Self::team_id(),
            owner: at.is_multiple_of(2).then(Self::user_id),
            name: SecretName::parse("foreign").unwrap(),
            service_slug: None,
            env_keys: variables.iter().map(|(name, _)| EnvKey::parse(name.as_str()).unwrap()).collect(),
            version: u32::try_from(at).unwrap() + 1,
            created_by: Self::user_id(),
            created_at: NOW,
            updated_at: NOW,
            deleted_at: None,
            policy: None,
        }
    }

    fn version(&self, team_key_id: &Id, secret: &Secret, variables: &Variables) -> Version {
        let (team, id) = (secret.team_id.as_bytes(), secret.id.as_bytes());
        let place = Place::version(&self.master.instance, team, id, secret.version);
        let plaintext = independent::bundle_plaintext(variables);
        let chance = seeded_key("chance");
        let blob = independent::seal(&self.team_key, team_key_id, &place.bytes(), &chance, &plaintext);
        Version {
            secret_id: secret.id,
            number: secret.version,
            sealed: Sealed::from_bytes(blob),
            created_by: secret.created_by,
            created_at: NOW,
        }
    }

    fn tables(&self) -> Tables {
        let (team_id, user_id) = (Self::team_id(), Self::user_id());
        let named = [(Purpose::RowMac, 7, self.row_mac), (Purpose::ApiKeyPepper, 3, self.pepper)];
        let team_key = self.master.wrap(KeyOwner::Team(team_id), 2, &self.team_key);
        let user = User {
            id: user_id,
            name: UserName::parse("Ada").unwrap(),
            email: None,
            created_at: NOW,
            disabled_at: None,
            service_of: None,
        };
        let team = Team {
            id: team_id,
            name: TeamName::parse("T").unwrap(),
            created_at: NOW,
            deleted_at: None,
            shredded_at: None,
            fills_by_link_since: None,
        };
        let (role, created_at) = (Role::Owner, NOW);
        let membership = Membership { team_id, user_id, role, created_at, removed_at: None, sign_in: None };
        let secrets: Vec<_> = bundles().iter().enumerate().map(|(at, v)| Self::secret(at, v)).collect();
        let version = |(secret, variables)| self.version(team_key.id.as_bytes(), secret, variables);
        Tables {
            instance: Some(self.row(self.instance())),
            versions: secrets.iter().zip(&bundles()).map(version).collect(),
            keys: self.master.purposes(&named).into_iter().chain([team_key.clone()]).collect(),
            teams: vec![self.row(team)],
            users: vec![self.row(user)],
            memberships: vec![self.row(membership)],
            api_keys: vec![self.row(self.api_key())],
            secrets: secrets.into_iter().map(|secret| self.row(secret)).collect(),
            ..Tables::default()
        }
    }
}

fn open(tables: Tables) -> Result<App, OpenError> {
    at_once(App::open(Arc::new(MemoryStore::with(tables)), &local_root_key(), world()))
}

#[test]
fn an_instance_of_the_independent_writer_opens_here() {
    let foreign = Foreign::new();
    let app = open(foreign.tables()).unwrap();
    let caller = at_once(app.authenticate(&foreign.token, None, &Cause::default())).unwrap();
    assert_eq!((caller.team_id, caller.grant.role), (Foreign::team_id(), Role::Manager));
    let ask = Ask::new(caller, Cause::default());
    let page = at_once(app.secrets_after(&ask, None, &Filter::default(), 100)).unwrap();
    assert_eq!(page.secrets.len(), bundles().len());
    let verified = at_once(app.verify(|| {})).unwrap();
    assert_eq!(verified.findings, []);
    assert_eq!(verified.rows, 8 + 4 + 2 * u64::try_from(bundles().len()).unwrap());
}

#[test]
fn every_blob_of_an_instance_that_is_swapped_is_found() {
    let untouched = Foreign::new().tables();
    for (one, other) in [(0, 1), (2, 5)] {
        let mut tables = untouched.clone();
        let sealed = tables.versions[one].sealed.clone();
        tables.versions[one].sealed = std::mem::replace(&mut tables.versions[other].sealed, sealed);
        let verified = at_once(open(tables).unwrap().verify(|| {})).unwrap();
        let tables: Vec<_> = verified.findings.iter().map(|finding| finding.table).collect();
        assert_eq!(tables, ["versions", "versions"]);
    }
    for one in 0..5 {
        let mut tables = untouched.clone();
        let sealed = tables.keys[one].sealed.clone();
        tables.keys[one].sealed = std::mem::replace(&mut tables.keys[one + 1].sealed, sealed);
        assert!(matches!(open(tables), Err(OpenError::Integrity(_))), "key {one}");
    }
}

/// Only the keys of the instance can make such a row; the blob is the second
/// witness.
#[test]
fn names_that_are_not_the_sealed_ones_are_found() {
    let foreign = Foreign::new();
    let mut tables = foreign.tables();
    let mut secret = tables.secrets[2].row().clone();
    secret.env_keys.swap(0, 1);
    tables.secrets[2] = foreign.row(secret);
    let verified = at_once(open(tables).unwrap().verify(|| {})).unwrap();
    let found: Vec<_> = verified.findings.iter().map(|finding| finding.table).collect();
    assert_eq!(found, ["versions"]);
}

#[test]
fn the_master_key_of_another_instance_is_refused() {
    let foreign = Foreign::new();
    let mut tables = foreign.tables();
    let (other, _) = instance_with_secrets(&Witness::default());
    let master = other.tables().instance.as_ref().unwrap().row().master.clone();
    tables.instance = Some(foreign.row(Instance { master, ..foreign.instance() }));
    assert!(matches!(open(tables), Err(OpenError::RootKey(RootKeyError::Integrity))));
}

/// Otherwise a database writer would have the next backup encrypted to a
/// recipient of theirs.
#[test]
fn an_altered_instance_row_is_refused() {
    let foreign = Foreign::new();
    let changes: [fn(&mut Instance); 4] = [
        |instance| instance.recovery_recipient = "age1theirs".to_owned(),
        |instance| instance.recovery = vec![7],
        |instance| instance.root_parameters = "other".to_owned(),
        |instance| instance.created_at = Timestamp::from_millis(7),
    ];
    for change in changes {
        let mut tables = foreign.tables();
        let mac = foreign.row(foreign.instance()).mac();
        let mut instance = foreign.instance();
        change(&mut instance);
        tables.instance = Some(Stored::unproven(instance, mac));
        assert!(matches!(open(tables), Err(OpenError::Integrity(_))));
    }
    assert!(open(foreign.tables()).is_ok(), "the control");
}

#[test]
fn another_root_key_is_named_before_anything_is_opened() {
    let store = Arc::new(MemoryStore::with(Foreign::new().tables()));
    let another = LocalRootKey::take("file", &mut seeded_key("another root key"));
    let refused = at_once(App::open(store, &another, world()));
    let Err(OpenError::WrongRootKey { expected, given, .. }) = refused else { panic!("it opened") };
    assert_eq!((expected, given), (local_root_key().id(), another.id()));
}
