//! How PostgreSQL means to find what is asked: by an index, whatever it knows of the tables.

use std::sync::Arc;
use strongroom_testbed::Cluster;

use super::Database;
use super::connection::{Connector, Link, Live, numbered};
use crate::query::Text;
use crate::sqlite::plans::{every_query, within};

/// The plan of a statement as our sessions make it.
async fn plan(live: &Live, statement: &str) -> String {
    let values = (1..).take_while(|at| statement.contains(&format!("?{at}"))).map(|_| "NULL");
    let values: Vec<_> = values.collect();
    let given = if values.is_empty() { String::new() } else { format!("({})", values.join(", ")) };
    live.say(&format!("PREPARE it AS {}", numbered(statement))).await.unwrap();
    // The session keeps what was prepared by its text, which is to be another for each statement.
    let explain = live.prepare(&format!("EXPLAIN EXECUTE it{given} -- {statement}")).await.unwrap();
    let (rows, _) = live.run(&explain, &[]).await.unwrap();
    live.say("DEALLOCATE it").await.unwrap();
    rows.iter().map(|row| row.get::<_, String>(0) + "\n").collect()
}

/// What of a plan reads a whole table or index.
fn reads_all(plan: &str) -> Vec<&str> {
    let lines: Vec<_> = plan.lines().chain([""]).collect();
    let is_bounded = |next: &str| next.trim_start().starts_with("Index Cond:");
    let whole = |line: &str, next: &str| {
        line.contains("Seq Scan") || (line.contains("Index") && line.contains("Scan") && !is_bounded(next))
    };
    lines.windows(2).filter(|pair| whole(pair[0], pair[1])).map(|pair| pair[0].trim()).collect()
}

/// There are few teams. Which of them are shredded, and have something left, the server knows by its statistics:
/// an empty database is no measure.
fn may_read_all(statement: &str, line: &str) -> bool {
    line.contains(" on teams ") || statement.contains("t.shredded_at IS NOT NULL")
}

async fn live() -> (Database, Arc<Live>) {
    let address = Cluster::shared().database().parse().unwrap();
    let database = Database::create(&address).await.unwrap();
    let live = Link::new(Connector::new(&address).unwrap()).live().await.unwrap();
    (database, live)
}

#[tokio::test]
async fn every_query_goes_by_an_index() {
    let (_database, live) = live().await;
    let queries = every_query().into_iter().map(|(text, _)| text).chain([within()]);
    for Text { postgres, .. } in queries {
        let plan = plan(&live, &postgres).await;
        let whole = reads_all(&plan).into_iter().find(|line| !may_read_all(&postgres, line));
        assert_eq!(whole, None, "{postgres}\n{plan}");
    }
}

#[tokio::test]
async fn a_query_without_an_index_is_seen_to_read_all() {
    let (_database, live) = live().await;
    for (statement, what) in [
        ("SELECT * FROM secrets WHERE name = ?1", "Seq Scan on secrets"),
        (
            "SELECT e.sequence FROM unnest(?1::bigint[]) p JOIN events e ON e.sequence >= p ORDER BY e.sequence",
            "events_pkey",
        ),
    ] {
        let plan = plan(&live, statement).await;
        assert!(reads_all(&plan).iter().any(|line| line.contains(what)), "{plan}");
    }
}
