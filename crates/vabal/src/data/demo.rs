//! The data set inside the program: 7,000 images of Fashion-MNIST, so that everything can be tried
//! without a download.
//!
//! [`vabal_demo`] has the files.

use vabal_demo::{IMAGES, LABELS, TEST_IMAGES, TEST_LABELS};

use super::{DataSet, idx};
use crate::error::Result;

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
        // The first image of the official training files is an ankle boot; counted there: its
        // background.
        let first = set.pool.iter().copied().find(|&id| set.items.label(id) == 9).unwrap();
        assert_eq!(set.items.images().pixels(first).iter().filter(|&&v| v == 0).count(), 351);
    }
}
