//! How much a client may ask of the front: sizes, counts and times, each said
//! once, with its default.

use std::time::Duration;

/// What a client may ask of the front. All of it holds for every client,
/// whoever it is.
#[derive(Clone, Debug)]
pub struct Limits {
    /// From accepting a connection to the end of its TLS handshake, its first
    /// byte included; then it is closed without a word. Default 10 s.
    pub handshake: Duration,
    /// From accepting a connection, or the end of its TLS handshake, to its first
    /// byte; then it is closed without a word. Default 5 s.
    pub first_byte: Duration,
    /// From the first byte of a request to the end of its head; then the
    /// connection is closed without a word. Default 10 s.
    pub head: Duration,
    /// From the end of a head until its answer is written, reading the body
    /// included. A body that isn't whole by then fails with
    /// [`BodyError::TimedOut`](crate::BodyError::TimedOut), a service that
    /// hasn't answered by then is answered for with 503, an answer that the
    /// client hasn't taken by then is cut. Default 30 s.
    pub request: Duration,
    /// From an answer to the first byte of the next request. Default 60 s.
    pub idle: Duration,
    /// Header lines in a head; more are answered with 431. Default 64.
    pub max_headers: usize,
    /// Bytes in a head, request line included; more are answered with 431.
    /// Default 16 KiB.
    pub max_head: usize,
    /// Bytes in a request target; more are answered with 414. Default 8 KiB.
    pub max_url: usize,
    /// Bytes in a request body. A longer `content-length` is answered with 413;
    /// a chunked body that grows longer fails with
    /// [`BodyError::TooLarge`](crate::BodyError::TooLarge). Default 2 MiB.
    pub max_body: u64,
    /// Bytes of refused input that are read and thrown away so that the client
    /// gets to read the answer. Default 8 MiB.
    pub drain_bytes: u64,
    /// How long that reading may take; also what a service whose time is up
    /// gets for its last word. Default 5 s.
    pub drain_time: Duration,
    /// Connections in all; one more is answered with 503 and closed, over TLS
    /// closed without a word. Default 8192.
    pub max_connections: usize,
    /// Connections from one address (IPv6: one /64 network). Behind a reverse
    /// proxy all connections come from one address, so trusted proxies aren't
    /// held to it. Default 1024.
    pub max_connections_per_address: usize,
    /// What requests in flight get after shutdown was asked for; then they are
    /// cut. Default 30 s.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            first_byte: Duration::from_secs(5),
            head: Duration::from_secs(10),
            request: Duration::from_secs(30),
            idle: Duration::from_mins(1),
            max_headers: 64,
            max_head: 16 * 1024,
            max_url: 8 * 1024,
            max_body: 2 * 1024 * 1024,
            drain_bytes: 8 * 1024 * 1024,
            drain_time: Duration::from_secs(5),
            max_connections: 8192,
            max_connections_per_address: 1024,
            grace: Duration::from_secs(30),
        }
    }
}
