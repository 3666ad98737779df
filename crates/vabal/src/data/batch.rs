//! From bytes to numbers: lists of ids become normalised f32 batches [B, C, H, W], augmented where
//! asked.
//!
//! The only place where pixels are floats, and never for more than one batch. Images are worked on
//! in parallel; each takes its draws from its own place in the stream, so threads change no bit.
//! Never here: labels, tensors of any framework.

use std::ops::Range;

use rand::RngExt as _;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{ImageShape, Images};
use crate::Id;
use crate::rng::Rng;

/// Mean and standard deviation of each channel, of pixels scaled to [0, 1].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalisation {
    /// One mean per channel.
    pub mean: Vec<f32>,
    /// One standard deviation per channel, above 0; 1 where the channel is constant.
    pub std: Vec<f32>,
}

impl Normalisation {
    /// Measures every pixel of `ids`, exactly: from counts of each of the 256 values, summed in
    /// f64.
    ///
    /// # Panics
    /// If an id is not of this set, as indexing does.
    #[must_use]
    pub fn of(images: &Images, ids: &[Id]) -> Self {
        let ImageShape { channels, height, width } = images.shape();
        let mut counts = vec![[0_u64; 256]; channels];
        for &id in ids {
            for (counts, plane) in counts.iter_mut().zip(images.pixels(id).chunks_exact(height * width)) {
                for &value in plane {
                    counts[usize::from(value)] += 1;
                }
            }
        }
        let n = (ids.len() * height * width).max(1) as f64;
        let sum = |counts: &[u64; 256], of: &dyn Fn(f64) -> f64| -> f64 {
            counts.iter().enumerate().map(|(value, &count)| count as f64 * of(value as f64 / 255.0)).sum()
        };
        let (mean, std) = counts
            .iter()
            .map(|counts| {
                let mean = sum(counts, &|x| x) / n;
                let variance = sum(counts, &|x| (x - mean) * (x - mean)) / n;
                // Far below the 1/255 between two values: only rounding.
                let std = if variance > 1e-12 { variance.sqrt() } else { 1.0 };
                (mean as f32, std as f32)
            })
            .unzip();
        Self { mean, std }
    }
}

/// Random change of a training image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Augmentation {
    /// Crop of the image's own size after padding by this many pixels on every side. The padding is
    /// zero after normalisation, which is the mean colour.
    pub padding: usize,
    /// Horizontal flip, every second image on average.
    pub flip: bool,
}

/// Turns ids of one [`Images`] into batches under one [`Normalisation`].
#[derive(Debug)]
pub struct Batcher<'a> {
    images: &'a Images,
    /// The normalised value of every byte, per channel.
    value: Vec<[f32; 256]>,
}

impl<'a> Batcher<'a> {
    /// Batches of `images`, whose channels `normalisation` must match.
    #[must_use]
    pub fn new(images: &'a Images, normalisation: &Normalisation) -> Self {
        let table = |(&mean, &std): (&f32, &f32)| -> [f32; 256] {
            std::array::from_fn(|value| (value as f32 / 255.0 - mean) / std)
        };
        Self { images, value: normalisation.mean.iter().zip(&normalisation.std).map(table).collect() }
    }

    /// The images as they are, [ids, C, H, W] row by row.
    ///
    /// # Panics
    /// If an id is not of this set, as indexing does.
    #[must_use]
    pub fn plain(&self, ids: &[Id]) -> Vec<f32> {
        self.batch(ids, |_, id, out| {
            let plane = self.plane();
            let channels = out.chunks_exact_mut(plane).zip(self.images.pixels(id).chunks_exact(plane));
            for ((out, pixels), value) in channels.zip(&self.value) {
                for (out, &pixel) in out.iter_mut().zip(pixels) {
                    *out = value[usize::from(pixel)];
                }
            }
        })
    }

    /// The images changed at random, [ids, C, H, W]. The i-th takes its draws from sub-stream
    /// `first + i` of `rng`, so that the same image of an epoch is changed alike however batches
    /// are cut.
    ///
    /// # Panics
    /// If an id is not of this set, as indexing does.
    #[must_use]
    pub fn augmented(&self, ids: &[Id], augmentation: Augmentation, rng: &Rng, first: usize) -> Vec<f32> {
        let ImageShape { height, width, .. } = self.images.shape();
        let Augmentation { padding, flip } = augmentation;
        self.batch(ids, |row, id, out| {
            let mut rng = rng.clone();
            rng.set_stream((first + row) as u64);
            let down = rng.random_range(0..=2 * padding);
            let right = rng.random_range(0..=2 * padding);
            let flip = rng.random::<bool>() && flip;
            let plane = self.plane();
            let channels = out.chunks_exact_mut(plane).zip(self.images.pixels(id).chunks_exact(plane));
            for ((out, pixels), value) in channels.zip(&self.value) {
                for (y, out) in out.chunks_exact_mut(width).enumerate() {
                    // Rows and columns left of and above the image wrap round to huge numbers.
                    let source = (y + down).wrapping_sub(padding);
                    if source >= height {
                        continue;
                    }
                    let pixels = &pixels[source * width..][..width];
                    for (x, out) in out.iter_mut().enumerate() {
                        let x = if flip { width - 1 - x } else { x };
                        if let Some(&pixel) = pixels.get((x + right).wrapping_sub(padding)) {
                            *out = value[usize::from(pixel)];
                        }
                    }
                }
            }
        })
    }

    fn plane(&self) -> usize {
        let ImageShape { height, width, .. } = self.images.shape();
        height * width
    }

    fn batch(&self, ids: &[Id], fill: impl Fn(usize, Id, &mut [f32]) + Sync) -> Vec<f32> {
        let size = self.images.shape().bytes();
        let mut out = vec![0.0; ids.len() * size];
        out.par_chunks_exact_mut(size).zip(ids).enumerate().for_each(|(row, (out, &id))| fill(row, id, out));
        out
    }
}

/// Cuts `n` rows into batches of `size`. A smaller last batch is kept, but a last batch of one row
/// joins the batch before it: a training step on a single image would normalise it by itself alone.
#[must_use]
pub fn ranges(n: usize, size: usize) -> Vec<Range<usize>> {
    let size = size.max(1);
    let mut ranges: Vec<_> = (0..n).step_by(size).map(|from| from..(from + size).min(n)).collect();
    if ranges.len() > 1 && ranges.last().is_some_and(|last| last.len() == 1) {
        ranges.pop();
        if let Some(last) = ranges.last_mut() {
            last.end = n;
        }
    }
    ranges
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::data::{ImageSet, Origin};
    use crate::{Label, Seed};

    /// `n` images whose labels go round the classes, pixel by pixel.
    pub(crate) fn image_set(
        shape: ImageShape,
        classes: usize,
        n: usize,
        mut pixel: impl FnMut(usize, [usize; 3]) -> u8,
    ) -> ImageSet {
        let mut pixels = Vec::new();
        for image in 0..n {
            for channel in 0..shape.channels {
                for y in 0..shape.height {
                    pixels.extend((0..shape.width).map(|x| pixel(image, [channel, y, x])));
                }
            }
        }
        let labels = (0..n).map(|image| (image % classes) as Label).collect();
        let names = (0..classes).map(|class| format!("class {class}")).collect();
        let origin = Origin::Records(vec![("test".to_owned(), n)]);
        ImageSet::new(Images::new(shape, pixels, origin).unwrap(), labels, names).unwrap()
    }

    const SHAPE: ImageShape = ImageShape { channels: 3, height: 5, width: 7 };

    /// Images of all bytes, a different picture each; channel 2 is constant.
    fn noise(n: usize) -> Images {
        let set = image_set(SHAPE, 2, n, |image, [channel, y, x]| {
            if channel == 2 { 77 } else { ((image * 131 + channel * 57 + y * 89 + x * 37) % 256) as u8 }
        });
        set.images().clone()
    }

    #[test]
    fn a_batch_has_mean_0_and_deviation_1_and_a_constant_channel_is_0() {
        let images = noise(40);
        let ids: Vec<Id> = (0..40).collect();
        let normalisation = Normalisation::of(&images, &ids);
        let batch = Batcher::new(&images, &normalisation).plain(&ids);
        for channel in 0..3 {
            let values: Vec<f64> = batch
                .chunks_exact(35)
                .skip(channel)
                .step_by(3)
                .flatten()
                .map(|&value| f64::from(value))
                .collect();
            let n = values.len() as f64;
            let mean = values.iter().sum::<f64>() / n;
            let std = (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
            assert!(mean.abs() < 1e-5, "channel {channel}: mean {mean}");
            let expected = if channel == 2 { 0.0 } else { 1.0 };
            assert!((std - expected).abs() < 1e-5, "channel {channel}: deviation {std}");
        }
        assert_eq!(normalisation.std[2], 1.0);
    }

    #[test]
    fn only_the_images_asked_for_are_measured() {
        let images = noise(3);
        assert_ne!(Normalisation::of(&images, &[0]), Normalisation::of(&images, &[0, 1]));
        assert_eq!(Normalisation::of(&images, &[0, 1]), Normalisation::of(&images, &[1, 0]));
    }

    #[test]
    fn an_augmented_image_is_one_of_its_crops_and_every_crop_occurs() {
        let images = noise(1);
        let batcher = Batcher::new(&images, &Normalisation::of(&images, &[0]));
        let (padding, (height, width)) = (1, (5, 7));
        let plain = batcher.plain(&[0]);
        let crop = |down: usize, right: usize, flip: bool| -> Vec<f32> {
            let at = |channel: usize, y: usize, x: usize| {
                let x = if flip { width - 1 - x } else { x };
                let (y, x) = ((y + down).checked_sub(padding), (x + right).checked_sub(padding));
                match (y, x) {
                    (Some(y), Some(x)) if y < height && x < width => {
                        plain[(channel * height + y) * width + x]
                    }
                    _ => 0.0,
                }
            };
            (0..3 * height * width).map(|i| at(i / (height * width), i / width % height, i % width)).collect()
        };
        let mut seen = std::collections::BTreeSet::new();
        let augmentation = Augmentation { padding, flip: true };
        let rng = Seed::new(1).stream("augment");
        for draw in 0..400 {
            let image = batcher.augmented(&[0], augmentation, &rng, draw);
            let which = (0..18).find(|i| crop(i / 6, i % 6 / 2, i % 2 == 1) == image);
            seen.insert(which.expect("the image is a crop"));
        }
        assert_eq!(seen.len(), 18);
        let none = Augmentation { padding: 0, flip: false };
        assert_eq!(batcher.augmented(&[0], none, &rng, 5), plain);
    }

    #[test]
    fn neither_batches_nor_threads_change_an_augmented_image() {
        let images = noise(50);
        let ids: Vec<Id> = (0..50).rev().collect();
        let batcher = Batcher::new(&images, &Normalisation::of(&images, &ids));
        let augmentation = Augmentation { padding: 2, flip: true };
        let rng = Seed::new(1).stream("augment");
        let whole = batcher.augmented(&ids, augmentation, &rng, 0);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let parts: Vec<f32> = pool.install(|| {
            ranges(50, 7)
                .into_iter()
                .flat_map(|rows| batcher.augmented(&ids[rows.clone()], augmentation, &rng, rows.start))
                .collect()
        });
        assert_eq!(whole, parts);
    }

    proptest! {
        #[test]
        fn batches_cover_every_row_once_and_none_is_a_single_row(n in 0_usize..500, size in 2_usize..70) {
            let ranges = ranges(n, size);
            prop_assert_eq!(ranges.iter().flat_map(Clone::clone).collect::<Vec<_>>(), (0..n).collect::<Vec<_>>());
            for range in &ranges {
                prop_assert!(range.len() <= size + 1);
                prop_assert!(range.len() > 1 || n == 1);
            }
        }
    }
}
