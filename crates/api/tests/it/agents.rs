//! Agents with revisions, secrets and runs, as the API itself makes them.

use serde_json::{Value, json};
use strongroom_core::{Role, Scopes};

use crate::people::{made, team, text};
use crate::support::{Answer, Caller, TestApp};

/// An agent, and one of its revisions.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) agent: String,
    pub(crate) build: String,
}

impl Place {
    /// A path below the revision.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/v2/agents/{}/revisions/{}{rest}", self.agent, self.build)
    }
}

/// A new builder with a key for everything.
pub(crate) fn builder(app: &TestApp) -> Caller {
    app.user(app.team_id, Role::Builder, Scopes::all())
}

/// A new agent of the team's with a live revision.
pub(crate) async fn agent(app: &TestApp) -> Place {
    let answer = app.owner().post(&team(app, "/agents"), r#"{"name": "agent"}"#).await;
    let agent = text(&made(&answer)["agent"], "id").to_owned();
    let build = revision(app, &agent).await;
    Place { agent, build }
}

/// Another revision of an agent.
pub(crate) async fn revision(app: &TestApp, agent: &str) -> String {
    let answer = app.owner().post(&format!("/v2/agents/{agent}/revisions"), r#"{"name": "revision"}"#).await;
    text(&made(&answer)["build"], "id").to_owned()
}

/// A new secret with these values.
pub(crate) async fn secret(caller: &Caller, shared: bool, values: Value) -> String {
    let body = json!({"name": "secret", "values": values, "shared": shared});
    text(&made(&caller.post("/v1/credentials", body.to_string()).await), "id").to_owned()
}

/// Asks to attach a secret.
pub(crate) async fn try_attach(caller: &Caller, place: &Place, secret: &str) -> Answer {
    caller.post(&place.path("/credentials"), json!({"credentialId": secret}).to_string()).await
}

/// Attaches a secret.
pub(crate) async fn attach(caller: &Caller, place: &Place, secret: &str) {
    made(&try_attach(caller, place, secret).await);
}

/// A new secret with these values, attached.
pub(crate) async fn attached(caller: &Caller, place: &Place, (shared, values): (bool, Value)) -> String {
    let secret = secret(caller, shared, values).await;
    attach(caller, place, &secret).await;
    secret
}

/// A run that was started.
#[derive(Clone)]
pub(crate) struct Run {
    pub(crate) id: String,
    /// With the run's token.
    pub(crate) caller: Caller,
    /// The answer to whoever started it.
    pub(crate) answer: Value,
}

impl Run {
    /// A path below the run.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/v2/runs/{}{rest}", self.id)
    }

    /// Asks for the environment.
    pub(crate) async fn fetch(&self) -> Answer {
        self.caller.get("/v2/run/environment").await
    }

    /// The environment.
    pub(crate) async fn environment(&self) -> Value {
        let answer = self.fetch().await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()["environment"].clone()
    }
}

/// Asks to start a run.
pub(crate) async fn try_start(app: &TestApp, caller: &Caller, body: Value) -> Answer {
    caller.post(&team(app, "/runs"), body.to_string()).await
}

/// Starts a run as it is asked for.
pub(crate) async fn start_as(app: &TestApp, caller: &Caller, body: Value) -> Run {
    let answer = made(&try_start(app, caller, body).await);
    let id = text(&answer["run"], "id").to_owned();
    Run { id, caller: app.bearer(text(&answer, "token")), answer }
}

/// Starts a run of this revision.
pub(crate) async fn start(app: &TestApp, caller: &Caller, place: &Place) -> Run {
    start_as(app, caller, json!({"agent_id": place.agent, "build_id": place.build})).await
}
