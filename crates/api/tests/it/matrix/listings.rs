//! What lists show to whom: what one may look at, and nothing of the rest.

use serde_json::{Value, json};
use std::collections::BTreeSet;
use strongroom_core::{Role, TeamId};

use super::scene::{Actor, Noun, Scene, World, done, key_id};
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

#[tokio::test]
async fn lists_of_agents_revisions_and_runs_end_at_the_teams_border() {
    let world = World::new().await;
    let (home, other, elsewhere) = (world.home(), world.other(), world.elsewhere());
    let mut scene = Scene::new(&world, world.actor(Role::Builder));
    let (ours, live) = scene.standing("ours").await;
    let (another, of_another) = scene.standing("another").await;
    let (foreign, of_foreign) = scene.standing("foreign").await;
    scene.standing("deleted").await;
    let own = scene.id(Noun::Run, "own").await;
    let others = scene.id(Noun::Run, "others").await;
    let orphaned = scene.id(Noun::Run, "own-orphaned").await;
    let abroad = scene.id(Noun::Run, "foreign").await;
    for role in Role::ALL {
        let Actor { caller, .. } = world.actor(role);
        let listed = async |path: &str, field| ids(&caller, path, field).await;
        assert_eq!(
            listed(&format!("/v2/teams/{home}/agents"), "agents").await,
            set([&ours, &another]),
            "{role}"
        );
        for (agent, build) in [(&ours, &live), (&another, &of_another)] {
            assert_eq!(listed(&format!("/v2/agents/{agent}/revisions"), "builds").await, set([build]));
        }
        let runs = format!("/v2/teams/{home}/runs");
        assert_eq!(listed(&runs, "data").await, set([&own, &others, &orphaned]), "{role}");
        assert_eq!(listed(&format!("{runs}?agent_id={ours}"), "data").await, set([&own, &others]));
        assert_eq!(listed(&format!("{runs}?agent_id={another}"), "data").await, set([]));
    }
    assert_eq!(ids(&elsewhere, &format!("/v2/teams/{other}/agents"), "agents").await, set([&foreign]));
    assert_eq!(
        ids(&elsewhere, &format!("/v2/agents/{foreign}/revisions"), "builds").await,
        set([&of_foreign])
    );
    assert_eq!(ids(&elsewhere, &format!("/v2/teams/{other}/runs"), "data").await, set([&abroad]));
}

#[tokio::test]
async fn what_is_attached_is_listed_to_those_who_see_it() {
    let world = World::new().await;
    let [first, second] = [world.actor(Role::Member), world.actor(Role::Owner)];
    let mut scene = Scene::new(&world, first.clone());
    let (agent, build) = scene.standing("bare").await;
    assert_eq!(build, super::scene::ABSENT);
    let path = format!("/v2/agents/{agent}/revisions");
    let build = done(&world.founder.post(&path, r#"{"name": "r"}"#).await, 201);
    let path = format!("{path}/{}/credentials", id_of(&build["build"]));
    let attach = async |caller: &Caller, id: &str| {
        done(&caller.post(&path, json!({"credentialId": id}).to_string()).await, 201);
    };
    let (own, others) = (create(&first.caller, false).await, create(&second.caller, false).await);
    let (shared, gone) = (create(&world.founder, true).await, create(&world.founder, true).await);
    let detached = create(&world.founder, true).await;
    create(&first.caller, false).await;
    attach(&first.caller, &own).await;
    attach(&second.caller, &others).await;
    for id in [&shared, &gone, &detached] {
        attach(&world.founder, id).await;
    }
    delete(&world.founder, gone).await;
    assert_eq!(world.founder.delete(&format!("{path}/{detached}")).await.status, 200);
    for path in [path.clone(), path.replace("/v2/", "/v1/")] {
        assert_eq!(ids(&first.caller, &path, "").await, set([&own, &shared]));
        assert_eq!(ids(&second.caller, &path, "").await, set([&others, &shared]), "an owner, too");
        assert_eq!(ids(&world.founder, &path, "").await, set([&shared]));
    }
}
