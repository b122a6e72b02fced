//! Inputs that once broke something, and all seeds, through the checks.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use api::identity::State;
use fuzzing::endpoint::{self, Script};
use fuzzing::{TARGETS, seeds};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

#[test]
fn what_a_fuzzer_found_once_breaks_nothing_any_more() {
    for (target, check) in TARGETS {
        let folder = folder().join("regressions").join(target);
        // Nothing was found by a target that has no folder.
        for file in fs::read_dir(&folder).into_iter().flatten() {
            let path = file.expect("the folder can be read").path();
            println!("{}", path.display());
            check(&fs::read(&path).expect("the file can be read"));
        }
    }
}

#[test]
fn no_input_lies_where_no_target_looks() {
    let entries = fs::read_dir(folder().join("regressions")).expect("there are regressions");
    for entry in entries {
        let name = entry.expect("the folder can be read").file_name();
        assert!(TARGETS.iter().any(|(target, _)| name == *target), "{}", name.display());
    }
}

#[test]
fn every_target_has_seeds_and_is_a_fuzz_target() {
    for (target, check) in TARGETS {
        let seeds = seeds::seeds(target);
        assert!(seeds.len() >= 5, "{target}: {} seeds", seeds.len());
        seeds.iter().for_each(|seed| check(seed));
        assert!(folder().join("fuzz_targets").join(format!("{target}.rs")).exists(), "{target}");
    }
}

#[test]
fn the_scripts_lead_into_every_state_and_are_not_silent() {
    let mut entered = BTreeSet::new();
    let (mut messages, mut replies) = (0, 0);
    for (expected, script) in seeds::scripts() {
        let played = endpoint::play(&script);
        assert!(expected.is_none_or(|state| state == played.state), "{expected:?}: {played:?}");
        entered.extend(played.entered);
        messages += played.messages;
        replies += played.replies;
    }
    let never = [State::Startup, State::Unknown];
    for state in State::ALL.into_iter().filter(|state| !never.contains(state)) {
        assert!(entered.contains(state.as_str()), "no script leads to {state}: {entered:?}");
    }
    assert!(messages > 500 && replies > 30, "{messages} messages, {replies} replies");
}

#[test]
fn a_script_is_written_as_it_is_read() {
    for (_, script) in seeds::scripts() {
        assert_eq!(Script::read(&script.write()), script);
    }
}
