//! A lease as bytes, for the log. The layout is in `docs/formats/lease-log.md`.

use std::net::Ipv4Addr;

use api::time::UnixTime;

use crate::lease::{Client, Flags, HardwareAddress, Lease, Status, Sync};

impl Lease {
    /// Appends the lease as a record of the newest version.
    ///
    /// The hardware address is cut after 255 octets and every other part after 65,535: longer ones fit
    /// into no message, so they cannot have been received.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let id = self.client.as_ref().and_then(|client| client.id.as_ref());
        let marks = [
            (self.client.is_some(), CLIENT),
            (id.is_some(), CLIENT_ID),
            (self.cltt.is_some(), CLTT),
            (self.cltt_from_partner, CLTT_FROM_PARTNER),
            (self.flags.reserved, RESERVED),
            (self.flags.bootp, BOOTP),
            (self.first_in_partner_down, FIRST_IN_PARTNER_DOWN),
            (self.hostname.is_some(), HOSTNAME),
            (self.relay_info.is_some(), RELAY_INFO),
            (self.untold, UNTOLD),
        ];
        let marks = marks.into_iter().filter(|(set, _)| *set).fold(0_u16, |all, (_, mark)| all | mark);

        out.push(VERSION);
        out.extend_from_slice(&self.address.octets());
        out.push(self.status.wire());
        out.push(match self.sync {
            Sync::Agreed => 0,
            Sync::Due => 1,
            Sync::Rejected => 2,
        });
        out.extend_from_slice(&marks.to_be_bytes());
        for time in [
            self.exp,
            self.held_until,
            self.sent_potential,
            self.acked_potential,
            self.received_potential,
            self.received_potential_max,
            self.cltt.unwrap_or(UnixTime::ZERO),
            self.starts,
            self.hold_until,
        ] {
            out.extend_from_slice(&time.get().to_be_bytes());
        }
        out.extend_from_slice(&self.changed_at_edge.to_be_bytes());

        if let Some(client) = &self.client {
            let octets = &client.hardware.octets;
            let len = u8::try_from(octets.len()).unwrap_or(u8::MAX);
            out.push(client.hardware.kind);
            out.push(len);
            out.extend_from_slice(&octets[..usize::from(len)]);
        }
        let hostname = self.hostname.as_deref().map(|name| &name[..name.floor_char_boundary(PART_MAX)]);
        for part in [id.map(Vec::as_slice), hostname.map(str::as_bytes), self.relay_info.as_deref()] {
            let Some(part) = part else { continue };
            let len = u16::try_from(part.len()).unwrap_or(u16::MAX);
            out.extend_from_slice(&len.to_be_bytes());
            out.extend_from_slice(&part[..usize::from(len)]);
        }
    }

    /// Reads a record of any version that was ever written.
    ///
    /// # Errors
    ///
    /// If the bytes are not exactly one record.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader(bytes);
        let version = reader.byte()?;
        if version != VERSION {
            return Err(DecodeError::Version(version));
        }
        let address = Ipv4Addr::from(reader.array()?);
        let status = reader.byte()?;
        let status = Status::from_wire(status).ok_or(DecodeError::Status(status))?;
        let sync = match reader.byte()? {
            0 => Sync::Agreed,
            1 => Sync::Due,
            2 => Sync::Rejected,
            other => return Err(DecodeError::Sync(other)),
        };
        let marks = u16::from_be_bytes(reader.array()?);
        let has = |mark| marks & mark != 0;
        if has(!ALL_MARKS) || (has(CLIENT_ID) && !has(CLIENT)) {
            return Err(DecodeError::Marks(marks));
        }
        let mut lease = Self {
            address,
            status,
            client: None,
            exp: reader.time()?,
            held_until: reader.time()?,
            sent_potential: reader.time()?,
            acked_potential: reader.time()?,
            received_potential: reader.time()?,
            received_potential_max: reader.time()?,
            cltt: Some(reader.time()?),
            cltt_from_partner: has(CLTT_FROM_PARTNER),
            starts: reader.time()?,
            flags: Flags { reserved: has(RESERVED), bootp: has(BOOTP) },
            sync,
            hold_until: reader.time()?,
            changed_at_edge: u64::from_be_bytes(reader.array()?),
            first_in_partner_down: has(FIRST_IN_PARTNER_DOWN),
            untold: has(UNTOLD),
            hostname: None,
            relay_info: None,
        };
        if !has(CLTT) && lease.cltt.take() != Some(UnixTime::ZERO) {
            return Err(DecodeError::Marks(marks));
        }
        if has(CLIENT) {
            let kind = reader.byte()?;
            let len = reader.byte()?;
            let octets = reader.take(usize::from(len))?.to_vec();
            let id = if has(CLIENT_ID) { Some(reader.part()?.to_vec()) } else { None };
            lease.client = Some(Client { hardware: HardwareAddress { kind, octets }, id });
        }
        if has(HOSTNAME) {
            let name = std::str::from_utf8(reader.part()?).map_err(|_| DecodeError::Hostname)?;
            lease.hostname = Some(name.to_owned());
        }
        if has(RELAY_INFO) {
            lease.relay_info = Some(reader.part()?.to_vec());
        }
        if !reader.0.is_empty() {
            return Err(DecodeError::Trailing(reader.0.len()));
        }
        Ok(lease)
    }
}

/// Why bytes are not a lease.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The host name is not UTF-8.
    #[error("host name is not text")]
    Hostname,
    /// Undefined marks, or marks that contradict each other.
    #[error("impossible marks {0:#06x}")]
    Marks(u16),
    /// The bytes end within the record.
    #[error("record ends too early")]
    Short,
    /// Not a status.
    #[error("unknown status {0}")]
    Status(u8),
    /// Not a synchronisation state.
    #[error("unknown synchronisation state {0}")]
    Sync(u8),
    /// A time beyond the largest one.
    #[error("time {0} is out of range")]
    Time(u32),
    /// The bytes go on after the record.
    #[error("{0} octets follow the record")]
    Trailing(usize),
    /// Written by a newer release.
    #[error("unknown record version {0}")]
    Version(u8),
}

impl DecodeError {
    /// Stable label for metrics.
    #[must_use]
    pub const fn class(&self) -> &'static str {
        match self {
            Self::Hostname => "hostname",
            Self::Marks(_) => "marks",
            Self::Short => "short",
            Self::Status(_) => "status",
            Self::Sync(_) => "sync",
            Self::Time(_) => "time",
            Self::Trailing(_) => "trailing",
            Self::Version(_) => "version",
        }
    }
}

/// The bytes not read yet.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(DecodeError::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(DecodeError::Short)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn byte(&mut self) -> Result<u8, DecodeError> {
        self.array().map(|[byte]| byte)
    }

    fn time(&mut self) -> Result<UnixTime, DecodeError> {
        let seconds = u32::from_be_bytes(self.array()?);
        if seconds > UnixTime::INFINITE.get() {
            return Err(DecodeError::Time(seconds));
        }
        Ok(UnixTime::new(u64::from(seconds)))
    }

    fn part(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = u16::from_be_bytes(self.array()?);
        self.take(usize::from(len))
    }
}

const VERSION: u8 = 1;
const PART_MAX: usize = u16::MAX as usize;

const CLIENT: u16 = 0x0001;
const CLIENT_ID: u16 = 0x0002;
const CLTT: u16 = 0x0004;
const CLTT_FROM_PARTNER: u16 = 0x0008;
const RESERVED: u16 = 0x0010;
const BOOTP: u16 = 0x0020;
const FIRST_IN_PARTNER_DOWN: u16 = 0x0040;
const HOSTNAME: u16 = 0x0080;
const RELAY_INFO: u16 = 0x0100;
const UNTOLD: u16 = 0x0200;
const ALL_MARKS: u16 = 0x03ff;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn full() -> Lease {
        Lease {
            status: Status::Active,
            client: Some(Client {
                hardware: HardwareAddress { kind: 1, octets: vec![0x52, 0x54, 0, 0, 0, 1] },
                id: Some(vec![1, 0x52, 0x54, 0, 0, 0, 1]),
            }),
            exp: UnixTime::new(1_700_003_600),
            held_until: UnixTime::new(1_700_003_601),
            sent_potential: UnixTime::new(1_700_262_800),
            acked_potential: UnixTime::new(1_700_262_801),
            received_potential: UnixTime::new(1_700_262_802),
            received_potential_max: UnixTime::INFINITE,
            cltt: Some(UnixTime::new(1_700_000_000)),
            cltt_from_partner: true,
            starts: UnixTime::new(1_699_999_999),
            flags: Flags { reserved: true, bootp: true },
            sync: Sync::Rejected,
            changed_at_edge: 0x0102_0304_0506_0708,
            first_in_partner_down: true,
            hold_until: UnixTime::new(1_700_000_001),
            hostname: Some("printer".to_owned()),
            relay_info: Some(vec![1, 2, 0xab, 0xcd]),
            ..Lease::new(Ipv4Addr::new(10, 77, 0, 10))
        }
    }

    fn time() -> impl Strategy<Value = UnixTime> {
        prop_oneof![
            Just(UnixTime::ZERO),
            Just(UnixTime::INFINITE),
            (0..0x8000_0000_u64).prop_map(UnixTime::new)
        ]
    }

    fn bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(any::<u8>(), 0..=max)
    }

    prop_compose! {
        fn client()(kind: u8, octets in bytes(20), id in proptest::option::of(bytes(300))) -> Client {
            Client { hardware: HardwareAddress { kind, octets }, id }
        }
    }

    prop_compose! {
        fn lease()(
            address: u32,
            status in proptest::sample::select(Status::ALL.to_vec()),
            sync in proptest::sample::select(vec![Sync::Agreed, Sync::Due, Sync::Rejected]),
            client in proptest::option::of(client()),
            times in proptest::array::uniform8(time()),
            cltt in proptest::option::of(time()),
            marks in proptest::array::uniform5(any::<bool>()),
            changed_at_edge: u64,
            hostname in proptest::option::of("\\PC{0,60}"),
            relay_info in proptest::option::of(bytes(255)),
        ) -> Lease {
            let [exp, held_until, sent, acked, received, received_max, starts, hold_until] = times;
            let [cltt_from_partner, reserved, bootp, first_in_partner_down, untold] = marks;
            Lease {
                address: Ipv4Addr::from(address),
                status,
                client,
                exp,
                held_until,
                sent_potential: sent,
                acked_potential: acked,
                received_potential: received,
                received_potential_max: received_max,
                cltt,
                cltt_from_partner,
                starts,
                flags: Flags { reserved, bootp },
                sync,
                changed_at_edge,
                first_in_partner_down,
                untold,
                hold_until,
                hostname,
                relay_info,
            }
        }
    }

    fn encoded(lease: &Lease) -> Vec<u8> {
        let mut out = Vec::new();
        lease.encode(&mut out);
        out
    }

    proptest! {
        #[test]
        fn every_field_survives_encoding(lease in lease()) {
            prop_assert_eq!(Lease::decode(&encoded(&lease)), Ok(lease));
        }

        #[test]
        fn arbitrary_bytes_are_decoded_without_a_panic(bytes in bytes(200)) {
            let _ = Lease::decode(&bytes);
        }

        #[test]
        fn what_decodes_after_a_changed_byte_is_encoded_to_the_same_bytes(
            lease in lease(), at: proptest::sample::Index, byte: u8,
        ) {
            let mut bytes = encoded(&lease);
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(lease) = Lease::decode(&bytes) {
                prop_assert_eq!(encoded(&lease), bytes);
            }
        }

        #[test]
        fn a_cut_record_or_one_with_more_bytes_is_an_error(lease in lease(), cut: proptest::sample::Index) {
            let mut bytes = encoded(&lease);
            prop_assert_eq!(Lease::decode(&bytes[..cut.index(bytes.len())]), Err(DecodeError::Short));
            bytes.push(0);
            prop_assert_eq!(Lease::decode(&bytes), Err(DecodeError::Trailing(1)));
        }
    }

    #[test]
    fn a_stored_record_of_version_1_stays_readable() {
        let stored = include_bytes!("../../tests/fixtures/lease-v1.bin");
        assert_eq!(Lease::decode(stored), Ok(full()));
        assert_eq!(encoded(&full()), stored, "the fixture was made from the documented offsets by hand");
    }

    #[test]
    fn a_record_of_a_later_version_is_refused() {
        let mut bytes = encoded(&full());
        bytes[0] = 2;
        assert_eq!(Lease::decode(&bytes), Err(DecodeError::Version(2)));
    }

    #[test]
    fn an_overlong_host_name_is_cut_between_characters() {
        let name = "ä".repeat(40_000);
        let lease = Lease { hostname: Some(name.clone()), ..full() };
        let read = Lease::decode(&encoded(&lease)).map(|lease| lease.hostname);
        assert_eq!(read, Ok(Some(name[..65_534].to_owned())));
    }
}
