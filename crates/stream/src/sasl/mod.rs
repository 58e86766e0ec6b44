//! SASL, the receiving entity's side: who is at the other end of a stream.
//!
//! Owns the mechanisms, what is offered of them, and the stored form of
//! credentials and tokens. Used alike by
//! RFC 6120's SASL and by SASL2 (XEP-0388): both carry opaque messages and differ in XML only.
//!
//! Does not: XML (the stream machines write it), stores and password pools (asked for by [`Need`]),
//! random bytes and clocks (handed in), limits on attempts (the stream machines count them).
//!
//! ```text
//! SaslConfig + Channel ──offer──> Offer            advertised, and put into the Context
//! start(mechanism, initial, Context) ─> Step
//!     Step::Challenge(data, ExpectResponse)        send, wait, .respond(bytes) ─> Step
//!     Step::Need(need, ExpectAnswer)               ask,  wait, .answer(answer) ─> Step
//!     Step::Success(Success) | Step::Failure(SaslFailure)
//! ```

mod anonymous;
mod channel;
mod credentials;
mod decoy;
mod exchange;
mod external;
mod failure;
mod fast;
mod hash;
mod identity;
mod mechanism;
mod offer;
mod plain;
mod row;
mod scram;
mod scram_message;
mod secret;
mod ssdp;
mod tokens;
mod wire;

pub use channel::{Channel, ChannelBinding};
pub use credentials::{
    Credentials, Generation, ITERATIONS_DEFAULT, ITERATIONS_MAX, ITERATIONS_MIN, SALT_BYTES,
    SALT_BYTES_MAX, ScramKeys,
};
pub use decoy::Decoy;
pub use exchange::{
    Answer, Context, ExpectAnswer, ExpectResponse, NONCE_BYTES, Need, Nonce, Step, Success, start,
};
pub use failure::{SaslCondition, SaslFailure};
pub use fast::FastRequest;
pub use hash::Hash;
pub use mechanism::Mechanism;
pub use offer::{Offer, SaslConfig};
pub use row::RowError;
pub use secret::{PASSWORD_BYTES_MAX, Password, PasswordError, Secret};
pub use tokens::{FastToken, FastTokens, TOKEN_RANDOM_BYTES, TokenSlot, TokenUse, UnixSeconds};
pub use wire::{MESSAGE_BYTES_MAX, decode, encode};
