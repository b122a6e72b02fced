//! The disk fills: the reserve is used, then the log stops, and nothing durable is lost.

use api::identity::Lsn;
use leases::log::testing::{Cut, Generator, SimDisk};
use leases::log::{Batch, DiskErrorKind, Log, Options, StoreError};

use crate::world::{OPTIONS, STORE, batch, log_of};

const RESERVE: &str = "reserve";

fn is_full(error: &StoreError) -> bool {
    matches!(error, StoreError::Disk(error) if error.kind == DiskErrorKind::Full)
}

#[test]
fn the_reserve_is_really_written_and_durable() {
    let mut disk = log_of(&[]).into_disk();
    disk.power_cut_with(&mut Generator::new(1), |_| Cut::Lost);
    assert_eq!(disk.content(RESERVE), Some(&[0; 1500][..]));
}

/// At every point at which the disk can become full, also while a segment is begun.
#[test]
fn a_full_disk_uses_the_reserve_then_stops_and_keeps_what_was_synced() {
    for room in 0..6000 {
        let mut log = log_of(&[b"before"]);
        log.disk_mut().full_after(room);
        let mut synced = log.last();
        let mut after_the_reserve = 0;
        let error = loop {
            let was_low = log.low_space();
            if let Err(error) = log.append(&batch(log.last(), &[7; 200])) {
                break error;
            }
            match log.sync() {
                Ok(last) => synced = last,
                Err(error) => break error,
            }
            after_the_reserve += u32::from(was_low);
        };
        assert!(is_full(&error), "room {room}: {error}");
        assert!(log.low_space());
        assert!(after_the_reserve >= 3, "room {room}: only {after_the_reserve} batches from the reserve");
        assert_eq!(log.sync(), Err(StoreError::Poisoned));

        let mut disk = log.into_disk();
        disk.power_cut_with(&mut Generator::new(room), |_| Cut::Lost);
        let (log, opened) = Log::open(disk, OPTIONS).expect("a full disk can be opened");
        assert!(opened.loaded.lsn >= synced, "room {room}");
        assert!(log.low_space());
    }
}

#[test]
fn power_cuts_on_a_full_disk_lose_nothing_reported() {
    for seed in 0..400 {
        let mut generator = Generator::new(seed);
        let mut log = log_of(&[b"before"]);
        let room = generator.below(3000);
        log.disk_mut().full_after(room);
        let operation = log.disk_mut().operations() + 1 + generator.below(30);
        log.disk_mut().cut_power_at(operation);
        let mut synced = log.last();
        while log.append(&batch(log.last(), &[7; 200])).is_ok() {
            let Ok(last) = log.sync() else { break };
            synced = last;
        }
        let mut disk = log.into_disk();
        disk.power_cut(&mut generator);
        let (_, opened) = Log::open(disk, OPTIONS).expect("a full disk can be opened");
        assert!(opened.loaded.lsn >= synced, "seed {seed}");
    }
}

#[test]
fn the_reserve_is_made_again_once_there_is_room() {
    let mut log = log_of(&[b"before"]);
    log.disk_mut().full_after(100);
    for body in [[1; 300], [2; 300]] {
        log.append(&batch(log.last(), &body)).expect("room from the reserve");
    }
    log.sync().expect("the disk works");
    assert!(log.low_space());
    assert_eq!(log.disk_mut().content(RESERVE), None);

    log.disk_mut().never_full();
    log.append(&batch(log.last(), &[3; 2400])).expect("room");
    assert!(!log.low_space(), "a segment was begun");
    assert_eq!(log.disk_mut().content(RESERVE).map(<[u8]>::len), Some(1500));
}

#[test]
fn removed_segments_make_room_for_the_reserve() {
    let mut log = log_of(&[&[1; 1000], &[2; 1000]]);
    log.disk_mut().full_after(1300);
    let all = |last| Batch { floor: Lsn(3), ..batch(last, &[3; 1000]) };
    // Begins a segment, takes what is left and then the reserve; the removal brings the room back.
    log.append(&all(log.last())).expect("room");
    log.append(&all(log.last())).expect("room from the reserve");
    assert!(log.low_space());
    log.sync().expect("the disk works");
    assert_eq!(log.statistics().segments, 1);
    assert!(!log.low_space());
}

#[test]
fn an_unfinished_reserve_is_made_again_at_open() {
    let mut disk = log_of(&[b"one"]).into_disk();
    disk.plant(RESERVE, &[0; 1499]);
    let (mut log, _) = Log::open(disk, OPTIONS).expect("whole");
    assert!(!log.low_space());
    assert_eq!(log.disk_mut().content(RESERVE).map(<[u8]>::len), Some(1500));
}

#[test]
fn without_a_reserve_a_full_disk_stops_the_log_at_once() {
    let options = Options { reserve_bytes: 0, ..OPTIONS };
    let mut log = Log::create(SimDisk::new(), STORE, options).expect("an empty disk");
    assert!(!log.low_space());
    log.disk_mut().full_after(50);
    let error = log.append(&batch(Lsn::ZERO, b"one")).expect_err("no room");
    assert!(is_full(&error));
    assert!(log.low_space());
}
