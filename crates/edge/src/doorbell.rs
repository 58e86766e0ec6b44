//! Wakes a worker that waits in the kernel.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};

/// An eventfd that a driver watches beside its sockets.
pub(crate) struct Doorbell {
    event: File,
}

impl Doorbell {
    pub(crate) fn new() -> io::Result<Doorbell> {
        Ok(Doorbell { event: crate::sys::eventfd()? })
    }

    /// Any thread: wakes the worker.
    pub(crate) fn ring(&self) {
        // The only possible failure is a full counter, and then the worker is woken already.
        let _ = (&self.event).write(&1u64.to_ne_bytes());
    }

    /// The worker: forgets the rings so far.
    pub(crate) fn silence(&self) {
        // Fails only when there was nothing to forget.
        let _ = (&self.event).read(&mut [0; 8]);
    }
}

impl AsRawFd for Doorbell {
    fn as_raw_fd(&self) -> RawFd {
        self.event.as_raw_fd()
    }
}
