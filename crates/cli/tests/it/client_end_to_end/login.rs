//! From a key or a link to a profile, and away again.

use std::fs;

use super::{Session, text};
use crate::harness::{Ended, mode, run};
use crate::stub::fed;

fn login(session: &Session, args: &[&str], input: &str) -> Ended {
    let url = session.url();
    fed(session.stranger(&[&["login", "--url", &url], args].concat()), input.as_bytes())
}

fn profiles(session: &Session) -> String {
    let path = session.place.path("config/strongroom/profiles.toml");
    assert_eq!(mode(&path), 0o600);
    fs::read_to_string(path).unwrap()
}

#[test]
fn a_key_becomes_a_profile() {
    let session = Session::begin();
    let ended = login(&session, &["--api-key-stdin"], &format!("{}\n", session.key));
    assert!(ended.done().is_empty(), "{}", ended.stdout);
    let expected = format!("Logged in to {} as owner; stored as the profile `default`.\n", session.url());
    assert_eq!(ended.stderr, expected);
    assert!(profiles(&session).contains(&format!("team_id = \"{}\"", session.team)));
    let shown = run(&mut session.stranger(&["profile"]));
    let expected = format!("server  {}\nid      {}\nname    owner\n", session.url(), session.user);
    assert!(shown.done().starts_with(&expected), "{}", shown.stdout);
    assert!(shown.stdout.ends_with(&format!("team    {}\n", session.team)), "{}", shown.stdout);
    run(&mut session.stranger(&["secrets", "create", "--name", "n"])).done();
    run(&mut session.stranger(&["logout"])).done();
    assert!(!profiles(&session).contains("srk_"));
    assert_eq!(run(&mut session.stranger(&["secrets", "list"])).code, Some(2));
    session.run(&["secrets", "list"]).done();
}

#[test]
fn a_link_becomes_a_profile_beside_others() {
    let session = Session::begin();
    login(&session, &["--api-key-stdin"], &session.key).done();
    let add = ["members", "add", "--email", "ada@example.com", "--name", "Ada", "--role", "builder"];
    let ada = text(&session.json(&add)["member"], "id");
    let link = session.done(&["keys", "link", &ada, "--name", "laptop"]);
    let ended = login(&session, &["--link-stdin", "--profile", "ada"], &link);
    let expected = format!("Logged in to {} as Ada; stored as the profile `ada`.\n", session.url());
    assert_eq!((ended.done(), ended.stderr.as_str()), ("", expected.as_str()));
    assert_eq!(profiles(&session).matches(&session.team).count(), 2, "both know their team");
    let shown = run(&mut session.stranger(&["profile", "--profile", "ada"]));
    assert!(shown.done().contains("name    Ada\n"), "{}", shown.stdout);
    let shown = run(&mut session.stranger(&["profile"]));
    assert!(shown.done().contains("name    owner\n"), "{}", shown.stdout);
    let again = login(&session, &["--link-stdin", "--profile", "ada"], &link);
    assert_eq!(again.code, Some(2), "{}", again.stderr);
    run(&mut session.stranger(&["profile", "--profile", "ada"])).done();
}

#[test]
fn a_key_that_ended_is_said_to_come_from_the_profile() {
    let session = Session::begin();
    let made = session.json(&["keys", "create", "--name", "short"]);
    login(&session, &["--api-key-stdin", "--profile", "short"], &text(&made, "api_key")).done();
    session.run(&["keys", "revoke", &text(&made, "id"), "-y"]).done();
    let refused = run(&mut session.stranger(&["secrets", "list", "--profile", "short"]));
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("the key came from the profile `short`"), "{}", refused.stderr);
    let login = format!("`strongroom login --url {}`", session.url());
    assert!(refused.stderr.contains(&login), "{}", refused.stderr);
}
