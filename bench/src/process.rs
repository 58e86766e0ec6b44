//! Processes on their cores, and what the kernel says of them.

use std::collections::HashMap;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::Result;

/// The core of whatever is measured.
pub const SERVER_CORE: u32 = 0;

/// The core of the clients.
pub const CLIENT_CORE: u32 = 1;

/// Priority above whatever else the machine does. Without the right to it, the run goes on.
const NICENESS: &str = "-5";

/// The session's group and its niceness.
const AUTOGROUP: &str = "/proc/self/autogroup";

/// A command that runs on `core` only.
pub fn on_core(core: u32, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", &core.to_string(), "nice", "-n", NICENESS]).arg(program);
    command
}

/// Moves this process to `core`.
pub fn take_core(core: u32) -> Result<()> {
    let pid = std::process::id().to_string();
    let mut taskset = Command::new("taskset");
    taskset.args(["-a", "-cp", &core.to_string(), &pid]).stdout(std::process::Stdio::null());
    if !taskset.status()?.success() {
        return Err(format!("core {core} is not to be had; two cores are needed").into());
    }
    let mut renice = Command::new("renice");
    renice.args(["-n", NICENESS, "-p", &pid]).stdout(std::process::Stdio::null());
    if !renice.status()?.success() {
        eprintln!("no right to priority {NICENESS}: other work on this machine will show");
    }
    Ok(())
}

/// The weight of this session beside the others, raised for as long as this lives.
///
/// Where the kernel groups processes by session (`sched(7)`, autogroup), the priority of a process
/// counts within its session only, and what other sessions do is kept off by this.
pub struct Session {
    before: Option<String>,
}

impl Session {
    /// Raises it, where that is possible.
    pub fn raise() -> Session {
        let group = std::fs::read_to_string(AUTOGROUP).unwrap_or_default();
        let before = group.split_whitespace().last().map(str::to_owned);
        let raised = before.is_some() && std::fs::write(AUTOGROUP, NICENESS).is_ok();
        Session { before: before.filter(|_| raised) }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // Without the right to it, nothing was raised.
            let _ = std::fs::write(AUTOGROUP, before);
        }
    }
}

/// CPU time of a process as the scheduler counts it, in nanoseconds.
///
/// `/proc/<pid>/stat` counts in ticks of 10 ms, which is coarse for short runs; this is the sum
/// over the threads. What a thread used stays counted when it has ended.
#[derive(Debug)]
pub struct Cpu {
    tasks: String,
    used: HashMap<String, u64>,
}

impl Cpu {
    /// The time of the process `pid`.
    pub fn of(pid: u32) -> Cpu {
        Cpu { tasks: format!("/proc/{pid}/task"), used: HashMap::new() }
    }

    /// How much it was until now.
    pub fn read(&mut self) -> Result<Duration> {
        for task in std::fs::read_dir(&self.tasks)? {
            let task = task?;
            // A thread may end while it is looked at.
            let Ok(text) = std::fs::read_to_string(task.path().join("schedstat")) else { continue };
            let nanos = text.split_whitespace().next().and_then(|field| field.parse().ok());
            let nanos = nanos.ok_or("this kernel has no schedstat")?;
            self.used.insert(task.file_name().to_string_lossy().into_owned(), nanos);
        }
        Ok(Duration::from_nanos(self.used.values().sum()))
    }
}

/// Anonymous memory of a process in bytes: what is its own and not a file's.
pub fn anonymous_bytes(pid: u32) -> Result<u64> {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = rollup.lines().find(|line| line.starts_with("Anonymous:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    Ok(kilobytes.ok_or("this kernel has no Anonymous in smaps_rollup")? * 1024)
}

/// Asks a process to stop, and waits for it.
pub fn stop(child: &mut Child) {
    /// A server closes its store within this.
    const PATIENCE: Duration = Duration::from_secs(30);
    let asked = Command::new("kill").arg(child.id().to_string()).status();
    let deadline = now() + PATIENCE;
    while asked.as_ref().is_ok_and(std::process::ExitStatus::success) && now() < deadline {
        match child.try_wait() {
            Ok(None) => pause(),
            Ok(Some(_)) => return,
            Err(_) => break,
        }
    }
    // It may have ended by itself.
    let _ = child.kill();
    let _ = child.wait();
}

/// The time.
#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
pub fn now() -> Instant {
    Instant::now()
}

/// A moment, before one looks again at what says nothing when it changes.
#[expect(clippy::disallowed_methods, reason = "/proc and ports that open tell nobody")]
pub fn pause() {
    std::thread::sleep(Duration::from_millis(5));
}

/// How much longer than meant a measurement may take before it counts as stuck.
pub const SLACK: Duration = Duration::from_secs(30);
