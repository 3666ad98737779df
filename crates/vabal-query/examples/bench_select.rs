//! Strategies timed on a synthetic pool: seconds and peak memory.
//!
//! `cargo run --release --package vabal-query --example bench_select -- ROWS WIDTH LABELLED N
//! NAME…`

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::time::Instant;

use ndarray::Array2;
use rand_distr::{Distribution, StandardNormal};
use vabal_query::STRATEGIES;
use vabal_query::{Event, Flow, Label, Query, Result, Seed, Signals};

const CLASSES: usize = 10;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number =
        |place: usize| arguments.get(place).and_then(|text| text.parse::<usize>().ok()).unwrap_or(1000);
    let (rows, width, labelled, n) = (number(0), number(1), number(2), number(3));
    let mut rng = Seed::new(1).stream("features");
    let mut normal = |rows: usize| -> Array2<f32> {
        Array2::from_shape_simple_fn((rows, width), || StandardNormal.sample(&mut rng))
    };
    // Class c with about 0.6 of the images of class c − 1; 40 modes a class.
    let class = |i: usize| ((i as f64 * 0.618_034).fract().max(1e-6).ln() / 0.6_f64.ln()) as usize % CLASSES;
    let modes = normal(40 * CLASSES);
    let mut pool = |first: usize, rows: usize| {
        let noise = normal(rows);
        let features = Array2::from_shape_fn((rows, width), |(i, j)| {
            (modes[[40 * class(first + i) + (first + i) % 40, j]] + 0.7 * noise[[i, j]]).max(0.0)
        });
        let p = Array2::from_shape_fn((rows, CLASSES), |(i, c)| {
            let sure = noise[[i, 0]].abs().min(2.0) / 2.5;
            if c == class(first + i) { sure } else { (1.0 - sure) / (CLASSES - 1) as f32 }
        });
        let ids = (first as u64..).take(rows).collect();
        Signals::new(ids).with_probabilities(p).and_then(|s| s.with_embedding(features))
    };
    let (unlabelled, known) = (pool(0, rows)?, pool(rows, labelled)?);
    let labels: Vec<Label> = (rows..rows + labelled).map(|i| class(i) as Label).collect();
    for name in &arguments[4..] {
        let query = Query {
            unlabelled: &unlabelled,
            labelled: &known,
            labels: &labels,
            classes: CLASSES,
            n,
            seed: Seed::new(1),
        };
        let start = Instant::now();
        let mut phases: Vec<(String, f64)> = Vec::new();
        let mut listen = |event: Event<'_>| {
            if let Event::Progress { phase, .. } = event {
                let now = start.elapsed().as_secs_f64();
                match phases.last_mut() {
                    Some((last, end)) if last == phase => *end = now,
                    _ => phases.push((phase.to_string(), now)),
                }
            }
            Flow::Continue
        };
        let selection = STRATEGIES.by_name(name)?.select(&query, &mut listen)?;
        println!("{name}: {:.2} s {phases:.2?} {:?}", start.elapsed().as_secs_f64(), &selection.ids[..5]);
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        println!("  {}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default());
    }
    Ok(())
}
