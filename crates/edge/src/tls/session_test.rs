//! Our record layer against rustls' client, both ways, without sockets.

use std::io::{Read, Write};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{
    ALL_VERSIONS, CipherSuite, ClientConfig, ClientConnection, HandshakeKind, RootCertStore,
    SupportedCipherSuite,
};
use rustls_pki_types::ServerName;

use super::record::HEADER_BYTES;
use super::*;

/// A client and a server with a wire between them that a test can tamper with.
struct Pair {
    client: ClientConnection,
    server: Session,
    info: Option<TlsInfo>,
    heard: Vec<u8>,
    ended: bool,
}

struct Place {
    config: TlsConfig,
    roots: RootCertStore,
}

fn place() -> Place {
    let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).expect("a pair");
    let certificate = Certificate::from_pem(&made.cert.pem(), &made.signing_key.serialize_pem());
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("a certificate");
    let settings = TlsSettings::new(certificate.expect("what was just made"));
    Place { config: TlsConfig::new(settings).expect("settings"), roots }
}

impl Place {
    fn client_config(&self, suite: SupportedCipherSuite) -> Arc<ClientConfig> {
        let provider =
            CryptoProvider { cipher_suites: vec![suite], ..aws_lc_rs::default_provider() };
        let versions: &[_] =
            if suite.tls13().is_some() { &ALL_VERSIONS[..1] } else { &ALL_VERSIONS[1..] };
        let config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)
            .expect("the suite's version")
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        Arc::new(config)
    }

    fn pair(&self, config: &Arc<ClientConfig>) -> Pair {
        let name = ServerName::try_from("a.example").expect("a name");
        let client = ClientConnection::new(Arc::clone(config), name).expect("a client");
        let server = Session::new(self.config.current(), false).expect("a server");
        Pair { client, server, info: None, heard: Vec::new(), ended: false }
    }

    /// Shaken hands.
    fn established(&self, suite: SupportedCipherSuite) -> Pair {
        let mut pair = self.pair(&self.client_config(suite));
        for _ in 0..4 {
            pair.client_speaks(usize::MAX);
            pair.server_speaks();
        }
        assert!(pair.info.is_some() && !pair.client.is_handshaking());
        pair
    }
}

impl Pair {
    fn take_wire(&mut self) -> Vec<u8> {
        let mut wire = Vec::new();
        while self.client.wants_write() {
            self.client.write_tls(&mut wire).expect("memory");
        }
        wire
    }

    fn carry(&mut self, bytes: &[u8], piece: usize) -> Result<(), Failed> {
        for piece in bytes.chunks(piece.max(1)) {
            let mut piece = piece.to_vec();
            self.server.receive(&mut piece, |received| match received {
                Received::Secured(info) => self.info = Some(info),
                Received::Plaintext(plaintext) => self.heard.extend_from_slice(plaintext),
                Received::Ended => self.ended = true,
            })?;
        }
        Ok(())
    }

    /// Carries what the client has to say, cut into pieces.
    fn client_speaks(&mut self, piece: usize) {
        let wire = self.take_wire();
        self.carry(&wire, piece).expect("good records");
    }

    /// Carries what the server has to say; returns what the client understood.
    fn server_speaks(&mut self) -> Vec<u8> {
        self.server.seal(b"").expect("keys");
        let wire = std::mem::take(&mut self.server.outgoing);
        let mut wire = &wire[..];
        let mut heard = Vec::new();
        while !wire.is_empty() {
            self.client.read_tls(&mut wire).expect("room");
            self.client.process_new_packets().expect("good records");
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = self.client.reader().read(&mut buffer) {
                heard.extend_from_slice(&buffer[..count]);
            }
        }
        heard
    }

    /// Each side says something and is understood.
    fn talk(&mut self, text: &[u8]) {
        self.client.writer().write_all(text).expect("room");
        self.heard.clear();
        self.client_speaks(usize::MAX);
        assert!(self.heard == text, "the server heard {} bytes", self.heard.len());
        self.server.seal(text).expect("keys");
        assert!(self.server_speaks() == text);
    }
}

fn suites() -> Vec<SupportedCipherSuite> {
    let suites = aws_lc_rs::default_provider().cipher_suites;
    // The certificate is ECDSA.
    suites.into_iter().filter(|suite| !format!("{:?}", suite.suite()).contains("_RSA_")).collect()
}

fn suite(wanted: CipherSuite) -> SupportedCipherSuite {
    suites().into_iter().find(|suite| suite.suite() == wanted).expect("it is supported")
}

#[test]
fn every_cipher_suite_is_spoken() {
    let place = place();
    assert_eq!(suites().len(), 6);
    for suite in suites() {
        let mut pair = place.established(suite);
        for size in [0, 1, 200, 16_384, 16_385, 50_000] {
            pair.talk(&vec![b'x'; size]);
        }
        let info = pair.info.take().expect("established");
        assert_eq!(info.cipher, suite.suite().as_str().expect("a name"));
    }
}

#[test]
fn records_are_understood_however_they_are_cut() {
    let place = place();
    for suite in suites() {
        for piece in [1, 2, 5, 7, 100, 1000] {
            let mut pair = place.pair(&place.client_config(suite));
            for _ in 0..4 {
                pair.client_speaks(piece);
                pair.server_speaks();
            }
            // Two records, so that some pieces hold the end of one and the beginning of the next.
            pair.client.writer().write_all(&[b'a'; 300]).expect("room");
            pair.client.writer().write_all(&[b'b'; 300]).expect("room");
            pair.client_speaks(piece);
            assert_eq!(pair.heard, [[b'a'; 300], [b'b'; 300]].concat());
        }
    }
}

#[test]
fn data_behind_the_last_handshake_message_is_not_lost() {
    let place = place();
    for suite in suites() {
        let mut pair = place.pair(&place.client_config(suite));
        pair.client.writer().write_all(b"early bird").expect("room");
        for _ in 0..4 {
            pair.client_speaks(usize::MAX);
            pair.server_speaks();
        }
        assert_eq!(pair.heard, b"early bird");
    }
}

#[test]
fn keys_are_updated_when_the_client_asks() {
    let place = place();
    for suite in suites().into_iter().filter(|suite| suite.tls13().is_some()) {
        let mut pair = place.established(suite);
        for _ in 0..3 {
            pair.client.refresh_traffic_keys().expect("established");
            pair.talk(b"with new keys");
        }
        // Asked for many times before the answer leaves, it is answered once.
        for _ in 0..30 {
            pair.client.refresh_traffic_keys().expect("established");
        }
        pair.client_speaks(usize::MAX);
        assert!(pair.server.has_to_say());
        pair.server.seal(b"").expect("keys");
        assert!(pair.server.outgoing.len() < 100);
        pair.talk(b"still understood");
    }
}

#[test]
fn a_worn_key_is_replaced_or_given_up() {
    let place = place();
    let mut pair = place.established(suite(CipherSuite::TLS13_AES_128_GCM_SHA256));
    pair.server.wear_out_key();
    // The client cannot follow the jump in numbers, but the update must be there.
    pair.server.seal(b"x").expect("a new key");
    assert!(pair.server.outgoing.len() > 2 * (HEADER_BYTES + 17));
    let mut pair = place.established(suite(CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256));
    pair.server.wear_out_key();
    pair.server.outgoing.clear();
    assert!(pair.server.seal(b"x").is_err());
    assert!(pair.server.outgoing.is_empty(), "TLS 1.2 has no message for it");
}

#[test]
fn records_that_carry_nothing_do_not_go_on_for_long() {
    let place = place();
    let mut pair = place.established(suite(CipherSuite::TLS13_AES_128_GCM_SHA256));
    for _ in 0..3 {
        for _ in 0..30 {
            pair.client.refresh_traffic_keys().expect("established");
        }
        // Whoever says something in between may go on.
        pair.talk(b"something");
    }
    let refused = (0..40).any(|_| {
        pair.client.refresh_traffic_keys().expect("established");
        let wire = pair.take_wire();
        pair.carry(&wire, usize::MAX).is_err()
    });
    assert!(refused);
}

#[test]
fn a_changed_record_is_refused_with_an_alert() {
    let place = place();
    for suite in suites() {
        for at in [HEADER_BYTES, HEADER_BYTES + 12, HEADER_BYTES + 30] {
            let mut pair = place.established(suite);
            pair.client.writer().write_all(b"a message to be changed").expect("room");
            let mut wire = pair.take_wire();
            wire[at] ^= 1;
            assert!(pair.carry(&wire, usize::MAX).is_err());
            assert!(pair.heard.is_empty());
            let mut alert = &pair.server.outgoing[..];
            pair.client.read_tls(&mut alert).expect("room");
            let error = pair.client.process_new_packets().expect_err("an alert");
            assert_eq!(error.to_string(), "received fatal alert: BadRecordMac");
            // Nothing gets through any more.
            assert!(pair.carry(&[23, 3, 3, 0, 1, 0], usize::MAX).is_err());
        }
    }
}

#[test]
fn replayed_reordered_and_truncated_records_are_refused() {
    let place = place();
    for suite in suites() {
        let record = |pair: &mut Pair, text: &[u8]| {
            pair.client.writer().write_all(text).expect("room");
            pair.take_wire()
        };
        let mut pair = place.established(suite);
        let once = record(&mut pair, b"once");
        pair.carry(&once, usize::MAX).expect("the first time");
        assert!(pair.carry(&once, usize::MAX).is_err(), "replayed");
        let mut pair = place.established(suite);
        let _first = record(&mut pair, b"first");
        let second = record(&mut pair, b"second");
        assert!(pair.carry(&second, usize::MAX).is_err(), "reordered");
        let mut pair = place.established(suite);
        let mut short = record(&mut pair, b"short");
        short.pop();
        short[4] -= 1;
        assert!(pair.carry(&short, usize::MAX).is_err(), "truncated");
    }
}

#[test]
fn what_is_no_record_is_refused() {
    let place = place();
    let table: [&[u8]; 6] = [
        b"<?xml version='1.0'?>",
        &[23, 3, 3, 0, 0],
        &[23, 3, 3, 0xff, 0xff, 0],
        &[20, 3, 3, 0, 1, 1],
        &[22, 3, 3, 0, 4, 1, 0, 0, 0],
        &[99, 3, 3, 0, 1, 0],
    ];
    for bytes in table {
        for suite in suites() {
            let mut pair = place.established(suite);
            assert!(pair.carry(bytes, 1).is_err(), "{bytes:?} to {suite:?}");
        }
    }
}

#[test]
fn both_sides_say_that_they_close() {
    let place = place();
    for suite in suites() {
        let mut pair = place.established(suite);
        pair.client.send_close_notify();
        pair.client_speaks(usize::MAX);
        assert!(pair.ended);
        pair.server.close();
        pair.server.close();
        let wire = std::mem::take(&mut pair.server.outgoing);
        pair.client.read_tls(&mut &wire[..]).expect("room");
        assert!(pair.client.process_new_packets().expect("one alert").peer_has_closed());
    }
}

#[test]
fn unprotected_alerts_in_a_handshake_do_not_go_on_for_long() {
    let place = place();
    for suite in suites() {
        let mut pair = place.pair(&place.client_config(suite));
        pair.client_speaks(usize::MAX);
        // `user_canceled`, which anybody could have sent.
        let refused = (0..10).any(|_| pair.carry(&[21, 3, 3, 0, 2, 1, 90], 1).is_err());
        assert!(refused && !pair.ended && pair.info.is_none(), "{suite:?}");
    }
}

#[test]
fn a_client_that_gives_up_in_the_handshake_is_not_waited_for() {
    let place = place();
    for suite in suites() {
        let mut before_hello = place.pair(&place.client_config(suite));
        let mut behind_hello = place.pair(&place.client_config(suite));
        behind_hello.client_speaks(usize::MAX);
        for pair in [&mut before_hello, &mut behind_hello] {
            // `close_notify` as a warning, byte by byte.
            pair.carry(&[21, 3, 3, 0, 2, 1, 0], 1).expect("no failure");
            assert!(pair.ended && pair.info.is_none(), "{suite:?}");
        }
    }
}

#[test]
fn sessions_are_resumed_with_tickets() {
    let place = place();
    for suite in suites() {
        let config = place.client_config(suite);
        for expected in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let mut pair = place.pair(&config);
            for _ in 0..4 {
                pair.client_speaks(usize::MAX);
                pair.server_speaks();
            }
            assert_eq!(pair.client.handshake_kind(), Some(expected), "{suite:?}");
            pair.talk(b"hello");
        }
    }
}
