//! A server that ends finishes what it does beside answering.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use crate::harness::{Client, Place, eventually};
use crate::record::Stage;

/// In that time the record is sealed, unless something is in the way.
const TURN: Duration = Duration::from_millis(1_200);

/// The database's writer, as somebody else may be.
fn beside(place: &Place) -> rusqlite::Connection {
    let connection = rusqlite::Connection::open(place.database()).unwrap();
    connection.busy_timeout(Duration::from_secs(5)).unwrap();
    connection
}

fn count(connection: &rusqlite::Connection, what: &str) -> u64 {
    let count = connection.query_row(&format!("SELECT {what}"), [], |row| row.get::<_, i64>(0)).unwrap();
    u64::try_from(count).unwrap()
}

/// How many events the head is over that is kept outside the database.
fn kept(place: &Place) -> u64 {
    let latest = fs::read_to_string(place.data().join("checkpoints/latest")).unwrap_or_default();
    latest.lines().nth(1).map_or(0, |size| size.parse().unwrap())
}

#[test]
fn a_head_that_is_being_stored_when_the_server_ends_is_kept() {
    let (place, key) = Place::with_instance();
    let server = place.serve();
    let stage = Stage::set(&server, &key);
    server.stop();
    // From now on no key is used: what is written down of those would be waited for.
    let server = place.serve();
    let mut run = Client::new(server.address, &stage.run);
    let database = beside(&place);
    let unsealed = || {
        count(&database, "(SELECT count(*) FROM events) - (SELECT coalesce(max(size), 0) FROM audit_head)")
    };
    eventually("a turn is over", || unsealed() == 0);
    loop {
        assert_eq!(run.get("/v2/run/environment").status, 200);
        database.execute_batch("BEGIN IMMEDIATE").unwrap();
        if unsealed() > 0 {
            break;
        }
        // It was sealed at once.
        database.execute_batch("COMMIT").unwrap();
    }
    sleep(TURN);
    assert!(unsealed() > 0, "it can't be sealed now");
    server.signal(rustix::process::Signal::TERM);
    sleep(TURN / 2);
    database.execute_batch("COMMIT").unwrap();
    assert_eq!(server.wait().0.code(), Some(0));
    assert_eq!((unsealed(), kept(&place)), (0, count(&database, "count(*) FROM events")));
}
