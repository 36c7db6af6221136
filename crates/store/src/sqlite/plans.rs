//! How SQLite means to find what is asked: never by reading a whole table where
//! there is an index, and never by sorting.

use rusqlite::Connection;
use strongroom_core::AgentId;
use strongroom_core::runs::RunsOf;

use super::{agents, answers, api_keys, key_links, migrations, proofs, purge, runs, secrets, users};

fn plan(statement: &str) -> String {
    let connection = Connection::open_in_memory().unwrap();
    migrations::create(&connection, std::path::Path::new("in memory")).unwrap();
    let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).unwrap();
    let mut lines = explain.raw_query();
    let mut plan = String::new();
    while let Some(line) = lines.next().unwrap() {
        plan += &line.get::<_, String>("detail").unwrap();
        plan.push('\n');
    }
    plan
}

#[test]
fn every_query_goes_by_a_key_or_an_index() {
    let (team, agent) = (RunsOf::Team, RunsOf::Agent(AgentId::from_uuid(uuid::Uuid::nil())));
    let by_team = "runs_by_team (team_id=?)";
    let indexed: [(&str, &[&str]); 22] = [
        (&agents::AGENTS, &["SEARCH agents USING PRIMARY KEY (team_id=? AND id>?)"]),
        (&agents::REVISIONS, &["SEARCH revisions USING PRIMARY KEY (team_id=? AND agent_id=? AND id>?)"]),
        (&agents::REVISION, &["revisions_by_id (team_id=? AND id=?)"]),
        (&agents::ATTACHED, &["SEARCH attachments USING PRIMARY KEY (team_id=? AND revision_id=?)"]),
        (&runs::ONE, &["SEARCH r USING PRIMARY KEY (id=?)"]),
        (proofs::OF_RUN, &["SEARCH c USING PRIMARY KEY (id=?)"]),
        (&runs::page(team), &[by_team]),
        (&runs::page(agent), &["runs_by_agent (team_id=? AND agent_id=?)"]),
        (&runs::deliveries(team), &[by_team, "SEARCH d USING PRIMARY KEY (run_id=?)"]),
        (&runs::deliveries(agent), &["runs_by_agent (team_id=? AND agent_id=?)"]),
        (runs::DELIVERIES_OF_SECRET, &["deliveries_by_secret (secret_id=?)"]),
        (runs::LEFT, &["SEARCH r USING COVERING INDEX runs_by_agent (team_id=?)"]),
        (&users::BY_EMAIL, &["users_by_email"]),
        (&users::MEMBERS, &["SEARCH m USING PRIMARY KEY", "SEARCH u USING PRIMARY KEY"]),
        (&api_keys::PAGE, &["api_keys_by_team (team_id=? AND id>?)"]),
        (&key_links::PAGE, &["key_links_open (team_id=? AND id>?)"]),
        (&secrets::VISIBLE, &["SEARCH secrets USING PRIMARY KEY (team_id=? AND id>?)"]),
        (&proofs::OF_KEY, &["SEARCH c USING PRIMARY KEY (id=?)"]),
        (&proofs::OF_LINK, &["SEARCH c USING PRIMARY KEY (id=?)"]),
        (answers::FORGET, &["answers_by_age (created_at<?)"]),
        (&purge::SECRETS_DUE, &["secrets_deleted (deleted_at<?)", "memberships_removed (removed_at<?)"]),
        ("DELETE FROM api_keys WHERE team_id = ?", &["api_keys_by_team"]),
    ];
    for (statement, expected) in indexed {
        let plan = plan(statement);
        for expected in expected {
            assert!(plan.contains(expected), "{statement}\n{plan}");
        }
        // There are few teams, and `r` is what was found already.
        let scans = plan.replace("SCAN t\n", "").replace("SCAN r\n", "");
        assert!(!scans.contains("SCAN"), "{statement}\n{plan}");
        assert!(!plan.contains("ORDER BY"), "{statement}\n{plan}");
    }
}

#[test]
fn a_query_without_an_index_is_seen_to_scan() {
    assert!(plan("SELECT * FROM secrets WHERE name = ?").contains("SCAN secrets"));
    assert!(plan("SELECT * FROM users WHERE email = ?").contains("SCAN users"), "the index folds case");
}
