//! Changing secrets: each way to edit, deleting and bringing back, the history,
//! copies and comparisons. What a version really holds is looked at with
//! comparisons, since nothing gives a value back.

use reqwest::Method;
use serde_json::{Value, json};
use strongroom_core::{Role, Scopes};

use crate::support::{Caller, NOTHING, TestApp, canary};

/// Creates a secret with these values.
async fn create(caller: &Caller, values: Value) -> String {
    let body = json!({"name": "Stripe", "values": values, "service_slug": "stripe"});
    let answer = caller.post("/v1/credentials", body.to_string()).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer.json()["id"].as_str().unwrap().to_owned()
}

/// What became of a secret by this patch.
async fn patched(caller: &Caller, id: &str, patch: &Value) -> Value {
    let answer = caller.patch(&format!("/v2/credentials/{id}"), patch.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

/// Whether a secret holds exactly these values.
async fn holds(app: &TestApp, caller: &Caller, id: &str, values: Value) -> bool {
    let same = values.as_object().unwrap().keys().map(|key| (key.clone(), json!("same"))).collect();
    let expected = json!({"keys": Value::Object(same)});
    let other = create(caller, values).await;
    let body = json!({"a": id, "b": other}).to_string();
    let answer = caller.post(&format!("/v2/teams/{}/credentials/compare", app.team_id), body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json() == expected
}

#[tokio::test]
async fn each_way_to_edit_does_what_it_says_and_keeps_the_order() {
    let app = TestApp::new().await;
    let owner = app.owner();
    let id = create(&owner, json!({"A": canary("a"), "B": canary("b"), "C": canary("c")})).await;
    let renamed = patched(&owner, &id, &json!({"rename_keys": {"B": "BB"}})).await;
    assert_eq!(renamed["env_var_keys"], json!(["A", "BB", "C"]), "keeps its place");
    assert!(holds(&app, &owner, &id, json!({"A": canary("a"), "BB": canary("b"), "C": canary("c")})).await);
    let removed = patched(&owner, &id, &json!({"remove_keys": ["A"]})).await;
    assert_eq!(removed["env_var_keys"], json!(["BB", "C"]));
    let added = patched(&owner, &id, &json!({"add_values": {"D": canary("d"), "BB": canary("b2")}})).await;
    assert_eq!(added["env_var_keys"], json!(["BB", "C", "D"]), "overwrites in place, adds at the end");
    assert!(holds(&app, &owner, &id, json!({"BB": canary("b2"), "C": canary("c"), "D": canary("d")})).await);
    let all =
        json!({"rename_keys": {"C": "D", "D": "C"}, "remove_keys": ["BB"], "add_values": {"E": canary("e")}});
    assert_eq!(
        patched(&owner, &id, &all).await["env_var_keys"],
        json!(["D", "C", "E"]),
        "swapped, in this order"
    );
    assert!(holds(&app, &owner, &id, json!({"D": canary("c"), "C": canary("d"), "E": canary("e")})).await);
    let replaced = patched(&owner, &id, &json!({"values": {"X": canary("x")}})).await;
    assert_eq!(replaced["env_var_keys"], json!(["X"]));
    assert!(holds(&app, &owner, &id, json!({"X": canary("x")})).await);
    assert!(!holds(&app, &owner, &id, json!({"X": canary("y")})).await, "the control");
}

#[tokio::test]
async fn name_service_and_sharing_change_without_a_new_version() {
    let app = TestApp::new().await;
    let owner = app.owner();
    let id = create(&owner, json!({"A": canary("a")})).await;
    app.clock.advance(5);
    let all = patched(&owner, &id, &json!({"name": "New", "service_slug": null, "shared": true})).await;
    assert_eq!(
        (&all["name"], &all["service_slug"], &all["user_id"]),
        (&json!("New"), &Value::Null, &Value::Null)
    );
    assert_ne!(all["updated_at"], all["created_at"]);
    let mine = patched(&owner, &id, &json!({"shared": false})).await;
    assert_eq!(mine["user_id"], json!(app.owner_id.to_string()));
    let versions = owner.get(&format!("/v2/credentials/{id}/versions")).await.json();
    assert_eq!(versions.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_empty_patch_changes_nothing_at_all() {
    let app = TestApp::new().await;
    let owner = app.owner();
    let id = create(&owner, json!({"A": canary("a")})).await;
    let path = format!("/v2/credentials/{id}");
    let before = owner.get(&path).await;
    app.clock.advance(5);
    for patch in
        [json!({}), json!({"rename_keys": {}}), json!({"add_values": {}, "shared": false, "name": "Stripe"})]
    {
        let answer = owner.patch(&path, patch.to_string()).await;
        assert_eq!((answer.status.as_u16(), &answer.body), (200, &before.body));
        assert_eq!(answer.header("etag"), before.header("etag"));
    }
}

#[tokio::test]
async fn edits_that_make_no_sense_are_refused_and_name_the_key() {
    let app = TestApp::new().await;
    let owner = app.owner();
    let id = create(&owner, json!({"A": canary("a"), "B": canary("b")})).await;
    let path = format!("/v1/credentials/{id}");
    let many: serde_json::Map<_, _> = (0..256).map(|i| (format!("K{i}"), json!("v"))).collect();
    for (patch, status, named) in [
        (json!({"values": {}, "remove_keys": ["A"]}), 400, "`values`"),
        (json!({"values": {}, "rename_keys": {}}), 400, "`values`"),
        (json!({"rename_keys": {"NONE": "C"}}), 400, "NONE"),
        (json!({"rename_keys": {"A": "B"}}), 400, "B"),
        (json!({"rename_keys": {"A": "C", "B": "C"}}), 400, "C"),
        (json!({"remove_keys": ["NONE"]}), 400, "NONE"),
        (json!({"remove_keys": ["A", "A"]}), 400, "A"),
        (json!({"remove_keys": []}), 400, "`remove_keys`"),
        (json!({"rename_keys": {"A": "C"}, "remove_keys": ["A"]}), 400, "A"),
        (json!({"rename_keys": {"A": "lower"}}), 400, "rename_keys"),
        (json!({"name": null}), 400, "name"),
        (json!({"shared": null}), 400, "shared"),
        (json!({"add_values": {"C": ""}}), 400, "add_values"),
        (json!({"add_values": many}), 413, "256"),
    ] {
        let answer = owner.patch(&path, patch.to_string()).await;
        assert_eq!(answer.status, status, "{patch}: {}", answer.body);
        assert!(answer.json()["message"].as_str().unwrap().contains(named), "{patch}: {}", answer.body);
    }
    let twice = owner.patch(&path, r#"{"rename_keys": {"A": "C", "A": "D"}}"#).await;
    assert_eq!(twice.code(), "invalid_request");
    assert!(holds(&app, &owner, &id, json!({"A": canary("a"), "B": canary("b")})).await, "nothing was done");
}

#[tokio::test]
async fn a_deleted_secret_is_gone_at_once_and_comes_back() {
    let app = TestApp::new().await;
    let owner = app.owner();
    let id = create(&owner, json!({"A": canary("a")})).await;
    let (v1, v2) = (format!("/v1/credentials/{id}"), format!("/v2/credentials/{id}"));
    assert_eq!(owner.delete(&v1).await.body, r#"{"success":true}"#);
    assert_eq!(owner.get("/v1/credentials").await.body, "[]");
    for answer in [
        owner.get(&v2).await,
        owner.patch(&v2, "{}").await,
        owner.delete(&v2).await,
        owner.get(&format!("{v2}/versions")).await,
        owner.post(&format!("{v2}/copy"), r#"{"name": "n"}"#).await,
        owner.post(&format!("{v2}/rollback"), r#"{"version": 1}"#).await,
    ] {
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (404, "not_found"));
    }
    let other = app.user(app.team_id, Role::Owner, Scopes::all());
    let undelete = format!("{v2}/undelete");
    assert_eq!(other.post(&undelete, "").await.status, 404, "a personal one only by its owner");
    let back = owner.post(&undelete, "").await;
    assert_eq!((back.status.as_u16(), back.json()["env_var_keys"].clone()), (200, json!(["A"])));
    assert_eq!(owner.post(&undelete, "").await.body, back.body, "a second time it stays");
    assert!(holds(&app, &owner, &id, json!({"A": canary("a")})).await);
}

#[tokio::test]
async fn history_lists_names_and_going_back_makes_a_new_version() {
    let app = TestApp::new().await;
    let owner = app.owner();
    let id = create(&owner, json!({"A": canary("a")})).await;
    app.clock.advance(1_000);
    patched(&owner, &id, &json!({"values": {"B": canary("b"), "C": canary("c")}})).await;
    let path = format!("/v2/credentials/{id}");
    let versions = owner.get(&format!("{path}/versions")).await.json();
    let short = |v: &Value| (v["number"].clone(), v["current"].clone(), v["env_var_keys"].clone());
    let found: Vec<_> = versions.as_array().unwrap().iter().map(short).collect();
    assert_eq!(found, [(json!(1), json!(false), json!(["A"])), (json!(2), json!(true), json!(["B", "C"])),]);
    assert_eq!(versions[0]["created_by"], json!(app.owner_id.to_string()));
    assert_ne!(versions[0]["created_at"], versions[1]["created_at"]);
    let back = owner.post(&format!("{path}/rollback"), r#"{"version": 1}"#).await;
    assert_eq!((back.status.as_u16(), back.json()["env_var_keys"].clone()), (200, json!(["A"])));
    assert!(holds(&app, &owner, &id, json!({"A": canary("a")})).await);
    let count = owner.get(&format!("{path}/versions")).await.json().as_array().unwrap().len();
    assert_eq!(count, 3);
    for version in ["0", "4", "-1", "1.5", "\"1\"", "null", "4294967296"] {
        let refused = owner.post(&format!("{path}/rollback"), format!("{{\"version\": {version}}}")).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (400, "invalid_request"), "{version}");
    }
    let same = owner.post(&format!("{path}/rollback"), r#"{"version": 3}"#).await;
    assert_eq!(same.body, back.body, "the current one stays");
}

#[tokio::test]
async fn a_long_history_is_listed_whole() {
    let app = TestApp::new().await;
    let owner = app.owner();
    let id = create(&owner, json!({})).await;
    for number in 2..=40 {
        patched(&owner, &id, &json!({"add_values": {format!("K{number}"): "v"}})).await;
    }
    let path = format!("/v2/credentials/{id}/versions");
    for (query, pages) in
        [("", 1), ("?limit=100", 1), ("?limit=40", 1), ("?limit=39", 2), ("?limit=7", 6), ("?limit=1", 40)]
    {
        let found = walk(&owner, &format!("{path}{query}")).await;
        assert_eq!(found, ((1..=40).collect(), pages), "{query}");
    }
    assert_eq!(walk(&owner, &format!("{path}?limit=2&cursor=37")).await, (vec![38, 39, 40], 2));
    assert_eq!(walk(&owner, &format!("{path}?cursor=40")).await, (vec![], 1));
    for query in ["limit=0", "limit=101", "limit=x", "limit=1&limit=1", "cursor=-1", "cursor=4294967296"] {
        let refused = owner.get(&format!("{path}?{query}")).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (400, "invalid_request"), "{query}");
    }
}

/// The numbers of all versions, and on how many pages they were.
async fn walk(caller: &Caller, path: &str) -> (Vec<u64>, usize) {
    let (mut path, mut numbers, mut pages) = (path.to_owned(), Vec::new(), 0);
    loop {
        let answer = caller.get(&path).await;
        let versions = answer.json();
        numbers
            .extend(versions.as_array().unwrap().iter().map(|version| version["number"].as_u64().unwrap()));
        pages += 1;
        match answer.header("link") {
            Some(link) => {
                path = link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap().to_owned();
            }
            None => return (numbers, pages),
        }
    }
}

#[tokio::test]
async fn a_history_of_more_than_a_hundred_takes_two_pages() {
    let app = TestApp::new().await;
    let owner = app.owner();
    let id = create(&owner, json!({})).await;
    for number in 2..=101 {
        patched(&owner, &id, &json!({"values": {"A": number.to_string()}})).await;
    }
    let found = walk(&owner, &format!("/v2/credentials/{id}/versions")).await;
    assert_eq!(found, ((1..=101).collect(), 2));
}

#[tokio::test]
async fn a_copy_has_the_values_and_a_life_of_its_own() {
    let app = TestApp::new().await;
    let owner = app.owner();
    let id = create(&owner, json!({"A": canary("a"), "B": canary("b")})).await;
    let answer =
        owner.post(&format!("/v2/credentials/{id}/copy"), r#"{"name": "Copy", "shared": true}"#).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    let copy = answer.json();
    assert_eq!(
        (&copy["name"], &copy["service_slug"], &copy["user_id"]),
        (&json!("Copy"), &json!("stripe"), &Value::Null)
    );
    let copy_id = copy["id"].as_str().unwrap();
    assert_ne!(copy_id, id);
    patched(&owner, &id, &json!({"remove_keys": ["A"]})).await;
    assert!(holds(&app, &owner, copy_id, json!({"A": canary("a"), "B": canary("b")})).await);
}

#[tokio::test]
async fn only_who_may_edit_both_compares_and_copies() {
    let app = TestApp::new().await;
    let shared = app.owner().create("ours", true).await["id"].as_str().unwrap().to_owned();
    let builder = app.user(app.team_id, Role::Builder, Scopes::all());
    let mine = create(&builder, json!({"A": canary("a")})).await;
    let theirs = app.owner().create("theirs", false).await["id"].as_str().unwrap().to_owned();
    let path = format!("/v2/teams/{}/credentials/compare", app.team_id);
    for (a, b, status) in
        [(&mine, &mine, 200), (&mine, &shared, 403), (&shared, &mine, 403), (&mine, &theirs, 404)]
    {
        let answer = builder.post(&path, json!({"a": a, "b": b}).to_string()).await;
        assert_eq!(answer.status, status, "{}", answer.body);
    }
    assert_eq!(builder.post(&format!("/v2/credentials/{shared}/copy"), r#"{"name": "n"}"#).await.status, 403);
    assert_eq!(builder.post(&format!("/v2/credentials/{mine}/copy"), r#"{"name": "n"}"#).await.status, 201);
    let shared_copy =
        builder.post(&format!("/v2/credentials/{mine}/copy"), r#"{"name": "n", "shared": true}"#).await;
    assert_eq!(shared_copy.status, 403);
}

#[tokio::test]
async fn a_comparison_tells_all_four_cases() {
    let app = TestApp::new().await;
    let owner = app.owner();
    let a = create(&owner, json!({"S": canary("s"), "D": canary("1"), "A": canary("a")})).await;
    let b = create(&owner, json!({"B": canary("b"), "D": canary("2"), "S": canary("s")})).await;
    let path = format!("/v2/teams/{}/credentials/compare", app.team_id);
    let answer = owner.post(&path, json!({"a": a, "b": b}).to_string()).await;
    let expected = json!({"keys": {"S": "same", "D": "different", "A": "only_a", "B": "only_b"}});
    assert_eq!(answer.json(), expected);
    let recorded = || -> u32 {
        let count = "SELECT count(*) FROM events WHERE kind = 'secret.compared'";
        app.database().query_row(count, NOTHING, |row| row.get(0)).unwrap()
    };
    assert_eq!(recorded(), 2);
    let dry = owner.post(&format!("{path}?dry_run=true"), json!({"a": a, "b": b}).to_string()).await;
    assert_eq!((dry.json(), recorded()), (expected, 4), "whoever learns it is recorded");
}

#[tokio::test]
async fn every_change_leaves_its_event() {
    let app = TestApp::new().await;
    let owner = app.owner();
    let id = create(&owner, json!({"A": canary("a")})).await;
    let path = format!("/v2/credentials/{id}");
    patched(&owner, &id, &json!({"name": "n"})).await;
    patched(&owner, &id, &json!({})).await;
    patched(&owner, &id, &json!({"values": {"B": "b"}})).await;
    owner.post(&format!("{path}/rollback"), r#"{"version": 1}"#).await;
    owner.delete(&path).await;
    owner.post(&format!("{path}/undelete"), "").await;
    owner.post(&format!("{path}/copy"), r#"{"name": "n"}"#).await;
    owner.request(Method::GET, &path).send().await.unwrap();
    let database = app.database();
    let kinds = database.query("SELECT kind FROM events ORDER BY sequence", NOTHING).unwrap();
    let kinds: Vec<String> = kinds.iter().map(|row| row.get(0).unwrap()).collect();
    assert_eq!(
        kinds,
        [
            "instance.created",
            "secret.created",
            "secret.updated",
            "secret.updated",
            "secret.rolled_back",
            "secret.deleted",
            "secret.undeleted",
            "secret.copied",
            "secret.created",
        ]
    );
}

#[tokio::test]
async fn purging_takes_what_was_deleted_long_enough_ago_and_nothing_else() {
    let app = TestApp::new().await;
    let owner = app.owner();
    let [old, new, kept] = [
        create(&owner, json!({"A": canary("a")})).await,
        create(&owner, json!({"A": canary("a")})).await,
        create(&owner, json!({"A": canary("a")})).await,
    ];
    owner.delete(&format!("/v1/credentials/{old}")).await;
    let deleted = app.app.clock().now();
    app.clock.advance(1_000);
    owner.delete(&format!("/v1/credentials/{new}")).await;
    let purged = app.app.purge(deleted).await.unwrap();
    assert_eq!((purged.secrets, purged.teams), (1, 0));
    assert_eq!(owner.post(&format!("/v2/credentials/{old}/undelete"), "").await.status, 404);
    assert_eq!(owner.post(&format!("/v2/credentials/{new}/undelete"), "").await.status, 200);
    assert_eq!(owner.get(&format!("/v1/credentials/{kept}")).await.status, 200);
    let versions: u32 =
        app.database().query_row("SELECT count(*) FROM versions", NOTHING, |row| row.get(0)).unwrap();
    assert_eq!(versions, 2);
}
