//! The record proving itself over HTTP: heads, proofs, and files that are checked with
//! nothing but the verifier key.

use serde_json::{Value, json};
use strongroom_core::app::Sealer;
use strongroom_core::audit::file::{Checker, Proven, Tampered};
use strongroom_core::audit::note::{Checkpoint, SignedHead, VerifierKey};
use strongroom_core::audit::tree::{Hash, proves_consistency, proves_inclusion};
use strongroom_core::{Role, TeamId};

use crate::support::{Answer, Caller, TestApp};

impl TestApp {
    async fn seal(&self) -> Checkpoint {
        self.app.seal_events(&mut Sealer::default()).await.unwrap();
        let note = self.owner().get("/v2/audit/checkpoint").await;
        assert_eq!(
            (note.status.as_u16(), note.header("content-type")),
            (200, Some("text/plain; charset=utf-8"))
        );
        SignedHead::parse(&note.body).unwrap().verify(&self.keys().await).unwrap().clone()
    }

    /// As anybody gets them.
    async fn keys(&self) -> Vec<VerifierKey> {
        let answer = self.anonymous().get("/.well-known/strongroom-audit").await;
        assert_eq!(answer.status, 200);
        let keys = answer.json()["verifier_keys"].as_array().unwrap().clone();
        keys.iter().map(|key| key.as_str().unwrap().parse().unwrap()).collect()
    }
}

fn hashes(proof: &Value) -> Vec<Hash> {
    proof.as_array().unwrap().iter().map(|hash| Hash::parse(hash.as_str().unwrap()).unwrap()).collect()
}

/// The whole file, page by page; and how many pages it were.
async fn exported(by: &Caller, team: TeamId, query: &str) -> (String, usize) {
    let (mut path, mut file, mut pages) =
        (format!("/v2/teams/{team}/events/export?{query}"), String::new(), 0);
    loop {
        let page = by.get(&path).await;
        assert_eq!(page.status, 200, "{}", page.body);
        assert_eq!(page.header("content-type"), Some("application/jsonl; charset=utf-8"));
        file.push_str(&page.body);
        pages += 1;
        let Some(link) = page.header("link") else { return (file, pages) };
        path = link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap().to_owned();
    }
}

fn checked(file: &str, keys: Vec<VerifierKey>, held: Vec<Checkpoint>) -> Result<Proven, Tampered> {
    let mut checker = Checker::new(keys, held);
    file.lines().try_for_each(|line| checker.line(line))?;
    checker.finish()
}

#[tokio::test]
async fn heads_and_proofs_hold_for_who_has_the_key() {
    let app = TestApp::new().await;
    let early = app.owner().get("/v2/audit/checkpoint").await;
    assert_eq!((early.status.as_u16(), early.code().as_str()), (409, "conflict"), "{}", early.body);
    let old = app.seal().await;
    for _ in 0..20 {
        app.owner().create("one", true).await;
    }
    let unsealed = format!("/v2/teams/{}/events/21/proof", app.team_id);
    assert_eq!(app.owner().get(&unsealed).await.status, 409);
    let new = app.seal().await;
    assert_eq!((old.size, new.size), (1, 21));
    let proof = app.owner().get("/v2/audit/consistency?old=1&new=21").await.json();
    assert_eq!((&proof["old"], &proof["new"]), (&json!(1), &json!(21)));
    assert!(proves_consistency((1, old.root), (21, new.root), &hashes(&proof["proof"])));
    for (query, status) in [
        ("old=1&new=22", 404),
        ("old=3&new=2", 404),
        ("new=2", 400),
        ("old=0&new=2", 400),
        ("old=1&old=2&new=3", 400),
    ] {
        assert_eq!(
            app.owner().get(&format!("/v2/audit/consistency?{query}")).await.status,
            status,
            "{query}"
        );
    }
    for sequence in 1..=21 {
        let path = format!("/v2/teams/{}/events/{sequence}/proof", app.team_id);
        let found = app.owner().get(&path).await.json();
        let head = SignedHead::parse(found["checkpoint"].as_str().unwrap()).unwrap();
        let head = head.verify(&app.keys().await).unwrap().clone();
        let leaf = (found["leaf"].as_u64().unwrap(), Hash::leaf(found["line"].as_str().unwrap().as_bytes()));
        assert!(proves_inclusion(leaf, (head.size, head.root), &hashes(&found["proof"])));
    }
}

#[tokio::test]
async fn a_file_in_pages_is_one_file_and_proves_itself() {
    let app = TestApp::new().await;
    let kept = app.seal().await;
    for number in 0..40 {
        app.owner().create("one", number % 2 == 0).await;
    }
    let head = app.seal().await;
    let user = app.seed_user();
    app.seed_membership(app.team_id, user, Role::Member);
    let member = app.key(app.team_id, user, |_| ());
    member.create("own", false).await;
    app.seal().await;
    let (file, _) = exported(&app.owner(), app.team_id, "").await;
    let found = checked(&file, app.keys().await, vec![kept.clone(), head.clone()]).unwrap();
    assert!(found.is_signed);
    let before = format!("size={}", head.size);
    let (file, _) = exported(&app.owner(), app.team_id, &before).await;
    assert_eq!(checked(&file, app.keys().await, vec![head.clone()]).unwrap().head, head, "as it was then");
    let (own, _) = exported(&member, app.team_id, &format!("stops={},{}", kept.size, head.size)).await;
    let found = checked(&own, app.keys().await, vec![kept, head]).unwrap();
    assert_eq!(found.events, 1, "what they did themselves: {own}");
    let (few, _) = exported(&app.owner(), app.team_id, "action=instance.created").await;
    assert_eq!(checked(&few, app.keys().await, Vec::new()).unwrap().events, 1);
}

#[tokio::test]
async fn what_makes_no_sense_of_a_file_is_refused() {
    let app = TestApp::new().await;
    app.seal().await;
    for query in [
        "size=0",
        "size=x",
        "leaf=-1",
        "stops=",
        "stops=1,,2",
        "stops=+1",
        "action=secret.sung",
        "leaf=1&leaf=2",
    ] {
        let refused: Answer =
            app.owner().get(&format!("/v2/teams/{}/events/export?{query}", app.team_id)).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (400, "invalid_request"), "{query}");
    }
    let path = format!("/v2/teams/{}/events/export?size=900", app.team_id);
    let refused = app.owner().get(&path).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (409, "conflict"), "more than there are");
}

#[tokio::test]
async fn who_watches_the_server_sees_how_far_the_tree_is() {
    let app = TestApp::new().await;
    let head = app.seal().await;
    assert_eq!(app.metric("strongroom_audit_sealed_events ").await, head.size);
    let at = app.metric("strongroom_audit_sealed_at_seconds ").await;
    let age = app.app.clock().now().as_millis() / 1_000 - i64::try_from(at).unwrap();
    assert!((0..60).contains(&age), "{age} s");
    let name = json!({"name": "a", "values": {"A": "1"}});
    app.owner().post("/v1/credentials", name.to_string()).await;
    assert!(app.seal().await.size > head.size, "the control: it goes on");
    assert!(app.metric("strongroom_audit_sealed_events ").await > head.size);
}
