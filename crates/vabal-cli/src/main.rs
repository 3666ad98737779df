//! The command `vabal`.
fn main() {}
