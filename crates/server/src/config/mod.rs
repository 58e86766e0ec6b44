//! `jackdaw.toml`: text in, a typed [`Config`] or errors that name file, line and key out.
//!
//! The settings are described once, in `node`, `storage`, `limits` and `features`; the rest of the
//! module reads (`document`, `check`) and prints (`reference`) by that description.

mod address;
mod change;
mod check;
mod document;
mod error;
mod features;
mod limits;
mod nearest;
mod node;
mod reference;
mod section;
mod storage;
mod value;

use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use address::{AccountAddress, ContactUri, DomainName};
pub use change::Change;
pub use error::{ConfigError, Problem};
pub use features::{Auth, ClientState, Contacts, Registration, Sessions, StreamManagement};
pub use limits::{Deadlines, Keepalive, Limits};
pub use node::{
    DirectTlsListener, Domain, Edge, HttpListener, Log, PlainListener, Server, StartTlsListener,
};
pub use reference::{configuration_markdown, default_toml};
pub use section::{Applies, Key, Section, Traits};
pub use storage::{Dsn, Postgres, Storage};
pub use value::{
    Ack, DatabaseTls, Driver, Engine, ListenAddress, LogFormat, LogLevel, Mechanism,
    ResourceConflict, Seconds,
};

use document::Document;

/// The file that is read if none is named and it is there.
pub const FILE_DEFAULT: &str = "jackdaw.toml";

/// Every table there is, in the order in which they are documented.
pub const SECTIONS: &[Section] = &[
    Server::SECTION,
    Domain::SECTION,
    StartTlsListener::SECTION,
    DirectTlsListener::SECTION,
    PlainListener::SECTION,
    HttpListener::SECTION,
    Edge::SECTION,
    Storage::SECTION,
    Postgres::SECTION,
    Auth::SECTION,
    Sessions::SECTION,
    StreamManagement::SECTION,
    ClientState::SECTION,
    Registration::SECTION,
    Contacts::SECTION,
    Limits::SECTION,
    Deadlines::SECTION,
    Keepalive::SECTION,
    Log::SECTION,
];

/// The whole configuration, valid as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The process.
    pub server: Server,
    /// The domains, at least one.
    pub domains: Vec<Domain>,
    /// Where the server listens.
    pub listeners: Listeners,
    /// The threads that own the client connections.
    pub edge: Edge,
    /// Where rows are kept.
    pub storage: Storage,
    /// How clients prove who they are.
    pub auth: Auth,
    /// Bound resources.
    pub sessions: Sessions,
    /// XEP-0198.
    pub stream_management: StreamManagement,
    /// XEP-0352.
    pub client_state: ClientState,
    /// XEP-0077.
    pub registration: Registration,
    /// XEP-0157.
    pub contacts: Contacts,
    /// What may be held.
    pub limits: Limits,
    /// What may be waited for.
    pub deadlines: Deadlines,
    /// How dead peers are found.
    pub keepalive: Keepalive,
    /// The log.
    pub log: Log,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            server: Server::default(),
            domains: vec![Domain::default()],
            listeners: Listeners::default(),
            edge: Edge::default(),
            storage: Storage::default(),
            auth: Auth::default(),
            sessions: Sessions::default(),
            stream_management: StreamManagement::default(),
            client_state: ClientState::default(),
            registration: Registration::default(),
            contacts: Contacts::default(),
            limits: Limits::default(),
            deadlines: Deadlines::default(),
            keepalive: Keepalive::default(),
            log: Log::default(),
        }
    }
}

impl Config {
    /// Reads and parses `file`.
    pub fn read(file: &Path) -> Result<Config, ConfigError> {
        let name = file.display().to_string();
        let text = std::fs::read_to_string(file).map_err(|error| {
            ConfigError::file(&name, format!("cannot be read: {error}; name another with --config"))
        })?;
        Config::parse(&name, &text)
    }

    /// Parses the text of a file called `file`.
    pub fn parse(file: &str, text: &str) -> Result<Config, ConfigError> {
        let failed = |problems| ConfigError::new(file, problems);
        let document = Document::parse(text).map_err(|problem| failed(vec![problem]))?;
        let problems = document.check(SECTIONS);
        if !problems.is_empty() {
            return Err(failed(problems));
        }
        let config: Config = toml::from_str(text)
            .map_err(|error| failed(vec![document.explain(&error, SECTIONS)]))?;
        match check::check(&config, &document) {
            problems if problems.is_empty() => Ok(config),
            problems => Err(failed(problems)),
        }
    }

    /// The directory of the embedded store.
    pub fn store_path(&self) -> PathBuf {
        self.storage.path.clone().unwrap_or_else(|| self.server.data_dir.join("store"))
    }
}

/// Where the server listens.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listeners {
    /// STARTTLS.
    pub c2s: StartTlsListener,
    /// Direct TLS.
    pub c2s_tls: DirectTlsListener,
    /// No TLS.
    pub c2s_plain: PlainListener,
    /// Health and metrics.
    pub http: HttpListener,
}

/// One kind of listener and its addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listener<'a> {
    /// What is spoken there.
    pub kind: ListenerKind,
    /// Where it listens; none if it is off.
    pub addresses: &'a [ListenAddress],
    /// Whether connections begin with a PROXY protocol header.
    pub proxy_protocol: bool,
}

impl Listeners {
    /// The four listeners in the order of the file.
    pub fn all(&self) -> [Listener<'_>; 4] {
        let Listeners { c2s, c2s_tls, c2s_plain, http } = self;
        let listener =
            |kind, addresses, proxy_protocol| Listener { kind, addresses, proxy_protocol };
        [
            listener(ListenerKind::C2s, c2s.addresses.as_slice(), c2s.proxy_protocol),
            listener(ListenerKind::C2sTls, &c2s_tls.addresses, c2s_tls.proxy_protocol),
            listener(ListenerKind::C2sPlain, &c2s_plain.addresses, c2s_plain.proxy_protocol),
            listener(ListenerKind::Http, &http.addresses, false),
        ]
    }
}

/// What is spoken on a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ListenerKind {
    /// c2s that upgrades with STARTTLS.
    C2s,
    /// c2s inside TLS from the first byte.
    C2sTls,
    /// c2s without TLS.
    C2sPlain,
    /// HTTP.
    Http,
}

impl ListenerKind {
    /// The table's name below `listeners`.
    pub const fn as_str(self) -> &'static str {
        match self {
            ListenerKind::C2s => "c2s",
            ListenerKind::C2sTls => "c2s_tls",
            ListenerKind::C2sPlain => "c2s_plain",
            ListenerKind::Http => "http",
        }
    }

    /// Whether XMPP clients connect there.
    pub const fn is_c2s(self) -> bool {
        !matches!(self, ListenerKind::Http)
    }
}

impl std::fmt::Display for ListenerKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod config_test;
