//! A file of the log: made and synced at its full size before it is used, so that a commit needs
//! no room that is not there yet and its sync moves no metadata.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::record::number_at;

/// Start of a segment.
const MAGIC: [u8; 8] = *b"JDWLOG\x00\x02";

/// Where the first record begins; before it are the magic, the segment's number, and a checksum.
pub(crate) const FIRST: u64 = 64;

/// Zeros written at once when a segment is made.
const CHUNK: usize = 1 << 20;

/// An open segment.
pub(crate) struct Segment {
    pub number: u64,
    file: File,
    /// Its size.
    pub capacity: u64,
    /// Where the next record goes.
    pub end: u64,
}

/// Name of a file that is kept for the next segment.
const SPARE: &str = "spare";

/// Takes a segment out of the log, durably; its file is kept for a later one if none is.
pub(crate) fn retire(directory: &Path, number: u64) -> io::Result<()> {
    let spare = directory.join(SPARE);
    match spare.exists() {
        true => std::fs::remove_file(path(directory, number))?,
        false => std::fs::rename(path(directory, number), spare)?,
    }
    sync_directory(directory)
}

/// The file of a segment.
pub(crate) fn path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:016}.log"))
}

/// The number of a segment's file.
pub(crate) fn number_of(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?.strip_suffix(".log")?;
    if name.len() == 16 { name.parse().ok() } else { None }
}

/// Makes what was done to the names in a directory last.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

impl Segment {
    /// Makes a segment that is on disk when this returns, also by its name. The file of one that
    /// was [retired](retire) will do: what is left in it is no record of the new one.
    ///
    /// It has another name while it is made: what is under its own is whole.
    pub fn create(directory: &Path, number: u64, capacity: u64) -> io::Result<Segment> {
        let unfinished = directory.join("unfinished");
        let spare = directory.join(SPARE);
        let has_spare = std::fs::metadata(&spare).is_ok_and(|found| found.len() == capacity);
        let made = match has_spare {
            true => {
                std::fs::rename(&spare, &unfinished)?;
                Segment::adopt(&unfinished, number)
            }
            false => Segment::fill(&unfinished, number, capacity),
        };
        if made.is_err() {
            // What was written so far takes the room that others need; it may not even exist.
            let _ = std::fs::remove_file(&unfinished);
        }
        let segment = made?;
        std::fs::rename(&unfinished, path(directory, number))?;
        sync_directory(directory)?;
        Ok(segment)
    }

    fn fill(path: &Path, number: u64, capacity: u64) -> io::Result<Segment> {
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        let zeros = vec![0; CHUNK];
        let mut left = capacity;
        while left > 0 {
            let step = left.min(CHUNK as u64);
            file.write_all(&zeros[..step as usize])?;
            left -= step;
        }
        file.write_all_at(&header(number), 0)?;
        file.sync_all()?;
        Ok(Segment { number, file, capacity, end: FIRST })
    }

    fn adopt(path: &Path, number: u64) -> io::Result<Segment> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        file.write_all_at(&header(number), 0)?;
        file.sync_all()?;
        let capacity = file.metadata()?.len();
        Ok(Segment { number, file, capacity, end: FIRST })
    }

    /// Opens a segment to write on at `end`; what is behind it is overwritten with zeros.
    pub fn open(directory: &Path, number: u64, end: u64) -> io::Result<Segment> {
        let file = OpenOptions::new().read(true).write(true).open(path(directory, number))?;
        let capacity = file.metadata()?.len().max(end);
        Ok(Segment { number, file, capacity, end })
    }

    /// Overwrites everything behind the end with zeros.
    pub fn clear_behind(&self) -> io::Result<()> {
        let zeros = vec![0; CHUNK];
        let mut at = self.end;
        while at < self.capacity {
            let step = (self.capacity - at).min(CHUNK as u64);
            self.file.write_all_at(&zeros[..step as usize], at)?;
            at += step;
        }
        self.file.sync_all()
    }

    /// Whether `size` more bytes fit.
    pub fn has_room(&self, size: usize) -> bool {
        self.end + size as u64 <= self.capacity
    }

    /// Room that is left.
    pub fn room(&self) -> u64 {
        self.capacity.saturating_sub(self.end)
    }

    /// Makes it larger, on disk when this returns.
    pub fn grow(&mut self, capacity: u64) -> io::Result<()> {
        let zeros = vec![0; CHUNK];
        let mut at = self.capacity;
        while at < capacity {
            let step = (capacity - at).min(CHUNK as u64);
            self.file.write_all_at(&zeros[..step as usize], at)?;
            at += step;
        }
        self.file.sync_all()?;
        self.capacity = self.capacity.max(capacity);
        Ok(())
    }

    /// Writes a record behind the last one. After an error the next one takes its place.
    pub fn append(&mut self, record: &[u8]) -> io::Result<()> {
        self.file.write_all_at(record, self.end)?;
        self.end += record.len() as u64;
        Ok(())
    }

    /// What was appended is on disk when this returns. After an error nobody knows what is.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

fn header(number: u64) -> [u8; FIRST as usize] {
    let mut header = [0; FIRST as usize];
    header[..8].copy_from_slice(&MAGIC);
    header[8..16].copy_from_slice(&number.to_le_bytes());
    let checksum = xxh3_64_with_seed(&header[..16], number);
    header[16..24].copy_from_slice(&checksum.to_le_bytes());
    header
}

/// Whether the file begins as the segment of this number does.
pub(crate) fn has_header(bytes: &[u8], number: u64) -> bool {
    number_at::<8>(bytes, 8) == Some(number) && bytes.get(..FIRST as usize) == Some(&header(number))
}
