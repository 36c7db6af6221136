//! Every operation × every scope: a key does what it is for, and nothing else.

use serde_json::json;
use std::collections::BTreeSet;
use strongroom_core::{Role, Scope, Scopes};

use super::expected::ROLES;
use super::scene::{Scene, World, done};
use super::table::{Cell, Demand, Operation, demanded, expected};

/// Each scope alone, all but each, and none.
fn sets() -> Vec<Scopes> {
    let alone = Scope::ALL.map(|scope| [scope].into_iter().collect());
    let all_but = Scope::ALL.map(|scope| Scope::ALL.into_iter().filter(|other| *other != scope).collect());
    [&alone[..], &all_but[..], &[Scopes::default()]].concat()
}

/// What an owner gets for this when their key is for it.
fn owners_status(cells: &[(Cell, u16)], operation: &str, object: &str) -> u16 {
    let owners = |cell: &Cell| (cell.operation, cell.object, cell.role) == (operation, object, Role::Owner);
    cells.iter().find(|(cell, _)| owners(cell)).unwrap().1
}

/// Whether a key for these, the right to change the team among them, lacks
/// any. The right to look at the team isn't missed then.
fn lacks_some(scopes: Scopes) -> bool {
    Scope::ALL.into_iter().any(|scope| scope != Scope::TeamRead && !scopes.contains(scope))
}

/// Whether a key is asked for, or nothing.
fn by_key((_, demand): &(Operation, Demand)) -> bool {
    !["link", "run"].contains(&demand.scope)
}

#[tokio::test]
async fn a_key_does_what_it_is_for_and_nothing_else() {
    let world = World::new().await;
    let roles = expected(ROLES);
    for scopes in sets() {
        let actor = world.owner(|key| key.grant.scopes = scopes);
        let mut scene = Scene::new(&world, actor.clone());
        for (operation, demand) in demanded().into_iter().filter(by_key) {
            let free = ["any", "open"].contains(&demand.scope);
            let lacks_none = demand.scope.ends_with('!');
            let mut asked = demand.scope.trim_end_matches('!').split('|').filter_map(Scope::from_name);
            let given = free || asked.any(|scope| scopes.contains(scope));
            let request = scene.request(&operation, demand.object).await;
            let request = if operation.changes() { request.dry() } else { request };
            let seen = request.by(&actor.caller).await;
            let allowed = owners_status(&roles, demand.operation, demand.object);
            let verdict = match given {
                false => (403, "insufficient_scope"),
                true if lacks_none && lacks_some(scopes) => (403, "forbidden"),
                true => (allowed, ""),
            };
            assert!(allowed < 300, "{}: an owner may", operation.name);
            assert_eq!((seen.status, seen.code.as_str()), verdict, "{} with {scopes}", operation.name);
        }
    }
}

/// What the ids of a path may name, whatever it is for.
fn objects(path: &str) -> Option<&'static [&'static str]> {
    const AGENTS: [&str; 6] = ["ours", "foreign", "deleted", "mixed", "build-foreign", "absent"];
    Some(match path {
        _ if path.contains("/{id}") => {
            &["own>own", "shared>own", "others>own", "foreign>own", "shared-deleted>own", "absent>own"]
        }
        _ if path.contains("/{userId}") => &[
            "self>owner",
            "member>member",
            "owner>member",
            "foreign>member",
            "removed>member",
            "absent>member",
        ],
        _ if path.contains("/{keyId}") => &["self", "member", "owner", "foreign", "removed", "absent"],
        _ if path.contains("/{runId}") => &["own", "others", "own-stopped", "foreign", "elsewhere", "absent"],
        _ if path.contains("/{sequence}") => &["own", "shared", "foreign", "absent"],
        _ if path.contains("/{requestId}") => {
            &["own", "others", "own-cancelled", "foreign", "elsewhere", "absent"]
        }
        _ if path.contains("/credentials/{credentialId}") => {
            &["own", "shared", "others", "own-loose", "foreign", "absent", "own:foreign", "own:absent"]
        }
        _ if path.ends_with("/{buildId}/credentials") => {
            &["own:ours", "own:foreign", "own:deleted", "own:absent"]
        }
        _ if path.contains("/{agentId}") || path.contains("/{buildId}") => &AGENTS,
        _ => return None,
    })
}

#[tokio::test]
async fn a_key_that_is_for_something_else_learns_nothing() {
    let world = World::new().await;
    let actor = world.owner(|key| key.grant.scopes = [Scope::RunsStart].into_iter().collect());
    let mut scene = Scene::new(&world, actor.clone());
    let mut parameters = BTreeSet::new();
    for (operation, _) in demanded() {
        let named = operation.path.split('/').filter(|piece| piece.starts_with('{'));
        parameters.extend(named.map(str::to_owned));
        let Some(objects) = objects(&operation.path) else { continue };
        let mut answers = Vec::new();
        for object in objects {
            answers.push(scene.request(&operation, object).await.by(&actor.caller).await);
        }
        assert_eq!(answers[0].code, "insufficient_scope", "{}", operation.name);
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{}: {answers:?}", operation.name);
    }
    parameters.retain(|parameter| objects(&format!("/{parameter}")).is_none());
    assert_eq!(Vec::from_iter(parameters), ["{credentialId}", "{linkId}", "{teamId}"], "the rest was tried");
}

#[tokio::test]
async fn a_key_for_one_agent_learns_nothing_of_others() {
    let world = World::new().await;
    let operations = demanded();
    let (start, _) = operations.iter().find(|(operation, _)| operation.name == "startRun").unwrap();
    let mut scene = Scene::new(&world, world.actor(Role::Owner));
    let own = scene.standing("another").await.0;
    let body = json!({"name": "narrow", "scopes": ["runs:start"], "agents": [own]}).to_string();
    let path = format!("/v2/teams/{}/api-keys", world.home());
    let key = done(&scene.actor.maker.post(&path, body).await, 201);
    let narrow = world.app.bearer(key["api_key"].as_str().unwrap());
    let mut answers = Vec::new();
    for object in ["ours", "ours:later", "bare", "foreign", "deleted", "absent"] {
        answers.push(scene.request(start, object).await.by(&narrow).await);
    }
    assert_eq!((answers[0].status, answers[0].code.as_str()), (403, "forbidden"));
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(scene.request(start, "another").await.by(&narrow).await.status, 201, "the control");
}
