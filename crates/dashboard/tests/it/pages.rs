use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;
use std::sync::LazyLock;
use strongroom_dashboard::documentation;
use strongroom_net::Address;
use tower::ServiceExt as _;

/// The API's description, as it is served.
fn description() -> &'static str {
    include_str!("../../../../docs/reference/openapi.json")
}

fn at(url: &str) -> Address {
    Address::new(Some(url), false)
}

struct Answer {
    status: StatusCode,
    /// But for the length.
    headers: String,
    body: String,
}

async fn get(path: &str) -> Answer {
    // Made once for all tests, as for all requests.
    static PAGES: LazyLock<Router> =
        LazyLock::new(|| documentation(description, &at("https://secrets.example.com")));
    get_from(&PAGES, path).await
}

async fn get_from(pages: &Router, path: &str) -> Answer {
    let answer = pages.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
    let mut headers: Vec<_> = answer
        .headers()
        .iter()
        .filter(|(name, _)| *name != "content-length")
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    headers.sort();
    let status = answer.status();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    Answer { status, headers: headers.join("\n"), body: String::from_utf8(body.to_vec()).unwrap() }
}

/// Every link on this server that the page at this path has.
fn links(path: &str, html: &str) -> Vec<String> {
    let links = html.split("href=\"").skip(1).map(|rest| rest.split_once('"').unwrap().0);
    let links = links.filter(|link| !link.starts_with("https://"));
    links.map(|link| if link.starts_with('#') { format!("{path}{link}") } else { link.to_owned() }).collect()
}

#[tokio::test]
async fn a_browser_may_do_nothing_but_show_them() {
    let page = get("/docs").await;
    assert_eq!(page.status, StatusCode::OK);
    insta::assert_snapshot!(page.headers, @r"
    content-security-policy: default-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'; img-src 'self'; script-src 'self'; style-src 'self'
    content-type: text/html; charset=utf-8
    cross-origin-opener-policy: same-origin
    cross-origin-resource-policy: same-origin
    referrer-policy: no-referrer
    x-content-type-options: nosniff
    ");
    for path in ["/docs/first-run.md", "/llms.txt", "/assets/style.css", "/docs/none"] {
        assert!(get(path).await.headers.contains("default-src 'none'"), "{path}");
    }
}

#[tokio::test]
async fn every_link_leads_to_a_page_and_every_page_is_led_to() {
    let mut seen = vec!["/docs".to_owned()];
    let mut at = 0;
    while let Some(path) = seen.get(at).cloned() {
        at += 1;
        let page = get(&path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        for link in links(&path, &page.body) {
            let (to, part) = link.split_once('#').unwrap_or((&link, ""));
            // The API serves it.
            if to == "/openapi.json" {
                continue;
            }
            if !part.is_empty() {
                let id = format!("id=\"{part}\"");
                assert!(get(to).await.body.contains(&id), "{path} links to {link}, which has no {id}");
            }
            if !seen.iter().any(|known| known == to) {
                seen.push(to.to_owned());
            }
        }
    }
    let described: Value = serde_json::from_str(description()).unwrap();
    let mut all = String::new();
    for path in seen.iter().filter(|path| path.starts_with("/docs/api/")) {
        all.push_str(&get(path).await.body);
    }
    let operations =
        described["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap());
    let mut count = 0;
    for (_, operation) in operations.filter(|(_, operation)| operation["operationId"].is_string()) {
        count += 1;
        let id = operation["operationId"].as_str().unwrap();
        assert!(all.contains(&format!("<h2 id=\"{id}\">")), "{id} has no place in the reference");
    }
    assert!(count > 50, "{count}");
}

#[tokio::test]
async fn what_is_not_there_is_a_page_too() {
    for path in ["/docs/none", "/docs/404", "/docs/api", "/docs/..", "/docs/first-run.html", "/docs/%ff"] {
        let page = get(path).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{path}");
        assert!(page.body.contains("There is no such page"), "{path}");
    }
}

#[tokio::test]
async fn a_slash_too_many_leads_there() {
    let led = get("/docs/").await;
    assert_eq!(led.status, StatusCode::SEE_OTHER);
    assert!(led.headers.contains("location: /docs\n"), "{}", led.headers);
}

#[tokio::test]
async fn programs_get_an_index_with_a_line_for_each_page() {
    let index = get("/llms.txt").await;
    assert!(index.headers.contains("text/plain"));
    assert!(index.body.starts_with("# Strongroom\n\n> "), "{}", index.body);
    let lines: Vec<_> = index.body.lines().filter(|line| line.starts_with("- [")).collect();
    assert!(lines.len() > 15, "{}", index.body);
    for line in lines {
        let (_, rest) = line.split_once("](https://secrets.example.com").unwrap();
        let (path, said) = rest.split_once("): ").unwrap();
        assert!(said.len() > 5, "{line}");
        if path != "/openapi.json" {
            assert_eq!(get(path).await.status, StatusCode::OK, "{line}");
        }
    }
    let guide = get("/docs/first-run.md").await;
    assert!(guide.headers.contains("text/markdown") && guide.body.starts_with("# "), "{}", guide.body);
}

#[tokio::test]
async fn an_operation_is_told_whole() {
    let page = get("/docs/api/secrets").await.body;
    let (_, operation) = page.split_once("<h2 id=\"createSecret\">").unwrap();
    let (operation, _) = operation.split_once("</section>").unwrap();
    for part in [
        "curl -X POST &quot;$STRONGROOM_URL/v2/teams/$teamId/credentials&quot;",
        "Authorization: Bearer $STRONGROOM_API_KEY",
        "<code>service_slug</code>",
        "1 to 128 characters.",
        "<code>Idempotency-Key</code>",
        "Answer 201",
        "<dt>403</dt>",
    ] {
        assert!(operation.contains(part), "{part} is not in {operation}");
    }
    let run = get("/docs/api/runs").await.body;
    assert!(run.contains("Authorization: Bearer $STRONGROOM_RUN_TOKEN"), "a run's own operations");
}

#[tokio::test]
async fn no_page_is_heavy() {
    let style = get("/assets/style.css").await.body.len() + get("/assets/mark.svg").await.body.len();
    let first = get("/docs").await;
    for path in links("/docs", &first.body).into_iter().chain(["/docs".to_owned()]) {
        let page = get(path.split_once('#').map_or(path.as_str(), |(page, _)| page)).await;
        let weight = page.body.len() + style;
        assert!(weight <= 150 * 1024, "{path} weighs {weight} bytes");
    }
}

#[tokio::test]
async fn what_is_described_is_told() {
    let described: Value = serde_json::from_str(description()).unwrap();
    let mut count = 0;
    for item in described["paths"].as_object().unwrap().values() {
        for operation in
            item.as_object().unwrap().values().filter(|operation| operation["operationId"].is_string())
        {
            let tag = operation["tags"][0].as_str().unwrap().to_ascii_lowercase();
            let path = format!("/docs/api/{}", tag.replace(' ', "-").replace(['(', ')'], ""));
            let page = get(&path).await.body;
            let heading = format!("<h2 id=\"{}\">", operation["operationId"].as_str().unwrap());
            let (told, _) = page.split_once(&heading).unwrap().1.split_once("</section>").unwrap();
            let answers = operation["responses"].as_object().unwrap();
            let done = answers.iter().filter(|(status, _)| status.starts_with('2')).map(|(_, answer)| answer);
            for body in done.chain([&operation["requestBody"]]) {
                let mut names = Vec::new();
                properties(&described, &body["content"]["application/json"]["schema"], 0, &mut names);
                for name in names {
                    count += 1;
                    let shown = told.contains(&format!("<code>{name}</code>"))
                        || told.contains(&format!(".{name}</code>"));
                    assert!(shown, "{heading} does not tell of {name}");
                }
            }
            let must = operation["requestBody"]["required"] == true;
            assert!(
                !must || told.contains("  -d &#39;") || told.contains("  -d '"),
                "{heading} shows a call without its body"
            );
        }
    }
    assert!(count > 300, "{count}");
}

/// The names of all properties within a schema, wherever in it they are.
fn properties(described: &Value, schema: &Value, depth: usize, names: &mut Vec<String>) {
    if depth == 8 {
        return;
    }
    if let Some(name) = schema["$ref"].as_str() {
        let target = described.pointer(name.trim_start_matches('#')).unwrap();
        return properties(described, target, depth + 1, names);
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        names.push(name.clone());
        properties(described, property, depth + 1, names);
    }
    let lists = ["allOf", "oneOf", "anyOf"].iter().filter_map(|list| schema[*list].as_array());
    for part in lists.flatten().chain(schema.get("items")) {
        properties(described, part, depth + 1, names);
    }
}

#[tokio::test]
async fn under_a_path_every_link_begins_with_it() {
    let pages: Router = documentation(description, &at("https://example.com/sub"));
    for path in ["/docs", "/docs/command-line", "/docs/api/secrets", "/docs/none"] {
        let page = get_from(&pages, path).await;
        for link in links("/sub", &page.body) {
            assert!(link.starts_with("/sub"), "{path}: {link}");
        }
        assert!(page.body.contains("src=\"/sub/assets/mark.svg\""), "{path}");
    }
    let led = get_from(&pages, "/docs/").await;
    assert!(led.headers.contains("location: /sub/docs\n"), "{}", led.headers);
    assert!(get_from(&pages, "/docs/command-line.md").await.body.contains("](/sub/docs/cli.md)"));
    assert!(
        get_from(&pages, "/llms.txt").await.body.contains("](https://example.com/sub/docs/first-run.md)")
    );
}

#[tokio::test]
async fn links_in_markdown_lead_to_markdown() {
    let index = get("/llms.txt").await.body;
    let guides =
        index.split("](https://secrets.example.com").skip(1).map(|rest| rest.split_once(')').unwrap().0);
    let mut count = 0;
    for guide in guides.filter(|path| path.contains(".md")) {
        let text = get(guide).await.body;
        for link in text.split("](").skip(1).map(|rest| rest.split_once(')').unwrap().0) {
            let (to, _) = link.split_once('#').unwrap_or((link, ""));
            if to.is_empty() || to.starts_with("https://") {
                continue;
            }
            count += 1;
            assert_eq!(get(to).await.status, StatusCode::OK, "{guide} links to {link}");
        }
    }
    assert!(count > 3, "{count}");
}
