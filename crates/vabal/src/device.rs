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

impl Device {
    /// The device itself, for tensors.
    ///
    /// # Errors
    /// A GPU that this build does not know, or that this machine does not have.
    pub(crate) fn open(self) -> Result<burn::tensor::Device> {
        match self {
            Device::Cpu => Ok(burn::tensor::Device::flex()),
            Device::Cuda(index) => open_cuda(index),
        }
    }

    /// For `map_err` where a result is read back: a device that broke off, most often for want of memory.
    pub(crate) fn failed<E: fmt::Display>(self) -> impl Fn(E) -> Error {
        move |error| {
            Error::input(format!("the device {self} failed"))
                .got(error)
                .hint("use a smaller batch, or another --device")
                .into()
        }
    }
}

#[cfg(not(feature = "cuda"))]
fn open_cuda(index: usize) -> Result<burn::tensor::Device> {
    Err(Error::input("this build of vabal knows no GPU")
        .expected("cpu")
        .got(Device::Cuda(index))
        .hint("build with `--features cuda`, or leave --device out")
        .into())
}

#[cfg(feature = "cuda")]
fn open_cuda(index: usize) -> Result<burn::tensor::Device> {
    use burn::tensor::{Device as Burn, DeviceType, Tensor};
    // Listing asks for the driver without need of one; everything else of burn panics without it.
    let found = Burn::enumerate(DeviceType::Cuda).len();
    if index >= found {
        let expected = match found {
            0 => "a machine with an NVIDIA GPU and its driver".to_owned(),
            1 => "cuda:0, the only GPU".to_owned(),
            _ => format!("cuda:0 to cuda:{}", found - 1),
        };
        return Err(Error::input("there is no such GPU")
            .expected(expected)
            .got(Device::Cuda(index))
            .hint("look at `nvidia-smi`, or leave --device out to use the CPU")
            .into());
    }
    // A driver without the CUDA compiler libraries makes the first operation panic.
    let probe = || -> Option<Burn> {
        let device = Burn::cuda(index);
        let sum = Tensor::<1>::ones([2], &device).sum().try_into_scalar::<f32>().ok()?;
        (sum == 2.0).then_some(device)
    };
    std::panic::catch_unwind(probe).ok().flatten().ok_or_else(|| {
        Error::input("the GPU cannot be used")
            .expected("an NVIDIA driver and the CUDA libraries (libnvrtc) that fit each other")
            .got(Device::Cuda(index))
            .hint("install the CUDA runtime, or leave --device out to use the CPU")
            .into()
    })
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
    fn the_cpu_is_always_there() {
        assert!(!Device::Cpu.open().unwrap().is_autodiff());
    }

    #[test]
    fn a_gpu_that_is_not_there_is_an_error_with_a_hint() {
        // No machine has so many, so this holds with and without the feature.
        let error = Device::Cuda(4096).open().unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let text = error.to_string();
        assert!(text.contains("got: cuda:4096") && text.contains("hint: "), "{text}");
    }
}
