//! Plays seeds, or searches, and stops at the first broken invariant, with the words to replay it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use clap::Parser;
use sim::{Assumption, Coverage, Hole, Plan, Search, Violation, World, shrink};

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
    /// How many worlds to play beside those whose operator keeps to no rule.
    #[arg(long, default_value_t = 0)]
    reckless: u64,
    /// Print in how many seeds each rule acted.
    #[arg(long)]
    coverage: bool,
    /// Fail if a rule never acted, unless a proof says that it cannot.
    #[arg(long)]
    require_coverage: bool,
    /// Play one seed and print its whole history; with `--reckless 1` that of its reckless world.
    #[arg(long)]
    replay: Option<u64>,
    /// Take from a seed that breaks an invariant whatever it does without, and print what is left.
    #[arg(long)]
    shrink: Option<u64>,
    /// Play only seeds in which one server is an ISC dhcpd.
    #[arg(long)]
    dhcpd: bool,
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

    /// The one that is to be looked at.
    fn one(&self, seed: u64) -> Plan {
        if self.reckless > 0 { Plan::reckless(seed) } else { self.plan(seed) }
    }
}

fn main() {
    let arguments = Arguments::parse();
    if arguments.search {
        search(&arguments);
        return;
    }
    if let Some(seed) = arguments.shrink {
        let Some((plan, _)) = shrink(&arguments.one(seed)) else {
            println!("seed {seed} holds");
            return;
        };
        replay(plan);
    }
    if let Some(seed) = arguments.replay {
        replay(arguments.one(seed));
        return;
    }
    let begun = std::time::Instant::now();
    let total = play_all(&arguments);
    let seconds = begun.elapsed().as_secs_f64();
    if !total.broken.is_empty() {
        if let Some(world) = total.broken.keys().next() {
            println!("replay with: cargo run --release -p sim -- {}", world.replay());
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
    for ((hole, invariant), count) in total.holes {
        println!("  {invariant} broken {count} times where a dhcpd did {hole}");
    }
    for (state, count) in total.states {
        println!("  entered {state}: {count}");
    }
    total.coverage.print(arguments.coverage);
    let complaints = total.coverage.complaints();
    if arguments.require_coverage && !complaints.is_empty() {
        println!("{}", complaints.join("\n"));
        println!("{} rules are not as they should be", complaints.len());
        std::process::exit(1);
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
    holes: BTreeMap<(Hole, &'static str), u64>,
    states: BTreeMap<&'static str, u64>,
    broken: BTreeMap<Which, Violation>,
    coverage: Coverage,
}

/// A world by its seed.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Which {
    reckless: bool,
    seed: u64,
}

impl Which {
    fn replay(self) -> String {
        let which = if self.reckless { " --reckless 1" } else { "" };
        format!("--replay {}{which}", self.seed)
    }
}

impl std::fmt::Display for Which {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}seed {}", if self.reckless { "reckless " } else { "" }, self.seed)
    }
}

/// Seeds after which a word is said.
const PROGRESS: u64 = 10_000;

fn play_all(arguments: &Arguments) -> Total {
    let next = AtomicU64::new(0);
    let end = arguments.seeds.saturating_add(arguments.reckless);
    let stop = AtomicBool::new(false);
    let total = Mutex::new(Total::default());
    std::thread::scope(|scope| {
        for _ in 0..arguments.threads.max(1) {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= end {
                        return;
                    }
                    let reckless = number >= arguments.seeds;
                    let before = if reckless { arguments.seeds } else { 0 };
                    let which = Which { reckless, seed: arguments.start + (number - before) };
                    let plan = if reckless { Plan::reckless(which.seed) } else { arguments.plan(which.seed) };
                    let beside_dhcpd = plan.dhcpd.is_some();
                    if arguments.dhcpd && !beside_dhcpd {
                        continue;
                    }
                    let result = World::new(plan, false).run();
                    let hits = marks::take();
                    let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
                    total.played += 1;
                    total.coverage.add(&hits, beside_dhcpd);
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
                            for (hole, count) in outcome.holes {
                                *total.holes.entry(hole).or_insert(0) += count;
                            }
                            for (state, count) in outcome.states {
                                *total.states.entry(state.as_str()).or_insert(0) += count;
                            }
                        }
                        Err(violation) => {
                            println!("{which}: {violation}");
                            total.broken.insert(which, violation);
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
