//! What is due, and its going for good.

use strongroom_core::events::EventKind;
use strongroom_core::rows::Stored;
use strongroom_core::secrets::Secret;
use strongroom_core::store::{Change, Purge, Put};
use strongroom_core::teams::Team;
use strongroom_core::users::Membership;
use strongroom_core::{Role, RunId, SecretId, StoreError, Timestamp};
use strongroom_testbed::{self as testbed, Cell};

use crate::support::{Instance, NOTHING, NOW, at, delivery, system_event};

impl Instance {
    async fn deleted(&self, deleted_at: i64) -> Stored<Secret> {
        let mut secret = self.new_secret(None);
        secret.deleted_at = Some(at(deleted_at));
        self.store_secret(secret).await
    }

    async fn due(&self, before: i64, limit: u32) -> Vec<SecretId> {
        let due = self.database.secrets_due(at(before), 0, limit).await.unwrap();
        due.iter().flatten().map(|secret| secret.row().id).collect()
    }

    async fn purge(&self, secrets: &[&Stored<Secret>]) -> Result<(), StoreError> {
        let purge = |secret: &&Stored<Secret>| {
            let purge = Purge::Secret(secret.row().team_id, secret.row().id, secret.mac());
            (purge, system_event(EventKind::SecretPurged))
        };
        self.database.purge(secrets.iter().map(purge).collect()).await
    }

    /// Marks the founder's team.
    pub(crate) async fn mark_team(&self, deleted: Option<Timestamp>) -> Stored<Team> {
        let team = self.database.team(self.team).await.unwrap().unwrap();
        let put = self.altered(&team, |team| team.deleted_at = deleted);
        let marked = put.now.clone();
        self.write(vec![Change::Team(put)]).await.unwrap();
        marked
    }

    pub(crate) async fn shred(&self, team: &Stored<Team>) -> Result<(), StoreError> {
        let put = self.altered(team, |team| team.shredded_at = Some(at(NOW)));
        self.database.purge(vec![(Purge::Team(put), system_event(EventKind::TeamShredded))]).await
    }

    async fn set_removed(&self, was: &Stored<Membership>, removed: Option<i64>) -> Stored<Membership> {
        let put = self.altered(was, |row| row.removed_at = removed.map(at));
        let now = put.now.clone();
        self.write(vec![Change::Membership(put)]).await.unwrap();
        now
    }
}

#[tokio::test]
async fn deleted_secrets_are_due_after_their_time() {
    let instance = Instance::new().await;
    instance.store_secret(instance.new_secret(None)).await;
    let first = instance.deleted(NOW + 1).await.row().id;
    let second = instance.deleted(NOW + 2).await.row().id;
    assert_eq!(instance.due(NOW, 10).await, []);
    assert_eq!(instance.due(NOW + 1, 10).await, [first]);
    assert_eq!(instance.due(NOW + 2, 10).await, [first, second]);
    assert_eq!(instance.due(NOW + 2, 1).await, [first]);
    let rest = instance.database.secrets_due(at(NOW + 2), 1, 10).await.unwrap();
    assert_eq!(rest.iter().flatten().map(|secret| secret.row().id).collect::<Vec<_>>(), [second]);
}

#[tokio::test]
async fn personal_secrets_of_those_who_left_are_due_unless_they_are_back() {
    let instance = Instance::new().await;
    let colleague = instance.store_member(Role::Member).await;
    let owner = colleague.user.row().id;
    let personal = instance.store_secret(instance.new_secret(Some(owner))).await;
    instance.store_secret(instance.new_secret(None)).await;
    instance.store_secret(instance.new_secret(Some(instance.owner))).await;
    assert_eq!(instance.due(NOW + 9, 10).await, []);
    let removed = instance.set_removed(&colleague.membership, Some(NOW + 5)).await;
    assert_eq!(instance.due(NOW + 4, 10).await, []);
    assert_eq!(instance.due(NOW + 5, 10).await, [personal.row().id]);
    // Due for two reasons, and yet once.
    let mut both = instance.new_secret(Some(owner));
    both.deleted_at = Some(at(NOW + 5));
    let both = instance.store_secret(both).await;
    let mut due = instance.due(NOW + 5, 10).await;
    due.sort();
    assert_eq!(due, [personal.row().id, both.row().id], "in whichever order");
    // Back again, between the question and the purge.
    let back = instance.set_removed(&removed, None).await;
    assert!(matches!(instance.purge(&[&personal]).await, Err(StoreError::Changed)));
    assert_eq!(instance.due(NOW + 9, 10).await, [both.row().id]);
    instance.set_removed(&back, Some(NOW)).await;
    instance.purge(&[&personal, &both]).await.unwrap();
    assert_eq!(instance.due(NOW + 9, 10).await, []);
}

#[tokio::test]
async fn a_purge_takes_what_was_seen_and_all_or_nothing() {
    let instance = Instance::new().await;
    let (stays, seen, changes) =
        (instance.deleted(NOW).await, instance.deleted(NOW).await, instance.deleted(NOW).await);
    let restored = instance.altered(&changes, |secret| secret.deleted_at = None);
    let restored_row = restored.now.clone();
    instance.write(vec![Change::Secret(restored)]).await.unwrap();
    let counts = || {
        ["secrets", "versions", "events"]
            .map(|table| instance.count(&format!("SELECT count(*) FROM {table}")))
    };
    let before = counts();
    for refused in [vec![&seen, &changes], vec![&seen, &restored_row], vec![&seen, &seen]] {
        assert!(matches!(instance.purge(&refused).await, Err(StoreError::Changed)));
        assert_eq!(counts(), before);
    }
    instance.purge(&[&seen]).await.unwrap();
    assert_eq!(counts(), [before[0] - 1, before[1] - 1, before[2] + 1]);
    assert!(instance.database.version(seen.row().id, 1).await.unwrap().is_none());
    assert!(instance.database.version(stays.row().id, 1).await.unwrap().is_some());
}

#[tokio::test]
async fn teams_are_due_after_their_time_and_once() {
    let instance = Instance::new().await;
    let due = async |before| instance.database.teams_due(at(before)).await.unwrap().len();
    assert_eq!(due(NOW + 9).await, 0);
    let team = instance.mark_team(Some(at(NOW + 1))).await;
    assert_eq!((due(NOW).await, due(NOW + 1).await), (0, 1));
    instance.shred(&team).await.unwrap();
    assert_eq!(due(NOW + 9).await, 0);
}

#[tokio::test]
async fn a_shredded_team_loses_its_keys_and_leaves_nothing_broken() {
    let instance = Instance::new().await;
    let colleague = instance.store_member(Role::Member).await;
    let other = instance.sign(instance.new_team());
    let there =
        Membership { team_id: other.row().id, ..instance.new_membership(instance.owner, Role::Owner) };
    let link = instance.sign(instance.new_link(instance.owner).0);
    let changes = vec![
        Change::Team(Put::new(other.clone())),
        Change::Membership(Put::new(instance.sign(there))),
        Change::KeyLink(Put::new(link)),
    ];
    instance.write(changes).await.unwrap();
    instance.database.note_uses(vec![(colleague.key.row().id, at(NOW))]).await.unwrap();
    let secret = instance.store_secret(instance.new_secret(Some(instance.owner))).await;
    let seen = instance.database.team(instance.team).await.unwrap().unwrap();
    let deleted = instance.mark_team(Some(at(NOW))).await;
    assert!(matches!(instance.shred(&seen).await, Err(StoreError::Changed)), "it isn't as it was");
    assert_eq!(instance.database.team_keys(instance.team).await.unwrap().len(), 1);
    assert_eq!(instance.app.verify(|| ()).await.unwrap().findings.len(), 1, "sealed by nobody");
    instance.shred(&deleted).await.unwrap();
    assert_eq!(instance.database.team_keys(instance.team).await.unwrap().len(), 0);
    let left = ["api_keys", "key_links", "api_key_uses", "memberships", "keys", "users"]
        .map(|table| instance.count(&format!("SELECT count(*) FROM {table}")));
    assert_eq!(left, [0, 0, 0, 1, 7, 2], "another team's membership, the instance's keys, the users");
    assert!(instance.caller(&instance.token).await.is_err());
    let team = instance.database.team(instance.team).await.unwrap();
    assert_eq!(team.as_ref().unwrap().row().shredded_at, Some(at(NOW)));
    assert!(instance.holds(team));
    // Its secrets can't be opened any more, which is no damage.
    let verified = instance.app.verify(|| ()).await.unwrap();
    assert_eq!(verified.findings, []);
    assert_eq!(instance.problems().await, [""; 0]);
    // They are due whatever the time.
    assert_eq!(instance.due(0, 10).await, [secret.row().id]);
    instance.purge(&[&secret]).await.unwrap();
    assert_eq!(instance.count("SELECT count(*) FROM secrets"), 0);
}

#[tokio::test]
async fn what_was_attached_of_a_secret_goes_with_it() {
    let instance = Instance::new().await;
    let agent = instance.store_agent().await.row().id;
    let (gone, stays) = (instance.deleted(NOW).await, instance.store_secret(instance.new_secret(None)).await);
    let revisions = [instance.new_revision(agent), instance.new_revision(agent)].map(|row| row.id);
    let attached = [
        instance.new_attachment(revisions[0], gone.row().id),
        instance.new_attachment(revisions[0], stays.row().id),
        instance.new_attachment(revisions[1], gone.row().id),
    ];
    let attach = attached.map(|row| Change::Attachment(Put::new(instance.sign(row))));
    instance.write(attach.into()).await.unwrap();
    let run = RunId::from_uuid(instance.id());
    instance.write(vec![Change::Delivery(delivery(run, gone.row().id, 1, &["A"]))]).await.unwrap();
    instance.purge(&[&gone]).await.unwrap();
    let left = instance.database.attachments(instance.team, revisions[0]).await.unwrap();
    assert_eq!(left.iter().map(|row| row.row().secret_id).collect::<Vec<_>>(), [stays.row().id]);
    assert_eq!(instance.count("SELECT count(*) FROM attachments"), 1);
    assert_eq!(instance.count("SELECT count(*) FROM deliveries"), 1, "what left has left");
}

impl Instance {
    /// So many runs of a colleague's, each of which received something.
    async fn busy(&self, runs: usize) {
        let colleague = self.store_member(Role::Builder).await;
        let agent = self.store_agent().await.row().id;
        let secret = self.store_secret(self.new_secret(None)).await.row().id;
        let revision = self.new_revision(agent);
        let attachment = self.new_attachment(revision.id, secret);
        let mut changes = vec![
            Change::Revision(Put::new(self.sign(revision))),
            Change::Attachment(Put::new(self.sign(attachment))),
        ];
        for _ in 0..runs {
            let run = self.new_run(&colleague, agent).0;
            let received = [1, 2].map(|version| delivery(run.id, secret, version, &["A"]));
            changes.extend(received.map(Change::Delivery));
            changes.push(Change::Run(Put::new(self.sign(run))));
        }
        self.write(changes).await.unwrap();
    }

    fn rows(&self, tables: [&str; 5]) -> [i64; 5] {
        tables.map(|table| self.count(&format!("SELECT count(*) FROM {table}")))
    }
}

const OF_AGENTS: [&str; 5] = ["agents", "revisions", "attachments", "runs", "deliveries"];

#[tokio::test]
async fn agents_go_with_their_team_and_runs_a_few_at_a_time() {
    let instance = Instance::new().await;
    instance.busy(5).await;
    let forget = async |limit| instance.database.forget_runs(limit).await.unwrap();
    assert_eq!(forget(10).await, 0, "no team is shredded");
    assert_eq!(instance.rows(OF_AGENTS), [1, 1, 1, 5, 10]);
    let deleted = instance.mark_team(Some(at(NOW))).await;
    assert_eq!(forget(10).await, 0, "nor is it when it is deleted");
    instance.shred(&deleted).await.unwrap();
    assert_eq!(instance.rows(OF_AGENTS), [0, 0, 0, 5, 10]);
    assert_eq!(instance.problems().await, [""; 0]);
    assert_eq!(forget(2).await, 2);
    assert_eq!(instance.rows(OF_AGENTS), [0, 0, 0, 3, 6]);
    assert_eq!((forget(2).await, forget(2).await, forget(2).await), (2, 1, 0));
    assert_eq!(instance.rows(OF_AGENTS), [0; 5]);
}

#[tokio::test]
async fn a_purge_forgets_all_runs_of_shredded_teams_and_no_others() {
    let instance = Instance::new().await;
    instance.busy(3).await;
    let deleted = instance.sign(Team { deleted_at: Some(at(NOW)), ..instance.new_team() });
    let (agent, colleague) = (instance.store_agent().await, instance.store_member(Role::Builder).await);
    let mut changes = vec![Change::Team(Put::new(deleted.clone()))];
    // More than are taken at a time.
    for _ in 0..600 {
        let run = instance.new_run(&colleague, agent.row().id).0;
        let run = strongroom_core::runs::Run { team_id: deleted.row().id, ..run };
        changes.push(Change::Delivery(delivery(run.id, SecretId::from_uuid(instance.id()), 1, &["A"])));
        changes.push(Change::Run(Put::new(instance.sign(run))));
    }
    instance.write(changes).await.unwrap();
    assert_eq!(instance.rows(OF_AGENTS)[3..], [603, 606]);
    assert_eq!(instance.app.purge(at(NOW)).await.unwrap().teams, 1);
    assert_eq!(instance.rows(OF_AGENTS), [2, 1, 1, 3, 6]);
}

#[tokio::test]
async fn a_flipped_byte_in_whatever_has_a_mac_is_found() {
    let instance = Instance::new().await;
    instance.busy(1).await;
    let mut shown = 0;
    let sealed_by_nobody = instance.app.verify(|| shown += 1).await.unwrap().findings.len();
    assert_eq!((sealed_by_nobody, shown), (1, instance.database.rows().await.unwrap()));
    for (table, columns) in [
        ("agents", "id name generation created_by created_at updated_at row_mac"),
        ("revisions", "agent_id id name created_by created_at row_mac"),
        ("attachments", "revision_id secret_id id created_by created_at row_mac"),
        (
            "runs",
            "id agent_id revision_id key_id generation strict token_hash lease created_at updated_at \
             expires_at row_mac",
        ),
    ] {
        for column in columns.split_whitespace() {
            let kept = format!("CREATE TABLE kept AS SELECT * FROM {table}");
            instance.tamper(&kept);
            instance.behind(|database| flip(database, table, column));
            let findings = instance.app.verify(|| ()).await.unwrap().findings;
            let of_table = findings.iter().filter(|finding| finding.table == table).count();
            assert_eq!((of_table, findings.len()), (1, sealed_by_nobody + 1), "{table}.{column}");
            let restore = format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM kept");
            instance.tamper(&format!("{restore}; DROP TABLE kept"));
            let findings = instance.app.verify(|| ()).await.unwrap().findings.len();
            assert_eq!(findings, sealed_by_nobody, "{table}.{column}: the control");
        }
        instance.tamper(&format!("UPDATE {table} SET row_mac = zeroblob(33)"));
        let findings = instance.app.verify(|| ()).await.unwrap().findings;
        assert!(findings.iter().any(|finding| (finding.table, finding.id.as_str()) == (table, "?")));
        instance.tamper(&format!("DELETE FROM {table}"));
    }
}

/// Changes the last bit of a column's value, or the nearest to it.
fn flip(database: &testbed::Database, table: &str, column: &str) {
    let value: Cell =
        database.query_row(&format!("SELECT {column} FROM {table}"), NOTHING, |row| row.get(0)).unwrap();
    let flipped = match value {
        Cell::Null => panic!("{table}.{column} is null"),
        Cell::Number(number) => Cell::Number(1 - number),
        Cell::Text(text) => Cell::Text(format!("x{}", &text[1..])),
        Cell::Bytes(mut bytes) => {
            *bytes.last_mut().unwrap() ^= 1;
            Cell::Bytes(bytes)
        }
    };
    assert_eq!(database.execute(&format!("UPDATE {table} SET {column} = ?"), [flipped]), Ok(1));
}

#[tokio::test]
async fn a_key_of_a_shredded_team_that_comes_back_is_found() {
    let instance = Instance::new().await;
    instance.tamper("CREATE TABLE kept AS SELECT * FROM keys WHERE owner = 'team'");
    let deleted = instance.mark_team(Some(at(NOW))).await;
    instance.shred(&deleted).await.unwrap();
    assert_eq!(instance.app.verify(|| ()).await.unwrap().findings, []);
    instance.tamper("INSERT INTO keys SELECT * FROM kept");
    let findings = instance.app.verify(|| ()).await.unwrap().findings;
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].table, "keys");
}

impl Instance {
    /// Changes the database as somebody without keys does.
    fn tamper(&self, statement: &str) {
        self.behind(|database| database.execute_batch(statement).unwrap());
    }

    fn violations(&self) -> i64 {
        self.count("SELECT count(*) FROM events WHERE kind = 'integrity.violation'")
    }
}

#[tokio::test]
async fn secrets_that_are_not_what_was_stored_stay_and_hide_no_others() {
    let instance = Instance::new().await;
    let mut changes = Vec::new();
    for _ in 0..1_100 {
        let secret = Secret { deleted_at: Some(at(NOW)), ..instance.new_secret(None) };
        let version = instance.new_version(secret.id, 1);
        changes.extend([Change::Secret(Put::new(instance.sign(secret))), Change::Version(version)]);
    }
    instance.write(changes).await.unwrap();
    // More than one batch of them in front of all others, and some in between.
    instance.tamper(
        "CREATE TABLE order_of AS SELECT id, row_number() OVER (ORDER BY id) AS place FROM secrets; \
         UPDATE secrets SET name = 'other' WHERE id IN \
         (SELECT id FROM order_of WHERE place <= 300 OR place % 100 = 0); \
         UPDATE secrets SET row_mac = zeroblob(33) WHERE id IN \
         (SELECT id FROM order_of WHERE place <= 2 OR place % 100 = 50)",
    );
    let [tampered, unreadable] = ["name = 'other' AND length(row_mac) = 34", "length(row_mac) = 33"]
        .map(|which| instance.count(&format!("SELECT count(*) FROM secrets WHERE {which}")));
    assert_eq!((tampered, unreadable), (295 + 11 - 3, 2 + 11));
    for (round, purged) in [1_100 - tampered - unreadable, 0].into_iter().enumerate() {
        let before = instance.violations();
        let found = instance.app.purge(at(NOW)).await.unwrap();
        assert_eq!(i64::try_from(found.secrets), Ok(purged), "round {round}");
        assert_eq!(instance.violations() - before, tampered + 1, "unreadable ones are noted together");
    }
    assert_eq!(instance.count("SELECT count(*) FROM secrets"), tampered + unreadable);
}

#[tokio::test]
async fn teams_that_are_not_what_was_stored_keep_no_other_from_going() {
    let instance = Instance::new().await;
    let teams: Vec<_> =
        (0..5).map(|_| instance.sign(Team { deleted_at: Some(at(NOW)), ..instance.new_team() })).collect();
    instance.write(teams.iter().map(|team| Change::Team(Put::new(team.clone()))).collect()).await.unwrap();
    let id = |team: &Stored<Team>| team.row().id.uuid().simple().to_string();
    instance.tamper(&format!(
        "UPDATE teams SET row_mac = zeroblob(33) WHERE id IN (x'{}', x'{}'); \
         UPDATE teams SET name = 'other' WHERE id = x'{}'",
        id(&teams[0]),
        id(&teams[1]),
        id(&teams[2]),
    ));
    let found = instance.app.purge(at(NOW)).await.unwrap();
    assert_eq!((found.teams, instance.violations()), (2, 2));
    assert_eq!(instance.count("SELECT count(*) FROM teams WHERE shredded_at IS NOT NULL"), 2);
}

#[tokio::test]
async fn teams_secrets_and_answers_go_each_whatever_becomes_of_the_others() {
    let instance = Instance::new().await;
    for _ in 0..2 {
        let team = instance.sign(Team { deleted_at: Some(at(NOW)), ..instance.new_team() });
        instance.write(vec![Change::Team(Put::new(team))]).await.unwrap();
    }
    instance.deleted(NOW).await;
    instance.database.keep_answer(instance.new_answer(1, 0)).await.unwrap();
    instance.tamper(
        "CREATE UNIQUE INDEX one_team ON teams(shredded_at); \
         CREATE TABLE holds (team uuid, id uuid, FOREIGN KEY (team, id) REFERENCES secrets(team_id, id)); \
         INSERT INTO holds SELECT team_id, id FROM secrets",
    );
    assert!(instance.app.purge(at(NOW)).await.is_err());
    assert_eq!(
        ["answers", "secrets"].map(|table| instance.count(&format!("SELECT count(*) FROM {table}"))),
        [0, 1]
    );
    instance.tamper("DROP TABLE holds");
    assert!(instance.app.purge(at(NOW)).await.is_err());
    assert_eq!(instance.count("SELECT count(*) FROM secrets"), 0);
    instance.tamper("DROP INDEX one_team");
    assert_eq!(instance.app.purge(at(NOW)).await.unwrap().teams, 1, "the control");
}
