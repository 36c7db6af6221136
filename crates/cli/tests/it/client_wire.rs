//! What holds for every command that speaks to a server: exit codes, words for
//! refusals, repeating, and where a key never goes.

use serde_json::json;

use crate::harness::{Ended, run};
use crate::stub::{SECRET, Stub, TEAM, Told, secret};

const GET: [&str; 3] = ["secrets", "get", SECRET];
const CREATE: [&str; 6] = ["secrets", "create", "--name", "n", "--team", TEAM];

fn error(code: &str, message: &str) -> serde_json::Value {
    json!({"error": code, "message": message})
}

#[test]
fn exit_codes_tell_what_went_wrong() {
    let stub = Stub::new();
    for (status, code) in
        [(400, 1), (401, 2), (403, 1), (404, 3), (409, 1), (412, 1), (413, 1), (422, 1), (500, 1)]
    {
        stub.say(status, error("some_code", "what to do about it"));
        let ended = stub.run(&GET);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(code), ""), "{status}");
        assert!(ended.stderr.starts_with("error: what to do about it\n"), "{}", ended.stderr);
        stub.seen();
    }
    assert_eq!(run(&mut stub.stranger(&GET)).code, Some(2), "no key at all");
    assert_eq!(stub.run(&["secrets", "get"]).code, Some(64));
}

#[test]
fn remedies_follow_the_servers_words() {
    let stub = Stub::new();
    for (status, hint) in [
        (401, "the key came from STRONGROOM_API_KEY"),
        (403, "`strongroom profile` shows who your key acts as"),
        (404, "the `list` commands show what you can see"),
        (412, "`strongroom secrets get` shows it as it is now"),
        (422, "leave --idempotency-key out"),
    ] {
        stub.say(status, error("c", "m"));
        let ended = stub.run(&GET);
        assert!(ended.stderr.contains(&format!("\nhint: {hint}")), "{status}: {}", ended.stderr);
        assert!(!ended.stderr.contains("srk_"), "{}", ended.stderr);
    }
}

#[test]
fn a_key_whose_only_showing_was_lost_is_to_be_revoked() {
    let stub = Stub::new();
    stub.tell(Told::Cut).say(409, error("already_done", "the API key X was made by this request before"));
    let ended = stub.run(&["keys", "create", "--name", "n", "--team", TEAM]);
    assert!(
        ended.refusal().contains("hint: if that answer was lost, revoke what it made"),
        "{}",
        ended.stderr
    );
}

#[test]
fn for_a_program_a_refusal_is_the_servers_own() {
    let stub = Stub::new();
    stub.say(404, "{\"error\" : \"not_found\"}");
    let ended = stub.run(&[&GET[..], &["--json"]].concat());
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(3), "{\"error\" : \"not_found\"}\n"));
    assert!(ended.stderr.starts_with("error: not_found\nhint: "), "{}", ended.stderr);
}

#[test]
fn what_a_server_says_cannot_move_the_cursor() {
    let stub = Stub::new();
    let hostile = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}\r\n";
    let mut evil = secret(hostile);
    evil["env_var_keys"] = json!([hostile]);
    evil["service_slug"] = json!(hostile);
    let plain = |text: &str| {
        assert!(text.contains("\\u{1b}"), "{text:?}");
        assert!(!text.chars().any(|c| c.is_control() && c != '\n' || c == '\u{202e}'), "{text:?}");
    };
    stub.say_with(200, ("etag", "\"\""), &evil).say(200, json!([evil])).say(400, error("c", hostile));
    plain(stub.run(&GET).done());
    plain(stub.run_in_team(&["secrets", "list"]).done());
    plain(&stub.run(&GET).stderr);
}

#[test]
fn somebody_else_in_the_servers_place_is_recognised() {
    let stub = Stub::new();
    let html = "<html>\u{1b}[31m secret of the proxy</html>";
    let as_it_is = [&GET[..], &["--json"]].concat();
    for status in [200, 401, 403, 404, 502] {
        for args in [&GET[..], &as_it_is] {
            stub.say(status, html);
            let ended = stub.run(args);
            let code = if status == 401 { 2 } else { 1 };
            assert_eq!((ended.code, ended.stdout.as_str()), (Some(code), ""), "{status}");
            assert!(!ended.stderr.contains("proxy</html>"), "{}", ended.stderr);
        }
    }
    assert_eq!(stub.seen().len(), 10);
    stub.say(200, html);
    let deleted = stub.run(&["secrets", "delete", SECRET, "-y"]);
    assert!(deleted.refusal().contains("not what Strongroom answers"), "{}", deleted.stderr);
}

#[test]
fn redirects_are_not_followed() {
    let (stub, other) = (Stub::new(), Stub::new());
    for status in [301, 302, 307, 308] {
        stub.say_with(status, ("location", &other.url()), "");
        let ended = stub.run(&GET);
        assert!(ended.refusal().contains("redirects are not followed"), "{}", ended.stderr);
    }
    assert_eq!((stub.seen().len(), other.seen().len()), (4, 0));
}

#[test]
fn a_change_whose_answer_was_lost_is_sent_again_under_the_same_name() {
    let stub = Stub::new();
    stub.tell(Told::Cut).say_with(503, ("retry-after", "0"), error("unavailable", "m"));
    stub.say_with(429, ("retry-after", "0"), error("rate_limited", "m")).say(201, secret("n"));
    stub.run(&CREATE).done();
    let seen = stub.seen();
    assert_eq!(seen.len(), 4);
    let first = seen[0].header("idempotency-key").unwrap();
    assert!(first.len() >= 32, "{first}");
    for again in &seen {
        assert_eq!((again.header("idempotency-key"), &again.body), (Some(first), &seen[0].body));
    }
    stub.say(201, secret("n"));
    stub.run(&CREATE).done();
    assert_ne!(stub.one().header("idempotency-key"), Some(first), "each run is a change of its own");
}

#[test]
fn the_same_request_that_is_still_under_way_is_waited_for() {
    let stub = Stub::new();
    stub.tell(Told::Cut).say(409, error("in_progress", "still running")).say(201, secret("n"));
    stub.run(&CREATE).done();
    assert_eq!(stub.seen().len(), 3);
    stub.say(409, error("in_progress", "still running")).say(201, secret("n"));
    stub.run(&[&CREATE[..], &["--idempotency-key", "deploy-7"]].concat()).done();
    assert_eq!(stub.seen().len(), 2, "somebody repeats a command by hand");
    for _ in 0..4 {
        stub.say_with(409, ("retry-after", "0"), error("in_progress", "still running"));
    }
    let ended = stub.run(&[&CREATE[..], &["--idempotency-key", "deploy-7"]].concat());
    assert!(ended.refusal().contains("`--idempotency-key deploy-7`"), "{}", ended.stderr);
    assert_eq!(stub.seen().len(), 4);
}

#[test]
fn no_other_conflict_is_a_reason_to_try_again() {
    let stub = Stub::new();
    for code in ["conflict", "already_done"] {
        stub.say(409, error(code, "it is there already"));
        assert!(stub.run(&CREATE).refusal().contains("there already"));
        assert_eq!(stub.seen().len(), 1, "{code}");
        stub.tell(Told::Cut).say(409, error(code, "it is there already"));
        assert!(stub.run(&CREATE).refusal().contains("there already"));
        assert_eq!(stub.seen().len(), 2, "{code}, after a lost connection");
    }
}

#[test]
fn what_may_have_been_done_names_its_key_whatever_the_last_attempt_said() {
    let stub = Stub::new();
    for (status, code) in [(503, "unavailable"), (429, "rate_limited")] {
        stub.tell(Told::Cut).say_with(status, ("retry-after", "3600"), error(code, "not now"));
        let ended = stub.run(&CREATE);
        let key = stub.seen()[0].header("idempotency-key").unwrap().to_owned();
        assert!(ended.refusal().contains(&format!("`--idempotency-key {key}`")), "{}", ended.stderr);
        stub.say_with(status, ("retry-after", "3600"), error(code, "not now"));
        let ended = stub.run(&CREATE);
        assert!(ended.refusal().contains("try again in 3600 seconds"), "{}", ended.stderr);
        assert_eq!(stub.seen().len(), 1, "nothing was done");
    }
}

#[test]
fn repeating_ends_and_says_how_to_go_on_safely() {
    let stub = Stub::new();
    for _ in 0..4 {
        stub.tell(Told::Cut);
    }
    let ended = stub.run(&CREATE);
    assert!(ended.refusal().contains("it may have been done all the same"), "{}", ended.stderr);
    let seen = stub.seen();
    let name = seen[3].header("idempotency-key").unwrap();
    assert!(ended.stderr.contains(&format!("--idempotency-key {name}")), "{}", ended.stderr);
    for _ in 0..4 {
        stub.say_with(429, ("retry-after", "0"), error("rate_limited", "slow down"));
    }
    assert!(stub.run(&GET).refusal().contains("slow down"));
    assert_eq!(stub.seen().len(), 4);
    stub.say_with(429, ("retry-after", "3600"), error("rate_limited", "slow down"));
    assert!(stub.run(&GET).refusal().contains("try again in 3600 seconds"), "too long to wait for");
    assert_eq!(stub.seen().len(), 1);
}

#[test]
fn a_server_that_is_not_there_is_named_with_what_to_do() {
    let stub = Stub::new();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ended = run(stub.command(&GET).env("STRONGROOM_URL", format!("http://{closed}")));
    assert!(ended.refusal().contains(&format!("http://{closed} can't be reached")), "{}", ended.stderr);
    assert!(ended.stderr.contains("strongroom dev") && ended.stderr.contains("--url"), "{}", ended.stderr);
}

#[test]
fn a_key_goes_over_plain_http_to_this_machine_only() {
    let stub = Stub::new();
    for url in ["http://192.0.2.1", "http://strongroom.example", "http://127.0.0.1.example"] {
        let ended = run(stub.command(&GET).env("STRONGROOM_URL", url));
        assert!(ended.refusal().contains("--insecure-http"), "{}", ended.stderr);
    }
    stub.say(200, secret("n"));
    let named = format!("http://localhost:{}", stub.address.port());
    run(stub.command(&GET).env("STRONGROOM_URL", named)).done();
    stub.say(200, secret("n"));
    let proxied = run(stub
        .command(&GET)
        .env("http_proxy", "http://127.0.0.1:9")
        .env("ALL_PROXY", "http://127.0.0.1:9"));
    proxied.done();
    assert_eq!(stub.seen().len(), 2);
}

#[test]
fn plain_http_needs_no_certificates() {
    let stub = Stub::new();
    stub.say(200, secret("n"));
    run(stub.command(&GET).env("SSL_CERT_FILE", "/dev/null")).done();
    assert_eq!(stub.seen().len(), 1);
}

#[test]
fn destructive_verbs_ask_a_person_and_refuse_a_program() {
    let stub = Stub::new();
    for args in [
        &["secrets", "delete", SECRET][..],
        &["secrets", "rollback", SECRET, "--version", "1"],
        &["keys", "revoke", SECRET],
        &["members", "remove", SECRET],
        &["teams", "delete", SECRET],
        &["agents", "delete", SECRET],
        &["revision-secrets", "detach", SECRET, "--agent", SECRET, "--revision", SECRET],
        &["runs", "stop", SECRET],
        &["panic", "--run", SECRET],
    ] {
        let ended = stub.run_in_team(args);
        assert!(ended.refusal().contains("there is no terminal to ask on"), "{}", ended.stderr);
        assert!(ended.stderr.contains("--yes"), "{}", ended.stderr);
    }
    assert_eq!(stub.seen().len(), 0);
}

/// Runs a command on a terminal and types a reply to what it asks.
fn on_a_terminal(stub: &Stub, args: &str, reply: &str) -> Ended {
    crate::harness::on_a_terminal(&stub.command(&[]), args, reply)
}

#[test]
fn a_person_is_asked_with_the_name_of_what_goes() {
    let stub = Stub::new();
    let delete = format!("secrets delete {SECRET}");
    stub.say(200, secret("Mail"));
    let no = on_a_terminal(&stub, &delete, "\n");
    assert_eq!(no.code, Some(1), "{}", no.stdout);
    assert!(
        no.screen().contains("Delete the personal secret \"Mail\" (") && no.screen().contains("[y/N]"),
        "{}",
        no.stdout
    );
    assert!(no.stdout.contains("nothing was changed"));
    assert_eq!(stub.one().method, "GET");
    stub.say(200, secret("Mail")).say(200, json!({"success": true}));
    let yes = on_a_terminal(&stub, &delete, "y\n");
    assert_eq!(yes.code, Some(0), "{}", yes.stdout);
    assert_eq!(stub.seen()[1].method, "DELETE");
}

#[test]
fn nobody_types_a_value_in_sight() {
    let stub = Stub::new();
    for args in ["--value A=-", "--from-env-file -"] {
        let refused = on_a_terminal(&stub, &format!("{} {args}", CREATE.join(" ")), "");
        assert_eq!(refused.code, Some(1), "{}", refused.stdout);
        assert!(refused.screen().contains("would show what is typed"), "{}", refused.stdout);
    }
    assert_eq!(stub.seen().len(), 0);
}

#[test]
fn a_table_fits_the_terminal() {
    let stub = Stub::new();
    stub.say(200, json!([secret("a name that is much too long for so small a terminal as this one")]));
    let listed = on_a_terminal(&stub, &format!("secrets list --team {TEAM}"), "");
    assert_eq!(listed.code, Some(0), "{}", listed.stdout);
    assert!(listed.stdout.contains('…') && listed.stdout.contains(SECRET), "{}", listed.stdout);
}

#[test]
fn an_answer_is_passed_on_to_the_last_byte() {
    let stub = Stub::new();
    for body in ["{\"x\":1}", "{ \"é\" : \"\\u00e9\" }\n", "  []  \n\n"] {
        stub.say(200, body);
        assert_eq!(stub.run(&[&GET[..], &["--json"]].concat()).done(), format!("{body}\n"));
    }
}
