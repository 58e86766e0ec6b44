//! TLS against rustls' client, on every driver and version.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use jackdaw_edge::*;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, version};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use support::*;

type Secure = StreamOwned<ClientConnection, TcpStream>;

/// A self-signed certificate: what the server needs, and what the client trusts.
struct Identity {
    certificate: Certificate,
    der: CertificateDer<'static>,
    key: Vec<u8>,
}

fn identity(name: &str) -> Identity {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
    let (pem, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    Identity {
        certificate: Certificate::from_pem(&pem, &key).expect("what was just made"),
        der: made.cert.der().clone(),
        key: made.signing_key.serialize_der(),
    }
}

const V1_2: &rustls::SupportedProtocolVersion = &version::TLS12;
const V1_3: &rustls::SupportedProtocolVersion = &version::TLS13;

struct Client<'a> {
    trusts: &'a Identity,
    version: &'static rustls::SupportedProtocolVersion,
    alpn: &'a [&'a [u8]],
    shows: Option<&'a Identity>,
}

impl<'a> Client<'a> {
    fn new(trusts: &'a Identity, version: &'static rustls::SupportedProtocolVersion) -> Client<'a> {
        Client { trusts, version, alpn: &[], shows: None }
    }

    fn over(&self, stream: TcpStream, name: &str) -> Secure {
        let mut roots = RootCertStore::empty();
        roots.add(self.trusts.der.clone()).expect("a certificate");
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[self.version])
            .expect("a version")
            .with_root_certificates(roots);
        let mut config = match self.shows {
            Some(identity) => {
                let key = PrivateKeyDer::try_from(identity.key.clone()).expect("a key");
                builder.with_client_auth_cert(vec![identity.der.clone()], key).expect("a pair")
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = self.alpn.iter().map(|name| name.to_vec()).collect();
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        let connection = ClientConnection::new(Arc::new(config), name).expect("a client");
        StreamOwned::new(connection, stream)
    }
}

fn with_tls(mut config: EdgeConfig, mode: TlsMode, settings: TlsSettings) -> EdgeConfig {
    config.listeners[0].tls = mode;
    config.tls = Some(TlsConfig::new(settings).expect("settings"));
    config
}

/// Echoes; `starttls` begins TLS; reports what the handshake established.
fn secure_echo(lab: &Lab, io: &mut LabIo<'_>, state: &mut State, event: Event<'_>) -> usize {
    match event {
        Event::Bytes(bytes) if bytes.starts_with(b"starttls") => {
            io.write(|out| out.extend_from_slice(b"proceed"));
            io.start_tls();
            8
        }
        Event::Secured(tls) => {
            lab.tell(format!(
                "{:?} sni={:?} alpn={:?} client={:?}",
                tls.version,
                tls.sni,
                tls.alpn.as_deref().map(String::from_utf8_lossy),
                tls.client_certificate.as_ref().map(|shown| (shown.chain.len(), shown.trusted)),
            ));
            lab.tell(format!("exporter {:?}", tls.exporter));
            lab.tell(format!("end point {:?}", tls.server_end_point.as_deref()));
            0
        }
        Event::Closed(reason) => {
            lab.tell(format!("closed {reason:?}"));
            0
        }
        event => echo(lab, io, state, event),
    }
}

fn talk(secure: &mut Secure, bytes: &[u8]) {
    secure.write_all(bytes).expect("the edge reads");
    expect_bytes(secure, bytes);
}

fn exporter_of(secure: &Secure) -> [u8; 32] {
    let label = b"EXPORTER-Channel-Binding";
    secure.conn.export_keying_material([0; 32], label, Some(&[])).expect("a finished handshake")
}

#[test]
fn starttls_and_direct_tls_establish_the_same_facts() {
    let identity = identity("a.example");
    for (version, name) in [(V1_2, "V1_2"), (V1_3, "V1_3")] {
        for mode in [TlsMode::StartTls, TlsMode::Direct] {
            on_every_driver(|driver| {
                let settings = TlsSettings::new(identity.certificate.clone());
                let config = with_tls(config(driver, 1), mode, settings);
                let bench = Bench::start(config, secure_echo);
                let mut stream = bench.connect();
                if mode == TlsMode::StartTls {
                    exchange(&mut stream, b"plain", b"plain");
                    exchange(&mut stream, b"starttls", b"proceed");
                }
                let client = Client { alpn: &[b"xmpp-client"], ..Client::new(&identity, version) };
                let mut secure = client.over(stream, "a.example");
                talk(&mut secure, b"hello");
                talk(&mut secure, &[b'x'; 200_000]);
                let alpn = match mode {
                    TlsMode::Direct => "Some(\"xmpp-client\")",
                    _ => "None",
                };
                let expected = format!("{name} sni=Some(\"a.example\") alpn={alpn} client=None");
                assert_eq!(bench.hear(), expected);
                let exporter = exporter_of(&secure);
                assert_eq!(bench.hear(), format!("exporter {:?}", Some(exporter)));
                let end_point = identity.certificate.server_end_point();
                assert_eq!(bench.hear(), format!("end point {end_point:?}"));
                secure.conn.send_close_notify();
                secure.flush().expect("open");
                expect_end(&mut secure);
                assert_eq!(bench.hear(), "closed PeerClosed");
                bench.stop();
            });
        }
    }
}

#[test]
fn plaintext_sent_behind_starttls_is_discarded() {
    let identity = identity("a.example");
    on_every_driver(|driver| {
        let settings = TlsSettings::new(identity.certificate.clone());
        let config = with_tls(config(driver, 1), TlsMode::StartTls, settings);
        let bench = Bench::start(config, secure_echo);
        let mut stream = bench.connect();
        exchange(&mut stream, b"starttls<iq id='injected'/>", b"proceed");
        let mut secure = Client::new(&identity, V1_3).over(stream, "a.example");
        talk(&mut secure, b"first");
        drop(secure);
        bench.stop();
    });
}

#[test]
fn the_certificate_follows_the_name_and_the_reload() {
    let (a, b, c) = (identity("a.example"), identity("b.example"), identity("b.example"));
    on_every_driver(|driver| {
        let mut settings = TlsSettings::new(a.certificate.clone());
        settings.certificates.insert("b.example".to_owned(), b.certificate.clone());
        let config = with_tls(config(driver, 1), TlsMode::Direct, settings.clone());
        let handle = config.tls.clone().expect("just set");
        let bench = Bench::start(config, secure_echo);
        let mut first = Client::new(&a, V1_3).over(bench.connect(), "a.example");
        talk(&mut first, b"a");
        let mut old = Client::new(&b, V1_3).over(bench.connect(), "B.example");
        talk(&mut old, b"b");
        settings.certificates.insert("b.example".to_owned(), c.certificate.clone());
        handle.replace(settings).expect("settings");
        let mut new = Client::new(&c, V1_2).over(bench.connect(), "b.example");
        talk(&mut new, b"c");
        talk(&mut old, b"undisturbed");
        let end_points: Vec<String> =
            bench.reports.try_iter().filter(|report| report.starts_with("end point")).collect();
        let expected = [&a, &b, &c]
            .map(|identity| format!("end point {:?}", identity.certificate.server_end_point()));
        assert_eq!(end_points, expected);
        drop((first, old, new));
        bench.stop();
    });
}

#[test]
fn client_certificates_are_handed_out_trusted_or_not() {
    let (server, trusted, stranger) =
        (identity("a.example"), identity("client.example"), identity("client.example"));
    for version in [V1_2, V1_3] {
        on_every_driver(|driver| {
            let mut settings = TlsSettings::new(server.certificate.clone());
            settings.client_authorities = Some(vec![trusted.der.clone()]);
            let config = with_tls(config(driver, 1), TlsMode::Direct, settings);
            let bench = Bench::start(config, secure_echo);
            for (shows, expected) in [
                (None, "client=None"),
                (Some(&trusted), "client=Some((1, true))"),
                (Some(&stranger), "client=Some((1, false))"),
            ] {
                let client = Client { shows, ..Client::new(&server, version) };
                let mut secure = client.over(bench.connect(), "a.example");
                talk(&mut secure, b"hello");
                let report = bench.hear();
                assert!(report.ends_with(expected), "{report}");
                assert!(bench.hear().starts_with("exporter"));
                assert!(bench.hear().starts_with("end point"));
                drop(secure);
                assert!(bench.hear().starts_with("closed"));
            }
            bench.stop();
        });
    }
}

#[test]
fn a_client_that_speaks_something_else_is_told_so_and_closed() {
    let identity = identity("a.example");
    on_every_driver(|driver| {
        let settings = TlsSettings::new(identity.certificate.clone());
        let config = with_tls(config(driver, 1), TlsMode::Direct, settings);
        let bench = Bench::start(config, secure_echo);
        let mut plain = bench.connect();
        plain.write_all(b"<?xml version='1.0'?><stream:stream>").expect("open");
        let mut got = Vec::new();
        // The alert; a reset may follow it.
        let _ = plain.read_to_end(&mut got);
        assert_eq!(got.first(), Some(&21), "an alert record: {got:?}");
        drop(plain);
        assert_eq!(bench.hear(), "closed Tls");
        let client = Client { alpn: &[b"http/1.1"], ..Client::new(&identity, V1_3) };
        let mut other = client.over(bench.connect(), "a.example");
        assert!(other.write_all(b"GET /").is_err());
        drop(other);
        assert_eq!(bench.hear(), "closed Tls");
        bench.await_stats(|total| total.tls_errors == 2);
        bench.stop();
    });
}

#[test]
fn a_handshake_that_dawdles_is_cut_off() {
    let identity = identity("a.example");
    on_every_driver(|driver| {
        let settings = TlsSettings::new(identity.certificate.clone());
        let mut config = with_tls(config(driver, 1), TlsMode::Direct, settings);
        config.limits.handshake = Duration::from_millis(80);
        let bench = Bench::start(config, secure_echo);
        let mut stream = bench.connect();
        stream.write_all(&[22, 3, 1]).expect("open");
        expect_end(&mut stream);
        assert_eq!(bench.hear(), "closed HandshakeTimeout");
        bench.stop();
    });
}

#[test]
fn a_flood_of_handshakes_is_worked_off_in_turns() {
    let identity = identity("a.example");
    on_every_driver(|driver| {
        let settings = TlsSettings::new(identity.certificate.clone());
        let mut config = with_tls(config(driver, 1), TlsMode::Direct, settings);
        config.limits.handshakes_per_turn_max = 1;
        let bench = Bench::start(config, secure_echo);
        let clients: Vec<_> = (0..40)
            .map(|_| {
                let stream = bench.connect();
                let mut secure = Client::new(&identity, V1_3).over(stream, "a.example");
                std::thread::spawn(move || talk(&mut secure, b"hello"))
            })
            .collect();
        for client in clients {
            client.join().expect("an answer");
        }
        bench.await_stats(|total| total.handshakes == 40);
        bench.stop();
    });
}

#[test]
fn a_listener_with_tls_needs_a_certificate() {
    let mut config = config(DriverChoice::Epoll, 1);
    config.listeners[0].tls = TlsMode::StartTls;
    let started = Edge::start(config, |_, _| -> Lab { unreachable!("it does not start") });
    assert!(matches!(started.err(), Some(EdgeError::NoTls { .. })));
}
