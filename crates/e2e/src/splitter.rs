//! Cuts the server's bytes into the pieces of a stream (RFC 6120 §4.2).
//!
//! Simple on purpose: no stanza here is large, and the server's own framer must not judge itself.

/// A piece of a stream, as bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// `<stream:stream …>`, an open tag.
    Header(Vec<u8>),
    /// A top-level element.
    Element(Vec<u8>),
    /// `</stream:stream>`.
    End,
}

/// Takes the first complete piece off `buffer`. White space between pieces is dropped (§4.6.1).
pub fn split_off(buffer: &mut Vec<u8>) -> Option<Piece> {
    let blank = buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    buffer.drain(..blank);
    if buffer.starts_with(b"<?") {
        let end = find(buffer, b"?>", 0)?;
        buffer.drain(..end);
        return split_off(buffer);
    }
    if buffer.starts_with(b"</") {
        let end = find(buffer, b">", 0)?;
        buffer.drain(..end);
        return Some(Piece::End);
    }
    if buffer.starts_with(b"<stream:stream") {
        let end = tag_end(buffer, 0)?;
        return Some(Piece::Header(buffer.drain(..end).collect()));
    }
    let end = element_end(buffer)?;
    Some(Piece::Element(buffer.drain(..end).collect()))
}

/// The offset behind the first `needle` at or after `from`.
fn find(bytes: &[u8], needle: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    let at = rest.windows(needle.len()).position(|window| window == needle)?;
    Some(from + at + needle.len())
}

/// The offset behind the `>` that ends the tag at `from`, which may contain `>` in quotes.
fn tag_end(bytes: &[u8], from: usize) -> Option<usize> {
    let mut quote = None;
    for (offset, &byte) in bytes.iter().enumerate().skip(from) {
        match (quote, byte) {
            (None, b'>') => return Some(offset + 1),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), byte) if open == byte => quote = None,
            _ => {}
        }
    }
    None
}

fn element_end(bytes: &[u8]) -> Option<usize> {
    let mut depth = 0usize;
    let mut at = 0;
    loop {
        // Behind the first tag there may be text; before it is nothing.
        at += bytes.get(at..)?.iter().position(|&byte| byte == b'<')?;
        let rest = &bytes[at..];
        if rest.starts_with(b"<![CDATA[") {
            at = find(bytes, b"]]>", at)?;
            continue;
        }
        // Which of the two it is cannot be told before this byte has come.
        if rest.len() < b"<![CDATA[".len() && b"<![CDATA[".starts_with(rest) {
            return None;
        }
        let end = tag_end(bytes, at)?;
        match (rest[1], bytes[end - 2]) {
            (b'/', _) => depth = depth.saturating_sub(1),
            (_, b'/') => {}
            _ => depth += 1,
        }
        at = end;
        if depth == 0 {
            return Some(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "<?xml version='1.0'?><stream:stream id='>' xmlns='jabber:client'> \n\
        <a><b x='/>'/>t<![CDATA[</a>]]></a><c/></stream:stream>";

    fn pieces(chunks: impl Iterator<Item = Vec<u8>>) -> Vec<Piece> {
        let mut buffer = Vec::new();
        let mut pieces = Vec::new();
        for chunk in chunks {
            buffer.extend(chunk);
            while let Some(piece) = split_off(&mut buffer) {
                pieces.push(piece);
            }
        }
        assert!(buffer.is_empty(), "left over: {buffer:?}");
        pieces
    }

    #[test]
    fn any_cut_of_the_bytes_gives_the_same_pieces() {
        let whole = pieces(std::iter::once(STREAM.as_bytes().to_vec()));
        assert_eq!(whole.len(), 4);
        assert_eq!(whole[1], Piece::Element(b"<a><b x='/>'/>t<![CDATA[</a>]]></a>".to_vec()));
        for cut in 1..STREAM.len() {
            let (left, right) = STREAM.as_bytes().split_at(cut);
            assert_eq!(pieces([left.to_vec(), right.to_vec()].into_iter()), whole, "cut at {cut}");
        }
    }
}
