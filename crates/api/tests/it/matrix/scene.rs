//! Where the matrix plays: two teams, somebody of each role, and whatever the
//! object of a cell names, made when it is first needed.

use reqwest::Method;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use strongroom_core::api_keys::ApiKey;
use strongroom_core::app::Sealer;
use strongroom_core::tokens::{Token, TokenKind};
use strongroom_core::{Role, TeamId, UserId};

use super::expected::BY_RUN;
use super::table::{Operation, Seen};
use crate::support::{Answer, Caller, TestApp, canary};

/// Names nothing.
pub(super) const ABSENT: &str = "019ab3c4-7c1e-7d55-8a3f-0d3b4f5a6c7d";
pub(super) const MALFORMED: &str = "019ab3c4-7c1e-7d55-8a3f-0d3b4f5a6c7";

/// An instance with two teams.
pub(super) struct World {
    pub(super) app: TestApp,
    /// Owner of the team that the cells are about; in none of them.
    pub(super) founder: Caller,
    /// Owner of the other team.
    foreigner: Caller,
    other: TeamId,
    people: AtomicU32,
}

/// Somebody who is tried out.
#[derive(Clone)]
pub(super) struct Actor {
    /// With the key that is tried out.
    pub(super) caller: Caller,
    /// With a key for everything.
    pub(super) maker: Caller,
    pub(super) user: UserId,
    pub(super) role: Role,
}

impl World {
    pub(super) async fn new() -> Self {
        let app = TestApp::with_broker().await;
        let founder = app.owner();
        let created = done(&founder.post("/v2/teams", json!({"name": "Others"}).to_string()).await, 201);
        let link = app.bearer(created["key_link"]["link"].as_str().unwrap());
        let key = done(&link.post("/v2/key-links/claim", "").await, 201);
        let foreigner = app.bearer(key["api_key"].as_str().unwrap());
        let other = TeamId::parse(created["team"]["id"].as_str().unwrap()).unwrap();
        let world = Self { app, founder, foreigner, other, people: AtomicU32::new(0) };
        world.seal().await;
        world
    }

    /// Makes leaves of everything that happened.
    async fn seal(&self) {
        self.app.app.seal_events(&mut Sealer::default()).await.unwrap();
    }

    pub(super) fn home(&self) -> TeamId {
        self.app.team_id
    }

    /// A new member of this role, with a key for everything.
    pub(super) fn actor(&self, role: Role) -> Actor {
        let user = self.app.seed_user();
        self.app.seed_membership(self.home(), user, role);
        let caller = self.app.key(self.home(), user, |_| ());
        Actor { maker: caller.clone(), caller, user, role }
    }

    /// A new owner with another key besides, which `alter` changes.
    pub(super) fn owner(&self, alter: impl FnOnce(&mut ApiKey)) -> Actor {
        let owner = self.actor(Role::Owner);
        Actor { caller: self.app.key(self.home(), owner.user, alter), ..owner }
    }

    /// The owner of the other team.
    pub(super) fn elsewhere(&self) -> Caller {
        self.foreigner.clone()
    }

    /// The other team.
    pub(super) fn other(&self) -> TeamId {
        self.other
    }

    /// Somebody who is a member of the other team only.
    pub(super) fn stranger(&self) -> UserId {
        let user = self.app.seed_user();
        self.app.seed_membership(self.other, user, Role::Member);
        user
    }

    fn address(&self) -> String {
        format!("somebody{}@example.com", self.people.fetch_add(1, Ordering::Relaxed))
    }

    /// What the founder gets for this.
    async fn founders(&self, path: &str, body: Value) -> Value {
        done(&self.founder.post(&format!("/v2/teams/{}{path}", self.home()), body.to_string()).await, 201)
    }
}

/// The answer's body, when it went well.
pub(super) fn done(answer: &Answer, status: u16) -> Value {
    assert_eq!(answer.status, status, "{}", answer.body);
    answer.json()
}

pub(super) fn id_of(value: &Value) -> String {
    value["id"].as_str().unwrap().to_owned()
}

/// The id of a caller's key.
pub(super) fn key_id(caller: &Caller) -> String {
    Token::parse(TokenKind::ApiKey, caller.token.as_deref().unwrap()).unwrap().id().to_string()
}

/// A request that is ready to be sent, by anybody.
#[derive(Clone)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) path: String,
    body: Option<String>,
}

impl Request {
    /// The same, with nothing to be done.
    pub(super) fn dry(&self) -> Self {
        Self { path: format!("{}?dry_run=true", self.path), ..self.clone() }
    }

    /// Sends it.
    pub(super) async fn by(&self, caller: &Caller) -> Seen {
        let request = caller.request(self.method.clone(), &self.path);
        Seen::of(caller.send(self.with_body(request)).await)
    }

    /// Puts its body into a request.
    pub(super) fn with_body(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match &self.body {
            Some(body) => request.header("content-type", "application/json").body(body.clone()),
            None => request,
        }
    }
}

/// What an object's word is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Noun {
    Secret,
    /// A secret that is attached to our revision.
    Attached,
    User,
    Key,
    Link,
    Run,
    /// A request to fill in a secret.
    Request,
    /// Something that happened, by its place in the record.
    Event,
}

/// Something that was made; links and runs have a token.
#[derive(Clone)]
pub(super) struct Made {
    pub(super) id: String,
    pub(super) token: Option<String>,
}

impl From<String> for Made {
    fn from(id: String) -> Self {
        Self { id, token: None }
    }
}

/// An actor, and the objects around them.
pub(super) struct Scene<'a> {
    pub(super) world: &'a World,
    pub(super) actor: Actor,
    made: HashMap<(Noun, String), Made>,
    /// Agents with a revision, by their words.
    pub(super) standing: HashMap<String, (String, String)>,
}

/// An object's word in its pieces: `subject>to:place@team`.
pub(super) struct Words<'a> {
    pub(super) subject: &'a str,
    pub(super) to: Option<&'a str>,
    pub(super) place: Option<&'a str>,
    team: Option<&'a str>,
}

impl<'a> Words<'a> {
    fn of(object: &'a str) -> Self {
        let (what, team) = object.split_once('@').map_or((object, None), |(what, team)| (what, Some(team)));
        let (what, place) = what.split_once(':').map_or((what, None), |(what, place)| (what, Some(place)));
        let (subject, to) = what.split_once('>').map_or((what, None), |(subject, to)| (subject, Some(to)));
        Self { subject, to, place, team }
    }
}

impl<'a> Scene<'a> {
    pub(super) fn new(world: &'a World, actor: Actor) -> Self {
        Self { world, actor, made: HashMap::new(), standing: HashMap::new() }
    }

    /// The request of one cell.
    pub(super) async fn request(&mut self, operation: &Operation, object: &str) -> Request {
        let words = Words::of(object);
        let team = match words.team {
            None => self.world.home().to_string(),
            Some("other") => self.world.other.to_string(),
            Some("unknown") => ABSENT.into(),
            Some("malformed") => MALFORMED.into(),
            Some(other) => panic!("no team {other}"),
        };
        let mut path = operation.path.replace("{teamId}", &team);
        let parameters = [
            ("{id}", Noun::Secret),
            ("{userId}", Noun::User),
            ("{keyId}", Noun::Key),
            ("{linkId}", Noun::Link),
            ("{runId}", Noun::Run),
            ("{requestId}", Noun::Request),
            ("{sequence}", Noun::Event),
        ];
        for (parameter, noun) in parameters {
            if path.contains(parameter) {
                path = path.replace(parameter, &self.id(noun, words.subject).await);
            }
        }
        if operation.verb() == "proveConsistency" {
            path.push_str("?old=1&new=2");
        }
        let path = self.in_agent(path, operation.verb(), &words).await;
        let body = match self.body(operation.verb(), &words).await {
            None => self.agents_body(operation.verb(), &words).await,
            body => body,
        };
        Request { method: operation.method.clone(), path, body: body.map(|body| body.to_string()) }
    }

    /// Who speaks in a cell: the actor, or the bearer of a link or a run's token.
    pub(super) async fn speaker(&mut self, operation: &Operation, object: &str) -> Caller {
        let noun = match operation.verb() {
            "claimKeyLink" => Noun::Link,
            verb if BY_RUN.contains(&verb) => Noun::Run,
            _ => return self.actor.caller.clone(),
        };
        if object == "key" {
            return self.actor.caller.clone();
        }
        let token = self.made(noun, object).await.token;
        self.world.app.bearer(&token.unwrap())
    }

    async fn body(&mut self, verb: &str, words: &Words<'_>) -> Option<Value> {
        let shared = words.to.unwrap_or(words.subject) == "shared";
        Some(match verb {
            "createSecret" => json!({"name": "n", "values": {"K": canary("v")}, "shared": shared}),
            "updateSecret" if words.to.is_none() => json!({"name": "renamed"}),
            "updateSecret" => json!({"shared": shared}),
            "setSecretPolicy" => json!({"rules": [], "broker_only": true}),
            "rollbackSecret" => json!({"version": 1}),
            "copySecret" => json!({"name": "copy", "shared": shared}),
            "compareSecrets" => self.comparison(words.subject).await,
            "createTeam" | "updateTeam" => json!({"name": "Renamed"}),
            "addMember" => self.newcomer(words.subject, words.to.unwrap()).await,
            "updateMember" => json!({"role": words.to.unwrap()}),
            "createApiKey" => self.new_key(words).await,
            "createKeyLink" => self.new_link(words).await,
            "createFillRequest" => new_request(),
            _ => return None,
        })
    }

    async fn comparison(&mut self, subject: &str) -> Value {
        let (a, b) = subject.split_once('+').unwrap();
        json!({"a": self.id(Noun::Secret, a).await, "b": self.id(Noun::Secret, b).await})
    }

    async fn newcomer(&mut self, who: &str, role: &str) -> Value {
        match who {
            "person" => json!({"email": self.world.address(), "name": "Somebody", "role": role}),
            "service" => json!({"service": true, "name": "Program", "role": role}),
            "known" => {
                let (address, path) =
                    (self.world.address(), format!("/v2/teams/{}/members", self.world.other));
                let known = json!({"email": address, "name": "Known", "role": "member"}).to_string();
                done(&self.world.foreigner.post(&path, known).await, 201);
                json!({"email": address, "name": "Known", "role": role})
            }
            _ => json!({"user_id": self.id(Noun::User, who).await, "role": role}),
        }
    }

    async fn new_key(&mut self, words: &Words<'_>) -> Value {
        let mut body = json!({"name": "k"});
        if words.subject != "self" {
            body["service_user_id"] = self.id(Noun::User, words.subject).await.into();
        }
        with_role(body, words.to)
    }

    async fn new_link(&mut self, words: &Words<'_>) -> Value {
        with_role(json!({"name": "k", "user_id": self.id(Noun::User, words.subject).await}), words.to)
    }

    pub(super) async fn id(&mut self, noun: Noun, which: &str) -> String {
        match which {
            "absent" if noun == Noun::Event => "900000".into(),
            "malformed" if noun == Noun::Event => "0".into(),
            "absent" => ABSENT.into(),
            "malformed" => MALFORMED.into(),
            _ => self.made(noun, which).await.id,
        }
    }

    async fn made(&mut self, noun: Noun, which: &str) -> Made {
        if let Some(made) = self.made.get(&(noun, which.to_owned())) {
            return made.clone();
        }
        let made = match noun {
            Noun::Secret => self.secret(which).await.into(),
            Noun::User => self.user(which).await.to_string().into(),
            Noun::Key => self.key(which).await.into(),
            Noun::Link => self.link(which).await,
            Noun::Attached => self.attached(which).await.into(),
            Noun::Run => self.run(which).await,
            Noun::Request => self.fill_request(which).await.into(),
            Noun::Event => self.event(which).await.into(),
        };
        self.made.insert((noun, which.to_owned()), made.clone());
        made
    }

    /// The creation of a secret, which is sealed by now.
    async fn event(&self, which: &str) -> String {
        let (maker, team) = match which {
            "foreign" => (self.maker(which), self.world.other),
            _ => (self.maker(which), self.world.home()),
        };
        let object = id_of(&maker.create(which, which != "own").await);
        self.world.seal().await;
        let list = done(&maker.get(&format!("/v2/teams/{team}/events?object_id={object}")).await, 200);
        list["events"][0]["sequence"].to_string()
    }

    async fn secret(&self, which: &str) -> String {
        let (whose, deleted) = which.split_once('-').map_or((which, false), |(whose, _)| (whose, true));
        let maker = self.maker(whose);
        let id = id_of(&maker.create(which, matches!(whose, "shared" | "foreign")).await);
        if deleted {
            done(&maker.delete(&format!("/v2/credentials/{id}")).await, 200);
        }
        id
    }

    /// Who makes what is so.
    pub(super) fn maker(&self, whose: &str) -> Caller {
        match whose {
            "own" => self.actor.maker.clone(),
            "shared" | "others" => self.world.founder.clone(),
            "foreign" => self.world.foreigner.clone(),
            "elsewhere" => self.elsewhere(),
            other => panic!("nobody makes what is {other}"),
        }
    }

    /// The actor in the other team.
    fn elsewhere(&self) -> Caller {
        let user = self.actor.user;
        if self.made.keys().all(|(_, which)| which != "elsewhere") {
            self.world.app.seed_membership(self.world.other, user, Role::Owner);
        }
        self.world.app.key(self.world.other, user, |_| ())
    }

    async fn user(&self, which: &str) -> UserId {
        let world = self.world;
        match which.split_once('-') {
            Some(("service", role)) => {
                let service = json!({"service": true, "name": "Program", "role": role});
                let member = world.founders("/members", service).await;
                UserId::parse(&id_of(&member["member"])).unwrap()
            }
            None if which == "self" => self.actor.user,
            None if which == "foreign" => world.stranger(),
            None if which == "removed" => {
                let user = world.actor(Role::Member).user;
                self.remove(user).await;
                user
            }
            _ => world.actor(Role::from_name(which).unwrap()).user,
        }
    }

    async fn remove(&self, user: UserId) {
        let path = format!("/v2/teams/{}/members/{user}", self.world.home());
        done(&self.world.founder.delete(&path).await, 200);
    }

    async fn key(&self, which: &str) -> String {
        let (app, home) = (&self.world.app, self.world.home());
        match which {
            "this" => key_id(&self.actor.caller),
            "self" => key_id(&app.key(home, self.actor.user, |_| ())),
            "self-revoked" => {
                let now = strongroom_core::Clock::now(&*app.clock);
                key_id(&app.key(home, self.actor.user, |key| key.revoked_at = Some(now)))
            }
            "elsewhere" => key_id(&self.elsewhere()),
            "foreign" => key_id(&self.world.foreigner),
            "removed" => {
                let removed = self.world.actor(Role::Member);
                self.remove(removed.user).await;
                key_id(&removed.caller)
            }
            role => key_id(&self.world.actor(Role::from_name(role).unwrap()).caller),
        }
    }

    async fn link(&self, which: &str) -> Made {
        let world = self.world;
        let user = match which {
            "foreign" => world.stranger(),
            "self" | "used" | "withdrawn" => self.actor.user,
            role => world.actor(Role::from_name(role).unwrap()).user,
        };
        let (maker, team) =
            if which == "foreign" { (&world.foreigner, world.other) } else { (&world.founder, world.home()) };
        let body = json!({"user_id": user.to_string(), "name": "k"}).to_string();
        let link = done(&maker.post(&format!("/v2/teams/{team}/key-links"), body).await, 201);
        let made = Made { id: id_of(&link), token: Some(link["link"].as_str().unwrap().to_owned()) };
        match which {
            "used" => {
                let bearer = world.app.bearer(made.token.as_ref().unwrap());
                done(&bearer.post("/v2/key-links/claim", "").await, 201);
            }
            "withdrawn" => {
                done(&maker.delete(&format!("/v2/teams/{team}/key-links/{}", made.id)).await, 200);
            }
            _ => (),
        }
        made
    }

    /// A request to fill in a secret, and what became of it.
    async fn fill_request(&mut self, which: &str) -> String {
        let (whose, end) = which.split_once('-').map_or((which, None), |(whose, end)| (whose, Some(end)));
        let abroad = ["foreign", "elsewhere"].contains(&whose);
        let team = if abroad { self.world.other } else { self.world.home() };
        let asker = match end {
            Some("run") => self.world.app.bearer(&self.run(whose).await.token.unwrap()),
            _ => self.maker(whose),
        };
        let path = format!("/v2/teams/{team}/fill-requests");
        let mut wish = new_request();
        if end == Some("expired") {
            wish["expires_in"] = 60.into();
        }
        let made = done(&asker.post(&path, wish.to_string()).await, 201);
        match end {
            Some("filled") => self.world.app.fill_in(made["url"].as_str().unwrap()).await,
            Some("expired") => self.world.app.clock.advance(60_000),
            Some("cancelled") => {
                done(&asker.delete(&format!("{path}/{}", id_of(&made))).await, 200);
            }
            _ => (),
        }
        id_of(&made)
    }
}

fn new_request() -> Value {
    json!({"name": "Stripe", "env_var_keys": ["K"]})
}

fn with_role(mut body: Value, role: Option<&str>) -> Value {
    if let Some(role) = role {
        body["role"] = role.into();
    }
    body
}
