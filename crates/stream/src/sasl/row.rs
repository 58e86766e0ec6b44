//! Reading stored rows: bounds checked, nothing trusted.

/// Why a stored row cannot be read. Our own trouble; a client sees `temporary-auth-failure`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// Written by a newer server, or not by this one at all.
    #[error("the row has version {0}, which this server does not know")]
    Version(u8),
    /// Cut off, out of order or out of range.
    #[error("the row is damaged")]
    Malformed,
}

/// The unread rest of a row.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Starts after the version byte, which has to be the expected one.
    pub(super) fn new(row: &'a [u8], version: u8) -> Result<Reader<'a>, RowError> {
        let mut reader = Reader(row);
        match reader.byte()? {
            found if found == version => Ok(reader),
            found => Err(RowError::Version(found)),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn take(&mut self, bytes: usize) -> Result<&'a [u8], RowError> {
        let (taken, rest) = self.0.split_at_checked(bytes).ok_or(RowError::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], RowError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(RowError::Malformed)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, RowError> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Text after its length in one byte.
    pub(super) fn text(&mut self) -> Result<&'a str, RowError> {
        let bytes = usize::from(self.byte()?);
        std::str::from_utf8(self.take(bytes)?).map_err(|_| RowError::Malformed)
    }
}
