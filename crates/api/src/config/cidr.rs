//! IPv4 networks.

use std::fmt;
use std::net::Ipv4Addr;

/// An IPv4 network without host bits.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Cidr {
    network: Ipv4Addr,
    prefix: u8,
}

impl Cidr {
    /// Parses `10.77.0.0/24`. Host bits, a prefix above 32 and 127/8 are refused.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (network, prefix) = text.split_once('/').ok_or("needs a prefix length, such as 10.77.0.0/24")?;
        let network: Ipv4Addr = network.parse().map_err(|_| format!("`{network}` is no IPv4 address"))?;
        let prefix: u8 = prefix
            .parse()
            .ok()
            .filter(|prefix| (1..=32).contains(prefix))
            .ok_or_else(|| format!("`{prefix}` is no prefix length between 1 and 32"))?;
        let cidr = Self { network, prefix };
        if u32::from(network) & !cidr.mask_bits() != 0 {
            let right = Ipv4Addr::from(u32::from(network) & cidr.mask_bits());
            return Err(format!("has host bits set; the subnet is {right}/{prefix}"));
        }
        if network.is_loopback() {
            return Err("is in 127.0.0.0/8, which never leaves a host".to_owned());
        }
        Ok(cidr)
    }

    /// First address of the network.
    #[must_use]
    pub fn network(self) -> Ipv4Addr {
        self.network
    }

    /// Last address of the network.
    #[must_use]
    pub fn broadcast(self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.network) | !self.mask_bits())
    }

    /// Subnet mask.
    #[must_use]
    pub fn mask(self) -> Ipv4Addr {
        Ipv4Addr::from(self.mask_bits())
    }

    /// Number of bits of the network part.
    #[must_use]
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// Whether the address lies in the network.
    #[must_use]
    pub fn contains(self, address: Ipv4Addr) -> bool {
        u32::from(address) & self.mask_bits() == u32::from(self.network)
    }

    /// Whether a host may have the address: not the network's first or last, where those are special.
    #[must_use]
    pub fn is_host(self, address: Ipv4Addr) -> bool {
        self.contains(address)
            && (self.prefix >= 31 || (address != self.network && address != self.broadcast()))
    }

    /// Whether both have an address in common.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.contains(other.network) || other.contains(self.network)
    }

    fn mask_bits(self) -> u32 {
        u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}
