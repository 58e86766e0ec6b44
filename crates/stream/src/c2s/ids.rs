//! Identifiers nobody can guess: stream ids, resources, nonces, resumption ids (bad-inputs A13).

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fmt;

/// 32 bytes from the operating system's generator, fresh for every stream.
///
/// Everything random in a stream is `HMAC-SHA-256(seed, counter)`, so that a test repeats exactly.
#[derive(Clone)]
pub struct Seed(pub [u8; 32]);

/// Does not show the seed.
impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(..)")
    }
}

/// Random bytes in a stream id or a resource: 96 bits, and whole base64 groups.
const ID_BYTES: usize = 12;

/// Draws identifiers from a seed; no two draws are alike.
#[derive(Debug)]
pub(super) struct Ids {
    seed: Seed,
    drawn: u32,
}

impl Ids {
    pub fn new(seed: Seed) -> Ids {
        Ids { seed, drawn: 0 }
    }

    /// The next `N` random bytes, at most 32.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        const { assert!(N <= 32, "one HMAC gives 32 bytes") };
        self.drawn += 1;
        let tag = hmac_sha256(&self.seed.0, &[&self.drawn.to_be_bytes()]);
        let mut bytes = [0; N];
        bytes.copy_from_slice(&tag[..N]);
        bytes
    }

    /// A stream id (RFC 6120 §4.7.3) or a generated resource.
    pub fn text(&mut self) -> String {
        URL_SAFE_NO_PAD.encode(self.bytes::<ID_BYTES>())
    }
}

/// The end of a resource that stays the same for one client of one account (XEP-0386 §3.2.1). The
/// client's id cannot be read from it.
pub(super) fn stable_resource(secret: &[u8; 32], account: &str, tag: &str, client: &str) -> String {
    let tag = hmac_sha256(secret, &[account.as_bytes(), tag.as_bytes(), client.as_bytes()]);
    URL_SAFE_NO_PAD.encode(&tag[..ID_BYTES])
}

/// Each part is preceded by its length, so that no two lists of parts read alike.
fn hmac_sha256(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.sign().as_ref());
    bytes
}

/// Names a session for resumption (XEP-0198 §5): the number of the session, which finds it, and
/// 128 random bits, which nobody but its client knows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SmId {
    session: u64,
    secret: [u8; 16],
}

impl SmId {
    pub(super) fn new(session: u64, ids: &mut Ids) -> SmId {
        SmId { session, secret: ids.bytes() }
    }

    /// Reads the value of `previd`. What we never wrote is nothing.
    pub fn parse(text: &str) -> Option<SmId> {
        let mut bytes = [0; 24];
        let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
        SmId::from_bytes(&bytes).filter(|_| length == bytes.len())
    }

    /// The session it names; whether it is that session's id, only that session knows.
    pub fn session(&self) -> u64 {
        self.session
    }

    /// The id as it is kept in a record of its session.
    pub fn to_bytes(&self) -> [u8; 24] {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.session.to_be_bytes());
        bytes[8..].copy_from_slice(&self.secret);
        bytes
    }

    /// Reads what [`to_bytes`](SmId::to_bytes) gave.
    pub fn from_bytes(bytes: &[u8]) -> Option<SmId> {
        let (session, secret) = bytes.split_first_chunk::<8>()?;
        let secret = secret.try_into().ok()?;
        Some(SmId { session: u64::from_be_bytes(*session), secret })
    }

    /// The value of `id` and `previd`.
    pub fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.to_bytes())
    }

    /// Whether it is the same id, in a time that does not tell how much of it is right.
    pub fn is(&self, other: &SmId) -> bool {
        let secrets =
            aws_lc_rs::constant_time::verify_slices_are_equal(&self.secret, &other.secret);
        self.session == other.session && secrets.is_ok()
    }
}

/// Shows the session, not the secret: whoever knows it and the account's password may resume.
impl fmt::Debug for SmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmId").field("session", &self.session).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_differ_from_each_other_and_between_seeds() {
        let mut ids = Ids::new(Seed([1; 32]));
        let mut others = Ids::new(Seed([2; 32]));
        let drawn = [ids.text(), ids.text(), others.text(), others.text()];
        for (index, id) in drawn.iter().enumerate() {
            assert!(!drawn[..index].contains(id), "{drawn:?}");
        }
    }

    #[test]
    fn the_same_seed_draws_the_same() {
        let draw = || Ids::new(Seed([7; 32])).bytes::<18>();
        assert_eq!(draw(), draw());
    }

    #[test]
    fn a_resumption_id_parses_back_and_says_which_session() {
        let id = SmId::new(0x0102_0304_0506_0708, &mut Ids::new(Seed([3; 32])));
        let parsed = SmId::parse(&id.text()).expect("an id");
        assert!(parsed.is(&id));
        assert_eq!(parsed.session(), 0x0102_0304_0506_0708);
    }

    #[test]
    fn what_was_never_an_id_parses_to_nothing() {
        let id = SmId::new(1, &mut Ids::new(Seed([3; 32]))).text();
        for text in ["", "a", &id[1..], &format!("{id}A"), &format!("{id}AAAA"), "\u{e4}", "ä"] {
            assert_eq!(SmId::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn ids_of_two_streams_are_not_each_others() {
        let one = SmId::new(1, &mut Ids::new(Seed([3; 32])));
        let other = SmId::new(1, &mut Ids::new(Seed([4; 32])));
        assert!(!one.is(&other));
    }

    #[test]
    fn a_stable_resource_depends_on_every_part_and_on_where_it_ends() {
        let of = |account, tag, client| stable_resource(&[9; 32], account, tag, client);
        assert_eq!(of("a@b", "t", "c"), of("a@b", "t", "c"));
        assert_ne!(of("a@b", "t", "c"), of("a@b", "", "tc"));
        assert_ne!(of("a@b", "t", "c"), of("x@b", "t", "c"));
    }

    #[test]
    fn debug_output_has_no_secret() {
        let id = SmId::new(1, &mut Ids::new(Seed([3; 32])));
        assert_eq!(format!("{id:?}"), "SmId { session: 1, .. }");
        assert_eq!(format!("{:?}", Seed([3; 32])), "Seed(..)");
    }
}
