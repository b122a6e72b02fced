//! Which server answers a new client: the hash of RFC 3074 and the map of its buckets (§7).

use std::fmt;

use leases::lease::Client;

/// The bucket of a client, 0 to 255.
///
/// The key is option 61 with its type octet if the client sent one, else its hardware address
/// without the type octet. Both servers must compute the same, so the key must come as the client
/// sent it.
#[must_use]
pub fn bucket(key: &[u8]) -> u8 {
    let length = (key.len() & 0xff) as u8;
    key.iter().rev().fold(length, |hash, octet| MIXING_TABLE[usize::from(hash ^ octet)])
}

/// The bucket of a client as it is stored.
#[must_use]
pub fn client_bucket(client: &Client) -> u8 {
    bucket(client.id.as_deref().unwrap_or(&client.hardware.octets))
}

/// Hash bucket assignment: which buckets the primary serves (option 11). The lowest bit of the first
/// octet is bucket 0; a set bit is the primary's. (The draft's text has it the other way round.)
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Hba(pub [u8; 32]);

impl Hba {
    /// Every bucket is the primary's: load balancing is off.
    pub const ALL_PRIMARY: Self = Self([0xff; 32]);

    /// The primary serves the first `split` of the 256 buckets: 0 none, 256 and above all.
    #[must_use]
    pub fn from_split(split: u16) -> Self {
        let mut map = [0; 32];
        for (octet, first) in map.iter_mut().zip((0_u16..).step_by(8)) {
            let ours = split.saturating_sub(first).min(8);
            *octet = ((1_u16 << ours) - 1) as u8;
        }
        Self(map)
    }

    /// The map in a received option 11, if it has the one right length.
    #[must_use]
    pub fn from_wire(octets: &[u8]) -> Option<Self> {
        octets.try_into().ok().map(Self)
    }

    /// Whether the primary serves a bucket; the secondary serves every other.
    #[must_use]
    pub fn primary_serves(&self, bucket: u8) -> bool {
        self.0[usize::from(bucket / 8)] & (1 << (bucket % 8)) != 0
    }
}

impl fmt::Display for Hba {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

/// A permutation of all octets. SHA-256 of the table:
/// 50015bcb049a75f57f1224b2d303a4d75485a0de3a772a30e06256daa1c873a7.
#[rustfmt::skip]
const MIXING_TABLE: [u8; 256] = [
    251, 175, 119, 215,  81,  14,  79, 191, 103,  49, 181, 143, 186, 157,   0, 232,
     31,  32,  55,  60, 152,  58,  17, 237, 174,  70, 160, 144, 220,  90,  57, 223,
     59,   3,  18, 140, 111, 166, 203, 196, 134, 243, 124,  95, 222, 179, 197,  65,
    180,  48,  36,  15, 107,  46, 233, 130, 165,  30, 123, 161, 209,  23,  97,  16,
     40,  91, 219,  61, 100,  10, 210, 109, 250, 127,  22, 138,  29, 108, 244,  67,
    207,   9, 178, 204,  74,  98, 126, 249, 167, 116,  34,  77, 193, 200, 121,   5,
     20, 113,  71,  35, 128,  13, 182,  94,  25, 226, 227, 199,  75,  27,  41, 245,
    230, 224,  43, 225, 177,  26, 155, 150, 212, 142, 218, 115, 241,  73,  88, 105,
     39, 114,  62, 255, 192, 201, 145, 214, 168, 158, 221, 148, 154, 122,  12,  84,
     82, 163,  44, 139, 228, 236, 205, 242, 217,  11, 187, 146, 159,  64,  86, 239,
    195,  42, 106, 198, 118, 112, 184, 172,  87,   2, 173, 117, 176, 229, 247, 253,
    137, 185,  99, 164, 102, 147,  45,  66, 231,  52, 141, 211, 194, 206, 246, 238,
     56, 110,  78, 248,  63, 240, 189,  93,  92,  51,  53, 183,  19, 171,  72,  50,
     33, 104, 101,  69,   8, 252,  83, 120,  76, 135,  85,  54, 202, 125, 188, 213,
     96, 235, 136, 208, 162, 129, 190, 132, 156,  38,  47,   1,   7, 254,  24,   4,
    216, 131,  89,  21,  28, 133,  37, 153, 149,  80, 170,  68,   6, 169, 234, 151,
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use leases::lease::HardwareAddress;

    use super::*;

    #[test]
    fn the_table_is_a_permutation() {
        assert_eq!(MIXING_TABLE.into_iter().collect::<BTreeSet<_>>().len(), 256);
    }

    /// The lowest bit first, as a dhcpd reads them.
    #[test]
    fn a_split_within_an_octet_takes_its_lowest_bits() {
        let hba = Hba::from_split(100);
        assert_eq!((hba.0[11], hba.0[12], hba.0[13]), (0xff, 0x0f, 0));
        assert!(hba.primary_serves(99) && !hba.primary_serves(100));
    }

    #[test]
    fn hashes_are_those_of_the_specification() {
        let known: [(&[u8], u8); 19] = [
            (b"", 0),
            (&[0], 175),
            (b"abc", 170),
            (&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15], 155),
            (&[2, 0, 0, 0, 0, 1], 133),
            (&[2, 0, 0, 0, 0, 3], 182),
            (&[2, 0, 0, 0, 0, 4], 150),
            (&[2, 0, 0, 0, 0, 5], 13),
            (&[2, 0, 0, 0, 0, 6], 166),
            (&[2, 0, 0, 0, 0, 7], 26),
            (&[2, 0, 0, 0, 0, 8], 62),
            (&[1, 2, 0, 0, 0, 0, 2], 66),
            (&[0x52, 0x54, 0, 0, 0, 1], 149),             // HB-1
            (&[0x52, 0x54, 0, 0, 0, 2], 101),             // HB-2
            (&[0x52, 0x54, 0, 0, 0, 3], 108),             // HB-3
            (&[0x52, 0x54, 0, 0, 0, 4], 240),             // HB-4
            (&[0x00, 0x11, 0x22, 0x33, 0x44, 0x55], 135), // HB-5
            (&[0xff; 6], 79),                             // HB-6
            (&[0x61], 20),                                // HB-8
        ];
        for (key, hash) in known {
            assert_eq!(bucket(key), hash, "{key:02x?}");
        }
    }

    #[test]
    fn observed_owners_at_split_128_are_reproduced() {
        let keys: [&[u8]; 8] = [
            &[2, 0, 0, 0, 0, 1],
            &[2, 0, 0, 0, 0, 3],
            &[2, 0, 0, 0, 0, 4],
            &[2, 0, 0, 0, 0, 5],
            &[2, 0, 0, 0, 0, 6],
            &[2, 0, 0, 0, 0, 7],
            &[2, 0, 0, 0, 0, 8],
            &[1, 2, 0, 0, 0, 0, 2],
        ];
        let owners = keys.map(|key| Hba::from_split(128).primary_serves(bucket(key)));
        assert_eq!(owners, [false, false, false, true, false, true, true, true]);
    }

    #[test]
    fn a_client_identifier_wins_over_the_hardware_address() {
        // HB-7.
        let hardware = HardwareAddress { kind: 1, octets: vec![0x52, 0x54, 0, 0, 0, 1] };
        let id = Some(vec![1, 0x52, 0x54, 0, 0, 0, 1]);
        assert_eq!(client_bucket(&Client { hardware: hardware.clone(), id }), 28);
        assert_eq!(client_bucket(&Client { hardware, id: None }), 149);
    }

    #[test]
    fn half_of_a_thousand_neighbouring_clients_are_the_primarys() {
        // HB-9.
        let split = Hba::from_split(128);
        let of_primary = (0..1000_u32)
            .filter(|number| {
                let [_, high, middle, low] = number.to_be_bytes();
                split.primary_serves(bucket(&[0x52, 0x54, 0, high, middle, low]))
            })
            .count();
        assert_eq!(of_primary, 499);
    }

    #[test]
    fn a_split_sets_the_buckets_below_it() {
        // HB-10 and HB-11.
        for split in 0..=256 {
            let hba = Hba::from_split(split);
            for bucket in 0..=u8::MAX {
                assert_eq!(hba.primary_serves(bucket), u16::from(bucket) < split, "{split} {bucket}");
            }
        }
        assert_eq!(Hba::from_split(256), Hba::ALL_PRIMARY);
        assert_eq!(Hba::from_split(u16::MAX), Hba::ALL_PRIMARY);
    }

    #[test]
    fn split_128_is_the_map_that_isc_sends() {
        // HB-12.
        let sent = [[0xff; 16], [0; 16]].concat();
        assert_eq!(Hba::from_wire(&sent), Some(Hba::from_split(128)));
        assert_eq!(Hba::from_wire(&[0xff; 31]), None);
        assert_eq!(Hba::from_wire(&[0xff; 33]), None);
    }
}
