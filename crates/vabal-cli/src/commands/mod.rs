//! One file per command.

pub mod backbone;
pub mod demo;
pub mod embed;
pub mod export;
pub mod fetch;
pub mod import;
pub mod init;
pub mod label;
pub mod predict;
pub mod query;
pub mod rank;
pub mod report;
pub mod run;
pub mod set;
pub mod status;
pub mod train;

/// The device that `--device` names. Its PyTorch is the one that the variable `VABAL_LIBTORCH` names, or that of `python3`.
///
/// # Errors
/// What the library says: an unknown name, no PyTorch, no such GPU.
fn device(name: &str) -> vabal::Result<vabal::Device> {
    vabal::Device::named(name, || vabal::device::find_pytorch(std::env::var_os("VABAL_LIBTORCH")))
}

/// A probability to six places, which is more than it is worth.
fn rounded(probability: f64) -> f64 {
    (probability * 1e6).round() / 1e6
}
