//! Terminals: the person's own, which passes every key on unread while the
//! command runs, and those that are made for the command.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::{Errno, read, write};
use rustix::process::getpgrp;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{
    OptionalActions, Termios, tcgetattr, tcgetpgrp, tcgetwinsize, tcsetattr, tcsetwinsize,
};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use crate::failure::Failure;

/// A terminal that was made for the command: what is written to one end is read
/// from the other.
pub(super) struct Pair {
    /// Ours.
    pub(super) ours: Arc<OwnedFd>,
    /// The command's.
    pub(super) theirs: OwnedFd,
}

impl Pair {
    /// As large as ours. With `settings` it does with keys and lines what a
    /// terminal with them does; otherwise it passes all on as it is.
    ///
    /// # Errors
    /// When the system has none left.
    pub(super) fn open(like: &impl AsFd, settings: Option<&Termios>) -> Result<Self, Failure> {
        Self::try_open(like, settings)
            .map_err(|error| Failure::because("no terminal can be made for the command", &error))
    }

    fn try_open(like: &impl AsFd, settings: Option<&Termios>) -> rustix::io::Result<Self> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let ours = openpt(flags)?;
        unlockpt(&ours)?;
        let theirs = ioctl_tiocgptpeer(&ours, flags)?;
        let settings = match settings {
            Some(settings) => settings.clone(),
            None => raw(tcgetattr(&theirs)?),
        };
        tcsetattr(&theirs, OptionalActions::Now, &settings)?;
        copy_size(like, &ours);
        Ok(Self { ours: Arc::new(ours), theirs })
    }
}

/// Gives a terminal the size of another. One that has no size is left alone.
pub(super) fn copy_size(from: &impl AsFd, to: &impl AsFd) {
    if let Ok(size) = tcgetwinsize(from) {
        let _as_it_was = tcsetwinsize(to, size);
    }
}

fn raw(mut settings: Termios) -> Termios {
    settings.make_raw();
    settings
}

/// The person's terminal. Dropped, it is as it was.
pub(super) struct Screen {
    terminal: Arc<OwnedFd>,
    /// Of the command's terminal.
    ours: Arc<OwnedFd>,
    /// The settings to go back to.
    before: Option<Termios>,
    keys: Arc<Keys>,
}

impl Screen {
    /// A person's terminal, and our end of the command's.
    pub(super) fn new(terminal: OwnedFd, ours: Arc<OwnedFd>) -> Self {
        Self { terminal: Arc::new(terminal), ours, before: None, keys: Arc::default() }
    }

    /// Takes the terminal over, if it is ours to take, and passes its keys on to
    /// the command's.
    ///
    /// # Errors
    /// When the system has no thread for it.
    pub(super) fn take(&mut self) -> Result<(), Failure> {
        let keys = Arc::clone(&self.keys);
        let (from, to) = (Arc::clone(&self.terminal), Arc::clone(&self.ours));
        std::thread::Builder::new()
            .name("keys".to_owned())
            .spawn(move || keys.pass_on(&from, &to))
            .map_err(|error| Failure::because("no thread can be made for the terminal", &error))?;
        self.enter();
        Ok(())
    }

    /// Whether the terminal is taken over.
    pub(super) fn is_taken(&self) -> bool {
        self.keys.are_passed_on()
    }

    /// Takes the terminal over, also when somebody changed it behind our back;
    /// not while another job has it.
    pub(super) fn enter(&mut self) {
        let settings = self.before.clone().map_or_else(|| tcgetattr(&self.terminal), Ok);
        let entered = is_in_foreground(&self.terminal)
            && settings.is_ok_and(|settings| {
                let entered = tcsetattr(&self.terminal, OptionalActions::Now, &raw(settings.clone())).is_ok();
                self.before = entered.then_some(settings);
                entered
            });
        self.resize();
        self.keys.pass_on_or_not(entered);
    }

    /// Gives the terminal back.
    pub(super) fn leave(&mut self) {
        let taken = self.is_taken();
        self.keys.pass_on_or_not(false);
        if let Some(before) = self.before.take()
            && taken
            && is_in_foreground(&self.terminal)
        {
            let _gone = tcsetattr(&self.terminal, OptionalActions::Now, &before);
        }
    }

    /// Passes a new size on. Whoever is on the command's terminal is told by the system.
    pub(super) fn resize(&self) {
        copy_size(&self.terminal, &self.ours);
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Whether a person's keys are for us now: to take them from another job would
/// have us stopped. A terminal that doesn't control us knows no jobs.
fn is_in_foreground(terminal: &OwnedFd) -> bool {
    tcgetpgrp(terminal).map_or(true, |group| group == getpgrp())
}

/// The keys that a person presses.
#[derive(Default)]
struct Keys {
    passed_on: Mutex<bool>,
    changed: Condvar,
}

impl Keys {
    fn pass_on_or_not(&self, passed_on: bool) {
        *self.passed_on.lock().unwrap_or_else(PoisonError::into_inner) = passed_on;
        self.changed.notify_all();
    }

    fn are_passed_on(&self) -> bool {
        *self.passed_on.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self) {
        let passed_on = self.passed_on.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.changed.wait_while(passed_on, |passed_on| !*passed_on));
    }

    /// Passes keys on from one terminal to another, until one of the two is gone.
    fn pass_on(&self, from: &OwnedFd, to: &OwnedFd) {
        let mut keys = vec![0; 4 << 10];
        loop {
            self.wait();
            let _ready = poll(&mut [PollFd::new(from, PollFlags::IN)], None);
            if !self.are_passed_on() || !is_in_foreground(from) {
                continue;
            }
            let read = match read(from, &mut keys) {
                Ok(0) => return,
                Ok(count) => keys.get(..count).unwrap_or_default(),
                Err(Errno::INTR | Errno::AGAIN) => continue,
                Err(_) => return,
            };
            if write_all(to, read).is_err() {
                return;
            }
        }
    }
}

fn write_all(to: &OwnedFd, mut bytes: &[u8]) -> rustix::io::Result<()> {
    while !bytes.is_empty() {
        match write(to, bytes) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
