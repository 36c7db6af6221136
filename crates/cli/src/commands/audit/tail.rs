//! `strongroom audit tail`: events as they happen.

use serde_json::value::RawValue;
use std::collections::BTreeSet;
use std::io;
use std::time::Duration;
use tokio::time::sleep;
use unicode_width::UnicodeWidthStr;

use super::events::{self, Event, Names, PAGE};
use crate::cli::audit::Tail;
use crate::client::{Client, Request};
use crate::failure::Failure;
use crate::output;
use crate::printable::printable;
use crate::table::cut;

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);
/// The most pages in one look; where few match, a page may be empty and still go on.
const PAGES: usize = 20;
/// Of how many events it is remembered that they were shown: one of a transaction that took
/// its time comes behind others with later places.
const REMEMBERED: usize = 2_000;
/// How wide actions, names and what it was done to are. Names are cut; the others may be wider.
const WIDTHS: [usize; 3] = [18, 16, 12];

/// What was shown, and what is to be.
struct Watch<'a> {
    args: &'a Tail,
    client: Client,
    path: String,
    shown: BTreeSet<i64>,
    /// Nothing up to this place is shown.
    after: i64,
    names: Names,
}

pub(super) async fn run(args: &Tail) -> Result<(), Failure> {
    tokio::select! {
        done = follow(args) => done,
        _interrupted = tokio::signal::ctrl_c() => Ok(()),
    }
}

async fn follow(args: &Tail) -> Result<(), Failure> {
    let client = super::client(&args.client)?;
    let path = client.in_team("events").await?;
    let names = if args.json { Names::default() } else { Names::of_members(&client).await };
    let mut watch = Watch { args, client, path, shown: BTreeSet::new(), after: 0, names };
    let mut is_told = false;
    let last = watch.newest(args.last.max(1)).await?;
    watch.begin(&last)?;
    loop {
        let Some(events) = attempted(watch.unshown().await, &mut is_told)? else {
            sleep(PAUSE).await;
            continue;
        };
        if !watch.show(&events)? || output::reader_is_gone() {
            return Ok(());
        }
        sleep(PAUSE).await;
    }
}

/// What was found; `None` when it can't be told now, which is said once.
fn attempted<T>(found: Result<T, Failure>, is_told: &mut bool) -> Result<Option<T>, Failure> {
    match found {
        Ok(found) => {
            *is_told = false;
            Ok(Some(found))
        }
        Err(failure) if failure.may_pass() => {
            if !std::mem::replace(is_told, true) {
                output::complain(&format!("warning: {}; trying on", failure.message()));
            }
            Ok(None)
        }
        Err(failure) => Err(failure),
    }
}

/// An event, as the server wrote it and as it is read.
struct Told {
    raw: Box<RawValue>,
    event: Event,
}

impl Watch<'_> {
    /// The newest events, at most so many, the newest first.
    async fn newest(&self, limit: u32) -> Result<Vec<Told>, Failure> {
        self.told(limit, |found, _| found < limit as usize).await
    }

    /// Pages for as long as they are wanted, by how many events were found and what the last
    /// page had.
    async fn told(&self, limit: u32, wanted: impl Fn(usize, &[Told]) -> bool) -> Result<Vec<Told>, Failure> {
        let mut query = self.args.filter.query();
        query.push(("limit".to_owned(), limit.min(PAGE).to_string()));
        let mut found = Vec::new();
        for _ in 0..PAGES {
            let answer = self.client.send(Request::get(&self.path).queries(query)).await?;
            let told = |raw: Box<RawValue>| Ok(Told { event: events::read(&raw)?, raw });
            let page: Vec<_> =
                events::written(&answer)?.into_iter().map(told).collect::<Result<_, Failure>>()?;
            let goes_on = wanted(found.len() + page.len(), &page);
            found.extend(page);
            match answer.next() {
                Some(next) if goes_on && found.len() < REMEMBERED => query = next,
                _ => break,
            }
        }
        Ok(found)
    }

    /// Remembers what happened before, and how much of it is to be shown.
    fn begin(&mut self, last: &[Told]) -> Result<(), Failure> {
        let last = last.get(..last.len().min(self.args.last.max(1) as usize)).unwrap_or_default();
        if self.args.last == 0 {
            self.after = last.first().map_or(0, |told| told.event.sequence);
        } else {
            self.after = last.last().map_or(0, |told| told.event.sequence - 1);
        }
        let events: Vec<_> = last.iter().rev().filter(|told| told.event.sequence > self.after).collect();
        for told in events {
            self.shown.insert(told.event.sequence);
            self.line(told)?;
        }
        Ok(())
    }

    /// What wasn't shown yet, the oldest first.
    async fn unshown(&self) -> Result<Vec<Told>, Failure> {
        let is_new =
            |told: &Told| told.event.sequence > self.after && !self.shown.contains(&told.event.sequence);
        let mut found = self.told(PAGE / 2, |_, page| !page.is_empty() && page.iter().all(is_new)).await?;
        found.retain(is_new);
        found.reverse();
        Ok(found)
    }

    /// Shows them; whether somebody still reads.
    fn show(&mut self, events: &[Told]) -> Result<bool, Failure> {
        for told in events {
            self.shown.insert(told.event.sequence);
            if !self.line(told)? {
                return Ok(false);
            }
        }
        while self.shown.len() > REMEMBERED {
            self.after = self.shown.pop_first().unwrap_or(self.after);
        }
        Ok(true)
    }

    fn line(&self, told: &Told) -> Result<bool, Failure> {
        let text = if self.args.json { told.raw.get().to_owned() } else { self.words(&told.event) };
        match output::line(&text) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            done => Ok(done.map(|()| true)?),
        }
    }

    /// A line of columns, no wider than the terminal; an id is shown whole or not at all.
    fn words(&self, event: &Event) -> String {
        let [at, action, who, what, id] = event.cells(&self.names).map(|cell| printable(&cell));
        let padded = |text: &str, width: usize| {
            let room = width.saturating_sub(text.width());
            format!("{text}{}  ", " ".repeat(room))
        };
        let [of_action, of_who, of_what] = WIDTHS;
        let line = format!("{at}  {}{}", padded(&action, of_action), padded(&cut(&who, of_who), of_who));
        let width = output::width().unwrap_or(usize::MAX);
        let whole = format!("{line}{}{id}", padded(&what, of_what));
        if whole.width() <= width {
            whole.trim_end().to_owned()
        } else {
            cut(&format!("{line}{what}"), width)
        }
    }
}
