//! `fuzzing DIR` writes the inputs from which the fuzzers begin: `DIR/TARGET/…`, and words in `DIR/TARGET.dict`.

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs, io};

use fuzzing::{TARGETS, seeds};

fn main() -> ExitCode {
    let Some(folder) = env::args().nth(1) else {
        eprintln!("usage: fuzzing DIR");
        return ExitCode::FAILURE;
    };
    match write(Path::new(&folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{folder}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write(folder: &Path) -> io::Result<()> {
    for (target, _) in TARGETS {
        fs::create_dir_all(folder.join(target))?;
        for (number, seed) in seeds::seeds(target).iter().enumerate() {
            fs::write(folder.join(target).join(format!("seed-{number}")), seed)?;
        }
        let words = seeds::words(target);
        let lines: String = words.iter().map(|word| format!("{word:?}\n")).collect();
        fs::write(folder.join(format!("{target}.dict")), lines)?;
    }
    Ok(())
}
