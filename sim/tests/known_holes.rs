//! Each known hole of `docs/promises.md` has something that shows its countermeasure at work.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const KNOWN: std::ops::RangeInclusive<u32> = 1..=28;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All Rust sources below a folder.
fn sources(folder: &Path, into: &mut String) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            into.push_str(&std::fs::read_to_string(&path).expect("a source"));
        }
    }
}

#[test]
fn every_known_hole_is_shown_by_something_that_exists() {
    let page = std::fs::read_to_string(root().join("docs/promises.md")).expect("the page");
    let (_, table) = page.split_once("| | hole | here | shown by |").expect("the table of holes");
    let mut tests = String::new();
    sources(&root().join("crates"), &mut tests);
    let (mut seen, mut missing) = (BTreeSet::new(), Vec::new());
    for row in table.lines().filter(|line| line.starts_with("| H-")) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [names, _, _, shown] = cells.as_slice() else { panic!("not four cells: {row}") };
        let names: Vec<&str> = names.split(", ").collect();
        for way in shown.split("; ") {
            let (kind, what) = way.split_once(' ').unwrap_or((way, ""));
            let quoted = what.split('`').skip(1).step_by(2);
            let exists = |what: &str| match kind {
                "mutant" | "mutants" => root().join(format!("sim/mutants/{what}.patch")).exists(),
                "test" | "tests" => tests.contains(&format!("fn {what}()")),
                _ => false,
            };
            match kind {
                "hole" => missing.extend(
                    names.iter().filter(|name| !root().join(format!("sim/holes/{name}.patch")).exists()),
                ),
                _ if !what.contains('`') => missing.push(way),
                _ => missing.extend(quoted.filter(|what| !exists(what))),
            }
        }
        seen.extend(names.iter().filter_map(|name| name.strip_prefix("H-")?.parse::<u32>().ok()));
    }
    assert_eq!(missing, Vec::<&str>::new());
    assert_eq!(seen, KNOWN.collect());
}
