//! Why a script failed.

use std::io;

/// The result of whatever a script asks for.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a script failed, for whoever reads the report.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The script itself is wrong.
    #[error("script line {line}: {why}")]
    Script {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// The server did something else than the script says.
    #[error("{0}")]
    Unexpected(String),
    /// Nothing came in time.
    #[error("nothing arrived within {0} s")]
    Silence(u64),
    /// The connection ended.
    #[error("the server closed the connection")]
    Closed,
    /// The server did not come up or did not stop as it should.
    #[error("server: {0}")]
    Server(String),
    /// The operating system said no.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: String,
        /// Why it did not work.
        source: io::Error,
    },
    /// TLS failed.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
}

impl Error {
    /// For `map_err` on what was being done.
    pub fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
        let doing = doing.into();
        move |source| Error::Io { doing, source }
    }

    /// The server did something else than expected.
    pub fn unexpected(what: impl Into<String>) -> Error {
        Error::Unexpected(what.into())
    }
}
