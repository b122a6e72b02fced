//! The files of a store: an error in words, or a log that opens, can be written and opens again as the same, and from
//! which a server starts or says why not.
//!
//! Arbitrary octets rarely have the right checksums, so an input may ask for them to be set
//! (`docs/formats/lease-log.md`).

use api::identity::Lsn;
use leases::lease::Lease;
use leases::log::testing::SimDisk;
use leases::log::{Batch, Entry, Log, OpenError, Opened, Options, StoreId};

use crate::bench::Bench;
use crate::input::{Input, put_part};

const OPTIONS: Options = Options { segment_bytes: 4096, reserve_bytes: 512 };
/// Files of one input.
const FILES_MAX: usize = 8;

/// Files, each behind an octet that names it and a length.
pub fn check(octets: &[u8]) {
    open(disk(octets));
}

/// The disk that an input describes.
fn disk(octets: &[u8]) -> SimDisk {
    let mut input = Input::new(octets);
    let mend = input.octet() & 1 != 0;
    let mut disk = SimDisk::new();
    for _ in 0..FILES_MAX {
        if input.is_empty() {
            break;
        }
        let name = input.octet();
        let mut content = input.part().to_vec();
        if mend && (1..=SEGMENTS_MAX).contains(&name) {
            set_checksums(&mut content, u64::from(name));
        }
        disk.plant(&file(name), &content);
    }
    disk
}

/// An input from files of a store, for [`seeds`](crate::seeds). What has no place in an input is left out.
pub(crate) fn input(disk: &SimDisk, mend: bool) -> Vec<u8> {
    let mut octets = vec![u8::from(mend)];
    for name in (0..=u8::MAX).filter(|name| disk.content(&file(*name)).is_some()) {
        octets.push(name);
        put_part(&mut octets, disk.content(&file(name)).unwrap_or_default());
    }
    octets
}

fn file(name: u8) -> String {
    match name {
        0 => "reserve".to_owned(),
        1..=SEGMENTS_MAX => format!("segment-{name:016x}"),
        // Neither may disturb the others.
        251 => "segment-1".to_owned(),
        252 => format!("segment-{:016x}", u64::MAX),
        253 => format!("segment-{:016X}", 0xab),
        other => format!("other-{other}"),
    }
}

/// Everything that is done with the files of a store.
fn open(disk: SimDisk) {
    let inspected = Log::inspect(disk.clone(), |_, _| ());
    let mut opening = disk.clone();
    let opened = match Log::open(&mut opening, OPTIONS) {
        Ok((log, opened)) => {
            assert_eq!(log.last(), opened.loaded.lsn);
            drop(log);
            opened
        }
        Err(error) => {
            assert_eq!(inspected.as_ref().err(), Some(&error), "looking at a log is as opening it");
            assert!(!error.to_string().is_empty());
            assert!(same_files(&disk, &opening), "{error}, and yet something was changed");
            create(disk, &error);
            return;
        }
    };
    let inspected = inspected.expect("what opens can be looked at");
    assert_eq!((inspected.loaded, &inspected.torn), (opened.loaded, &opened.torn));
    assert_eq!(Log::create(disk, StoreId([9; 16]), OPTIONS).err(), Some(OpenError::Exists));
    // What was torn is gone.
    let (_, again) = Log::open(opening.clone(), OPTIONS).expect("what opened opens again");
    assert_eq!(again, Opened { torn: None, bytes: again.bytes, ..opened.clone() });
    write(opening, &opened);
    start(&opened);
}

/// There is a log, or one can be made; nothing else.
fn create(disk: SimDisk, error: &OpenError) {
    let created = Log::create(disk, StoreId([9; 16]), OPTIONS);
    match error {
        OpenError::Empty => {
            let log = created.expect("an empty directory takes a new log");
            let (_, opened) = Log::open(log.into_disk(), OPTIONS).expect("a new log opens");
            assert!(opened.entries.is_empty());
        }
        other => assert_eq!(created.err().as_ref(), Some(other)),
    }
}

/// What is written behind what was found is found behind it.
fn write(disk: SimDisk, before: &Opened) {
    // The highest number of all is kept free.
    if before.loaded.lsn.0 >= u64::MAX - 1 {
        return;
    }
    let (mut log, _) = Log::open(disk, OPTIONS).expect("it opened before");
    let next = Lsn(before.loaded.lsn.0 + 1);
    let entries = vec![Entry { kind: 9, body: b"behind the rest".to_vec() }];
    let batch = Batch { epoch: before.loaded.epoch, first: next, last: next, entries, floor: Lsn::ZERO };
    log.append(&batch).expect("the disk works");
    assert_eq!(log.sync(), Ok(next));
    let segments = log.statistics().segments;
    let closed = log.close().expect("the disk works");
    let (log, after) = Log::open(closed, OPTIONS).expect("what was closed opens");
    assert_eq!((after.loaded.lsn, after.torn), (next, None));
    let all: Vec<_> = before.entries.iter().chain(&batch.entries).cloned().collect();
    assert!(all.ends_with(&after.entries), "entries are not those that were written");
    assert!(!after.entries.is_empty() && log.statistics().segments == segments);
}

/// A server starts from the entries, or says why not; a lease is written as it was read.
fn start(opened: &Opened) {
    for entry in opened.entries.iter().filter(|entry| entry.kind == Entry::LEASE) {
        let Ok(lease) = Lease::decode(&entry.body) else { continue };
        let mut again = Vec::new();
        lease.encode(&mut again);
        assert_eq!(again, entry.body, "{lease:?}");
    }
    let _ = server::stored_manifest(&opened.entries);
    let _ = server::stored_leases(&opened.entries);
    let Ok(mut bench) = Bench::from_store(opened.loaded, &opened.entries) else { return };
    bench.advance(2_000);
    bench.discover();
    bench.advance(61_000);
    bench.restart();
}

fn same_files(one: &SimDisk, other: &SimDisk) -> bool {
    one.names().eq(other.names()) && one.names().all(|name| one.content(name) == other.content(name))
}

/// Sets the checksums of a segment as far as its lengths make sense.
fn set_checksums(segment: &mut [u8], sequence: u64) {
    let Some(header) = segment.first_chunk_mut::<SEGMENT_HEADER>() else { return };
    let sum = crc32c::crc32c(&header[..SEGMENT_HEADER - 4]);
    header[SEGMENT_HEADER - 4..].copy_from_slice(&sum.to_be_bytes());
    let store_id: [u8; 16] = header[12..28].try_into().expect("16 octets");
    let mut offset = SEGMENT_HEADER;
    while let Some(frame) = segment.get_mut(offset..).filter(|rest| rest.len() >= FRAME_HEADER + 4) {
        let body = u32::from_be_bytes([frame[4], frame[5], frame[6], frame[7]]) as usize;
        for end in [Some(FRAME_HEADER - 4), body.checked_add(FRAME_HEADER)].into_iter().flatten() {
            if end > frame.len() - 4 {
                return;
            }
            let place = crc32c::crc32c(&store_id);
            let place = crc32c::crc32c_append(place, &sequence.to_be_bytes());
            let place = crc32c::crc32c_append(place, &(offset as u64).to_be_bytes());
            let sum = crc32c::crc32c_append(place, &frame[..end]);
            frame[end..end + 4].copy_from_slice(&sum.to_be_bytes());
        }
        offset += FRAME_HEADER + body + 4;
    }
}

const SEGMENTS_MAX: u8 = 250;
const SEGMENT_HEADER: usize = 64;
const FRAME_HEADER: usize = 56;
