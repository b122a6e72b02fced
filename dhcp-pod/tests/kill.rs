//! A process killed in the middle of its writes, again and again, on the real disk: what it said was
//! durable is there, and nothing is there in part.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use api::identity::Lsn;
use dhcp_pod::store::{DataDir, FileDisk};
use leases::log::{Batch, Entry, Log, Options, StoreId};

const DIRECTORY: &str = "DHCP_POD_KILL_TEST";
const ROUNDS: u64 = 300;
/// Batches that must still be there; older segments go, so that kills also hit their removal.
const KEPT: u64 = 100;
/// Small segments, so that kills also hit the moments around a new one.
const OPTIONS: Options = Options { segment_bytes: 64 << 10, reserve_bytes: 0 };

/// A batch of which every octet can be foretold.
fn batch(number: u64) -> Batch {
    let count = 1 + number % 7;
    let entries = (0..count)
        .map(|index| {
            let len = 16 + (number * 31 + index * 17) % 900;
            let mut body = [number.to_be_bytes(), index.to_be_bytes()].concat();
            body.resize(len as usize, number as u8);
            Entry { kind: 200, body }
        })
        .collect();
    Batch {
        epoch: 1,
        first: Lsn(number),
        last: Lsn(number),
        entries,
        floor: Lsn(number.saturating_sub(KEPT)),
    }
}

/// Not a test of its own: what the killed process does. It writes for ever, and says after each sync how far
/// everything is durable.
#[test]
#[ignore = "runs as a child of the other test"]
fn writer() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    // The lock is part of what a kill must release.
    let data = DataDir::take(Path::new(&directory)).expect("the lock is free after a kill");
    let files = Path::new(&directory).join("files");
    let disk = FileDisk::open(&files).expect("open");
    let mut log = match Log::open(disk, OPTIONS) {
        Ok((log, opened)) => {
            println!("\nloaded {}", opened.loaded.lsn);
            log
        }
        Err(leases::log::OpenError::Empty) => {
            println!("\nloaded 0");
            Log::create(FileDisk::open(&files).expect("open"), StoreId([7; 16]), OPTIONS).expect("create")
        }
        Err(error) => panic!("the store cannot be opened: {error}"),
    };
    loop {
        for _ in 0..1 + log.last().0 % 4 {
            log.append(&batch(log.last().0 + 1)).expect("append");
        }
        let durable = log.sync().expect("sync");
        println!("\ndurable {durable}");
        if std::io::stdout().flush().is_err() {
            break;
        }
    }
    drop(data);
}

fn start(directory: &Path) -> Child {
    Command::new(std::env::current_exe().expect("own path"))
        .args(["--ignored", "--exact", "--nocapture", "writer"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts")
}

#[test]
fn nothing_said_to_be_durable_is_lost_and_nothing_is_there_in_part() {
    let directory = tempfile::tempdir().expect("temporary directory");
    std::fs::create_dir(directory.path().join("files")).expect("directory");
    let mut promised = 0;
    let mut random = 0x9e37_79b9_u64;
    for round in 0..ROUNDS {
        let mut child = start(directory.path());
        let (sender, lines) = channel();
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let reader = std::thread::spawn(move || {
            output.lines().map_while(Result::ok).for_each(|line| drop(sender.send(line)));
        });
        let number = |line: &str, word: &str| line.strip_prefix(word)?.trim().parse::<u64>().ok();
        let loaded = lines.iter().find_map(|line| number(&line, "loaded"));
        let loaded = loaded.unwrap_or_else(|| panic!("round {round}: the store could not be opened"));
        assert!(loaded >= promised, "round {round}: {promised} was promised, {loaded} was loaded");
        // From the first durable batch on, any moment will do.
        promised = lines.iter().find_map(|line| number(&line, "durable")).expect("something becomes durable");
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(Duration::from_micros(random >> 33 & 0x7fff));
        child.kill().expect("killed with SIGKILL");
        child.wait().expect("reaped");
        reader.join().expect("read to the end");
        promised = lines.iter().filter_map(|line| number(&line, "durable")).last().unwrap_or(promised);
    }
    verify(directory.path(), promised);
}

fn verify(directory: &Path, promised: u64) {
    let disk = FileDisk::open(&directory.join("files")).expect("open");
    let (_, opened) = Log::open(disk, OPTIONS).expect("reopens");
    assert!(opened.loaded.lsn.0 >= promised, "{} was promised, {} is there", promised, opened.loaded.lsn);
    let last = opened.loaded.lsn.0;
    let expected: Vec<Entry> = (1..=last).flat_map(|number| batch(number).entries).collect();
    let kept: usize =
        (last.saturating_sub(KEPT).max(1)..=last).map(|number| batch(number).entries.len()).sum();
    assert!(expected.ends_with(&opened.entries), "every batch is there whole, once and in order");
    assert!(opened.entries.len() >= kept, "nothing that is needed has gone with an old segment");
    assert!(opened.entries.len() < expected.len(), "kills were to hit the removal of segments, too");
    eprintln!("{ROUNDS} kills, {promised} batches promised, {last} found");
}
