//! What a seed plays: the pair's configuration and the faults it meets. Each seed enables a random subset
//! of the faults, as bugs hide in combinations and in the absence of others (swarm testing).

use api::config::PairConfig;
use api::pair::PairManifest;
use leases::log::testing::Generator;

/// A seed's world. All times in milliseconds unless named otherwise.
#[derive(Clone, Debug)]
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
}

impl Plan {
    /// Draws the world of a seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut draw = Generator::new(seed);
        let mut between = |least: u64, most: u64| least + draw.below(most - least + 1);
        let mclt = between(15, 60) as u32;
        Self {
            seed,
            clients: between(1, 24),
            mclt,
            lease: between(60, 900) as u32,
            pool: between(4, 40) as u32,
            load_balancing: between(0, 1) == 1,
            backup_pct: between(0, 60) as u8,
            length: between(300, 1800) * 1000,
            loss: if between(0, 2) == 0 { 0 } else { between(1, 250) },
            duplicates: if between(0, 2) == 0 { between(1, 100) } else { 0 },
            delay: between(1, 800),
            commit: between(1, 60),
            power_cuts: if between(0, 2) == 0 { between(30, 600) * 1000 } else { 0 },
            kills: if between(0, 2) == 0 { between(30, 600) * 1000 } else { 0 },
            link_cuts: if between(0, 1) == 0 { between(20, 400) * 1000 } else { 0 },
            volume_losses: if between(0, 5) == 0 { between(300, 900) * 1000 } else { 0 },
            stalls: if between(0, 4) == 0 { between(60, 600) * 1000 } else { 0 },
            pauses: if between(0, 3) == 0 { between(60, 600) * 1000 } else { 0 },
            skew: if between(0, 2) == 0 { between(0, 2000) as i64 - 1000 } else { 0 },
        }
    }

    /// The pair of this world.
    #[must_use]
    pub fn pair(&self) -> (PairManifest, PairConfig) {
        let balancing =
            if self.load_balancing { serde_json::json!({ "split": 128 }) } else { serde_json::Value::Null };
        let last = 9 + self.pool;
        let manifest = serde_json::json!({
            "apiVersion": "dhcpfailover.io/v1alpha1",
            "kind": "DhcpFailoverPair",
            "metadata": { "name": "sim", "namespace": "sim" },
            "spec": {
                "mcltSeconds": self.mclt,
                "backupPct": self.backup_pct,
                "loadBalancing": balancing,
                "link": { "pollIntervalSeconds": 2, "pollTimeoutSeconds": 8 },
                "primary": { "pod": { "interface": "eth0", "address": "10.0.0.1" } },
                "secondary": { "pod": { "interface": "eth0", "address": "10.0.0.2" } },
                "subnets": [
                    {
                        "cidr": "10.0.0.0/24",
                        "pools": [{ "first": "10.0.0.10", "last": format!("10.0.0.{last}"), "unavailableTimeoutSeconds": 120 }],
                        "leaseSeconds": self.lease,
                    },
                    {
                        "cidr": "10.1.0.0/24",
                        "pools": [{ "first": "10.1.0.10", "last": format!("10.1.0.{last}"), "unavailableTimeoutSeconds": 120 }],
                        "leaseSeconds": self.lease,
                    },
                ],
            },
        });
        let manifest: PairManifest = serde_json::from_value(manifest).expect("the plan's manifest parses");
        let config = PairConfig::new(&manifest).expect("the plan's manifest is valid");
        (manifest, config)
    }
}
