//! What the log takes, and in which order.

use api::identity::Lsn;
use leases::log::testing::SimDisk;
use leases::log::{Batch, Entry, Log, OpenError, Statistics, StoreError};

use crate::world::{OPTIONS, STORE, batch, log_of};

#[test]
fn a_batch_that_does_not_continue_is_refused_and_poisons() {
    let good = batch(Lsn(2), b"three");
    let expected = Lsn(3);
    let wrong = [
        (
            Batch { first: Lsn(4), last: Lsn(4), ..good.clone() },
            StoreError::OutOfOrder { expected, first: Lsn(4), last: Lsn(4) },
        ),
        (
            Batch { first: Lsn(2), ..good.clone() },
            StoreError::OutOfOrder { expected, first: Lsn(2), last: Lsn(3) },
        ),
        (
            Batch { last: Lsn(2), ..good.clone() },
            StoreError::OutOfOrder { expected, first: Lsn(3), last: Lsn(2) },
        ),
        (
            Batch { last: Lsn(u64::MAX), ..good.clone() },
            StoreError::OutOfOrder { expected, first: Lsn(3), last: Lsn(u64::MAX) },
        ),
        (Batch { epoch: 0, ..good.clone() }, StoreError::EpochFell { last: 1, given: 0 }),
        (Batch { floor: Lsn(4), ..good.clone() }, StoreError::FloorAhead { floor: Lsn(4), last: Lsn(3) }),
    ];
    for (batch, error) in wrong {
        let mut log = log_of(&[b"one", b"two"]);
        assert_eq!(log.append(&batch), Err(error));
        assert_eq!(log.append(&good), Err(StoreError::Poisoned));
        assert_eq!(log.sync(), Err(StoreError::Poisoned));
    }
    let mut log = log_of(&[b"one", b"two"]);
    assert_eq!(log.append(&good), Ok(()));
}

#[test]
fn an_entry_over_its_limit_is_refused() {
    let mut log = log_of(&[]);
    let body = vec![0; Entry::BODY_BYTES_MAX + 1];
    assert!(matches!(log.append(&batch(Lsn::ZERO, &body)), Err(StoreError::TooLarge { .. })));
}

#[test]
fn one_sync_makes_several_batches_durable() {
    let mut log = log_of(&[]);
    let syncs = log.disk_mut().syncs();
    for body in [b"one", b"two"] {
        log.append(&batch(log.last(), body)).expect("the disk works");
    }
    assert_eq!(log.statistics().synced, Lsn::ZERO);
    assert_eq!(log.sync(), Ok(Lsn(2)));
    assert_eq!(log.sync(), Ok(Lsn(2)));
    assert_eq!(log.disk_mut().syncs(), syncs + 1);
}

#[test]
fn a_batch_larger_than_a_segment_gets_one_to_itself() {
    let mut log = log_of(&[b"one", &[2; 9000], b"three"]);
    let bytes = log.disk_mut().names().filter(|name| name.starts_with("segment")).count();
    assert_eq!(bytes, 3);
    let (_, opened) = Log::open(log.into_disk(), OPTIONS).expect("whole");
    assert_eq!(opened.entries.len(), 3);
}

#[test]
fn statistics_are_those_of_the_files() {
    let mut log = log_of(&[&[1; 900], &[2; 900], &[3; 900]]);
    let disk = log.disk_mut();
    let files = disk.names().filter(|name| name.starts_with("segment"));
    let bytes = files.filter_map(|name| disk.content(name)).map(|content| content.len() as u64).sum();
    let expected = Statistics { segments: 2, bytes, low_space: false, synced: Lsn(3) };
    assert_eq!(log.statistics(), expected);
    let (log, opened) = Log::open(log.into_disk(), OPTIONS).expect("whole");
    assert_eq!((log.statistics(), opened.bytes), (expected, bytes));
}

#[test]
fn nothing_is_removed_before_the_batch_with_the_floor_is_durable() {
    let mut log = log_of(&[&[1; 900], &[2; 900], &[3; 900]]);
    let floor = Batch { floor: Lsn(4), ..batch(Lsn(3), b"everything again") };
    log.append(&floor).expect("the disk works");
    assert_eq!(log.statistics().segments, 2);
    log.sync().expect("the disk works");
    assert_eq!(log.statistics().segments, 1);
}

#[test]
fn a_directory_without_a_log_is_empty_and_so_is_one_whose_creation_was_cut() {
    let mut disk = SimDisk::new();
    disk.plant("lock", b"");
    assert_eq!(Log::open(&mut disk, OPTIONS).err(), Some(OpenError::Empty));
    disk.plant("segment-0000000000000001", &[0; 64]);
    assert_eq!(Log::open(&mut disk, OPTIONS).err(), Some(OpenError::Empty));
    Log::create(&mut disk, STORE, OPTIONS).expect("an empty disk");
    let (log, opened) = Log::open(&mut disk, OPTIONS).expect("a new log");
    assert_eq!((opened.store_id, opened.loaded.lsn, log.last()), (STORE, Lsn::ZERO, Lsn::ZERO));
}
