//! Damage that no power cut does, and damage that one may do: which is refused, which is cut.

use api::identity::{Lsn, StoreStamp};
use leases::log::testing::{Cut, Generator, SimDisk};
use leases::log::{Batch, Entry, Log, OpenError, Opened, Options, StoreId};
use proptest::prelude::*;

use crate::world::{OPTIONS, STORE, batch, log_of};

const FIRST: &str = "segment-0000000000000001";
const SECOND: &str = "segment-0000000000000002";
const THIRD: &str = "segment-0000000000000003";

/// Octets of the frame of a batch with one entry, without its content.
const FRAME: usize = 65;
const HEADER: usize = 64;

fn open(disk: &SimDisk) -> Result<Opened, OpenError> {
    Log::open(disk.clone(), OPTIONS).map(|(_, opened)| opened)
}

/// File and offset of what is corrupt.
fn corrupt(disk: &SimDisk) -> (String, u64) {
    let before: Vec<_> =
        disk.names().map(|name| (name.to_owned(), disk.content(name).map(<[u8]>::to_vec))).collect();
    let mut disk = disk.clone();
    let Err(OpenError::Corrupt { file, offset, .. }) = Log::open(&mut disk, OPTIONS) else {
        panic!("not corrupt: {:?}", open(&disk));
    };
    let after: Vec<_> =
        disk.names().map(|name| (name.to_owned(), disk.content(name).map(<[u8]>::to_vec))).collect();
    assert_eq!(before, after, "a corrupt log was changed");
    (file, offset)
}

/// Three segments: batches 1 and 2, batch 3, batches 4 and 5.
fn three_segments() -> Log<SimDisk> {
    let log = log_of(&[&[1; 900], &[2; 900], &[3; 2000], &[4; 1000], &[5; 900]]);
    assert_eq!(log.statistics().segments, 3);
    log
}

#[test]
fn a_changed_bit_anywhere_in_a_stopped_log_is_corruption() {
    let mut disk = log_of(&[b"one", b"two", b"three"]).close().expect("the disk works");
    disk.power_cut_with(&mut Generator::new(1), |_| Cut::Lost);
    let len = disk.content(FIRST).map_or(0, <[u8]>::len) as u64;
    let mark = len - 60;
    for bit in 0..len * 8 {
        let mut rotten = disk.clone();
        assert!(rotten.flip_bit(FIRST, bit / 8, (bit % 8) as u8));
        if bit / 8 >= mark {
            // The mark itself: nothing is lost with it.
            let opened = open(&rotten).expect("all batches are whole");
            assert_eq!((opened.loaded.lsn, opened.entries.len()), (Lsn(3), 3));
            assert_eq!(opened.torn.map(|torn| (torn.offset, torn.bytes)), Some((mark, 60)));
            continue;
        }
        let (file, _) = corrupt(&rotten);
        assert_eq!(file, FIRST);
    }
}

#[test]
fn a_changed_bit_before_the_last_batch_of_a_killed_server_is_corruption() {
    let disk = log_of(&[b"one", b"two", b"three"]).into_disk();
    let starts = [HEADER, HEADER + FRAME + 3, HEADER + 2 * (FRAME + 3), HEADER + 3 * FRAME + 11];
    assert_eq!(disk.content(FIRST).map(<[u8]>::len), Some(starts[3]));
    for bit in 0..starts[3] as u64 * 8 {
        let offset = bit / 8;
        let mut rotten = disk.clone();
        rotten.flip_bit(FIRST, offset, (bit % 8) as u8);
        let damaged = starts.iter().rposition(|start| *start as u64 <= offset);
        match damaged {
            None => assert_eq!(corrupt(&rotten), (FIRST.to_owned(), 0)),
            Some(frame @ 0..2) => assert_eq!(corrupt(&rotten), (FIRST.to_owned(), starts[frame] as u64)),
            // Nothing on the disk says that the last one was ever durable.
            _ => {
                let opened = open(&rotten).expect("a torn tail");
                assert_eq!(opened.loaded, StoreStamp { epoch: 1, lsn: Lsn(2) });
                assert_eq!(opened.torn.map(|torn| torn.offset), Some(starts[2] as u64));
                assert_eq!(opened.entries.len(), 2);
            }
        }
    }
}

#[test]
fn a_changed_bit_in_any_segment_but_the_newest_is_corruption() {
    let disk = three_segments().into_disk();
    for file in [FIRST, SECOND] {
        let len = disk.content(file).map_or(0, <[u8]>::len) as u64;
        for offset in 0..len {
            let mut rotten = disk.clone();
            rotten.flip_bit(file, offset, (offset % 8) as u8);
            assert_eq!(corrupt(&rotten).0, file);
        }
    }
}

#[test]
fn every_cut_of_any_segment_but_the_newest_is_corruption() {
    let disk = three_segments().into_disk();
    for file in [FIRST, SECOND] {
        let whole = disk.content(file).expect("three segments").to_vec();
        for len in 0..whole.len() {
            let mut cut = disk.clone();
            cut.plant(file, &whole[..len]);
            corrupt(&cut);
        }
    }
}

#[test]
fn every_cut_of_the_newest_segment_leaves_whole_batches() {
    let disk = three_segments().into_disk();
    let whole = disk.content(THIRD).expect("three segments").to_vec();
    for len in 0..whole.len() {
        let mut cut = disk.clone();
        cut.plant(THIRD, &whole[..len]);
        let opened = open(&cut).expect("a torn tail");
        let last = if len < HEADER + FRAME + 1000 { 3 } else { 4 };
        assert_eq!((opened.loaded.lsn, opened.entries.len()), (Lsn(last), last as usize));
        let at_the_end_of_a_batch = len == HEADER || len == HEADER + FRAME + 1000;
        assert_eq!(opened.torn.is_none(), at_the_end_of_a_batch, "{len}");
    }
}

/// A batch that was appended, but not synced, may be torn although one behind it is whole: disks write
/// in any order. To call that corruption would keep a sound server from starting after a power cut.
#[test]
fn a_torn_batch_before_a_whole_one_of_the_same_sync_is_a_torn_tail() {
    let mut log = log_of(&[b"synced"]);
    for body in [b"torn ", b"whole"] {
        log.append(&batch(log.last(), body)).expect("the disk works");
    }
    let mut disk = log.into_disk();
    let torn_at = (HEADER + FRAME + 6) as u64;
    disk.flip_bit(FIRST, torn_at + 60, 0);
    let (mut log, opened) = Log::open(disk, OPTIONS).expect("a torn tail");
    assert_eq!(opened.loaded.lsn, Lsn(1));
    assert_eq!(opened.torn.map(|torn| (torn.offset, torn.bytes)), Some((torn_at, 140)));

    // The log goes on behind the cut, and nothing of the old tail comes back.
    log.append(&batch(Lsn(1), b"again")).expect("the disk works");
    log.sync().expect("the disk works");
    let opened = open(&log.into_disk()).expect("whole");
    let bodies: Vec<_> = opened.entries.iter().map(|entry| &entry.body[..]).collect();
    assert_eq!((bodies, opened.torn), (vec![&b"synced"[..], b"again"], None));
}

#[test]
fn a_torn_tail_is_cut_on_the_disk_before_open_returns() {
    let mut disk = log_of(&[b"one"]).into_disk();
    let mut bytes = disk.content(FIRST).expect("a segment").to_vec();
    let whole = bytes.len();
    bytes.extend_from_slice(&[0; 700]);
    disk.plant(FIRST, &bytes);
    let (log, opened) = Log::open(disk, OPTIONS).expect("a torn tail");
    assert_eq!(opened.torn.map(|torn| torn.bytes), Some(700));
    let mut disk = log.into_disk();
    disk.power_cut_with(&mut Generator::new(1), |_| Cut::Lost);
    assert_eq!(disk.content(FIRST).map(<[u8]>::len), Some(whole));
}

#[test]
fn a_log_is_read_without_being_changed() {
    let mut disk = log_of(&[b"one", b"two"]).into_disk();
    let len = disk.content(FIRST).map_or(0, <[u8]>::len) as u64;
    disk.flip_bit(FIRST, len - 1, 0);
    let operations = disk.operations();
    let mut bodies = Vec::new();
    let opened =
        Log::inspect(&mut disk, |kind, body| bodies.push((kind, body.to_vec()))).expect("a torn tail");
    assert_eq!((bodies, opened.loaded.lsn), (vec![(1, b"one".to_vec())], Lsn(1)));
    assert!(opened.torn.is_some());
    assert_eq!(disk.operations(), operations);
}

#[test]
fn a_missing_segment_is_corruption() {
    for (file, found) in [(FIRST, SECOND), (SECOND, SECOND)] {
        let mut disk = three_segments().into_disk();
        disk.uproot(file);
        assert_eq!(corrupt(&disk), (found.to_owned(), 0));
    }
    let mut disk = three_segments().into_disk();
    disk.uproot(FIRST);
    disk.uproot(SECOND);
    disk.plant(THIRD, b"begun");
    assert_eq!(corrupt(&disk), (THIRD.to_owned(), 0));
}

#[test]
fn segments_below_a_durable_floor_may_be_missing() {
    let mut log = three_segments();
    let last = Batch { floor: Lsn(4), ..batch(Lsn(5), b"all live records begin at 4") };
    log.append(&last).expect("the disk works");
    log.sync().expect("the disk works");
    assert_eq!(log.statistics().segments, 1);
    let opened = open(&log.into_disk()).expect("whole");
    assert_eq!((opened.loaded.lsn, opened.entries.len()), (Lsn(6), 3));
}

#[test]
fn a_copy_of_a_segment_under_the_next_name_is_corruption() {
    let mut disk = three_segments().into_disk();
    let copy = disk.content(THIRD).expect("three segments").to_vec();
    disk.plant("segment-0000000000000004", &copy);
    assert_eq!(corrupt(&disk), ("segment-0000000000000004".to_owned(), 0));
}

#[test]
fn a_copy_of_a_segment_that_was_only_begun_is_corruption() {
    let mut disk = three_segments().into_disk();
    let begun = disk.content(THIRD).expect("three segments")[..HEADER].to_vec();
    disk.plant(THIRD, &begun);
    assert_eq!(open(&disk).expect("whole").loaded.lsn, Lsn(3));
    disk.plant("segment-0000000000000004", &begun);
    assert_eq!(corrupt(&disk), ("segment-0000000000000004".to_owned(), 0));
}

#[test]
fn batches_missing_before_a_segment_that_was_only_begun_are_corruption() {
    let mut disk = three_segments().into_disk();
    for (file, len) in [(SECOND, HEADER), (THIRD, HEADER)] {
        let cut = disk.content(file).expect("three segments")[..len].to_vec();
        disk.plant(file, &cut);
    }
    assert_eq!(corrupt(&disk), (THIRD.to_owned(), 0));
}

#[test]
fn foreign_files_are_left_alone() {
    let mut disk = three_segments().into_disk();
    for foreign in
        ["lock", "volume-id", "segment-0000000000000002.bak", "segment-", "segment-000000000000000A"]
    {
        disk.plant(foreign, b"not ours");
    }
    let opened = open(&disk).expect("whole");
    assert_eq!((opened.loaded.lsn, opened.torn), (Lsn(5), None));
}

#[test]
fn a_segment_of_another_store_is_corruption() {
    let mut disk = three_segments().into_disk();
    let mut other =
        Log::create(SimDisk::new(), StoreId([9; 16]), Options { segment_bytes: 2500, reserve_bytes: 0 })
            .expect("an empty disk");
    for body in [&[1; 900][..], &[2; 900], &[3; 2000]] {
        other.append(&batch(other.last(), body)).expect("the disk works");
    }
    other.sync().expect("the disk works");
    let theirs = other.into_disk().content(SECOND).expect("two segments").to_vec();
    assert_eq!(disk.content(SECOND).map(<[u8]>::len), Some(theirs.len()));
    disk.plant(SECOND, &theirs);
    assert_eq!(corrupt(&disk), (SECOND.to_owned(), 0));
}

/// A new segment may lie in blocks of a removed one, and after a power cut its tail reads as what that
/// held there: frames with right checksums, of our own store, at the same offset.
#[test]
fn frames_left_behind_by_a_removed_segment_are_a_torn_tail() {
    let log = log_of(&[&[1; 900], &[2; 900], &[3; 900]]);
    assert_eq!(log.statistics().segments, 2);
    let mut disk = log.into_disk();
    let old = disk.content(FIRST).expect("two segments").to_vec();
    let mut newest = disk.content(SECOND).expect("two segments").to_vec();
    let whole = newest.len();
    newest.extend_from_slice(&old[whole..]);
    disk.plant(SECOND, &newest);
    let opened = open(&disk).expect("a torn tail");
    assert_eq!((opened.loaded.lsn, opened.torn.map(|torn| torn.offset)), (Lsn(3), Some(whole as u64)));
}

/// A client chooses what its records hold. It must not be able to make a torn tail look like rot, which
/// keeps the server from starting, nor to have its bytes read as a batch.
#[test]
fn a_frame_within_a_record_is_not_taken_for_one() {
    let mut log = log_of(&[b"one"]);
    let mut twin = log.clone();
    twin.append(&batch(Lsn(1), b"two")).expect("the disk works");
    twin.sync().expect("the disk works");
    twin.append(&batch(Lsn(2), b"three")).expect("the disk works");
    let twin = twin.into_disk();
    let forged = &twin.content(FIRST).expect("a segment")[HEADER + 2 * (FRAME + 3)..];

    let start = (HEADER + FRAME + 3) as u64;
    log.append(&batch(Lsn(1), forged)).expect("the disk works");
    let mut disk = log.into_disk();
    disk.flip_bit(FIRST, start, 0);
    assert_eq!(open(&disk).expect("a torn tail").torn.map(|torn| torn.offset), Some(start));
}

#[test]
fn a_segment_of_a_later_version_is_refused_and_not_called_corrupt() {
    let mut disk = three_segments().into_disk();
    let mut bytes = disk.content(SECOND).expect("three segments").to_vec();
    bytes[9] = 2;
    let checksum = crc32c::crc32c(&bytes[..60]).to_be_bytes();
    bytes[60..64].copy_from_slice(&checksum);
    disk.plant(SECOND, &bytes);
    assert_eq!(open(&disk), Err(OpenError::Version { file: SECOND.to_owned(), version: 2 }));
}

#[test]
fn a_stored_log_of_version_1_stays_readable() {
    let mut disk = SimDisk::new();
    disk.plant("segment-0000000000000007", include_bytes!("../fixtures/segment-v1.bin"));
    let opened = open(&disk).expect("whole");
    assert_eq!(opened.store_id, STORE);
    assert_eq!(opened.loaded, StoreStamp { epoch: 3, lsn: Lsn(43) });
    assert_eq!(opened.torn, None);
    let entry = |kind, body: &[u8]| Entry { kind, body: body.to_vec() };
    assert_eq!(opened.entries, [entry(1, b"lease"), entry(9, b""), entry(200, b"ledger")]);
}

#[test]
fn a_log_is_never_made_over_another() {
    let disk = log_of(&[b"one"]).into_disk();
    assert_eq!(Log::create(disk.clone(), STORE, OPTIONS).err(), Some(OpenError::Exists));
    let mut rotten = disk;
    rotten.flip_bit(FIRST, 3, 0);
    let refused = Log::create(&mut rotten, STORE, OPTIONS).err();
    assert!(matches!(refused, Some(OpenError::Corrupt { .. })), "{refused:?}");
}

proptest! {
    /// Whatever happens to any part of the files: what opens is a row of whole batches from the start,
    /// at least those that the disk itself says are durable.
    #[test]
    fn damage_never_yields_wrong_data(
        newest: bool, at: proptest::sample::Index, garbage in proptest::collection::vec(any::<u8>(), 1..600),
        insert: bool,
    ) {
        let log = log_of(&[&[1; 900], &[2; 900], &[3; 900], b"four", &[5; 700], b"six"]);
        let mut disk = log.into_disk();
        let whole = open(&disk).expect("whole").entries;
        let file = if newest { SECOND } else { FIRST };
        let mut bytes = disk.content(file).expect("two segments").to_vec();
        let at = at.index(bytes.len());
        let end = if insert { at } else { (at + garbage.len()).min(bytes.len()) };
        bytes.splice(at..end, garbage);
        disk.plant(file, &bytes);
        if let Ok(opened) = open(&disk) {
            prop_assert!(whole.starts_with(&opened.entries));
            // The sixth was written after the fifth was durable and is shorter than most garbage.
            prop_assert!(opened.entries.len() >= 2);
            prop_assert_eq!(opened.entries.len() as u64, opened.loaded.lsn.0);
        }
    }

    #[test]
    fn arbitrary_files_open_without_a_panic(
        files in proptest::collection::btree_map(1_u64..4, proptest::collection::vec(any::<u8>(), 0..300), 0..3),
    ) {
        let mut disk = SimDisk::new();
        for (sequence, bytes) in files {
            disk.plant(&format!("segment-{sequence:016x}"), &bytes);
        }
        prop_assert!(open(&disk).is_err());
    }
}
