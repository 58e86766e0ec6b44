//! The settings of the node itself: where it keeps things, for whom it speaks and where it listens.

use std::path::PathBuf;

use super::address::{AccountAddress, DomainName};
use super::section::{RELOAD, RESTART, section};
use super::value::{Driver, ListenAddress, LogFormat, LogLevel, Seconds};

section! {
    ["server"]
    /// The process.
    Server {
        /// Directory for everything the server keeps: rows, self-signed certificates, the socket
        /// for `jackdaw user`. Made at the first start, readable by the server's user only. A
        /// relative path starts at the working directory. The option `--data` goes before it.
        data_dir: PathBuf = "data".into() => RESTART;
        /// Accounts that may use the ad-hoc commands of XEP-0133: add and delete users, set
        /// passwords, list who is online, announce, shut down.
        admins: Vec<AccountAddress> = vec![] => RESTART.example(r#"["juliet@localhost"]"#);
        /// How long a graceful stop may take: streams are closed, what was accepted is written.
        /// Kubernetes kills after 30 seconds unless told otherwise, so the default stays below.
        shutdown_timeout_secs: Seconds = Seconds(20) => RESTART.seconds(1, 3_600);
    }
}

section! {
    [["domains"]]
    /// A domain this server speaks for. Repeat the table for several domains; without any, there is
    /// `localhost`.
    Domain {
        /// The domainpart of the accounts' addresses (RFC 7622 §3.2).
        name: DomainName = DomainName::localhost() => RESTART;
        /// PEM file with the domain's certificate, then its chain. Without it the server makes a
        /// self-signed certificate at the first start and keeps it in the data directory. Read
        /// again at a reload.
        certificate: Option<PathBuf> = None => RELOAD.example(r#""/etc/jackdaw/localhost.crt""#);
        /// PEM file with the certificate's private key. Goes with `certificate`. ECDSA P-256 is the
        /// cheapest to serve: a signature costs a tenth of an RSA one.
        key: Option<PathBuf> = None => RELOAD.example(r#""/etc/jackdaw/localhost.key""#);
    }
}

section! {
    ["listeners.c2s"]
    /// Clients that begin in the clear and must upgrade with STARTTLS (RFC 6120 §5).
    StartTlsListener {
        /// Where to listen; an empty list turns the listener off. `any` and `loopback` mean IPv4
        /// and IPv6.
        addresses: Vec<ListenAddress> = vec![ListenAddress::Any(5222)] => RESTART;
        /// Whether every connection begins with a PROXY protocol header, version 1 or 2, and is
        /// closed without one. Turn it on exactly when a load balancer that sends it is the only
        /// way in: who can reach the port can otherwise claim any address.
        proxy_protocol: bool = false => RESTART;
    }
}

section! {
    ["listeners.c2s_tls"]
    /// Clients that begin with TLS (XEP-0368, ALPN `xmpp-client`).
    DirectTlsListener {
        /// Where to listen; an empty list turns the listener off.
        addresses: Vec<ListenAddress> = vec![ListenAddress::Any(5223)] => RESTART;
        /// Whether every connection begins with a PROXY protocol header.
        proxy_protocol: bool = false => RESTART;
    }
}

section! {
    ["listeners.c2s_plain"]
    /// Clients without any TLS: passwords and messages are readable by everybody on the way. It
    /// exists for load tests and for a TLS terminator on the same machine, and is off by default.
    PlainListener {
        /// Where to listen; an empty list turns the listener off.
        addresses: Vec<ListenAddress> = vec![] => RESTART.example(r#"["loopback:5224"]"#);
        /// Whether every connection begins with a PROXY protocol header.
        proxy_protocol: bool = false => RESTART;
    }
}

section! {
    ["listeners.http"]
    /// `/livez`, `/readyz` and `/metrics`, without TLS and without a password.
    HttpListener {
        /// Where to listen; an empty list turns the listener off. The default is this machine only,
        /// for metrics tell strangers about your users. In a pod, say `any:5280`.
        addresses: Vec<ListenAddress> = vec![ListenAddress::Loopback(5280)] => RESTART;
    }
}

section! {
    ["edge"]
    /// The threads that own the client connections.
    Edge {
        /// What moves the bytes. `auto` takes io_uring where the kernel allows it (container
        /// runtimes often forbid it) and epoll otherwise, and logs which and why.
        driver: Driver = Driver::Auto => RESTART;
        /// Worker threads; 0 means one per core.
        workers: u32 = 0 => RESTART.count("threads", 0, 1_024);
        /// Connections accepted in a second, all workers together; more wait in the kernel's queue.
        /// A TLS handshake costs about 0.2 ms of a core, so a core that did nothing else could do
        /// 5,000.
        accepts_per_sec_max: u32 = 10_000 => RESTART.count("connections per second", 1, 1_000_000);
        /// File descriptors kept back for the store, the log and the HTTP listener, so that a flood
        /// of clients cannot stop a commit.
        descriptors_reserved: u32 = 512 => RESTART.count("descriptors", 32, 65_536);
    }
}

section! {
    ["log"]
    /// The log, on standard error.
    Log {
        /// `auto` is `human` on a terminal and `json` elsewhere.
        format: LogFormat = LogFormat::Auto => RESTART;
        /// `error`, `warn`, `info`, `debug` or `trace`; `info,jackdaw_edge=debug` says it per
        /// module. The variable `JACKDAW_LOG` goes before it. No level shows passwords or message
        /// bodies.
        level: LogLevel = super::value::log_level_default() => RELOAD;
    }
}
