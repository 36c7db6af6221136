//! What the command reads from and writes to. Where a person has a terminal, so
//! has the command; whatever it writes passes by us, unless nothing is masked.

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat};
use rustix::termios::{isatty, tcgetattr};
use std::io::{self, pipe};
use std::process::{Command, Stdio};
use std::sync::Arc;

use super::terminal::{Pair, Screen};
use crate::failure::Failure;

/// What the command is given in the place of our own streams.
#[derive(Default)]
pub(super) struct Wiring {
    stdin: Option<OwnedFd>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    /// Our ends, and where what comes from them goes.
    pub(super) outputs: Vec<(Arc<OwnedFd>, Arc<OwnedFd>)>,
    /// The person's terminal, when the command has a session on one of its own.
    pub(super) screen: Option<Screen>,
}

impl Wiring {
    /// Whatever the command writes passes by us.
    ///
    /// A person who has the keyboard and the screen gets a session: the command
    /// has both, on a terminal of its own. In a pipeline the keyboard belongs to
    /// its other commands too, and stays where it is.
    ///
    /// # Errors
    /// When the system has no pipe or terminal left.
    pub(super) fn masked() -> Result<Self, Failure> {
        match keyboard()? {
            Some(keyboard) => Self::session(keyboard),
            None => Self::streams(),
        }
    }

    fn session(keyboard: OwnedFd) -> Result<Self, Failure> {
        let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
        let mut wiring = Self::default();
        let settings = tcgetattr(&keyboard).map_err(|error| refused(&error.into()))?;
        let pair = Pair::open(&stdout, Some(&settings))?;
        if isatty(&stdin) {
            wiring.stdin = Some(duplicate(&pair.theirs)?);
        }
        wiring.stderr = Some(if is_same_terminal(&stdout, &stderr) {
            duplicate(&pair.theirs)?
        } else {
            wiring.pass(&stderr, isatty(&stderr))?
        });
        wiring.stdout = Some(pair.theirs);
        wiring.outputs.push((Arc::clone(&pair.ours), Arc::new(duplicate(&stdout)?)));
        wiring.screen = Some(Screen::new(keyboard, pair.ours));
        Ok(wiring)
    }

    /// Each terminal that is written to is replaced by one, but for one: a
    /// command that can't read the keyboard from standard input looks for it on
    /// standard error, and must not find one on which nobody types.
    fn streams() -> Result<Self, Failure> {
        let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
        let mut wiring = Self::default();
        wiring.stdout = Some(wiring.pass(&stdout, isatty(&stdout))?);
        wiring.stderr = Some(wiring.pass(&stderr, isatty(&stderr) && isatty(&stdin))?);
        Ok(wiring)
    }

    /// The command's end of a stream that passes by us.
    fn pass(&mut self, to: &impl AsFd, by_terminal: bool) -> Result<OwnedFd, Failure> {
        let (ours, theirs) = if by_terminal {
            let pair = Pair::open(to, None)?;
            (pair.ours, pair.theirs)
        } else {
            let (ours, theirs) = pipe().map_err(|error| refused(&error))?;
            (Arc::new(ours.into()), theirs.into())
        };
        self.outputs.push((ours, Arc::new(duplicate(to)?)));
        Ok(theirs)
    }

    /// Gives the command its ends; they are closed with it.
    pub(super) fn connect(&mut self, command: &mut Command) {
        let stdio = |end: Option<OwnedFd>| end.map_or_else(Stdio::inherit, Stdio::from);
        command.stdin(stdio(self.stdin.take()));
        command.stdout(stdio(self.stdout.take()));
        command.stderr(stdio(self.stderr.take()));
    }
}

/// Where a person types who sees the command's output, unless others read it too.
fn keyboard() -> Result<Option<OwnedFd>, Failure> {
    let (stdin, stdout) = (io::stdin(), io::stdout());
    if is_same_terminal(&stdin, &stdout) {
        return duplicate(&stdin).map(Some);
    }
    let alone = isatty(&stdout) && !isatty(&stdin) && !is_in_a_pipeline(&stdin) && can_be_read(&stdout);
    alone.then(|| duplicate(&stdout)).transpose()
}

fn is_in_a_pipeline(stdin: &impl AsFd) -> bool {
    let kind = fstat(stdin).map(|stat| FileType::from_raw_mode(stat.st_mode));
    matches!(kind, Ok(FileType::Fifo | FileType::Socket))
}

fn can_be_read(fd: &impl AsFd) -> bool {
    fcntl_getfl(fd).is_ok_and(|flags| flags & OFlags::RWMODE != OFlags::WRONLY)
}

/// Whether both are one terminal.
fn is_same_terminal(one: &impl AsFd, other: &impl AsFd) -> bool {
    isatty(one)
        && isatty(other)
        && matches!((fstat(one), fstat(other)), (Ok(a), Ok(b)) if (a.st_dev, a.st_rdev) == (b.st_dev, b.st_rdev))
}

fn duplicate(fd: &impl AsFd) -> Result<OwnedFd, Failure> {
    fd.as_fd().try_clone_to_owned().map_err(|error| refused(&error))
}

fn refused(error: &io::Error) -> Failure {
    Failure::because("the command's output can't be connected", error)
}
