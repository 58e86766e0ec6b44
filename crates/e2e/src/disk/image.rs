//! The content of a disk, twice: as processes see it, and as it is after a loss of power.
//!
//! What is written is in the first at once. `fsync` of a file carries its pages into the second,
//! `fsync` of a directory its names: whoever syncs a new file and not its directory has synced a
//! file without a name.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;

/// The unit that reaches the disk whole or not at all.
pub const PAGE: usize = 4096;

/// Number of the root directory.
pub const ROOT: u64 = 1;

/// Why an operation is refused. The numbers are the kernel's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// ENOENT.
    Missing,
    /// EEXIST.
    Exists,
    /// ENOTDIR.
    NoDirectory,
    /// ENOTEMPTY.
    NotEmpty,
    /// ENOSPC.
    Full,
    /// EIO.
    Failed,
}

/// A file, with the pages that were written since the last sync.
#[derive(Clone, Debug, Default)]
pub struct File {
    now: Vec<u8>,
    synced: Vec<u8>,
    dirty: BTreeSet<usize>,
}

/// A directory, with the changes since the last sync.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    now: BTreeMap<OsString, u64>,
    synced: BTreeMap<OsString, u64>,
    changes: Vec<Change>,
}

/// One change of a directory's names; a rename is one.
#[derive(Clone, Debug)]
struct Change {
    removed: Option<OsString>,
    added: Option<(OsString, u64)>,
}

/// What a number stands for.
#[derive(Clone, Debug)]
pub enum Node {
    /// A file.
    File(File),
    /// A directory.
    Directory(Directory),
}

/// What survives a loss of power besides what was synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survivors {
    /// Nothing.
    None,
    /// Of the pages any, by chance; of each directory's changes the first few. The number is the
    /// seed.
    Some(u64),
}

/// The disk.
pub struct Image {
    nodes: BTreeMap<u64, Node>,
    next: u64,
    /// Bytes there is room for.
    pub capacity: u64,
    used: u64,
}

impl Image {
    /// An empty disk.
    pub fn new(capacity: u64) -> Image {
        let nodes = BTreeMap::from([(ROOT, Node::Directory(Directory::default()))]);
        Image { nodes, next: ROOT + 1, capacity, used: 0 }
    }

    /// Bytes in files, by whole pages.
    pub fn used(&self) -> u64 {
        self.used
    }

    /// The node of this number.
    pub fn node(&self, number: u64) -> Result<&Node, Refusal> {
        self.nodes.get(&number).ok_or(Refusal::Missing)
    }

    /// The number of a name.
    pub fn lookup(&self, parent: u64, name: &OsString) -> Result<u64, Refusal> {
        self.directory(parent)?.now.get(name).copied().ok_or(Refusal::Missing)
    }

    /// The names in a directory.
    pub fn names(&self, number: u64) -> Result<Vec<(OsString, u64)>, Refusal> {
        Ok(self.directory(number)?.now.iter().map(|(name, n)| (name.clone(), *n)).collect())
    }

    fn directory(&self, number: u64) -> Result<&Directory, Refusal> {
        match self.node(number)? {
            Node::Directory(directory) => Ok(directory),
            Node::File(_) => Err(Refusal::NoDirectory),
        }
    }

    fn directory_mut(&mut self, number: u64) -> Result<&mut Directory, Refusal> {
        match self.nodes.get_mut(&number) {
            Some(Node::Directory(directory)) => Ok(directory),
            Some(Node::File(_)) => Err(Refusal::NoDirectory),
            None => Err(Refusal::Missing),
        }
    }

    fn file_mut(&mut self, number: u64) -> Result<&mut File, Refusal> {
        match self.nodes.get_mut(&number) {
            Some(Node::File(file)) => Ok(file),
            Some(Node::Directory(_)) | None => Err(Refusal::Missing),
        }
    }

    /// Makes an empty file or directory.
    pub fn make(&mut self, parent: u64, name: OsString, node: Node) -> Result<u64, Refusal> {
        let number = self.next;
        let directory = self.directory_mut(parent)?;
        if directory.now.contains_key(&name) {
            return Err(Refusal::Exists);
        }
        directory.change(Change { removed: None, added: Some((name, number)) });
        self.next += 1;
        self.nodes.insert(number, node);
        Ok(number)
    }

    /// Removes a name. The file stays as long as power could fail and bring the name back.
    pub fn remove(&mut self, parent: u64, name: OsString) -> Result<(), Refusal> {
        let number = self.lookup(parent, &name)?;
        if let Node::Directory(directory) = self.node(number)?
            && !directory.now.is_empty()
        {
            return Err(Refusal::NotEmpty);
        }
        self.directory_mut(parent)?.change(Change { removed: Some(name), added: None });
        self.count();
        Ok(())
    }

    /// Renames within or between directories; what had the name is replaced.
    pub fn rename(&mut self, from: (u64, OsString), to: (u64, OsString)) -> Result<(), Refusal> {
        let number = self.lookup(from.0, &from.1)?;
        if from.0 == to.0 {
            let change = Change { removed: Some(from.1), added: Some((to.1, number)) };
            self.directory_mut(from.0)?.change(change);
        } else {
            let added = Change { removed: None, added: Some((to.1, number)) };
            self.directory_mut(to.0)?.change(added);
            self.directory_mut(from.0)?.change(Change { removed: Some(from.1), added: None });
        }
        self.count();
        Ok(())
    }

    /// Bytes of a file; fewer at its end.
    pub fn read(&self, number: u64, at: usize, size: usize) -> Result<&[u8], Refusal> {
        let Node::File(file) = self.node(number)? else { return Err(Refusal::Missing) };
        let from = at.min(file.now.len());
        Ok(&file.now[from..(at + size).min(file.now.len()).max(from)])
    }

    /// Writes into a file; what there is no room for is refused whole.
    pub fn write(&mut self, number: u64, at: usize, bytes: &[u8]) -> Result<(), Refusal> {
        let free = self.capacity.saturating_sub(self.used);
        let file = self.file_mut(number)?;
        let end = at + bytes.len();
        let more = pages(end).saturating_sub(pages(file.now.len())) * PAGE;
        if more as u64 > free {
            return Err(Refusal::Full);
        }
        if end > file.now.len() {
            file.now.resize(end, 0);
        }
        file.now[at..end].copy_from_slice(bytes);
        file.dirty.extend(at / PAGE..pages(end));
        self.used += more as u64;
        Ok(())
    }

    /// Cuts or extends a file.
    pub fn resize(&mut self, number: u64, size: usize) -> Result<(), Refusal> {
        let file = self.file_mut(number)?;
        let touched = file.now.len().min(size) / PAGE..pages(file.now.len().max(size));
        file.now.resize(size, 0);
        file.dirty.extend(touched);
        self.count();
        Ok(())
    }

    /// What was written is on disk.
    pub fn sync(&mut self, number: u64) -> Result<(), Refusal> {
        match self.nodes.get_mut(&number).ok_or(Refusal::Missing)? {
            Node::File(file) => file.sync(),
            Node::Directory(directory) => {
                directory.changes.clear();
                directory.synced.clone_from(&directory.now);
                self.forget();
            }
        }
        Ok(())
    }

    /// A sync that failed as kernels let it fail: what was to be written counts as clean from now
    /// on, and is not on disk.
    pub fn fail_sync(&mut self, number: u64) {
        if let Some(Node::File(file)) = self.nodes.get_mut(&number) {
            file.dirty.clear();
        }
    }

    /// Takes the power away.
    pub fn lose_power(&mut self, survivors: Survivors) {
        let mut dice = match survivors {
            Survivors::None => None,
            Survivors::Some(seed) => Some(Dice(seed)),
        };
        for node in self.nodes.values_mut() {
            match node {
                Node::File(file) => file.lose_power(dice.as_mut()),
                Node::Directory(directory) => directory.lose_power(dice.as_mut()),
            }
        }
        self.forget();
        self.count();
    }

    /// Drops what has no name any more, neither now nor after a loss of power.
    fn forget(&mut self) {
        let mut named = BTreeSet::from([ROOT]);
        for node in self.nodes.values() {
            if let Node::Directory(directory) = node {
                named.extend(directory.now.values().chain(directory.synced.values()));
                named.extend(directory.changes.iter().filter_map(|c| Some(c.added.as_ref()?.1)));
            }
        }
        self.nodes.retain(|number, _| named.contains(number));
    }

    /// Only what has a name takes room.
    fn count(&mut self) {
        let mut named = BTreeSet::new();
        for node in self.nodes.values() {
            if let Node::Directory(directory) = node {
                named.extend(directory.now.values().copied());
            }
        }
        let size = |node: &Node| match node {
            Node::File(file) => (pages(file.now.len()) * PAGE) as u64,
            Node::Directory(_) => 0,
        };
        let named = self.nodes.iter().filter(|(number, _)| named.contains(number));
        self.used = named.map(|(_, node)| size(node)).sum();
    }
}

impl File {
    /// Its size.
    pub fn size(&self) -> usize {
        self.now.len()
    }

    fn sync(&mut self) {
        self.synced.resize(self.now.len(), 0);
        for page in std::mem::take(&mut self.dirty) {
            self.carry(page);
        }
    }

    fn carry(&mut self, page: usize) {
        let from = page * PAGE;
        let to = (from + PAGE).min(self.now.len());
        if from < to {
            if self.synced.len() < to {
                self.synced.resize(to, 0);
            }
            self.synced[from..to].copy_from_slice(&self.now[from..to]);
        }
    }

    fn lose_power(&mut self, dice: Option<&mut Dice>) {
        if let Some(dice) = dice {
            for page in std::mem::take(&mut self.dirty) {
                if dice.roll(2) == 0 {
                    self.carry(page);
                }
            }
        }
        self.dirty.clear();
        self.now.clone_from(&self.synced);
    }
}

impl Directory {
    fn change(&mut self, change: Change) {
        apply(&mut self.now, &change);
        self.changes.push(change);
    }

    fn lose_power(&mut self, dice: Option<&mut Dice>) {
        let changes = std::mem::take(&mut self.changes);
        let survive = dice.map_or(0, |dice| dice.roll(changes.len() as u64 + 1));
        for change in changes.iter().take(survive as usize) {
            apply(&mut self.synced, change);
        }
        self.now.clone_from(&self.synced);
    }
}

fn apply(names: &mut BTreeMap<OsString, u64>, change: &Change) {
    if let Some(name) = &change.removed {
        names.remove(name);
    }
    if let Some((name, number)) = &change.added {
        names.insert(name.clone(), *number);
    }
}

fn pages(size: usize) -> usize {
    size.div_ceil(PAGE)
}

/// Chance that can be had again (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(image: &mut Image, name: &str) -> u64 {
        image.make(ROOT, name.into(), Node::File(File::default())).unwrap()
    }

    #[test]
    fn power_takes_what_was_not_synced_and_names_that_were_not() {
        let mut image = Image::new(1 << 20);
        let (named, nameless) = (file(&mut image, "named"), 3);
        image.write(named, 0, b"synced").unwrap();
        image.sync(named).unwrap();
        image.sync(ROOT).unwrap();
        image.write(named, 0, b"gone..").unwrap();
        assert_eq!(file(&mut image, "nameless"), nameless);
        image.write(nameless, 0, b"synced").unwrap();
        image.sync(nameless).unwrap();
        image.lose_power(Survivors::None);
        assert_eq!(image.read(named, 0, 9).unwrap(), b"synced");
        assert_eq!(image.lookup(ROOT, &"nameless".into()), Err(Refusal::Missing));
    }

    #[test]
    fn a_failed_sync_is_not_made_good_by_the_next_one() {
        let mut image = Image::new(1 << 20);
        let number = file(&mut image, "file");
        image.sync(ROOT).unwrap();
        image.write(number, 0, b"lost").unwrap();
        image.fail_sync(number);
        image.sync(number).unwrap();
        image.lose_power(Survivors::None);
        assert_eq!(image.read(number, 0, 9).unwrap(), [0; 4]);
    }

    #[test]
    fn a_full_disk_takes_overwrites_only_and_has_room_after_a_removal() {
        let mut image = Image::new(2 * PAGE as u64);
        let number = file(&mut image, "file");
        image.write(number, 0, &[1; 2 * PAGE]).unwrap();
        image.write(number, 0, &[2; PAGE]).unwrap();
        assert_eq!(image.write(number, 2 * PAGE, &[1]), Err(Refusal::Full));
        image.remove(ROOT, "file".into()).unwrap();
        let other = file(&mut image, "other");
        assert_eq!(image.write(other, 0, &[1; 2 * PAGE]), Ok(()));
    }

    #[test]
    fn chance_is_the_same_for_the_same_seed() {
        let survived = |seed| {
            let mut image = Image::new(1 << 20);
            let number = file(&mut image, "file");
            image.write(number, 0, &[0; 64 * PAGE]).unwrap();
            image.sync(number).unwrap();
            image.sync(ROOT).unwrap();
            image.write(number, 0, &[1; 64 * PAGE]).unwrap();
            image.lose_power(Survivors::Some(seed));
            image.read(number, 0, 64 * PAGE).unwrap().to_vec()
        };
        assert_eq!(survived(1), survived(1));
        assert_ne!(survived(1), survived(2));
        let bytes = survived(3);
        assert!(bytes.contains(&0) && bytes.contains(&1), "some pages, not all");
    }
}
