//! Work that takes its time isn't done where connections are waited for.

use tokio::task::spawn_blocking;

/// Bytes of values that are made ready to be looked for at once: about a millisecond of work.
const AT_ONCE: usize = 4 << 10;

/// Does work over so many bytes, elsewhere if they are many. `None`: it wasn't finished.
pub(crate) async fn done<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    if bytes <= AT_ONCE { Some(work()) } else { spawn_blocking(work).await.ok() }
}
