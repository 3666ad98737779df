//! Where tensors live: the CPU, or an NVIDIA GPU when the `cuda` feature is compiled in.
//!
//! The one place that knows burn's devices by name. Never here: `burn::Device::default()`, which
//! reads the environment and panics.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// A device as `--device` names it: `cpu`, `cuda`, `cuda:1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Device {
    /// All cores of this machine.
    #[default]
    Cpu,
    /// The NVIDIA GPU with this index.
    Cuda(usize),
}

impl FromStr for Device {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let unknown = || {
            Error::input("unknown device")
                .expected("cpu, cuda or cuda:INDEX")
                .got(format!("\"{text}\""))
                .hint("without a GPU, leave --device out")
                .into()
        };
        match text.split_once(':') {
            None if text == "cpu" => Ok(Device::Cpu),
            None if text == "cuda" => Ok(Device::Cuda(0)),
            Some(("cuda", index)) => index.parse().map(Device::Cuda).map_err(|_| unknown()),
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Cpu => f.write_str("cpu"),
            Device::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}
