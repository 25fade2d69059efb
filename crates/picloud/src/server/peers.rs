//! How many connections each client has.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use ipnet::IpNet;

/// Counts the connections of each address, so that no client has them all.
pub(super) struct Peers {
    max_each: usize,
    /// These speak for many clients.
    proxies: Vec<IpNet>,
    counts: Mutex<HashMap<IpAddr, usize>>,
}

/// A connection that is counted until this is dropped.
pub(super) struct Counted {
    peers: Arc<Peers>,
    client: Option<IpAddr>,
}

impl Peers {
    pub(super) fn new(max_each: usize, proxies: Vec<IpNet>) -> Arc<Self> {
        Arc::new(Self { max_each, proxies, counts: Mutex::default() })
    }

    /// Counts one more connection; `None` if this client has too many.
    pub(super) fn count(self: &Arc<Self>, peer: IpAddr) -> Option<Counted> {
        let peer = peer.to_canonical();
        if peer.is_loopback() || self.proxies.iter().any(|net| net.contains(&peer)) {
            return Some(Counted { peers: Arc::clone(self), client: None });
        }
        let client = client(peer);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(client).or_default();
        if *count >= self.max_each {
            return None;
        }
        *count += 1;
        Some(Counted { peers: Arc::clone(self), client: Some(client) })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let Some(client) = self.client else { return };
        let mut counts = self.peers.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&client);
            }
        }
    }
}

/// Whoever has one IPv6 address has the 2⁶⁴ of its network.
fn client(peer: IpAddr) -> IpAddr {
    match peer {
        IpAddr::V4(_) => peer,
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_client_cannot_have_all_connections_and_a_proxy_can() {
        let peers = Peers::new(2, vec!["10.0.0.0/8".parse().unwrap()]);
        let count = |ip: &str| peers.count(ip.parse().unwrap());
        let first = [count("192.0.2.1").unwrap(), count("::ffff:192.0.2.1").unwrap()];
        assert!(count("192.0.2.1").is_none());
        let _second = [count("2001:db8::1").unwrap(), count("2001:db8::2").unwrap()];
        assert!(count("2001:db8::3").is_none());
        assert!(count("2001:db8:0:1::3").is_some());
        for proxy in ["10.1.2.3", "127.0.0.1", "::1"] {
            let many: Vec<_> = (0..9).map_while(|_| count(proxy)).collect();
            assert_eq!(many.len(), 9, "{proxy}");
        }
        drop(first);
        assert!(count("192.0.2.1").is_some());
        assert_eq!(peers.counts.lock().unwrap().len(), 1, "who has left is forgotten");
    }
}
