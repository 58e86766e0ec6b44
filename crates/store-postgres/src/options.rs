//! What an operator may set.

use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use crate::tls::{Connector, Tls, connector};
use crate::{ClusterId, OpenError, Place};

/// How the connections are called in the database's own lists.
const APPLICATION: &str = "jackdaw";

/// What an operator may set.
#[derive(Clone)]
pub struct Options {
    /// Where the database is, and who we are there.
    pub config: Config,
    /// How connections over TCP are protected.
    pub tls: Tls,
    /// Connections for reads. Commits have one of their own.
    pub readers: usize,
    /// The longest that making a connection may take.
    pub connect_timeout: Duration,
    /// The longest a read, and all attempts at a commit, may take.
    pub deadline: Duration,
    /// How often a database that has nothing to do is asked whether it is there: readiness is to
    /// say so before users notice.
    pub asked_every: Duration,
    /// The cluster of this node; nothing for a node that is alone.
    pub cluster: Option<ClusterId>,
}

impl Options {
    /// The defaults, for this DSN: `postgresql://user@host:port/database`, or
    /// `host=… user=… dbname=…`.
    pub fn new(dsn: &str) -> Result<Options, OpenError> {
        let wrong = |why: String| OpenError::Dsn(format!("not a DSN: {why}"));
        let mut config: Config = dsn.parse().map_err(|error: tokio_postgres::Error| {
            let why = std::error::Error::source(&error).map(ToString::to_string);
            wrong(why.unwrap_or_else(|| error.to_string()))
        })?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(wrong("no host; write postgresql://user@host:port/database".into()));
        }
        if config.get_user().is_none() {
            return Err(wrong("no user; write postgresql://user@host:port/database".into()));
        }
        if config.get_ssl_mode() != SslMode::Prefer {
            return Err(OpenError::Dsn("sslmode is not for the DSN; set `tls`".into()));
        }
        if config.get_application_name().is_none() {
            config.application_name(APPLICATION);
        }
        Ok(Options {
            config,
            tls: Tls::Disable,
            readers: 4,
            connect_timeout: Duration::from_secs(5),
            deadline: Duration::from_secs(5),
            asked_every: Duration::from_secs(2),
            cluster: None,
        })
    }

    /// Whether the database is reached over a network, where TLS has a meaning.
    pub fn is_tcp(&self) -> bool {
        let hosts = self.config.get_hosts();
        hosts.is_empty() || hosts.iter().any(|host| matches!(host, Host::Tcp(_)))
    }

    /// Where it is.
    pub(crate) fn place(&self) -> Place {
        Place::new(&self.config)
    }

    /// What connections are made with.
    pub(crate) fn target(&self) -> Result<Target, OpenError> {
        let connector = if self.is_tcp() { connector(&self.tls)? } else { None };
        let mut config = self.config.clone();
        config.ssl_mode(if connector.is_some() { SslMode::Require } else { SslMode::Disable });
        Ok(Target { config, connector, timeout: self.connect_timeout })
    }
}

/// Where connections go, and how.
#[derive(Clone)]
pub(crate) struct Target {
    pub config: Config,
    pub connector: Option<Connector>,
    pub timeout: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(dsn: &str) -> String {
        Options::new(dsn).err().expect("it is refused").to_string()
    }

    #[test]
    fn a_dsn_that_cannot_work_is_refused_with_what_to_write() {
        assert!(refusal("postgresql://juliet@/db").contains("no host"));
        assert!(refusal("postgresql://db.example/jackdaw").contains("no user"));
        let mode = refusal("postgresql://juliet@db.example/jackdaw?sslmode=require");
        assert!(mode.contains("set `tls`"), "{mode}");
        assert!(refusal("host=db.example hots=other").starts_with("not a DSN: "));
    }

    #[test]
    fn a_place_is_told_without_its_password() {
        let options = Options::new("postgresql://juliet:r0m30@db.example,[::1]:6432/verona");
        let place = options.expect("a DSN").place().to_string();
        assert_eq!(place, "database verona at db.example:5432,[::1]:6432");
    }
}
