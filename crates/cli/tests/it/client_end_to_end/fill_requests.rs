//! A secret that is asked for.

use serde_json::json;

use super::Session;

#[test]
fn a_server_understands_each_of_them() {
    let session = Session::begin();
    let create = ["fill-requests", "create", "--name", "Stripe", "--value", "A", "--value", "B"];
    let tried = session.run(&[&create[..], &["--dry-run"]].concat());
    assert!(tried.done().is_empty() && tried.stderr.contains("dry run"), "{}", tried.stderr);
    assert!(session.run(&["fill-requests", "list"]).stderr.contains("Nothing is asked for just now."));
    let link = session.done(&create);
    assert!(link.starts_with(&format!("{}/fill/srl_", session.url())), "{link}");
    let listed = session.json(&["fill-requests", "list"])["fill_requests"][0].clone();
    assert_eq!((&listed["name"], &listed["env_var_keys"]), (&json!("Stripe"), &json!(["A", "B"])));
    let id = listed["id"].as_str().unwrap();
    assert!(session.done(&["fill-requests", "get", id]).contains("status   open"));
    let cancelled = session.run(&["fill-requests", "cancel", id]);
    assert_eq!(cancelled.done(), "");
    assert!(cancelled.stderr.starts_with("Withdrew the request "), "{}", cancelled.stderr);
    assert_eq!(session.json(&["fill-requests", "get", id])["status"], json!("cancelled"));
    let gone = session.run(&["fill-requests", "cancel", id]);
    assert_eq!(gone.code, Some(3), "{}", gone.stderr);
}
