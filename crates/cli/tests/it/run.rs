//! `strongroom run`: what the command gets and doesn't, what goes over the wire
//! for it, and how it ends.

use serde_json::{Value, json};
use std::fs;
use std::process::{Command, Stdio};
use strongroom_core::tokens::TokenKind;

use crate::harness::{Ended, clean, eventually, run, wait};
use crate::stub::{OTHER, SECRET, Stub, TEAM, Told, USER, token};

pub(crate) const AGENT: &str = "01890a5d-ac96-774b-bcce-b302099a8005";
/// Is found nowhere but where it belongs.
pub(crate) const VALUE: &str = "canary-7f3a1c";
/// Waits for the file `go`, unless the place where it waits is gone.
pub(crate) const WAIT: &str = "until [ -e go ] || [ ! -e ready ]; do sleep 0.02; done";

/// What a server answers when a run is started that lasts so many milliseconds.
pub(crate) fn started(lasts: i64) -> Value {
    let start = 1_793_000_000_000;
    let time = |millis| strongroom_core::Timestamp::from_millis(millis).to_string();
    json!({
        "run": {"id": SECRET, "team_id": TEAM, "agent_id": AGENT, "status": "running", "started_at": time(start)},
        "token": token(TokenKind::Run), "broker_token": null, "broker_url": null,
        "expires_at": time(start + lasts),
    })
}

/// A server that starts a run of an hour with these values, and stops it.
pub(crate) fn server(values: &Value) -> Stub {
    let stub = Stub::new();
    stub.say(201, started(3_600_000))
        .say(200, json!({"environment": values}))
        .say(200, json!({"success": true}));
    stub
}

/// With one value, under the name `TOKEN`.
pub(crate) fn server_with_a_value() -> Stub {
    server(&json!({"TOKEN": VALUE}))
}

/// `strongroom run` of a command.
pub(crate) fn command(stub: &Stub, options: &[&str], words: &[&str]) -> Command {
    stub.command(&[&["run", "--agent", AGENT, "--team", TEAM], options, &["--"], words].concat())
}

/// `strongroom run` of a script.
pub(crate) fn script(stub: &Stub, options: &[&str], text: &str) -> Ended {
    run(&mut command(stub, options, &["sh", "-c", text]))
}

/// What the server saw, if it saw a run from its start to its end.
pub(crate) fn whole_run(stub: &Stub) -> Vec<String> {
    let lines: Vec<_> = stub.seen().iter().map(crate::stub::Seen::line).collect();
    let start = format!("POST /v2/teams/{TEAM}/runs");
    assert_eq!(lines.first(), Some(&start), "{lines:?}");
    assert_eq!(lines.get(1).map(String::as_str), Some("GET /v2/run/environment"), "{lines:?}");
    assert_eq!(lines.last().map(String::as_str), Some("POST /v2/run/stop"), "{lines:?}");
    lines
}

#[test]
fn it_ends_as_its_command_does() {
    for (text, code) in [
        ("exit 0", 0),
        ("exit 7", 7),
        ("exit 255", 255),
        ("kill -9 $$", 137),
        ("kill -TERM $$", 143),
        ("trap '' TERM; kill -TERM $$; exit 3", 3),
    ] {
        for options in [&[][..], &["--no-mask"]] {
            let stub = server_with_a_value();
            let ended = script(&stub, options, text);
            assert_eq!(
                (ended.code, ended.stdout.as_str(), ended.stderr.as_str()),
                (Some(code), "", ""),
                "{text}"
            );
            assert_eq!(whole_run(&stub).len(), 3, "{text}");
        }
    }
}

#[test]
fn a_command_that_cannot_be_run_ends_as_in_a_shell() {
    for (name, code, reason) in [
        ("no-such-command", 127, "No such file"),
        ("/etc/passwd", 126, "Permission denied"),
        ("/", 126, "denied"),
    ] {
        let stub = server_with_a_value();
        let ended = run(&mut command(&stub, &[], &[name]));
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(code), ""), "{}", ended.stderr);
        assert!(ended.stderr.starts_with(&format!("error: `{name}` can't be run: ")), "{}", ended.stderr);
        assert!(ended.stderr.contains(reason), "{}", ended.stderr);
        whole_run(&stub);
    }
    let stub = server(&json!({"LARGE": "x".repeat(200_000)}));
    let ended = run(&mut command(&stub, &[], &["true"]));
    assert_eq!(ended.code, Some(126));
    assert!(ended.stderr.contains("\nhint: most systems take values of up to 128 KiB"), "{}", ended.stderr);
    whole_run(&stub);
}

#[test]
fn the_command_gets_the_values_and_nothing_of_ours() {
    let stub = server(&json!({"TOKEN": VALUE, "REGION": "from the run"}));
    let mut command = command(&stub, &["--no-mask"], &["env", "-0"]);
    command.env("REGION", "from the caller").env("KEPT", "a\nb").env("STRONGROOM_PROFILE", "");
    for (name, kind) in
        [("A", TokenKind::ApiKey), ("B", TokenKind::Run), ("C", TokenKind::Broker), ("D", TokenKind::Link)]
    {
        command.env(name, format!("-H {}", token(kind)));
    }
    let ended = run(&mut command);
    let mut variables: Vec<_> = ended.done().split_terminator('\0').collect();
    variables.sort_unstable();
    assert_eq!(
        variables.iter().map(|variable| variable.split_once('=').unwrap()).collect::<Vec<_>>(),
        [
            ("KEPT", "a\nb"),
            ("PATH", "/usr/local/bin:/usr/bin:/bin"),
            ("REGION", "from the run"),
            ("TOKEN", VALUE),
            ("XDG_CONFIG_HOME", stub.home("").to_str().unwrap().trim_end_matches('/')),
        ]
    );
    whole_run(&stub);
}

#[test]
fn the_command_is_started_as_we_were() {
    const SHOW: &str = "umask; ulimit -Sn; echo /proc/self/fd/*; grep -E '^Sig(Blk|Ign)' /proc/self/status";
    for options in [&[][..], &["--no-mask"]] {
        let stub = server_with_a_value();
        let mut wrapped = clean("sh");
        let variables = command(&stub, options, &["sh", "-c", SHOW]);
        let words: Vec<_> = std::iter::once(variables.get_program()).chain(variables.get_args()).collect();
        wrapped.envs(variables.get_envs().filter_map(|(name, value)| Some((name, value?))));
        wrapped.args(["-c", "umask 027; ulimit -Sn 123; exec \"$@\"", "sh"]).args(words);
        let direct =
            run(clean("sh").args(["-c", &format!("umask 027; ulimit -Sn 123; exec sh -c \"{SHOW}\"")]));
        assert_eq!(run(&mut wrapped).done(), direct.done());
        assert!(direct.stdout.starts_with("0027\n123\n/proc/self/fd/0 "), "{}", direct.stdout);
    }
}

#[test]
fn names_from_which_programs_take_code_are_refused() {
    let stub = server(&json!({"TOKEN": VALUE, "LD_PRELOAD": "/tmp/x.so", "BASH_ENV": "/tmp/x"}));
    let ended = script(&stub, &[], "touch started");
    assert!(
        ended.refusal().starts_with(
            "error: the run's environment has BASH_ENV, LD_PRELOAD, from which programs take code"
        ),
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.contains("`--allow-env BASH_ENV LD_PRELOAD`"), "{}", ended.stderr);
    assert!(!stub.home("started").exists());
    whole_run(&stub);
    for options in [&["--allow-env", "BASH_ENV", "LD_PRELOAD"][..], &["--only", "TOKEN"]] {
        let stub = server(&json!({"TOKEN": "x", "LD_PRELOAD": "", "BASH_ENV": ""}));
        script(&stub, options, "touch started").done();
        assert!(stub.home("started").exists(), "{options:?}");
    }
}

#[test]
fn only_what_is_named_is_handed_on() {
    let values = json!({"A": "one", "B": "two", "C": "three"});
    let stub = server(&values);
    let ended = script(&stub, &["--no-mask", "--only", "A", "C"], "echo $A$B$C");
    assert_eq!(ended.done(), "onethree\n");
    let stub = server(&values);
    let ended = script(&stub, &["--only", "A", "--only", "X"], "touch started");
    assert_eq!(ended.refusal().lines().next(), Some("error: the run's environment has no X"));
    assert!(ended.stderr.contains("\nhint: it has A, B, C;"), "{}", ended.stderr);
    assert!(!stub.home("started").exists());
    whole_run(&stub);
}

#[test]
fn what_is_asked_for_goes_over_the_wire() {
    let stub = server_with_a_value();
    let options = ["--revision", OTHER, "--strict", "--ttl", "1h30m", "--note", "nightly"];
    script(&stub, &options, "true").done();
    let seen = stub.seen();
    let wanted = json!({"agent_id": AGENT, "build_id": OTHER, "mode": "inject", "ttl_seconds": 5400, "strict": true, "note": "nightly"});
    assert_eq!(seen[0].json(), wanted);
    assert_eq!(seen[0].header("authorization"), Some(format!("Bearer {}", stub.key).as_str()));
    assert_eq!(seen[0].header("idempotency-key"), None, "a second run is no harm, a lost token is");
    for with_token in &seen[1..] {
        assert!(with_token.header("authorization").unwrap().starts_with("Bearer srr_"));
    }
    let stub = server_with_a_value();
    script(&stub, &[], "true").done();
    let plain = json!({"agent_id": AGENT, "mode": "inject", "ttl_seconds": 3600, "strict": false});
    assert_eq!(stub.seen()[0].json(), plain);
}

#[test]
fn the_team_is_the_keys_own() {
    let stub = Stub::new();
    stub.say(200, json!({"profile": {"id": USER, "name": "host", "email": null, "teamId": TEAM}}));
    stub.say(201, started(3_600_000)).say(200, json!({"environment": {}})).say(200, json!({}));
    let words = ["run", "--agent", AGENT, "--", "true"];
    run(&mut stub.command(&words)).done();
    assert_eq!(stub.seen()[1].path, format!("/v2/teams/{TEAM}/runs"));
}

/// `strongroom run` of the agent with this name.
fn by_name(stub: &Stub, name: &str) -> Ended {
    run(&mut stub.command(&["run", "--agent", name, "--team", TEAM, "--", "touch", "started"]))
}

fn agents(found: &[(&str, &str)], total: usize) -> Value {
    let agents: Vec<_> = found.iter().map(|(id, name)| json!({"id": id, "name": name})).collect();
    json!({"agents": agents, "total": total, "limit": 200, "offset": 0})
}

#[test]
fn an_agent_is_found_by_its_whole_name() {
    let stub = Stub::new();
    stub.say(200, agents(&[(OTHER, "mailer-2"), (USER, "Mailer")], 3))
        .say(200, agents(&[(AGENT, "mailer")], 3));
    stub.say(201, started(3_600_000)).say(200, json!({"environment": {}})).say(200, json!({}));
    by_name(&stub, "mailer").done();
    let seen = stub.seen();
    let line = format!("GET /v2/teams/{TEAM}/agents?search=mailer&limit=200&offset=");
    assert_eq!((seen[0].line(), seen[1].line()), (format!("{line}0"), format!("{line}2")));
    assert_eq!(seen[2].json()["agent_id"], AGENT);
}

#[test]
fn an_agent_that_is_not_certain_is_not_run() {
    let stub = Stub::new();
    stub.say(200, agents(&[(OTHER, "mailer-2")], 1));
    let ended = by_name(&stub, "mailer");
    assert_eq!(ended.code, Some(3));
    assert!(ended.stderr.starts_with("error: there is no agent named \"mailer\""), "{}", ended.stderr);
    stub.say(200, agents(&[(OTHER, "mailer"), (AGENT, "mailer")], 2));
    let ended = by_name(&stub, "mailer");
    assert!(ended.refusal().starts_with("error: 2 agents are named \"mailer\"\n"), "{}", ended.stderr);
    assert!(ended.stderr.contains(&format!("{OTHER}, {AGENT}")), "{}", ended.stderr);
    stub.say(
        403,
        json!({"error": "insufficient_scope", "message": "this API key lacks the scope secrets:read"}),
    );
    let ended = by_name(&stub, "mailer");
    assert!(ended.refusal().contains("\nhint: a key that may only start runs can't"), "{}", ended.stderr);
    assert_eq!(stub.seen().len(), 3);
    assert!(!stub.home("started").exists());
}

#[test]
fn what_the_server_refuses_is_not_run() {
    for (status, code) in [(400, 1), (401, 2), (403, 1), (404, 3), (409, 1), (500, 1)] {
        let stub = Stub::new();
        stub.say(status, json!({"error": "some_code", "message": "two secrets have TOKEN"}));
        let ended = script(&stub, &[], "touch started");
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(code), ""), "{status}");
        assert!(ended.stderr.starts_with("error: two secrets have TOKEN\n"), "{}", ended.stderr);
        assert!(!ended.stderr.contains("idempotency"), "{}", ended.stderr);
        assert_eq!(stub.seen().len(), 1);
        let stub = Stub::new();
        stub.say(201, started(3_600_000)).say(status, json!({"error": "some_code"})).say(200, json!({}));
        assert_eq!(script(&stub, &[], "touch started").code, Some(code));
        whole_run(&stub);
        assert!(!stub.home("started").exists());
    }
}

#[test]
fn a_lost_answer_is_asked_for_again() {
    let stub = Stub::new();
    stub.tell(Told::Cut).say(201, started(3_600_000)).tell(Told::Cut).say(200, json!({"environment": {}}));
    stub.tell(Told::Cut).say(401, json!({"error": "run_stopped", "message": "stopped"}));
    let ended = script(&stub, &[], "true");
    ended.done();
    assert_eq!(ended.stderr, "", "it was stopped, whoever was told");
    assert_eq!(stub.seen().len(), 6);
}

#[test]
fn an_answer_that_makes_no_sense_starts_nothing() {
    let environment = |values| json!({"environment": values}).to_string();
    let mut no_token = started(3_600_000);
    no_token["token"] = json!("hunter2");
    for (start, then) in [
        (no_token.to_string(), None),
        ("[]".to_owned(), None),
        (started(3_600_000).to_string(), Some("[]".to_owned())),
        (started(3_600_000).to_string(), Some(environment(json!({"lower": VALUE})))),
        (started(3_600_000).to_string(), Some(environment(json!({"A=B": VALUE})))),
        (started(3_600_000).to_string(), Some(environment(json!({"A": format!("{VALUE}\0")})))),
    ] {
        let stub = Stub::new();
        stub.say(201, start);
        if let Some(environment) = then {
            stub.say(200, environment).say(200, json!({}));
        }
        let ended = script(&stub, &[], "touch started");
        assert!(!ended.refusal().contains(VALUE) && !ended.stderr.contains("hunter2"), "{}", ended.stderr);
        assert!(!stub.home("started").exists());
        stub.seen();
    }
}

#[test]
fn a_wrong_command_line_starts_nothing() {
    let stub = Stub::new();
    for args in [
        &["run", "--", "true"][..],
        &["run", "--agent", AGENT],
        &["run", "--agent", AGENT, "true"],
        &["run", "--agent", "", "--", "true"],
        &["run", "--agent", AGENT, "--ttl", "5s", "--", "true"],
        &["run", "--agent", AGENT, "--only", "lower", "--", "true"],
        &["run", "--agent", AGENT, "--json", "--", "true"],
    ] {
        assert_eq!(stub.run(args).code, Some(64), "{args:?}");
    }
    assert_eq!(stub.seen().len(), 0);
}

#[test]
fn a_value_is_in_the_commands_environment_and_nowhere_else() {
    let stub = server_with_a_value();
    let text = format!("touch ready; {WAIT}");
    let mut wrapper = command(&stub, &[], &["sh", "-c", &text]);
    let mut child = wrapper.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    eventually("the command runs", || stub.home("ready").exists());
    let family = family(child.id());
    assert!(family.len() >= 2, "{family:?}");
    let with_value = |file: &str| {
        let holds =
            |pid: &&u32| fs::read(format!("/proc/{pid}/{file}")).is_ok_and(|text| holds(&text, VALUE));
        family.iter().filter(holds).count()
    };
    assert_eq!(with_value("cmdline"), 0);
    assert!(with_value("environ") > 0, "the search finds it where it is");
    fs::write(stub.home("go"), "").unwrap();
    assert_eq!(wait(&mut child).code(), Some(0));
    for seen in stub.seen() {
        assert!(!format!("{seen:?}").contains(VALUE), "{seen:?}");
    }
    let left =
        fs::read_dir(stub.home("")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut left: Vec<_> = left.collect();
    left.sort();
    assert_eq!(left, ["go", "ready"], "nothing was written");
}

fn holds(text: &[u8], value: &str) -> bool {
    text.windows(value.len()).any(|window| window == value.as_bytes())
}

/// A process and all that descend from it.
pub(crate) fn family(root: u32) -> Vec<u32> {
    let mut family = vec![root];
    let mut at = 0;
    while let Some(pid) = family.get(at) {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        family.extend(children.split_whitespace().map(|pid| pid.parse::<u32>().unwrap()));
        at += 1;
    }
    family
}
