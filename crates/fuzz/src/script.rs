//! Inputs that are conversations: the bytes of a peer, with signs for what happens in between.

/// A piece of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// The peer sends this.
    Bytes(&'a [u8]),
    /// Something happens.
    Sign(u8),
}

/// Stands before a sign. Clients have little use for it, and it is easy to read and to type.
const MARK: u8 = b'^';

/// Cuts an input at its signs: `^` and a byte that `is_sign` knows. Any other `^` is the peer's.
pub(crate) fn pieces(input: &[u8], is_sign: fn(u8) -> bool) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = input;
    std::iter::from_fn(move || {
        if let [MARK, sign, others @ ..] = rest
            && is_sign(*sign)
        {
            rest = others;
            return Some(Piece::Sign(*sign));
        }
        let at_sign = |pair: &[u8]| matches!(pair, [MARK, sign] if is_sign(*sign));
        let length = rest.windows(2).position(at_sign).unwrap_or(rest.len());
        let (bytes, others) = rest.split_at(length);
        rest = others;
        (!bytes.is_empty()).then_some(Piece::Bytes(bytes))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &str, expected: &[Piece<'_>]) {
        let is_sign = |byte: u8| byte == b'a' || byte == b'|';
        assert_eq!(pieces(input.as_bytes(), is_sign).collect::<Vec<_>>(), expected, "{input:?}");
    }

    #[test]
    fn signs_cut_what_the_peer_sends_and_other_marks_do_not() {
        check("", &[]);
        check("ab^", &[Piece::Bytes(b"ab^")]);
        check("a^ab", &[Piece::Bytes(b"a"), Piece::Sign(b'a'), Piece::Bytes(b"b")]);
        check("^|^a", &[Piece::Sign(b'|'), Piece::Sign(b'a')]);
        check("^^a^b", &[Piece::Bytes(b"^"), Piece::Sign(b'a'), Piece::Bytes(b"^b")]);
    }
}
