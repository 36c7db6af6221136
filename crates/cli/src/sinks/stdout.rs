//! Standard output, written by a thread of its own: whoever reads it may be slow, and the
//! server doesn't wait for them, not even to end.

use std::io::{self, Write as _};
use std::sync::mpsc::{Sender, channel};
use tokio::sync::oneshot;

use crate::failure::Failure;

type Lines = (String, oneshot::Sender<io::Result<()>>);

/// The way to the thread.
pub(super) struct Stdout(Sender<Lines>);

impl Stdout {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn start() -> Result<Self, Failure> {
        let (lines, waiting) = channel::<Lines>();
        let write = move || {
            let mut is_cut_off = false;
            while let Ok((lines, reply)) = waiting.recv() {
                let mut stdout = io::stdout().lock();
                // What of a line got there isn't to take the next with it.
                let begin: &[u8] = if is_cut_off { b"\n" } else { b"" };
                let all = stdout.write_all(begin).and_then(|()| stdout.write_all(lines.as_bytes()));
                let written = all.and_then(|()| stdout.flush());
                is_cut_off = written.is_err();
                // Nobody waits any more when the server ends.
                let _ = reply.send(written);
            }
        };
        std::thread::Builder::new().name("audit-stdout".into()).spawn(write)?;
        Ok(Self(lines))
    }

    /// Writes lines, and returns when they were taken.
    pub(super) async fn take(&self, lines: String) -> Result<(), String> {
        let (reply, answer) = oneshot::channel();
        let gone = || "standard output is closed".to_owned();
        self.0.send((lines, reply)).map_err(|_| gone())?;
        let written = answer.await.map_err(|_| gone())?;
        written.map_err(|error| format!("standard output: {error}"))
    }
}
