//! What needs an ONNX Runtime. `scripts/torch.sh` runs it.

use image::{DynamicImage, Rgb, RgbImage};
use vabal_backbone::{Backbone, OnnxRuntime, Settings};

fn picture(seed: u32) -> DynamicImage {
    let at = |x: u32, y: u32| ((x * x + seed * y + x * y / (1 + seed)) % 256) as u8;
    DynamicImage::ImageRgb8(RgbImage::from_fn(90, 70, |x, y| Rgb([at(x, y), at(y, x), at(x + seed, y)])))
}

/// One test: a process can open ONNX Runtime once.
#[test]
fn onnx_runtime_gives_the_features_of_rten_on_any_thread() {
    let variable =
        std::env::var_os("VABAL_ONNXRUNTIME").expect("scripts/torch.sh says where ONNX Runtime is");
    let runtime = OnnxRuntime::open(&OnnxRuntime::find(Some(variable)).unwrap()).unwrap();
    let images: Vec<DynamicImage> = (0..6).map(picture).collect();
    let images: Vec<&DynamicImage> = images.iter().collect();
    for size in [96, 160] {
        let rten = Backbone::embedded(&Settings { size: Some(size), ..Settings::default() }).unwrap();
        let ort = rten.clone().with_runtime(&runtime).unwrap();
        assert_eq!(rten.key(), ort.key());
        let expected = rten.worker().unwrap().features(&images).unwrap();
        let got = ort.worker().unwrap().features(&images).unwrap();
        let largest = expected.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
        let apart = expected.iter().zip(&got).fold(0.0_f32, |most, (a, b)| most.max((a - b).abs()));
        assert!(apart <= 1e-4 * largest, "{apart} of {largest} at {size} pixels");
        // Otherwise ONNX Runtime may not have run at all.
        assert_ne!(expected, got);
        // One image, one thread: the same bits.
        let ort = &ort;
        let apart: Vec<_> = std::thread::scope(|scope| {
            let work = |image| scope.spawn(move || ort.worker().unwrap().features(&[image]).unwrap());
            images
                .iter()
                .copied()
                .map(work)
                .collect::<Vec<_>>()
                .into_iter()
                .map(|work| work.join().unwrap())
                .collect()
        });
        for (row, one) in got.rows().into_iter().zip(apart) {
            assert_eq!(row, one.row(0));
        }
    }
    assert!(OnnxRuntime::open(runtime.library()).is_err(), "a second one is refused, and nothing breaks");
}
