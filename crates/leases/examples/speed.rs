//! How fast the table and the log are: `cargo run --release -p leases --example speed`.

#![allow(clippy::disallowed_types, reason = "it measures")]

use std::hint::black_box;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use api::identity::Lsn;
use api::time::UnixTime;
use leases::lease::{Client, HardwareAddress, Lease, Status, Sync};
use leases::log::testing::{Generator, SimDisk};
use leases::log::{Batch, Entry, Log, Options, StoreId};
use leases::table::{Range, Table};

const BASE: u32 = 0x0a00_0000;
const ROUNDS: u32 = 500_000;

fn main() {
    for leases in [200_000, 1_000_000] {
        table(leases);
    }
    log();
}

fn table(leases: u32) {
    let range = Range { first: Ipv4Addr::from_bits(BASE), last: Ipv4Addr::from_bits(BASE + leases - 1) };
    let mut generator = Generator::new(1);
    let mut table = Table::new([range]);
    report(leases, "first put", leases, || {
        for number in 0..leases {
            table.put(Lease::new(Ipv4Addr::from_bits(BASE + number)));
        }
    });
    for number in 0..leases {
        table.put(held(number, u64::from(number), 1_000_000));
    }
    let updates = |generator: &mut Generator, client: fn(u32, u64) -> u64| -> Vec<Lease> {
        let any = |_| {
            let number = generator.below(u64::from(leases)) as u32;
            held(number, client(number, generator.next()), 1_000_000 + generator.below(1_000_000))
        };
        (0..ROUNDS).map(any).collect()
    };
    let renewals = updates(&mut generator, |number, _| u64::from(number));
    report(leases, "renewal", ROUNDS, || renewals.into_iter().for_each(|lease| drop(table.put(lease))));
    let grants = updates(&mut generator, |_, any| any >> 16);
    report(leases, "other client", ROUNDS, || grants.into_iter().for_each(|lease| drop(table.put(lease))));
    let freed: Vec<Lease> = (0..leases)
        .map(|number| Lease { sync: Sync::Due, ..Lease::new(Ipv4Addr::from_bits(BASE + number)) })
        .collect();
    report(leases, "end", leases, || freed.into_iter().for_each(|lease| drop(table.put(lease))));
    let key = held(7, 7, 0).client.expect("held by a client").key();
    report(leases, "lookups", ROUNDS, || {
        for _ in 0..ROUNDS {
            black_box(table.by_client(&key).next());
            black_box(table.available(range.first, range.last, Status::Free).next_back());
            black_box(table.least_recently_used(range.first, range.last, Status::Free).next());
            black_box(table.range_counts(range.first, range.last));
            black_box((table.next_expiry(), table.due().next()));
        }
    });
}

fn log() {
    for leases in [1, 32] {
        let mut log =
            Log::create(SimDisk::new(), StoreId([1; 16]), Options::default()).expect("an empty disk");
        let mut body = Vec::new();
        held(1, 1, 1_000_000).encode(&mut body);
        report(leases, "log, by lease", ROUNDS, || {
            for _ in 0..ROUNDS / leases {
                let first = log.last().next();
                let last = Lsn(first.0 + u64::from(leases) - 1);
                let entries = (0..leases).map(|_| Entry { kind: Entry::LEASE, body: body.clone() }).collect();
                log.append(&Batch { epoch: 1, first, last, entries, floor: first }).expect("the disk works");
                log.sync().expect("the disk works");
            }
        });
    }
}

fn held(number: u32, client: u64, until: u64) -> Lease {
    let octets = client.to_be_bytes()[2..].to_vec();
    let id = [&[1], &octets[..]].concat();
    let client = Client { hardware: HardwareAddress { kind: 1, octets }, id: Some(id) };
    Lease {
        status: Status::Active,
        client: Some(client),
        held_until: UnixTime::new(until),
        ..Lease::new(Ipv4Addr::from_bits(BASE + number))
    }
}

fn report(leases: u32, what: &str, rounds: u32, run: impl FnOnce()) {
    let start = (Instant::now(), processor_time());
    run();
    let elapsed = start.0.elapsed() / rounds;
    let processor = (processor_time() - start.1) / rounds;
    println!("{leases:>9} {what:<14} {elapsed:?}, {processor:?} of it on the processor");
}

/// What this thread used so far: other work on the machine does not count.
fn processor_time() -> Duration {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(schedstat.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0))
}
