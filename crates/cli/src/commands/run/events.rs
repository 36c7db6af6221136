//! What can happen while a command runs, in the order in which it does.

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::relay::End;
use super::signals::{self, Caught};
use crate::failure::Failure;

/// Something that happened.
pub(super) enum Event {
    /// A signal came.
    Signal(Caught),
    /// A stream of the command's was copied to its end.
    Relayed(End),
    /// The server took the run back.
    Revoked,
    /// Something that the person should know.
    Note(String),
}

/// Where what happens is told.
pub(super) type Teller = UnboundedSender<Event>;

/// What happens.
pub(super) struct Events {
    teller: Teller,
    events: UnboundedReceiver<Event>,
}

impl Events {
    /// Catches signals from now on.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn catch() -> Result<Self, Failure> {
        let (teller, events) = unbounded_channel();
        signals::catch(teller.clone())?;
        Ok(Self { teller, events })
    }

    /// For whoever has something to tell.
    pub(super) fn teller(&self) -> Teller {
        self.teller.clone()
    }

    /// The next event.
    pub(super) async fn next(&mut self) -> Event {
        match self.events.recv().await {
            Some(event) => event,
            // Never: there is always our own teller.
            None => std::future::pending().await,
        }
    }

    /// The next signal that asks this process to end.
    pub(super) async fn asked_to_end(&mut self) -> Caught {
        loop {
            if let Event::Signal(caught) = self.next().await
                && caught.asks_to_end()
            {
                return caught;
            }
        }
    }
}
