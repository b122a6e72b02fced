//! What a seed plays: the pair's configuration and the faults it meets. Each seed enables a random subset
//! of the faults, as bugs hide in combinations and in the absence of others (swarm testing).

mod draw;
mod weather;

use std::collections::BTreeSet;

use api::config::PairConfig;
use api::pair::PairManifest;

pub(crate) use self::draw::Draw;

/// A seed's world. All times in milliseconds unless named otherwise.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// Number of clients; every fourth one sits behind a relay.
    pub clients: u64,
    /// Maximum client lead time in seconds.
    pub mclt: u32,
    /// Desired lease length in seconds.
    pub lease: u32,
    /// Addresses of each of the two pools.
    pub pool: u32,
    /// Both servers answer.
    pub load_balancing: bool,
    /// Share of the secondary in percent.
    pub backup_pct: u8,
    /// Play that long with faults.
    pub length: u64,
    /// Client packets lost, of 1000.
    pub loss: u64,
    /// Client packets delivered twice, of 1000.
    pub duplicates: u64,
    /// Longest way of a packet or of a message between the servers.
    pub delay: u64,
    /// Longest commit.
    pub commit: u64,
    /// Mean time between power cuts; 0 for none.
    pub power_cuts: u64,
    /// Mean time between process kills that leave the disk as it is; 0 for none.
    pub kills: u64,
    /// Mean time between cuts of the link; 0 for none.
    pub link_cuts: u64,
    /// Mean time between the loss of a whole volume; 0 for none. Never both at the same time.
    pub volume_losses: u64,
    /// Mean time between stalls of a disk; 0 for none.
    pub stalls: u64,
    /// Mean time between planned stops (SIGTERM); 0 for none.
    pub pauses: u64,
    /// How far the secondary's clock is ahead.
    pub skew: i64,
    /// How far one server's clock is ahead all the time, by more than counts as nothing: of the primary's if negative. The
    /// servers measure it.
    pub apart: i64,
    /// Connections are cut at any octet and then dead; messages arrive in pieces.
    pub rough: bool,
    /// Some partitions block one direction only.
    pub one_way: bool,
    /// Mean time between writes or syncs that fail; 0 for none.
    pub disk_failures: u64,
    /// Mean time between disks that fill up; 0 for none.
    pub full_disks: u64,
    /// Mean time between bits that flip in what was durable; 0 for none.
    pub rot: u64,
    /// Mean time between steps of a clock; 0 for none.
    pub clock_steps: u64,
    /// How far a clock that steps is off at the most.
    pub clock_bound: u64,
    /// Mean time between processes that stand still for seconds; 0 for none.
    pub freezes: u64,
    /// Mean time between changes of the configuration; 0 for none.
    pub changes: u64,
    /// Some clients send the same identifier.
    pub shared_ids: bool,
    /// When each server is started first.
    pub begin: [u64; 2],
    /// A bootstrap token stays with its volume, instead of being there at the first start only.
    pub token_stays: bool,
    /// Mean time between losses of both volumes at once; 0 for none.
    pub double_losses: u64,
    /// Mean time between states that the operator forces; 0 for none.
    pub operator: u64,
    /// Mean time between bindings that an operator ends; 0 for none.
    pub resets: u64,
    /// Longest absence of a server that was killed or lost power.
    pub absence: u64,
    /// Of 1000 messages between the servers, so many are followed by a fault at once; of state changes twenty times as
    /// many.
    pub spite: u64,
    /// Clients come and go within seconds, and ask for the address that they had.
    pub restless: bool,
    /// The network comes back, and goes, while an operator looks for evidence that a server cannot serve.
    pub meddling: bool,
    /// Mean time between old copies that take the place of a volume; 0 for none.
    pub restores: u64,
    /// How much faster the secondary's clock runs, in millionths.
    pub drift: u64,
    /// Clocks step further than the pair is made for (A1).
    pub wild_clocks: bool,
    /// Which of the two servers is an ISC dhcpd.
    pub dhcpd: Option<usize>,
    /// Clients that were switched off come up in the other subnet now and then.
    pub moves: bool,
    /// Some clients ignore T1: they ask any server, at T2.
    pub lazy: bool,
    /// The figures of a real network, and days of it.
    pub real: bool,
    /// Our server beside a dhcpd grants no more than that reckons with (`strictIscLead`).
    pub strict: bool,
    /// Each disk takes seconds for everything, for 40 s every few minutes.
    pub sluggish: bool,
    /// Two addresses are reserved for two of the clients.
    pub reserved: bool,
    /// Who starts waits for its partner without end (`startupExpiry: Wait`).
    pub waits_at_start: bool,
    /// Who is alone gives leases no longer than the MCLT (`partnerDownLeaseTime: Mclt`).
    pub short_alone: bool,
    /// Faults that do not happen, by their numbers.
    pub without: BTreeSet<u64>,
    /// Mean time between orders that nobody should give; 0 for none. A3 and A7 do not hold then.
    pub reckless: u64,
}

impl Plan {
    /// Draws the world of a seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut plan = Self::faulty(seed);
        plan.weather();
        plan
    }

    /// All kinds of faults, each at its own times.
    #[must_use]
    pub fn faulty(seed: u64) -> Self {
        let mut draw = Draw::new(seed ^ 0x0fa1);
        let mut plan = Self::basic(seed);
        if draw.one_of(4) {
            return plan;
        }
        plan.disk_failures = draw.mean(5, 60, 900);
        plan.full_disks = draw.mean(6, 120, 900);
        plan.rot = draw.mean(8, 300, 900);
        plan.clock_steps = draw.mean(5, 30, 600);
        plan.freezes = draw.mean(4, 30, 400);
        plan.changes = draw.mean(4, 60, 600);
        plan.double_losses = draw.mean(16, 400, 900);
        plan.rough = draw.one_of(2);
        plan.one_way = draw.one_of(3);
        plan.shared_ids = draw.one_of(4);
        plan.token_stays = draw.one_of(2);
        if draw.one_of(4) {
            plan.begin[draw.between(0, 1) as usize] = draw.between(0, 200) * 1000;
        }
        if plan.clock_steps > 0 {
            plan.skew /= 2;
        }
        if draw.one_of(3) {
            plan.operator = draw.between(20, 300) * 1000;
        }
        if draw.one_of(4) {
            plan.resets = draw.between(2, 60) * 1000;
        }
        plan.storm();
        plan
    }

    /// The faults that the first simulator had.
    #[must_use]
    pub fn basic(seed: u64) -> Self {
        let mut draw = Draw::new(seed);
        let mclt = draw.between(15, 60) as u32;
        Self {
            seed,
            clients: draw.between(1, 24),
            mclt,
            lease: draw.between(60, 900) as u32,
            pool: draw.between(4, 40) as u32,
            load_balancing: draw.between(0, 1) == 1,
            backup_pct: draw.between(0, 60) as u8,
            length: draw.between(300, 1800) * 1000,
            loss: if draw.one_of(3) { 0 } else { draw.between(1, 250) },
            duplicates: if draw.one_of(3) { draw.between(1, 100) } else { 0 },
            delay: draw.between(1, 800),
            commit: draw.between(1, 60),
            power_cuts: if draw.one_of(3) { draw.between(30, 600) * 1000 } else { 0 },
            kills: if draw.one_of(3) { draw.between(30, 600) * 1000 } else { 0 },
            link_cuts: if draw.one_of(2) { draw.between(20, 400) * 1000 } else { 0 },
            volume_losses: if draw.one_of(6) { draw.between(300, 900) * 1000 } else { 0 },
            stalls: if draw.one_of(5) { draw.between(60, 600) * 1000 } else { 0 },
            pauses: if draw.one_of(4) { draw.between(60, 600) * 1000 } else { 0 },
            skew: if draw.one_of(3) { draw.between(0, 2000) as i64 - 1000 } else { 0 },
            apart: 0,
            rough: false,
            one_way: false,
            disk_failures: 0,
            full_disks: 0,
            rot: 0,
            clock_steps: 0,
            clock_bound: 500,
            freezes: 0,
            changes: 0,
            shared_ids: false,
            begin: [0, 0],
            token_stays: false,
            double_losses: 0,
            operator: 0,
            resets: 0,
            absence: 120_000,
            spite: 0,
            restless: false,
            meddling: false,
            restores: 0,
            drift: 0,
            wild_clocks: false,
            dhcpd: None,
            moves: false,
            lazy: false,
            real: false,
            strict: false,
            sluggish: false,
            reserved: false,
            waits_at_start: false,
            short_alone: false,
            without: BTreeSet::new(),
            reckless: 0,
        }
    }

    /// A world in which nothing goes wrong by itself.
    #[cfg(test)]
    #[must_use]
    pub(crate) fn calm() -> Self {
        Self {
            loss: 0,
            duplicates: 0,
            power_cuts: 0,
            kills: 0,
            link_cuts: 0,
            volume_losses: 0,
            stalls: 0,
            pauses: 0,
            skew: 0,
            ..Self::basic(1)
        }
    }

    /// The longest lease and MCLT of any version so far, in seconds.
    #[must_use]
    pub(crate) fn longest(&self, version: u64) -> (u64, u64) {
        if version > 0 { (900, 60) } else { (u64::from(self.lease), u64::from(self.mclt)) }
    }

    /// The pair of this world in one version of its configuration; 0 is the first.
    #[must_use]
    pub fn pair(&self, version: u64) -> (PairManifest, PairConfig) {
        let split = if version > 0 { Draw::new(self.seed ^ (version << 24)).between(0, 256) } else { 128 };
        let balancing =
            if self.load_balancing { serde_json::json!({ "split": split }) } else { serde_json::Value::Null };
        let last = 9 + self.pool;
        let (mut mclt, mut lease, mut backup_pct, mut more) = (self.mclt, self.lease, self.backup_pct, false);
        if version > 0 {
            let mut draw = Draw::new(self.seed ^ (version << 32));
            lease = draw.between(60, 900) as u32;
            backup_pct = draw.between(0, 60) as u8;
            more = draw.one_of(2);
            if draw.one_of(3) {
                mclt = draw.between(15, 60) as u32;
            }
        }
        let subnet = |net: u8| {
            let range = |first: u32, last: u32| {
                serde_json::json!({
                    "first": format!("10.{net}.0.{first}"),
                    "last": format!("10.{net}.0.{last}"),
                    "unavailableTimeoutSeconds": 120,
                })
            };
            let mut pools = vec![range(10, last)];
            if more {
                pools.push(range(100, 100 + self.pool / 2));
            }
            serde_json::json!({ "cidr": format!("10.{net}.0.0/24"), "pools": pools, "leaseSeconds": lease })
        };
        let server = |index: usize| {
            let address = format!("10.0.0.{}", index + 1);
            if self.dhcpd == Some(index) {
                serde_json::json!({ "external": { "address": address, "port": 647 } })
            } else {
                serde_json::json!({ "pod": { "interface": "eth0", "address": address } })
            }
        };
        let (poll_interval, poll_timeout) = if self.real { (10, 60) } else { (2, 8) };
        let security = if self.dhcpd.is_some() { "Plain" } else { "MutualTLS" };
        let mut manifest = serde_json::json!({
            "apiVersion": "dhcpfailover.io/v1alpha1",
            "kind": "DhcpFailoverPair",
            "metadata": { "name": "sim", "namespace": "sim" },
            "spec": {
                "mcltSeconds": mclt,
                "backupPct": backup_pct,
                "loadBalancing": balancing,
                "link": {
                    "pollIntervalSeconds": poll_interval,
                    "pollTimeoutSeconds": poll_timeout,
                    "security": security,
                },
                "primary": server(0),
                "secondary": server(1),
                "subnets": [subnet(0), subnet(1)],
                "allowScopeRemoval": true,
            },
        });
        self.bend(&mut manifest["spec"], version);
        let manifest: PairManifest = serde_json::from_value(manifest).expect("the plan's manifest parses");
        let config = PairConfig::new(&manifest).expect("the plan's manifest is valid");
        (manifest, config)
    }
}
