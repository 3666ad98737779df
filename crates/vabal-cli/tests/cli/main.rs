//! Whole commands, as a person runs them: one binary for all of them.

mod configuration;
mod help;
mod resume;
mod support;
