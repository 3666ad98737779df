//! A classifier as ONNX, with images and what vabal says of them, for `bench/onnx_runtime.py`,
//! which asks ONNX Runtime.
//!
//! `cargo run --release --package vabal --example bench_onnx -- FOLDER DEPTH WIDTH STEPS`
//!
//! Trains that many steps on the built-in set, writes `model.onnx`, `shape.json` [n, channels,
//! height, width, C], and as f32, row-major, little-endian, `images` [n, channels, height, width]
//! from 0 to 255 and `probabilities` [n, C].

use std::path::Path;

use vabal::classify::{Settings, Training};
use vabal::data::read_demo;
use vabal::progress::silent;
use vabal::query::Needs;
use vabal::{Device, Error, Id, Result, Seed, files};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, depth, width, steps] = arguments.as_slice() else {
        return Err(Error::input("wrong arguments").expected("FOLDER DEPTH WIDTH STEPS").into());
    };
    let number = |text: &String| -> Result<usize> {
        text.parse().map_err(|error| Error::input("not a number").got(error).into())
    };
    let (depth, width, steps) = (number(depth)?, number(width)?, number(steps)?);
    let set = read_demo()?;
    let images = set.items.images();
    let pool: Vec<Id> = set.pool.iter().copied().step_by(set.pool.len() / 640).take(16 * steps).collect();
    let labels: Vec<_> = pool.iter().map(|&id| set.items.label(id)).collect();
    let settings = Settings { depth, width, epochs: 1, minimum_steps: 0, batch: 16, ..Settings::quick() };
    let training = Training {
        images,
        classes: set.items.classes(),
        settings: &settings,
        device: Device::Cpu,
        seed: Seed::new(1),
    };
    let scorer = training.fit(&pool, &labels, &mut silent())?;

    let ids: Vec<Id> = set.test.iter().copied().take(256).collect();
    let signals = scorer.signals(images, &ids, Needs::PROBABILITIES, Seed::new(1), &mut silent())?;
    let probabilities = signals.probabilities()?;
    let folder = Path::new(folder);
    let write = |name: &str, values: &mut dyn Iterator<Item = f32>| {
        files::write(&folder.join(name), &values.flat_map(f32::to_le_bytes).collect::<Vec<u8>>())
    };
    scorer.save_onnx(&folder.join("model.onnx"))?;
    write("images.f32", &mut ids.iter().flat_map(|&id| images.pixels(id)).map(|&byte| f32::from(byte)))?;
    write("probabilities.f32", &mut probabilities.iter().copied())?;
    let shape = images.shape();
    let shape = [ids.len(), shape.channels, shape.height, shape.width, scorer.classes().len()];
    files::write(&folder.join("shape.json"), format!("{shape:?}").as_bytes())
}
