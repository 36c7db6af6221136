//! `strongroom runs`, `secrets runs` and `panic`: what each sends, and what a
//! person is shown.

use serde_json::{Value, json};

use crate::harness::on_a_terminal;
use crate::stub::{OTHER, SECRET, Seen, Stub, TEAM, USER, secret};

const AT: &str = "2026-11-07T05:31:56.000Z";
const AGENT: &str = "01890a5d-ac96-774b-bcce-b302099a8010";
const REVISION: &str = "01890a5d-ac96-774b-bcce-b302099a8020";
const RUN: &str = "01890a5d-ac96-774b-bcce-b302099a8030";
const KEY: &str = "01890a5d-ac96-774b-bcce-b302099a8040";

fn started(status: &str, note: Option<&str>, ended: Option<&str>) -> Value {
    json!({"id": RUN, "team_id": TEAM, "agent_id": AGENT, "build_id": REVISION, "user_id": USER,
           "api_key_id": KEY, "mode": "inject", "strict": true, "note": note, "status": status, "source": "api",
           "sandbox_id": null, "human_in_the_loop_enabled": false, "started_at": AT, "completed_at": ended,
           "expires_at": "2026-11-07T06:31:56.000Z", "created_at": AT, "updated_at": AT})
}

fn lines(stub: &Stub) -> Vec<String> {
    stub.seen().iter().map(Seen::line).collect()
}

#[test]
fn runs_are_listed_the_newest_only_unless_more_are_asked_for() {
    let stub = Stub::new();
    let page = json!({"data": [started("running", Some("nightly"), None), started("revoked", None, Some(AT))],
                      "total": 70, "limit": 50, "offset": 0});
    stub.say(200, &page);
    let listed = stub.run_in_team(&["runs", "list"]);
    let expected = format!(
        "ID                                    STATUS   MODE    STARTED (UTC)     NOTE     AGENT\n{RUN}  running  inject  2026-11-07 05:31  nightly  {AGENT}\n{RUN}  revoked  inject  2026-11-07 05:31  -        {AGENT}\n"
    );
    assert_eq!(listed.done(), expected);
    assert_eq!(listed.stderr, "note: 2 of 70; --limit and --offset show the others\n");
    stub.say(200, format!("{page} "));
    let args = ["runs", "list", "--agent", AGENT, "--limit", "200", "--offset", "50", "--json"];
    assert_eq!(stub.run_in_team(&args).done(), format!("{page} \n"));
    let path = format!("GET /v2/teams/{TEAM}/runs");
    assert_eq!(
        lines(&stub),
        [format!("{path}?limit=50"), format!("{path}?agent_id={AGENT}&limit=200&offset=50")]
    );
    stub.say(200, json!({"data": [], "total": 0, "limit": 50, "offset": 0}));
    let none = stub.run_in_team(&["runs", "list"]);
    assert_eq!((none.done(), none.stderr.as_str()), ("", "No runs here.\n"));
}

#[test]
fn a_run_says_when_it_ends_or_ended() {
    let stub = Stub::new();
    stub.say(200, json!({"run": started("running", None, None)}));
    let running = stub.run(&["runs", "get", RUN]);
    assert!(running.done().contains("\nexpires   2026-11-07T06:31:56.000Z\n"), "{}", running.stdout);
    assert!(running.stdout.contains("\nnote      -\n") && running.stdout.contains("\nstrict    yes\n"));
    stub.say(200, json!({"run": started("stopped", Some("n"), Some(AT))}));
    let ended = stub.run(&["runs", "get", RUN]);
    assert!(ended.done().contains(&format!("\nended     {AT}\n")), "{}", ended.stdout);
    assert!(!ended.stdout.contains("expires"));
    assert_eq!(lines(&stub), [format!("GET /v2/runs/{RUN}"), format!("GET /v2/runs/{RUN}")]);
}

#[test]
fn a_run_is_stopped_after_a_yes() {
    let stub = Stub::new();
    stub.say(200, json!({"success": true}));
    let stopped = stub.run(&["runs", "stop", RUN, "-y"]);
    let expected = format!("Stopped the run {RUN}.\n");
    assert_eq!((stopped.done(), stopped.stderr.as_str()), ("", expected.as_str()));
    assert_eq!(lines(&stub), [format!("POST /v2/runs/{RUN}/stop")]);
    stub.say(200, json!({"run": started("running", Some("nightly"), None)}))
        .say(200, json!({"success": true}));
    let yes = on_a_terminal(&stub.command(&[]), &format!("runs stop {RUN}"), "yes\n");
    assert_eq!(yes.code, Some(0), "{}", yes.stdout);
    assert!(yes.screen().contains(&format!("Stop the running run \"nightly\" ({RUN})?")), "{}", yes.stdout);
    assert_eq!(lines(&stub), [format!("GET /v2/runs/{RUN}"), format!("POST /v2/runs/{RUN}/stop")]);
}

#[test]
fn deliveries_are_shown_from_both_ends() {
    let stub = Stub::new();
    let version = json!({"version": 12, "env_var_keys": ["A", "B"], "delivered_at": AT});
    let with = |field: &str, id: &str| {
        let mut delivery = version.clone();
        delivery[field] = json!(id);
        delivery
    };
    stub.say(200, json!({"deliveries": [with("credential_id", SECRET)]}));
    let received = stub.run(&["runs", "deliveries", RUN]);
    let table = |what: &str, id: &str| {
        format!("{what:36}  VERSION  RECEIVED (UTC)    KEYS\n{id}  12       2026-11-07 05:31  A, B\n")
    };
    assert_eq!(received.done(), table("SECRET", SECRET));
    stub.say(200, json!({"runs": [with("run_id", RUN)]}));
    assert_eq!(stub.run(&["secrets", "runs", SECRET]).done(), table("RUN", RUN));
    let paths = [format!("GET /v2/runs/{RUN}/deliveries"), format!("GET /v2/credentials/{SECRET}/runs")];
    assert_eq!(lines(&stub), paths);
    stub.say(200, json!({"deliveries": []})).say(200, json!({"runs": []}));
    for (args, none) in [
        (["runs", "deliveries", RUN], "The run has received nothing.\n"),
        (["secrets", "runs", SECRET], "No run has received it.\n"),
    ] {
        let ended = stub.run(&args);
        assert_eq!((ended.done(), ended.stderr.as_str()), ("", none));
    }
}

/// A request of a run, as the API shows it.
fn request(port: u16, status: Option<u16>, refused: Option<&str>, ended: bool) -> Value {
    json!({
        "sequence": 7, "at": AT, "request_id": OTHER, "credential_id": refused.is_none().then_some(SECRET),
        "version": refused.is_none().then_some(3),
        "requested": {
            "rule": null, "scheme": "https", "host": "api.example.com", "port": port, "method": "GET",
            "path": "/v1", "status": status, "sent": 0, "received": 5, "millis": 12, "refused": refused,
            "ended": ended,
        },
    })
}

#[test]
fn what_a_run_asked_for_is_shown_with_what_came_of_it() {
    let stub = Stub::new();
    let data = [
        request(443, None, None, false),
        request(8443, Some(200), None, true),
        request(443, None, Some("no_rule"), true),
        request(443, None, None, true),
    ];
    let answer = json!({"data": data, "next": 4});
    stub.say(200, answer.clone()).say(200, answer.clone()).say(200, json!({"data": [], "next": null}));
    let shown = stub.run(&["runs", "requests", RUN, "--limit", "4"]);
    let line = |result: &str, url: &str, secret: &str| {
        format!("2026-11-07 05:31:56  {result:9}  GET     {url:31}  {secret}\n")
    };
    let expected = [
        format!("TIME (UTC)           RESULT     METHOD  {:31}  SECRET\n", "URL"),
        line("under way", "https://api.example.com/v1", SECRET),
        line("200", "https://api.example.com:8443/v1", SECRET),
        line("no_rule", "https://api.example.com/v1", "-"),
        line("no answer", "https://api.example.com/v1", SECRET),
    ];
    assert_eq!(shown.done(), expected.concat());
    assert_eq!(shown.stderr, "note: there are older ones; --cursor 4 shows them\n");
    let whole = stub.run(&["runs", "requests", RUN, "--cursor", "4", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(whole.done()).unwrap(), answer);
    let none = stub.run(&["runs", "requests", RUN]);
    let words = "No request of the run through the broker is on record.\n";
    assert_eq!((none.done(), none.stderr.as_str()), ("", words));
    let asked = ["limit=4", "limit=50&cursor=4", "limit=50"];
    assert_eq!(lines(&stub), asked.map(|query| format!("GET /v2/runs/{RUN}/requests?{query}")));
}

#[test]
fn a_request_that_took_long_is_shown_once() {
    let stub = Stub::new();
    let of = |id: &str, status, ended| {
        let mut request = request(443, status, None, ended);
        request["request_id"] = json!(id);
        request
    };
    let data = [
        of(OTHER, Some(200), false),
        of(RUN, Some(201), true),
        of(KEY, Some(202), true),
        of(RUN, None, false),
    ];
    stub.say(200, json!({"data": data, "next": null}));
    let shown = stub.run(&["runs", "requests", RUN]);
    let results: Vec<_> =
        shown.done().lines().skip(1).map(|line| line[21..].split("  ").next().unwrap()).collect();
    assert_eq!(results, ["200, going on", "201", "202"]);
}

fn delivered(id: &str, version: u8, owner: Option<&str>, keys: &[&str]) -> Value {
    json!({"credential_id": id, "version": version, "user_id": owner, "env_var_keys": keys, "runs": [RUN]})
}

fn told(deliveries: &[Value]) -> Value {
    json!({"revoked": {"runs": [RUN], "api_keys": [KEY], "key_links": [OTHER]}, "deliveries": deliveries})
}

#[test]
fn exactly_one_thing_is_revoked() {
    let stub = Stub::new();
    for (option, field) in
        [("--run", "run_id"), ("--agent", "agent_id"), ("--key", "key_id"), ("--user", "user_id")]
    {
        stub.say(200, told(&[]));
        let revoked = stub.run_in_team(&["panic", option, OTHER, "--yes"]);
        let expected = format!(
            "REVOKED  ID\nrun      {RUN}\nAPI key  {KEY}\nlink     {OTHER}\n\nNo value was received, so there is nothing to rotate.\n"
        );
        assert_eq!((revoked.done(), revoked.stderr.as_str()), (expected.as_str(), ""));
        let seen = stub.one();
        assert_eq!(
            (seen.line(), seen.json()),
            (format!("POST /v2/teams/{TEAM}/panic"), json!({field: OTHER}))
        );
        assert!(seen.header("idempotency-key").is_some());
    }
    for args in [&["panic", "-y"][..], &["panic", "-y", "--run", RUN, "--key", KEY], &["panic", RUN]] {
        assert_eq!(stub.run_in_team(args).code, Some(64), "{args:?}");
    }
    assert_eq!(stub.seen().len(), 0);
}

#[test]
fn what_to_rotate_is_a_list_to_work_through() {
    let stub = Stub::new();
    let unseen = "01890a5d-ac96-774b-bcce-b302099a8051";
    stub.say(
        200,
        told(&[
            delivered(SECRET, 3, Some(USER), &["SMTP_USER", "GONE"]),
            delivered(OTHER, 1, Some(TEAM), &["TOKEN"]),
            delivered(SECRET, 2, Some(USER), &["SMTP_USER", "OLD"]),
            delivered(unseen, 7, None, &["A", "B"]),
            delivered(KEY, 1, None, &[]),
        ]),
    );
    stub.say_with(200, ("link", "</v2/x?cursor=2>; rel=\"next\""), "[]").say(200, json!([secret("Mail")]));
    let list = stub.run_in_team(&["panic", "--agent", AGENT, "-y"]);
    let (_, rotation) = list.done().split_once("\n\n").unwrap();
    let expected = format!(
        "\
These values were received, and may have been kept. Replace each where it is
valid, and then here:

- [ ] Mail (personal), versions 2, 3
  - [ ] SMTP_USER
  - [ ] GONE
  - [ ] OLD
      strongroom secrets update {SECRET} --set SMTP_USER

- [ ] {OTHER} (personal), version 1
  - [ ] TOKEN
      only its owner can change it: {TEAM}

- [ ] {unseen} (shared), version 7
  - [ ] A
  - [ ] B
      deleted, or not yours to see
"
    );
    assert_eq!(rotation, expected);
    let credentials = format!("GET /v2/teams/{TEAM}/credentials");
    assert_eq!(
        lines(&stub),
        [
            format!("POST /v2/teams/{TEAM}/panic"),
            format!("{credentials}?limit=1000"),
            format!("{credentials}?cursor=2")
        ]
    );
}

#[test]
fn names_that_cannot_be_looked_up_take_nothing_from_the_list() {
    let stub = Stub::new();
    stub.say(200, told(&[delivered(SECRET, 3, None, &["A"]), delivered(OTHER, 1, Some(USER), &["B"])]));
    stub.say(403, json!({"error": "forbidden", "message": "the key may not list secrets"}));
    let list = stub.run_in_team(&["panic", "--run", RUN, "-y"]);
    assert!(list.done().starts_with(&format!("REVOKED  ID\nrun      {RUN}\n")), "{}", list.stdout);
    for (title, update) in [
        (format!("- [ ] {SECRET} (shared), version 3\n"), format!("secrets update {SECRET} --set A\n")),
        (format!("- [ ] {OTHER} (personal), version 1\n"), format!("secrets update {OTHER} --set B\n")),
    ] {
        assert!(list.stdout.contains(&title) && list.stdout.contains(&update), "{}", list.stdout);
    }
    assert!(list.stderr.contains("can't be looked up: the key may not list secrets"), "{}", list.stderr);
}

#[test]
fn names_in_the_list_cannot_move_the_cursor() {
    let stub = Stub::new();
    let hostile = "\u{1b}[2J\u{9b}31m\u{202e}\n";
    stub.say(
        200,
        told(&[delivered(SECRET, 3, None, &[hostile]), delivered(hostile, 1, Some(hostile), &["A"])]),
    );
    stub.say(200, json!([secret(hostile)]));
    let list = stub.run_in_team(&["panic", "--run", RUN, "-y"]);
    assert!(list.done().contains("- [ ] \\u{1b}"), "{}", list.stdout);
    assert!(!list.stdout.chars().any(|c| c.is_control() && c != '\n' || c == '\u{202e}'), "{}", list.stdout);
}

#[test]
fn a_panic_can_be_tried_and_read_by_a_program() {
    let stub = Stub::new();
    stub.say(200, told(&[]));
    let tried = stub.run_in_team(&["panic", "--user", USER, "--dry-run"]);
    assert!(tried.done().starts_with("WOULD BE REVOKED  ID\n"), "{}", tried.stdout);
    assert_eq!(tried.stderr, "note: a dry run; nothing was changed\n");
    assert_eq!(stub.one().line(), format!("POST /v2/teams/{TEAM}/panic?dry_run=true"));
    let raw = format!("{} ", told(&[delivered(SECRET, 3, None, &["A"])]));
    stub.say(200, &raw);
    let ended = stub.run_in_team(&["panic", "--user", USER, "--yes", "--json"]);
    assert_eq!((ended.done(), ended.stderr.as_str()), (format!("{raw}\n").as_str(), ""));
    assert_eq!(stub.seen().len(), 1, "no names are looked up for a program");
    let many = json!({"runs": [RUN], "runs_total": 150_001, "api_keys": [], "key_links": []});
    stub.say(200, json!({"revoked": many, "deliveries": []}));
    let ended = stub.run_in_team(&["panic", "--user", USER, "--yes"]);
    assert!(ended.done().contains(&format!("run      {RUN}\nand 150000 older runs\n")), "{}", ended.stdout);
    stub.say(200, json!({"revoked": {"runs": [], "api_keys": [], "key_links": []}, "deliveries": []}));
    let again = stub.run_in_team(&["panic", "--user", USER, "--yes"]);
    assert!(again.done().starts_with("Nothing was left to revoke.\n"), "{}", again.stdout);
}

#[test]
fn a_person_is_asked_what_a_panic_revokes() {
    let stub = Stub::new();
    for (option, question) in [
        ("--run", format!("Revoke the run {OTHER} at once? [y/N]")),
        ("--agent", format!("Revoke every run of the agent {OTHER} at once? [y/N]")),
        ("--key", format!("Revoke the API key {OTHER} and every run that it started at once? [y/N]")),
        ("--user", format!("Revoke every API key, link and run of the user {OTHER} at once? [y/N]")),
    ] {
        let no = on_a_terminal(&stub.command(&[]), &format!("panic {option} {OTHER}"), "\n");
        assert_eq!(no.code, Some(1), "{}", no.stdout);
        assert!(
            no.screen().contains(&question) && no.stdout.contains("nothing was changed"),
            "{}",
            no.stdout
        );
    }
    assert_eq!(stub.seen().len(), 0);
    stub.say(200, told(&[]));
    let yes = on_a_terminal(&stub.command(&[]), &format!("panic --run {RUN} --team {TEAM}"), "y\n");
    assert_eq!(yes.code, Some(0), "{}", yes.stdout);
    assert_eq!(stub.one().json(), json!({"run_id": RUN}));
}
