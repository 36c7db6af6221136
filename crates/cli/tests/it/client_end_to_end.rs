//! The client against the real server: one test for each thing that both can
//! do. To extend it, take a [`Session`] and run commands.

use serde_json::Value;
use std::process::Command;

use crate::harness::{BINARY, Ended, Place, Server, clean, run};
use crate::stub::fed;

/// A server, and its owner at the command line.
struct Session {
    place: Place,
    server: Server,
    key: String,
    team: String,
}

impl Session {
    fn begin() -> Self {
        let place = Place::new();
        let made: Value = serde_json::from_str(place.init(&["--json"]).done()).unwrap();
        let text = |field: &str| made[field].as_str().unwrap().to_owned();
        let server = place.serve();
        Self { place, server, key: text("api_key"), team: text("team_id") }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = clean(BINARY);
        command
            .current_dir(self.place.path(""))
            .env("XDG_CONFIG_HOME", self.place.path("config"))
            .env("STRONGROOM_URL", format!("http://{}", self.server.address))
            .env("STRONGROOM_API_KEY", &self.key)
            .args(args)
            .args(["--team", &self.team]);
        command
    }

    fn run(&self, args: &[&str]) -> Ended {
        run(&mut self.command(args))
    }

    /// The answer as the server gave it.
    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(self.run(&[args, &["--json"]].concat()).done()).unwrap()
    }
}

#[test]
fn what_is_created_is_listed_and_shown() {
    let session = Session::begin();
    assert_eq!(session.json(&["secrets", "list"]), Value::Array(Vec::new()));
    let env = "SMTP_USER=ada\nSMTP_PASSWORD='two\nlines'\n";
    let create = ["secrets", "create", "--name", "Mail", "--from-env-file", "-", "--shared", "--json"];
    let created = fed(session.command(&create), env.as_bytes());
    let created: Value = serde_json::from_str(created.done()).unwrap();
    assert_eq!(created["env_var_keys"], serde_json::json!(["SMTP_USER", "SMTP_PASSWORD"]));
    let id = created["id"].as_str().unwrap();
    assert_eq!(session.json(&["secrets", "get", id]), created);
    assert_eq!(session.json(&["secrets", "list"]), serde_json::json!([created]));
    let table = session.run(&["secrets", "list"]);
    assert!(table.done().contains("Mail") && table.stdout.contains("shared"), "{}", table.stdout);
    assert!(!table.stdout.contains("lines"));
}

#[test]
fn the_servers_refusals_become_words_and_exit_codes() {
    let session = Session::begin();
    let missing = session.run(&["secrets", "get", "01890a5d-ac96-774b-bcce-b302099a8057"]);
    assert_eq!(missing.code, Some(3), "{}", missing.stderr);
    let long = session.run(&["secrets", "create", "--name", &"n".repeat(129)]);
    assert!(long.refusal().contains("name"), "{}", long.stderr);
    let mut stranger = session.command(&["secrets", "list"]);
    let key = crate::stub::token(strongroom_core::tokens::TokenKind::ApiKey);
    let refused = run(stranger.env("STRONGROOM_API_KEY", key));
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
}
