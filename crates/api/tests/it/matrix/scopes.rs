//! Every operation × every scope: a key does what it is for, and nothing else.

use strongroom_core::{Role, Scope, Scopes};

use super::expected::ROLES;
use super::scene::{Scene, World};
use super::table::{Cell, demanded, expected};

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

#[tokio::test]
async fn a_key_does_what_it_is_for_and_nothing_else() {
    let world = World::new().await;
    let roles = expected(ROLES);
    for scopes in sets() {
        let actor = world.owner(|key| key.grant.scopes = scopes);
        let mut scene = Scene::new(&world, actor.clone());
        for (operation, demand) in demanded().into_iter().filter(|(_, demand)| demand.scope != "link") {
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

#[tokio::test]
async fn a_key_that_is_for_something_else_learns_nothing() {
    let world = World::new().await;
    let actor = world.owner(|key| key.grant.scopes = [Scope::RunsStart].into_iter().collect());
    let mut scene = Scene::new(&world, actor.clone());
    for (operation, _) in demanded() {
        let objects = if operation.path.contains("/{id}") {
            ["own>own", "shared>own", "others>own", "foreign>own", "shared-deleted>own", "absent>own"]
        } else if operation.path.contains("/{userId}") {
            [
                "self>owner",
                "member>member",
                "owner>member",
                "foreign>member",
                "removed>member",
                "absent>member",
            ]
        } else if operation.path.contains("/{keyId}") {
            ["self", "member", "owner", "foreign", "removed", "absent"]
        } else {
            continue;
        };
        let mut answers = Vec::new();
        for object in objects {
            answers.push(scene.request(&operation, object).await.by(&actor.caller).await);
        }
        assert_eq!(answers[0].code, "insufficient_scope", "{}", operation.name);
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{}: {answers:?}", operation.name);
    }
}
