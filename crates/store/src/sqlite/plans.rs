//! How SQLite means to find what is asked: never by reading a whole table where
//! there is an index, and never by sorting.

use rusqlite::Connection;
use std::path::Path;
use strongroom_core::access::Means;
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
use crate::query::Query;
use crate::tables::{
    agents, answers, api_keys, events, fill_requests, instance, invitations, key_links, proofs, purge, runs,
    secrets, sessions, users,
};

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

fn said<T>(query: Query<'_, T>) -> String {
    query.text.sqlite.into_owned()
}

/// Each query goes by these, and neither reads a table nor sorts.
fn go_by_them(indexed: &[(String, &[&str])]) {
    for (statement, expected) in indexed {
        let plan = plan(statement);
        for expected in *expected {
            assert!(plan.contains(expected), "{statement}\n{plan}");
        }
        // There are few teams, and `r` is what was found already.
        let scans = plan.replace("SCAN t\n", "").replace("SCAN r\n", "");
        assert!(!scans.contains("SCAN"), "{statement}\n{plan}");
        assert!(!plan.contains("ORDER BY"), "{statement}\n{plan}");
    }
}

#[test]
fn what_is_counted_and_what_is_deleted_goes_by_an_index() {
    let nil = Uuid::nil();
    let (team, user, now) = (TeamId::from_uuid(nil), UserId::from_uuid(nil), Timestamp::from_millis(0));
    go_by_them(&[
        (said(secrets::deleted((team, user), 1)), &["secrets_to_bring_back (team_id=? AND deleted_at>?)"]),
        (said(events::refusals_by_day(team, now, 1)), &["events_refused (team_id=? AND at>?)"]),
        (said(runs::by_day(team, now, 1)), &["runs_by_team (team_id=? AND id>?)"]),
        (
            said(runs::deliveries_by_day(team, now, 1)),
            &["runs_by_team (team_id=? AND id>?)", "d USING PRIMARY KEY (run_id=?)"],
        ),
    ]);
}

#[test]
fn every_query_goes_by_a_key_or_an_index() {
    let nil = Uuid::nil();
    let (t, u, s) = (TeamId::from_uuid(nil), UserId::from_uuid(nil), SecretId::from_uuid(nil));
    let (team, agent) = (RunsOf::Team, RunsOf::Agent(AgentId::from_uuid(nil)));
    let (run, now) = (RunId::from_uuid(nil), Timestamp::from_millis(0));
    let (email, of_agent) = (Email::parse("ada@example.com").unwrap(), (t, AgentId::from_uuid(nil)));
    let by_team = "runs_by_team (team_id=?)";
    let indexed: [(String, &[&str]); 39] = [
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
        (said(runs::page((t, team), None, (0, 1))), &[by_team]),
        (said(runs::page((t, agent), Some(now), (0, 1))), &["runs_by_agent (team_id=? AND agent_id=?)"]),
        (said(runs::deliveries(t, team)), &[by_team, "SEARCH d USING PRIMARY KEY (run_id=?)"]),
        (said(runs::deliveries(t, agent)), &["runs_by_agent (team_id=? AND agent_id=?)"]),
        (said(runs::deliveries_of(s, 1)), &["deliveries_by_secret (secret_id=?)"]),
        (runs::LEFT.to_owned(), &["SEARCH r USING COVERING INDEX runs_by_team (team_id=?)"]),
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
        ("DELETE FROM api_keys WHERE team_id = ?".to_owned(), &["api_keys_by_team"]),
    ];
    go_by_them(&indexed);
}

#[test]
fn the_instance_s_own_keys_are_found_by_an_index() {
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
    let by_owner = "SEARCH keys USING PRIMARY KEY (owner=?";
    go_by_them(&[
        (said(instance::sealed_alike(&key)), &[by_owner]),
        (
            said(instance::rewrap(&rewrapped)),
            &["SEARCH keys USING PRIMARY KEY (owner=? AND team_id=? AND version=?)"],
        ),
        (
            said(instance::close_ways(key.created_at)),
            &["SEARCH keys USING PRIMARY KEY (owner=? AND team_id=?)"],
        ),
        (said(instance::remove_copy(&copy)), &["SEARCH root_copies USING PRIMARY KEY (provider=?)"]),
    ]);
    // In the order of the index, which has no other events.
    assert_eq!(plan(&said(instance::key_events(1))), "SCAN events USING INDEX events_of_keys\n");
    assert_eq!(plan(&said(instance::root_copies())), "SCAN root_copies\n", "by its primary key, unsorted");
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
        let found = plan(&said(events::Search::new(team, filter, None, 1).found(None)));
        assert_eq!(found, "SEARCH events USING INDEX events_by_team (team_id=? AND rowid>? AND rowid<?)\n");
    }
    let end = plan(&said(events::Search::new(team, &of_run, None, 1).end().unwrap()));
    let requests = plan(&said(events::of_run((team, RunId::from_uuid(Uuid::nil())), None, 1)));
    assert_eq!(requests, "SEARCH events USING INDEX events_requested (run_id=? AND sequence<?)\n");
    assert_eq!(end, "SEARCH events USING COVERING INDEX events_by_team (team_id=? AND rowid<?)\n");
}
