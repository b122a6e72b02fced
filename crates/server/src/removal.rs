//! Leases of pools that a new configuration has no more (`spec/failover-behaviour.md` §12): a mistaken edit must not take
//! their addresses from clients, so somebody has to say that it is meant.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use api::config::PairConfig;
use api::pair::PairManifest;
use api::time::UnixTime;
use leases::lease::{Lease, Status};
use leases::log::Entry;

/// Leases whose clients would lose their addresses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Orphans {
    /// How many, at least one.
    pub count: usize,
    /// The lowest of the addresses.
    pub first: Ipv4Addr,
}

impl std::fmt::Display for Orphans {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { count, first } = self;
        let leases = if *count == 1 { "lease" } else { "leases" };
        write!(
            f,
            "spec.subnets: no pool is left for {count} {leases}, the first of {first}, whose clients would lose their \
             addresses: set spec.allowScopeRemoval: true if that is meant"
        )
    }
}

/// Leases in pools of `old` that clients hold at `now` and whose addresses `new` does not serve, unless `new` says that
/// this is meant. What comes from an API server was judged by the operator, which may have given the subnet to another pair
/// meanwhile: a server that stayed with its old pools would serve there as well.
pub(crate) fn orphans<'a>(
    leases: impl IntoIterator<Item = &'a Lease>,
    old: &PairConfig,
    new: (&PairManifest, &PairConfig),
    now: UnixTime,
) -> Option<Orphans> {
    let (manifest, config) = new;
    if manifest.spec.allow_scope_removal || config.uid.is_some() {
        return None;
    }
    let held = |lease: &&Lease| lease.status == Status::Active && lease.held_until > now;
    let addresses = leases.into_iter().filter(held).map(|lease| lease.address);
    let mut lost = addresses.filter(|address| old.is_pooled(*address) && !config.serves(*address));
    let first = lost.next()?;
    Some(lost.fold(Orphans { count: 1, first }, |orphans, address| Orphans {
        count: orphans.count + 1,
        first: orphans.first.min(address),
    }))
}

/// The same for a server that is about to start with `new`, by what its store holds.
#[must_use]
pub fn orphans_at_start(
    entries: &[Entry],
    old: &PairConfig,
    new: (&PairManifest, &PairConfig),
    now: UnixTime,
) -> Option<Orphans> {
    // Later entries go before earlier ones. A record that cannot be read ends the start anyway.
    let newest: BTreeMap<Ipv4Addr, Lease> = entries
        .iter()
        .filter(|entry| entry.kind == Entry::LEASE)
        .filter_map(|entry| Lease::decode(&entry.body).ok())
        .map(|lease| (lease.address, lease))
        .collect();
    orphans(newest.values(), old, new, now)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: UnixTime = UnixTime::new(1_800_000_000);

    fn pair(pools: &serde_json::Value, allowed: bool) -> (PairManifest, PairConfig) {
        let manifest: PairManifest = serde_json::from_value(json!({
            "apiVersion": "dhcpfailover.io/v1alpha1", "kind": "DhcpFailoverPair",
            "metadata": {"name": "lab", "namespace": "test"},
            "spec": {
                "primary": {"pod": {"interface": "eth0"}}, "allowScopeRemoval": allowed,
                "subnets": [{"cidr": "10.0.0.0/24", "pools": pools, "reservations": [
                    {"address": "10.0.0.12", "hardwareAddress": "02:00:00:00:00:12"}]}],
            },
        }))
        .expect("a manifest");
        let config = PairConfig::new(&manifest).expect("valid");
        (manifest, config)
    }

    fn lease(last: u8, status: Status, ends: u64) -> Lease {
        let mut lease = Lease::new(Ipv4Addr::new(10, 0, 0, last));
        lease.status = status;
        lease.held_until = UnixTime::new(ends);
        lease
    }

    fn lost(leases: &[Lease], pools: &serde_json::Value) -> Option<Orphans> {
        let (_, old) = pair(&json!([{"first": "10.0.0.10", "last": "10.0.0.19"}]), false);
        let (manifest, config) = pair(pools, false);
        orphans(leases, &old, (&manifest, &config), NOW)
    }

    #[test]
    fn a_held_lease_that_no_pool_is_left_for_is_an_orphan() {
        let ends = u64::from(NOW.get()) + 1;
        let leases = [lease(15, Status::Active, ends), lease(13, Status::Active, ends)];
        let first = Ipv4Addr::new(10, 0, 0, 13);
        assert_eq!(lost(&leases, &json!([])), Some(Orphans { count: 2, first }));
        let shorter = json!([{"first": "10.0.0.10", "last": "10.0.0.14"}]);
        let last = Ipv4Addr::new(10, 0, 0, 15);
        assert_eq!(lost(&leases, &shorter), Some(Orphans { count: 1, first: last }));
        let split =
            json!([{"first": "10.0.0.10", "last": "10.0.0.13"}, {"first": "10.0.0.14", "last": "10.0.0.30"}]);
        assert_eq!(lost(&leases, &split), None);
    }

    #[test]
    fn what_is_over_free_or_reserved_from_now_on_is_none() {
        let ends = u64::from(NOW.get());
        let leases = [
            lease(13, Status::Active, ends),
            lease(14, Status::Free, ends + 100),
            lease(15, Status::Released, ends + 100),
            // Reserved in both, and never in a pool.
            lease(12, Status::Active, ends + 100),
            lease(99, Status::Active, ends + 100),
        ];
        assert_eq!(lost(&leases, &json!([])), None);
    }

    #[test]
    fn whoever_says_that_it_is_meant_may_take_everything_out() {
        let (_, old) = pair(&json!([{"first": "10.0.0.10", "last": "10.0.0.19"}]), false);
        let (manifest, config) = pair(&json!([]), true);
        let held = lease(13, Status::Active, u64::from(NOW.get()) + 1);
        assert_eq!(orphans([&held], &old, (&manifest, &config), NOW), None);
        let (mut manifest, _) = pair(&json!([]), false);
        manifest.metadata.uid = Some("of an object".to_owned());
        let config = PairConfig::new(&manifest).expect("valid");
        assert_eq!(orphans([&held], &old, (&manifest, &config), NOW), None, "the operator's decision");
        let (manifest, config) = pair(&json!([]), false);
        let mut before = held.clone();
        before.status = Status::Free;
        let entry = |lease: &Lease| {
            let mut body = Vec::new();
            lease.encode(&mut body);
            Entry { kind: Entry::LEASE, body }
        };
        let at_start = |entries: &[Entry]| orphans_at_start(entries, &old, (&manifest, &config), NOW);
        assert!(at_start(&[entry(&before), entry(&held)]).is_some(), "the newest record counts");
        assert_eq!(at_start(&[entry(&held), entry(&before)]), None);
    }
}
