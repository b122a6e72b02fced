//! Running other programs, never without a bound.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::{Failure, Told};

/// The checkout.
#[must_use]
pub fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("e2e/ is a folder of the checkout")
}

/// What a program that ended has left.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Whether its exit code was 0.
    pub ok: bool,
    /// What it wrote to the standard output.
    pub out: String,
    /// What it wrote to the standard error.
    pub err: String,
}

/// Runs a program in the checkout, whatever its exit code; after so many seconds it is killed.
pub fn try_run(seconds: u32, words: &[&str], input: Option<&str>) -> Told<Ended> {
    let failed = |error: std::io::Error| Failure(format!("{}: {error}", words.join(" ")));
    let mut child = Command::new("timeout")
        .args(["--kill-after=2", &seconds.to_string()])
        .args(words)
        .current_dir(checkout())
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
        stdin.write_all(input.as_bytes()).map_err(failed)?;
    }
    let output = child.wait_with_output().map_err(failed)?;
    let text = |octets: Vec<u8>| String::from_utf8_lossy(&octets).into_owned();
    Ok(Ended { ok: output.status.success(), out: text(output.stdout), err: text(output.stderr) })
}

/// Runs a program in the checkout and answers what it wrote; any exit code but 0 is a failure.
pub fn run(seconds: u32, words: &[&str]) -> Told<String> {
    run_with(seconds, words, None)
}

/// The same with something to read.
pub fn run_with(seconds: u32, words: &[&str], input: Option<&str>) -> Told<String> {
    let ended = try_run(seconds, words, input)?;
    if ended.ok {
        return Ok(ended.out);
    }
    Err(Failure(format!("`{}` failed: {}{}", words.join(" "), ended.out, ended.err)))
}

/// The processes of this machine, containers included, in whose command line these words follow each other.
#[must_use]
pub fn processes_with(words: &[&str]) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let with = |number: &u32| {
        let line = std::fs::read(format!("/proc/{number}/cmdline")).unwrap_or_default();
        let line: Vec<_> = line.split(|octet| *octet == 0).collect();
        line.windows(words.len()).any(|window| window.iter().zip(words).all(|(a, b)| *a == b.as_bytes()))
    };
    numbers.filter(with).collect()
}

/// A program that runs until it is dropped. What it writes goes to a file.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts a program in the checkout.
    pub fn start(words: &[&str]) -> Told<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let log = std::env::temp_dir().join(format!("dfp-e2e-{}-{number}.log", std::process::id()));
        let failed = |error: std::io::Error| Failure(format!("{}: {error}", words.join(" ")));
        let out = File::create(&log).map_err(failed)?;
        let err = out.try_clone().map_err(failed)?;
        let (program, arguments) = words.split_first().ok_or("nothing to start")?;
        let child = Command::new(program)
            .args(arguments)
            .current_dir(checkout())
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .map_err(failed)?;
        Ok(Self { child, log })
    }

    /// What it wrote until now.
    #[must_use]
    pub fn written(&self) -> String {
        std::fs::read(&self.log)
            .map_or_else(|_| String::new(), |octets| String::from_utf8_lossy(&octets).into_owned())
    }

    /// Sends it a signal, such as `USR1`.
    pub fn signal(&self, name: &str) -> Told {
        run(5, &["kill", &format!("-{name}"), &self.child.id().to_string()]).map(|_| ())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        std::fs::remove_file(&self.log).ok();
    }
}
