//! Seeds within the ordinary tests, and what makes them worth playing: a seed is one history, and a fault
//! outside of what the servers can bear is seen.

use std::sync::atomic::{AtomicU64, Ordering};

use sim::{Assumption, Plan, Violation, World, shrink};

fn play(plan: Plan) -> Result<u64, Violation> {
    World::new(plan, false).run().map(|outcome| outcome.hash)
}

#[test]
fn seeds_hold() {
    let next = AtomicU64::new(1);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > SEEDS {
                        return;
                    }
                    if let Err(violation) = play(Plan::of(seed)) {
                        panic!("seed {seed}: {violation}; replay with: cargo run -p sim -- --replay {seed}");
                    }
                }
            });
        }
    });
}

#[test]
fn a_seed_is_one_history_in_any_thread() {
    for seed in 1..=8 {
        let here = play(Plan::of(seed)).expect("it holds");
        let there = std::thread::spawn(move || play(Plan::of(seed))).join().expect("no panic");
        assert_eq!(Ok(here), there, "seed {seed}");
        assert_ne!(Ok(here), play(Plan::of(seed + 1000)), "seed {seed}");
    }
}

#[test]
fn clocks_that_jump_beyond_the_bound_are_seen_to_break_promises() {
    assert!((1..200).any(|seed| play(leaping(seed)).is_err()));
}

/// A server whose clock leaps ahead ends leases early. The checker must see it in one of these worlds.
fn leaping(seed: u64) -> Plan {
    Plan {
        clock_steps: 60_000,
        clock_bound: 120_000,
        pool: 8,
        clients: 24,
        length: 900_000,
        ..Plan::basic(seed)
    }
}

#[test]
fn clocks_that_jump_beyond_the_bound_excuse_what_rests_on_them() {
    let excused = |seed| World::new(Plan { wild_clocks: true, ..leaping(seed) }, false).run();
    let outcomes: Vec<_> = (1..200).map(excused).collect();
    assert!(outcomes.iter().all(Result::is_ok));
    let named = |assumption| assumption == Some(Assumption::Clocks);
    assert!(
        outcomes.iter().flatten().any(|outcome| named(outcome.excused.as_ref().map(|(named, _)| *named)))
    );
}

#[test]
fn shrinking_leaves_what_a_violation_needs() {
    let plan = (1..200).map(leaping).find(|plan| play(plan.clone()).is_err()).expect("one breaks");
    let before = play(plan.clone()).expect_err("it breaks");
    let (small, violation) = shrink(&plan).expect("it breaks");
    assert_eq!(violation.invariant, before.invariant);
    assert_eq!(play(small.clone()).map_err(|violation| violation.invariant), Err(before.invariant));
    assert!(small.clock_steps > 0, "its cause stays: {small:?}");
    assert!(small.clients <= plan.clients / 2 && !small.without.is_empty(), "{small:?}");
    let steps = |plan: Plan| World::new(Plan { clock_steps: 0, ..plan }, false).run().is_ok();
    assert!(steps(small), "without its cause nothing breaks");
}

#[test]
fn beside_a_dhcpd_seeds_hold_and_its_known_holes_are_counted() {
    let plans = (501..=1500).map(Plan::of).filter(|plan| plan.dhcpd.is_some());
    let mut roles = [0, 0];
    let mut holes = 0;
    for plan in plans {
        let seed = plan.seed;
        roles[plan.dhcpd.expect("one that has it")] += 1;
        match World::new(plan, false).run() {
            Ok(outcome) => holes += outcome.holes.values().sum::<u64>(),
            Err(violation) => panic!("seed {seed}: {violation}"),
        }
    }
    assert!(roles.iter().all(|worlds| *worlds > 20), "{roles:?}");
    assert!(holes > 0, "restless clients and cut links bring them out");
}

/// As many as a person waits for.
const SEEDS: u64 = 500;
