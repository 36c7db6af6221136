//! The broker of a server: where it listens, whom it trusts, and how it is served.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use strongroom_broker::{Authority, Broker, RunLimits, Settings, Unmatched, Unrecorded};
use strongroom_core::app::BrokerAddress;
use strongroom_core::{App, OsRandom};
use strongroom_net::{Dialler, SystemResolver, Tls};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::cli::Brokering;
use crate::clock::{SystemClock, rising_ids};
use crate::failure::Failure;

/// A broker that isn't open yet; connections queue.
pub(crate) struct Brokerage {
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    url: String,
    unmatched: Unmatched,
    limits: RunLimits,
    authorities: Vec<CertificateDer<'static>>,
    threads: NonZeroUsize,
}

/// A broker that is ready to be served.
pub(crate) struct OpenBroker {
    broker: Broker,
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
}

impl Brokerage {
    /// One that listens, and that this machine reaches there, with so many threads. On this machine alone it
    /// needs no TLS.
    ///
    /// # Errors
    /// When the authorities that it is to trust can't be read.
    pub(crate) fn new(
        (listener, address): (TcpListener, SocketAddr),
        brokering: &Brokering,
        tls: Option<Arc<Tls>>,
        threads: NonZeroUsize,
    ) -> Result<Self, Failure> {
        let tls = tls.filter(|_| !address.ip().is_loopback());
        let url =
            brokering.broker_url.as_ref().map_or_else(|| url(address, tls.is_some()), ToString::to_string);
        tracing::info!(%address, %url, "broker.listening");
        Ok(Self {
            listener,
            tls,
            url,
            unmatched: brokering.broker_unmatched.into(),
            limits: brokering.limits(),
            authorities: authorities(brokering)?,
            threads,
        })
    }

    /// Where runs find it.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Opens it for the runs of an instance, which from then on may be brokered.
    ///
    /// # Errors
    /// When there is no key for its authority, the system's authorities can't be loaded, or it has no room for
    /// the threads.
    pub(crate) fn open(self, app: App, grace: Duration) -> Result<(Arc<App>, OpenBroker), Failure> {
        let Self { listener, tls, url, unmatched, limits, authorities, threads } = self;
        let signer = app
            .authority()
            .ok_or_else(|| Failure::new("the instance has no key for the broker's authority"))?;
        let authority = Authority::new(signer, Arc::new(SystemClock), Arc::new(OsRandom))
            .map_err(|error| Failure::because("the broker's authority can't be made", &error))?;
        let address = BrokerAddress { url, ca: authority.pem().to_owned() };
        let app = Arc::new(app.with_broker(Some(address)));
        let dialler = Dialler::new(Arc::new(SystemResolver));
        let settings = Settings { unmatched, limits, authorities, dialler, grace, threads: Some(threads) };
        let broker = Broker::new(Arc::clone(&app), Arc::new(authority), settings, rising_ids())
            .map_err(|error| Failure::because("the broker can't be started", &error))?;
        Ok((app, OpenBroker { broker, listener, tls }))
    }
}

fn url(address: SocketAddr, tls: bool) -> String {
    format!("{}://{address}", if tls { "https" } else { "http" })
}

fn authorities(brokering: &Brokering) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let Some(path) = &brokering.broker_trust else { return Ok(Vec::new()) };
    let unread = |error: &dyn std::error::Error| {
        Failure::because(format!("the authorities in {} can't be read", path.display()), error)
            .hint("name a file of certificates in PEM with --broker-trust")
    };
    let read: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(path).map_err(|error| unread(&error))?.collect();
    let read = read.map_err(|error| unread(&error))?;
    if read.is_empty() {
        return Err(Failure::new(format!("there is no certificate in {}", path.display()))
            .hint("name a file of certificates in PEM with --broker-trust"));
    }
    Ok(read)
}

/// Serves the broker, if there is one, until `stopped`.
///
/// # Errors
/// When not all that went through it could be recorded.
pub(crate) async fn serve(
    broker: Option<OpenBroker>,
    mut stopped: watch::Receiver<()>,
) -> Result<(), Unrecorded> {
    let stopped = async { while stopped.changed().await.is_ok() {} };
    if let Some(OpenBroker { broker, listener, tls }) = broker {
        return Box::pin(broker.serve(listener, tls, stopped)).await;
    }
    stopped.await;
    Ok(())
}
