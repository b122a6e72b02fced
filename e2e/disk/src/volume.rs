//! The file system without the kernel: directories and files, faults, and the power cut.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};

use leases::log::testing::Generator;

use crate::Cut;
use crate::cut::choose;
use crate::file::Content;

/// Number of a file or directory, never used again.
pub type NodeId = u64;

/// What a node is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file of this length, in octets.
    File {
        /// The length.
        len: u64,
    },
}

/// Why a call was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// EXDEV: renames stay in their directory.
    CrossDirectory,
    /// EEXIST.
    Exists,
    /// EIO: no power, or a planned failure.
    Failed,
    /// ENOSPC.
    Full,
    /// EISDIR.
    IsDirectory,
    /// ENOTDIR.
    NotDirectory,
    /// ENOTEMPTY.
    NotEmpty,
    /// ENOENT.
    NotFound,
}

/// What goes wrong with a volume until the next power cut.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Faults {
    /// Power goes at this operation: it may have taken effect, nothing of it is synced, it fails, and so
    /// does every later call until the cut.
    pub cut_at: Option<u64>,
    /// The first sync from this operation on fails, of a file or of a directory, and the sync after it
    /// succeeds without what was dropped.
    pub fail_sync_from: Option<u64>,
    /// The volume takes no more once all files together have this length, in octets. A removed one counts
    /// until its directory is synced.
    pub capacity_bytes: Option<u64>,
    /// Syncs that succeed and do nothing.
    pub pretended: Pretended,
}

/// Which syncs a volume only pretends: what shows that a test would notice a program without them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Pretended {
    /// None.
    #[default]
    Never,
    /// Those of directories.
    OfDirectories,
    /// Those of files.
    OfFiles,
}

/// A file system in memory.
///
/// Changing calls (create, make, write, truncate, sync of a file or directory, rename, remove) are counted
/// from 1 as operations; plans of faults name these numbers.
#[derive(Clone, Debug)]
pub struct Volume {
    nodes: BTreeMap<NodeId, Node>,
    next: NodeId,
    operations: u64,
    faults: Faults,
    /// Whether a planned fault has come.
    faulted: bool,
    dark: bool,
    /// Content of the file that was removed last: what may lie in a block that is used again.
    stale: Vec<u8>,
}

#[derive(Clone, Debug)]
enum Node {
    Directory(Names),
    File(Content),
}

/// The names of one directory: as programs see them, and as they are on stable storage.
#[derive(Clone, Debug, Default)]
struct Names {
    live: BTreeMap<OsString, NodeId>,
    durable: BTreeMap<OsString, NodeId>,
    unsynced: Vec<NameChange>,
}

#[derive(Clone, Debug)]
enum NameChange {
    Add {
        name: OsString,
        node: NodeId,
    },
    Remove {
        name: OsString,
    },
    /// Both names at once: no file system of today shows a rename in part.
    Rename {
        from: OsString,
        to: OsString,
        node: NodeId,
    },
}

impl Default for Volume {
    fn default() -> Self {
        Self {
            nodes: BTreeMap::from([(Self::ROOT, Node::Directory(Names::default()))]),
            next: Self::ROOT + 1,
            operations: 0,
            faults: Faults::default(),
            faulted: false,
            dark: false,
            stale: Vec::new(),
        }
    }
}

impl Volume {
    /// The top directory.
    pub const ROOT: NodeId = 1;

    /// Replaces the plan of faults.
    pub const fn plan(&mut self, faults: Faults) {
        self.faults = faults;
        self.faulted = false;
    }

    /// It was the process that ended at the planned power cut, and not the power: what was not synced is still
    /// to come. Planned faults end as with a power cut; what is pretended goes on.
    pub const fn restart_process(&mut self) {
        self.dark = false;
        self.faults.cut_at = None;
        self.faults.fail_sync_from = None;
        self.faults.capacity_bytes = None;
        self.faulted = false;
    }

    /// Cuts the power, if it has not gone yet, and brings it back: the volume then holds what survived.
    pub fn power_cut(&mut self, generator: &mut Generator) {
        self.power_cut_with(generator, Cut::any);
    }

    /// The same, with the fate of each file and of each directory chosen by `cut`.
    pub fn power_cut_with(&mut self, generator: &mut Generator, mut cut: impl FnMut(&mut Generator) -> Cut) {
        for node in self.nodes.values_mut() {
            let fate = cut(generator);
            match node {
                Node::Directory(names) => names.cut(fate, generator),
                Node::File(content) => {
                    let stale = if generator.coin() { &self.stale[..] } else { &[] };
                    content.cut(fate, stale, generator);
                }
            }
        }
        self.restart_process();
        self.forget_unreachable();
    }

    /// Looks a name up.
    pub fn lookup(&self, directory: NodeId, name: &OsStr) -> Result<NodeId, Refusal> {
        self.powered()?;
        self.names(directory)?.live.get(name).copied().ok_or(Refusal::NotFound)
    }

    /// What a node is.
    pub fn kind(&self, node: NodeId) -> Result<Kind, Refusal> {
        self.powered()?;
        Ok(match self.node(node)? {
            Node::Directory(_) => Kind::Directory,
            Node::File(content) => Kind::File { len: content.live().len() as u64 },
        })
    }

    /// Names of a directory, in order.
    pub fn list(&self, directory: NodeId) -> Result<Vec<(OsString, NodeId)>, Refusal> {
        self.powered()?;
        Ok(self.names(directory)?.live.iter().map(|(name, node)| (name.clone(), *node)).collect())
    }

    /// Octets of a file from `offset` on, at most `len`.
    pub fn read(&self, file: NodeId, offset: u64, len: usize) -> Result<&[u8], Refusal> {
        self.powered()?;
        let Node::File(content) = self.node(file)? else { return Err(Refusal::IsDirectory) };
        let rest = content.live().get(at(offset)..).unwrap_or_default();
        Ok(&rest[..rest.len().min(len)])
    }

    /// Makes an empty file.
    pub fn create(&mut self, directory: NodeId, name: &OsStr) -> Result<NodeId, Refusal> {
        self.add(directory, name, Node::File(Content::default()))
    }

    /// Makes an empty directory.
    pub fn make_directory(&mut self, directory: NodeId, name: &OsStr) -> Result<NodeId, Refusal> {
        self.add(directory, name, Node::Directory(Names::default()))
    }

    /// Writes into a file.
    pub fn write(&mut self, file: NodeId, offset: u64, bytes: &[u8]) -> Result<(), Refusal> {
        self.begin()?;
        let growth = (offset + bytes.len() as u64).saturating_sub(self.content(file)?.live().len() as u64);
        self.has_room(growth)?;
        self.content_mut(file)?.write(at(offset), bytes);
        self.powered()
    }

    /// Makes a file this long.
    pub fn truncate(&mut self, file: NodeId, len: u64) -> Result<(), Refusal> {
        self.begin()?;
        self.content_mut(file)?.truncate(at(len));
        self.powered()
    }

    /// Makes content and length of a file durable, and no name.
    pub fn sync(&mut self, file: NodeId) -> Result<(), Refusal> {
        self.begin()?;
        self.powered()?;
        if self.faults.pretended == Pretended::OfFiles {
            return Ok(());
        }
        let failing = self.sync_fails();
        let mut generator = Generator::new(self.operations);
        let content = self.content_mut(file)?;
        if failing {
            content.fail_sync(&mut generator);
            return Err(Refusal::Failed);
        }
        content.sync();
        Ok(())
    }

    /// Makes the names of a directory durable, and no content. A failure drops none of them, as a journal
    /// keeps what it could not write.
    pub fn sync_directory(&mut self, directory: NodeId) -> Result<(), Refusal> {
        self.begin()?;
        self.powered()?;
        if self.faults.pretended == Pretended::OfDirectories {
            return Ok(());
        }
        let failing = self.sync_fails();
        let names = self.names_mut(directory)?;
        if failing {
            return Err(Refusal::Failed);
        }
        names.sync();
        self.forget_unreachable();
        Ok(())
    }

    /// Gives a node another name in its directory, in the place of whatever had that name.
    pub fn rename(&mut self, directory: NodeId, from: &OsStr, to: &OsStr) -> Result<(), Refusal> {
        self.begin()?;
        let node = *self.names(directory)?.live.get(from).ok_or(Refusal::NotFound)?;
        self.names_mut(directory)?.change(NameChange::Rename { from: from.into(), to: to.into(), node });
        self.powered()
    }

    /// Takes a file, or an empty directory, out of its directory.
    pub fn remove(&mut self, directory: NodeId, name: &OsStr) -> Result<(), Refusal> {
        self.begin()?;
        let node = *self.names(directory)?.live.get(name).ok_or(Refusal::NotFound)?;
        if let Node::Directory(names) = self.node(node)?
            && !names.live.is_empty()
        {
            return Err(Refusal::NotEmpty);
        }
        self.names_mut(directory)?.change(NameChange::Remove { name: name.into() });
        self.powered()
    }

    /// Number of changing calls so far.
    #[must_use]
    pub const fn operations(&self) -> u64 {
        self.operations
    }

    /// Whether the planned power cut has come.
    #[must_use]
    pub const fn is_dark(&self) -> bool {
        self.dark
    }

    /// Whether any planned fault has come.
    #[must_use]
    pub const fn is_faulted(&self) -> bool {
        self.faulted
    }

    /// Length of all files together, in octets.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.nodes
            .values()
            .map(|node| match node {
                Node::Directory(_) => 0,
                Node::File(content) => content.live().len() as u64,
            })
            .sum()
    }

    fn add(&mut self, directory: NodeId, name: &OsStr, node: Node) -> Result<NodeId, Refusal> {
        self.begin()?;
        if self.names(directory)?.live.contains_key(name) {
            return Err(Refusal::Exists);
        }
        self.has_room(1)?;
        let id = self.next;
        self.next += 1;
        self.nodes.insert(id, node);
        self.names_mut(directory)?.change(NameChange::Add { name: name.into(), node: id });
        self.powered()?;
        Ok(id)
    }

    /// Counts a changing call. Power may go at it.
    fn begin(&mut self) -> Result<(), Refusal> {
        self.powered()?;
        self.operations += 1;
        if self.faults.cut_at.is_some_and(|at| at <= self.operations) {
            self.dark = true;
            self.faulted = true;
        }
        Ok(())
    }

    fn sync_fails(&mut self) -> bool {
        let fails = self.faults.fail_sync_from.take_if(|from| *from <= self.operations).is_some();
        self.faulted |= fails;
        fails
    }

    fn has_room(&mut self, growth: u64) -> Result<(), Refusal> {
        let Some(capacity) = self.faults.capacity_bytes else { return Ok(()) };
        if growth == 0 || self.used_bytes() + growth <= capacity {
            return Ok(());
        }
        self.faulted = true;
        Err(Refusal::Full)
    }

    const fn powered(&self) -> Result<(), Refusal> {
        if self.dark { Err(Refusal::Failed) } else { Ok(()) }
    }

    /// Lets go of what has no name any more, neither for programs nor on stable storage.
    fn forget_unreachable(&mut self) {
        let mut reachable = BTreeSet::new();
        let mut waiting = vec![Self::ROOT];
        while let Some(id) = waiting.pop() {
            if reachable.insert(id)
                && let Some(Node::Directory(names)) = self.nodes.get(&id)
            {
                waiting.extend(names.all());
            }
        }
        for (_, gone) in self.nodes.extract_if(.., |id, _| !reachable.contains(id)) {
            if let Node::File(content) = gone {
                self.stale = content.live().to_vec();
            }
        }
    }

    fn node(&self, id: NodeId) -> Result<&Node, Refusal> {
        self.nodes.get(&id).ok_or(Refusal::NotFound)
    }

    fn names(&self, id: NodeId) -> Result<&Names, Refusal> {
        match self.node(id)? {
            Node::Directory(names) => Ok(names),
            Node::File(_) => Err(Refusal::NotDirectory),
        }
    }

    fn names_mut(&mut self, id: NodeId) -> Result<&mut Names, Refusal> {
        match self.nodes.get_mut(&id).ok_or(Refusal::NotFound)? {
            Node::Directory(names) => Ok(names),
            Node::File(_) => Err(Refusal::NotDirectory),
        }
    }

    fn content(&self, id: NodeId) -> Result<&Content, Refusal> {
        match self.node(id)? {
            Node::File(content) => Ok(content),
            Node::Directory(_) => Err(Refusal::IsDirectory),
        }
    }

    fn content_mut(&mut self, id: NodeId) -> Result<&mut Content, Refusal> {
        match self.nodes.get_mut(&id).ok_or(Refusal::NotFound)? {
            Node::File(content) => Ok(content),
            Node::Directory(_) => Err(Refusal::IsDirectory),
        }
    }
}

impl Names {
    fn change(&mut self, change: NameChange) {
        change.apply(&mut self.live);
        self.unsynced.push(change);
    }

    fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            change.apply(&mut self.durable);
        }
    }

    fn cut(&mut self, cut: Cut, generator: &mut Generator) {
        // A name is there or not: what follows the prefix is lost whole.
        let _ = choose(cut, &mut self.unsynced, generator);
        self.sync();
        self.live = self.durable.clone();
    }

    /// All nodes that have a name here, for programs, on stable storage or after some cut.
    fn all(&self) -> impl Iterator<Item = NodeId> {
        let changed = self.unsynced.iter().filter_map(|change| match change {
            NameChange::Add { node, .. } | NameChange::Rename { node, .. } => Some(*node),
            NameChange::Remove { .. } => None,
        });
        self.live.values().chain(self.durable.values()).copied().chain(changed)
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<OsString, NodeId>) {
        match self {
            Self::Add { name, node } => {
                names.insert(name.clone(), *node);
            }
            Self::Remove { name } => {
                names.remove(name);
            }
            Self::Rename { from, to, node } => {
                names.remove(from);
                names.insert(to.clone(), *node);
            }
        }
    }
}

/// A place in a file that fits into memory.
fn at(offset: u64) -> usize {
    usize::try_from(offset).expect("files of a test are small")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> &OsStr {
        OsStr::new(name)
    }

    /// Names of the top directory after some cuts, each once.
    fn outcomes(volume: &Volume) -> BTreeSet<Vec<OsString>> {
        (0..200)
            .map(|seed| {
                let mut volume = volume.clone();
                volume.power_cut(&mut Generator::new(seed));
                volume.list(Volume::ROOT).expect("powered").into_iter().map(|(name, _)| name).collect()
            })
            .collect()
    }

    #[test]
    fn a_synced_file_without_a_synced_name_may_be_gone() {
        let mut volume = Volume::default();
        let file = volume.create(Volume::ROOT, name("a")).expect("room");
        volume.write(file, 0, b"content").expect("room");
        volume.sync(file).expect("works");
        assert_eq!(outcomes(&volume), BTreeSet::from([vec![], vec!["a".into()]]));
        volume.sync_directory(Volume::ROOT).expect("works");
        assert_eq!(outcomes(&volume), BTreeSet::from([vec!["a".into()]]));
    }

    #[test]
    fn a_synced_name_without_synced_content_may_be_of_an_empty_file() {
        let mut volume = Volume::default();
        let file = volume.create(Volume::ROOT, name("a")).expect("room");
        volume.write(file, 0, b"content").expect("room");
        volume.sync_directory(Volume::ROOT).expect("works");
        volume.power_cut_with(&mut Generator::new(1), |_| Cut::Lost);
        assert_eq!(volume.read(file, 0, 100), Ok(&b""[..]));
    }

    #[test]
    fn a_rename_is_there_whole_or_not_at_all() {
        let mut volume = Volume::default();
        for file in ["old", "new"] {
            volume.create(Volume::ROOT, name(file)).expect("room");
        }
        volume.sync_directory(Volume::ROOT).expect("works");
        volume.rename(Volume::ROOT, name("new"), name("old")).expect("works");
        assert_eq!(outcomes(&volume), BTreeSet::from([vec!["old".into()], vec!["new".into(), "old".into()]]));
    }

    #[test]
    fn removals_may_be_kept_in_any_order() {
        let mut volume = Volume::default();
        for file in ["a", "b"] {
            volume.create(Volume::ROOT, name(file)).expect("room");
        }
        volume.sync_directory(Volume::ROOT).expect("works");
        for file in ["a", "b"] {
            volume.remove(Volume::ROOT, name(file)).expect("there");
        }
        assert_eq!(outcomes(&volume).len(), 4);
    }

    #[test]
    fn nothing_works_between_the_loss_of_power_and_its_return() {
        let mut volume = Volume::default();
        let file = volume.create(Volume::ROOT, name("a")).expect("room");
        volume.plan(Faults { cut_at: Some(volume.operations() + 2), ..Faults::default() });
        assert_eq!(volume.write(file, 0, b"1"), Ok(()));
        assert_eq!(volume.sync(file), Err(Refusal::Failed));
        assert_eq!(volume.write(file, 1, b"2"), Err(Refusal::Failed));
        assert_eq!(volume.lookup(Volume::ROOT, name("a")), Err(Refusal::Failed));
        assert!(volume.is_dark() && volume.is_faulted());
        volume.power_cut_with(&mut Generator::new(1), |_| Cut::Kept);
        assert_eq!(volume.read(file, 0, 100), Ok(&b"1"[..]));
    }

    #[test]
    fn one_sync_fails_and_the_next_one_succeeds() {
        let mut volume = Volume::default();
        let file = volume.create(Volume::ROOT, name("a")).expect("room");
        volume.plan(Faults { fail_sync_from: Some(1), ..Faults::default() });
        volume.write(file, 0, &[1; 4096]).expect("room");
        assert_eq!(volume.sync(file), Err(Refusal::Failed));
        assert_eq!(volume.sync(file), Ok(()));
        assert_ne!(volume.read(file, 0, 4096), Ok(&[1; 4096][..]));
    }

    #[test]
    fn a_removed_file_takes_up_room_until_its_directory_is_synced() {
        let mut volume = Volume::default();
        let first = volume.create(Volume::ROOT, name("a")).expect("room");
        let second = volume.create(Volume::ROOT, name("b")).expect("room");
        volume.sync_directory(Volume::ROOT).expect("works");
        volume.plan(Faults { capacity_bytes: Some(100), ..Faults::default() });
        assert_eq!(volume.write(first, 0, &[0; 80]), Ok(()));
        assert_eq!(volume.write(second, 0, &[0; 21]), Err(Refusal::Full));
        assert_eq!(volume.write(first, 0, &[1; 80]), Ok(()), "no growth");
        volume.remove(Volume::ROOT, name("a")).expect("there");
        assert_eq!(volume.write(second, 0, &[0; 21]), Err(Refusal::Full));
        volume.sync_directory(Volume::ROOT).expect("works");
        assert_eq!(volume.write(second, 0, &[0; 21]), Ok(()));
    }
}
