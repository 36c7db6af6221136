//! How many connections there may be, in all and from one address. Counted when
//! one comes and when it goes, never on the way of a request.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::limits::Limits;
use crate::proxies::TrustedProxies;

/// The connections there are.
pub(crate) struct Admission {
    max: usize,
    max_per_address: usize,
    /// Many clients come from one of these.
    proxies: TrustedProxies,
    seats: Mutex<Seats>,
}

#[derive(Default)]
struct Seats {
    taken: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// The right to be connected; given back on drop.
pub(crate) struct Seat {
    admission: Arc<Admission>,
    address: IpAddr,
}

impl Admission {
    pub(crate) fn new(limits: &Limits, proxies: TrustedProxies) -> Arc<Self> {
        Arc::new(Self {
            max: limits.max_connections,
            max_per_address: limits.max_connections_per_address,
            proxies,
            seats: Mutex::default(),
        })
    }

    /// A seat for a client at `address`, if there is one.
    pub(crate) fn seat(self: &Arc<Self>, address: IpAddr) -> Option<Seat> {
        let max_per_address = if self.proxies.contain(address) { self.max } else { self.max_per_address };
        let address = network(address);
        let mut seats = self.seats();
        let from_address = seats.by_address.get(&address).copied().unwrap_or(0);
        if seats.taken >= self.max || from_address >= max_per_address {
            return None;
        }
        seats.taken += 1;
        seats.by_address.insert(address, from_address + 1);
        Some(Seat { admission: Arc::clone(self), address })
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.admission.seats();
        seats.taken -= 1;
        if let Some(left) = seats.by_address.get_mut(&self.address) {
            *left -= 1;
            if *left == 0 {
                seats.by_address.remove(&self.address);
            }
        }
    }
}

/// What one client can't easily have many of: an IPv4 address, however written,
/// or an IPv6 network of 64 bits.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(max: usize, max_per_address: usize) -> Arc<Admission> {
        let limits = Limits {
            max_connections: max,
            max_connections_per_address: max_per_address,
            ..Limits::default()
        };
        Admission::new(&limits, TrustedProxies::parse("192.0.2.80").unwrap())
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn seats_run_out_and_come_back() {
        let admission = admission(3, 2);
        let first = admission.seat(address("127.0.0.1"));
        let second = admission.seat(address("127.0.0.1"));
        assert!(first.is_some() && second.is_some());
        assert!(admission.seat(address("127.0.0.1")).is_none());
        let third = admission.seat(address("127.0.0.2"));
        assert!(third.is_some());
        assert!(admission.seat(address("127.0.0.3")).is_none());
        drop((first, second, third));
        assert!(admission.seats().by_address.is_empty());
        assert!(admission.seat(address("127.0.0.1")).is_some());
    }

    #[test]
    fn a_trusted_proxy_has_as_many_as_there_are() {
        let admission = admission(3, 1);
        let seats: Vec<_> = (0..3).map(|_| admission.seat(address("::ffff:192.0.2.80"))).collect();
        assert!(seats.iter().all(Option::is_some));
        assert!(admission.seat(address("192.0.2.80")).is_none());
    }

    #[test]
    fn spellings_and_neighbours_count_as_one() {
        let admission = admission(9, 1);
        let _v4 = admission.seat(address("192.0.2.1"));
        assert!(admission.seat(address("::ffff:192.0.2.1")).is_none());
        let _v6 = admission.seat(address("2001:db8::1"));
        assert!(admission.seat(address("2001:db8::2")).is_none());
        assert!(admission.seat(address("2001:db8:0:1::2")).is_some());
    }
}
