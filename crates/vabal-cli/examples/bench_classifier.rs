//! Times training steps and stage features of the classifier, one line of JSON per width, for
//! `bench/classifier.py`: `bench_classifier STEPS auto|plain|DEVICE BATCH WIDTH...`. Random images:
//! speed does not depend on them. Allocator and threads are the program's. `training_mib` is by how
//! much the process grew at most from before the training: of one width a process, since the peak
//! is that of all before.

use std::error::Error;
use std::io::Write as _;
use std::time::Instant;

use rand::Rng as _;
use vabal::classify::Training;
use vabal::classify::{Kernels, Settings};
use vabal::data::{ImageShape, Images, Origin};
use vabal::query::Needs;
use vabal::{Device, Event, Flow, Id, Label, Seed};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Batches of the pool that features are taken of; a training sees one.
const POOL: usize = 8;
const SHAPE: ImageShape = ImageShape { channels: 3, height: 32, width: 32 };

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let steps: usize = args.next().ok_or("how many steps?")?.parse()?;
    let (kernels, device) = match args.next().ok_or("auto, plain or a device?")?.as_str() {
        "auto" => (Kernels::Auto, Device::Cpu),
        "plain" => (Kernels::Plain, Device::Cpu),
        name => {
            let pytorch = || vabal::device::find_pytorch(std::env::var_os("VABAL_LIBTORCH"));
            (Kernels::Auto, Device::named(name, pytorch)?)
        }
    };
    let batch: usize = args.next().ok_or("how many images a step?")?.parse()?;
    rayon::ThreadPoolBuilder::new().use_current_thread().build_global()?;
    let pool = POOL * batch;
    let mut pixels = vec![0; pool * SHAPE.bytes()];
    Seed::new(1).stream("pixels").fill_bytes(&mut pixels);
    let labels: Vec<Label> = (0..pool as Label).map(|image| image % 10).collect();
    let classes: Vec<String> = (0..10).map(|class| class.to_string()).collect();
    let origin = Origin::Records(vec![("random".to_owned(), pool)]);
    let images = Images::new(SHAPE, pixels, origin)?;
    let ids: Vec<Id> = (0..pool as Id).collect();

    for width in args {
        // One batch an epoch; the first step is the warm-up.
        let settings = Settings {
            width: width.parse()?,
            epochs: steps + 1,
            batch,
            kernels,
            learning_rate: 1e-3,
            ..Settings::paper()
        };
        let training =
            Training { images: &images, classes: &classes, settings: &settings, device, seed: Seed::new(1) };
        let before = memory("VmRSS");
        let mut ends = Vec::new();
        let scorer = training.fit(&ids[..batch], &labels[..batch], &mut |event: Event<'_>| {
            // A loss that is told has been computed: a GPU has done all steps before it.
            if let Event::Progress { done, loss: Some(_), .. } = event {
                ends.push((done, Instant::now()));
            }
            Flow::Continue
        })?;
        let grown = memory("VmHWM").zip(before).map(|(peak, before)| peak - before);
        let each = ends.windows(2).map(|pair| {
            let [(from, start), (to, end)] = [pair[0], pair[1]];
            (end - start).as_secs_f64() / (to - from) as f64
        });
        let train = median(each.collect()).ok_or("a GPU needs 16 steps or more")?;
        let mut seconds = Vec::new();
        for _ in 0..=steps.div_ceil(POOL) {
            let start = Instant::now();
            let needs = Needs::PROBABILITIES.and(Needs::STAGES);
            scorer.signals(&images, &ids, needs, Seed::new(1), &mut |_: Event<'_>| Flow::Continue)?;
            seconds.push(start.elapsed().as_secs_f64() / POOL as f64);
        }
        let features = median(seconds.split_off(1)).ok_or("nothing was timed")?;
        let line = serde_json::json!({
            "width": settings.width, "train": train, "features": features, "training_mib": grown,
        });
        writeln!(std::io::stdout(), "{line}")?;
    }
    Ok(())
}

/// A figure of this process in MiB, where the system tells it.
fn memory(name: &str) -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().trim_end_matches("kB").trim().parse::<f64>().ok().map(|kib| kib / 1024.0)
}

fn median(mut seconds: Vec<f64>) -> Option<f64> {
    seconds.sort_unstable_by(f64::total_cmp);
    seconds.get(seconds.len() / 2).copied()
}
