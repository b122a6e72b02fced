//! Pools that a spec has no more although clients hold leases in them (`spec/failover-behaviour.md` §12).
//!
//! Such a spec is not accepted at all: the ConfigMap for the servers' next start, and what other pairs may claim, follow
//! what was accepted.

use api::config::PairConfig;
use api::status::PoolStatus;

/// Pools with leases, as the servers last reported them, that the spec has no more or not wholly: what is wrong with the
/// spec, if it does not say that this is meant.
#[must_use]
pub fn unconfirmed(reported: &[PoolStatus], config: &PairConfig, allowed: bool) -> Vec<String> {
    let lost = reported.iter().filter(|pool| pool.active > 0 && !is_covered(pool, config));
    lost.filter(|_| !allowed)
        .map(|pool| {
            let PoolStatus { first, last, .. } = pool;
            format!(
                "spec.subnets: clients hold leases in {first}-{last}, which would go or become smaller, and lose their \
                 addresses: set spec.allowScopeRemoval: true if that is meant, or wait until the leases are over"
            )
        })
        .collect()
}

/// Whether each address of a pool is in some pool of the spec.
fn is_covered(pool: &PoolStatus, config: &PairConfig) -> bool {
    // Pools of a checked configuration are in the order of their addresses.
    let last = u64::from(u32::from(pool.last));
    let mut next = u64::from(u32::from(pool.first));
    for there in config.subnets.iter().flat_map(|subnet| &subnet.pools) {
        if (u64::from(u32::from(there.first))..=u64::from(u32::from(there.last))).contains(&next) {
            next = u64::from(u32::from(there.last)) + 1;
        }
    }
    next > last
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::pair;

    fn reported(first: u8, last: u8, active: u32) -> PoolStatus {
        PoolStatus {
            subnet: "10.77.0.0/24".into(),
            first: [10, 77, 0, first].into(),
            last: [10, 77, 0, last].into(),
            free: 1,
            backup: 1,
            active,
            parked: 0,
            abandoned: 0,
            target: 1,
            advised_backup_pct: None,
        }
    }

    fn config(pools: &serde_json::Value) -> PairConfig {
        let mut pair = pair("one", "2026-11-01T00:00:00Z", "10.77.0.0/24");
        pair.spec.subnets[0].pools = serde_json::from_value(pools.clone()).expect("pools");
        PairConfig::new(&crate::admission::manifest(&pair)).expect("valid")
    }

    #[test]
    fn a_pool_with_leases_that_goes_or_shrinks_needs_a_word() {
        let whole = [reported(10, 100, 1)];
        let none = config(&serde_json::json!([]));
        let told = unconfirmed(&whole, &none, false);
        assert!(
            told[0].contains("10.77.0.10-10.77.0.100") && told[0].contains("allowScopeRemoval"),
            "{told:?}"
        );
        assert_eq!(unconfirmed(&whole, &none, true), Vec::<String>::new());
        for ((first, last), needs) in [((10, 100), 0), ((11, 100), 1), ((10, 99), 1), ((1, 120), 0)] {
            let pools = serde_json::json!([
                {"first": format!("10.77.0.{first}"), "last": format!("10.77.0.{last}")}]);
            assert_eq!(unconfirmed(&whole, &config(&pools), false).len(), needs, "{first}-{last}");
        }
    }

    #[test]
    fn a_pool_may_be_split_and_an_empty_one_may_go() {
        let split = config(&serde_json::json!([
            {"first": "10.77.0.51", "last": "10.77.0.100"}, {"first": "10.77.0.10", "last": "10.77.0.50"}]));
        assert_eq!(unconfirmed(&[reported(10, 100, 7)], &split, false), Vec::<String>::new());
        let none = config(&serde_json::json!([]));
        assert_eq!(unconfirmed(&[reported(10, 100, 0)], &none, false), Vec::<String>::new());
    }
}
