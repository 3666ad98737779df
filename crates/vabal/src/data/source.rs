//! The `[data]` table of a configuration file, and how it becomes a [`DataSet`].
//!
//! Never here: the formats themselves, downloading, the environment.
//!
//! ```
//! use std::path::Path;
//! use vabal::Seed;
//! use vabal::data::{Loaded, Source};
//! use vabal::progress::silent;
//!
//! let Loaded::Images(set) = Source::default().load(Seed::new(1), Path::new("."), &mut silent())? else {
//!     unreachable!("the demo is images")
//! };
//! assert_eq!(set.pool.len(), 6000);
//! # Ok::<(), vabal::Error>(())
//! ```

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::cifar::{self, Labels};
use super::folder::{Aspect, Colour, Reading};
use super::imbalance::Imbalance;
use super::split::HoldOut;
use super::{DataSet, Features, Images, Items, demo, features, folder, idx};
use crate::error::{Error, Result};
use crate::progress::{Event, Progress, report};
use crate::rng::Seed;

/// Where the images or features come from and what is done to the pool. Every key is always written
/// out.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Source {
    /// The format.
    pub kind: Kind,
    /// The folder or archive; empty is the place where `vabal fetch` puts it.
    pub path: PathBuf,
    /// Which of CIFAR-100's labels is the class.
    pub labels: Labels,
    /// Folder only: height and width that every image is brought to; 0 is the size they all have.
    pub size: usize,
    /// Folder only: what becomes of an image that is not square when `size` is given.
    pub aspect: Aspect,
    /// Folder only: one channel or three.
    pub colour: Colour,
    /// Folder only: leave out, with a warning each, images that cannot be decoded.
    pub skip_bad: bool,
    /// Chooses the held-out images and those that imbalance takes away, together with the seed
    /// given to [`Source::load`].
    pub seed: u64,
    /// The test set, for data that come without one.
    pub holdout: HoldOut,
    /// Which classes lose images of the pool.
    pub imbalance: Imbalance,
}

/// The formats that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The embedded set: 7,000 images of Fashion-MNIST.
    #[default]
    Demo,
    /// CIFAR-10, binary.
    Cifar10,
    /// CIFAR-100, binary.
    Cifar100,
    /// Fashion-MNIST as four IDX files.
    FashionMnist,
    /// Any four IDX files, as MNIST has them.
    Idx,
    /// A folder with one sub-folder of images per class.
    Folder,
    /// A file, or a folder of files, of arrays: a row of features for each item, and its label.
    Features,
}

/// A data set of what there is to label.
#[derive(Debug, Clone, PartialEq)]
pub enum Loaded {
    /// Of images.
    Images(DataSet<Images>),
    /// Of rows of features.
    Features(DataSet<Features>),
}

/// The largest `size`.
const MOST_SIZE: usize = 4096;

/// Where Debian's package `dataset-fashion-mnist` puts its files.
pub const FASHION_PACKAGE: &str = "/usr/share/datasets/fashion-mnist";

impl Kind {
    /// The name in a configuration file, for `vabal fetch`, and of the folder below the data
    /// folder.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Demo => "demo",
            Kind::Cifar10 => "cifar10",
            Kind::Cifar100 => "cifar100",
            Kind::FashionMnist => "fashion-mnist",
            Kind::Idx => "idx",
            Kind::Folder => "folder",
            Kind::Features => "features",
        }
    }
}

impl Source {
    /// Checks what can be checked without reading the data.
    ///
    /// # Errors
    /// The first value out of range, by its key.
    pub fn check(&self) -> Result<()> {
        self.holdout.check("data.holdout.")?;
        self.imbalance.check("data.imbalance.")?;
        if self.size > MOST_SIZE || (self.size > 0 && self.kind != Kind::Folder) {
            let expected = match self.kind {
                Kind::Folder => format!("0 to {MOST_SIZE}"),
                Kind::Features => "0: features are no images".into(),
                _ => format!("0: the images of {} have one size", self.kind.name()),
            };
            return Err(Error::input("a setting is out of range")
                .at("data.size")
                .expected(expected)
                .got(self.size)
                .into());
        }
        if self.path.as_os_str().is_empty() && matches!(self.kind, Kind::Idx | Kind::Folder | Kind::Features)
        {
            let (what, name) = match self.kind {
                Kind::Features => ("the file of the arrays, or their folder", "FILE"),
                _ => ("the folder of the data", "FOLDER"),
            };
            return Err(Error::input("a setting is missing")
                .at("data.path")
                .expected(what)
                .got("\"\"")
                .hint(format!("write path = \"{name}\" below [data], or give --set data.path={name}"))
                .into());
        }
        Ok(())
    }

    /// Reads the images or features, holds out a test set where the data have none, and applies the
    /// imbalance to the pool. `data_dir` is where `vabal fetch` puts data sets, each in a folder of
    /// its name; decoded images of folders are kept in `cache` below it.
    ///
    /// # Errors
    /// What [`Source::check`] and the readers say, a class without an image, or [`Error::Stopped`].
    pub fn load(&self, seed: Seed, data_dir: &Path, progress: &mut Progress<'_>) -> Result<Loaded> {
        self.check()?;
        let path = self.place(data_dir);
        let set = match self.kind {
            Kind::Demo => demo::read()?,
            Kind::Cifar10 => cifar::read(&path, cifar::Version::Ten, progress)?,
            Kind::Cifar100 => cifar::read(&path, cifar::Version::Hundred(self.labels), progress)?,
            Kind::FashionMnist => idx::read(&path, "Fashion-MNIST", &idx::FASHION, progress)?,
            Kind::Idx => idx::read(&path, &folder_name(&path), &[], progress)?,
            Kind::Folder => {
                let Self { size, aspect, colour, skip_bad, .. } = *self;
                let reading = Reading { size, aspect, colour, skip_bad };
                folder::read(&path, reading, Some(&data_dir.join("cache")), progress)?
            }
            Kind::Features => {
                let set = self.parted(features::read(&path, progress)?, seed)?;
                warn_of_absent(&set, progress)?;
                return Ok(Loaded::Features(set));
            }
        };
        let set = self.parted(set, seed)?;
        let version = match self.kind {
            Kind::Cifar10 => Some(cifar::Version::Ten),
            Kind::Cifar100 => Some(cifar::Version::Hundred(self.labels)),
            _ => None,
        };
        if let Some(text) = version.and_then(|version| cifar::unofficial(&set, version)) {
            report(progress, Event::Warning(&text))?;
        }
        warn_of_absent(&set, progress)?;
        Ok(Loaded::Images(set))
    }

    /// With a test set, and without what the imbalance takes away.
    fn parted<T: Items>(&self, mut set: DataSet<T>, seed: Seed) -> Result<DataSet<T>> {
        let seed = seed.child("data", self.seed);
        if set.test.is_empty() {
            (set.pool, set.test) = self.holdout.split(&set.items, &set.pool, seed)?;
        }
        set.check()?;
        if !self.imbalance.is_none() {
            set.pool = self.imbalance.apply(&set.items, &set.pool, seed)?;
            set.name = format!("{}, {}", set.name, self.imbalance);
        }
        Ok(set)
    }

    /// The folder or archive that is read.
    fn place(&self, data_dir: &Path) -> PathBuf {
        if !self.path.as_os_str().is_empty() {
            return self.path.clone();
        }
        let package = Path::new(FASHION_PACKAGE);
        if self.kind == Kind::FashionMnist && package.is_dir() {
            return package.to_path_buf();
        }
        data_dir.join(self.kind.name())
    }
}

fn warn_of_absent<T: Items>(set: &DataSet<T>, progress: &mut Progress<'_>) -> Result<()> {
    let absent = set.class_counts(&set.test).iter().filter(|&&count| count == 0).count();
    if absent > 0 {
        let text = format!("{absent} of the classes have no {} in the test set", T::ONE);
        report(progress, Event::Warning(&text))?;
    }
    Ok(())
}

fn folder_name(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests;
