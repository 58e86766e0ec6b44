//! Rules between keys, which no single key can break.

use std::collections::{HashMap, HashSet};

use super::Config;
use super::document::Document;
use super::error::Problem;
use super::storage::Postgres;
use super::value::{DatabaseTls, Engine, ListenAddress, Mechanism};

/// Everything that contradicts itself in a configuration whose keys are fine one by one.
pub(super) fn check(config: &Config, document: &Document<'_>) -> Vec<Problem> {
    let mut report = Report { document, problems: Vec::new() };
    domains(config, &mut report);
    admins(config, &mut report);
    listeners(config, &mut report);
    storage(config, &mut report);
    auth(config, &mut report);
    limits(config, &mut report);
    report.problems
}

struct Report<'a> {
    document: &'a Document<'a>,
    problems: Vec<Problem>,
}

impl Report<'_> {
    fn add(&mut self, key: &str, message: impl Into<String>) {
        self.add_against(key, key, message);
    }

    /// Reports `key`, which does not go with `other`; at least one of them is in the file.
    fn add_against(&mut self, key: &str, other: &str, message: impl Into<String>) {
        let line = self.document.line(key).or_else(|| self.document.line(other));
        self.problems.push(Problem { line, key: key.into(), message: message.into() });
    }
}

fn domains(config: &Config, report: &mut Report<'_>) {
    if config.domains.is_empty() {
        report.add("domains", "there is none; leave `domains` out to serve localhost");
    }
    let mut seen = HashSet::new();
    for (index, domain) in config.domains.iter().enumerate() {
        if !seen.insert(&domain.name) {
            report.add(&format!("domains[{index}].name"), "this domain stands here twice");
        }
        match (&domain.certificate, &domain.key) {
            (Some(_), None) => report.add(
                &format!("domains[{index}].certificate"),
                "`key` is missing: a certificate is of no use without its private key",
            ),
            (None, Some(_)) => report.add(
                &format!("domains[{index}].key"),
                "`certificate` is missing: name the certificate this key belongs to",
            ),
            (Some(_), Some(_)) | (None, None) => {}
        }
    }
}

fn admins(config: &Config, report: &mut Report<'_>) {
    for admin in &config.server.admins {
        if !config.domains.iter().any(|domain| domain.name.as_str() == admin.domain()) {
            report.add(
                "server.admins",
                format!("{admin} is not an account here; add `{}` to [[domains]]", admin.domain()),
            );
        }
    }
}

fn listeners(config: &Config, report: &mut Report<'_>) {
    let listeners = config.listeners.all();
    let mut taken: HashMap<std::net::SocketAddr, &str> = HashMap::new();
    for listener in &listeners {
        let key = format!("listeners.{}.addresses", listener.kind);
        for socket in listener.addresses.iter().copied().flat_map(ListenAddress::sockets) {
            // Port 0 is whatever is free, as often as it is asked for.
            if socket.port() == 0 {
                continue;
            }
            if let Some(other) = taken.insert(socket, listener.kind.as_str()) {
                report.add(&key, format!("{socket} is already taken by listeners.{other}"));
            }
        }
    }
    if !listeners.iter().any(|listener| listener.kind.is_c2s() && !listener.addresses.is_empty()) {
        report
            .add("listeners", "no client could connect; give one of the c2s listeners an address");
    }
}

fn storage(config: &Config, report: &mut Report<'_>) {
    if config.storage.engine != Engine::Postgres {
        return;
    }
    let Postgres { dsn, tls, ca_file, .. } = &config.storage.postgres;
    let Some(dsn) = dsn else {
        let wanted = "write [storage.postgres] with dsn = \"postgresql://user@host:5432/database\"";
        return report.add_against("storage.postgres.dsn", "storage.engine", wanted);
    };
    let is_verified = *tls == DatabaseTls::VerifyFull;
    if is_verified && ca_file.is_none() && dsn.is_tcp() {
        report.add_against(
            "storage.postgres.ca_file",
            "storage.postgres.dsn",
            "without authorities the database cannot be told from a stranger; name the file of its \
             authority, or say tls = \"disable\" if nobody is on the way to it",
        );
    }
    if ca_file.is_some() && !is_verified {
        report.add("storage.postgres.ca_file", "nobody asks it unless tls = \"verify-full\"");
    }
}

fn auth(config: &Config, report: &mut Report<'_>) {
    let auth = &config.auth;
    if auth.mechanisms.is_empty() {
        report.add("auth.mechanisms", "nobody could log in; leave the key out for the default");
    }
    if auth.mechanisms.contains(&Mechanism::External) && auth.client_authorities.is_none() {
        report.add(
            "auth.mechanisms",
            "EXTERNAL needs `client_authorities`: the authorities whose certificates count",
        );
    }
}

const STANZA_BYTES_MAX: &str = "limits.stanza_bytes_max";

fn limits(config: &Config, report: &mut Report<'_>) {
    let limits = &config.limits;
    if limits.stanza_preauth_bytes_max > limits.stanza_bytes_max {
        report.add_against(
            "limits.stanza_preauth_bytes_max",
            STANZA_BYTES_MAX,
            "strangers may send more than users; make it at most `stanza_bytes_max`",
        );
    }
    if limits.outbox_bytes_max < limits.stanza_bytes_max {
        report.add_against(
            "limits.outbox_bytes_max",
            STANZA_BYTES_MAX,
            "a single stanza would not fit; make it at least `stanza_bytes_max`",
        );
    }
    if config.stream_management.unacked_bytes_max < limits.stanza_bytes_max {
        report.add_against(
            "stream_management.unacked_bytes_max",
            STANZA_BYTES_MAX,
            "a single stanza would not fit; make it at least `limits.stanza_bytes_max`",
        );
    }
}
