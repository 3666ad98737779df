//! What comes before the first round: the first pools, and what the store says the experiment is
//! about.
//!
//! Never here: rounds.

use std::collections::HashMap;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::measure::machine;
use super::record::{Pick, Summary};
use super::store::{Store, keep_config};
use crate::active::{HiddenLabels, Oracle, Partition};
use crate::config::Config;
use crate::data::{DataSet, Items};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::rng::Seed;
use crate::sqlite::to_json;

/// The first pool of every seed: what of the configuration only the data can check.
pub(super) fn first_pools<T: Items>(config: &Config, data: &DataSet<T>) -> Result<HashMap<u64, Vec<Pick>>> {
    config.seeds.iter().map(|&seed| Ok((seed, first_pool(config, data, seed)?))).collect()
}

/// The first pool of a seed, with its answers.
fn first_pool<T: Items>(config: &Config, data: &DataSet<T>, seed: u64) -> Result<Vec<Pick>> {
    let ids = Partition::new(&data.pool)?.draw(config.rounds.initial, Seed::new(seed))?;
    let labels = HiddenLabels(&data.items).label(&ids)?;
    if labels.iter().all(|label| Some(label) == labels.first()) {
        let class = labels.first().map_or("", |&label| &data.items.classes()[label as usize]);
        return Err(Error::input("the first pool holds one class only")
            .at(format!("seed {seed}"))
            .expected("images of at least two classes")
            .got(format!("{} images, all of {class}", ids.len()))
            .hint("raise rounds.initial, or take other seeds")
            .into());
    }
    let pick = |(&id, label)| Pick { id, label, score: 0.0, terms: Vec::new() };
    Ok(ids.iter().zip(labels).map(pick).collect())
}

/// Stores what the experiment is about, or checks that it is still about the same.
pub(super) fn describe<T: Items>(
    store: &mut Store,
    folder: &Path,
    config: &Config,
    data: &DataSet<T>,
    device: Device,
) -> Result<Summary> {
    let (fingerprint, device) = (fingerprint(data), ("device".to_string(), device.to_string()));
    if let (Some(mut summary), Some(stored)) = (store.summary()?, store.value("data_sha256")?) {
        if stored != fingerprint {
            return Err(Error::input("the data set has changed since this run started")
                .at(&data.name)
                .expected(format!("SHA-256 {stored}"))
                .got(format!("SHA-256 {fingerprint}"))
                .hint("bring the old data back, or choose another --out")
                .into());
        }
        // Seeds and strategies may have been added, and not on the same device.
        let config = config.with_runs_of(&summary.config)?.to_toml()?;
        if summary.config != config || !summary.machine.contains(&device) {
            summary.config.clone_from(&config);
            if !summary.machine.contains(&device) {
                summary.machine.push(device);
            }
            store.put_values(&[("summary", to_json(&summary)?)])?;
        }
        keep_config(folder, &config)?;
        return Ok(summary);
    }
    let mut machine = machine();
    machine.push(device);
    let summary = Summary {
        name: config.name.clone(),
        data: data.name.clone(),
        classes: data.items.classes().to_vec(),
        pool_counts: data.class_counts(&data.pool),
        test_counts: data.class_counts(&data.test),
        rare: data.rare_classes(),
        config: config.to_toml()?,
        machine,
    };
    store.put_values(&[("summary", to_json(&summary)?), ("data_sha256", fingerprint)])?;
    Ok(summary)
}

/// SHA-256 over the ids, labels and pixels or features of pool and test set.
fn fingerprint<T: Items>(data: &DataSet<T>) -> String {
    let mut hash = Sha256::new();
    for ids in [&data.pool, &data.test] {
        hash.update((ids.len() as u64).to_le_bytes());
        for &id in ids {
            hash.update(id.to_le_bytes());
            hash.update(data.items.label(id).to_le_bytes());
            data.items.items().digest(id, &mut hash);
        }
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
