//! A manifest is checked as a whole: every fault by the path of its field, and nothing that is sound refused.

use std::net::Ipv4Addr;

use api::config::{
    Cidr, PairConfig, ReservedFor, ServerConfig, digest, parse_ethernet, parse_hex, relationship,
};
use api::pair::PairManifest;
use api::time::Seconds;
use proptest::prelude::*;
use serde_json::{Value, json};

/// Nearly every field that there is, all sound.
fn full() -> Value {
    json!({
        "apiVersion": "dhcpfailover.io/v1alpha1",
        "kind": "DhcpFailoverPair",
        "metadata": {"name": "lab", "namespace": "dhcp", "uid": "u", "generation": 3},
        "spec": {
            "mcltSeconds": 60,
            "backupPct": 20,
            "safePeriod": {"seconds": 86400, "acceptDuplicateRisk": true},
            "link": {"pollIntervalSeconds": 2, "pollTimeoutSeconds": 6},
            "primary": {"pod": {"interface": "eth0", "address": "10.77.0.1"}},
            "secondary": {"pod": {"interface": "eth0", "address": "10.77.0.2"}},
            "subnets": [
                {
                    "cidr": "10.78.0.0/16",
                    "pools": [{"first": "10.78.0.1", "last": "10.78.255.254"}],
                },
                {
                    "cidr": "10.77.0.0/24",
                    "leaseSeconds": 600,
                    "pools": [
                        {"first": "10.77.0.200", "last": "10.77.0.209", "backupPct": 40},
                        {"first": "10.77.0.100", "last": "10.77.0.109"},
                    ],
                    "options": {
                        "routers": ["10.77.0.1"],
                        "domainName": "lab.example",
                        "domainSearch": ["lab.example", "example."],
                        "interfaceMtu": 1500,
                        "custom": [{"code": 43, "hex": "01:04:0a4d0001"}, {"code": 224, "hex": ""}],
                    },
                    "reservations": [
                        {"address": "10.77.0.10", "hardwareAddress": "52:54:00:00:00:01", "hostname": "printer"},
                        {"address": "10.77.0.11", "clientId": "00616263"},
                    ],
                },
            ],
        },
    })
}

fn manifest(value: Value) -> PairManifest {
    serde_json::from_value(value).expect("the types are right")
}

fn config(value: Value) -> PairConfig {
    PairConfig::new(&manifest(value)).expect("sound")
}

/// The full manifest with another value at a JSON pointer; null removes what is there.
fn with(pointer: &str, value: Value) -> Value {
    let mut all = full();
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    match all.pointer_mut(parent).expect("is there") {
        Value::Array(items) if key == "-" => items.push(value),
        Value::Array(items) => items[key.parse::<usize>().expect("an index")] = value,
        Value::Object(fields) if value.is_null() => drop(fields.remove(key)),
        other => other[key] = value,
    }
    all
}

fn paths(value: Value) -> Vec<String> {
    match PairConfig::new(&manifest(value)) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.into_iter().map(|error| error.path).collect(),
    }
}

#[test]
fn a_sound_manifest_becomes_what_a_server_works_with() {
    let config = config(full());
    assert_eq!(config.relationship, "dhcp-lab");
    assert_eq!((config.uid.as_deref(), config.generation), (Some("u"), Some(3)));
    assert_eq!((config.mclt, config.safe_period), (Seconds(60), Some(Seconds(86400))));
    assert_eq!(config.max_unacked, 10, "a default");
    let address = |last| Ipv4Addr::new(10, 77, 0, last);
    let pod = ServerConfig::Pod { interface: "eth0".to_owned(), address: Some(address(2)) };
    assert_eq!(config.secondary, Some(pod));
    let cidrs: Vec<String> = config.subnets.iter().map(|subnet| subnet.cidr.to_string()).collect();
    assert_eq!(cidrs, ["10.77.0.0/24", "10.78.0.0/16"], "in the order of their addresses");
    let subnet = config.subnet_of(address(7)).expect("of the first");
    let pools: Vec<_> = subnet.pools.iter().map(|pool| (pool.first, pool.size(), pool.backup_pct)).collect();
    assert_eq!(pools, [(address(100), 10, None), (address(200), 10, Some(40))]);
    assert_eq!(subnet.custom[&43], [1, 4, 10, 77, 0, 1]);
    assert!(subnet.custom[&224].is_empty(), "an option without content");
    assert_eq!(subnet.reservations[&address(11)].client, ReservedFor::ClientId(b"\0abc".to_vec()));
    assert_eq!(config.longest_lease(), Seconds(86400), "the default of the other subnet");
}

#[test]
fn with_load_balancing_the_share_is_half_whatever_is_configured() {
    let config = config(with("/spec/loadBalancing", json!({"split": 9})));
    let balancing = config.load_balancing.expect("on");
    assert_eq!((balancing.hba[0], balancing.hba[1], balancing.hba[2]), (0xff, 0x01, 0));
    assert_eq!((config.backup_pct, balancing.max_seconds), (50, 3));
}

#[test]
fn every_fault_is_named_by_the_path_of_its_field() {
    let long = "x".repeat(256);
    let table = [
        ("/apiVersion", json!("v1"), "apiVersion"),
        ("/kind", json!("Pod"), "kind"),
        ("/metadata/name", json!(""), "metadata.name"),
        ("/spec/relationship", json!(""), "spec.relationship"),
        ("/spec/relationship", json!("a\0b"), "spec.relationship"),
        ("/spec/mcltSeconds", json!(0), "spec.mcltSeconds"),
        ("/spec/backupPct", json!(101), "spec.backupPct"),
        ("/spec/safePeriod/seconds", json!(59), "spec.safePeriod.seconds"),
        ("/spec/safePeriod/acceptDuplicateRisk", json!(false), "spec.safePeriod.acceptDuplicateRisk"),
        ("/spec/link/pollIntervalSeconds", json!(3), "spec.link.pollTimeoutSeconds"),
        ("/spec/link/maxUnacked", json!(0), "spec.link.maxUnacked"),
        ("/spec/link/port", json!(0), "spec.link.port"),
        ("/spec/loadBalancing", json!({"split": 257}), "spec.loadBalancing.split"),
        ("/spec/loadBalancing", json!({"hba": "ff"}), "spec.loadBalancing.hba"),
        ("/spec/loadBalancing", json!({"split": 1, "hba": "ff"}), "spec.loadBalancing"),
        ("/spec/primary", json!({}), "spec.primary"),
        ("/spec/primary/pod/interface", json!("a b"), "spec.primary.pod.interface"),
        ("/spec/primary/pod/address", json!("127.0.0.1"), "spec.primary.pod.address"),
        ("/spec/primary/pod/address", json!("10.77.0.2"), "spec.secondary"),
        ("/spec/secondary", json!({"external": {"address": "10.77.0.9"}}), "spec.link.security"),
        ("/spec/subnets/0/cidr", json!("10.78.0.1/16"), "spec.subnets[0].cidr"),
        ("/spec/subnets/0/cidr", json!("10.0.0.0/0"), "spec.subnets[0].cidr"),
        ("/spec/subnets/1/cidr", json!("10.78.9.0/24"), "spec.subnets[1].cidr"),
        ("/spec/subnets/1/leaseSeconds", json!(59), "spec.subnets[1].leaseSeconds"),
        ("/spec/subnets/1/pools/0/first", json!("10.77.0.0"), "spec.subnets[1].pools[0].first"),
        ("/spec/subnets/1/pools/0/last", json!("10.77.0.255"), "spec.subnets[1].pools[0].last"),
        ("/spec/subnets/1/pools/0/last", json!("10.77.0.199"), "spec.subnets[1].pools[0].last"),
        ("/spec/subnets/1/pools/1/last", json!("10.77.0.200"), "spec.subnets[1].pools[1]"),
        (
            "/spec/subnets/1/pools/0/allocationBoundary",
            json!("10.77.0.205"),
            "spec.subnets[1].pools[0].allocationBoundary",
        ),
        ("/spec/subnets/1/options/domainName", json!(long), "spec.subnets[1].options.domainName"),
        ("/spec/subnets/1/options/domainSearch/1", json!("a..b"), "spec.subnets[1].options.domainSearch[1]"),
        ("/spec/subnets/1/options/domainSearch/0", json!(""), "spec.subnets[1].options.domainSearch[0]"),
        ("/spec/subnets/1/options/domainSearch/0", json!("a\0.b"), "spec.subnets[1].options.domainSearch[0]"),
        ("/spec/subnets/1/options/interfaceMtu", json!(67), "spec.subnets[1].options.interfaceMtu"),
        ("/spec/subnets/1/options/routers", json!(vec!["10.77.0.1"; 64]), "spec.subnets[1].options.routers"),
        ("/spec/subnets/1/options/custom/0/code", json!(54), "spec.subnets[1].options.custom[0].code"),
        ("/spec/subnets/1/options/custom/1/code", json!(43), "spec.subnets[1].options.custom[1].code"),
        ("/spec/subnets/1/options/custom/0/hex", json!("012"), "spec.subnets[1].options.custom[0].hex"),
        (
            "/spec/subnets/1/reservations/0/address",
            json!("10.77.1.1"),
            "spec.subnets[1].reservations[0].address",
        ),
        (
            "/spec/subnets/1/reservations/1/address",
            json!("10.77.0.10"),
            "spec.subnets[1].reservations[1].address",
        ),
        (
            "/spec/subnets/1/reservations/0/hardwareAddress",
            json!("52:54"),
            "spec.subnets[1].reservations[0].hardwareAddress",
        ),
        ("/spec/subnets/1/reservations/1/clientId", json!("00"), "spec.subnets[1].reservations[1].clientId"),
        ("/spec/subnets/1/reservations/0/clientId", json!("0001"), "spec.subnets[1].reservations[0]"),
        ("/spec/subnets/1/reservations/0/hostname", json!(""), "spec.subnets[1].reservations[0].hostname"),
        (
            "/spec/subnets/1/reservations/0/hostname",
            json!("x".repeat(256)),
            "spec.subnets[1].reservations[0].hostname",
        ),
        (
            "/spec/subnets/1/reservations/0/hostname",
            json!("prin\0ter"),
            "spec.subnets[1].reservations[0].hostname",
        ),
    ];
    for (pointer, value, path) in table {
        assert_eq!(paths(with(pointer, value.clone())), [path], "{pointer} = {value}");
    }
}

#[test]
fn all_faults_are_told_at_once() {
    let mut all = with("/spec/mcltSeconds", json!(0));
    all["spec"]["subnets"][1]["pools"][0]["first"] = json!("10.1.1.1");
    all["spec"]["subnets"][0]["cidr"] = json!("nonsense");
    let mut found = paths(all);
    found.sort();
    assert_eq!(found, ["spec.mcltSeconds", "spec.subnets[0].cidr", "spec.subnets[1].pools[0].first"]);
}

#[test]
fn one_server_alone_needs_no_partner_and_an_external_one_does() {
    assert_eq!(paths(with("/spec/secondary", Value::Null)), [""; 0]);
    let mut external = with("/spec/primary", json!({"external": {"address": "10.77.0.9"}}));
    external["spec"]["link"]["security"] = json!("Plain");
    assert_eq!(paths(external.clone()), [""; 0]);
    external["spec"]["secondary"] = json!({"external": {"address": "10.77.0.8"}});
    assert_eq!(paths(external.clone()), ["spec.secondary"]);
    external["spec"].as_object_mut().expect("an object").remove("secondary");
    assert_eq!(paths(external), ["spec.primary"]);
}

#[test]
fn more_addresses_than_a_server_holds_are_refused() {
    let wide = |network: u8| {
        json!({"cidr": format!("{network}.0.0.0/12"),
            "pools": [{"first": format!("{network}.0.0.1"), "last": format!("{network}.15.255.254")}]})
    };
    assert_eq!(paths(with("/spec/subnets", json!([wide(20)]))), [""; 0]);
    assert_eq!(paths(with("/spec/subnets", json!([wide(20), wide(21)]))), ["spec.subnets"]);
}

#[test]
fn a_digest_follows_what_both_servers_share_and_nothing_else() {
    let base = digest(&manifest(full()));
    for (pointer, value) in [
        ("/spec/primary/pod/interface", json!("eth1")),
        ("/spec/storage", json!({"size": "2Gi"})),
        ("/spec/link/port", json!(847)),
        ("/metadata/generation", json!(4)),
        ("/spec/relationship", json!("dhcp-lab")),
    ] {
        assert_eq!(digest(&manifest(with(pointer, value))), base, "{pointer}");
    }
    for (pointer, value) in [
        ("/spec/mcltSeconds", json!(61)),
        ("/spec/relationship", json!("other")),
        ("/spec/subnets/1/options/domainName", json!("other.example")),
    ] {
        assert_ne!(digest(&manifest(with(pointer, value))), base, "{pointer}");
    }
    assert_eq!(relationship(&manifest(full())), "dhcp-lab");
}

#[test]
fn a_network_knows_its_first_last_and_hosts_addresses() {
    let cidr = Cidr::parse("10.77.0.128/25").expect("sound");
    let address = |last| Ipv4Addr::new(10, 77, 0, last);
    assert_eq!(
        (cidr.network(), cidr.broadcast(), cidr.mask()),
        (address(128), address(255), Ipv4Addr::new(255, 255, 255, 128))
    );
    assert!(cidr.is_host(address(129)) && !cidr.is_host(address(128)) && !cidr.is_host(address(255)));
    assert!(!cidr.contains(address(127)));
    let two = Cidr::parse("10.77.0.0/31").expect("sound");
    assert!(two.is_host(address(0)) && two.is_host(address(1)), "RFC 3021");
    for bad in ["10.77.0.0", "10.77.0.0/33", "10.77.0.0/x", "10.77.0/24", "10.77.0.1/24", "127.0.0.0/8", ""] {
        assert!(Cidr::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn octets_are_read_with_or_without_colons() {
    assert_eq!(parse_hex("0a:4D00"), Some(vec![10, 77, 0]));
    assert_eq!(
        (parse_hex(""), parse_hex("0"), parse_hex("+1"), parse_hex("0g")),
        (Some(Vec::new()), None, None, None)
    );
    let octets = Some([0x52, 0x54, 0, 0, 0, 1]);
    assert_eq!((parse_ethernet("52:54:00:00:00:01"), parse_ethernet("52-54-00-00-00-01")), (octets, octets));
    for bad in
        ["52:54:00:00:00", "52:54:00:00:00:01:02", "52:54:0:0:0:1", "52:54:00:00:00:+1", "525400000001"]
    {
        assert_eq!(parse_ethernet(bad), None, "{bad}");
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in ".{0,40}") {
        let _ = (Cidr::parse(&text), parse_hex(&text), parse_ethernet(&text));
        let _ = paths(with("/spec/subnets/1/cidr", json!(text)));
        let _ = paths(with("/spec/subnets/1/options/domainSearch/0", json!(text)));
    }

    #[test]
    fn a_network_has_its_addresses_between_first_and_last(bits in any::<u32>(), prefix in 1_u32..=32, other in any::<u32>()) {
        let network = Ipv4Addr::from(bits & (u32::MAX << (32 - prefix)));
        let Ok(cidr) = Cidr::parse(&format!("{network}/{prefix}")) else { return Ok(()) };
        let other = Ipv4Addr::from(other);
        prop_assert_eq!(cidr.contains(other), (cidr.network()..=cidr.broadcast()).contains(&other));
    }
}
