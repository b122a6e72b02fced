//! Reads a log and tells a torn tail from rot. Writes nothing.
//!
//! What a power cut may leave follows from how the log is written. A segment is begun only once the one
//! before it is synced whole, and its header is synced before anything follows it. So damage before the
//! last segment, or in a header with frames behind it, was not done by a power cut. Within the last
//! segment a cut may lose or tear, in any order, all that was appended since the last sync, and nothing
//! else. How far that sync reached is on disk: every header and frame says what was synced when it was
//! written. A bad frame that was synced according to any of them, also to one behind it, is corruption;
//! any other is the torn tail.

use std::collections::VecDeque;

use api::identity::{Lsn, StoreStamp};

use crate::log::frame::{self, Frame, Place};
use crate::log::segment::{self, BadHeader, Segment, SegmentHeader};
use crate::log::{Disk, OpenError, StoreId, TornTail};

/// What is on a disk.
pub(super) struct Scan {
    pub(super) store_id: StoreId,
    /// All whole segments, oldest first; at least one.
    pub(super) segments: VecDeque<Segment>,
    pub(super) loaded: StoreStamp,
    /// The highest floor of any batch.
    pub(super) floor: Lsn,
    pub(super) torn: Option<TornTail>,
}

/// Sequence numbers of the segments of a directory, in order. Other files are not the log's business.
pub(super) fn sequences<D: Disk>(disk: &mut D) -> Result<Vec<u64>, OpenError> {
    let mut sequences: Vec<_> = disk.list()?.iter().filter_map(|file| segment::sequence(file)).collect();
    sequences.sort_unstable();
    Ok(sequences)
}

/// Reads every whole batch, in order, and calls `each` with kind and body of its entries.
pub(super) fn scan<D: Disk>(disk: &mut D, each: &mut dyn FnMut(u8, &[u8])) -> Result<Scan, OpenError> {
    let sequences = sequences(disk)?;
    let (Some(&oldest), Some(&newest)) = (sequences.first(), sequences.last()) else {
        return Err(OpenError::Empty);
    };
    let mut reading = None;
    for (sequence, index) in sequences.into_iter().zip(0..) {
        // They rise, so this is at most the sequence number itself.
        let expected = oldest + index;
        if sequence != expected {
            return Err(corrupt(segment::name(expected), 0, "segment is missing"));
        }
        let file = segment::name(sequence);
        let bytes = disk.read(&file)?;
        let header = match SegmentHeader::decode(&bytes) {
            Ok(header) => header,
            Err(BadHeader::Version(version)) => return Err(OpenError::Version { file, version }),
            Err(BadHeader::Damaged) if sequence == newest && bytes.len() <= SegmentHeader::BYTES => {
                return unfinished(reading, oldest, TornTail { file, offset: 0, bytes: bytes.len() as u64 });
            }
            Err(BadHeader::Damaged) => return Err(corrupt(file, 0, "segment header is damaged")),
        };
        let reading = reading.get_or_insert_with(|| Reading::new(&header));
        reading.segment(&file, sequence, &header)?;
        reading.frames(&file, &bytes, sequence == newest, each)?;
    }
    reading.ok_or(OpenError::Empty)?.finish()
}

/// The newest segment was begun, and its header never synced.
fn unfinished(reading: Option<Reading>, oldest: u64, torn: TornTail) -> Result<Scan, OpenError> {
    match reading {
        Some(reading) => Ok(Scan { torn: Some(torn), ..reading.finish()? }),
        // The very first: nothing was ever stored here.
        None if oldest == 1 => Err(OpenError::Empty),
        None => Err(corrupt(torn.file, 0, "segments before this one are missing")),
    }
}

struct Reading {
    store_id: StoreId,
    segments: VecDeque<Segment>,
    /// The first change of the oldest segment.
    first: Lsn,
    /// The change that must come next.
    next: Lsn,
    epoch: u64,
    floor: Lsn,
    /// The highest LSN known to have been synced.
    synced: Lsn,
    torn: Option<TornTail>,
}

impl Reading {
    fn new(oldest: &SegmentHeader) -> Self {
        Self {
            store_id: oldest.store_id,
            segments: VecDeque::new(),
            first: oldest.first,
            next: oldest.first,
            epoch: 0,
            floor: Lsn::ZERO,
            synced: Lsn::ZERO,
            torn: None,
        }
    }

    fn finish(self) -> Result<Scan, OpenError> {
        // Segments go only once a floor above them is durable.
        if self.first > self.floor.max(Lsn(1)) {
            let oldest = self.segments.front().map(Segment::name).unwrap_or_default();
            return Err(corrupt(oldest, 0, "segments before this one are missing"));
        }
        Ok(Scan {
            store_id: self.store_id,
            segments: self.segments,
            loaded: StoreStamp { epoch: self.epoch, lsn: Lsn(self.next.0 - 1) },
            floor: self.floor,
            torn: self.torn,
        })
    }

    fn segment(&mut self, file: &str, sequence: u64, header: &SegmentHeader) -> Result<(), OpenError> {
        if header.store_id != self.store_id {
            return Err(corrupt(file, 0, "segment is of another store"));
        }
        if header.sequence != sequence {
            return Err(corrupt(file, 0, "segment has the name of another"));
        }
        if header.first != self.next {
            return Err(corrupt(file, 0, "changes before this segment are missing"));
        }
        if header.synced >= header.first {
            return Err(corrupt(file, 0, "segment header contradicts itself"));
        }
        self.synced = self.synced.max(header.synced);
        self.segments.push_back(Segment { sequence, last: Lsn(self.next.0 - 1), bytes: 0 });
        Ok(())
    }

    fn frames(
        &mut self,
        file: &str,
        bytes: &[u8],
        newest: bool,
        each: &mut dyn FnMut(u8, &[u8]),
    ) -> Result<(), OpenError> {
        let Some(segment) = self.segments.back() else { return Ok(()) };
        let sequence = segment.sequence;
        let mut offset = SegmentHeader::BYTES;
        while offset < bytes.len() {
            let rest = &bytes[offset..];
            let place = Place { store_id: self.store_id, sequence, offset: offset as u64 };
            let Some(frame) = frame::decode(rest, place) else {
                let synced = self.synced.max(frame::synced_according_to(rest, place).unwrap_or_default());
                if !newest || self.next <= synced {
                    return Err(corrupt(file, place.offset, "a record that was synced is damaged"));
                }
                self.torn =
                    Some(TornTail { file: file.to_owned(), offset: place.offset, bytes: rest.len() as u64 });
                break;
            };
            self.frame(&frame, each).map_err(|what| corrupt(file, place.offset, what))?;
            offset += frame.bytes();
        }
        if let Some(segment) = self.segments.back_mut() {
            segment.last = Lsn(self.next.0 - 1);
            segment.bytes = offset as u64;
        }
        Ok(())
    }

    /// Takes a frame in. Its checksums are right, so whatever is wrong now was written so.
    fn frame(&mut self, frame: &Frame<'_>, each: &mut dyn FnMut(u8, &[u8])) -> Result<(), &'static str> {
        let header = &frame.header;
        if header.first != self.next {
            return Err("record does not continue the one before");
        }
        if header.epoch < self.epoch {
            return Err("epoch of the record is lower than that of the one before");
        }
        // An empty range is a mark. Nothing follows the highest of all numbers.
        let after = header.last.0.checked_add(1).filter(|after| *after >= header.first.0);
        let (Some(after), true) = (after, header.synced < header.first) else {
            return Err("record contradicts itself");
        };
        if !frame.visit(each) {
            return Err("record is not a row of entries");
        }
        self.next = Lsn(after);
        self.epoch = header.epoch;
        self.floor = self.floor.max(header.floor);
        self.synced = self.synced.max(header.synced);
        Ok(())
    }
}

fn corrupt(file: impl Into<String>, offset: u64, what: &'static str) -> OpenError {
    OpenError::Corrupt { file: file.into(), offset, what }
}

#[cfg(test)]
mod tests {
    use crate::log::testing::SimDisk;
    use crate::log::{Batch, Entry};

    use super::*;

    const STORE_ID: StoreId = StoreId([7; 16]);

    /// Checksums are right in all of these, so only a fault of the writer can have made them.
    #[test]
    fn what_contradicts_itself_is_corrupt_although_its_checksum_is_right() {
        let good = Batch { epoch: 5, first: Lsn(2), last: Lsn(3), entries: Vec::new(), floor: Lsn::ZERO };
        assert_eq!(offset_of_corruption(&good, Lsn(1)), None);
        assert_eq!(offset_of_corruption(&Batch { epoch: 4, ..good.clone() }, Lsn(1)), Some(129));
        assert_eq!(offset_of_corruption(&Batch { first: Lsn(3), ..good.clone() }, Lsn(1)), Some(129));
        assert_eq!(offset_of_corruption(&Batch { last: Lsn(0), ..good.clone() }, Lsn(1)), Some(129));
        assert_eq!(offset_of_corruption(&Batch { last: Lsn(u64::MAX), ..good.clone() }, Lsn(1)), Some(129));
        assert_eq!(offset_of_corruption(&good, Lsn(2)), Some(129));
        let mark = Batch { last: Lsn(1), ..good };
        assert_eq!(offset_of_corruption(&mark, Lsn(1)), None);
    }

    #[test]
    fn a_segment_with_the_highest_number_of_all_lacks_those_before_it() {
        let mut disk = SimDisk::new();
        disk.plant(&segment::name(u64::MAX), b"no header");
        let what = "segments before this one are missing";
        assert_eq!(scan(&mut disk, &mut |_, _| ()).err(), Some(corrupt(segment::name(u64::MAX), 0, what)));
    }

    #[test]
    fn a_segment_header_that_contradicts_itself_is_corrupt() {
        for (first, synced) in [(1, 1), (0, 0), (1, u64::MAX)] {
            let header =
                SegmentHeader { store_id: STORE_ID, sequence: 1, first: Lsn(first), synced: Lsn(synced) };
            assert_eq!(offset(&header.encode()), Some(0), "{first} {synced}");
        }
    }

    #[test]
    fn a_body_that_is_not_a_row_of_entries_is_corrupt() {
        let entries = vec![Entry { kind: 1, body: vec![1, 2] }, Entry { kind: 2, body: Vec::new() }];
        let batch = Batch { epoch: 5, first: Lsn(1), last: Lsn(1), entries, floor: Lsn::ZERO };
        let mut whole = header();
        let start = whole.len();
        frame::encode(&batch, Lsn::ZERO, place(start), &mut whole);
        assert_eq!(offset(&whole), None);
        // Number of entries, length of the first, length of the second.
        for (at, value) in [(11, 1), (11, 3), (60, 1), (60, 8), (67, 1)] {
            let mut bytes = whole.clone();
            bytes[start + at] = value;
            for end in [start + 52, bytes.len() - 4] {
                let checksum = place(start).checksum(&bytes[start..end]).to_be_bytes();
                bytes[end..end + 4].copy_from_slice(&checksum);
            }
            assert_eq!(offset(&bytes), Some(64), "{at} {value}");
        }
    }

    fn header() -> Vec<u8> {
        SegmentHeader { store_id: STORE_ID, sequence: 1, first: Lsn(1), synced: Lsn::ZERO }.encode()
    }

    fn place(offset: usize) -> Place {
        Place { store_id: STORE_ID, sequence: 1, offset: offset as u64 }
    }

    /// Where a scan finds a segment corrupt that has change 1 of epoch 5 and then this batch.
    fn offset_of_corruption(batch: &Batch, synced: Lsn) -> Option<u64> {
        let entries = vec![Entry { kind: 1, body: Vec::new() }];
        let first = Batch { epoch: 5, first: Lsn(1), last: Lsn(1), entries, floor: Lsn::ZERO };
        let mut bytes = header();
        frame::encode(&first, Lsn::ZERO, place(64), &mut bytes);
        frame::encode(batch, synced, place(129), &mut bytes);
        offset(&bytes)
    }

    fn offset(segment: &[u8]) -> Option<u64> {
        let mut disk = SimDisk::new();
        disk.plant(&segment::name(1), segment);
        match scan(&mut disk, &mut |_, _| ()) {
            Ok(_) => None,
            Err(OpenError::Corrupt { offset, .. }) => Some(offset),
            Err(other) => panic!("{other}"),
        }
    }
}
