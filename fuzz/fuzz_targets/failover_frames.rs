#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| fuzzing::failover_frames::check(octets));
