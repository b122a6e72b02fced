//! Names and headers of segments. The layout is in `docs/formats/lease-log.md`.

use api::identity::Lsn;

use crate::log::StoreId;
use crate::log::frame::{u32_at, u64_at};

/// What the log remembers of a segment.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) sequence: u64,
    /// The last change in it; the one before its first while it is empty.
    pub(super) last: Lsn,
    /// Length of the file, in octets.
    pub(super) bytes: u64,
}

impl Segment {
    pub(super) fn name(&self) -> String {
        name(self.sequence)
    }
}

/// The file of the segment with this sequence number.
pub(super) fn name(sequence: u64) -> String {
    format!("{PREFIX}{sequence:016x}")
}

/// The sequence number in the name of a segment; `None` for any other file.
pub(super) fn sequence(file: &str) -> Option<u64> {
    let sequence = u64::from_str_radix(file.strip_prefix(PREFIX)?, 16).ok()?;
    // Only the one spelling: "+1" and capital letters parse, too.
    (name(sequence) == file).then_some(sequence)
}

/// First bytes of a segment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct SegmentHeader {
    pub(super) store_id: StoreId,
    /// The first of a store is 1.
    pub(super) sequence: u64,
    /// The change that comes first in it.
    pub(super) first: Lsn,
    /// What was known to be durable when the segment was begun.
    pub(super) synced: Lsn,
}

/// Why the first bytes of a segment are not a header that can be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum BadHeader {
    /// Cut, torn or rotten.
    Damaged,
    /// Whole, but of a version that this release does not know.
    Version(u16),
}

impl SegmentHeader {
    /// Octets of a header.
    pub(super) const BYTES: usize = 64;

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::BYTES);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_be_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&self.store_id.0);
        for number in [self.sequence, self.first.0, self.synced.0, 0] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        let checksum = crc32c::crc32c(&out);
        out.extend_from_slice(&checksum.to_be_bytes());
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, BadHeader> {
        Self::parts(bytes).ok_or(BadHeader::Damaged).and_then(|(version, header)| match version {
            VERSION => Ok(header),
            other => Err(BadHeader::Version(other)),
        })
    }

    /// Version and fields; `None` if magic or checksum are wrong, which every version has in this place.
    fn parts(bytes: &[u8]) -> Option<(u16, Self)> {
        let content = bytes.get(..Self::BYTES - 4)?;
        if !content.starts_with(&MAGIC) || u32_at(bytes, Self::BYTES - 4)? != crc32c::crc32c(content) {
            return None;
        }
        let version = u16::from_be_bytes(*content.get(8..)?.first_chunk()?);
        let header = Self {
            store_id: StoreId(*content.get(12..)?.first_chunk()?),
            sequence: u64_at(content, 28)?,
            first: Lsn(u64_at(content, 36)?),
            synced: Lsn(u64_at(content, 44)?),
        };
        Some((version, header))
    }
}

const PREFIX: &str = "segment-";
const MAGIC: [u8; 8] = *b"\xf5DFPLOG\n";
const VERSION: u16 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_one_spelling_of_a_sequence_number_names_a_segment() {
        assert_eq!(sequence(&name(0x2a)), Some(0x2a));
        for foreign in [
            "segment-2a",
            "segment-000000000000002A",
            "segment-+00000000000002a",
            "segment-000000000000002a~",
            "",
        ] {
            assert_eq!(sequence(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn a_header_survives_encoding_and_no_changed_bit() {
        let header =
            SegmentHeader { store_id: StoreId([7; 16]), sequence: 3, first: Lsn(500), synced: Lsn(499) };
        let bytes = header.encode();
        assert_eq!(bytes.len(), SegmentHeader::BYTES);
        assert_eq!(SegmentHeader::decode(&bytes), Ok(header));
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SegmentHeader::decode(&bytes), Err(BadHeader::Damaged), "bit {bit}");
        }
    }
}
