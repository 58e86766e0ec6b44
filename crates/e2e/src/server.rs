//! A server process of one's own: its data directory, its ports, its end.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use jackdaw_test_postgres::Postgres;
use tempfile::TempDir;
use toml::{Table, Value};

use crate::confined::Denied;
use crate::error::{Error, Result};

/// How long a start or a stop may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long to wait before looking again whether a process came up or went down.
const GLANCE: Duration = Duration::from_millis(5);

/// The same where the time itself is measured.
const MOMENT: Duration = Duration::from_millis(1);

/// Bytes of the log that a failure shows.
const LOG_TAIL: usize = 4_000;

/// PBKDF2 rounds of the accounts here: the fewest RFC 7677 §4 allows, because clients pay as well.
const SCRAM_ITERATIONS: i64 = 4_096;

/// Where the servers listen: below the ports that Linux gives to outgoing connections, one of which
/// could otherwise take a port between its choice and the server's start.
const PORTS: Range<u16> = 15_000..32_000;

/// What to run.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The server's binary.
    pub binary: PathBuf,
    /// `auto`, `epoll` or `io_uring`.
    pub driver: String,
    /// Where the servers keep their rows, each in a database of its own; without it in the embedded
    /// store.
    pub postgres: Option<Arc<Postgres>>,
}

/// Where a server listens.
#[derive(Debug, Clone, Copy)]
pub struct Listeners {
    /// STARTTLS.
    pub starttls: SocketAddr,
    /// Direct TLS.
    pub direct_tls: SocketAddr,
    /// No TLS.
    pub plain: SocketAddr,
    /// Health and metrics.
    pub http: SocketAddr,
}

impl Listeners {
    fn all(&self) -> [SocketAddr; 4] {
        [self.starttls, self.direct_tls, self.plain, self.http]
    }
}

/// A server, running or not.
#[derive(Debug)]
pub struct Server {
    binary: PathBuf,
    folder: TempDir,
    listeners: Listeners,
    process: Option<Child>,
    /// What is to go wrong from the next start on (`FAILPOINTS`).
    faults: String,
    /// A system call that fails for it, from the next start on.
    denied: Option<Denied>,
}

impl Server {
    /// Makes a data directory and a configuration: ours, overlaid with `overlay` (TOML).
    pub fn prepare(launch: &Launch, overlay: &str) -> Result<Server> {
        let folder = tempfile::Builder::new()
            .prefix("jackdaw-e2e-")
            .tempdir()
            .map_err(Error::io("making a data directory"))?;
        let listeners = free_ports()?;
        let mut config = base_config(launch, &listeners);
        let overlay: Table =
            overlay.parse().map_err(|error| Error::Server(format!("[Server]: {error}")))?;
        overlay_table(&mut config, overlay);
        let binary = launch.binary.clone();
        let faults = String::new();
        let server = Server { binary, folder, listeners, process: None, faults, denied: None };
        std::fs::write(server.config_file(), config.to_string())
            .map_err(Error::io("writing the configuration"))?;
        Ok(server)
    }

    /// Where it listens.
    pub fn listeners(&self) -> &Listeners {
        &self.listeners
    }

    /// Adds accounts (address and password), by the command line as an operator would.
    pub fn add_users(&self, accounts: &[(&str, &str)]) -> Result<()> {
        accounts.iter().try_for_each(|(jid, password)| self.add_user(jid, password))
    }

    fn add_user(&self, jid: &str, password: &str) -> Result<()> {
        let mut command = self.command();
        command.args(["user", "add", jid, "--password-stdin"]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(Error::io(format!("starting {}", self.binary.display())))?;
        let mut stdin = child.stdin.take().expect("standard input was just asked to be a pipe");
        // A process that fails before it reads says so by its status.
        let _ = writeln!(stdin, "{password}");
        drop(stdin);
        let output = child.wait_with_output().map_err(Error::io("user add"))?;
        match output.status.success() {
            true => Ok(()),
            false => {
                let why = String::from_utf8_lossy(&output.stderr);
                Err(Error::Server(format!("`user add {jid}` failed: {}", why.trim())))
            }
        }
    }

    /// Starts the process and waits until it accepts connections.
    pub fn start(&mut self) -> Result<()> {
        self.spawn()?;
        let deadline = Instant::now() + PATIENCE;
        let listeners = self.listeners.all();
        let child = self.process.as_mut().expect("it was just started");
        for port in listeners {
            while TcpStream::connect(port).is_err() {
                if let Ok(Some(status)) = child.try_wait() {
                    return Err(Error::Server(format!("ended at once: {status}")));
                }
                if Instant::now() > deadline {
                    return Err(Error::Server(format!("does not listen on {port}")));
                }
                std::thread::sleep(GLANCE);
            }
        }
        Ok(())
    }

    /// Starts the process; how long it takes until a client is let in and answered.
    pub fn start_to_first_answer(&mut self) -> Result<Duration> {
        let began = Instant::now();
        self.spawn()?;
        let header = "<stream:stream xmlns='jabber:client' to='localhost' version='1.0' \
                      xmlns:stream='http://etherx.jabber.org/streams'>";
        while began.elapsed() < PATIENCE {
            let Ok(mut client) = TcpStream::connect(self.listeners.plain) else {
                std::thread::sleep(MOMENT);
                continue;
            };
            client.set_read_timeout(Some(PATIENCE)).map_err(Error::io("read timeout"))?;
            let mut byte = [0];
            let answered =
                client.write_all(header.as_bytes()).and_then(|()| client.read(&mut byte));
            // Listeners open one after another; a connection that is reset came between.
            if matches!(answered, Ok(1)) {
                return Ok(began.elapsed());
            }
        }
        Err(Error::Server("does not answer".into()))
    }

    fn spawn(&mut self) -> Result<()> {
        let log = File::options().create(true).append(true).open(self.log_file());
        let log = log.map_err(Error::io("opening the log"))?;
        let command = match self.denied {
            None => Command::new(&self.binary),
            Some(denied) => denied.command(&self.binary)?,
        };
        let child = self
            .configured(command)
            .env("FAILPOINTS", &self.faults)
            .arg("serve")
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(Error::io("opening the log"))?)
            .stderr(log)
            .spawn()
            .map_err(Error::io(format!("starting {}", self.binary.display())))?;
        self.process = Some(child);
        Ok(())
    }

    /// Has faults injected from the next start on, if the binary was built for that.
    pub fn inject(&mut self, faults: &str) {
        self.faults = faults.to_owned();
    }

    /// Has a system call denied from the next start on.
    pub fn confine(&mut self, denied: Denied) {
        self.denied = Some(denied);
    }

    /// Whether the process ends by itself within `patience`. Tells how, once it is over.
    pub fn ends_within(&mut self, patience: Duration) -> Result<Option<ExitStatus>> {
        let Some(child) = &mut self.process else { return Ok(None) };
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if let Some(status) = child.try_wait().map_err(Error::io("waiting for the server"))? {
                self.process = None;
                return Ok(Some(status));
            }
            std::thread::sleep(GLANCE);
        }
        Ok(None)
    }

    /// Asks it to stop, and minds how it does.
    pub fn stop(&mut self) -> Result<()> {
        let status = self.end("TERM")?;
        match status.success() {
            true => Ok(()),
            false => Err(Error::Server(format!("stopped with {status} after SIGTERM"))),
        }
    }

    /// Kills it, as a power cut would but for the disk.
    pub fn kill(&mut self) -> Result<()> {
        self.end("KILL").map(drop)
    }

    /// Sends a signal that does not end it.
    pub fn signal(&self, signal: &str) -> Result<()> {
        let mut kill = Command::new("kill");
        kill.arg(format!("-{signal}")).arg(self.pid()?.to_string());
        match kill.status().map_err(Error::io("kill"))?.success() {
            true => Ok(()),
            false => Err(Error::Server(format!("could not be sent SIG{signal}"))),
        }
    }

    /// Sends `signal`, and waits until the process has gone and the kernel has cleared up.
    fn end(&mut self, signal: &str) -> Result<ExitStatus> {
        let status = self.end_process(signal)?;
        self.wait_for_silence()?;
        Ok(status)
    }

    /// Waits until nobody listens any more: sockets that io_uring holds outlive their process for a
    /// moment, and would take connections.
    pub fn wait_for_silence(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        for port in self.listeners.all() {
            while TcpStream::connect(port).is_ok() {
                if Instant::now() > deadline {
                    return Err(Error::Server(format!("has ended and still listens on {port}")));
                }
                std::thread::sleep(GLANCE);
            }
        }
        Ok(())
    }

    fn end_process(&mut self, signal: &str) -> Result<ExitStatus> {
        let Some(mut child) = self.process.take() else {
            return Err(Error::Server("is not running".into()));
        };
        let mut kill = Command::new("kill");
        kill.arg(format!("-{signal}")).arg(child.id().to_string());
        let sent = kill.status().map_err(Error::io("kill"))?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = child.try_wait().map_err(Error::io("waiting for the server"))? {
                return Ok(status);
            }
            if Instant::now() > deadline || !sent.success() {
                child.kill().map_err(Error::io("killing the server"))?;
                child.wait().map_err(Error::io("waiting for the server"))?;
                return Err(Error::Server(format!("did not stop after SIG{signal}")));
            }
            std::thread::sleep(GLANCE);
        }
    }

    /// The number of its process.
    pub fn pid(&self) -> Result<u32> {
        let process = self.process.as_ref();
        process.map(Child::id).ok_or_else(|| Error::Server("is not running".into()))
    }

    /// All of its log.
    pub fn whole_log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.log_file()).unwrap_or_default()).into_owned()
    }

    /// Forgets a process that has ended by itself.
    pub fn forget(&mut self) {
        if let Some(mut child) = self.process.take() {
            // It has ended, or is ended now.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// What is logged from here on is all there is.
    pub fn clear_log(&self) {
        // It may not have been started yet.
        let _ = std::fs::remove_file(self.log_file());
    }

    /// The end of its log.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.log_file()).unwrap_or_default();
        let from = bytes.len().saturating_sub(LOG_TAIL);
        String::from_utf8_lossy(&bytes[from..]).into_owned()
    }

    /// The binary with its configuration, and a working directory that is not ours.
    fn command(&self) -> Command {
        self.configured(Command::new(&self.binary))
    }

    fn configured(&self, mut command: Command) -> Command {
        command.current_dir(self.folder.path()).arg("--config").arg(self.config_file());
        command
    }

    fn config_file(&self) -> PathBuf {
        self.folder.path().join("jackdaw.toml")
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Where a client may put its files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.process.take() {
            // Nobody is left to hear that this went wrong.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Ports that were free a moment ago. The server binds what its configuration says, so it cannot
/// be handed bound sockets.
fn free_ports() -> Result<Listeners> {
    Ok(Listeners {
        starttls: free_port()?,
        direct_tls: free_port()?,
        plain: free_port()?,
        http: free_port()?,
    })
}

fn free_port() -> Result<SocketAddr> {
    /// Offset of the port to try next; two runs at once begin at different ones.
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let begin = std::process::id().wrapping_mul(4_099);
    for _ in 0..PORTS.len() {
        let offset = begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = PORTS.start + (offset % PORTS.len() as u32) as u16;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    Err(Error::Server("no port is free".into()))
}

fn base_config(launch: &Launch, listeners: &Listeners) -> Table {
    let listener = |address: SocketAddr| {
        let addresses = vec![Value::String(address.to_string())];
        Value::Table(Table::from_iter([("addresses".to_owned(), Value::Array(addresses))]))
    };
    let table = |entries: Vec<(&str, Value)>| {
        Value::Table(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    };
    let listeners = table(vec![
        ("c2s", listener(listeners.starttls)),
        ("c2s_tls", listener(listeners.direct_tls)),
        ("c2s_plain", listener(listeners.plain)),
        ("http", listener(listeners.http)),
    ]);
    let driver = Value::String(launch.driver.clone());
    let mut config = Table::from_iter([
        ("listeners".to_owned(), listeners),
        ("edge".to_owned(), table(vec![("driver", driver)])),
        ("auth".to_owned(), table(vec![("scram_iterations", Value::Integer(SCRAM_ITERATIONS))])),
    ]);
    if let Some(postgres) = &launch.postgres {
        let dsn = table(vec![("dsn", Value::String(postgres.new_database()))]);
        let engine = Value::String("postgres".into());
        config.insert("storage".into(), table(vec![("engine", engine), ("postgres", dsn)]));
    }
    config
}

fn overlay_table(config: &mut Table, overlay: Table) {
    for (key, value) in overlay {
        match (config.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => overlay_table(below, above),
            (_, value) => drop(config.insert(key, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_changes_only_the_keys_it_names() {
        let mut config: Table = "[auth]\nfast = true\nattempts_max = 3\n".parse().unwrap();
        overlay_table(&mut config, "auth.attempts_max = 1\nlog.level = 'warn'".parse().unwrap());
        let expected = "[auth]\nfast = true\nattempts_max = 1\n[log]\nlevel = 'warn'\n";
        assert_eq!(config, expected.parse().unwrap());
    }
}
