//! `strongroom agents`, `revisions` and `revision-secrets`: what each verb
//! sends, and what a person is shown.

use serde_json::{Value, json};

use crate::harness::{Ended, on_a_terminal};
use crate::stub::{OTHER, SECRET, Seen, Stub, TEAM, USER, secret, sent};

const AT: &str = "2026-11-07T05:31:56.000Z";
const AGENT: &str = "01890a5d-ac96-774b-bcce-b302099a8010";
const REVISION: &str = "01890a5d-ac96-774b-bcce-b302099a8020";

fn agent(name: &str, live: Option<&str>) -> Value {
    json!({"id": AGENT, "team_id": TEAM, "name": name, "live_build_id": live, "copilot_id": AGENT, "config": null,
           "created_by": USER, "created_at": AT, "updated_at": AT})
}

fn revision(name: &str, live: bool) -> Value {
    json!({"id": REVISION, "agent_id": AGENT, "copilot_id": AGENT, "name": name, "live": live, "config": null,
           "created_by": USER, "created_at": AT})
}

fn counted(field: &str, elements: &[Value], total: u8, offset: u8) -> Value {
    json!({field: elements, "total": total, "limit": 50, "offset": offset})
}

#[test]
fn agents_are_made_shown_renamed_and_deleted() {
    let one = json!({"agent": agent("Triage", Some(REVISION)), "user_context": {"pinned_at": null}});
    let (own, all) = (format!("/v2/agents/{AGENT}"), format!("/v2/teams/{TEAM}/agents"));
    for (args, line, body) in [
        (&["create", "--name", "é"][..], format!("POST {all}"), json!({"name": "é"})),
        (&["create", "--name", "x", "--dry-run"], format!("POST {all}?dry_run=true"), json!({"name": "x"})),
        (&["get", AGENT], format!("GET {own}"), Value::Null),
        (&["update", AGENT, "--name", "New"], format!("PATCH {own}"), json!({"name": "New"})),
    ] {
        let (sent_line, sent_body, stdout) = sent(&[&["agents"], args].concat(), &one);
        assert_eq!((sent_line, sent_body), (line, body), "{args:?}");
        assert!(stdout.contains(&format!("\nlive revision  {REVISION}\n")), "{stdout}");
    }
    let deleted = sent(&["agents", "delete", AGENT, "-y"], &json!({"success": true}));
    assert_eq!(deleted, (format!("DELETE {own}"), Value::Null, String::new()));
}

#[test]
fn a_new_agent_or_revision_says_what_comes_next() {
    let stub = Stub::new();
    let create = ["agents", "create", "--name", "Triage"];
    for (more, says) in [(&[][..], true), (&["--dry-run"], false), (&["--json"], false)] {
        stub.say(201, json!({"agent": agent("Triage", None)}));
        let ended = stub.run_in_team(&[&create, more].concat());
        assert!(!ended.done().is_empty());
        let next = format!("  strongroom revisions create --agent {AGENT} --name NAME\n");
        assert_eq!(ended.stderr.contains(&next), says, "{more:?}: {}", ended.stderr);
    }
    stub.seen();
    stub.say(201, json!({"build": revision("v1", true), "agent": {"id": AGENT}}));
    let ended = stub.run(&["revisions", "create", "--agent", AGENT, "--name", "v1"]);
    ended.done();
    let next = format!("attach --agent {AGENT} --revision {REVISION} --secret ID\n");
    assert!(ended.stderr.ends_with(&next), "{}", ended.stderr);
}

#[test]
fn agents_are_listed_to_the_end_or_to_a_limit() {
    let stub = Stub::new();
    stub.say(200, counted("agents", &[agent("one", None)], 2, 0));
    stub.say(200, counted("agents", &[agent("two", Some(REVISION))], 2, 1));
    let listed = stub.run_in_team(&["agents", "list", "--search", "o"]);
    let expected = format!(
        "ID                                    NAME  CREATED     LIVE REVISION\n{AGENT}  one   2026-11-07  -\n{AGENT}  two   2026-11-07  {REVISION}\n"
    );
    assert_eq!((listed.done(), listed.stderr.as_str()), (expected.as_str(), ""));
    let lines: Vec<_> = stub.seen().iter().map(Seen::line).collect();
    let path = format!("GET /v2/teams/{TEAM}/agents");
    assert_eq!(lines, [format!("{path}?search=o"), format!("{path}?search=o&offset=1")]);

    stub.say(200, counted("agents", &[agent("one", None)], 9, 3));
    let page = stub.run_in_team(&["agents", "list", "--limit", "1", "--offset", "3"]);
    assert!(page.done().contains("one") && page.stderr.contains("1 of 9"), "{}", page.stderr);
    assert_eq!(stub.one().query, "limit=1&offset=3");

    stub.say(200, counted("agents", &[], 0, 0));
    let none = stub.run_in_team(&["agents", "list"]);
    assert!(none.done().is_empty() && none.stderr.starts_with("No agents here."), "{}", none.stderr);
    stub.say(200, "{\"agents\" : [], \"total\":0,\"limit\":50,\"offset\":0}\n");
    let raw = stub.run_in_team(&["agents", "list", "--json"]);
    assert_eq!(raw.done(), "{\"agents\" : [], \"total\":0,\"limit\":50,\"offset\":0}\n\n");
    for wrong in ["0", "201"] {
        assert_eq!(stub.run_in_team(&["agents", "list", "--limit", wrong]).code, Some(64));
    }
}

#[test]
fn revisions_are_listed_made_shown_and_promoted() {
    let path = format!("/v2/agents/{AGENT}/revisions");
    let of = ["--agent", AGENT];
    let two = counted("builds", &[revision("v1", true), revision("v2", false)], 2, 0);
    let (line, _, stdout) = sent(&[&["revisions", "list"], &of[..]].concat(), &two);
    assert_eq!(line, format!("GET {path}"));
    assert!(
        stdout.contains(&format!("{REVISION}  v1    yes   2026-11-07 05:31  {USER}\n{REVISION}  v2    no  ")),
        "{stdout}"
    );
    let one = json!({"build": revision("v2", false), "agent": {"id": AGENT}});
    let (line, body, _) = sent(&[&["revisions", "create", "--name", "v2"], &of[..]].concat(), &one);
    assert_eq!((line, body), (format!("POST {path}"), json!({"name": "v2"})));
    let (line, _, stdout) = sent(&[&["revisions", "get", REVISION], &of[..]].concat(), &one);
    assert_eq!(line, format!("GET {path}/{REVISION}"));
    assert!(stdout.contains("\nlive        no\n"), "{stdout}");
    for (more, body) in [(&[][..], json!({})), (&["--name", "v3"], json!({"revision_name": "v3"}))] {
        let promoted = sent(&[&["revisions", "promote", REVISION], more].concat(), &json!({"success": true}));
        assert_eq!(promoted, (format!("POST /v2/revisions/{REVISION}/promote"), body, String::new()));
    }
}

#[test]
fn an_agent_is_named_by_its_id_and_always() {
    let stub = Stub::new();
    for args in [
        &["revisions", "list"][..],
        &["revisions", "list", "--agent", "Triage"],
        &["revisions", "get", REVISION],
        &["revisions", "preview", REVISION],
        &["revision-secrets", "list", "--agent", AGENT],
        &["revision-secrets", "attach", "--agent", AGENT, "--revision", REVISION],
    ] {
        assert_eq!(stub.run_in_team(args).code, Some(64), "{args:?}");
    }
    assert_eq!(stub.seen().len(), 0);
}

#[test]
fn secrets_are_attached_listed_and_detached() {
    let path = format!("/v2/agents/{AGENT}/revisions/{REVISION}/credentials");
    let of = ["--agent", AGENT, "--revision", REVISION];
    let verb = |args: &[&str], answer: &Value| sent(&[&["revision-secrets"], args, &of[..]].concat(), answer);
    let done = json!({"success": true});
    let (line, body, _) = verb(&["attach", "--secret", SECRET], &done);
    assert_eq!((line, body), (format!("POST {path}"), json!({"credentialId": SECRET})));
    let (line, body, _) = verb(&["detach", SECRET, "-y"], &done);
    assert_eq!((line, body), (format!("DELETE {path}/{SECRET}"), Value::Null));
    let (line, _, _) = verb(&["detach", SECRET, "--dry-run"], &done);
    assert_eq!(line, format!("DELETE {path}/{SECRET}?dry_run=true"));
    let (line, _, stdout) = verb(&["list"], &json!([secret("Mail")]));
    assert_eq!(line, format!("GET {path}"));
    assert!(stdout.contains(&format!("{SECRET}  Mail  personal  SMTP_USER")), "{stdout}");

    let stub = Stub::new();
    stub.say(200, "[ ]");
    let none = stub.run(&[&["revision-secrets", "list"], &of[..]].concat());
    assert!(none.done().is_empty() && none.stderr.contains("No secrets are attached."), "{}", none.stderr);
    stub.say(409, json!({"error": "conflict", "message": "the secret is attached already"}));
    let again = stub.run(&[&["revision-secrets", "attach", "--secret", SECRET], &of[..]].concat());
    assert!(again.refusal().contains("attached already"), "{}", again.stderr);
    stub.say(404, json!({"error": "not_found", "message": "it is not attached"}));
    let absent = stub.run(&[&["revision-secrets", "detach", SECRET, "-y"], &of[..]].concat());
    assert_eq!(absent.code, Some(3), "{}", absent.stderr);
}

fn entry(name: &str, from: &str, why: &str, over: &[&str], health: &[&str]) -> Value {
    json!({"name": name, "credential_id": from, "why": why, "over": over, "health": health})
}

fn attached(id: &str, name: &str, owner: Option<&str>, health: &[&str]) -> Value {
    json!({"id": id, "name": name, "user_id": owner, "env_var_keys": [], "attached_at": AT, "health": health})
}

fn preview(answer: &Value) -> Ended {
    let stub = Stub::new();
    stub.say(200, answer);
    let ended = stub.run(&["revisions", "preview", REVISION, "--agent", AGENT]);
    assert_eq!(stub.one().line(), format!("GET /v2/agents/{AGENT}/revisions/{REVISION}/environment"));
    ended
}

#[test]
fn a_preview_says_what_wins_and_what_may_be_wrong() {
    let secrets = [
        attached(OTHER, "Mail", Some(USER), &["never_used"]),
        attached(SECRET, "Mail", None, &[]),
        attached(TEAM, "Old", None, &["empty", "never_used", "stale", "newly_invented"]),
    ];
    let names = [
        entry("A", OTHER, "personal", &[SECRET, TEAM], &[]),
        entry("B", SECRET, "later", &[TEAM], &["quoted", "whitespace"]),
        entry("C", SECRET, "only", &[], &["placeholder"]),
        entry("D", USER, "newly_invented", &[], &[]),
    ];
    let shown = preview(&json!({"environment": names, "credentials": secrets, "collisions": 2}));
    let rows: Vec<Vec<&str>> = shown
        .done()
        .lines()
        .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
        .collect();
    let expected = [
        ["NAME", "FROM", "WHY", "OVER", "HEALTH"],
        ["A", "Mail (personal)", "yours", "Mail, Old", "-"],
        ["B", "Mail", "later", "Old", "quoted, whitespace"],
        ["C", "Mail", "only", "-", "placeholder"],
        ["D", USER, "newly_invented", "-", "-"],
    ];
    assert_eq!(rows, expected);
    let expected = "\
note: 2 names stand in more than one secret, so `--strict` would refuse to start; OVER says which lost
note: empty, gives a run nothing: Old
note: never received by a run: Mail (personal), Old
note: newly_invented: Old
note: stale, not changed for long: Old
";
    assert_eq!(shown.stderr, expected);
}

#[test]
fn a_preview_that_is_well_has_no_notes_and_an_empty_one_says_so() {
    let well = json!({"environment": [entry("A", SECRET, "only", &[], &[])],
                      "credentials": [attached(SECRET, "Mail", None, &[])], "collisions": 0});
    let shown = preview(&well);
    assert_eq!((shown.done().lines().count(), shown.stderr.as_str()), (2, ""));
    let one = preview(&{
        let mut one = well.clone();
        one["collisions"] = json!(1);
        one
    });
    assert!(one.stderr.starts_with("note: 1 name stands in more than one secret"), "{}", one.stderr);
    let nothing = json!({"environment": [], "credentials": [attached(SECRET, "Mail", None, &["empty"])],
                         "collisions": 0});
    let shown = preview(&nothing);
    let expected = "note: a run would get no values\nnote: empty, gives a run nothing: Mail\n";
    assert_eq!((shown.done(), shown.stderr.as_str()), ("", expected));
    let shown = preview(&json!({"environment": [], "credentials": [], "collisions": 0}));
    assert!(shown.done().is_empty() && shown.stderr.starts_with("No secrets are attached."));
    let stub = Stub::new();
    let raw = "{\"environment\" : []}";
    stub.say(200, raw);
    let shown = stub.run(&["revisions", "preview", REVISION, "--agent", AGENT, "--json"]);
    assert_eq!((shown.done(), shown.stderr.as_str()), (format!("{raw}\n").as_str(), ""));
}

#[test]
fn secrets_of_the_same_name_are_told_apart_by_their_ids() {
    let secrets = [attached(OTHER, "Mail", None, &["stale"]), attached(SECRET, "Mail", None, &[])];
    let names = [entry("A", OTHER, "later", &[SECRET], &[])];
    let shown = preview(&json!({"environment": names, "credentials": secrets, "collisions": 1}));
    assert!(shown.done().contains(&format!("Mail ({OTHER})  later  Mail ({SECRET})")), "{}", shown.stdout);
    assert!(shown.stderr.ends_with(&format!("Mail ({OTHER})\n")), "{}", shown.stderr);
}

#[test]
fn names_that_others_chose_cannot_move_the_cursor() {
    let hostile = "\u{1b}[2J\u{9b}31m\u{202e}\n";
    let plain = |text: &str| {
        assert!(text.contains("\\u{1b}"), "{text:?}");
        assert!(!text.chars().any(|c| c.is_control() && c != '\n' || c == '\u{202e}'), "{text:?}");
    };
    let shown = preview(&json!({"environment": [entry(hostile, SECRET, hostile, &[], &[hostile])],
                                "credentials": [attached(SECRET, hostile, None, &[hostile])], "collisions": 0}));
    plain(shown.done());
    plain(&shown.stderr);
    let stub = Stub::new();
    stub.say(200, json!({"agent": agent(hostile, Some(hostile))}));
    plain(stub.run(&["agents", "get", AGENT]).done());
}

#[test]
fn a_person_is_asked_before_an_agent_goes() {
    let stub = Stub::new();
    stub.say(200, json!({"agent": agent("Triage", None), "user_context": {"pinned_at": null}}));
    let no = on_a_terminal(&stub.command(&[]), &format!("agents delete {AGENT}"), "n\n");
    assert_eq!(no.code, Some(1), "{}", no.stdout);
    assert!(
        no.screen().contains(&format!("Delete the agent \"Triage\" ({AGENT}) with its revisions?")),
        "{}",
        no.stdout
    );
    assert_eq!(stub.one().line(), format!("GET /v2/agents/{AGENT}"));
}
