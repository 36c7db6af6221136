//! The HTTP/1.1 front: accepts connections, holds every client to the same
//! [`Limits`], and hands well-formed requests to one service. It knows nothing
//! of what is served, and no answer or log line of its own repeats any part of
//! what a client sent.

mod accept;
mod admission;
mod body;
mod connection;
mod exchange;
#[cfg(fuzzing)]
pub mod fuzzing;
mod head;
mod limits;
mod link;
mod refuse;
mod request_id;
mod wire;

pub use accept::Front;
pub use body::{Body, BodyError};
pub use limits::Limits;
pub use request_id::{PeerAddr, RequestId};
