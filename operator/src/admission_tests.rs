use super::*;
use crate::testing::{pair, settings};

fn older(name: &str) -> DhcpFailoverPair {
    pair(name, "2026-11-01T00:00:00Z", "10.77.0.0/24")
}

fn younger(name: &str) -> DhcpFailoverPair {
    pair(name, "2026-11-02T00:00:00Z", "10.77.0.0/25")
}

fn asks(pair: &DhcpFailoverPair) -> Claimant {
    claimant(pair, None, None)
}

fn holds(pair: &DhcpFailoverPair) -> Claimant {
    let asked = asks(pair).asked;
    claimant(pair, asked, None)
}

fn refusal(me: &DhcpFailoverPair, claimant: &Claimant, others: &[Claimant]) -> Option<Refusal> {
    match decide(me, claimant, others, &settings()).0 {
        Admission::Accepted(_) => None,
        Admission::Refused(refusal) => Some(refusal),
    }
}

#[test]
fn the_younger_of_two_pairs_with_overlapping_subnets_is_refused_and_told_who_holds_it() {
    let (one, two) = (older("one"), younger("two"));
    assert_eq!(refusal(&one, &asks(&one), &[asks(&two)]), None);
    let refusal = refusal(&two, &asks(&two), &[asks(&one)]).expect("refused");
    assert_eq!(refusal.reason, reason::CONFLICT);
    assert_eq!(
        refusal.message,
        "spec.subnets: the subnet 10.77.0.0/25, which overlaps with 10.77.0.0/24, belongs to the pair dhcp/one"
    );
}

#[test]
fn of_two_pairs_of_the_same_second_the_lower_uid_wins() {
    let (mut one, mut two) = (older("one"), older("two"));
    one.metadata.uid = Some("b".into());
    two.metadata.uid = Some("a".into());
    assert!(refusal(&one, &asks(&one), &[asks(&two)]).is_some());
    assert!(refusal(&two, &asks(&two), &[asks(&one)]).is_none());
}

#[test]
fn an_edited_older_pair_cannot_take_a_subnet_that_a_younger_one_serves() {
    let (one, two) = (older("one"), younger("two"));
    assert!(refusal(&one, &asks(&one), &[holds(&two)]).is_some());
    assert!(refusal(&two, &holds(&two), &[asks(&one)]).is_none());
}

#[test]
fn what_a_pair_still_serves_is_taken_although_its_spec_asks_for_something_else() {
    let (one, two) = (older("one"), younger("two"));
    let mut moved = holds(&two);
    moved.asked = asks(&pair("two", "2026-11-02T00:00:00Z", "10.99.0.0/24")).asked;
    assert!(refusal(&one, &asks(&one), &[moved]).is_some());
}

#[test]
fn the_same_relationship_or_address_is_a_conflict_and_the_same_node_is_not() {
    let mut one = older("one");
    let mut two = pair("two", "2026-11-02T00:00:00Z", "10.78.0.0/24");
    assert_eq!(refusal(&two, &asks(&two), &[asks(&one)]), None, "same nodes and interface");
    one.spec.relationship = Some("lab".into());
    two.spec.relationship = Some("lab".into());
    let told = refusal(&two, &asks(&two), &[asks(&one)]).expect("refused");
    assert_eq!(told.message, "spec.relationship: the relationship `lab` belongs to the pair dhcp/one");
    two.spec.relationship = Some("office".into());
    for pair in [&mut one, &mut two] {
        pair.spec.primary.pod.as_mut().expect("a pod").address = Some(Ipv4Addr::new(10, 77, 0, 2));
    }
    let told = refusal(&two, &asks(&two), &[asks(&one)]).expect("refused");
    assert_eq!(told.message, "pod.address: the address 10.77.0.2 belongs to the pair dhcp/one");
}

#[test]
fn an_invalid_field_is_named_by_its_path() {
    let mut one = older("one");
    one.spec.subnets[0].pools[0].last = Ipv4Addr::new(10, 99, 0, 1);
    let told = refusal(&one, &asks(&one), &[]).expect("refused");
    assert_eq!(told.reason, reason::INVALID_SPEC);
    assert!(told.message.starts_with("spec.subnets[0].pools[0].last: "), "{}", told.message);
}

#[test]
fn an_interface_outside_the_allowed_ones_is_refused() {
    let one = older("one");
    let mut settings = settings();
    settings.interfaces = vec!["lan0".into()];
    let (Admission::Refused(told), _) = decide(&one, &asks(&one), &[], &settings) else {
        panic!("accepted");
    };
    assert_eq!(told.reason, reason::INTERFACE_NOT_ALLOWED);
    assert_eq!(told.message, "spec.primary.pod.interface: `eth0` is none of the allowed ones: lan0");
}

#[test]
fn a_pair_keeps_its_ports_and_never_gets_those_of_another() {
    let (one, two) = (older("one"), pair("two", "2026-11-02T00:00:00Z", "10.78.0.0/24"));
    let others = [claimant(&one, None, Some(Ports { link: 12000, admin: 12001 }))];
    let me = asks(&two);
    assert_eq!(ports(&me, &others, 12000..=12003), Some(Ports { link: 12002, admin: 12003 }));
    assert_eq!(ports(&me, &others, 12000..=12002), None, "one port is not enough");
    let me = claimant(&two, None, Some(Ports { link: 12500, admin: 12501 }));
    assert_eq!(ports(&me, &others, 12000..=12003), Some(Ports { link: 12500, admin: 12501 }));
}

#[test]
fn a_link_port_of_the_spec_wins_and_is_never_the_admin_port() {
    let mut one = older("one");
    one.spec.link.port = Some(12000);
    assert_eq!(ports(&asks(&one), &[], 12000..=12999), Some(Ports { link: 12000, admin: 12001 }));
    let had = claimant(&one, None, Some(Ports { link: 12005, admin: 12000 }));
    assert_eq!(ports(&had, &[], 12000..=12999), Some(Ports { link: 12000, admin: 12001 }));
}

#[test]
fn a_pool_that_a_server_reported_leases_in_does_not_go_without_a_word() {
    let mut pair = older("one");
    let pool = serde_json::json!({"subnet": "10.77.0.0/24", "first": "10.77.0.10", "last": "10.77.0.100", "free": 1,
        "backup": 1, "active": 3, "parked": 0, "abandoned": 0, "target": 1});
    let status = serde_json::json!({"pools": [pool], "conditions": []});
    pair.status = Some(serde_json::from_value(status).expect("a status"));
    assert_eq!(refusal(&pair, &holds(&pair), &[]), None, "it is still there");
    pair.spec.subnets[0].pools.clear();
    let told = refusal(&pair, &holds(&pair), &[]).expect("refused");
    assert_eq!(told.reason, reason::SCOPE_REMOVAL);
    assert!(told.message.contains("10.77.0.10-10.77.0.100"), "{}", told.message);
    pair.spec.allow_scope_removal = true;
    assert_eq!(refusal(&pair, &holds(&pair), &[]), None);
}
