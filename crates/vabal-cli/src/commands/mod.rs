//! One file per command.

pub mod backbone;
pub mod demo;
pub mod embed;
pub mod export;
pub mod fetch;
pub mod import;
pub mod init;
pub mod label;
pub mod machine;
pub mod predict;
pub mod query;
pub mod rank;
pub mod report;
pub mod run;
pub mod scale;
pub mod set;
pub mod status;
mod stream;
pub mod train;

/// A probability to six places, which is more than it is worth.
fn rounded(probability: f64) -> f64 {
    (probability * 1e6).round() / 1e6
}
