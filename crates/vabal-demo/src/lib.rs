//! The embedded data set as bytes: 7,000 images of Fashion-MNIST in four gzipped IDX files.
//!
//! The first 600 images of each class of the official training files are the pool, the first 100 of
//! each class of the official test files the test set; `scripts/demo_set.py` makes the files again.
//! A crate of its own, so that the Python package has the images without the networks.
//! Fashion-MNIST is © 2017 Zalando SE, under the MIT licence (`data/LICENSE`).
//!
//! ```
//! let magic = [0x1f, 0x8b]; // gzip
//! assert!(vabal_demo::IMAGES.starts_with(&magic) && vabal_demo::LABELS.starts_with(&magic));
//! ```

/// The pool: 6,000 images of 28 × 28 grey pixels, 600 of each of 10 classes.
pub const IMAGES: &[u8] = include_bytes!("../data/train-images-idx3-ubyte.gz");
/// The labels of the pool.
pub const LABELS: &[u8] = include_bytes!("../data/train-labels-idx1-ubyte.gz");
/// The test set: 1,000 images, 100 of each class.
pub const TEST_IMAGES: &[u8] = include_bytes!("../data/t10k-images-idx3-ubyte.gz");
/// The labels of the test set.
pub const TEST_LABELS: &[u8] = include_bytes!("../data/t10k-labels-idx1-ubyte.gz");
