//! Another recovery key: for backups from then on, and for none of before.

use std::fs;
use strongroom_testbed::Cluster;

use super::Held;
use crate::harness::mode;

fn replaced(held: &Held) {
    let server = held.serve();
    held.run("backup --out before.backup").done();
    let before = held.status()["recovery_recipient"].clone();
    let inside = held.run("recovery replace --recovery-key-file data/recovery.new");
    assert!(inside.refusal().contains("can't lie in the data directory"), "{}", inside.stderr);
    let taken = held.run("recovery replace --recovery-key-file recovery.key");
    assert!(taken.refusal().contains("exists already"), "{}", taken.stderr);
    let nobody = held.run("recovery replace");
    assert!(nobody.refusal().contains("\nhint: write it to a file"), "{}", nobody.stderr);
    assert_eq!(held.status()["recovery_recipient"], before, "nothing was replaced so far");

    let told = held.json("recovery replace --recovery-key-file recovery.new");
    assert_eq!(mode(&held.place.path("recovery.new")), 0o600);
    assert_eq!(held.status()["recovery_recipient"], told["recovery_recipient"]);
    assert_ne!(told["recovery_recipient"], before);
    held.run("backup --out after.backup").done();
    server.stop();
    let test = |identity: &str, file: &str| {
        // It knows neither instance nor database.
        let alone = Held { url: None, key: held.key.clone(), place: crate::harness::Place::new() };
        for name in [identity, file] {
            fs::copy(held.place.path(name), alone.place.path(name)).unwrap();
        }
        let mut command = crate::harness::clean(crate::harness::BINARY);
        command.current_dir(alone.place.path("")).args(["recovery", "test", "--identity", identity, file]);
        let ended = crate::harness::run(&mut command);
        assert_eq!(super::shown(&format!("{}{}", ended.stdout, ended.stderr), &held.secrets()), [""; 0]);
        ended
    };
    for (identity, own, other) in
        [("recovery.key", "before.backup", "after.backup"), ("recovery.new", "after.backup", "before.backup")]
    {
        assert!(test(identity, own).done().contains("opens everything"));
        let refused = test(identity, other);
        assert!(refused.refusal().contains("is another"), "{}", refused.stderr);
    }
    // A new master key is for the new recovery key, too.
    held.run("keys rotate master").done();
    held.run("backup --out later.backup").done();
    assert!(test("recovery.new", "later.backup").done().contains("opens everything"));
    assert!(test("recovery.key", "later.backup").refusal().contains("is another"));
    held.is_well();
    held.logged_nothing();
}

#[test]
fn backups_are_for_the_recovery_key_of_their_time() {
    replaced(&Held::on_sqlite());
    replaced(&crate::shared::Shared::new(Cluster::shared()).into());
}
