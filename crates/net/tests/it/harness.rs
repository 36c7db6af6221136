//! A listening front, and a client that says and sees exact bytes.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use strongroom_net::{Front, Limits, RequestId};
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// No wait of a test is longer; a test that waits this long fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// A front on a port of its own, stopped when dropped.
pub(crate) struct TestFront {
    pub(crate) address: SocketAddr,
    pub(crate) runtime: Runtime,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<()>,
}

impl TestFront {
    pub(crate) fn start(limits: Limits) -> Self {
        Self::of(front(limits))
    }

    pub(crate) fn of(front: Front) -> Self {
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let served =
            runtime.spawn(front.serve(listener, tower::service_fn(crate::service::answer), async move {
                drop(stopped.await);
            }));
        Self { address, runtime, stop: Some(stop), served }
    }

    pub(crate) fn client(&self) -> Client {
        self.client_at(Ipv4Addr::LOCALHOST)
    }

    /// A client with a loopback address of its own.
    pub(crate) fn client_at(&self, address: Ipv4Addr) -> Client {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((address, 0).into()).unwrap();
        let stream = self.runtime.block_on(socket.connect(self.address)).unwrap().into_std().unwrap();
        stream.set_nonblocking(false).unwrap();
        Client::new(stream)
    }

    /// What a fresh client gets for `request`.
    pub(crate) fn ask(&self, request: &str) -> Answer {
        let mut client = self.client();
        client.send(request);
        client.answer()
    }

    pub(crate) fn shut_down(&mut self) {
        drop(self.stop.take());
    }

    /// Whether serving ended within `time`.
    pub(crate) fn ends_within(&mut self, time: Duration) -> bool {
        let served = &mut self.served;
        self.runtime.block_on(async { tokio::time::timeout(time, served).await.is_ok() })
    }
}

pub(crate) fn front(limits: Limits) -> Front {
    let count = AtomicU64::new(1);
    Front::new(limits, move || {
        RequestId::new(uuid::Uuid::from_u128(count.fetch_add(1, Ordering::Relaxed).into()))
    })
}

/// One connection.
pub(crate) struct Client<T = TcpStream> {
    pub(crate) stream: T,
    buffer: Vec<u8>,
}

impl Client {
    pub(crate) fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(stream)
    }

    pub(crate) fn finish_sending(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }
}

impl<T: Read + Write> Client<T> {
    /// Over whatever carries bytes.
    pub(crate) fn over(stream: T) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    /// Sends all of it, and fails if the front is gone before.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends as much as the front takes.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// The next answer.
    pub(crate) fn answer(&mut self) -> Answer {
        let head = self.take_through(b"\r\n\r\n");
        let mut answer = Answer::parse(&head);
        let length: usize = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        while self.buffer.len() < length {
            assert!(self.receive(), "closed within a body");
        }
        answer.body = String::from_utf8(self.buffer.drain(..length).collect()).unwrap();
        answer
    }

    /// Fails unless the front closes in order, with nothing more to say.
    pub(crate) fn assert_closed(&mut self) {
        assert!(!self.receive(), "expected the end, got {:?}", String::from_utf8_lossy(&self.buffer));
        assert!(self.buffer.is_empty(), "left over: {:?}", String::from_utf8_lossy(&self.buffer));
    }

    /// Everything until the front closes or resets.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let ended = self.stream.read_to_end(&mut self.buffer);
        let timed_out =
            |error: &std::io::Error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
        assert!(!ended.is_err_and(|error| timed_out(&error)), "the front never closed");
        std::mem::take(&mut self.buffer)
    }

    fn take_through(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = self.buffer.windows(end.len()).position(|window| window == end) {
                return self.buffer.drain(..at + end.len()).collect();
            }
            assert!(self.receive(), "closed within a head: {:?}", String::from_utf8_lossy(&self.buffer));
        }
    }

    /// Receives more; false at the end.
    fn receive(&mut self) -> bool {
        let mut bytes = [0; 16 * 1024];
        let read = self.stream.read(&mut bytes).unwrap();
        self.buffer.extend_from_slice(&bytes[..read]);
        read > 0
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    fn parse(head: &[u8]) -> Self {
        let head = str::from_utf8(head).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let header =
            |line: &str| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()));
        let headers = lines.map(|line| header(line).unwrap()).collect();
        Self { status, headers, body: String::new() }
    }

    /// The one value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(named, _)| named == name).map(|(_, value)| value);
        let value = values.next();
        assert!(values.next().is_none(), "{name} twice in {self:?}");
        value.map(String::as_str)
    }

    pub(crate) fn closes(&self) -> bool {
        self.header("connection") == Some("close")
    }

    #[track_caller]
    pub(crate) fn assert_ok(&self) {
        assert_eq!(self.status, 200, "{self:?}");
        assert_eq!(self.header("x-request-id").map(str::len), Some(36), "{self:?}");
    }

    /// Fails unless this is the front's own last answer, to the letter.
    #[track_caller]
    pub(crate) fn assert_refusal(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{self:?}");
        let message = self.body.strip_prefix(&format!(r#"{{"error":"{code}","message":""#));
        let message = message.and_then(|rest| rest.strip_suffix(r#""}"#)).unwrap_or_default();
        assert!(message.len() > 20 && !message.contains(['"', '\\']), "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        assert_eq!(self.header("cache-control"), Some("no-store"), "{self:?}");
        assert_eq!(self.header("x-request-id").map(str::len), Some(36), "{self:?}");
        assert_eq!(self.header("retry-after"), (status == 503).then_some("1"), "{self:?}");
        assert!(self.closes(), "{self:?}");
    }
}

/// How long `act` takes.
pub(crate) fn time(act: impl FnOnce()) -> Duration {
    let start = Instant::now();
    act();
    start.elapsed()
}
