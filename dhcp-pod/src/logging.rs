//! Log lines for the person on call, as text or JSON, and a brake for those that repeat.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For machines: one object a line.
    Json,
}

/// Begins logging to stderr. `RUST_LOG` chooses what is logged; default: everything from `info` on.
pub fn init(format: Format) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // An error means that somebody else set a logger first, as tests do.
    let _ = match format {
        Format::Text => lines.with_target(false).with_ansi(false).try_init(),
        Format::Json => lines.json().flatten_event(true).try_init(),
    };
}

/// Lets one line of a class through every so often.
#[derive(Debug)]
pub struct Brake {
    every: Duration,
    classes: Mutex<BTreeMap<&'static str, (Instant, u64)>>,
}

impl Brake {
    /// One line per class and `every`.
    #[must_use]
    pub const fn new(every: Duration) -> Self {
        Self { every, classes: Mutex::new(BTreeMap::new()) }
    }

    /// `None` if the line is to be left out; else how many were left out since the last one.
    #[must_use]
    pub fn pass(&self, class: &'static str) -> Option<u64> {
        self.pass_at(class, Instant::now())
    }

    fn pass_at(&self, class: &'static str, now: Instant) -> Option<u64> {
        let mut classes = self.classes.lock().unwrap_or_else(PoisonError::into_inner);
        match classes.get_mut(class) {
            Some((last, left_out)) if now.saturating_duration_since(*last) < self.every => {
                *left_out += 1;
                None
            }
            other => {
                let left_out = other.map_or(0, |(_, left_out)| *left_out);
                classes.insert(class, (now, 0));
                Some(left_out)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_lines_are_counted_and_left_out() {
        let brake = Brake::new(Duration::from_secs(10));
        let start = Instant::now();
        assert_eq!(brake.pass_at("a", start), Some(0));
        assert_eq!(brake.pass_at("a", start + Duration::from_secs(1)), None);
        assert_eq!(brake.pass_at("b", start + Duration::from_secs(1)), Some(0), "classes are apart");
        assert_eq!(brake.pass_at("a", start + Duration::from_secs(2)), None);
        assert_eq!(brake.pass_at("a", start + Duration::from_secs(11)), Some(2));
    }
}
