//! An instance in a PostgreSQL of its own, which several servers share.

use serde_json::Value;
use std::process::Command;
use strongroom_testbed::Cluster;

use crate::harness::{Client, Ended, Place, Server, run};

/// As a server is set up that must not lose anything.
pub(crate) const DURABLE: &str = "fsync = on\nsynchronous_commit = on\n";

/// The instance.
pub(crate) struct Shared {
    pub(crate) place: Place,
    pub(crate) url: String,
    pub(crate) key: String,
}

impl Shared {
    /// One in a new database of a server.
    pub(crate) fn new(cluster: &Cluster) -> Self {
        Self::at(cluster.database())
    }

    /// One in an empty database.
    pub(crate) fn at(url: String) -> Self {
        let place = Place::new();
        let made = place.init(&["--json", "--database-url", &url]);
        let made: Value = serde_json::from_str(made.done()).unwrap();
        let key = made["api_key"].as_str().unwrap().to_owned();
        Self { place, url, key }
    }

    /// The binary, with a command, the directory of the root key and the database.
    pub(crate) fn command(&self, name: &str, args: &[&str]) -> Command {
        let mut command = self.place.command(name, &["--database-url", &self.url]);
        command.args(args);
        command
    }

    pub(crate) fn run(&self, name: &str, args: &[&str]) -> Ended {
        run(&mut self.command(name, args))
    }

    /// One more server.
    pub(crate) fn serve(&self) -> Server {
        let number = self.place.tree().iter().filter(|name| name.starts_with("stderr")).count();
        let listen = ["--listen", "127.0.0.1:0", "--rate-limit", "0"];
        Server::start(self.command("serve", &listen), self.place.path(&format!("stderr{number}")))
    }

    pub(crate) fn client(&self, server: &Server) -> Client {
        server.client(&self.key)
    }
}
