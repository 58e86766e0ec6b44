//! How much one message may make the receiver allocate.
//!
//! Two bytes on the wire can be an entry of a hundred bytes in memory. So fields are counted before
//! anything is built of them.

use super::Malformed;

/// The longest message of a payload stream: the longest stanza that can be configured (16 MiB), and
/// a batch beside it.
pub const LINK_BYTES_MAX: usize = 17 * 1024 * 1024;

/// The longest message of the control stream, and the longest question or answer of a call.
pub const CONTROL_BYTES_MAX: usize = 1024 * 1024;

/// Fields of one message, those inside of others included. A batch of ours has some hundreds of
/// entries with ten fields each; at about 150 bytes a field this is ten megabytes.
pub const FIELDS_MAX: usize = 65_536;

/// How deep messages are in each other where there are lists: message, batch, run or frame, entry.
/// What is deeper has a fixed number of fields, and payload.
const LEVELS: u32 = 4;

/// Refuses a message with too many fields. Linear in the bytes, and allocates nothing.
pub(crate) fn check(message: &[u8]) -> Result<(), Malformed> {
    let mut left = FIELDS_MAX;
    match count(message, LEVELS, &mut left) {
        Ok(()) | Err(Stop::NoMessage) => Ok(()),
        Err(Stop::TooMany) => Err(Malformed("a message has too many fields")),
    }
}

enum Stop {
    TooMany,
    /// No fields, so it is text or payload; or protobuf that the decoder refuses at the same place.
    NoMessage,
}

fn count(mut bytes: &[u8], levels: u32, left: &mut usize) -> Result<(), Stop> {
    while !bytes.is_empty() {
        *left = left.checked_sub(1).ok_or(Stop::TooMany)?;
        let key = varint(&mut bytes)?;
        match key & 7 {
            0 => drop(varint(&mut bytes)?),
            1 => bytes = bytes.get(8..).ok_or(Stop::NoMessage)?,
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).map_err(|_| Stop::NoMessage)?;
                let (inner, rest) = bytes.split_at_checked(length).ok_or(Stop::NoMessage)?;
                bytes = rest;
                if levels > 1
                    && let Err(Stop::TooMany) = count(inner, levels - 1, left)
                {
                    return Err(Stop::TooMany);
                }
            }
            5 => bytes = bytes.get(4..).ok_or(Stop::NoMessage)?,
            _ => return Err(Stop::NoMessage),
        }
    }
    Ok(())
}

fn varint(bytes: &mut &[u8]) -> Result<u64, Stop> {
    let mut value = 0;
    for (at, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            *bytes = &bytes[at + 1..];
            return Ok(value);
        }
    }
    Err(Stop::NoMessage)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A length-delimited field with number 1.
    fn field(inner: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x0a];
        let mut length = inner.len();
        while length > 0x7f {
            bytes.push(length as u8 | 0x80);
            length >>= 7;
        }
        bytes.push(length as u8);
        bytes.extend_from_slice(inner);
        bytes
    }

    #[test]
    fn empty_fields_are_counted_at_every_level_of_lists() {
        let mut bytes = [0x0a, 0].repeat(FIELDS_MAX + 1);
        for _ in 0..LEVELS {
            assert!(check(&bytes).is_err());
            bytes = field(&bytes);
        }
        assert!(check(&bytes).is_ok(), "deeper there is payload, which is not looked into");
    }

    #[test]
    fn what_is_no_message_is_left_to_the_decoder() {
        for bytes in [&[][..], &[0x0b], &[0x0a, 5], &[0xff; 12], &[0x09, 1], &[0x0d, 1]] {
            assert!(check(bytes).is_ok(), "{bytes:?}");
        }
    }
}
