#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vabal_fuzz::cifar(bytes));
