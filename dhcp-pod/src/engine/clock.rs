//! The only place where the process reads the clocks for the core.

use std::time::{Instant, SystemTime};

use api::time::{Mono, Now, UnixTime};

/// Both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Default for Clock {
    fn default() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock {
    /// Reads both, together.
    #[must_use]
    pub fn now(&self) -> Now {
        // A wall clock before 1970 is one that was never set.
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Now {
            wall: UnixTime::new(wall.as_secs()),
            mono: Mono(u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)),
        }
    }
}
