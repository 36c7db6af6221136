//! Lists: whom and what they hold, in which order, and that pages neither
//! overlap nor leave anything out.

use std::collections::BTreeSet;
use strongroom_core::events::{Event, EventKind, Refusal};
use strongroom_core::runs::{Delivery, Run, RunsOf, StoredRun};
use strongroom_core::secrets::Secret;
use strongroom_core::store::{ByDay, Change, Put};
use strongroom_core::{AgentId, ApiKeyId, Role, RunId, SecretId, StoreError, TeamId};
use uuid::Uuid;

use crate::support::{Colleague, Instance, NOW, at, delivery, event};

#[tokio::test]
async fn members_who_left_are_found_but_not_listed() {
    let instance = Instance::new().await;
    let mut members = vec![instance.owner];
    for _ in 0..3 {
        members.push(instance.store_member(Role::Member).await.user.row().id);
    }
    members.sort();
    let page = async |after, limit| {
        let members = instance.database.members(instance.team, after, limit).await.unwrap();
        members.iter().map(|member| member.user.row().id).collect::<Vec<_>>()
    };
    assert_eq!(page(None, 10).await, members);
    assert_eq!(page(None, 2).await, members[..2]);
    assert_eq!(page(Some(members[1]), 2).await, members[2..]);
    let gone = members.iter().copied().find(|member| *member != instance.owner).unwrap();
    let row = instance.database.member(instance.team, gone).await.unwrap().unwrap().membership;
    let removed = instance.altered(&row, |row| row.removed_at = Some(at(NOW)));
    instance.write(vec![Change::Membership(removed)]).await.unwrap();
    members.retain(|member| *member != gone);
    assert_eq!(page(None, 10).await, members);
    let found = instance.database.member(instance.team, gone).await.unwrap().unwrap();
    assert_eq!(found.membership.row().removed_at, Some(at(NOW)));
}

#[tokio::test]
async fn keys_are_listed_with_their_latest_use() {
    let instance = Instance::new().await;
    let colleague = instance.store_member(Role::Member).await;
    let mut theirs = vec![colleague.key.row().id];
    for _ in 0..2 {
        let (key, _) = instance.new_key(colleague.user.row().id);
        theirs.push(key.id);
        instance.write(vec![Change::ApiKey(Put::new(instance.sign(key)))]).await.unwrap();
    }
    let page = async |user, after, limit| {
        let keys = instance.database.api_keys(instance.team, user, after, limit).await.unwrap();
        keys.into_iter().map(|used| (used.key.row().id, used.last_used_at)).collect::<Vec<_>>()
    };
    let unused = |ids: &[ApiKeyId]| ids.iter().map(|id| (*id, None)).collect::<Vec<_>>();
    let colleague = Some(colleague.user.row().id);
    assert_eq!(page(colleague, None, 10).await, unused(&theirs));
    assert_eq!(page(colleague, Some(theirs[0]), 1).await, unused(&theirs[1..2]));
    assert_eq!(page(None, None, 10).await.len(), 4, "the founder's, too");
    let nobodys = ApiKeyId::from_uuid(instance.id());
    let noted = [(theirs[0], NOW + 5), (theirs[1], NOW), (nobodys, NOW)];
    let noted = noted.map(|(key, used_at)| (key, at(used_at)));
    instance.database.note_uses(noted.to_vec()).await.unwrap();
    instance.database.note_uses(vec![(theirs[0], at(NOW + 1)), (theirs[1], at(NOW + 2))]).await.unwrap();
    let latest = page(colleague, None, 10).await.into_iter().map(|(_, used_at)| used_at).collect::<Vec<_>>();
    assert_eq!(
        latest,
        [Some(at(NOW + 5)), Some(at(NOW + 2)), None],
        "no earlier use takes a later one's place"
    );
    assert_eq!(instance.count("SELECT count(*) FROM api_key_uses"), 2, "a key that is gone has no uses");
}

#[tokio::test]
async fn closed_links_are_found_but_not_listed() {
    let instance = Instance::new().await;
    let links: Vec<_> = (0..3).map(|_| instance.sign(instance.new_link(instance.owner).0)).collect();
    let put = links.iter().map(|link| Change::KeyLink(Put::new(link.clone()))).collect();
    instance.write(put).await.unwrap();
    let page = async |after, limit| {
        let links = instance.database.key_links(instance.team, after, limit).await.unwrap();
        links.iter().map(|link| link.row().id).collect::<Vec<_>>()
    };
    let ids: Vec<_> = links.iter().map(|link| link.row().id).collect();
    assert_eq!(page(None, 10).await, ids);
    assert_eq!(page(Some(ids[0]), 1).await, ids[1..2]);
    let closed = instance.altered(&links[1], |link| link.closed_at = Some(at(NOW)));
    instance.write(vec![Change::KeyLink(closed)]).await.unwrap();
    assert_eq!(page(None, 10).await, [ids[0], ids[2]]);
    assert!(instance.database.key_link(instance.team, ids[1]).await.unwrap().is_some());
}

#[tokio::test]
async fn versions_come_by_number() {
    let instance = Instance::new().await;
    let secret = instance.store_secret(instance.new_secret(None)).await.row().id;
    let more = (2..=12).rev().map(|number| Change::Version(instance.new_version(secret, number))).collect();
    instance.write(more).await.unwrap();
    let other = instance.store_secret(instance.new_secret(None)).await.row().id;
    let page = async |after, limit| {
        let versions = instance.database.versions(secret, after, limit).await.unwrap();
        versions.iter().map(|version| version.number).collect::<Vec<_>>()
    };
    assert_eq!(page(0, 100).await, (1..=12).collect::<Vec<_>>());
    assert_eq!(page(9, 2).await, [10, 11]);
    assert_eq!(instance.database.version(secret, 12).await.unwrap().unwrap().number, 12);
    assert!(instance.database.version(secret, 13).await.unwrap().is_none());
    assert!(instance.database.version(other, 2).await.unwrap().is_none());
}

#[tokio::test]
async fn deleted_secrets_are_found_but_not_listed() {
    let instance = Instance::new().await;
    let kept = instance.store_secret(instance.new_secret(None)).await;
    let mut gone = instance.new_secret(None);
    gone.deleted_at = Some(at(NOW));
    let gone = instance.store_secret(gone).await;
    let others = instance.store_member(Role::Member).await.user.row().id;
    instance.store_secret(instance.new_secret(Some(others))).await;
    let seen = instance.database.secrets_visible_to(instance.team, instance.owner, None, 10).await.unwrap();
    assert_eq!(seen.iter().map(|row| row.row().id).collect::<Vec<_>>(), [kept.row().id]);
    assert!(instance.database.secret(instance.team, gone.row().id).await.unwrap().is_some());
}

#[tokio::test]
async fn deleted_agents_are_found_but_not_listed() {
    let instance = Instance::new().await;
    let agents = [instance.store_agent().await, instance.store_agent().await, instance.store_agent().await];
    let ids: Vec<_> = agents.iter().map(|agent| agent.row().id).collect();
    let page = async |after, limit| {
        let agents = instance.database.agents(instance.team, after, limit).await.unwrap();
        agents.iter().map(|agent| agent.row().id).collect::<Vec<_>>()
    };
    assert_eq!(page(None, 10).await, ids);
    assert_eq!(page(Some(ids[0]), 1).await, ids[1..2]);
    let deleted = instance.altered(&agents[1], |agent| agent.deleted_at = Some(at(NOW)));
    instance.write(vec![Change::Agent(deleted)]).await.unwrap();
    assert_eq!(page(None, 10).await, [ids[0], ids[2]]);
    assert_eq!(page(Some(ids[0]), 1).await, ids[2..]);
    assert!(instance.database.agent(instance.team, ids[1]).await.unwrap().is_some());
}

#[tokio::test]
async fn revisions_are_an_agents_and_attachments_a_revisions() {
    let instance = Instance::new().await;
    let [one, other] = [(); 2].map(|()| AgentId::from_uuid(instance.id()));
    let revisions: Vec<_> = [one, other, one, one].map(|agent| instance.new_revision(agent)).into();
    let of_one: Vec<_> = revisions.iter().filter(|row| row.agent_id == one).map(|row| row.id).collect();
    let [here, there] = [revisions[0].id, revisions[1].id];
    let secrets = [(); 3].map(|()| SecretId::from_uuid(instance.id()));
    let attached = [(here, secrets[0]), (here, secrets[1]), (there, secrets[2]), (there, secrets[0])];
    let put = revisions.into_iter().map(|row| Change::Revision(Put::new(instance.sign(row))));
    let attach = attached.map(|(revision, secret)| instance.new_attachment(revision, secret));
    let attach = attach.into_iter().map(|row| Change::Attachment(Put::new(instance.sign(row))));
    instance.write(put.chain(attach).collect()).await.unwrap();
    let page = async |agent, after, limit| {
        let revisions = instance.database.revisions(instance.team, agent, after, limit).await.unwrap();
        revisions.iter().map(|row| row.row().id).collect::<Vec<_>>()
    };
    assert_eq!(page(one, None, 10).await, of_one);
    assert_eq!(page(one, Some(of_one[0]), 1).await, of_one[1..2]);
    assert_eq!(page(other, None, 10).await, [there]);
    let found = instance.database.attachments(instance.team, here).await.unwrap();
    let mut found: Vec<_> = found.iter().map(|row| row.row().secret_id).collect();
    found.sort();
    assert_eq!(found, secrets[..2]);
}

/// Two people with a key each, two agents, six runs.
struct Runs {
    instance: Instance,
    colleagues: [Colleague; 2],
    agents: [AgentId; 2],
    /// In the order of their start: whose and of which agent they are goes by these.
    started: Vec<RunId>,
}

const WHOSE: [usize; 6] = [0, 0, 1, 1, 0, 1];
const OF_WHICH: [usize; 6] = [0, 1, 0, 1, 0, 1];

impl Runs {
    async fn new() -> Self {
        let instance = Instance::new().await;
        let colleagues =
            [instance.store_member(Role::Builder).await, instance.store_member(Role::Builder).await];
        let agents = [instance.store_agent().await.row().id, instance.store_agent().await.row().id];
        let mut started = Vec::new();
        for (who, which) in WHOSE.into_iter().zip(OF_WHICH) {
            started.push(instance.store_run(&colleagues[who], agents[which]).await.0.row().id);
        }
        Self { instance, colleagues, agents, started }
    }

    /// Each way to ask, and which runs it is about, by their places.
    fn questions(&self) -> Vec<(RunsOf, Vec<usize>)> {
        let by = |numbers: [usize; 6], number| (0..6).filter(|at| numbers[*at] == number).collect::<Vec<_>>();
        vec![
            (RunsOf::Team, (0..6).collect()),
            (RunsOf::Run(self.started[3]), vec![3]),
            (RunsOf::Agent(self.agents[0]), by(OF_WHICH, 0)),
            (RunsOf::Agent(self.agents[1]), by(OF_WHICH, 1)),
            (RunsOf::Key(self.colleagues[0].key.row().id), by(WHOSE, 0)),
            (RunsOf::User(self.colleagues[1].user.row().id), by(WHOSE, 1)),
        ]
    }

    fn ids(&self, places: &[usize]) -> Vec<RunId> {
        places.iter().map(|at| self.started[*at]).collect()
    }

    async fn page(&self, of: RunsOf, page: (u32, u32)) -> Vec<RunId> {
        Self::found(self.instance.database.runs(self.instance.team, of, page).await)
    }

    async fn open(&self, of: RunsOf, open_at: i64, page: (Option<RunId>, u32)) -> Vec<RunId> {
        Self::found(self.instance.database.open_runs(self.instance.team, of, at(open_at), page).await)
    }

    /// What was delivered to them, read for so many runs at a time.
    async fn received(&self, of: RunsOf, limit: u32) -> Vec<Delivery> {
        let (mut received, mut last) = (Vec::new(), None);
        loop {
            let page =
                self.instance.database.deliveries(self.instance.team, of, (last, limit)).await.unwrap();
            let runs: BTreeSet<_> = page.iter().map(|(run, _)| *run).collect();
            assert!(runs.len() <= usize::try_from(limit).unwrap());
            assert!(page.iter().all(|(run, row)| row.as_ref().is_none_or(|row| row.run_id == *run)));
            let Some((run, _)) = page.last() else { return received };
            assert!(last < Some(*run), "the next ones are newer");
            last = Some(*run);
            received.extend(page.into_iter().filter_map(|(_, row)| row));
        }
    }

    fn found(runs: Result<Vec<StoredRun>, StoreError>) -> Vec<RunId> {
        let runs = runs.unwrap();
        for rows in &runs {
            let run = rows.run.row();
            let hangs_on = (rows.key.row().id, rows.agent.row().id, rows.user.row().id, rows.team.row().id);
            assert_eq!(hangs_on, (run.key_id, run.agent_id, run.user_id, run.team_id));
            assert_eq!(rows.membership.row().user_id, run.user_id);
        }
        runs.iter().map(|rows| rows.run.row().id).collect()
    }
}

#[tokio::test]
async fn a_run_that_received_nothing_is_passed_by() {
    let runs = Runs::new().await;
    let received = delivery(runs.started[3], SecretId::from_uuid(runs.instance.id()), 1, &["A"]);
    runs.instance.write(vec![Change::Delivery(received.clone())]).await.unwrap();
    let (database, team) = (&runs.instance.database, runs.instance.team);
    let page = database.deliveries(team, RunsOf::Team, (Some(runs.started[1]), 3)).await.unwrap();
    let [second, third, fourth] = [2, 3, 4].map(|at| runs.started[at]);
    assert_eq!(page, [(second, None), (third, Some(received.clone())), (fourth, None)]);
    assert_eq!(runs.received(RunsOf::Team, 1).await, [received]);
}

#[tokio::test]
async fn runs_come_the_newest_first() {
    let runs = Runs::new().await;
    for (of, mut expected) in runs.questions() {
        expected.reverse();
        let expected = runs.ids(&expected);
        assert_eq!(runs.page(of, (0, 10)).await, expected, "{of:?}");
        let count = runs.instance.database.count_runs(runs.instance.team, of).await.unwrap();
        assert_eq!(usize::try_from(count), Ok(expected.len()), "{of:?}");
        let mut paged = Vec::new();
        for skip in 0..6 {
            paged.extend(runs.page(of, (skip, 1)).await);
        }
        assert_eq!(paged, expected, "{of:?}: one at a time");
        let end = expected.len().min(3);
        assert_eq!(runs.page(of, (1, 2)).await, expected[1.min(end)..end], "{of:?}");
    }
    let other = TeamId::from_uuid(runs.instance.id());
    for (of, _) in runs.questions() {
        assert!(runs.instance.database.runs(other, of, (0, 10)).await.unwrap().is_empty());
        assert_eq!(runs.instance.database.count_runs(other, of).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn open_runs_are_neither_stopped_nor_expired() {
    let runs = Runs::new().await;
    let instance = &runs.instance;
    let row = async |at: usize| instance.database.run(runs.started[at]).await.unwrap().unwrap().run;
    let changes = vec![
        Change::Run(instance.altered(&row(0).await, |run| run.stopped_at = Some(at(NOW)))),
        Change::Run(instance.altered(&row(1).await, |run| run.expires_at = at(NOW + 1))),
        // Whoever revokes them lists them.
        Change::Run(instance.altered(&row(2).await, |run| run.revoked_at = Some(at(NOW)))),
    ];
    instance.write(changes).await.unwrap();
    let open = async |of, millis| runs.open(of, millis, (None, 10)).await;
    assert_eq!(open(RunsOf::Team, NOW).await, runs.ids(&[5, 4, 3, 2, 1]));
    assert_eq!(open(RunsOf::Team, NOW + 1).await, runs.ids(&[5, 4, 3, 2]), "it ends when it ends");
    assert_eq!(open(RunsOf::Agent(runs.agents[0]), NOW).await, runs.ids(&[4, 2]));
    assert_eq!(open(RunsOf::Run(runs.started[0]), NOW).await, []);
    assert_eq!(runs.open(RunsOf::Team, NOW + 1, (Some(runs.started[5]), 2)).await, runs.ids(&[4, 3]));
    assert_eq!(
        runs.open(RunsOf::Agent(runs.agents[0]), NOW, (Some(runs.started[4]), 10)).await,
        runs.ids(&[2])
    );
    assert_eq!(runs.open(RunsOf::Team, NOW, (Some(runs.started[1]), 10)).await, [], "none is older");
    assert_eq!(open(RunsOf::Team, NOW + 10_000).await, []);
    assert_eq!(runs.page(RunsOf::Team, (0, 10)).await.len(), 6);
}

#[tokio::test]
async fn deliveries_are_found_by_whatever_received_them_and_by_the_secret() {
    let runs = Runs::new().await;
    let instance = &runs.instance;
    let [first, second] = [(); 2].map(|()| SecretId::from_uuid(instance.id()));
    let changes = runs.started.iter().rev().flat_map(|run| {
        [
            delivery(*run, first, 2, &["A"]),
            delivery(*run, first, 1, &["A"]),
            delivery(*run, second, 1, &["B"]),
        ]
    });
    instance.write(changes.map(Change::Delivery).collect()).await.unwrap();
    assert_eq!(runs.received(RunsOf::Team, 1).await.len(), 3 * runs.started.len(), "a run at a time");
    assert_eq!(runs.received(RunsOf::Team, 4).await, runs.received(RunsOf::Team, 1).await);
    for (of, places) in runs.questions() {
        let found = runs.received(of, 10).await;
        let by_run: Vec<_> = found.iter().map(|row| row.run_id).collect();
        let expected: Vec<_> = runs.ids(&places).into_iter().flat_map(|run| [run; 3]).collect();
        assert_eq!(by_run, expected, "{of:?}");
        let theirs = [(first, 1), (first, 2), (second, 1)];
        assert!(theirs.iter().all(|version| {
            found.iter().filter(|row| (row.secret_id, row.version) == *version).count() == places.len()
        }));
    }
    let of_secret = instance.database.deliveries_of(first, 100).await.unwrap();
    let order: Vec<_> = of_secret.iter().map(|row| (row.version, row.run_id)).collect();
    let newest = |at: &u32| runs.started.iter().rev().map(|run| (*at, *run)).collect::<Vec<_>>();
    let expected: Vec<_> = [2, 1].iter().flat_map(newest).collect();
    assert_eq!(order, expected, "the newest first");
    assert_eq!(instance.database.deliveries_of(first, 4).await.unwrap(), of_secret[..4]);
    assert_eq!(instance.database.deliveries_of(SecretId::from_uuid(instance.id()), 9).await.unwrap(), []);
    let other = TeamId::from_uuid(instance.id());
    assert_eq!(
        instance.database.deliveries(other, RunsOf::Run(runs.started[0]), (None, 9)).await.unwrap(),
        []
    );
}

/// A run that was started then, as its id says too.
fn run_of(instance: &Instance, by: &Colleague, moment: i64) -> Run {
    let mut id = *instance.id().as_bytes();
    id[..6].copy_from_slice(&moment.to_be_bytes()[2..]);
    let (run, _) = instance.new_run(by, AgentId::from_uuid(instance.id()));
    Run { id: RunId::from_uuid(Uuid::from_bytes(id)), created_at: at(moment), ..run }
}

#[tokio::test]
async fn runs_and_deliveries_are_counted_by_day() {
    const DAY: i64 = 86_400_000;
    let instance = Instance::new().await;
    let colleague = instance.store_member(Role::Builder).await;
    let noon = NOW / DAY * DAY + DAY / 2;
    let moments = [noon - 2 * DAY, noon - DAY, noon - DAY / 2, noon - DAY / 2 - 1, noon];
    let runs = moments.map(|moment| run_of(&instance, &colleague, moment));
    let secret = SecretId::from_uuid(instance.id());
    let mut changes = Vec::new();
    for (run, versions) in runs.iter().zip([1, 2, 1, 0, 3]) {
        changes.push(Change::Run(Put::new(instance.sign(run.clone()))));
        let of = |version| Delivery { at: run.created_at, ..delivery(run.id, secret, version, &["A"]) };
        changes.extend((1..=versions).map(|version| Change::Delivery(of(version))));
    }
    instance.write(changes).await.unwrap();
    let by_day =
        async |team, since, most| instance.database.runs_by_day(team, at(since), most).await.unwrap();
    let today = NOW / DAY;
    let all = by_day(instance.team, noon - 2 * DAY, 10).await;
    assert_eq!(all.runs, [(today - 2, 1), (today - 1, 2), (today, 2)]);
    assert_eq!(all.deliveries, [(today - 2, 1), (today - 1, 2), (today, 4)]);
    let since = by_day(instance.team, noon - 2 * DAY + 1, 10).await;
    assert_eq!((since.runs.len(), since.deliveries.len()), (2, 2), "not what was before");
    let newest = by_day(instance.team, 0, 2).await;
    assert_eq!((newest.runs, newest.deliveries), (vec![(today, 2)], vec![(today, 4)]), "the newest two");
    assert_eq!(by_day(TeamId::from_uuid(instance.id()), 0, 10).await, ByDay::default(), "another team's");
}

#[tokio::test]
async fn refusals_are_counted_by_day() {
    const DAY: i64 = 86_400_000;
    let instance = Instance::new().await;
    let permit = instance.permit().await;
    let noon = NOW / DAY * DAY + DAY / 2;
    let refused = |moment, times| {
        let refusal = Refusal { action: None, reason: None, times };
        Event {
            at: at(moment),
            kind: EventKind::AccessDenied,
            team_id: Some(instance.team),
            refusal: Some(refusal),
            ..event(&permit)
        }
    };
    for (moment, times) in [(noon - DAY, 1), (noon - DAY, 7), (noon, 1)] {
        instance.database.record(refused(moment, times)).await.unwrap();
    }
    instance
        .database
        .record(Event { at: at(noon), team_id: Some(instance.team), ..event(&permit) })
        .await
        .unwrap();
    let by_day =
        async |team, since, most| instance.database.refusals_by_day(team, at(since), most).await.unwrap();
    let today = NOW / DAY;
    assert_eq!(by_day(instance.team, noon - DAY, 10).await, [(today - 1, 8), (today, 1)]);
    assert_eq!(by_day(instance.team, noon - DAY + 1, 10).await, [(today, 1)]);
    assert_eq!(by_day(instance.team, 0, 1).await, [(today, 1)], "of the newest");
    assert_eq!(by_day(TeamId::from_uuid(instance.id()), 0, 10).await, []);
}

#[tokio::test]
async fn deleted_secrets_are_found_by_whoever_saw_them_the_last_first() {
    let instance = Instance::new().await;
    let colleague = instance.store_member(Role::Member).await.user.row().id;
    let mut ids = Vec::new();
    for (owner, deleted) in
        [(None, Some(3)), (Some(instance.owner), Some(1)), (Some(colleague), Some(2)), (None, None)]
    {
        let deleted_at = deleted.map(|later| at(NOW + later));
        let secret = Secret { deleted_at, ..instance.new_secret(owner) };
        ids.push(secret.id);
        instance.store_secret(secret).await;
    }
    let found = async |team, user, limit| {
        let deleted = instance.database.deleted_secrets(team, user, limit).await.unwrap();
        deleted.iter().map(|secret| secret.row().id).collect::<Vec<_>>()
    };
    assert_eq!(found(instance.team, instance.owner, 10).await, [ids[0], ids[1]]);
    assert_eq!(found(instance.team, colleague, 10).await, [ids[0], ids[2]]);
    assert_eq!(found(instance.team, colleague, 1).await, [ids[0]]);
    assert_eq!(found(TeamId::from_uuid(instance.id()), colleague, 10).await, []);
}
