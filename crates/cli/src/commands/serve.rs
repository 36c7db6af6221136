//! `strongroom serve`: takes connections until it is told to stop, or until
//! the store can't vouch for what it writes.

use axum::Router;
use std::io::IsTerminal;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use strongroom_api::Api;
use strongroom_core::App;
use strongroom_dashboard::Terms;
use strongroom_net::{Front, Limits, RequestId, TrustedProxies};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use crate::brokering::Brokerage;
use crate::checkpoints::Checkpoints;
use crate::cli::{Address, Brokering, Keeper, Listening, Rules, Serve, Sinks};
use crate::clock::rising_ids;
use crate::database::Site;
use crate::failure::Failure;
use crate::public_url::PublicUrl;
use crate::sealing::Sealing;
use crate::sinks::Ready;
use crate::tls::Renewed;
use crate::{brokering, housekeeping, instance, output};

pub(super) fn run(args: &Serve) -> Result<(), Failure> {
    args.logging.start();
    allowed(&args.listening, &args.brokering)?;
    let site = Site::new(&args.place)?;
    block_on(&args.listening, async {
        let (app, open) = ready(&site, &args.keeper, (&args.listening, &args.brokering, &args.sinks)).await?;
        // A reader that only wanted to start the server may be gone.
        let _unread = output::line(&format!("listening on {}", open.url()));
        open.serve(app, args.listening.limits(), args.rules).await
    })
}

/// Refuses to send values in the clear over a network.
///
/// # Errors
/// When the address isn't this machine's own and nobody insisted.
pub(super) fn allowed(listening: &Listening, brokering: &Brokering) -> Result<(), Failure> {
    // Metrics hold no value, but never have TLS either.
    let plain = Some(listening.address.listen).filter(|_| listening.address.tls_cert.is_none());
    let broker = brokering.address(listening.address.listen);
    let broker = broker.filter(|_| listening.address.tls_cert.is_none());
    let mut addresses = listening.metrics_listen.into_iter().chain(plain).chain(broker);
    let open = addresses.find(|address| !address.ip().is_loopback());
    let Some(open) = open.filter(|_| !listening.insecure_http) else { return Ok(()) };
    Err(Failure::new(format!(
        "{open} can be reached from other machines, and without TLS whoever sees the traffic sees everything in it",
    ))
    .hint("have it speak TLS with --tls-cert and --tls-key (not for metrics); or listen on 127.0.0.1 behind a proxy that does; or, on a network that you trust wholly, add --insecure-http"))
}

/// An instance that was there before, open, and where it is to be served.
///
/// # Errors
/// When it can't be opened, or nobody may listen there.
pub(super) async fn ready(
    site: &Site,
    keeper: &Keeper,
    (listening, brokering, sinks): (&Listening, &Brokering, &Sinks),
) -> Result<(App, Open), Failure> {
    site.data_dir.check()?;
    let database = site.serve().await?;
    let app = instance::open(database.store(), keeper, site).await?;
    // Only now is it certain that this is the right root key for it.
    database.migrate().await?;
    app.complete().await?;
    Ok((app, Open::bind((listening, brokering, sinks), site).await?))
}

/// Runs a server on as many threads as were asked for.
pub(super) fn block_on(
    listening: &Listening,
    server: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(listening.threads().get()).enable_all().build()?.block_on(server)
}

/// A bound address, and ears for the signals that end a server. Connections
/// queue from here on, and a signal is heeded.
pub(super) struct Open {
    listener: TcpListener,
    metrics: Option<TcpListener>,
    broker: Option<Brokerage>,
    signals: Signals,
    /// Where there is no certificate that they would renew.
    hangups: Option<Signal>,
    tls: Option<Renewed>,
    proxies: TrustedProxies,
    public_url: Option<PublicUrl>,
    checkpoints: Checkpoints,
    sinks: Ready,
    /// Where it listens; the port is a real one.
    address: SocketAddr,
}

impl Open {
    /// Reads the certificate, if one is named, and binds the address.
    ///
    /// # Errors
    /// When the certificate can't be used, or the system refuses.
    pub(super) async fn bind(
        (listening, brokering, sinks): (&Listening, &Brokering, &Sinks),
        site: &Site,
    ) -> Result<Self, Failure> {
        let tls = Renewed::start(listening)?;
        let listener = bind(listening.address.listen, "--listen").await?;
        let metrics = match listening.metrics_listen {
            Some(address) => Some(bind(address, "--metrics-listen").await?),
            None => None,
        };
        if let Some(metrics) = &metrics {
            tracing::info!(address = %metrics.local_addr()?, "metrics.listening");
        }
        let address = listener.local_addr()?;
        let (signals, sinks) = (Signals::install()?, Ready::new(sinks)?);
        // A terminal that is closed means it.
        let on_a_terminal = std::io::stdin().is_terminal() || std::io::stderr().is_terminal();
        let is_heeded = tls.is_none() && !on_a_terminal;
        let hangups = if is_heeded { Some(signal(SignalKind::hangup())?) } else { None };
        let broker = match brokering.address(listening.address.listen) {
            Some(wanted) => {
                let listener = bind(wanted, "--broker-listen").await?;
                let address = reachable(listener.local_addr()?);
                let tls = tls.as_ref().map(Renewed::tls);
                Some(Brokerage::new((listener, address), brokering, tls, listening.threads())?)
            }
            None => None,
        };
        Ok(Self {
            listener,
            metrics,
            broker,
            signals,
            hangups,
            tls,
            proxies: listening.trusted_proxies.clone().unwrap_or_default(),
            public_url: listening.address.public_url.clone(),
            checkpoints: Checkpoints::of(site.data_dir.path()),
            sinks,
            address,
        })
    }

    /// Where it listens, as a URL.
    pub(super) fn url(&self) -> String {
        self.url_at(self.address)
    }

    /// Where clients find it: as was said, or as this machine reaches it.
    pub(super) fn url_for_clients(&self) -> String {
        let public = self.public_url.as_ref().map(ToString::to_string);
        public.unwrap_or_else(|| self.url_at(reachable(self.address)))
    }

    /// Where runs find the broker and how they get there, or that there is none.
    pub(super) fn broker(&self) -> String {
        let there = |broker: &Brokerage| format!("{} (strongroom run --broker)", broker.url());
        self.broker.as_ref().map_or_else(|| "none".to_owned(), there)
    }

    fn url_at(&self, address: SocketAddr) -> String {
        url_at(self.tls.is_some(), address)
    }

    fn front(&self, limits: &Limits) -> Front {
        let front = Front::new(limits.clone(), request_ids()).with_trusted_proxies(self.proxies.clone());
        match &self.tls {
            Some(renewed) => front.with_tls(renewed.tls()),
            None => front,
        }
    }

    /// Serves until a signal or the store ends it.
    ///
    /// # Errors
    /// When the store stopped, so that whoever watches the process starts it anew.
    pub(super) async fn serve(mut self, app: App, limits: Limits, rules: Rules) -> Result<(), Failure> {
        warn_of_unlocked_keys(&app);
        let (front, grace) = (self.front(&limits), limits.grace.max(LAST));
        let app = app.registering_agents(rules.auto_register_agents);
        let (app, broker) = match self.broker {
            Some(brokerage) => {
                let (app, broker) = brokerage.open(app, limits.grace)?;
                (app, Some(broker))
            }
            None => (Arc::new(app), None),
        };
        let mut end = End::Asked;
        let mut signals = self.signals;
        let (told, was_told) = oneshot::channel();
        let mut listen = Box::pin(async {
            end = tokio::select! {
                () = signals.any() => End::Asked,
                () = app.store().stopped() => End::StoreStopped,
            };
            // Nobody to tell when the server has ended by itself.
            let _ = told.send(());
            signals.second().await;
        });
        let public_url = self.public_url.map(|url| url.to_string());
        let address = strongroom_net::Address::new(public_url.as_deref(), self.tls.is_some());
        let terms = Terms { requests_per_minute: rules.rate_limit, retention_days: rules.retention_days };
        let pages = strongroom_dashboard::documentation(strongroom_api::document, &address)
            .merge(strongroom_dashboard::desk(Arc::clone(&app), &address, terms));
        let api = Api::new(Arc::clone(&app), rules.rate_limit, address, pages);
        let (stop, stopped) = watch::channel(());
        let brokered = brokering::serve(broker, stopped.clone());
        let watched = serve_metrics(self.metrics, api.metrics, limits, stopped);
        let served = async {
            let told = async { drop(was_told.await) };
            front.serve(self.listener, api.operations, told).await;
            drop(stop);
        };
        let sealing = Sealing::new(Arc::clone(&app), self.checkpoints);
        let sending = self.sinks.start(&app, &sealing.heads()).await?;
        // Nothing is sealed after the last that is written down.
        let [(leave, left), (rest, rested)] = [(); 2].map(|()| oneshot::channel::<()>());
        let ended = |told: oneshot::Receiver<()>| async { drop(told.await) };
        let mut kept = Box::pin(housekeeping::keep(Arc::clone(&app), rules.retention_days, ended(left)));
        let mut sealed = Box::pin(sealing.keep(ended(rested)));
        let (mut recorded, mut is_cut) = (Ok(()), false);
        tokio::select! {
            ((), (), brokered) = async { tokio::join!(served, watched, brokered) } => recorded = brokered,
            () = sealed.as_mut() => {}
            () = listen.as_mut() => is_cut = true,
            () = kept.as_mut() => {}
            superseded = housekeeping::follow(Arc::clone(&app)) => {
                return Err(Failure::new(superseded.to_string())
                    .hint("start it again: the root key opens the new one"));
            }
            () = renew(self.tls.as_mut(), self.hangups.as_mut()) => {}
        }
        let mut last = Box::pin(async {
            drop(leave);
            within(grace, kept).await;
            drop(rest);
            within(grace, sealed).await;
            sending.finish().await;
        });
        if !is_cut {
            is_cut = tokio::select! {
                () = last.as_mut() => false,
                () = listen.as_mut() => true,
            };
        }
        if is_cut {
            within(CUT, last).await;
        }
        drop(listen);
        match end {
            End::Asked => Ok(recorded?),
            End::StoreStopped => Err(Failure::new("the database has stopped after an input/output error").hint(
                "look at the disk and the log, then start the server again; what was acknowledged is kept",
            )),
        }
    }
}

/// What a server does last has so long, however little its requests get.
const LAST: Duration = Duration::from_secs(5);
/// The same for all of it after a second signal: for a database that is there it is enough.
const CUT: Duration = Duration::from_secs(2);

/// Lets something come to its end, unless that takes longer.
async fn within(time: Duration, ending: impl Future<Output = ()>) {
    if timeout(time, ending).await.is_err() {
        tracing::warn!("serve.unfinished: the database takes too long; the next start goes on with it");
    }
}

/// Heeds what is said of the certificate, for ever. Who asks a service without one to read it again, as its
/// manager does, doesn't mean to end it.
async fn renew(tls: Option<&mut Renewed>, hangups: Option<&mut Signal>) {
    if let Some(tls) = tls {
        tls.keep().await;
    } else if let Some(hangups) = hangups {
        while hangups.recv().await.is_some() {
            tracing::info!("serve.unchanged: there is no certificate to read again");
        }
    }
    std::future::pending::<()>().await;
}

/// Where clients find a server that is told to listen there.
pub(super) fn url_for_clients(address: &Address) -> String {
    let public = address.public_url.as_ref().map(ToString::to_string);
    public.unwrap_or_else(|| url_at(address.tls_cert.is_some(), reachable(address.listen)))
}

fn url_at(tls: bool, address: SocketAddr) -> String {
    let scheme = if tls { "https" } else { "http" };
    format!("{scheme}://{address}")
}

/// How this machine reaches the address: nobody can connect to "any".
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        let loopback =
            if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
        address.set_ip(loopback);
    }
    address
}

/// Serves metrics until `stopped`, if they were asked for.
async fn serve_metrics(
    listener: Option<TcpListener>,
    router: Router,
    limits: Limits,
    mut stopped: watch::Receiver<()>,
) {
    if let Some(listener) = listener {
        let stopped = async { while stopped.changed().await.is_ok() {} };
        Front::new(limits, request_ids()).serve(listener, router, stopped).await;
    }
}

/// Binds an address.
///
/// # Errors
/// When the system refuses; `option` is what chooses another.
async fn bind(wanted: SocketAddr, option: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(wanted).await.map_err(|error| {
        Failure::because(format!("can't listen on {wanted}"), &error)
            .hint(format!("stop what uses it, or choose another with {option}; port 0 takes a free one"))
    })
}

/// Why a server ended.
enum End {
    Asked,
    StoreStopped,
}

fn warn_of_unlocked_keys(app: &App) {
    if !app.keys_locked() {
        tracing::warn!(
            "keys.unlocked: the system did not lock the keys in memory, so they could be swapped to disk; raise the limit (ulimit -l, LimitMEMLOCK=) or turn swap off"
        );
    }
}

/// Names each request; ids rise with time.
fn request_ids() -> impl Fn() -> RequestId + Send + Sync + 'static {
    let ids = rising_ids();
    move || RequestId::new(ids())
}

/// What tells the process to end.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn install() -> Result<Self, Failure> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// A second signal ends the process within two seconds: whoever sends it has waited
    /// long enough. What was acknowledged is kept.
    async fn second(&mut self) {
        self.any().await;
        tracing::warn!(
            "serve.cut: requests under way were not answered, and the record may lack the last that went through the broker"
        );
    }

    async fn any(&mut self) {
        let name = tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        };
        tracing::info!(signal = name, "serve.stopping");
    }
}
