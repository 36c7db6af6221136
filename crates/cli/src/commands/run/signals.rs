//! Signals that come to this process, with where they are from. One that was
//! ignored when it was started (`nohup`, a shell's `&`) stays so, for the
//! command too.

use rustix::process::Signal;
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::siginfo::{Cause, Origin};

use super::events::{Event, Teller};
use crate::failure::Failure;

/// What is passed on to the command: whatever others send to have a process do
/// something or end, and the system when its time is up. Each of them would end
/// this process and leave the command alone with its values, and the run open.
const PASSED_ON: [Signal; 14] = [
    Signal::HUP,
    Signal::INT,
    Signal::QUIT,
    Signal::TERM,
    Signal::USR1,
    Signal::USR2,
    Signal::ABORT,
    Signal::ALARM,
    Signal::VTALARM,
    Signal::PROF,
    Signal::IO,
    Signal::POWER,
    Signal::XCPU,
    Signal::XFSZ,
];
/// What a terminal sends.
const OF_TERMINALS: [Signal; 4] = [Signal::HUP, Signal::INT, Signal::QUIT, Signal::WINCH];
/// What tells us about the command, or the terminal. Ignored or not makes no
/// difference to these.
const WATCHED: [Signal; 3] = [Signal::CHILD, Signal::CONT, Signal::WINCH];

/// A signal that came.
#[derive(Clone, Copy)]
pub(super) struct Caught {
    /// Which.
    pub(super) signal: Signal,
    /// Whether a terminal sent it: to everybody in its foreground, and not by
    /// anybody's `kill`.
    pub(super) by_terminal: bool,
    /// The process that sent it.
    pub(super) sender: Option<i32>,
}

impl Caught {
    /// Whether a process usually ends of it.
    pub(super) fn asks_to_end(self) -> bool {
        PASSED_ON.contains(&self.signal)
    }

    /// The exit code of a command that ended of it, as shells have it.
    pub(super) fn exit_code(self) -> u8 {
        u8::try_from(128 + self.signal.as_raw()).unwrap_or(u8::MAX)
    }

    fn read(origin: &Origin) -> Option<Self> {
        let signal = Signal::from_named_raw(origin.signal)?;
        Some(Self {
            signal,
            // An alarm that was set before us is the system's, too, and ours alone.
            by_terminal: matches!(origin.cause, Cause::Kernel) && OF_TERMINALS.contains(&signal),
            sender: origin.process.map(|process| process.pid),
        })
    }
}

/// Tells every signal that comes from now on.
///
/// # Errors
/// When the system refuses.
pub(super) fn catch(teller: Teller) -> Result<(), Failure> {
    let ignored = ignored(&std::fs::read_to_string("/proc/self/status").unwrap_or_default());
    let passed_on = PASSED_ON.into_iter().filter(|signal| ignored & bit(*signal) == 0);
    let numbers = passed_on.chain(WATCHED).map(Signal::as_raw);
    let refused = |error| Failure::because("signals can't be caught", &error);
    let mut signals = SignalsInfo::<WithOrigin>::new(numbers).map_err(refused)?;
    let tell = move || {
        for origin in signals.forever() {
            let told = Caught::read(&origin).map(|caught| teller.send(Event::Signal(caught)));
            if matches!(told, Some(Err(_))) {
                return;
            }
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(tell).map_err(refused)?;
    Ok(())
}

/// The ignored signals, as Linux says them: a bit for each, from 1. Elsewhere
/// there is no such file, and none counts as ignored.
fn ignored(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

fn bit(signal: Signal) -> u64 {
    1_u64.checked_shl(signal.as_raw().unsigned_abs() - 1).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read() {
        let status = "Name:\tx\nSigBlk:\tffffffffffffffff\nSigIgn:\t0000000000001003\nSigCgt:\t0\n";
        let found: Vec<_> =
            PASSED_ON.into_iter().filter(|signal| ignored(status) & bit(*signal) != 0).collect();
        assert_eq!(found, [Signal::HUP, Signal::INT]);
        assert_eq!(ignored(""), 0);
        assert_eq!(ignored("SigIgn:\tzz\n"), 0);
    }
}
