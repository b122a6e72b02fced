//! Pools that go while clients hold leases in them (`spec/failover-behaviour.md` §12).

use api::config::PairConfig;
use api::pair::PairManifest;
use api::time::Seconds;
use server::{Answer, Command, orphans_at_start};

use crate::pair::{LEASE, P, Pair, manifest};

fn without_pools(allowed: bool) -> (PairManifest, PairConfig) {
    let mut manifest = manifest();
    manifest.spec.subnets[0].pools.clear();
    manifest.spec.allow_scope_removal = allowed;
    let config = PairConfig::new(&manifest).expect("valid");
    (manifest, config)
}

fn configure(pair: &mut Pair, allowed: bool) -> Answer {
    pair.ask(P, Command::Configure(Box::new(without_pools(allowed))))
}

#[test]
fn a_pool_with_leases_stays_until_somebody_says_that_they_may_go() {
    let mut pair = Pair::normal();
    let (address, _) = pair.lease(P, 1).expect("a lease");
    let digest = pair.report(P).server.config_digest;
    let Answer::Refused { class, message } = configure(&mut pair, false) else { panic!("taken") };
    assert_eq!(class, "scope_removal");
    assert!(message.starts_with("spec.subnets: no pool is left for 1 lease, the first of "), "{message}");
    assert!(message.contains(&address.to_string()) && message.contains("allowScopeRemoval"), "{message}");
    assert_eq!(pair.report(P).server.config_digest, digest, "it goes on as before");
    assert!(pair.renew(P, 1, address).is_some());
    assert!(matches!(configure(&mut pair, true), Answer::Configured(_)));
    assert_eq!(pair.report(P).pools, []);
}

#[test]
fn a_pool_whose_leases_are_over_may_go() {
    let mut pair = Pair::normal();
    pair.lease(P, 1).expect("a lease");
    pair.run(Seconds(LEASE + 5));
    assert!(matches!(configure(&mut pair, false), Answer::Configured(_)));
}

#[test]
fn a_start_finds_leases_that_the_given_configuration_has_no_pool_for() {
    let mut pair = Pair::normal();
    pair.lease(P, 1).expect("a lease");
    let (entries, _) = pair.backup(P);
    let old = PairConfig::new(&manifest()).expect("valid");
    let now = pair.now().wall;
    let found = |allowed| {
        let (manifest, config) = without_pools(allowed);
        orphans_at_start(&entries, &old, (&manifest, &config), now)
    };
    assert_eq!(found(false).map(|orphans| orphans.count), Some(1));
    assert_eq!(found(true), None);
}
