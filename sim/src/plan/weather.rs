//! What a seed adds to faults that come at their own times: faults, clients and sizes that bring out what is rare.
//! Each kind draws from numbers of its own, so that a new one leaves the seeds of the others as they are.

use super::{Draw, Plan};

impl Plan {
    /// Every sixth seed: many clients for few addresses, short leases, and what is lost comes back at once, so that rules
    /// are needed whose time is short.
    pub(super) fn storm(&mut self) {
        let mut draw = Draw::new(self.seed ^ 0x5707);
        if !draw.one_of(6) {
            return;
        }
        self.clients = draw.between(12, 30);
        self.pool = draw.between(3, 8) as u32;
        self.mclt = draw.between(20, 60) as u32;
        self.lease = draw.between(60, 240) as u32;
        self.absence = draw.between(2, 20) * 1000;
        self.link_cuts = draw.between(10, 60) * 1000;
        self.volume_losses = draw.mean(2, 60, 240);
        self.power_cuts = draw.mean(2, 20, 120);
        self.kills = draw.mean(2, 20, 120);
        self.operator = draw.mean(2, 10, 60);
    }

    /// What [`Plan::of`] adds to [`Plan::faulty`].
    pub(super) fn weather(&mut self) {
        self.spite();
        self.restlessness();
        self.old_copies();
        self.clocks();
        self.crowd();
        self.dhcpd();
        self.apart();
        self.meddling = self.chance(11, 6).is_some();
        self.reserved = self.dhcpd.is_none() && self.chance(12, 6).is_some();
        self.waits_at_start = self.chance(13, 10).is_some();
        self.short_alone = self.chance(14, 6).is_some();
        self.moves = self.chance(16, 6).is_some();
        self.lazy = self.chance(17, 8).is_some();
        self.strict = self.dhcpd.is_some() && self.chance(19, 2).is_some();
        self.sluggish = self.chance(18, 8).is_some();
        self.days();
    }

    fn chance(&self, kind: u64, one_of: u64) -> Option<Draw> {
        let mut draw = Draw::new(self.seed ^ (kind << 48));
        draw.one_of(one_of).then_some(draw)
    }

    /// Faults that wait for a state change or a message: most rules are there for what happens between two of them.
    fn spite(&mut self) {
        let Some(mut draw) = self.chance(1, 4) else { return };
        self.spite = draw.between(1, 8);
        self.length = draw.between(60, 599) * 1000;
        self.absence = draw.between(2000, 41_999);
        self.pool = draw.between(3, 12) as u32;
        self.mclt = draw.between(15, 29) as u32;
        self.lease = draw.between(60, 179) as u32;
    }

    fn restlessness(&mut self) {
        self.restless = self.chance(2, 3).is_some();
    }

    fn old_copies(&mut self) {
        let Some(mut draw) = self.chance(3, 8) else { return };
        self.restores = draw.between(60, 559) * 1000;
    }

    fn clocks(&mut self) {
        if let Some(mut draw) = self.chance(4, 6) {
            self.drift = draw.between(0, 499);
        }
        if let Some(mut draw) = self.chance(5, 24) {
            self.wild_clocks = true;
            self.clock_steps = draw.between(30, 629) * 1000;
            self.clock_bound = draw.between(1000, 120_999);
        }
    }

    /// As many clients as two subnets hold, for a short while.
    fn crowd(&mut self) {
        let Some(mut draw) = self.chance(6, 200) else { return };
        self.clients = draw.between(100, 500);
        self.pool = draw.between(40, 239) as u32;
        self.length = self.length.min(300_000);
        self.changes = 0;
    }

    /// Days of a network with real figures, in which faults come hours apart.
    fn days(&mut self) {
        let Some(mut draw) = self.chance(15, 500) else { return };
        if self.dhcpd.is_some() {
            return;
        }
        const MEAN: u64 = 3_600_000;
        let often = |mean: u64| if mean > 0 { mean * 40 } else { 0 };
        *self = Self {
            real: true,
            mclt: 3600,
            lease: [14_400, 28_800, 86_400][draw.between(0, 2) as usize],
            length: draw.between(24, 72) * MEAN,
            absence: draw.between(1, 6) * MEAN,
            power_cuts: often(self.power_cuts),
            kills: often(self.kills),
            link_cuts: often(self.link_cuts),
            volume_losses: often(self.volume_losses),
            stalls: often(self.stalls),
            pauses: often(self.pauses),
            disk_failures: often(self.disk_failures),
            full_disks: often(self.full_disks),
            freezes: often(self.freezes),
            double_losses: often(self.double_losses),
            operator: often(self.operator),
            restores: often(self.restores),
            resets: often(self.resets),
            rot: 0,
            clock_steps: 0,
            wild_clocks: false,
            drift: 0,
            changes: 0,
            spite: 0,
            restless: false,
            ..self.clone()
        };
    }

    /// Two clocks that differ so much that it counts, as a pair of ours is made for.
    fn apart(&mut self) {
        let Some(mut draw) = self.chance(10, 12) else { return };
        if self.dhcpd.is_some() {
            return;
        }
        let apart = draw.between(2_000, 45_000) as i64;
        self.apart = if draw.one_of(2) { apart } else { -apart };
        self.skew = 0;
        self.clock_steps = 0;
        self.wild_clocks = false;
    }

    /// An ISC dhcpd takes the place of one server, and only what happens to one happens.
    fn dhcpd(&mut self) {
        let Some(mut draw) = self.chance(9, 10) else { return };
        self.dhcpd = Some(draw.between(0, 1) as usize);
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
        if draw.one_of(8) {
            self.skew = draw.between(0, 99_999) as i64 - 50_000;
        }
    }
}
