//! Faults that wait for their moment: right after a state change or a message between the servers.

use super::World;
use super::event::What;

/// So many times likelier after a state change than after a message.
const STATE_CHANGE: u64 = 20;
/// Longest time from the moment to the fault.
const SOON_MILLIS: u64 = 3_000;
/// Longest time for which the network is back then: servers dial every few seconds.
const MEETING_MILLIS: u64 = 12_000;

impl World {
    pub(super) fn spite_of_message(&mut self) {
        if self.plan.spite > 0 {
            self.strike(self.plan.spite);
        }
    }

    pub(super) fn spite_of_state(&mut self) {
        if self.plan.spite > 0 {
            self.strike(self.plan.spite * STATE_CHANGE);
        }
    }

    fn strike(&mut self, of_1000: u64) {
        if self.time > self.plan.length || self.draw.below(1000) >= of_1000 {
            return;
        }
        let node = usize::from(self.draw.coin());
        let soon = if self.draw.coin() { SOON_MILLIS } else { SOON_MILLIS / 20 };
        let at = self.time + 1 + self.draw.below(soon);
        let what = match self.draw.below(12) {
            0 | 1 if self.plan.power_cuts > 0 => What::PowerCut { node },
            2 | 3 => What::Kill { node },
            4 if self.plan.volume_losses > 0 => What::VolumeLoss { node },
            5 if self.plan.pauses > 0 => What::Pause { node },
            6 if self.plan.freezes > 0 => What::Freeze { node },
            7 if self.plan.stalls > 0 => What::Stall { node },
            8 if self.plan.operator > 0 => What::Operate,
            9 if self.plan.restores > 0 => What::Restore { node },
            10 => {
                let healed = at + 1 + self.draw.below(90_000);
                self.at(healed, What::Heal);
                What::Partition
            }
            _ => What::LinkCut,
        };
        self.fault(at, what);
    }

    /// Both servers meet shortly before a request is carried out that was made while they were apart, or just as it is.
    pub(super) fn meet_before(&mut self, decided: u64) {
        let met = self.time + 1 + self.draw.below(decided - self.time);
        self.at(met, What::Heal);
        let apart = met + 1 + self.draw.below(MEETING_MILLIS);
        self.fault(apart, What::Partition);
        let healed = apart + 1 + self.draw.below(90_000);
        self.at(healed, What::Heal);
    }
}
