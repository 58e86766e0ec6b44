//! Clock, random generator and runtime, as the crates without I/O know them.

use std::time::{Duration, UNIX_EPOCH};

use aws_lc_rs::rand;
use jackdaw_ext::{Clock, Pending, Random, Spawn, Timestamp};
use tokio::runtime::Handle;

/// The system's wall clock.
pub(super) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = crate::reload::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

/// The operating system's generator.
pub(super) struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, buffer: &mut [u8]) {
        // Without randomness every id and token could be guessed: there is no going on.
        rand::fill(buffer).expect("the operating system gives random bytes");
    }
}

/// The control plane's runtime.
pub(super) struct Runtime(pub(super) Handle);

impl Spawn for Runtime {
    fn spawn(&self, future: Pending<()>) {
        self.0.spawn(future);
    }

    fn after(&self, delay: Duration, future: Pending<()>) {
        self.0.spawn(async move {
            tokio::time::sleep(delay).await;
            future.await;
        });
    }
}
