//! Environments: which secret's value a run receives under each name, and
//! that it arrives exactly as it was given.

use reqwest::Method;
use reqwest::header::ACCEPT;
use serde_json::{Value, json};
use std::collections::BTreeMap;

use crate::agents::{Place, Run, agent, attach, attached, builder, revision, secret, start, start_as};
use crate::people::{contents, refusal, settled, team, text};
use crate::support::{CANARY, Caller, canary};

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

#[tokio::test]
async fn what_is_somebodys_own_reaches_nobody_elses_run() {
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
