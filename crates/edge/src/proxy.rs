//! The PROXY protocol, versions 1 and 2: who really connected, told by the load balancer before
//! the first byte of the client (<https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// First twelve bytes of version 2 (§2.2).
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Longest version 1 line with its end (§2.1).
const LINE_BYTES_MAX: usize = 107;

/// Longest version 2 header accepted. Addresses take 36 bytes at most; the rest is for additions
/// (TLVs), which we skip. HAProxy's own certificate TLVs stay well below.
const BINARY_BYTES_MAX: usize = 16 + 2048;

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Header {
    /// The connection is the client's.
    Proxied { source: SocketAddr, destination: SocketAddr },
    /// The connection is the balancer's own (health check), or of a family it cannot name.
    Local,
}

/// The bytes are no PROXY header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Reads a header at the front of `bytes`: it and its length, or `None` if there is more to come.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Header, usize)>, Malformed> {
    let shared = bytes.len().min(SIGNATURE.len());
    if bytes[..shared] == SIGNATURE[..shared] {
        return parse_binary(bytes);
    }
    parse_line(bytes)
}

fn parse_line(bytes: &[u8]) -> Result<Option<(Header, usize)>, Malformed> {
    const START: &[u8] = b"PROXY ";
    let shared = bytes.len().min(START.len());
    if bytes[..shared] != START[..shared] {
        return Err(Malformed);
    }
    let window = &bytes[..bytes.len().min(LINE_BYTES_MAX)];
    let Some(end) = window.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() < LINE_BYTES_MAX { Ok(None) } else { Err(Malformed) };
    };
    let line = std::str::from_utf8(&bytes[START.len().min(end)..end]).map_err(|_| Malformed)?;
    Ok(Some((parse_words(line)?, end + 2)))
}

fn parse_words(line: &str) -> Result<Header, Malformed> {
    let mut words = line.split(' ');
    let family = words.next();
    if family == Some("UNKNOWN") {
        // What follows must be ignored (§2.1).
        return Ok(Header::Local);
    }
    let mut next = || words.next().ok_or(Malformed);
    let (source, destination) = (next()?, next()?);
    let (source_port, destination_port) = (port(next()?)?, port(next()?)?);
    if words.next().is_some() {
        return Err(Malformed);
    }
    let address = |text: &str| match family {
        Some("TCP4") => text.parse::<Ipv4Addr>().map(IpAddr::from).map_err(|_| Malformed),
        Some("TCP6") => text.parse::<Ipv6Addr>().map(IpAddr::from).map_err(|_| Malformed),
        _ => Err(Malformed),
    };
    Ok(Header::Proxied {
        source: SocketAddr::new(address(source)?, source_port),
        destination: SocketAddr::new(address(destination)?, destination_port),
    })
}

/// A decimal port without sign or leading zeroes (§2.1).
fn port(text: &str) -> Result<u16, Malformed> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let leading = text.len() > 1 && text.starts_with('0');
    if plain && !leading { text.parse().map_err(|_| Malformed) } else { Err(Malformed) }
}

fn parse_binary(bytes: &[u8]) -> Result<Option<(Header, usize)>, Malformed> {
    let Some((head, rest)) = bytes.split_first_chunk::<16>() else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes([head[14], head[15]]));
    if head[12] >> 4 != 2 || 16 + length > BINARY_BYTES_MAX {
        return Err(Malformed);
    }
    let Some(body) = rest.get(..length) else {
        return Ok(None);
    };
    let header = match (head[12] & 0x0f, head[13]) {
        (0, _) => Header::Local,
        (1, 0x11) => proxied::<4>(body)?,
        (1, 0x21) => proxied::<16>(body)?,
        // Datagram and UNIX sockets do not reach a TCP listener; unspecified is allowed.
        (1, 0x00) => Header::Local,
        _ => return Err(Malformed),
    };
    Ok(Some((header, 16 + length)))
}

/// Two addresses of `N` bytes and two ports.
fn proxied<const N: usize>(body: &[u8]) -> Result<Header, Malformed>
where
    IpAddr: From<[u8; N]>,
{
    let (source, rest) = body.split_first_chunk::<N>().ok_or(Malformed)?;
    let (destination, rest) = rest.split_first_chunk::<N>().ok_or(Malformed)?;
    let (ports, _) = rest.split_first_chunk::<4>().ok_or(Malformed)?;
    let [a, b, c, d] = *ports;
    Ok(Header::Proxied {
        source: SocketAddr::new((*source).into(), u16::from_be_bytes([a, b])),
        destination: SocketAddr::new((*destination).into(), u16::from_be_bytes([c, d])),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binary(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([command, family]);
        bytes.extend((body.len() as u16).to_be_bytes());
        bytes.extend(body);
        bytes
    }

    fn from(source: &str, destination: &str) -> Header {
        let parse = |text: &str| text.parse().expect("an address");
        Header::Proxied { source: parse(source), destination: parse(destination) }
    }

    #[test]
    fn headers_are_understood_at_every_split() {
        let four = [192, 0, 2, 1, 192, 0, 2, 2, 0x10, 0x00, 0x14, 0x66];
        let mut with_addition = four.to_vec();
        with_addition.extend([0x04, 0x00, 0x01, 0xff]);
        let mut six = [0; 36];
        (six[15], six[31], six[33], six[35]) = (1, 2, 3, 4);
        let table = [
            (
                b"PROXY TCP4 192.0.2.1 192.0.2.2 4096 5222\r\n".to_vec(),
                from("192.0.2.1:4096", "192.0.2.2:5222"),
            ),
            (
                b"PROXY TCP6 2001:db8::1 ::1 0 5222\r\n".to_vec(),
                from("[2001:db8::1]:0", "[::1]:5222"),
            ),
            (b"PROXY UNKNOWN\r\n".to_vec(), Header::Local),
            (b"PROXY UNKNOWN ffff:f...f ffff 65535 65535\r\n".to_vec(), Header::Local),
            (binary(0x21, 0x11, &four), from("192.0.2.1:4096", "192.0.2.2:5222")),
            (binary(0x21, 0x11, &with_addition), from("192.0.2.1:4096", "192.0.2.2:5222")),
            (binary(0x21, 0x21, &six), from("[::1]:3", "[::2]:4")),
            (binary(0x20, 0x00, &[]), Header::Local),
            (binary(0x20, 0x11, &four), Header::Local),
            (binary(0x21, 0x00, &[]), Header::Local),
        ];
        for (bytes, expected) in table {
            for split in 0..bytes.len() {
                assert_eq!(parse(&bytes[..split]), Ok(None), "{split} bytes of {bytes:?}");
            }
            assert_eq!(parse(&bytes), Ok(Some((expected, bytes.len()))));
            let mut followed = bytes.clone();
            followed.extend(b"<?xml");
            assert_eq!(parse(&followed), Ok(Some((expected, bytes.len()))));
        }
    }

    #[test]
    fn anything_else_is_malformed() {
        let table = [
            b"<?xml version='1.0'?>".to_vec(),
            b"\x16\x03\x01\x02\x00".to_vec(),
            b"PROXY TCP4 192.0.2.1 192.0.2.2 4096\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 192.0.2.2 4096 5222 1\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 192.0.2.2 4096 70000\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 192.0.2.2 +096 5222\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 192.0.2.2 04096 5222\r\n".to_vec(),
            b"PROXY TCP4 ::1 ::1 4096 5222\r\n".to_vec(),
            b"PROXY TCP6 192.0.2.1 192.0.2.2 4096 5222\r\n".to_vec(),
            b"PROXY UDP4 192.0.2.1 192.0.2.2 4096 5222\r\n".to_vec(),
            b"PROXY \r\n".to_vec(),
            b"PROXY TCP4 \xff 192.0.2.2 4096 5222\r\n".to_vec(),
            [&b"PROXY UNKNOWN "[..], &[b'x'; 100]].concat(),
            binary(0x11, 0x11, &[0; 12]),
            binary(0x22, 0x11, &[0; 12]),
            binary(0x21, 0x12, &[0; 12]),
            binary(0x21, 0x11, &[0; 11]),
            binary(0x21, 0x31, &[0; 216]),
            binary(0x21, 0x11, &[0; BINARY_BYTES_MAX]),
        ];
        for bytes in table {
            assert_eq!(parse(&bytes), Err(Malformed), "{bytes:?}");
        }
    }

    #[test]
    fn an_endless_header_is_cut_off() {
        let mut line = b"PROXY UNKNOWN ".to_vec();
        line.resize(LINE_BYTES_MAX - 1, b'x');
        assert_eq!(parse(&line), Ok(None));
        line.push(b'x');
        assert_eq!(parse(&line), Err(Malformed));
    }
}
