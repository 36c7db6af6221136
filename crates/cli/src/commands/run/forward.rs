//! Where the broker is, and the forwarder to one on another machine: a door on this one, whose
//! connections go on inside TLS. It looks at nothing of what passes.

use reqwest::Url;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::ConfigVerifierExt as _;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::failure::Failure;

/// The longest that a connection to the broker may take, its TLS included.
const PATIENCE: Duration = Duration::from_secs(10);
/// Until the next try when the system has no connection left to take.
const PAUSE: Duration = Duration::from_millis(50);

/// What a command is told when the broker is gone. A proxy's answer, which clients show.
const UNREACHABLE: &str = "HTTP/1.1 502 Bad Gateway\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n\
    {\"error\":\"broker_unreachable\",\"message\":\"no connection to the broker can be made; see whether the server is there\"}\n";

/// A broker, as the server names it.
#[derive(Clone)]
pub(super) struct Broker {
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// A connection to it.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Broker {
    /// The one at a URL.
    ///
    /// # Errors
    /// When it is none of a broker, or the system's authorities can't be loaded.
    pub(super) fn at(url: &str) -> Result<Self, Failure> {
        let strange = || Failure::new("the server's answer has no broker that this program understands");
        let url = Url::parse(url).map_err(|_| strange())?;
        let host = url.host_str().map(|host| host.trim_matches(['[', ']']).to_owned()).ok_or_else(strange)?;
        let port = url.port_or_known_default().ok_or_else(strange)?;
        let tls = match url.scheme() {
            "http" => None,
            "https" => Some(greeting(&host)?),
            _ => return Err(strange()),
        };
        Ok(Self { host, port, tls })
    }

    /// The door by which a command finds it, once it was reached: its own where it is on this
    /// machine, otherwise one that is opened here and stays.
    ///
    /// # Errors
    /// When it can't be reached, or the system refuses.
    pub(super) async fn door(self) -> Result<SocketAddr, Failure> {
        self.dial().await.map_err(|error| self.unreachable(&error))?;
        match self.host.parse().ok().filter(IpAddr::is_loopback) {
            Some(address) if self.tls.is_none() => Ok(SocketAddr::new(address, self.port)),
            _ => self.forward().await,
        }
    }

    fn unreachable(&self, error: &io::Error) -> Failure {
        let Self { host, port, .. } = self;
        Failure::because(format!("the server's broker at {host}:{port} can't be reached"), error).hint(
            "the server says that it is there: if this is another machine, the server needs --broker-listen and \
             --broker-url; if its certificate isn't trusted, name its authority in a file with SSL_CERT_FILE",
        )
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the broker is where the server says, as the server itself is"
    )]
    async fn dial(&self) -> io::Result<Box<dyn Stream>> {
        let dialled = timeout(PATIENCE, async {
            let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
            stream.set_nodelay(true)?;
            Ok::<Box<dyn Stream>, io::Error>(match &self.tls {
                Some((tls, name)) => Box::new(tls.connect(name.clone(), stream).await?),
                None => Box::new(stream),
            })
        });
        dialled.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Takes connections on this machine from now on.
    async fn forward(self) -> Result<SocketAddr, Failure> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let door = listener.local_addr()?;
        tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((near, _)) => {
                        let broker = self.clone();
                        tokio::spawn(async move { broker.carry(near).await });
                    }
                    Err(_) => tokio::time::sleep(PAUSE).await,
                }
            }
        });
        Ok(door)
    }

    async fn carry(&self, mut near: TcpStream) -> io::Result<()> {
        near.set_nodelay(true)?;
        let Ok(mut far) = self.dial().await else { return turn_away(near).await };
        copy_bidirectional(&mut near, &mut far).await.map(|_| ())
    }
}

/// Says that the broker is gone. What was asked is taken first: a connection that is closed over it
/// is cut, and the answer lost.
async fn turn_away(mut near: TcpStream) -> io::Result<()> {
    let mut asked = [0; 4 << 10];
    let _read = near.read(&mut asked).await?;
    near.write_all(UNREACHABLE.as_bytes()).await?;
    near.shutdown().await
}

/// How to greet a broker by TLS: by a certificate for its host that the system trusts.
fn greeting(host: &str) -> Result<(TlsConnector, ServerName<'static>), Failure> {
    let config = ClientConfig::with_platform_verifier().map_err(|error| {
        Failure::because("the certificates that the system trusts can't be loaded", &error)
    })?;
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| Failure::new("the broker's host has no name that a certificate can have"))?;
    Ok((TlsConnector::from(Arc::new(config)), name))
}
