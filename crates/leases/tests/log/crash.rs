//! Power cuts and failing calls at every operation of the disk: what was reported durable stays, what
//! is read back is whole batches in their order.

use leases::log::testing::{Cut, SimDisk};
use leases::log::{Disk, DiskError};

use crate::world::{End, Step, World};

/// Rotations, removals, groups of batches in one sync, batches over several sectors and over a whole
/// segment, stops with and without warning.
const SCRIPT: &[Step] = &[
    Step::Append { keys: 4, bytes: 20 },
    Step::Sync,
    Step::Append { keys: 1, bytes: 700 },
    Step::Append { keys: 2, bytes: 30 },
    Step::Append { keys: 1, bytes: 400 },
    Step::Sync,
    Step::Append { keys: 3, bytes: 500 },
    Step::Sync,
    Step::Restart { close: true },
    Step::Append { keys: 4, bytes: 300 },
    Step::Append { keys: 4, bytes: 600 },
    Step::Sync,
    Step::Append { keys: 4, bytes: 900 },
    Step::Sync,
    Step::Append { keys: 4, bytes: 9 },
    Step::Append { keys: 1, bytes: 1 },
    Step::Restart { close: false },
    Step::Append { keys: 4, bytes: 500 },
    Step::Sync,
    Step::Append { keys: 4, bytes: 500 },
    Step::Sync,
];

/// What is done after the crash, with another one behind it.
const AFTERWARDS: &[Step] = &[
    Step::Append { keys: 4, bytes: 40 },
    Step::Append { keys: 2, bytes: 600 },
    Step::Sync,
    Step::Append { keys: 1, bytes: 600 },
];

#[test]
fn power_cut_at_every_operation_of_a_history_loses_nothing_reported() {
    for fate in Cut::ALL.map(Some).into_iter().chain([None; 12]).enumerate() {
        every_operation(SCRIPT, fate.0 as u64, fate.1);
    }
}

#[test]
fn power_cut_at_every_operation_of_random_histories_loses_nothing_reported() {
    for seed in 0..40 {
        every_operation(&random_steps(seed), seed, None);
    }
}

#[test]
fn power_cut_during_recovery_loses_nothing_reported() {
    for seed in 0..60 {
        let mut crashed = World::new(SimDisk::new(), seed);
        let cut = 10 + crashed.generator.below(40);
        crashed.disk.cut_power_at(cut);
        let _ = crashed.live(SCRIPT);
        crashed.disk.power_cut(&mut crashed.generator);
        let mut whole = crashed.clone();
        let before = whole.disk.operations();
        survives(whole.live(AFTERWARDS), seed, cut);
        for operation in before + 1..=whole.disk.operations() {
            let mut world = crashed.clone();
            world.disk.cut_power_at(operation);
            recover(world, AFTERWARDS, None, seed, operation);
        }
    }
}

/// What a new process reads from the cache of the kernel it takes for durable and reports as such.
#[test]
fn what_is_read_after_a_killed_process_survives_a_power_cut() {
    let mut whole = World::new(SimDisk::new(), 3);
    survives(whole.live(SCRIPT), 3, 0);
    for operation in 1..=whole.disk.operations() {
        for fate in Cut::ALL {
            let mut world = World::new(SimDisk::new(), 3);
            world.disk.cut_power_at(operation);
            assert!(matches!(world.live(SCRIPT), Err(End::Failed)));
            world.disk.restart_process();
            let steps: &[Step] = if operation % 2 == 0 { &[] } else { &AFTERWARDS[..3] };
            survives(world.live(&[steps, &[Step::Restart { close: false }]].concat()), 3, operation);
            recover(world, &[], Some(fate), 3, operation);
        }
    }
}

#[test]
fn a_failed_sync_poisons_and_what_is_read_afterwards_stays() {
    let mut whole = World::new(SimDisk::new(), 1);
    survives(whole.live(SCRIPT), 1, 0);
    for sync in 1..=whole.disk.syncs() {
        for fate in Cut::ALL {
            let mut world = World::new(SimDisk::new(), 1);
            world.disk.fail_sync_at(sync);
            assert!(matches!(world.live(SCRIPT), Err(End::Failed)), "sync {sync} did not fail");
            // The process starts again on the same kernel; only then power goes.
            recover(world, &[], Some(fate), 1, sync);
        }
    }
}

#[test]
fn a_failed_append_poisons_and_what_was_reported_stays() {
    let mut whole = World::new(SimDisk::new(), 2);
    survives(whole.live(SCRIPT), 2, 0);
    for append in 1..=whole.disk.appends() {
        for fate in Cut::ALL {
            let mut world = World::new(SimDisk::new(), 2);
            world.disk.fail_append_at(append);
            assert!(matches!(world.live(SCRIPT), Err(End::Failed)), "append {append} did not fail");
            recover(world, &[], Some(fate), 2, append);
        }
    }
}

#[test]
fn the_check_notices_a_disk_that_only_pretends_to_sync_files() {
    assert!(breaks(|disk| Liar { disk, files: true, directory: false }));
}

#[test]
fn the_check_notices_a_disk_that_only_pretends_to_sync_the_directory() {
    assert!(breaks(|disk| Liar { disk, files: false, directory: true }));
}

#[test]
fn the_check_is_content_with_an_honest_disk() {
    assert!(!breaks(|disk| Liar { disk, files: false, directory: false }));
}

/// Runs the steps once without a fault, then once for each operation with a cut there.
fn every_operation(steps: &[Step], seed: u64, fate: Option<Cut>) {
    let mut whole = World::new(SimDisk::new(), seed);
    survives(whole.live(steps), seed, 0);
    for operation in 1..=whole.disk.operations() {
        let mut world = World::new(SimDisk::new(), seed);
        world.disk.cut_power_at(operation);
        recover(world, steps, fate, seed, operation);
    }
}

/// Runs into the planned fault, then through a power cut, a life, another power cut and another life.
fn recover(mut world: World, steps: &[Step], fate: Option<Cut>, seed: u64, at: u64) {
    if !steps.is_empty() {
        assert!(
            matches!(world.live(steps), Err(End::Failed)),
            "seed {seed}, cut at {at}: the planned cut did not come"
        );
    }
    for _ in 0..2 {
        cut(&mut world, fate);
        survives(world.live(AFTERWARDS), seed, at);
    }
}

fn cut(world: &mut World, fate: Option<Cut>) {
    match fate {
        Some(fate) => world.disk.power_cut_with(&mut world.generator, |_| fate),
        None => world.disk.power_cut(&mut world.generator),
    }
}

fn survives(result: Result<(), End>, seed: u64, at: u64) {
    match result {
        Ok(()) => {}
        Err(End::Failed) => panic!("seed {seed}, cut at {at}: failed without a fault"),
        Err(End::Broken(what)) => panic!("seed {seed}, cut at {at}: {what}"),
    }
}

fn random_steps(seed: u64) -> Vec<Step> {
    let mut generator = leases::log::testing::Generator::new(seed ^ 0x5eed);
    let step = |_| match generator.below(10) {
        0..5 => {
            let limit = [10, 200, 900][generator.below(3) as usize];
            Step::Append { keys: generator.below(5) as usize, bytes: 1 + generator.below(limit) as usize }
        }
        5..9 => Step::Sync,
        _ => Step::Restart { close: generator.coin() },
    };
    (0..24).map(step).collect()
}

/// Whether some power cut shows that this disk breaks what the log promised.
fn breaks(disk: impl Fn(SimDisk) -> Liar) -> bool {
    (0..60).any(|seed| {
        let mut world = World::new(disk(SimDisk::new()), seed);
        let cut = 10 + world.generator.below(30);
        world.disk.disk.cut_power_at(cut);
        let _ = world.live(SCRIPT);
        world.disk.disk.power_cut(&mut world.generator);
        matches!(world.live(&[Step::Sync]), Err(End::Broken(_)))
    })
}

/// A disk that may skip syncs.
#[derive(Clone)]
struct Liar {
    disk: SimDisk,
    files: bool,
    directory: bool,
}

impl Disk for Liar {
    fn list(&mut self) -> Result<Vec<String>, DiskError> {
        self.disk.list()
    }

    fn read(&mut self, file: &str) -> Result<Vec<u8>, DiskError> {
        self.disk.read(file)
    }

    fn append(&mut self, file: &str, bytes: &[u8]) -> Result<(), DiskError> {
        self.disk.append(file, bytes)
    }

    fn truncate(&mut self, file: &str, len: u64) -> Result<(), DiskError> {
        self.disk.truncate(file, len)
    }

    fn sync(&mut self, file: &str) -> Result<(), DiskError> {
        if self.files { Ok(()) } else { self.disk.sync(file) }
    }

    fn sync_directory(&mut self) -> Result<(), DiskError> {
        if self.directory { Ok(()) } else { self.disk.sync_directory() }
    }

    fn remove(&mut self, file: &str) -> Result<(), DiskError> {
        self.disk.remove(file)
    }
}
