//! `strongroom run --broker`: what the command finds in its environment, how it gets to the broker
//! from this machine and from another, and what is said when there is none.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use strongroom_core::tokens::TokenKind;

use crate::client_tls::Tls;
use crate::harness::{Place, Server, clean, eventually, run, wait};
use crate::run::{WAIT, command, script, started, whole_run};
use crate::stub::{Stub, TEAM, token};

/// Stands for a certificate: it is only handed on.
const CA: &str = "-----BEGIN CERTIFICATE-----\nours\n-----END CERTIFICATE-----\n";
/// What a brokered run has in the place of a value.
const STAND_IN: &str = "sk-stand-in";

/// What a server answers that has its broker there.
fn brokered(url: &str) -> Value {
    let mut answer = started(3_600_000);
    answer["broker_token"] = token(TokenKind::Broker).into();
    answer["broker_url"] = url.into();
    answer["broker_ca"] = CA.into();
    answer
}

/// A server that starts a brokered run, and stops it.
fn server(url: &str) -> Stub {
    let stub = Stub::new();
    stub.say(201, brokered(url))
        .say(200, json!({"environment": {"TOKEN": STAND_IN}}))
        .say(200, json!({"success": true}));
    stub
}

/// A port on which somebody listens, and its URL.
fn near() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

/// A port on which nobody does.
fn gone() -> String {
    near().1
}

fn variables(shown: &str) -> BTreeMap<&str, &str> {
    shown.split_terminator('\0').map(|entry| entry.split_once('=').unwrap()).collect()
}

#[test]
fn the_command_finds_placeholders_the_proxy_and_whom_to_trust() {
    let (_listener, url) = near();
    let stub = server(&url);
    let shown = run(command(&stub, &["--broker"], &["env", "-0"])
        .env("NODE_OPTIONS", "--no-warnings")
        .env("NO_PROXY", "*")
        .env("KEPT", "yes"));
    let shown = variables(shown.done());
    assert_eq!((shown["TOKEN"], shown["KEPT"]), (STAND_IN, "yes"));
    let proxy = shown["HTTPS_PROXY"];
    let (who, door) = proxy.strip_prefix("http://run:").unwrap().split_once('@').unwrap();
    assert!(who.starts_with("srb_") && url == format!("http://{door}"), "{proxy}");
    for name in ["HTTP_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy"] {
        assert_eq!(shown[name], proxy);
    }
    for name in ["NO_PROXY", "no_proxy"] {
        assert_eq!(shown[name], "localhost,127.0.0.1,::1");
    }
    let trust = shown["SSL_CERT_FILE"];
    for name in
        ["CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO", "AWS_CA_BUNDLE"]
    {
        assert_eq!(shown[name], trust);
    }
    let preload = shown["NODE_OPTIONS"].strip_prefix("--no-warnings --require=\"").unwrap();
    let place = Path::new(trust).parent().unwrap();
    assert!(preload.starts_with(place.to_str().unwrap()), "{preload}");
    assert!(!place.exists(), "{place:?} is gone with the command");
    let ours: Vec<_> =
        shown.values().filter(|value| value.contains("srr_") || value.contains("srk_")).collect();
    assert!(ours.is_empty() && !shown.keys().any(|name| name.starts_with("STRONGROOM_")), "{shown:?}");
    assert_eq!(stub.seen()[0].json()["mode"], "broker");
}

#[test]
fn what_it_needs_is_there_while_it_runs_for_it_alone() {
    let (_listener, url) = near();
    let stub = server(&url);
    let shown = script(
        &stub,
        &["--broker"],
        r#"cd "${SSL_CERT_FILE%/*}"; stat -c "%a %n" . *; tail -3 "$SSL_CERT_FILE""#,
    );
    let all = "700 .\n600 node.cjs\n600 php.ini\n600 trust.pem\n600 wgetrc";
    assert_eq!(shown.done(), format!("{all}\n{CA}"));
    whole_run(&stub);
}

#[test]
fn php_keeps_the_settings_that_it_had() {
    let (_listener, url) = near();
    for (own, expected) in [(None, ":"), (Some(""), ""), (Some("/own:/other"), "/own:/other:")] {
        let stub = server(&url);
        let mut asked =
            command(&stub, &["--broker"], &["sh", "-c", r#"echo "$PHP_INI_SCAN_DIR" "$SSL_CERT_FILE""#]);
        let shown = run(asked.envs(own.map(|own| ("PHP_INI_SCAN_DIR", own))));
        let (directories, trusted) = shown.done().trim_end().split_once(' ').unwrap();
        assert_eq!(
            Some(directories),
            trusted.strip_suffix("/trust.pem").map(|ours| format!("{expected}{ours}")).as_deref()
        );
    }
    let stub = server(&url);
    let odd = stub.home("a:b");
    fs::create_dir(&odd).unwrap();
    let shown =
        run(command(&stub, &["--broker"], &["sh", "-c", "env | grep ^PHP || echo none"]).env("TMPDIR", &odd));
    assert_eq!(shown.done(), "none\n", "half a name is no place for settings");
}

#[test]
fn wget_and_php_are_told_whom_to_trust_wherever_that_lies() {
    let (_listener, url) = near();
    let stub = server(&url);
    let odd = stub.home(r#"a 'b' "c\d $e ${HOME}"#);
    fs::create_dir(&odd).unwrap();
    let told = r#"echo "$SSL_CERT_FILE"; tail -1 "$SYSTEM_WGETRC"; cat "${PHP_INI_SCAN_DIR##*:}"/*.ini"#;
    let shown = run(command(&stub, &["--broker"], &["sh", "-c", told]).env("TMPDIR", &odd));
    let [trusted, wget, curl, php] = shown.done().lines().collect::<Vec<_>>()[..] else {
        panic!("{}", shown.stdout)
    };
    assert_eq!(wget, format!("ca_certificate = {trusted}"));
    let escaped = trusted.replace('\\', r"\\").replace('"', r#"\""#).replace('$', r"\$");
    assert_eq!(
        (curl, php),
        (&*format!("curl.cainfo = \"{escaped}\""), &*format!("openssl.cafile = \"{escaped}\""))
    );
}

#[test]
fn a_directory_of_any_name_holds_what_node_loads() {
    let (_listener, url) = near();
    let stub = server(&url);
    let odd = stub.home(r#"a "b\c"#);
    fs::create_dir(&odd).unwrap();
    let shown = run(command(&stub, &["--broker"], &["printenv", "NODE_OPTIONS"]).env("TMPDIR", &odd));
    let expected =
        format!(r#"--require="{}/a \"b\\c/strongroom-run-"#, stub.home("").display()).replace("//", "/");
    assert!(shown.done().starts_with(&expected), "{} {expected}", shown.stdout);
}

#[test]
fn a_broker_elsewhere_is_reached_by_a_door_here_and_inside_tls() {
    let far = Tls::new("localhost");
    let stub = server(&format!("https://localhost:{}", far.address.port()));
    fs::write(stub.home("far.pem"), &far.authority).unwrap();
    let mut asking = command(&stub, &["--broker"], &["sh", "-c", r#"curl -sS "http://${HTTP_PROXY#*@}/""#]);
    let asked = run(asking.env("SSL_CERT_FILE", stub.home("far.pem")));
    assert!(asked.done().contains("Ada"), "{}", asked.stderr);
    whole_run(&stub);
    let distrusted = Tls::new("elsewhere.example");
    let stub = Stub::new();
    stub.say(201, brokered(&format!("https://localhost:{}", distrusted.address.port()))).otherwise(json!({}));
    fs::write(stub.home("far.pem"), &distrusted.authority).unwrap();
    let refused = run(command(&stub, &["--broker"], &["true"]).env("SSL_CERT_FILE", stub.home("far.pem")));
    assert!(refused.refusal().contains("can't be reached"), "{}", refused.stderr);
    assert!(refused.stderr.contains("SSL_CERT_FILE"), "{}", refused.stderr);
}

#[test]
fn a_broker_that_cannot_be_reached_is_said_before_anything_is_handed_on() {
    let stub = Stub::new();
    stub.say(201, brokered(&gone())).say(200, json!({"success": true}));
    let refused = script(&stub, &["--broker"], "touch started");
    assert!(refused.refusal().starts_with("error: the server's broker at 127.0.0.1:"), "{}", refused.stderr);
    assert!(refused.stderr.contains("--broker-url"), "{}", refused.stderr);
    let lines = stub.lines();
    assert_eq!(lines, [format!("POST /v2/teams/{TEAM}/runs"), "POST /v2/run/stop".to_owned()]);
    assert!(!stub.home("started").exists());
}

#[test]
fn an_older_server_is_not_asked_for_the_values() {
    let stub = Stub::new();
    stub.say(201, started(3_600_000)).say(200, json!({"success": true}));
    let refused = script(&stub, &["--broker"], "true");
    assert!(refused.refusal().contains("older than this program"), "{}", refused.stderr);
    assert_eq!(stub.lines().len(), 2, "the run was stopped, and its environment not asked for");
    for broken in ["ftp://127.0.0.1:1", "http://", "here"] {
        let stub = Stub::new();
        stub.say(201, brokered(broken)).otherwise(json!({}));
        let refused = script(&stub, &["--broker"], "true");
        assert!(refused.refusal().contains("no broker that this program understands"), "{}", refused.stderr);
    }
}

#[test]
fn a_server_without_a_broker_says_so_at_once() {
    let (place, key) = Place::with_instance();
    let server = serving(&place, "none");
    let refused = run(&mut real(&place, &server, &key, &["true"]));
    assert!(refused.refusal().contains("this server has no broker"), "{}", refused.stderr);
}

/// A server with its broker there.
fn serving(place: &Place, broker: &str) -> Server {
    let listen = ["--listen", "127.0.0.1:0", "--broker-listen", broker];
    Server::start(place.command("serve", &listen), place.path("stderr"))
}

/// A command in a brokered run of a real server's agent.
fn real(place: &Place, server: &Server, key: &str, words: &[&str]) -> std::process::Command {
    let mut client = server.client(key);
    let team = client.get("/v2/profile").json()["profile"]["teamId"].as_str().unwrap().to_owned();
    let agent = client.post(&format!("/v2/teams/{team}/agents"), r#"{"name": "helper"}"#).json();
    let agent = agent["agent"]["id"].as_str().unwrap().to_owned();
    assert_eq!(client.post(&format!("/v2/agents/{agent}/revisions"), r#"{"name": "first"}"#).status, 201);
    let mut command = clean(crate::harness::BINARY);
    command.current_dir(place.path("")).args(["run", "--agent", &agent, "--broker", "--"]).args(words);
    command.env("STRONGROOM_URL", format!("http://{}", server.address)).env("STRONGROOM_API_KEY", key);
    command
}

#[test]
fn a_command_whose_server_is_killed_gets_no_answer_and_goes_on() {
    let (place, key) = Place::with_instance();
    let server = serving(&place, "127.0.0.1:0");
    let text = "curl -s https://nowhere.example/; touch ready; until [ -e go ]; do sleep 0.02; done; \
        curl -sS https://nowhere.example/; echo \"curl ended with $?\"";
    let mut running = real(&place, &server, &key, &["sh", "-c", text]);
    let child = running.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    eventually("it runs", || place.path("ready").exists());
    server.kill();
    fs::write(place.path("go"), "").unwrap();
    let output = child.wait_with_output().unwrap();
    let (said, complaint) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(said.contains("\"error\":\"no_rule\""), "{said}{complaint}");
    assert!(said.ends_with("curl ended with 7\n"), "{said}{complaint}");
    assert!(complaint.contains("the run could not be stopped"), "{complaint}");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn the_door_to_a_broker_that_is_gone_answers_so() {
    let far = TcpListener::bind("127.0.0.1:0").unwrap();
    // A name may be of any machine, so it gets a door.
    let stub = server(&format!("http://localhost:{}", far.local_addr().unwrap().port()));
    let text = format!(r#"touch ready; {WAIT}; curl -sS -D - "http://${{HTTP_PROXY#*@}}/""#);
    let child = command(&stub, &["--broker"], &["sh", "-c", &text]).stdout(Stdio::piped()).spawn().unwrap();
    eventually("it runs", || stub.home("ready").exists());
    drop(far);
    fs::write(stub.home("go"), "").unwrap();
    let said = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    assert!(said.starts_with("HTTP/1.1 502 ") && said.contains("\"error\":\"broker_unreachable\""), "{said}");
}

#[test]
fn ctrl_c_ends_the_command_and_its_run() {
    let (_listener, url) = near();
    let stub = server(&url);
    let text = format!("trap 'exit 5' INT; touch ready; {WAIT}");
    let mut child = command(&stub, &["--broker"], &["sh", "-c", &text]).spawn().unwrap();
    eventually("it runs", || stub.home("ready").exists());
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(wait(&mut child).code(), Some(5));
    whole_run(&stub);
}
