//! Reading the log at a start: what is in it, where it ends, and whether that is where it ended.
//!
//! Records are numbered without a gap through all segments. Where the next one is missing, either
//! nobody was promised it (the tail of a write that a crash tore), or it was on disk once and is
//! not any more. The latter is damage, and nobody starts on it: some later record says that it had
//! been synced, or the witness does.

use std::path::{Path, PathBuf};

use jackdaw_store::StoreError;

use super::record::{ALIGNMENT, HEADER, LoggedRow, Record, stamp};
use super::segment::{FIRST, has_header, number_of};
use super::witness;

/// How far ahead of the expected record a survivor's number may be: more groups than fit between
/// two syncs. Everything else is not looked at twice.
const AHEAD_MAX: u64 = 1 << 24;

/// What is found, in order.
pub(crate) enum Found<'a> {
    /// A row of group `number`.
    Row { row: LoggedRow<'a>, sequence: u64 },
    /// The end of a segment behind which another one has records. `number` is that of its last
    /// group.
    SegmentEnd { segment: u64, number: u64, sequence: u64 },
}

/// The log as it was found.
#[derive(Debug)]
pub(crate) struct Replayed {
    /// The segment to write on in, and where.
    pub segment: u64,
    pub end: u64,
    /// The last group; that of the tree if there are no records.
    pub number: u64,
    /// The greatest sequence number of a row.
    pub sequence: u64,
    /// Whether there is a group behind the end that nobody was promised and that would be taken for
    /// one once the gap before it is filled: to be overwritten.
    pub is_torn: bool,
    /// Segments behind the one to write on in. They hold nothing that counts.
    pub later: Vec<u64>,
}

/// Reads the segments in `directory`; groups up to `flushed` are in the tree's tables.
pub(crate) fn replay(
    directory: &Path,
    flushed: u64,
    found: &mut dyn FnMut(Found<'_>),
) -> Result<Replayed, StoreError> {
    let segments = segments(directory)?;
    let mut reading = Reading {
        segments: &segments,
        flushed,
        next: None,
        replayed: Replayed {
            segment: 0,
            end: FIRST,
            number: flushed,
            sequence: 0,
            is_torn: false,
            later: Vec::new(),
        },
    };
    reading.run(directory, found)?;
    Ok(reading.replayed)
}

/// Numbers and files of the segments, oldest first.
pub(crate) fn segments(directory: &Path) -> Result<Vec<(u64, PathBuf)>, StoreError> {
    let mut segments = Vec::new();
    let entries = std::fs::read_dir(directory).map_err(|error| unreadable(directory, &error))?;
    for entry in entries {
        let path = entry.map_err(|error| unreadable(directory, &error))?.path();
        if let Some(number) = number_of(&path) {
            segments.push((number, path));
        }
    }
    segments.sort_unstable();
    Ok(segments)
}

struct Reading<'a> {
    segments: &'a [(u64, PathBuf)],
    flushed: u64,
    /// The number of the record that has to come; any that is not too late if none was seen.
    next: Option<u64>,
    replayed: Replayed,
}

impl Reading<'_> {
    fn run(
        &mut self,
        directory: &Path,
        found: &mut dyn FnMut(Found<'_>),
    ) -> Result<(), StoreError> {
        let Some((first, _)) = self.segments.first() else {
            return Err(damaged(directory, "there is no segment of the log in it".into()));
        };
        self.replayed.segment = *first;
        for (number, path) in self.segments {
            let bytes = std::fs::read(path).map_err(|error| unreadable(path, &error))?;
            let begins = has_header(&bytes, *number);
            if !begins && self.survivor(&bytes, *number).is_some() {
                return Err(damaged(path, "its header does not read".into()));
            }
            if begins && self.read_segment(*number, path, &bytes, found)? {
                continue;
            }
            break;
        }
        self.judge_end(directory)
    }

    /// Reads the records of a segment. False: it holds none that could follow.
    fn read_segment(
        &mut self,
        number: u64,
        path: &Path,
        bytes: &[u8],
        found: &mut dyn FnMut(Found<'_>),
    ) -> Result<bool, StoreError> {
        let mut at = FIRST as usize;
        while let Some(record) = bytes.get(at..).and_then(|rest| Record::read(rest, number)) {
            let stamp = record.stamp;
            let is_next = match self.next {
                Some(next) => stamp.number == next,
                None if stamp.number > self.flushed + 1 => {
                    let text = format!(
                        "group {} is missing: the log begins with {}",
                        self.flushed + 1,
                        stamp.number
                    );
                    return Err(damaged(path, text));
                }
                None => true,
            };
            if !is_next {
                break;
            }
            if at == FIRST as usize && self.replayed.segment != number {
                let end = Found::SegmentEnd {
                    segment: self.replayed.segment,
                    number: self.replayed.number,
                    sequence: self.replayed.sequence,
                };
                found(end);
            }
            at += record.size();
            self.next = Some(stamp.number + 1);
            self.replayed.segment = number;
            self.replayed.end = at as u64;
            self.replayed.number = self.replayed.number.max(stamp.number);
            if stamp.number > self.flushed {
                self.replayed.sequence = self.replayed.sequence.max(stamp.sequence);
                deliver(&record, path, found)?;
            }
        }
        Ok(at > FIRST as usize)
    }

    /// Judges the end that was found.
    fn judge_end(&mut self, directory: &Path) -> Result<(), StoreError> {
        let next = self.replayed.number + 1;
        let place = self.segments.iter().position(|(n, _)| *n == self.replayed.segment);
        let place = place.unwrap_or_default();
        for (number, path) in &self.segments[place..] {
            let bytes = std::fs::read(path).map_err(|error| unreadable(path, &error))?;
            let is_last = *number == self.replayed.segment;
            let from = if is_last { self.replayed.end as usize } else { FIRST as usize };
            let behind = bytes.get(from..).unwrap_or_default();
            if let Some(synced) = self.survivor(behind, *number) {
                if synced >= next {
                    let (_, end) = &self.segments[place];
                    return Err(self.hole(end, synced));
                }
                self.replayed.is_torn = true;
            }
            if !is_last {
                self.replayed.later.push(*number);
            }
        }
        let witnessed = witness::read(directory);
        if witnessed >= next {
            return Err(self.hole(&self.segments[place].1, witnessed));
        }
        Ok(())
    }

    fn hole(&self, path: &Path, synced: u64) -> StoreError {
        let Replayed { end, number, .. } = &self.replayed;
        damaged(path, format!("groups {} to {synced} were on disk behind byte {end}", number + 1))
    }

    /// Looks for a whole record of a later group. Returns up to which group the latest of them says
    /// that everything was on disk.
    fn survivor(&self, bytes: &[u8], segment: u64) -> Option<u64> {
        let next = self.replayed.number + 1;
        let mut synced = None;
        let mut at = 0;
        while at + HEADER <= bytes.len() {
            let rest = &bytes[at..];
            let is_ahead = stamp(rest).is_some_and(|stamp| {
                stamp.number >= next
                    && stamp.number - next < AHEAD_MAX
                    && stamp.synced <= stamp.number
            });
            match is_ahead.then(|| Record::read(rest, segment)).flatten() {
                Some(record) => {
                    synced = synced.max(Some(record.stamp.synced));
                    at += record.size();
                }
                None => at += ALIGNMENT,
            }
        }
        synced
    }
}

fn deliver(
    record: &Record<'_>,
    path: &Path,
    found: &mut dyn FnMut(Found<'_>),
) -> Result<(), StoreError> {
    for row in record.rows() {
        let Some(row) = row else {
            return Err(damaged(path, format!("group {} does not read", record.stamp.number)));
        };
        found(Found::Row { row, sequence: record.stamp.sequence });
    }
    Ok(())
}

/// A file that is not what it was.
pub(crate) fn damaged(path: &Path, what: String) -> StoreError {
    StoreError::Damaged { file: path.display().to_string(), what }
}

/// A file that the kernel does not let us read.
pub(crate) fn unreadable(path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Failed(format!("{}: {error}", path.display()))
}
