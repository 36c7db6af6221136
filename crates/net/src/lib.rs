//! The front: accepts connections, HTTP/1.1 or, over TLS, HTTP/2, holds every
//! client to the same [`Limits`], and hands well-formed requests to one service. It knows nothing
//! of what is served, and no answer or log line of its own repeats any part of
//! what a client sent.

mod accept;
mod address;
mod admission;
mod body;
mod callee;
mod connection;
mod dial;
mod exchange;
mod frames;
#[cfg(fuzzing)]
pub mod fuzzing;
mod handshake;
mod head;
mod http2;
mod limits;
mod link;
mod proxies;
mod refuse;
mod request_id;
mod tls;
mod wire;

pub use accept::{Front, Listener};
pub use address::{Address, host};
pub use body::{Body, BodyError};
pub use callee::{AnswerBody, Callee};
pub use dial::{DialError, Dialler, Reach, Resolve, Resolving, SystemResolver, is_public};
pub use limits::Limits;
pub use proxies::{ProxiesError, TrustedProxies};
pub use request_id::{CallerAddr, PeerAddr, RequestId};
pub use tls::{Identity, IdentityError, Tls};
