//! Several pairs of ours on shared nodes, all on one interface and one address of each node: simple, back office and
//! symmetrical at once.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::thread::sleep;
use std::time::Duration;

use interop::client::Client;
use interop::crowd::Crowd;
use interop::lab::Lab;
use interop::lease::Leases;
use interop::ours::Ours;
use interop::until;

/// A node: its host in the lab, and its address.
type Node = (&'static str, Ipv4Addr);

const ONE: Node = ("one", Ipv4Addr::new(10, 50, 0, 2));
const TWO: Node = ("two", Ipv4Addr::new(10, 50, 0, 3));
const THREE: Node = ("three", Ipv4Addr::new(10, 50, 0, 4));
/// To whom a relay passes on what it hears.
const NODES: [Ipv4Addr; 3] = [ONE.1, TWO.1, THREE.1];

/// A pair of ours.
struct Pair {
    name: &'static str,
    nodes: [Node; 2],
    /// Its subnet is 10.`subnet`.0.0/16.
    subnet: u8,
    port: u16,
    servers: [Ours; 2],
}

/// Each is primary on one node and secondary on another; node two is secondary of two pairs, and primary of one.
const PAIRS: [(&str, [Node; 2], u8, u16); 3] =
    [("near", [ONE, TWO], 50, 647), ("far", [TWO, ONE], 60, 648), ("farther", [THREE, TWO], 70, 649)];

const ROLES: [&str; 2] = ["primary", "secondary"];

fn manifest(name: &str, nodes: [Node; 2], subnet: u8, port: u16) -> String {
    let [primary, secondary] =
        nodes.map(|(_, address)| format!("{{pod: {{interface: eth0, address: {address}}}}}"));
    format!(
        "apiVersion: dhcpfailover.io/v1alpha1
kind: DhcpFailoverPair
metadata: {{name: {name}}}
spec:
  mcltSeconds: 60
  loadBalancing: {{split: 128, maxSeconds: 3}}
  link: {{security: Plain, port: {port}, pollIntervalSeconds: 3, pollTimeoutSeconds: 10}}
  primary: {primary}
  secondary: {secondary}
  subnets:
    - cidr: 10.{subnet}.0.0/16
      pools: [{{first: 10.{subnet}.0.100, last: 10.{subnet}.0.139}}]
      leaseSeconds: 600
      options: {{routers: [10.{subnet}.0.1]}}
"
    )
}

impl Pair {
    fn start(lab: &Lab, (name, nodes, subnet, port): (&'static str, [Node; 2], u8, u16)) -> Self {
        let start = |at: usize| server(lab, name, nodes, subnet, port, at);
        Self { name, nodes, subnet, port, servers: [start(0), start(1)] }
    }

    fn start_again(&mut self, lab: &Lab, at: usize) {
        self.servers[at] = server(lab, self.name, self.nodes, self.subnet, self.port, at);
    }

    fn until_state(&self, at: usize, state: &str, seconds: u64) {
        until(&format!("the {} of {} in {state}", ROLES[at], self.name), seconds, || {
            match self.servers[at].state()? {
                found if found == state => Ok(()),
                found => Err(found),
            }
        });
    }

    fn until_agreed(&self, seconds: u64) {
        self.until_state(0, "Normal", seconds);
        self.until_state(1, "Normal", seconds);
        until(&format!("equal databases of {}", self.name), 20, || {
            let [one, two] = [self.servers[0].leases()?, self.servers[1].leases()?];
            (one == two).then_some(()).ok_or_else(|| interop::lease::difference(&one, &two))
        });
    }

    /// What must not change because of another pair: states and their times.
    fn standing(&self) -> Vec<String> {
        let fields = ["state", "since", "partnerState", "transition", "communication"];
        self.servers
            .iter()
            .flat_map(|server| {
                let status = server.status().unwrap_or_else(|why| panic!("{why}"));
                fields.map(|field| status[field].to_string())
            })
            .collect()
    }

    fn active(&self, at: usize) -> BTreeSet<String> {
        let leases: Leases = self.servers[at].leases().unwrap_or_else(|why| panic!("{why}"));
        leases
            .into_values()
            .filter(|lease| lease.state == "active")
            .filter_map(|lease| lease.hardware)
            .collect()
    }

    fn serves_at(&self, address: Ipv4Addr) -> bool {
        self.nodes.iter().any(|node| node.1 == address)
    }

    fn owns(&self, address: Ipv4Addr) -> bool {
        address.octets()[1] == self.subnet
    }
}

fn server(lab: &Lab, name: &str, nodes: [Node; 2], subnet: u8, port: u16, at: usize) -> Ours {
    let file = format!("{name}-{}", ROLES[at]);
    Ours::start_on(lab, nodes[at].0, &file, ROLES[at], &manifest(name, nodes, subnet, port))
}

#[test]
fn pairs_on_one_interface_answer_each_their_own_clients_and_do_not_disturb_each_other() {
    let mut lab = Lab::new("layouts");
    for (host, address) in [ONE, TWO, THREE] {
        lab.host(host, Some(&format!("{address}/16")), None);
        // The relays' networks are on the same link, so nobody needs a router.
        lab.route(host, "10.60.0.0/16");
        lab.route(host, "10.70.0.0/16");
    }
    let mut pairs = PAIRS.map(|pair| Pair::start(&lab, pair));
    for pair in &pairs {
        pair.until_agreed(60);
    }

    // On the link itself, and behind relays that send everything to every node.
    let mut locals: Vec<Client> = [1, 3, 5, 7].map(|number| Client::new(&mut lab, number)).into();
    for client in &mut locals {
        let taken = client.take(&lab).unwrap_or_else(|why| panic!("{why}"));
        assert!(pairs[0].owns(taken.address) && [ONE.1, TWO.1].contains(&taken.server), "{taken:?}");
    }
    let mut crowds = [
        Crowd::behind(&mut lab, "relay60", Ipv4Addr::new(10, 60, 0, 9)),
        Crowd::behind(&mut lab, "relay70", Ipv4Addr::new(10, 70, 0, 9)),
    ];
    for relay in ["relay60", "relay70"] {
        lab.route(relay, "10.50.0.0/16");
    }
    for (crowd, pair) in crowds.iter_mut().zip(&pairs[1..]) {
        let offers = crowd.discover(&lab, 1, 12, &NODES).unwrap_or_else(|why| panic!("{why}"));
        let asked: BTreeSet<u32> = offers.iter().map(|(client, _)| *client).collect();
        assert_eq!((offers.len(), asked.len()), (12, 12), "each client is offered one address: {offers:?}");
        assert!(offers.iter().all(|(_, from)| pair.nodes.iter().any(|node| node.1 == *from)), "{offers:?}");
        let taken = crowd.take(&lab, 1, 12, &NODES).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(taken, 12);
        assert!(crowd.leases.values().all(|lease| pair.owns(lease.address)), "{:?}", crowd.leases);
    }
    for pair in &pairs {
        pair.until_agreed(20);
    }
    let known = |pairs: &[Pair; 3]| pairs.each_ref().map(|pair| pair.active(0));
    let before = known(&pairs);
    assert_eq!(before.each_ref().map(BTreeSet::len), [4, 12, 12]);
    assert!(before[0].is_disjoint(&before[1]) && before[0].is_disjoint(&before[2]));

    // Renewals reach every server of the address that they are sent to; the owner's two servers answer them.
    for server in NODES {
        for client in &locals {
            let answered = client.renew_at(&lab, server).is_ok();
            assert_eq!(answered, pairs[0].serves_at(server), "{} at {server}", client.hardware());
        }
        for (crowd, pair) in crowds.iter_mut().zip(&pairs[1..]) {
            let renewed = crowd.renew(&lab, server).unwrap_or_else(|why| panic!("{why}"));
            assert_eq!(renewed, if pair.serves_at(server) { 12 } else { 0 }, "{} at {server}", pair.name);
        }
    }

    // One pair loses its primary, is taken over and heals; the servers beside it on the same nodes notice nothing.
    let standing = [0, 2].map(|at| pairs[at].standing());
    pairs[1].servers[0].kill();
    pairs[1].until_state(1, "CommunicationsInterrupted", 30);
    pairs[1].servers[1].force("PartnerDown", &[]).unwrap_or_else(|why| panic!("{why}"));
    pairs[1].until_state(1, "PartnerDown", 5);
    let survivor = pairs[1].nodes[1].1;
    assert_eq!(crowds[0].renew(&lab, survivor), Ok(12));
    assert_eq!(crowds[0].take(&lab, 101, 5, &NODES), Ok(5), "all at the survivor");
    assert!(crowds[0].leases.range(101..).all(|(_, lease)| lease.server == survivor));
    // A release in the second of a renewal at the other server would leave the lease its client (decision 025).
    sleep(Duration::from_secs(3));
    for client in &mut locals {
        client.release_at(&lab, ONE.1).unwrap_or_else(|why| panic!("{why}"));
        client.take(&lab).unwrap_or_else(|why| panic!("{why}"));
    }
    crowds[1].give_up(&lab, "release", TWO.1, 4).unwrap_or_else(|why| panic!("{why}"));
    pairs[1].start_again(&lab, 0);
    for pair in &pairs {
        pair.until_agreed(150);
    }
    assert_eq!([0, 2].map(|at| pairs[at].standing()), standing);
    assert_eq!(known(&pairs).map(|clients| clients.len()), [4, 17, 8]);
}
