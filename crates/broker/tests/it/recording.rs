//! Each request is in the record, and nothing goes through that couldn't be; a run has so much and
//! no more.

use std::time::Duration;

use strongroom_broker::RunLimits;
use tokio::io::AsyncReadExt as _;

use crate::client::{Answer, ask, ask_on, connect, greet, http2, request, tunnel_to, under_way, until};
use crate::harness::{SHOP, Scene, Setup};

/// By then a write has given up, for which somebody else's wasn't over.
const BUSY: Duration = Duration::from_secs(6);

#[tokio::test]
async fn a_request_is_told_of_once_with_what_came_of_it() {
    let scene = Scene::new().await;
    let placeholder = scene.placeholder("KEY").await;
    let key = ("X-Key", &*placeholder);
    let answer = ask(&scene, "POST /header/echo?q=secret", &[key], "12345").await;
    ask(&scene, "GET /admin", &[key], "").await;
    let [through, refused] = &scene.recorded().await[..] else { panic!("two") };
    assert_eq!((&*through.scheme, &*through.host, through.port), ("https", SHOP, 443));
    assert_eq!((&*through.method, &*through.path, through.status), ("POST", "/header/echo", Some(200)));
    assert_eq!((through.rule, through.sent, through.ended), (Some(1), 5, true));
    assert_eq!(through.received, u64::try_from(answer.body.len()).unwrap());
    assert_eq!(through.refused, None);
    assert_eq!((refused.rule, refused.status, &*refused.path), (None, None, "/admin"));
    assert_eq!((refused.refused.as_deref(), refused.ended), (Some("not_covered"), true));
    let list = scene.app.run_requests(&scene.owner, scene.run.run.id, None, 10).await.unwrap();
    let event = &list.events[1];
    assert_eq!((event.object_id, event.version), (Some(scene.secret.uuid()), Some(1)));
    assert_eq!((event.actor.run_id, event.place.agent_id), (Some(scene.run.run.id), Some(scene.place.0)));
}

#[tokio::test]
async fn a_long_request_is_told_of_at_its_beginning_and_its_end() {
    let scene = Scene::new().await;
    let mut tunnel = under_way(&scene).await;
    let begun = scene.recorded().await;
    assert_eq!(begun.iter().map(|one| (one.ended, one.status)).collect::<Vec<_>>(), [(false, Some(200))]);
    scene.shop.at.go_on.notify_one();
    until(&mut tunnel, "data: 2").await;
    let all = scene.recorded().await;
    let [begun, ended] = &all[..] else { panic!("{all:?}") };
    assert!(ended.ended && ended.received > begun.received && ended.millis >= 100);
}

#[tokio::test]
async fn nothing_goes_through_that_cant_be_recorded() {
    let scene = Scene::new().await;
    let placeholder = scene.placeholder("KEY").await;
    let head = format!("GET /header HTTP/1.1\r\nHost: {SHOP}\r\nX-Key: {placeholder}\r\n\r\n");
    let mut tunnel = tunnel_to(&scene, SHOP).await;
    let database = scene.database();
    database.execute_batch("ALTER TABLE events RENAME TO gone").unwrap();
    // What was under way before that was noticed may have gone through, and is recorded later.
    assert_eq!(ask_on(&mut tunnel, head.as_bytes()).await.status, 200);
    tokio::time::sleep(Duration::from_millis(300)).await;
    scene.shop.seen();
    for _ in 0..3 {
        let answer = ask_on(&mut tunnel, head.as_bytes()).await;
        assert_eq!((answer.status, &*answer.refusal()), (503, "unavailable"));
        assert!(answer.head.contains("Retry-After: 1"), "{}", answer.head);
    }
    assert_eq!(scene.shop.seen().len(), 0);
    database.execute_batch("ALTER TABLE gone RENAME TO events").unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(ask_on(&mut tunnel, head.as_bytes()).await.status, 200);
    // What was refused meanwhile isn't, or the queue of what is to be recorded would have no end.
    let told: Vec<_> = scene.recorded().await.into_iter().filter(|one| one.ended).collect();
    assert_eq!((told.len(), told.iter().filter(|one| one.refused.is_some()).count()), (2, 0));
}

async fn limited(limits: RunLimits) -> (Scene, String) {
    let scene = Scene::with(Setup { limits, ..Setup::default() }).await;
    let head =
        format!("GET /header HTTP/1.1\r\nHost: {SHOP}\r\nX-Key: {}\r\n\r\n", scene.placeholder("KEY").await);
    (scene, head)
}

fn is_limit(answer: &Answer) -> bool {
    answer.status == 429 && answer.refusal() == "run_limit"
}

#[tokio::test]
async fn a_run_has_so_many_requests() {
    let (scene, head) = limited(RunLimits { requests: 3, ..RunLimits::default() }).await;
    let mut tunnel = tunnel_to(&scene, SHOP).await;
    assert_eq!(ask_on(&mut tunnel, head.as_bytes()).await.status, 200);
    // Refused ones count, too.
    connect(&scene, scene.token(), "192.0.2.1:443").await.unwrap_err();
    assert_eq!(ask(&scene, "GET /admin", &[], "").await.refusal(), "not_covered");
    assert!(is_limit(&ask_on(&mut tunnel, head.as_bytes()).await));
    assert!(is_limit(&ask(&scene, "GET /header", &[], "").await));
    let run = scene.another_run().await;
    let mut theirs =
        crate::client::tunnel_as(&scene, run.broker_token.as_ref().unwrap().reveal(), SHOP).await;
    assert_eq!(
        ask_on(&mut theirs, format!("GET /header HTTP/1.1\r\nHost: {SHOP}\r\n\r\n").as_bytes()).await.status,
        200
    );
}

#[tokio::test]
async fn a_run_has_so_many_hosts() {
    let (scene, head) = limited(RunLimits { hosts: 2, ..RunLimits::default() }).await;
    let stream = connect(&scene, scene.token(), "a.example:443").await.unwrap();
    let mut tunnel = greet(&scene, stream, ("a.example", &[])).await.unwrap();
    let refused = ask_on(&mut tunnel, &request("GET /", &[("Host", "a.example")], "")).await;
    assert_eq!(refused.refusal(), "no_rule");
    assert_eq!(ask_on(&mut tunnel_to(&scene, SHOP).await, head.as_bytes()).await.status, 200);
    // Before a certificate is made for it.
    let refused = connect(&scene, scene.token(), "b.example:443").await.err().unwrap();
    assert_eq!(refused.refusal(), "run_limit");
    assert_eq!(ask_on(&mut tunnel_to(&scene, SHOP).await, head.as_bytes()).await.status, 200);
}

/// A refused tunnel is a request like any other: else a run could fill the record with them.
#[tokio::test]
async fn tunnels_that_are_refused_count_and_are_told_of_so_often() {
    let (scene, _) = limited(RunLimits { hosts: 0, requests: 3, ..RunLimits::default() }).await;
    for _ in 0..20 {
        let refused = connect(&scene, scene.token(), "a.example:443").await.err().unwrap();
        assert_eq!(refused.refusal(), "run_limit");
    }
    // Three, and one that says that there were too many.
    assert_eq!(scene.recorded().await.len(), 4);
}

#[tokio::test]
async fn a_run_has_so_many_bytes() {
    let (scene, _) = limited(RunLimits { bytes: 100_000, ..RunLimits::default() }).await;
    let mut client = http2(&scene, scene.token()).await;
    let post = || http::Request::post(format!("https://{SHOP}/header/sink"));
    assert_eq!(client.send(post(), vec![b'.'; 40_000]).await.text(), "40000");
    let much = client.send(post(), vec![b'.'; 200_000]).await;
    assert!(is_limit(&much), "{}", much.text());
    assert!(is_limit(&client.send(post(), vec![]).await), "nor anything after that");
    // An answer that is too much breaks off.
    let (scene, _) = limited(RunLimits { bytes: 100_000, ..RunLimits::default() }).await;
    let answer = ask(&scene, "GET /header/much?1000000", &[], "").await;
    assert!(answer.body.len() <= 100_000, "{}", answer.body.len());
    assert_eq!(scene.recorded().await.last().unwrap().refused.as_deref(), Some("run_limit"));
}

#[tokio::test]
async fn what_takes_longer_than_the_server_waits_for_is_ended_and_that_gets_into_the_record() {
    let scene = Scene::new().await;
    let mut tunnel = under_way(&scene).await;
    let begun = scene.recorded().await;
    assert_eq!(begun.iter().filter(|told| !told.ended).count(), 1);
    let database = scene.database();
    let directory = scene.end().await.unwrap();
    tunnel.read_to_end(&mut Vec::new()).await.unwrap_err();
    let count = "SELECT count(*) FROM events WHERE kind = 'run.requested'";
    let told = database.query_row(count, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(usize::try_from(told).unwrap(), begun.len() + 1);
    drop(directory);
}

/// One request that went through and couldn't be recorded, and the database in which it can't.
async fn unrecorded() -> (Scene, rusqlite::Connection) {
    let scene = Scene::new().await;
    let placeholder = scene.placeholder("KEY").await;
    let database = scene.database();
    database.execute_batch("ALTER TABLE events RENAME TO gone").unwrap();
    assert_eq!(ask(&scene, "GET /header", &[("X-Key", &placeholder)], "").await.status, 200);
    // By now it was tried.
    tokio::time::sleep(Duration::from_millis(300)).await;
    (scene, database)
}

#[tokio::test]
async fn what_the_database_takes_a_little_later_gets_into_the_record_of_a_server_that_ends() {
    let (scene, database) = unrecorded().await;
    let ended = scene.end();
    tokio::time::sleep(Duration::from_millis(500)).await;
    database.execute_batch("ALTER TABLE gone RENAME TO events").unwrap();
    let _directory = ended.await.unwrap();
    let count = "SELECT count(*) FROM events WHERE kind = 'run.requested'";
    assert_eq!(database.query_row(count, [], |row| row.get::<_, i64>(0)).unwrap(), 1);
}

#[tokio::test]
async fn a_server_that_ends_tells_what_it_could_not_record() {
    let (scene, _database) = unrecorded().await;
    let (told, _directory) = scene.end_and_tell().await.unwrap();
    let told = told.unwrap_err().to_string();
    assert!(told.contains("before the server ended: 1;"), "{told}");
}

#[tokio::test]
async fn what_is_being_recorded_when_the_server_ends_gets_into_the_record() {
    let scene = Scene::new().await;
    let placeholder = scene.placeholder("KEY").await;
    let database = scene.database();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    ask(&scene, "GET /header", &[("X-Key", &placeholder)], "").await;
    // By now it is being stored, which is to fail.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let ended = scene.end();
    tokio::time::sleep(BUSY).await;
    database.execute_batch("COMMIT").unwrap();
    let _directory = ended.await.unwrap();
    let count = "SELECT count(*) FROM events WHERE kind = 'run.requested'";
    assert_eq!(database.query_row(count, [], |row| row.get::<_, i64>(0)).unwrap(), 1);
}
