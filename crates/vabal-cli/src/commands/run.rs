//! `vabal run`: an experiment from its configuration file, resumed where it stopped.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use vabal::config::Config;
use vabal::experiment::{self, Outcome};
use vabal::{Device, Flow, Result};

use super::machine::Machine;
use crate::output::{complain, say};
use crate::terminal::{Mode, Screen};
use crate::{data_dir, interrupt};

/// Run an experiment: strategies × seeds × rounds
///
/// Everything goes into one folder. Stopped or killed, the same command goes on from the last
/// finished step and ends with the same picks and metrics. Seeds and strategies may be added to a
/// folder later.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  vabal run experiments/cifar10-plus-1.toml\n  \
    vabal run experiments/neu.toml --set data.path=NEU-CLS-64 --set 'seeds=[1]'\n  \
    vabal run experiments/neu.toml --set data.path=NEU-CLS-64 --set 'seeds=[1,2,3]'\n  \
    vabal run experiments/cifar10-plus-1.toml --print-config")]
pub struct Run {
    /// The configuration, TOML; what it leaves out is the preset's
    pub config: PathBuf,
    #[command(flatten)]
    pub shared: Shared,
}

/// What `run` and `demo` have in common.
#[derive(Debug, clap::Args)]
pub struct Shared {
    /// Folder of this run; runs/NAME if not given
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub machine: Machine,
    /// Override a key of the configuration; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Print the resolved configuration and do nothing
    #[arg(long)]
    pub print_config: bool,
    /// Print errors only
    #[arg(long, conflicts_with = "json")]
    pub quiet: bool,
    /// Print one JSON object a line for every event
    #[arg(long)]
    pub json: bool,
}

/// Reads the configuration and runs it.
///
/// # Errors
/// What the library says.
pub fn run(args: &Run) -> Result<()> {
    let config = Config::read(&args.config, &args.shared.set)?;
    if let Some((out, mut screen)) = execute(&config, &args.shared)? {
        screen.hint(&format!("vabal report {} --out report.html", out.display()));
    }
    Ok(())
}

/// Runs a configuration and shows it; the folder, or `None` where only the configuration was asked
/// for.
///
/// # Errors
/// What the library says.
pub fn execute(config: &Config, shared: &Shared) -> Result<Option<(PathBuf, Screen)>> {
    if shared.print_config {
        say(config.to_toml()?.trim_end());
        return Ok(None);
    }
    let device = shared.machine.device()?;
    let open = shared.machine.runs.opener(shared.quiet || shared.json)?;
    if !shared.quiet && !shared.json && !matches!(device, Device::Cpu) && config.classifier.network().is_err()
    {
        complain(format_args!(
            "note: {device} trains networks from scratch; features and the linear classifier on them are computed on the CPU"
        ));
    }
    let out = shared.out.clone().unwrap_or_else(|| Path::new("runs").join(&config.name));
    let stop = interrupt::flag()?;
    let mut screen = Screen::new(Mode::of(shared.quiet, shared.json), &out);
    let mut observe = |event: experiment::Event<'_>| {
        screen.show(&event);
        if stop.load(Ordering::SeqCst) { Flow::Stop } else { Flow::Continue }
    };
    let result = experiment::run(config, &out, device, &data_dir::data_dir(), &*open, &mut observe);
    screen.clear();
    let outcome: Outcome = result?;
    screen.finish(&outcome);
    Ok(Some((out, screen)))
}
