//! The one statement of a group of writes that only add rows: it proves each
//! permit, holds the rows that each write rests on, and adds the rows of those
//! for which all of that is so. Values come by the column.

use std::collections::HashMap;
use std::fmt::Write as _;
use uuid::Uuid;

use super::writes::{mac, with_mac};
use crate::tables::{Kind, Record, Shape, Value, events};
use strongroom_core::access::{Means, Permit, Proof};
use strongroom_core::agents::{Agent, Attachment};
use strongroom_core::answers::{KEPT_FOR, KeptAnswer};
use strongroom_core::rows::RowMac;
use strongroom_core::runs::{Delivery, Run};
use strongroom_core::secrets::{Secret, Version};
use strongroom_core::store::{Change, Write};
use strongroom_core::users::Membership;

fn number<'a>(number: usize) -> Value<'a> {
    Value::Number(i64::try_from(number).unwrap_or(i64::MAX))
}

/// Values of one table, a column each, the first of which says whose they are.
struct Part<'a> {
    kinds: Vec<Kind>,
    columns: Vec<Vec<Value<'a>>>,
}

impl<'a> Part<'a> {
    fn new(kinds: impl IntoIterator<Item = Kind>) -> Self {
        let kinds: Vec<_> = [Kind::Number].into_iter().chain(kinds).collect();
        let columns = kinds.iter().map(|_| Vec::new()).collect();
        Self { kinds, columns }
    }

    fn of(shape: &Shape) -> Self {
        Self::new(shape.columns().map(|column| column.kind))
    }

    /// What a demand for a row names: of how many of its write it is one, the
    /// row's primary key and its MAC.
    fn demanding(shape: &Shape) -> Self {
        let key = shape.key.iter().map(|column| column.kind);
        Self::new([Kind::Number].into_iter().chain(key).chain([Kind::Bytes]))
    }

    fn add(&mut self, whose: usize, values: impl IntoIterator<Item = Value<'a>>) {
        self.columns
            .iter_mut()
            .zip([number(whose)].into_iter().chain(values))
            .for_each(|(column, value)| column.push(value));
    }

    fn is_empty(&self) -> bool {
        self.columns.first().is_none_or(Vec::is_empty)
    }
}

/// A group, table by table.
pub(super) struct Batch<'a> {
    /// The proofs of callers, by their numbers; many writes may rest on one.
    proofs: HashMap<Means, Vec<(Proof, usize)>>,
    by_key: Part<'a>,
    by_run: Part<'a>,
    /// How many demands each write has, and the number of its proof.
    demands: Part<'a>,
    demanded: [(&'static Shape, Part<'a>); 4],
    answers: Part<'a>,
    added: [(&'static Shape, Part<'a>); 5],
}

impl<'a> Batch<'a> {
    fn new() -> Self {
        let (id, mac) = (Kind::Id, Kind::Bytes);
        let demanding = |shape: &'static Shape| (shape, Part::demanding(shape));
        let adding = |shape: &'static Shape| (shape, Part::of(shape));
        Self {
            proofs: HashMap::new(),
            by_key: Part::new([id, mac, mac, mac, mac]),
            by_run: Part::new([id, mac, mac, mac, mac, mac, mac]),
            demands: Part::new([Kind::Number, Kind::Number]),
            demanded: [
                demanding(Secret::shape()),
                demanding(Agent::shape()),
                demanding(Attachment::shape()),
                demanding(Membership::shape()),
            ],
            answers: Part::of(KeptAnswer::shape()),
            added: [
                adding(Secret::shape()),
                adding(Version::shape()),
                adding(Run::shape()),
                adding(Delivery::shape()),
                adding(&events::EVENTS),
            ],
        }
    }

    /// The statement of a group, and its values.
    pub(super) fn of(writes: &'a [Write], mark: Uuid) -> (String, Vec<Vec<Value<'a>>>) {
        let mut batch = Self::new();
        writes.iter().enumerate().for_each(|(at, write)| batch.add(at, write));
        batch.statement(mark)
    }

    fn add(&mut self, at: usize, write: &'a Write) {
        let proof = self.prove(&write.permit);
        let demands = number(write.changes.iter().filter(|change| demands(change)).count());
        for change in &write.changes {
            self.demand((at, &demands), change);
            self.append(at, change);
        }
        self.demands.add(at, [demands, number(proof)]);
        let [.., (_, told)] = &mut self.added;
        write.events.iter().for_each(|event| told.add(at, events::values(event)));
        write.answers.iter().for_each(|answer| self.answers.add(at, with_mac(answer)));
    }

    /// The number of what a permit is proven by.
    fn prove(&mut self, permit: &Permit) -> usize {
        let (means, proof) = (permit.means(), permit.proof());
        let next = self.proofs.values().map(Vec::len).sum();
        let known = self.proofs.entry(means).or_default();
        if let Some((_, number)) = known.iter().find(|(known, _)| *known == proof) {
            return *number;
        }
        known.push((proof, next));
        let of_caller = [proof.means, proof.user, proof.membership, proof.team];
        let (part, id, start) = match (means, proof.start) {
            (Means::Run(run), Some((key, agent))) => (&mut self.by_run, run.uuid(), vec![key, agent]),
            (Means::Key(key), _) => (&mut self.by_key, key.uuid(), vec![]),
            // Nothing proves it.
            _ => return next,
        };
        let macs = of_caller.into_iter().chain(start).map(mac);
        part.add(next, [Value::Id(id.into_bytes())].into_iter().chain(macs));
        next
    }

    /// Adds what a change demands, if it does, as one of so many demands.
    fn demand(&mut self, (at, demands): (usize, &Value<'a>), change: &'a Change) {
        let [secrets, agents, attachments, memberships] = &mut self.demanded;
        let add = |part: &mut (_, Part<'a>), key: &[&[u8; 16]], is: RowMac| {
            let key = key.iter().map(|id| Value::from(*id));
            part.1.add(at, [demands.clone()].into_iter().chain(key).chain([mac(is)]));
        };
        match change {
            Change::SecretIs(team, id, is) => add(secrets, &[team.as_bytes(), id.as_bytes()], *is),
            Change::AgentIs(team, id, is) => add(agents, &[team.as_bytes(), id.as_bytes()], *is),
            Change::AttachmentIs(team, revision, secret, is) => {
                add(attachments, &[team.as_bytes(), revision.as_bytes(), secret.as_bytes()], *is);
            }
            Change::MembershipIs(team, user, is) => {
                add(memberships, &[team.as_bytes(), user.as_bytes()], *is);
            }
            _ => {}
        }
    }

    fn append(&mut self, at: usize, change: &'a Change) {
        let [(_, secrets), (_, versions), (_, runs), (_, deliveries), _] = &mut self.added;
        match change {
            Change::Secret(put) => secrets.add(at, with_mac(&put.now)),
            Change::Version(version) => versions.add(at, version.values()),
            Change::Run(put) => runs.add(at, with_mac(&put.now)),
            Change::Delivery(delivery) => deliveries.add(at, delivery.values()),
            _ => {}
        }
    }

    /// Of each write: is it proven, are the rows that it demands as they were,
    /// is its answer the first one; only then are its rows added.
    fn statement(self, mark: Uuid) -> (String, Vec<Vec<Value<'a>>>) {
        let mut said = Said::default();
        let mark = said.value(Kind::Id, vec![Value::Id(mark.into_bytes())]);
        let whose = said.unnest(self.demands, "w(n, k, p)");
        said.proven(self.by_key, self.by_run, &whose);
        said.held(self.demanded, &whose);
        said.done(self.answers);
        for (shape, part) in self.added {
            said.add(shape, part);
        }
        let Said { mut text, columns } = said;
        let stage = "CASE WHEN w.n IN (SELECT n FROM done) THEN 3 WHEN w.n IN (SELECT n FROM held) THEN 2 \
                     WHEN w.n IN (SELECT n FROM proven) THEN 1 ELSE 0 END";
        // Writing to a String can't fail.
        let _ = write!(
            text,
            ", marked AS (INSERT INTO commits (id, done) \
             SELECT ({mark})[1], (SELECT array_agg(n) FROM done)) \
             SELECT w.n, CAST({stage} AS BIGINT) FROM {whose}"
        );
        (text, columns)
    }
}

/// Whether a change demands that something is as it was.
fn demands(change: &Change) -> bool {
    matches!(
        change,
        Change::SecretIs(..) | Change::AgentIs(..) | Change::AttachmentIs(..) | Change::MembershipIs(..)
    )
}

/// Any of the numbers in this. Found out once, where a join would compare each row
/// of one side with each of the other.
fn any(found: &str) -> String {
    format!("ANY (ARRAY(SELECT n FROM {found}))")
}

/// A statement as it is being put together.
#[derive(Default)]
struct Said<'a> {
    text: String,
    columns: Vec<Vec<Value<'a>>>,
}

impl<'a> Said<'a> {
    fn value(&mut self, kind: Kind, column: Vec<Value<'a>>) -> String {
        self.columns.push(column);
        format!("?{}::{}[]", self.columns.len(), kind.sql())
    }

    /// The rows of a part, under this name.
    fn unnest(&mut self, part: Part<'a>, name: &str) -> String {
        let columns: Vec<_> =
            part.kinds.into_iter().zip(part.columns).map(|(kind, column)| self.value(kind, column)).collect();
        format!("unnest({}) AS {name}", columns.join(", "))
    }

    fn proven(&mut self, by_key: Part<'a>, by_run: Part<'a>, whose: &str) {
        const BEHIND: &str = "JOIN users u ON u.id = c.user_id AND u.row_mac = p.u \
                              JOIN memberships m ON m.team_id = c.team_id AND m.user_id = c.user_id AND m.row_mac = p.m \
                              JOIN teams t ON t.id = c.team_id AND t.row_mac = p.t";
        let mut ways = Vec::new();
        if !by_key.is_empty() {
            let rows = self.unnest(by_key, "p(n, id, c, u, m, t)");
            ways.push(format!(
                "SELECT p.n FROM {rows} JOIN api_keys c ON c.id = p.id AND c.row_mac = p.c {BEHIND}"
            ));
        }
        if !by_run.is_empty() {
            let rows = self.unnest(by_run, "p(n, id, c, u, m, t, k, a)");
            ways.push(format!(
                "SELECT p.n FROM {rows} JOIN runs c ON c.id = p.id AND c.row_mac = p.c {BEHIND} \
                 JOIN api_keys k ON k.id = c.key_id AND k.row_mac = p.k \
                 JOIN agents a ON a.team_id = c.team_id AND a.id = c.agent_id AND a.row_mac = p.a",
            ));
        }
        if ways.is_empty() {
            ways.push("SELECT 0::bigint AS n WHERE false".into());
        }
        let _ = write!(
            self.text,
            "WITH proofs AS ({}), proven AS (SELECT w.n FROM {whose} WHERE w.p = {})",
            ways.join(" UNION ALL "),
            any("proofs"),
        );
    }

    fn held(&mut self, demanded: [(&'static Shape, Part<'a>); 4], whose: &str) {
        let mut found = Vec::new();
        for (shape, part) in demanded {
            if part.is_empty() {
                continue;
            }
            let (table, places) = (shape.table, shape.key.len());
            let names: Vec<_> = (0..=places).map(|at| format!("c{at}")).collect();
            let rows = self.unnest(part, &format!("x(n, k, {})", names.join(", ")));
            let is: Vec<_> = shape
                .key
                .iter()
                .zip(&names)
                .map(|(column, name)| format!("s.{} = x.{name}", column.name))
                .collect();
            let _ = write!(
                self.text,
                ", as_was_{table} AS MATERIALIZED (SELECT x.n, x.k FROM {rows} JOIN {table} s \
                 ON {} AND s.row_mac = x.c{places} FOR SHARE OF s)",
                is.join(" AND "),
            );
            found.push(format!("SELECT n, k FROM as_was_{table}"));
        }
        let _ = match found.as_slice() {
            [] => write!(self.text, ", held AS (SELECT n FROM proven)"),
            found => write!(
                self.text,
                ", met AS (SELECT n FROM ({}) AS as_was GROUP BY n, k HAVING count(*) = k), \
                 held AS (SELECT w.n FROM {whose} WHERE w.n = {} AND (w.k = 0 OR w.n = {}))",
                found.join(" UNION ALL "),
                any("proven"),
                any("met"),
            ),
        };
    }

    fn done(&mut self, answers: Part<'a>) {
        if answers.is_empty() {
            self.text.push_str(", done AS (SELECT n FROM held)");
            return;
        }
        let shape = KeptAnswer::shape();
        let names = shape.names();
        let rows = self.unnest(answers, &format!("a(n, {})", names.join(", ")));
        let set: Vec<_> = names.iter().skip(1).map(|name| format!("{name} = excluded.{name}")).collect();
        let _ = write!(
            self.text,
            ", kept AS (INSERT INTO answers ({names}) SELECT {names} FROM {rows} WHERE a.n = {held} \
             ON CONFLICT (id) DO UPDATE SET {set} WHERE answers.created_at <= excluded.created_at - {KEPT_FOR} \
             RETURNING id), \
             done AS (SELECT n FROM held WHERE n NOT IN (SELECT a.n FROM {rows}) \
             UNION ALL SELECT a.n FROM {rows} WHERE a.n = {held} AND a.id = ANY (ARRAY(SELECT id FROM kept)))",
            names = names.join(", "),
            set = set.join(", "),
            held = any("held"),
        );
    }

    /// Adds the rows of a table whose writes are done.
    fn add(&mut self, shape: &Shape, part: Part<'a>) {
        if part.is_empty() {
            return;
        }
        let (table, names) = (shape.table, shape.names().join(", "));
        let rows = self.unnest(part, &format!("x(n, {names})"));
        // The same may be delivered again.
        let again = if table == "deliveries" { " ON CONFLICT DO NOTHING" } else { "" };
        let _ = write!(
            self.text,
            ", into_{table} AS (INSERT INTO {table} ({names}) SELECT {names} FROM {rows} \
             WHERE x.n = {}{again})",
            any("done"),
        );
    }
}
