//! One transaction a verb: what wins, what is refused, and that what is refused
//! leaves nothing behind.

use std::sync::Arc;
use strongroom_core::access::{Action, Means, Ownership};
use strongroom_core::agents::{Agent, Revision};
use strongroom_core::answers::KEPT_FOR;
use strongroom_core::app::{Cause, Error};
use strongroom_core::environment::Composition;
use strongroom_core::events::{Actor, Event, Place};
use strongroom_core::grants::{Agents, Networks};
use strongroom_core::rows::Stored;
use strongroom_core::runs::{Ended, Run, RunMode, RunsOf};
use strongroom_core::secrets::Secret;
use strongroom_core::store::{Change, Put, Write};
use strongroom_core::text::{AgentName, Email, RunNote, SecretName, TeamName};
use strongroom_core::tokens::Token;
use strongroom_core::users::{Membership, User};
use strongroom_core::{AgentId, ApiKeyId, Permit, Role, RunId, SecretId, StoreError, UserId};

use strongroom_store::sqlite::FILE;
use strongroom_testbed::Cell;

use crate::support::{Colleague, Instance, NOW, at, delivery, event, permit, policy};

#[tokio::test]
async fn what_is_no_policy_is_no_secret_that_can_be_read() {
    let instance = Instance::new().await;
    let new = Secret { policy: Some(policy(&["/"])), ..instance.new_secret(None) };
    let (id, stored) = (new.id, instance.sign(new));
    let written = stored.row().policy.as_ref().unwrap().to_stored();
    instance.write(vec![Change::Secret(Put::new(stored))]).await.unwrap();
    let alter = |text: &str| {
        let update = "UPDATE secrets SET policy = ? WHERE id = ?";
        let values: [Cell; 2] = [text.into(), id.as_bytes().into()];
        assert_eq!(instance.behind(|database| database.execute(update, values)), Ok(1));
    };
    let spaced = format!(" {written}");
    for broken in ["", "{}", "null", "hunter2", &written[1..], &spaced] {
        alter(broken);
        let read = instance.database.secret(instance.team, id).await;
        assert!(matches!(read, Err(StoreError::Malformed("secrets"))), "{broken}");
    }
    // Another policy can be read, and isn't what was stored.
    alter(&policy(&["/v1/"]).to_stored());
    let other = instance.database.secret(instance.team, id).await.unwrap().unwrap();
    assert!(instance.keyring.verify(other).is_err());
    alter(&written);
    assert!(instance.holds(instance.database.secret(instance.team, id).await.unwrap()));
}

#[tokio::test]
async fn every_field_of_every_row_comes_back() {
    let instance = Instance::new().await;
    let team = instance.sign(instance.new_team());
    let mut user = instance.new_user(Some("ben@example.com"));
    (user.service_of, user.disabled_at) = (Some(instance.team), Some(at(NOW + 1)));
    let mut membership = instance.new_membership(user.id, Role::Builder);
    membership.removed_at = Some(at(NOW + 2));
    let (mut key, _) = instance.new_key(user.id);
    let mut agent = instance.new_agent();
    let revision = instance.new_revision(agent.id);
    (agent.live, agent.generation, agent.deleted_at) = (Some(revision.id), u32::MAX, Some(at(NOW + 7)));
    key.grant.agents = Some(Agents::new([1, 2].map(|_| AgentId::from_uuid(instance.id())).to_vec()).unwrap());
    key.grant.networks = Some(Networks::parse(["10.0.0.0/8", "2001:db8::1"]).unwrap());
    (key.grant.expires_at, key.revoked_at) = (Some(at(NOW + 3)), Some(at(NOW + 4)));
    let (mut link, _) = instance.new_link(user.id);
    (link.grant, link.closed_at) = (key.grant.clone(), Some(at(NOW + 5)));
    let mut secret = instance.new_secret(Some(user.id));
    (secret.deleted_at, secret.version, secret.policy) = (Some(at(NOW + 6)), 7, Some(policy(&["/", "/v1/"])));
    let attachment = instance.new_attachment(revision.id, secret.id);
    let run = whole_run(&instance, (user.id, key.id), &secret, &revision);
    let ids = (team.row().id, user.id, key.id, link.id, secret.id);
    let theirs = (agent.id, revision.id, run.id);
    let changes = vec![
        Change::Team(Put::new(team)),
        Change::User(Put::new(instance.sign(user))),
        Change::Membership(Put::new(instance.sign(membership))),
        Change::ApiKey(Put::new(instance.sign(key))),
        Change::KeyLink(Put::new(instance.sign(link))),
        Change::Secret(Put::new(instance.sign(secret))),
        Change::Agent(Put::new(instance.sign(agent))),
        Change::Revision(Put::new(instance.sign(revision))),
        Change::Attachment(Put::new(instance.sign(attachment))),
        Change::Run(Put::new(instance.sign(run))),
    ];
    instance.write(changes).await.unwrap();
    let (database, ours) = (&instance.database, instance.team);
    assert!(instance.holds(database.team(ids.0).await.unwrap()));
    let member = database.member(ours, ids.1).await.unwrap().unwrap();
    assert!(instance.holds(Some(member.user)) && instance.holds(Some(member.membership)));
    assert!(instance.holds(database.api_key(ours, ids.2).await.unwrap()));
    assert!(instance.holds(database.key_link(ours, ids.3).await.unwrap()));
    assert!(instance.holds(database.secret(ours, ids.4).await.unwrap()), "deleted ones, too");
    assert!(instance.holds(database.agent(ours, theirs.0).await.unwrap()), "deleted ones, too");
    assert!(instance.holds(database.revision(ours, theirs.1).await.unwrap()));
    assert!(instance.holds(database.attachments(ours, theirs.1).await.unwrap().pop()));
    let rows = database.run(theirs.2).await.unwrap().unwrap();
    assert!(instance.holds(Some(rows.run)) && instance.holds(Some(rows.key)));
    assert!(instance.holds(Some(rows.agent)) && instance.holds(Some(rows.user)));
    assert!(instance.holds(Some(rows.membership)) && instance.holds(Some(rows.team)));
    assert!(instance.app.verify(|| ()).await.unwrap().findings.iter().all(|f| f.table == "versions"));
    // Another team has none of them.
    assert!(database.api_key(ids.0, ids.2).await.unwrap().is_none());
    assert!(database.key_link(ids.0, ids.3).await.unwrap().is_none());
    assert!(database.secret(ids.0, ids.4).await.unwrap().is_none());
    assert!(database.agent(ids.0, theirs.0).await.unwrap().is_none());
    assert!(database.revision(ids.0, theirs.1).await.unwrap().is_none());
    assert!(database.attachments(ids.0, theirs.1).await.unwrap().is_empty());
    assert!(database.runs(ids.0, RunsOf::Run(theirs.2), (0, 9)).await.unwrap().is_empty());
}

/// A run with something in every field.
fn whole_run(
    instance: &Instance,
    (user_id, key_id): (UserId, ApiKeyId),
    secret: &Secret,
    revision: &Revision,
) -> Run {
    Run {
        id: RunId::from_uuid(instance.id()),
        team_id: instance.team,
        agent_id: revision.agent_id,
        revision_id: revision.id,
        user_id,
        key_id,
        generation: u32::MAX,
        strict: true,
        note: Some(RunNote::parse("nightly …").unwrap()),
        composition: Composition::new([secret]),
        token_hash: instance.new_key(user_id).0.token_hash,
        lease: u32::MAX,
        created_at: at(NOW),
        updated_at: at(NOW + 8),
        expires_at: at(NOW + 9),
        stopped_at: Some(at(NOW + 10)),
        revoked_at: Some(at(NOW + 11)),
        mode: RunMode::Broker,
        broker_hash: Some(instance.new_key(user_id).0.token_hash),
    }
}

#[tokio::test]
async fn half_of_what_a_run_by_the_broker_has_is_no_run_that_can_be_read() {
    let instance = Instance::new().await;
    let by = instance.store_member(Role::Builder).await;
    let agent = instance.store_agent().await;
    let (run, _) = instance.store_run(&by, agent.row().id).await;
    for (half, other) in [
        ("mode = 'broker'", "mode = NULL"),
        ("broker_hash = token_hash", "broker_hash = NULL"),
        ("mode = 'inject'", "mode = NULL"),
    ] {
        let set = |set: &str| {
            let update = format!("UPDATE runs SET {set}");
            instance.behind(|database| database.execute_batch(&update).unwrap());
        };
        set(half);
        let read = instance.database.run(run.row().id).await;
        assert!(matches!(read, Err(StoreError::Malformed("runs"))), "{half}: {read:?}");
        set(other);
        assert!(instance.holds(instance.database.run(run.row().id).await.unwrap().map(|rows| rows.run)));
    }
}

/// Renames a secret, as somebody who saw it like this.
fn renamed(instance: &Instance, was: &Stored<Secret>, name: &str) -> Change {
    Change::Secret(instance.altered(was, |secret| secret.name = SecretName::parse(name).unwrap()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_who_saw_the_same_row_one_replaces_it() {
    let instance = Arc::new(Instance::new().await);
    let was = instance.store_secret(instance.new_secret(None)).await;
    let permit = instance.permit().await;
    let writers: Vec<_> = (0..64)
        .map(|at| {
            let (instance, was, permit) = (Arc::clone(&instance), was.clone(), permit.clone());
            tokio::spawn(async move {
                let change = renamed(&instance, &was, &format!("name {at}"));
                (at, instance.write_by(permit, vec![change]).await)
            })
        })
        .collect();
    let mut winners = Vec::new();
    for writer in writers {
        match writer.await.unwrap() {
            (at, Ok(())) => winners.push(format!("name {at}")),
            (_, Err(error)) => assert!(matches!(error, StoreError::Changed), "{error:?}"),
        }
    }
    let now = instance.database.secret(instance.team, was.row().id).await.unwrap().unwrap();
    assert_eq!(winners, [now.row().name.as_str()]);
    assert_eq!(instance.count("SELECT count(*) FROM events WHERE kind = 'secret.updated'"), 2);
    // Who looks again wins again.
    instance.write(vec![renamed(&instance, &now, "again")]).await.unwrap();
}

/// Makes a step anew each time.
type Step<'a> = Box<dyn Fn() -> Change + 'a>;

#[tokio::test]
async fn a_step_that_fails_undoes_those_before_and_their_event() {
    let instance = Instance::new().await;
    let seen = instance.store_secret(instance.new_secret(None)).await;
    let other = instance.sign(instance.new_team());
    let taken = instance.sign(instance.new_user(Some("ada@example.com")));
    let agent = instance.store_agent().await;
    let revision = instance.new_revision(agent.row().id);
    let attachment = instance.sign(instance.new_attachment(revision.id, seen.row().id));
    instance.write(vec![Change::Attachment(Put::new(attachment.clone()))]).await.unwrap();
    let detach = |secret, mac| Change::Detach(instance.team, revision.id, secret, mac);
    let failures: Vec<(Step, &str)> = vec![
        (Box::new(|| Change::SecretIs(instance.team, seen.row().id, other.mac())), "Changed"),
        (Box::new(|| Change::MembershipIs(instance.team, instance.owner, other.mac())), "Changed"),
        (Box::new(|| Change::AgentIs(instance.team, agent.row().id, other.mac())), "Changed"),
        (Box::new(|| Change::AgentIs(other.row().id, agent.row().id, agent.mac())), "Changed"),
        (Box::new(|| detach(seen.row().id, other.mac())), "Changed"),
        (Box::new(|| detach(SecretId::from_uuid(instance.id()), attachment.mac())), "Changed"),
        (Box::new(|| Change::Agent(Put::new(agent.clone()))), "Exists"),
        (Box::new(|| Change::Attachment(Put::new(attachment.clone()))), "Exists"),
        (Box::new(|| renamed(&instance, &instance.sign(instance.new_secret(None)), "gone")), "Changed"),
        (Box::new(|| Change::Secret(Put::new(seen.clone()))), "Exists"),
        (Box::new(|| Change::Version(instance.new_version(seen.row().id, 1))), "Exists"),
        (Box::new(|| Change::User(Put::new(taken.clone()))), "Exists"),
        (Box::new(|| Change::HasOwner(other.row().id)), "LastOwner"),
    ];
    let rows = "SELECT (SELECT count(*) FROM secrets) + (SELECT count(*) FROM versions) \
                + (SELECT count(*) FROM events)";
    let before = instance.count(rows);
    let steps = |last: Option<Change>| {
        let new = instance.new_secret(None);
        let version = Change::Version(instance.new_version(new.id, 1));
        let changes = vec![renamed(&instance, &seen, "another"), version];
        changes.into_iter().chain([Change::Secret(Put::new(instance.sign(new)))]).chain(last).collect()
    };
    for (failing, why) in &failures {
        let error = instance.write(steps(Some(failing()))).await.unwrap_err();
        assert_eq!(format!("{error:?}"), *why);
        assert_eq!(instance.count(rows), before);
        let now = instance.database.secret(instance.team, seen.row().id).await.unwrap().unwrap();
        assert_eq!(now.mac(), seen.mac(), "as it was");
    }
    // Without a failing step, and with steps that hold, all of it is there.
    let membership =
        instance.database.member(instance.team, instance.owner).await.unwrap().unwrap().membership;
    let mut all: Vec<Change> = vec![
        Change::SecretIs(instance.team, seen.row().id, seen.mac()),
        Change::MembershipIs(instance.team, instance.owner, membership.mac()),
        Change::HasOwner(instance.team),
        Change::AgentIs(instance.team, agent.row().id, agent.mac()),
        detach(seen.row().id, attachment.mac()),
    ];
    all.extend(steps(None));
    instance.write(all).await.unwrap();
    assert_eq!(instance.count(rows), before + 3);
    assert_eq!(instance.count("SELECT count(*) FROM attachments"), 0);
}

#[tokio::test]
async fn an_index_costs_only_what_it_is_for() {
    let instance = Instance::sqlite().await;
    let mut gone = instance.new_secret(None);
    gone.deleted_at = Some(at(NOW));
    instance.store_secret(gone).await;
    let secret = instance.store_secret(instance.new_secret(None)).await;
    let connect = || rusqlite::Connection::open(instance.data().join(FILE)).unwrap();
    // Whoever reads keeps the WAL from starting anew, so that its pages can be counted.
    let (reader, counter) = (connect(), connect());
    let moment = reader.unchecked_transaction().unwrap();
    moment.query_row("SELECT count(*) FROM secrets", [], |_| Ok(())).unwrap();
    let pages =
        || -> i64 { counter.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(1)).unwrap() };
    let mut was = secret;
    let mut written = async |deleted| {
        let before = pages();
        let put = instance.altered(&was, |secret| {
            (secret.version, secret.deleted_at) = (secret.version + 1, deleted);
        });
        was = put.now.clone();
        instance.write(vec![Change::Secret(put)]).await.unwrap();
        pages() - before
    };
    assert_eq!(written(None).await, 3, "the secret, the event, and the index of a team's");
    assert_eq!(written(Some(at(NOW))).await, 5, "and the indexes of deleted ones, all and the team's");
    assert_eq!(written(None).await, 5);
}

#[tokio::test]
async fn an_address_is_one_users_whatever_its_case() {
    let instance = Instance::new().await;
    let new = |email| Change::User(Put::new(instance.sign(instance.new_user(email))));
    let refused = instance.write(vec![new(Some("ADA@Example.com"))]).await;
    assert!(matches!(refused, Err(StoreError::Exists)), "{refused:?}");
    let second = instance.sign(instance.new_user(Some("Ben@example.com")));
    instance.write(vec![Change::User(Put::new(second.clone())), new(None), new(None)]).await.unwrap();
    let taking =
        instance.altered(&second, |user| user.email = Some(Email::parse("aDa@example.com").unwrap()));
    let refused = instance.write(vec![Change::User(taking)]).await;
    assert!(matches!(refused, Err(StoreError::Exists)), "{refused:?}");
    let recased =
        instance.altered(&second, |user| user.email = Some(Email::parse("ben@EXAMPLE.com").unwrap()));
    instance.write(vec![Change::User(recased)]).await.unwrap();
    let find = async |email| instance.database.user_by_email(&Email::parse(email).unwrap()).await.unwrap();
    assert_eq!(find("BEN@example.COM").await.unwrap().row().id, second.row().id);
    assert!(find("ben@example.org").await.is_none());
}

/// Takes the founder's ownership away in some way.
type Demotion = fn(&mut User, &mut Membership);

#[tokio::test]
async fn a_team_is_never_left_without_an_owner() {
    let ways: [(&str, Demotion); 4] = [
        ("a lower role", |_, membership| membership.role = Role::Administrator),
        ("removed", |_, membership| membership.removed_at = Some(at(NOW))),
        ("disabled", |user, _| user.disabled_at = Some(at(NOW))),
        ("a service user", |user, membership| user.service_of = Some(membership.team_id)),
    ];
    let instance = Instance::new().await;
    let demoted = async |demote: Demotion| {
        let founder = instance.database.member(instance.team, instance.owner).await.unwrap().unwrap();
        let (mut user, mut membership) = (founder.user.row().clone(), founder.membership.row().clone());
        demote(&mut user, &mut membership);
        vec![
            Change::User(Put::over(founder.user.mac(), instance.sign(user))),
            Change::Membership(Put::over(founder.membership.mac(), instance.sign(membership))),
            Change::HasOwner(instance.team),
        ]
    };
    for (way, demote) in ways {
        let refused = instance.write(demoted(demote).await).await;
        assert!(matches!(refused, Err(StoreError::LastOwner)), "{way}: {refused:?}");
    }
    // An administrator is no owner; a second owner is.
    instance.store_member(Role::Administrator).await;
    let refused = instance.write(demoted(ways[0].1).await).await;
    assert!(matches!(refused, Err(StoreError::LastOwner)), "{refused:?}");
    instance.store_member(Role::Owner).await;
    instance.write(demoted(ways[0].1).await).await.unwrap();
}

#[tokio::test]
async fn an_answer_stands_for_a_day_and_then_gives_way() {
    let instance = Instance::new().await;
    let answered = async |id, created_at| {
        let (permit, secret) = (instance.permit().await, instance.sign(instance.new_secret(None)));
        let (changes, events) = (vec![Change::Secret(Put::new(secret))], vec![event(&permit)]);
        let answers = vec![instance.new_answer(id, created_at)];
        instance.database.write(Write { permit, changes, events, answers, rehearsal: false }).await
    };
    let secrets = || instance.count("SELECT count(*) FROM secrets");
    answered(1, NOW).await.unwrap();
    for soon in [NOW, NOW + KEPT_FOR - 1] {
        assert!(matches!(answered(1, soon).await, Err(StoreError::Answered)));
        let kept = instance.database.keep_answer(instance.new_answer(1, soon)).await;
        assert!(matches!(kept, Err(StoreError::Answered)));
    }
    assert_eq!(secrets(), 1, "what was answered is not done again");
    answered(2, NOW).await.unwrap();
    answered(1, NOW + KEPT_FOR).await.unwrap();
    assert_eq!(secrets(), 3);
    let id = instance.new_answer(1, 0).row().id;
    let kept = instance.database.answer(id).await.unwrap();
    assert_eq!(kept.as_ref().unwrap().row().created_at, at(NOW + KEPT_FOR));
    assert!(instance.holds(kept));
    let later = instance.new_answer(1, NOW + 2 * KEPT_FOR);
    instance.database.keep_answer(later).await.unwrap();
}

#[tokio::test]
async fn old_answers_are_forgotten_a_few_at_a_time() {
    let instance = Instance::new().await;
    for id in 1..=5 {
        instance.database.keep_answer(instance.new_answer(id, NOW + i64::from(id))).await.unwrap();
    }
    let forget = async |before, limit| instance.database.forget_answers(at(before), limit).await.unwrap();
    assert_eq!(forget(NOW + 1, 10).await, 0);
    assert_eq!(forget(NOW + 5, 3).await, 3);
    assert_eq!(forget(NOW + 5, 3).await, 1);
    assert_eq!(instance.count("SELECT created_at FROM answers"), NOW + 5);
}

/// Takes some right of a colleague away.
type Loss = fn(&Instance, &Colleague) -> Change;

#[tokio::test]
async fn a_permit_ends_with_any_row_that_it_stands_on() {
    let losses: [(&str, Loss); 5] = [
        ("key revoked", |instance, colleague| {
            Change::ApiKey(instance.altered(&colleague.key, |key| key.revoked_at = Some(at(NOW))))
        }),
        ("user disabled", |instance, colleague| {
            Change::User(instance.altered(&colleague.user, |user| user.disabled_at = Some(at(NOW))))
        }),
        ("member removed", |instance, colleague| {
            Change::Membership(instance.altered(&colleague.membership, |row| row.removed_at = Some(at(NOW))))
        }),
        ("role changed", |instance, colleague| {
            Change::Membership(instance.altered(&colleague.membership, |row| row.role = Role::Member))
        }),
        ("grant changed", |instance, colleague| {
            Change::ApiKey(instance.altered(&colleague.key, |key| key.grant.role = Role::Member))
        }),
    ];
    for (way, loss) in losses {
        let instance = Instance::new().await;
        let colleague = instance.store_member(Role::Manager).await;
        let permit = permit(&instance.caller(&colleague.token).await.unwrap());
        let secret = || vec![Change::Secret(Put::new(instance.sign(instance.new_secret(None))))];
        instance.write_by(permit.clone(), secret()).await.unwrap();
        instance.write(vec![loss(&instance, &colleague)]).await.unwrap();
        let refused = instance.write_by(permit, secret()).await;
        assert!(matches!(refused, Err(StoreError::StalePermit)), "{way}: {refused:?}");
        assert_eq!(instance.count("SELECT count(*) FROM secrets"), 1, "{way}");
    }
}

#[tokio::test]
async fn a_permit_ends_with_its_team_or_with_a_row_that_is_gone() {
    let instance = Instance::new().await;
    let colleague = instance.store_member(Role::Manager).await;
    let theirs = permit(&instance.caller(&colleague.token).await.unwrap());
    let refused = async |permit: &Permit| {
        let refused = instance.write_by(permit.clone(), vec![]).await;
        assert!(matches!(refused, Err(StoreError::StalePermit)), "{refused:?}");
    };
    instance.write_by(theirs.clone(), vec![]).await.unwrap();
    let team = instance.database.team(instance.team).await.unwrap().unwrap();
    let deleted = instance.altered(&team, |team| team.deleted_at = Some(at(NOW)));
    let restored = Put::over(deleted.now.mac(), team.clone());
    instance.write(vec![Change::Team(deleted)]).await.unwrap();
    refused(&theirs).await;
    let founder = instance.caller(&instance.token).await.unwrap();
    let undelete = founder.permit(Action::UndeleteTeam, Ownership::Own).unwrap();
    instance.write_by(undelete, vec![Change::Team(restored)]).await.unwrap();
    instance.write_by(theirs.clone(), vec![]).await.expect("the same rows as before");
    for gone in ["api_keys", "memberships"] {
        let user = colleague.user.row().id;
        let delete = format!("DELETE FROM {gone} WHERE user_id = ?");
        assert_eq!(instance.behind(|database| database.execute(&delete, [user.as_bytes()])), Ok(1));
        refused(&theirs).await;
    }
}

#[tokio::test]
async fn a_links_permit_ends_when_the_link_is_closed() {
    let instance = Instance::new().await;
    let colleague = instance.store_member(Role::Member).await;
    let (link, token) = instance.new_link(colleague.user.row().id);
    let link = instance.sign(link);
    instance.write(vec![Change::KeyLink(Put::new(link.clone()))]).await.unwrap();
    let rows = instance.database.link_rows(link.row().id).await.unwrap().unwrap();
    assert!(instance.holds(Some(rows.means)) && instance.holds(rows.membership));
    let caller = instance.app.authenticate_link(token.reveal(), &Cause::default()).await.unwrap();
    let permit = caller.permit(Action::ClaimKeyLink, Ownership::Own).unwrap();
    assert_eq!(permit.means(), Means::Link(link.row().id));
    let claim = || {
        let (key, _) = instance.new_key(colleague.user.row().id);
        let closed = instance.altered(&link, |link| link.closed_at = Some(at(NOW)));
        vec![Change::KeyLink(closed), Change::ApiKey(Put::new(instance.sign(key)))]
    };
    instance.write_by(permit.clone(), claim()).await.unwrap();
    let again = instance.write_by(permit, claim()).await;
    assert!(matches!(again, Err(StoreError::StalePermit)), "{again:?}");
    assert_eq!(instance.count("SELECT count(*) FROM api_keys"), 3, "the founder's, theirs, the claimed one");
    let refused = instance.app.authenticate_link(token.reveal(), &Cause::default()).await;
    assert!(matches!(refused, Err(Error::NotProven)));
}

/// A colleague's run, and the rows that it hangs on.
struct Working {
    instance: Instance,
    colleague: Colleague,
    agent: Stored<Agent>,
    run: Stored<Run>,
    token: Token,
}

impl Working {
    async fn new() -> Self {
        let instance = Instance::new().await;
        let colleague = instance.store_member(Role::Builder).await;
        let agent = instance.store_agent().await;
        let (run, token) = instance.store_run(&colleague, agent.row().id).await;
        Self { instance, colleague, agent, run, token }
    }

    async fn permit(&self) -> Result<Permit, Error> {
        let app = &self.instance.app;
        let caller = app.authenticate_run(self.token.reveal(), None, &Cause::default()).await?;
        Ok(caller.permit(Action::ReceiveEnvironment, Ownership::Own).unwrap())
    }

    /// That the run received something.
    fn receives(&self, version: u32) -> Vec<Change> {
        let secret = SecretId::from_uuid(self.run.row().id.uuid());
        vec![Change::Delivery(delivery(self.run.row().id, secret, version, &["A"]))]
    }

    fn deliveries(&self) -> i64 {
        self.instance.count("SELECT count(*) FROM deliveries")
    }
}

/// Changes a row of one of the tables that a run hangs on.
type Alteration = fn(&Working) -> Change;

#[tokio::test]
async fn a_runs_permit_ends_with_any_of_its_six_rows() {
    let alterations: [(&str, Alteration); 5] = [
        ("runs", |working| Change::Run(working.instance.altered(&working.run, |run| run.lease += 1))),
        ("api_keys", |working| {
            let revoked =
                working.instance.altered(&working.colleague.key, |key| key.revoked_at = Some(at(NOW)));
            Change::ApiKey(revoked)
        }),
        ("agents", |working| {
            Change::Agent(working.instance.altered(&working.agent, |agent| agent.generation += 1))
        }),
        ("users", |working| {
            let disable = |user: &mut User| user.disabled_at = Some(at(NOW));
            Change::User(working.instance.altered(&working.colleague.user, disable))
        }),
        ("memberships", |working| {
            let lower = |row: &mut Membership| row.role = Role::Member;
            Change::Membership(working.instance.altered(&working.colleague.membership, lower))
        }),
    ];
    for (table, alteration) in alterations {
        let working = Working::new().await;
        let permit = working.permit().await.unwrap();
        working.instance.write_by(permit.clone(), working.receives(1)).await.unwrap();
        working.instance.write(vec![alteration(&working)]).await.unwrap();
        let refused = working.instance.write_by(permit, working.receives(2)).await;
        assert!(matches!(refused, Err(StoreError::StalePermit)), "{table}: {refused:?}");
        assert_eq!(working.deliveries(), 1, "{table}");
        match working.permit().await {
            Ok(_) => assert_eq!(table, "runs", "only its lease was changed"),
            Err(refused) => {
                assert!(matches!(refused, Error::RunOver(Ended::Revoked)), "{table}: {refused:?}");
            }
        }
    }
    // The sixth is the team.
    let working = Working::new().await;
    let permit = working.permit().await.unwrap();
    let team = working.instance.database.team(working.instance.team).await.unwrap().unwrap();
    let renamed = working.instance.altered(&team, |team| team.name = TeamName::parse("x").unwrap());
    working.instance.write(vec![Change::Team(renamed)]).await.unwrap();
    let refused = working.instance.write_by(permit, working.receives(1)).await;
    assert!(matches!(refused, Err(StoreError::StalePermit)), "{refused:?}");
}

#[tokio::test]
async fn a_runs_permit_stands_while_other_rows_change() {
    let working = Working::new().await;
    let (instance, permit) = (&working.instance, working.permit().await.unwrap());
    let other = instance.store_member(Role::Builder).await;
    let agent = instance.store_agent().await;
    let (run, _) = instance.store_run(&other, agent.row().id).await;
    let changes = vec![
        Change::Run(instance.altered(&run, |run| run.stopped_at = Some(at(NOW)))),
        Change::ApiKey(instance.altered(&other.key, |key| key.revoked_at = Some(at(NOW)))),
        Change::Agent(instance.altered(&agent, |agent| agent.name = AgentName::parse("x").unwrap())),
        Change::User(instance.altered(&other.user, |user| user.disabled_at = Some(at(NOW)))),
        Change::Membership(instance.altered(&other.membership, |row| row.role = Role::Member)),
    ];
    instance.write(changes).await.unwrap();
    instance.write_by(permit, working.receives(1)).await.unwrap();
}

#[tokio::test]
async fn a_run_whose_rows_are_gone_is_none() {
    for (table, column, id) in [
        ("runs", "id", |working: &Working| *working.run.row().id.as_bytes()),
        ("agents", "id", |working: &Working| *working.agent.row().id.as_bytes()),
        ("api_keys", "id", |working: &Working| *working.colleague.key.row().id.as_bytes()),
        ("memberships", "user_id", |working: &Working| *working.colleague.user.row().id.as_bytes()),
    ] as [(&str, &str, fn(&Working) -> [u8; 16]); 4]
    {
        let working = Working::new().await;
        let permit = working.permit().await.unwrap();
        let delete = format!("DELETE FROM {table} WHERE {column} = ?");
        let gone = working.instance.behind(|database| database.execute(&delete, [&id(&working)]));
        assert_eq!(gone, Ok(1), "{table}");
        assert!(matches!(working.permit().await, Err(Error::NotProven)), "{table}");
        let refused = working.instance.write_by(permit, working.receives(1)).await;
        assert!(matches!(refused, Err(StoreError::StalePermit)), "{table}: {refused:?}");
    }
}

#[tokio::test]
async fn the_very_same_delivery_is_noted_once_and_the_first_stays() {
    let working = Working::new().await;
    let (instance, run) = (&working.instance, working.run.row().id);
    let secret = SecretId::from_uuid(instance.id());
    let noted = async |version, names: &[&str], millis| {
        let delivery =
            strongroom_core::runs::Delivery { at: at(millis), ..delivery(run, secret, version, names) };
        instance.write(vec![Change::Delivery(delivery)]).await.unwrap();
        working.deliveries()
    };
    assert_eq!(noted(1, &["A", "B"], NOW).await, 1);
    assert_eq!(noted(1, &["B", "A"], NOW + 1).await, 1, "names have no order");
    assert_eq!(noted(1, &["A"], NOW + 2).await, 2, "other names of the same version");
    assert_eq!(noted(2, &["A", "B"], NOW + 3).await, 3);
    let found = instance.database.deliveries(instance.team, RunsOf::Run(run), (None, 1)).await.unwrap();
    let first = found
        .iter()
        .flat_map(|(_, row)| row)
        .find(|row| (row.version, row.env_keys.len()) == (1, 2))
        .unwrap();
    assert_eq!((first.at, first), (at(NOW), &delivery(run, secret, 1, &["A", "B"])));
}

#[tokio::test]
async fn an_event_tells_of_which_agent_and_by_which_run() {
    let working = Working::new().await;
    let (permit, run) = (working.permit().await.unwrap(), working.run.row());
    assert_eq!(permit.means(), Means::Run(run.id));
    let actor = Actor {
        user_id: Some(run.user_id),
        key_id: Some(run.key_id),
        run_id: Some(run.id),
        session_id: None,
    };
    let place = Place { agent_id: Some(run.agent_id), revision_id: Some(run.revision_id) };
    let events = vec![Event { actor, place, ..event(&permit) }];
    let write = Write { permit, changes: vec![], events, answers: Vec::new(), rehearsal: false };
    working.instance.database.write(write).await.unwrap();
    let of_run = "SELECT count(*) FROM events e JOIN runs r ON e.run_id = r.id AND e.user_id = r.user_id \
                  AND e.key_id = r.key_id AND e.agent_id = r.agent_id AND e.revision_id = r.revision_id";
    assert_eq!(working.instance.count(of_run), 1);
    assert_eq!(working.instance.count("SELECT count(*) FROM events WHERE agent_id IS NOT NULL"), 1);
}
