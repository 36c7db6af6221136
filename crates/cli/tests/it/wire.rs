//! The first request that anybody makes, through the whole program.

use serde_json::{Value, json};

use crate::harness::{Answer, Place};

const FIELDS: [&str; 9] = [
    "created_at",
    "created_by",
    "env_var_keys",
    "id",
    "name",
    "service_slug",
    "team_id",
    "updated_at",
    "user_id",
];

fn is_uuid(text: &str) -> bool {
    let groups: Vec<_> = text.split('-').collect();
    let hex = groups.iter().all(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let lengths: Vec<_> = groups.iter().map(|group| group.len()).collect();
    let version =
        groups.get(2).is_some_and(|group| ('1'..='8').contains(&group.chars().next().unwrap_or('0')));
    let variant = groups.get(3).is_some_and(|group| group.starts_with(['8', '9', 'a', 'b', 'A', 'B']));
    hex && lengths == [8, 4, 4, 4, 12] && version && variant
}

fn created(answer: &Answer) -> Value {
    assert_eq!(answer.status, 201, "{}", answer.body);
    let secret = answer.json();
    let mut fields: Vec<_> = secret.as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(fields, FIELDS);
    for field in ["id", "team_id", "created_by"] {
        assert!(is_uuid(secret[field].as_str().unwrap()), "{field}: {secret}");
    }
    assert!(secret["user_id"].is_null() || is_uuid(secret["user_id"].as_str().unwrap()));
    secret
}

#[test]
fn create_answers_with_nine_fields_and_no_value() {
    let (place, key) = Place::with_instance();
    let server = place.serve();
    let mut client = server.client(&key);
    let body = r#"{"name": "<string>", "values": {}, "service_slug": "<string>", "shared": false}"#;
    let empty = created(&client.post("/v1/credentials", body));
    assert_eq!((&empty["name"], &empty["service_slug"]), (&json!("<string>"), &json!("<string>")));
    assert_eq!(empty["env_var_keys"], json!([]));
    assert_eq!(empty["user_id"], empty["created_by"]);

    let body =
        r#"{"name": "Mail", "values": {"SMTP_USER": "ada", "SMTP_PASSWORD": "a=b\n\"é"}, "shared": true}"#;
    let answer = client.post("/v1/credentials", body);
    let full = created(&answer);
    assert_eq!(full["env_var_keys"], json!(["SMTP_USER", "SMTP_PASSWORD"]));
    assert_eq!((&full["user_id"], &full["service_slug"]), (&Value::Null, &Value::Null));
    assert!(!answer.body.contains("a=b"));
    assert_eq!(client.get("/v1/credentials").json(), json!([empty, full]));
    assert_eq!(client.get(&format!("/v1/credentials/{}", full["id"].as_str().unwrap())).json(), full);
}

#[test]
fn without_a_key_there_is_no_answer() {
    let (place, key) = Place::with_instance();
    let server = place.serve();
    // Another last character than it has, whichever that is.
    let last = if key.ends_with('x') { 'y' } else { 'x' };
    let wrong = format!("{}{last}", &key[..key.len() - 1]);
    for key in ["", "srk_", wrong.as_str()] {
        assert_eq!(server.client(key).get("/v1/credentials").status, 401);
    }
}

#[test]
fn what_was_created_outlives_a_restart() {
    let (place, key) = Place::with_instance();
    let server = place.serve();
    let id = server.client(&key).create("value").unwrap().unwrap();
    server.stop();
    let server = place.serve();
    assert_eq!(server.client(&key).get(&format!("/v1/credentials/{id}")).status, 200);
}
