//! The one account that exists, and what a driver finds out about it.

use std::num::NonZeroU32;
use std::sync::{Arc, LazyLock};

use jackdaw_stream::sasl::{
    Answer, Credentials, Decoy, FastTokens, Generation, ITERATIONS_MIN, Need, Password, SALT_BYTES,
    UnixSeconds,
};

/// The domain that is served.
pub(crate) const DOMAIN: &str = "example.org";
/// The account.
pub(crate) const JULIET: &str = "juliet@example.org";

const PASSWORD: &str = "r0m30";
const GENERATION: Generation = Generation(42);
const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
const ITERATIONS: NonZeroU32 = NonZeroU32::new(ITERATIONS_MIN).expect("not zero");

/// Derived once: it takes longer than a thousand inputs.
static CREDENTIALS: LazyLock<Credentials> = LazyLock::new(|| {
    let password = Password::prepare(PASSWORD).expect("a password");
    Credentials::derive(GENERATION, &password, [3; SALT_BYTES], ITERATIONS)
});

/// Makes accounts that do not exist look like others.
pub(crate) fn decoy() -> Arc<Decoy> {
    Arc::new(Decoy::new([9; 32], ITERATIONS))
}

/// What there is to say. Passwords are compared and not derived, which fuzzing could not afford.
pub(crate) fn find_out(need: &Need) -> Answer {
    let exists = |account: &jackdaw_jid::BareJid| account.as_str() == JULIET;
    match need {
        Need::Credentials { account } => {
            Answer::Credentials(exists(account).then(|| CREDENTIALS.clone()))
        }
        Need::PasswordCheck { account, password } => {
            let is_right = Password::prepare(PASSWORD).as_ref() == Ok(password);
            Answer::PasswordChecked((is_right && exists(account)).then_some(GENERATION))
        }
        Need::FastTokens { account } => Answer::FastTokens {
            generation: exists(account).then_some(GENERATION),
            tokens: FastTokens::default(),
            now: NOW,
        },
    }
}
