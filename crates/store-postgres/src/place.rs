//! Where a database is and what it is, for those who read about it.

use std::fmt;
use std::net::SocketAddr;

use tokio_postgres::Config;
use tokio_postgres::config::Host;

/// A database by its address, without the password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// `host:port` or the directory of a socket, each of them.
    pub hosts: String,
    /// The database's name.
    pub database: String,
    /// Who we are there.
    pub user: String,
}

impl Place {
    pub(crate) fn new(config: &Config) -> Place {
        let ports = config.get_ports();
        let port = |nth: usize| ports.get(nth).or(ports.first()).copied().unwrap_or(5432);
        let hosts = config.get_hosts().iter().enumerate().map(|(nth, host)| match host {
            Host::Tcp(name) if name.contains(':') => format!("[{name}]:{}", port(nth)),
            Host::Tcp(name) => format!("{name}:{}", port(nth)),
            Host::Unix(path) => path.display().to_string(),
        });
        let addresses = config.get_hostaddrs().iter().enumerate();
        let addresses =
            addresses.map(|(nth, address)| SocketAddr::new(*address, port(nth)).to_string());
        let mut hosts: Vec<String> = hosts.collect();
        if hosts.is_empty() {
            hosts = addresses.collect();
        }
        let user = config.get_user().unwrap_or_default();
        Place {
            hosts: hosts.join(","),
            database: config.get_dbname().unwrap_or(user).to_owned(),
            user: user.to_owned(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "database {} at {}", self.database, self.hosts)
    }
}

/// What was found at the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// As the database calls its version.
    pub version: String,
    /// Where it is.
    pub place: Place,
    /// What its `synchronous_commit` is: what a commit waits for.
    pub synchronous_commit: String,
}
