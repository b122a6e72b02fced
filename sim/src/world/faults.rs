//! Faults: when they come, and what they do.

use std::net::Ipv4Addr;

use server::{Command, CommandId};

use crate::assumption::Assumption;
use crate::check::Violation;
use crate::world::World;
use crate::world::event::What;

impl World {
    /// Whether a start finds the newest configuration; nothing is drawn where it never changes.
    pub(super) fn draw_if_changing(&mut self) -> bool {
        self.version > 0 && self.draw.coin()
    }

    pub(super) fn configure(&mut self, node: usize, version: u64) -> Result<(), Violation> {
        if version <= self.nodes[node].version || self.nodes[node].server.is_none() {
            return Ok(());
        }
        self.nodes[node].version = version;
        let (manifest, config) = self.plan.pair(version);
        let command = Command::Configure(Box::new((manifest, config)));
        self.with_server(node, |server, now| server.command(now, CommandId(2), command))
    }

    /// An operator ends a binding, and vouches that the address is not used if that is so.
    pub(super) fn reset(&mut self, node: usize) -> Result<(), Violation> {
        let Some(server) = &self.nodes[node].server else { return Ok(()) };
        let bound: Vec<Ipv4Addr> = server
            .leases()
            .filter(|line| !matches!(line.state.as_str(), "Free" | "Backup" | "Reset"))
            .map(|line| line.address)
            .collect();
        if bound.is_empty() {
            return Ok(());
        }
        let address = bound[self.draw.below(bound.len() as u64) as usize];
        let unused = self.draw.coin() && !self.checker.may_be_used(address, self.time);
        self.note(node, &format!("is told to reset {address}, unused: {unused}"));
        self.with_server(node, |server, now| {
            server.command(now, CommandId(3), Command::Reset { address, unused });
        })
    }

    /// Whether a node may lose what it has: the other must have all the pair's data.
    pub(super) fn may_lose(&self, node: usize) -> bool {
        let [node, other] = [&self.nodes[node], &self.nodes[1 - node]];
        if node.dhcpd.is_some() || other.dhcpd.is_some() {
            return !other.amnesic && other.synced && !node.amnesic && !node.alone;
        }
        // What was granted in PartnerDown is known to one server alone; a fenced partner knows at least that, and so does one
        // that heard of it.
        let knows = other.server.as_ref().is_some_and(|server| server.endpoint().lacks_partner_down());
        let known = !node.alone || knows && self.version == 0;
        self.plan.reckless > 0 || !other.amnesic && other.synced && !other.rotten && !node.amnesic && known
    }

    pub(super) fn rot(&mut self, node: usize) {
        if self.nodes[node].server.is_some() && self.may_lose(node) {
            self.stop(node, true);
            let mut draw = self.draw.clone();
            if self.nodes[node].rot(&mut draw) {
                self.note(node, "has a bit that flipped on its disk");
            }
            self.draw = draw;
        }
    }

    /// Both volumes are lost: what clients were promised before is known to nobody.
    pub(super) fn lose_both(&mut self) {
        self.history.note(self.time, "world", format_args!("loses both volumes"));
        for node in 0..2 {
            self.stop(node, true);
            self.nodes[node].lose_volume();
            self.operator.lost(node, &[]);
        }
        if self.version == 0 && !self.plan.shared_ids {
            // The hold of the longest lease protects them (H-8).
            return;
        }
        // Leases may be longer than any that the present configuration grants: nobody can know that any more. And a
        // client may believe in one that another of its name gave back.
        self.checker.forget();
        self.queue.retain(|_, what| !matches!(what, What::Reply { .. } | What::Packet { .. }));
        for client in 0..self.clients.len() {
            self.clients[client].forget();
            self.sent[client].clear();
            let at = self.time + 1_000 + self.draw.below(60_000);
            self.wake_at(client, at);
        }
    }

    /// One volume is lost; what both servers knew of requests the other one still knows, if it was told.
    pub(super) fn lose_volume(&mut self, node: usize) {
        let other = &self.nodes[1 - node];
        let now = other.now(self.time);
        let known = other.server.as_ref().map(|server| server.report(now).requests).unwrap_or_default();
        self.operator.lost(node, &known);
        self.nodes[node].lose_volume();
    }

    /// An old copy takes the place of a volume. Whoever does that knows no better, and the partner is there.
    pub(super) fn restore(&mut self, node: usize) {
        if !self.may_lose(node) || self.nodes[1 - node].server.is_none() {
            return;
        }
        let Some(copy) = self.nodes[node].copy.clone() else { return };
        self.note(node, "has its volume replaced by an older copy");
        self.stop(node, true);
        let other = &self.nodes[1 - node];
        let now = other.now(self.time);
        let Some(server) = &other.server else { return };
        self.operator.restored(&server.report(now).requests);
        let highest = server.endpoint().record().partner.and_then(|partner| partner.highest);
        if highest <= Some(copy.stamp) {
            // The partner heard of nothing since, so it cannot tell.
            self.breached.insert(Assumption::Stores);
        }
        self.nodes[node].restore(copy.disk);
    }

    /// A write or sync failed: if that was planned, the process says so to the server and ends soon.
    pub(super) fn storage_failed(&mut self, node: usize, why: String) -> Result<(), Violation> {
        let planned = self.nodes[node].failing || self.nodes[node].full;
        if !planned {
            return Err(self.violation("A2 storage", why));
        }
        self.note(node, &format!("cannot write: {why}"));
        self.nodes[node].waiting.clear();
        let life = self.nodes[node].life;
        let at = self.time + 1 + self.draw.below(2_000);
        self.at(at, What::Exit { node, life });
        self.with_server(node, |server, _| server.storage_failed(why))
    }

    pub(super) fn stop(&mut self, node: usize, power: bool) {
        if !self.nodes[node].runs() {
            return;
        }
        self.checker.ended(node);
        // What waits for a process that stands still is lost with its socket.
        let thaw = self.nodes[node].frozen_until;
        if thaw > self.time {
            self.queue.retain(|(at, _), what| {
                *at != thaw || !matches!(what, What::Packet { node: to, .. } if *to == node)
            });
        }
        let how = if power { "loses power" } else { "is killed" };
        self.history.note(self.time, self.nodes[node].role.as_str(), format_args!("{how}"));
        let mut draw = self.draw.clone();
        self.nodes[node].stop(power.then_some(&mut draw));
        self.draw = draw;
        for conn in self.network.open_at(node) {
            if let Some(connection) = self.network.connections.get_mut(&conn) {
                connection.open[node] = false;
            }
            // A killed process' sockets are reset; a machine without power says nothing.
            if !power && !self.network.blocked[1 - node] {
                let at = self.time + 1 + self.draw.below(self.plan.delay);
                self.at(at, What::Down { conn, node: 1 - node });
            }
        }
        let back = self.time + 500 + self.draw.below(self.plan.absence);
        self.at(back, What::Start { node });
    }

    /// A process that stands still goes on, with all that waits for it, in its order.
    fn thaw(&mut self, node: usize) {
        let end = self.nodes[node].frozen_until;
        if end <= self.time + 1 {
            return;
        }
        let waiting: Vec<_> = self
            .queue
            .range((end, 0)..(end + 1, 0))
            .filter(|(_, what)| what.process() == Some(node))
            .map(|(key, _)| *key)
            .collect();
        for what in waiting.iter().filter_map(|key| self.queue.remove(key)).collect::<Vec<_>>() {
            self.at(self.time + 1, what);
        }
        if self.nodes[node].tick_at == Some(end) {
            self.nodes[node].tick_at = Some(self.time + 1);
        }
        self.nodes[node].frozen_until = self.time + 1;
    }

    pub(super) fn heal(&mut self) -> Result<(), Violation> {
        self.history.note(self.time, "world", format_args!("faults end"));
        self.network.blocked = [false, false];
        self.redeliver();
        self.plan.loss = 0;
        self.plan.duplicates = 0;
        self.plan.spite = 0;
        self.queue.retain(|_, what| !what.is_fault());
        if self.breached.contains(&Assumption::Clocks) {
            for node in &mut self.nodes {
                node.skew = 0;
            }
        }
        for node in 0..2 {
            self.nodes[node].stalled_until = 0;
            self.thaw(node);
            self.nodes[node].fill(None);
            if !self.nodes[node].runs() {
                self.happen(What::Start { node })?;
            }
        }
        self.reconcile()
    }

    pub(super) fn close_all(&mut self) {
        for conn in self.network.connections.keys().copied().collect::<Vec<_>>() {
            for node in 0..2 {
                let at = self.time + self.draw.below(8_000);
                self.at(at, What::Down { conn, node });
            }
            let kept =
                if self.plan.rough { [self.draw.below(2_000), self.draw.below(2_000)] } else { [0, 0] };
            self.network.kill(conn, kept);
        }
    }

    pub(super) fn redeliver(&mut self) {
        for conn in self.network.connections.keys().copied().collect::<Vec<_>>() {
            for to in 0..2 {
                let at = self.time + 1;
                self.at(at, What::Bytes { conn, to });
            }
            // The far end of a machine that lost power answers with a reset once it is reached.
            let half_open = self.network.connections.get(&conn).map(|connection| connection.open);
            if let Some([primary, secondary]) = half_open
                && primary != secondary
            {
                let node = usize::from(secondary);
                self.at(self.time + 2, What::Down { conn, node });
            }
        }
    }

    pub(super) fn schedule_faults(&mut self) {
        let plan = self.plan.clone();
        let length = plan.length;
        for node in 0..2 {
            for (mean, make) in [
                (plan.power_cuts, (|node| What::PowerCut { node }) as fn(usize) -> What),
                (plan.kills, |node| What::Kill { node }),
                (plan.pauses, |node| What::Pause { node }),
                (plan.volume_losses, |node| What::VolumeLoss { node }),
                (plan.stalls, |node| What::Stall { node }),
                (plan.rot, |node| What::Rot { node }),
                (plan.disk_failures, |node| What::DiskFailure { node }),
                (plan.full_disks, |node| What::DiskFull { node }),
                (plan.freezes, |node| What::Freeze { node }),
                (plan.clock_steps, |node| What::ClockStep { node }),
                (plan.resets, |node| What::Reset { node }),
                (plan.restores / 2, |node| What::BackUp { node }),
                (plan.restores, |node| What::Restore { node }),
            ] {
                let mut at = self.pause_between(mean);
                while at < length {
                    self.fault(at, make(node));
                    at = at.saturating_add(self.pause_between(mean));
                }
            }
        }
        for (mean, make) in [
            (plan.changes, (|| What::Change) as fn() -> What),
            (plan.double_losses, || What::DoubleLoss),
            (plan.operator, || What::Operate),
            (plan.reckless, || What::Dare),
        ] {
            let mut at = self.pause_between(mean);
            while at < length {
                self.fault(at, make());
                at = at.saturating_add(self.pause_between(mean));
            }
        }
        let mut at = self.pause_between(plan.link_cuts);
        while at < length {
            if self.draw.coin() {
                self.fault(at, What::LinkCut);
            } else {
                self.fault(at, What::Partition);
                at += 1 + self.draw.below(90_000);
                self.at(at, What::Heal);
            }
            at = at.saturating_add(self.pause_between(plan.link_cuts));
        }
    }

    /// A fault will happen, unless the plan is without it.
    pub(super) fn fault(&mut self, at: u64, what: What) {
        let number = self.faults;
        self.faults += 1;
        if !self.plan.without.contains(&number) {
            self.at(at, what);
        }
    }

    /// The numbers of all faults of this world. Plays it to its end.
    pub(crate) fn faults(&mut self) -> Vec<u64> {
        // Whether something breaks does not matter here.
        let _ = self.play_whole();
        (0..self.faults).collect()
    }

    /// Time to the next fault of a kind; for ever if the mean is zero.
    pub(super) fn pause_between(&mut self, mean: u64) -> u64 {
        if mean == 0 { u64::MAX } else { 1 + self.draw.below(2 * mean) }
    }
}
