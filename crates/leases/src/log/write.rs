//! The writing half of the log.

use api::identity::Lsn;

use crate::log::frame::{self, Place};
use crate::log::scan::Scan;
use crate::log::segment::{self, Segment, SegmentHeader};
use crate::log::{
    Batch, Disk, DiskError, DiskErrorKind, Entry, Log, OpenError, Options, StoreError, reserve,
};

impl<D: Disk> Log<D> {
    /// A log that goes on where a scan ended.
    pub(super) fn new(mut disk: D, options: Options, scan: Scan) -> Result<Self, OpenError> {
        let low_space = !reserve::make(&mut disk, options.reserve_bytes)?;
        Ok(Self {
            disk,
            options,
            store_id: scan.store_id,
            segments: scan.segments,
            epoch: scan.loaded.epoch,
            last: scan.loaded.lsn,
            synced: scan.loaded.lsn,
            floor: scan.floor,
            low_space,
            poisoned: false,
            buffer: Vec::new(),
        })
    }

    pub(super) fn unless_poisoned<T>(
        &mut self,
        call: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if self.poisoned {
            return Err(StoreError::Poisoned);
        }
        let result = call(self);
        self.poisoned = result.is_err();
        result
    }

    pub(super) fn write(&mut self, batch: &Batch) -> Result<(), StoreError> {
        self.check(batch)?;
        let current = self.current();
        let bytes_after = current.bytes + frame::len(batch) as u64;
        if bytes_after > self.options.segment_bytes && current.bytes > SegmentHeader::BYTES as u64 {
            self.rotate()?;
        }
        self.write_frame(batch)?;
        self.last = batch.last;
        self.epoch = batch.epoch;
        self.floor = self.floor.max(batch.floor);
        Ok(())
    }

    pub(super) fn flush(&mut self) -> Result<(), StoreError> {
        if self.synced < self.last {
            let file = self.current().name();
            self.disk.sync(&file)?;
            self.synced = self.last;
        }
        Ok(())
    }

    /// Writes, and makes durable, that everything is durable.
    pub(super) fn mark(&mut self) -> Result<(), StoreError> {
        let mark = Batch {
            epoch: self.epoch,
            first: Lsn(self.last.0.saturating_add(1)),
            last: self.last,
            entries: Vec::new(),
            floor: self.floor,
        };
        self.write_frame(&mark)?;
        let file = self.current().name();
        Ok(self.disk.sync(&file)?)
    }

    /// Removes the segments below the floor, whose batch must be durable.
    ///
    /// Each removal is durable before the next: a power cut between them could otherwise bring an old
    /// segment back and not the one behind it, which is a hole.
    pub(super) fn remove_old(&mut self) -> Result<(), StoreError> {
        let mut removed = false;
        while self.segments.len() > 1
            && let Some(oldest) = self.segments.front().filter(|oldest| oldest.last < self.floor)
        {
            self.disk.remove(&oldest.name())?;
            self.disk.sync_directory()?;
            self.segments.pop_front();
            removed = true;
        }
        if removed {
            self.restore_reserve()?;
        }
        Ok(())
    }

    fn check(&self, batch: &Batch) -> Result<(), StoreError> {
        let Batch { epoch, first, last, ref entries, floor } = *batch;
        let expected = Lsn(self.last.0.saturating_add(1));
        // The highest number of all is kept free, so that there always is a next one.
        if first != expected || last < first || last.0 == u64::MAX {
            return Err(StoreError::OutOfOrder { expected, first, last });
        }
        if epoch < self.epoch {
            return Err(StoreError::EpochFell { last: self.epoch, given: epoch });
        }
        if floor > last {
            return Err(StoreError::FloorAhead { floor, last });
        }
        let bytes = frame::len(batch);
        if bytes > FRAME_BYTES_MAX || entries.iter().any(|entry| entry.body.len() > Entry::BODY_BYTES_MAX) {
            return Err(StoreError::TooLarge { bytes });
        }
        Ok(())
    }

    /// Closes the current segment and begins the next.
    fn rotate(&mut self) -> Result<(), StoreError> {
        // Damage before the newest segment is corruption to whoever reads the log, so nothing may be
        // unsynced there; and its header is whole before a frame follows.
        self.flush()?;
        let sequence = self.current().sequence + 1;
        let file = segment::name(sequence);
        let header = SegmentHeader {
            store_id: self.store_id,
            sequence,
            first: Lsn(self.last.0.saturating_add(1)),
            synced: self.synced,
        };
        self.append_at(&file, 0, &header.encode())?;
        self.disk.sync(&file)?;
        self.disk.sync_directory()?;
        let bytes = SegmentHeader::BYTES as u64;
        self.segments.push_back(Segment { sequence, last: self.last, bytes });
        Ok(self.restore_reserve()?)
    }

    fn write_frame(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let current = self.current();
        let (file, offset) = (current.name(), current.bytes);
        let place = Place { store_id: self.store_id, sequence: current.sequence, offset };
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        frame::encode(batch, self.synced, place, &mut buffer);
        self.append_at(&file, offset, &buffer)?;
        if let Some(current) = self.segments.back_mut() {
            current.last = batch.last;
            current.bytes += buffer.len() as u64;
        }
        if buffer.capacity() <= BUFFER_BYTES_MAX {
            self.buffer = buffer;
        }
        Ok(())
    }

    /// Appends to a file of `len` octets; on a full disk once more in the room of the reserve.
    fn append_at(&mut self, file: &str, len: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let error = match self.disk.append(file, bytes) {
            Err(error) if error.kind == DiskErrorKind::Full && !self.low_space => error,
            other => return other,
        };
        self.low_space = true;
        match self.disk.truncate(file, len) {
            Ok(()) => {}
            // There was not even room for its name.
            Err(missing) if missing.kind == DiskErrorKind::NotFound && len == 0 => {}
            Err(_) => return Err(error),
        }
        reserve::give_up(&mut self.disk)?;
        self.disk.append(file, bytes)
    }

    fn restore_reserve(&mut self) -> Result<(), DiskError> {
        if self.low_space {
            self.low_space = !reserve::make(&mut self.disk, self.options.reserve_bytes)?;
        }
        Ok(())
    }

    fn current(&self) -> &Segment {
        self.segments.back().expect("a log is made with a segment and keeps the newest")
    }
}

/// Longest frame, in octets.
const FRAME_BYTES_MAX: usize = 256 << 20;
/// What is kept between two batches at most, in octets.
const BUFFER_BYTES_MAX: usize = 1 << 20;
