//! Cutting what a login needs out of a stanza, without a parser: the server is trusted to write
//! XML, and the framer has found where the element ends.

use memchr::memmem;

/// The name of the element, without its prefix.
pub fn name(element: &[u8]) -> &[u8] {
    let rest = element.get(1..).unwrap_or_default();
    let end = rest.iter().position(|byte| b" />\t\r\n".contains(byte)).unwrap_or(rest.len());
    let name = &rest[..end];
    match memchr::memchr(b':', name) {
        Some(colon) => &name[colon + 1..],
        None => name,
    }
}

/// The text directly behind the first start tag called `tag` (written without a prefix).
pub fn text<'a>(element: &'a [u8], tag: &str) -> Option<&'a [u8]> {
    let mut from = 0;
    loop {
        let at = from + memmem::find(element.get(from..)?, tag.as_bytes())?;
        from = at + tag.len();
        if element.get(at.checked_sub(1)?) == Some(&b'<') {
            let open = from + memchr::memchr(b'>', &element[from..])?;
            let close = open + 1 + memchr::memchr(b'<', &element[open + 1..])?;
            return Some(&element[open + 1..close]);
        }
    }
}

/// The value of the first attribute called `attribute`, of whatever element has it.
pub fn attribute<'a>(element: &'a [u8], attribute: &str) -> Option<&'a [u8]> {
    let mut from = 0;
    loop {
        let at = from + memmem::find(element.get(from..)?, attribute.as_bytes())?;
        from = at + attribute.len();
        let before = element.get(at.checked_sub(1)?)?;
        if before.is_ascii_whitespace() && element.get(from) == Some(&b'=') {
            let quote = *element.get(from + 1)?;
            let value = element.get(from + 2..)?;
            return value.get(..memchr::memchr(quote, value)?);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_without_prefix_and_texts_from_any_depth() {
        assert_eq!(name(b"<stream:features/>"), b"features");
        assert_eq!(name(b"<iq type='result'>"), b"iq");
        let bound = b"<iq id='b'><bind xmlns='x'><jid>a@b/c</jid></bind></iq>";
        assert_eq!(text(bound, "jid"), Some(b"a@b/c".as_slice()));
        assert_eq!(text(bound, "token"), None);
    }

    #[test]
    fn attributes_are_told_from_texts_that_look_like_them() {
        let token = b"<token xmlns='urn:xmpp:fast:0' expiry='now' token=\"secret\"/>";
        assert_eq!(attribute(token, "token"), Some(b"secret".as_slice()));
        assert_eq!(attribute(b"<a><b>x=y</b></a>", "x"), None);
        assert_eq!(attribute(b"<a x='1", "x"), None);
    }
}
