//! Why the database cannot be used, in words that say what to do.

use std::error::Error as _;
use std::path::PathBuf;
use std::time::Duration;

use jackdaw_store::StoreError;

use crate::place::Place;

/// Why an engine did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The DSN says nothing that can be done.
    #[error("{0}")]
    Dsn(String),
    /// The file of authorities is no use.
    #[error("{}: {why}; name a PEM file with the certificates of the authorities", file.display())]
    Authorities {
        /// Which file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Nobody is there.
    #[error("cannot connect to {place}: {why}; is PostgreSQL running, and listening there?")]
    Away {
        /// Where.
        place: Place,
        /// What the system said.
        why: String,
    },
    /// It did not answer in time.
    #[error("{place} did not answer within {} s", deadline.as_secs_f32())]
    Late {
        /// Where.
        place: Place,
        /// How long it had.
        deadline: Duration,
    },
    /// TLS did not come about.
    #[error(
        "{place}: {why}; set `ssl = on` in postgresql.conf and name its authority in `ca_file`, or \
         say tls = \"disable\" if nobody is on the way"
    )]
    Tls {
        /// Where.
        place: Place,
        /// What was wrong.
        why: String,
    },
    /// The user is not let in.
    #[error(
        "{place} does not let {} in: {why}; check user and password of the DSN and pg_hba.conf",
        place.user
    )]
    Refused {
        /// Where, and who.
        place: Place,
        /// What the database said.
        why: String,
    },
    /// The database does not exist.
    #[error("{place}: {why}; make it: createdb --owner={} {}", place.user, place.database)]
    Missing {
        /// Where.
        place: Place,
        /// What the database said.
        why: String,
    },
    /// The user may not make or use tables.
    #[error("{place}: {why}; make {} the owner of the database {}", place.user, place.database)]
    Forbidden {
        /// Where, and who.
        place: Place,
        /// What the database said.
        why: String,
    },
    /// What it acknowledges could be lost.
    #[error("{place} has {setting} = off and would lose what it acknowledged; set {setting} = on")]
    NotDurable {
        /// Where.
        place: Place,
        /// The setting that is off.
        setting: &'static str,
    },
    /// It takes no writes.
    #[error("{place} is read-only; name the primary, not a standby")]
    ReadOnly {
        /// Where.
        place: Place,
    },
    /// The rows are another cluster's, or were written by a node that was alone.
    #[error("{place} has the rows of {owner}; a new cluster takes them over only by being told to")]
    OtherCluster {
        /// Where.
        place: Place,
        /// Whose they are.
        owner: String,
    },
    /// The tables are of a newer version, or something else.
    #[error("{place}: {error}")]
    Store {
        /// Where.
        place: Place,
        /// What.
        error: StoreError,
    },
    /// The system refused something.
    #[error("{0}")]
    System(String),
}

impl OpenError {
    /// What an answer of the database, or none, says about it.
    pub(crate) fn new(place: &Place, error: &tokio_postgres::Error) -> OpenError {
        let place = place.clone();
        if let Some(said) = error.as_db_error() {
            let why = said.message().to_owned();
            return match said.code().code() {
                "28000" | "28P01" => OpenError::Refused { place, why },
                "3D000" => OpenError::Missing { place, why },
                // Without a right to any schema there is none to make tables in.
                "42501" | "3F000" => OpenError::Forbidden { place, why },
                "25006" => OpenError::ReadOnly { place },
                _ => OpenError::Store { place, error: crate::session::failure(error) },
            };
        }
        let why = reason(error);
        // The library does not let its kinds be told apart otherwise.
        let kind = error.to_string();
        if kind.contains("TLS") {
            OpenError::Tls { place, why }
        } else if kind.contains("configuration") || kind.contains("authentication") {
            OpenError::Refused { place, why }
        } else {
            OpenError::Away { place, why }
        }
    }
}

/// The innermost cause: what wraps it says no more than we do.
fn reason(error: &tokio_postgres::Error) -> String {
    let mut reason = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        reason = inner.to_string();
        source = inner.source();
    }
    reason
}
