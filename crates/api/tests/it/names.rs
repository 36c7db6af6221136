//! Names are texts and nothing else: whatever looks like another name, or ends
//! a line, a string or a statement, is kept exactly as it is or refused, and
//! nothing is ever found by a name that it doesn't have.

use reqwest::Method;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tokio::task::JoinSet;

use crate::agents::agent;
use crate::support::{Answer, Caller, TestApp};

/// The name that the others look like.
const NAME: &str = "stripe";

/// Requests under way at a time.
const AT_ONCE: usize = 32;

/// Every combination of upper and lower case.
fn cases() -> impl Iterator<Item = String> {
    (0..1_u32 << NAME.len()).map(|upper| {
        let cased =
            NAME.char_indices().map(|(at, c)| if upper >> at & 1 == 1 { c.to_ascii_uppercase() } else { c });
        cased.collect()
    })
}

/// What can't be seen, or changes how the rest is seen, before, within and after the name.
fn invisible() -> impl Iterator<Item = String> {
    const ZERO_WIDTH: &str =
        "\u{200b}\u{200c}\u{200d}\u{2060}\u{feff}\u{ad}\u{34f}\u{180e}\u{115f}\u{3164}\u{fe0f}";
    const BIDI: &str =
        "\u{200e}\u{200f}\u{61c}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}";
    const SPACES: &str = " \t\n\r\u{b}\u{c}\u{85}\u{a0}\u{1680}\u{2003}\u{2028}\u{2029}\u{3000}";
    const OTHERS: &str =
        ".\0\u{1}\u{7}\u{8}\u{1b}\u{7f}\u{9f}\u{e000}\u{fffd}\u{fffe}\u{ffff}\u{e0061}\u{10ffff}";
    let all = [ZERO_WIDTH, BIDI, SPACES, OTHERS].concat();
    all.chars()
        .collect::<Vec<_>>()
        .into_iter()
        .flat_map(|c| [format!("{c}stripe"), format!("str{c}ipe"), format!("stripe{c}")])
}

/// Letters that look like others: one exchanged at a time, and all.
fn lookalikes() -> impl Iterator<Item = String> {
    const ALPHABETS: [&str; 6] = ["ѕтгіре", "ꮪtriρε", "ｓｔｒｉｐｅ", "ŝţŕìṕé", "𝐬𝐭𝐫𝐢𝐩𝐞", "ˢᵗʳⁱᵖᵉ"];
    ALPHABETS.into_iter().flat_map(|alphabet| {
        let exchanged = |at| {
            let letters = NAME.chars().zip(alphabet.chars()).enumerate();
            letters.map(|(place, (letter, other))| if place == at { other } else { letter }).collect()
        };
        (0..NAME.len()).map(exchanged).chain([alphabet.to_owned()]).collect::<Vec<String>>()
    })
}

/// The same text in two forms of Unicode, and letters whose other case is longer, or several.
const FORMS: [&str; 24] = [
    "café",
    "cafe\u{301}",
    "CAFÉ",
    "\u{c5}",
    "A\u{30a}",
    "\u{212b}",
    "ñ",
    "n\u{303}",
    "가",
    "\u{1100}\u{1161}",
    "ﬁ",
    "fi",
    "straße",
    "STRASSE",
    "straẞe",
    "İ",
    "i\u{307}",
    "ı",
    "ς",
    "σ",
    "Σ",
    "Ω",
    "\u{2126}",
    "K\u{212a}",
];

/// What means something to somebody: URLs, SQL, shells, JSON, paths, pages, formats.
const MEANT: [&str; 71] = [
    "%",
    "%%",
    "_",
    "______",
    "str%",
    "%ipe",
    "st_ipe",
    "s%e",
    "\\%",
    "\\_",
    "[s]tripe",
    "*",
    "?",
    "str*",
    "%73tripe",
    "%2573tripe",
    "stripe%00",
    "stripe%20",
    "%2e%2e%2f",
    "%zz",
    "%u0073tripe",
    "+",
    "a+b",
    "a&b=c",
    "#",
    "'",
    "''",
    "\"",
    "\"\"",
    "`",
    "stripe'",
    "stripe\"",
    "' OR '1'='1",
    "'; DROP TABLE secrets; --",
    "\") --",
    "/*",
    "\\",
    "\\\\",
    "\\n",
    "\\0",
    "\\u0073tripe",
    "\\u0000",
    "{\"name\": \"x\"}",
    "null",
    "true",
    "undefined",
    "[]",
    "{}",
    "../stripe",
    "..\\stripe",
    "/etc/passwd",
    ".",
    "..",
    "C:\\CON",
    "$(id)",
    "`id`",
    "${STRIPE}",
    "| id",
    "; id",
    "~",
    "<script>alert(1)</script>",
    "&lt;b&gt;",
    "{{7*7}}",
    "{0}",
    "%s%n",
    "=1+1",
    "@stripe",
    "-stripe",
    "stripe--",
    "0",
    "👩‍👩‍👧‍👦",
];

/// As long as a name, a service, a note and an address may be, or nearly, in letters of one to four bytes.
fn lengths() -> impl Iterator<Item = String> {
    let long = |letter: &'static str| {
        [63, 64, 65, 127, 128, 129, 512, 513, 10_000].map(|times| letter.repeat(times))
    };
    ["s", "é", "字", "🔑", "e\u{301}"].into_iter().flat_map(long).chain([String::new()])
}

/// Texts that a careless program takes for one another, each once.
fn variants() -> Vec<String> {
    let fixed = FORMS.into_iter().chain(MEANT).map(str::to_owned);
    let all = cases().chain(invisible()).chain(lookalikes()).chain(fixed).chain(lengths());
    let mut seen = BTreeSet::new();
    all.filter(|text| seen.insert(text.clone())).collect()
}

/// What the contract takes for a name: so many characters at most, and no NUL.
fn fits(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.chars().count()) && !text.contains('\0')
}

/// A query of one parameter.
fn query(path: &str, name: &str, value: &str) -> String {
    let pair = form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish();
    format!("{path}{}{pair}", if path.contains('?') { '&' } else { '?' })
}

/// Those that can stand in a URL; the longest are too long for one.
fn in_urls(texts: &[String]) -> Vec<String> {
    texts.iter().filter(|text| text.chars().count() < 300).cloned().collect()
}

/// Sends these, some at a time, and answers in their order. Whatever comes back is no failure of the server's.
async fn all(caller: &Caller, method: Method, requests: Vec<(String, Option<Value>)>) -> Vec<Answer> {
    let mut answers = BTreeMap::new();
    let (mut under_way, mut requests) = (JoinSet::new(), requests.into_iter().enumerate());
    loop {
        while under_way.len() < AT_ONCE
            && let Some((place, (path, body))) = requests.next()
        {
            let (caller, method) = (caller.clone(), method.clone());
            under_way.spawn(async move {
                let mut request = caller.request(method, &path);
                if let Some(body) = body {
                    request = request.header("content-type", "application/json").body(body.to_string());
                }
                (place, caller.send(request).await)
            });
        }
        let Some(done) = under_way.join_next().await else { break };
        let (place, answer) = done.unwrap();
        assert!(answer.status.as_u16() < 500, "{}", answer.body);
        answers.insert(place, answer);
    }
    answers.into_values().collect()
}

async fn get_all(caller: &Caller, paths: impl IntoIterator<Item = String>) -> Vec<Answer> {
    all(caller, Method::GET, paths.into_iter().map(|path| (path, None)).collect()).await
}

async fn post_all(caller: &Caller, path: &str, bodies: impl IntoIterator<Item = Value>) -> Vec<Answer> {
    all(caller, Method::POST, bodies.into_iter().map(|body| (path.to_owned(), Some(body))).collect()).await
}

/// Whether an answer is the one that a text deserves.
fn assert_taken(answer: &Answer, good: u16, fits: bool, text: &str) {
    let short: String = text.chars().take(40).collect();
    assert_eq!(answer.status, if fits { good } else { 400 }, "{short:?}: {}", answer.body);
    if !fits {
        assert_eq!(answer.code(), "invalid_request", "{short:?}");
        assert!(!answer.body.contains("stripe"), "it is quoted: {}", answer.body);
    }
}

/// What was given, by the ids of what was made.
fn made(
    texts: &[String],
    answers: &[Answer],
    at: &str,
    fits: impl Fn(&str) -> bool,
) -> BTreeMap<String, String> {
    let mut made = BTreeMap::new();
    for (text, answer) in texts.iter().zip(answers) {
        assert_taken(answer, 201, fits(text), text);
        if answer.status == 201 {
            let id = answer.json().pointer(&format!("{at}/id")).unwrap().as_str().unwrap().to_owned();
            made.insert(id, text.clone());
        }
    }
    made
}

/// What a list has in one of its fields, by id.
fn listed(list: &Value, field: &str) -> BTreeMap<String, String> {
    let entry = |item: &Value| Some((item["id"].as_str()?.to_owned(), item[field].as_str()?.to_owned()));
    list.as_array().unwrap().iter().filter_map(entry).collect()
}

#[test]
fn there_are_many_variants_and_many_that_would_be_taken_for_one_another() {
    let variants = variants();
    assert!(variants.len() >= 300, "{}", variants.len());
    let stripped =
        |text: &str| text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    assert!(variants.iter().filter(|text| stripped(text) == NAME).count() > 200);
    assert!(variants.iter().any(|text| fits(text, 128) && !fits(text, 64)));
}

#[tokio::test]
async fn a_secret_keeps_its_name_and_service_and_is_found_by_nothing_else() {
    let (app, variants) = (TestApp::new().await, variants());
    let owner = app.owner();
    let bodies = variants.iter().map(|text| json!({"name": text, "values": {}}));
    let answers = post_all(&owner, "/v1/credentials", bodies).await;
    let names = made(&variants, &answers, "", |text| fits(text, 128));
    let bodies = variants.iter().map(|text| json!({"name": "service", "values": {}, "service_slug": text}));
    let answers = post_all(&owner, "/v1/credentials", bodies).await;
    let slugs = made(&variants, &answers, "", |text| fits(text, 64));
    let list = owner.get("/v1/credentials").await.json();
    let both = names.iter().map(|(id, name)| (id.clone(), name.clone()));
    let both = both.chain(slugs.keys().map(|id| (id.clone(), "service".into()))).collect::<BTreeMap<_, _>>();
    assert_eq!((listed(&list, "name"), listed(&list, "service_slug")), (both, slugs.clone()));

    let asked = in_urls(&variants);
    let paths = asked.iter().map(|text| query("/v1/credentials", "service_slug", text));
    for (text, answer) in asked.iter().zip(get_all(&owner, paths).await) {
        assert_taken(&answer, 200, fits(text, 64), text);
        if answer.status == 200 {
            let exactly =
                slugs.iter().filter(|(_, slug)| *slug == text).map(|(id, slug)| (id.clone(), slug.clone()));
            assert_eq!(listed(&answer.json(), "service_slug"), exactly.collect(), "{text:?}");
        }
    }
}

/// Those that have this text in them, in any case.
fn having(names: &BTreeMap<String, String>, text: &str) -> BTreeMap<String, String> {
    let has = |name: &str| name.to_lowercase().contains(&text.to_lowercase());
    names.iter().filter(|(_, name)| has(name)).map(|(id, name)| (id.clone(), name.clone())).collect()
}

#[tokio::test]
async fn a_search_is_for_a_text_and_not_for_a_pattern() {
    let (app, variants) = (TestApp::new().await, variants());
    let owner = app.owner();
    let some: Vec<_> = variants.iter().filter(|text| fits(text, 128)).step_by(3).cloned().collect();
    let some = [some, ["up to 100%", "st_ipe!", "a___b", "C:\\CON!"].map(str::to_owned).into()].concat();
    let bodies = some.iter().map(|text| json!({"name": text, "values": {}}));
    let answers = post_all(&owner, "/v1/credentials", bodies).await;
    let names = made(&some, &answers, "", |text| fits(text, 128));
    let asked = in_urls(&variants);
    let paths = asked.iter().map(|text| query("/v1/credentials", "search", text));
    for (text, answer) in asked.iter().zip(get_all(&owner, paths).await) {
        assert_taken(&answer, 200, fits(text, 128), text);
        if answer.status == 200 {
            assert_eq!(listed(&answer.json(), "name"), having(&names, text), "{text:?}");
        }
    }
    let hand_written = [
        ("to 100%", 1),
        ("to 1__%", 0),
        ("st_ipe!", 1),
        ("st%ipe!", 0),
        ("stripe!", 0),
        ("a___b", 1),
        ("a%b", 0),
        ("axxxb", 0),
        ("c:\\con!", 1),
        ("c:con!", 0),
    ];
    for (text, found) in hand_written {
        let answer = owner.get(&query("/v1/credentials", "search", text)).await;
        assert_eq!(answer.json().as_array().unwrap().len(), found, "{text:?}");
    }
}

#[tokio::test]
async fn a_list_goes_on_whatever_is_searched_for() {
    let app = TestApp::new().await;
    let owner = app.owner();
    for text in ["stripe", "a&b=c", "%", "+", "\r\nx: y", "\u{202e}", "👩‍👩‍👧‍👦", "\"; rel=\"prev", ">", "é"]
    {
        let twice = [0; 2].map(|_| json!({"name": text, "values": {}, "service_slug": text}));
        post_all(&owner, "/v1/credentials", twice).await;
        for parameter in ["search", "service_slug"] {
            let first = owner.get(&query("/v1/credentials?limit=1", parameter, text)).await;
            let next = first.header("link").unwrap().strip_prefix('<').unwrap().split_once('>').unwrap();
            assert_eq!(next.1, "; rel=\"next\"", "{text:?}");
            let second = owner.get(next.0).await;
            let (first, second) = (first.json(), second.json());
            assert_eq!((&first[0]["name"], &second[0]["name"]), (&json!(text), &json!(text)));
            assert_ne!(first[0]["id"], second[0]["id"], "{text:?}");
        }
    }
}

/// `^[A-Z_][A-Z0-9_]*$`, at most 128 long.
fn is_env_key(text: &str) -> bool {
    let mut letters = text.chars();
    let first = letters.next().is_some_and(|c| matches!(c, 'A'..='Z' | '_'));
    first && letters.all(|c| matches!(c, 'A'..='Z' | '0'..='9' | '_')) && text.len() <= 128
}

#[tokio::test]
async fn the_name_of_a_value_is_itself_or_none() {
    let app = TestApp::new().await;
    let owner = app.owner();
    let upper = variants().into_iter().map(|text| text.to_uppercase());
    let texts: Vec<_> = upper.chain(variants()).collect::<BTreeSet<_>>().into_iter().collect();
    assert!(texts.iter().filter(|text| is_env_key(text)).count() >= 5);
    let path = "/v1/credentials?dry_run=true";
    let created =
        post_all(&owner, path, texts.iter().map(|text| json!({"name": "n", "values": {text: "v"}}))).await;
    for (text, answer) in texts.iter().zip(created) {
        assert_taken(&answer, 201, is_env_key(text), text);
        if answer.status == 201 {
            assert_eq!(answer.json()["env_var_keys"], json!([text]));
        }
    }
    let body = json!({"name": "n", "values": {"STRIPE": "v"}}).to_string();
    let secret = owner.post("/v1/credentials", body).await.json();
    let path = format!("/v1/credentials/{}?dry_run=true", secret["id"].as_str().unwrap());
    let edits =
        texts.iter().flat_map(|text| [json!({"remove_keys": [text]}), json!({"rename_keys": {text: "X"}})]);
    let edits = edits.map(|edit| (path.clone(), Some(edit))).collect();
    for (place, answer) in all(&owner, Method::PATCH, edits).await.iter().enumerate() {
        assert_eq!(
            answer.status,
            if texts[place / 2] == "STRIPE" { 200 } else { 400 },
            "{:?}",
            texts[place / 2]
        );
    }
}

#[tokio::test]
async fn a_team_keeps_its_name() {
    let (app, variants) = (TestApp::new().await, variants());
    let (owner, path) = (app.owner(), format!("/v2/teams/{}", app.team_id));
    let tried = variants.iter().map(|text| (format!("{path}?dry_run=true"), Some(json!({"name": text}))));
    let tried = all(&owner, Method::PATCH, tried.collect()).await;
    for (text, answer) in variants.iter().zip(&tried) {
        assert_taken(answer, 200, fits(text, 128), text);
        assert!(answer.status != 200 || answer.json()["team"]["name"] == json!(text), "{text:?}");
    }
    for text in variants.iter().filter(|text| fits(text, 128)).step_by(7) {
        assert_eq!(owner.patch(&path, json!({"name": text}).to_string()).await.status, 200);
        assert_eq!(owner.get(&path).await.json()["team"]["name"], json!(text));
    }
}

#[tokio::test]
async fn keys_and_links_keep_their_names() {
    let (app, variants) = (TestApp::new().await, variants());
    let owner = app.owner();
    for (what, field) in [("api-keys", "api_keys"), ("key-links", "key_links")] {
        let path = format!("/v2/teams/{}/{what}", app.team_id);
        let named = |text: &String| json!({"name": text, "user_id": app.owner_id.to_string()});
        let answers = post_all(&owner, &path, variants.iter().map(named)).await;
        let made = made(&variants, &answers, "", |text| fits(text, 128));
        let mut listed = listed(&owner.get(&path).await.json()[field], "name");
        listed.retain(|id, _| made.contains_key(id));
        assert_eq!(listed, made, "{what}");
    }
}

/// All pages of a list that match.
async fn everything(caller: &Caller, path: &str, field: &str, search: &str) -> Value {
    let mut all = Vec::new();
    loop {
        let page = format!("{path}?limit=200&offset={}", all.len());
        let page = if search.is_empty() { page } else { query(&page, "search", search) };
        let answer = caller.get(&page).await.json();
        all.extend(answer[field].as_array().unwrap().clone());
        if answer["total"] == json!(all.len()) {
            return Value::Array(all);
        }
    }
}

/// Every member, whatever their number.
async fn members(caller: &Caller, path: &str, search: &str) -> Value {
    everything(caller, path, "members", search).await
}

#[tokio::test]
async fn a_member_keeps_their_name() {
    let (app, variants) = (TestApp::new().await, variants());
    let (owner, path) = (app.owner(), format!("/v2/teams/{}/members", app.team_id));
    let named = |text: &String| json!({"service": true, "name": text, "role": "member"});
    let answers = post_all(&owner, &path, variants.iter().map(named)).await;
    let made = made(&variants, &answers, "/member", |text| fits(text, 128));
    let mut listed_names = listed(&members(&owner, &path, "").await, "name");
    listed_names.retain(|id, _| *id != app.owner_id.to_string());
    assert_eq!(listed_names, made);
    for text in
        ["stripe", "%", "_", "st_ipe", "ѕtripe", "cafe\u{301}", "café", "STRASSE", "\u{200b}", "\\", "'"]
    {
        let found = listed(&members(&owner, &path, text).await, "name");
        assert_eq!(found, having(&made, text), "{text:?}");
    }
    let unfit: Vec<_> = in_urls(&variants).into_iter().filter(|text| !fits(text, 128)).collect();
    let answers = get_all(&owner, unfit.iter().map(|text| query(&path, "search", text))).await;
    assert!(unfit.len() > 5 && answers.iter().all(|answer| answer.status == 400));
}

#[tokio::test]
async fn an_agent_keeps_its_name_and_is_found_by_nothing_else() {
    let (app, variants) = (TestApp::new().await, variants());
    let (owner, path) = (app.owner(), format!("/v2/teams/{}/agents", app.team_id));
    let answers = post_all(&owner, &path, variants.iter().map(|text| json!({"name": text}))).await;
    let made = made(&variants, &answers, "/agent", |text| fits(text, 128));
    assert_eq!(listed(&everything(&owner, &path, "agents", "").await, "name"), made);
    for text in
        ["stripe", "%", "_", "st_ipe", "ѕtripe", "cafe\u{301}", "café", "STRASSE", "\u{200b}", "\\", "'"]
    {
        let found = listed(&everything(&owner, &path, "agents", text).await, "name");
        assert_eq!(found, having(&made, text), "{text:?}");
    }
    let unfit: Vec<_> = in_urls(&variants).into_iter().filter(|text| !fits(text, 128)).collect();
    let answers = get_all(&owner, unfit.iter().map(|text| query(&path, "search", text))).await;
    assert!(unfit.len() > 5 && answers.iter().all(|answer| answer.status == 400));
    let one = format!("/v2/agents/{}", made.keys().next().unwrap());
    let tried = variants.iter().map(|text| (format!("{one}?dry_run=true"), Some(json!({"name": text}))));
    for (text, answer) in variants.iter().zip(all(&owner, Method::PATCH, tried.collect()).await) {
        assert_taken(&answer, 200, fits(text, 128), text);
        assert!(answer.status != 200 || answer.json()["agent"]["name"] == json!(text), "{text:?}");
    }
}

#[tokio::test]
async fn a_revision_keeps_its_name() {
    let (app, variants) = (TestApp::new().await, variants());
    let (owner, place) = (app.owner(), agent(&app).await);
    let path = format!("/v2/agents/{}/revisions", place.agent);
    let answers = post_all(&owner, &path, variants.iter().map(|text| json!({"name": text}))).await;
    let mut made = made(&variants, &answers, "/build", |text| fits(text, 128));
    made.insert(place.build.clone(), "revision".into());
    assert_eq!(listed(&everything(&owner, &path, "builds", "").await, "name"), made);
    let promotion = format!("/v2/revisions/{}/promote", place.build);
    let dry = format!("{promotion}?dry_run=true");
    let bodies = variants.iter().map(|text| json!({"revision_name": text}));
    for (text, answer) in variants.iter().zip(post_all(&owner, &dry, bodies).await) {
        assert_taken(&answer, 200, fits(text, 128), text);
    }
    for text in variants.iter().filter(|text| fits(text, 128)).step_by(7) {
        let named = json!({"revision_name": text}).to_string();
        assert_eq!(owner.post(&promotion, named).await.status, 200);
        assert_eq!(owner.get(&place.path("")).await.json()["build"]["name"], json!(text));
    }
}

#[tokio::test]
async fn a_run_keeps_its_note() {
    let (app, variants) = (TestApp::new().await, variants());
    let (owner, place) = (app.owner(), agent(&app).await);
    let path = format!("/v2/teams/{}/runs", app.team_id);
    let bodies = variants.iter().map(|text| json!({"agent_id": place.agent, "note": text}));
    let answers = post_all(&owner, &path, bodies).await;
    let made = made(&variants, &answers, "/run", |text| fits(text, 512));
    assert!(made.values().any(|note| note.chars().count() == 512));
    assert_eq!(listed(&everything(&owner, &path, "data", "").await, "note"), made);
}

/// Something on both sides of one `@`, without spaces and controls, of at most 254 bytes.
fn is_address(text: &str) -> bool {
    let sides: Vec<_> = text.split('@').collect();
    let two = sides.len() == 2 && sides.iter().all(|side| !side.is_empty());
    two && text.len() <= 254 && !text.chars().any(|c| c.is_whitespace() || c.is_control())
}

#[tokio::test]
async fn an_address_is_one_persons_in_any_case_of_ascii_and_in_no_other_form() {
    let app = TestApp::new().await;
    let (owner, path) = (app.owner(), format!("/v2/teams/{}/members", app.team_id));
    let addresses: Vec<_> = variants().iter().map(|text| format!("{text}@example.com")).collect();
    let invited = |text: &String| json!({"email": text, "name": "n", "role": "member"});
    let answers = post_all(&owner, &path, addresses.iter().map(invited)).await;
    let mut people: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (text, answer) in addresses.iter().zip(&answers) {
        let person = people.entry(text.to_ascii_lowercase()).or_default();
        match answer.status.as_u16() {
            201 => {
                assert_eq!(answer.json()["member"]["email"], json!(text));
                person.push(text.clone());
            }
            409 => assert_eq!(answer.code(), "conflict", "{text:?}"),
            _ => assert_taken(answer, 201, is_address(text), text),
        }
    }
    for (address, taken) in &people {
        assert_eq!(taken.len(), usize::from(is_address(address)), "{address:?}: {taken:?}");
    }
    let mut taken: Vec<_> = people.into_values().flatten().collect();
    taken.push("ada@example.com".into());
    let mut listed: Vec<_> = listed(&members(&owner, &path, "").await, "email").into_values().collect();
    taken.sort_unstable();
    listed.sort_unstable();
    assert_eq!(listed, taken);
}

#[tokio::test]
async fn an_escape_of_json_is_what_it_stands_for() {
    let app = TestApp::new().await;
    let owner = app.owner();
    for (escaped, text) in [
        (r"\u0073tripe", "stripe"),
        (r"\u0053TRIPE", "STRIPE"),
        (r"\ud83d\udd11", "🔑"),
        (r"caf\u00e9", "café"),
        (r"cafe\u0301", "cafe\u{301}"),
        (r"\\u0073tripe", "\\u0073tripe"),
        (r"\/\b\f\n\r\t\\", "/\u{8}\u{c}\n\r\t\\"),
    ] {
        let answer =
            owner.post("/v1/credentials", format!(r#"{{"name": "{escaped}", "values": {{}}}}"#)).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["name"]), (201, &json!(text)));
        let id = answer.json()["id"].as_str().unwrap().to_owned();
        assert_eq!(owner.get(&format!("/v1/credentials/{id}")).await.json()["name"], json!(text));
    }
    for lone in [r"\ud83d", r"\udd11\ud83d", r"\u0000", r"stripe\u0000", r"\x73", r"\u73"] {
        let answer = owner.post("/v1/credentials", format!(r#"{{"name": "{lone}", "values": {{}}}}"#)).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "invalid_request"), "{lone}");
    }
}
