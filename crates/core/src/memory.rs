//! Key bytes in memory: on pages that the system is asked not to swap, erased
//! when dropped, never printed.

use zeroize::Zeroize;

/// 32 secret bytes on a page that stays in memory.
pub(crate) struct KeyBytes {
    bytes: Box<[u8; 32]>,
    locked: bool,
}

impl KeyBytes {
    /// Moves the bytes to a locked page and erases `bytes`.
    pub(crate) fn take(bytes: &mut [u8; 32]) -> Self {
        let mut boxed = Box::new([0; 32]);
        let guard = region::lock(boxed.as_ptr(), boxed.len());
        let locked = guard.is_ok();
        // The page stays locked: other keys may share it, and the system
        // doesn't count a second lock of one page. Keys are few.
        std::mem::forget(guard);
        boxed.copy_from_slice(&*bytes);
        bytes.zeroize();
        Self { bytes: boxed, locked }
    }

    pub(crate) fn expose(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// False when the system refused to lock the page; the process may be
    /// allowed to lock too little memory (`ulimit -l`).
    pub(crate) fn locked(&self) -> bool {
        self.locked
    }
}

impl Drop for KeyBytes {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}
