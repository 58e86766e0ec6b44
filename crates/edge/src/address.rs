//! Counting connections by the address they come from.

use std::collections::HashMap;
use std::net::IpAddr;

use parking_lot::Mutex;

/// Locks of the table: it is touched only when a connection comes or goes.
const SHARDS: usize = 64;

/// What counts as one origin: an IPv4 address, or an IPv6 /64, which is what one subscriber gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Origin(u64);

impl Origin {
    /// A proxy that has not said yet for whom it speaks. However many these are, they are not
    /// counted: the clients are, once they are known. No connection comes from `ffff::`, which is
    /// multicast.
    pub(crate) const PROXY: Origin = Origin(u64::MAX);
}

impl From<IpAddr> for Origin {
    fn from(address: IpAddr) -> Origin {
        match address.to_canonical() {
            IpAddr::V4(address) => Origin(u64::from(address.to_bits())),
            // A global unicast prefix has bits set above the lowest 32, so the two never meet.
            IpAddr::V6(address) => Origin((address.to_bits() >> 64) as u64),
        }
    }
}

/// Live connections per origin, all workers together. As large as there are origins connected.
pub(crate) struct Origins {
    shards: Box<[Mutex<HashMap<Origin, u32>>]>,
    max: u32,
}

impl Origins {
    pub(crate) fn new(max: u32) -> Origins {
        Origins { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), max }
    }

    /// Counts one more; false if that would be too many.
    pub(crate) fn enter(&self, origin: Origin) -> bool {
        if origin == Origin::PROXY {
            return true;
        }
        let mut shard = self.shard(origin).lock();
        let count = shard.entry(origin).or_insert(0);
        if *count >= self.max {
            return false;
        }
        *count += 1;
        true
    }

    /// Counts one less.
    pub(crate) fn leave(&self, origin: Origin) {
        if origin == Origin::PROXY {
            return;
        }
        let mut shard = self.shard(origin).lock();
        if let Some(count) = shard.get_mut(&origin) {
            *count -= 1;
            if *count == 0 {
                shard.remove(&origin);
            }
        }
    }

    fn shard(&self, origin: Origin) -> &Mutex<HashMap<Origin, u32>> {
        let mixed = origin.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        &self.shards[mixed as usize % SHARDS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(address: &str) -> Origin {
        Origin::from(address.parse::<IpAddr>().expect("an address"))
    }

    #[test]
    fn one_subnet_is_one_origin() {
        assert_eq!(origin("2001:db8::1"), origin("2001:db8::ffff:1"));
        assert_ne!(origin("2001:db8::1"), origin("2001:db8:0:1::1"));
        assert_ne!(origin("192.0.2.1"), origin("192.0.2.2"));
        assert_eq!(origin("192.0.2.1"), origin("::ffff:192.0.2.1"));
    }

    #[test]
    fn the_next_one_is_refused_until_one_leaves() {
        let origins = Origins::new(2);
        let (here, there) = (origin("192.0.2.1"), origin("192.0.2.2"));
        assert!(origins.enter(here) && origins.enter(here));
        assert!(!origins.enter(here));
        assert!(origins.enter(there));
        origins.leave(here);
        assert!(origins.enter(here));
        origins.leave(there);
        origins.leave(here);
        origins.leave(here);
        assert!(origins.shards.iter().all(|shard| shard.lock().is_empty()));
    }
}
