#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rhombus_sync_fuzz::sandbox(data));
