//! A network of namespaces with our server, an ISC dhcpd and clients on it, for tests of both servers as
//! failover partners. Needs root, and the Debian packages that `e2e/isc/run` installs.

pub mod client;
pub mod crowd;
pub mod isc;
pub mod lab;
pub mod lease;
pub mod message;
pub mod ours;
pub mod pair;
pub mod process;

use std::time::{Duration, Instant};

/// Asks again and again until there is an answer; panics with the last refusal when time is up.
pub fn until<T>(what: &str, seconds: u64, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let end = Instant::now() + Duration::from_secs(seconds);
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(why) => assert!(Instant::now() < end, "{what}: not within {seconds} s: {why}"),
        }
        std::thread::sleep(Duration::from_millis(300));
    }
}

/// A clock of its own for a program, so many seconds ahead: what `env` sets for it. The file says so, and [`set_clock`]
/// changes it.
fn faketime(file: &std::path::Path, ahead: i32) -> [String; 5] {
    set_clock(file, ahead);
    // The library of the Debian package `faketime`, in the folder of this machine's architecture.
    let folders = std::fs::read_dir("/usr/lib").expect("/usr/lib").flatten();
    let library = |folder: std::fs::DirEntry| folder.path().join("faketime/libfaketime.so.1");
    let library = folders.map(library).find(|path| path.exists()).expect("libfaketime of faketime");
    [
        format!("LD_PRELOAD={}", library.display()),
        format!("FAKETIME_TIMESTAMP_FILE={}", file.display()),
        // Seconds for which it does not look into the file again.
        "FAKETIME_CACHE_DURATION=1".to_owned(),
        "FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned(),
        "NO_FAKE_STAT=1".to_owned(),
    ]
}

fn set_clock(file: &std::path::Path, ahead: i32) {
    let new = file.with_extension("new");
    std::fs::write(&new, format!("{ahead:+}s\n")).expect("clock");
    std::fs::rename(&new, file).expect("clock");
}
