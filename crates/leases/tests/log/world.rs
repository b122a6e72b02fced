//! A log under test, what was promised about it, and the check of what a reopened one says.

use std::collections::BTreeMap;

use api::identity::{Lsn, StoreStamp};
use leases::log::testing::{Generator, SimDisk};
use leases::log::{Batch, Disk, Entry, Log, OpenError, Opened, Options, StoreError, StoreId};

/// Small enough for many segments.
pub(crate) const OPTIONS: Options = Options { segment_bytes: 2500, reserve_bytes: 1500 };
pub(crate) const STORE: StoreId = StoreId(*b"0123456789abcdef");

/// A batch with one entry of this content, one change after `last`.
pub(crate) fn batch(last: Lsn, body: &[u8]) -> Batch {
    let entries = vec![Entry { kind: 1, body: body.to_vec() }];
    Batch { epoch: 1, first: last.next(), last: last.next(), entries, floor: Lsn::ZERO }
}

/// A log with synced batches, each in a sync of its own, made on an empty disk.
pub(crate) fn log_of(bodies: &[&[u8]]) -> Log<SimDisk> {
    let mut log = Log::create(SimDisk::new(), STORE, OPTIONS).expect("an empty disk");
    for body in bodies {
        log.append(&batch(log.last(), body)).expect("the disk works");
        log.sync().expect("the disk works");
    }
    log
}

/// One step of a history.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// A batch that sets this many of the keys, with this many octets each.
    Append { keys: usize, bytes: usize },
    /// A sync.
    Sync,
    /// A stop in good order, or one without warning, and a new start.
    Restart { close: bool },
}

/// The disk and all that was promised about it.
#[derive(Clone)]
pub(crate) struct World<D = SimDisk> {
    pub(crate) disk: D,
    /// Every batch whose append was begun and which may still be on the disk.
    pub(crate) history: Vec<Batch>,
    /// What was reported durable.
    pub(crate) reported: Lsn,
    pub(crate) generator: Generator,
    epoch: u64,
}

/// Why a life ended.
#[derive(Debug)]
pub(crate) enum End {
    /// The disk failed.
    Failed,
    /// A promise was broken.
    Broken(String),
}

impl<D: Disk + Clone> World<D> {
    pub(crate) fn new(disk: D, seed: u64) -> Self {
        Self { disk, history: Vec::new(), reported: Lsn::ZERO, generator: Generator::new(seed), epoch: 0 }
    }

    /// Opens the log, checks it, and takes the steps.
    pub(crate) fn live(&mut self, steps: &[Step]) -> Result<(), End> {
        for life in steps.split_inclusive(|step| matches!(step, Step::Restart { .. })) {
            // The log works on a disk of its own, as a process would; what it did stays done.
            let mut disk = self.disk.clone();
            let result = self.live_once(&mut disk, life);
            self.disk = disk;
            result?;
        }
        Ok(())
    }

    fn live_once(&mut self, disk: &mut D, steps: &[Step]) -> Result<(), End> {
        let (mut log, opened) = match Log::open(&mut *disk, OPTIONS) {
            Err(OpenError::Empty) if self.reported == Lsn::ZERO => {
                let log =
                    Log::create(&mut *disk, STORE, OPTIONS).map_err(|error| broken_unless_disk(&error))?;
                (log, None)
            }
            Err(error) => return Err(broken_unless_disk(&error)),
            Ok((log, opened)) => (log, Some(opened)),
        };
        match opened {
            Some(opened) => self.check(&opened)?,
            None => self.history.clear(),
        }
        self.epoch += 1;
        for step in steps {
            match *step {
                Step::Append { keys, bytes } => {
                    let batch = self.next_batch(keys, bytes);
                    self.history.push(batch.clone());
                    log.append(&batch).map_err(|error| self.poisoned(&mut log, &error))?;
                }
                Step::Sync => {
                    let synced = log.sync().map_err(|error| self.poisoned(&mut log, &error))?;
                    if synced != log.last() || synced < self.reported {
                        return Err(End::Broken(format!("sync reported {synced}")));
                    }
                    self.reported = synced;
                }
                Step::Restart { close: false } => return Ok(()),
                Step::Restart { close: true } => {
                    let last = log.last();
                    log.close().map_err(|_| End::Failed)?;
                    self.reported = last;
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// After a failure the log must take nothing more.
    fn poisoned<L: Disk>(&self, log: &mut Log<L>, error: &StoreError) -> End {
        let next = batch(log.last(), b"after the failure");
        if !matches!(error, StoreError::Disk(_)) {
            return End::Broken(format!("a good batch was refused: {error}"));
        }
        if log.sync() != Err(StoreError::Poisoned) || log.append(&next) != Err(StoreError::Poisoned) {
            return End::Broken("the log went on after a failure".to_owned());
        }
        End::Failed
    }

    /// What was opened must be whole batches of the history, and all that was promised.
    fn check(&mut self, opened: &Opened) -> Result<(), End> {
        let StoreStamp { epoch, lsn } = opened.loaded;
        let kept = self.history.iter().take_while(|batch| batch.last <= lsn).count();
        let last = self.history[..kept].last().map_or((0, Lsn::ZERO), |batch| (batch.epoch, batch.last));
        if (epoch, lsn) != last {
            return Err(End::Broken(format!("loaded ({epoch}, {lsn}) where batches end at {last:?}")));
        }
        if lsn < self.reported {
            return Err(End::Broken(format!("loaded {lsn} after {} was reported", self.reported)));
        }
        self.history.truncate(kept);
        let all: Vec<&Entry> = self.history.iter().flat_map(|batch| &batch.entries).collect();
        if !all.ends_with(&opened.entries.iter().collect::<Vec<_>>()) {
            return Err(End::Broken("entries are not those of the last batches".to_owned()));
        }
        if fold(&opened.entries) != fold(all) {
            return Err(End::Broken("a live record is gone".to_owned()));
        }
        // Whoever opened the log tells others what it found.
        self.reported = lsn;
        Ok(())
    }

    /// A batch for some keys, with a true floor or none.
    fn next_batch(&mut self, keys: usize, bytes: usize) -> Batch {
        let first = self.history.last().map_or(Lsn(1), |batch| batch.last.next());
        let last = Lsn(first.0 + self.generator.below(3));
        let start = self.generator.below(KEYS as u64) as usize;
        let entries = (start..start + keys).map(|key| {
            let mut body = vec![(key % KEYS) as u8];
            body.extend((1..bytes).map(|_| self.generator.next() as u8));
            Entry { kind: 1, body }
        });
        let entries: Vec<Entry> = entries.collect();
        let mut batch = Batch { epoch: self.epoch, first, last, entries, floor: Lsn::ZERO };
        if self.generator.below(3) > 0 {
            batch.floor = floor(self.history.iter().chain([&batch]));
        }
        batch
    }
}

/// The first change that every key was logged at or after; zero if one never was.
fn floor<'a>(history: impl Iterator<Item = &'a Batch>) -> Lsn {
    let mut logged = [Lsn::ZERO; KEYS];
    for batch in history {
        for entry in &batch.entries {
            logged[usize::from(entry.body[0])] = batch.first;
        }
    }
    logged.into_iter().min().unwrap_or_default()
}

/// The last value of each key.
fn fold<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> BTreeMap<u8, &'a [u8]> {
    entries.into_iter().map(|entry| (entry.body[0], &entry.body[..])).collect()
}

fn broken_unless_disk(error: &OpenError) -> End {
    match error {
        OpenError::Disk(_) => End::Failed,
        other => End::Broken(format!("{other}")),
    }
}

const KEYS: usize = 4;
