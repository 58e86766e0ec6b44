//! What an operator reads when the server has started.

use std::fmt::{self, Write as _};
use std::net::SocketAddr;

use crate::certificates::{DomainCertificate, Origin};
use crate::config::{Ack, Config, ListenerKind};

/// What is only known once everything runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The addresses each kind of listener is bound to.
    pub listeners: Vec<(ListenerKind, Vec<SocketAddr>)>,
    /// The I/O driver in use, as it calls itself.
    pub driver: String,
    /// Why it is that one.
    pub driver_reason: String,
    /// Worker threads.
    pub workers: usize,
    /// Connections there may be at once, which can be fewer than configured.
    pub connections_max: usize,
    /// The limit of open files before the server raised it, and after.
    pub open_files: OpenFiles,
    /// What the store is, and where.
    pub storage: String,
}

/// Soft limits of open files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenFiles {
    /// As the process was started with.
    pub before: u64,
    /// As it is now.
    pub now: u64,
}

/// The start-up report; print it with `{}`.
#[derive(Debug)]
pub struct Report<'a> {
    /// What was asked for.
    pub config: &'a Config,
    /// The domains' certificates.
    pub certificates: &'a [DomainCertificate],
    /// What came of it.
    pub facts: &'a Facts,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Jackdaw {} is ready.", env!("CARGO_PKG_VERSION"))?;
        for (label, lines) in self.rows() {
            for (index, line) in lines.iter().enumerate() {
                let label = if index == 0 { label } else { "" };
                writeln!(f, "  {label:<9}{line}")?;
            }
        }
        let domain = self.certificates.first().map_or("localhost", |c| c.domain.as_str());
        writeln!(f, "Add a user: jackdaw user add juliet@{domain}")
    }
}

impl Report<'_> {
    fn rows(&self) -> [(&'static str, Vec<String>); 6] {
        [
            ("Domains", self.certificates.iter().map(domain).collect()),
            ("Listens", self.listeners()),
            ("I/O", vec![self.driver()]),
            ("Storage", vec![self.storage()]),
            ("Limits", vec![self.limits()]),
            ("Warning", self.warnings()),
        ]
    }

    fn listeners(&self) -> Vec<String> {
        let bound = self.facts.listeners.iter().filter(|(_, addresses)| !addresses.is_empty());
        bound
            .map(|(kind, addresses)| {
                let what = match kind {
                    ListenerKind::C2s => "STARTTLS",
                    ListenerKind::C2sTls => "direct TLS",
                    ListenerKind::C2sPlain => "NO TLS",
                    ListenerKind::Http => "HTTP",
                };
                format!("{what:<11}{}", joined(addresses))
            })
            .collect()
    }

    fn driver(&self) -> String {
        let Facts { driver, driver_reason, workers, .. } = self.facts;
        let threads = if *workers == 1 { "worker" } else { "workers" };
        format!("{driver}, {workers} {threads} ({driver_reason})")
    }

    fn storage(&self) -> String {
        let promise = match self.config.storage.ack {
            Ack::Durable => "what is acknowledged is delivered or on disk",
            Ack::Fast => "a power cut can lose what was just acknowledged",
        };
        format!("{}; ack = {}: {promise}", self.facts.storage, self.config.storage.ack)
    }

    fn limits(&self) -> String {
        let limits = &self.config.limits;
        let OpenFiles { before, now } = self.facts.open_files;
        let files = if before == now { now.to_string() } else { format!("{before} -> {now}") };
        // With epoll each connection takes an open file.
        let connections = self.facts.connections_max;
        let too_few = if connections < limits.connections_max as usize {
            format!(" ({} are configured: too few open files)", limits.connections_max)
        } else {
            String::new()
        };
        format!(
            "{connections} connections{too_few}, {} from one address, {} bytes a stanza, {files} open \
             files",
            limits.connections_per_address_max, limits.stanza_bytes_max,
        )
    }

    /// What must not be overlooked.
    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let plain = self.facts.listeners.iter().filter(|(kind, _)| *kind == ListenerKind::C2sPlain);
        for (_, addresses) in plain.filter(|(_, addresses)| !addresses.is_empty()) {
            let mut text = format!("PLAIN TEXT on {}: ", joined(addresses));
            let _infallible = write!(
                text,
                "anybody on the way can read passwords and messages (listeners.c2s_plain)"
            );
            warnings.push(text);
        }
        warnings
    }
}

fn domain(certificate: &DomainCertificate) -> String {
    let origin = match certificate.origin {
        Origin::Configured => "certificate",
        Origin::SelfSigned => "self-signed certificate",
        Origin::NewSelfSigned => "new self-signed certificate",
    };
    format!("{} ({origin} {})", certificate.domain, certificate.file.display())
}

fn joined(addresses: &[SocketAddr]) -> String {
    let addresses: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
    addresses.join(", ")
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::{Duration, UNIX_EPOCH};

    use expect_test::{Expect, expect};

    use super::*;
    use crate::certificates;

    /// The report for a configuration, with the directory that changes from run to run called
    /// `DATA`.
    fn check(text: &str, facts: Facts, expected: Expect) {
        let data = tempfile::tempdir().unwrap();
        let mut config = Config::parse("test", text).unwrap();
        config.server.data_dir = data.path().into();
        let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let certificates = certificates::load(&config, now).unwrap();
        let report = Report { config: &config, certificates: &certificates, facts: &facts };
        let path: &Path = data.path();
        expected.assert_eq(&report.to_string().replace(&path.display().to_string(), "DATA"));
    }

    fn facts(listeners: &[(ListenerKind, &[&str])]) -> Facts {
        let parse = |addresses: &[&str]| addresses.iter().map(|a| a.parse().unwrap()).collect();
        Facts {
            listeners: listeners.iter().map(|(kind, list)| (*kind, parse(list))).collect(),
            driver: "io_uring".into(),
            driver_reason: "the kernel allows it".into(),
            workers: 2,
            connections_max: 1_000_000,
            open_files: OpenFiles { before: 1_024, now: 524_288 },
            storage: "fjall in DATA/store".into(),
        }
    }

    #[test]
    fn a_start_with_defaults_is_reported_on_a_few_lines() {
        let facts = facts(&[
            (ListenerKind::C2s, &["0.0.0.0:5222", "[::]:5222"]),
            (ListenerKind::C2sTls, &["0.0.0.0:5223", "[::]:5223"]),
            (ListenerKind::C2sPlain, &[]),
            (ListenerKind::Http, &["127.0.0.1:5280"]),
        ]);
        check(
            "",
            facts,
            expect![[r#"
            Jackdaw 0.1.0 is ready.
              Domains  localhost (new self-signed certificate DATA/tls/localhost.crt)
              Listens  STARTTLS   0.0.0.0:5222, [::]:5222
                       direct TLS 0.0.0.0:5223, [::]:5223
                       HTTP       127.0.0.1:5280
              I/O      io_uring, 2 workers (the kernel allows it)
              Storage  fjall in DATA/store; ack = durable: what is acknowledged is delivered or on disk
              Limits   1000000 connections, 4096 from one address, 262144 bytes a stanza, 1024 -> 524288 open files
            Add a user: jackdaw user add juliet@localhost
        "#]],
        );
    }

    #[test]
    fn plain_text_fast_acks_and_the_fallback_are_said_aloud() {
        let facts = Facts {
            driver: "epoll".into(),
            driver_reason: "io_uring: Operation not permitted".into(),
            workers: 1,
            connections_max: 512,
            open_files: OpenFiles { before: 1_024, now: 1_024 },
            storage: "memory, gone after a stop".into(),
            ..facts(&[(ListenerKind::C2sPlain, &["127.0.0.1:5224"])])
        };
        let text = "[[domains]]\nname = \"capulet.example\"\n[[domains]]\nname = \"montague.example\"\n\
                    [storage]\nengine = \"memory\"\nack = \"fast\"\n";
        check(
            text,
            facts,
            expect![[r#"
            Jackdaw 0.1.0 is ready.
              Domains  capulet.example (new self-signed certificate DATA/tls/capulet.example.crt)
                       montague.example (new self-signed certificate DATA/tls/montague.example.crt)
              Listens  NO TLS     127.0.0.1:5224
              I/O      epoll, 1 worker (io_uring: Operation not permitted)
              Storage  memory, gone after a stop; ack = fast: a power cut can lose what was just acknowledged
              Limits   512 connections (1000000 are configured: too few open files), 4096 from one address, 262144 bytes a stanza, 1024 open files
              Warning  PLAIN TEXT on 127.0.0.1:5224: anybody on the way can read passwords and messages (listeners.c2s_plain)
            Add a user: jackdaw user add juliet@capulet.example
        "#]],
        );
    }
}
