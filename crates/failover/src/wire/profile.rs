//! Who is at the other end, and what may therefore be said to it (§0, §9).

use std::fmt;

/// What this server writes into option 28: our product and the version of this build.
///
/// It must never begin like ISC's, and it is all that a CONNECT has beyond the plain protocol, as the
/// primary does not know its peer yet.
pub const VENDOR_CLASS: &str = concat!("dhcp-failover-operator/", env!("CARGO_PKG_VERSION"));

/// What kind of server a peer is, for the life of one connection (§0).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Profile {
    /// One of ours: extensions may be negotiated, duels are symmetric.
    Own {
        /// Version of the peer's build.
        version: Version,
    },
    /// An ISC dhcpd, or anything unknown, which is treated as one: the safest assumption.
    Isc,
}

impl Profile {
    /// The profile that a received option 28 selects. Own only for our own product name followed by a
    /// version that can be read.
    #[must_use]
    pub fn of(vendor_class: Option<&[u8]>) -> Self {
        vendor_class
            .and_then(|octets| octets.strip_prefix(PRODUCT_PREFIX))
            .and_then(|version| std::str::from_utf8(version).ok())
            .and_then(Version::parse)
            .map_or(Self::Isc, |version| Self::Own { version })
    }

    /// Whether the peer is one of ours.
    #[must_use]
    pub const fn is_own(self) -> bool {
        matches!(self, Self::Own { .. })
    }
}

/// Version of a build of ours.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Version {
    /// Raised by incompatible changes.
    pub major: u16,
    /// Raised by additions.
    pub minor: u16,
    /// Raised by repairs.
    pub patch: u16,
}

impl Version {
    /// Reads `MAJOR.MINOR.PATCH`; a pre-release or build suffix after `-` or `+` is not looked at.
    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split(['-', '+']).next()?.split('.').map(number);
        let version = Self { major: numbers.next()??, minor: numbers.next()??, patch: numbers.next()?? };
        numbers.next().is_none().then_some(version)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// Which of the language both sides of a connection have agreed on. An argument of every
/// [`decode`](super::decode) and [`encode`](super::encode), so that no extension can slip out to a
/// peer that never heard of it.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum Dialect {
    /// The plain protocol: for an ISC dhcpd, for every connection before its peer named itself, and
    /// between own servers that selected nothing.
    ///
    /// Received options 7, 8 and 29 are skipped, except in a CONNECTACK, which names its sender itself.
    #[default]
    Isc,
    /// Between own servers: options 7, 8 and 29 have their meaning of §9.
    Own,
    /// As [`Own`](Self::Own), and a BNDUPD or BNDACK may have several bindings (§9, bulking).
    OwnBulk,
}

impl Dialect {
    /// Whether options 7, 8 and 29 may be used.
    #[must_use]
    pub const fn has_extensions(self) -> bool {
        !matches!(self, Self::Isc)
    }

    /// Whether a message may have several bindings.
    #[must_use]
    pub const fn has_bulking(self) -> bool {
        matches!(self, Self::OwnBulk)
    }
}

fn number(digits: &str) -> Option<u16> {
    // `parse` alone would also take a sign.
    digits.bytes().all(|octet| octet.is_ascii_digit()).then(|| digits.parse().ok())?
}

const PRODUCT_PREFIX: &[u8] = b"dhcp-failover-operator/";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_vendor_class_selects_the_own_profile() {
        assert!(Profile::of(Some(VENDOR_CLASS.as_bytes())).is_own());
        assert_eq!(
            Profile::of(Some(b"dhcp-failover-operator/1.20.3-rc.1+git")),
            Profile::Own { version: Version { major: 1, minor: 20, patch: 3 } }
        );
    }

    #[test]
    fn everybody_else_is_treated_as_isc() {
        let others: [&[u8]; 11] = [
            b"",
            b"isc-4.4.3-P1",
            b"dhcp-failover-operator",
            b"dhcp-failover-operator/",
            b"dhcp-failover-operator/1",
            b"dhcp-failover-operator/1.2",
            b"dhcp-failover-operator/1.2.3.4",
            b"dhcp-failover-operator/+1.2.3",
            b"dhcp-failover-operator/1.2.99999",
            b"dhcp-failover-operator/1.2.\xff",
            b"DHCP-failover-operator/1.2.3",
        ];
        for vendor_class in others {
            assert_eq!(Profile::of(Some(vendor_class)), Profile::Isc, "{}", vendor_class.escape_ascii());
        }
        assert_eq!(Profile::of(None), Profile::Isc);
    }
}
