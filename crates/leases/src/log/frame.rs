//! A batch as bytes: a header with a checksum of its own, the entries, a checksum over everything. The
//! layout is in `docs/formats/lease-log.md`.

use api::identity::Lsn;

use crate::log::{Batch, Entry, StoreId};

/// Where a frame lies. It is part of both checksums, so bytes of another store, segment or offset are
/// never taken for a frame: a block that a removed segment left behind, a copied file, or what a client
/// wrote into its host name.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) store_id: StoreId,
    pub(super) sequence: u64,
    pub(super) offset: u64,
}

/// The header of a frame. `last` before `first` is a mark: a batch of nothing that says what is synced.
#[derive(Clone, Copy)]
pub(super) struct Header {
    pub(super) body_bytes: u32,
    pub(super) entries: u32,
    pub(super) epoch: u64,
    pub(super) first: Lsn,
    pub(super) last: Lsn,
    pub(super) floor: Lsn,
    pub(super) synced: Lsn,
}

/// A frame whose checksums are right.
pub(super) struct Frame<'a> {
    pub(super) header: Header,
    pub(super) body: &'a [u8],
}

/// Octets of header and checksum around the body.
pub(super) const OVERHEAD: usize = HEADER_BYTES + 4;

/// Octets of the frame of a batch.
pub(super) fn len(batch: &Batch) -> usize {
    OVERHEAD + batch.entries.iter().map(|entry| ENTRY_HEADER_BYTES + entry.body.len()).sum::<usize>()
}

/// Appends the frame of a batch, whose limits were checked.
pub(super) fn encode(batch: &Batch, synced: Lsn, place: Place, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&((len(batch) - OVERHEAD) as u32).to_be_bytes());
    out.extend_from_slice(&(batch.entries.len() as u32).to_be_bytes());
    for number in [batch.epoch, batch.first.0, batch.last.0, batch.floor.0, synced.0] {
        out.extend_from_slice(&number.to_be_bytes());
    }
    let checksum = place.checksum(&out[start..]);
    out.extend_from_slice(&checksum.to_be_bytes());
    for Entry { kind, body } in &batch.entries {
        out.push(*kind);
        out.extend_from_slice(&(body.len() as u32).to_be_bytes());
        out.extend_from_slice(body);
    }
    let checksum = place.checksum(&out[start..]);
    out.extend_from_slice(&checksum.to_be_bytes());
}

/// The header at the start of `bytes`, if its checksum is right.
pub(super) fn header(bytes: &[u8], place: Place) -> Option<Header> {
    let bytes = bytes.first_chunk::<HEADER_BYTES>()?;
    let (content, checksum) = bytes.split_last_chunk::<4>()?;
    if !content.starts_with(&MAGIC) || u32::from_be_bytes(*checksum) != place.checksum(content) {
        return None;
    }
    Some(Header {
        body_bytes: u32_at(content, 4)?,
        entries: u32_at(content, 8)?,
        epoch: u64_at(content, 12)?,
        first: Lsn(u64_at(content, 20)?),
        last: Lsn(u64_at(content, 28)?),
        floor: Lsn(u64_at(content, 36)?),
        synced: Lsn(u64_at(content, 44)?),
    })
}

/// The frame at the start of `bytes`, if its checksums are right.
pub(super) fn decode(bytes: &[u8], place: Place) -> Option<Frame<'_>> {
    let header = header(bytes, place)?;
    let body_end = HEADER_BYTES.checked_add(usize::try_from(header.body_bytes).ok()?)?;
    let (content, rest) = bytes.split_at_checked(body_end)?;
    let checksum = rest.first_chunk::<4>()?;
    if u32::from_be_bytes(*checksum) != place.checksum(content) {
        return None;
    }
    Some(Frame { header, body: &content[HEADER_BYTES..] })
}

/// The highest synced LSN that any frame header in `bytes` speaks of; `place` is that of `bytes`.
///
/// The frames themselves may be damaged: a header that passes its checksum was written as it is.
pub(super) fn synced_according_to(bytes: &[u8], place: Place) -> Option<Lsn> {
    let starts = bytes.windows(MAGIC.len()).enumerate().filter(|(_, window)| **window == MAGIC);
    let headers = starts.filter_map(|(at, _)| {
        header(&bytes[at..], Place { offset: place.offset.checked_add(at as u64)?, ..place })
    });
    headers.map(|header| header.synced).max()
}

impl Frame<'_> {
    /// Octets of the whole frame.
    pub(super) fn bytes(&self) -> usize {
        OVERHEAD + self.body.len()
    }

    /// Calls `each` with kind and body of every entry; false if the body is not a row of entries.
    #[must_use]
    pub(super) fn visit(&self, each: &mut dyn FnMut(u8, &[u8])) -> bool {
        let mut rest = self.body;
        for _ in 0..self.header.entries {
            let Some((head, tail)) = rest.split_first_chunk::<ENTRY_HEADER_BYTES>() else { return false };
            let [kind, len @ ..] = *head;
            let len = u32::from_be_bytes(len) as usize;
            let Some((body, tail)) = tail.split_at_checked(len) else { return false };
            each(kind, body);
            rest = tail;
        }
        rest.is_empty()
    }
}

impl Place {
    pub(super) fn checksum(&self, bytes: &[u8]) -> u32 {
        let seed = crc32c::crc32c(&self.store_id.0);
        let seed = crc32c::crc32c_append(seed, &self.sequence.to_be_bytes());
        let seed = crc32c::crc32c_append(seed, &self.offset.to_be_bytes());
        crc32c::crc32c_append(seed, bytes)
    }
}

/// The number at an offset, big-endian.
pub(super) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(offset..)?.first_chunk()?))
}

/// The number at an offset, big-endian.
pub(super) fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    Some(u64::from_be_bytes(*bytes.get(offset..)?.first_chunk()?))
}

/// Not text, so that no host name holds it by chance.
const MAGIC: [u8; 4] = [0xf5, b'B', b'A', 0xf6];
const HEADER_BYTES: usize = 56;
const ENTRY_HEADER_BYTES: usize = 5;
