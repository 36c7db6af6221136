//! `strongroom fill-requests`: what each verb sends, and what is shown once.

use serde_json::{Value, json};
use strongroom_core::tokens::TokenKind;

use crate::stub::{OTHER, Stub, TEAM, sent, token};

const AT: &str = "2026-11-07T05:31:56.000Z";

fn request(url: Option<&str>) -> Value {
    let mut request = json!({"id": OTHER, "status": "open", "name": "Stripe", "service_slug": null,
        "env_var_keys": ["STRIPE_KEY", "STRIPE_ACCOUNT"], "note": "for November", "created_at": AT,
        "expires_at": AT});
    if let Some(url) = url {
        request["url"] = url.into();
    }
    request
}

#[test]
fn a_new_link_is_alone_on_standard_output() {
    let url = format!("https://secrets.example.com/fill/{}", token(TokenKind::Link));
    let create = ["fill-requests", "create", "--name", "Stripe", "--value", "STRIPE_KEY"];
    let (line, body, stdout) = sent(&create, &request(Some(&url)));
    assert_eq!(line, format!("POST /v2/teams/{TEAM}/fill-requests"));
    assert_eq!(body, json!({"name": "Stripe", "env_var_keys": ["STRIPE_KEY"]}));
    assert_eq!(stdout, format!("{url}\n"));
    let more = ["--value", "STRIPE_ACCOUNT", "--service-slug", "stripe", "--note", "n", "--expires-in", "60"];
    let (_, body, _) = sent(&[&create[..], &more].concat(), &request(Some(&url)));
    let expected = json!({"name": "Stripe", "env_var_keys": ["STRIPE_KEY", "STRIPE_ACCOUNT"],
        "service_slug": "stripe", "note": "n", "expires_in": 60});
    assert_eq!(body, expected);
    let answer = request(Some(&url));
    let (_, _, stdout) = sent(&[&create[..], &["--json"]].concat(), &answer);
    assert_eq!(stdout, format!("{answer}\n"));
}

#[test]
fn the_word_about_a_new_link_is_on_standard_error_without_it() {
    let stub = Stub::new();
    stub.say(201, request(Some("https://secrets.example.com/fill/srl_x")));
    let ended = stub.run_in_team(&["fill-requests", "create", "--name", "Stripe", "--value", "A"]);
    assert!(ended.stderr.contains(&format!("strongroom fill-requests get {OTHER}")), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("2026-11-07 05:31 UTC") && !ended.stderr.contains("srl_"),
        "{}",
        ended.stderr
    );
    stub.say(201, request(None));
    let ended = stub.run_in_team(&["fill-requests", "create", "--name", "Stripe", "--value", "A"]);
    assert!(ended.refusal().contains(&format!("fill-requests cancel {OTHER}")), "{}", ended.stderr);
}

#[test]
fn a_value_is_not_sent_by_mistake() {
    let stub = Stub::new();
    let ended = stub.run_in_team(&["fill-requests", "create", "--name", "Stripe", "--value", "KEY=hunter2"]);
    assert!(ended.refusal().contains("nothing was sent"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("hunter2"), "{}", ended.stderr);
    assert!(stub.seen().is_empty());
}

#[test]
fn requests_are_listed_shown_and_withdrawn() {
    let (line, _, stdout) = sent(&["fill-requests", "list"], &json!({"fill_requests": [request(None)]}));
    assert_eq!(line, format!("GET /v2/teams/{TEAM}/fill-requests"));
    for told in ["Stripe", "2026-11-07 05:31", OTHER] {
        assert!(stdout.contains(told), "{stdout}");
    }
    let (line, _, stdout) = sent(&["fill-requests", "get", OTHER], &request(None));
    assert_eq!(line, format!("GET /v2/teams/{TEAM}/fill-requests/{OTHER}"));
    for told in ["status", "open", "STRIPE_KEY STRIPE_ACCOUNT", "for November"] {
        assert!(stdout.contains(told), "{stdout}");
    }
    let (line, _, stdout) = sent(&["fill-requests", "cancel", OTHER], &json!({"success": true}));
    assert_eq!((line, stdout), (format!("DELETE /v2/teams/{TEAM}/fill-requests/{OTHER}"), String::new()));
}
