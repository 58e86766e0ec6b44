//! The settings of the store.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use jackdaw_store_postgres::Options;
use serde::de::{Deserialize, Deserializer, Error as _};

use super::section::{RESTART, section};
use super::value::{Ack, DatabaseTls, Engine, Seconds, Setting, from_string, quoted};

section! {
    ["storage"]
    /// Where accounts, rosters and messages are kept.
    Storage {
        /// `fjall` is the embedded store; `postgres` is a PostgreSQL, described in
        /// `[storage.postgres]`; `memory` forgets everything at a stop.
        engine: Engine = Engine::Fjall => RESTART;
        /// Directory of the embedded store. Without it, `store` in the data directory.
        path: Option<PathBuf> = None => RESTART.example(r#""/var/lib/jackdaw/store""#);
        /// What an acknowledgement (`<a/>` of XEP-0198) promises about a message: `durable`, that
        /// it has been delivered and acknowledged, or is on disk; `fast`, that it is in memory and
        /// will be on disk soon, so that a power cut loses what was acknowledged in the last
        /// moments.
        ack: Ack = Ack::Durable => RESTART;
        with postgres: Postgres;
    }
}

section! {
    ["storage.postgres"]
    /// The database of `engine = "postgres"`. The server makes its tables by itself.
    Postgres {
        /// Where the database is: `postgresql://user@host:5432/database`, or
        /// `host=… user=… dbname=…`, where `host` may be the directory of a socket. Several hosts
        /// with a comma between them are tried in turn.
        dsn: Option<Dsn> = None => RESTART.example(r#""postgresql://jackdaw@db.example:5432/jackdaw""#);
        /// File with the user's password, and nothing else. Without it, the password of the DSN
        /// counts, then that of the variable `PGPASSWORD`.
        password_file: Option<PathBuf> = None => RESTART.example(r#""/etc/jackdaw/postgres.password""#);
        /// How the way to a host is protected: `verify-full`, with TLS and a certificate for the
        /// host by an authority of `ca_file`; `require`, with TLS to whoever answers, which stops
        /// those who only listen; `disable`, not at all. A socket of this machine needs no TLS and
        /// has none.
        tls: DatabaseTls = DatabaseTls::VerifyFull => RESTART;
        /// PEM file with the authorities that `verify-full` trusts. Those of the system are in
        /// `/etc/ssl/certs/ca-certificates.crt` on Debian.
        ca_file: Option<PathBuf> = None => RESTART.example(r#""/etc/jackdaw/postgres-ca.pem""#);
        /// Connections for reads. Commits have one of their own.
        connections: u32 = 4 => RESTART.count("connections", 1, 64);
        /// How long making a connection may take.
        connect_timeout_secs: Seconds = Seconds(5) => RESTART.seconds(1, 60);
        /// How long a read, or a commit with all its attempts, may take. After that the database
        /// counts as away: what needs it is refused at once or tried again, and messages between
        /// users who are there no longer wait for it.
        deadline_secs: Seconds = Seconds(5) => RESTART.seconds(1, 300);
    }
}

/// A description of a database that can be read. It may hold a password, so that `Debug` does not
/// show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Dsn(String);

impl Dsn {
    /// What it says, with the defaults of what it does not.
    pub fn options(&self) -> Result<Options, String> {
        Options::new(&self.0).map_err(|error| error.to_string())
    }

    /// Whether there is a network on the way.
    pub fn is_tcp(&self) -> bool {
        self.options().is_ok_and(|options| options.is_tcp())
    }
}

impl FromStr for Dsn {
    type Err = String;

    fn from_str(text: &str) -> Result<Dsn, String> {
        let dsn = Dsn(text.to_owned());
        dsn.options().map(|_| dsn)
    }
}

impl fmt::Display for Dsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Dsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dsn(..)")
    }
}

from_string!(Dsn, "a DSN");
