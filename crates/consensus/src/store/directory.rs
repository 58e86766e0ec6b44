//! Opening the directory: nothing else uses it, it is whole, and it is whose it should be.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use redb::{Builder, Database};

use super::StoreError;
use super::file::{CountedFile, Syncs};
use super::rows::{Fact, Rows};
use super::witness::Witness;
use crate::node::{DirectoryId, Identity};

/// Format of the tables and of what is in them.
const FORMAT: u32 = 1;

/// What redb may keep in memory. A log between two snapshots is smaller.
const CACHE_BYTES: usize = 8 << 20;

/// The open directory of a node. Clones are the same directory; it is locked until the last is
/// gone.
#[derive(Clone, Debug)]
pub struct Directory {
    pub(crate) rows: Arc<Rows>,
    id: DirectoryId,
    _lock: Arc<File>,
}

impl Directory {
    /// Opens the directory, or makes it.
    ///
    /// `id` is the name of a new directory, random and never used before; an old one keeps the name
    /// it has. Every page of an old one is read and its checksum compared. May block.
    pub fn open(path: &Path, id: DirectoryId) -> Result<Directory, StoreError> {
        fs::create_dir_all(path).map_err(|error| StoreError::system(path, error))?;
        let lock = Arc::new(lock(&path.join("lock"))?);
        let file = path.join("log.redb");
        let exists = file.try_exists().map_err(|error| StoreError::system(&file, error))?;
        let rows = if exists { open(path, &file)? } else { create(path, &file, id)? };
        let id = rows.read_fact(Fact::Directory)?.and_then(|bytes| DirectoryId::from_bytes(&bytes));
        let id = id.ok_or_else(|| StoreError::damaged(&file, "it has no name"))?;
        Ok(Directory { rows: Arc::new(rows), id, _lock: lock })
    }

    /// The name of the directory. It goes with the data: an empty directory has another one.
    pub fn id(&self) -> DirectoryId {
        self.id
    }

    /// Which node of which cluster this is, once it is one.
    pub fn identity(&self) -> Result<Option<Identity>, StoreError> {
        let bytes = self.rows.read_fact(Fact::Identity)?;
        let damaged = || StoreError::damaged(self.rows.path(), "its identity does not read");
        bytes.map(|bytes| Identity::from_bytes(&bytes).ok_or_else(damaged)).transpose()
    }

    /// Makes this the directory of one node for good. Durable when it returns; a directory that is
    /// another node's refuses.
    pub fn adopt(&self, identity: Identity) -> Result<(), StoreError> {
        match self.identity()? {
            Some(found) if found == identity => Ok(()),
            Some(found) => {
                Err(StoreError::Identity { found: found.to_string(), wanted: identity.to_string() })
            }
            None => self.rows.put_fact(Fact::Identity, &identity.to_bytes()),
        }
    }

    /// Notes of how the cluster forms ([`crate::formation`]), as they were last kept.
    pub fn notes(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.rows.read_fact(Fact::Formation)
    }

    /// Keeps such notes. Durable when it returns.
    pub fn keep_notes(&self, notes: &[u8]) -> Result<(), StoreError> {
        self.rows.put_fact(Fact::Formation, notes)
    }

    /// How often its file was made durable since it was opened.
    pub fn syncs(&self) -> u64 {
        self.rows.syncs().count()
    }
}

fn lock(path: &Path) -> Result<File, StoreError> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(path);
    let file = file.map_err(|error| StoreError::system(path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked(path.display().to_string())),
        Err(TryLockError::Error(error)) => Err(StoreError::system(path, error)),
    }
}

fn database(path: &Path, file: File, syncs: &Arc<Syncs>) -> Result<Database, StoreError> {
    let failed = |error| StoreError::of_redb(path, error);
    let backend = CountedFile::new(file, Arc::clone(syncs)).map_err(failed)?;
    // Without the check only what is read is compared with its checksum, perhaps months later.
    Builder::new()
        .set_cache_size(CACHE_BYTES)
        .set_check_integrity_on_open(true)
        .create_with_backend(backend)
        .map_err(failed)
}

/// Opens what is there and holds it against the witness.
fn open(path: &Path, file: &Path) -> Result<Rows, StoreError> {
    let failed = |error: io::Error| StoreError::system(file, error);
    let opened = OpenOptions::new().read(true).write(true).open(file).map_err(failed)?;
    if opened.metadata().map_err(failed)?.len() == 0 {
        // redb would make a new one of it.
        return Err(StoreError::damaged(file, "it is empty"));
    }
    let syncs = Arc::new(Syncs::default());
    let database = database(file, opened, &syncs)?;
    let commits = Rows::commits_of(&database, file)?;
    let witness_path = path.join("witness");
    let exists = witness_path.try_exists().map_err(failed)?;
    let witness = if exists {
        let (witness, acknowledged) = Witness::open(&witness_path)?;
        if acknowledged > commits {
            let why = format!("it has {commits} commits, and {acknowledged} were acknowledged");
            return Err(StoreError::damaged(file, why));
        }
        witness
    } else if commits == 1 {
        // The process ended between making the one and the other; nothing was acknowledged yet.
        Witness::create(&witness_path, commits)?
    } else {
        return Err(StoreError::damaged(&witness_path, "it is missing, and there is a log"));
    };
    let rows = Rows::new(file.to_owned(), database, Mutex::new(witness), syncs);
    check_format(&rows)?;
    rows.check_order()?;
    Ok(rows)
}

/// Makes an empty log under another name, so that a start cut short leaves none.
fn create(path: &Path, file: &Path, id: DirectoryId) -> Result<Rows, StoreError> {
    let witness_path = path.join("witness");
    if witness_path.try_exists().map_err(|error| StoreError::system(path, error))? {
        return Err(StoreError::damaged(file, "it is missing, and there was one"));
    }
    let new: PathBuf = path.join("log.redb.new");
    let failed = |error: io::Error| StoreError::system(&new, error);
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&new);
    let syncs = Arc::new(Syncs::default());
    let database = database(&new, opened.map_err(failed)?, &syncs)?;
    let first = [(Fact::Directory, &id.to_bytes()[..]), (Fact::Format, &FORMAT.to_be_bytes()[..])];
    let commits = Rows::begin(&database, file, &first)?;
    fs::rename(&new, file).map_err(failed)?;
    sync_directory(path).map_err(failed)?;
    // The directory itself may be new as well.
    if let Some(parent) = path.parent() {
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        sync_directory(parent).map_err(failed)?;
    }
    let witness = Witness::create(&witness_path, commits)?;
    Ok(Rows::new(file.to_owned(), database, Mutex::new(witness), syncs))
}

fn check_format(rows: &Rows) -> Result<(), StoreError> {
    let format = rows.read_fact(Fact::Format)?;
    let found = format.and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
    match found {
        Some(FORMAT) => Ok(()),
        Some(found) => Err(StoreError::Version { found, known: FORMAT }),
        None => Err(StoreError::damaged(rows.path(), "it has no format")),
    }
}

/// Makes what was created or renamed in a directory durable.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
