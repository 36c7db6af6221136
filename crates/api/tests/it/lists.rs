//! Lists in pages, and lists of what one looks for.

use reqwest::StatusCode;
use serde_json::{Value, json};
use strongroom_core::{Role, Scopes};

use crate::support::{Answer, Caller, TestApp, canary};

/// Where a list goes on.
fn next(answer: &Answer) -> Option<String> {
    let link = answer.header("link")?;
    Some(link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap().to_owned())
}

fn names(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let list = answer.json();
    list.as_array().unwrap().iter().map(|secret| secret["name"].as_str().unwrap().to_owned()).collect()
}

/// All pages of a list, and how many there were.
async fn walk(caller: &Caller, path: &str) -> (Vec<String>, usize) {
    let (mut path, mut all, mut pages) = (path.to_owned(), Vec::new(), 0);
    loop {
        let answer = caller.get(&path).await;
        all.extend(names(&answer));
        pages += 1;
        match next(&answer) {
            Some(link) => path = link,
            None => return (all, pages),
        }
    }
}

async fn create(caller: &Caller, secret: Value) {
    assert_eq!(caller.post("/v1/credentials", secret.to_string()).await.status, 201);
}

#[tokio::test]
async fn pages_put_together_are_the_list() {
    let app = TestApp::new().await;
    let owner = app.owner();
    let other = app.user(app.team_id, Role::Owner, Scopes::all());
    for number in 0..25 {
        // Foreign ones in between, which nobody else's pages may count.
        other.create("foreign", false).await;
        owner.create(&format!("s{number:02}"), number % 2 == 0).await;
    }
    let whole = names(&owner.get("/v1/credentials").await);
    assert_eq!(whole.len(), 25);
    for (limit, pages) in [(1, 25), (7, 4), (5, 5), (24, 2), (25, 1), (1_000, 1)] {
        let path = format!("/v2/teams/{}/credentials?limit={limit}", app.team_id);
        assert_eq!(walk(&owner, &path).await, (whole.clone(), pages), "limit {limit}");
    }
}

#[tokio::test]
async fn a_search_looks_at_names_services_and_keys_in_any_case() {
    let app = TestApp::new().await;
    let owner = app.owner();
    create(&owner, json!({"name": "Größe", "values": {"A_KEY": canary("v")}, "service_slug": "stripe"}))
        .await;
    create(
        &owner,
        json!({"name": "100%_sure", "values": {"B_TOKEN": canary("v")}, "service_slug": "Stripe"}),
    )
    .await;
    create(&owner, json!({"name": "third", "values": {}, "service_slug": null})).await;
    for (query, expected) in [
        ("search=gr%C3%96SS", &[][..]),
        ("search=GR%C3%96%C3%9FE", &["Größe"]),
        ("search=stripe", &["Größe", "100%_sure"]),
        ("search=b_tok", &["100%_sure"]),
        ("search=%25_s", &["100%_sure"]),
        ("search=%25", &["100%_sure"]),
        ("search=c4n4ry", &[]),
        ("service_slug=stripe", &["Größe"]),
        ("service_slug=stripe&search=sure", &[]),
        ("search=r&limit=1", &["Größe"]),
    ] {
        assert_eq!(names(&owner.get(&format!("/v1/credentials?{query}")).await), expected, "{query}");
    }
    let (found, pages) = walk(&owner, "/v1/credentials?search=R&limit=1&service_slug=stripe").await;
    assert_eq!((found, pages), (vec!["Größe".to_owned()], 1));
    assert_eq!(walk(&owner, "/v1/credentials?search=r&limit=1").await.1, 3);
}

#[tokio::test]
async fn parameters_that_make_no_sense_are_refused_by_name() {
    let app = TestApp::new().await;
    let long = "a".repeat(129);
    for (query, name) in [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=-1", "limit"),
        ("limit=", "limit"),
        ("limit=1&limit=2", "limit"),
        ("cursor=x", "cursor"),
        ("search=", "search"),
        ("search=%00", "search"),
        (&format!("search={long}"), "search"),
        ("service_slug=", "service_slug"),
    ] {
        let answer = app.owner().get(&format!("/v1/credentials?{query}")).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "invalid_request"), "{query}");
        assert!(answer.body.contains(name), "{}", answer.body);
    }
}
