//! The agents, revisions, attachments and runs of the scene.

use serde_json::{Value, json};
use strongroom_core::Role;

use super::scene::{ABSENT, MALFORMED, Made, Noun, Scene, Words, done, id_of};
use crate::support::Caller;

/// How long a run's lease is that expires, in seconds.
const SHORT: i64 = 10;

impl Scene<'_> {
    /// A path with the agent, the revision and the attached secret of a cell in it.
    pub(super) async fn in_agent(&mut self, path: String, verb: &str, words: &Words<'_>) -> String {
        if verb == "listRuns" {
            let Some(place) = words.place else { return path };
            return format!("{path}?agent_id={}", self.place(place).await.0);
        }
        if !path.contains("{agentId}") && !path.contains("{buildId}") {
            return path;
        }
        let attaching = verb.ends_with("tachRevisionSecret");
        let place = words.place.unwrap_or(if attaching { "ours" } else { words.subject });
        let (agent, build) = self.place(place).await;
        let mut path = path.replace("{agentId}", &agent).replace("{buildId}", &build);
        if path.contains("{credentialId}") {
            path = path.replace("{credentialId}", &self.detached(words.subject).await);
        }
        path
    }

    /// What is sent about agents and runs.
    pub(super) async fn agents_body(&mut self, verb: &str, words: &Words<'_>) -> Option<Value> {
        Some(match verb {
            "createAgent" | "createRevision" => json!({"name": "new"}),
            "updateAgent" => json!({"name": words.to.map_or("renamed", |_| "agent")}),
            "promoteRevision" => words.to.map_or(json!({}), |name| json!({"revision_name": name})),
            "attachRevisionSecret" => json!({"credentialId": self.attachable(words.subject).await}),
            "startRun" => self.new_run(words).await,
            "panic" => self.suspicion(words.subject).await,
            "extendRun" => json!({}),
            _ => return None,
        })
    }

    async fn attachable(&mut self, which: &str) -> String {
        match which.strip_suffix("-attached") {
            Some(whose) => self.id(Noun::Attached, whose).await,
            None => self.id(Noun::Secret, which).await,
        }
    }

    async fn detached(&mut self, which: &str) -> String {
        match which {
            "foreign" | "elsewhere" => self.id(Noun::Secret, which).await,
            _ => match which.strip_suffix("-loose") {
                Some(whose) => self.id(Noun::Secret, whose).await,
                None => self.id(Noun::Attached, which).await,
            },
        }
    }

    async fn new_run(&mut self, words: &Words<'_>) -> Value {
        let mut body = json!({"agent_id": self.place(words.subject).await.0});
        if let Some(build) = words.place {
            body["build_id"] = self.place(build).await.1.into();
        }
        body
    }

    async fn suspicion(&mut self, what: &str) -> Value {
        let (noun, which) = what.split_once('=').unwrap();
        let id = match noun {
            "agent" => self.place(which).await.0,
            "run" => self.id(Noun::Run, which).await,
            "key" => self.id(Noun::Key, which).await,
            "user" => self.id(Noun::User, which).await,
            other => panic!("nobody suspects a {other}"),
        };
        json!({format!("{noun}_id"): id})
    }

    /// An agent and a revision, as a path or a body names them.
    async fn place(&mut self, which: &str) -> (String, String) {
        if which == "absent" {
            return (ABSENT.into(), ABSENT.into());
        }
        let (agent, ours) = self.standing("ours").await;
        match which {
            "malformed" => (MALFORMED.into(), ours),
            "build-absent" => (agent, ABSENT.into()),
            "build-malformed" => (agent, MALFORMED.into()),
            "build-foreign" => (agent, self.standing("foreign").await.1),
            "mixed" => (agent, self.standing("another").await.1),
            "later" => {
                let founder = self.world.founder.clone();
                let later = self.standing.get("later").cloned();
                let later = match later {
                    Some((_, later)) => later,
                    None => revision(&founder, &agent).await,
                };
                self.standing.insert("later".into(), (agent.clone(), later.clone()));
                (agent, later)
            }
            _ => self.standing(which).await,
        }
    }

    /// An agent with a live revision, unless it is `bare`; to ours there is a
    /// secret of the team's attached.
    pub(super) async fn standing(&mut self, which: &str) -> (String, String) {
        if let Some(standing) = self.standing.get(which) {
            return standing.clone();
        }
        let foreign = which == "foreign";
        let maker = self.maker(if foreign { "foreign" } else { "shared" });
        let team = if foreign { self.world.other() } else { self.world.home() };
        let body = json!({"name": "agent"}).to_string();
        let agent = done(&maker.post(&format!("/v2/teams/{team}/agents"), body).await, 201);
        let agent = id_of(&agent["agent"]);
        let build = if which == "bare" { ABSENT.into() } else { revision(&maker, &agent).await };
        if which == "deleted" {
            done(&maker.delete(&format!("/v2/agents/{agent}")).await, 200);
        }
        if which == "ours" {
            attach(&maker, (&agent, &build), &id_of(&maker.create("standing", true).await)).await;
        }
        self.standing.insert(which.to_owned(), (agent.clone(), build.clone()));
        (agent, build)
    }

    /// A secret that is attached to our revision by whose it is.
    pub(super) async fn attached(&mut self, which: &str) -> String {
        let (agent, build) = self.standing("ours").await;
        let (whose, deleted) = which.split_once('-').map_or((which, false), |(whose, _)| (whose, true));
        let maker = self.maker(whose);
        let id = id_of(&maker.create(which, whose == "shared").await);
        attach(&maker, (&agent, &build), &id).await;
        if deleted {
            done(&maker.delete(&format!("/v2/credentials/{id}")).await, 200);
        }
        id
    }

    /// A run, and what became of it.
    pub(super) async fn run(&mut self, which: &str) -> Made {
        let (whose, end) = which.split_once('-').map_or((which, None), |(whose, end)| (whose, Some(end)));
        let abroad = ["foreign", "elsewhere"].contains(&whose);
        let agent = match (abroad, end) {
            (true, _) => self.standing("foreign").await.0,
            (_, Some("orphaned")) => self.standing("orphaned").await.0,
            _ => self.standing("ours").await.0,
        };
        let team = if abroad { self.world.other() } else { self.world.home() };
        let raised = whose == "own" && self.actor.role < Role::Builder;
        if raised {
            self.place_actor(Role::Builder).await;
        }
        let ttl = if end == Some("expired") { SHORT } else { 604_800 };
        let body = json!({"agent_id": agent, "ttl_seconds": ttl}).to_string();
        let started = self.maker(whose).post(&format!("/v2/teams/{team}/runs"), body).await;
        let started = done(&started, 201);
        let run =
            Made { id: id_of(&started["run"]), token: Some(started["token"].as_str().unwrap().to_owned()) };
        self.end(&run.id, end).await;
        if raised {
            self.place_actor(self.actor.role).await;
        }
        run
    }

    /// Gives the actor another role.
    async fn place_actor(&self, role: Role) {
        let path = format!("/v2/teams/{}/members/{}", self.world.home(), self.actor.user);
        let body = json!({"role": role.name()}).to_string();
        done(&self.world.founder.patch(&path, body).await, 200);
    }

    async fn end(&mut self, run: &str, how: Option<&str>) {
        let founder = &self.world.founder;
        match how {
            None => (),
            Some("stopped") => {
                done(&founder.post(&format!("/v2/runs/{run}/stop"), "").await, 200);
            }
            Some("expired") => self.world.app.clock.advance(SHORT * 1_000),
            Some("revoked") => {
                let body = json!({"run_id": run}).to_string();
                done(&founder.post(&format!("/v2/teams/{}/panic", self.world.home()), body).await, 200);
            }
            Some("orphaned") => {
                let (agent, _) = self.standing.remove("orphaned").unwrap();
                done(&founder.delete(&format!("/v2/agents/{agent}")).await, 200);
            }
            Some(other) => panic!("no run is {other}"),
        }
    }
}

/// A new revision of an agent.
async fn revision(maker: &Caller, agent: &str) -> String {
    let body = json!({"name": "revision"}).to_string();
    let made = done(&maker.post(&format!("/v2/agents/{agent}/revisions"), body).await, 201);
    id_of(&made["build"])
}

async fn attach(maker: &Caller, (agent, build): (&str, &str), secret: &str) {
    let path = format!("/v2/agents/{agent}/revisions/{build}/credentials");
    done(&maker.post(&path, json!({"credentialId": secret}).to_string()).await, 201);
}
