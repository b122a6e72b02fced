//! Updates that one side rejected and that nothing has settled since, for people: what is rejected for good is a
//! conflict or two configurations that differ, and nobody else would notice.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use api::status::Rejections;
use failover::wire::RejectReason;

/// Addresses of which it is remembered that this server rejected them: the partner may say any. Those that the
/// partner rejected are of our own table.
const OWN_MAX: usize = 4096;

/// What was rejected, by address.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rejected {
    by_partner: BTreeMap<Ipv4Addr, Entry>,
    by_us: BTreeMap<Ipv4Addr, Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    reason: RejectReason,
    times: u32,
}

impl Rejected {
    /// The partner rejected the present state of an address.
    pub(crate) fn partner_rejected(&mut self, address: Ipv4Addr, reason: RejectReason) {
        note(&mut self.by_partner, address, reason);
    }

    /// The partner accepted an address, or this server the partner's word of it.
    pub(crate) fn settled(&mut self, address: Ipv4Addr) {
        self.by_partner.remove(&address);
        self.by_us.remove(&address);
    }

    /// This server rejected what the partner said of an address.
    pub(crate) fn we_rejected(&mut self, address: Ipv4Addr, reason: RejectReason) {
        if self.by_us.len() < OWN_MAX || self.by_us.contains_key(&address) {
            note(&mut self.by_us, address, reason);
        }
    }

    /// What this server rejected is judged anew: the pair is in Normal again, or the configuration another one.
    pub(crate) fn forget_own(&mut self) {
        self.by_us.clear();
    }

    /// What people are told, by side and reason, without addresses that are settled by now.
    pub(crate) fn list(&self, is_settled: impl Fn(Ipv4Addr) -> bool) -> Vec<Rejections> {
        let mut list: Vec<Rejections> = Vec::new();
        let open = self.by_partner.iter().filter(|(address, _)| !is_settled(**address));
        let sides = open.map(|entry| (true, entry)).chain(self.by_us.iter().map(|entry| (false, entry)));
        for (by_partner, (address, entry)) in sides.filter(|(_, (_, entry))| entry.stands()) {
            let same = |known: &&mut Rejections| {
                known.by_partner == by_partner && known.reason == entry.reason.as_str()
            };
            match list.iter_mut().find(same) {
                Some(known) => known.count += 1,
                None => list.push(Rejections {
                    by_partner,
                    reason: entry.reason.as_str().to_owned(),
                    count: 1,
                    address: *address,
                }),
            }
        }
        list
    }
}

impl Entry {
    /// A duel is settled by the other copy, and what was told too early is taken when it is told again.
    fn stands(self) -> bool {
        match self.reason {
            RejectReason::LessCriticalBindingInformation => false,
            RejectReason::OutdatedBindingInformation => self.times > 1,
            _ => true,
        }
    }
}

fn note(side: &mut BTreeMap<Ipv4Addr, Entry>, address: Ipv4Addr, reason: RejectReason) {
    let entry = side.entry(address).or_insert(Entry { reason, times: 0 });
    entry.times = if entry.reason == reason { entry.times.saturating_add(1) } else { 1 };
    entry.reason = reason;
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const TWO: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

    fn told(rejected: &Rejected) -> Vec<(bool, String, u32, Ipv4Addr)> {
        let list = rejected.list(|_| false).into_iter();
        list.map(|told| (told.by_partner, told.reason, told.count, told.address)).collect()
    }

    #[test]
    fn what_both_sides_reject_is_told_by_side_and_reason_until_it_is_settled() {
        let mut rejected = Rejected::default();
        rejected.partner_rejected(TWO, RejectReason::IllegalIpAddress);
        rejected.partner_rejected(ONE, RejectReason::IllegalIpAddress);
        rejected.we_rejected(ONE, RejectReason::FatalConflict);
        let partner = (true, "IllegalIpAddress".to_owned(), 2, ONE);
        assert_eq!(told(&rejected), [partner.clone(), (false, "FatalConflict".to_owned(), 1, ONE)]);
        rejected.forget_own();
        assert_eq!(told(&rejected), [partner]);
        assert_eq!(rejected.list(|address| address == ONE)[0].address, TWO, "agreed in another way");
        rejected.settled(ONE);
        rejected.settled(TWO);
        assert_eq!(told(&rejected), []);
    }

    #[test]
    fn duels_are_not_told_and_what_came_too_early_only_when_it_is_rejected_again() {
        let mut rejected = Rejected::default();
        for _ in 0..3 {
            rejected.partner_rejected(ONE, RejectReason::LessCriticalBindingInformation);
        }
        rejected.partner_rejected(TWO, RejectReason::OutdatedBindingInformation);
        assert_eq!(told(&rejected), []);
        rejected.partner_rejected(TWO, RejectReason::OutdatedBindingInformation);
        assert_eq!(told(&rejected).len(), 1);
    }

    #[test]
    fn a_partner_that_says_any_address_fills_no_memory() {
        let mut rejected = Rejected::default();
        for address in 0..10_000_u32 {
            rejected.we_rejected(Ipv4Addr::from(address), RejectReason::IllegalIpAddress);
        }
        assert_eq!(told(&rejected)[0].2, 4096);
    }
}
