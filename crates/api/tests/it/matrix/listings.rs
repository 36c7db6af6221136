//! What lists show to whom: what one may look at, and nothing of the rest.

use serde_json::{Value, json};
use std::collections::BTreeSet;
use strongroom_core::{Role, TeamId};

use super::scene::{Actor, World, key_id};
use crate::support::Caller;

/// The ids in a list, which may stand in an envelope.
async fn ids(caller: &Caller, path: &str, field: &str) -> BTreeSet<String> {
    let answer = caller.get(path).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let json = answer.json();
    let list = if field.is_empty() { &json } else { &json[field] };
    list.as_array().unwrap().iter().map(id_of).collect()
}

fn id_of(value: &Value) -> String {
    value["id"].as_str().unwrap().to_owned()
}

async fn create(caller: &Caller, shared: bool) -> String {
    id_of(&caller.create("s", shared).await)
}

async fn delete(caller: &Caller, id: String) {
    assert_eq!(caller.delete(&format!("/v2/credentials/{id}")).await.status, 200);
}

fn set<const N: usize>(ids: [&String; N]) -> BTreeSet<String> {
    ids.into_iter().cloned().collect()
}

#[tokio::test]
async fn a_list_of_secrets_has_the_teams_and_ones_own() {
    let world = World::new().await;
    let elsewhere = world.elsewhere();
    let (shared, foreign) = (create(&world.founder, true).await, create(&elsewhere, true).await);
    create(&world.founder, false).await;
    for role in Role::ALL {
        let Actor { caller, .. } = world.actor(role);
        let own = create(&caller, false).await;
        let gone = create(&caller, false).await;
        delete(&caller, gone).await;
        for path in ["/v1/credentials".to_owned(), format!("/v2/teams/{}/credentials", world.home())] {
            assert_eq!(ids(&caller, &path, "").await, set([&own, &shared]), "{role}");
            assert_eq!(ids(&caller, &format!("{path}?search=s"), "").await, set([&own, &shared]), "{role}");
        }
    }
    assert_eq!(ids(&elsewhere, "/v1/credentials", "").await, set([&foreign]));
}

#[tokio::test]
async fn a_list_of_keys_has_ones_own_or_for_administrators_the_teams() {
    let world = World::new().await;
    let path = format!("/v2/teams/{}/api-keys", world.home());
    let actors = Role::ALL.map(|role| (role, world.actor(role)));
    let mut everybodys: BTreeSet<_> = actors.iter().map(|(_, actor)| key_id(&actor.caller)).collect();
    everybodys.insert(key_id(&world.founder));
    for (role, actor) in actors {
        let own = set([&key_id(&actor.caller)]);
        let seen = if role >= Role::Administrator { &everybodys } else { &own };
        assert_eq!(ids(&actor.caller, &path, "api_keys").await, *seen, "{role}");
    }
}

#[tokio::test]
async fn lists_of_members_links_and_teams_end_at_the_teams_border() {
    let world = World::new().await;
    let (home, stranger) = (world.home(), world.stranger());
    let administrator = world.actor(Role::Administrator);
    let members: BTreeSet<_> = [world.app.owner_id, administrator.user].map(|user| user.to_string()).into();
    let path = |team: TeamId, what: &str| format!("/v2/teams/{team}/{what}");
    assert_eq!(ids(&administrator.caller, &path(home, "members"), "members").await, members);
    assert_eq!(ids(&administrator.caller, "/v2/teams", "teams").await, set([&home.to_string()]));
    let link = async |maker: &Caller, team, user: String| {
        let made =
            maker.post(&path(team, "key-links"), json!({"user_id": user, "name": "k"}).to_string()).await;
        assert_eq!(made.status, 201, "{}", made.body);
        id_of(&made.json())
    };
    let ours = link(&world.founder, home, administrator.user.to_string()).await;
    let theirs = link(&world.elsewhere(), world.other(), stranger.to_string()).await;
    assert_eq!(ids(&administrator.caller, &path(home, "key-links"), "key_links").await, set([&ours]));
    assert_eq!(ids(&world.elsewhere(), &path(world.other(), "key-links"), "key_links").await, set([&theirs]));
}
