//! `strongroom dev`, `init`, `serve` and `doctor`: what opens an instance. Every
//! option of theirs is also a variable and a key in `strongroom.toml`, but for those
//! that say where that file is and how an answer looks. And `copy`, which opens two.

use clap::Args;
use clap::builder::RangedU64ValueParser;
use secrecy::SecretString;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::thread::available_parallelism;
use std::time::Duration;
use strongroom_core::text::{Email, TeamName};
use strongroom_net::{Limits, TrustedProxies};

use super::broker::Brokering;
use super::root_key::{Keeper, RootKeyKind};
use crate::logs::{self, Format};
use crate::public_url::PublicUrl;

/// `strongroom dev`.
#[derive(Debug, Args)]
pub(crate) struct Dev {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) founding: Founding,
    #[command(flatten)]
    pub(crate) keeper: Keeper,
    #[command(flatten)]
    pub(crate) listening: Listening,
    #[command(flatten)]
    pub(crate) brokering: Brokering,
    #[command(flatten)]
    pub(crate) rules: Rules,
    #[command(flatten)]
    pub(crate) sinks: Sinks,
    #[command(flatten)]
    pub(crate) logging: Logging,
}

/// `strongroom init`.
#[derive(Debug, Args)]
pub(crate) struct Init {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Print the ids, the API key and the recovery recipient as one JSON object, and nothing else.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) founding: Founding,
    #[command(flatten)]
    pub(crate) keeper: Keeper,
}

/// `strongroom serve`.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) keeper: Keeper,
    #[command(flatten)]
    pub(crate) listening: Listening,
    #[command(flatten)]
    pub(crate) brokering: Brokering,
    #[command(flatten)]
    pub(crate) rules: Rules,
    #[command(flatten)]
    pub(crate) sinks: Sinks,
    #[command(flatten)]
    pub(crate) logging: Logging,
}

/// `strongroom doctor`.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Print one JSON object instead of a line for each check.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) keeper: Keeper,
}

/// The instance that an operator changes, and how it is told.
#[derive(Debug, Args)]
pub(crate) struct Operated {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) keeper: Keeper,
}

/// `strongroom setup-link`.
#[derive(Debug, Args)]
pub(crate) struct SetUpLink {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) owner: Owner,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) keeper: Keeper,
    #[command(flatten)]
    pub(crate) address: Address,
}

/// `strongroom copy`.
#[derive(Debug, Args)]
pub(crate) struct Copy {
    /// The instance: `sqlite:DIR`, or the `postgres://…` URL of its database.
    #[arg(long, value_name = "DATABASE")]
    pub(crate) from: SecretString,
    /// Where it goes: `sqlite:DIR` with a directory that has no database, or the `postgres://…` URL
    /// of an empty one.
    #[arg(long, value_name = "DATABASE")]
    pub(crate) to: SecretString,
    /// A file of mode 0600 whose first line is the password for the first database [default: the
    /// password in its URL, if there is one]
    #[arg(long, value_name = "FILE")]
    pub(crate) from_password_file: Option<PathBuf>,
    /// The same for the second.
    #[arg(long, value_name = "FILE")]
    pub(crate) to_password_file: Option<PathBuf>,
    /// Remove what an interrupted copy left, instead of going on behind it.
    #[arg(long)]
    pub(crate) start_over: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What else is configured.
#[derive(Debug, Args)]
pub(crate) struct Configuration {
    /// The configuration file [default: strongroom.toml in the data directory, if there is one]
    #[arg(long, value_name = "FILE", env = "STRONGROOM_CONFIG", hide_env_values = true)]
    pub(crate) config: Option<PathBuf>,
}

/// Where the instance is.
#[derive(Debug, Args)]
pub(crate) struct Place {
    #[command(flatten)]
    pub(crate) configuration: Configuration,
    /// The directory that holds the instance.
    #[arg(
        long,
        value_name = "DIR",
        env = "STRONGROOM_DATA_DIR",
        hide_env_values = true,
        default_value = "./strongroom-data"
    )]
    pub(crate) data_dir: PathBuf,
    #[command(flatten)]
    pub(crate) elsewhere: Elsewhere,
}

/// Where the database is, unless it is in the directory.
#[derive(Debug, Args)]
pub(crate) struct Elsewhere {
    /// The PostgreSQL database that holds the instance, such as
    /// `postgres://strongroom@db.example.com/strongroom`; the directory then holds the root key
    /// alone [default: none, the instance is in the directory]
    #[arg(long, value_name = "URL", env = "STRONGROOM_DATABASE_URL", hide_env_values = true)]
    pub(crate) database_url: Option<SecretString>,
    /// A file of mode 0600 whose first line is the password for the database [default: the
    /// password in database-url, if there is one]
    #[arg(long, value_name = "FILE", env = "STRONGROOM_DATABASE_PASSWORD_FILE", hide_env_values = true)]
    pub(crate) database_password_file: Option<PathBuf>,
}

/// Whom it is about.
#[derive(Debug, Args)]
pub(crate) struct Owner {
    /// The email address of the owner of the first team.
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "STRONGROOM_EMAIL",
        hide_env_values = true,
        default_value = "owner@localhost",
        value_parser = |text: &str| Email::parse(text)
    )]
    pub(crate) email: Email,
}

/// What a new instance starts with.
#[derive(Debug, Args)]
#[command(next_help_heading = "A new instance")]
pub(crate) struct Founding {
    /// What the first team is called.
    #[arg(
        long,
        value_name = "NAME",
        env = "STRONGROOM_TEAM",
        hide_env_values = true,
        default_value = "My team",
        value_parser = |text: &str| TeamName::parse(text)
    )]
    pub(crate) team: TeamName,
    #[command(flatten)]
    pub(crate) owner: Owner,
    #[command(flatten)]
    pub(crate) kind: NewRootKey,
    /// Write the recovery key to this new file, outside the data directory [default: show it
    /// once, on a terminal]
    #[arg(long, value_name = "FILE", env = "STRONGROOM_RECOVERY_KEY_FILE", hide_env_values = true)]
    pub(crate) recovery_key_file: Option<PathBuf>,
}

/// What kind of root key is made.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct NewRootKey {
    /// Where the root key comes from.
    #[arg(
        long,
        value_enum,
        value_name = "KIND",
        env = "STRONGROOM_ROOT_KEY",
        hide_env_values = true,
        default_value = "file"
    )]
    pub(crate) root_key: RootKeyKind,
}

/// Where the server is found.
#[derive(Debug, Args)]
#[command(next_help_heading = "Listening")]
pub(crate) struct Address {
    /// Where to listen; port 0 takes a free one.
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        env = "STRONGROOM_LISTEN",
        hide_env_values = true,
        default_value = "127.0.0.1:8700",
        value_parser = address
    )]
    pub(crate) listen: SocketAddr,
    /// Speak TLS with the certificate in this file: PEM, the server's own first, then those between
    /// it and the authority's [default: no TLS]
    #[arg(long, value_name = "FILE", env = "STRONGROOM_TLS_CERT", hide_env_values = true)]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Where clients find the server, if that isn't where it listens: behind a reverse proxy, or by
    /// the name in its certificate [default: where it listens]
    #[arg(
        long,
        value_name = "URL",
        env = "STRONGROOM_PUBLIC_URL",
        hide_env_values = true,
        value_parser = PublicUrl::parse
    )]
    pub(crate) public_url: Option<PublicUrl>,
}

/// How connections are taken.
#[derive(Debug, Args)]
#[command(next_help_heading = "Listening")]
pub(crate) struct Listening {
    #[command(flatten)]
    pub(crate) address: Address,
    /// The key for that certificate: PEM, of mode 0600. SIGHUP has both files read again
    /// [default: no TLS]
    #[arg(long, value_name = "FILE", env = "STRONGROOM_TLS_KEY", hide_env_values = true)]
    pub(crate) tls_key: Option<PathBuf>,
    /// Listen off this machine's loopback without TLS: whoever sees the traffic sees every value
    /// and key in it.
    #[arg(
        long,
        value_name = "BOOL",
        env = "STRONGROOM_INSECURE_HTTP",
        hide_env_values = true,
        num_args = 0..=1,
        require_equals = true,
        default_value_t = false,
        default_missing_value = "true",
        action = clap::ArgAction::Set,
        hide_possible_values = true
    )]
    pub(crate) insecure_http: bool,
    /// Networks of your reverse proxies, with commas between them. Only from there are
    /// X-Forwarded-For and Forwarded believed: the last address in them that isn't a proxy's is the
    /// caller's [default: nobody is believed]
    #[arg(
        long,
        value_name = "NETWORKS",
        env = "STRONGROOM_TRUSTED_PROXIES",
        hide_env_values = true,
        value_parser = TrustedProxies::parse
    )]
    pub(crate) trusted_proxies: Option<TrustedProxies>,
    /// Serve metrics (OpenMetrics, GET /metrics) here, to whoever can connect, without TLS
    /// [default: nowhere]
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        env = "STRONGROOM_METRICS_LISTEN",
        hide_env_values = true,
        value_parser = address
    )]
    pub(crate) metrics_listen: Option<SocketAddr>,
    /// Threads that serve the API and the pages, and again as many for the broker [default: one for each
    /// processor]
    #[arg(
        long,
        value_name = "N",
        env = "STRONGROOM_WORKERS",
        hide_env_values = true,
        value_parser = clap::value_parser!(u16).range(1..)
    )]
    pub(crate) workers: Option<u16>,
    /// Connections at one time; one more is answered with 503, or closed where TLS is spoken.
    #[arg(
        long,
        value_name = "N",
        env = "STRONGROOM_MAX_CONNECTIONS",
        hide_env_values = true,
        default_value_t = Limits::default().max_connections,
        value_parser = RangedU64ValueParser::<usize>::new().range(1..)
    )]
    pub(crate) max_connections: usize,
    /// Connections at one time from one address (IPv6: one /64). Behind a reverse proxy all come
    /// from one: trusted proxies aren't held to this.
    #[arg(
        long,
        value_name = "N",
        env = "STRONGROOM_MAX_CONNECTIONS_PER_ADDRESS",
        hide_env_values = true,
        default_value_t = Limits::default().max_connections_per_address,
        value_parser = RangedU64ValueParser::<usize>::new().range(1..)
    )]
    pub(crate) max_connections_per_address: usize,
    /// Seconds for a request: from the end of its head until its answer is written.
    #[arg(
        long,
        value_name = "SECONDS",
        env = "STRONGROOM_REQUEST_TIMEOUT",
        hide_env_values = true,
        default_value_t = Limits::default().request.as_secs(),
        value_parser = clap::value_parser!(u64).range(1..=86_400)
    )]
    pub(crate) request_timeout: u64,
    /// Seconds that a connection may wait for its next request.
    #[arg(
        long,
        value_name = "SECONDS",
        env = "STRONGROOM_IDLE_TIMEOUT",
        hide_env_values = true,
        default_value_t = Limits::default().idle.as_secs(),
        value_parser = clap::value_parser!(u64).range(1..=86_400)
    )]
    pub(crate) idle_timeout: u64,
    /// Seconds that requests in flight get when the server is told to stop.
    #[arg(
        long,
        value_name = "SECONDS",
        env = "STRONGROOM_SHUTDOWN_TIMEOUT",
        hide_env_values = true,
        default_value_t = Limits::default().grace.as_secs(),
        value_parser = clap::value_parser!(u64).range(0..=86_400)
    )]
    pub(crate) shutdown_timeout: u64,
}

/// What the server allows and keeps.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Rules")]
pub(crate) struct Rules {
    /// Requests a minute for each API key, counted by each server for itself; 0: as many as come.
    #[arg(
        long,
        value_name = "N",
        env = "STRONGROOM_RATE_LIMIT",
        hide_env_values = true,
        default_value_t = 300
    )]
    pub(crate) rate_limit: u32,
    /// Days for which deleted secrets and teams can be brought back, before they are destroyed.
    #[arg(
        long,
        value_name = "DAYS",
        env = "STRONGROOM_RETENTION_DAYS",
        hide_env_values = true,
        default_value_t = 30,
        value_parser = clap::value_parser!(u32).range(0..=36_500)
    )]
    pub(crate) retention_days: u32,
    /// Make agents and revisions that aren't there when a builder attaches a secret to them, under
    /// the ids of the platform that runs them.
    #[arg(
        long,
        value_name = "BOOL",
        env = "STRONGROOM_AUTO_REGISTER_AGENTS",
        hide_env_values = true,
        num_args = 0..=1,
        require_equals = true,
        default_value_t = false,
        default_missing_value = "true",
        action = clap::ArgAction::Set,
        hide_possible_values = true
    )]
    pub(crate) auto_register_agents: bool,
}

/// Where events go as they are sealed.
#[derive(Debug, Args)]
#[command(next_help_heading = "Audit")]
#[expect(clippy::struct_field_names, reason = "they are the names of options")]
pub(crate) struct Sinks {
    /// Append each event to this file, a line of JSON each, from when it is first named; the
    /// file is made with mode 0600 [default: none]
    #[arg(long, value_name = "FILE", env = "STRONGROOM_AUDIT_FILE", hide_env_values = true)]
    pub(crate) audit_file: Option<PathBuf>,
    /// MiB in that file before it is put aside as FILE.1.
    #[arg(
        long,
        value_name = "MIB",
        env = "STRONGROOM_AUDIT_FILE_SIZE",
        hide_env_values = true,
        default_value_t = 100,
        value_parser = clap::value_parser!(u32).range(1..=1_048_576)
    )]
    pub(crate) audit_file_size: u32,
    /// How many of those put aside are kept.
    #[arg(
        long,
        value_name = "N",
        env = "STRONGROOM_AUDIT_FILE_KEEP",
        hide_env_values = true,
        default_value_t = 10,
        value_parser = clap::value_parser!(u32).range(0..=10_000)
    )]
    pub(crate) audit_file_keep: u32,
    /// Write each event to standard output, a line of JSON each.
    #[arg(
        long,
        value_name = "BOOL",
        env = "STRONGROOM_AUDIT_STDOUT",
        hide_env_values = true,
        num_args = 0..=1,
        require_equals = true,
        default_value_t = false,
        default_missing_value = "true",
        action = clap::ArgAction::Set,
        hide_possible_values = true
    )]
    pub(crate) audit_stdout: bool,
    /// Send events there, as JSON Lines with a signature by the secret; https, or http on this
    /// machine [default: nowhere]
    #[arg(long, value_name = "URL", env = "STRONGROOM_AUDIT_WEBHOOK", hide_env_values = true)]
    pub(crate) audit_webhook: Option<reqwest::Url>,
    /// A file of mode 0600 whose first line is the webhook's secret, of at least 16 characters
    #[arg(long, value_name = "FILE", env = "STRONGROOM_AUDIT_WEBHOOK_SECRET_FILE", hide_env_values = true)]
    pub(crate) audit_webhook_secret_file: Option<PathBuf>,
}

/// What is logged.
#[derive(Debug, Args)]
#[command(next_help_heading = "Logging")]
pub(crate) struct Logging {
    /// What to log: error, warn, info, debug, trace, or a list such as
    /// `info,strongroom_store=debug`.
    #[arg(
        long,
        value_name = "FILTER",
        env = "STRONGROOM_LOG",
        hide_env_values = true,
        default_value = "info",
        value_parser = logs::directive
    )]
    pub(crate) log: String,
    /// How log lines look.
    #[arg(
        long,
        value_enum,
        value_name = "FORMAT",
        env = "STRONGROOM_LOG_FORMAT",
        hide_env_values = true,
        default_value = "text"
    )]
    pub(crate) log_format: Format,
}

impl Logging {
    /// Starts logging; what was logged before is lost.
    pub(crate) fn start(&self) {
        logs::start(&self.log, self.log_format);
    }
}

impl Listening {
    /// What clients may ask of the server.
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            max_connections: self.max_connections,
            max_connections_per_address: self.max_connections_per_address,
            request: Duration::from_secs(self.request_timeout),
            idle: Duration::from_secs(self.idle_timeout),
            grace: Duration::from_secs(self.shutdown_timeout),
            ..Limits::default()
        }
    }

    /// How many threads serve requests. One where the system doesn't say what it has.
    pub(crate) fn threads(&self) -> NonZeroUsize {
        let wanted = self.workers.and_then(|workers| NonZeroUsize::new(workers.into()));
        wanted.unwrap_or_else(|| available_parallelism().unwrap_or(NonZeroUsize::MIN))
    }
}

pub(super) fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "must be an IP address and a port, such as 127.0.0.1:8700 or [::1]:8700")
}
