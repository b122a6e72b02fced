//! Worlds whose operator gives up A3 and A7: servers are declared down that live, guards are gone past, times are made
//! up, a safe period ends. Addresses may be given twice then; all else holds, and both still come to rest.
//!
//! Rules that such an operator alone brings about, PotentialConflict among them, act here.

use api::force::{Evidence, Fence, ForcedState};
use api::time::Seconds;
use server::{Caller, Command};

use crate::plan::{Draw, Plan};
use crate::world::World;
use crate::world::event::What;
use crate::world::operator::Order;

impl Plan {
    /// Draws a world with a reckless operator.
    #[must_use]
    pub fn reckless(seed: u64) -> Self {
        let mut draw = Draw::new(seed ^ 0x7ec1);
        let mut plan = Self::basic(seed);
        plan.reckless = draw.between(4, 40) * 1000;
        plan.clients = draw.between(4, 20);
        plan.pool = draw.between(3, 10) as u32;
        let slow = draw.one_of(5);
        plan.mclt = draw.between(if slow { 60 } else { 15 }, if slow { 120 } else { 40 }) as u32;
        plan.lease = draw.between(60, 200) as u32;
        plan.length = draw.between(200, 900) * 1000;
        plan.absence = draw.between(2, 60) * 1000;
        plan.delay = draw.between(1, 800);
        plan.link_cuts = draw.between(8, 90) * 1000;
        plan.kills = draw.mean(2, 15, 120);
        plan.power_cuts = draw.mean(3, 15, 120);
        plan.volume_losses = draw.mean(3, 60, 300);
        plan.operator = draw.mean(2, 10, 90);
        plan.resets = draw.mean(2, 5, 60);
        plan.changes = draw.mean(3, 60, 300);
        plan.clock_steps = draw.mean(4, 20, 120);
        plan.freezes = draw.mean(5, 30, 200);
        plan.stalls = draw.mean(5, 30, 200);
        if plan.clock_steps > 0 {
            plan.clock_bound = draw.between(500, 6_000);
        }
        plan.token_stays = draw.one_of(2);
        plan.skew = if draw.one_of(3) { draw.between(0, 8000) as i64 - 4000 } else { 0 };
        plan
    }

    /// What the configuration has beyond that of most worlds.
    pub(crate) fn bend(&self, spec: &mut serde_json::Value, version: u64) {
        if self.waits_at_start {
            spec["startupExpiry"] = "Wait".into();
        }
        if self.short_alone {
            spec["partnerDownLeaseTime"] = "Mclt".into();
        }
        if self.strict {
            spec["strictIscLead"] = true.into();
        }
        if self.reserved {
            spec["subnets"][0]["reservations"] = reservations(version);
        }
        if self.reckless == 0 {
            return;
        }
        let mut draw = Draw::new(self.seed ^ 0xbe4d);
        if draw.one_of(3) {
            spec["safePeriod"] = serde_json::json!({ "seconds": 60, "acceptDuplicateRisk": true });
        }
        if draw.one_of(4) {
            spec["startupExpiry"] = "Wait".into();
        }
        if draw.one_of(3) {
            spec["riServe"] = "Own".into();
        }
        if draw.one_of(3) {
            spec["partnerDownLeaseTime"] = "Mclt".into();
        }
        if draw.one_of(6) {
            spec["strictIscLead"] = true.into();
        }
        if draw.one_of(3) {
            spec["subnets"][0]["pools"][0]["dynamicBootp"] = true.into();
        }
        // Reserved in every other version: one server may know of it before the other.
        if draw.one_of(2) && version.is_multiple_of(2) {
            spec["subnets"][0]["reservations"] = reservations(version / 2);
        }
    }
}

/// Every other version they have changed hands.
fn reservations(version: u64) -> serde_json::Value {
    let (one, other) = if version.is_multiple_of(2) { (10, 11) } else { (11, 10) };
    serde_json::json!([
        { "address": format!("10.0.0.{one}"), "hardwareAddress": "02:00:00:00:00:01" },
        { "address": format!("10.0.0.{other}"), "hardwareAddress": "02:00:00:00:00:02" },
    ])
}

impl World {
    /// One thing that nobody should do, or one at each server within the same moment.
    pub(super) fn dare(&mut self) {
        let node = usize::from(self.draw.coin());
        match self.draw.below(8) {
            0 => self.dare_to_prove(node),
            1..4 => {
                self.dare_one(node);
                self.dare_one(1 - node);
            }
            _ => self.dare_one(node),
        }
    }

    /// The partner of a server is said to be down beyond doubt, and is not.
    fn dare_to_prove(&mut self, survivor: usize) {
        let Some(stamp) = self.stamp(survivor) else { return };
        let since = self.nodes[survivor].now(self.time).wall;
        let fence = Fence {
            partner_epoch: stamp.epoch,
            partner_transition: stamp.transition,
            since: since.timestamp().unwrap_or_default(),
            evidence: Some(Evidence::Automatic),
        };
        self.at(
            self.time + 1,
            What::Order { node: 1 - survivor, order: Order::Give(Box::new(Command::Fence(fence))) },
        );
        let mut request = self.request(survivor, ForcedState::PartnerDown, None);
        request.force.expert = true;
        let command = Command::Force(Box::new(request), Caller::Operator);
        self.at(self.time + 1, What::Order { node: survivor, order: Order::Give(Box::new(command)) });
    }

    fn dare_one(&mut self, node: usize) {
        let state = match self.draw.below(10) {
            0..4 => ForcedState::PartnerDown,
            4 => ForcedState::Recover,
            5 => ForcedState::Normal,
            6 => ForcedState::Startup,
            7 => ForcedState::CommunicationsInterrupted,
            8 => ForcedState::Paused,
            _ => ForcedState::Shutdown,
        };
        let mut request = self.request(node, state, None);
        let force = &mut request.force;
        force.expert = self.draw.below(3) > 0;
        force.confirm = self.draw.coin();
        force.hold = state == ForcedState::CommunicationsInterrupted && self.draw.coin();
        if self.draw.below(8) > 0 {
            force.evidence = Evidence::Attested;
            force.reason = Some("it must be".to_owned());
        }
        if self.draw.coin() {
            let now = self.nodes[node].now(self.time).wall;
            let back = self.draw.below(120) as u32;
            // Some are in the future.
            let when = now + Seconds(20) - Seconds(back);
            match state {
                ForcedState::PartnerDown => force.down_since = when.timestamp(),
                ForcedState::Recover => force.recover_time = when.timestamp(),
                _ => {}
            }
        }
        let caller = if self.draw.coin() { Caller::Human } else { Caller::Operator };
        let command = Command::Force(Box::new(request), caller);
        let at = self.time + 1 + self.draw.below(1_000);
        self.at(at, What::Order { node, order: Order::Give(Box::new(command)) });
    }
}
