//! `--device` and `--runtime`: what trains networks and what computes features.
//!
//! Never here: which networks there are.

use vabal::backbone::{OnnxRuntime, Open};
use vabal::project::learn::Context;
use vabal::{Device, Result};

use super::backbone::open;
use crate::output::complain;

/// What runs networks.
#[derive(Debug, Clone, clap::Args)]
pub struct Machine {
    /// Where to train networks from scratch: cpu; by your PyTorch: cuda, cuda:INDEX, torch-cpu
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub device: String,
    #[command(flatten)]
    pub runs: Runs,
}

/// What runs backbones.
#[derive(Debug, Clone, clap::Args)]
pub struct Runs {
    /// What computes features: rten, inside the program, or onnxruntime, that of your Python or of
    /// VABAL_ONNXRUNTIME
    #[arg(long, value_name = "RUNTIME", default_value = "rten")]
    pub runtime: Runtime,
}

/// What can run a backbone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Runtime {
    Rten,
    Onnxruntime,
}

impl Machine {
    /// The device that `--device` names. Its PyTorch is the one that the variable `VABAL_LIBTORCH`
    /// names, or that of `python3`.
    ///
    /// # Errors
    /// What the library says.
    pub fn device(&self) -> Result<Device> {
        Device::named(&self.device, || vabal::device::find_pytorch(std::env::var_os("VABAL_LIBTORCH")))
    }

    /// What trainings of a project work with.
    ///
    /// # Errors
    /// What `--device` and `--runtime` say.
    pub fn context(&self, quiet: bool) -> Result<Context> {
        let context = Context::new(self.device()?, self.runs.opener(quiet)?);
        if !quiet && !matches!(context.device, Device::Cpu) {
            complain(format_args!(
                "note: {} trains networks from scratch; where the project has a backbone, features and classifier are computed \
                 on the CPU",
                context.device
            ));
        }
        Ok(context)
    }
}

impl Runs {
    /// What opens backbones. Says what runs them where that is not the program itself.
    ///
    /// # Errors
    /// An ONNX Runtime that is not found or cannot be used.
    pub fn opener(&self, quiet: bool) -> Result<Box<Open>> {
        if self.runtime == Runtime::Rten {
            return Ok(Box::new(open));
        }
        let library = OnnxRuntime::find(std::env::var_os("VABAL_ONNXRUNTIME"))?;
        let runtime = OnnxRuntime::open(&library)?;
        if !quiet {
            complain(format_args!("note: {} computes features", runtime.library().display()));
        }
        Ok(Box::new(move |wish| open(wish)?.with_runtime(&runtime)))
    }
}
