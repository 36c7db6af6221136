//! An instance goes to another database and back: nothing is lost on the way, no
//! value changes, and nobody can serve half of it.

use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use strongroom_testbed::{Cluster, Database};

use crate::harness::{BINARY, Client, Ended, Place, chmod, clean, eventually, run, wait};
use crate::pages::{Visitor, link};

/// An instance with something in every table, and a run's token.
pub(crate) struct Instance {
    pub(crate) place: Place,
    pub(crate) key: String,
    pub(crate) run: String,
    secret: String,
}

/// How `copy` is told of a place's data directory.
pub(crate) fn at(place: &Place) -> String {
    format!("sqlite:{}", place.data().display())
}

/// A directory with nothing in it.
pub(crate) fn empty() -> Place {
    let place = Place::new();
    fs::create_dir(place.data()).unwrap();
    chmod(&place.data(), 0o700);
    place
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

impl Instance {
    pub(crate) fn new() -> Self {
        let (place, key) = Place::with_instance();
        let server = place.serve();
        let (run, secret) = filled(&mut server.client(&key));
        people(&mut Visitor::new(&place, &server), &link(&place, &server));
        server.stop();
        let passphrase = place.private("passphrase", "correct horse battery staple\n");
        let data_dir = place.data().display().to_string();
        let added = ["keys", "add-root", "passphrase", "--new-passphrase-file", &passphrase];
        crate::harness::run(clean(BINARY).args(added).args(["--data-dir", &data_dir])).done();
        let sink = "INSERT INTO audit_sinks (name, leaf) VALUES ('stdout', 3)";
        rusqlite::Connection::open(place.database()).unwrap().execute(sink, []).unwrap();
        Self { place, key, run, secret }
    }

    fn at(&self) -> String {
        at(&self.place)
    }

    /// A directory with the same root key and nothing else.
    pub(crate) fn elsewhere(&self) -> Place {
        let place = empty();
        fs::copy(self.place.data().join("root.key"), place.data().join("root.key")).unwrap();
        place
    }

    /// Each row of each table, as the database has it.
    pub(crate) fn rows(&self) -> Vec<String> {
        rows(&self.place.database())
    }

    /// What a client and a run get from a server, which must be what they got before.
    pub(crate) fn is_served(&self, client: &mut Client, run: &mut Client) {
        let versions = client.get(&format!("/v2/credentials/{}/versions", self.secret)).json();
        assert_eq!(versions.as_array().unwrap().len(), 2, "{versions}");
        let environment = run.get("/v2/run/environment");
        assert_eq!(
            environment.json()["environment"],
            json!({"GREETING": "grüß dich 🔑"}),
            "{}",
            environment.body
        );
        let made = client.post("/v1/credentials", r#"{"name": "new", "values": {"A": "b"}}"#);
        assert_eq!(made.status, 201, "{}", made.body);
    }
}

/// Puts something into every table.
fn filled(client: &mut Client) -> (String, String) {
    let made = client.post(
        "/v1/credentials",
        &json!({"name": "Ärger ✓", "shared": true, "values": {"GREETING": "hallo"}}).to_string(),
    );
    let (secret, team) = (text(&made.json()["id"]), text(&made.json()["team_id"]));
    let path = format!("/v2/credentials/{secret}");
    let changed = json!({"values": {"GREETING": "grüß dich 🔑"}}).to_string();
    assert_eq!(client.request("PATCH", &path, &changed).unwrap().status, 200);
    // As large as it may be, one that is deleted, and many.
    let largest = json!({"name": "large", "values": {"A": "a".repeat(60_000)}}).to_string();
    assert_eq!(client.post("/v1/credentials", &largest).status, 201);
    let gone = client.create("gone").unwrap().unwrap();
    assert_eq!(client.request("DELETE", &format!("/v2/credentials/{gone}"), "").unwrap().status, 200);
    for _ in 0..40 {
        client.create("one of many").unwrap().unwrap();
    }
    let agent = client.post(&format!("/v2/teams/{team}/agents"), r#"{"name": "a"}"#).json();
    let agent = text(&agent["agent"]["id"]);
    let revision = client.post(&format!("/v2/agents/{agent}/revisions"), r#"{"name": "r"}"#).json();
    let revision = text(&revision["build"]["id"]);
    let attach = json!({"credentialId": secret}).to_string();
    let path = format!("/v2/agents/{agent}/revisions/{revision}/credentials");
    assert_eq!(client.post(&path, &attach).status, 201);
    let me = text(&client.get("/v2/profile").json()["profile"]["id"]);
    let link = json!({"user_id": me, "name": "link"}).to_string();
    let made = client.post(&format!("/v2/teams/{team}/key-links"), &link);
    assert_eq!(made.status, 201, "{}", made.body);
    let asked = json!({"name": "Stripe", "env_var_keys": ["STRIPE_API_KEY"]}).to_string();
    let made = client.post(&format!("/v2/teams/{team}/fill-requests"), &asked);
    assert_eq!(made.status, 201, "{}", made.body);
    let start = json!({"agent_id": agent}).to_string();
    let kept = "Idempotency-Key: once\r\n";
    let started =
        client.request_with("POST", &format!("/v2/teams/{team}/runs"), kept, &start).unwrap().json();
    let run = text(&started["token"]);
    let mut as_run = Client::new(client.address, &run);
    assert_eq!(as_run.get("/v2/run/environment").status, 200);
    (run, secret)
}

/// Somebody signs in, and invites somebody.
fn people(owner: &mut Visitor, link: &str) {
    owner.set_up(link);
    assert_eq!(owner.open("/members"), 200);
    let added = [("name", "Ben"), ("email", "ben@example.com"), ("role", "member")];
    assert_eq!(owner.send("/members", &added), 303, "{}", owner.page);
    assert_eq!(owner.open("/members"), 200);
    let ben = owner.found("name=\"user\" value=\"", "\"").unwrap();
    assert_eq!(owner.send("/members/invite", &[("user", &ben)]), 200, "{}", owner.page);
}

/// Each row of each table of an embedded instance.
pub(crate) fn rows(path: &Path) -> Vec<String> {
    let connection = rusqlite::Connection::open(path).unwrap();
    let mut tables =
        connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").unwrap();
    let tables: Vec<String> = tables.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let mut rows = Vec::new();
    for table in tables {
        let mut all = connection.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = all.column_count();
        let found = all.query_map([], |row| {
            Ok((0..columns)
                .map(|at| format!("{:?}", row.get_ref(at).unwrap()))
                .collect::<Vec<_>>()
                .join(", "))
        });
        let before = rows.len();
        rows.extend(found.unwrap().map(|row| format!("{table}: {}", row.unwrap())));
        assert!(rows.len() > before, "nothing is in {table}, so nothing shows that it is copied");
    }
    rows
}

fn command(from: &str, to: &str, args: &[&str]) -> Command {
    let mut command = clean(BINARY);
    command.args(["copy", "--from", from, "--to", to]).args(args);
    command
}

pub(crate) fn copy(from: &str, to: &str, args: &[&str]) -> Ended {
    run(&mut command(from, to, args))
}

pub(crate) fn serve(place: &Place, url: &str) -> crate::harness::Server {
    let args = ["--database-url", url, "--listen", "127.0.0.1:0", "--rate-limit", "0"];
    crate::harness::Server::start(place.command("serve", &args), place.path("stderr"))
}

#[test]
fn an_instance_goes_to_postgresql_and_back_as_it_is() {
    let instance = Instance::new();
    let (before, bytes) = (instance.rows(), fs::read(instance.place.database()).unwrap());
    let url = Cluster::shared().database();
    let copied = copy(&instance.at(), &url, &["--json"]);
    let told: Value = serde_json::from_str(copied.done()).unwrap();
    assert_eq!(told, json!({"rows": before.len(), "there_before": 0, "equal": true}));
    assert!(fs::read(instance.place.database()).unwrap() == bytes, "the source was changed");

    // Back before anybody serves it: every row is what it was.
    let back = instance.elsewhere();
    let to = at(&back);
    let copied = copy(&url, &to, &[]);
    assert!(
        copied.done().contains(&format!("Copied {} rows, and found them equal", before.len())),
        "{}",
        copied.stdout
    );
    assert_eq!(rows(&back.database()), before);
    let examined = back.run("doctor", &[]);
    assert!(examined.done().contains("every seal opens, every MAC holds"), "{}", examined.stdout);

    // Each of the three is an instance, with what it had.
    let there = instance.elsewhere();
    for server in [serve(&there, &url), back.serve(), instance.place.serve()] {
        instance.is_served(&mut server.client(&instance.key), &mut server.client(&instance.run));
        server.stop();
    }
    // What was told after the copy is behind what was told before.
    let database = Database::connect(&url);
    let latest = "SELECT count(*)::bigint FROM events WHERE sequence > (SELECT max(sequence) - 1 FROM events) AND kind = 'secret.created'";
    assert_eq!(database.query_row(latest, [0_i64; 0], |row| row.get::<i64>(0)).unwrap(), 1);
}

/// An instance of so many rows that a copy takes a while.
fn large() -> Instance {
    with_events(100_000)
}

/// An instance with about so many events more.
pub(crate) fn with_events(events: u32) -> Instance {
    let instance = Instance::new();
    let source = rusqlite::Connection::open(instance.place.database()).unwrap();
    let columns = "at, kind, object_table, object_id, request_id";
    source
        .execute_batch(&format!(
            "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {})
             INSERT INTO events ({columns}) SELECT {columns} FROM events, n WHERE sequence <= 50",
            events / 50
        ))
        .unwrap();
    instance
}

/// Begins a copy and kills it when some of the last table have arrived.
fn interrupted(instance: &Instance, to: &str, arrived: impl Fn() -> bool) {
    let mut child =
        command(&instance.at(), to, &[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    eventually("the last table is being copied", || {
        assert!(child.try_wait().unwrap().is_none(), "it was done before it could be interrupted");
        arrived()
    });
    child.kill().unwrap();
    wait(&mut child);
}

fn events(database: &Database) -> i64 {
    let count = "SELECT count(*)::bigint FROM events";
    database.query_row(count, [0_i64; 0], |row| row.get::<i64>(0)).unwrap_or(0)
}

#[test]
fn an_interrupted_copy_goes_on_and_is_served_only_when_it_is_whole() {
    let instance = large();
    let url = Cluster::shared().database();
    let database = Database::connect(&url);
    interrupted(&instance, &url, || events(&database) > 0);
    let there = instance.elsewhere();
    let refused = there.run("serve", &["--database-url", &url]);
    assert!(refused.refusal().contains("no instance"), "{}", refused.stderr);
    let refused = Place::new().init(&["--database-url", &url]);
    assert!(refused.refusal().contains("strongroom copy"), "{}", refused.stderr);
    // Somebody changes what arrived: the copy is not equal, and stays unserved.
    database.execute("UPDATE events SET kind = 'key.created' WHERE sequence = 1", [0_i64; 0]).unwrap();
    let refused = copy(&instance.at(), &url, &[]);
    assert!(refused.refusal().contains("--start-over"), "{}", refused.stderr);
    assert!(there.run("serve", &["--database-url", &url]).refusal().contains("no instance"));
    database.execute("UPDATE events SET kind = 'instance.created' WHERE sequence = 1", [0_i64; 0]).unwrap();
    let done: Value = serde_json::from_str(copy(&instance.at(), &url, &["--json"]).done()).unwrap();
    assert_eq!(
        done["there_before"].as_u64().unwrap() + 1,
        done["rows"].as_u64().unwrap(),
        "all but the instance's"
    );
    let server = serve(&there, &url);
    instance.is_served(&mut server.client(&instance.key), &mut server.client(&instance.run));
}

#[test]
fn an_interrupted_copy_into_a_directory_goes_on_or_starts_over() {
    let instance = large();
    let (target, rows_of_it) = (instance.elsewhere(), instance.rows());
    let to = at(&target);
    let some = || {
        let open = rusqlite::Connection::open_with_flags(
            target.database(),
            rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY,
        );
        let count = |c: rusqlite::Connection| {
            c.query_row("SELECT count(*) FROM events", [], |row| row.get::<_, i64>(0))
        };
        open.and_then(count).unwrap_or(0) > 0
    };
    interrupted(&instance, &to, some);
    let done: Value = serde_json::from_str(copy(&instance.at(), &to, &["--json"]).done()).unwrap();
    let before = done["there_before"].as_u64().unwrap();
    assert!(0 < before && before < done["rows"].as_u64().unwrap(), "{done}");
    assert_eq!(rows(&target.database()), rows_of_it);
    let taken = copy(&instance.at(), &to, &["--start-over"]);
    assert!(
        taken.refusal().contains("holds an instance already"),
        "what is whole is not removed: {}",
        taken.stderr
    );
    assert_eq!(rows(&target.database()), rows_of_it);

    let target = instance.elsewhere();
    let to = at(&target);
    copy(&instance.at(), &to, &[]).done();
    rusqlite::Connection::open(target.database())
        .unwrap()
        .execute_batch("DELETE FROM instance; UPDATE events SET at = 0")
        .unwrap();
    assert!(copy(&instance.at(), &to, &[]).refusal().contains("--start-over"));
    copy(&instance.at(), &to, &["--start-over"]).done();
    assert_eq!(rows(&target.database()), rows_of_it);
}

#[test]
fn nothing_is_copied_while_it_may_change_or_over_something_else() {
    let instance = Instance::new();
    let (url, other) = (Cluster::shared().database(), Cluster::shared().database());
    let server = instance.place.serve();
    let refused = copy(&instance.at(), &url, &[]);
    assert!(refused.refusal().contains("stop it first"), "{}", refused.stderr);
    server.stop();
    copy(&instance.at(), &url, &[]).done();
    let taken = copy(&instance.at(), &url, &[]);
    assert!(taken.refusal().contains("holds an instance already"), "{}", taken.stderr);
    let taken = copy(&url, &instance.at(), &[]);
    assert!(taken.refusal().contains("holds an instance already"), "{}", taken.stderr);

    let there = instance.elsewhere();
    let server = serve(&there, &url);
    let mut client = server.client(&instance.key);
    assert_eq!(client.get("/v1/credentials").status, 200);
    let refused = copy(&url, &other, &[]);
    assert!(refused.refusal().contains("stop every server"), "{}", refused.stderr);
    server.stop();
    copy(&url, &other, &[]).done();

    let refused = copy(&instance.at(), &instance.at(), &[]);
    assert!(refused.refusal().contains("one directory"), "{}", refused.stderr);
    let file = format!("{}/strongroom.db", instance.at());
    for (from, to, says) in [
        (file, other.clone(), "the directory that it is in"),
        (format!("sqlite:{}/none", there.data().display()), url.clone(), "strongroom init"),
        (Cluster::shared().database(), other.clone(), "strongroom init"),
        ("sqlite:".into(), other.clone(), "names no directory"),
        (there.data().display().to_string(), other, "sqlite:DIR"),
    ] {
        let refused = copy(&from, &to, &[]);
        assert!(refused.stderr.contains(says), "{from}: {}", refused.stderr);
        assert_ne!(refused.code, Some(0));
    }
}

/// A database whose making was interrupted: in the midst of each of its steps.
fn begun(directory: &Path, state: &str) {
    let database = directory.join("strongroom.db");
    let midst = |mode: &str| {
        let elsewhere = Place::new();
        let path = elsewhere.path("strongroom.db");
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.pragma_update_and_check(None, "journal_mode", mode, |_| Ok(())).unwrap();
        // More than the cache holds, so that it reaches the file before its commit.
        connection
            .execute_batch(
                "PRAGMA cache_size = 1; BEGIN; CREATE TABLE t (x);
                 WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 200)
                 INSERT INTO t SELECT randomblob(4000) FROM n",
            )
            .unwrap();
        for end in ["", "-wal", "-journal"] {
            let from = format!("{}{end}", path.display());
            if Path::new(&from).exists() {
                fs::copy(from, format!("{}{end}", database.display())).unwrap();
            }
        }
    };
    match state {
        "made" => drop(fs::File::create(&database).unwrap()),
        "with a WAL" => {
            let connection = rusqlite::Connection::open(&database).unwrap();
            connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(())).unwrap();
        }
        "in the WAL" => midst("wal"),
        _ => midst("delete"),
    }
    for file in fs::read_dir(directory).unwrap() {
        chmod(&file.unwrap().path(), 0o600);
    }
}

#[test]
fn a_copy_that_ended_before_its_first_row_is_begun_again() {
    let instance = Instance::new();
    let before = instance.rows();
    for state in ["made", "with a WAL", "in the WAL", "in the journal"] {
        let target = instance.elsewhere();
        begun(&target.data(), state);
        let to = at(&target);
        copy(&instance.at(), &to, &[]).done();
        assert_eq!(rows(&target.database()), before, "{state}");
        assert!(target.run("doctor", &[]).done().contains("every MAC holds"), "{state}");
        // What isn't ours is left alone.
        let foreign = rusqlite::Connection::open(target.database()).unwrap();
        foreign.execute_batch("DELETE FROM instance; PRAGMA application_id = 1").unwrap();
        drop(foreign);
        let refused = copy(&instance.at(), &to, &["--start-over"]);
        assert!(refused.refusal().contains("not a Strongroom database"), "{}", refused.stderr);
    }
}

#[test]
fn a_resumed_copy_is_whole_in_its_one_file() {
    let instance = Instance::new();
    let target = instance.elsewhere();
    let to = at(&target);
    copy(&instance.at(), &to, &[]).done();
    let part = rusqlite::Connection::open(target.database()).unwrap();
    part.execute_batch("DELETE FROM instance; DELETE FROM events").unwrap();
    drop(part);
    copy(&instance.at(), &to, &[]).done();
    let alone = Place::new();
    fs::copy(target.database(), alone.path("strongroom.db")).unwrap();
    assert_eq!(rows(&alone.path("strongroom.db")), instance.rows());
}

#[test]
fn an_instance_that_is_there_is_not_even_brought_up_to_date() {
    let instance = Instance::new();
    let url = Cluster::shared().database();
    copy(&instance.at(), &url, &[]).done();
    let database = Database::connect(&url);
    database.execute("DELETE FROM schema_history WHERE number > 2", [0_i64; 0]).unwrap();
    for args in [&[][..], &["--start-over"]] {
        let taken = copy(&instance.at(), &url, args);
        assert!(taken.refusal().contains("holds an instance already"), "{}", taken.stderr);
    }
    let newest = "SELECT max(number)::bigint FROM schema_history";
    assert_eq!(database.query_row(newest, [0_i64; 0], |row| row.get::<i64>(0)).unwrap(), 2);
}

#[test]
fn a_server_that_comes_while_its_instance_is_copied_is_noticed() {
    let instance = large();
    let url = Cluster::shared().database();
    copy(&instance.at(), &url, &[]).done();
    let target = instance.elsewhere();
    let to = at(&target);
    let mut copying = command(&url, &to, &[]);
    let copying = copying.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    eventually("it copies", || target.database().exists());
    // What a server calls itself; a real one waits for the lock with its first write.
    let database = Database::connect(&url);
    database.execute("SET application_name = 'strongroom'", [0_i64; 0]).unwrap();
    let ended = copying.wait_with_output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(!ended.status.success() && said.contains("stop every server"), "{said}");
    assert!(target.run("serve", &[]).refusal().contains("no instance"));
    drop(database);
    copy(&url, &to, &[]).done();
}

#[test]
fn an_instance_is_brought_into_a_database_by_one_alone() {
    let instance = Instance::new();
    let url = Cluster::shared().database();
    let database = Database::connect(&url);
    let lock: i64 = 0x5352_6c6b << 32 | 3 << 16;
    database.query_row("SELECT pg_advisory_lock(?1)::text", [lock], |_| Ok(())).unwrap();
    let refused = copy(&instance.at(), &url, &[]);
    assert!(refused.refusal().contains("under way"), "{}", refused.stderr);
    let refused = Place::new().init(&["--database-url", &url]);
    assert!(refused.refusal().contains("an instance is being copied there"), "{}", refused.stderr);
    drop(database);
    Place::new().init(&["--database-url", &url]).done();
    assert!(copy(&instance.at(), &url, &["--start-over"]).refusal().contains("holds an instance already"));
}

#[test]
fn rows_that_a_policy_hides_are_missed() {
    let instance = Instance::new();
    let (url, other) = (Cluster::shared().database(), Cluster::shared().database());
    copy(&instance.at(), &url, &[]).done();
    let database = Database::connect(&url);
    for statement in [
        "CREATE ROLE sees_less LOGIN",
        "GRANT ALL ON ALL TABLES IN SCHEMA public TO sees_less",
        "ALTER TABLE secrets ENABLE ROW LEVEL SECURITY",
    ] {
        database.execute(statement, [0_i64; 0]).unwrap();
    }
    let user = url.split_once("://").unwrap().1.split_once('@').unwrap().0;
    let refused = copy(&url.replacen(user, "sees_less", 1), &other, &[]);
    assert!(refused.refusal().contains("row-level security"), "{}", refused.stderr);
}

#[test]
fn what_is_left_to_do_is_told() {
    let instance = Instance::new();
    let target = instance.elsewhere();
    let to = at(&target);
    let told = copy(&instance.at(), &to, &[]);
    assert!(told.done().contains("root key is there already") && !told.stdout.contains("database_url"));

    let (target, another) = (empty(), Instance::new());
    let config = target.data().join("strongroom.toml");
    fs::write(config, "database_url = \"postgres://strongroom@db.example.com/strongroom\"\n").unwrap();
    fs::copy(another.place.data().join("root.key"), target.data().join("root.key")).unwrap();
    let told = copy(&instance.at(), &at(&target), &[]);
    assert!(told.done().contains("root key of something else"), "{}", told.stdout);
    assert!(told.stdout.contains("still names a database_url"), "{}", told.stdout);

    let target = instance.elsewhere();
    chmod(&target.data().join("root.key"), 0o644);
    let told = copy(&instance.at(), &at(&target), &[]);
    assert!(
        told.done().contains("it can't be used") && !told.stdout.contains("put it at"),
        "{}",
        told.stdout
    );
}

#[test]
fn a_passphrase_is_not_told_to_be_a_file() {
    let place = Place::new();
    let passphrase = place.private("passphrase", "correct horse battery staple\n");
    place.init(&["--root-key", "passphrase", "--passphrase-file", &passphrase]).done();
    let from = at(&place);
    let told = copy(&from, &Cluster::shared().database(), &[]);
    assert!(told.done().contains("Its passphrase is the same.") && !told.stdout.contains("root.key"));
}

#[test]
fn what_a_lost_database_left_is_kept() {
    let instance = Instance::new();
    for (database, says) in [(false, "strongroom.db-wal is there"), (true, "strongroom.db is empty")] {
        let target = instance.elsewhere();
        let wal = target.data().join("strongroom.db-wal");
        fs::write(&wal, "somebody's").unwrap();
        if database {
            fs::write(target.database(), "").unwrap();
        }
        let to = at(&target);
        for args in [&[][..], &["--start-over"]] {
            let refused = copy(&instance.at(), &to, args);
            assert!(refused.refusal().contains(says), "{}", refused.stderr);
        }
        assert_eq!(fs::read_to_string(wal).unwrap(), "somebody's");
    }
}

#[test]
fn an_interrupted_beginning_is_not_told_to_be_lost() {
    let instance = Instance::new();
    let target = instance.elsewhere();
    begun(&target.data(), "made");
    let refused = target.init(&[]);
    assert!(
        refused.refusal().contains("a copy that was interrupted, give that command again"),
        "{}",
        refused.stderr
    );
    let nothing = empty();
    let without = Cluster::shared().database();
    assert_ne!(copy(&without, &at(&nothing), &[]).code, Some(0));
    assert_eq!(fs::read_dir(nothing.data()).unwrap().count(), 0, "the source is looked at first");
}
