//! ANONYMOUS (RFC 4505, XEP-0175): a fresh name that nobody else has.

use super::exchange::{Context, Step, Success};
use super::failure::SaslFailure;
use super::{identity, mechanism::Mechanism};

/// The most characters of trace information (RFC 4505 §2).
const TRACE_CHARACTERS_MAX: usize = 255;

/// Reads the trace, which is checked and forgotten: it is whatever the peer wants us to log.
pub(super) fn start(message: &[u8], context: &Context) -> Result<Step, SaslFailure> {
    let trace = std::str::from_utf8(message).map_err(|_| SaslFailure::malformed_request())?;
    if trace.chars().count() > TRACE_CHARACTERS_MAX {
        return Err(SaslFailure::malformed_request());
    }
    let name = format!("anonymous-{}", context.nonce.hex());
    Ok(Step::Success(Success {
        mechanism: Mechanism::Anonymous,
        account: identity::account(&name, &context.domain)?,
        generation: None,
        additional_data: None,
        token: None,
    }))
}
