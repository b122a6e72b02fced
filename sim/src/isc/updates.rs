//! What a dhcpd tells of its leases, what it takes from its partner, and how it shares free addresses
//! (`spec/failover-protocol.md` §3 to §5).

use std::net::Ipv4Addr;

use api::identity::{Role, State};
use api::time::{Mono, Now};
use failover::hash::{Hba, client_bucket};
use failover::wire::{BindingAck, BindingUpdate, Message, Reject, RejectReason};
use leases::lease::Status;

use super::lease::{Lease, judge, own_is_better};
use super::{BALANCE_MILLIS, Dhcpd, Output};
use crate::hole::Hole;

const ACK_MILLIS: u64 = 2_000;

impl Dhcpd {
    /// An update arrives.
    pub(super) fn on_update(&mut self, now: Now, xid: u32, update: &BindingUpdate) {
        let (Some(address), Some(status)) = (update.address, update.status) else {
            self.out.push_back(Output::Hurt("a dhcpd gets an update without address or status".to_owned()));
            return;
        };
        let (role, state, wall) = (self.role, self.file.state, now.wall.get());
        let (Some(memory), Some(mine)) = (&mut self.memory, self.file.leases.get_mut(&address)) else {
            self.refuse(now, xid, address, RejectReason::IllegalIpAddress);
            return;
        };
        let could_ask = state == State::Normal && memory.news.contains(&address);
        let mut is_duel = false;
        if memory.flying.contains_key(&address) {
            if own_is_better(mine, update, status, role) {
                self.refuse(now, xid, address, RejectReason::LessCriticalBindingInformation);
                return;
            }
            memory.flying.remove(&address);
            is_duel = true;
            self.answered(now, address);
        }
        let Some(mine) = self.file.leases.get_mut(&address) else { return };
        if let Err(reason) = judge(mine, update, status, role, state, wall) {
            self.refuse(now, xid, address, reason);
            return;
        }
        if is_duel && mine.status == Status::Active && matches!(status, Status::Free | Status::Backup) {
            // Its partner may have taken the copy that it gives up.
            self.out.push_back(Output::Errs(address, Hole::Swap));
        }
        let ends = !matches!(status, Status::Active | Status::Abandoned);
        if mine.status == Status::Active && ends && !mine.is_up_to_date() && !could_ask {
            // Its partner has not heard of its last grant, and could not have asked for it.
            self.out.push_back(Output::Errs(address, Hole::OldEnd));
        }
        if (mine.status, status) == (Status::Active, Status::Active)
            && update.lease_expiry.is_some_and(|end| end < mine.ends)
        {
            self.out.push_back(Output::Errs(address, Hole::Shortened));
        }
        if status == Status::Expired && mine.status == Status::Active && mine.ends > wall {
            self.out.push_back(Output::Errs(address, Hole::Slack));
        }
        mine.take(update, status);
        if let Some(memory) = &mut self.memory {
            memory.to_ack.push((xid, address));
            memory.ack_by = Some(Mono(now.mono.0 + ACK_MILLIS));
            let enough = memory
                .registered
                .and_then(|conn| memory.links.get(&conn))
                .map_or(0, |link| link.max_unacked as usize / 2);
            if memory.to_ack.len() >= enough {
                self.send_acks(now);
            }
        }
        if matches!(status, Status::Expired | Status::Released | Status::Reset) {
            self.follow_affinity(now, address);
        }
    }

    fn refuse(&mut self, now: Now, xid: u32, address: Ipv4Addr, reason: RejectReason) {
        let reject = Some(Reject { reason, text: "refused".to_owned() });
        let ack = BindingAck { address, reject, client_id: None, potential_expiry: None };
        self.reply(now, xid, Message::BndAck(vec![ack]));
    }

    pub(super) fn send_acks(&mut self, now: Now) {
        let Some(memory) = &mut self.memory else { return };
        memory.ack_by = None;
        for (xid, address) in std::mem::take(&mut memory.to_ack) {
            let ack = BindingAck { address, reject: None, client_id: None, potential_expiry: None };
            self.reply(now, xid, Message::BndAck(vec![ack]));
        }
    }

    /// An answer arrives.
    pub(super) fn on_ack(&mut self, now: Now, xid: u32, ack: &BindingAck) {
        let Some(memory) = &mut self.memory else { return };
        let Some(flying) = memory.flying.get(&ack.address) else { return };
        if *flying != xid {
            if ack.reject.is_none() {
                return;
            }
            self.out.push_back(Output::Errs(ack.address, Hole::StrayReject));
        }
        memory.flying.remove(&ack.address);
        if ack.reject.is_none()
            && let Some(lease) = self.file.leases.get_mut(&ack.address)
        {
            lease.tsfp = lease.tstp;
            lease.atsfp = lease.tstp;
            if matches!(lease.status, Status::Expired | Status::Released | Status::Reset) {
                lease.status = Status::Free;
                // What the partner acknowledged for the last client counts for the next one.
                lease.tstp = lease.ends;
                lease.told_before = 0;
                self.follow_affinity(now, ack.address);
            }
        }
        self.answered(now, ack.address);
    }

    /// Of an address nothing more is under way.
    fn answered(&mut self, now: Now, address: Ipv4Addr) {
        let Some((_, open)) = self.memory.as_mut().and_then(|memory| memory.request.as_mut()) else { return };
        open.remove(&address);
        self.finish_request(now);
    }

    fn finish_request(&mut self, now: Now) {
        let Some(memory) = &mut self.memory else { return };
        if let Some((xid, _)) = memory.request.take_if(|(_, open)| open.is_empty()) {
            self.reply(now, xid, Message::UpdDone);
        }
    }

    /// The partner wants updates. A later request replaces the one that runs.
    pub(super) fn on_request(&mut self, now: Now, xid: u32, all: bool) {
        self.generate(all);
        let wall = now.wall.get();
        for (address, lease) in self.file.leases.iter().filter(|_| all) {
            let held = !lease.status.is_available();
            let promised = lease.tsfp.max(lease.tstp).max(lease.told_before);
            if held && promised + self.file.mclt > lease.ends.max(wall) {
                self.out.push_back(Output::Errs(*address, Hole::Untold));
            }
        }
        let Some(memory) = &mut self.memory else { return };
        let open = memory.queue.iter().chain(memory.flying.keys()).copied().collect();
        memory.request = Some((xid, open));
        self.finish_request(now);
    }

    /// Queues everything, or what the partner may not have.
    pub(super) fn generate(&mut self, all: bool) {
        let wanted: Vec<Ipv4Addr> = self
            .file
            .leases
            .iter()
            .filter(|(_, lease)| {
                let ended = matches!(lease.status, Status::Expired | Status::Released | Status::Reset);
                all || ended || !lease.is_up_to_date()
            })
            .map(|(address, _)| *address)
            .collect();
        for address in wanted {
            let flies = self.memory.as_ref().is_some_and(|memory| memory.flying.contains_key(&address));
            if !flies {
                self.queue(address);
            }
        }
    }

    /// What changed is told, and the answer to what was told before counts no more. Without a connection it waits for the
    /// next Normal or request.
    pub(super) fn queue(&mut self, address: Ipv4Addr) {
        if let Some(memory) = self.memory.as_mut().filter(|memory| memory.registered.is_some()) {
            memory.flying.remove(&address);
            if !memory.queue.contains(&address) {
                memory.queue.push_back(address);
            }
        }
    }

    /// Sends what the window has room for, after the answers that wait.
    pub(super) fn send_updates(&mut self, now: Now) {
        loop {
            let Some(conn) = self.registered() else { return };
            let window = self.link(conn).map_or(0, |link| link.max_unacked as usize);
            let Some(memory) = &mut self.memory else { return };
            if memory.flying.len() >= window {
                return;
            }
            let Some(address) = memory.queue.pop_front() else { return };
            self.send_acks(now);
            let Some(update) = self.file.leases.get(&address).map(|lease| lease.update(address)) else {
                continue;
            };
            let xid = self.send(now, conn, None, Message::BndUpd(vec![update]));
            if let Some(memory) = &mut self.memory {
                memory.flying.insert(address, xid);
                memory.news.remove(&address);
            }
        }
    }

    /// Leases end by the clock, at the secondary only while it is not in Normal; without its partner what has ended
    /// is free once the MCLT is over.
    pub(super) fn end_leases(&mut self, now: Now) {
        let (wall, state) = (now.wall.get(), self.file.state);
        let serves = matches!(state, State::Normal | State::CommunicationsInterrupted | State::PartnerDown);
        if !serves || self.is_starting() {
            return;
        }
        self.end_abandoned(wall);
        if (self.role, state) == (Role::Secondary, State::Normal) {
            return;
        }
        let taken_over = (state == State::PartnerDown).then_some(self.file.stos + self.file.mclt);
        let waits = self.file.entered + self.file.mclt;
        let mut changed = Vec::new();
        for (address, lease) in &mut self.file.leases {
            if lease.status == Status::Active && lease.ends <= wall {
                lease.change(Status::Expired);
                changed.push(*address);
            }
            let ended = matches!(lease.status, Status::Expired | Status::Released | Status::Reset);
            if ended && taken_over.is_some() && lease.tsfp.max(lease.tstp) + self.file.mclt > wall {
                // What it has acknowledged, its partner may have granted.
                self.out.push_back(Output::Errs(*address, Hole::ShortWait));
            }
            if ended && taken_over.is_some_and(|over| over.max(lease.ends) <= wall) {
                if waits > wall {
                    self.out.push_back(Output::Errs(*address, Hole::OldStart));
                }
                lease.change(Status::Free);
                lease.tstp = wall;
                changed.push(*address);
            }
        }
        for address in changed {
            self.queue(address);
        }
    }

    /// In either role, at the time that came with it, whoever abandoned the address.
    fn end_abandoned(&mut self, wall: u32) {
        let is_over = |lease: &Lease| lease.status == Status::Abandoned && lease.ends <= wall;
        let over: Vec<Ipv4Addr> = self
            .file
            .leases
            .iter()
            .filter(|(_, lease)| is_over(lease))
            .map(|(address, _)| *address)
            .collect();
        for address in over {
            if let Some(lease) = self.file.leases.get_mut(&address) {
                lease.change(Status::Free);
                lease.tstp = 0;
            }
            self.queue(address);
        }
    }

    /// A free address goes to the server of its last client, within bounds.
    fn follow_affinity(&mut self, now: Now, address: Ipv4Addr) {
        let Some(lease) = self.file.leases.get(&address) else { return };
        let free = lease.status == Status::Free;
        let Some(client) = lease.client().filter(|_| free) else { return };
        let normal = (self.role, self.file.state) == (Role::Primary, State::Normal);
        let Some(pool) = self.pool_of(address).filter(|_| normal) else { return };
        let shares = Shares::of(self, pool);
        if !Hba(self.file.hba).primary_serves(client_bucket(&client)) && shares.lts > -shares.hold {
            self.give(now, address);
        }
    }

    fn give(&mut self, now: Now, address: Ipv4Addr) {
        let status = match self.role {
            Role::Primary => Status::Backup,
            Role::Secondary => Status::Free,
        };
        if let Some(lease) = self.file.leases.get_mut(&address) {
            lease.change(status);
            lease.tstp = now.wall.get();
            lease.starts = now.wall.get();
        }
        self.queue(address);
    }

    fn pool_of(&self, address: Ipv4Addr) -> Option<(Ipv4Addr, Ipv4Addr)> {
        self.config.pools.iter().copied().find(|(first, last)| (*first..=*last).contains(&address))
    }

    /// Gives away what it has too much of; returns how much that was, and whether any pool is in need.
    pub(super) fn balance(&mut self, now: Now) -> (u32, bool) {
        let (mut given, mut needy) = (0, false);
        for pool in self.config.pools.clone() {
            let shares = Shares::of(self, pool);
            needy |= shares.lts < shares.panic;
            if shares.lts <= 0 {
                continue;
            }
            let own = own_free(self.role);
            let lines = self.file.leases.range(pool.0..=pool.1);
            let mut surplus: Vec<Ipv4Addr> = lines
                .filter(|(address, lease)| lease.status == own && !self.is_offered(**address, now.wall.get()))
                .map(|(address, _)| *address)
                .collect();
            if self.role == Role::Secondary {
                surplus.reverse();
            }
            surplus.truncate(usize::try_from(shares.lts).unwrap_or(0));
            for address in surplus {
                self.give(now, address);
                given += 1;
            }
        }
        (given, needy)
    }

    pub(super) fn on_pool_request(&mut self, now: Now, xid: u32) {
        let transferred = if self.file.state == State::Normal { self.balance(now).0 } else { 0 };
        self.reply(now, xid, Message::PoolResp { transferred });
    }

    pub(super) fn balance_in_time(&mut self, now: Now) {
        let Some(memory) = self.memory.as_mut().filter(|memory| memory.next_balance <= now.mono) else {
            return;
        };
        memory.next_balance = Mono(now.mono.0 + BALANCE_MILLIS);
        if self.file.state == State::Normal && !self.is_starting() {
            let (_, needy) = self.balance(now);
            if needy {
                self.say(now, Message::PoolReq);
            }
        }
    }
}

/// A server's own free addresses.
pub(super) fn own_free(role: Role) -> Status {
    match role {
        Role::Primary => Status::Free,
        Role::Secondary => Status::Backup,
    }
}

/// How a pool is shared, as one side counts it.
struct Shares {
    lts: i64,
    hold: i64,
    panic: i64,
}

impl Shares {
    fn of(dhcpd: &Dhcpd, pool: (Ipv4Addr, Ipv4Addr)) -> Self {
        let count = |status| {
            let lines = dhcpd.file.leases.range(pool.0..=pool.1);
            lines.filter(|(_, lease)| lease.status == status).count() as i64
        };
        let (free, backup) = (count(Status::Free), count(Status::Backup));
        let total = free + backup;
        let more = if dhcpd.role == Role::Primary { free - backup } else { backup - free };
        let thresh = (total * 15 + 50) / 100;
        let panic = if thresh == 0 { -1 } else { -2 * thresh };
        Self { lts: more / 2, hold: (total * 10 + 50) / 100, panic }
    }
}
