//! The options of a subnet in wire format.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use api::config::Subnet;

use crate::message::code;

/// Content of every configured option by its code. Encoded once per configuration, so that a reply
/// only copies.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct OptionSet {
    by_code: BTreeMap<u8, Vec<u8>>,
}

impl OptionSet {
    /// What the user gave by code wins over what was given by name, and that over what follows from
    /// the network: the subnet mask, and the broadcast address where the network has one.
    pub(crate) fn new(subnet: &Subnet) -> Self {
        let options = &subnet.options;
        let mut by_code = BTreeMap::new();
        let mut put = |code: u8, content: Vec<u8>| {
            if !content.is_empty() {
                by_code.insert(code, content);
            }
        };
        put(code::SUBNET_MASK, addresses(&[subnet.cidr.mask()]));
        let derived = (subnet.cidr.prefix() < 31).then(|| subnet.cidr.broadcast());
        let broadcast = options.broadcast_address.or(derived);
        put(code::BROADCAST_ADDRESS, broadcast.map(|address| addresses(&[address])).unwrap_or_default());
        put(code::ROUTERS, addresses(&options.routers));
        put(code::DOMAIN_NAME_SERVERS, addresses(&options.domain_name_servers));
        put(code::NTP_SERVERS, addresses(&options.ntp_servers));
        put(code::DOMAIN_NAME, text(options.domain_name.as_deref()));
        put(code::TFTP_SERVER_NAME, text(options.tftp_server_name.as_deref()));
        put(code::BOOTFILE_NAME, text(options.bootfile_name.as_deref()));
        put(code::DOMAIN_SEARCH, domain_search(&options.domain_search));
        let mtu = options.interface_mtu.map(|mtu| mtu.to_be_bytes().to_vec());
        put(code::INTERFACE_MTU, mtu.unwrap_or_default());
        by_code.extend(subnet.custom.iter().map(|(code, content)| (*code, content.clone())));
        Self { by_code }
    }

    pub(crate) fn get(&self, code: u8) -> Option<&[u8]> {
        self.by_code.get(&code).map(Vec::as_slice)
    }

    /// All codes in ascending order.
    pub(crate) fn codes(&self) -> impl Iterator<Item = u8> + '_ {
        self.by_code.keys().copied()
    }
}

fn addresses(list: &[Ipv4Addr]) -> Vec<u8> {
    list.iter().flat_map(Ipv4Addr::octets).collect()
}

fn text(value: Option<&str>) -> Vec<u8> {
    value.unwrap_or_default().as_bytes().to_vec()
}

/// Names in the format of RFC 1035 §4.1.4, with pointers to suffixes that came before (RFC 3397 §2). That
/// each is a domain name was checked with the configuration.
fn domain_search(names: &[String]) -> Vec<u8> {
    let mut content = Vec::new();
    let mut seen: BTreeMap<String, u16> = BTreeMap::new();
    for name in names {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let mut rest = name.as_str();
        loop {
            if let Some(offset) = seen.get(rest) {
                content.extend_from_slice(&(POINTER | offset).to_be_bytes());
                break;
            }
            if let Some(offset) = u16::try_from(content.len()).ok().filter(|offset| *offset < POINTER_END) {
                seen.insert(rest.to_owned(), offset);
            }
            let (label, after) = rest.split_once('.').unwrap_or((rest, ""));
            content.push(u8::try_from(label.len()).unwrap_or_default());
            content.extend_from_slice(label.as_bytes());
            if after.is_empty() {
                content.push(0);
                break;
            }
            rest = after;
        }
    }
    content
}

/// The two bits that make a length a pointer.
const POINTER: u16 = 0xc000;
/// Offsets have 14 bits.
const POINTER_END: u16 = 0x4000;
