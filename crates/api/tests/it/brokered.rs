//! Runs whose values go by the broker: how they are started and told of, what they receive, and
//! what they asked for.

use reqwest::Method;
use serde_json::{Value, json};
use std::sync::Arc;
use strongroom_core::app::{BrokeredRequest, Cause};
use strongroom_core::requests::{Requested, RequestedText};
use strongroom_core::{Clock, SecretId};
use uuid::Uuid;

use crate::agents::{Run, agent, attached, builder, start, start_as, try_start};
use crate::people::{made, refusal, settled, team, text};
use crate::support::{TestApp, canary};

/// A run by the broker with a secret, which is named.
async fn brokered(app: &TestApp) -> (Run, String) {
    let (owner, place) = (app.owner(), agent(app).await);
    let secret =
        attached(&owner, &place, (true, json!({"STRIPE_KEY": canary("v"), "OTHER": canary("w")}))).await;
    (start_as(app, &owner, json!({"agent_id": place.agent, "mode": "broker"})).await, secret)
}

#[tokio::test]
async fn without_a_broker_none_is_started() {
    let app = settled().await;
    let place = agent(&app).await;
    let refused = try_start(&app, &app.owner(), json!({"agent_id": place.agent, "mode": "broker"})).await;
    assert_eq!(refusal(&refused), (409, "conflict".into()));
    assert!(refused.body.contains("--broker-listen"), "{}", refused.body);
}

#[tokio::test]
async fn it_is_told_where_the_broker_is_and_gets_placeholders() {
    let app = TestApp::with_broker().await;
    let (run, _) = brokered(&app).await;
    let told = |name: &str| run.answer[name].clone();
    assert!(text(&run.answer, "broker_token").starts_with("srb_"));
    assert_eq!(told("broker_url"), "https://127.0.0.1:7481");
    assert_eq!(told("broker_ca"), "a certificate");
    assert_eq!(told("run")["mode"], "broker");
    assert_eq!(app.owner().get(&run.path("")).await.json()["run"]["mode"], "broker");
    assert_eq!(app.owner().get(&team(&app, "/runs")).await.json()["data"][0]["mode"], "broker");
    let environment = run.environment().await;
    assert!(environment["STRIPE_KEY"].as_str().unwrap().starts_with("sk_live_"), "{environment}");
    assert!(environment["OTHER"].as_str().unwrap().starts_with("srp_"), "{environment}");
    let request = run.caller.request(Method::GET, "/v2/run/environment").header("accept", "text/plain");
    let lines = run.caller.send(request).await.body;
    assert!(lines.contains(environment["OTHER"].as_str().unwrap()), "{lines}");
    assert_eq!(app.owner().get(&run.path("/deliveries")).await.json(), json!({"deliveries": []}));
}

#[tokio::test]
async fn a_dry_run_shows_no_token_and_an_inject_run_has_none_for_the_broker() {
    let app = TestApp::with_broker().await;
    let (owner, place) = (app.owner(), agent(&app).await);
    let body = json!({"agent_id": place.agent, "mode": "broker"}).to_string();
    let tried = made(&owner.post(&team(&app, "/runs?dry_run=true"), body).await);
    assert_eq!(json!([tried["token"], tried["broker_token"]]), json!([null, null]));
    let inject = start(&app, &owner, &place).await.answer;
    let nothing = ["broker_token", "broker_url", "broker_ca"].map(|name| inject[name].clone());
    assert_eq!(nothing, [Value::Null, Value::Null, Value::Null]);
}

fn asked(number: u64) -> RequestedText {
    Requested {
        rule: (number > 0).then_some(0),
        scheme: "https".into(),
        host: "api.example.com".into(),
        port: 443,
        method: "POST".into(),
        path: format!("/v1/{number}").into(),
        status: (number > 0).then_some(200),
        sent: number,
        received: 10 * number,
        millis: 5,
        refused: (number == 0).then(|| "no_rule".into()),
        ended: true,
    }
    .text()
}

/// Records so many requests of a run, the first of which was refused.
async fn recorded(app: &TestApp, run: &Run, secret: &str, many: u64) {
    let token = text(&run.answer, "broker_token");
    let token = app.app.broker_token(token).unwrap();
    let brokered = app.app.brokered(&token, None, &Cause::default()).await.unwrap();
    let secret = SecretId::parse(secret).unwrap();
    let request = |number| BrokeredRequest {
        brokered: Arc::clone(&brokered),
        request_id: Uuid::from_u128(number),
        at: app.clock.now(),
        secret: (number > 0).then_some((secret, 1)),
        requested: asked(u64::try_from(number).unwrap()),
    };
    app.app.record_requests(&(0..u128::from(many)).map(request).collect::<Vec<_>>()).await.unwrap();
}

#[tokio::test]
async fn what_a_run_asked_for_is_listed_the_newest_first() {
    let app = TestApp::with_broker().await;
    let (run, secret) = brokered(&app).await;
    let owner = app.owner();
    let none = json!({"data": [], "next": null});
    assert_eq!(owner.get(&run.path("/requests")).await.json(), none);
    recorded(&app, &run, &secret, 5).await;
    let mut paths = Vec::new();
    let mut next = run.path("/requests?limit=2");
    loop {
        let answer = owner.get(&next).await;
        let page = answer.json();
        paths.extend(page["data"].as_array().unwrap().iter().map(|one| one["requested"]["path"].clone()));
        let Some(cursor) = page["next"].as_i64() else { break };
        next = format!("{}&cursor={cursor}", run.path("/requests?limit=2"));
        assert_eq!(answer.header("link"), Some(format!("<{next}>; rel=\"next\"").as_str()));
    }
    assert_eq!(paths, ["/v1/4", "/v1/3", "/v1/2", "/v1/1", "/v1/0"]);
    assert_eq!(owner.get(&run.path("/requests?limit=0")).await.status, 400);
    let others = builder(&app);
    assert_eq!(refusal(&others.get(&run.path("/requests")).await), (403, "forbidden".into()));
}

#[tokio::test]
async fn a_request_is_told_of_in_full_and_the_same_stands_in_the_record() {
    let app = TestApp::with_broker().await;
    let (run, secret) = brokered(&app).await;
    recorded(&app, &run, &secret, 2).await;
    let owner = app.owner();
    let page = owner.get(&run.path("/requests")).await.json();
    let [one, refused] = [&page["data"][0], &page["data"][1]];
    let requested = json!({
        "rule": 0, "scheme": "https", "host": "api.example.com", "port": 443, "method": "POST", "path": "/v1/1",
        "status": 200, "sent": 1, "received": 10, "millis": 5, "refused": null, "ended": true,
    });
    let expected = json!({
        "sequence": one["sequence"], "at": run.answer["run"]["started_at"], "request_id": Uuid::from_u128(1),
        "credential_id": secret, "version": 1, "requested": requested,
    });
    assert_eq!(*one, expected);
    assert_eq!(json!([refused["credential_id"], refused["version"]]), json!([null, null]));
    assert_eq!(refused["requested"]["refused"], "no_rule");
    let events = owner.get(&team(&app, "/events?action=run.requested")).await.json();
    let event = &events["events"][0];
    assert_eq!(event["requested"], requested);
    assert_eq!(json!([event["object_type"], event["object_id"]]), json!(["secrets", secret]));
    assert_eq!(event["run_id"], run.answer["run"]["id"]);
    let started = owner.get(&team(&app, "/events?action=run.started")).await.json();
    assert_eq!(started["events"][0]["requested"], Value::Null);
}
