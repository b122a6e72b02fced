//! Breadth-first search over everything that may befall a small pair: two whole servers as they ship, two
//! addresses, two clients. Each state is reached by the fewest events, and all invariants are checked on the
//! way to it, so a broken one comes with the shortest story.
//!
//! A state is a whole [`Pair`]. Kept are its key (see [`key`]) and the event that led to it from another one;
//! the state itself is made again when its turn comes.
#![allow(clippy::disallowed_types, reason = "a set of millions of keys, whose order decides nothing")]

mod beginning;
mod event;
mod key;
mod packet;
mod pair;
mod pump;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use self::beginning::{Beginning, beginnings};
use self::event::Event;
use self::key::{Key, Keys};
use self::pair::{BEGIN_MILLIS, Pair};
use crate::check::Violation;

/// How far to search.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    /// Events from a beginning at the most.
    pub depth: u32,
    /// States at the most; it ends soon after.
    pub states: usize,
    /// Threads that search.
    pub threads: usize,
}

/// What a search came to.
#[derive(Clone, Debug)]
pub struct Found {
    /// States that differ, by the number of events from a beginning.
    pub by_depth: Vec<usize>,
    /// Events that were tried, from all states.
    pub tried: u64,
    /// States whose events were all tried.
    pub expanded: usize,
    /// States from which the pair was seen to come to Normal with equal tables.
    pub healed: u64,
    /// Beginnings.
    pub beginnings: usize,
}

/// A broken invariant, and the shortest way to it.
#[derive(Clone, Debug)]
pub struct Broken {
    /// What was broken.
    pub violation: Violation,
    /// Events from the beginning.
    pub depth: usize,
    /// States seen until then.
    pub states: usize,
    /// Line by line.
    pub story: Vec<String>,
}

/// How a state was reached.
#[derive(Clone, Copy, Debug)]
struct Step {
    /// The state before; a beginning's own number for itself.
    from: u32,
    /// Which of the events that were possible there.
    which: u8,
}

/// What an event led to.
#[derive(Debug)]
struct Reached {
    step: Step,
    /// The state, or what broke on the way to it.
    key: Result<Key, Violation>,
    /// It was healed to see whether it comes to Normal.
    healed: bool,
}

/// States that one thread takes at a time.
const CHUNK: usize = 64;
/// States of which the successors are merged at a time.
const BATCH: usize = 64 * CHUNK;
/// Of so many states one is healed.
const HEALED_ONE_OF: Key = 1024;

impl Search {
    /// Searches.
    pub fn run(&self) -> Result<Found, Box<Broken>> {
        self.run_from(&beginnings())
    }

    fn run_from(&self, beginnings: &[Beginning]) -> Result<Found, Box<Broken>> {
        let mut tree = Tree { beginnings, steps: Vec::new() };
        let mut seen = HashSet::new();
        let mut keys = Keys::default();
        for (number, beginning) in beginnings.iter().enumerate() {
            if let Err(violation) = &beginning.pair {
                return Err(tree.broken(number, None, violation.clone(), seen.len()));
            }
            if let Ok(pair) = &beginning.pair {
                seen.insert(keys.of(pair));
            }
            tree.steps.push(Step { from: number as u32, which: 0 });
        }
        let mut found = Found {
            by_depth: vec![tree.steps.len()],
            tried: 0,
            expanded: 0,
            healed: 0,
            beginnings: beginnings.len(),
        };
        let mut layer = 0..tree.steps.len();
        for _ in 0..self.depth {
            let next = tree.steps.len();
            found.by_depth.push(0);
            let mut from = layer.start;
            while from < layer.end {
                let to = layer.end.min(from + BATCH);
                let reached = self.expand(&tree, &seen, from..to);
                for Reached { step, key, healed } in reached {
                    found.tried += 1;
                    found.healed += u64::from(healed);
                    match key {
                        Ok(key) if seen.insert(key) => tree.steps.push(step),
                        Ok(_) => {}
                        Err(violation) => {
                            return Err(tree.broken(
                                step.from as usize,
                                Some(step.which),
                                violation,
                                seen.len(),
                            ));
                        }
                    }
                }
                found.expanded = to;
                from = to;
                if let Some(count) = found.by_depth.last_mut() {
                    *count = tree.steps.len() - next;
                }
                if tree.steps.len() >= self.states {
                    return Ok(found);
                }
            }
            layer = next..tree.steps.len();
            if layer.is_empty() {
                return Ok(found);
            }
        }
        Ok(found)
    }

    /// Tries all events from all these states, in the order of states and events.
    fn expand(&self, tree: &Tree<'_>, seen: &HashSet<Key>, states: std::ops::Range<usize>) -> Vec<Reached> {
        let next = AtomicUsize::new(states.start);
        let chunks = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..self.threads.max(1) {
                scope.spawn(|| {
                    let mut worker = Worker { tree, path: Vec::new(), keys: Keys::default() };
                    loop {
                        let from = next.fetch_add(CHUNK, Ordering::Relaxed);
                        if from >= states.end {
                            return;
                        }
                        let mut reached = Vec::new();
                        for state in from..states.end.min(from + CHUNK) {
                            worker.expand(state, seen, &mut reached);
                        }
                        chunks.lock().unwrap_or_else(PoisonError::into_inner).push((from, reached));
                    }
                });
            }
        });
        let mut chunks = chunks.into_inner().unwrap_or_else(PoisonError::into_inner);
        chunks.sort_unstable_by_key(|(from, _)| *from);
        chunks.into_iter().flat_map(|(_, reached)| reached).collect()
    }
}

/// All states, each with the way to it.
#[derive(Debug)]
struct Tree<'a> {
    beginnings: &'a [Beginning],
    /// The first are the beginnings.
    steps: Vec<Step>,
}

impl Tree<'_> {
    /// The states on the way to this one, itself included, from a beginning.
    fn way(&self, state: usize) -> Vec<usize> {
        let mut way = vec![state];
        let mut at = state;
        while at >= self.beginnings.len() {
            at = self.steps[at].from as usize;
            way.push(at);
        }
        way.reverse();
        way
    }

    fn broken(&self, state: usize, last: Option<u8>, violation: Violation, states: usize) -> Box<Broken> {
        let way = self.way(state);
        let mut choices: Vec<u8> = way[1..].iter().map(|state| self.steps[*state].which).collect();
        choices.extend(last);
        let story = self.beginnings[way[0]].tell(&choices);
        Box::new(Broken { violation, depth: choices.len(), states, story })
    }
}

/// One thread's search. Neighbours share most of their way, so the states on the last way are kept.
#[derive(Debug)]
struct Worker<'a> {
    tree: &'a Tree<'a>,
    path: Vec<(usize, Pair)>,
    keys: Keys,
}

impl Worker<'_> {
    fn expand(&mut self, state: usize, seen: &HashSet<Key>, out: &mut Vec<Reached>) {
        let pair = self.state(state);
        for (which, event) in Event::possible(&pair).into_iter().enumerate() {
            let mut next = pair.clone();
            let mut key = next.apply(event).map(|()| self.keys.of(&next));
            let chosen = |key: &Key| key.is_multiple_of(HEALED_ONE_OF) && !seen.contains(key);
            let healed = key.as_ref().is_ok_and(chosen);
            if healed {
                key = key.and_then(|key| next.heal().map(|()| key));
            }
            let step = Step { from: state as u32, which: which as u8 };
            out.push(Reached { step, key, healed });
        }
    }

    /// A state of the tree, made again.
    fn state(&mut self, state: usize) -> Pair {
        let way = self.tree.way(state);
        let common = self.path.iter().zip(&way).take_while(|((kept, _), wanted)| kept == *wanted).count();
        self.path.truncate(common);
        for &wanted in &way[common..] {
            let pair = self.next(wanted).expect("the same events lead to the same state");
            self.path.push((wanted, pair));
        }
        self.path.last().map(|(_, pair)| pair.clone()).expect("a way has a beginning")
    }

    /// A state that follows the last one of the present way, or begins one.
    fn next(&self, state: usize) -> Result<Pair, Violation> {
        let Some((_, before)) = self.path.last() else { return self.tree.beginnings[state].pair.clone() };
        let mut pair = before.clone();
        let event = Event::possible(&pair)[usize::from(self.tree.steps[state].which)];
        pair.apply(event).map(|()| pair)
    }
}

impl Found {
    /// States that differ.
    #[must_use]
    pub fn states(&self) -> usize {
        self.by_depth.iter().sum()
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let states = self.states();
        let last = self.by_depth.iter().rposition(|count| *count > 0).unwrap_or(0);
        writeln!(
            f,
            "{states} states hold, reached from {} beginnings by up to {last} events; {} events tried",
            self.beginnings, self.tried
        )?;
        for (depth, count) in self.by_depth.iter().enumerate() {
            writeln!(f, "  after {depth} events: {count}")?;
        }
        let open = states - self.expanded;
        if open == 0 {
            writeln!(f, "  that is all: nothing leads anywhere else")?;
        } else {
            writeln!(f, "  of {open} of them nothing was tried yet")?;
        }
        write!(f, "  {} states were healed: all came to Normal with equal tables", self.healed)
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.story {
            writeln!(f, "{line}")?;
        }
        let seconds = self.violation.time.saturating_sub(BEGIN_MILLIS) as f64 / 1000.0;
        write!(
            f,
            "search: {} at {seconds:.0} s: {}, after {} events; {} states were seen",
            self.violation.invariant, self.violation.what, self.depth, self.states
        )
    }
}
