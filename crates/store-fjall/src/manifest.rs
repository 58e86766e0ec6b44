//! The tree's own list of its files, and whether they are what was written.
//!
//! `rows/current` names a version and has a checksum of its file; that lists the tables, each with
//! a checksum of its own. The tree itself checks a block of a table when it reads it, and the
//! list not at all.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use jackdaw_store::StoreError;
use xxhash_rust::xxh3::Xxh3Default;

use crate::log::record::number_at;
use crate::log::replay::{damaged, unreadable};

/// Bytes read at once.
const CHUNK: usize = 1 << 20;

/// A table: its file, and the checksum of all of it.
#[derive(Clone, Debug)]
pub(crate) struct TableFile {
    pub path: PathBuf,
    pub checksum: u128,
}

/// The file of a table.
pub(crate) fn table_path(rows: &Path, id: u64) -> PathBuf {
    rows.join("tables").join(id.to_string())
}

/// Checks the list itself: an error names the file that is damaged.
pub(crate) fn check(rows: &Path) -> Result<(), StoreError> {
    let current = rows.join("current");
    let bytes = std::fs::read(&current).map_err(|error| missing(&current, &error))?;
    let version = number_at::<8>(&bytes, 0);
    let checksum = bytes.get(8..24).and_then(|bytes| bytes.try_into().ok());
    let (Some(version), Some(checksum), Some(&[0]), 25) =
        (version, checksum, bytes.get(24..), bytes.len())
    else {
        return Err(damaged(&current, "it does not read".into()));
    };
    let list = rows.join(format!("v{version}"));
    let what = match file_checksum(&list, &mut |_| {}) {
        Ok(found) if found == u128::from_le_bytes(checksum) => return Ok(()),
        Ok(_) => "they do not belong together",
        Err(error) if error.kind() == io::ErrorKind::NotFound => "the second is missing",
        Err(error) => return Err(unreadable(&list, &error)),
    };
    let file = format!("{} or {}", current.display(), list.display());
    Err(StoreError::Damaged { file, what: what.into() })
}

/// The tables of the version that `check` found to be whole.
pub(crate) fn tables(rows: &Path) -> Result<Vec<TableFile>, StoreError> {
    let current = rows.join("current");
    let bytes = std::fs::read(&current).map_err(|error| unreadable(&current, &error))?;
    let list = rows.join(format!("v{}", number_at::<8>(&bytes, 0).unwrap_or_default()));
    let unlisted = || damaged(&list, "it lists no tables".into());
    let archive = sfa::Reader::new(&list).map_err(|_| unlisted())?;
    let section = archive.toc().section(b"tables").ok_or_else(unlisted)?;
    let mut bytes = Vec::new();
    let reader = section.buf_reader(&list).map_err(|error| unreadable(&list, &error))?;
    let mut reader = reader.take(section.len());
    reader.read_to_end(&mut bytes).map_err(|error| unreadable(&list, &error))?;
    parse(&bytes, rows).ok_or_else(unlisted)
}

/// Levels, runs of a level, tables of a run: id, kind of checksum, checksum, sequence number.
fn parse(bytes: &[u8], rows: &Path) -> Option<Vec<TableFile>> {
    const ENTRY: usize = 8 + 1 + 16 + 8;
    let mut tables = Vec::new();
    let (&levels, mut rest) = bytes.split_first()?;
    for _ in 0..levels {
        let (&runs, behind) = rest.split_first()?;
        rest = behind;
        for _ in 0..runs {
            let count = number_at::<4>(rest, 0)? as usize;
            rest = rest.get(4..)?;
            for _ in 0..count {
                let (entry, behind) = rest.split_at_checked(ENTRY)?;
                let checksum = u128::from_le_bytes(entry[9..25].try_into().ok()?);
                let path = table_path(rows, number_at::<8>(entry, 0)?);
                tables.push(TableFile { path, checksum });
                rest = behind;
            }
        }
    }
    Some(tables)
}

/// Reads a whole table and compares; `read` hears of every chunk.
pub(crate) fn check_table(
    table: &TableFile,
    read: &mut dyn FnMut(usize),
) -> Result<(), StoreError> {
    match file_checksum(&table.path, read) {
        Ok(found) if found == table.checksum => Ok(()),
        Ok(_) => Err(damaged(&table.path, "its checksum does not fit".into())),
        Err(error) => Err(missing(&table.path, &error)),
    }
}

fn file_checksum(path: &Path, read: &mut dyn FnMut(usize)) -> io::Result<u128> {
    let mut file = File::open(path)?;
    let mut hasher = Xxh3Default::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hasher.digest128()),
            count => {
                hasher.update(&chunk[..count]);
                read(count);
            }
        }
    }
}

/// A file that has to be there is damage when it is not.
fn missing(path: &Path, error: &io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::NotFound => damaged(path, "it is missing".into()),
        _ => unreadable(path, error),
    }
}
