//! Whether the stored record is what its heads were signed over: every leaf is made anew
//! from its event.

use super::{App, Error};
use crate::audit::line::Lines;
use crate::audit::note::Checkpoint;
use crate::audit::tiles::Edge;
use crate::audit::tree::Hash;
use crate::audit::{Gap, Span};
use crate::events::Recorded;

/// Events that are read at a time.
const EVENTS: u32 = 2_000;
/// Spans that are read at a time.
const SPANS: u32 = 512;

/// What is wrong with the record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// Nothing was ever sealed, though a head is kept that says otherwise.
    #[error("there is no signed head, and one over {0} events is kept: the record was removed")]
    Headless(u64),
    /// The head isn't signed by this instance.
    #[error("the stored head is not signed by this instance")]
    Head,
    /// A leaf's event isn't there.
    #[error("the event of leaf {leaf}, {sequence} in the record, is missing")]
    Missing {
        /// The leaf.
        leaf: u64,
        /// Its place in the record.
        sequence: i64,
    },
    /// An event is where none can have come.
    #[error("event {0} was put into the record afterwards: it is no leaf")]
    Stray(i64),
    /// No event belongs to a leaf.
    #[error("which event leaf {0} is can't be told: the list of leaves was altered")]
    Unlisted(u64),
    /// An event isn't what it was when it became a leaf.
    #[error("the event of leaf {0} is not what it was: the record was altered from there on")]
    Altered(u64),
    /// The leaves aren't those of the head, and the stored hashes don't tell which.
    #[error("the events are not those that the head over {0} of them was signed over")]
    Root(u64),
    /// Stored hashes aren't those of the events, which are what they were.
    #[error("stored hashes from leaf {0} on were altered; the events are what they were")]
    Hashes(u64),
    /// It doesn't go on from a kept head.
    #[error("the first {0} events are not those that the checkpoint kept was signed over")]
    Kept(u64),
    /// It ends before a kept head.
    #[error(
        "it ends with {found} events, and a checkpoint over {kept} is kept: the database is older than that, or its end was cut off"
    )]
    Truncated {
        /// What is there.
        found: u64,
        /// What the kept head is over.
        kept: u64,
    },
}

/// What a verification saw.
#[derive(Debug, Default)]
pub struct VerifiedEvents {
    /// The head that everything was held against; `None`: nothing was ever sealed.
    pub head: Option<Checkpoint>,
    /// Events that are leaves.
    pub leaves: u64,
    /// Kept heads that were compared.
    pub kept: usize,
    /// What is wrong.
    pub wrong: Vec<Wrong>,
}

/// The state of one verification.
struct Check {
    seen: VerifiedEvents,
    edge: Edge,
    lines: Lines,
    /// Kept heads that are still to be met, the largest first.
    kept: Vec<Checkpoint>,
    /// The lowest level on which stored hashes aren't those of the events, and the first
    /// leaf below them.
    differs: Option<(u32, u64)>,
}

impl App {
    /// Makes every leaf anew and holds them against the stored head and hashes, and against
    /// heads that were kept elsewhere; `progress` is told how many more are done.
    ///
    /// # Errors
    /// When the store can't be read to its end.
    pub async fn verify_events(
        &self,
        mut kept: Vec<Checkpoint>,
        mut progress: impl FnMut(u64) + Send,
    ) -> Result<VerifiedEvents, Error> {
        kept.sort_by_key(|kept| std::cmp::Reverse(kept.size));
        let (seen, edge, lines) = (VerifiedEvents::default(), Edge::empty(), Lines::default());
        let mut check = Check { seen, edge, lines, kept, differs: None };
        let Some(head) = self.store.audit_head().await? else {
            let largest = check.kept.first().map(|kept| kept.size).filter(|size| *size > 0);
            check.seen.wrong.extend(largest.map(Wrong::Headless));
            return Ok(check.seen);
        };
        let Ok(signed) = self.own_checkpoint(&head.note) else {
            check.seen.wrong.push(Wrong::Head);
            return Ok(check.seen);
        };
        while check.edge.size() < signed.size {
            let before = check.edge.size();
            self.check_more(&mut check, signed.size).await?;
            progress(check.edge.size() - before);
            if check.edge.size() == before || !check.seen.wrong.is_empty() {
                return Ok(check.end(signed));
            }
        }
        let strays = self.strays(head.settled).await?;
        check.seen.wrong.extend(strays.into_iter().map(Wrong::Stray));
        Ok(check.end(signed))
    }

    /// Checks the next leaves.
    async fn check_more(&self, check: &mut Check, size: u64) -> Result<(), Error> {
        let at = check.edge.size();
        let spans = self.store.audit_spans(at, SPANS).await?;
        let (mut next, mut room) = (at, u64::from(EVENTS));
        for span in spans {
            // Of the one before there may be more than is looked at now.
            if room == 0 || next == size {
                break;
            }
            let Some(passed) = next.checked_sub(span.leaf).filter(|passed| *passed < span.count) else {
                check.seen.wrong.push(Wrong::Unlisted(next));
                return Ok(());
            };
            let count = (span.count - passed).min(size.saturating_sub(next)).min(room);
            let span = Span { leaf: next, sequence: span.sequence.saturating_add_unsigned(passed), count };
            if !self.check_span(check, span).await? {
                break;
            }
            (next, room) = (next + count, room - count);
        }
        if check.edge.size() == at && check.seen.wrong.is_empty() {
            check.seen.wrong.push(Wrong::Unlisted(at));
        }
        self.compare_tiles(check).await
    }

    /// Checks the leaves of a span; whether all were there.
    async fn check_span(&self, check: &mut Check, span: Span) -> Result<bool, Error> {
        let places = Gap { first: span.sequence, last: span.end() - 1 };
        let events = self.store.recorded(places, None, EVENTS).await?;
        let mut expected = span.sequence;
        for event in events {
            if event.sequence != expected {
                break;
            }
            check.leaf(&event);
            expected += 1;
        }
        if expected == span.end() {
            return Ok(true);
        }
        check.seen.wrong.push(Wrong::Missing { leaf: check.edge.size(), sequence: expected });
        Ok(false)
    }

    /// Holds the stored hashes against those of the events.
    async fn compare_tiles(&self, check: &mut Check) -> Result<(), Error> {
        let made = check.edge.take_changed();
        let places: Vec<_> = made.keys().copied().collect();
        for places in places.chunks(512) {
            let stored = self.store.audit_tiles(places).await?;
            let differing = made.iter().filter_map(|(place, made)| {
                let same = stored.0.get(place).map_or(0, |stored| stored.same_as(made));
                (places.contains(place) && same < made.len()).then(|| (place.level, place.first_leaf(same)))
            });
            check.differs = differing.chain(check.differs).min();
        }
        Ok(())
    }

    /// Events up to a place that are no leaf; a few of them are enough.
    async fn strays(&self, settled: i64) -> Result<Vec<i64>, Error> {
        let (mut gaps, mut strays, mut at) = (Vec::new(), Vec::new(), i64::MIN);
        loop {
            let spans = self.store.audit_spans_by_place(at, SPANS).await?;
            let is_last = spans.len() < SPANS as usize;
            for span in spans {
                if span.sequence > at {
                    gaps.push(Gap { first: at, last: (span.sequence - 1).min(settled) });
                }
                at = at.max(span.end());
            }
            if is_last && at <= settled {
                gaps.push(Gap { first: at, last: settled });
            }
            gaps.retain(|gap| gap.first <= gap.last);
            if !gaps.is_empty() {
                let found = self.store.recorded_within(&gaps, 10).await?;
                strays.extend(found.iter().map(|event| event.sequence));
                gaps.clear();
            }
            if is_last || at > settled || !strays.is_empty() {
                return Ok(strays);
            }
        }
    }
}

impl Check {
    fn leaf(&mut self, event: &Recorded) {
        self.edge.push(Hash::leaf(self.lines.of(event)));
        self.seen.leaves += 1;
        while let Some(kept) = self.kept.pop_if(|kept| kept.size <= self.edge.size()) {
            self.seen.kept += 1;
            let same = kept.size == self.edge.size() && kept.root == self.edge.root();
            if !same && kept.size > 0 {
                self.seen.wrong.push(Wrong::Kept(kept.size));
            }
        }
    }

    /// Holds what was made against the head.
    fn end(mut self, signed: Checkpoint) -> VerifiedEvents {
        let found = self.edge.size();
        if found == signed.size {
            self.seen.wrong.extend(match (self.edge.root() == signed.root, self.differs) {
                (true, None) => None,
                (true, Some((_, leaf))) => Some(Wrong::Hashes(leaf)),
                (false, Some((_, leaf))) => Some(Wrong::Altered(leaf)),
                (false, None) => Some(Wrong::Root(found)),
            });
            self.seen.kept += self.kept.len();
            self.seen.wrong.extend(self.kept.first().map(|kept| Wrong::Truncated { found, kept: kept.size }));
        }
        self.seen.head = Some(signed);
        self.seen
    }
}
