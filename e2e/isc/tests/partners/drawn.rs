//! Days that nobody thought of: the pair, its clients and what befalls them are drawn by lot. `INTEROP_DAY=100` draws the
//! days from number 100 on instead of the first ones.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use interop::client::Taken;
use interop::crowd::Crowd;
use interop::pair::{Pair, Role, Setup};

use crate::{SYNC, met};

pub(crate) fn day_1(role: Role) {
    Day::draw(1, role).pass();
}

pub(crate) fn day_2(role: Role) {
    Day::draw(2, role).pass();
}

pub(crate) fn day_3(role: Role) {
    Day::draw(3, role).pass();
}

/// Buckets as no split can say them.
const HBA: &str = "0ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff0";
/// Things that happen in a day.
const EVENTS: u32 = 3;
/// What a dhcpd does not end by itself it is told after so long.
const A_MINUTE: u64 = 60;
/// From the return of a server to Normal, beside the MCLT.
const RETURN: u64 = 90;
/// A release within a second of a contact at the other server would be in doubt until the lease ends.
const BEFORE_RELEASE: Duration = Duration::from_secs(3);
/// A lease that ends so soon may end before the question for it is answered.
const SOON: Duration = Duration::from_secs(20);

/// What befalls a pair.
#[derive(Clone, Copy, Debug)]
enum Event {
    OursIsKilled,
    OursIsStopped,
    OursIsShutDown,
    OursLosesItsStore,
    OursTakesOver,
    TheirsIsKilled,
    TheirsIsStopped,
    TheirsIsShutDown,
    TheirsLosesItsLeases,
    TheirsTakesOver,
    TheLinkIsCut,
    BothTakeOver,
    TimePasses,
    LeasesGetAnotherLength,
    TheMcltChanges,
}

const ALL: [Event; 15] = [
    Event::OursIsKilled,
    Event::OursIsStopped,
    Event::OursIsShutDown,
    Event::OursLosesItsStore,
    Event::OursTakesOver,
    Event::TheirsIsKilled,
    Event::TheirsIsStopped,
    Event::TheirsIsShutDown,
    Event::TheirsLosesItsLeases,
    Event::TheirsTakesOver,
    Event::TheLinkIsCut,
    Event::BothTakeOver,
    Event::TimePasses,
    Event::LeasesGetAnotherLength,
    Event::TheMcltChanges,
];

/// A pair, its clients, and the lot.
struct Day {
    pair: Pair,
    crowd: Crowd,
    lot: Lot,
    mclt: u64,
    /// How long leases are, or were.
    longest: u64,
    /// Who believes to have an address.
    believers: BTreeMap<Ipv4Addr, Belief>,
    newcomer: u32,
}

impl Day {
    fn draw(number: u64, role: Role) -> Self {
        let first = std::env::var("INTEROP_DAY").ok().map_or(0, |day| day.parse().expect("a number"));
        let mut lot = Lot::new(first + number, role);
        let name = lot.one_of(&[
            "fo-peer",
            "a",
            "east-wing.2",
            "DHCP_failover",
            "very-long-name.of-a-relationship.example",
        ]);
        let mclt = lot.one_of(&[15, 20, 30, 45]);
        let begin = Ipv4Addr::new(10, 50, 1, lot.below(200) as u8);
        let addresses = lot.one_of(&[12, 25, 60, 180]);
        let lease_seconds = lot.one_of(&[60, 120]);
        let setup = Setup {
            name,
            isc_name: name,
            mclt,
            split: lot.one_of(&[0, 30, 100, 128, 128, 200, 256]),
            pool: (begin, Ipv4Addr::from(u32::from(begin) + addresses - 1)),
            lease_seconds,
            hba: lot.one_of(&[None, None, None, Some(HBA)]),
            isc_clock: lot.one_of(&[0, 0, 0, 15, -15, 40]),
            ..Setup::new(role)
        };
        println!("day {} of ours as {role:?}: {setup:?}", first + number);
        let mut pair = met(setup.start(&format!("day-{}", first + number)));
        let crowd = Crowd::new(&mut pair.lab);
        Self {
            pair,
            crowd,
            lot,
            mclt: mclt.into(),
            longest: lease_seconds.into(),
            believers: BTreeMap::new(),
            newcomer: 1,
        }
    }

    fn pass(mut self) {
        let both = [self.pair.our_address(), self.pair.isc_address()];
        self.clients_come_and_go(&both);
        for _ in 0..EVENTS {
            let event = self.lot.one_of(&ALL);
            self.pair.say(&format!("{event:?}"));
            self.happens(event);
            self.settles();
            self.clients_come_and_go(&both);
        }
        self.settles();
        // Of its own accord it may refuse what we end, and say so again after a cut.
        self.pair.assert_isc_says_only(&[
            "rejected: the lease is not over here",
            "rejected: what was lost here may have leased it since",
            "rejected: active for another client here",
            "rejected: the client was seen here later",
            // Its clock is another.
            "rejected: the client may have been seen here since",
            // A decline while there is no connection: it tells the client, which it refuses itself (`spec/failover-protocol.md` §3.3).
            "rejected: abandoned address with a client",
            "rejected: hardware address missing",
            // Asked for what it has not seen acknowledged, it sends that again although the answer is under way.
            ": xid mismatch.",
        ]);
    }

    fn happens(&mut self, event: Event) {
        let (ours, theirs) = (self.pair.our_address(), self.pair.isc_address());
        let for_a_while = Duration::from_secs(self.lot.below(25).into());
        match event {
            Event::OursIsKilled | Event::OursIsStopped | Event::OursLosesItsStore | Event::OursIsShutDown => {
                match event {
                    Event::OursIsStopped => self.pair.ours.stop(),
                    Event::OursIsShutDown => {
                        self.pair.ours.force("Shutdown", &[]).unwrap_or_else(|why| panic!("{why}"));
                        self.pair.until_isc("partner-down", 10);
                        self.pair.ours.kill();
                    }
                    _ => self.pair.ours.kill(),
                }
                if matches!(event, Event::OursLosesItsStore) {
                    self.pair.lose_our_store();
                }
                if !matches!(event, Event::OursIsShutDown) {
                    self.pair.until_isc("communications-interrupted", 30);
                }
                self.clients_come_and_go(&[theirs]);
                sleep(for_a_while);
                self.pair.start_ours();
            }
            Event::TheirsIsKilled
            | Event::TheirsIsStopped
            | Event::TheirsLosesItsLeases
            | Event::TheirsIsShutDown => {
                match event {
                    Event::TheirsIsStopped => self.pair.isc.stop(),
                    Event::TheirsIsShutDown => {
                        self.pair.isc.shutdown(&self.pair.lab).unwrap_or_else(|why| panic!("{why}"));
                    }
                    _ => self.pair.isc.kill(),
                }
                if matches!(event, Event::TheirsLosesItsLeases) {
                    self.pair.isc.lose_leases();
                }
                self.pair.until_ours("CommunicationsInterrupted", 30);
                self.clients_come_and_go(&[ours]);
                sleep(for_a_while);
                self.pair.start_isc();
            }
            Event::OursTakesOver => {
                self.pair.isc.kill();
                self.pair.until_ours("CommunicationsInterrupted", 30);
                self.clients_come_and_go(&[ours]);
                self.pair.ours.force("PartnerDown", &[]).unwrap_or_else(|why| panic!("{why}"));
                self.clients_come_and_go(&[ours]);
                sleep(Duration::from_secs(self.mclt + 2).min(for_a_while * 3));
                self.clients_come_and_go(&[ours]);
                self.pair.start_isc();
            }
            Event::TheirsTakesOver => {
                self.pair.ours.kill();
                self.pair.until_isc("communications-interrupted", 30);
                self.clients_come_and_go(&[theirs]);
                self.pair.isc.partner_down(&self.pair.lab).unwrap_or_else(|why| panic!("{why}"));
                self.pair.until_isc("partner-down", 5);
                self.clients_come_and_go(&[theirs]);
                sleep(Duration::from_secs(self.mclt + 2).min(for_a_while * 3));
                self.clients_come_and_go(&[theirs]);
                self.pair.start_ours();
            }
            Event::TheLinkIsCut | Event::BothTakeOver => {
                self.pair.lab.cut_link(true);
                self.pair.until_ours("CommunicationsInterrupted", 30);
                self.pair.until_isc("communications-interrupted", 30);
                self.clients_come_and_go(&[ours]);
                self.clients_come_and_go(&[theirs]);
                if matches!(event, Event::BothTakeOver) {
                    self.pair.ours.force("PartnerDown", &[]).unwrap_or_else(|why| panic!("{why}"));
                    self.pair.isc.partner_down(&self.pair.lab).unwrap_or_else(|why| panic!("{why}"));
                    self.pair.until_isc("partner-down", 5);
                    // Not as long as the MCLT: whoever forces both lets both give out everything after that.
                    self.clients_come_and_go(&[theirs]);
                    self.clients_come_and_go(&[ours]);
                } else {
                    sleep(for_a_while);
                }
                self.pair.lab.cut_link(false);
            }
            Event::TimePasses => sleep(for_a_while * 3),
            Event::LeasesGetAnotherLength | Event::TheMcltChanges => {
                let (length, mclt) = (self.lot.one_of(&[60, 150]), self.lot.one_of(&[15, 25, 60]));
                self.pair.change(|setup| match event {
                    Event::TheMcltChanges => setup.mclt = mclt,
                    _ => setup.lease_seconds = length,
                });
                if matches!(event, Event::TheMcltChanges) {
                    self.mclt = self.mclt.max(mclt.into());
                } else {
                    self.longest = self.longest.max(length.into());
                }
                self.pair.ours.stop();
                self.pair.start_ours();
                self.pair.until_normal(RETURN);
                self.pair.isc.stop();
                self.pair.start_isc();
            }
        }
    }

    /// Both are in Normal, their databases hold the same, and either renews what the other granted.
    fn settles(&mut self) {
        self.pair.until_normal(RETURN + self.mclt);
        // What a server that lost its leases may have renewed is held until all that was promised is over
        // (`spec/failover-behaviour.md` §8), and beside another clock no release counts for sure before the end of its lease.
        let longest_promise = self.longest + self.longest / 8 + self.mclt;
        self.pair.until_equal(longest_promise + A_MINUTE + SYNC);
        for server in [self.pair.our_address(), self.pair.isc_address()] {
            let asked = self.those_with_a_lease();
            let spoke = Instant::now();
            let renewed = self.crowd.renew(&self.pair.lab, server).unwrap_or_else(|why| panic!("{why}"));
            assert_eq!(renewed, asked, "{server} renews all leases");
            self.look(spoke);
        }
        self.pair.until_equal(SYNC);
        self.pair.say(&format!("{} clients have an address", self.crowd.leases.len()));
    }

    /// Some come, some renew, some leave, and some find their address in use, at these servers.
    fn clients_come_and_go(&mut self, servers: &[Ipv4Addr]) {
        for _ in 0..3 {
            let server = self.lot.one_of(servers);
            let spoke = Instant::now();
            match self.lot.below(6) {
                0 | 1 => {
                    let count = 1 + self.lot.below(6);
                    let lab = &self.pair.lab;
                    self.crowd.take(lab, self.newcomer, count, servers).unwrap_or_else(|why| panic!("{why}"));
                    self.newcomer += count;
                }
                2 => {
                    // Who comes back after its lease is over wants its address again, and may not get it.
                    let back = 1 + self.lot.below(self.newcomer);
                    let has = self.crowd.leases.get(&back).is_some_and(Taken::is_believed);
                    if !has && back < self.newcomer {
                        self.crowd
                            .take(&self.pair.lab, back, 1, servers)
                            .unwrap_or_else(|why| panic!("{why}"));
                    }
                }
                3 => {
                    let asked = self.those_with_a_lease();
                    let renewed =
                        self.crowd.renew(&self.pair.lab, server).unwrap_or_else(|why| panic!("{why}"));
                    self.pair.say(&format!("{renewed} of {asked} renewed at {server}"));
                }
                verb => {
                    sleep(BEFORE_RELEASE);
                    let (verb, count) =
                        if verb == 4 { ("release", 1 + self.lot.below(4)) } else { ("decline", 1) };
                    if verb == "decline" && self.lot.below(3) > 0 {
                        continue;
                    }
                    let leave: Vec<u32> = self.crowd.leases.keys().take(count as usize).copied().collect();
                    self.crowd
                        .give_up(&self.pair.lab, verb, server, count as usize)
                        .unwrap_or_else(|why| panic!("{why}"));
                    self.believers.retain(|_, held| !leave.contains(&held.client));
                }
            }
            self.look(spoke);
        }
    }

    /// How many have a lease that lasts a while; the others are forgotten.
    fn those_with_a_lease(&mut self) -> usize {
        let lasts = |taken: &Taken| taken.at.elapsed() + SOON < Duration::from_secs(taken.seconds.into());
        self.crowd.leases.retain(|_, taken| lasts(taken));
        self.crowd.leases.len()
    }

    /// Nobody has an address in which somebody else believes. When exactly a client was answered is not known, but not before
    /// it spoke.
    fn look(&mut self, spoke: Instant) {
        for (client, taken) in &self.crowd.leases {
            let held = self.believers.get(&taken.address);
            if held.is_some_and(|held| (held.client, held.told) == (*client, taken.at)) {
                continue;
            }
            if let Some(held) = held.filter(|held| held.client != *client) {
                assert!(
                    held.until <= taken.at,
                    "client {client} got {} from {}, in which client {} believes for {:?} more",
                    taken.address,
                    taken.server,
                    held.client,
                    held.until.duration_since(taken.at)
                );
            }
            let until = spoke + Duration::from_secs(taken.seconds.into());
            self.believers.insert(taken.address, Belief { client: *client, told: taken.at, until });
        }
    }
}

/// What a client believes, whatever servers think.
struct Belief {
    client: u32,
    told: Instant,
    until: Instant,
}

/// The same numbers for the same day.
struct Lot(u64);

impl Lot {
    fn new(day: u64, role: Role) -> Self {
        let mut lot = Self(day * 2 + u64::from(role == Role::Primary) + 1);
        lot.below(1);
        lot
    }

    /// Less than that; splitmix64.
    fn below(&mut self, end: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % u64::from(end)) as u32
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u32) as usize]
    }
}
