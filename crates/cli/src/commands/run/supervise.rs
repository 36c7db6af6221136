//! Waits for the command, and does meanwhile what a shell would do with it:
//! passes signals on, stops and goes on with it, and follows the terminal's size.

use rustix::fd::OwnedFd;
use rustix::process::{Signal, getpid, kill_current_process_group, kill_process, kill_process_group};
use std::io;
use std::io::IsTerminal;
use std::process::ExitStatus;
use std::time::Duration;
use tokio::time::{sleep, timeout};

use super::child::Child;
use super::events::{Event, Events};
use super::relay::{Copying, End};
use super::signals::Caught;
use super::terminal::Screen;
use crate::failure::Failure;
use crate::output;

/// How often a job in the background looks whether it is in the foreground
/// again. No signal says so.
const LOOK: Duration = Duration::from_millis(250);
/// What a command writes before it stops is shown before we stop, unless that
/// takes longer.
const SETTLING: Duration = Duration::from_millis(500);

const REVOKED: &str = "note: the run was revoked: take its values as known to others, and change them where they are used; the command is told to end (SIGTERM)";
const LEFT_OPEN: &str = "note: the command has left something behind that still has its output open; what that writes from now on is not shown, and may end it (SIGPIPE)";

/// Where we stand towards the command.
pub(super) enum Post {
    /// In its process group. What the terminal sends to one it sends to both.
    Beside,
    /// On another terminal: it has a session of its own.
    Outside(Screen),
    /// In its session, as its leader.
    Leader,
}

/// A command that runs.
pub(super) struct Job {
    pub(super) child: Child,
    pub(super) post: Post,
    pub(super) copying: Vec<Copying>,
    /// Closed to tell the copying that the command has ended.
    pub(super) ended: Option<OwnedFd>,
}

impl Job {
    /// Waits for the command, and for what it wrote.
    ///
    /// # Errors
    /// When the system doesn't say how it ended, or the command believes that all is well and not all that it
    /// wrote got where it goes.
    pub(super) async fn finish(mut self, events: &mut Events) -> Result<ExitStatus, Failure> {
        let (mut status, mut copying, mut left_open) = (None, self.copying.len(), false);
        let mut unwritten = None;
        loop {
            if let Some(status) = status.filter(|_| copying == 0) {
                return self.outcome(status, unwritten);
            }
            match self.next(events).await {
                Some(Event::Relayed(end)) => {
                    copying = copying.saturating_sub(1);
                    if let End::Unwritten(error) = end {
                        unwritten.get_or_insert(io::Error::from(error));
                    }
                    if end == End::LeftOpen && !left_open {
                        self.say(LEFT_OPEN);
                        left_open = true;
                    }
                }
                // Whoever reads the rest of the output may take for ever.
                Some(Event::Signal(caught)) if status.is_some() && caught.asks_to_end() => copying = 0,
                Some(Event::Signal(caught)) if caught.signal == Signal::CHILD => {
                    status = self.changed(status).await?;
                }
                Some(Event::Signal(caught)) => self.signalled(caught),
                Some(Event::Revoked) => {
                    self.say(REVOKED);
                    self.child.signal(Signal::TERM);
                }
                Some(Event::Note(words)) => self.say(&format!("note: {words}")),
                None => self.look(),
            }
        }
    }

    /// How the command ended, and what became of its output.
    fn outcome(&mut self, status: ExitStatus, unwritten: Option<io::Error>) -> Result<ExitStatus, Failure> {
        let Some(error) = unwritten else { return Ok(status) };
        let lost = Failure::because("the command's output can't be written", &error);
        if status.success() {
            return Err(lost.hint("what was written of it is not all; make room and run it again"));
        }
        self.say(&format!("note: {}", lost.message()));
        Ok(status)
    }

    /// The next event; none when it is time to look after the terminal.
    async fn next(&self, events: &mut Events) -> Option<Event> {
        match &self.post {
            Post::Outside(screen) if !screen.is_taken() => timeout(LOOK, events.next()).await.ok(),
            _ => Some(events.next().await),
        }
    }

    fn look(&mut self) {
        if let Post::Outside(screen) = &mut self.post {
            screen.enter();
        }
    }

    /// Says something where a person reads it.
    fn say(&mut self, words: &str) {
        let Post::Outside(screen) = &mut self.post else { return output::complain(words) };
        screen.leave();
        output::complain(words);
        screen.enter();
    }

    /// The command has ended, stopped or gone on.
    async fn changed(&mut self, status: Option<ExitStatus>) -> Result<Option<ExitStatus>, Failure> {
        if status.is_some() {
            return Ok(status);
        }
        let status = self.child.ended()?;
        if status.is_some() {
            self.ended = None;
        } else if self.child.is_stopped() {
            self.stop().await;
        }
        Ok(status)
    }

    /// Stops with the command, so that whoever waits for us sees it.
    async fn stop(&mut self) {
        match &mut self.post {
            // Without a terminal nobody waits to see it.
            Post::Beside => {
                if a_terminal_is_there() {
                    let _refused = kill_current_process_group(Signal::TSTP);
                }
            }
            Post::Outside(screen) => {
                settle(&self.copying).await;
                screen.leave();
                // All of us that the terminal would have stopped. Where nobody
                // could let us go on, the system doesn't stop us at all.
                let _refused = kill_current_process_group(Signal::TSTP);
                screen.enter();
                self.child.go_on();
            }
            // A session's leader is stopped by nothing less.
            Post::Leader => {
                let _refused = kill_process(getpid(), Signal::STOP);
            }
        }
    }

    fn signalled(&mut self, caught: Caught) {
        match caught.signal {
            Signal::CONT => self.go_on(),
            Signal::WINCH => self.resize(caught),
            signal if self.is_for_the_child(caught) => self.child.signal(signal),
            _ => {}
        }
    }

    /// Whether the command hasn't got the signal as we did.
    fn is_for_the_child(&self, caught: Caught) -> bool {
        let shares_the_terminal = !matches!(self.post, Post::Outside(_));
        let from_the_child = caught.sender == Some(self.child.pid().as_raw_pid());
        !(from_the_child || caught.by_terminal && shares_the_terminal)
    }

    fn go_on(&mut self) {
        match &mut self.post {
            Post::Beside => self.child.go_on(),
            Post::Outside(screen) => {
                screen.enter();
                self.child.go_on();
            }
            Post::Leader => {
                let _ended = kill_process_group(self.child.pid(), Signal::CONT);
            }
        }
    }

    fn resize(&mut self, caught: Caught) {
        self.copying.iter().for_each(Copying::resize);
        // It was told when its terminals had still the old size.
        if matches!(self.post, Post::Beside) && (!self.copying.is_empty() || !caught.by_terminal) {
            self.child.signal(Signal::WINCH);
        }
    }
}

fn a_terminal_is_there() -> bool {
    io::stdin().is_terminal() || io::stdout().is_terminal() || io::stderr().is_terminal()
}

/// Waits until all that was written so far is where it goes.
async fn settle(copying: &[Copying]) {
    let settled = async {
        while !copying.iter().all(Copying::is_settled) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    let _late = timeout(SETTLING, settled).await;
}
