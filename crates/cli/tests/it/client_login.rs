//! `strongroom login` and `logout`: what is stored, how closed it is, and whose
//! key goes where.

use serde_json::json;
use std::fs;
use std::os::unix::fs::symlink;
use strongroom_core::tokens::TokenKind;

use crate::harness::{Ended, chmod, mode, run};
use crate::stub::{Stub, TEAM, USER, fed, token};

fn profile() -> serde_json::Value {
    json!({"profile": {"id": USER, "name": "Ada", "email": null, "teamId": TEAM}})
}

/// Logs in with the stub's key.
fn login(stub: &Stub, args: &[&str]) -> Ended {
    stub.say(200, profile());
    let url = stub.url();
    let args = [&["login", "--url", &url, "--api-key-stdin"], args].concat();
    let ended = fed(stub.stranger(&args), format!("{}\n", stub.key).as_bytes());
    assert!(ended.done().is_empty(), "{}", ended.stdout);
    assert_eq!(stub.one().line(), "GET /v2/profile");
    ended
}

#[test]
fn a_login_is_proven_then_stored_closed_to_others_and_used() {
    let stub = Stub::new();
    let ended = login(&stub, &[]);
    assert!(ended.stderr.contains("as Ada") && !ended.stderr.contains("srk_"), "{}", ended.stderr);
    assert_eq!((mode(&stub.home("strongroom")), mode(&stub.profiles())), (0o700, 0o600));
    assert_eq!(fs::read_dir(stub.home("strongroom")).unwrap().count(), 1, "no temporary file stays");
    stub.say(200, "[]");
    run(&mut stub.stranger(&["secrets", "list"])).done();
    let seen = stub.one();
    assert_eq!(seen.line(), format!("GET /v2/teams/{TEAM}/credentials"), "the team is remembered");
    assert_eq!(seen.header("authorization"), Some(format!("Bearer {}", stub.key).as_str()));
}

#[test]
fn a_key_that_the_server_refuses_is_not_stored() {
    let stub = Stub::new();
    stub.say(401, json!({"error": "invalid_token", "message": "the API key was revoked"}));
    let url = stub.url();
    let refused = fed(stub.stranger(&["login", "--url", &url, "--api-key-stdin"]), stub.key.as_bytes());
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(!stub.profiles().exists());
    stub.seen();
    let cut = &stub.key.as_bytes()[..40];
    let cut = fed(stub.stranger(&["login", "--url", &url, "--api-key-stdin"]), cut);
    assert!(cut.code == Some(2) && cut.stderr.contains("copy it again, whole"), "{}", cut.stderr);
    let nowhere = fed(stub.stranger(&["login", "--url", &url]), stub.key.as_bytes());
    assert!(nowhere.code == Some(2) && nowhere.stderr.contains("--api-key-stdin"), "{}", nowhere.stderr);
    assert_eq!(stub.seen().len(), 0);
}

#[test]
fn a_link_becomes_a_stored_key() {
    let stub = Stub::new();
    let link = token(TokenKind::Link);
    stub.say(201, json!({"id": USER, "api_key": stub.key}));
    let url = stub.url();
    let args = ["login", "--url", &url, "--link-stdin", "--profile", "work"];
    stub.say(200, profile());
    let ended = fed(stub.stranger(&args), link.as_bytes());
    assert!(ended.done().is_empty(), "{}", ended.stdout);
    assert!(ended.stderr.contains("as Ada; stored as the profile `work`"), "{}", ended.stderr);
    let tokens =
        stub.seen().iter().map(|seen| seen.header("authorization").unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(tokens, [format!("Bearer {link}"), format!("Bearer {}", stub.key)]);
    stub.say(200, "[]");
    run(&mut stub.stranger(&["secrets", "list", "--profile", "work"])).done();
    assert_eq!(stub.one().line(), format!("GET /v2/teams/{TEAM}/credentials"), "the team is remembered");
}

#[test]
fn a_links_key_is_stored_before_anything_else_can_fail() {
    let stub = Stub::new();
    stub.say(201, json!({"id": USER, "api_key": stub.key}));
    stub.say(500, json!({"error": "internal", "message": "broken"}));
    let url = stub.url();
    let link = token(TokenKind::Link);
    let ended = fed(stub.stranger(&["login", "--url", &url, "--link-stdin"]), link.as_bytes());
    assert!(ended.done().is_empty() && ended.stderr.contains("profile `default`"), "{}", ended.stderr);
    stub.seen();
    stub.say(200, profile());
    run(&mut stub.stranger(&["profile"])).done();
    assert_eq!(stub.one().header("authorization"), Some(format!("Bearer {}", stub.key).as_str()));
}

#[test]
fn a_link_is_not_used_up_when_its_key_could_not_be_stored() {
    let stub = Stub::new();
    fs::create_dir(stub.home("strongroom")).unwrap();
    chmod(&stub.home("strongroom"), 0o755);
    let url = stub.url();
    let ended =
        fed(stub.stranger(&["login", "--url", &url, "--link-stdin"]), token(TokenKind::Link).as_bytes());
    assert!(ended.refusal().contains("chmod 700"), "{}", ended.stderr);
    assert_eq!(stub.seen().len(), 0);
}

#[test]
fn logout_forgets_one_profile_and_keeps_the_others() {
    let stub = Stub::new();
    login(&stub, &[]);
    login(&stub, &["--profile", "work"]);
    run(&mut stub.stranger(&["logout"])).done();
    let text = fs::read_to_string(stub.profiles()).unwrap();
    assert!(text.contains("[work]") && !text.contains("[default]"), "{text}");
    let again = run(&mut stub.stranger(&["logout"]));
    assert_eq!(again.code, Some(3), "{}", again.stderr);
    let nobody = run(&mut stub.stranger(&["secrets", "list"]));
    assert_eq!(nobody.code, Some(2));
    assert!(nobody.stderr.contains("no profile `default` (there are: work)"), "{}", nobody.stderr);
    stub.say(200, profile());
    run(stub.stranger(&["profile"]).env("STRONGROOM_PROFILE", "work")).done();
}

#[test]
fn what_others_could_read_or_change_is_refused() {
    let stub = Stub::new();
    login(&stub, &[]);
    let list = || run(&mut stub.stranger(&["secrets", "list"]));
    chmod(&stub.profiles(), 0o640);
    assert!(list().refusal().contains("chmod 600"));
    chmod(&stub.profiles(), 0o600);
    chmod(&stub.home("strongroom"), 0o750);
    assert!(list().refusal().contains("chmod 700"));
    chmod(&stub.home("strongroom"), 0o700);
    fs::rename(stub.profiles(), stub.home("elsewhere")).unwrap();
    symlink(stub.home("elsewhere"), stub.profiles()).unwrap();
    assert!(list().refusal().contains("is a link"));
    fs::remove_file(stub.profiles()).unwrap();
    fs::write(stub.profiles(), format!("[default]\nkey = \"{}\"", stub.key)).unwrap();
    chmod(&stub.profiles(), 0o600);
    let broken = list();
    assert!(broken.refusal().contains("is no list of profiles"), "{}", broken.stderr);
    assert!(!broken.stderr.contains("srk_"));
    assert_eq!(stub.seen().len(), 0);
}

#[test]
fn a_profiles_key_goes_to_its_server_only() {
    let (stub, other) = (Stub::new(), Stub::new());
    login(&stub, &[]);
    let option = run(&mut stub.stranger(&["secrets", "list", "--url", &other.url()]));
    assert!(option.refusal().contains("isn't sent to another server"), "{}", option.stderr);
    let variable = run(stub.stranger(&["secrets", "list"]).env("STRONGROOM_URL", other.url()));
    assert!(variable.refusal().contains("isn't sent to another server"), "{}", variable.stderr);
    stub.say(200, "[]");
    run(&mut stub.stranger(&["secrets", "list", "--url", stub.url().trim_end_matches('/')])).done();
    assert_eq!((stub.seen().len(), other.seen().len()), (1, 0));
}

#[test]
fn variables_win_over_a_profile_and_an_option_over_them() {
    let (stub, other) = (Stub::new(), Stub::new());
    login(&stub, &[]);
    let with_variables = |args: &[&str]| {
        let mut command = stub.stranger(args);
        run(command.env("STRONGROOM_URL", other.url()).env("STRONGROOM_API_KEY", &other.key))
    };
    other.say(200, profile());
    with_variables(&["profile"]).done();
    assert_eq!(other.one().header("authorization"), Some(format!("Bearer {}", other.key).as_str()));
    stub.say(200, profile());
    with_variables(&["profile", "--profile", "default"]).done();
    assert_eq!(stub.one().header("authorization"), Some(format!("Bearer {}", stub.key).as_str()));
    stub.say(200, profile());
    run(stub.stranger(&["profile"]).env("STRONGROOM_API_KEY", &other.key)).done();
    assert_eq!(stub.one().header("authorization"), Some(format!("Bearer {}", other.key).as_str()));
}

#[test]
fn many_logins_at_once_are_all_kept() {
    let stub = Stub::new();
    for _ in 0..8 {
        stub.say(200, profile());
    }
    std::thread::scope(|scope| {
        for at in 0..8 {
            let stub = &stub;
            scope.spawn(move || {
                let (url, name) = (stub.url(), format!("p{at}"));
                let args = ["login", "--url", &url, "--api-key-stdin", "--profile", &name];
                fed(stub.stranger(&args), stub.key.as_bytes()).done();
            });
        }
    });
    let text = fs::read_to_string(stub.profiles()).unwrap();
    assert_eq!(text.matches("api_key").count(), 8, "{text}");
}

#[test]
fn without_a_home_the_variables_are_enough() {
    let stub = Stub::new();
    stub.say(200, profile());
    let mut command = stub.command(&["profile"]);
    run(command.env_remove("XDG_CONFIG_HOME")).done();
    let nowhere = run(stub.stranger(&["profile"]).env_remove("XDG_CONFIG_HOME"));
    assert_eq!(nowhere.code, Some(2), "{}", nowhere.stderr);
    let login = run(stub.stranger(&["logout"]).env_remove("XDG_CONFIG_HOME"));
    assert!(login.refusal().contains("neither XDG_CONFIG_HOME nor HOME"), "{}", login.stderr);
}
