//! How SQLite means to find what is asked: never by reading a whole table where
//! there is an index, and never by sorting.

use rusqlite::Connection;
use std::path::Path;
use strongroom_core::access::Means;
use strongroom_core::audit::Gap;
use strongroom_core::clock::Timestamp;
use strongroom_core::events::EventFilter;
use strongroom_core::keyring::{KeyOwner, WrappedKey};
use strongroom_core::rows::RowMac;
use strongroom_core::runs::RunsOf;
use strongroom_core::sealing::Sealed;
use strongroom_core::text::Email;
use strongroom_core::{
    AgentId, ApiKeyId, FillRequestId, InvitationId, KeyId, KeyLinkId, RevisionId, RunId, SecretId, SessionId,
    TeamId, UserId,
};
use uuid::Uuid;

use super::migrations;
use crate::query::{Query, Text};
use crate::tables::{
    agents, answers, api_keys, audit, events, fill_requests, instance, invitations, key_links, proofs, purge,
    runs, secrets, sessions, users,
};

/// What is asked, and by what SQLite finds it.
pub(crate) type Found = (Text, &'static [&'static str]);

const BY_TEAM: &str = "runs_by_team (team_id=?)";
const BY_OWNER: &str = "SEARCH keys USING PRIMARY KEY (owner=?";

fn plan(statement: &str) -> String {
    let connection = Connection::open_in_memory().unwrap();
    migrations::create(&connection, Path::new("in memory")).unwrap();
    let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).unwrap();
    let mut lines = explain.raw_query();
    let mut plan = String::new();
    while let Some(line) = lines.next().unwrap() {
        plan += &line.get::<_, String>("detail").unwrap();
        plan.push('\n');
    }
    plan
}

fn said<T>(query: Query<'_, T>) -> Text {
    query.text
}

/// Each query goes by these, and neither reads a table nor sorts.
fn go_by_them(indexed: &[Found]) {
    for (statement, expected) in indexed {
        let statement = &statement.sqlite;
        let plan = plan(statement);
        for expected in *expected {
            assert!(plan.contains(expected), "{statement}\n{plan}");
        }
        // There are few teams, and `r` is what was found already.
        let scans = plan.replace("SCAN t\n", "").replace("SCAN r\n", "").replace("SCAN p VIRTUAL TABLE", "");
        assert!(!scans.contains("SCAN"), "{statement}\n{plan}");
        assert!(!plan.contains("ORDER BY"), "{statement}\n{plan}");
    }
}

/// What is counted, and what is deleted.
fn counted() -> Vec<Found> {
    let nil = Uuid::nil();
    let (team, user, now) = (TeamId::from_uuid(nil), UserId::from_uuid(nil), Timestamp::from_millis(0));
    vec![
        (said(secrets::deleted((team, user), 1)), &["secrets_to_bring_back (team_id=? AND deleted_at>?)"]),
        (said(events::refusals_by_day(team, now, 1)), &["events_refused (team_id=? AND at>?)"]),
        (said(runs::by_day(team, now, 1)), &["runs_by_team (team_id=? AND id>?)"]),
        (
            said(runs::deliveries_by_day(team, now, 1)),
            &["runs_by_team (team_id=? AND id>?)", "d USING PRIMARY KEY (run_id=?)"],
        ),
    ]
}

/// Whatever else is asked.
fn asked() -> Vec<Found> {
    let nil = Uuid::nil();
    let (t, u, s) = (TeamId::from_uuid(nil), UserId::from_uuid(nil), SecretId::from_uuid(nil));
    let (team, agent) = (RunsOf::Team, RunsOf::Agent(AgentId::from_uuid(nil)));
    let (run, now) = (RunId::from_uuid(nil), Timestamp::from_millis(0));
    let (email, of_agent) = (Email::parse("ada@example.com").unwrap(), (t, AgentId::from_uuid(nil)));
    vec![
        (said(instance::purpose_keys()), &["SEARCH keys USING PRIMARY KEY (owner=? AND team_id=?)"]),
        (said(instance::team_keys(t)), &["SEARCH keys USING PRIMARY KEY (owner=? AND team_id=?)"]),
        (said(agents::agents(t, None, 1)), &["SEARCH agents USING PRIMARY KEY (team_id=? AND id>?)"]),
        (
            said(agents::revisions(of_agent, None, 1)),
            &["SEARCH revisions USING PRIMARY KEY (team_id=? AND agent_id=? AND id>?)"],
        ),
        (said(agents::revision(t, RevisionId::from_uuid(nil))), &["revisions_by_id (team_id=? AND id=?)"]),
        (
            said(agents::attachments(t, RevisionId::from_uuid(nil))),
            &["SEARCH attachments USING PRIMARY KEY (team_id=? AND revision_id=?)"],
        ),
        (said(agents::attachments_of(t, s, 1)), &["attachments_by_secret (team_id=? AND secret_id=?)"]),
        (said(runs::run(run)), &["SEARCH r USING PRIMARY KEY (id=?)"]),
        (said(proofs::proof(Means::Run(run), (t, u))), &["SEARCH c USING PRIMARY KEY (id=?)"]),
        (said(runs::page((t, team), (0, 1))), &[BY_TEAM]),
        (said(runs::page((t, agent), (0, 1))), &["runs_by_agent (team_id=? AND agent_id=?)"]),
        (said(runs::open((t, agent), now, (None, 1))), &["runs_by_agent (team_id=? AND agent_id=?)"]),
        (
            said(runs::open((t, agent), now, (Some(run), 1))),
            &["runs_by_agent (team_id=? AND agent_id=? AND id<?)"],
        ),
        (said(runs::deliveries((t, team), (None, 1))), &[BY_TEAM, "SEARCH d USING PRIMARY KEY (run_id=?)"]),
        (
            said(runs::deliveries((t, agent), (Some(run), 1))),
            &["runs_by_agent (team_id=? AND agent_id=? AND id>?)", "SEARCH d USING PRIMARY KEY (run_id=?)"],
        ),
        (said(runs::deliveries_of(s, 1)), &["deliveries_by_secret (secret_id=?)"]),
        (
            Text::hinted(runs::LEFT.to_owned(), ""),
            &["SEARCH r USING COVERING INDEX runs_by_team (team_id=?)"],
        ),
        (said(users::by_email(&email)), &["users_by_email"]),
        (said(users::members(t, None, 1)), &["SEARCH m USING PRIMARY KEY", "SEARCH u USING PRIMARY KEY"]),
        (said(api_keys::keys((t, Some(u)), None, 1)), &["api_keys_by_team (team_id=? AND id>?)"]),
        (
            said(proofs::proof(Means::SignIn, (t, u))),
            &["SEARCH s USING PRIMARY KEY", "SEARCH m USING PRIMARY KEY"],
        ),
        (
            said(proofs::proof(Means::SetUp, (t, u))),
            &["SEARCH u USING PRIMARY KEY", "SEARCH m USING PRIMARY KEY"],
        ),
        (said(proofs::of_session(SessionId::from_uuid(nil))), &["SEARCH c USING PRIMARY KEY (id=?)"]),
        (said(proofs::of_invitation(InvitationId::from_uuid(nil))), &["SEARCH c USING PRIMARY KEY (id=?)"]),
        (said(users::places(u, 1)), &["memberships_by_user (user_id=?)"]),
        (said(sessions::open(u, now, 1)), &["sessions_by_user (user_id=?)"]),
        (said(sessions::forget(now, 1)), &["sessions_by_end (expires_at<?)"]),
        (said(invitations::open(t, None, 1)), &["invitations_open (team_id=? AND id>?)"]),
        (said(invitations::forget(now, 1)), &["invitations_by_end (expires_at<?)"]),
        (said(proofs::of_fill(FillRequestId::from_uuid(nil))), &["SEARCH c USING PRIMARY KEY (id=?)"]),
        (said(fill_requests::open((t, None), now, 1)), &["fill_requests_open (team_id=? AND expires_at>?)"]),
        (
            said(fill_requests::open((t, Some(u)), now, 1)),
            &["fill_requests_open (team_id=? AND expires_at>?)"],
        ),
        (said(fill_requests::how_many(t, u, now)), &["fill_requests_open (team_id=? AND expires_at>?)"]),
        (said(fill_requests::forget(now, 1)), &["fill_requests_by_end (expires_at<?)"]),
        (said(key_links::open(t, None, 1)), &["key_links_open (team_id=? AND id>?)"]),
        (said(secrets::visible((t, u), None, 1)), &["SEARCH secrets USING PRIMARY KEY (team_id=? AND id>?)"]),
        (said(proofs::of_key(ApiKeyId::from_uuid(nil))), &["SEARCH c USING PRIMARY KEY (id=?)"]),
        (said(proofs::of_link(KeyLinkId::from_uuid(nil))), &["SEARCH c USING PRIMARY KEY (id=?)"]),
        (said(answers::forget(now, 1)), &["answers_by_age (created_at<?)"]),
        (
            said(purge::secrets(now, (0, 1))),
            &["secrets_deleted (deleted_at<?)", "memberships_removed (removed_at<?)"],
        ),
        (Text::from("DELETE FROM api_keys WHERE team_id = ?1"), &["api_keys_by_team"]),
    ]
}

/// What is asked of the instance's own keys.
fn own_keys() -> Vec<Found> {
    let nil = Uuid::nil();
    let key = WrappedKey {
        id: KeyId::from_uuid(nil),
        owner: KeyOwner::Master,
        version: 1,
        sealed: Sealed::from_bytes(Vec::new()),
        created_at: Timestamp::from_millis(0),
    };
    let rewrapped = (key.clone(), key.sealed.clone());
    let copy = ("file".to_owned(), RowMac::from_slice(&[0; RowMac::LENGTH]).unwrap());
    vec![
        (said(instance::sealed_alike(&key)), &[BY_OWNER]),
        (
            said(instance::rewrap(&rewrapped)),
            &["SEARCH keys USING PRIMARY KEY (owner=? AND team_id=? AND version=?)"],
        ),
        (
            said(instance::close_ways(key.created_at)),
            &["SEARCH keys USING PRIMARY KEY (owner=? AND team_id=?)"],
        ),
        (said(instance::remove_copy(&copy)), &["SEARCH root_copies USING PRIMARY KEY (provider=?)"]),
    ]
}

/// What is asked of the audit tree and of the record beneath it.
fn of_the_tree() -> Vec<Found> {
    let (gap, team) = (Gap { first: 1, last: 2 }, TeamId::from_uuid(Uuid::nil()));
    vec![
        (said(audit::recorded(gap, None, 1)), &["events USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"]),
        (said(audit::recorded(gap, Some(team), 1)), &["events_by_team (team_id=? AND rowid>? AND rowid<?)"]),
        (said(audit::tiles(&[])), &["SEARCH e USING PRIMARY KEY (level=? AND place=?)"]),
        (said(audit::spans(1, 1)), &["audit_spans USING"]),
        (said(audit::spans_by_place(1, 1)), &["audit_spans"]),
    ]
}

/// What every engine is to find by an index.
pub(crate) fn every_query() -> Vec<Found> {
    [counted(), asked(), own_keys(), of_the_tree()].concat()
}

/// What is asked for events in gaps.
pub(crate) fn within() -> Text {
    said(audit::within(&[], 1))
}

#[test]
fn every_query_goes_by_a_key_or_an_index() {
    go_by_them(&every_query());
}

#[test]
fn events_in_gaps_are_found_by_their_places_and_sorted() {
    let plan = plan(&within().sqlite);
    let by_place = "SEARCH e USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)\n";
    assert_eq!(plan, format!("SCAN p VIRTUAL TABLE INDEX 1:\n{by_place}USE TEMP B-TREE FOR ORDER BY\n"));
}

#[test]
fn the_instance_s_own_keys_are_read_in_the_order_of_an_index() {
    // Which has no other events.
    assert_eq!(plan(&said(instance::key_events(1)).sqlite), "SCAN events USING INDEX events_of_keys\n");
    assert_eq!(
        plan(&said(instance::root_copies()).sqlite),
        "SCAN root_copies\n",
        "by its primary key, unsorted"
    );
}

#[test]
fn a_query_without_an_index_is_seen_to_scan() {
    assert!(plan("SELECT * FROM secrets WHERE name = ?").contains("SCAN secrets"));
    assert!(plan("SELECT * FROM users WHERE email = ?").contains("SCAN users"), "the index folds case");
}

#[test]
fn a_search_of_events_reads_those_of_the_team_and_sorts_none() {
    let team = TeamId::from_uuid(Uuid::nil());
    let of_run = EventFilter { run: Some(RunId::from_uuid(Uuid::nil())), ..EventFilter::default() };
    for filter in [&EventFilter::default(), &of_run] {
        let found = plan(&said(events::Search::new(team, filter, None, 1).found(None)).sqlite);
        assert_eq!(found, "SEARCH events USING INDEX events_by_team (team_id=? AND rowid>? AND rowid<?)\n");
    }
    let end = plan(&said(events::Search::new(team, &of_run, None, 1).end().unwrap()).sqlite);
    let requests = plan(&said(events::of_run((team, RunId::from_uuid(Uuid::nil())), None, 1)).sqlite);
    assert_eq!(requests, "SEARCH events USING INDEX events_requested (run_id=? AND sequence<?)\n");
    assert_eq!(end, "SEARCH events USING COVERING INDEX events_by_team (team_id=? AND rowid<?)\n");
}
