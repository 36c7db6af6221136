//! Sixteen clients that read and write until they are told to end, each of whose requests
//! must be answered as it should be.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::harness::Client;
use crate::record::Stage;

const READERS: usize = 8;
const WRITERS: usize = 8;

/// The clients.
pub(crate) struct Traffic {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    clients: Vec<std::thread::JoinHandle<()>>,
}

impl Traffic {
    /// Starts them, in turn on each of these servers of one instance.
    pub(crate) fn start(stage: &Arc<Stage>, servers: &[SocketAddr]) -> Self {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let client = |number: usize| {
            let (stage, stop, done) = (Arc::clone(stage), Arc::clone(&stop), Arc::clone(&done));
            let token = if number < READERS { &stage.run } else { &stage.key };
            let mut client = Client::new(servers[number % servers.len()], token);
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    if number < READERS {
                        let answer = client.get("/v2/run/environment");
                        assert!(answer.status == 200 && answer.body.contains("a value"), "{}", answer.body);
                    } else {
                        client.create("a value").unwrap().unwrap();
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        let clients = (0..READERS + WRITERS).map(client).collect();
        Self { stop, done, clients }
    }

    /// How many requests it were so far.
    pub(crate) fn done(&self) -> usize {
        self.done.load(Ordering::Relaxed)
    }

    /// How many requests it were; each was answered as it should be.
    pub(crate) fn finish(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.clients.into_iter().for_each(|client| client.join().unwrap());
        self.done.load(Ordering::Relaxed)
    }
}
