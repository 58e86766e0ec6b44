//! What a process takes of its machine, as `/proc` tells (proc(5)).

use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Error, Result};

/// A process under observation.
#[derive(Debug, Clone)]
pub struct Gauge {
    folder: PathBuf,
}

impl Gauge {
    /// Observes the process with this number.
    pub fn new(pid: u32) -> Gauge {
        Gauge { folder: format!("/proc/{pid}").into() }
    }

    /// KiB of memory in use.
    pub fn resident_kib(&self) -> Result<u64> {
        self.status("VmRSS:")
    }

    /// The most KiB in use since [`forget_peak`](Self::forget_peak).
    pub fn peak_kib(&self) -> Result<u64> {
        self.status("VmHWM:")
    }

    /// Begins a new peak.
    pub fn forget_peak(&self) -> Result<()> {
        std::fs::write(self.folder.join("clear_refs"), "5").map_err(Error::io("clear_refs"))
    }

    /// CPU time of all its threads. Those that have ended no longer count.
    pub fn cpu(&self) -> Result<Duration> {
        let threads = std::fs::read_dir(self.folder.join("task")).map_err(Error::io("task"))?;
        let mut nanos = 0;
        for thread in threads.flatten() {
            // A thread may end between the listing and the look.
            let Ok(text) = std::fs::read_to_string(thread.path().join("schedstat")) else {
                continue;
            };
            nanos += first_number(&text);
        }
        Ok(Duration::from_nanos(nanos))
    }

    fn status(&self, key: &str) -> Result<u64> {
        let text =
            std::fs::read_to_string(self.folder.join("status")).map_err(Error::io("status"))?;
        let value = text.lines().find_map(|line| line.strip_prefix(key));
        Ok(value.map(first_number).unwrap_or_default())
    }
}

fn first_number(text: &str) -> u64 {
    text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_sees_what_it_takes_itself() {
        let gauge = Gauge::new(std::process::id());
        let memory = vec![1u8; 8 << 20];
        assert!(gauge.resident_kib().unwrap() > 8 << 10);
        assert!(gauge.peak_kib().unwrap() >= gauge.resident_kib().unwrap() - 1024);
        assert!(gauge.cpu().unwrap() > Duration::ZERO);
        drop(memory);
    }
}
