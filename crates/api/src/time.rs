//! Time as the failover protocol counts it: absolute seconds on the wire and on disk, a monotonic
//! clock for durations that must survive a step of the wall clock.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A point in time in whole seconds since 1970-01-01 UTC, between 0 and [`UnixTime::INFINITE`].
///
/// Arithmetic saturates: nothing lies beyond infinity, and nothing before 1970.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Deserialize, Serialize)]
#[serde(transparent)]
pub struct UnixTime(u32);

impl UnixTime {
    /// The epoch. On the wire it means "never set".
    pub const ZERO: Self = Self(0);
    /// The largest time on the wire, which means "without end" (`spec/failover-protocol.md`).
    pub const INFINITE: Self = Self(0x7fff_ffff);

    /// Clamps to the range of the wire.
    #[must_use]
    pub const fn new(seconds: u64) -> Self {
        if seconds >= Self::INFINITE.0 as u64 { Self::INFINITE } else { Self(seconds as u32) }
    }

    /// Seconds since the epoch, as sent on the wire.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Whether this is the wire's "without end".
    #[must_use]
    pub const fn is_infinite(self) -> bool {
        self.0 == Self::INFINITE.0
    }

    /// How long it is from `earlier` to `self`; zero if `self` is the earlier one.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Seconds {
        Seconds(self.0.saturating_sub(earlier.0))
    }

    /// The same moment by our clock, if this is by one that is so many seconds ahead. "Never" and "without end" are no
    /// moments.
    #[must_use]
    pub fn by_clock_ahead(self, seconds: i64) -> Self {
        if self == Self::ZERO || self.is_infinite() {
            return self;
        }
        let shift = Seconds(u32::try_from(seconds.unsigned_abs()).unwrap_or(u32::MAX));
        if seconds < 0 { self + shift } else { self - shift }
    }

    /// The same time for people and for JSON; `None` for [`UnixTime::ZERO`].
    #[must_use]
    pub fn timestamp(self) -> Option<jiff::Timestamp> {
        (self != Self::ZERO)
            .then(|| jiff::Timestamp::from_second(i64::from(self.0)).unwrap_or(jiff::Timestamp::MAX))
    }
}

impl From<jiff::Timestamp> for UnixTime {
    fn from(timestamp: jiff::Timestamp) -> Self {
        Self::new(u64::try_from(timestamp.as_second()).unwrap_or(0))
    }
}

impl std::ops::Add<Seconds> for UnixTime {
    type Output = Self;

    fn add(self, rhs: Seconds) -> Self {
        Self::new(u64::from(self.0) + u64::from(rhs.0))
    }
}

impl std::ops::Sub<Seconds> for UnixTime {
    type Output = Self;

    fn sub(self, rhs: Seconds) -> Self {
        if self.is_infinite() { self } else { Self(self.0.saturating_sub(rhs.0)) }
    }
}

impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.timestamp() {
            None => f.write_str("never"),
            Some(_) if self.is_infinite() => f.write_str("without end"),
            Some(timestamp) => write!(f, "{timestamp}"),
        }
    }
}

/// A length of time in whole seconds.
#[derive(
    Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Deserialize, Serialize, JsonSchema,
)]
#[serde(transparent)]
pub struct Seconds(pub u32);

impl Seconds {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// The seconds as a plain number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// In milliseconds, for [`Mono`].
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0 as u64 * 1000
    }

    /// Sum that stays within `u32`.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.0)
    }
}

/// A reading of the monotonic clock, in milliseconds since an arbitrary start.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Mono(pub u64);

impl Mono {
    /// This many milliseconds later.
    #[must_use]
    pub const fn plus_millis(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` to `self`; zero if `self` is the earlier one.
    #[must_use]
    pub const fn millis_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl std::ops::Add<Seconds> for Mono {
    type Output = Self;

    fn add(self, rhs: Seconds) -> Self {
        self.plus_millis(rhs.millis())
    }
}

/// Both clocks, read together. Every entry point of the cores takes one; none of them reads a clock.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Now {
    /// What the partner and the clients also count by. May step.
    pub wall: UnixTime,
    /// For durations. Never steps.
    pub mono: Mono,
}
