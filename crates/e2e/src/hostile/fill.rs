//! Fills in the placeholders of an input.

use crate::login::base64;

use super::stage::PASSWORD;

/// Replaces, with the addresses of who sends it (`own`) and who must not suffer (`victim`):
///
/// - `$self`, `$victim`: full addresses,
/// - `$self_bare`, `$victim_bare`: without the resource,
/// - `$VICTIM_BARE`: the same address in other letters,
/// - `$self_user`: the localpart,
/// - `$password`: the sender's,
/// - `$b64(TEXT)`: `TEXT` in base64.
pub fn fill(input: &[u8], own: &str, victim: &str) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(input) else { return input.to_vec() };
    if !text.contains('$') {
        return input.to_vec();
    }
    let bare = |jid: &str| jid.split('/').next().unwrap_or_default().to_owned();
    let user = own.split('@').next().unwrap_or_default();
    // The longer names first: `$self` begins them.
    let filled = text
        .replace("$victim_bare", &bare(victim))
        .replace("$VICTIM_BARE", &bare(victim).to_uppercase())
        .replace("$self_bare", &bare(own))
        .replace("$self_user", user)
        .replace("$victim", victim)
        .replace("$self", own)
        .replace("$password", PASSWORD);
    encode(filled).into_bytes()
}

fn encode(text: String) -> String {
    let Some((before, rest)) = text.split_once("$b64(") else { return text };
    let Some((content, after)) = rest.split_once(')') else { return text };
    format!("{before}{}{}", base64(content), encode(after.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_and_bytes_are_left_alone() {
        let filled = |input: &[u8]| fill(input, "a@b/c", "d@e/f");
        assert_eq!(filled(b"$self $self_bare $self_user"), b"a@b/c a@b a");
        assert_eq!(filled(b"$victim_bare/x $victim $VICTIM_BARE"), b"d@e/x d@e/f D@E");
        assert_eq!(filled(b"$b64($self_user) $b64(b)"), b"YQ== Yg==");
        assert_eq!(filled(b"\xff$self"), b"\xff$self");
    }
}
