//! The configuration, as each crate takes it.

use std::net::{Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;
use bytes::Bytes;
use jackdaw_edge::c2s::ListenerKind as StreamKind;
use jackdaw_edge::{
    DriverChoice, EdgeConfig, Limits, ListenerConfig, TlsConfig, TlsMode, TlsSettings,
};
use jackdaw_ext::Registry;
use jackdaw_session::Slots;
use jackdaw_stanza::ns;
use jackdaw_stream::c2s::{
    C2sConfig, CsiConfig, Deadlines, Host, KeepaliveConfig, SmConfig, StreamLimits,
};
use jackdaw_stream::sasl::{Decoy, Hash, SaslConfig};
use jackdaw_xeps::{blocking, commands, contact, private_storage, vcard};
use jackdaw_xml::Limits as XmlLimits;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::WiringError;
use crate::config::{Config, ContactUri, Driver, ListenerKind, Mechanism, Seconds};
use crate::node::Settings;

/// Bytes of the secrets that make decoys and stable resources.
const SECRET_BYTES: usize = 32;

fn duration(seconds: Seconds) -> Duration {
    Duration::from_secs(seconds.0.into())
}

/// Worker threads of the edge.
pub(super) fn workers(config: &Config) -> u16 {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let wanted = match config.edge.workers {
        0 => cores,
        workers => workers as usize,
    };
    u16::try_from(wanted).unwrap_or(u16::MAX)
}

/// The sockets of each client listener, in the order in which the edge gets them. A machine without
/// IPv6 is served on IPv4 alone.
pub(super) fn sockets(config: &Config) -> Vec<(ListenerKind, Vec<SocketAddr>)> {
    let has_ipv6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    let listeners = config.listeners.all().into_iter();
    listeners
        .filter(|listener| listener.kind != ListenerKind::Http)
        .map(|listener| {
            let all = listener.addresses.iter().flat_map(|address| address.sockets());
            (listener.kind, all.filter(|address| address.is_ipv4() || has_ipv6).collect())
        })
        .collect()
}

/// How the streams of each socket begin.
pub(super) fn listener_kinds(config: &Config) -> Vec<StreamKind> {
    let of = |kind| match kind {
        ListenerKind::C2sTls => StreamKind::DirectTls,
        ListenerKind::C2sPlain => StreamKind::Plain,
        ListenerKind::C2s | ListenerKind::Http => StreamKind::StartTls,
    };
    sockets(config)
        .into_iter()
        .flat_map(|(kind, sockets)| std::iter::repeat_n(of(kind), sockets.len()))
        .collect()
}

/// What the edge starts with.
pub(super) fn edge(config: &Config, tls: &TlsConfig) -> EdgeConfig {
    let is_proxied = |kind| {
        let all = config.listeners.all();
        all.iter().any(|listener| listener.kind == kind && listener.proxy_protocol)
    };
    let listeners = sockets(config).into_iter().flat_map(|(kind, sockets)| {
        let proxy_protocol = is_proxied(kind);
        sockets.into_iter().map(move |address| ListenerConfig {
            name: kind.as_str().to_owned(),
            address,
            tls: match kind {
                ListenerKind::C2sTls => TlsMode::Direct,
                ListenerKind::C2sPlain => TlsMode::None,
                ListenerKind::C2s | ListenerKind::Http => TlsMode::StartTls,
            },
            proxy_protocol,
        })
    });
    EdgeConfig {
        driver: match config.edge.driver {
            Driver::Auto => DriverChoice::Auto,
            Driver::IoUring => DriverChoice::IoUring,
            Driver::Epoll => DriverChoice::Epoll,
        },
        workers: workers(config),
        tls: Some(tls.clone()),
        limits: limits(config),
        ..EdgeConfig::new(listeners.collect())
    }
}

fn limits(config: &Config) -> Limits {
    Limits {
        connections_max: config.limits.connections_max as usize,
        connections_per_address_max: config.limits.connections_per_address_max,
        accepts_per_second_max: config.edge.accepts_per_sec_max,
        descriptors_reserve: config.edge.descriptors_reserved.into(),
        output_bytes_max: config.limits.outbox_bytes_max as usize,
        stall: duration(config.deadlines.write_timeout_secs),
        linger: duration(config.deadlines.close_timeout_secs),
        handshake: duration(config.deadlines.tls_handshake_timeout_secs),
        proxy_header: duration(config.deadlines.proxy_header_timeout_secs),
        ..Limits::default()
    }
}

/// The certificates, as the edge serves them.
pub(super) fn tls(settings: &Settings) -> Result<TlsSettings, WiringError> {
    let first = settings.certificates.first();
    let default = first.ok_or_else(|| WiringError::Setting("there is no domain".into()))?;
    let certificates = settings.certificates.iter();
    Ok(TlsSettings {
        certificates: certificates
            .map(|one| (one.domain.to_ascii(), one.certificate.clone()))
            .collect(),
        client_authorities: client_authorities(&settings.config)?,
        ..TlsSettings::new(default.certificate.clone())
    })
}

/// The authorities for EXTERNAL. Clients are asked for certificates only where it is offered.
fn client_authorities(
    config: &Config,
) -> Result<Option<Vec<CertificateDer<'static>>>, WiringError> {
    let Some(file) = &config.auth.client_authorities else { return Ok(None) };
    if !config.auth.mechanisms.contains(&Mechanism::External) {
        return Ok(None);
    }
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
    read.map(Some).map_err(|error| {
        WiringError::Setting(format!("{}: no PEM certificates: {error:?}", file.display()))
    })
}

/// What every client stream shares.
pub(super) fn streams(config: &Config, registry: &Registry) -> Result<C2sConfig, WiringError> {
    let iterations = config.auth.scram_iterations();
    let host = |domain: &crate::config::Domain| Host {
        domain: domain.name.as_str().into(),
        sasl: sasl(config),
    };
    Ok(C2sConfig {
        hosts: config.domains.iter().map(host).collect(),
        deadlines: Deadlines {
            header: duration(config.deadlines.stream_header_timeout_secs),
            tls: duration(config.deadlines.tls_handshake_timeout_secs),
            auth: duration(config.deadlines.auth_timeout_secs),
            bind: duration(config.deadlines.bind_timeout_secs),
        },
        limits: stream_limits(config),
        // Clients that try every -PLUS before they fall back need some more than they mistype.
        sasl_attempts_max: u8::try_from(config.auth.attempts_max).unwrap_or(u8::MAX),
        decoy: Arc::new(Decoy::new(secret(config, "decoy")?, iterations)),
        resource_secret: secret(config, "resource")?,
        sm: SmConfig {
            resume_timeout: duration(config.stream_management.resume_timeout_secs),
            unacked_stanzas_max: config.stream_management.unacked_stanzas_max as usize,
            unacked_bytes_max: config.stream_management.unacked_bytes_max as usize,
            request_every: config.stream_management.ack_request_stanzas,
        },
        csi: CsiConfig {
            enabled: config.client_state.enabled,
            held_stanzas_max: config.client_state.held_stanzas_max as usize,
            ..CsiConfig::default()
        },
        keepalive: KeepaliveConfig {
            idle: duration(config.keepalive.probe_interval_secs),
            dead: duration(config.keepalive.probe_timeout_secs),
        },
        sasl2: true,
        registration: config.registration.enabled,
        extra_features: features(registry),
    })
}

fn stream_limits(config: &Config) -> StreamLimits {
    let defaults = StreamLimits::default();
    StreamLimits {
        before_auth: XmlLimits {
            stanza_bytes_max: config.limits.stanza_preauth_bytes_max,
            ..defaults.before_auth
        },
        after_auth: XmlLimits {
            stanza_bytes_max: config.limits.stanza_bytes_max,
            depth_max: u16::try_from(config.limits.stanza_depth_max).unwrap_or(u16::MAX),
            elements_max: config.limits.stanza_elements_max,
            ..defaults.after_auth
        },
        bytes_before_auth_max: defaults
            .bytes_before_auth_max
            .max(config.limits.stanza_preauth_bytes_max.saturating_mul(4)),
        // One stanza may pass it, and must not have the connection cut off.
        unsent_bytes_max: defaults.unsent_bytes_max.min(
            (config.limits.outbox_bytes_max.saturating_sub(config.limits.stanza_bytes_max) / 2)
                as usize,
        ),
    }
}

fn sasl(config: &Config) -> SaslConfig {
    let has = |mechanism| config.auth.mechanisms.contains(&mechanism);
    let scram = [
        (Mechanism::ScramSha512, Hash::Sha512),
        (Mechanism::ScramSha256, Hash::Sha256),
        (Mechanism::ScramSha1, Hash::Sha1),
    ];
    SaslConfig {
        anonymous: has(Mechanism::Anonymous),
        external: has(Mechanism::External),
        fast: config.auth.fast,
        plain: has(Mechanism::Plain),
        scram: scram.into_iter().filter(|(name, _)| has(*name)).map(|(_, hash)| hash).collect(),
    }
}

/// A secret of the node, made at the first start and kept in the data directory: decoys and stable
/// resources must not change with a restart. A node without a lasting store makes new ones.
fn secret(config: &Config, name: &str) -> Result<[u8; SECRET_BYTES], WiringError> {
    let file = config.server.data_dir.join(format!("{name}.secret"));
    if let Ok(found) = std::fs::read(&file) {
        return found.try_into().map_err(|_| {
            let file = file.display();
            WiringError::Setting(format!("{file} should hold {SECRET_BYTES} bytes; delete it"))
        });
    }
    let mut secret = [0u8; SECRET_BYTES];
    rand::fill(&mut secret)
        .map_err(|_| WiringError::Setting("the system gives no random bytes".into()))?;
    crate::certificates::write_private(&file, &secret)
        .map_err(|error| WiringError::Setting(error.to_string()))?;
    Ok(secret)
}

fn features(registry: &Registry) -> Bytes {
    let mut features = Vec::new();
    for feature in registry.stream_features() {
        feature.write_to(&mut features, ns::CLIENT);
    }
    Bytes::from(features)
}

/// What extensions are configured with.
pub(super) fn extensions(config: &Config) -> Slots {
    let uris = |list: &[ContactUri]| list.iter().map(ToString::to_string).collect();
    let Config { contacts, limits, .. } = config;
    let mut slots = Slots::default();
    slots.set(contact::Config {
        abuse: uris(&contacts.abuse),
        admin: uris(&contacts.admin),
        feedback: uris(&contacts.feedback),
        sales: uris(&contacts.sales),
        security: uris(&contacts.security),
        status: uris(&contacts.status),
        support: uris(&contacts.support),
    });
    let admins = config.server.admins.iter().map(|admin| admin.jid().clone()).collect();
    slots.set(commands::Config { admins });
    slots.set(jackdaw_im::Config { roster_items_max: limits.roster_items_max as usize });
    slots.set(blocking::Config { items_max: limits.blocklist_items_max as usize });
    slots.set(private_storage::Config {
        bytes_max: limits.private_bytes_max as usize,
        ..private_storage::Config::default()
    });
    slots.set(vcard::Config { bytes_max: limits.vcard_bytes_max as usize });
    slots
}
