//! Slows down who guesses at passwords, without keeping out whom they guess at.
//!
//! Failures count against the browser's network, so a stranger's don't keep
//! anybody else out; and a browser in which the person has signed in before is
//! counted for itself, whoever shares its network. Wrong second factors behind a
//! right password count against the sign-in: only who has the password makes
//! any, and a few of six digits are soon a chance worth having.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::ids::UserId;

/// How many are kept; the oldest give way.
const MOST: usize = 16_384;
/// After so long without one, failures are forgotten.
const FORGOTTEN: Duration = Duration::from_hours(24);
/// After so long without one, half of them are.
const HALVED: Duration = Duration::from_hours(1);
/// The longest wait.
const LONGEST: Duration = Duration::from_mins(15);

/// What failures count against.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Against {
    /// A network that tries this address.
    Address(Network, String),
    /// A network, whatever it tries.
    Network(Network),
    /// A browser in which this user has signed in before.
    Browser(UserId, String),
    /// A sign-in's second factor, for browsers in which its user never was.
    SecondFactor(UserId),
}

impl Against {
    /// How many are free.
    fn free(&self) -> u32 {
        match self {
            Self::Address(..) | Self::Browser(..) => 5,
            Self::SecondFactor(_) => 10,
            Self::Network(_) => 50,
        }
    }
}

/// The addresses that one subscriber can take at will: a /24 of IPv4, a /56 of IPv6.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Network([u8; 8]);

impl From<Option<IpAddr>> for Network {
    fn from(address: Option<IpAddr>) -> Self {
        let mut network = [0; 8];
        let (kept, bytes): (usize, &[u8]) = match &address.map(|address| address.to_canonical()) {
            Some(IpAddr::V4(address)) => (3, &address.octets()),
            Some(IpAddr::V6(address)) => (7, &address.octets()),
            None => (0, &[]),
        };
        network.iter_mut().zip(bytes).take(kept).for_each(|(to, from)| *to = *from);
        if let Some(last) = network.last_mut() {
            *last = u8::try_from(kept).unwrap_or(0);
        }
        Self(network)
    }
}

#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    last: Duration,
    /// When the one before was: what a success takes back.
    before: Duration,
}

impl Failures {
    /// What is left of them by now: half after each [`HALVED`] without one, so that
    /// slips of many who share a network don't add up over weeks.
    fn left(self, now: Duration) -> u32 {
        let halvings = now.saturating_sub(self.last).as_secs() / HALVED.as_secs();
        self.count.checked_shr(u32::try_from(halvings).unwrap_or(u32::MAX)).unwrap_or(0)
    }
}

/// The failures of late, in this process.
#[derive(Default)]
pub(super) struct Guesses(Mutex<HashMap<Against, Failures>>);

impl Guesses {
    /// Counts a try as a failure, before it is known to be none: of many at a
    /// time no more are looked at than of as many in a row. `now` is of the
    /// monotonic clock.
    ///
    /// # Errors
    /// How long it is until the next try; this one isn't looked at, nor counted.
    pub(super) fn begin(&self, against: &[Against], now: Duration) -> Result<(), Duration> {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = |against: &Against| {
            let failures = failures.get(against)?;
            Some(pause(failures.left(now), against.free()).saturating_sub(now.saturating_sub(failures.last)))
        };
        let wait = against.iter().filter_map(wait).max().unwrap_or_default();
        if !wait.is_zero() {
            return Err(wait);
        }
        for against in against {
            make_room(&mut failures, now);
            let entry = failures.entry(against.clone());
            let entry = entry.or_insert(Failures { count: 0, last: now, before: Duration::ZERO });
            *entry = Failures { count: entry.left(now).saturating_add(1), last: now, before: entry.last };
        }
        Ok(())
    }

    /// Forgets what a success shows to have been slips.
    pub(super) fn forgive(&self, against: &[Against]) {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for against in against {
            match against {
                // Who has one account doesn't clear themselves of guessing at others.
                Against::Network(_) => {
                    if let Some(entry) = failures.get_mut(against) {
                        // Nor do they make others wait for a try that was none.
                        *entry = Failures {
                            count: entry.count.saturating_sub(1),
                            last: entry.before,
                            before: entry.before,
                        };
                    }
                }
                _ => {
                    failures.remove(against);
                }
            }
        }
    }
}

fn make_room(failures: &mut HashMap<Against, Failures>, now: Duration) {
    if failures.len() < MOST {
        return;
    }
    failures.retain(|_, failures| now.saturating_sub(failures.last) < FORGOTTEN);
    if failures.len() >= MOST {
        let oldest = failures.iter().min_by_key(|(_, failures)| failures.last);
        let oldest = oldest.map(|(against, _)| against.clone());
        oldest.and_then(|oldest| failures.remove(&oldest));
    }
}

/// How long to wait after so many failures: twice as long each time.
fn pause(failures: u32, free: u32) -> Duration {
    match failures.checked_sub(free) {
        None => Duration::ZERO,
        Some(more) => Duration::from_secs(1_u64.checked_shl(more).unwrap_or(u64::MAX)).min(LONGEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(address: &str) -> Against {
        Against::Address(Network::from(Some(address.parse().unwrap())), "ada@example.com".to_owned())
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn waits_double_up_to_a_quarter_of_an_hour() {
        let (guesses, mine) = (Guesses::default(), [of("192.0.2.7")]);
        let (mut waits, mut now) = (Vec::new(), seconds(100));
        for _ in 0..17 {
            let wait = guesses.begin(&mine, now).err().unwrap_or_default();
            waits.push(wait.as_secs());
            if !wait.is_zero() {
                assert!(guesses.begin(&mine, now).is_err(), "a try before its time counts for nothing");
                now += wait;
                assert_eq!(guesses.begin(&mine, now), Ok(()));
            }
        }
        assert_eq!(waits, [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
        assert_eq!(guesses.begin(&mine, now + FORGOTTEN), Ok(()));
        assert_eq!(guesses.begin(&mine, now + FORGOTTEN), Ok(()), "a day later all is forgotten");
    }

    #[test]
    fn a_stranger_s_failures_are_the_stranger_s() {
        let guesses = Guesses::default();
        (0..5).for_each(|_| guesses.begin(&[of("192.0.2.7")], seconds(1)).unwrap());
        for (address, waits) in
            [("192.0.2.250", true), ("::ffff:192.0.2.9", true), ("192.0.3.7", false), ("2001:db8::1", false)]
        {
            assert_eq!(guesses.begin(&[of(address)], seconds(1)).is_err(), waits, "{address}");
        }
    }

    #[test]
    fn a_success_clears_one_s_own_failures_and_not_those_against_others() {
        let guesses = Guesses::default();
        let network = Against::Network(Network::from(Some("192.0.2.7".parse().unwrap())));
        let both = [of("192.0.2.7"), network.clone()];
        for _ in 0..50 {
            guesses.begin(&both, seconds(1)).unwrap();
            guesses.forgive(&both[..1]);
        }
        guesses.forgive(&both);
        assert_eq!(guesses.begin(&both, seconds(1)), Ok(()), "one that was a success is taken back");
        assert!(guesses.begin(&[network], seconds(1)).is_err(), "and no more");
        assert_eq!(guesses.begin(&both[..1], seconds(1)), Ok(()));
    }

    #[test]
    fn slips_of_many_do_not_add_up_and_a_success_makes_nobody_wait() {
        let guesses = Guesses::default();
        let network = [Against::Network(Network::from(Some("192.0.2.7".parse().unwrap())))];
        (0..54).for_each(|at| {
            let mut now = seconds(1);
            while let Err(wait) = guesses.begin(&network, now) {
                now += wait;
            }
            assert!(at < 50 || now > seconds(1));
        });
        // Later, when the wait is over, who comes in by the first try makes none wait.
        let later = seconds(100);
        assert_eq!(guesses.begin(&network, later), Ok(()));
        guesses.forgive(&network);
        assert_eq!(guesses.begin(&network, later), Ok(()));
        guesses.forgive(&network);
        // And two hours later a quarter is left.
        let later = later + 2 * HALVED;
        (0..36).for_each(|_| guesses.begin(&network, later).unwrap());
        assert!(
            guesses.begin(&network, later).is_ok() && guesses.begin(&network, later + 3 * HALVED).is_ok()
        );
    }

    #[test]
    fn no_more_are_kept_than_there_is_room_for() {
        let guesses = Guesses::default();
        for at in 0..u32::try_from(MOST + 10).unwrap() {
            let network = Network::from(Some(IpAddr::from((at << 8).to_be_bytes())));
            guesses.begin(&[Against::Network(network)], Duration::from_millis(at.into())).unwrap();
        }
        assert_eq!(guesses.0.lock().unwrap().len(), MOST);
    }
}
