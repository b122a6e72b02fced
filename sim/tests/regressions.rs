//! Seeds that once broke an invariant, each with the bug's story. They may play another history by now, as
//! every change of the simulator draws other numbers; the rule itself has its own unit test where named.

use sim::{Plan, World};

fn holds(seed: u64) {
    if let Err(violation) = World::new(Plan::of(seed), false).run() {
        panic!("seed {seed}: {violation}");
    }
}

/// The secondary's disk stood still for five seconds while its CONNECTACK waited for it. The message said
/// when it was queued, so the secondary's clock seemed five seconds slow, and the primary moved every
/// potential it was told five seconds ahead. It then granted beyond what its partner would have waited for:
/// with the primary dead, another client could have got the address five seconds early. Now a message says
/// when it leaves, and a clock counts as slow only if even the answer to our own question says so
/// (`session::tests`).
#[test]
fn seed_4650_a_stalled_disk_is_no_slow_clock() {
    holds(4650);
}
