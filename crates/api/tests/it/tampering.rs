//! A database writer without keys: whatever they change or swap is refused,
//! recorded and counted.

use serde_json::json;
use strongroom_core::{Role, Scopes};
use strongroom_testbed::{Cell, Engine, Kind};

use crate::agents::{Place, Run, agent, attached, start};
use crate::people::{settled, team};
use crate::support::{Answer, Caller, NOTHING, TestApp, canary};

/// Events that say so.
fn recorded(app: &TestApp) -> i64 {
    let count = "SELECT count(*) FROM events WHERE kind = 'integrity.violation'";
    app.database().query_row(count, NOTHING, |row| row.get(0)).unwrap()
}

/// The metric that says so.
async fn counted(app: &TestApp) -> u64 {
    app.metric("strongroom_integrity_violations_total").await
}

async fn refuses_reads(app: &TestApp, caller: &Caller, id: &str, what: &str) {
    let before = (recorded(app), counted(app).await);
    for path in [format!("/v2/credentials/{id}"), "/v1/credentials".to_owned()] {
        let answer = caller.get(&path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (500, "integrity_violation"),
            "{what}: {path}"
        );
    }
    assert_eq!((recorded(app), counted(app).await), (before.0 + 2, before.1 + 2), "{what}");
    let findings = app.app.verify(|| ()).await.unwrap().findings;
    assert!(!findings.is_empty(), "{what}: verify sees it too");
}

#[tokio::test]
async fn every_changed_column_of_a_secret_is_refused() {
    let app = TestApp::new().await;
    let secret = app.owner().create("s", true).await;
    let id = secret["id"].as_str().unwrap();
    let changes = [
        format!("owner = x'{}'", app.owner_id.uuid().simple()),
        "name = 'other'".into(),
        "name = ''".into(),
        "service_slug = 'other'".into(),
        "env_keys = 'KEY' || char(10) || 'MORE'".into(),
        "env_keys = 'not a key'".into(),
        "version = 2".into(),
        "created_by = zeroblob(16)".into(),
        "created_at = created_at + 1".into(),
        "updated_at = updated_at + 1".into(),
        "row_mac = zeroblob(34)".into(),
        "row_mac = zeroblob(33)".into(),
    ];
    // Elsewhere an id of another length can't even be written.
    let shorter = (Engine::under_test() == Engine::Sqlite).then(|| "created_by = zeroblob(15)".to_owned());
    let database = app.database();
    database.execute_batch("CREATE TABLE kept AS SELECT * FROM secrets").unwrap();
    for change in changes.into_iter().chain(shorter) {
        assert_eq!(database.execute(&format!("UPDATE secrets SET {change}"), NOTHING), Ok(1));
        refuses_reads(&app, &app.owner(), id, &change).await;
        database.execute_batch("DELETE FROM secrets; INSERT INTO secrets SELECT * FROM kept").unwrap();
        assert_eq!(app.owner().get(&format!("/v2/credentials/{id}")).await.json(), secret, "the control");
    }
}

#[tokio::test]
async fn rows_and_blobs_of_two_secrets_cannot_be_swapped() {
    let app = TestApp::new().await;
    let ids: Vec<String> = [app.owner().create("a", true).await, app.owner().create("b", true).await]
        .iter()
        .map(|secret| secret["id"].as_str().unwrap().replace('-', ""))
        .collect();
    let database = app.database();
    let swap = |table: &str, key: &str, column: &str| {
        let read = |id: &str| -> Cell {
            let select = format!("SELECT {column} FROM {table} WHERE {key} = x'{id}'");
            database.query_row(&select, NOTHING, |row| row.get(0)).unwrap()
        };
        for (id, value) in [(&ids[0], read(&ids[1])), (&ids[1], read(&ids[0]))] {
            let update = format!("UPDATE {table} SET {column} = ? WHERE {key} = x'{id}'");
            assert_eq!(database.execute(&update, [value]), Ok(1));
        }
    };
    assert_eq!(app.app.verify(|| ()).await.unwrap().findings, [], "the control");
    for (table, key, column) in
        [("versions", "secret_id", "sealed"), ("secrets", "id", "row_mac"), ("secrets", "id", "name")]
    {
        swap(table, key, column);
        assert_eq!(app.app.verify(|| ()).await.unwrap().findings.len(), 2, "{table}.{column}");
        swap(table, key, column);
        assert_eq!(app.app.verify(|| ()).await.unwrap().findings, [], "{table}.{column}, and back");
    }
}

#[tokio::test]
async fn every_bit_of_a_stored_blob_counts() {
    let app = TestApp::new().await;
    app.owner().create("a", true).await;
    let database = app.database();
    let sealed: Vec<u8> =
        database.query_row("SELECT sealed FROM versions", NOTHING, |row| row.get(0)).unwrap();
    // All bits of the header and the ends of each part; the core's own tests flip every bit of many blobs.
    for byte in [0, 1, 2, 17, 18, 49, 50, 81, 82, sealed.len() - 17, sealed.len() - 1] {
        let mut flipped = sealed.clone();
        flipped[byte] ^= 1 << (byte % 8);
        database.execute("UPDATE versions SET sealed = ?", [&flipped]).unwrap();
        let findings = app.app.verify(|| ()).await.unwrap().findings;
        assert_eq!(findings.len(), 1, "byte {byte}");
    }
    database.execute("UPDATE versions SET sealed = ?", [&sealed]).unwrap();
    assert_eq!(app.app.verify(|| ()).await.unwrap().findings, [], "the control");
}

#[tokio::test]
async fn a_key_cannot_be_raised_moved_or_given_anothers_hash() {
    let app = TestApp::new().await;
    let member = app.user(app.team_id, Role::Member, Scopes::default());
    let id = strongroom_core::tokens::Token::parse(
        strongroom_core::tokens::TokenKind::ApiKey,
        member.token.as_ref().unwrap(),
    )
    .unwrap()
    .id();
    let owner = app.owner_id.uuid().simple().to_string();
    let changes = [
        ("api_keys", "scopes = 'secrets:read secrets:write'".to_owned()),
        ("api_keys", "scopes = 'everything'".to_owned()),
        ("api_keys", "expires_at = 9999999999999".to_owned()),
        ("api_keys", format!("user_id = x'{owner}'")),
        ("memberships", "role = 'administrator'".to_owned()),
        ("memberships", "role = 'god'".to_owned()),
        ("users", "disabled_at = NULL, name = 'other'".to_owned()),
    ];
    let database = app.database();
    for (table, change) in changes {
        let kept = format!("CREATE TABLE kept AS SELECT * FROM {table}");
        database.execute_batch(&kept).unwrap();
        let condition = match table {
            "api_keys" => format!("id = x'{}'", id.simple()),
            "users" => format!("id <> x'{owner}'"),
            _ => format!("user_id <> x'{owner}'"),
        };
        assert_eq!(
            database.execute(&format!("UPDATE {table} SET {change} WHERE {condition}"), NOTHING),
            Ok(1)
        );
        app.clock.advance(800);
        let before = recorded(&app);
        let answer = member.get("/v1/credentials").await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (500, "integrity_violation"),
            "{change}"
        );
        assert_eq!(recorded(&app), before + 1, "{change}");
        let restore = format!(
            "PRAGMA foreign_keys = off; DELETE FROM {table}; INSERT INTO {table} SELECT * FROM kept; DROP TABLE kept"
        );
        database.execute_batch(&restore).unwrap();
        app.clock.advance(800);
        assert_eq!(member.get("/v1/credentials").await.code(), "insufficient_scope", "the control");
    }
    // With the owner's hash in its row, the owner's token still doesn't become the member's key.
    let steal = "UPDATE api_keys SET token_hash = (SELECT token_hash FROM api_keys WHERE user_id = ?1) WHERE user_id <> ?1";
    let before = (recorded(&app), counted(&app).await);
    database.execute(steal, [app.owner_id.as_bytes()]).unwrap();
    app.clock.advance(800);
    assert_eq!(member.get("/v1/credentials").await.code(), "integrity_violation");
    assert_eq!((recorded(&app), counted(&app).await), (before.0 + 1, before.1 + 1));
    assert_eq!(app.owner().get("/v1/credentials").await.json(), json!([]));
}

/// The columns of a table, each with another value of its type.
fn changes(app: &TestApp, table: &str) -> Vec<(String, String)> {
    let changed = app.database().columns(table).into_iter().map(|(name, kind)| {
        let change = match kind {
            Kind::Number => format!("{name} = coalesce({name}, 0) + 1"),
            Kind::Text => format!("{name} = coalesce({name}, '') || 'x'"),
            Kind::Bytes => format!("{name} = zeroblob(coalesce(length({name}), 16))"),
            Kind::Id => format!("{name} = zeroblob(16)"),
        };
        (name, change)
    });
    changed.collect()
}

/// An agent, a revision and a run of which each row can be altered.
struct Altered {
    app: TestApp,
    place: Place,
    run: Run,
}

impl Altered {
    /// What is asked of a table's rows; all is well as long as nobody alters them.
    async fn asks(&self, table: &str) -> Vec<Answer> {
        let (owner, place) = (self.app.owner(), &self.place);
        let body = json!({"agent_id": place.agent, "build_id": place.build}).to_string();
        let start = owner.post(&team(&self.app, "/runs?dry_run=true"), body).await;
        let get = async |path: String| owner.get(&path).await;
        let extend = async |run: &Caller| run.post("/v2/run/extend?dry_run=true", "{}").await;
        match table {
            "agents" => vec![
                get(format!("/v2/agents/{}", place.agent)).await,
                get(team(&self.app, &format!("/runs?agent_id={}", place.agent))).await,
                start,
                self.run.fetch().await,
            ],
            "revisions" => vec![get(place.path("")).await, get(place.path("/credentials")).await, start],
            "attachments" => {
                vec![get(place.path("/credentials")).await, get(place.path("/environment")).await, start]
            }
            _ => vec![
                get(self.run.path("")).await,
                get(self.run.path("/deliveries")).await,
                owner.post(&self.run.path("/stop?dry_run=true"), "").await,
                extend(&self.run.caller).await,
                self.run.fetch().await,
            ],
        }
    }
}

/// The columns by which a row is found: altered, it is as if it were removed.
const PLACING: [(&str, &[&str]); 4] = [
    ("agents", &["team_id", "id"]),
    ("revisions", &["team_id", "id"]),
    ("attachments", &["team_id", "revision_id"]),
    ("runs", &["id", "team_id", "agent_id", "user_id", "key_id"]),
];

#[tokio::test]
async fn every_changed_column_of_an_agent_and_its_runs_is_refused() {
    let app = settled().await;
    let place = agent(&app).await;
    attached(&app.owner(), &place, (true, json!({"KEY": canary("v")}))).await;
    let run = start(&app, &app.owner(), &place).await;
    let altered = Altered { app, place, run };
    let database = altered.app.database();
    database.execute_batch("PRAGMA foreign_keys = off").unwrap();
    for (table, placing) in PLACING {
        database.execute_batch(&format!("CREATE TABLE kept AS SELECT * FROM {table}")).unwrap();
        let changes = changes(&altered.app, table);
        assert!(changes.len() >= 7, "{changes:?}");
        for (column, change) in changes {
            assert_eq!(database.execute(&format!("UPDATE {table} SET {change}"), NOTHING), Ok(1), "{change}");
            // So long a run that was proven is known.
            altered.app.clock.advance(800);
            let before = recorded(&altered.app);
            for answer in altered.asks(table).await {
                let integrity = answer.status == 500 && answer.code() == "integrity_violation";
                let absent = placing.contains(&column.as_str())
                    && (table == "attachments" || [401, 404].contains(&answer.status.as_u16()));
                assert!(integrity || absent, "{table}.{column}: {} {}", answer.status, answer.body);
                assert!(!answer.body.contains("\"KEY\":"), "{table}.{column}");
            }
            assert_eq!(recorded(&altered.app) > before, !placing.contains(&column.as_str()), "{change}");
            let findings = altered.app.app.verify(|| ()).await.unwrap().findings;
            assert_eq!(findings.len(), 1, "{table}.{column}");
            let restore = format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM kept");
            database.execute_batch(&restore).unwrap();
            for answer in altered.asks(table).await {
                assert!(answer.status.is_success(), "the control: {}", answer.body);
            }
        }
        database.execute_batch("DROP TABLE kept").unwrap();
    }
}

#[tokio::test]
async fn a_run_cannot_be_given_anothers_token_secrets_or_life() {
    let app = settled().await;
    let place = agent(&app).await;
    attached(&app.owner(), &place, (true, json!({"KEY": canary("v")}))).await;
    let other = start(&app, &app.owner(), &place).await;
    let bare = agent(&app).await;
    let run = start(&app, &app.owner(), &bare).await;
    let stopped = start(&app, &app.owner(), &place).await;
    assert_eq!(app.owner().post(&stopped.path("/stop"), "").await.status, 200);
    let database = app.database();
    let blob = |run: &Run| format!("x'{}'", run.id.replace('-', ""));
    let of = |column: &str, from: &Run| {
        format!("{column} = (SELECT {column} FROM runs WHERE id = {})", blob(from))
    };
    for (run, change) in [
        (&run, of("token_hash", &other)),
        (&run, of("composition", &other)),
        (&run, format!("{}, {}", of("composition", &other), of("row_mac", &other))),
        (&run, "expires_at = expires_at * 2".to_owned()),
        (&stopped, "stopped_at = NULL".to_owned()),
        (&stopped, format!("stopped_at = NULL, {}", of("row_mac", &other))),
    ] {
        database.execute_batch("CREATE TABLE kept AS SELECT * FROM runs").unwrap();
        let update = format!("UPDATE runs SET {change} WHERE id = {}", blob(run));
        assert_eq!(database.execute(&update, NOTHING), Ok(1), "{change}");
        let answer = run.fetch().await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (500, "integrity_violation"),
            "{change}"
        );
        assert_eq!(other.fetch().await.status, 200, "the control");
        let restore = "DELETE FROM runs; INSERT INTO runs SELECT * FROM kept; DROP TABLE kept";
        database.execute_batch(restore).unwrap();
    }
    assert_eq!((run.fetch().await.status.as_u16(), stopped.fetch().await.status.as_u16()), (200, 401));
}
