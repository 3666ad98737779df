//! What there is to label: images in memory as u8, once, and the lists of ids that take part.
//!
//! Every reader fills one [`ImageSet`]; splits and imbalance are lists of ids into it and copy no pixel.
//! Never here: networks, floats (except in [`batch`]), strategies.

use crate::{Id, Label};

/// Channels, height and width of every image of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ImageShape {
    /// 1 (grey) or 3 (red, green, blue).
    pub channels: usize,
    /// Rows of pixels.
    pub height: usize,
    /// Columns of pixels.
    pub width: usize,
}

impl ImageShape {
    /// Bytes of one image.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.channels * self.height * self.width
    }
}

/// Images of one shape, their labels and their class names. The [`Id`] of an image is its row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSet {
    shape: ImageShape,
    /// [n, channels, height, width]
    pixels: Vec<u8>,
    labels: Vec<Label>,
    classes: Vec<String>,
    /// Where each image came from, for errors and reports.
    sources: Vec<String>,
}

impl ImageSet {
    /// Number of images.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The shape of every image.
    #[must_use]
    pub fn shape(&self) -> ImageShape {
        self.shape
    }

    /// The name of every class; its length is C.
    #[must_use]
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The true label of an image.
    ///
    /// # Panics
    /// If `id` is not of this set, as indexing does.
    #[must_use]
    pub fn label(&self, id: Id) -> Label {
        self.labels[id as usize]
    }

    /// The pixels of an image, [channels, height, width].
    ///
    /// # Panics
    /// If `id` is not of this set, as indexing does.
    #[must_use]
    pub fn pixels(&self, id: Id) -> &[u8] {
        let bytes = self.shape.bytes();
        &self.pixels[id as usize * bytes..][..bytes]
    }

    /// Where an image came from: a path below the folder read, or a file and a record.
    #[must_use]
    pub fn source(&self, id: Id) -> &str {
        &self.sources[id as usize]
    }
}

/// A set of images and the part each plays in an experiment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataSet {
    /// A short name, for titles.
    pub name: String,
    /// Every image, of pool and test alike.
    pub images: ImageSet,
    /// The ids that may be asked for, ascending, after imbalance.
    pub pool: Vec<Id>,
    /// The ids that accuracy is measured on, ascending, never asked for.
    pub test: Vec<Id>,
}

impl DataSet {
    /// Images of each class among `ids`.
    #[must_use]
    pub fn class_counts(&self, ids: &[Id]) -> Vec<usize> {
        let mut counts = vec![0; self.images.classes().len()];
        for &id in ids {
            counts[self.images.label(id) as usize] += 1;
        }
        counts
    }

    /// The rare classes: those with less than three quarters of an equal share of the pool.
    /// Under `dominant(c)` these are all classes but c, under `rare(c)` it is c, in a balanced pool none.
    #[must_use]
    pub fn rare_classes(&self) -> Vec<Label> {
        let counts = self.class_counts(&self.pool);
        let classes = counts.len();
        let rare = |&n: &usize| 4 * counts[n] * classes < 3 * self.pool.len();
        (0..classes).filter(rare).map(|n| n as Label).collect()
    }
}
