//! What the kernel says about this process.

use crate::catalogue::names;
use crate::metrics::Sample;

/// `sysconf(_SC_CLK_TCK)`, which is 100 on every Linux a user program can see.
const TICKS_PER_SEC: u64 = 100;

/// Copies memory and CPU time into the registry; a figure that cannot be read is left out.
pub(crate) fn collect(sample: &mut Sample<'_>) {
    sample.gauge(names::BUILD_INFO, &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(kib) = resident_kib(&status) {
        sample.gauge(names::MEMORY, &[], (kib * 1_024) as f64);
    }
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    if let Some(ticks) = cpu_ticks(&stat) {
        sample.counter(names::CPU, &[], ticks / TICKS_PER_SEC);
    }
}

fn resident_kib(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn cpu_ticks(stat: &str) -> Option<u64> {
    // The command name may hold spaces and parentheses; the fields behind it cannot (proc(5)).
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11).map(|field| field.parse::<u64>().ok());
    Some(times.next()?? + times.next()??)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_command_name() {
        let stat = "7 (a) b (c) S 1 1 1 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 3";
        assert_eq!(cpu_ticks(stat), Some(300));
        assert_eq!(cpu_ticks(""), None);
    }

    #[test]
    fn resident_memory_is_found_among_the_others() {
        assert_eq!(resident_kib("VmPeak:\t  9 kB\nVmRSS:\t  1234 kB\n"), Some(1234));
        assert_eq!(resident_kib("VmRSS:\n"), None);
    }
}
