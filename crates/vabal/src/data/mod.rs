//! What there is to label: images in memory as u8, or rows of features, once, and the lists of ids
//! that take part.
//!
//! Every reader fills one [`Labelled`] set of [`Items`], or [`Images`] where nothing is known of
//! them; splits and imbalance are lists of ids into it and copy nothing. Never here: networks,
//! strategies, floats made from pixels (except in `batch`).
//!
//! ```
//! let set = vabal::data::read_demo()?;
//! assert_eq!(set.class_counts(&set.pool), [600; 10]);
//! assert_eq!(set.items.classes()[0], "T-shirt/top");
//! # Ok::<(), vabal::Error>(())
//! ```

pub(crate) mod batch;
mod cache;
pub(crate) mod cifar;
pub(crate) mod codec;
pub(crate) mod demo;
pub(crate) mod features;
pub(crate) mod folder;
pub(crate) mod idx;
pub(crate) mod imbalance;
pub mod source;
pub(crate) mod split;
pub(crate) mod walk;

pub use demo::read as read_demo;
pub use features::Features;
pub use source::{Loaded, Source};

use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};
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
    /// Bytes of one image; [`usize::MAX`] for a shape that no memory holds, as a crafted header may
    /// claim.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.channels.saturating_mul(self.height).saturating_mul(self.width)
    }
}

/// Where the images of a set came from, in as little memory as the answer allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Files of many images, in order: a name, and how many images the file holds.
    Records(Vec<(String, usize)>),
    /// One file per image, with `/` between its parts, relative to the folder read.
    Paths(Vec<Box<str>>),
}

impl Origin {
    fn len(&self) -> usize {
        match self {
            Origin::Records(files) => files.iter().map(|(_, count)| count).sum(),
            Origin::Paths(paths) => paths.len(),
        }
    }

    fn name(&self, mut row: usize) -> String {
        match self {
            Origin::Records(files) => {
                for (file, count) in files {
                    if row < *count {
                        return format!("{file}, record {row}");
                    }
                    row -= count;
                }
                String::new()
            }
            Origin::Paths(paths) => paths[row].to_string(),
        }
    }
}

/// Images of one shape, and where each came from. The [`Id`] of an image is its row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    shape: ImageShape,
    /// [n, channels, height, width]
    pixels: Vec<u8>,
    origin: Origin,
}

impl Images {
    /// Puts together `pixels` [n, channels, height, width] and where each of n images came from.
    /// Copies nothing.
    ///
    /// # Errors
    /// Lengths that do not fit together, an image without pixels, a number of channels other than 1
    /// and 3.
    pub fn new(shape: ImageShape, pixels: Vec<u8>, origin: Origin) -> Result<Self> {
        if !matches!(shape.channels, 1 | 3) || shape.height == 0 || shape.width == 0 {
            return Err(Error::input("unsupported image shape")
                .expected("1 or 3 channels, at least 1 × 1 pixels")
                .got(format!("{} channels, {} × {}", shape.channels, shape.height, shape.width))
                .into());
        }
        if origin.len().checked_mul(shape.bytes()) != Some(pixels.len()) {
            return Err(Error::input("images and origins do not fit together")
                .expected(format!("{} images of {} bytes", origin.len(), shape.bytes()))
                .got(format!("{} bytes", pixels.len()))
                .into());
        }
        Ok(Self { shape, pixels, origin })
    }

    /// Number of images.
    #[must_use]
    pub fn len(&self) -> usize {
        self.origin.len()
    }

    /// Whether there is no image.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The shape of every image.
    #[must_use]
    pub fn shape(&self) -> ImageShape {
        self.shape
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

    /// Where an image came from: a path below the folder read, or a file and a record counted from 0.
    ///
    /// # Panics
    /// If `id` is not of this set, as indexing does.
    #[must_use]
    pub fn source(&self, id: Id) -> String {
        self.origin.name(id as usize)
    }

    /// The path of an image below the folder read, where it has a file of its own.
    ///
    /// # Panics
    /// If `id` is not of this set, as indexing does.
    #[must_use]
    pub fn path(&self, id: Id) -> Option<&str> {
        match &self.origin {
            Origin::Records(_) => None,
            Origin::Paths(paths) => Some(&paths[id as usize]),
        }
    }

    /// Makes sure that every id is of this set.
    ///
    /// # Errors
    /// The first id that is not.
    pub(crate) fn check_ids(&self, ids: &[Id]) -> Result<()> {
        let Some(id) = ids.iter().find(|&&id| id >= self.len() as Id) else { return Ok(()) };
        Err(Error::input("there is no such image")
            .at(format!("id {id}"))
            .expected(format!("ids below {}, the number of images", self.len()))
            .hint("use the ids of the same image set")
            .into())
    }
}

/// What a set is of: images, or rows of features. An [`Id`] is the row of one.
pub trait Items: Sync {
    /// What one is called, for messages.
    const ONE: &'static str;
    /// Several of them.
    const SEVERAL: &'static str;

    /// How many there are.
    fn count(&self) -> usize;

    /// Where one came from.
    ///
    /// # Panics
    /// If `id` is not of this set, as indexing does.
    fn source(&self, id: Id) -> String;

    /// The path of its file, or the name that stands for one.
    ///
    /// # Panics
    /// If `id` is not of this set, as indexing does.
    fn path(&self, id: Id) -> Option<&str>;

    /// The picture to show of one, where it has one: [channels, height, width].
    ///
    /// # Panics
    /// If `id` is not of this set, as indexing does.
    fn picture(&self, id: Id) -> Option<(ImageShape, &[u8])>;

    /// Adds what one consists of to a fingerprint of the data.
    ///
    /// # Panics
    /// If `id` is not of this set, as indexing does.
    fn digest(&self, id: Id, hash: &mut Sha256);
}

impl Items for Images {
    const ONE: &'static str = "image";
    const SEVERAL: &'static str = "images";

    fn count(&self) -> usize {
        self.len()
    }

    fn source(&self, id: Id) -> String {
        self.source(id)
    }

    fn path(&self, id: Id) -> Option<&str> {
        self.path(id)
    }

    fn picture(&self, id: Id) -> Option<(ImageShape, &[u8])> {
        Some((self.shape, self.pixels(id)))
    }

    fn digest(&self, id: Id, hash: &mut Sha256) {
        hash.update(self.pixels(id));
    }
}

/// Items, their labels and their class names.
#[derive(Debug, Clone, PartialEq)]
pub struct Labelled<T> {
    items: T,
    labels: Vec<Label>,
    classes: Vec<String>,
}

/// [`Images`], their labels and their class names.
pub type ImageSet = Labelled<Images>;

impl<T: Items> Labelled<T> {
    /// Puts together items, the label of each (below the number of classes), and the names of the
    /// classes. Copies nothing.
    ///
    /// # Errors
    /// Another number of labels than of items, fewer than two classes, two classes with the same
    /// name, a label out of range.
    pub fn new(items: T, labels: Vec<Label>, classes: Vec<String>) -> Result<Self> {
        if labels.len() != items.count() {
            return Err(Error::input(format!("{} and labels do not fit together", T::SEVERAL))
                .expected(format!("{} labels, one per {}", items.count(), T::ONE))
                .got(labels.len())
                .into());
        }
        if classes.len() < 2 {
            return Err(Error::input("one class only: there is nothing to tell apart")
                .expected("at least 2 classes")
                .got(classes.join(", "))
                .hint("a folder of images needs one sub-folder per class")
                .into());
        }
        for (n, name) in classes.iter().enumerate() {
            if classes[..n].contains(name) {
                return Err(Error::input("two classes with the same name").got(format!("\"{name}\"")).into());
            }
        }
        if let Some(row) = labels.iter().position(|&label| label as usize >= classes.len()) {
            return Err(Error::input("label out of range")
                .at(items.source(row as Id))
                .expected(format!("0 to {}", classes.len() - 1))
                .got(labels[row])
                .into());
        }
        Ok(Self { items, labels, classes })
    }

    /// The items, without what is known of them.
    #[must_use]
    pub fn items(&self) -> &T {
        &self.items
    }

    /// The name of every class; its length is C.
    #[must_use]
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The true label of an item.
    ///
    /// # Panics
    /// If `id` is not of this set, as indexing does.
    #[must_use]
    pub fn label(&self, id: Id) -> Label {
        self.labels[id as usize]
    }
}

impl ImageSet {
    /// The images, without what is known of them.
    #[must_use]
    pub fn images(&self) -> &Images {
        &self.items
    }
}

/// A set of items and the part each plays in an experiment.
#[derive(Debug, Clone, PartialEq)]
pub struct DataSet<T = Images> {
    /// A short name, for titles.
    pub name: String,
    /// Every image or row of features, of pool and test alike.
    pub items: Labelled<T>,
    /// The ids that may be asked for, ascending, after imbalance.
    pub pool: Vec<Id>,
    /// The ids that accuracy is measured on, ascending, never asked for.
    pub test: Vec<Id>,
}

impl<T: Items> DataSet<T> {
    /// Items of each class among `ids`.
    #[must_use]
    pub fn class_counts(&self, ids: &[Id]) -> Vec<usize> {
        let mut counts = vec![0; self.items.classes().len()];
        for &id in ids {
            counts[self.items.label(id) as usize] += 1;
        }
        counts
    }

    /// Checks that there is something to choose from and something to measure on.
    ///
    /// # Errors
    /// An empty pool or test set, a class that the pool holds no image of.
    pub fn check(&self) -> Result<()> {
        if self.pool.is_empty() || self.test.is_empty() {
            return Err(Error::input(format!(
                "a data set without {} in its pool or its test set",
                T::SEVERAL
            ))
            .at(&self.name)
            .expected(format!("at least one {} in each", T::ONE))
            .got(format!("{} in the pool, {} in the test set", self.pool.len(), self.test.len()))
            .into());
        }
        let counts = self.class_counts(&self.pool);
        let empty: Vec<_> = (0..counts.len()).filter(|&n| counts[n] == 0).collect();
        if let [first, ..] = empty[..] {
            let names: Vec<_> =
                empty.iter().take(10).map(|&n| format!("\"{}\"", self.items.classes[n])).collect();
            let more = if empty.len() > names.len() { ", …" } else { "" };
            return Err(Error::input(format!("a class with no {} in the pool", T::ONE))
                .at(&self.name)
                .expected(format!("at least one {} of every class", T::ONE))
                .got(format!(
                    "none of {}{more} ({} of {} classes)",
                    names.join(", "),
                    empty.len(),
                    counts.len()
                ))
                .hint(format!("add {} of class {first}, or leave the class out", T::SEVERAL))
                .into());
        }
        Ok(())
    }

    /// The rare classes: those with less than three quarters of an equal share of the pool. Under
    /// `dominant(c)` these are all classes but c, under `rare(c)` it is c, in a balanced pool none.
    #[must_use]
    pub fn rare_classes(&self) -> Vec<Label> {
        let counts = self.class_counts(&self.pool);
        let classes = counts.len();
        let rare = |&n: &usize| 4 * counts[n] * classes < 3 * self.pool.len();
        (0..classes).filter(rare).map(|n| n as Label).collect()
    }
}

#[cfg(test)]
mod tests;
