//! The access matrix, from outside: every operation of the description × every
//! role × whose the object is, held against a table written for people. What
//! isn't in the table is found, and so is a wrong cell of it.

mod agents;
mod expected;
mod listings;
mod scene;
mod scopes;
mod table;
mod tokens;

use serde_json::Value;
use strongroom_core::Role;
use strongroom_testbed::Database;

use self::expected::{ALWAYS_RECORDED, BY_RUN, DONE_ALREADY, LOW_KEYS, ROLES};
use self::scene::{Actor, Request, Scene, World};
use self::table::{Cell, Operation, Seen, Sight, demands, described, differing, expected, gaps, telling};
use crate::support::{Caller, NOTHING};

/// Tells whether anybody wrote to the database in between, beside that somebody
/// was refused something: that is recorded, the first time.
struct Writes(Database);

/// What was written by a moment.
#[derive(PartialEq, Eq)]
struct Written {
    state: String,
    refusals: i64,
    rows: Vec<i64>,
}

impl Writes {
    fn so_far(&self) -> Written {
        const TABLES: [&str; 8] = [
            "secrets",
            "versions",
            "answers",
            "deliveries",
            "runs",
            "api_keys",
            "memberships",
            "attachments",
        ];
        let count = |of: &str| {
            self.0.query_row(&format!("SELECT count(*) FROM {of}"), NOTHING, |row| row.get(0)).unwrap()
        };
        let told = "events WHERE kind <> 'access.denied'";
        let rows = TABLES.into_iter().chain([told]).map(count).collect();
        let refusals = count("events WHERE kind = 'access.denied'");
        Written { state: self.0.state(), refusals, rows }
    }

    fn since(&self, before: &Written) -> bool {
        let now = self.so_far();
        if now.refusals == before.refusals { now != *before } else { now.rows != before.rows }
    }
}

/// The operation that a cell is about.
fn operation<'a>(operations: &'a [Operation], cell: &Cell) -> &'a Operation {
    operations.iter().find(|operation| operation.name == cell.operation).unwrap()
}

/// Deletes the team that the cells are about, or brings it back.
async fn team_deleted(world: &World, deleted: bool) {
    let path = format!("/v2/teams/{}", world.home());
    let answer = if deleted {
        world.founder.delete(&path).await
    } else {
        world.founder.post(&format!("{path}/undelete"), "").await
    };
    assert_eq!(answer.status, 200, "{}", answer.body);
}

/// What comes of a request that must leave nothing behind.
async fn tried(writes: &Writes, operation: &Operation, request: &Request, speaker: &Caller) -> Seen {
    let before = writes.so_far();
    let seen = request.by(speaker).await;
    let recorded = ALWAYS_RECORDED.contains(&operation.verb()) && seen.status == 200;
    assert_eq!(writes.since(&before), recorded, "{} {}", operation.name, request.path);
    seen
}

/// What is seen in one cell, without doing anything.
async fn look(scene: &mut Scene<'_>, writes: &Writes, operation: &Operation, object: &str) -> Seen {
    let request = scene.request(operation, object).await;
    let speaker = scene.speaker(operation, object).await;
    let request = if operation.changes() { request.dry() } else { request };
    let deleted = object == "ours-deleted";
    if deleted {
        team_deleted(scene.world, true).await;
    }
    let seen = tried(writes, operation, &request, &speaker).await;
    if deleted {
        team_deleted(scene.world, false).await;
    }
    seen
}

/// What an actor sees in the cells of their role.
async fn look_at(world: &World, actor: Actor, cells: impl Iterator<Item = &Cell>) -> Sight {
    let (operations, writes) = (described(), Writes(world.app.database()));
    let mut scene = Scene::new(world, actor);
    let mut sight = Sight::new();
    for cell in cells {
        let seen = look(&mut scene, &writes, operation(&operations, cell), cell.object).await;
        sight.insert(cell.clone(), seen);
    }
    sight
}

/// The cells, with what was seen in them.
fn told(sight: &Sight, cells: &[Cell]) -> String {
    let line = |cell: &Cell| {
        let seen = sight.get(cell).map_or("nothing".into(), |seen| format!("{} {}", seen.status, seen.body));
        format!("\n{} {} {}: {seen}", cell.operation, cell.object, cell.role)
    };
    cells.iter().map(line).collect()
}

/// Holds what was seen against what is expected.
fn assert_as_written(expected: &[(Cell, u16)], sight: &Sight) {
    let wrong = differing(expected, sight);
    assert!(wrong.is_empty(), "not as written:{}", told(sight, &wrong));
    let telling = telling(sight);
    assert!(telling.is_empty(), "tells what is there:{}", told(sight, &telling));
}

#[tokio::test]
async fn every_cell_is_as_it_is_written() {
    let (world, expected) = (World::new().await, expected(ROLES));
    let mut sight = Sight::new();
    for role in Role::ALL {
        let cells = expected.iter().map(|(cell, _)| cell).filter(|cell| cell.role == role);
        sight.extend(look_at(&world, world.actor(role), cells).await);
    }
    assert_as_written(&expected, &sight);
}

/// The cells for an owner's key of this role: its own rows, and those that don't depend on who one is.
fn for_low_key(role: Role) -> Vec<(Cell, u16)> {
    let special = expected(LOW_KEYS);
    let named = |cell: &Cell| special.iter().any(|(own, _)| own == cell);
    let rest = expected(ROLES).into_iter().filter(|(cell, _)| !named(cell));
    let of_role = rest.chain(special.iter().cloned()).filter(|(cell, _)| cell.role == role);
    // Who bears a link or a run's token isn't who has the key.
    let by_key = |operation: &str| operation != "claimKeyLink" && !BY_RUN.contains(&operation);
    of_role.filter(|(cell, _)| by_key(cell.operation)).collect()
}

#[tokio::test]
async fn a_key_of_a_lower_role_is_worth_that_role() {
    let world = World::new().await;
    for role in [Role::Member, Role::Administrator] {
        let expected = for_low_key(role);
        let actor = world.owner(|key| key.grant.role = role);
        let sight = look_at(&world, actor, expected.iter().map(|(cell, _)| cell)).await;
        assert_as_written(&expected, &sight);
    }
}

/// Of each row that can change something, the lowest role that may and the
/// highest that may not.
fn edges(expected: &[(Cell, u16)]) -> Vec<&(Cell, u16)> {
    let mut edges: Vec<&(Cell, u16)> = Vec::new();
    for row in expected.chunks(Role::ALL.len()) {
        edges.extend(row.iter().find(|(_, status)| *status < 300));
        edges.extend(row.iter().rev().find(|(_, status)| *status >= 400));
    }
    edges
}

/// The names in a body, without what they stand for.
fn shape(body: &str) -> Value {
    fn names(value: &Value) -> Value {
        match value {
            Value::Object(fields) => {
                fields.iter().map(|(name, value)| (name.clone(), names(value))).collect()
            }
            Value::Array(items) => items.iter().take(1).map(names).collect(),
            _ => Value::Null,
        }
    }
    names(&serde_json::from_str(body).unwrap())
}

/// Tries, then does it: both must come to the same, and only what is done may
/// leave anything behind.
async fn try_and_do(world: &World, writes: &Writes, operation: &Operation, (cell, status): &(Cell, u16)) {
    let mut scene = Scene::new(world, world.actor(cell.role));
    let request = scene.request(operation, cell.object).await;
    let speaker = scene.speaker(operation, cell.object).await;
    let of_team = operation.name.ends_with("Team");
    if cell.object == "ours-deleted" {
        team_deleted(world, true).await;
    }
    let tried = tried(writes, operation, &request.dry(), &speaker).await;
    let before = writes.so_far();
    let done = request.by(&speaker).await;
    assert_eq!(
        (tried.status, &tried.code),
        (done.status, &done.code),
        "{cell:?}: {} {}",
        tried.body,
        done.body
    );
    assert_eq!(done.status, *status, "{cell:?}: {}", done.body);
    assert_eq!(shape(&tried.body), shape(&done.body), "{cell:?}");
    let effective = *status < 300 && !DONE_ALREADY.contains(&(cell.operation, cell.object));
    assert_eq!(writes.since(&before), effective, "{cell:?}");
    if of_team {
        team_deleted(world, false).await;
    }
}

#[tokio::test]
async fn a_dry_run_says_what_really_happens() {
    let (world, expected, operations) = (World::new().await, expected(ROLES), described());
    let writes = Writes(world.app.database());
    for edge in edges(&expected) {
        let operation = operation(&operations, &edge.0);
        if operation.changes() {
            try_and_do(&world, &writes, operation, edge).await;
        }
    }
}

#[test]
fn every_operation_has_its_rows_and_every_row_an_operation() {
    let operations = described();
    let described: Vec<_> = operations.iter().map(|operation| operation.name.as_str()).collect();
    let rows: Vec<_> = expected(ROLES).iter().map(|(cell, _)| cell.operation).collect();
    let scopes: Vec<_> = demands().iter().map(|demand| demand.operation).collect();
    for rows in [&rows, &scopes] {
        assert_eq!(gaps(&described, rows), [] as [&str; 0]);
    }
    assert_eq!(
        expected(ROLES).len(),
        { expected(ROLES) }.into_iter().collect::<std::collections::BTreeMap<_, _>>().len()
    );
}

#[test]
fn an_operation_without_rows_and_rows_without_an_operation_are_found() {
    let rows: Vec<_> = demands().iter().map(|demand| demand.operation).collect();
    for missing in 0..rows.len() {
        let mut others = rows.clone();
        let dropped = others.remove(missing);
        assert_eq!(gaps(&rows, &others), [dropped], "described, but in no row");
        assert_eq!(gaps(&others, &rows), [dropped], "in a row, but not described");
    }
}

/// A sight in which everything is as it is written.
fn faultless(expected: &[(Cell, u16)]) -> Sight {
    let seen = |(cell, status): &(Cell, u16)| (cell.clone(), Seen::as_expected(cell, *status));
    expected.iter().map(seen).collect()
}

#[test]
fn one_flipped_expectation_is_the_one_cell_that_is_reported() {
    let mut expected = expected(ROLES);
    let sight = faultless(&expected);
    assert_eq!(differing(&expected, &sight), []);
    for place in (0..expected.len()).step_by(97) {
        let (cell, right) = expected[place].clone();
        expected[place].1 = if right == 404 { 403 } else { 404 };
        assert_eq!(differing(&expected, &sight), [cell]);
        expected[place].1 = right;
    }
}

#[test]
fn a_cell_that_nobody_looked_at_is_reported() {
    let expected = expected(ROLES);
    let mut sight = faultless(&expected);
    let (cell, _) = sight.pop_last().unwrap();
    assert_eq!(differing(&expected, &sight), [cell]);
}

#[test]
fn an_answer_that_tells_what_is_there_is_reported() {
    let expected = expected(ROLES);
    let told = |object| Cell { operation: "getSecret", object, role: Role::Manager };
    let header = |seen: &mut Seen| seen.headers.push(("etag".into(), "\"x\"".into()));
    let body = |seen: &mut Seen| seen.body.push('x');
    for change in [header as fn(&mut Seen), body] {
        let mut sight = faultless(&expected);
        assert_eq!(telling(&sight), []);
        change(sight.get_mut(&told("shared-deleted")).unwrap());
        assert_eq!(telling(&sight), [told("shared-deleted")]);
    }
}
