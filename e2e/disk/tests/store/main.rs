//! The real store, by its real system calls, on a disk that loses power, fails and fills. Nothing that was
//! acknowledged may be lost, and nothing may be there in part.

mod world;

use powercut::{Cut, Faults, Pretended};

use crate::world::{Tally, World};

/// `POWERCUT_SEED` plays one seed.
const SEED: &str = "POWERCUT_SEED";
const SEEDS: u64 = 300;
const LIVES: u64 = 8;

#[test]
fn nothing_acknowledged_is_lost_in_lives_that_end_anyhow() {
    let only = std::env::var(SEED).ok().map(|seed| seed.parse::<u64>().expect("a number"));
    let seeds = only.map_or(0..SEEDS, |seed| seed..seed + 1);
    let mut tally = Tally::default();
    for seed in seeds {
        let mut world = World::new(&format!("{SEED}={seed}"), seed);
        for _ in 0..LIVES {
            world.plan_any();
            world.live();
            world.end_anyhow();
        }
        world.live_on();
        tally.add(&world.tally);
    }
    eprintln!("{tally}");
    // A test of power cuts that never met one would say nothing.
    if only.is_none() {
        tally.assert_varied();
    }
}

#[test]
fn what_is_read_after_a_kill_at_any_operation_survives_a_power_cut() {
    let mut tally = Tally::default();
    for (fate, cut) in Cut::ALL.map(Some).into_iter().chain([None; 3]).enumerate() {
        for at in 1.. {
            let mut world = World::new(&format!("fate {fate}, kill at {at}"), fate as u64);
            world.plan(Faults { cut_at: Some(at), ..Faults::default() });
            world.live();
            let ended = !world.is_dark();
            // What the killed process left in the cache of the kernel the next one takes for durable.
            world.restart_process();
            world.live();
            world.cut_power(cut);
            world.live_on();
            tally.add(&world.tally);
            if ended {
                break;
            }
        }
    }
    eprintln!("{tally}");
}

#[test]
fn a_disk_that_only_pretends_to_sync_files_is_noticed() {
    assert!(breaks(Pretended::OfFiles));
}

#[test]
fn a_disk_that_only_pretends_to_sync_directories_is_noticed() {
    assert!(breaks(Pretended::OfDirectories));
}

#[test]
fn a_disk_that_pretends_nothing_breaks_nothing() {
    assert!(!breaks(Pretended::Never));
}

/// Whether a power cut shows that this disk does not do what it says.
fn breaks(pretended: Pretended) -> bool {
    (0..20).any(|seed| {
        let mut world = World::new("", seed);
        (0..4).any(|_| {
            world.plan(Faults { pretended, ..Faults::default() });
            let broken = world.is_kept().is_err();
            world.cut_power(None);
            broken
        })
    })
}
