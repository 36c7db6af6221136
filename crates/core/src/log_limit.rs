//! A bound for lines of a log that there can be as many of as requests: a log that fills the disk
//! is the last that is needed when something fails.

use std::mem;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lines of one second that are logged. The others are counted, and told of by the next one.
const LOGGED: u32 = 20;

/// A bound for one kind of line.
#[derive(Debug, Default)]
pub struct LogLimit(Mutex<Lines>);

#[derive(Debug, Default)]
struct Lines {
    since: Option<Instant>,
    logged: u32,
    unlogged: u64,
}

/// How many lines before one were left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unlogged(u64);

impl Unlogged {
    /// What a line says of it: nothing where there were none.
    pub fn told(self) -> Option<u64> {
        (self.0 > 0).then_some(self.0)
    }
}

impl LogLimit {
    /// Whether a line of now is logged, and how many before it weren't.
    pub fn one_more(&self) -> Option<Unlogged> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).one_more(Instant::now())
    }
}

impl Lines {
    fn one_more(&mut self, now: Instant) -> Option<Unlogged> {
        if self.since.is_none_or(|since| now.duration_since(since) >= Duration::from_secs(1)) {
            (self.since, self.logged) = (Some(now), 0);
        }
        if self.logged == LOGGED {
            self.unlogged += 1;
            return None;
        }
        self.logged += 1;
        Some(Unlogged(mem::take(&mut self.unlogged)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_lines_in_a_second_some_are_logged_and_the_others_counted() {
        let (mut lines, now) = (Lines::default(), Instant::now());
        let logged: Vec<_> = (0..100).filter_map(|_| lines.one_more(now)).collect();
        assert_eq!(logged, [Unlogged(0); LOGGED as usize]);
        assert_eq!(lines.one_more(now + Duration::from_millis(999)), None);
        let next = now + Duration::from_secs(1);
        let first = lines.one_more(next).unwrap();
        assert_eq!((first, first.told()), (Unlogged(81), Some(81)));
        assert_eq!(lines.one_more(next).unwrap().told(), None, "told once");
    }
}
