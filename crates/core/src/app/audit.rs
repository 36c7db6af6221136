//! The audit tree at work: events become its leaves, heads are signed, and what is asked
//! of it is proven. Of several servers one seals at a time; the store lets no two.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::events::seen_by;
use super::{App, Ask, Error, Suspect};
use crate::access::{Action, Ownership};
use crate::audit::line::{self, Lines};
use crate::audit::note::{self, Checkpoint, NotSigned, SignedHead, Signer, VerifierKey};
use crate::audit::tiles::{self, Edge, Tiles};
use crate::audit::tree::{self, Hash, Leaves};
use crate::audit::{Broken, Gap, Head, Sealing, Span};
use crate::clock::Timestamp;
use crate::events::{EventFilter, Object, Recorded};
use crate::instance::Instance;
use crate::rows::{Proven, Stored};
use crate::sealing::IntegrityViolation;
use crate::store::StoreError;

/// The most events that are sealed together.
pub const SEALED_AT_ONCE: u32 = 4_096;
/// How often a gap is looked at, with a sealing each time, until nothing is expected in it
/// any more: a transaction that had its place in the record before others is committed
/// seconds after them at most, or never.
const LOOKS: u32 = 60;
/// What is said in the second before the first head is signed.
pub(super) const NOTHING_YET: Error =
    Error::Conflict("nothing is sealed yet; the first head is signed a second after the server started");
/// What is said of an event of this second.
const NO_LEAF_YET: Error = Error::Conflict("this event is not sealed yet; ask again in a second");
/// Spans that are read at a time.
const SPANS: u32 = 1_000;

/// Places in the record that were passed over: of a transaction that is still under way,
/// or was undone.
struct Hole {
    gap: Gap,
    looks: u32,
}

/// How far a server has sealed, and what may come late. It is for one [`App::seal_events`] after
/// another.
#[derive(Default)]
pub struct Sealer {
    /// The size of the tree that the rest is about; another server may have gone on.
    size: Option<u64>,
    /// The last place in the record that is a leaf.
    top: i64,
    /// The last span, which may become longer.
    last: Option<Span>,
    holes: Vec<Hole>,
}

impl Sealer {
    /// Adds the places that are passed over between what was sealed and an event.
    fn reach(&mut self, sequence: i64) {
        if sequence > self.top {
            if sequence - self.top > 1 {
                self.holes.push(Hole { gap: Gap { first: self.top + 1, last: sequence - 1 }, looks: 0 });
            }
            self.top = sequence;
            return;
        }
        let Some(at) =
            self.holes.iter().position(|hole| hole.gap.first <= sequence && sequence <= hole.gap.last)
        else {
            return;
        };
        let Hole { gap, looks } = self.holes.swap_remove(at);
        for gap in [Gap { last: sequence - 1, ..gap }, Gap { first: sequence + 1, ..gap }] {
            if gap.first <= gap.last {
                self.holes.push(Hole { gap, looks });
            }
        }
    }

    /// After a sealing: holes that were looked at often enough are none.
    fn looked(&mut self) {
        self.holes.iter_mut().for_each(|hole| hole.looks += 1);
        self.holes.retain(|hole| hole.looks < LOOKS);
    }

    /// Up to where everything is a leaf or will never be there.
    fn settled(&self) -> i64 {
        let first = self.holes.iter().map(|hole| hole.gap.first).min();
        first.map_or(self.top, |first| first - 1)
    }

    fn gaps(&self) -> Vec<Gap> {
        let mut gaps: Vec<_> = self.holes.iter().map(|hole| hole.gap).collect();
        gaps.sort_by_key(|gap| gap.first);
        gaps
    }
}

/// What a sealing came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedEvents {
    /// How many events became leaves.
    pub events: u32,
    /// The head by now.
    pub head: Head,
}

/// A leaf, and what proves that it is in the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InclusionProof {
    /// Which leaf.
    pub leaf: u64,
    /// Its line, whose exact bytes it is the hash of.
    pub line: String,
    /// The hashes beside the way from it to the root.
    pub proof: Vec<Hash>,
    /// The signed head that they lead to.
    pub checkpoint: String,
}

/// What proves that the tree of one size goes on as that of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsistencyProof {
    /// The smaller size.
    pub old: u64,
    /// The larger.
    pub new: u64,
    /// The hashes.
    pub proof: Vec<Hash>,
}

impl App {
    /// The name of this instance's log.
    pub fn audit_origin(&self) -> String {
        note::origin(self.keys.instance())
    }

    /// The instance's row, when it is what was stored.
    ///
    /// # Errors
    /// When it isn't.
    pub fn own_instance(&self, stored: Stored<Instance>) -> Result<Proven<Instance>, IntegrityViolation> {
        self.keys.verify(stored)
    }

    /// What signs in this instance's name, the newest first.
    pub fn signers(&self) -> Arc<[Signer]> {
        self.keys.signers()
    }

    /// The keys by which its heads are checked, the newest first.
    pub fn verifier_keys(&self) -> Vec<VerifierKey> {
        self.keys.signers().iter().map(|signer| signer.verifier().clone()).collect()
    }

    /// The newest signed head, as another server may have stored it.
    ///
    /// # Errors
    /// When the store can't tell.
    pub async fn newest_head(&self) -> Result<Option<Head>, StoreError> {
        let head = self.store.audit_head().await?;
        if let Some(head) = &head {
            self.saw(head);
        }
        Ok(head)
    }

    fn saw(&self, head: &Head) {
        self.sealed.0.store(head.size, Ordering::Relaxed);
        self.sealed.1.store(head.at.as_millis(), Ordering::Relaxed);
    }

    /// Makes leaves of what was recorded since, and signs a head over it all; at most
    /// [`SEALED_AT_ONCE`]. `None` when nothing was ever recorded.
    ///
    /// # Errors
    /// When the tree isn't what its head says, or the store refuses;
    /// [`StoreError::Changed`] when another server was quicker.
    pub async fn seal_events(&self, sealer: &mut Sealer) -> Result<Option<SealedEvents>, Broken> {
        let head = self.newest_head().await?;
        let size = head.as_ref().map_or(0, |head| head.size);
        if sealer.size != Some(size) {
            *sealer = self.catch_up(head.as_ref()).await?;
        }
        let events = self.unsealed(sealer).await?;
        if events.is_empty() {
            return Ok(head.map(|head| SealedEvents { events: 0, head }));
        }
        let mut edge = self.edge(head.as_ref()).await?;
        let spans = add(sealer, &mut edge, &events);
        // Until it is stored, what is known is of no use.
        sealer.size = None;
        sealer.looked();
        let checkpoint = Checkpoint { origin: self.audit_origin(), size: edge.size(), root: edge.root() };
        let head = Head {
            size: edge.size(),
            settled: sealer.settled(),
            note: note::sign(&checkpoint, &*self.keys.signers()),
            at: self.world.clock.now(),
        };
        let tiles = edge.take_changed().into_iter().collect();
        self.store.seal_events(Sealing { was: size, head: head.clone(), spans, tiles }).await?;
        sealer.size = Some(head.size);
        self.fresh.forget(sealer.top);
        self.saw(&head);
        Ok(Some(SealedEvents { events: u32::try_from(events.len()).unwrap_or(u32::MAX), head }))
    }

    /// How many events no leaf is made of yet, as far as [`SEALED_AT_ONCE`], and since when the first of them
    /// waits. A server that runs leaves none for long.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn waiting_events(&self) -> Result<Option<(u32, Timestamp)>, StoreError> {
        let sealer = self.catch_up(self.store.audit_head().await?.as_ref()).await?;
        let events = self.unsealed(&sealer).await?;
        let first = events.iter().map(|recorded| recorded.at).min();
        Ok(first.map(|first| (u32::try_from(events.len()).unwrap_or(u32::MAX), first)))
    }

    /// What a server knows that takes over, or begins.
    async fn catch_up(&self, head: Option<&Head>) -> Result<Sealer, StoreError> {
        let settled = head.map_or(0, |head| head.settled);
        let mut sealer = Sealer { top: settled, ..Sealer::default() };
        let mut from = settled;
        loop {
            let spans = self.store.audit_spans_by_place(from, SPANS).await?;
            for span in &spans {
                if span.end() - 1 > sealer.top {
                    sealer.reach(span.sequence.max(sealer.top + 1));
                    sealer.top = span.end() - 1;
                }
            }
            match spans.last() {
                Some(last) if spans.len() == SPANS as usize => from = last.end(),
                _ => break,
            }
        }
        if let Some(size) = head.map(|head| head.size).filter(|size| *size > 0) {
            sealer.last = self.store.audit_spans(size - 1, 1).await?.pop();
        }
        sealer.size = Some(head.map_or(0, |head| head.size));
        Ok(sealer)
    }

    async fn unsealed(&self, sealer: &Sealer) -> Result<Vec<Recorded>, StoreError> {
        let gaps = sealer.gaps();
        let mut events = Vec::new();
        if !gaps.is_empty() {
            events = self.store.recorded_within(&gaps, SEALED_AT_ONCE).await?;
        }
        let room = SEALED_AT_ONCE.saturating_sub(u32::try_from(events.len()).unwrap_or(SEALED_AT_ONCE));
        if room > 0 {
            events.extend(self.newest(sealer.top.saturating_add(1), room).await?);
        }
        Ok(events)
    }

    /// The tree's edge, when its hash is the one that was signed.
    async fn edge(&self, head: Option<&Head>) -> Result<Edge, Broken> {
        let size = head.map_or(0, |head| head.size);
        let places: Vec<_> = tiles::edge(size).collect();
        let tiles =
            if places.is_empty() { Tiles::default() } else { self.store.audit_tiles(&places).await? };
        let edge = Edge::new(size, &tiles).ok_or(Broken::Tree)?;
        if let Some(head) = head {
            let signed = self.checkpoint_of(head)?;
            if (signed.size, signed.root) != (size, edge.root()) {
                return Err(Broken::Tree);
            }
        }
        Ok(edge)
    }

    /// What a stored head says, when this instance signed it.
    fn checkpoint_of(&self, head: &Head) -> Result<Checkpoint, Broken> {
        self.own_checkpoint(&head.note).map_err(|_| Broken::Tree)
    }

    /// What a head says that this instance signed, wherever it was kept.
    ///
    /// # Errors
    /// When it is another's, or nobody's.
    pub fn own_checkpoint(&self, note: &str) -> Result<Checkpoint, NotSigned> {
        let signed = SignedHead::parse(note)?;
        let checkpoint = signed.verify(&self.verifier_keys())?;
        if checkpoint.origin == self.audit_origin() {
            Ok(checkpoint.clone())
        } else {
            Err(NotSigned::Unknown)
        }
    }

    /// Whether the tree goes on from a head that was kept.
    ///
    /// # Errors
    /// When the store can't be read, or the tree is damaged.
    pub async fn goes_on_from(&self, kept: &Checkpoint) -> Result<bool, Broken> {
        let size = self.store.audit_head().await?.map_or(0, |head| head.size);
        if kept.size > size {
            return Ok(false);
        }
        Ok(self.hash_of(Leaves { first: 0, end: kept.size }).await? == kept.root)
    }

    /// The newest signed head.
    ///
    /// # Errors
    /// When the caller may not see it, or there is none yet.
    pub async fn checkpoint(&self, ask: &Ask) -> Result<String, Error> {
        ask.permit(Action::ReadCheckpoint, Ownership::Own)?;
        self.store.audit_head().await?.map(|head| head.note).ok_or(NOTHING_YET)
    }

    /// Proves that the tree of one size goes on as that of another; `None` where either
    /// never was, or the first is nothing.
    ///
    /// # Errors
    /// When the caller may not see it, or the tree is damaged.
    pub async fn prove_consistency(
        &self,
        ask: &Ask,
        old: u64,
        new: u64,
    ) -> Result<Option<ConsistencyProof>, Error> {
        ask.permit(Action::ProveConsistency, Ownership::Own)?;
        let size = self.store.audit_head().await?.map_or(0, |head| head.size);
        let Some(ranges) = tree::consistency(old, new).filter(|_| new <= size) else { return Ok(None) };
        let proof = self.whole(self.hashes(&ranges).await, ask).await?;
        Ok(Some(ConsistencyProof { old, new, proof }))
    }

    /// Proves that an event which the caller may see is in the tree; `None` where there is
    /// no such event.
    ///
    /// # Errors
    /// When the caller's key isn't for it, the event isn't a leaf yet, or the tree is damaged.
    pub async fn prove_event(&self, ask: &Ask, sequence: i64) -> Result<Option<InclusionProof>, Error> {
        ask.permit(Action::ProveEvent, Ownership::Own)?;
        let at = Gap { first: sequence, last: sequence };
        let found = self.store.recorded(at, Some(ask.caller.team_id), 1).await;
        let seen = seen_by(ask, Action::ProveEvent, &EventFilter::default());
        let is_seen = |event: &Recorded| seen.is_some_and(|seen| seen.matches(event));
        let Some(event) = self.readable(found, suspect(ask)).await?.pop().filter(is_seen) else {
            return Ok(None);
        };
        let head = self.store.audit_head().await?.ok_or(NOTHING_YET)?;
        let spans = self.store.audit_spans_by_place(sequence, 1).await?;
        let leaf = spans.iter().find_map(|span| span.leaf_of(sequence)).ok_or(NO_LEAF_YET)?;
        let ranges = tree::inclusion(leaf, head.size).ok_or(NO_LEAF_YET)?;
        let proof = self.whole(self.hashes(&ranges).await, ask).await?;
        Ok(Some(InclusionProof { leaf, line: line::of(&event), proof, checkpoint: head.note }))
    }

    /// Passes on what was read of the tree; a damaged one is noted.
    pub(super) async fn whole<T>(&self, read: Result<T, Broken>, ask: &Ask) -> Result<T, Error> {
        match read {
            Ok(read) => Ok(read),
            Err(Broken::Store(error)) => Err(error.into()),
            Err(Broken::Tree) => self.noting(Err(IntegrityViolation), suspect(ask)).await,
        }
    }

    /// The hashes of these leaves.
    pub(super) async fn hashes(&self, ranges: &[Leaves]) -> Result<Vec<Hash>, Broken> {
        let subtrees = ranges.iter().flat_map(|range| range.subtrees());
        let places: BTreeSet<_> = subtrees.map(tiles::place_of).collect();
        let places: Vec<_> = places.into_iter().collect();
        let tiles = self.store.audit_tiles(&places).await?;
        let hash = |range: &Leaves| {
            let hashes: Option<Vec<_>> = range.subtrees().map(|subtree| tiles.hash_of(subtree)).collect();
            hashes.map(|hashes| tree::join(&hashes)).ok_or(Broken::Tree)
        };
        ranges.iter().map(hash).collect()
    }

    pub(super) async fn hash_of(&self, leaves: Leaves) -> Result<Hash, Broken> {
        Ok(self.hashes(&[leaves]).await?.pop().unwrap_or_else(Hash::of_nothing))
    }
}

/// Adds events to the tree; the spans that came or became longer.
fn add(sealer: &mut Sealer, edge: &mut Edge, events: &[Recorded]) -> Vec<Span> {
    let (mut spans, mut lines): (Vec<Span>, _) = (Vec::new(), Lines::default());
    for event in events {
        let leaf = edge.size();
        edge.push(Hash::leaf(lines.of(event)));
        sealer.reach(event.sequence);
        let last = sealer.last.filter(|last| last.end() == event.sequence && last.end_leaf() == leaf);
        let span = match last {
            Some(last) => Span { count: last.count + 1, ..last },
            None => Span { leaf, sequence: event.sequence, count: 1 },
        };
        sealer.last = Some(span);
        match spans.last_mut().filter(|known| known.leaf == span.leaf) {
            Some(known) => *known = span,
            None => spans.push(span),
        }
    }
    spans
}

fn suspect(ask: &Ask) -> Suspect<'_> {
    ask.suspect(Object { table: "audit_tiles", ..Object::default() })
}
