//! Makes a seed that breaks an invariant as small as it gets: faults, clients and tail are taken away until nothing more
//! can go without the violation going as well.

use crate::check::Violation;
use crate::plan::Plan;
use crate::world::World;

/// The smallest plan found that breaks the same invariant, and how it does. `None` if `plan` breaks none.
#[must_use]
pub fn shrink(plan: &Plan) -> Option<(Plan, Violation)> {
    let violation = breaks(plan)?;
    let mut best = Best { plan: plan.clone(), violation };
    // What one round leaves, the next one may take: a fault may be there for the sake of another one only.
    while best.take_kinds() | best.take_clients() | best.take_tail() | best.take_faults() {}
    Some((best.plan, best.violation))
}

fn breaks(plan: &Plan) -> Option<Violation> {
    World::new(plan.clone(), false).run().err()
}

struct Best {
    plan: Plan,
    violation: Violation,
}

/// Takes one kind of fault away.
type Without = fn(&mut Plan);

const KINDS: [Without; 38] = [
    |plan| plan.loss = 0,
    |plan| plan.duplicates = 0,
    |plan| plan.power_cuts = 0,
    |plan| plan.kills = 0,
    |plan| plan.link_cuts = 0,
    |plan| plan.volume_losses = 0,
    |plan| plan.stalls = 0,
    |plan| plan.pauses = 0,
    |plan| plan.skew = 0,
    |plan| plan.apart = 0,
    |plan| plan.rough = false,
    |plan| plan.one_way = false,
    |plan| plan.disk_failures = 0,
    |plan| plan.full_disks = 0,
    |plan| plan.rot = 0,
    |plan| plan.clock_steps = 0,
    |plan| plan.freezes = 0,
    |plan| plan.changes = 0,
    |plan| plan.shared_ids = false,
    |plan| plan.begin = [0, 0],
    |plan| plan.token_stays = false,
    |plan| plan.double_losses = 0,
    |plan| plan.operator = 0,
    |plan| plan.resets = 0,
    |plan| plan.spite = 0,
    |plan| plan.restless = false,
    |plan| plan.meddling = false,
    |plan| plan.restores = 0,
    |plan| plan.drift = 0,
    |plan| plan.dhcpd = None,
    |plan| plan.load_balancing = false,
    |plan| plan.moves = false,
    |plan| plan.lazy = false,
    |plan| plan.reserved = false,
    |plan| plan.sluggish = false,
    |plan| plan.strict = false,
    |plan| plan.waits_at_start = false,
    |plan| plan.short_alone = false,
];

impl Best {
    /// Whether a smaller plan breaks the same invariant; it is the best then.
    fn is_beaten_by(&mut self, plan: Plan) -> bool {
        match breaks(&plan) {
            Some(violation) if violation.invariant == self.violation.invariant => {
                *self = Self { plan, violation };
                true
            }
            Some(_) | None => false,
        }
    }

    fn take_kinds(&mut self) -> bool {
        let mut taken = false;
        for without in KINDS {
            let mut plan = self.plan.clone();
            without(&mut plan);
            taken |= plan != self.plan && self.is_beaten_by(plan);
        }
        taken
    }

    fn take_clients(&mut self) -> bool {
        let mut taken = false;
        for less in [self.plan.clients / 2, self.plan.clients / 4, 1] {
            while self.plan.clients > less.max(1) {
                let clients = self.plan.clients - less.max(1);
                if !self.is_beaten_by(Plan { clients, ..self.plan.clone() }) {
                    break;
                }
                taken = true;
            }
        }
        taken
    }

    fn take_tail(&mut self) -> bool {
        let length = self.plan.length.min(self.violation.time + 1);
        length < self.plan.length && self.is_beaten_by(Plan { length, ..self.plan.clone() })
    }

    /// Single faults, many at a time first.
    fn take_faults(&mut self) -> bool {
        let mut taken = false;
        let mut world = World::new(self.plan.clone(), false);
        let faults: Vec<u64> =
            world.faults().into_iter().filter(|fault| !self.plan.without.contains(fault)).collect();
        let mut size = faults.len();
        while size > 0 {
            for chunk in faults.chunks(size) {
                if chunk.iter().all(|fault| self.plan.without.contains(fault)) {
                    continue;
                }
                let mut plan = self.plan.clone();
                plan.without.extend(chunk);
                taken |= self.is_beaten_by(plan);
            }
            size /= 2;
        }
        taken
    }
}
