//! Packets and configurations for tests.

use std::net::Ipv4Addr;

use api::config::PairConfig;
use api::pair::{
    API_VERSION, CustomOption, KIND, Link, ManifestMetadata, Options, PairManifest, PairSpec,
    PartnerDownLeaseTime, PodServer, Pool, Reservation, RiServe, Server, StartupExpiry, Storage, Subnet,
};
use dhcp::network::Network;
use leases::lease::{Client, HardwareAddress};

pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
pub(crate) const OTHER_SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
pub(crate) const RELAY: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 1);
pub(crate) const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 100);
pub(crate) const MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];

/// A client's message in the making.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) octets: Vec<u8>,
}

impl Message {
    /// A BOOTREQUEST of an Ethernet client without options, not even END.
    pub(crate) fn bootp() -> Self {
        let mut octets = vec![0; 240];
        octets[..8].copy_from_slice(&[1, 1, 6, 0, 0xde, 0xad, 0xbe, 0xef]);
        octets[28..34].copy_from_slice(&MAC);
        octets[236..240].copy_from_slice(&[99, 130, 83, 99]);
        Self { octets }
    }

    pub(crate) fn dhcp(message_type: u8) -> Self {
        Self::bootp().option(53, &[message_type])
    }

    pub(crate) fn discover() -> Self {
        Self::dhcp(1)
    }

    pub(crate) fn request() -> Self {
        Self::dhcp(3)
    }

    pub(crate) fn option(mut self, code: u8, content: &[u8]) -> Self {
        self.octets.extend_from_slice(&[code, u8::try_from(content.len()).unwrap()]);
        self.octets.extend_from_slice(content);
        self
    }

    pub(crate) fn raw(mut self, octets: &[u8]) -> Self {
        self.octets.extend_from_slice(octets);
        self
    }

    pub(crate) fn at(mut self, offset: usize, octets: &[u8]) -> Self {
        self.octets[offset..offset + octets.len()].copy_from_slice(octets);
        self
    }

    pub(crate) fn requested(self, address: Ipv4Addr) -> Self {
        self.option(50, &address.octets())
    }

    pub(crate) fn server_id(self, address: Ipv4Addr) -> Self {
        self.option(54, &address.octets())
    }

    pub(crate) fn ciaddr(self, address: Ipv4Addr) -> Self {
        self.at(12, &address.octets())
    }

    pub(crate) fn giaddr(self, address: Ipv4Addr) -> Self {
        self.at(24, &address.octets())
    }

    pub(crate) fn broadcast_flag(self) -> Self {
        self.at(10, &[0x80, 0])
    }

    pub(crate) fn sname(self, octets: &[u8]) -> Self {
        self.at(44, octets)
    }

    pub(crate) fn file(self, octets: &[u8]) -> Self {
        self.at(108, octets)
    }
}

pub(crate) fn client(last: u8, id: Option<&[u8]>) -> Client {
    let octets = vec![0x52, 0x54, 0, 0, 0, last];
    Client { hardware: HardwareAddress { kind: 1, octets }, id: id.map(<[u8]>::to_vec) }
}

/// A pair with these subnets.
pub(crate) fn config(subnets: Vec<Subnet>) -> PairConfig {
    let pod = PodServer { interface: "eth0".to_owned(), ..PodServer::default() };
    let manifest = PairManifest {
        api_version: API_VERSION.to_owned(),
        kind: KIND.to_owned(),
        metadata: ManifestMetadata { name: "lab".to_owned(), ..ManifestMetadata::default() },
        spec: PairSpec {
            force_state: None,
            safe_period: None,
            relationship: Some("lab".to_owned()),
            mclt_seconds: 3600,
            backup_pct: 10,

            dynamic_bootp_backup_pct: None,
            load_balancing: None,
            link: Link::default(),
            primary: Server { pod: Some(pod), external: None },
            secondary: None,
            storage: Storage::default(),
            subnets,
            partner_down_lease_time: PartnerDownLeaseTime::default(),
            startup_expiry: StartupExpiry::default(),
            ri_serve: RiServe::default(),
            strict_isc_lead: false,
            allow_scope_removal: false,
        },
    };
    PairConfig::new(&manifest).unwrap()
}

pub(crate) fn subnet(cidr: &str, pools: &[(&str, &str)], options: Options) -> Subnet {
    let pool = |(first, last): &(&str, &str)| Pool {
        first: first.parse().unwrap(),
        last: last.parse().unwrap(),
        backup_pct: None,

        dynamic_bootp_backup_pct: None,
        allocation_boundary: None,
        allocate_first_available: false,
        unavailable_timeout_seconds: 86400,
        dynamic_bootp: false,
        expected_new_clients: None,
    };
    Subnet {
        cidr: cidr.to_owned(),
        pools: pools.iter().map(pool).collect(),
        lease_seconds: 259_200,
        options,
        reservations: Vec::new(),
    }
}

pub(crate) fn custom(code: u8, hex: impl Into<String>) -> CustomOption {
    CustomOption { code, hex: hex.into() }
}

/// 10.77.0.0/24 on the server's own link with all kinds of options, 10.78.0.0/16 behind a relay, and
/// 10.79.0.0/31.
pub(crate) fn network() -> Network {
    let options = Options {
        routers: vec![SERVER],
        domain_name_servers: vec![SERVER, OTHER_SERVER],
        domain_name: Some("lab.example".to_owned()),
        domain_search: vec!["lab.example".to_owned(), "example".to_owned()],
        ntp_servers: vec![Ipv4Addr::new(10, 77, 0, 3)],
        next_server: Some(Ipv4Addr::new(10, 77, 0, 4)),
        bootfile_name: Some("pxelinux.0".to_owned()),
        custom: vec![custom(43, "0104c0a80001"), custom(121, "100a4e0a4d0001")],
        ..Options::default()
    };
    let pools = [("10.77.0.100", "10.77.0.109"), ("10.77.0.200", "10.77.0.209")];
    let mut own = subnet("10.77.0.0/24", &pools, options);
    let reserve = |last, hardware: Option<&str>, id: Option<&str>, hostname: Option<&str>| Reservation {
        address: Ipv4Addr::new(10, 77, 0, last),
        hardware_address: hardware.map(str::to_owned),
        client_id: id.map(str::to_owned),
        hostname: hostname.map(str::to_owned),
    };
    own.reservations = vec![
        reserve(10, Some("52:54:00:00:00:01"), None, Some("printer")),
        reserve(11, None, Some("00616263"), None),
        reserve(105, Some("52:54:00:00:00:05"), None, None),
    ];
    let relayed = subnet("10.78.0.0/16", &[("10.78.1.0", "10.78.1.255")], Options::default());
    Network::new(&config(vec![own, relayed, subnet("10.79.0.0/31", &[], Options::default())]))
}

/// All octets of an option of a message, in all its parts.
pub(crate) fn option(octets: &[u8], code: u8) -> Option<Vec<u8>> {
    let parts: Vec<_> = options(octets).into_iter().filter(|(other, _)| *other == code).collect();
    (!parts.is_empty()).then(|| parts.into_iter().flat_map(|(_, content)| content).collect())
}

/// The parts of all options, overloaded fields included, by a reader that has nothing in common with
/// the crate's.
pub(crate) fn options(octets: &[u8]) -> Vec<(u8, Vec<u8>)> {
    fn walk(mut field: &[u8], into: &mut Vec<(u8, Vec<u8>)>) {
        loop {
            match field {
                [] | [255, ..] => return,
                [0, rest @ ..] => field = rest,
                [code, len, rest @ ..] => {
                    let (content, rest) = rest.split_at(usize::from(*len));
                    into.push((*code, content.to_vec()));
                    field = rest;
                }
                [_] => panic!("a code without length"),
            }
        }
    }
    let mut all = Vec::new();
    walk(&octets[240..], &mut all);
    let overload = all.iter().find(|(code, _)| *code == 52).map_or(0, |(_, content)| content[0]);
    if overload & 1 != 0 {
        walk(&octets[108..236], &mut all);
    }
    if overload & 2 != 0 {
        walk(&octets[44..108], &mut all);
    }
    all
}

pub(crate) fn codes(octets: &[u8]) -> Vec<u8> {
    options(octets).into_iter().map(|(code, _)| code).collect()
}
