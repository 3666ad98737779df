//! VaB-AL's own part, timed: fits the VAE and scores a synthetic pool, and leaves features, weights
//! and scores behind for `bench/vabal.py`, which does the same in PyTorch and prints both.
//!
//! `cargo run --release --package vabal-query --example bench_vabal -- FOLDER ROWS CLASSES
//! all|predicted`

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::collections::HashMap;
use std::path::Path;
use std::time::Instant;

use ndarray::Array2;
use rand_distr::{Distribution, StandardNormal};
use safetensors::tensor::{Dtype, TensorView, serialize};
use vabal_query::progress::silent;
use vabal_query::strategies::vabal_paper::{ClassSum, Likelihood, Model, Preset, Settings};
use vabal_query::{Error, Label, Query, Result, Seed, Signals};

const WIDTHS: [usize; 4] = [64, 128, 256, 512];
const LABELLED: usize = 1000;

fn main() -> Result<()> {
    // As the program does.
    let _ = rayon::ThreadPoolBuilder::new().use_current_thread().build_global();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, rows, classes, sum] = arguments.as_slice() else {
        return Err(Error::input("wrong arguments").expected("FOLDER ROWS CLASSES all|predicted").into());
    };
    let number = |text: &String| {
        text.parse::<usize>().map_err(|_| Error::from(Error::input("not a number").got(text)))
    };
    let (folder, rows, classes) = (Path::new(folder), number(rows)?, number(classes)?);
    let settings = Settings {
        class_sum: if sum == "all" { ClassSum::All } else { ClassSum::Predicted },
        likelihood: if sum == "all" { Likelihood::Energy } else { Likelihood::Inverse },
        ..Settings::preset(Preset::Cross)
    };

    let (unlabelled, _) = pool(0, rows, classes)?;
    let (labelled, labels) = pool(rows as u64, LABELLED, classes)?;
    let peak_before = peak_bytes();
    let start = Instant::now();
    let model = Model::fit(&settings, &unlabelled, classes, Seed::new(1), &mut silent())?;
    let fit = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let query = Query {
        unlabelled: &unlabelled,
        labelled: &labelled,
        labels: &labels,
        classes,
        n: rows,
        seed: Seed::new(1),
    };
    let selection = model.select(&query, &mut silent())?;
    let score = start.elapsed().as_secs_f64();
    let peak = peak_bytes();

    model.save(&folder.join("vae.safetensors"))?;
    let mut scores = vec![0.0_f32; rows];
    selection.ids.iter().zip(&selection.scores).for_each(|(&id, &score)| scores[id as usize] = score as f32);
    let mut arrays = HashMap::from([("scores".to_string(), Array2::from_shape_vec((rows, 1), scores))]);
    for (part, signals) in [("unlabelled", &unlabelled), ("labelled", &labelled)] {
        for (l, stage) in signals.stages()?.iter().enumerate() {
            arrays.insert(format!("{part}.stage{}", l + 1), Ok(stage.to_owned()));
        }
        let predicted: Vec<f32> = signals.predicted()?.iter().map(|&n| n as f32).collect();
        arrays.insert(format!("{part}.predicted"), Array2::from_shape_vec((signals.len(), 1), predicted));
    }
    let wrong = |error: String| Error::from(Error::input("the arrays cannot be written").got(error));
    let mut bytes = HashMap::new();
    for (name, array) in arrays {
        let array = array.map_err(|error| wrong(error.to_string()))?;
        let shape = array.shape().to_vec();
        bytes.insert(name, (shape, array.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>()));
    }
    let views = bytes
        .iter()
        .map(|(name, (shape, bytes))| Ok((name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
        .collect::<std::result::Result<Vec<_>, safetensors::SafeTensorError>>()
        .map_err(|error| wrong(error.to_string()))?;
    let file = serialize(views, None).map_err(|error| wrong(error.to_string()))?;
    vabal_query::files::write(&folder.join("features.safetensors"), &file)?;
    println!(
        "{{\"fit\": {fit:.3}, \"score\": {score:.3}, \"peak\": {}, \"added\": {}, \"threads\": {}, \"version\": \"{}\"}}",
        peak,
        peak.saturating_sub(peak_before),
        rayon::current_num_threads(),
        env!("CARGO_PKG_VERSION")
    );
    Ok(())
}

/// Clusters around one centre per class, never negative, as features after a ReLU are.
fn pool(first: u64, rows: usize, classes: usize) -> Result<(Signals<'static>, Vec<Label>)> {
    let labels: Vec<Label> = (0..rows).map(|row| (row % classes) as Label).collect();
    let normal = |rows: usize, columns: usize, name: &str| {
        let mut rng = Seed::new(first).stream(name);
        Array2::<f32>::from_shape_simple_fn((rows, columns), || StandardNormal.sample(&mut rng))
    };
    let stages = WIDTHS.map(|width| {
        let mut rng = Seed::new(7).stream("centres");
        let centres =
            Array2::<f32>::from_shape_simple_fn((classes, width), || StandardNormal.sample(&mut rng));
        let noise = normal(rows, width, "noise");
        Array2::from_shape_fn((rows, width), |(i, j)| {
            (centres[[labels[i] as usize, j]] + noise[[i, j]]).abs()
        })
    });
    let probabilities =
        Array2::from_shape_fn((rows, classes), |(i, n)| f32::from(u8::from(labels[i] as usize == n)));
    let signals = Signals::new((first..).take(rows).collect())
        .with_probabilities(probabilities)?
        .with_stages(stages.to_vec())?;
    Ok((signals, labels))
}

/// Highest resident memory so far, in bytes; 0 where the system does not tell.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
