//! Tensors and the operations of networks, by the PyTorch that the user has installed.
//!
//! Its library is opened while the program runs, through PyTorch's stable C interface, which is
//! there from version 2.10 on: nothing is linked, nothing is downloaded, and one binary fits every
//! version since. [`find`] says where the library is, [`Torch::open`] opens it for one device, and
//! the methods of [`Tensor`] call ATen's operations by name. There is no automatic differentiation:
//! the caller computes gradients.
//!
//! ```no_run
//! use vabal_torch::{Device, Format, Torch, find};
//!
//! let torch = Torch::open(&find(std::env::var_os("VABAL_LIBTORCH"))?, Device::Cpu)?;
//! let x = torch.tensor(&[-1.0_f32, 2.0], &[1, 2], Format::Contiguous)?;
//! assert_eq!(x.relu_()?.to_vec::<f32>()?, [0.0, 2.0]);
//! # Ok::<(), vabal_query::error::Error>(())
//! ```
//!
//! Never here: networks, training, settings.

mod find;
mod operations;
mod sys;

pub use find::find;
pub use operations::{Moments, Sgd};
pub use sys::{Element, Guard, Tensor, Torch};

/// What computes: a device as PyTorch counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    /// All cores of this machine.
    Cpu,
    /// The NVIDIA GPU with this index.
    Cuda(usize),
}

impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Device::Cpu => f.write_str("cpu"),
            Device::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

/// How the values of a tensor follow each other in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The last index runs fastest.
    Contiguous,
    /// Of [B, C, H, W], the second index runs fastest: what convolutions are fastest with.
    ChannelsLast,
}

impl Format {
    /// How far apart neighbours along each dimension lie.
    fn strides(self, shape: &[usize]) -> Vec<usize> {
        match (self, shape) {
            (Format::ChannelsLast, &[_, channels, height, width]) => {
                vec![height * width * channels, 1, width * channels, channels]
            }
            _ => (0..shape.len()).map(|dimension| shape[dimension + 1..].iter().product()).collect(),
        }
    }
}
