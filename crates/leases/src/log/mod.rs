//! The segmented log that makes a server's state durable.
//!
//! - A [`Batch`] becomes durable whole or not at all, and batches become durable in their order.
//! - What [`Log::sync`] reported survives every crash, and the number it reports never falls.
//! - After any error the log takes nothing more until it is opened again. A sync that failed is never
//!   tried again: the disk may have dropped what it could not write and call the next one a success.
//! - [`Log::open`] finds the log whole, cuts a torn tail, or names what is corrupt and changes nothing.
//!
//! Old segments go without a pause: the engine logs old live records again, a few with each batch, and
//! says by [`Batch::floor`] how far that has come.

use std::collections::VecDeque;

use api::identity::{Lsn, StoreStamp};

use crate::log::scan::Scan;
use crate::log::segment::{Segment, SegmentHeader};

mod batch;
mod disk;
mod error;
mod frame;
mod reserve;
mod scan;
mod segment;
pub mod testing;
mod write;

pub use batch::{Batch, Entry, StoreId};
pub use disk::{Disk, DiskError, DiskErrorKind};
pub use error::{OpenError, StoreError};

/// Sizes of a log. They may change from one start to the next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Options {
    /// A segment that would grow beyond this is closed, in octets. A larger batch gets one to itself.
    pub segment_bytes: u64,
    /// Room set aside for the day the disk is full, in octets; 0 sets none aside.
    pub reserve_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { segment_bytes: 8 << 20, reserve_bytes: 4 << 20 }
    }
}

/// What was on the disk.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Opened {
    /// Identity of the store.
    pub store_id: StoreId,
    /// Epoch and last change of the last whole batch; zeros if there is none.
    pub loaded: StoreStamp,
    /// The entries of all whole batches, in order. Older ones may be there although a later batch
    /// stands for them.
    pub entries: Vec<Entry>,
    /// What was cut off.
    pub torn: Option<TornTail>,
    /// Length of all segments, in octets.
    pub bytes: u64,
}

/// The unsynced end of the log, damaged by a crash.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TornTail {
    /// The segment.
    pub file: String,
    /// Where the damage begins, in octets.
    pub offset: u64,
    /// Number of octets from there to the end of the file.
    pub bytes: u64,
}

/// For metrics.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Statistics {
    /// Number of segments.
    pub segments: usize,
    /// Length of all segments, in octets.
    pub bytes: u64,
    /// The reserve is given up.
    pub low_space: bool,
    /// The last durable change.
    pub synced: Lsn,
}

/// A log open for writing. The caller sees to it that no other process has it open.
#[derive(Clone, Debug)]
pub struct Log<D> {
    disk: D,
    options: Options,
    store_id: StoreId,
    /// Oldest first; the last one is written to, the others are synced.
    segments: VecDeque<Segment>,
    epoch: u64,
    /// The last change appended.
    last: Lsn,
    /// The last change known to be durable.
    synced: Lsn,
    /// The highest floor appended; of use only once it is durable.
    floor: Lsn,
    low_space: bool,
    poisoned: bool,
    /// Holds the frame being written.
    buffer: Vec<u8>,
}

impl<D: Disk> Log<D> {
    /// Begins the log of a new store in a directory without one.
    ///
    /// # Errors
    ///
    /// [`OpenError::Exists`] if there is one, or why it cannot be told whether there is.
    pub fn create(mut disk: D, store_id: StoreId, options: Options) -> Result<Self, OpenError> {
        match scan::scan(&mut disk, &mut |_, _| ()) {
            Err(OpenError::Empty) => {}
            Err(other) => return Err(other),
            Ok(_) => return Err(OpenError::Exists),
        }
        for begun in scan::sequences(&mut disk)? {
            disk.remove(&segment::name(begun))?;
        }
        let header = SegmentHeader { store_id, sequence: 1, first: Lsn(1), synced: Lsn::ZERO };
        disk.append(&segment::name(1), &header.encode())?;
        disk.sync(&segment::name(1))?;
        disk.sync_directory()?;

        let segment = Segment { sequence: 1, last: Lsn::ZERO, bytes: SegmentHeader::BYTES as u64 };
        let scan = Scan {
            store_id,
            segments: VecDeque::from([segment]),
            loaded: StoreStamp::default(),
            floor: Lsn::ZERO,
            torn: None,
        };
        Self::new(disk, options, scan)
    }

    /// Opens a log and reads all of it into memory.
    ///
    /// # Errors
    ///
    /// [`OpenError::Empty`] if there is none, also if [`create`](Self::create) was interrupted.
    pub fn open(disk: D, options: Options) -> Result<(Self, Opened), OpenError> {
        let mut entries = Vec::new();
        let (log, opened) =
            Self::open_with(disk, options, |kind, body| entries.push(Entry { kind, body: body.to_vec() }))?;
        Ok((log, Opened { entries, ..opened }))
    }

    /// Opens a log and hands kind and body of its entries over one by one; [`Opened::entries`] stays
    /// empty. What was handed over is void if the call fails.
    ///
    /// # Errors
    ///
    /// As of [`open`](Self::open).
    pub fn open_with(
        mut disk: D,
        options: Options,
        mut each: impl FnMut(u8, &[u8]),
    ) -> Result<(Self, Opened), OpenError> {
        // The process before this one may have been killed before its sync. All that is read from here
        // on counts as durable, so make it so first.
        disk.sync_directory()?;
        if let Some(newest) = scan::sequences(&mut disk)?.pop() {
            disk.sync(&segment::name(newest))?;
        }
        let scan = scan::scan(&mut disk, &mut each)?;
        // Synced before anything new is written, or a power cut might leave both.
        match &scan.torn {
            // Not even the header is whole.
            Some(TornTail { file, offset: 0, .. }) => {
                disk.remove(file)?;
                disk.sync_directory()?;
            }
            Some(TornTail { file, offset, .. }) => {
                disk.truncate(file, *offset)?;
                disk.sync(file)?;
            }
            None => {}
        }
        let opened = opened(&scan);
        Ok((Self::new(disk, options, scan)?, opened))
    }

    /// Reads a log without changing it: as [`open_with`](Self::open_with), but a torn tail stays.
    ///
    /// # Errors
    ///
    /// As of [`open`](Self::open).
    pub fn inspect(mut disk: D, mut each: impl FnMut(u8, &[u8])) -> Result<Opened, OpenError> {
        Ok(opened(&scan::scan(&mut disk, &mut each)?))
    }

    /// Writes a batch. It is durable once a later [`sync`](Self::sync) returns at least its `last`.
    ///
    /// # Errors
    ///
    /// Any error poisons the log; the batch may yet be found at the next open.
    pub fn append(&mut self, batch: &Batch) -> Result<(), StoreError> {
        self.unless_poisoned(|log| log.write(batch))
    }

    /// Makes all appended batches durable and returns the last durable change. Removes segments that
    /// are not needed any more.
    ///
    /// # Errors
    ///
    /// Any error poisons the log; the batches may yet be found at the next open.
    pub fn sync(&mut self) -> Result<Lsn, StoreError> {
        self.unless_poisoned(|log| {
            log.flush()?;
            log.remove_old()?;
            Ok(log.synced)
        })
    }

    /// Makes everything durable and marks it so, for a stop in good order. Without the mark damage to
    /// what was synced last cannot be told from a torn tail at the next open.
    ///
    /// # Errors
    ///
    /// As of [`sync`](Self::sync).
    pub fn close(mut self) -> Result<D, StoreError> {
        self.sync()?;
        self.unless_poisoned(Self::mark)?;
        Ok(self.disk)
    }

    /// The disk, as it is.
    pub fn into_disk(self) -> D {
        self.disk
    }

    /// The disk.
    pub const fn disk_mut(&mut self) -> &mut D {
        &mut self.disk
    }

    /// Identity of the store.
    #[must_use]
    pub const fn store_id(&self) -> StoreId {
        self.store_id
    }

    /// The last change appended, durable or not.
    #[must_use]
    pub const fn last(&self) -> Lsn {
        self.last
    }

    /// Whether the reserve is given up: only what must be stored should be.
    #[must_use]
    pub const fn low_space(&self) -> bool {
        self.low_space
    }

    /// Figures for metrics.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        Statistics {
            segments: self.segments.len(),
            bytes: self.segments.iter().map(|segment| segment.bytes).sum(),
            low_space: self.low_space,
            synced: self.synced,
        }
    }
}

fn opened(scan: &Scan) -> Opened {
    Opened {
        store_id: scan.store_id,
        loaded: scan.loaded,
        entries: Vec::new(),
        torn: scan.torn.clone(),
        bytes: scan.segments.iter().map(|segment| segment.bytes).sum(),
    }
}
