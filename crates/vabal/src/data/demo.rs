//! The data set inside the program: 7,000 images of Fashion-MNIST, so that everything can be tried
//! without a download.
//!
//! The first 600 images of each class of the official training files are the pool, the first 100 of
//! each class of the official test files the test set; `scripts/demo_set.py` makes the files again.
//! Fashion-MNIST is © 2017 Zalando SE, under the MIT licence (`demo/LICENSE`).

use super::{DataSet, idx};
use crate::error::Result;

const IMAGES: &[u8] = include_bytes!("demo/train-images-idx3-ubyte.gz");
const LABELS: &[u8] = include_bytes!("demo/train-labels-idx1-ubyte.gz");
const TEST_IMAGES: &[u8] = include_bytes!("demo/t10k-images-idx3-ubyte.gz");
const TEST_LABELS: &[u8] = include_bytes!("demo/t10k-labels-idx1-ubyte.gz");

/// The embedded set: 28 × 28, grey, 10 classes, a pool of 600 and a test set of 100 images of each.
///
/// # Errors
/// None in a program that was built from whole files.
pub fn read() -> Result<DataSet> {
    let pool = [("embedded training images", IMAGES), ("embedded training labels", LABELS)];
    let test = [("embedded test images", TEST_IMAGES), ("embedded test labels", TEST_LABELS)];
    idx::read_bytes("Fashion-MNIST, 7,000 images", [pool, test], &idx::FASHION)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_embedded_set_is_whole_and_balanced() {
        let set = super::read().unwrap();
        assert_eq!(set.class_counts(&set.pool), [600; 10]);
        assert_eq!(set.class_counts(&set.test), [100; 10]);
        // The first training image of the official files is an ankle boot; most of it is background.
        let first = set.pool.iter().copied().find(|&id| set.images.label(id) == 9).unwrap();
        assert_eq!(set.images.pixels(first).iter().filter(|&&v| v == 0).count(), 326);
    }
}
