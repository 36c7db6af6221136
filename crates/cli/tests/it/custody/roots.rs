//! Two root keys open one instance, each alone, until one is taken away.

use std::fs;

use super::{Held, PASSPHRASE, text};

const BY_PASSPHRASE: &str = "--passphrase-file passphrase";

fn either_opens(held: &Held) {
    held.place.private("passphrase", PASSPHRASE);
    held.place.private("passphrase.wrong", "staple battery horse correct");
    let (root, away) = (held.place.data().join("root.key"), held.place.path("root.key.away"));
    let added = held.json("keys add-root passphrase --new-passphrase-file passphrase");
    let added = format!("passphrase:{}", text(&added["root_key"]["id"]));
    let warning = format!(
        "warning: the root key data/root.key is missing; opened with the root key {added}, which was added\n"
    );
    let logged = |server: &crate::harness::Server| fs::read_to_string(&server.stderr).unwrap();
    let opens = |options: &str, warned: bool| {
        let server = held.serve_with(options);
        server.client(&held.key).create("a value").unwrap().unwrap();
        assert_eq!(logged(&server).contains(&warning), warned, "{}", logged(&server));
        server.stop();
    };
    let both = || {
        opens("", false);
        opens(BY_PASSPHRASE, false);
        fs::rename(&root, &away).unwrap();
        opens(BY_PASSPHRASE, true);
        let examined = held.run(&format!("doctor {BY_PASSPHRASE}"));
        assert_eq!(examined.code, Some(1), "{}", examined.stdout);
        for words in ["root.key is missing", "the passphrase opens the instance", "every seal opens"] {
            assert!(examined.stdout.contains(words), "{words}: {}", examined.stdout);
        }
        let status = held.run(&format!("keys status {BY_PASSPHRASE}"));
        assert!(status.done().contains(&added) && status.stderr == warning, "{}", status.stderr);
        // Of two that fail, the instance's own is told of.
        for options in ["", "--passphrase-file passphrase.wrong", "--passphrase-file missing"] {
            let refused = held.run(&format!("serve --listen 127.0.0.1:0 {options}"));
            assert!(refused.refusal().contains("the root key data/root.key is missing\nhint: "));
            assert!(held.run(&format!("doctor {options}")).stdout.contains("root.key is missing"));
        }
        fs::rename(&away, &root).unwrap();
        held.is_well();
    };
    both();
    let master = held.master();
    held.run(&format!("keys rotate master {BY_PASSPHRASE}")).done();
    assert_ne!(held.master(), master);
    both();

    // The lost one is replaced with the help of the other.
    fs::rename(&root, &away).unwrap();
    let own = held.run(&format!("keys rotate root {BY_PASSPHRASE}"));
    assert!(own.done().contains("Its file: data/root.key") && own.stderr == warning, "{}", own.stderr);
    opens("", false);
    fs::remove_file(&away).unwrap();
    both();

    // Another passphrase takes the place of the one that was added.
    held.run("keys add-root passphrase --new-passphrase-file passphrase.wrong").done();
    fs::rename(&root, &away).unwrap();
    assert!(held.run(&format!("keys status {BY_PASSPHRASE}")).refusal().contains("root.key is missing"));
    held.run("keys status --passphrase-file passphrase.wrong").done();
    fs::rename(&away, &root).unwrap();

    held.run("keys remove-root passphrase").done();
    assert_eq!(held.status()["root_keys"].as_array().unwrap().len(), 1);
    opens("", false);
    fs::rename(&root, &away).unwrap();
    for name in ["passphrase", "passphrase.wrong"] {
        let refused = held.run(&format!("keys status --passphrase-file {name}"));
        assert!(refused.refusal().contains("root.key is missing"), "{}", refused.stderr);
    }
    fs::rename(&away, &root).unwrap();
    held.is_well();
    held.logged_nothing();
}

#[test]
fn either_of_two_root_keys_opens_an_instance() {
    Held::on_both().iter().for_each(either_opens);
}

/// The file of the root key is where somebody wants it, and the next one is put there, too.
fn goes_elsewhere(held: &Held) {
    fs::create_dir(held.place.path("keys")).unwrap();
    let names = || -> Vec<String> {
        let is_key = |name: &String| name.contains("root.key");
        held.place.tree().into_iter().filter(is_key).collect()
    };
    let first = held.root();
    held.run("keys rotate root --new-root-key-file keys/root.key").done();
    let was = format!("data/root.key.was-{first}");
    assert_eq!(names(), [was.as_str(), "keys/root.key"]);
    assert!(held.run("keys status").refusal().contains("root.key is missing"));
    let there = "--root-key-file keys/root.key";
    let second = text(&held.json(&format!("keys status {there}"))["root_keys"][0]["id"]);
    let told = held.json(&format!("keys rotate root {there}"));
    assert_eq!(told["old_file"], format!("keys/root.key.was-{second}"));
    assert_eq!(names(), [was, "keys/root.key".to_owned(), format!("keys/root.key.was-{second}")]);
    let server = held.serve_with(there);
    server.client(&held.key).create("a value").unwrap().unwrap();
    server.stop();
    // Into a link that leads elsewhere nothing is put.
    std::os::unix::fs::symlink("root.key", held.place.path("keys/link")).unwrap();
    let refused = held.run(&format!("keys rotate root {there} --new-root-key-file keys/link"));
    assert!(refused.refusal().contains("keys/link is there already"), "{}", refused.stderr);
}

#[test]
fn a_root_key_goes_to_another_file() {
    Held::on_both().iter().for_each(goes_elsewhere);
}

#[test]
fn the_file_of_an_added_root_key_stays_where_it_is() {
    let held = Held::on_sqlite();
    held.place.private("passphrase", PASSPHRASE);
    held.place.private("passphrase.new", "staple battery horse correct");
    held.run("keys rotate root --root-key passphrase --new-passphrase-file passphrase").done();
    let data = held.place.data();
    let added = data.join("root.key");
    assert!(!added.exists(), "the old one was put aside");
    held.run(&format!("keys add-root file {BY_PASSPHRASE}")).done();
    let key = fs::read(&added).unwrap();
    let rotated = held.run(&format!("keys rotate root {BY_PASSPHRASE} --new-passphrase-file passphrase.new"));
    assert!(!rotated.done().contains("old one"), "{}", rotated.stdout);
    assert_eq!(fs::read(&added).unwrap(), key);
    held.is_well_by("--passphrase-file passphrase.new");
    let refused = held.run("keys rotate root --root-key file --passphrase-file passphrase.new");
    assert!(refused.refusal().contains("keys remove-root"), "{}", refused.stderr);

    // Another takes its place; what an interrupted try left is in nobody's way.
    fs::write(data.join("root.key.new"), "").unwrap();
    crate::harness::chmod(&data.join("root.key.new"), 0o600);
    held.run("keys add-root file --passphrase-file passphrase.new").done();
    assert_ne!(fs::read(&added).unwrap(), key);
    assert!(!data.join("root.key.new").exists());
    fs::remove_file(held.place.path("passphrase.new")).unwrap();
    held.run("keys status").done();
}
