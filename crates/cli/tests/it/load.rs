//! Writers that create secrets as fast as they are answered, and the checker
//! that says whether what was acknowledged is there.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::harness::{Client, Place, eventually};

/// Connections that write at once.
const WRITERS: usize = 8;

/// A pool of writers.
pub(crate) struct Load {
    acknowledged: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    writers: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts writing; a writer ends when its connection breaks, or at an
    /// answer that isn't a yes.
    pub(crate) fn start(address: SocketAddr, key: &str) -> Self {
        let acknowledged = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let writer = |number: usize| {
            let (acknowledged, stop) = (Arc::clone(&acknowledged), Arc::clone(&stop));
            let mut client = Client::new(address, key);
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let Ok(Ok(id)) = client.create(&format!("value of writer {number}")) else { break };
                    acknowledged.lock().unwrap().push(id);
                }
            })
        };
        let writers = (0..WRITERS).map(writer).collect();
        Self { acknowledged, stop, writers }
    }

    /// How many were acknowledged so far.
    pub(crate) fn count(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    /// Waits until so many are.
    pub(crate) fn reach(&self, count: usize) {
        eventually("the writers are answered", || self.count() >= count);
    }

    /// Ends the writers; the ids of all that was acknowledged.
    pub(crate) fn finish(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.writers.into_iter().for_each(|writer| writer.join().unwrap());
        std::mem::take(&mut *self.acknowledged.lock().unwrap())
    }
}

/// Starts a server on what is there, and says which acknowledged secrets are
/// lost. What is there must also be whole: every seal opens, every MAC holds.
pub(crate) fn lost(place: &Place, key: &str, acknowledged: &[String]) -> Vec<String> {
    let server = place.serve();
    let present = present(&mut server.client(key));
    server.stop();
    place.run("doctor", &[]).done();
    acknowledged.iter().filter(|id| !present.contains(*id)).cloned().collect()
}

/// The ids of all secrets.
pub(crate) fn present(client: &mut Client) -> HashSet<String> {
    let list = client.get("/v1/credentials");
    assert_eq!(list.status, 200, "{}", list.body);
    list.json().as_array().unwrap().iter().map(|secret| secret["id"].as_str().unwrap().to_owned()).collect()
}
