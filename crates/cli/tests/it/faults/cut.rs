//! A wire to PostgreSQL that can be cut: while it is, bytes vanish without a
//! word, and new connections get no answer.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The wire.
pub(super) struct Cut {
    port: u16,
    silent: Arc<AtomicBool>,
}

impl Cut {
    /// One to a server on this machine.
    pub(super) fn before(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, silent) = (listener.local_addr().unwrap().port(), Arc::new(AtomicBool::new(false)));
        let state = Arc::clone(&silent);
        std::thread::spawn(move || {
            for ours in listener.incoming().flatten() {
                let Ok(theirs) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                for (from, to) in [(&ours, &theirs), (&theirs, &ours)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    to.set_nodelay(true).unwrap();
                    let state = Arc::clone(&state);
                    std::thread::spawn(move || carry(from, to, &state));
                }
            }
        });
        Self { port, silent }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Cuts it for so long.
    pub(super) fn silence(&self, time: Duration) {
        self.silent.store(true, Ordering::SeqCst);
        std::thread::sleep(time);
        self.silent.store(false, Ordering::SeqCst);
    }
}

/// Carries bytes one way. What was swallowed is gone for good, and with it the
/// connection: its next byte would make no sense.
fn carry(mut from: TcpStream, mut to: TcpStream, silent: &AtomicBool) {
    let mut buffer = [0; 16 << 10];
    let mut swallowed = false;
    while let Ok(read) = from.read(&mut buffer) {
        if silent.load(Ordering::SeqCst) {
            swallowed = true;
            if read == 0 {
                break;
            }
            continue;
        }
        if read == 0 || swallowed || to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _closed = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
