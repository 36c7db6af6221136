//! `strongroom runs` and `secrets runs`: what each sends, and what a person is
//! shown.

use serde_json::{Value, json};

use crate::harness::on_a_terminal;
use crate::stub::{SECRET, Seen, Stub, TEAM, USER};

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
        "ID                                    STATUS   STARTED (UTC)     NOTE     AGENT\n{RUN}  running  2026-11-07 05:31  nightly  {AGENT}\n{RUN}  revoked  2026-11-07 05:31  -        {AGENT}\n"
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
