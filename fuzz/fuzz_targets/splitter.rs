#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kubetriage_fuzz::splitter(data));
