//! The linear classifier timed on arrays from files, for `bench/head.py`, which gives scikit-learn
//! the same arrays.
//!
//! `cargo run --release --package vabal-query --example bench_head -- FOLDER RUNS`
//!
//! FOLDER holds `shapes.json`, {"features": [n, d], "classes": C, "rounds": [n₁, n₂, …]},
//! `features.f32` row-major and `labels.u32`, both little-endian. Without `rounds`, the classifier
//! is fitted to all rows, RUNS times after one to warm up. With them it is fitted to the first n₁
//! rows, then from there to the first n₂, and so on, each time with the probabilities of all rows.
//! Prints the seconds of each run and, of the last fit, loss, iterations and weights.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::path::Path;
use std::time::Instant;

use ndarray::{Array2, s};
use serde::Deserialize;
use vabal_query::head::{LinearHead, Settings};
use vabal_query::progress::silent;
use vabal_query::{Error, Label, Result};

#[derive(Deserialize)]
struct Shapes {
    features: [usize; 2],
    classes: usize,
    rounds: Option<Vec<usize>>,
}

fn main() -> Result<()> {
    // As the program does.
    let _ = rayon::ThreadPoolBuilder::new().use_current_thread().build_global();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, runs] = arguments.as_slice() else {
        return Err(Error::input("wrong arguments").expected("FOLDER RUNS").into());
    };
    let wrong = |what: &str, error: &dyn std::fmt::Display| Error::from(Error::input(what).got(error));
    let runs: usize = runs.parse().map_err(|error| wrong("not a number", &error))?;
    let read = |name: &str| {
        std::fs::read(Path::new(folder).join(name)).map_err(|error| wrong("a file cannot be read", &error))
    };
    let shapes: Shapes =
        serde_json::from_slice(&read("shapes.json")?).map_err(|error| wrong("not JSON", &error))?;
    let (features, labels) = (read("features.f32")?, read("labels.u32")?);
    let features: Vec<f32> = features.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    let labels: Vec<Label> = labels.as_chunks().0.iter().map(|&bytes| Label::from_le_bytes(bytes)).collect();
    let features = Array2::from_shape_vec(shapes.features, features)
        .map_err(|error| wrong("unexpected array shape", &error))?;

    let fit = |rows: usize, warm: Option<&LinearHead>| {
        let (features, labels) = (features.slice(s![..rows, ..]), &labels[..rows]);
        LinearHead::fit(features, labels, shapes.classes, &Settings::default(), None, warm, &mut silent())
    };
    let mut head = fit(labels.len(), None)?;
    let mut seconds = Vec::new();
    for _ in 0..runs {
        let start = Instant::now();
        match &shapes.rounds {
            None => head = fit(labels.len(), None)?,
            Some(rounds) => {
                let mut before = None;
                for &rows in rounds {
                    head = fit(rows, before.as_ref())?;
                    head.probabilities(features.view())?;
                    before = Some(head.clone());
                }
            }
        }
        seconds.push(start.elapsed().as_secs_f64());
    }
    println!(
        "{{\"seconds\": {seconds:?}, \"loss\": {:?}, \"iterations\": {}, \"weights\": {:?}, \"bias\": {:?}, \"version\": \"{}\"}}",
        head.loss().unwrap_or_default(),
        head.iterations(),
        head.weights().iter().collect::<Vec<_>>(),
        head.bias().iter().collect::<Vec<_>>(),
        env!("CARGO_PKG_VERSION")
    );
    Ok(())
}
