//! Whole commands, as a person runs them: one binary for all of them.

#![expect(clippy::unwrap_used, reason = "the lint spares tests, but not the functions they share")]

mod arrays;
mod backbone;
mod configuration;
mod data;
mod demo;
mod exchange;
mod features;
mod help;
mod labelling;
mod project;
mod rank;
mod report;
mod resume;
mod scale;
mod shortlist;
mod streamed;
mod support;
