//! What happened: a running hash for every seed, and the readable lines of a replay.

use std::fmt;

/// The history of one seed.
#[derive(Debug, Default)]
pub(crate) struct History {
    hash: u64,
    lines: u64,
    print: bool,
}

impl History {
    /// Prints each line if asked to.
    pub(crate) fn new(print: bool) -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, lines: 0, print }
    }

    /// Something happened at `time`, in milliseconds.
    pub(crate) fn note(&mut self, time: u64, who: &str, what: fmt::Arguments<'_>) {
        self.lines += 1;
        let mut hasher = Fnv(self.hash ^ time);
        // Writing into the hasher cannot fail.
        let _ = fmt::write(&mut hasher, format_args!("{who} {what}"));
        self.hash = hasher.0;
        if self.print {
            println!("{:>10.3} {who:<12} {what}", time as f64 / 1000.0);
        }
    }

    /// The same for the same history.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn lines(&self) -> u64 {
        self.lines
    }
}

struct Fnv(u64);

impl fmt::Write for Fnv {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for octet in text.bytes() {
            self.0 = (self.0 ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3);
        }
        Ok(())
    }
}
