//! Plays seeds and stops at the first broken invariant, with the words to replay it.

use clap::Parser;
use sim::{Plan, World};

/// Deterministic simulation of a failover pair.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many seeds to play.
    #[arg(long, default_value_t = 500)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    start: u64,
    /// Play one seed and print its whole history.
    #[arg(long)]
    replay: Option<u64>,
}

fn main() {
    let arguments = Arguments::parse();
    if let Some(seed) = arguments.replay {
        let plan = Plan::of(seed);
        println!("{plan:#?}");
        match World::new(plan, true).run() {
            Ok(outcome) => println!("seed {seed} holds: {outcome:?}"),
            Err(violation) => {
                println!("seed {seed}: {violation}");
                std::process::exit(1);
            }
        }
        return;
    }
    let begun = std::time::Instant::now();
    let (mut events, mut acks, mut time) = (0, 0, 0);
    let mut states = std::collections::BTreeMap::new();
    for seed in arguments.start..arguments.start.saturating_add(arguments.seeds) {
        match World::new(Plan::of(seed), false).run() {
            Ok(outcome) => {
                events += outcome.events;
                acks += outcome.acks;
                time += outcome.time;
                for (state, count) in outcome.states {
                    *states.entry(state.as_str()).or_insert(0_u64) += count;
                }
            }
            Err(violation) => {
                println!("seed {seed}: {violation}");
                println!("replay with: cargo run --release -p sim -- --replay {seed}");
                std::process::exit(1);
            }
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{} seeds hold: {events} events ({:.0}/s), {acks} ACKs, {} hours of virtual time in {seconds:.1} s",
        arguments.seeds,
        events as f64 / seconds,
        time / 3_600_000,
    );
    for (state, count) in states {
        println!("  entered {state}: {count}");
    }
}
