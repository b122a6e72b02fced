//! What a seed adds to faults that come at their own times: faults, clients and sizes that bring out what is rare.
//! Each kind draws from numbers of its own, so that a new one leaves the seeds of the others as they are.

use leases::log::testing::Generator;

use super::Plan;

impl Plan {
    /// Every sixth seed: many clients for few addresses, short leases, and what is lost comes back at once, so that rules
    /// are needed whose time is short.
    pub(super) fn storm(&mut self) {
        let mut draw = Generator::new(self.seed ^ 0x5707);
        let mut between = |least: u64, most: u64| least + draw.below(most - least + 1);
        if between(0, 5) > 0 {
            return;
        }
        self.clients = between(12, 30);
        self.pool = between(3, 8) as u32;
        self.mclt = between(20, 60) as u32;
        self.lease = between(60, 240) as u32;
        self.absence = between(2, 20) * 1000;
        self.link_cuts = between(10, 60) * 1000;
        let mut mean = |one_of: u64, least: u64, most: u64| {
            if between(0, one_of - 1) == 0 { between(least, most) * 1000 } else { 0 }
        };
        self.volume_losses = mean(2, 60, 240);
        self.power_cuts = mean(2, 20, 120);
        self.kills = mean(2, 20, 120);
        self.operator = mean(2, 10, 60);
    }

    /// What [`Plan::of`] adds to [`Plan::faulty`].
    pub(super) fn weather(&mut self) {
        self.spite();
        self.restlessness();
        self.old_copies();
        self.clocks();
        self.crowd();
        self.dhcpd();
    }

    fn chance(&self, kind: u64, one_of: u64) -> Option<Generator> {
        let mut draw = Generator::new(self.seed ^ (kind << 48));
        (draw.below(one_of) == 0).then_some(draw)
    }

    /// Faults that wait for a state change or a message: most rules are there for what happens between two of them.
    fn spite(&mut self) {
        let Some(mut draw) = self.chance(1, 4) else { return };
        self.spite = 1 + draw.below(8);
        self.length = (60 + draw.below(540)) * 1000;
        self.absence = 2_000 + draw.below(40_000);
        self.pool = 3 + draw.below(10) as u32;
        self.mclt = 15 + draw.below(15) as u32;
        self.lease = 60 + draw.below(120) as u32;
    }

    fn restlessness(&mut self) {
        self.restless = self.chance(2, 3).is_some();
    }

    fn old_copies(&mut self) {
        let Some(mut draw) = self.chance(3, 8) else { return };
        self.restores = (60 + draw.below(500)) * 1000;
    }

    fn clocks(&mut self) {
        if let Some(mut draw) = self.chance(4, 6) {
            self.drift = draw.below(500);
        }
        if let Some(mut draw) = self.chance(5, 24) {
            self.wild_clocks = true;
            self.clock_steps = (30 + draw.below(600)) * 1000;
            self.clock_bound = 1_000 + draw.below(120_000);
        }
    }

    /// As many clients as two subnets hold, for a short while.
    fn crowd(&mut self) {
        let Some(mut draw) = self.chance(6, 200) else { return };
        self.clients = 100 + draw.below(401);
        self.pool = 40 + draw.below(200) as u32;
        self.length = self.length.min(300_000);
        self.changes = 0;
    }

    /// An ISC dhcpd takes the place of one server, and only what happens to one happens.
    fn dhcpd(&mut self) {
        let Some(mut draw) = self.chance(9, 10) else { return };
        self.dhcpd = Some(draw.below(2) as usize);
        *self = Self {
            disk_failures: 0,
            full_disks: 0,
            rot: 0,
            clock_steps: 0,
            freezes: 0,
            changes: 0,
            shared_ids: false,
            double_losses: 0,
            resets: 0,
            restores: 0,
            drift: 0,
            wild_clocks: false,
            ..self.clone()
        };
        if draw.below(8) == 0 {
            self.skew = draw.below(100_000) as i64 - 50_000;
        }
    }
}
