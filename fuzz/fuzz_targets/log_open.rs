#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| fuzzing::log_open::check(octets));
