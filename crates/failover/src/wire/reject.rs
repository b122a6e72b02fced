//! Reject reasons by number and by name (§2.5).

use std::fmt;

use super::message::RejectReason;

impl RejectReason {
    /// The value of option 21.
    #[must_use]
    pub const fn wire(self) -> u8 {
        match self {
            Self::IllegalIpAddress => 1,
            Self::FatalConflict => 2,
            Self::MissingBindingInformation => 3,
            Self::TimeMismatch => 4,
            Self::InvalidMclt => 5,
            Self::Miscellaneous => 6,
            Self::DuplicateConnection => 7,
            Self::InvalidPartner => 8,
            Self::TlsUnsupported => 9,
            Self::TlsUnconfigured => 10,
            Self::TlsRequired => 11,
            Self::DigestUnsupported => 12,
            Self::DigestUnconfigured => 13,
            Self::VersionMismatch => 14,
            Self::OutdatedBindingInformation => 15,
            Self::LessCriticalBindingInformation => 16,
            Self::NoTraffic => 17,
            Self::HashBucketConflict => 18,
            Self::IpNotReserved => 19,
            Self::DigestFailure => 20,
            Self::DigestMissing => 21,
            Self::Unknown => 254,
            Self::Other(value) => value,
        }
    }

    /// The reason of a wire value; every value is some reason.
    #[must_use]
    pub fn from_wire(value: u8) -> Self {
        LISTED.into_iter().find(|reason| reason.wire() == value).unwrap_or(Self::Other(value))
    }

    /// The name used in logs and metrics; `Other` for every unlisted one.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IllegalIpAddress => "IllegalIpAddress",
            Self::FatalConflict => "FatalConflict",
            Self::MissingBindingInformation => "MissingBindingInformation",
            Self::TimeMismatch => "TimeMismatch",
            Self::InvalidMclt => "InvalidMclt",
            Self::Miscellaneous => "Miscellaneous",
            Self::DuplicateConnection => "DuplicateConnection",
            Self::InvalidPartner => "InvalidPartner",
            Self::TlsUnsupported => "TlsUnsupported",
            Self::TlsUnconfigured => "TlsUnconfigured",
            Self::TlsRequired => "TlsRequired",
            Self::DigestUnsupported => "DigestUnsupported",
            Self::DigestUnconfigured => "DigestUnconfigured",
            Self::VersionMismatch => "VersionMismatch",
            Self::OutdatedBindingInformation => "OutdatedBindingInformation",
            Self::LessCriticalBindingInformation => "LessCriticalBindingInformation",
            Self::NoTraffic => "NoTraffic",
            Self::HashBucketConflict => "HashBucketConflict",
            Self::IpNotReserved => "IpNotReserved",
            Self::DigestFailure => "DigestFailure",
            Self::DigestMissing => "DigestMissing",
            Self::Unknown => "Unknown",
            Self::Other(_) => "Other",
        }
    }
}

impl fmt::Display for RejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(value) => write!(f, "Other({value})"),
            listed => f.write_str(listed.as_str()),
        }
    }
}

const LISTED: [RejectReason; 22] = [
    RejectReason::IllegalIpAddress,
    RejectReason::FatalConflict,
    RejectReason::MissingBindingInformation,
    RejectReason::TimeMismatch,
    RejectReason::InvalidMclt,
    RejectReason::Miscellaneous,
    RejectReason::DuplicateConnection,
    RejectReason::InvalidPartner,
    RejectReason::TlsUnsupported,
    RejectReason::TlsUnconfigured,
    RejectReason::TlsRequired,
    RejectReason::DigestUnsupported,
    RejectReason::DigestUnconfigured,
    RejectReason::VersionMismatch,
    RejectReason::OutdatedBindingInformation,
    RejectReason::LessCriticalBindingInformation,
    RejectReason::NoTraffic,
    RejectReason::HashBucketConflict,
    RejectReason::IpNotReserved,
    RejectReason::DigestFailure,
    RejectReason::DigestMissing,
    RejectReason::Unknown,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_octet_survives_as_a_reason() {
        for value in 0..=u8::MAX {
            assert_eq!(RejectReason::from_wire(value).wire(), value);
        }
    }

    #[test]
    fn exactly_the_listed_values_have_a_name() {
        for value in 0..=u8::MAX {
            let listed = matches!(value, 1..=21 | 254);
            assert_eq!(RejectReason::from_wire(value).as_str() != "Other", listed, "{value}");
        }
    }
}
