//! What VAAL asks for, and when it refuses.

use ndarray::{Array4, s};

use super::*;
use crate::Signals;
use crate::progress::silent;
use crate::rng::Seed;

fn quick() -> Vaal {
    Vaal(Settings {
        width: 2,
        latents: 4,
        steps: 40,
        autoencoder_steps: 2,
        batch: 16,
        learning_rate: 5e-3,
        adversary: 0.01,
    })
}

/// Grey images of 20 × 24: a bright half, above where `up`, else on the left, and noise.
fn images(n: usize, up: impl Fn(usize) -> bool, name: &str) -> Array4<u8> {
    let mut rng = Seed::new(3).stream(name);
    Array4::from_shape_fn((n, 1, 20, 24), |(image, _, y, x)| {
        let bright = if up(image) { y < 10 } else { x < 12 };
        let noise: f32 = StandardNormal.sample(&mut rng);
        (if bright { 180.0 } else { 60.0 } + 10.0 * noise) as u8
    })
}

fn ask(u: &Signals<'_>, l: &Signals<'_>, n: usize) -> Result<Selection> {
    let labels = vec![0; l.len()];
    let query = Query { unlabelled: u, labelled: l, labels: &labels, classes: 2, n, seed: Seed::new(1) };
    query.check(&quick())?;
    quick().select(&query, &mut silent())
}

fn pool(first: u64, images: Array4<u8>) -> Signals<'static> {
    Signals::new((first..).take(images.dim().0).collect()).with_images(images).unwrap()
}

#[test]
fn it_asks_for_what_looks_unlike_the_labelled_pool() {
    let labelled = pool(1000, images(40, |_| true, "l"));
    let unlabelled = pool(0, images(60, |image| image % 2 == 0, "u"));
    let selection = ask(&unlabelled, &labelled, 20).unwrap();
    let unlike = selection.ids.iter().filter(|&&id| id % 2 == 1).count();
    assert!(unlike >= 18, "{unlike} of 20");
    assert!(selection.scores.iter().all(|score| (0.0..=1.0).contains(score)));
}

#[test]
fn order_and_threads_change_no_pick() {
    let (l, u) = (images(10, |image| image % 3 == 0, "l"), images(20, |image| image % 2 == 0, "u"));
    let (labelled, unlabelled) = (pool(1000, l.clone()), pool(0, u.clone()));
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let expected = one.install(|| ask(&unlabelled, &labelled, 8)).unwrap();
    assert_eq!(ask(&unlabelled, &labelled, 8).unwrap(), expected);
    let turned =
        Signals::new((0..20).rev().collect()).with_images(u.slice(s![..;-1, .., .., ..]).to_owned()).unwrap();
    let turned_l = Signals::new((1000..1010).rev().collect())
        .with_images(l.slice(s![..;-1, .., .., ..]).to_owned())
        .unwrap();
    assert_eq!(ask(&turned, &turned_l, 8).unwrap().ids, expected.ids);
}

#[test]
fn an_image_of_any_size_becomes_the_mean_over_areas() {
    for size in [1, 2, 20, 28, 32, 33, 64, 100] {
        for weights in areas(size) {
            let sum: f32 = weights.iter().map(|&(_, weight)| weight).sum();
            assert!((sum - 1.0).abs() < 1e-5 && weights.iter().all(|&(place, _)| place < size));
        }
    }
    let halves =
        Array4::from_shape_fn((1, 3, 64, 64), |(_, c, y, x)| (10 * c + 4 * (y % 2) + 2 * (x % 2)) as u8);
    let small = Small::of(halves.view());
    assert!(
        small.pixels.chunks(SIDE * SIDE).zip([3, 13, 23]).all(|(map, mean)| map.iter().all(|&p| p == mean))
    );
    let same = Array4::from_shape_fn((2, 1, 32, 32), |(n, _, y, x)| (n * 100 + y + 2 * x) as u8);
    assert_eq!(Small::of(same.view()).pixels, same.into_raw_vec_and_offset().0);
}

#[test]
fn the_edges() {
    let (labelled, unlabelled) = (pool(1000, images(3, |_| true, "l")), pool(0, images(4, |_| true, "u")));
    assert_eq!(ask(&unlabelled, &labelled, 9).unwrap().ids.len(), 4);
    assert!(ask(&unlabelled, &labelled, 0).unwrap().ids.is_empty());
    let error = ask(&unlabelled, &Signals::default(), 2).unwrap_err().to_string();
    assert!(error.contains("at least 2") && error.contains("core-set"), "{error}");
    let red = pool(2000, Array4::zeros((3, 3, 32, 32)));
    let error = ask(&unlabelled, &red, 2).unwrap_err().to_string();
    assert!(error.contains("1 channels") && error.contains("got: 3"), "{error}");
}
