//! How entries and snapshots are written: a list of fields in order, numbers as LEB128.
//!
//! Every value has exactly one encoding, and anything else is refused, so two copies of one state
//! are the same bytes. What is read takes no more memory than a small multiple of its length.

/// Why bytes are not what they are said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum DecodeError {
    /// They end before the value does.
    #[error("the bytes end too early")]
    Truncated,
    /// There are some left behind the value.
    #[error("there are bytes behind the end")]
    Trailing,
    /// A field has a value that it cannot have, or one that is not written the shortest way.
    #[error("a field has an impossible value")]
    Value,
    /// The fields are possible, but not all of them together.
    #[error("the fields contradict each other")]
    Contradiction,
    /// A later version of the program wrote them. Features are opened only when all nodes have
    /// them, so no node that is up to date with its cluster sees this.
    #[error("format {0} is not known")]
    Format(u8),
}

/// Bytes that are being read.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, DecodeError> {
        Ok(self.bytes(1)?[0])
    }
}

/// Can be written and read back.
pub(super) trait Wire: Sized {
    fn put(&self, to: &mut Vec<u8>);
    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError>;
}

/// The whole of a value, behind the number of its format.
pub(super) fn encode(format: u8, value: &impl Wire) -> Vec<u8> {
    let mut bytes = vec![format];
    value.put(&mut bytes);
    bytes
}

/// The value that is the whole of these bytes.
pub(super) fn decode<T: Wire>(format: u8, bytes: &[u8]) -> Result<T, DecodeError> {
    let mut from = Reader(bytes);
    let found = from.byte()?;
    if found != format {
        return Err(DecodeError::Format(found));
    }
    let value = T::take(&mut from)?;
    if from.0.is_empty() { Ok(value) } else { Err(DecodeError::Trailing) }
}

/// Bits of a number in one byte of LEB128; the eighth says that more follow.
const GROUP_BITS: u32 = 7;

impl Wire for u64 {
    fn put(&self, to: &mut Vec<u8>) {
        let mut rest = *self;
        while rest >> GROUP_BITS != 0 {
            to.push(0x80 | (rest & 0x7f) as u8);
            rest >>= GROUP_BITS;
        }
        to.push(rest as u8);
    }

    fn take(from: &mut Reader<'_>) -> Result<u64, DecodeError> {
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(GROUP_BITS as usize) {
            let byte = from.byte()?;
            let group = u64::from(byte & 0x7f);
            if group << shift >> shift != group {
                return Err(DecodeError::Value);
            }
            value |= group << shift;
            if byte & 0x80 == 0 {
                // A last group of zero could have been left out.
                return if group == 0 && shift > 0 { Err(DecodeError::Value) } else { Ok(value) };
            }
        }
        Err(DecodeError::Value)
    }
}

impl Wire for u32 {
    fn put(&self, to: &mut Vec<u8>) {
        u64::from(*self).put(to);
    }

    fn take(from: &mut Reader<'_>) -> Result<u32, DecodeError> {
        u64::take(from)?.try_into().map_err(|_| DecodeError::Value)
    }
}

impl Wire for u16 {
    fn put(&self, to: &mut Vec<u8>) {
        u64::from(*self).put(to);
    }

    fn take(from: &mut Reader<'_>) -> Result<u16, DecodeError> {
        u64::take(from)?.try_into().map_err(|_| DecodeError::Value)
    }
}

impl Wire for u8 {
    fn put(&self, to: &mut Vec<u8>) {
        to.push(*self);
    }

    fn take(from: &mut Reader<'_>) -> Result<u8, DecodeError> {
        from.byte()
    }
}

impl Wire for bool {
    fn put(&self, to: &mut Vec<u8>) {
        to.push(u8::from(*self));
    }

    fn take(from: &mut Reader<'_>) -> Result<bool, DecodeError> {
        match from.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError::Value),
        }
    }
}

impl Wire for [u8; 16] {
    fn put(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(self);
    }

    fn take(from: &mut Reader<'_>) -> Result<[u8; 16], DecodeError> {
        from.bytes(16)?.try_into().map_err(|_| DecodeError::Truncated)
    }
}

impl Wire for String {
    fn put(&self, to: &mut Vec<u8>) {
        (self.len() as u64).put(to);
        to.extend_from_slice(self.as_bytes());
    }

    fn take(from: &mut Reader<'_>) -> Result<String, DecodeError> {
        let length = u64::take(from)?.try_into().map_err(|_| DecodeError::Truncated)?;
        let text = std::str::from_utf8(from.bytes(length)?).map_err(|_| DecodeError::Value)?;
        Ok(text.to_owned())
    }
}

impl<T: Wire> Wire for Option<T> {
    fn put(&self, to: &mut Vec<u8>) {
        self.is_some().put(to);
        if let Some(value) = self {
            value.put(to);
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Option<T>, DecodeError> {
        Ok(if bool::take(from)? { Some(T::take(from)?) } else { None })
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn put(&self, to: &mut Vec<u8>) {
        (self.len() as u64).put(to);
        self.iter().for_each(|item| item.put(to));
    }

    /// Makes no room for a length that was only announced: every item takes a byte at least.
    fn take(from: &mut Reader<'_>) -> Result<Vec<T>, DecodeError> {
        let count = u64::take(from)?;
        (0..count).map(|_| T::take(from)).collect()
    }
}

impl<A: Wire, B: Wire> Wire for (A, B) {
    fn put(&self, to: &mut Vec<u8>) {
        self.0.put(to);
        self.1.put(to);
    }

    fn take(from: &mut Reader<'_>) -> Result<(A, B), DecodeError> {
        Ok((A::take(from)?, B::take(from)?))
    }
}

/// A struct is its fields, in this order.
macro_rules! wire_struct {
    ($type:ident { $($field:tt),* $(,)? }) => {
        impl Wire for $type {
            fn put(&self, to: &mut Vec<u8>) {
                $(self.$field.put(to);)*
            }

            fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Ok($type { $($field: Wire::take(from)?),* })
            }
        }
    };
}

/// An enum is a byte for the variant, then the fields of that one. A byte is never used again.
macro_rules! wire_enum {
    ($type:ident { $($tag:literal = $variant:ident { $($field:tt: $name:ident),* }),* $(,)? }) => {
        impl Wire for $type {
            fn put(&self, to: &mut Vec<u8>) {
                match self {
                    $($type::$variant { $($field: $name),* } => {
                        to.push($tag);
                        $($name.put(to);)*
                    })*
                }
            }

            fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
                match u8::take(from)? {
                    $($tag => Ok($type::$variant { $($field: Wire::take(from)?),* }),)*
                    _ => Err(DecodeError::Value),
                }
            }
        }
    };
}

pub(super) use {wire_enum, wire_struct};

#[cfg(test)]
#[path = "codec_test.rs"]
mod tests;
