//! Traffic secrets of TLS 1.3: caught from rustls, and advanced for `KeyUpdate`.

use std::cell::RefCell;

use aws_lc_rs::aead::{Algorithm, LessSafeKey, UnboundKey};
use aws_lc_rs::hkdf::{self, HKDF_SHA256, HKDF_SHA384, KeyType, Prk};
use rustls::KeyLog;

/// Longest hash of a cipher suite, SHA-384.
const SECRET_BYTES_MAX: usize = 48;

/// A traffic secret (RFC 8446 §7.1).
pub(super) struct Secret {
    bytes: [u8; SECRET_BYTES_MAX],
    length: u8,
}

impl Secret {
    fn new(secret: &[u8]) -> Option<Secret> {
        let mut bytes = [0; SECRET_BYTES_MAX];
        bytes.get_mut(..secret.len())?.copy_from_slice(secret);
        Some(Secret { bytes, length: secret.len() as u8 })
    }

    /// The next secret, and the key and initialisation vector made from it (RFC 8446 §7.2, §7.3).
    pub(super) fn advance(
        &mut self,
        algorithm: &'static Algorithm,
    ) -> Option<(LessSafeKey, [u8; 12])> {
        let length = usize::from(self.length);
        let mut next = [0; SECRET_BYTES_MAX];
        self.expand(b"tls13 traffic upd", &mut next[..length])?;
        self.bytes = next;
        let (mut key, mut iv) = ([0; 32], [0; 12]);
        let key = &mut key[..algorithm.key_len()];
        self.expand(b"tls13 key", key)?;
        self.expand(b"tls13 iv", &mut iv)?;
        let unbound = UnboundKey::new(algorithm, key).ok()?;
        wipe(key);
        wipe(&mut next);
        Some((LessSafeKey::new(unbound), iv))
    }

    /// HKDF-Expand-Label with an empty context (RFC 8446 §7.1).
    fn expand(&self, label: &[u8], out: &mut [u8]) -> Option<()> {
        struct Length(usize);
        impl KeyType for Length {
            fn len(&self) -> usize {
                self.0
            }
        }
        let hash: hkdf::Algorithm = if self.length == 48 { HKDF_SHA384 } else { HKDF_SHA256 };
        let key = Prk::new_less_safe(hash, &self.bytes[..usize::from(self.length)]);
        let length = (out.len() as u16).to_be_bytes();
        let info = [&length[..], &[label.len() as u8], label, &[0]];
        key.expand(&info, Length(out.len())).ok()?.fill(out).ok()
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        wipe(&mut self.bytes);
    }
}

/// Overwrites a secret so that the compiler does not think it pointless.
fn wipe(bytes: &mut [u8]) {
    bytes.fill(0);
    std::hint::black_box(bytes);
}

thread_local! {
    /// The secrets of the handshake that this thread is moving forward.
    static CAUGHT: RefCell<(Option<Secret>, Option<Secret>)> = const { RefCell::new((None, None)) };
}

/// Catches the traffic secrets, which rustls hands to nobody but a key log. They go no further
/// than this thread's present handshake.
#[derive(Debug)]
pub(super) struct Catch;

impl KeyLog for Catch {
    fn log(&self, label: &str, _client_random: &[u8], secret: &[u8]) {
        CAUGHT.with_borrow_mut(|(client, server)| match label {
            "CLIENT_TRAFFIC_SECRET_0" => *client = Secret::new(secret),
            "SERVER_TRAFFIC_SECRET_0" => *server = Secret::new(secret),
            _ => {}
        });
    }

    fn will_log(&self, label: &str) -> bool {
        matches!(label, "CLIENT_TRAFFIC_SECRET_0" | "SERVER_TRAFFIC_SECRET_0")
    }
}

/// What was caught since the last call.
pub(super) fn caught() -> (Option<Secret>, Option<Secret>) {
    CAUGHT.take()
}
