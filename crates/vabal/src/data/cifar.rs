//! CIFAR-10 and CIFAR-100 in their binary layout: a folder of `.bin` files, or the `.tar.gz` as
//! downloaded, which is streamed and never unpacked to disk.
//!
//! A record is one label byte (CIFAR-10) or two, coarse then fine (CIFAR-100), and 3,072 bytes of
//! pixels [3, 32, 32] (Krizhevsky 2009, <https://www.cs.toronto.edu/~kriz/cifar.html>).
//! Never here: downloading, imbalance, splits other than the official one.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{DataSet, ImageSet, ImageShape, Images, Origin};
use crate::Id;
use crate::error::{Error, Result};
use crate::progress::{Event, Progress, report};

/// Which of CIFAR-100's two labels is the class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Labels {
    /// 100 classes.
    #[default]
    Fine,
    /// 20 superclasses.
    Coarse,
}

/// Which of the two data sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// 10 classes.
    Ten,
    /// 100 classes, or 20.
    Hundred(Labels),
}

const SHAPE: ImageShape = ImageShape { channels: 3, height: 32, width: 32 };

/// What differs between the versions.
struct Layout {
    /// The name in messages and titles.
    name: &'static str,
    /// What `vabal fetch` calls it.
    fetch: &'static str,
    /// The archive as downloaded.
    archive: &'static str,
    /// The folder inside the archive.
    folder: &'static str,
    /// Record files in the order of ids, test last, with the number of records of the official
    /// file.
    files: &'static [(&'static str, usize)],
    /// Label bytes of a record: the number of classes each may name.
    labels: &'static [u8],
    /// Which label byte is the class.
    column: usize,
    /// The file of class names, one a line.
    names_file: &'static str,
    /// The class names where that file is absent.
    names: &'static [&'static str],
}

impl Version {
    fn layout(self) -> Layout {
        match self {
            Version::Ten => Layout {
                name: "CIFAR-10",
                fetch: "cifar10",
                archive: "cifar-10-binary.tar.gz",
                folder: "cifar-10-batches-bin",
                files: &[
                    ("data_batch_1.bin", 10_000),
                    ("data_batch_2.bin", 10_000),
                    ("data_batch_3.bin", 10_000),
                    ("data_batch_4.bin", 10_000),
                    ("data_batch_5.bin", 10_000),
                    ("test_batch.bin", 10_000),
                ],
                labels: &[10],
                column: 0,
                names_file: "batches.meta.txt",
                names: &CLASSES_10,
            },
            Version::Hundred(labels) => Layout {
                name: "CIFAR-100",
                fetch: "cifar100",
                archive: "cifar-100-binary.tar.gz",
                folder: "cifar-100-binary",
                files: &[("train.bin", 50_000), ("test.bin", 10_000)],
                labels: &[20, 100],
                column: usize::from(labels == Labels::Fine),
                names_file: match labels {
                    Labels::Fine => "fine_label_names.txt",
                    Labels::Coarse => "coarse_label_names.txt",
                },
                names: match labels {
                    Labels::Fine => &CLASSES_100,
                    Labels::Coarse => &CLASSES_20,
                },
            },
        }
    }
}

impl Layout {
    fn record(&self) -> usize {
        self.labels.len() + SHAPE.bytes()
    }

    /// The folder or archive meant by `path`: itself, or what lies in it under the official name.
    fn find(&self, path: &Path) -> Result<Container> {
        let first = self.files[0].0;
        if path.is_file() {
            return Ok(Container::Archive(path.to_path_buf()));
        }
        for folder in [path.to_path_buf(), path.join(self.folder)] {
            if self.files.iter().any(|(name, _)| folder.join(name).is_file()) {
                return Ok(Container::Folder(folder));
            }
        }
        let archive = path.join(self.archive);
        if archive.is_file() {
            return Ok(Container::Archive(archive));
        }
        Err(Error::input(format!("{} is not there", self.name))
            .at(path.display())
            .expected(format!("{}, or a folder that holds {first}", self.archive))
            .got(if path.is_dir() { "a folder without either" } else { "no such file or folder" })
            .hint(format!("run `vabal fetch {}`, or put {} there", self.fetch, self.archive))
            .into())
    }
}

enum Container {
    Folder(PathBuf),
    Archive(PathBuf),
}

/// What [`Container::each`] hands every file to: its name without folders, its bytes, its content.
type Visit<'a> = dyn FnMut(&str, usize, &mut dyn Read) -> Result<()> + 'a;

impl Container {
    fn path(&self) -> &Path {
        match self {
            Container::Folder(path) | Container::Archive(path) => path,
        }
    }

    /// How messages name one of its files.
    fn place(&self, name: &str) -> String {
        match self {
            Container::Folder(path) => path.join(name).display().to_string(),
            Container::Archive(path) => format!("{}, {name}", path.display()),
        }
    }

    /// Hands every file called one of `wanted` to `visit`, in the container's own order.
    fn each(&self, wanted: &[&str], visit: &mut Visit<'_>) -> Result<()> {
        match self {
            Container::Folder(folder) => {
                for name in wanted {
                    let path = folder.join(name);
                    if !path.is_file() {
                        continue;
                    }
                    let file = File::open(&path).map_err(Error::io("read", &path))?;
                    let size = file.metadata().map_err(Error::io("read", &path))?.len();
                    visit(name, usize::try_from(size).unwrap_or(usize::MAX), &mut BufReader::new(file))?;
                }
                Ok(())
            }
            Container::Archive(path) => {
                let torn = |source: std::io::Error| {
                    Error::from(
                        Error::input("the archive is torn, or is no .tar.gz")
                            .at(path.display())
                            .got(source)
                            .hint("delete it and fetch it again"),
                    )
                };
                let file = File::open(path).map_err(Error::io("read", path))?;
                let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(BufReader::new(file)));
                for entry in archive.entries().map_err(torn)? {
                    let mut entry = entry.map_err(torn)?;
                    let entry_path = entry.path().map_err(torn)?.into_owned();
                    let name = entry_path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                    if entry.header().entry_type().is_file() && wanted.contains(&name) {
                        let size = usize::try_from(entry.size()).unwrap_or(usize::MAX);
                        visit(name, size, &mut BufReader::new(&mut entry))?;
                    }
                }
                Ok(())
            }
        }
    }
}

/// Reads a whole data set from `path`: the folder of `.bin` files, the archive, or a folder that
/// holds one of them. Ids run through the training files, then the test file, whatever the order in
/// the archive; pool and test set are the official ones.
///
/// # Errors
/// A missing, truncated or over-long file, a torn archive, a label out of range (by file and
/// record), a list of class names of the wrong length, or [`Error::Stopped`].
///
/// Files of whole records, but of fewer or more than the official ones, are read; [`unofficial`]
/// names them.
pub fn read(path: &Path, version: Version, progress: &mut Progress<'_>) -> Result<DataSet> {
    let layout = version.layout();
    let container = layout.find(path)?;
    let (sizes, names) = survey(&container, &layout)?;
    let record = layout.record();

    // Every file's place is known before the first pixel is read, so that there is one copy of the
    // pixels and ids do not depend on the order inside the archive.
    let mut first_row = BTreeMap::new();
    let mut origin = Vec::new();
    let mut total = 0;
    for &(name, official) in layout.files {
        let size = sizes.get(name).copied().ok_or_else(|| {
            Error::input(format!("a file of {} is missing", layout.name))
                .at(container.place(name))
                .expected(layout.files.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", "))
                .got(sizes.keys().copied().collect::<Vec<_>>().join(", "))
                .hint(format!("run `vabal fetch {}`", layout.fetch))
        })?;
        if size == 0 || size % record != 0 {
            let whole = size / record;
            return Err(Error::input("a truncated or over-long file")
                .at(format!("{}, record {whole}", container.place(name)))
                .expected(format!("whole records of {record} bytes ({official} in the official file)"))
                .got(format!("{size} bytes: {whole} records and {} bytes", size % record))
                .hint(format!("fetch it again with `vabal fetch {}`", layout.fetch))
                .into());
        }
        let count = size / record;
        first_row.insert(name, total);
        origin.push((name.to_string(), count));
        total += count;
    }

    let mut pixels = Vec::new();
    let bytes = total.saturating_mul(SHAPE.bytes());
    if pixels.try_reserve_exact(bytes).is_err() {
        return Err(Error::input(format!("these files of {} are more than memory holds", layout.name))
            .at(container.path().display())
            .got(format!("{total} images"))
            .hint("use a machine with more memory, or files with fewer images")
            .into());
    }
    pixels.resize(bytes, 0);
    let mut labels = vec![0; total];
    let mut done = 0;
    let wanted: Vec<&str> = layout.files.iter().map(|(name, _)| *name).collect();
    container.each(&wanted, &mut |name, size, content| {
        let start = first_row.get(name).copied().unwrap_or_default();
        let mut head = [0; 2];
        let head = &mut head[..layout.labels.len()];
        for n in 0..size / record {
            let row = start + n;
            let torn = |source: std::io::Error| {
                Error::input("the file broke off while it was read")
                    .at(format!("{}, record {n}", container.place(name)))
                    .got(source)
                    .hint(format!("fetch it again with `vabal fetch {}`", layout.fetch))
            };
            content.read_exact(head).map_err(torn)?;
            for (&label, &classes) in head.iter().zip(layout.labels) {
                if label >= classes {
                    return Err(Error::input("label out of range")
                        .at(format!("{}, record {n} (byte {})", container.place(name), n * record))
                        .expected(format!("0 to {}", classes - 1))
                        .got(label)
                        .hint(format!("is this a {} file? Fetch it again if so", layout.name))
                        .into());
                }
            }
            labels[row] = head[layout.column].into();
            content.read_exact(&mut pixels[row * SHAPE.bytes()..][..SHAPE.bytes()]).map_err(torn)?;
            done += 1;
            if done % 5_000 == 0 || done == total {
                report(progress, Event::Progress { phase: "read", done, total, unit: "image", loss: None })?;
            }
        }
        Ok(())
    })?;
    let test_start = origin.last().map_or(0, |(_, count)| total - count) as Id;
    Ok(DataSet {
        name: layout.name.into(),
        items: ImageSet::new(Images::new(SHAPE, pixels, Origin::Records(origin))?, labels, names)?,
        pool: (0..test_start).collect(),
        test: (test_start..total as Id).collect(),
    })
}

/// Which files of a set that [`read`] gave hold fewer or more images than the official ones, as one
/// sentence; `None` where all hold as many.
#[must_use]
pub fn unofficial(set: &DataSet, version: Version) -> Option<String> {
    let layout = version.layout();
    let Origin::Records(files) = &set.items.items.origin else { return None };
    let other: Vec<String> = files
        .iter()
        .filter_map(|(name, count)| {
            let (_, official) = layout.files.iter().find(|(known, _)| known == name)?;
            (count != official).then(|| format!("{name} {count} instead of {official}"))
        })
        .collect();
    (!other.is_empty()).then(|| {
        format!("the images are not as many as in the official {}: {}", layout.name, other.join(", "))
    })
}

/// The size of every record file that is there, and the class names.
fn survey(container: &Container, layout: &Layout) -> Result<(BTreeMap<&'static str, usize>, Vec<String>)> {
    let mut wanted: Vec<&str> = layout.files.iter().map(|(name, _)| *name).collect();
    wanted.push(layout.names_file);
    let mut sizes = BTreeMap::new();
    let mut names: Vec<String> = layout.names.iter().map(|name| (*name).into()).collect();
    container.each(&wanted, &mut |name, size, content| {
        if let Some((known, _)) = layout.files.iter().find(|(known, _)| *known == name) {
            if sizes.insert(*known, size).is_some() {
                return Err(Error::input("duplicate file")
                    .at(container.place(name))
                    .hint(format!("fetch the archive again with `vabal fetch {}`", layout.fetch))
                    .into());
            }
            return Ok(());
        }
        let mut text = String::new();
        content.take(1 << 16).read_to_string(&mut text).map_err(Error::io("read", container.path()))?;
        let lines: Vec<String> =
            text.lines().map(str::trim).filter(|line| !line.is_empty()).map(Into::into).collect();
        if lines.len() != names.len() {
            return Err(Error::input("the list of class names has the wrong length")
                .at(container.place(name))
                .expected(format!("{} names, one a line", names.len()))
                .got(lines.len())
                .hint("fix the list, or remove it: the official names are known without it")
                .into());
        }
        names = lines;
        Ok(())
    })?;
    Ok((sizes, names))
}

const CLASSES_10: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

const CLASSES_20: [&str; 20] = [
    "aquatic_mammals",
    "fish",
    "flowers",
    "food_containers",
    "fruit_and_vegetables",
    "household_electrical_devices",
    "household_furniture",
    "insects",
    "large_carnivores",
    "large_man-made_outdoor_things",
    "large_natural_outdoor_scenes",
    "large_omnivores_and_herbivores",
    "medium_mammals",
    "non-insect_invertebrates",
    "people",
    "reptiles",
    "small_mammals",
    "trees",
    "vehicles_1",
    "vehicles_2",
];

#[rustfmt::skip]
const CLASSES_100: [&str; 100] = [
    "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle",
    "bowl", "boy", "bridge", "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle",
    "chair", "chimpanzee", "clock", "cloud", "cockroach", "couch", "crab", "crocodile", "cup", "dinosaur",
    "dolphin", "elephant", "flatfish", "forest", "fox", "girl", "hamster", "house", "kangaroo", "keyboard",
    "lamp", "lawn_mower", "leopard", "lion", "lizard", "lobster", "man", "maple_tree", "motorcycle", "mountain",
    "mouse", "mushroom", "oak_tree", "orange", "orchid", "otter", "palm_tree", "pear", "pickup_truck", "pine_tree",
    "plain", "plate", "poppy", "porcupine", "possum", "rabbit", "raccoon", "ray", "road", "rocket",
    "rose", "sea", "seal", "shark", "shrew", "skunk", "skyscraper", "snail", "snake", "spider",
    "squirrel", "streetcar", "sunflower", "sweet_pepper", "table", "tank", "telephone", "television", "tiger", "tractor",
    "train", "trout", "tulip", "turtle", "wardrobe", "whale", "willow_tree", "wolf", "woman", "worm",
];

#[cfg(test)]
mod tests;
