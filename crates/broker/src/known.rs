//! A run's placeholders, ready to be found in texts.

mod runs;

use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use strongroom_core::app::Brokered;
use strongroom_core::placeholders::Placeholder;
use strongroom_core::policies::{Placement, Rule};
use strongroom_core::rows::Proven;
use strongroom_core::scanner::Scanner;
use strongroom_core::secrets::Secret;
use strongroom_core::tokens::{Token, TokenKind};

use crate::decide::Granted;

pub(crate) use runs::KnownRuns;

/// Where a placeholder stands in a text, and which of the run's it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// Its number among the run's; `None`: it is another run's, or of a value that isn't there any more.
    pub(crate) which: Option<usize>,
}

/// A run as it is now, with what finds its placeholders.
#[derive(Clone)]
pub(crate) struct Known {
    pub(crate) brokered: Arc<Brokered>,
    finder: Arc<Finder>,
}

/// Finds placeholders.
pub(crate) struct Finder {
    texts: Vec<String>,
    /// The length of the shortest one, of another run's as well.
    shortest: usize,
    automaton: AhoCorasick,
    scanner: Scanner,
}

impl Known {
    /// A run, with a finder of its own.
    #[cfg(fuzzing)]
    pub(crate) fn of(brokered: Arc<Brokered>) -> Option<Self> {
        Some(Self { finder: Arc::new(Finder::new(&brokered.placeholders)?), brokered })
    }

    /// What finds its placeholders.
    pub(crate) fn finder(&self) -> &Arc<Finder> {
        &self.finder
    }

    /// The secret of a rule.
    pub(crate) fn secret(&self, granted: Granted) -> Option<&Proven<Secret>> {
        self.brokered.secrets.get(granted.secret)
    }

    /// A rule of one of its secrets.
    pub(crate) fn rule(&self, granted: Granted) -> Option<&Rule> {
        self.secret(granted)?.policy_in_force().0?.rules().get(granted.rule)
    }

    /// The rule of these that puts a placeholder's value where `fits` says.
    pub(crate) fn granting(
        &self,
        rules: impl IntoIterator<Item = Granted>,
        placeholder: usize,
        fits: impl Fn(&Placement) -> bool,
    ) -> Option<Granted> {
        let secret_id = self.placeholder(placeholder)?.secret_id;
        let own = |granted: Granted| self.secret(granted).is_some_and(|secret| secret.id == secret_id);
        let puts = |granted: Granted| self.rule(granted).is_some_and(|rule| fits(rule.placement()));
        rules.into_iter().find(|granted| own(*granted) && puts(*granted))
    }

    /// One of its placeholders.
    pub(crate) fn placeholder(&self, which: usize) -> Option<&Placeholder> {
        self.brokered.placeholders.get(which)
    }
}

impl Finder {
    pub(crate) fn new(placeholders: &[Placeholder]) -> Option<Self> {
        let texts: Vec<_> = placeholders.iter().map(|one| one.text.clone()).collect();
        // Those of other runs that have no service's shape begin so.
        let foreign = TokenKind::Placeholder.prefix();
        let patterns = texts.iter().map(String::as_str).chain([foreign]);
        // Of a placeholder's bytes, each is a state. In a DFA each has cache lines of its own, and a run's
        // next request doesn't find them at hand any more.
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(patterns)
            .ok()?;
        let scanner = Scanner::new(texts.iter().map(String::as_bytes));
        let shortest = texts.iter().map(String::len).chain([Token::LENGTH]).min().unwrap_or_default();
        Some(Self { texts, shortest, automaton, scanner })
    }

    /// What finds them in streams, in any encoding, without telling which it is.
    pub(crate) fn scanner(&self) -> &Scanner {
        &self.scanner
    }

    /// The placeholders in a text.
    pub(crate) fn find<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = Found> + 'a {
        // Most of a head is shorter.
        let text = if text.len() < self.shortest { &[] } else { text };
        self.automaton.find_iter(text).filter_map(move |found| {
            let (start, end, which) = (found.start(), found.end(), found.pattern().as_usize());
            if which < self.texts.len() {
                return Some(Found { start, end, which: Some(which) });
            }
            let end = start + Token::LENGTH;
            let token = std::str::from_utf8(text.get(start..end)?).ok()?;
            // One of this run is of a value that it has no more.
            Token::parse(TokenKind::Placeholder, token).ok()?;
            Some(Found { start, end, which: None })
        })
    }

    /// The first one in a text, if there is any.
    pub(crate) fn first(&self, text: &[u8]) -> Option<Found> {
        self.find(text).next()
    }

    /// Whether it is this placeholder, no more and no less.
    pub(crate) fn whole(&self, text: &[u8]) -> Option<usize> {
        let found = self.first(text)?;
        (found.start == 0 && found.end == text.len()).then_some(found.which?)
    }
}

/// Finds placeholders of other runs in a stream, however it is cut.
#[derive(Default)]
pub(crate) struct Strays {
    /// The end of what went by: less than a placeholder.
    end: Vec<u8>,
}

impl Strays {
    /// Takes the next piece, and says whether one ends in it.
    pub(crate) fn push(&mut self, finder: &Finder, piece: &[u8]) -> bool {
        const REST: usize = Token::LENGTH - 1;
        let begins = piece.get(..REST.min(piece.len())).unwrap_or_default();
        self.end.extend_from_slice(begins);
        let found = finder.first(&self.end).is_some() || finder.first(piece).is_some();
        if begins.len() < piece.len() {
            self.end.clear();
            self.end.extend_from_slice(piece.get(piece.len() - REST..).unwrap_or_default());
        } else {
            self.end.drain(..self.end.len().saturating_sub(REST));
        }
        found
    }
}
