//! Members, their keys, and teams.

use serde_json::{Value, json};

use super::{NOTHING, Session, text};
use crate::stub::fed;

/// The entry of this name in a list.
fn named(list: &Value, name: &str) -> Value {
    let found = list.as_array().unwrap().iter().find(|entry| entry["name"] == name);
    found.unwrap_or_else(|| panic!("no {name}: {list}")).clone()
}

#[test]
fn a_key_works_until_it_is_revoked() {
    let session = Session::begin();
    let created = session.run(&[
        "keys",
        "create",
        "--name",
        "deploy",
        "--role",
        "builder",
        "--scope",
        "secrets:read",
        "--scope",
        "team:read",
        "--cidr",
        "127.0.0.0/8",
        "--expires-at",
        "2100-01-31T00:00:00Z",
    ]);
    let key = created.done().trim().to_owned();
    assert_eq!(created.stdout, format!("{key}\n"));
    assert!(key.starts_with("srk_") && !created.stderr.contains("srk_"), "{}", created.stderr);
    let listed = named(&session.json(&["keys", "list"])["api_keys"], "deploy");
    assert_eq!(listed["scopes"], json!(["secrets:read", "team:read"]));
    assert_eq!((&listed["role"], &listed["cidrs"]), (&json!("builder"), &json!(["127.0.0.0/8"])));
    assert!(created.stderr.contains(&text(&listed, "id")), "{}", created.stderr);
    let table = session.done(&["keys", "list"]);
    assert!(table.contains("deploy") && table.contains("2100-01-31"), "{table}");
    assert!(!table.contains(&key));
    session.run_as(&key, &["secrets", "list"]).done();
    let refused = session.run_as(&key, &["secrets", "create", "--name", "n"]);
    assert!(refused.refusal().contains("secrets:write"), "{}", refused.stderr);
    let revoked = session.run(&["keys", "revoke", &text(&listed, "id"), "-y"]);
    assert!(
        revoked.done().is_empty() && revoked.stderr.starts_with("Revoked the API key "),
        "{}",
        revoked.stderr
    );
    let refused = session.run_as(&key, &["secrets", "list"]);
    assert!(refused.code == Some(2) && refused.stderr.contains("STRONGROOM_API_KEY"), "{}", refused.stderr);
    assert!(session.done(&["keys", "list"]).contains("revoked"));
    let whole = session.json(&["keys", "create", "--name", "whole"]);
    assert!(text(&whole, "api_key").starts_with("srk_"));
    assert!(!whole["scopes"].as_array().unwrap().contains(&json!("runs:start")), "that must be asked for");
}

#[test]
fn a_link_gives_one_key_to_whom_it_is_for() {
    let session = Session::begin();
    let add = ["members", "add", "--email", "ada@example.com", "--name", "Ada", "--role", "builder"];
    let added = session.run(&add);
    let ada = text(&session.json(&["members", "list", "--search", "ada"])["members"][0], "id");
    assert!(
        added.done().contains("name   Ada\nrole   builder\nemail  ada@example.com\n"),
        "{}",
        added.stdout
    );
    assert!(
        added.stderr.ends_with(&format!("\n  strongroom keys link {ada} --name NAME\n")),
        "{}",
        added.stderr
    );
    let made =
        session.run(&["keys", "link", &ada, "--name", "laptop", "--role", "member", "--valid-seconds", "60"]);
    let link = made.done().to_owned();
    assert!(link.starts_with("srl_") && link.lines().count() == 1, "{link}");
    let login = format!("\n  strongroom login --url {} --link-stdin\n", session.url());
    assert!(made.stderr.ends_with(&login) && !made.stderr.contains("srl_"), "{}", made.stderr);
    let open = session.json(&["keys", "links"]);
    assert_eq!(
        (&open["key_links"][0]["user_id"], &open["key_links"][0]["role"]),
        (&json!(ada), &json!("member"))
    );
    assert!(session.done(&["keys", "links"]).contains("laptop"));

    let claim = || fed(session.stranger(&["keys", "claim", "--url", &session.url()]), link.as_bytes());
    let claimed = claim();
    let key = claimed.done().trim().to_owned();
    let profile: Value = serde_json::from_str(session.run_as(&key, &["profile", "--json"]).done()).unwrap();
    let expected =
        json!({"profile": {"id": ada, "name": "Ada", "email": "ada@example.com", "teamId": session.team}});
    assert_eq!(profile, expected);
    assert_eq!(session.json(&["keys", "links"]), json!({"key_links": []}));
    let again = claim();
    assert_eq!((again.code, again.stdout.as_str()), (Some(2), ""), "{}", again.stderr);
    assert!(!again.stderr.contains("srl_"), "{}", again.stderr);
}

#[test]
fn a_link_that_was_taken_back_gives_nothing() {
    let session = Session::begin();
    let made = session.json(&["keys", "link", &session.user, "--name", "laptop"]);
    let cancelled = session.run(&["keys", "cancel-link", &text(&made, "id")]);
    assert!(
        cancelled.done().is_empty() && cancelled.stderr.starts_with("Took the link "),
        "{}",
        cancelled.stderr
    );
    let claim = session.stranger(&["keys", "claim", "--url", &session.url(), "--json"]);
    let claimed = fed(claim, text(&made, "link").as_bytes());
    assert_eq!(claimed.code, Some(2), "{}", claimed.stderr);
    assert!(claimed.stdout.contains("\"error\""), "{}", claimed.stdout);
    assert_eq!(session.run(&["keys", "cancel-link", &text(&made, "id")]).code, Some(3));
}

#[test]
fn members_come_change_go_and_come_back() {
    let session = Session::begin();
    let (ada, key) = session.member("ada", "builder");
    assert!(session.done(&["members", "update", &ada, "--role", "manager"]).contains("role   manager"));
    assert_eq!(session.json(&["members", "update", &ada, "--role", "member"])["member"]["role"], "member");
    let table = session.done(&["members", "list"]);
    assert!(table.contains(&format!("{ada}  ada    member  ada@example.com")), "{table}");
    let removed = session.run(&["members", "remove", &ada, "--yes"]);
    assert!(removed.done().is_empty() && removed.stderr.contains(&ada), "{}", removed.stderr);
    assert_eq!(session.run_as(&key, &["profile"]).code, Some(2), "their keys end");
    assert_eq!(session.json(&["members", "list"])["total"], 1);
    let back = session.json(&["members", "add", "--user-id", &ada, "--role", "builder"]);
    assert_eq!(back["member"]["name"], "ada");
    assert_eq!(session.run_as(&key, &["profile"]).code, Some(2), "and stay ended");
    let alone = session.run(&["members", "remove", &session.user, "-y"]);
    assert!(alone.refusal().contains("owner"), "a team keeps an owner: {}", alone.stderr);
    assert_eq!(session.run(&["members", "update", NOTHING, "--role", "member"]).code, Some(3));
}

#[test]
fn a_host_gets_a_service_user_and_a_key_for_runs() {
    let session = Session::begin();
    let added = session.run(&["members", "add", "--service", "--name", "host", "--role", "builder"]);
    assert!(added.done().contains("(service)"), "{}", added.stdout);
    let host = text(&named(&session.json(&["members", "list"])["members"], "host"), "id");
    let advice = format!("\n  strongroom keys create --service-user {host} --scope runs:start --name NAME\n");
    assert!(added.stderr.ends_with(&advice), "{}", added.stderr);
    let key =
        session.done(&["keys", "create", "--service-user", &host, "--scope", "runs:start", "--name", "host"]);
    let profile = session.run_as(key.trim(), &["profile"]);
    assert!(profile.done().contains("name    host\nemail   -\n"), "{}", profile.stdout);
    assert_eq!(session.run_as(key.trim(), &["secrets", "create", "--name", "n"]).code, Some(1));
}

#[test]
fn more_members_than_a_page_has_are_all_listed() {
    let session = Session::begin();
    let mut client = session.server.client(&session.key);
    for at in 0..60 {
        let member = json!({"service": true, "name": format!("host {at}"), "role": "member"});
        let added = client.post(&format!("/v2/teams/{}/members", session.team), &member.to_string());
        assert_eq!(added.status, 201, "{}", added.body);
    }
    let listed = session.json(&["members", "list"]);
    assert_eq!((&listed["total"], &listed["limit"], &listed["offset"]), (&json!(61), &json!(61), &json!(0)));
    let ids: std::collections::HashSet<_> =
        listed["members"].as_array().unwrap().iter().map(|member| text(member, "id")).collect();
    assert_eq!(ids.len(), 61);
    assert_eq!(session.done(&["members", "list"]).lines().count(), 62);
    let part = session.json(&["members", "list", "--limit", "2", "--offset", "60"]);
    assert_eq!(part["members"].as_array().unwrap().len(), 1);
    assert_eq!(session.json(&["members", "list", "--search", "host 59"])["total"], 1);
}

#[test]
fn a_team_is_made_entered_renamed_deleted_and_brought_back() {
    let session = Session::begin();
    let made = session.run(&["teams", "create", "--name", "Rockets"]);
    let link = made.done().to_owned();
    assert!(made.stderr.starts_with("Created the team \"Rockets\" ("), "{}", made.stderr);
    assert!(made.stderr.ends_with(" --link-stdin --profile NAME\n"), "{}", made.stderr);
    let claim = session.stranger(&["keys", "claim", "--url", &session.url()]);
    let key = fed(claim, link.as_bytes()).done().trim().to_owned();
    let there = |args: &[&str]| session.run_as(&key, args);
    let shown: Value = serde_json::from_str(there(&["teams", "show", "--json"]).done()).unwrap();
    assert_eq!(shown["team"]["name"], "Rockets");
    let id = text(&shown["team"], "id");
    assert!(made.stderr.contains(&id) && id != session.team);
    assert_eq!(
        session.done(&["teams", "list"]),
        format!("ID{}  NAME\n{}  My team\n", " ".repeat(34), session.team)
    );
    assert_eq!(session.run(&["teams", "show", &id]).code, Some(1), "another team's key");
    assert!(there(&["teams", "rename", &id, "--name", "Probes"]).done().contains("name     Probes"));
    there(&["secrets", "create", "--name", "n"]).done();
    let deleted = there(&["teams", "delete", &id, "--yes"]);
    assert!(deleted.done().is_empty(), "{}", deleted.stdout);
    assert!(deleted.stderr.ends_with(&format!("\n  strongroom teams undelete {id}\n")), "{}", deleted.stderr);
    let refused = there(&["secrets", "list", "--team", &id]);
    assert!(refused.refusal().contains("deleted"), "{}", refused.stderr);
    assert!(there(&["teams", "undelete", &id]).done().contains("name     Probes"));
    assert_eq!(there(&["secrets", "list"]).done().lines().count(), 2);
}
