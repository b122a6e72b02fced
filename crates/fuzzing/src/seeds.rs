//! Inputs from which a fuzzer begins: what clients, dhcpd and users really sent, and scripts that lead a server into
//! each of its states.

#[path = "../../failover/tests/common/pcap.rs"]
mod pcap;
mod scripts;
#[path = "../../failover/tests/common/vectors.rs"]
mod vectors;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use api::force::ForceRequest;
use api::identity::Lsn;
use api::pair::PairSpec;
use leases::log::testing::SimDisk;
use leases::log::{Batch, Log, Options, StoreId};
use serde_json::{Value, json};

use crate::bench::{Bench, SERVER, manifest};
use crate::input::put_part;

pub use crate::seeds::scripts::scripts;

/// The inputs for a target of [`TARGETS`](crate::TARGETS); none for any other.
#[must_use]
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    match target {
        "admin" => bodies(),
        "dhcp_packet" => packets(),
        "endpoint" => scripts().iter().map(|(_, script)| script.write()).collect(),
        "failover_frames" => frames(),
        "log_open" => stores(),
        "manifest" => manifests(),
        _ => Vec::new(),
    }
}

/// Words that an input may have, for a fuzzer's dictionary.
#[must_use]
pub fn words(target: &str) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    let mut collect = |schema: Value| names(&schema, &mut words);
    match target {
        "admin" => {
            collect(schemars::schema_for!(ForceRequest).to_value());
            collect(schemars::schema_for!(api::status::RequestStatus).to_value());
            collect(schemars::schema_for!(api::force::Fence).to_value());
            collect(schemars::schema_for!(api::status::BootstrapToken).to_value());
        }
        "manifest" => collect(schemars::schema_for!(PairSpec).to_value()),
        _ => {}
    }
    words
}

/// Names of fields, and values of which there is a list.
fn names(schema: &Value, words: &mut BTreeSet<String>) {
    match schema {
        Value::Object(object) => {
            for (key, value) in object {
                if key == "properties" {
                    words.extend(value.as_object().into_iter().flatten().map(|(name, _)| name.clone()));
                }
                if key == "enum" {
                    let values = value.as_array().into_iter().flatten();
                    words.extend(values.filter_map(|value| value.as_str().map(str::to_owned)));
                }
                if key == "const" {
                    words.extend(value.as_str().map(str::to_owned));
                }
                names(value, words);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| names(item, words)),
        _ => {}
    }
}

/// What udhcpc, dhclient and dhcpcd sent, bare and in an IP packet.
pub(crate) fn packets() -> Vec<Vec<u8>> {
    let bare = CLIENTS.iter().map(|hex| {
        let hex: String = hex.split_whitespace().collect();
        api::config::parse_hex(&hex).expect("the captures are hex")
    });
    bare.flat_map(|message| {
        let mut packet =
            dhcp_pod::net::datagram::build(SERVER, Ipv4Addr::BROADCAST, &message).expect("it fits");
        // From port 68 to 67, without a checksum.
        packet[20..24].copy_from_slice(&[0, 68, 0, 67]);
        packet[26..28].copy_from_slice(&[0, 0]);
        [message, packet]
    })
    .collect()
}

/// Every message that an ISC dhcpd was seen to send, and what it sent on a connection.
fn frames() -> Vec<Vec<u8>> {
    let messages = vectors::all().into_iter().map(|vector| [&[0], &vector.bytes()[..]].concat());
    let streams = links().into_iter().map(|stream| {
        let mut octets = stream.concat();
        octets.truncate(4000);
        [&[200], &octets[..]].concat()
    });
    messages.chain(streams).collect()
}

/// Both directions of the captured links, in the pieces in which they arrived.
pub(crate) fn links() -> Vec<Vec<Vec<u8>>> {
    let streams = CAPTURES.iter().flat_map(|capture| pcap::streams(capture).into_values());
    streams.map(|stream| stream.into_iter().map(|(_, piece)| piece).collect()).collect()
}

/// Stores of a server: new, with leases in several segments, closed and not, whole and torn.
fn stores() -> Vec<Vec<u8>> {
    const OPTIONS: Options = Options { segment_bytes: 4096, reserve_bytes: 0 };
    let mut bench = Bench::new();
    bench.advance(3_000);
    bench.lease();
    let mut log = Log::create(SimDisk::new(), StoreId(*b"0123456789abcdef"), OPTIONS).expect("an empty disk");
    let mut inputs = vec![crate::log_open::input(log.disk_mut(), false)];
    for part in bench.stored().chunks(3) {
        let next = Lsn(log.last().0 + 1);
        let batch = Batch { epoch: 1, first: next, last: next, entries: part.to_vec(), floor: Lsn::ZERO };
        log.append(&batch).expect("the disk works");
        log.sync().expect("the disk works");
        inputs.push(crate::log_open::input(log.disk_mut(), false));
    }
    let closed = log.close().expect("the disk works");
    let whole = crate::log_open::input(&closed, true);
    inputs.push(whole[..whole.len() - 30].to_vec());
    inputs.push(whole);
    inputs
}

/// Manifests as JSON; those in YAML lie in the repository as files.
fn manifests() -> Vec<Vec<u8>> {
    let subnet = json!({
        "cidr": "10.50.0.0/24", "leaseSeconds": 60,
        "pools": [{"first": "10.50.0.100", "last": "10.50.0.110", "backupPct": 10, "allocationBoundary": "10.50.0.105",
            "allocateFirstAvailable": true, "unavailableTimeoutSeconds": 60, "dynamicBootp": true,
            "dynamicBootpBackupPct": 5}],
        "options": {"ntpServers": ["10.50.0.1"], "interfaceMtu": 1500, "nextServer": "10.50.0.1",
            "tftpServerName": "boot", "bootfileName": "pxe", "custom": [{"code": 43, "hex": "0102"}]},
        "reservations": [{"address": "10.50.0.9", "clientId": "0102", "hostname": "printer"}],
    });
    let more = [
        json!({}),
        json!({"secondary": null, "mcltSeconds": 3600}),
        json!({"forceState": {"requestId": "a", "server": "primary", "state": "Paused"}, "subnets": [subnet]}),
        json!({"safePeriod": {"seconds": 60, "acceptDuplicateRisk": true}, "loadBalancing": {"split": 128}}),
    ];
    let json = more.iter().map(|more| serde_json::to_vec(&manifest(more)).expect("plain JSON"));
    let example =
        include_str!("../../../examples/lab.yaml").split("---").map(|part| part.as_bytes().to_vec());
    json.chain(example).collect()
}

/// Bodies for each route of the admin API.
fn bodies() -> Vec<Vec<u8>> {
    let expect = json!({"epoch": 1, "transition": 1});
    let force =
        |state: &str| json!({"requestId": state, "server": "primary", "state": state, "confirm": true});
    let down = json!({
        "requestId": "fire-1", "server": "primary", "state": "PartnerDown", "deadServer": "secondary",
        "downSince": "2026-11-22T09:20:00Z", "evidence": "Attested", "expert": true, "reason": "rack b on fire",
        "expect": expect,
    });
    let note = json!({
        "requestId": "fire-1", "phase": "Fencing", "server": "primary", "to": "PartnerDown",
        "transitionTime": "2026-11-22T09:20:00Z", "expect": expect,
    });
    let fence = json!({"partnerEpoch": 1, "partnerTransition": 2, "since": "2026-11-22T09:20:00Z"});
    let mut bodies = vec![
        (0x80, down.clone()),
        (0, down),
        (2, note),
        (3, fence),
        (4, json!({"epoch": 3, "lsn": 17})),
        (5, json!({"unused": true})),
        (7, json!({"volumeUid": "volume", "role": "primary", "issuedAt": "2026-11-22T09:20:00Z"})),
    ];
    for state in ["Startup", "Normal", "CommunicationsInterrupted", "Recover", "Shutdown", "Paused"] {
        bodies.push((1, force(state)));
    }
    let mut inputs: Vec<_> = bodies.iter().map(|(route, body)| one_body(*route, &body.to_string())).collect();
    inputs.push(one_body(6, "\0\x0b10.50.0.105{\"unused\":false}"));
    inputs.push(inputs[..4].concat());
    inputs
}

fn one_body(route: u8, body: &str) -> Vec<u8> {
    let mut input = vec![route];
    put_part(&mut input, body.as_bytes());
    input
}

const CLIENTS: [&str; 9] = [
    include_str!("../../dhcp/tests/it/captured/dhclient-discover.hex"),
    include_str!("../../dhcp/tests/it/captured/dhclient-release.hex"),
    include_str!("../../dhcp/tests/it/captured/dhclient-renewing.hex"),
    include_str!("../../dhcp/tests/it/captured/dhclient-selecting.hex"),
    include_str!("../../dhcp/tests/it/captured/dhcpcd-discover.hex"),
    include_str!("../../dhcp/tests/it/captured/dhcpcd-selecting.hex"),
    include_str!("../../dhcp/tests/it/captured/udhcpc-discover.hex"),
    include_str!("../../dhcp/tests/it/captured/udhcpc-release.hex"),
    include_str!("../../dhcp/tests/it/captured/udhcpc-selecting.hex"),
];
const CAPTURES: [&[u8]; 4] = [
    include_bytes!("../../failover/tests/data/captures/01-first-contact.pcap"),
    include_bytes!("../../failover/tests/data/captures/02-release-expiry-renew.pcap"),
    include_bytes!("../../failover/tests/data/captures/05-secondary-amnesia-recover-wait.pcap"),
    include_bytes!("../../failover/tests/data/captures/07-pool-balance.pcap"),
];
