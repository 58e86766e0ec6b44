//! Row values: hand-written, versioned, checked.

use bytes::Bytes;

use crate::StoreError;

/// What can be stored as the value of a row.
///
/// The first byte of an encoding is its version, so that a later one can read what an earlier one
/// wrote. Decoding never panics: a row may have been damaged on disk.
pub trait Value: Sized + Send + Sync + 'static {
    /// The bytes of the row.
    fn encode(&self) -> Vec<u8>;

    /// Reads a row.
    fn decode(row: &[u8]) -> Result<Self, StoreError>;
}

/// Writes fields one after another.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// A row of this version.
    pub fn new(version: u8) -> Writer {
        Writer(vec![version])
    }

    /// A number.
    #[must_use]
    pub fn u64(mut self, value: u64) -> Writer {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// A small number.
    #[must_use]
    pub fn u8(mut self, value: u8) -> Writer {
        self.0.push(value);
        self
    }

    /// Bytes, their length before them. Longer than 4 GiB is cut; no row comes near.
    #[must_use]
    pub fn bytes(mut self, value: &[u8]) -> Writer {
        let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(value.get(..length as usize).unwrap_or(value));
        self
    }

    /// Text.
    #[must_use]
    pub fn text(self, value: &str) -> Writer {
        self.bytes(value.as_bytes())
    }

    /// Text that may be absent.
    #[must_use]
    pub fn optional(self, value: Option<&str>) -> Writer {
        match value {
            Some(text) => self.u8(1).text(text),
            None => self.u8(0),
        }
    }

    /// The row.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Reads the fields that a [`Writer`] wrote.
#[derive(Debug)]
pub struct Fields<'a> {
    version: u8,
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// The fields of a row.
    pub fn new(row: &'a [u8]) -> Result<Fields<'a>, StoreError> {
        let (&version, rest) = row.split_first().ok_or(StoreError::Corrupt("an empty row"))?;
        Ok(Fields { version, rest })
    }

    /// The version the row was written by.
    pub fn version(&self) -> u8 {
        self.version
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], StoreError> {
        let (taken, rest) =
            self.rest.split_at_checked(length).ok_or(StoreError::Corrupt("a row is cut off"))?;
        self.rest = rest;
        Ok(taken)
    }

    /// A number.
    pub fn u64(&mut self) -> Result<u64, StoreError> {
        let bytes = self.take(8)?.try_into();
        bytes.map(u64::from_be_bytes).map_err(|_| StoreError::Corrupt("a number"))
    }

    /// A small number.
    pub fn u8(&mut self) -> Result<u8, StoreError> {
        self.take(1).map(|bytes| bytes.first().copied().unwrap_or_default())
    }

    /// Bytes.
    pub fn bytes(&mut self) -> Result<&'a [u8], StoreError> {
        let length: [u8; 4] =
            self.take(4)?.try_into().map_err(|_| StoreError::Corrupt("a length"))?;
        self.take(u32::from_be_bytes(length) as usize)
    }

    /// Text.
    pub fn text(&mut self) -> Result<&'a str, StoreError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| StoreError::Corrupt("a text is not UTF-8"))
    }

    /// Text that may be absent.
    pub fn optional(&mut self) -> Result<Option<&'a str>, StoreError> {
        match self.u8()? {
            0 => Ok(None),
            1 => self.text().map(Some),
            _ => Err(StoreError::Corrupt("an optional field")),
        }
    }

    /// Whether everything was read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
}

impl Value for Bytes {
    fn encode(&self) -> Vec<u8> {
        let mut row = Vec::with_capacity(self.len() + 1);
        row.push(1);
        row.extend_from_slice(self);
        row
    }

    fn decode(row: &[u8]) -> Result<Bytes, StoreError> {
        match row.split_first() {
            Some((1, rest)) => Ok(Bytes::copy_from_slice(rest)),
            _ => Err(StoreError::Corrupt("bytes of an unknown version")),
        }
    }
}

impl Value for String {
    fn encode(&self) -> Vec<u8> {
        let mut row = Vec::with_capacity(self.len() + 1);
        row.push(1);
        row.extend_from_slice(self.as_bytes());
        row
    }

    fn decode(row: &[u8]) -> Result<String, StoreError> {
        let bytes = Bytes::decode(row)?;
        let text = std::str::from_utf8(&bytes);
        text.map(str::to_owned).map_err(|_| StoreError::Corrupt("a text is not UTF-8"))
    }
}

impl Value for u64 {
    fn encode(&self) -> Vec<u8> {
        Writer::new(1).u64(*self).finish()
    }

    fn decode(row: &[u8]) -> Result<u64, StoreError> {
        Fields::new(row)?.u64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_read_back_and_a_cut_row_is_corrupt() {
        let row = Writer::new(3).u64(7).optional(None).optional(Some("x")).bytes(b"yz").finish();
        let mut fields = Fields::new(&row).expect("not empty");
        assert_eq!(fields.version(), 3);
        assert_eq!(fields.u64(), Ok(7));
        assert_eq!(fields.optional(), Ok(None));
        assert_eq!(fields.optional(), Ok(Some("x")));
        assert_eq!(fields.bytes(), Ok(&b"yz"[..]));
        assert!(fields.is_empty());
        for end in 0..row.len() {
            let read = Fields::new(&row[..end]).and_then(|mut fields| {
                fields.u64()?;
                fields.optional()?;
                fields.optional()?;
                fields.bytes().map(<[u8]>::to_vec)
            });
            assert!(matches!(read, Err(StoreError::Corrupt(_))), "cut at {end}");
        }
    }
}
