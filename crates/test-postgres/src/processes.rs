//! A server and its children as processes.

use std::process::Command;

/// Whether all of them could be sent the signal.
pub(crate) fn signal(name: &str, processes: &[u32]) -> bool {
    let mut kill = Command::new("kill");
    kill.arg(format!("-{name}")).args(processes.iter().map(u32::to_string));
    kill.stderr(std::process::Stdio::null());
    kill.status().is_ok_and(|status| status.success())
}

/// The process and its children: PostgreSQL's have sessions of their own, so that no group has all.
pub(crate) fn family(parent: u32) -> Vec<u32> {
    let path = format!("/proc/{parent}/task/{parent}/children");
    let children = std::fs::read_to_string(path).unwrap_or_default();
    let children = children.split_ascii_whitespace().filter_map(|child| child.parse().ok());
    std::iter::once(parent).chain(children).collect()
}

/// Pauses the parent first, which can have no more children then.
pub(crate) fn pause(parent: u32) {
    assert!(signal("STOP", &[parent]), "the server can be paused");
    // A child may just have ended.
    signal("STOP", &family(parent));
}
