//! The release server, with a configuration made for measuring.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroU32;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use jackdaw_ext::Accounts;
use jackdaw_jid::BareJid;
use jackdaw_loadtest::Target;
use jackdaw_store::conformance::wait;
use jackdaw_store::{Durability, Engine as _, Stores};
use jackdaw_store_fjall as fjall;
use jackdaw_stream::sasl::{Credentials, Generation, Hash, Password, ScramKeys};
use tempfile::TempDir;

use crate::options::Options;
use crate::process::{self, Cpu};
use crate::{Failure, Result};

/// The domain of all accounts.
pub const DOMAIN: &str = "localhost";

/// The password of all accounts.
pub const PASSWORD: &str = "a password for measuring";

/// PBKDF2 rounds: with stored keys they cost the server nothing, and the clients derive once.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(4_096).expect("not zero");

/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server on its core. Its data is gone with it.
pub struct Server {
    child: Child,
    folder: TempDir,
    plain: SocketAddr,
    tls: SocketAddr,
}

impl Server {
    /// Starts one that has the accounts `u0` to `u<accounts - 1>`.
    pub fn start(options: &Options, accounts: usize) -> Result<Server> {
        let folder = tempfile::Builder::new().prefix("jackdaw-bench-").tempdir()?;
        let (plain, tls) = (free_port()?, free_port()?);
        add_accounts(&folder.path().join("data/store"), accounts)?;
        let config = folder.path().join("jackdaw.toml");
        std::fs::write(&config, configuration(options, plain, tls))?;
        let log = File::create(folder.path().join("log"))?;
        let binary = options.server.canonicalize().map_err(|error| {
            format!("{}: {error}; build it, or name it by --server", options.server.display())
        })?;
        let mut command = process::on_core(process::SERVER_CORE, &binary);
        if let Some(counter) = options.counter {
            command.env("JACKDAW_COUNTER", counter.to_string());
        }
        let child = command
            .current_dir(folder.path())
            .arg("--config")
            .arg(&config)
            .arg("serve")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let mut server = Server { child, folder, plain, tls };
        server.wait_until_up()?;
        Ok(server)
    }

    fn wait_until_up(&mut self) -> Result<()> {
        let deadline = process::now() + PATIENCE;
        for port in [self.plain, self.tls] {
            while TcpStream::connect(port).is_err() {
                if self.child.try_wait()?.is_some() || process::now() > deadline {
                    return Err(self.failed());
                }
                process::pause();
            }
        }
        Ok(())
    }

    fn failed(&self) -> Failure {
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        format!("the server did not start:\n{log}").into()
    }

    /// The listener without TLS.
    pub fn plain(&self) -> Target {
        Target::plain(self.plain, DOMAIN)
    }

    /// The listener with TLS.
    pub fn tls(&self) -> Target {
        Target::tls(self.tls, DOMAIN)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its CPU time.
    pub fn cpu(&self) -> Cpu {
        Cpu::of(self.pid())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        process::stop(&mut self.child);
    }
}

/// The localpart of the account `n`.
pub fn local(n: usize) -> String {
    format!("u{n}")
}

/// Writes accounts straight into the store, all with the same keys: a client that remembers the
/// key of a salt then derives one for all of them.
fn add_accounts(path: &Path, accounts: usize) -> Result<()> {
    if accounts == 0 {
        return Ok(());
    }
    std::fs::create_dir_all(path)?;
    let engine = Arc::new(fjall::FjallEngine::open(&fjall::Options::new(path))?);
    let stores = Stores::new(Arc::clone(&engine) as Arc<_>, Durability::Durable);
    let table = Accounts::new(stores);
    let password = Password::prepare(PASSWORD).map_err(|error| format!("{error:?}"))?;
    let keys = ScramKeys::derive(Hash::Sha256, &password, b"salt for all of us", ITERATIONS);
    let credentials = Credentials::without_password(Generation(1)).with_keys(Hash::Sha256, keys);
    let jids: std::result::Result<Vec<BareJid>, _> =
        (0..accounts).map(|n| BareJid::parse(&format!("{}@{DOMAIN}", local(n)))).collect();
    let jids = jids.map_err(|error| format!("{error:?}"))?;
    // At once, so that commits are shared; not all at once, for the queue has an end.
    for some in jids.chunks(1_000) {
        wait(try_join_all(some.iter().map(|jid| table.add(jid, &credentials))))?;
    }
    engine.close();
    Ok(())
}

/// What an operator would write for one core, with every limit out of the way.
fn configuration(options: &Options, plain: SocketAddr, tls: SocketAddr) -> String {
    let driver = options.driver.name();
    format!(
        "server.data_dir = 'data'
log.level = 'warn'

[listeners]
c2s.addresses = []
c2s_plain.addresses = ['{plain}']
c2s_tls.addresses = ['{tls}']
http.addresses = []

[edge]
driver = '{driver}'
workers = 1
accepts_per_sec_max = 1_000_000

[auth]
mechanisms = ['SCRAM-SHA-256', 'PLAIN', 'ANONYMOUS']

[limits]
connections_per_address_max = 100_000
offline_messages_max = 1_000_000

[keepalive]
probe_interval_secs = 86_400
"
    )
}

/// A port of 127.0.0.1 that nobody listens on.
pub fn free_port() -> Result<SocketAddr> {
    // Linux gives the same port to nobody else until this is bound again or a while has passed.
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[test]
    fn the_server_is_told_the_driver_and_where_to_listen() {
        let options = Options::parse_from(["jackdaw-bench", "--driver", "epoll"]);
        let port = SocketAddr::from((Ipv4Addr::LOCALHOST, 5222));
        let text = configuration(&options, port, port);
        assert!(text.contains("driver = 'epoll'"), "{text}");
        assert!(text.contains("c2s_plain.addresses = ['127.0.0.1:5222']"), "{text}");
    }
}
