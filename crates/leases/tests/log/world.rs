//! A log under test, what was promised about it, and the check of what a reopened one says.

use api::identity::Lsn;
use leases::log::testing::{Generator, Ledger, SimDisk};
use leases::log::{Batch, Disk, Entry, Log, OpenError, Options, StoreError, StoreId};

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
    pub(crate) generator: Generator,
    ledger: Ledger,
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
        Self { disk, generator: Generator::new(seed), ledger: Ledger::default() }
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
            Err(OpenError::Empty) if self.ledger.reported() == Lsn::ZERO => {
                let log =
                    Log::create(&mut *disk, STORE, OPTIONS).map_err(|error| broken_unless_disk(&error))?;
                (log, None)
            }
            Err(error) => return Err(broken_unless_disk(&error)),
            Ok((log, opened)) => (log, Some(opened)),
        };
        match opened {
            Some(opened) => self.ledger.reopened(&opened),
            None => self.ledger.begun(),
        }
        .map_err(End::Broken)?;
        for step in steps {
            match *step {
                Step::Append { keys, bytes } => {
                    let batch = self.ledger.next_batch(keys, bytes, &mut self.generator);
                    log.append(&batch).map_err(|error| poisoned(&mut log, &error))?;
                }
                Step::Sync => {
                    let synced = log.sync().map_err(|error| poisoned(&mut log, &error))?;
                    self.ledger.synced(synced, log.last()).map_err(End::Broken)?;
                }
                Step::Restart { close: false } => return Ok(()),
                Step::Restart { close: true } => {
                    let last = log.last();
                    log.close().map_err(|_| End::Failed)?;
                    return self.ledger.synced(last, last).map_err(End::Broken);
                }
            }
        }
        Ok(())
    }
}

/// After a failure the log must take nothing more.
fn poisoned<L: Disk>(log: &mut Log<L>, error: &StoreError) -> End {
    let next = batch(log.last(), b"after the failure");
    if !matches!(error, StoreError::Disk(_)) {
        return End::Broken(format!("a good batch was refused: {error}"));
    }
    if log.sync() != Err(StoreError::Poisoned) || log.append(&next) != Err(StoreError::Poisoned) {
        return End::Broken("the log went on after a failure".to_owned());
    }
    End::Failed
}

fn broken_unless_disk(error: &OpenError) -> End {
    match error {
        OpenError::Disk(_) => End::Failed,
        other => End::Broken(format!("{other}")),
    }
}
