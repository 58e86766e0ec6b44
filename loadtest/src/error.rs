//! What ends a run.

/// Why clients cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refused something.
    #[error("{0}: {1}")]
    Io(&'static str, std::io::Error),
    /// TLS failed.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// What came is not XML as XMPP has it.
    #[error("the server sent no XML of a stream: {0:?}")]
    Xml(jackdaw_xml::XmlError),
    /// The server said something else than a client of this kind expects.
    #[error("expected {expected}, got {got}")]
    Unexpected {
        /// What the state of the login calls for.
        expected: &'static str,
        /// The beginning of what came.
        got: String,
    },
    /// The server closed a connection that was to stay.
    #[error("the server closed the connection")]
    Closed,
    /// The load did not get done in its time.
    #[error("{0} did not happen in time")]
    Late(&'static str),
}

impl Error {
    /// For `map_err`: `what` was refused.
    pub fn io(what: &'static str) -> impl FnOnce(std::io::Error) -> Error {
        move |error| Error::Io(what, error)
    }

    /// `got` came where `expected` should have.
    pub(crate) fn unexpected(expected: &'static str, got: &[u8]) -> Error {
        /// Enough to see an error's condition.
        const SHOWN: usize = 300;
        let shown = got.get(..SHOWN).unwrap_or(got);
        Error::Unexpected { expected, got: String::from_utf8_lossy(shown).into_owned() }
    }
}

/// With an [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
