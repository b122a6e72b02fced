//! Plays seeds, or searches, and stops at the first broken invariant, with the words to replay it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use clap::Parser;
use sim::{Assumption, Plan, Search, Violation, World, shrink};

/// Deterministic simulation of a failover pair.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many seeds to play.
    #[arg(long, default_value_t = 500)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    start: u64,
    /// Go on after a broken invariant.
    #[arg(long)]
    all: bool,
    /// Threads that play seeds.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Play one seed and print its whole history.
    #[arg(long)]
    replay: Option<u64>,
    /// Take from a seed that breaks an invariant whatever it does without, and print what is left.
    #[arg(long)]
    shrink: Option<u64>,
    /// Without spite, restlessness and the like.
    #[arg(long)]
    plain: bool,
    /// Instead of seeds, search everything that may befall a small pair, breadth first.
    #[arg(long)]
    search: bool,
    /// Events in a row that the search tries.
    #[arg(long, default_value_t = 8)]
    depth: u32,
    /// States after which the search ends.
    #[arg(long, default_value_t = 100_000)]
    states: usize,
}

impl Arguments {
    fn plan(&self, seed: u64) -> Plan {
        if self.plain { Plan::faulty(seed) } else { Plan::of(seed) }
    }
}

fn main() {
    let arguments = Arguments::parse();
    if arguments.search {
        search(&arguments);
        return;
    }
    if let Some(seed) = arguments.shrink {
        let Some((plan, _)) = shrink(&arguments.plan(seed)) else {
            println!("seed {seed} holds");
            return;
        };
        replay(plan);
    }
    if let Some(seed) = arguments.replay {
        replay(arguments.plan(seed));
        return;
    }
    let begun = std::time::Instant::now();
    let total = play_all(&arguments);
    let seconds = begun.elapsed().as_secs_f64();
    if !total.broken.is_empty() {
        if let Some(seed) = total.broken.keys().next() {
            println!("replay with: cargo run --release -p sim -- --replay {seed}");
        }
        println!("{} of {} seeds do not hold", total.broken.len(), total.played);
        std::process::exit(1);
    }
    println!(
        "{} seeds hold: {} events ({:.0}/s), {} ACKs, {} hours of virtual time in {seconds:.1} s",
        total.played,
        total.events,
        total.events as f64 / seconds,
        total.acks,
        total.time / 3_600_000,
    );
    println!("  forced states: {} granted, {} refused", total.requests[0], total.requests[1]);
    for ((assumption, invariant), count) in total.excused {
        println!("  {invariant} broken in {count} seeds after {assumption} was");
    }
    for (state, count) in total.states {
        println!("  entered {state}: {count}");
    }
}

/// Plays a plan and prints its history; ends the process if an invariant breaks.
fn replay(plan: Plan) {
    let seed = plan.seed;
    println!("{plan:#?}");
    match World::new(plan, true).run() {
        Ok(outcome) => println!("seed {seed} holds: {outcome:?}"),
        Err(violation) => {
            println!("seed {seed}: {violation}");
            std::process::exit(1);
        }
    }
}

fn search(arguments: &Arguments) {
    let begun = std::time::Instant::now();
    let search = Search { depth: arguments.depth, states: arguments.states, threads: arguments.threads };
    match search.run() {
        Ok(found) => println!("{found}\n  {:.1} s", begun.elapsed().as_secs_f64()),
        Err(broken) => {
            println!("{broken}");
            std::process::exit(1);
        }
    }
}

/// What all seeds came to.
#[derive(Debug, Default)]
struct Total {
    played: u64,
    events: u64,
    acks: u64,
    time: u64,
    requests: [u64; 2],
    excused: BTreeMap<(Assumption, &'static str), u64>,
    states: BTreeMap<&'static str, u64>,
    broken: BTreeMap<u64, Violation>,
}

/// Seeds after which a word is said.
const PROGRESS: u64 = 10_000;

fn play_all(arguments: &Arguments) -> Total {
    let next = AtomicU64::new(arguments.start);
    let end = arguments.start.saturating_add(arguments.seeds);
    let stop = AtomicBool::new(false);
    let total = Mutex::new(Total::default());
    std::thread::scope(|scope| {
        for _ in 0..arguments.threads.max(1) {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    let result = World::new(arguments.plan(seed), false).run();
                    let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
                    total.played += 1;
                    if total.played.is_multiple_of(PROGRESS) {
                        eprintln!("{} seeds played, {} do not hold", total.played, total.broken.len());
                    }
                    match result {
                        Ok(outcome) => {
                            total.events += outcome.events;
                            total.acks += outcome.acks;
                            total.time += outcome.time;
                            for (sum, count) in total.requests.iter_mut().zip(outcome.requests) {
                                *sum += count;
                            }
                            if let Some((assumption, violation)) = outcome.excused {
                                *total.excused.entry((assumption, violation.invariant)).or_insert(0) += 1;
                            }
                            for (state, count) in outcome.states {
                                *total.states.entry(state.as_str()).or_insert(0) += count;
                            }
                        }
                        Err(violation) => {
                            println!("seed {seed}: {violation}");
                            total.broken.insert(seed, violation);
                            if !arguments.all {
                                stop.store(true, Ordering::Relaxed);
                            }
                        }
                    }
                }
            });
        }
    });
    total.into_inner().unwrap_or_else(PoisonError::into_inner)
}
