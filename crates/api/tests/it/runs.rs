//! Runs: who receives what, exactly, for how long, and that nothing leaves
//! without a record.

use reqwest::Method;
use reqwest::header::ACCEPT;
use rusqlite::OpenFlags;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use strongroom_core::app::{Ask, Cause, NewRun};
use strongroom_core::grants::Networks;
use strongroom_core::{AgentId, Role, Scopes, UserId};
use tokio::task::JoinSet;

use crate::agents::{Place, Run, agent, attach, attached, revision, secret, start, start_as, try_start};
use crate::people::{contents, in_millis, join, key, made, refusal, settled, team, text};
use crate::support::{Answer, CANARY, Caller, TestApp, canary};

const HOUR: i64 = 60 * 60 * 1_000;

/// A new builder with a key for everything.
fn builder(app: &TestApp) -> Caller {
    app.user(app.team_id, Role::Builder, Scopes::all())
}

async fn preview(caller: &Caller, place: &Place) -> Value {
    let answer = caller.get(&place.path("/environment")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

/// Each name of a preview, with the secret that wins it, why, and over whom.
fn promised(preview: &Value) -> Value {
    let name = |name: &Value| json!([name["name"], name["credential_id"], name["why"], name["over"]]);
    preview["environment"].as_array().unwrap().iter().map(name).collect()
}

#[tokio::test]
async fn each_starter_receives_their_own_and_everybody_else_the_teams() {
    let app = settled().await;
    let place = agent(&app).await;
    let [first, second, third] = [builder(&app), builder(&app), builder(&app)];
    let values = |whose: &str| json!({"KEY": canary(whose)});
    let mine = attached(&first, &place, (false, values("first"))).await;
    let shared = attached(&app.owner(), &place, (true, values("team"))).await;
    let yours = attached(&second, &place, (false, values("second"))).await;
    for (caller, wins, why, over, value) in [
        (&first, &mine, "personal", json!([shared]), "first"),
        (&second, &yours, "personal", json!([shared]), "second"),
        (&third, &shared, "only", json!([]), "team"),
    ] {
        let preview = preview(caller, &place).await;
        assert_eq!(promised(&preview), json!([["KEY", wins, why, over]]), "{value}");
        assert_eq!(preview["collisions"], json!(over.as_array().unwrap().len()), "{value}");
        let run = start(&app, caller, &place).await;
        assert_eq!(run.environment().await, values(value));
        let received = caller.get(&run.path("/deliveries")).await.json()["deliveries"].clone();
        assert_eq!((received.as_array().unwrap().len(), &received[0]["credential_id"]), (1, &json!(wins)));
    }
}

#[tokio::test]
async fn of_equals_the_one_that_was_attached_later_wins() {
    let app = settled().await;
    let (place, grace) = (agent(&app).await, builder(&app));
    let values = |n: &str| json!({"KEY": canary(n), (format!("ONLY_{n}")): canary("only")});
    let shared_1 = attached(&app.owner(), &place, (true, values("1"))).await;
    let own_2 = attached(&grace, &place, (false, values("2"))).await;
    let shared_3 = attached(&app.owner(), &place, (true, values("3"))).await;
    let own_4 = attached(&grace, &place, (false, values("4"))).await;
    let shown = preview(&grace, &place).await;
    assert_eq!(
        promised(&shown),
        json!([
            ["KEY", own_4, "later", [own_2, shared_3, shared_1]],
            ["ONLY_4", own_4, "only", []],
            ["ONLY_2", own_2, "only", []],
            ["ONLY_3", shared_3, "only", []],
            ["ONLY_1", shared_1, "only", []],
        ])
    );
    let order: Vec<_> = shown["credentials"].as_array().unwrap().iter().map(|one| text(one, "id")).collect();
    assert_eq!(order, [&own_4, &own_2, &shared_3, &shared_1]);
    let owner = app.owner();
    assert_eq!(promised(&preview(&owner, &place).await)[0], json!(["KEY", shared_3, "later", [shared_1]]));
    assert_eq!(start(&app, &owner, &place).await.environment().await["KEY"], json!(canary("3")));
    assert_eq!(start(&app, &grace, &place).await.environment().await["KEY"], json!(canary("4")));
    assert_eq!(owner.delete(&place.path(&format!("/credentials/{shared_1}"))).await.status, 200);
    attach(&owner, &place, &shared_1).await;
    assert_eq!(promised(&preview(&owner, &place).await)[0], json!(["KEY", shared_1, "later", [shared_3]]));
    assert_eq!(start(&app, &owner, &place).await.environment().await["KEY"], json!(canary("1")));
}

#[tokio::test]
async fn a_strict_run_takes_no_two_values_of_a_name() {
    let app = settled().await;
    let (owner, place) = (app.owner(), agent(&app).await);
    attached(&owner, &place, (true, json!({"A": canary("1"), "B": canary("1"), "C": canary("1")}))).await;
    let second = attached(&owner, &place, (true, json!({"B": canary("2"), "D": canary("2")}))).await;
    let strict = json!({"agent_id": place.agent, "strict": true});
    let before = contents(&app);
    for path in ["/runs", "/runs?dry_run=true"] {
        let refused = owner.post(&team(&app, path), strict.to_string()).await;
        assert_eq!(refusal(&refused), (409, "conflict".into()));
        let message = text(&refused.json(), "message").to_owned();
        assert!(message.contains(" B,") && !message.contains(['A', 'C', 'D']), "{message}");
    }
    assert_eq!(contents(&app), before);
    assert_eq!(start(&app, &owner, &place).await.environment().await["B"], json!(canary("2")), "the control");

    let path = format!("/v2/credentials/{second}");
    assert_eq!(owner.patch(&path, r#"{"remove_keys": ["B"]}"#).await.status, 200);
    let run = start_as(&app, &owner, strict).await;
    assert_eq!(run.environment().await.as_object().unwrap().len(), 4);
    let late = json!({"add_values": {"C": canary("late")}}).to_string();
    assert_eq!(owner.patch(&path, late).await.status, 200);
    let before = contents(&app);
    for accept in ["application/json", "text/plain"] {
        let request = run.caller.request(Method::GET, "/v2/run/environment").header(ACCEPT, accept);
        let refused = run.caller.send(request).await;
        assert_eq!(refusal(&refused), (409, "conflict".into()));
        assert!(text(&refused.json(), "message").contains(" C,"), "{}", refused.body);
    }
    assert_eq!(contents(&app), before, "nothing left, so nothing is told");
    assert_eq!(owner.patch(&path, r#"{"remove_keys": ["C"]}"#).await.status, 200);
    assert_eq!(run.environment().await["C"], json!(canary("1")), "and it goes on");
}

/// Values that are easily spoilt on their way.
fn delicate() -> BTreeMap<String, String> {
    let values = [
        "plain",
        " ",
        "  both ends  ",
        "a=b==c",
        "line\nline\n",
        "\r\nwindows\r\n",
        "\n",
        "'single'",
        "\"double\"",
        "`id` $(id) $HOME ${HOME}",
        "\\",
        "\\\\n \\' \\\" \\$ \\`",
        "it's \"both\" and \\ too $",
        "# no comment",
        "export X=1",
        "é 字 🔑 e\u{301} \u{202e}\u{feff}\u{2028}",
        "\u{1}\u{7}\u{1b}[31m\u{7f}\u{85}",
        "{\"json\": [1, \"\\u0041\"]}",
        "-----BEGIN KEY-----\nMIIB+/==\n-----END KEY-----\n",
        "!history %s %n \t tab",
    ];
    let mut values: Vec<_> = values.map(str::to_owned).into();
    values.extend(["v".repeat(65_536), "🔑".repeat(65_536), "'\"\\$`\n".repeat(10_922), canary("delicate")]);
    let named = |(place, value)| (format!("V{place:02}"), value);
    values.into_iter().enumerate().map(named).collect()
}

async fn as_text(run: &Run) -> String {
    let request = run.caller.request(Method::GET, "/v2/run/environment").header(ACCEPT, "text/plain");
    let answer = run.caller.send(request).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    answer.body
}

/// Reads dotenv as a shell does, without running anything.
fn read(mut text: &str) -> BTreeMap<String, String> {
    let mut entries = BTreeMap::new();
    while let Some((name, rest)) = text.split_once('=') {
        let (value, rest) = match rest.as_bytes() {
            [b'\'', ..] => {
                let (value, rest) = rest[1..].split_once('\'').unwrap();
                (value.to_owned(), rest)
            }
            [b'"', ..] => double_quoted(&rest[1..]),
            _ => {
                let (value, _) = rest.split_once('\n').unwrap();
                assert!(!value.contains(['\'', '"', '\\', '$', '`', ' ', '#', ';', '&', '|']), "{value}");
                (value.to_owned(), &rest[value.len()..])
            }
        };
        assert!(entries.insert(name.to_owned(), value).is_none(), "{name} twice");
        text = rest.strip_prefix('\n').unwrap();
    }
    assert_eq!(text, "");
    entries
}

/// What stands before the closing quote, and what comes behind.
fn double_quoted(text: &str) -> (String, &str) {
    let (mut value, mut letters) = (String::new(), text.char_indices());
    loop {
        match letters.next().unwrap() {
            (at, '"') => return (value, &text[at + 1..]),
            (_, '\\') => {
                let (_, escaped) = letters.next().unwrap();
                assert!("\\\"$`".contains(escaped), "a shell keeps both of \\{escaped}");
                value.push(escaped);
            }
            (_, plain) => {
                assert!(!"$`".contains(plain), "a shell runs what comes behind {plain}");
                value.push(plain);
            }
        }
    }
}

#[tokio::test]
async fn values_arrive_exactly_as_they_were_given() {
    let app = settled().await;
    let (owner, place, values) = (app.owner(), agent(&app).await, delicate());
    for some in values.iter().collect::<Vec<_>>().chunks(6) {
        let some: BTreeMap<_, _> = some.iter().copied().collect();
        attached(&owner, &place, (true, json!(some))).await;
    }
    let run = start(&app, &owner, &place).await;
    let answer = run.fetch().await;
    assert_eq!((answer.status.as_u16(), answer.header("vary")), (200, Some("accept")));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert!(answer.body.contains(CANARY), "the control: here values may be");
    assert_eq!(answer.json(), json!({"environment": values}));
    assert_eq!(read(&as_text(&run).await), values);
}

#[tokio::test]
async fn the_form_of_an_environment_is_as_the_caller_would_rather_have_it() {
    let app = settled().await;
    let (owner, place) = (app.owner(), agent(&app).await);
    let run = start(&app, &owner, &place).await;
    assert_eq!(
        (run.environment().await, as_text(&run).await),
        (json!({}), String::new()),
        "nothing attached"
    );
    attached(&owner, &place, (true, json!({"KEY": "v"}))).await;
    let run = start(&app, &owner, &place).await;
    for (accept, plain) in [
        ("", false),
        ("*/*", false),
        ("text/plain", true),
        ("Text/Plain; charset=utf-8", true),
        ("text/*", true),
        ("application/json, text/plain", false),
        ("application/json;q=0.5, text/plain", true),
        ("text/plain;q=0.5, */*", false),
        ("text/plain;q=0", false),
        ("text/html", false),
        ("text/plain;q=2", false),
    ] {
        let request = run.caller.request(Method::GET, "/v2/run/environment").header(ACCEPT, accept);
        let answer = run.caller.send(request).await;
        let expected = if plain { "KEY=v\n" } else { r#"{"environment":{"KEY":"v"}}"# };
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, expected), "{accept}");
    }
}

#[tokio::test]
async fn a_run_is_told_of_in_full() {
    let app = settled().await;
    let (owner, place) = (app.owner(), agent(&app).await);
    let body = json!({"agent_id": place.agent, "note": "nightly"});
    let answer = try_start(&app, &owner, body).await;
    let etag = answer.header("etag").unwrap().to_owned();
    let started = made(&answer);
    let keys = owner.get(&team(&app, "/api-keys")).await.json();
    let now = in_millis(&app, 0);
    let run = json!({
        "id": started["run"]["id"], "team_id": app.team_id.to_string(), "agent_id": place.agent,
        "build_id": place.build, "user_id": app.owner_id.to_string(), "api_key_id": keys["api_keys"][0]["id"],
        "mode": "inject", "strict": false, "note": "nightly", "status": "running", "source": "api",
        "sandbox_id": null, "human_in_the_loop_enabled": false, "started_at": now, "completed_at": null,
        "expires_at": in_millis(&app, HOUR), "created_at": now, "updated_at": now,
    });
    let token = text(&started, "token");
    assert!(token.starts_with("srr_"));
    assert_eq!(
        started,
        json!({
            "run": run, "token": token, "broker_token": null, "broker_url": null, "expires_at": in_millis(&app, HOUR),
        })
    );
    let path = format!("/v2/runs/{}", text(&run, "id"));
    let shown = owner.get(&path).await;
    assert_eq!((shown.json(), shown.header("etag")), (json!({"run": run}), Some(etag.as_str())));
    assert_eq!(owner.post(&format!("{path}/stop"), "").await.body, r#"{"success":true}"#);
    let stopped = owner.get(&path).await.json()["run"].clone();
    assert_eq!(json!([stopped["status"], stopped["completed_at"]]), json!(["stopped", now]));
}

#[tokio::test]
async fn runs_are_listed_the_newest_first() {
    let app = settled().await;
    let (owner, place, other) = (app.owner(), agent(&app).await, agent(&app).await);
    let mut ids = Vec::new();
    for n in 0..7 {
        app.clock.advance(1);
        ids.insert(0, start(&app, &owner, if n % 3 == 0 { &other } else { &place }).await.id);
    }
    let list = async |query: &str| {
        let answer = owner.get(&team(&app, &format!("/runs{query}"))).await.json();
        let ids = answer["data"].as_array().unwrap().iter().map(|run| text(run, "id").to_owned());
        (ids.collect::<Vec<_>>(), json!([answer["total"], answer["limit"], answer["offset"]]))
    };
    assert_eq!(list("").await, (ids.clone(), json!([7, 50, 0])));
    assert_eq!(list("?limit=3&offset=2").await, (ids[2..5].to_vec(), json!([7, 3, 2])));
    assert_eq!(list("?offset=7").await, (Vec::new(), json!([7, 50, 7])));
    let of_other = [0, 3, 6].map(|place| ids[place].clone());
    assert_eq!(list(&format!("?agent_id={}", other.agent)).await, (of_other.to_vec(), json!([3, 50, 0])));
}

/// What ends a run, and the word for it.
const ENDS: [(&str, &str); 11] = [
    ("stop", "stopped"),
    ("stop-by-manager", "stopped"),
    ("end", "stopped"),
    ("expiry", "expired"),
    ("key-revoked", "revoked"),
    ("member-removed", "revoked"),
    ("member-left", "revoked"),
    ("role-lowered", "revoked"),
    ("user-disabled", "revoked"),
    ("agent-deleted", "revoked"),
    ("panic", "revoked"),
];

async fn end(app: &TestApp, (how, run): (&str, &Run), (id, caller): (&str, &Caller)) {
    let owner = app.owner();
    let member = team(app, &format!("/members/{id}"));
    let answer = match how {
        "stop" => caller.post(&run.path("/stop"), "").await,
        "stop-by-manager" => owner.post(&run.path("/stop"), "").await,
        "end" => run.caller.post("/v2/run/stop", "").await,
        "expiry" => return app.clock.advance(HOUR),
        "key-revoked" => {
            let key = text(&run.answer["run"], "api_key_id");
            owner.delete(&team(app, &format!("/api-keys/{key}"))).await
        }
        "member-removed" => owner.delete(&member).await,
        "member-left" => caller.delete(&member).await,
        "role-lowered" => owner.patch(&member, r#"{"role": "member"}"#).await,
        "user-disabled" => return app.disable(UserId::parse(id).unwrap()).await,
        "agent-deleted" => {
            owner.delete(&format!("/v2/agents/{}", text(&run.answer["run"], "agent_id"))).await
        }
        "panic" => owner.post(&team(app, "/panic"), json!({"run_id": run.id}).to_string()).await,
        other => panic!("no run ends by {other}"),
    };
    assert_eq!(answer.status, 200, "{how}: {}", answer.body);
}

#[tokio::test]
async fn a_run_that_is_over_receives_nothing_from_that_moment_and_hears_why() {
    let app = settled().await;
    for (how, word) in ENDS {
        let place = agent(&app).await;
        attached(&app.owner(), &place, (true, json!({"KEY": canary("v")}))).await;
        let grace = join(&app, &format!("{how}@example.com"), Role::Builder).await;
        let starter = app.key(app.team_id, UserId::parse(&grace.id).unwrap(), |_| ());
        let (run, other) = (start(&app, &starter, &place).await, start(&app, &app.owner(), &place).await);
        for run in [&run, &other] {
            assert_eq!(run.environment().await, json!({"KEY": canary("v")}), "{how}");
        }
        end(&app, (how, &run), (&grace.id, &starter)).await;
        for (method, path, body) in
            [(Method::GET, "environment", ""), (Method::POST, "extend", "{}"), (Method::POST, "stop", "")]
        {
            let request = run.caller.request(method, &format!("/v2/run/{path}"));
            let answer = run.caller.send(request.header("content-type", "application/json").body(body)).await;
            assert_eq!(refusal(&answer), (401, format!("run_{word}")), "{how}: {path}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
        let told = app.owner().get(&run.path("")).await.json()["run"]["status"].clone();
        assert_eq!(told, json!(word), "{how}");
        let goes_on = if matches!(how, "expiry" | "agent-deleted") { 401 } else { 200 };
        assert_eq!(other.fetch().await.status, goes_on, "{how}: others' runs");
    }
}

#[tokio::test]
async fn an_end_stays_what_it_was() {
    let app = settled().await;
    let (owner, place) = (app.owner(), agent(&app).await);
    let run = start(&app, &owner, &place).await;
    assert_eq!(owner.post(&run.path("/stop"), "").await.status, 200);
    let before = contents(&app);
    assert_eq!(owner.post(&run.path("/stop"), "").await.body, r#"{"success":true}"#);
    let panic = json!({"run_id": run.id}).to_string();
    assert_eq!(owner.post(&team(&app, "/panic"), panic).await.status, 200);
    assert_eq!(contents(&app), before, "repeated, it does nothing");
    app.clock.advance(2 * HOUR);
    assert_eq!(refusal(&run.fetch().await), (401, "run_stopped".into()));
}

#[tokio::test]
async fn a_lease_is_extended_from_now_on() {
    let app = settled().await;
    let (owner, place) = (app.owner(), agent(&app).await);
    let run = start_as(&app, &owner, json!({"agent_id": place.agent, "ttl_seconds": 60})).await;
    let extend = async |body: &str| {
        let answer = run.caller.post("/v2/run/extend", body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let answer = answer.json();
        assert_eq!(answer["run"]["expires_at"], answer["expires_at"]);
        text(&answer, "expires_at").to_owned()
    };
    app.clock.advance(59_999);
    assert_eq!(extend("{}").await, in_millis(&app, 60_000), "as long as it was started with");
    app.clock.advance(59_999);
    let longest = in_millis(&app, 3_600_000);
    assert_eq!(extend(r#"{"ttl_seconds": 3600}"#).await, longest);
    assert_eq!(extend(r#"{"ttl_seconds": 10}"#).await, longest, "what was promised stays so");
    app.clock.advance(3_599_999);
    assert_eq!(extend("{}").await, in_millis(&app, 60_000), "which it remembers");
    let dry = run.caller.post("/v2/run/extend?dry_run=true", r#"{"ttl_seconds": 3600}"#).await.json();
    assert_eq!(dry["expires_at"], json!(in_millis(&app, HOUR)));
    app.clock.advance(59_999);
    assert_eq!(run.fetch().await.status, 200);
    app.clock.advance(1);
    assert_eq!(refusal(&run.fetch().await), (401, "run_expired".into()));
    let late = run.caller.post("/v2/run/extend", "{}").await;
    assert_eq!(refusal(&late), (401, "run_expired".into()), "too late");
}

#[tokio::test]
async fn a_lease_does_not_outlive_its_key() {
    let app = settled().await;
    let place = agent(&app).await;
    let body = json!({"name": "short", "scopes": ["runs:start"], "expires_at": in_millis(&app, 100_000)});
    let short = key(&app, &app.owner(), body).await;
    let run = start_as(&app, &short, json!({"agent_id": place.agent, "ttl_seconds": 200})).await;
    assert_eq!(run.answer["expires_at"], json!(in_millis(&app, 100_000)));
    app.clock.advance(50_000);
    let extended = run.caller.post("/v2/run/extend", r#"{"ttl_seconds": 604800}"#).await.json();
    assert_eq!(extended["expires_at"], json!(in_millis(&app, 50_000)));
    app.clock.advance(49_999);
    assert_eq!(run.fetch().await.status, 200);
    app.clock.advance(1);
    assert_eq!(refusal(&run.fetch().await), (401, "run_expired".into()));
}

#[tokio::test]
async fn a_run_receives_nothing_where_its_key_may_not_be_used() {
    let app = settled().await;
    let place = agent(&app).await;
    attached(&app.owner(), &place, (true, json!({"KEY": canary("v")}))).await;
    let new = NewRun {
        agent: AgentId::parse(&place.agent).unwrap(),
        revision: None,
        strict: false,
        note: None,
        lease: 3_600,
    };
    for (network, address, status) in [("10.0.0.0/8", "10.0.0.1", 403), ("127.0.0.0/8", "127.0.0.1", 200)] {
        let networks = Networks::parse([network]).unwrap();
        let key = app.key(app.team_id, app.owner_id, |key| key.grant.networks = Some(networks));
        let (cause, address) = (Cause::default(), address.parse().unwrap());
        let caller = app.app.authenticate(key.token.as_ref().unwrap(), Some(address), &cause).await.unwrap();
        let ask = Ask { caller, cause, condition: None };
        let planned = app.app.start_run(&ask, &new).await.unwrap();
        let (_, token) = app.app.carry_out(&ask, planned, None).await.unwrap();
        let run = app.bearer(token.reveal());
        for (method, path, body) in
            [(Method::GET, "environment", ""), (Method::POST, "extend", "{}"), (Method::POST, "stop", "")]
        {
            let request = run.request(method, &format!("/v2/run/{path}"));
            let answer = run.send(request.header("content-type", "application/json").body(body)).await;
            assert_eq!(answer.status, status, "{network}: {path} {}", answer.body);
            assert!(status == 200 || answer.code() == "forbidden");
        }
    }
}

#[tokio::test]
async fn a_repeated_start_starts_one_run_and_shows_its_token_once() {
    let app = settled().await;
    let (owner, place) = (app.owner(), agent(&app).await);
    let send = |body: Value| {
        let request = owner.request(Method::POST, &team(&app, "/runs")).header("idempotency-key", "k");
        owner.send(request.header("content-type", "application/json").body(body.to_string()))
    };
    let body = json!({"agent_id": place.agent});
    let first = made(&send(body.clone()).await);
    for _ in 0..2 {
        let again = send(body.clone()).await;
        assert_eq!(refusal(&again), (409, "already_done".into()));
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        let id = text(&first["run"], "id");
        assert!(again.body.contains(id) && !again.body.contains("srr_"), "{}", again.body);
    }
    let other = send(json!({"agent_id": place.agent, "note": "n"})).await;
    assert_eq!(refusal(&other), (422, "idempotency_mismatch".into()));
    assert_eq!(owner.get(&team(&app, "/runs")).await.json()["total"], json!(1));
    assert_eq!(app.bearer(text(&first, "token")).get("/v2/run/environment").await.status, 200);
    for (path, contents) in app.files() {
        let token = text(&first, "token").as_bytes();
        assert!(!contents.windows(token.len()).any(|window| window == token), "{}", path.display());
    }
}

#[tokio::test]
async fn a_dry_start_starts_nothing() {
    let app = settled().await;
    let (owner, place) = (app.owner(), agent(&app).await);
    attached(&owner, &place, (true, json!({"KEY": canary("v")}))).await;
    let before = contents(&app);
    let body = json!({"agent_id": place.agent}).to_string();
    let dry = made(&owner.post(&team(&app, "/runs?dry_run=true"), body).await);
    assert_eq!(json!([dry["token"], dry["run"]["status"]]), json!([null, "running"]));
    assert_eq!(contents(&app), before);
    let absent = owner.get(&format!("/v2/runs/{}", text(&dry["run"], "id"))).await;
    assert_eq!(refusal(&absent), (404, "not_found".into()));
    let run = start(&app, &owner, &place).await;
    assert_eq!(run.caller.post("/v2/run/stop?dry_run=true", "").await.status, 200);
    assert_eq!(owner.post(&run.path("/stop?dry_run=true"), "").await.status, 200);
    assert_eq!(run.fetch().await.status, 200, "it still runs");
}

#[tokio::test]
async fn a_run_keeps_its_secrets_and_receives_their_present_values() {
    let app = settled().await;
    let (owner, place, grace) = (app.owner(), agent(&app).await, builder(&app));
    let all = ["DETACHED", "DELETED", "UNSHARED", "CHANGED"];
    let mut ids = BTreeMap::new();
    for name in all {
        ids.insert(name, attached(&owner, &place, (true, json!({name: canary("1")}))).await);
    }
    let run = start(&app, &grace, &place).await;
    let names = async || run.environment().await.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names().await, ["CHANGED", "DELETED", "DETACHED", "UNSHARED"]);
    let path = |name| format!("/v2/credentials/{}", ids[name]);
    assert_eq!(owner.delete(&place.path(&format!("/credentials/{}", ids["DETACHED"]))).await.status, 200);
    assert_eq!(owner.delete(&path("DELETED")).await.status, 200);
    assert_eq!(owner.patch(&path("UNSHARED"), r#"{"shared": false}"#).await.status, 200);
    let changed = json!({"values": {"CHANGED": canary("2"), "MORE": canary("2")}}).to_string();
    assert_eq!(owner.patch(&path("CHANGED"), changed).await.status, 200);
    attached(&owner, &place, (true, json!({"LATE": canary("1")}))).await;
    assert_eq!(
        run.environment().await,
        json!({"CHANGED": canary("2"), "MORE": canary("2"), "DETACHED": canary("1")})
    );
    assert_eq!(owner.post(&format!("{}/undelete", path("DELETED")), "").await.status, 200);
    assert_eq!(names().await, ["CHANGED", "DELETED", "DETACHED", "MORE"]);
    let late = start(&app, &grace, &place).await.environment().await;
    let late: Vec<_> = late.as_object().unwrap().keys().collect();
    assert_eq!(late, ["CHANGED", "DELETED", "LATE", "MORE"], "one that is started now");
}

#[tokio::test]
async fn a_run_of_no_revision_is_one_of_the_live_one() {
    let app = settled().await;
    let (owner, place) = (app.owner(), agent(&app).await);
    attached(&owner, &place, (true, json!({"KEY": canary("first")}))).await;
    let later = Place { build: revision(&app, &place.agent).await, ..place.clone() };
    attached(&owner, &later, (true, json!({"KEY": canary("later")}))).await;
    let live = async || start_as(&app, &owner, json!({"agent_id": place.agent})).await;
    let before = live().await;
    assert_eq!(before.environment().await, json!({"KEY": canary("first")}));
    assert_eq!(start(&app, &owner, &later).await.environment().await, json!({"KEY": canary("later")}));
    assert_eq!(owner.post(&format!("/v2/revisions/{}/promote", later.build), "{}").await.status, 200);
    assert_eq!(live().await.environment().await, json!({"KEY": canary("later")}));
    assert_eq!(before.environment().await, json!({"KEY": canary("first")}), "it keeps its revision");
}

/// How many events tell of a delivery.
fn told(app: &TestApp) -> i64 {
    let count = "SELECT count(*) FROM events WHERE kind = 'secret.delivered'";
    app.database().query_row(count, [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn what_was_delivered_is_seen_from_the_run_and_from_the_secret() {
    let app = settled().await;
    let (owner, place) = (app.owner(), agent(&app).await);
    let weak = attached(&owner, &place, (true, json!({"A": canary("1"), "B": canary("1")}))).await;
    let strong = attached(&owner, &place, (true, json!({"B": canary("1")}))).await;
    let (one, two) = (start(&app, &owner, &place).await, start(&app, &owner, &place).await);
    let deliveries = async |run: &Run| owner.get(&run.path("/deliveries")).await.json()["deliveries"].clone();
    let runs_of =
        async |id: &str| owner.get(&format!("/v2/credentials/{id}/runs")).await.json()["runs"].clone();
    assert_eq!((deliveries(&one).await, runs_of(&weak).await), (json!([]), json!([])), "only started");
    let first = in_millis(&app, 0);
    one.environment().await;
    app.clock.advance(5);
    one.environment().await;
    two.environment().await;
    let second = in_millis(&app, 0);
    assert_eq!(told(&app), 6, "each time is told of");
    let of = |id: &str, version: u32, keys: Value, at: &str| json!({"credential_id": id, "version": version, "env_var_keys": keys, "delivered_at": at});
    let seen = json!([of(&weak, 1, json!(["A"]), &first), of(&strong, 1, json!(["B"]), &first)]);
    assert_eq!(deliveries(&one).await, seen, "and the same is noted once");
    app.clock.advance(5);
    let body = json!({"values": {"C": canary("2")}}).to_string();
    assert_eq!(owner.patch(&format!("/v2/credentials/{strong}"), body).await.status, 200);
    one.environment().await;
    let third = in_millis(&app, 0);
    let mut all: Vec<_> = deliveries(&one).await.as_array().unwrap().clone();
    all.sort_by_key(ToString::to_string);
    let mut expected = vec![
        of(&weak, 1, json!(["A"]), &first),
        of(&weak, 1, json!(["A", "B"]), &third),
        of(&strong, 1, json!(["B"]), &first),
        of(&strong, 2, json!(["C"]), &third),
    ];
    expected.sort_by_key(ToString::to_string);
    assert_eq!(all, expected);
    let from_secret = |run: &Run, version: u32, keys: Value, at: &str| json!({"run_id": run.id, "version": version, "env_var_keys": keys, "delivered_at": at});
    assert_eq!(
        runs_of(&strong).await,
        json!([
            from_secret(&one, 2, json!(["C"]), &third),
            from_secret(&two, 1, json!(["B"]), &second),
            from_secret(&one, 1, json!(["B"]), &first),
        ])
    );
    assert_eq!(owner.delete(&format!("/v2/credentials/{strong}")).await.status, 200);
    assert_eq!(deliveries(&one).await.as_array().unwrap().len(), 4, "what was received stays so");
}

/// The database, to be looked at.
fn reader(app: &TestApp) -> rusqlite::Connection {
    let path = app.directory.path().join("data/strongroom.db");
    rusqlite::Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap()
}

/// How many deliveries of this request, and to this run, are stored.
fn stored(app: &TestApp, answer: &Answer, run: &str) -> (i64, i64) {
    let request = uuid::Uuid::parse_str(answer.header("x-request-id").unwrap()).unwrap();
    let run = uuid::Uuid::parse_str(run).unwrap();
    let (reader, delivered) = (reader(app), "kind = 'secret.delivered'");
    let told = format!("SELECT count(*) FROM events WHERE {delivered} AND request_id = ? AND run_id = ?");
    let ids = rusqlite::params![request.as_bytes(), run.as_bytes()];
    let told = reader.query_row(&told, ids, |row| row.get(0)).unwrap();
    let noted = "SELECT count(*) FROM deliveries WHERE run_id = ?";
    (told, reader.query_row(noted, [run.as_bytes()], |row| row.get(0)).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_delivery_is_stored_before_its_answer_leaves() {
    const RUNS: usize = 20;
    const FETCHES: usize = 200;
    let app = std::sync::Arc::new(settled().await);
    let (owner, place) = (app.owner(), agent(&app).await);
    for name in ["A", "B", "C"] {
        attached(&owner, &place, (true, json!({name: canary(name)}))).await;
    }
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        runs.push(start(&app, &owner, &place).await);
    }
    let mut fetches = JoinSet::new();
    for place in 0..FETCHES {
        let (app, run) = (app.clone(), runs[place % RUNS].clone());
        fetches.spawn(async move {
            let answer = run.fetch().await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            assert_eq!(stored(&app, &answer, &run.id), (3, 3));
        });
    }
    while let Some(fetched) = fetches.join_next().await {
        fetched.unwrap();
    }
    assert_eq!(told(&app), i64::try_from(3 * FETCHES).unwrap(), "as many are told of as were answered");
}

#[tokio::test]
async fn nothing_leaves_that_can_not_be_recorded() {
    let app = settled().await;
    let (owner, place) = (app.owner(), agent(&app).await);
    attached(&owner, &place, (true, json!({"KEY": canary("v")}))).await;
    let run = start(&app, &owner, &place).await;
    for table in ["deliveries", "events"] {
        app.database().execute_batch(&format!("ALTER TABLE {table} RENAME TO gone")).unwrap();
        let refused = run.fetch().await;
        assert_eq!(refusal(&refused), (503, "unavailable".into()), "{table}");
        assert!(!refused.body.contains(CANARY));
        app.database().execute_batch(&format!("ALTER TABLE gone RENAME TO {table}")).unwrap();
        assert_eq!(run.fetch().await.status, 200, "the control");
    }
}

#[tokio::test]
async fn each_run_may_ask_so_often() {
    let app = TestApp::limited(10).await;
    let (owner, place) = (app.owner(), agent(&app).await);
    let (run, other) = (start(&app, &owner, &place).await, start(&app, &owner, &place).await);
    for left in (0..10).rev() {
        let answer = run.fetch().await;
        assert_eq!(answer.status, 200, "{left}");
        assert_eq!(answer.header("x-ratelimit-remaining"), Some(left.to_string().as_str()));
    }
    let refused = run.fetch().await;
    assert_eq!(refusal(&refused), (429, "rate_limited".into()));
    assert!(refused.header("retry-after").is_some());
    assert_eq!(told(&app), 0);
    assert_eq!(
        (other.fetch().await.status.as_u16(), owner.get("/v2/profile").await.status.as_u16()),
        (200, 200)
    );
    app.clock.advance(60_000);
    assert_eq!(run.fetch().await.status, 200, "a minute later");
}

#[tokio::test]
async fn a_key_for_some_agents_starts_runs_of_those_alone() {
    let app = settled().await;
    let (place, other) = (agent(&app).await, agent(&app).await);
    let scopes = ["runs:start"];
    let body = json!({"name": "host", "scopes": scopes, "agents": [place.agent]});
    let host = key(&app, &app.owner(), body).await;
    let refused = try_start(&app, &host, json!({"agent_id": other.agent})).await;
    assert_eq!(refusal(&refused), (403, "forbidden".into()));
    let run = start(&app, &host, &place).await;
    assert_eq!(run.fetch().await.status, 200);
    assert_eq!(refusal(&host.get(&run.path("")).await), (403, "insufficient_scope".into()));
    let usual = key(&app, &app.owner(), json!({"name": "usual"})).await;
    let refused = try_start(&app, &usual, json!({"agent_id": place.agent})).await;
    assert_eq!(refusal(&refused), (403, "insufficient_scope".into()), "nobody has it unasked");
    let widened = json!({"agent_id": place.agent, "build_id": other.build});
    assert_eq!(refusal(&try_start(&app, &host, widened).await), (404, "not_found".into()));
}

#[tokio::test]
async fn a_secret_of_another_team_never_reaches_a_run() {
    let app = settled().await;
    let (owner, place) = (app.owner(), agent(&app).await);
    let id = secret(&owner, false, json!({"KEY": canary("mine")})).await;
    attach(&owner, &place, &id).await;
    let grace = builder(&app);
    assert_eq!(start(&app, &grace, &place).await.environment().await, json!({}));
    assert_eq!(owner.patch(&format!("/v2/credentials/{id}"), r#"{"shared": true}"#).await.status, 200);
    let run = start(&app, &grace, &place).await;
    assert_eq!(run.environment().await, json!({"KEY": canary("mine")}), "the control");
    assert_eq!(owner.patch(&format!("/v2/credentials/{id}"), r#"{"shared": false}"#).await.status, 200);
    assert_eq!(run.environment().await, json!({}), "taken back, it is gone at once");
}

#[tokio::test]
async fn every_act_on_agents_and_runs_leaves_its_event_with_who_and_where() {
    let app = settled().await;
    let (owner, place) = (app.owner(), agent(&app).await);
    let id = attached(&owner, &place, (true, json!({"KEY": canary("v")}))).await;
    let run = start(&app, &owner, &place).await;
    run.environment().await;
    assert_eq!(run.caller.post("/v2/run/extend", "{}").await.status, 200);
    assert_eq!(run.caller.post("/v2/run/stop", "").await.status, 200);
    let second = start(&app, &owner, &place).await;
    let agent = format!("/v2/agents/{}", place.agent);
    let promotion = format!("/v2/revisions/{}/promote", place.build);
    for answer in [
        owner.post(&team(&app, "/panic"), json!({"run_id": second.id}).to_string()).await,
        owner.post(&team(&app, "/panic"), json!({"agent_id": place.agent}).to_string()).await,
        owner.post(&promotion, r#"{"revision_name": "n"}"#).await,
        owner.patch(&agent, r#"{"name": "n"}"#).await,
        owner.delete(&place.path(&format!("/credentials/{id}"))).await,
        owner.delete(&agent).await,
    ] {
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    let database = app.database();
    let select = "SELECT kind, hex(object_id), hex(agent_id), hex(revision_id), hex(run_id), hex(user_id), \
                  key_id IS NULL, object_mac IS NULL FROM events ORDER BY sequence";
    let mut select = database.prepare(select).unwrap();
    let told = select.query_map([], |row| {
        let [object, agent, build, run, user] = [1, 2, 3, 4, 5].map(|at| row.get::<_, Option<String>>(at));
        let empty = |text: Option<String>| text.unwrap_or_default().to_lowercase();
        let texts = [object?, agent?, build?, run?, user?].map(empty);
        Ok((row.get::<_, String>(0)?, texts, [row.get::<_, bool>(6)?, row.get(7)?]))
    });
    let mut told: Vec<_> = told.unwrap().map(Result::unwrap).collect();
    told.retain(|(kind, ..)| !["instance.created", "secret.created"].contains(&kind.as_str()));
    let [agent, build, secret, first, second] =
        [&place.agent, &place.build, &id, &run.id, &second.id].map(|id| id.replace('-', ""));
    let (user, nobody) = (app.owner_id.to_string().replace('-', ""), String::new());
    let expected = [
        ("agent.created", &agent, &nobody, &nobody),
        ("revision.created", &build, &build, &nobody),
        ("agent.updated", &agent, &build, &nobody),
        ("secret.attached", &secret, &build, &nobody),
        ("run.started", &first, &build, &nobody),
        ("secret.delivered", &secret, &build, &first),
        ("run.extended", &first, &build, &first),
        ("run.stopped", &first, &build, &first),
        ("run.started", &second, &build, &nobody),
        ("run.revoked", &second, &build, &nobody),
        ("agent.runs_revoked", &agent, &build, &nobody),
        ("revision.updated", &build, &build, &nobody),
        ("agent.updated", &agent, &build, &nobody),
        ("secret.detached", &secret, &build, &nobody),
        ("agent.deleted", &agent, &build, &nobody),
    ];
    let expected = expected.map(|(kind, object, build, run)| {
        let texts = [object, &agent, build, run, &user].map(String::clone);
        // What is delivered is a version, whose row is no more than its seal.
        (kind.to_owned(), texts, [false, kind == "secret.delivered"])
    });
    assert_eq!(told, expected);
}
