//! The client against the real server, as its people and programs use the two
//! together. To extend it, take a [`Session`] and run commands.

mod fill_requests;
mod login;
mod people;
mod secrets;
mod values;
mod writing;

use serde_json::Value;
use std::fs;
use std::process::Command;

use crate::harness::{BINARY, Ended, Place, Server, clean, on_a_terminal, run};
use crate::stub::fed;

/// An id that names nothing.
const NOTHING: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// A server, and its owner at the command line.
struct Session {
    place: Place,
    server: Server,
    key: String,
    team: String,
    user: String,
}

/// A text of an answer.
fn text(answer: &Value, field: &str) -> String {
    answer[field].as_str().unwrap_or_else(|| panic!("no {field}: {answer}")).to_owned()
}

impl Session {
    fn begin() -> Self {
        let place = Place::new();
        let made: Value = serde_json::from_str(place.init(&["--json"]).done()).unwrap();
        let server = place.serve();
        let (key, team, user) = (text(&made, "api_key"), text(&made, "team_id"), text(&made, "user_id"));
        Self { place, server, key, team, user }
    }

    fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// The binary without a key.
    fn stranger(&self, args: &[&str]) -> Command {
        let mut command = clean(BINARY);
        command.current_dir(self.place.path("")).env("XDG_CONFIG_HOME", self.place.path("config")).args(args);
        command
    }

    /// The binary with this key.
    fn as_key(&self, key: &str, args: &[&str]) -> Command {
        let mut command = self.stranger(args);
        command.env("STRONGROOM_URL", self.url()).env("STRONGROOM_API_KEY", key);
        command
    }

    fn command(&self, args: &[&str]) -> Command {
        self.as_key(&self.key, args)
    }

    fn run(&self, args: &[&str]) -> Ended {
        run(&mut self.command(args))
    }

    fn run_as(&self, key: &str, args: &[&str]) -> Ended {
        run(&mut self.as_key(key, args))
    }

    /// What a command writes to standard output that does its work.
    fn done(&self, args: &[&str]) -> String {
        self.run(args).done().to_owned()
    }

    /// The answer as the server gave it.
    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.done(&[args, &["--json"]].concat())).unwrap()
    }

    /// With a reply from a person to what is asked.
    fn on_a_terminal(&self, args: &str, reply: &str) -> Ended {
        on_a_terminal(&self.command(&[]), args, reply)
    }

    /// A file beside the instance.
    fn file(&self, name: &str, contents: &str) {
        fs::write(self.place.path(name), contents).unwrap();
    }

    /// A new secret of these values; its id.
    fn secret(&self, name: &str, env: &str, args: &[&str]) -> String {
        let create = ["secrets", "create", "--name", name, "--from-env-file", "-", "--json"];
        let created = fed(self.command(&[&create[..], args].concat()), env.as_bytes());
        text(&serde_json::from_str(created.done()).unwrap(), "id")
    }

    /// How two secrets compare, name by name.
    fn compared(&self, a: &str, b: &str) -> Value {
        self.json(&["secrets", "compare", a, b])["keys"].take()
    }

    /// A new member with this role; their id and a key of theirs.
    fn member(&self, name: &str, role: &str) -> (String, String) {
        let address = format!("{name}@example.com");
        let add = ["members", "add", "--email", &address, "--name", name, "--role", role];
        let id = text(&self.json(&add)["member"], "id");
        let link = self.done(&["keys", "link", &id, "--name", "laptop", "--role", role]);
        let claimed = fed(self.stranger(&["keys", "claim", "--url", &self.url()]), link.as_bytes());
        (id, claimed.done().trim().to_owned())
    }

    /// All that changes could have changed, but for when keys were used.
    fn state(&self) -> Value {
        let mut state = serde_json::json!({
            "secrets": self.json(&["secrets", "list"]), "members": self.json(&["members", "list"]),
            "keys": self.json(&["keys", "list"])["api_keys"], "links": self.json(&["keys", "links"]),
            "team": self.json(&["teams", "show"]),
        });
        for key in state["keys"].as_array_mut().unwrap() {
            key["last_used_at"].take();
        }
        state
    }
}
