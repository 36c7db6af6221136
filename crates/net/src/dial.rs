//! Outbound connections. A name is resolved, its addresses are looked at, and the very
//! address that was found good is dialled: nothing resolves the name again in between.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

/// From asking for a name's addresses to having them.
const RESOLVED_IN: Duration = Duration::from_secs(5);
/// From dialling one address to being connected: time for two packets that are lost, and not all of
/// what a caller has, who may reach another address.
const CONNECTED_IN: Duration = Duration::from_secs(4);
/// Addresses of one name that are tried.
const TRIED: usize = 4;

/// Which addresses may be dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reach {
    /// Those of the public internet.
    Public,
    /// Those of private networks, this machine and its cloud, too.
    Private,
}

impl Reach {
    /// Whether this address is among them.
    pub fn covers(self, address: IpAddr) -> bool {
        match self {
            Self::Public => is_public(address),
            Self::Private => is_of_somebody(address),
        }
    }
}

/// Why there is no connection. Names nothing that an answer to a stranger may not name.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The name has no address.
    #[error("the name of the host can't be resolved")]
    Unresolved,
    /// It has addresses, and none that may be dialled.
    #[error("the host has no public address")]
    OutOfReach,
    /// Nobody answered, or somebody said no.
    #[error("the host can't be reached: {0}")]
    Unreachable(io::ErrorKind),
}

/// Addresses that a name has, to come.
pub type Resolving<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>>;

/// Finds the addresses of names.
pub trait Resolve: Send + Sync {
    /// The addresses of a host, with this port.
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolving<'a>;
}

/// As the operating system does.
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolving<'a> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    }
}

/// Dials hosts by their names.
#[derive(Clone)]
pub struct Dialler(Arc<dyn Resolve>);

impl Dialler {
    /// With addresses from there.
    pub fn new(resolver: Arc<dyn Resolve>) -> Self {
        Self(resolver)
    }

    /// Connects to one of the host's addresses within reach. Small pieces leave at once.
    ///
    /// # Errors
    /// When it has none, or none answers in time.
    pub async fn dial(&self, host: &str, port: u16, reach: Reach) -> Result<TcpStream, DialError> {
        let resolved = timeout(RESOLVED_IN, self.0.resolve(host, port)).await;
        let addresses = resolved.ok().and_then(Result::ok).ok_or(DialError::Unresolved)?;
        if addresses.is_empty() {
            return Err(DialError::Unresolved);
        }
        let mut last = DialError::OutOfReach;
        for address in addresses.into_iter().filter(|address| reach.covers(address.ip())).take(TRIED) {
            match connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = DialError::Unreachable(error.kind()),
            }
        }
        Err(last)
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the checked dialler")]
async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = timeout(CONNECTED_IN, TcpStream::connect(address)).await??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Networks of IPv4 that aren't the public internet, by the registry of special-purpose
/// addresses (RFC 6890), and the addresses at which clouds tell a machine its secrets.
const NOT_PUBLIC: [(Ipv4Addr, u32); 17] = [
    (Ipv4Addr::UNSPECIFIED, 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(168, 63, 129, 16), 32),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 31, 196, 0), 24),
    (Ipv4Addr::new(192, 52, 193, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 3),
];

/// Networks within the global unicast addresses of IPv6 that aren't for it.
const NOT_PUBLIC_V6: [(Ipv6Addr, u32); 4] = [
    // What is for protocols, Teredo and ORCHID among it.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0), 48),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// Whether an address is one of the public internet. One of IPv6 that stands for one of
/// IPv4 is what that is.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !NOT_PUBLIC.iter().any(|(network, bits)| within(address, *network, *bits)),
        IpAddr::V6(address) => embedded(address)
            .map_or_else(|| is_global_unicast(address), |embedded| is_public(IpAddr::V4(embedded))),
    }
}

fn within(address: Ipv4Addr, network: Ipv4Addr, bits: u32) -> bool {
    (address.to_bits() ^ network.to_bits()) >> (32 - bits) == 0
}

fn within_v6(address: Ipv6Addr, network: Ipv6Addr, bits: u32) -> bool {
    (address.to_bits() ^ network.to_bits()) >> (128 - bits) == 0
}

fn is_global_unicast(address: Ipv6Addr) -> bool {
    within_v6(address, Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3)
        && !NOT_PUBLIC_V6.iter().any(|(network, bits)| within_v6(address, *network, *bits))
}

/// The address of IPv4 to which packets for this one go: mapped, compatible, translated
/// (RFC 6052) or by way of 6to4.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let low = || {
        let [.., a, b, c, d] = address.octets();
        Ipv4Addr::new(a, b, c, d)
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, ..] | [0, 0, 0, 0, 0xffff, 0, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => {
            Some(low())
        }
        [0, 0, 0, 0, 0, 0, high, _] if high != 0 => Some(low()),
        [0x2002, high, low, ..] => {
            let [[a, b], [c, d]] = [high, low].map(u16::to_be_bytes);
            Some(Ipv4Addr::new(a, b, c, d))
        }
        _ => None,
    }
}

/// Whether there can be one machine at an address.
fn is_of_somebody(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            !within(address, Ipv4Addr::UNSPECIFIED, 8) && !within(address, Ipv4Addr::new(224, 0, 0, 0), 3)
        }
        IpAddr::V6(address) => {
            !address.is_unspecified()
                && !address.is_multicast()
                && embedded(address).is_none_or(|embedded| is_of_somebody(IpAddr::V4(embedded)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn only_addresses_of_the_public_internet_are_public() {
        let public = [
            "1.1.1.1",
            "8.8.8.8",
            "93.184.216.34",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.1",
            "192.167.255.255",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450:4001::",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
        ];
        let other = [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.169.254",
            "169.254.170.2",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.168.1.1",
            "198.19.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:0:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "2001:0:4136:e378::1",
            "2001:db8::1",
            "3fff::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "100::1",
        ];
        for (addresses, is_public) in [(&public[..], true), (&other[..], false)] {
            for text in addresses {
                assert_eq!(Reach::Public.covers(text.parse().unwrap()), is_public, "{text}");
            }
        }
    }

    #[test]
    fn nobody_is_at_some_addresses_even_in_private() {
        for text in
            ["0.0.0.0", "224.0.0.1", "255.255.255.255", "::", "ff02::1", "::ffff:0.0.0.0", "::ffff:224.1.1.1"]
        {
            assert!(!Reach::Private.covers(text.parse().unwrap()), "{text}");
        }
        for text in ["127.0.0.1", "10.1.1.1", "169.254.169.254", "::1", "fd00::1", "1.1.1.1"] {
            assert!(Reach::Private.covers(text.parse().unwrap()), "{text}");
        }
    }

    /// Answers differently each time.
    struct Rebinding(AtomicUsize, Vec<SocketAddr>);

    impl Resolve for Rebinding {
        fn resolve<'a>(&'a self, _: &'a str, _: u16) -> Resolving<'a> {
            let at = self.0.fetch_add(1, Ordering::Relaxed) % self.1.len();
            Box::pin(async move { Ok(vec![self.1[at]]) })
        }
    }

    #[tokio::test]
    async fn what_is_out_of_reach_is_not_dialled_whenever_a_name_points_there() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let inside = listener.local_addr().unwrap();
        let resolver = Arc::new(Rebinding(AtomicUsize::new(0), vec![inside]));
        let dialler = Dialler::new(resolver);
        for _ in 0..100 {
            let refused = dialler.dial("rebinding.example", inside.port(), Reach::Public).await;
            assert!(matches!(refused, Err(DialError::OutOfReach)), "{refused:?}");
        }
        let reached = dialler.dial("rebinding.example", inside.port(), Reach::Private).await.unwrap();
        assert_eq!(reached.peer_addr().unwrap(), inside);
        let (_, from) = listener.accept().await.unwrap();
        assert_eq!(from, reached.local_addr().unwrap());
    }

    #[tokio::test]
    async fn a_name_without_addresses_is_told_apart() {
        struct Nowhere;
        impl Resolve for Nowhere {
            fn resolve<'a>(&'a self, _: &'a str, _: u16) -> Resolving<'a> {
                Box::pin(async { Ok(Vec::new()) })
            }
        }
        let refused = Dialler::new(Arc::new(Nowhere)).dial("no.example", 1, Reach::Public).await;
        assert!(matches!(refused, Err(DialError::Unresolved)), "{refused:?}");
    }
}
