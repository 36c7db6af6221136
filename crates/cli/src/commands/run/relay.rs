//! Copies what the command writes to where it goes, with the values masked.
//! Each stream has a thread of its own: a reader who doesn't read holds up the
//! command, and nothing else.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::{Errno, ioctl_fionread, read, write};
use rustix::termios::isatty;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use strongroom_core::scanner::{CHANCE, HELD, HIDDEN_LATE, Masker};

use super::events::{Event, Teller};
use super::terminal::copy_size;
use crate::failure::Failure;

/// Read at once: as much as a pipe holds.
const CHUNK: usize = 64 << 10;
/// What is the beginning of a value by chance is let go when nothing follows for so long.
const SHORT: Duration = Duration::from_millis(50);
/// The command has ended, but something that it left behind holds its output
/// open. What follows for so long still belongs to it.
const AFTER: Duration = Duration::from_millis(200);

/// How the copying of a stream came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Nobody has it open any more.
    Closed,
    /// The command ended, and somebody still has it open.
    LeftOpen,
    /// Nobody reads it any more.
    Unread,
    /// It can't be written where it goes: the disk is full, for one.
    Unwritten(Errno),
}

/// A stream, where it goes, and what is masked on the way.
pub(super) struct Relay {
    /// The command's end is the other one.
    pub(super) from: Arc<OwnedFd>,
    /// Whose output it is.
    pub(super) to: Arc<OwnedFd>,
    /// Whether that is a terminal.
    pub(super) to_a_terminal: bool,
    /// Masks it.
    pub(super) masker: Masker,
    /// Hangs up when the command has ended.
    pub(super) ended: Arc<OwnedFd>,
}

/// A stream that is being copied. What the command writes to is closed as soon
/// as the copying ends.
pub(super) struct Copying {
    from: Weak<OwnedFd>,
    to: Arc<OwnedFd>,
    busy: Arc<AtomicBool>,
}

impl Copying {
    /// Whether all that was written so far has gone where it goes.
    pub(super) fn is_settled(&self) -> bool {
        let Some(from) = self.from.upgrade() else { return true };
        let mut input = [PollFd::new(&from, PollFlags::IN)];
        let waiting = poll(&mut input, Some(&Timespec::default())).is_ok_and(|ready| ready > 0);
        !waiting && !self.busy.load(Ordering::SeqCst)
    }

    /// If it is copied from one terminal to another, gives the one the other's size.
    pub(super) fn resize(&self) {
        if let Some(from) = self.from.upgrade() {
            copy_size(&self.to, &from);
        }
    }
}

impl Relay {
    /// Copies from now on, and tells when that is over.
    ///
    /// # Errors
    /// When the system has no thread for it.
    pub(super) fn start(self, teller: Teller) -> Result<Copying, Failure> {
        let busy = Arc::new(AtomicBool::new(false));
        let (from, to) = (Arc::downgrade(&self.from), Arc::clone(&self.to));
        let copying = Copying { from, to, busy: Arc::clone(&busy) };
        let told = Told { teller, end: End::Unread };
        let job = move || {
            let mut told = told;
            told.end = self.copy(&busy);
        };
        std::thread::Builder::new()
            .name("relay".to_owned())
            .spawn(job)
            .map_err(|error| Failure::because("no thread can be made for the command's output", &error))?;
        Ok(copying)
    }

    fn copy(mut self, busy: &AtomicBool) -> End {
        let mut input = vec![0; CHUNK];
        let mut output = Vec::with_capacity(2 * CHUNK);
        let (mut tail, mut heard) = (None, Ok(()));
        let end = loop {
            busy.store(self.masker.holds(), Ordering::SeqCst);
            match self.wait(tail.as_ref()) {
                Next::Input => {
                    busy.store(true, Ordering::SeqCst);
                    let Some(bytes) = self.read(&mut input) else { break End::Closed };
                    tail = tail.map(|tail: Tail| tail.without(bytes.len()));
                    self.masker.push(bytes, &mut output);
                }
                Next::Quiet => self.let_go(&mut output),
                Next::Ended => tail = Some(Tail::of(&self.from)),
                Next::Over => break End::LeftOpen,
            }
            heard = heard.and_then(|()| self.write(&output));
            // A terminal doesn't tell a command that nobody reads it any more.
            if let Err(end) = heard
                && !isatty(&self.from)
            {
                return end;
            }
            output.clear();
        };
        // A command that was cut off may have been in the midst of a value.
        self.let_go(&mut output);
        heard.and_then(|()| self.write(&output)).map_or_else(|unheard| unheard, |()| end)
    }

    /// How many bytes of a value the output may have stopped in the midst of. On a terminal it shows what is being
    /// typed, which many a value begins with (`https://`), and programs write line by line there.
    fn begun(&self) -> usize {
        if self.masker.holds() && !isatty(&self.from) { self.masker.begun() } else { 0 }
    }

    /// Lets go of what is held: masked, if it is too much of a value to be there by chance.
    fn let_go(&mut self, output: &mut Vec<u8>) {
        if self.begun() < HIDDEN_LATE { self.masker.flush(output) } else { self.masker.conceal(output) }
    }

    /// Waits for what comes next.
    fn wait(&self, tail: Option<&Tail>) -> Next {
        let held = if self.begun() < CHANCE { SHORT } else { HELD };
        let held = self.masker.holds().then_some(held);
        let patience = match tail {
            Some(tail) if tail.is_over() => return Next::Over,
            Some(tail) => Some(held.map_or(tail.left(), |held| held.min(tail.left()))),
            None => held,
        };
        let patience = patience.map(|time| Timespec::try_from(time).unwrap_or_default());
        let ended = if tail.is_none() { PollFlags::IN } else { PollFlags::empty() };
        let mut both = [PollFd::new(&self.from, PollFlags::IN), PollFd::new(&self.ended, ended)];
        let watched = if tail.is_none() { &mut both[..] } else { &mut both[..1] };
        match poll(watched, patience.as_ref()) {
            Ok(0) | Err(_) => Next::Quiet,
            Ok(_) if !both[0].revents().is_empty() => Next::Input,
            Ok(_) => Next::Ended,
        }
    }

    /// What can be read; none at the end. A terminal whose other end is closed
    /// says so with an error.
    fn read<'a>(&self, input: &'a mut [u8]) -> Option<&'a [u8]> {
        loop {
            match read(&self.from, &mut *input) {
                Ok(0) => return None,
                Ok(count) => return input.get(..count),
                Err(Errno::INTR) => {}
                Err(_) => return None,
            }
        }
    }

    /// Writes all.
    ///
    /// # Errors
    /// How the copying ends because that can't be done.
    fn write(&self, mut bytes: &[u8]) -> Result<(), End> {
        while !bytes.is_empty() {
            match write(&self.to, bytes) {
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Err(Errno::INTR) => {}
                // Whoever started us left it so.
                Err(Errno::AGAIN) => {
                    let _ready = poll(&mut [PollFd::new(&self.to, PollFlags::OUT)], None);
                }
                Err(Errno::PIPE | Errno::CONNRESET) => return Err(End::Unread),
                // So says a terminal that was closed, which doesn't say that it is one any more.
                Err(Errno::IO) if self.to_a_terminal => return Err(End::Unread),
                Err(error) => return Err(End::Unwritten(error)),
            }
        }
        Ok(())
    }
}

/// What a stream that is waited for does next.
enum Next {
    Input,
    Quiet,
    Ended,
    Over,
}

/// What is still copied after the command has ended: all that it wrote, and
/// what others write within a moment.
struct Tail {
    owed: u64,
    until: Instant,
}

impl Tail {
    fn of(from: &impl AsFd) -> Self {
        Self { owed: ioctl_fionread(from).unwrap_or(0), until: Instant::now() + AFTER }
    }

    fn without(self, count: usize) -> Self {
        Self { owed: self.owed.saturating_sub(count.try_into().unwrap_or(u64::MAX)), ..self }
    }

    fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    fn is_over(&self) -> bool {
        self.owed == 0 && self.left().is_zero()
    }
}

/// Tells the end also when the copying panics.
struct Told {
    teller: Teller,
    end: End,
}

impl Drop for Told {
    fn drop(&mut self) {
        let _unheard = self.teller.send(Event::Relayed(self.end));
    }
}
