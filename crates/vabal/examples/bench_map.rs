//! How well a map keeps neighbours: the share of the 10 nearest images in the features that are
//! among the 10 and the 30 nearest on the map, of `vabal_query::layout` beside two principal
//! components and maps made elsewhere.
//!
//!     vabal embed photos --out features.npz
//!     cargo run --release -p vabal --example bench_map -- features.npz [map.npy ...]
//!
//! `map.npy` are positions [n, 2] of the same rows, such as of scikit-learn's TSNE. `SAVE=file`
//! writes those that were computed here, two f32 each. Never here: the layout itself.

#![expect(clippy::print_stdout, reason = "a program, not the library")]

use std::path::Path;
use std::time::Instant;

use ndarray::{Array2, ArrayView2};
use vabal::Seed;
use vabal_arrays::Load;
use vabal_query::Flow;
use vabal_query::layout::{layout, preserved};
use vabal_query::pca::Pca;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut files = std::env::args().skip(1);
    let features = read(&files.next().ok_or("usage: bench_map FEATURES [MAP ...]")?)?;
    let ids: Vec<u64> = (0..features.nrows() as u64).collect();
    let mut quiet = |_: vabal_query::Event<'_>| Flow::Continue;
    let tell = |name: &str, map: ArrayView2<'_, f32>, seconds: Option<f64>| -> vabal::Result<()> {
        let mut quiet = |_: vabal_query::Event<'_>| Flow::Continue;
        let [ten, thirty] = [10, 30]
            .map(|among| preserved(features.view(), map, (10, among), &mut quiet).unwrap_or(f64::NAN));
        let took = seconds.map_or(String::new(), |seconds| format!("{seconds:8.1} s"));
        println!("{name:40} {:5.1} % {:5.1} % {took}", 100.0 * ten, 100.0 * thirty);
        Ok(())
    };
    println!("{} rows of {} columns", features.nrows(), features.ncols());
    println!("{:40} {:>7} {:>7}", "", "10/10", "10/30");
    let begun = Instant::now();
    let plain = Pca::fit(features.view(), &ids, 2, Seed::new(1), &mut quiet)?.transform(features.view())?;
    tell("two principal components", plain.view(), Some(begun.elapsed().as_secs_f64()))?;
    let begun = Instant::now();
    let mut phases: Vec<(String, Instant)> = Vec::new();
    let map = layout(features.view(), &ids, Seed::new(1), &mut |event| {
        if let vabal_query::Event::Progress { phase, .. } = event
            && phases.last().is_none_or(|(last, _)| last != phase)
        {
            phases.push((phase.to_owned(), Instant::now()));
        }
        Flow::Continue
    })?;
    tell("vabal_query::layout", map.view(), Some(begun.elapsed().as_secs_f64()))?;
    for (at, (phase, from)) in phases.iter().enumerate() {
        let to = phases.get(at + 1).map_or_else(Instant::now, |(_, to)| *to);
        println!("  {phase}: {:.1} s", to.duration_since(*from).as_secs_f64());
    }
    if let Ok(path) = std::env::var("SAVE") {
        let bytes: Vec<u8> = map.iter().flat_map(|value| value.to_le_bytes()).collect();
        std::fs::write(path, bytes)?;
    }
    for file in files {
        tell(&file, read(&file)?.view(), None)?;
    }
    Ok(())
}

/// The array [n, d] of a file: `features`, or the first that it has.
fn read(path: &str) -> Result<Array2<f32>, Box<dyn std::error::Error>> {
    let entries = vabal_arrays::open(Path::new(path))?;
    let entry = entries.iter().find(|entry| entry.name == "features").or(entries.first());
    let entry = entry.ok_or("the file has no array")?;
    let mut quiet = |_: vabal_query::Event<'_>| Flow::Continue;
    let values = entry.floats(&mut Load::new(&mut quiet))?;
    let [n, width] = entry.shape[..] else { return Err("an array [n, d] is needed".into()) };
    Ok(Array2::from_shape_vec((n, width), values.to_vec())?)
}
