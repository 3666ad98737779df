//! An experiment: its data, what learns from them, and the grid of its runs (`grid`), begun or gone
//! on with.
//!
//! Never here: what a run does.

use std::collections::HashMap;
use std::path::Path;

use super::begin::first_pools;
use super::frozen;
use super::grid::grid;
use super::observe::{Event, Observer};
use super::record::{RunRecord, Summary};
use super::store::Store;
use crate::active::{Heads, Learner, Strength, Trainer};
use crate::backbone::Open;
use crate::config::{self, Config};
use crate::data::{DataSet, Items, Loaded};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::progress::{self, Flow};
use crate::rng::Seed;

/// A finished experiment.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The experiment.
    pub summary: Summary,
    /// Its runs.
    pub runs: Vec<RunRecord>,
    /// Whether it was finished before: nothing was done.
    pub already: bool,
}

/// Runs what `config` says in the folder `out`, or what is left of it. `data_dir` is where data
/// sets are; `open` opens a backbone, as [`backbone::open`](crate::backbone::open) does.
///
/// # Errors
/// What the configuration, the folder, the data, the device, the training or a strategy says, or
/// [`Error::Stopped`]. What was finished is kept, and the same call goes on after it.
pub fn run(
    config: &Config,
    out: &Path,
    device: Device,
    data_dir: &Path,
    open: &Open,
    observer: &mut Observer<'_>,
) -> Result<Outcome> {
    config.check()?;
    let mut store = Store::open(out, config)?;
    if store.is_finished(config)? {
        return already(store);
    }
    store.event("started", &format!("on {device}"))?;
    let mut warnings = Vec::new();
    let mut listen = |event: progress::Event<'_>| match event {
        progress::Event::Warning(text) => {
            warnings.push(text.to_string());
            Flow::Continue
        }
        event => observer(Event::Work { at: None, whole: 0.0, event }),
    };
    // The data are the same for every seed of the experiment: `data.seed` alone decides over them.
    let data = config.data.load(Seed::new(0), data_dir, &mut listen);
    // Warnings wait for the configuration: beside its error they would be noise. Beside an error of
    // the data they may be its reason.
    let firsts = match &data {
        Ok(Loaded::Images(data)) => first_pools(config, data)?,
        Ok(Loaded::Features(data)) => first_pools(config, data)?,
        Err(_) => HashMap::new(),
    };
    for text in &warnings {
        let event = progress::Event::Warning(text);
        if observer(Event::Work { at: None, whole: 0.0, event }) == Flow::Stop {
            return Err(Error::Stopped);
        }
    }
    match data? {
        Loaded::Images(data) if let config::Classifier::Frozen(settings) = &config.classifier => {
            let mut listen =
                |event: progress::Event<'_>| observer(Event::Work { at: None, whole: 0.0, event });
            let features = frozen::see(settings, &data, open, data_dir, &mut listen)?;
            let classes = data.items.classes().len();
            let strength = Strength::Validated { balanced: settings.balanced };
            let heads = Heads { features: &features, classes, strength };
            grid((config, firsts), store, out, device, &data, &heads, observer)
        }
        Loaded::Images(data) => {
            let trainer = Trainer {
                images: data.items.images(),
                classes: data.items.classes(),
                settings: config.classifier.network()?,
                device,
            };
            grid((config, firsts), store, out, device, &data, &trainer, observer)
        }
        Loaded::Features(data) => {
            let heads = Heads {
                features: data.items.items(),
                classes: data.items.classes().len(),
                strength: Strength::Fixed(config.classifier.linear()?),
            };
            grid((config, firsts), store, out, device, &data, &heads, observer)
        }
    }
}

/// The same with data and a learner of one's own, on the CPU.
///
/// # Errors
/// As [`run`].
pub fn run_with<T: Items>(
    config: &Config,
    out: &Path,
    data: &DataSet<T>,
    learner: &dyn Learner,
    observer: &mut Observer<'_>,
) -> Result<Outcome> {
    config.check()?;
    let store = Store::open(out, config)?;
    if store.is_finished(config)? {
        return already(store);
    }
    let firsts = first_pools(config, data)?;
    grid((config, firsts), store, out, Device::Cpu, data, learner, observer)
}

fn already(store: Store) -> Result<Outcome> {
    let outcome = outcome(&store, true)?;
    store.close()?;
    Ok(outcome)
}

pub(super) fn outcome(store: &Store, already: bool) -> Result<Outcome> {
    let summary = store.summary()?.ok_or_else(|| Error::input("a finished run holds no summary"))?;
    Ok(Outcome { runs: store.records(&summary)?, summary, already })
}
