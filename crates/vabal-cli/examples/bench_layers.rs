//! Times the convolutions of a residual network one by one, a line of JSON each, for
//! `bench/layers.py`: `bench_layers BATCH REPEATS WIDTH...`. The first line is what the processor
//! could do at most.

use std::error::Error;
use std::io::Write as _;

use vabal::measure::{Layer, peak};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let batch = args.next().ok_or("how many images?")?.parse()?;
    let repeats = args.next().ok_or("how many times?")?.parse()?;
    rayon::ThreadPoolBuilder::new().use_current_thread().build_global()?;
    let mut out = std::io::stdout();
    writeln!(out, "{}", serde_json::json!({ "peak": peak() }))?;
    for width in args {
        let width: usize = width.parse()?;
        let mut layers = vec![(32, 3, width, 3, 1), (32, width, width, 3, 1)];
        for stage in 1..4 {
            let (side, from) = (32 >> (stage - 1), width << (stage - 1));
            layers.extend([(side, from, 2 * from, 3, 2), (side, from, 2 * from, 1, 2)]);
            layers.push((side / 2, 2 * from, 2 * from, 3, 1));
        }
        for (side, from, to, size, stride) in layers {
            let layer = Layer { batch, side, from, to, size, stride };
            let line = serde_json::json!({
                "width": width, "side": side, "from": from, "to": to, "size": size, "stride": stride,
                "operations": layer.operations(), "seconds": layer.seconds(repeats),
            });
            writeln!(out, "{line}")?;
        }
    }
    Ok(())
}
