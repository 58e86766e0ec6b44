//! A mounted disk that does what disks do: fill up, fail to sync, take their time, and forget.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, LockOwner, MountOption, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate,
    ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request,
    TimeOrNow, WriteFlags,
};

use super::image::{Directory, File, Image, Node, PAGE, Refusal, Survivors};

/// Nothing may be remembered by the kernel: after a loss of power it would be wrong.
const TTL: Duration = Duration::ZERO;

/// What the disk does next.
struct State {
    image: Image,
    sync_delay: Duration,
    /// So many syncs fail.
    failing_syncs: u32,
    /// There is no power: nothing is answered but errors.
    is_off: bool,
}

/// A disk, mounted or not. Clones are the same disk.
#[derive(Clone)]
pub struct HostileDisk {
    state: Arc<Mutex<State>>,
}

/// As long as it lives, the disk is mounted.
pub struct Mounted(Option<BackgroundSession>);

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Some(session) = self.0.take()
            && let Err(error) = session.umount_and_join()
        {
            eprintln!("jackdaw-e2e: a test disk stays mounted: {error}");
        }
    }
}

impl HostileDisk {
    /// An empty disk of so many bytes.
    pub fn new(capacity: u64) -> HostileDisk {
        let state = State {
            image: Image::new(capacity),
            sync_delay: Duration::ZERO,
            failing_syncs: 0,
            is_off: false,
        };
        HostileDisk { state: Arc::new(Mutex::new(state)) }
    }

    /// Mounts it there. Needs `/dev/fuse`, and either root or `fusermount3`.
    pub fn mount(&self, at: &Path) -> io::Result<Mounted> {
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("jackdaw-hostile-disk".into())];
        fuser::spawn_mount(self.clone(), at, &config).map(|session| Mounted(Some(session)))
    }

    /// Bytes in use.
    pub fn used(&self) -> u64 {
        self.state().image.used()
    }

    /// Changes its size.
    pub fn set_capacity(&self, bytes: u64) {
        self.state().image.capacity = bytes;
    }

    /// Every sync takes so long from now on.
    pub fn set_sync_delay(&self, delay: Duration) {
        self.state().sync_delay = delay;
    }

    /// The next `count` syncs of files fail with EIO, and what they should have written is lost.
    pub fn fail_syncs(&self, count: u32) {
        self.state().failing_syncs = count;
    }

    /// Takes the power away: from here on nothing is read or written.
    pub fn switch_off(&self) {
        self.state().is_off = true;
    }

    /// Gives it back: what is there is what was synced, and what of the rest survived.
    pub fn switch_on(&self, survivors: Survivors) {
        let mut state = self.state();
        state.image.lose_power(survivors);
        state.is_off = false;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the disk's content, if it has power.
    fn with<T>(&self, act: impl FnOnce(&mut Image) -> Result<T, Refusal>) -> Result<T, Errno> {
        let mut state = self.state();
        match state.is_off {
            true => Err(Errno::EIO),
            false => act(&mut state.image).map_err(errno),
        }
    }

    fn attributes(&self, number: u64) -> Result<FileAttr, Errno> {
        self.with(|image| image.node(number).map(|node| attributes(number, node)))
    }

    /// A sync, with all that may come over it. Answers from a thread of its own, so that reads go
    /// on meanwhile, as they do from a page cache.
    fn sync(&self, number: u64, reply: ReplyEmpty) {
        let delay = {
            let mut state = self.state();
            if state.is_off {
                return reply.error(Errno::EIO);
            }
            if state.failing_syncs > 0 {
                state.failing_syncs -= 1;
                state.image.fail_sync(number);
                return reply.error(Errno::EIO);
            }
            state.sync_delay
        };
        if delay.is_zero() {
            return empty(reply, self.with(|image| image.sync(number)));
        }
        let disk = self.clone();
        std::thread::spawn(move || {
            std::thread::sleep(delay);
            empty(reply, disk.with(|image| image.sync(number)));
        });
    }
}

fn errno(refusal: Refusal) -> Errno {
    match refusal {
        Refusal::Missing => Errno::ENOENT,
        Refusal::Exists => Errno::EEXIST,
        Refusal::NoDirectory => Errno::ENOTDIR,
        Refusal::NotEmpty => Errno::ENOTEMPTY,
        Refusal::Full => Errno::ENOSPC,
        Refusal::Failed => Errno::EIO,
    }
}

fn attributes(number: u64, node: &Node) -> FileAttr {
    let (kind, size, perm) = match node {
        Node::File(file) => (FileType::RegularFile, file.size() as u64, 0o600),
        Node::Directory(_) => (FileType::Directory, 0, 0o700),
    };
    FileAttr {
        ino: INodeNo(number),
        size,
        blocks: size.div_ceil(512),
        atime: SystemTime::UNIX_EPOCH,
        mtime: SystemTime::UNIX_EPOCH,
        ctime: SystemTime::UNIX_EPOCH,
        crtime: SystemTime::UNIX_EPOCH,
        kind,
        perm,
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: PAGE as u32,
        flags: 0,
    }
}

fn empty(reply: ReplyEmpty, result: Result<(), Errno>) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

fn entry(reply: ReplyEntry, result: Result<FileAttr, Errno>) {
    match result {
        Ok(found) => reply.entry(&TTL, &found, Generation(0)),
        Err(error) => reply.error(error),
    }
}

impl Filesystem for HostileDisk {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = self.with(|image| image.lookup(parent.0, &name.to_owned()));
        entry(reply, found.and_then(|number| self.attributes(number)));
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.attributes(ino.0) {
            Ok(found) => reply.attr(&TTL, &found),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _handle: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<fuser::BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let resized =
            size.map_or(Ok(()), |size| self.with(|image| image.resize(ino.0, size as usize)));
        match resized.and_then(|()| self.attributes(ino.0)) {
            Ok(found) => reply.attr(&TTL, &found),
            Err(error) => reply.error(error),
        }
    }

    fn mkdir(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        reply: ReplyEntry,
    ) {
        let node = Node::Directory(Directory::default());
        let made = self.with(|image| image.make(parent.0, name.to_owned(), node));
        entry(reply, made.and_then(|number| self.attributes(number)));
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        let node = Node::File(File::default());
        let made = self.with(|image| image.make(parent.0, name.to_owned(), node));
        match made.and_then(|number| self.attributes(number)) {
            Ok(found) => reply.created(
                &TTL,
                &found,
                Generation(0),
                FileHandle(0),
                FopenFlags::FOPEN_DIRECT_IO,
            ),
            Err(error) => reply.error(error),
        }
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(reply, self.with(|image| image.remove(parent.0, name.to_owned())));
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(reply, self.with(|image| image.remove(parent.0, name.to_owned())));
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        _flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let (from, to) = ((parent.0, name.to_owned()), (newparent.0, newname.to_owned()));
        empty(reply, self.with(|image| image.rename(from, to)));
    }

    fn open(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.attributes(ino.0) {
            Ok(_) => reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO),
            Err(error) => reply.error(error),
        }
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let state = self.state();
        let read = match state.is_off {
            true => Err(Refusal::Failed),
            false => state.image.read(ino.0, offset as usize, size as usize),
        };
        match read {
            Ok(bytes) => reply.data(bytes),
            Err(refusal) => reply.error(errno(refusal)),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.with(|image| image.write(ino.0, offset as usize, data)) {
            Ok(()) => reply.written(data.len() as u32),
            Err(error) => reply.error(error),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.sync(ino.0, reply);
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        empty(reply, self.with(|image| image.sync(ino.0)));
    }

    fn readdir(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let names = self.with(|image| {
            let named = image.names(ino.0)?.into_iter();
            named.map(|(name, number)| Ok((name, number, kind(image.node(number)?)))).collect()
        });
        let names: Vec<_> = match names {
            Ok(names) => names,
            Err(error) => return reply.error(error),
        };
        for (at, (name, number, kind)) in names.into_iter().enumerate().skip(offset as usize) {
            if reply.add(INodeNo(number), at as u64 + 1, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let page = PAGE as u64;
        let (blocks, free) = {
            let state = self.state();
            let free = state.image.capacity.saturating_sub(state.image.used());
            (state.image.capacity / page, free / page)
        };
        reply.statfs(blocks, free, free, 0, 0, PAGE as u32, 255, PAGE as u32);
    }
}

fn kind(node: &Node) -> FileType {
    match node {
        Node::File(_) => FileType::RegularFile,
        Node::Directory(_) => FileType::Directory,
    }
}
