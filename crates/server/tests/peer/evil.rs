//! A partner that says anything, in any order: the server goes on, keeps its leases, and gives none of them away.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use api::identity::{Role, State};
use api::time::Seconds;
use failover::wire::RejectReason;

use crate::bench::{Manners, OnUpdate};
use crate::grid::{TABLE, in_state};

/// Addresses of the pool, and so what a listing has, whatever the partner says.
const ADDRESSES: usize = 20;

/// Partners, each with another temper.
const SEEDS: u64 = 4000;

/// A sequence that follows from its seed (splitmix64).
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn octet(&mut self, end: u64) -> u8 {
        u8::try_from(self.below(end)).unwrap_or(0)
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.below(choices.len() as u64)).unwrap_or(0)]
    }

    fn time(&mut self, now: u32) -> u32 {
        let near = now - 100 + u32::from(self.octet(200));
        self.of(&[0, 1, now, near, now - 100_000, now + 100_000, 0x7fff_ffff, u32::MAX])
    }

    /// An option of the protocol, mostly with as many octets as it should have.
    fn option(&mut self, now: u32) -> Vec<u8> {
        let code = 1 + self.below(30) as u16;
        let mut data = match code {
            2 => vec![10, 0, 0, 95 + self.octet(30)],
            3 => vec![self.octet(9)],
            5 => vec![1, 2, 0, 0, 0, 0, self.octet(4)],
            6 | 13 | 18 | 25 => self.time(now).to_be_bytes().to_vec(),
            1 | 14 | 15 | 19 => self.of(&[0, 1, 60, u32::MAX]).to_be_bytes().to_vec(),
            11 => vec![self.octet(256); 32],
            12 => vec![0, self.octet(4)],
            20 | 21 | 23 | 24 | 26 | 27 => vec![self.octet(13)],
            22 => b"lab".to_vec(),
            28 => self.of(&["isc-4.4.3-P1", "dhcp-failover-operator/0.1.0", "else"]).as_bytes().to_vec(),
            29 => {
                let len = self.octet(40);
                [vec![0, self.octet(16), 0, len], vec![self.octet(256); usize::from(len)]].concat()
            }
            _ => vec![self.octet(256); usize::from(self.octet(12))],
        };
        if self.below(20) == 0 {
            data.resize(usize::from(self.octet(64)), 0);
        }
        let len = u16::try_from(data.len()).unwrap_or(0);
        [code.to_be_bytes().to_vec(), len.to_be_bytes().to_vec(), data].concat()
    }

    fn message(&mut self, now: u32) -> Vec<u8> {
        let kind = self.of(&[1, 2, 3, 3, 3, 3, 4, 4, 5, 6, 7, 8, 9, 10, 10, 10, 11, 12, 13, 200]);
        let mut octets = vec![0, 0, kind, 12];
        octets.extend(now.to_be_bytes());
        octets.extend((self.below(40) as u32).to_be_bytes());
        // What an update needs, so that it is judged and not only refused.
        if kind == 3 && self.below(4) > 0 {
            octets.extend([0, 2, 0, 4, 10, 0, 0, 95 + self.octet(30), 0, 3, 0, 1, 1 + self.octet(7)]);
            octets.extend([0, 5, 0, 7, 1, 2, 0, 0, 0, 0, self.octet(4)]);
            for code in [6, 13, 18, 25] {
                octets.extend([0, code, 0, 4]);
                octets.extend(self.time(now).to_be_bytes());
            }
        } else if kind == 10 && self.below(4) > 0 {
            let state = self.of(&[2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 254]);
            octets.extend([0, 24, 0, 1, state, 0, 23, 0, 1, self.octet(2), 0, 25, 0, 4]);
            octets.extend(self.time(now).to_be_bytes());
        } else {
            for _ in 0..self.below(8) {
                octets.extend(self.option(now));
            }
        }
        let len = u16::try_from(octets.len()).unwrap_or(u16::MAX);
        octets[..2].copy_from_slice(&len.to_be_bytes());
        octets
    }

    /// The same, sometimes damaged on its way.
    fn damaged(&mut self, now: u32) -> Vec<u8> {
        let mut octets = self.message(now);
        let last = octets.len() as u64;
        match self.below(12) {
            0 => octets.truncate(usize::try_from(self.below(last)).unwrap_or(0)),
            1 => {
                let at = usize::try_from(self.below(last)).unwrap_or(0);
                octets[at] ^= 1 << self.below(8);
            }
            2 => octets.extend(self.message(now)),
            3 => octets.extend(octets.clone()),
            4 => octets = (0..self.below(3000)).map(|_| self.octet(256)).collect(),
            _ => {}
        }
        octets
    }
}

/// Returns how many messages were read, and how many leases given.
fn play(seed: u64) -> (u64, u64) {
    let mut draw = Draw(seed);
    let role = draw.of(&[Role::Primary, Role::Secondary]);
    let manners = draw.of(&[Manners::Own, Manners::Isc]);
    let rows: Vec<State> = TABLE.map(|(state, _)| state).to_vec();
    let state = loop {
        let state = draw.of(&rows);
        if (role, state) != (Role::Secondary, State::ConflictDone) {
            break state;
        }
    };
    let (mut bench, _) = in_state(role, manners, state);
    // Until when a client may believe in an address that this server gave it, as long as the partner said nothing
    // about that address.
    let mut given = 0;
    let mut believed: BTreeMap<Ipv4Addr, (u8, u32)> = BTreeMap::new();
    for _ in 0..60 {
        let now = bench.now().wall.get();
        match draw.below(16) {
            0 => bench.hang_up(),
            1 => bench.run(Seconds(1 + draw.below(70) as u32)),
            2 => {
                bench.on_update = match draw.below(4) {
                    0 | 1 => OnUpdate::Accept,
                    2 => OnUpdate::Ignore,
                    _ => OnUpdate::Reject(RejectReason::OutdatedBindingInformation),
                }
            }
            3 if bench.conn.is_none() => bench.open(),
            3 | 4 => {
                let gone = matches!(bench.state(), State::Paused | State::Shutdown);
                if bench.conn.is_none() && !gone {
                    bench.connect(draw.of(&rows), draw.below(2) == 0);
                }
            }
            5 | 6 => {
                let client = draw.octet(8);
                let Some((address, seconds)) = bench.lease(client) else { continue };
                if let Some((holder, until)) = believed.get(&address) {
                    assert!(
                        *holder == client || *until <= now,
                        "seed {seed}: {address} for client {client}, and {holder} has it until {until}, it is {now}"
                    );
                }
                given += 1;
                believed.insert(address, (client, now.saturating_add(seconds)));
            }
            _ => {
                let octets = draw.damaged(now);
                let before: Vec<_> = bench.server.leases().collect();
                match bench.octets(&octets) {
                    None => {
                        let after: Vec<_> = bench.server.leases().collect();
                        assert_eq!(before, after, "seed {seed}: {octets:02x?}");
                    }
                    Some(told) => told.iter().for_each(|address| {
                        believed.remove(address);
                    }),
                }
            }
        }
        assert_eq!(bench.server.leases().count(), ADDRESSES, "seed {seed}");
    }
    // Whatever it was told, it can be talked to.
    bench.hang_up();
    bench.run(Seconds(1));
    let counters = bench.server.counters();
    let received = counters.iter().filter(|((name, _), _)| *name == "failover_messages_received");
    (received.map(|(_, count)| count).sum(), given)
}

#[test]
fn a_partner_that_says_anything_changes_nothing_that_it_should_not() {
    let (mut received, mut given) = (0, 0);
    for seed in 0..SEEDS {
        let played = play(seed);
        received += played.0;
        given += played.1;
    }
    assert!(received > 10 * SEEDS && given > SEEDS, "{received} messages were read, {given} leases given");
}
