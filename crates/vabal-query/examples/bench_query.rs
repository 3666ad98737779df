//! Strategies timed on arrays from files, for `bench/peers.py`, which gives others the same arrays
//! and prints all.
//!
//! `cargo run --release --package vabal-query --example bench_query -- FOLDER STRATEGY N RUNS`
//!
//! FOLDER holds `shapes.json`, and for each array that it names its values as f32, row-major,
//! little-endian: `embedding` and `labelled` [n, d], `probabilities` [n, C], `draws` [n, T, C].
//! Prints the seconds of each run after one to warm up, the memory that a run takes beside its
//! input, and the ids. STRATEGY may be `copy`: how long it takes to copy `probabilities` or `draws`
//! with all threads.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::collections::HashMap;
use std::path::Path;
use std::time::Instant;

use ndarray::{ArrayView2, ArrayView3};
use rayon::prelude::*;
use vabal_query::STRATEGIES;
use vabal_query::progress::silent;
use vabal_query::{Error, Query, Result, Seed, Signals};

fn main() -> Result<()> {
    // As the program does.
    let _ = rayon::ThreadPoolBuilder::new().use_current_thread().build_global();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, strategy, n, runs] = arguments.as_slice() else {
        return Err(Error::input("wrong arguments").expected("FOLDER STRATEGY N RUNS").into());
    };
    let wrong = |what: &str, error: &dyn std::fmt::Display| Error::from(Error::input(what).got(error));
    let number = |text: &String| text.parse::<usize>().map_err(|error| wrong("not a number", &error));
    let (n, mut runs) = (number(n)?, number(runs)?);
    let read = |name: &str| {
        std::fs::read(Path::new(folder).join(name)).map_err(|error| wrong("a file cannot be read", &error))
    };
    let shapes: HashMap<String, Vec<usize>> =
        serde_json::from_slice(&read("shapes.json")?).map_err(|error| wrong("not JSON", &error))?;
    let mut arrays = HashMap::new();
    for name in shapes.keys() {
        let bytes = read(&format!("{name}.f32"))?;
        let values = bytes.par_chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        arrays.insert(name.as_str(), values.collect::<Vec<f32>>());
    }

    let rows = ["embedding", "probabilities", "draws"].iter().find_map(|&name| shapes.get(name));
    let rows = rows.map_or(0, |shape| shape[0]);
    let mut unlabelled = Signals::new((0..rows as u64).collect());
    let mut labelled = Signals::default();
    let shape_error = |error: ndarray::ShapeError| wrong("unexpected array shape", &error);
    for (&name, values) in &arrays {
        match (name, shapes[name].as_slice()) {
            ("draws", &[n, draws, classes]) => {
                let view = ArrayView3::from_shape((n, draws, classes), values).map_err(shape_error)?;
                unlabelled = unlabelled.with_monte_carlo(view)?;
            }
            (name, &[n, columns]) => {
                let view = ArrayView2::from_shape((n, columns), values).map_err(shape_error)?;
                match name {
                    "embedding" => unlabelled = unlabelled.with_embedding(view)?,
                    "probabilities" => unlabelled = unlabelled.with_probabilities(view)?,
                    _ => {
                        let ids = (rows as u64..).take(n).collect();
                        labelled = Signals::new(ids).with_embedding(view)?;
                    }
                }
            }
            _ => return Err(Error::input("unexpected array shape").at(name).into()),
        }
    }

    let labels = vec![0; labelled.len()];
    let classes = unlabelled.classes().unwrap_or(2);
    let before = memory("VmRSS:");
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let (mut seconds, mut ids) = (Vec::new(), Vec::new());
    if strategy == "copy" {
        let values = arrays.get("draws").or_else(|| arrays.get("probabilities"));
        let values = values.ok_or_else(|| Error::input("nothing to copy"))?;
        let mut copy = vec![0.0_f32; values.len()];
        for _ in 0..=runs {
            let start = Instant::now();
            copy.par_chunks_mut(1 << 16)
                .zip(values.par_chunks(1 << 16))
                .for_each(|(to, from)| to.copy_from_slice(from));
            seconds.push(start.elapsed().as_secs_f64());
        }
    } else {
        let strategy = STRATEGIES.by_name(strategy)?;
        let mut run = 0;
        while run <= runs {
            let query = Query {
                unlabelled: &unlabelled,
                labelled: &labelled,
                labels: &labels,
                classes,
                n,
                seed: Seed::new(1),
            };
            let start = Instant::now();
            ids = strategy.select(&query, &mut silent())?.ids;
            seconds.push(start.elapsed().as_secs_f64());
            if seconds[0] > 30.0 {
                // One run of what takes long, the first.
                runs = 0;
            }
            run += 1;
        }
    }
    let measured = &seconds[usize::from(seconds.len() > 1)..];
    println!(
        "{{\"seconds\": {measured:?}, \"added\": {}, \"ids\": {ids:?}, \"threads\": {}, \"version\": \"{}\"}}",
        memory("VmHWM:").saturating_sub(before),
        rayon::current_num_threads(),
        env!("CARGO_PKG_VERSION")
    );
    Ok(())
}

/// Resident memory, now or at its highest, in bytes; 0 where the system does not tell.
fn memory(which: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(which));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
