//! The options of the broker.

use clap::builder::RangedU64ValueParser;
use clap::{Args, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;
use strongroom_broker::RunLimits;

use crate::public_url::PublicUrl;

/// How brokered runs are served.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Broker")]
#[expect(clippy::struct_field_names, reason = "they are the options' names")]
pub(crate) struct Brokering {
    /// Where the broker listens, the proxy for brokered runs; `none` turns it off [default:
    /// 127.0.0.1, the port after the server's own, or a free one where that takes one]
    #[arg(
        long,
        value_name = "ADDRESS:PORT|none",
        env = "STRONGROOM_BROKER_LISTEN",
        hide_env_values = true,
        value_parser = BrokerListen::parse
    )]
    pub(crate) broker_listen: Option<BrokerListen>,
    /// Where runs find the broker, if that isn't where it listens [default: where it listens]
    #[arg(
        long,
        value_name = "URL",
        env = "STRONGROOM_BROKER_URL",
        hide_env_values = true,
        value_parser = PublicUrl::parse
    )]
    pub(crate) broker_url: Option<PublicUrl>,
    /// What becomes of requests to hosts that no rule of the run's secrets is about.
    #[arg(
        long,
        value_enum,
        value_name = "WHAT",
        env = "STRONGROOM_BROKER_UNMATCHED",
        hide_env_values = true,
        default_value_t = Unmatched::Deny
    )]
    pub(crate) broker_unmatched: Unmatched,
    /// Authorities whose certificates are good for hosts beside those that the system trusts: PEM
    /// [default: the system's alone]
    #[arg(long, value_name = "FILE", env = "STRONGROOM_BROKER_TRUST", hide_env_values = true)]
    pub(crate) broker_trust: Option<PathBuf>,
    /// Requests of one run.
    #[arg(
        long,
        value_name = "N",
        env = "STRONGROOM_BROKER_MAX_REQUESTS",
        hide_env_values = true,
        default_value_t = RunLimits::default().requests,
        value_parser = RangedU64ValueParser::<u64>::new().range(1..)
    )]
    pub(crate) broker_max_requests: u64,
    /// Different hosts that one run asks.
    #[arg(
        long,
        value_name = "N",
        env = "STRONGROOM_BROKER_MAX_HOSTS",
        hide_env_values = true,
        default_value_t = RunLimits::default().hosts,
        value_parser = RangedU64ValueParser::<usize>::new().range(1..)
    )]
    pub(crate) broker_max_hosts: usize,
    /// Bytes of one run's requests and of the answers to them.
    #[arg(
        long,
        value_name = "N",
        env = "STRONGROOM_BROKER_MAX_BYTES",
        hide_env_values = true,
        default_value_t = RunLimits::default().bytes,
        value_parser = RangedU64ValueParser::<u64>::new().range(1..)
    )]
    pub(crate) broker_max_bytes: u64,
}

impl Brokering {
    /// How much each run may have.
    pub(crate) fn limits(&self) -> RunLimits {
        RunLimits {
            requests: self.broker_max_requests,
            hosts: self.broker_max_hosts,
            bytes: self.broker_max_bytes,
        }
    }

    /// Where it is to listen beside a server that listens there; `None`: nowhere.
    pub(crate) fn address(&self, server: SocketAddr) -> Option<SocketAddr> {
        match &self.broker_listen {
            Some(BrokerListen::Nowhere) => None,
            Some(BrokerListen::At(address)) => Some(*address),
            None => {
                let port = if server.port() == 0 { 0 } else { server.port().checked_add(1).unwrap_or(0) };
                Some((std::net::Ipv4Addr::LOCALHOST, port).into())
            }
        }
    }
}

/// Where the broker listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BrokerListen {
    /// There is none.
    Nowhere,
    /// Here.
    At(SocketAddr),
}

impl BrokerListen {
    fn parse(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self::Nowhere);
        }
        super::server::address(text).map(Self::At).map_err(|wrong| format!("{wrong}, or none"))
    }
}

/// What becomes of requests to hosts that no rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Unmatched {
    /// They are refused.
    Deny,
    /// They go through untouched, to public addresses.
    Tunnel,
}

impl From<Unmatched> for strongroom_broker::Unmatched {
    fn from(unmatched: Unmatched) -> Self {
        match unmatched {
            Unmatched::Deny => Self::Deny,
            Unmatched::Tunnel => Self::Tunnel,
        }
    }
}
