//! A disk in memory that loses power, fails, fills and rots on demand.
//!
//! It keeps what a file holds apart from what of it is on stable storage, and the same of the directory.
//! A power cut loses, keeps or tears whatever was not synced, sector by sector, as a generator says; so
//! one seed gives one outcome.

use std::collections::BTreeMap;

use crate::log::{Disk, DiskError, DiskErrorKind};

mod ledger;

pub use ledger::Ledger;

/// A small generator of numbers (SplitMix64). The same seed gives the same numbers.
#[derive(Clone, Debug)]
pub struct Generator(u64);

impl Generator {
    /// Starts from a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`; 0 if the limit is 0.
    pub const fn below(&mut self, limit: u64) -> u64 {
        if limit == 0 { 0 } else { self.next() % limit }
    }

    /// True or false.
    pub const fn coin(&mut self) -> bool {
        self.next() & 1 == 1
    }
}

/// What a power cut does to what was not synced.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cut {
    /// All of it reached the disk.
    Kept,
    /// None of it did.
    Lost,
    /// A part from its beginning did; of the directory, the first changes did.
    Prefix,
    /// Any sectors did, in any order, and the others read as zeros or as old data; of the directory, any
    /// changes did.
    Torn,
}

impl Cut {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Kept, Self::Lost, Self::Prefix, Self::Torn];

    /// One of them.
    pub fn any(generator: &mut Generator) -> Self {
        Self::ALL[(generator.next() % 4) as usize]
    }
}

/// A disk in memory.
///
/// Changing calls (append, truncate, sync of a file or of the directory, remove) are counted from 1 as
/// operations, appends and syncs of both kinds each on their own, too; the plans of faults name these
/// numbers.
#[derive(Clone, Debug, Default)]
pub struct SimDisk {
    files: BTreeMap<u64, SimFile>,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    /// Changes of the directory since its last sync, oldest first.
    name_changes: Vec<(String, Option<u64>)>,
    next_file: u64,
    used_bytes: u64,
    operations: u64,
    appends: u64,
    syncs: u64,
    capacity_bytes: Option<u64>,
    power_cut_at: Option<u64>,
    failing_append: Option<u64>,
    failing_sync: Option<u64>,
    dark: bool,
}

impl SimDisk {
    /// An empty disk without limit.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Power goes at this operation: it takes effect, but nothing of it is synced, it fails and so does
    /// every later call until [`power_cut`](Self::power_cut).
    pub const fn cut_power_at(&mut self, operation: u64) {
        self.power_cut_at = Some(operation);
    }

    /// Power goes now, if it has not yet, and comes back; plans of faults but that of a full disk end.
    pub fn power_cut(&mut self, generator: &mut Generator) {
        self.power_cut_with(generator, Cut::any);
    }

    /// The same, with the fate of the directory and then of each file chosen by `cut`.
    pub fn power_cut_with(&mut self, generator: &mut Generator, mut cut: impl FnMut(&mut Generator) -> Cut) {
        self.restart_process();
        self.cut_names(generator, &mut cut);
        for file in self.files.values_mut() {
            let fate = cut(generator);
            file.cut(fate, generator);
        }
        self.used_bytes = self.files.values().map(SimFile::len).sum();
    }

    /// The process ended, at a planned power cut or on its own, but power never went: the kernel still
    /// holds what was not synced. Plans of faults end as with a power cut.
    pub const fn restart_process(&mut self) {
        self.dark = false;
        self.power_cut_at = None;
        self.failing_append = None;
        self.failing_sync = None;
    }

    /// This append writes half of its bytes and fails.
    pub const fn fail_append_at(&mut self, append: u64) {
        self.failing_append = Some(append);
    }

    /// This sync fails. What it should have written is on the disk in part; the disk forgets about the
    /// rest, so that the next sync succeeds without it, as the page cache of Linux does.
    pub const fn fail_sync_at(&mut self, sync: u64) {
        self.failing_sync = Some(sync);
    }

    /// The disk is full once the files have grown by this many octets. A removed file takes up its room
    /// until the directory is synced, and a full disk makes no new file.
    pub const fn full_after(&mut self, bytes: u64) {
        self.capacity_bytes = Some(self.used_bytes + bytes);
    }

    /// The disk has room without limit again.
    pub const fn never_full(&mut self) {
        self.capacity_bytes = None;
    }

    /// Turns one bit of a file over, also on stable storage; `bit` is below 8. False if there is no such
    /// octet.
    pub fn flip_bit(&mut self, file: &str, offset: u64, bit: u8) -> bool {
        let Some(octet) = self
            .names
            .get(file)
            .and_then(|id| self.files.get_mut(id))
            .and_then(|file| file.live.get_mut(usize::try_from(offset).ok()?))
        else {
            return false;
        };
        *octet ^= 1 << (bit % 8);
        true
    }

    /// Puts a whole file there, or in the place of another, durably.
    pub fn plant(&mut self, file: &str, bytes: &[u8]) {
        self.uproot(file);
        let id = self.new_file();
        self.used_bytes += bytes.len() as u64;
        self.files.insert(id, SimFile { live: bytes.to_vec(), synced: bytes.len(), old: Vec::new() });
        self.names.insert(file.to_owned(), id);
        self.durable_names.insert(file.to_owned(), id);
    }

    /// Takes a file away, durably.
    pub fn uproot(&mut self, file: &str) {
        self.durable_names.remove(file);
        self.name_changes.retain(|(name, _)| name != file);
        if let Some(file) = self.names.remove(file).and_then(|id| self.files.remove(&id)) {
            self.used_bytes -= file.len();
        }
    }

    /// Content of a file as a reader sees it.
    #[must_use]
    pub fn content(&self, file: &str) -> Option<&[u8]> {
        Some(&self.files.get(self.names.get(file)?)?.live)
    }

    /// Names of all files, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str)
    }

    /// Number of changing calls so far.
    #[must_use]
    pub const fn operations(&self) -> u64 {
        self.operations
    }

    /// Number of appends so far.
    #[must_use]
    pub const fn appends(&self) -> u64 {
        self.appends
    }

    /// Number of syncs so far, of files and of the directory.
    #[must_use]
    pub const fn syncs(&self) -> u64 {
        self.syncs
    }

    /// Whether the planned power cut has come.
    #[must_use]
    pub const fn is_dark(&self) -> bool {
        self.dark
    }

    fn cut_names(&mut self, generator: &mut Generator, cut: &mut impl FnMut(&mut Generator) -> Cut) {
        let mut changes = std::mem::take(&mut self.name_changes);
        match cut(generator) {
            Cut::Kept => {}
            Cut::Lost => changes.clear(),
            Cut::Prefix => changes.truncate(generator.below(changes.len() as u64 + 1) as usize),
            Cut::Torn => changes.retain(|_| generator.coin()),
        }
        for (name, file) in changes {
            match file {
                Some(file) => self.durable_names.insert(name, file),
                None => self.durable_names.remove(&name),
            };
        }
        self.names = self.durable_names.clone();
        let named: Vec<u64> = self.names.values().copied().collect();
        self.files.retain(|id, _| named.contains(id));
    }

    fn new_file(&mut self) -> u64 {
        self.next_file += 1;
        self.next_file
    }

    fn fail(operation: &'static str, file: &str, kind: DiskErrorKind, message: &str) -> DiskError {
        DiskError { operation, file: file.to_owned(), kind, message: message.to_owned() }
    }

    /// Fails once power is gone.
    fn powered(&self, operation: &'static str, file: &str) -> Result<(), DiskError> {
        if self.dark {
            return Err(Self::fail(operation, file, DiskErrorKind::Other, "no power"));
        }
        Ok(())
    }

    /// Counts a changing call; true if power goes at it.
    fn begin(&mut self, operation: &'static str, file: &str) -> Result<bool, DiskError> {
        self.powered(operation, file)?;
        self.operations += 1;
        self.dark = self.power_cut_at == Some(self.operations);
        Ok(self.dark)
    }

    fn begin_sync(&mut self, operation: &'static str, file: &str) -> Result<bool, DiskError> {
        let dark = self.begin(operation, file)?;
        self.syncs += 1;
        Ok(dark)
    }

    fn file(&mut self, operation: &'static str, name: &str) -> Result<&mut SimFile, DiskError> {
        self.names
            .get(name)
            .and_then(|id| self.files.get_mut(id))
            .ok_or_else(|| Self::fail(operation, name, DiskErrorKind::NotFound, "no such file"))
    }
}

impl Disk for SimDisk {
    fn list(&mut self) -> Result<Vec<String>, DiskError> {
        self.powered("list", "")?;
        Ok(self.names.keys().cloned().collect())
    }

    fn read(&mut self, file: &str) -> Result<Vec<u8>, DiskError> {
        self.powered("read", file)?;
        Ok(self.file("read", file)?.live.clone())
    }

    fn append(&mut self, file: &str, bytes: &[u8]) -> Result<(), DiskError> {
        const NAME: &str = "append";
        self.begin(NAME, file)?;
        self.appends += 1;
        let room = self.capacity_bytes.map_or(u64::MAX, |capacity| capacity.saturating_sub(self.used_bytes));
        let (len, error) = if self.failing_append == Some(self.appends) {
            (bytes.len() / 2, Some((DiskErrorKind::Other, "planned failure")))
        } else if room < bytes.len() as u64 {
            (room as usize, Some((DiskErrorKind::Full, "no space left on device")))
        } else {
            (bytes.len(), None)
        };
        if !self.names.contains_key(file) {
            if let (0, Some((kind, message))) = (len, error) {
                return Err(Self::fail(NAME, file, kind, message));
            }
            let id = self.new_file();
            self.files.insert(id, SimFile::default());
            self.names.insert(file.to_owned(), id);
            self.name_changes.push((file.to_owned(), Some(id)));
        }
        self.file(NAME, file)?.live.extend_from_slice(&bytes[..len]);
        self.used_bytes += len as u64;
        if let Some((kind, message)) = error {
            return Err(Self::fail(NAME, file, kind, message));
        }
        self.powered(NAME, file)
    }

    fn truncate(&mut self, file: &str, len: u64) -> Result<(), DiskError> {
        self.begin("truncate", file)?;
        let before = self.file("truncate", file)?.len();
        self.file("truncate", file)?.truncate(usize::try_from(len).unwrap_or(usize::MAX));
        self.used_bytes -= before.saturating_sub(len);
        self.powered("truncate", file)
    }

    fn sync(&mut self, file: &str) -> Result<(), DiskError> {
        const NAME: &str = "sync";
        let dark = self.begin_sync(NAME, file)?;
        let failing = self.failing_sync == Some(self.syncs);
        // Any generator will do; this one makes the outcome follow from the history.
        let mut generator = Generator::new(self.operations);
        let synced = self.file(NAME, file)?;
        if dark {
            return self.powered(NAME, file);
        }
        if !failing {
            synced.sync();
            return Ok(());
        }
        let before = synced.len();
        synced.cut(Cut::Torn, &mut generator);
        let after = synced.len();
        self.used_bytes = self.used_bytes - before + after;
        Err(Self::fail(NAME, file, DiskErrorKind::Other, "planned failure"))
    }

    fn sync_directory(&mut self) -> Result<(), DiskError> {
        const NAME: &str = "sync_directory";
        if self.begin_sync(NAME, "")? {
            return self.powered(NAME, "");
        }
        if self.failing_sync == Some(self.syncs) {
            return Err(Self::fail(NAME, "", DiskErrorKind::Other, "planned failure"));
        }
        for (name, file) in self.name_changes.drain(..) {
            match file {
                Some(file) => self.durable_names.insert(name, file),
                None => self.durable_names.remove(&name).inspect(|removed| {
                    self.used_bytes -= self.files.remove(removed).map_or(0, |file| file.len());
                }),
            };
        }
        Ok(())
    }

    fn remove(&mut self, file: &str) -> Result<(), DiskError> {
        self.begin("remove", file)?;
        self.file("remove", file)?;
        self.names.remove(file);
        self.name_changes.push((file.to_owned(), None));
        self.powered("remove", file)
    }
}

/// One file. What is on stable storage is `live[..synced]` and then `old`.
#[derive(Clone, Debug, Default)]
struct SimFile {
    live: Vec<u8>,
    /// How much of `live` is on stable storage, in octets.
    synced: usize,
    /// What was cut off `live` and is still there on stable storage.
    old: Vec<u8>,
}

impl SimFile {
    const fn len(&self) -> u64 {
        self.live.len() as u64
    }

    fn truncate(&mut self, len: usize) {
        if len < self.synced {
            let mut old = self.live[len..self.synced].to_vec();
            old.append(&mut self.old);
            self.old = old;
            self.synced = len;
        }
        self.live.truncate(len);
    }

    fn sync(&mut self) {
        self.synced = self.live.len();
        self.old.clear();
    }

    /// Decides what of the unsynced reached the disk. Costs as much as is unsynced.
    fn cut(&mut self, cut: Cut, generator: &mut Generator) {
        let new = self.live.split_off(self.synced);
        let old = std::mem::take(&mut self.old);
        if !(new.is_empty() && old.is_empty()) {
            let len = |generator: &mut Generator| generator.below(new.len() as u64 + 1) as usize;
            let end = match cut {
                Cut::Kept => new,
                Cut::Lost => old,
                Cut::Prefix => new[..len(generator)].to_vec(),
                Cut::Torn => {
                    // Often at full length, as the length and the sectors are written apart.
                    let len = if generator.coin() { new.len() } else { len(generator) };
                    torn(&new[..len], &old, self.synced, generator)
                }
            };
            self.live.extend_from_slice(&end);
        }
        self.sync();
    }
}

/// A mixture of the sectors of `new` with `old` or zeros; both begin at `offset` of their file.
fn torn(new: &[u8], old: &[u8], offset: usize, generator: &mut Generator) -> Vec<u8> {
    let mut mixed = old[..old.len().min(new.len())].to_vec();
    mixed.resize(new.len(), 0);
    let mut start = 0;
    while start < new.len() {
        let end = (start + SECTOR_BYTES - (offset + start) % SECTOR_BYTES).min(new.len());
        if generator.coin() {
            mixed[start..end].copy_from_slice(&new[start..end]);
        }
        start = end;
    }
    mixed
}

/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;
