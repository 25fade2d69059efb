//! How often somebody may do something: so many times at once, and as many
//! again as time goes by. The generic cell rate algorithm (ITU-T I.371): what
//! is left of an allowance is one number.

use std::net::{IpAddr, Ipv6Addr};

const MS_NS: u64 = 1_000_000;
/// Whoever has one IPv6 address has at least so many bits to choose it from.
const CLIENT_BITS: u32 = 64;

/// So many at once, and as many again in this time.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    /// None counts as one.
    pub count: u64,
    pub per_ns: u64,
}

/// What is left of an [`Allowance`]; all of it, to begin with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bucket {
    full_at_ns: u64,
}

/// The bucket is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// How long until it is not.
    pub wait_ms: u64,
}

impl Allowance {
    fn interval_ns(self) -> u64 {
        self.per_ns / self.count.max(1)
    }
}

impl Bucket {
    /// Takes one out.
    ///
    /// # Errors
    /// [`Exceeded`], and then the bucket is as it was.
    pub fn take(&mut self, allowance: Allowance, now_ms: u64) -> Result<(), Exceeded> {
        let now_ns = now_ms.saturating_mul(MS_NS);
        let latest_ns = now_ns.saturating_add(allowance.per_ns);
        // Nothing is emptier than empty: the clock was set back, or less is
        // allowed than was, and what was counted before says nothing any more.
        if !(now_ns..=latest_ns).contains(&self.full_at_ns) {
            self.full_at_ns = now_ns;
        }
        let then_ns = self.full_at_ns.saturating_add(allowance.interval_ns());
        if then_ns > latest_ns {
            return Err(Exceeded { wait_ms: (then_ns - latest_ns).div_ceil(MS_NS) });
        }
        self.full_at_ns = then_ns;
        Ok(())
    }

    /// Puts one back.
    pub fn give_back(&mut self, allowance: Allowance) {
        self.full_at_ns = self.full_at_ns.saturating_sub(allowance.interval_ns());
    }

    /// Whether it is as it was to begin with.
    #[must_use]
    pub fn is_full(&self, now_ms: u64) -> bool {
        self.full_at_ns <= now_ms.saturating_mul(MS_NS)
    }
}

/// The address that stands for all of a client's.
#[must_use]
pub fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(client) => {
            let prefix = client.to_bits() >> (128 - CLIENT_BITS) << (128 - CLIENT_BITS);
            Ipv6Addr::from_bits(prefix).into()
        }
        client @ IpAddr::V4(_) => client,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000_000;
    const THREE: Allowance = Allowance { count: 3, per_ns: 3_000 * MS_NS };

    #[test]
    fn a_burst_and_then_one_at_a_time() {
        let mut bucket = Bucket::default();
        let wait = |wait_ms| Err(Exceeded { wait_ms });
        let mut take = |now_ms| bucket.take(THREE, NOW + now_ms);
        assert_eq!([take(0), take(0), take(0)], [Ok(()); 3]);
        // What was refused has not made it any later.
        assert_eq!((take(0), take(400)), (wait(1_000), wait(600)));
        assert_eq!((take(1_000), take(1_000)), (Ok(()), wait(1_000)));
        // Whoever waits long enough has a whole burst again, and no more.
        assert_eq!([take(99_000), take(99_000), take(99_000)], [Ok(()); 3]);
        assert_eq!(take(99_000), wait(1_000));
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let mut bucket = Bucket::default();
        assert!((0..3).all(|_| bucket.take(THREE, NOW).is_ok()));
        bucket.give_back(THREE);
        assert_eq!(bucket.take(THREE, NOW), Ok(()));
        assert!(bucket.take(THREE, NOW).is_err());
        assert!(!bucket.is_full(NOW + 2_999) && bucket.is_full(NOW + 3_000));
        // More than there ever was is not there.
        (0..9).for_each(|_| bucket.give_back(THREE));
        assert_eq!((0..9).filter(|_| bucket.take(THREE, NOW).is_ok()).count(), 3);
    }

    #[test]
    fn a_clock_that_is_set_back_costs_nobody_anything() {
        let mut bucket = Bucket::default();
        assert!((0..3).all(|_| bucket.take(THREE, NOW).is_ok()));
        let before = NOW - 86_400_000;
        assert!((0..3).all(|_| bucket.take(THREE, before).is_ok()));
        assert_eq!(bucket.take(THREE, before), Err(Exceeded { wait_ms: 1_000 }));
    }

    #[test]
    fn an_ipv6_client_is_its_network() {
        for (client, stands_for) in [
            ("10.0.0.1", "10.0.0.1"),
            ("::ffff:10.0.0.1", "10.0.0.1"),
            ("2001:db8:0:1:ffff::2", "2001:db8:0:1::"),
            ("::1", "::"),
        ] {
            let client: IpAddr = client.parse().unwrap();
            assert_eq!(network(client).to_string(), stands_for, "{client}");
        }
    }
}
