//! The FAST tokens of one account and client (`<user-agent id=''/>`), and their life (XEP-0484
//! §3.5, §3.6, §5.1).
//!
//! Does not: check a client's proof (`fast.rs`), or decide when a token is due for rotation.

use super::credentials::Generation;
use super::mechanism::Mechanism;
use super::row::{Reader, RowError};
use super::secret::Secret;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Random bytes in a token: 192 bits, beyond any guessing, and whole base64 groups.
pub const TOKEN_RANDOM_BYTES: usize = 24;

/// The most bytes of a stored token's text: its length is one byte in the row.
const SECRET_BYTES_MAX: usize = u8::MAX as usize;

/// A point in time by the wall clock, in seconds since 1970. Tokens outlive processes, so theirs
/// is not a monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixSeconds(pub u64);

/// A token as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FastToken {
    /// The text in the attribute `token`, which is the key as it stands.
    pub secret: Secret,
    /// The mechanism it was requested for; no other accepts it (§3.4).
    pub mechanism: Mechanism,
    /// The account it was given to. A later account of that name has another generation.
    pub generation: Generation,
    /// When it ends to be good.
    pub expires_at: UnixSeconds,
    /// The highest `count` it was used with.
    pub count: u32,
}

impl FastToken {
    /// A new token for the mechanism the client asked for, which must be one of
    /// [`Offer::fast`](super::Offer::fast).
    ///
    /// `random` comes from the operating system's generator. The text's scheme lets scanners
    /// recognise leaked tokens (RFC 8959).
    pub fn new(
        random: [u8; TOKEN_RANDOM_BYTES],
        mechanism: Mechanism,
        generation: Generation,
        expires_at: UnixSeconds,
    ) -> FastToken {
        let secret = format!("secret-token:fast-{}", URL_SAFE_NO_PAD.encode(random));
        FastToken { secret: Secret::new(secret), mechanism, generation, expires_at, count: 0 }
    }
}

/// Which of a client's two tokens it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenSlot {
    /// The one issued last, which by its use becomes the current one.
    New,
    /// The one in use.
    Current,
}

/// What a login with a token changed about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenUse {
    /// The token that was right.
    pub slot: TokenSlot,
    /// Its new highest count.
    pub count: u32,
    /// When it ends to be good.
    pub expires_at: UnixSeconds,
    /// Whether there is anything to write down. A token that was used before, by a client that does
    /// not count, stays as it is.
    pub is_news: bool,
}

/// The two tokens a client can have (§5.1), and the row they are stored as.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FastTokens {
    /// Issued last, and not used so far.
    pub new: Option<FastToken>,
    /// Used before.
    pub current: Option<FastToken>,
}

impl FastTokens {
    /// Takes in a fresh token. One that was issued before and never used ends thereby (§3.5).
    pub fn issue(&mut self, token: FastToken) {
        self.new = Some(token);
    }

    /// Writes down a login. The use of a new token ends the one before it.
    pub fn record(&mut self, used: TokenUse) {
        if used.slot == TokenSlot::New {
            self.current = self.new.take();
        }
        if let Some(token) = &mut self.current {
            token.count = used.count;
        }
    }

    /// The client logs out (§3.6). Its unused token ends as well: whoever asks to be forgotten
    /// does not want a key left behind.
    pub fn invalidate(&mut self) {
        *self = FastTokens::default();
    }

    /// The row to store.
    ///
    /// `version, then per slot, new first: presence (0 or 1), generation (8), expiry (8),
    /// count (4), length and name of the mechanism, length and text of the token`, big-endian.
    pub fn encode(&self) -> Vec<u8> {
        let mut row = vec![VERSION];
        for slot in [&self.new, &self.current] {
            row.push(u8::from(slot.is_some()));
            let Some(token) = slot else { continue };
            row.extend(token.generation.0.to_be_bytes());
            row.extend(token.expires_at.0.to_be_bytes());
            row.extend(token.count.to_be_bytes());
            push_text(&mut row, token.mechanism.name());
            push_text(&mut row, token.secret.reveal());
        }
        row
    }

    /// Reads a stored row back.
    pub fn decode(row: &[u8]) -> Result<FastTokens, RowError> {
        let mut rest = Reader::new(row, VERSION)?;
        let tokens = FastTokens { new: decode_slot(&mut rest)?, current: decode_slot(&mut rest)? };
        if rest.is_empty() { Ok(tokens) } else { Err(RowError::Malformed) }
    }
}

/// The version this code writes. A new layout gets a new one, and the old stays readable.
const VERSION: u8 = 1;

fn push_text(row: &mut Vec<u8>, text: &str) {
    debug_assert!(text.len() <= SECRET_BYTES_MAX, "tokens are made by FastToken::new");
    row.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
    row.extend(text.bytes().take(SECRET_BYTES_MAX));
}

fn decode_slot(rest: &mut Reader<'_>) -> Result<Option<FastToken>, RowError> {
    match rest.byte()? {
        0 => Ok(None),
        1 => decode_token(rest).map(Some),
        _ => Err(RowError::Malformed),
    }
}

fn decode_token(rest: &mut Reader<'_>) -> Result<FastToken, RowError> {
    let generation = Generation(u64::from_be_bytes(rest.array()?));
    let expires_at = UnixSeconds(u64::from_be_bytes(rest.array()?));
    let count = u32::from_be_bytes(rest.array()?);
    let mechanism = Mechanism::parse(rest.text()?)
        .filter(|mechanism| mechanism.is_fast())
        .ok_or(RowError::Malformed)?;
    // An empty key would let everybody in.
    let secret = Some(rest.text()?).filter(|text| !text.is_empty()).ok_or(RowError::Malformed)?;
    let secret = Secret::new(secret.to_owned());
    Ok(FastToken { secret, mechanism, generation, expires_at, count })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(random: u8) -> FastToken {
        FastToken::new(
            [random; TOKEN_RANDOM_BYTES],
            Mechanism::HtSha256Expr,
            Generation(7),
            UnixSeconds(1_700_000_000),
        )
    }

    fn used(slot: TokenSlot, count: u32) -> TokenUse {
        TokenUse { slot, count, expires_at: token(0).expires_at, is_news: true }
    }

    fn both() -> FastTokens {
        FastTokens { new: Some(token(2)), current: Some(token(1)) }
    }

    #[test]
    fn a_token_has_at_least_128_random_bits_and_a_recognisable_form() {
        const { assert!(TOKEN_RANDOM_BYTES * 8 >= 128) };
        assert_eq!(token(0).secret.reveal(), "secret-token:fast-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
        assert_ne!(token(0).secret, token(1).secret);
    }

    #[test]
    fn a_new_token_does_not_end_the_current_one_until_it_is_used() {
        let mut tokens = FastTokens { new: None, current: Some(token(1)) };
        tokens.issue(token(2));
        assert_eq!(tokens, both());
        tokens.record(used(TokenSlot::Current, 3));
        assert_eq!(tokens.new, Some(token(2)));
        assert_eq!(tokens.current, Some(FastToken { count: 3, ..token(1) }));
        tokens.record(used(TokenSlot::New, 1));
        assert_eq!(
            tokens,
            FastTokens { new: None, current: Some(FastToken { count: 1, ..token(2) }) }
        );
    }

    #[test]
    fn a_new_token_ends_one_that_was_never_used() {
        let mut tokens = both();
        tokens.issue(token(3));
        assert_eq!(tokens, FastTokens { new: Some(token(3)), current: Some(token(1)) });
    }

    #[test]
    fn a_logged_out_client_has_no_token() {
        let mut tokens = both();
        tokens.invalidate();
        assert_eq!(tokens, FastTokens::default());
    }

    #[test]
    fn a_row_reads_back() {
        let only_current = FastTokens { new: None, ..both() };
        for tokens in [both(), only_current, FastTokens::default()] {
            assert_eq!(FastTokens::decode(&tokens.encode()), Ok(tokens));
        }
    }

    // What is on disk must stay readable: change VERSION with the layout.
    #[test]
    fn the_layout_of_a_row_is_fixed() {
        assert_eq!(FastTokens::default().encode(), [1, 0, 0]);
        let row = FastTokens { new: Some(token(0)), current: None }.encode();
        assert!(
            row.starts_with(b"\x01\x01\0\0\0\0\0\0\0\x07\0\0\0\0\x65\x53\xf1\0\0\0\0\0\x0fHT-")
        );
    }

    #[test]
    fn a_row_that_is_cut_or_longer_or_has_no_key_is_refused() {
        let row = both().encode();
        for end in 0..row.len() {
            assert_eq!(FastTokens::decode(&row[..end]), Err(RowError::Malformed), "{end}");
        }
        assert_eq!(FastTokens::decode(&[row, vec![0]].concat()), Err(RowError::Malformed));
        assert_eq!(FastTokens::decode(&[9, 0, 0]), Err(RowError::Version(9)));
        assert_eq!(FastTokens::decode(&[1, 2, 0]), Err(RowError::Malformed));
        let no_key = FastToken { secret: Secret::new(String::new()), ..token(1) };
        let row = FastTokens { new: Some(no_key), current: None }.encode();
        assert_eq!(FastTokens::decode(&row), Err(RowError::Malformed));
        let no_token_mechanism = FastToken { mechanism: Mechanism::Plain, ..token(1) };
        let row = FastTokens { new: Some(no_token_mechanism), current: None }.encode();
        assert_eq!(FastTokens::decode(&row), Err(RowError::Malformed));
    }
}
