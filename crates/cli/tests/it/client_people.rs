//! `strongroom keys`, `members`, `teams` and `profile`: what each verb sends,
//! and what is shown once.

use serde_json::{Value, json};
use strongroom_core::tokens::TokenKind;

use crate::stub::{OTHER, SECRET, Stub, TEAM, USER, fed, sent, token};

const AT: &str = "2026-11-07T05:31:56.000Z";

fn api_key() -> Value {
    json!({"id": OTHER, "user_id": USER, "name": "laptop", "role": "builder", "scopes": ["secrets:read"],
           "agents": null, "cidrs": null, "created_by": USER, "created_at": AT, "expires_at": null,
           "revoked_at": null, "last_used_at": null})
}

fn with(mut object: Value, field: &str, value: impl Into<Value>) -> Value {
    object[field] = value.into();
    object
}

fn key_link() -> Value {
    json!({"id": OTHER, "user_id": USER, "name": "laptop", "role": "builder", "scopes": [], "agents": null,
           "cidrs": null, "key_expires_at": null, "created_by": USER, "created_at": AT, "expires_at": AT})
}

#[test]
fn a_new_key_is_alone_on_standard_output() {
    let key = token(TokenKind::ApiKey);
    let answer = with(api_key(), "api_key", key.as_str());
    let (line, body, stdout) = sent(&["keys", "create", "--name", "laptop"], &answer);
    assert_eq!((line, body), (format!("POST /v2/teams/{TEAM}/api-keys"), json!({"name": "laptop"})));
    assert_eq!(stdout, format!("{key}\n"));
    let args = [
        "keys",
        "create",
        "--name",
        "host",
        "--role",
        "builder",
        "--scope",
        "runs:start",
        "--scope",
        "secrets:read",
        "--agent",
        SECRET,
        "--cidr",
        "10.0.0.0/8",
        "--expires-at",
        "2027-01-31T00:00:00Z",
        "--service-user",
        OTHER,
    ];
    let (_, body, _) = sent(&args, &answer);
    let expected = json!({"name": "host", "role": "builder", "scopes": ["runs:start", "secrets:read"],
        "agents": [SECRET], "cidrs": ["10.0.0.0/8"], "expires_at": "2027-01-31T00:00:00Z", "service_user_id": OTHER});
    assert_eq!(body, expected);
    let (_, _, stdout) = sent(&["keys", "create", "--name", "x", "--json"], &answer);
    assert_eq!(stdout, format!("{answer}\n"));
}

#[test]
fn the_word_about_a_new_key_is_on_standard_error() {
    let stub = Stub::new();
    stub.say(201, with(api_key(), "api_key", token(TokenKind::ApiKey)));
    let ended = stub.run_in_team(&["keys", "create", "--name", "laptop"]);
    assert!(ended.stderr.contains(&format!("The API key {OTHER} is shown only now")), "{}", ended.stderr);
    assert!(!ended.stderr.contains("srk_"));
    stub.seen();
    stub.say(201, with(api_key(), "api_key", token(TokenKind::ApiKey)));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = stub.command(&["keys", "create", "--name", "laptop", "--team", TEAM]);
    let child = command.stdout(writer).stderr(std::process::Stdio::piped()).spawn().unwrap();
    drop(command);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("shown only once could not be shown"));
}

#[test]
fn keys_are_listed_and_revoked() {
    let listed = json!({"api_keys": [api_key(), with(api_key(), "revoked_at", AT), with(api_key(), "expires_at", AT)]});
    let (line, _, stdout) = sent(&["keys", "list"], &listed);
    assert_eq!(line, format!("GET /v2/teams/{TEAM}/api-keys"));
    for state in ["never", "revoked", "2026-11-07", "secrets:read"] {
        assert!(stdout.contains(state), "{state}: {stdout}");
    }
    let (line, _, stdout) = sent(&["keys", "revoke", OTHER, "-y"], &json!({"success": true}));
    assert_eq!(
        (line.as_str(), stdout.as_str()),
        (format!("DELETE /v2/teams/{TEAM}/api-keys/{OTHER}").as_str(), "")
    );
}

#[test]
fn links_are_made_listed_and_taken_back() {
    let one_time = token(TokenKind::Link);
    let args = ["keys", "link", USER, "--name", "laptop", "--role", "member", "--valid-seconds", "3600"];
    let (line, body, stdout) = sent(&args, &with(key_link(), "link", one_time.as_str()));
    assert_eq!(line, format!("POST /v2/teams/{TEAM}/key-links"));
    assert_eq!(body, json!({"user_id": USER, "name": "laptop", "role": "member", "valid_seconds": 3600}));
    assert_eq!(stdout, format!("{one_time}\n"));
    let (line, _, stdout) = sent(&["keys", "links"], &json!({"key_links": [key_link()]}));
    assert_eq!(line, format!("GET /v2/teams/{TEAM}/key-links"));
    assert!(stdout.contains("laptop"), "{stdout}");
    let (line, _, _) = sent(&["keys", "cancel-link", OTHER], &json!({"success": true}));
    assert_eq!(line, format!("DELETE /v2/teams/{TEAM}/key-links/{OTHER}"));
}

#[test]
fn a_link_is_claimed_with_the_link_itself_and_once() {
    let stub = Stub::new();
    let (link, key) = (token(TokenKind::Link), token(TokenKind::ApiKey));
    stub.say(201, with(api_key(), "api_key", key.as_str()));
    let claimed =
        fed(stub.stranger(&["keys", "claim", "--url", &stub.url()]), format!("{link}\n").as_bytes());
    assert_eq!(claimed.done(), format!("{key}\n"));
    let seen = stub.one();
    assert_eq!(seen.line(), "POST /v2/key-links/claim");
    assert_eq!(seen.header("authorization"), Some(format!("Bearer {link}").as_str()));
    assert_eq!((seen.header("idempotency-key"), seen.body.as_str()), (None, ""));

    stub.tell(crate::stub::Told::Cut);
    let lost = fed(stub.stranger(&["keys", "claim", "--url", &stub.url()]), link.as_bytes());
    assert!(lost.refusal().contains("look before you repeat it"), "{}", lost.stderr);
    assert_eq!(stub.seen().len(), 1, "what works once isn't sent twice");
    let wrong = fed(stub.stranger(&["keys", "claim", "--url", &stub.url()]), key.as_bytes());
    assert_eq!(wrong.code, Some(2));
    assert!(!wrong.stderr.contains(&key), "{}", wrong.stderr);
}

#[test]
fn members_come_change_and_go() {
    let member = json!({"id": USER, "name": "Ada", "email": "ada@example.com", "role": "builder",
                        "inheritedFromOrg": false, "service": false});
    let one = json!({"member": member});
    let path = format!("/v2/teams/{TEAM}/members");
    for (args, line, body) in [
        (
            &["add", "--email", "ada@example.com", "--name", "Ada", "--role", "builder"][..],
            format!("POST {path}"),
            json!({"name": "Ada", "email": "ada@example.com", "role": "builder"}),
        ),
        (
            &["add", "--service", "--name", "deploy", "--role", "member"],
            format!("POST {path}"),
            json!({"name": "deploy", "role": "member", "service": true}),
        ),
        (
            &["add", "--user-id", USER, "--role", "owner"],
            format!("POST {path}"),
            json!({"user_id": USER, "role": "owner"}),
        ),
        (&["update", USER, "--role", "manager"], format!("PATCH {path}/{USER}"), json!({"role": "manager"})),
        (&["remove", USER, "-y"], format!("DELETE {path}/{USER}"), Value::Null),
    ] {
        let (sent_line, sent_body, _) = sent(&[&["members"], args].concat(), &one);
        assert_eq!((sent_line, sent_body), (line, body), "{args:?}");
    }
    for args in [
        &["add", "--role", "member"][..],
        &["add", "--service", "--role", "member"],
        &["add", "--email", "a@b"],
    ] {
        assert_eq!(Stub::new().run(&[&["members"], args].concat()).code, Some(64), "{args:?}");
    }
}

#[test]
fn members_are_listed_to_the_end_or_to_a_limit() {
    let stub = Stub::new();
    let page = |name: &str, offset: u8| {
        json!({"members": [{"id": USER, "name": name, "email": null, "role": "owner", "inheritedFromOrg": false,
               "service": true}], "total": 2, "limit": 1, "offset": offset})
    };
    stub.say(200, page("one", 0)).say(200, page("two", 1));
    let listed = stub.run_in_team(&["members", "list", "--search", "x"]);
    assert_eq!(listed.done().lines().count(), 3, "{}", listed.stdout);
    assert!(listed.stdout.contains("(service)"));
    let queries: Vec<_> = stub.seen().into_iter().map(|seen| seen.query).collect();
    assert_eq!(queries, ["search=x", "search=x&offset=1"]);
    stub.say(200, page("two", 1));
    let args = ["members", "list", "--limit", "1", "--offset", "1", "--json"];
    assert_eq!(stub.run_in_team(&args).done(), format!("{}\n", page("two", 1)));
    assert_eq!(stub.one().query, "limit=1&offset=1");
    stub.say(200, page("one", 0));
    let first = stub.run_in_team(&["members", "list", "--limit", "1"]);
    assert!(first.done().contains("one") && first.stderr.contains("note: 1 of 2; "), "{}", first.stderr);
}

#[test]
fn counted_pages_together_are_one_list_of_what_the_server_wrote() {
    let stub = Stub::new();
    stub.say(200, "{\"total\":4, \"members\":[{\"a\" : 1.0}, 2],\"limit\":2,\"offset\":1}\n");
    stub.say(200, "{\"members\":[\"\\u00e9\"],\"total\":4,\"limit\":2,\"offset\":3}");
    let listed = stub.run_in_team(&["members", "list", "--offset", "1", "--json"]);
    let expected = "{\"members\":[{\"a\" : 1.0},2,\"\\u00e9\"],\"total\":4,\"limit\":3,\"offset\":1}\n";
    assert_eq!(listed.done(), expected);
    let queries: Vec<_> = stub.seen().into_iter().map(|seen| seen.query).collect();
    assert_eq!(queries, ["offset=1", "offset=3"]);
    stub.say(200, "{\"members\":[1],\"total\":9,\"limit\":1,\"offset\":0}");
    stub.say(200, "{\"members\":[],\"total\":9,\"limit\":1,\"offset\":1}");
    stub.run_in_team(&["members", "list", "--json"]).done();
    assert_eq!(stub.seen().len(), 2, "an empty page is the end, whatever the total says");
}

#[test]
fn teams_are_listed_shown_made_renamed_and_deleted() {
    let team = json!({"team": {"id": TEAM, "name": "Rockets", "created_at": AT, "organization_id": null,
                               "slack_team_id": null, "discovery_mode": "request"}});
    let (line, _, stdout) = sent(
        &["teams", "list"],
        &json!({"teams": [{"id": TEAM, "name": "Rockets", "organization_id": null}]}),
    );
    assert_eq!((line.as_str(), stdout.lines().count()), ("GET /v2/teams", 2));
    assert_eq!(sent(&["teams", "show"], &team).0, format!("GET /v2/teams/{TEAM}"));
    assert_eq!(sent(&["teams", "show", OTHER], &team).0, format!("GET /v2/teams/{OTHER}"));
    let (line, body, _) = sent(&["teams", "rename", TEAM, "--name", "R2"], &team);
    assert_eq!((line, body), (format!("PATCH /v2/teams/{TEAM}"), json!({"name": "R2"})));
    assert_eq!(
        sent(&["teams", "delete", TEAM, "-y"], &json!({"success": true})).0,
        format!("DELETE /v2/teams/{TEAM}")
    );
    assert_eq!(sent(&["teams", "undelete", TEAM], &team).0, format!("POST /v2/teams/{TEAM}/undelete"));
    let one_time = token(TokenKind::Link);
    let made = with(team, "key_link", with(key_link(), "link", one_time.as_str()));
    let (line, body, stdout) = sent(&["teams", "create", "--name", "New"], &made);
    assert_eq!((line.as_str(), body), ("POST /v2/teams", json!({"name": "New"})));
    assert_eq!(stdout, format!("{one_time}\n"));
}

#[test]
fn the_team_is_the_keys_own_unless_one_is_named() {
    let stub = Stub::new();
    let profile = json!({"profile": {"id": USER, "name": "Ada", "email": "ada@example.com", "teamId": TEAM}});
    stub.say(200, &profile).say(200, json!({"key_links": []}));
    stub.run(&["keys", "links"]).done();
    let lines: Vec<_> = stub.seen().iter().map(crate::stub::Seen::line).collect();
    assert_eq!(lines, ["GET /v2/profile".to_owned(), format!("GET /v2/teams/{TEAM}/key-links")]);
    stub.say(200, &profile);
    let shown = stub.run(&["profile"]);
    assert!(shown.done().contains("name    Ada\nemail   ada@example.com\n"), "{}", shown.stdout);
    stub.seen();
    stub.say(200, format!("{profile}  "));
    assert_eq!(stub.run(&["profile", "--json"]).done(), format!("{profile}  \n"));
}
