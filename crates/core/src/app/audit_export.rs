//! The record as a file that proves itself: those events that were asked for and that who
//! asks may see, each in its place among the leaves, and of all others the hashes.

use super::audit::NOTHING_YET;
use super::{App, Ask, Error};
use crate::access::{Action, Ownership};
use crate::audit::line::Lines;
use crate::audit::note::{self, Checkpoint};
use crate::audit::tree::Leaves;
use crate::audit::{Broken, Gap, Head, Span, file};
use crate::events::{EventFilter, Recorded};
use crate::ids::TeamId;

/// The most events that are read for a piece of an export.
const EVENTS: u32 = 2_000;
/// The most spans that are read for a piece.
const SPANS: u32 = 512;

/// An export under way. It goes on from any leaf, so that it can be had in pages.
pub struct Export {
    /// Whose events; `None`: everybody's.
    team: Option<TeamId>,
    /// Which of them; `None`: none.
    filter: Option<EventFilter>,
    size: u64,
    note: String,
    origin: String,
    /// Sizes at which what is skipped must end, so that heads of those sizes can be
    /// compared, in their order.
    stops: Vec<u64>,
    /// The next leaf.
    at: u64,
    /// How many spans are read at a time, by how many events were in the last.
    spans: u32,
}

impl Export {
    /// The same, ready to be compared with heads of these sizes.
    #[must_use]
    pub fn stopping_at(mut self, sizes: impl IntoIterator<Item = u64>) -> Self {
        self.stops = sizes.into_iter().collect();
        self.stops.sort_unstable();
        self
    }

    /// The same, from a leaf on: what comes before it was had before.
    #[must_use]
    pub fn from_leaf(self, leaf: u64) -> Self {
        Self { at: leaf, ..self }
    }

    /// How many leaves there are.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The next leaf.
    pub const fn at(&self) -> u64 {
        self.at
    }

    fn wants(&self, event: &Recorded) -> bool {
        self.filter.as_ref().is_some_and(|filter| filter.matches(event))
    }

    /// What is to be written for leaves that are skipped.
    fn skipped(&self, mut first: u64, end: u64) -> Vec<Next> {
        let mut skipped = Vec::new();
        while first < end {
            let stop = self.stops.iter().find(|stop| **stop > first).map_or(end, |stop| end.min(*stop));
            skipped.push(Next::Skipped(Leaves { first, end: stop }));
            first = stop;
        }
        skipped
    }
}

/// A piece of what is written next.
enum Next {
    Line(String),
    Skipped(Leaves),
}

impl App {
    /// Begins an export of what a caller may see of these events, over so many leaves:
    /// without a size, over all.
    ///
    /// # Errors
    /// When the key isn't for it, or there aren't so many leaves.
    pub async fn export_events(
        &self,
        ask: &Ask,
        filter: &EventFilter,
        size: Option<u64>,
    ) -> Result<Export, Error> {
        ask.permit(Action::ExportEvents, Ownership::Own)?;
        let filter = super::events::seen_by(ask, Action::ExportEvents, filter);
        let head = self.store.audit_head().await?.ok_or(NOTHING_YET)?;
        let size = size.unwrap_or(head.size);
        if size == 0 || size > head.size {
            return Err(Error::Conflict("there are not so many leaves; export fewer, or all that there are"));
        }
        let note = self.whole(self.note_over(size, head).await, ask).await?;
        Ok(self.export(Some(ask.caller.team_id), filter, (size, note)))
    }

    /// Begins an export of these events of everybody, for who has the instance itself.
    ///
    /// # Errors
    /// When the store can't be read, or nothing was ever sealed.
    pub async fn export_everything(&self, filter: EventFilter) -> Result<Export, Error> {
        let head = self.store.audit_head().await?.ok_or(NOTHING_YET)?;
        Ok(self.export(None, Some(filter), (head.size, head.note)))
    }

    fn export(
        &self,
        team: Option<TeamId>,
        filter: Option<EventFilter>,
        (size, note): (u64, String),
    ) -> Export {
        let (stops, origin) = (Vec::new(), self.audit_origin());
        Export { team, filter, size, note, origin, stops, at: 0, spans: SPANS }
    }

    /// A signed head over so many leaves: a tree that goes on proves every smaller one.
    async fn note_over(&self, size: u64, head: Head) -> Result<String, Broken> {
        if size == head.size {
            return Ok(head.note);
        }
        let root = self.hash_of(Leaves { first: 0, end: size }).await?;
        let checkpoint = Checkpoint { origin: self.audit_origin(), size, root };
        Ok(note::sign(&checkpoint, &*self.keys.signers()))
    }

    /// [`Self::export_piece`] for a caller; a damaged tree is noted.
    ///
    /// # Errors
    /// When the store can't be read, or the tree is damaged.
    pub async fn export_page(
        &self,
        ask: &Ask,
        export: &mut Export,
        lines: &mut String,
    ) -> Result<bool, Error> {
        self.whole(self.export_piece(export, lines).await, ask).await
    }

    /// Adds what comes next to `lines`; whether there is more.
    ///
    /// # Errors
    /// When the store can't be read, or the tree is damaged.
    pub async fn export_piece(&self, export: &mut Export, lines: &mut String) -> Result<bool, Broken> {
        let mut write = |line: &str| {
            lines.push_str(line);
            lines.push('\n');
        };
        if export.at == 0 {
            write(&file::begin(&export.origin));
        }
        let next = self.next_of(export).await?;
        let skipped = next.iter().filter_map(|next| match next {
            Next::Skipped(leaves) => Some(*leaves),
            Next::Line(_) => None,
        });
        let skipped: Vec<_> = skipped.flat_map(Leaves::subtrees).collect();
        let ranges: Vec<_> = skipped.iter().map(|subtree| subtree.range()).collect();
        let hashes = self.hashes(&ranges).await?;
        let mut hashes = skipped.iter().zip(hashes).map(|(subtree, hash)| file::skipped(subtree.level, hash));
        for next in next {
            match next {
                Next::Line(line) => write(&line),
                Next::Skipped(leaves) => {
                    hashes.by_ref().take(leaves.subtrees().count()).for_each(|line| write(&line));
                }
            }
        }
        let is_end = export.at >= export.size;
        if is_end {
            write(&file::end(&export.note));
        }
        Ok(!is_end)
    }

    /// The lines of leaves that are sealed, from one on, as they are hashed; and behind
    /// which leaf they end. None when there are no more yet.
    ///
    /// # Errors
    /// When the store can't be read, or the list of leaves is damaged.
    pub async fn sealed_lines(&self, from: u64) -> Result<(Vec<String>, u64), Broken> {
        let Some(head) = self.store.audit_head().await?.filter(|head| head.size > from) else {
            return Ok((Vec::new(), from));
        };
        let everything = Some(EventFilter::default());
        let mut export = self.export(None, everything, (head.size, head.note)).from_leaf(from);
        let (events, end) = self.leaves(&mut export).await?;
        let mut lines = Lines::default();
        Ok((events.iter().map(|(_, event)| lines.text(event)).collect(), end))
    }

    /// Goes on by a piece.
    async fn next_of(&self, export: &mut Export) -> Result<Vec<Next>, Broken> {
        let (mut next, mut at) = (Vec::new(), export.at);
        if at >= export.size {
            return Ok(next);
        }
        let ((events, end), mut lines) = (self.leaves(export).await?, Lines::default());
        for (leaf, event) in events {
            if export.wants(&event) {
                next.extend(export.skipped(at, leaf));
                next.push(Next::Line(lines.text(&event)));
                at = leaf + 1;
            }
        }
        next.extend(export.skipped(at, end));
        export.at = end;
        Ok(next)
    }

    /// The next events that may be wanted, with their leaves, in the order of these; and
    /// behind which leaf that ends.
    async fn leaves(&self, export: &mut Export) -> Result<(Vec<(u64, Recorded)>, u64), Broken> {
        loop {
            let spans = self.spans_at(export).await?;
            let (Some(first), Some(last)) = (spans.first(), spans.last()) else { return Err(Broken::Tree) };
            let end = last.end_leaf();
            let hull = Gap {
                first: spans.iter().map(|span| span.sequence).min().unwrap_or_default(),
                last: spans.iter().map(|span| span.end() - 1).max().unwrap_or_default(),
            };
            let events = self.store.recorded(hull, export.team, EVENTS).await?;
            let is_cut = events.len() >= EVENTS as usize;
            if is_cut && spans.len() > 1 {
                export.spans = (export.spans / 2).max(1);
                continue;
            }
            export.spans = (export.spans * 2).min(SPANS);
            let end = match events.last().filter(|_| is_cut) {
                Some(last) => first.leaf_of(last.sequence).map_or(end, |leaf| leaf + 1),
                None => end,
            };
            let leaf = |event: Recorded| {
                let leaf = spans.iter().find_map(|span| span.leaf_of(event.sequence))?;
                Some((leaf, event))
            };
            let mut events: Vec<_> = events.into_iter().filter_map(leaf).collect();
            events.sort_unstable_by_key(|(leaf, _)| *leaf);
            return Ok((events, end));
        }
    }

    /// The next spans, of which the first begins at the next leaf and the last ends with the
    /// tree that the head is over.
    async fn spans_at(&self, export: &Export) -> Result<Vec<Span>, Broken> {
        let mut spans = self.store.audit_spans(export.at, export.spans).await?;
        let mut at = export.at;
        for span in &mut spans {
            let passed =
                at.checked_sub(span.leaf).filter(|passed| *passed < span.count).ok_or(Broken::Tree)?;
            let offset = i64::try_from(passed).map_err(|_| Broken::Tree)?;
            let room = export.size.saturating_sub(at);
            *span =
                Span { leaf: at, sequence: span.sequence + offset, count: (span.count - passed).min(room) };
            at = span.end_leaf();
        }
        spans.retain(|span| span.count > 0);
        Ok(spans)
    }
}
