//! How a story fails: with what was seen instead.

use std::fmt;
use std::time::{Duration, Instant};

/// What was seen instead, for people.
#[derive(Clone, Eq, PartialEq)]
pub struct Failure(pub String);

/// The outcome of a step.
pub type Told<T = ()> = Result<T, Failure>;

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Failure {}

impl<S: Into<String>> From<S> for Failure {
    fn from(text: S) -> Self {
        Self(text.into())
    }
}

/// Fails with what was seen unless it holds.
pub fn ensure(holds: bool, seen: impl FnOnce() -> String) -> Told {
    if holds { Ok(()) } else { Err(Failure(seen())) }
}

/// Looks until `check` succeeds. After so many seconds it fails with the last thing seen.
pub fn wait_until<T>(what: &str, seconds: u64, mut check: impl FnMut() -> Told<T>) -> Told<T> {
    let began = Instant::now();
    loop {
        let seen = match check() {
            Ok(value) => return Ok(value),
            Err(seen) => seen,
        };
        if began.elapsed() > Duration::from_secs(seconds) {
            return Err(Failure(format!("waited {seconds} s until {what}; last seen: {seen}")));
        }
        std::thread::sleep(PAUSE);
    }
}

const PAUSE: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_that_fails_says_what_it_saw_last() {
        let mut looks = 0;
        let told = wait_until("the sun shines", 0, || -> Told {
            looks += 1;
            Err(Failure(format!("{looks} drops")))
        });
        assert_eq!(told, Err("waited 0 s until the sun shines; last seen: 1 drops".into()));
    }
}
