//! The server by requests over real connections: one binary for all of it.

#![expect(clippy::unwrap_used, reason = "the lint spares tests, but not the functions they share")]

mod client;
mod files;
mod flood;
mod labelling;
mod load;
mod map;
mod security;
mod support;
mod training;
