//! An instance goes into a file and comes out of it again: whole, on either engine, or not
//! at all. No damage stays unseen.

mod damage;
mod killed;

use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use strongroom_testbed::Cluster;

use crate::copy::{self, Instance};
use crate::harness::{BINARY, Ended, Place, chmod, clean, mode, on_a_terminal, run};

/// The binary, with these words.
fn strongroom(args: &[&str]) -> Ended {
    run(clean(BINARY).args(args))
}

/// Where an instance's database is, if not in its directory.
type Url<'a> = Option<&'a str>;

/// The words that name it.
fn words(url: Url<'_>) -> Vec<&str> {
    url.map_or_else(Vec::new, |url| vec!["--database-url", url])
}

/// A backup of an instance, in the directory of another place.
struct Backup {
    place: Place,
    identity: PathBuf,
}

impl Backup {
    fn of(instance: &Instance, url: Url<'_>) -> Self {
        let place = copy::empty();
        let file = place.path("one.backup");
        let out = file.to_str().unwrap();
        let args = [&["--out", out][..], &words(url)].concat();
        instance.place.run("backup", &args).done();
        let identity = place.path("recovery.key");
        fs::copy(instance.place.path("recovery.key"), &identity).unwrap();
        Self { place, identity }
    }

    fn file(&self) -> PathBuf {
        self.place.path("one.backup")
    }

    fn verify(&self, args: &[&str]) -> Ended {
        strongroom(&[&["backup", "verify", self.file().to_str().unwrap()][..], args].concat())
    }

    fn manifest(&self) -> Value {
        serde_json::from_str(self.verify(&["--json"]).done()).unwrap()
    }

    fn restoring(&self, to: &Place, args: &[&str]) -> Command {
        let mut command = clean(BINARY);
        command.arg("restore").arg(self.file()).arg("--identity").arg(&self.identity);
        command.arg("--data-dir").arg(to.data()).args(args);
        command
    }

    fn restore(&self, to: &Place, args: &[&str]) -> Ended {
        run(&mut self.restoring(to, args))
    }

    fn test(&self, identity: &str) -> Ended {
        strongroom(&["recovery", "test", "--identity", identity, self.file().to_str().unwrap()])
    }
}

#[test]
fn a_backup_holds_every_row_and_gives_it_back_to_either_engine() {
    let instance = Instance::new();
    let (before, bytes) = (instance.rows(), fs::read(instance.place.database()).unwrap());
    let backup = Backup::of(&instance, None);
    assert_eq!(mode(&backup.file()), 0o600);
    assert!(fs::read(instance.place.database()).unwrap() == bytes, "the instance was changed");
    let manifest = backup.manifest();
    let rows = manifest["tables"].as_array().unwrap().iter().map(|table| table["rows"].as_u64().unwrap());
    assert_eq!(rows.sum::<u64>(), before.len() as u64);
    let tested = backup.test(backup.identity.to_str().unwrap());
    assert!(tested.done().contains("opens everything"), "{}", tested.stdout);

    // Into a directory, where every row is what it was.
    let there = instance.elsewhere();
    let restored = backup.restore(&there, &[]);
    assert!(restored.done().contains("Its root key is there already."), "{}", restored.stdout);
    assert_eq!(copy::rows(&there.database()), before);
    // And from there over PostgreSQL into another.
    let url = Cluster::shared().database();
    backup.restore(&instance.elsewhere(), &["--database-url", &url]).done();
    let second = Backup::of(&instance, Some(&url));
    let back = instance.elsewhere();
    second.restore(&back, &[]).done();
    assert_eq!(copy::rows(&back.database()), before);
    for server in [there.serve(), back.serve(), copy::serve(&instance.elsewhere(), &url)] {
        instance.is_served(&mut server.client(&instance.key), &mut server.client(&instance.run));
        server.stop();
    }
    assert!(there.run("doctor", &[]).done().contains("every seal opens, every MAC holds"));
}

/// Backs up beside a server that is written to, restores on the other engine, and finds
/// there whatever was acknowledged before.
fn under_load(from: Url<'_>, to: Url<'_>) {
    let instance = Instance::new();
    if let Some(url) = from {
        copy::copy(&copy::at(&instance.place), url, &[]).done();
    }
    let server = match from {
        Some(url) => copy::serve(&instance.place, url),
        None => instance.place.serve(),
    };
    let is_over = AtomicBool::new(false);
    let write = || {
        let (mut client, mut acknowledged) = (server.client(&instance.key), Vec::new());
        while !is_over.load(Ordering::SeqCst) {
            acknowledged.push(client.create("under load").unwrap().unwrap());
        }
        acknowledged
    };
    let (backup, before) = std::thread::scope(|scope| {
        let mut client = server.client(&instance.key);
        let before: Vec<_> = (0..60).map(|_| client.create("before").unwrap().unwrap()).collect();
        let writers = [scope.spawn(write), scope.spawn(write)];
        let backup = Backup::of(&instance, from);
        is_over.store(true, Ordering::SeqCst);
        let after: usize = writers.map(|writer| writer.join().unwrap().len()).iter().sum();
        assert!(after > 0, "nothing was written meanwhile");
        (backup, before)
    });
    server.stop();
    let there = instance.elsewhere();
    let restored = backup.restore(&there, &[&["--json"][..], &words(to)].concat());
    let told: Value = serde_json::from_str(restored.done()).unwrap();
    assert_eq!(told["there_before"], 0, "{told}");
    let server = match to {
        Some(url) => copy::serve(&there, url),
        None => there.serve(),
    };
    let mut client = server.client(&instance.key);
    for id in before {
        assert_eq!(client.get(&format!("/v2/credentials/{id}")).status, 200, "{id} is lost");
    }
    instance.is_served(&mut client, &mut server.client(&instance.run));
}

#[test]
fn a_backup_under_load_is_of_one_moment() {
    under_load(None, Some(&Cluster::shared().database()));
    under_load(Some(&Cluster::shared().database()), None);
}

#[test]
fn a_backup_goes_to_standard_output_or_into_a_file_that_is_not_there() {
    let instance = Instance::new();
    let streamed = instance.place.command("backup", &["--out", "-", "--json"]).output().unwrap();
    let told: Value = serde_json::from_slice(&streamed.stderr).unwrap();
    let backup = Backup::of(&instance, None);
    fs::write(backup.place.path("streamed.backup"), streamed.stdout).unwrap();
    let verified =
        strongroom(&["backup", "verify", backup.place.path("streamed.backup").to_str().unwrap(), "--json"]);
    assert_eq!(serde_json::from_str::<Value>(verified.done()).unwrap(), told);

    // Somebody who went away at once: no error of how it looks in Rust.
    let (unread, to_nobody) = std::io::pipe().unwrap();
    drop(unread);
    let cut = run(instance.place.command("backup", &["--out", "-"]).stdout(to_nobody));
    assert_eq!(cut.refusal(), "error: the backup can't be written: Broken pipe (os error 32)\n");

    let (file, before) = (backup.file(), fs::read(backup.file()).unwrap());
    let out = file.to_str().unwrap();
    let refused = instance.place.run("backup", &["--out", out]);
    assert!(refused.refusal().contains("exists already"), "{}", refused.stderr);
    assert_eq!(fs::read(&file).unwrap(), before);
    // What a killed one left is in nobody's way, and is not readable by others afterwards.
    fs::write(format!("{out}.partial"), "left behind").unwrap();
    instance.place.run("backup", &["--out", out, "--force"]).done();
    assert_ne!(fs::read(&file).unwrap(), before);
    assert_eq!(mode(&file), 0o600);
    assert!(!backup.place.tree().iter().any(|name| name.ends_with(".partial")));
    let unread = on_a_terminal(
        &clean(BINARY),
        &format!("backup --data-dir {} --out -", instance.place.data().display()),
        "",
    );
    assert!(unread.screen().contains("no text for a terminal"), "{}", unread.stdout);
    assert_eq!(instance.place.run("backup", &[]).code, Some(64), "it needs to be told where to");
}

#[test]
fn nothing_is_restored_over_an_instance_or_with_another_key() {
    let instance = Instance::new();
    let backup = Backup::of(&instance, None);
    let before = instance.rows();
    for args in [&[][..], &["--start-over"]] {
        let refused = backup.restore(&instance.place, args);
        assert!(refused.refusal().contains("holds an instance already"), "{}", refused.stderr);
    }
    assert_eq!(instance.rows(), before);
    let url = Cluster::shared().database();
    backup.restore(&instance.elsewhere(), &["--database-url", &url]).done();
    let refused = backup.restore(&instance.elsewhere(), &["--database-url", &url, "--start-over"]);
    assert!(refused.refusal().contains("holds an instance already"), "{}", refused.stderr);

    let (other, _) = Place::with_instance();
    let wrong = other.path("recovery.key").display().to_string();
    let refused = backup.test(&wrong);
    assert!(refused.refusal().contains("is another: it opens what is for age1"), "{}", refused.stderr);
    let nowhere = Place::new();
    let stranger = Backup { place: copy::empty(), identity: wrong.into() };
    fs::copy(backup.file(), stranger.file()).unwrap();
    let refused = stranger.restore(&nowhere, &[]);
    assert!(refused.refusal().contains("is another"), "{}", refused.stderr);
    assert!(nowhere.tree().is_empty(), "{:?}", nowhere.tree());
    chmod(&backup.identity, 0o644);
    assert!(backup.restore(&nowhere, &[]).refusal().contains("chmod 600"));
    fs::write(backup.place.path("text"), "hello").unwrap();
    chmod(&backup.place.path("text"), 0o600);
    let refused = backup.test(backup.place.path("text").to_str().unwrap());
    assert!(refused.refusal().contains("holds no recovery key"), "{}", refused.stderr);
}

#[test]
fn whose_a_backup_is_is_told_by_its_verifier_key() {
    let instance = Instance::new();
    let backup = Backup::of(&instance, None);
    let key = backup.manifest()["verifier_key"].as_str().unwrap().to_owned();
    assert!(backup.verify(&["--key", &key]).done().contains("the key that was given"));
    let (other, _) = Place::with_instance();
    let out = other.path("other.backup");
    other.run("backup", &["--out", out.to_str().unwrap()]).done();
    let verified = strongroom(&["backup", "verify", out.to_str().unwrap(), "--key", &key]);
    assert!(verified.refusal().contains("signed with another key"), "{}", verified.stderr);
    assert_eq!(strongroom(&["backup", "verify", out.to_str().unwrap(), "--key", "x"]).code, Some(64));
    let nowhere = Place::new();
    fs::copy(out, backup.file()).unwrap();
    let refused = backup.restore(&nowhere, &["--key", &key]);
    assert!(refused.refusal().contains("signed with another key"), "{}", refused.stderr);
    assert!(nowhere.tree().is_empty());
}

#[test]
fn a_lost_root_key_is_replaced_on_the_way() {
    let instance = Instance::new();
    let backup = Backup::of(&instance, None);
    let there = Place::new();
    backup.restore(&there, &["--new-root-key"]).done();
    assert_eq!(mode(&there.data().join("root.key")), 0o600);
    let old = fs::read(instance.place.data().join("root.key")).unwrap();
    assert_ne!(fs::read(there.data().join("root.key")).unwrap(), old);
    let server = there.serve();
    instance.is_served(&mut server.client(&instance.key), &mut server.client(&instance.run));
    server.stop();
    assert!(there.run("doctor", &[]).done().contains("every MAC holds"));
    // The old one opens it no more, and one that is there is not replaced.
    fs::write(there.data().join("root.key"), &old).unwrap();
    assert!(there.run("serve", &["--listen", "127.0.0.1:0"]).refusal().contains("root key"));
    let taken = backup.restore(&instance.elsewhere(), &["--new-root-key"]);
    assert!(taken.refusal().contains("is never put in its place"), "{}", taken.stderr);

    let there = Place::new();
    fs::write(there.path("passphrase"), "correct horse battery staple\n").unwrap();
    chmod(&there.path("passphrase"), 0o600);
    let passphrase = there.path("passphrase").display().to_string();
    let url = Cluster::shared().database();
    let kind = ["--new-root-key", "--root-key", "passphrase", "--passphrase-file", &passphrase];
    backup.restore(&there, &[&kind[..], &["--database-url", &url]].concat()).done();
    let examined = there.run("doctor", &["--database-url", &url, "--passphrase-file", &passphrase]);
    // The tests' PostgreSQL is told to be careless, which is all that there is to find.
    assert!(examined.stdout.contains("the passphrase opens the instance"), "{}", examined.stdout);
    assert!(examined.stdout.contains("1 of 5 checks failed"), "{}", examined.stdout);
    // It can be backed up again, and that is opened with the same recovery key.
    let out = there.path("again.backup").display().to_string();
    there.run("backup", &["--database-url", &url, "--passphrase-file", &passphrase, "--out", &out]).done();
    let identity = backup.identity.display().to_string();
    strongroom(&["recovery", "test", "--identity", &identity, &out]).done();
}

#[test]
fn heads_of_a_longer_record_are_named_and_stay() {
    let instance = Instance::new();
    let backup = Backup::of(&instance, None);
    let server = instance.place.serve();
    server.client(&instance.key).create("after the backup").unwrap().unwrap();
    server.stop();
    let there = instance.elsewhere();
    let kept = there.data().join("checkpoints");
    fs::create_dir(&kept).unwrap();
    let latest = fs::read(instance.place.data().join("checkpoints/latest")).unwrap();
    fs::write(kept.join("latest"), &latest).unwrap();
    let restored = backup.restore(&there, &[]);
    assert!(restored.done().contains("checkpoints/latest"), "{}", restored.stdout);
    assert_eq!(fs::read(kept.join("latest")).unwrap(), latest);
    // A control: the head that the backup has is no longer one.
    let there = instance.elsewhere();
    fs::create_dir(there.data().join("checkpoints")).unwrap();
    let manifest = backup.manifest();
    let own = manifest["checkpoint"].as_str().unwrap();
    fs::write(there.data().join("checkpoints/latest"), own).unwrap();
    let told: Value = serde_json::from_str(backup.restore(&there, &["--json"]).done()).unwrap();
    assert_eq!(told["checkpoints_ahead"], json!([]));
    assert!(told["events"].as_u64().unwrap() > 0 && told["values"].as_u64().unwrap() > 40, "{told}");
}

#[test]
fn what_was_altered_before_the_backup_is_found_by_the_test_and_by_the_restore() {
    let one = "(SELECT id FROM secrets WHERE name = 'load' LIMIT 1)";
    for (sql, found) in [
        (format!("UPDATE secrets SET name = 'another' WHERE id = {one}"), "its MAC does not hold"),
        ("UPDATE versions SET sealed = zeroblob(200) WHERE number = 2".into(), "does not open"),
        (format!("DELETE FROM versions WHERE secret_id = {one}"), "the current version is missing"),
    ] {
        let instance = Instance::new();
        let database = rusqlite::Connection::open(instance.place.database()).unwrap();
        database.execute_batch(&format!("PRAGMA foreign_keys = off; {sql}")).unwrap();
        drop(database);
        let backup = Backup::of(&instance, None);
        let refused = backup.test(backup.identity.to_str().unwrap());
        assert!(refused.refusal().contains(found), "{}", refused.stderr);
        let refused = backup.restore(&instance.elsewhere(), &[]);
        assert!(refused.refusal().contains("it is not whole"), "{}", refused.stderr);
    }
}

/// A command whose output nobody reads.
fn quiet(command: &mut Command) -> &mut Command {
    command.stdout(Stdio::null()).stderr(Stdio::null())
}
