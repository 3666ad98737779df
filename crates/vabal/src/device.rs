//! Where networks are computed: the CPU, or an NVIDIA GPU.
//!
//! Never here: what is computed.

use std::fmt;
use std::str::FromStr;

use crate::classify::settings::Kernels;
use crate::error::{Error, Result};
use crate::network::Engine;
use crate::network::cpu::Cpu;

/// A device as `--device` names it: `cpu`, `cuda`, `cuda:1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Device {
    /// All cores of this machine.
    #[default]
    Cpu,
    /// The NVIDIA GPU with this index.
    Cuda(usize),
}

impl Device {
    /// What computes networks there, with these kernels if it is a CPU.
    ///
    /// # Errors
    /// A GPU that this machine does not have.
    pub(crate) fn open(self, kernels: Kernels) -> Result<Box<dyn Engine>> {
        match self {
            Device::Cpu => Ok(Box::new(Cpu(kernels.vectors()))),
            Device::Cuda(_) => Err(Error::input("this build of vabal knows no GPU")
                .expected("cpu")
                .got(self)
                .hint("leave --device out to use the CPU")
                .into()),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_read_as_it_is_written() {
        for (text, device) in [
            ("cpu", Device::Cpu),
            ("cuda", Device::Cuda(0)),
            ("cuda:0", Device::Cuda(0)),
            ("cuda:3", Device::Cuda(3)),
        ] {
            assert_eq!(text.parse::<Device>().unwrap(), device);
            assert_eq!(device.to_string().parse::<Device>().unwrap(), device);
        }
        for text in ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "cpu:0", "CPU", "cuda:1:2"] {
            assert!(text.parse::<Device>().is_err(), "{text:?} is no device");
        }
    }

    #[test]
    fn a_gpu_that_is_not_there_is_an_error_with_a_hint() {
        // No machine has so many.
        let error = Device::Cuda(4096).open(Kernels::Auto).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let text = error.to_string();
        assert!(text.contains("got: cuda:4096") && text.contains("hint: "), "{text}");
    }
}
