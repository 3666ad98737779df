//! Where networks are computed: by the kernels of this library on the CPU, or by the PyTorch of the
//! user.
//!
//! Never here: what is computed, where PyTorch is.

use std::fmt;
use std::path::PathBuf;

use vabal_torch::Torch;
pub use vabal_torch::find as find_pytorch;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::kernels::Vectors;
use crate::network::Engine;
use crate::network::cpu::Cpu;
use crate::network::torch::Pytorch;

/// A device that is there.
#[derive(Debug, Clone, Copy, Default)]
pub enum Device {
    /// All cores of this machine, with the kernels of this library.
    #[default]
    Cpu,
    /// A GPU, or all cores of this machine, with the operations of PyTorch.
    Torch(Torch),
}

impl Device {
    /// The device that `--device` names: `cpu`, `cuda`, `cuda:1` or `torch-cpu`. All but the first
    /// ask `pytorch` for the folder of the user's PyTorch, which [`find_pytorch`] finds.
    ///
    /// # Errors
    /// Another name, what `pytorch` says, or what [`Torch::open`] says: a PyTorch that cannot be
    /// used, or a GPU that this machine does not have.
    ///
    /// ```
    /// use vabal::Device;
    ///
    /// let device = Device::named("cpu", || vabal::device::find_pytorch(None))?;
    /// assert_eq!(device.to_string(), "cpu");
    /// # Ok::<(), vabal::Error>(())
    /// ```
    pub fn named(name: &str, pytorch: impl FnOnce() -> Result<PathBuf>) -> Result<Self> {
        use vabal_torch::Device::{Cpu, Cuda};
        let device = match name.split_once(':') {
            None if name == "cpu" => return Ok(Self::Cpu),
            None if name == "torch-cpu" => Some(Cpu),
            None if name == "cuda" => Some(Cuda(0)),
            Some(("cuda", index)) => index.parse().ok().map(Cuda),
            _ => None,
        };
        let Some(device) = device else {
            return Err(Error::input("unknown device")
                .expected("cpu, cuda, cuda:INDEX or torch-cpu")
                .got(format!("\"{name}\""))
                .hint("without a GPU, leave --device out")
                .into());
        };
        Torch::open(&pytorch()?, device).map(Self::Torch)
    }

    /// What computes networks there; the kernels of this library use these vectors.
    pub(crate) fn engine(self, vectors: Vectors) -> Box<dyn Engine> {
        match self {
            Device::Cpu => Box::new(Cpu(vectors)),
            Device::Torch(torch) => Box::new(Pytorch(torch)),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Cpu => f.write_str("cpu"),
            Device::Torch(torch) => match torch.device() {
                vabal_torch::Device::Cpu => f.write_str("torch-cpu"),
                cuda => cuda.fmt(f),
            },
        }
    }
}

/// What convolutions and BatchNorm are computed with on a CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kernels {
    /// The widest vectors that the processor has.
    #[default]
    Auto,
    /// No vectors: what a processor does that has none.
    Plain,
}

impl Kernels {
    /// The vectors that the kernels are to use.
    pub(crate) fn vectors(self) -> Vectors {
        match self {
            Self::Auto => Vectors::Widest,
            Self::Plain => Vectors::Plain,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(name: &str) -> String {
        let here = || Ok(std::env::temp_dir().join("no such folder"));
        let error = Device::named(name, here).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        error.to_string()
    }

    #[test]
    fn a_device_is_read_by_its_name() {
        let device = Device::named("cpu", || panic!("the CPU needs no PyTorch")).unwrap();
        assert_eq!(device.to_string(), "cpu");
        for name in
            ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "cpu:0", "CPU", "cuda:1:2", "torch", "torch-cuda"]
        {
            assert!(refused(name).starts_with("unknown device\n"), "{name:?} is no device");
        }
    }

    #[test]
    fn a_device_without_its_pytorch_is_an_error_with_a_hint() {
        for name in ["cuda", "cuda:1", "torch-cpu"] {
            let text = refused(name);
            assert!(text.starts_with("PyTorch is not found\n") && text.contains("hint: "), "{text}");
        }
    }
}
