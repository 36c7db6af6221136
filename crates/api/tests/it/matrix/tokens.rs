//! What is no key, or not any more, opens nothing: every operation × every way
//! in which a token can be bad, also when it was good a moment ago. And
//! every path has the methods that it has.

use reqwest::Method;
use std::collections::BTreeSet;
use strongroom_core::grants::Networks;
use strongroom_core::tokens::{Token, TokenKind};
use strongroom_core::{Clock, OsRandom, Role, Timestamp};

use super::expected::{BY_ASKER, BY_RUN};
use super::scene::{ABSENT, Actor, Request, Scene, World, key_id};
use super::table::{Operation, demanded, described};
use crate::agents::{agent, start_as};
use crate::support::Caller;

/// A status and a code.
type Refusal = (u16, &'static str);

const NOT_PROVEN: Refusal = (401, "invalid_token");
const FORBIDDEN: Refusal = (403, "forbidden");

/// Every operation that asks for a token, with a request that an owner
/// would be allowed.
async fn good_requests(world: &World) -> Vec<(Operation, Request)> {
    let mut scene = Scene::new(world, world.actor(Role::Owner));
    let mut requests = Vec::new();
    for (operation, demand) in demanded() {
        if demand.scope != "open" {
            let request = scene.request(&operation, demand.object).await;
            let request = if operation.changes() { request.dry() } else { request };
            requests.push((operation, request));
        }
    }
    assert!(requests.len() > 55);
    requests
}

/// Somebody whom one operation must refuse.
async fn refused(what: &str, caller: &Caller, (operation, request): &(Operation, Request), refusal: Refusal) {
    // A key proves nothing where another token is asked for, whatever is wrong with it.
    let by_key = operation.verb() != "claimKeyLink" && !BY_RUN.contains(&operation.verb());
    let refusal = if by_key { refusal } else { NOT_PROVEN };
    let seen = request.by(caller).await;
    assert_eq!((seen.status, seen.code.as_str()), refusal, "{what}: {}", operation.name);
    let asks = seen.headers.iter().any(|(name, value)| name == "www-authenticate" && value == "Bearer");
    assert_eq!(asks, refusal == NOT_PROVEN, "{what}: {}", operation.name);
}

/// What was never good: twice, since the first try may leave something behind.
async fn never_accepted(what: &str, caller: &Caller, requests: &[(Operation, Request)], refusal: Refusal) {
    for request in requests {
        for _ in 0..2 {
            refused(what, caller, request, refusal).await;
        }
    }
}

/// The token of a link that is open.
async fn open_link(world: &World, actor: &Actor) -> Caller {
    let body = serde_json::json!({"user_id": actor.user.to_string(), "name": "k"}).to_string();
    let made = world.founder.post(&format!("/v2/teams/{}/key-links", world.home()), body).await;
    assert_eq!(made.status, 201, "{}", made.body);
    world.app.bearer(made.json()["link"].as_str().unwrap())
}

#[tokio::test]
async fn what_is_no_valid_key_is_never_accepted() {
    let world = World::new().await;
    let (app, home) = (&world.app, world.home());
    let requests = good_requests(&world).await;
    let owner = world.actor(Role::Owner);
    let valid = owner.caller.token.clone().unwrap();
    let minted = |kind, id| Token::mint(kind, id, &OsRandom).reveal().to_owned();
    let id = Token::parse(TokenKind::ApiKey, &valid).unwrap().id();
    let bad = [
        ("none", app.anonymous()),
        ("empty", app.bearer("")),
        ("garbage", app.bearer("hunter2")),
        ("cut", app.bearer(&valid[..valid.len() - 1])),
        ("longer", app.bearer(&format!("{valid}0"))),
        ("wrong secret", app.bearer(&minted(TokenKind::ApiKey, id))),
        ("unknown id", app.bearer(&minted(TokenKind::ApiKey, uuid::Uuid::from_u128(99)))),
        ("a run's token", app.bearer(&minted(TokenKind::Run, id))),
        ("a member of no team", app.key(home, app.seed_user(), |_| ())),
    ];
    assert_eq!(owner.caller.get("/v2/profile").await.status, 200, "and the valid one is at hand");
    for (what, caller) in bad {
        never_accepted(what, &caller, &requests, NOT_PROVEN).await;
    }
    let networks = || Some(Networks::parse(["10.0.0.0/8", "2001:db8::/32"]).unwrap());
    let far = world.owner(|key| key.grant.networks = networks());
    never_accepted("another network", &far.caller, &requests, FORBIDDEN).await;
}

#[tokio::test]
async fn a_link_opens_nothing_but_the_key_that_it_is_for() {
    let world = World::new().await;
    let actor = world.actor(Role::Owner);
    let link = open_link(&world, &actor).await;
    for (operation, request) in good_requests(&world).await {
        let seen = request.by(&link).await;
        let claim = operation.verb() == "claimKeyLink";
        assert_eq!(seen.status, if claim { 201 } else { 401 }, "{}", operation.name);
    }
}

/// The token of a run that goes on.
async fn running(world: &World, actor: Actor) -> Caller {
    let run = Scene::new(world, actor).run("own").await;
    world.app.bearer(&run.token.unwrap())
}

#[tokio::test]
async fn a_run_opens_nothing_but_its_environment_its_own_lease_and_what_it_asks_for() {
    let world = World::new().await;
    let run = running(&world, world.actor(Role::Owner)).await;
    for (operation, request) in good_requests(&world).await {
        let seen = request.by(&run).await;
        let answer = match operation.verb() {
            verb if BY_RUN.contains(&verb) => (200, ""),
            "createFillRequest" => (201, ""),
            // Another's.
            verb if BY_ASKER.contains(&verb) => (404, "not_found"),
            _ => NOT_PROVEN,
        };
        assert_eq!((seen.status, seen.code.as_str()), answer, "{}", operation.name);
    }
}

#[tokio::test]
async fn a_run_s_token_for_the_broker_opens_nothing() {
    let world = World::new().await;
    let place = agent(&world.app).await;
    let body = serde_json::json!({"agent_id": place.agent, "mode": "broker"});
    let started = start_as(&world.app, &world.founder, body).await;
    let token = started.answer["broker_token"].as_str().unwrap();
    let requests = good_requests(&world).await;
    never_accepted("a token for the broker", &world.app.bearer(token), &requests, NOT_PROVEN).await;
    // As no other kind either: what proves a token is all of its text.
    let other = world.app.bearer(&token.replace("srb_", "srr_"));
    never_accepted("another prefix", &other, &requests, NOT_PROVEN).await;
    assert_eq!(started.fetch().await.status, 200, "and the run goes on");
}

/// Each operation that a run's token is for, with a request.
async fn of_a_run(world: &World) -> Vec<(Operation, Request)> {
    let mut requests = good_requests(world).await;
    requests.retain(|(operation, _)| BY_RUN.contains(&operation.verb()));
    assert_eq!(requests.len(), BY_RUN.len());
    requests
}

#[tokio::test]
async fn what_is_no_runs_token_receives_nothing() {
    let world = World::new().await;
    let (app, requests) = (&world.app, of_a_run(&world).await);
    let actor = world.actor(Role::Builder);
    let link = open_link(&world, &actor).await;
    let run = running(&world, actor.clone()).await;
    let valid = run.token.clone().unwrap();
    let minted = |kind, id| Token::mint(kind, id, &OsRandom).reveal().to_owned();
    let id = Token::parse(TokenKind::Run, &valid).unwrap().id();
    let bad = [
        ("none", app.anonymous()),
        ("empty", app.bearer("")),
        ("garbage", app.bearer("hunter2")),
        ("cut", app.bearer(&valid[..valid.len() - 1])),
        ("longer", app.bearer(&format!("{valid}0"))),
        ("another prefix", app.bearer(&valid.replace("srr_", "srk_"))),
        ("wrong secret", app.bearer(&minted(TokenKind::Run, id))),
        ("unknown id", app.bearer(&minted(TokenKind::Run, uuid::Uuid::from_u128(99)))),
        ("its starter's key", actor.caller.clone()),
        ("its starter's link", link),
    ];
    for (what, caller) in bad {
        never_accepted(what, &caller, &requests, NOT_PROVEN).await;
    }
    let seen = requests[0].1.by(&run).await;
    assert_eq!(seen.status, 200, "and the valid one is at hand: {}", seen.body);
}

#[tokio::test]
async fn a_run_ends_with_its_starters_key_however_that_ends() {
    let world = World::new().await;
    let requests = of_a_run(&world).await;
    for end in End::ALL {
        let mut actor = end.actor(&world);
        actor.maker = actor.caller.clone();
        let run = running(&world, actor.clone()).await;
        for request in &requests {
            assert_eq!(request.1.by(&run).await.status, 200, "{end:?}: {}", request.0.name);
        }
        end.comes(&world, &actor).await;
        let code = if matches!(end, End::Expired) { "run_expired" } else { "run_revoked" };
        for request in &requests {
            refused_a_run(&format!("{end:?}"), &run, request, code).await;
        }
    }
}

/// A run that is over must be refused, and told why.
async fn refused_a_run(what: &str, run: &Caller, (operation, request): &(Operation, Request), code: &str) {
    let seen = request.by(run).await;
    assert_eq!((seen.status, seen.code.as_str()), (401, code), "{what}: {}", operation.name);
    assert!(seen.headers.contains(&("www-authenticate".into(), "Bearer".into())), "{what}");
}

#[tokio::test]
async fn runs_of_a_deleted_team_receive_nothing() {
    let world = World::new().await;
    let requests = of_a_run(&world).await;
    let run = running(&world, world.actor(Role::Owner)).await;
    super::team_deleted(&world, true).await;
    for request in &requests {
        refused_a_run("of a deleted team", &run, request, "run_revoked").await;
    }
}

/// What ends a key.
#[derive(Clone, Copy, Debug)]
enum End {
    Revoked,
    Expired,
    Disabled,
    Removed,
}

impl End {
    const ALL: [Self; 4] = [Self::Revoked, Self::Expired, Self::Disabled, Self::Removed];

    /// Somebody whose key can end so.
    fn actor(self, world: &World) -> Actor {
        let soon = Timestamp::from_millis(world.app.clock.now().as_millis() + 1);
        world.owner(|key| key.grant.expires_at = matches!(self, Self::Expired).then_some(soon))
    }

    /// Ends it.
    async fn comes(self, world: &World, actor: &Actor) {
        let team = format!("/v2/teams/{}", world.home());
        let path = match self {
            Self::Revoked => format!("{team}/api-keys/{}", key_id(&actor.caller)),
            Self::Removed => format!("{team}/members/{}", actor.user),
            Self::Expired => return world.app.clock.advance(1),
            Self::Disabled => {
                world.app.disable(actor.user).await;
                // Done behind the server's back, it is known within a second.
                return world.app.clock.advance(800);
            }
        };
        assert_eq!(world.founder.delete(&path).await.status, 200);
    }
}

#[tokio::test]
async fn a_key_that_ended_is_never_accepted_cached_or_not() {
    let world = World::new().await;
    let requests = good_requests(&world).await;
    for end in End::ALL {
        let cold = end.actor(&world);
        end.comes(&world, &cold).await;
        for request in &requests {
            refused(&format!("{end:?}"), &cold.caller, request, NOT_PROVEN).await;
            let warm = end.actor(&world);
            assert_eq!(warm.caller.get("/v2/profile").await.status, 200, "{end:?}");
            end.comes(&world, &warm).await;
            refused(&format!("{end:?}, known"), &warm.caller, request, NOT_PROVEN).await;
        }
    }
}

#[tokio::test]
async fn keys_of_a_deleted_team_can_only_bring_it_back() {
    let world = World::new().await;
    let requests = good_requests(&world).await;
    let [known, unknown] = [(); 2].map(|()| world.actor(Role::Owner));
    let member = world.actor(Role::Member);
    let link = open_link(&world, &member).await;
    assert_eq!(known.caller.get("/v2/profile").await.status, 200);
    super::team_deleted(&world, true).await;
    for request in &requests {
        for actor in [&known, &unknown, &member] {
            if request.0.verb() != "undeleteTeam" {
                refused("of a deleted team", &actor.caller, request, FORBIDDEN).await;
            }
        }
    }
    assert_eq!(link.post("/v2/key-links/claim", "").await.code(), "forbidden");
    let (_, undelete) = requests.iter().find(|(operation, _)| operation.verb() == "undeleteTeam").unwrap();
    assert_eq!(undelete.by(&member.caller).await.status, 403);
    assert_eq!(undelete.by(&unknown.caller).await.status, 200);
    super::team_deleted(&world, false).await;
    assert_eq!(member.caller.get("/v2/profile").await.status, 200, "and all is as before");
}

#[tokio::test]
async fn a_link_ends_with_its_time_and_with_the_member_it_is_for() {
    let world = World::new().await;
    let claim = async |link: &Caller| link.post("/v2/key-links/claim", "").await.status.as_u16();
    let [disabled, removed, late, good] = [(); 4].map(|()| world.actor(Role::Builder));
    let [of_disabled, of_removed, of_late, of_good] =
        [&disabled, &removed, &late, &good].map(|actor| open_link(&world, actor));
    let (of_disabled, of_removed) = (of_disabled.await, of_removed.await);
    let (of_late, of_good) = (of_late.await, of_good.await);
    End::Disabled.comes(&world, &disabled).await;
    End::Removed.comes(&world, &removed).await;
    assert_eq!((claim(&of_disabled).await, claim(&of_removed).await), (401, 401));
    assert_eq!((claim(&of_good).await, claim(&of_good).await), (201, 401), "once");
    world.app.clock.advance(24 * 60 * 60 * 1_000);
    assert_eq!(claim(&of_late).await, 401, "a day later");
}

/// The methods that a path has, as `allow` lists them.
fn methods_of(path: &str) -> BTreeSet<String> {
    let of_path = described().into_iter().filter(|operation| operation.path == path);
    let mut methods: BTreeSet<_> = of_path.map(|operation| operation.method.to_string()).collect();
    if methods.contains("GET") {
        methods.insert("HEAD".into());
    }
    methods
}

#[tokio::test]
async fn a_path_has_no_methods_but_those_that_are_described() {
    const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"];
    let world = World::new().await;
    let paths: BTreeSet<_> = described().into_iter().map(|operation| operation.path).collect();
    for path in paths {
        let methods = methods_of(&path);
        let concrete = path.replace("{teamId}", &world.home().to_string());
        let concrete: String = concrete
            .split('/')
            .map(|piece| if piece.starts_with('{') { ABSENT } else { piece })
            .collect::<Vec<_>>()
            .join("/");
        for method in METHODS.into_iter().filter(|method| !methods.contains(*method)) {
            for caller in [&world.founder, &world.app.anonymous()] {
                let answer = caller.send(caller.request(method.parse().unwrap(), &concrete)).await;
                assert_eq!(answer.status, 405, "{method} {path}");
                if method != "HEAD" {
                    assert_eq!(answer.code(), "method_not_allowed");
                }
                let allowed =
                    answer.header("allow").unwrap().split(',').map(|method| method.trim().to_owned());
                assert_eq!(allowed.collect::<BTreeSet<_>>(), methods, "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn asking_for_the_head_alone_asks_for_a_key_too() {
    let world = World::new().await;
    let requests = good_requests(&world).await;
    for (operation, request) in requests.iter().filter(|(operation, _)| !operation.changes()) {
        for (caller, status) in [(world.app.anonymous(), 401), (world.app.bearer("hunter2"), 401)] {
            let answer = caller.send(caller.request(Method::HEAD, &request.path)).await;
            assert_eq!((answer.status.as_u16(), answer.body.as_str()), (status, ""), "{}", operation.name);
        }
    }
}
