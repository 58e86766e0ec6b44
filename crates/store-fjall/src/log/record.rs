//! A record: the rows of one commit group, framed so that damage cannot pass for data.
//!
//! ```text
//! checksum 8 | length 4 | zero 4 | number 8 | sequence 8 | synced 8 | payload | padding to 8
//! ```
//!
//! The checksum (XXH3) covers all that follows it and is seeded with the number of the segment, so
//! that a record left over from the file's earlier life is no record. Numbers rise by one from
//! group to group; `synced` is the number of the last group known to be on disk when this one was
//! written. Both let a reader tell a torn tail, which nobody was promised, from a hole.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Bytes before the payload.
pub(crate) const HEADER: usize = 40;

/// Records begin at multiples of this, which makes the search for survivors behind a hole cheap.
pub(crate) const ALIGNMENT: usize = 8;

/// First byte of a row that is written, and of one that is removed.
const PUT: u8 = 1;
const REMOVE: u8 = 0;

/// A row as the log has it; without a value it is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LoggedRow<'a> {
    pub key: &'a [u8],
    pub value: Option<&'a [u8]>,
}

/// The record of a group while it is put together.
#[derive(Default)]
pub(crate) struct RecordBuffer(Vec<u8>);

/// What a record says besides its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Its place among all groups ever written.
    pub number: u64,
    /// Under which sequence number its rows are in the tree.
    pub sequence: u64,
    /// The last group known to be on disk when it was written.
    pub synced: u64,
}

impl RecordBuffer {
    /// Forgets the last group.
    pub fn clear(&mut self) {
        self.0.clear();
        self.0.resize(HEADER, 0);
    }

    /// Adds a row.
    pub fn push(&mut self, row: LoggedRow<'_>) {
        let value = row.value.unwrap_or_default();
        self.0.push(if row.value.is_some() { PUT } else { REMOVE });
        self.0.extend_from_slice(&(row.key.len() as u32).to_le_bytes());
        self.0.extend_from_slice(&(value.len() as u32).to_le_bytes());
        self.0.extend_from_slice(row.key);
        self.0.extend_from_slice(value);
    }

    /// How many bytes of a segment it will take.
    pub fn size(&self) -> usize {
        self.0.len().next_multiple_of(ALIGNMENT)
    }

    /// The bytes to write into this segment.
    pub fn finish(&mut self, segment: u64, stamp: Stamp) -> &[u8] {
        let end = self.0.len();
        let length = (end - HEADER) as u32;
        self.0[8..12].copy_from_slice(&length.to_le_bytes());
        self.0[16..24].copy_from_slice(&stamp.number.to_le_bytes());
        self.0[24..32].copy_from_slice(&stamp.sequence.to_le_bytes());
        self.0[32..40].copy_from_slice(&stamp.synced.to_le_bytes());
        let checksum = xxh3_64_with_seed(&self.0[8..end], segment);
        self.0[..8].copy_from_slice(&checksum.to_le_bytes());
        self.0.resize(end.next_multiple_of(ALIGNMENT), 0);
        &self.0
    }
}

/// A record found in a segment.
pub(crate) struct Record<'a> {
    pub stamp: Stamp,
    payload: &'a [u8],
}

impl<'a> Record<'a> {
    /// The record at the beginning of `bytes`, if a whole and undamaged one is there.
    pub fn read(bytes: &'a [u8], segment: u64) -> Option<Record<'a>> {
        let stamp = stamp(bytes)?;
        let length = number_at::<4>(bytes, 8)? as usize;
        let payload = bytes.get(HEADER..)?.get(..length)?;
        let covered = bytes.get(8..HEADER + length)?;
        let checksum = number_at::<8>(bytes, 0)?;
        (xxh3_64_with_seed(covered, segment) == checksum).then_some(Record { stamp, payload })
    }

    /// How many bytes of the segment it takes.
    pub fn size(&self) -> usize {
        (HEADER + self.payload.len()).next_multiple_of(ALIGNMENT)
    }

    /// Its rows. Under a checksum that holds nothing else can be there, but nobody relies on it:
    /// what cannot be read ends the iteration with `None`.
    pub fn rows(&self) -> impl Iterator<Item = Option<LoggedRow<'a>>> + use<'a> {
        let mut rest = self.payload;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let row = split_row(&mut rest);
            if row.is_none() {
                rest = &[];
            }
            Some(row)
        })
    }
}

/// What the header at the beginning of `bytes` says, whether or not it is one.
pub(crate) fn stamp(bytes: &[u8]) -> Option<Stamp> {
    Some(Stamp {
        number: number_at::<8>(bytes, 16)?,
        sequence: number_at::<8>(bytes, 24)?,
        synced: number_at::<8>(bytes, 32)?,
    })
}

fn split_row<'a>(rest: &mut &'a [u8]) -> Option<LoggedRow<'a>> {
    let kind = *rest.first()?;
    let key_length = number_at::<4>(rest, 1)? as usize;
    let value_length = number_at::<4>(rest, 5)? as usize;
    let (key, behind) = rest.get(9..)?.split_at_checked(key_length)?;
    let (value, behind) = behind.split_at_checked(value_length)?;
    *rest = behind;
    Some(LoggedRow { key, value: (kind == PUT).then_some(value) })
}

/// The little-endian number of `N` bytes at `at`.
pub(crate) fn number_at<const N: usize>(bytes: &[u8], at: usize) -> Option<u64> {
    let mut number = [0; 8];
    number[..N].copy_from_slice(bytes.get(at..)?.get(..N)?);
    Some(u64::from_le_bytes(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { number: 7, sequence: 9, synced: 6 };

    fn record() -> Vec<u8> {
        let mut buffer = RecordBuffer::default();
        buffer.clear();
        buffer.push(LoggedRow { key: b"there", value: Some(b"value") });
        buffer.push(LoggedRow { key: b"gone", value: None });
        buffer.push(LoggedRow { key: b"empty", value: Some(b"") });
        buffer.finish(3, STAMP).to_vec()
    }

    #[test]
    fn a_record_reads_back() {
        let bytes = record();
        let record = Record::read(&bytes, 3).expect("whole");
        assert_eq!(record.stamp, STAMP);
        assert_eq!(record.size(), bytes.len());
        let rows: Vec<_> = record.rows().map(|row| row.expect("readable")).collect();
        assert_eq!(rows.len(), 3);
        assert_eq!(rows[0], LoggedRow { key: b"there", value: Some(b"value") });
        assert_eq!(rows[1], LoggedRow { key: b"gone", value: None });
        assert_eq!(rows[2], LoggedRow { key: b"empty", value: Some(b"") });
    }

    #[test]
    fn a_record_with_any_bit_changed_or_any_byte_missing_is_none() {
        let bytes = record();
        let length = number_at::<4>(&bytes, 8).expect("there") as usize + HEADER;
        for at in 0..length {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                assert!(Record::read(&damaged, 3).is_none(), "byte {at}, bit {bit}");
            }
            assert!(Record::read(&bytes[..at], 3).is_none(), "cut at {at}");
        }
        assert!(Record::read(&bytes, 4).is_none(), "of another segment");
    }
}
