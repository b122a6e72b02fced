//! The gate: a reply leaves only after everything issued before it is on disk.
//!
//! It is part of the server and not of the driver, so the simulator proves the very code that ships.

use std::collections::VecDeque;
use std::net::Ipv4Addr;

use api::identity::Lsn;
use api::time::{Mono, Now, UnixTime};
use leases::lease::{Client, Lease, Status};
use marks::{Rule, sometimes};

use crate::interface::ReplyBuf;

/// A reply older than this helps nobody: the client has asked again.
pub(crate) const AGE_MAX_MILLIS: u64 = 2_000;
/// Replies that may wait for the disk. More come only if the disk stands still, and are dropped.
const WAITING_MAX: usize = 65_536;

/// Replies that wait for the disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate {
    /// Promises to clients: in the order of the changes that they wait for.
    promises: VecDeque<Waiting>,
    /// Offers, which wait for no lease.
    offers: VecDeque<Waiting>,
}

#[derive(Clone, Debug)]
struct Waiting {
    after: Lsn,
    queued: Mono,
    label: &'static str,
    /// What an ACK promises.
    lease: Option<Promised>,
    reply: ReplyBuf,
}

/// The lease of an ACK.
#[derive(Clone, Debug)]
pub(crate) struct Promised {
    pub(crate) address: Ipv4Addr,
    pub(crate) client: Client,
    /// Its end as the ACK says it.
    pub(crate) until: UnixTime,
}

impl Promised {
    /// Whether the record still says what the ACK promises. The client, another one of the same name, or
    /// the partner may have ended the lease since.
    pub(crate) fn is_kept_by(&self, lease: &Lease) -> bool {
        lease.status == Status::Active
            && lease.held_until >= self.until
            && lease.client.as_ref().is_some_and(|client| client.same(&self.client))
    }
}

impl Gate {
    /// Queues a reply that says something durable: it waits for `after`, and leaves only if the lease that
    /// it promises stands until then ([`Gate::revoke`]).
    pub(crate) fn promise(
        &mut self,
        after: Lsn,
        now: Now,
        label: &'static str,
        lease: Option<Promised>,
        reply: ReplyBuf,
    ) -> bool {
        push(&mut self.promises, Waiting { after, queued: now.mono, label, lease, reply })
    }

    /// Queues an offer: it waits for the change of state that allowed it, not for leases.
    pub(crate) fn offer(&mut self, after: Lsn, now: Now, label: &'static str, reply: ReplyBuf) -> bool {
        push(&mut self.offers, Waiting { after, queued: now.mono, label, lease: None, reply })
    }

    /// What every reply that waits for the disk waits for, since when, and what it promises.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = (Lsn, Mono, &'static str, Option<&Promised>)> {
        let all = self.promises.iter().chain(&self.offers);
        all.map(|waiting| (waiting.after, waiting.queued, waiting.label, waiting.lease.as_ref()))
    }

    /// Service stopped: nobody gets what was promised but not yet said.
    pub(crate) fn clear(&mut self) -> usize {
        let count = self.promises.len() + self.offers.len();
        self.promises.clear();
        self.offers.clear();
        count
    }

    /// A lease is not what it was: drops what the record that takes its place does not keep, were the client to get the
    /// same again before the disk knows. Returns how many replies it were.
    pub(crate) fn revoke(&mut self, lease: &Lease) -> usize {
        let before = self.promises.len();
        let broken = |promised: &Promised| promised.address == lease.address && !promised.is_kept_by(lease);
        self.promises.retain(|waiting| !waiting.lease.as_ref().is_some_and(broken));
        before - self.promises.len()
    }

    /// The next reply whose changes are on disk; `promise` is until when this server may answer at all. Those that are too
    /// old by then are dropped and counted.
    pub(crate) fn poll(
        &mut self,
        now: Now,
        durable: Lsn,
        promise: UnixTime,
        stale: &mut u64,
    ) -> Option<(&'static str, ReplyBuf)> {
        if promise < now.wall {
            sometimes!(Rule::PromiseNotDurable, !self.promises.is_empty() || !self.offers.is_empty());
            self.drop_stale(now, stale);
            return None;
        }
        for queue in [&mut self.promises, &mut self.offers] {
            while let Some(waiting) = queue.front() {
                let is_stale = now.mono.millis_since(waiting.queued) > AGE_MAX_MILLIS;
                if !is_stale && waiting.after > durable {
                    break;
                }
                let Some(waiting) = queue.pop_front() else { break };
                if is_stale {
                    *stale += 1;
                    continue;
                }
                return Some((waiting.label, waiting.reply));
            }
        }
        None
    }

    fn drop_stale(&mut self, now: Now, stale: &mut u64) {
        for queue in [&mut self.promises, &mut self.offers] {
            while queue.front().is_some_and(|waiting| now.mono.millis_since(waiting.queued) > AGE_MAX_MILLIS)
            {
                queue.pop_front();
                *stale += 1;
            }
        }
    }
}

fn push(queue: &mut VecDeque<Waiting>, waiting: Waiting) -> bool {
    let room = queue.len() < WAITING_MAX;
    if room {
        queue.push_back(waiting);
    }
    room
}
