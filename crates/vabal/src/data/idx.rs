//! IDX, the format of MNIST and Fashion-MNIST, plain or gzipped (told by content).
//!
//! A file is a magic number `00 00 08 d`, d big-endian u32 dimensions, then bytes
//! (<http://yann.lecun.com/exdb/mnist/>); images have d = 3, labels d = 1. Never here: imbalance,
//! splits other than the files' own.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::{DataSet, ImageSet, ImageShape, Images, Origin};
use crate::error::{Error, Result};
use crate::progress::{Event, Progress, report};
use crate::{Id, Label};

/// The classes of Fashion-MNIST, by label.
pub const FASHION: [&str; 10] = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
];

/// An opened IDX file: its header is read, its values are not.
struct Idx<'a> {
    name: String,
    dimensions: Vec<usize>,
    content: Box<dyn Read + 'a>,
}

impl<'a> Idx<'a> {
    /// Reads the header of a file of `wanted` dimensions, `what` for messages.
    fn open(raw: impl Read + 'a, name: &str, wanted: u8, what: &str) -> Result<Self> {
        let mut raw = BufReader::new(raw);
        let zipped = std::io::BufRead::fill_buf(&mut raw).is_ok_and(|start| start.starts_with(&[0x1f, 0x8b]));
        let content: Box<dyn Read + 'a> =
            if zipped { Box::new(BufReader::new(MultiGzDecoder::new(raw))) } else { Box::new(raw) };
        let mut idx = Self { name: name.into(), dimensions: Vec::new(), content };
        let magic = idx.word()?.to_be_bytes();
        if magic != [0, 0, 8, wanted] {
            return Err(Error::input(format!("not an IDX file of {what}"))
                .at(name)
                .expected(format!("the magic number 00 00 08 {wanted:02x}"))
                .got(magic.map(|byte| format!("{byte:02x}")).join(" "))
                .hint("images and labels may be swapped, or the download broken")
                .into());
        }
        for _ in 0..wanted {
            let dimension = idx.word()?;
            idx.dimensions.push(dimension as usize);
        }
        Ok(idx)
    }

    fn torn(&self, source: &std::io::Error) -> Error {
        let got = match source.kind() {
            std::io::ErrorKind::UnexpectedEof => "it ends early".to_string(),
            _ => source.to_string(),
        };
        Error::input("truncated IDX file").at(&self.name).got(got).hint("fetch or copy it again").into()
    }

    fn word(&mut self) -> Result<u32> {
        let mut word = [0; 4];
        self.content.read_exact(&mut word).map_err(|source| self.torn(&source))?;
        Ok(u32::from_be_bytes(word))
    }

    /// The number of values that the header promises.
    fn values(&self) -> Option<usize> {
        self.dimensions.iter().try_fold(1_usize, |product, &n| product.checked_mul(n))
    }

    /// Appends all values to `to`, and makes sure that there are as many as promised.
    fn append(mut self, to: &mut Vec<u8>) -> Result<()> {
        let before = to.len();
        let promised = self.values();
        let read = match promised {
            // One more than promised, to notice what is too much.
            Some(n) => self.content.by_ref().take(n as u64 + 1).read_to_end(to),
            None => Ok(0),
        };
        if let Err(source) = read {
            return Err(self.torn(&source));
        }
        if promised != Some(to.len() - before) {
            let got = match promised {
                Some(n) if to.len() - before > n => "more than that".to_string(),
                _ => format!("{} bytes", to.len() - before),
            };
            let shape: Vec<_> = self.dimensions.iter().map(ToString::to_string).collect();
            return Err(Error::input("truncated IDX file")
                .at(&self.name)
                .expected(format!("{} bytes of values, as its header says", shape.join(" × ")))
                .got(got)
                .hint("fetch or copy it again")
                .into());
        }
        Ok(())
    }
}

/// Images and their labels, opened and found to fit together.
struct Pair<'a> {
    images: Idx<'a>,
    labels: Idx<'a>,
}

impl Pair<'_> {
    fn new<'a>(images: Idx<'a>, labels: Idx<'a>) -> Result<Pair<'a>> {
        if images.dimensions[0] != labels.dimensions[0] {
            return Err(Error::input("images and labels do not fit together")
                .at(format!("{} and {}", images.name, labels.name))
                .expected(format!("{} labels, one per image", images.dimensions[0]))
                .got(labels.dimensions[0])
                .hint("these files are not of one set")
                .into());
        }
        Ok(Pair { images, labels })
    }

    fn shape(&self) -> ImageShape {
        ImageShape { channels: 1, height: self.images.dimensions[1], width: self.images.dimensions[2] }
    }
}

/// Reads the pool's pair and, where there is one, the test set's, into one set of images.
/// `classes` is empty where the labels alone say how many classes there are.
fn assemble(name: &str, pairs: Vec<Pair<'_>>, classes: Vec<String>) -> Result<DataSet> {
    let shape = pairs.first().map_or(ImageShape { channels: 1, height: 0, width: 0 }, Pair::shape);
    let mut pixels = Vec::new();
    let mut labels = Vec::new();
    let mut records = Vec::new();
    // What headers promise is asked for, not taken: a header may lie.
    let bytes = pairs.iter().filter_map(|pair| pair.images.values()).fold(0, usize::saturating_add);
    if pixels.try_reserve_exact(bytes.saturating_add(1)).is_err() {
        return Err(Error::input("an IDX file promises more than memory holds").at(name).got(bytes).into());
    }
    for pair in pairs {
        if pair.shape() != shape {
            return Err(Error::input("images of different sizes")
                .at(&pair.images.name)
                .expected(format!("{} × {}", shape.height, shape.width))
                .got(format!("{} × {}", pair.shape().height, pair.shape().width))
                .into());
        }
        let file = pair.images.name.rsplit(['/', '\\']).next().unwrap_or_default().to_string();
        records.push((file, pair.images.dimensions[0]));
        pair.images.append(&mut pixels)?;
        pair.labels.append(&mut labels)?;
    }
    let labels: Vec<Label> = labels.into_iter().map(Label::from).collect();
    let classes = if classes.is_empty() {
        (0..=labels.iter().copied().max().unwrap_or(0)).map(|n| n.to_string()).collect()
    } else {
        classes
    };
    let pool_end = records.first().map_or(0, |(_, count)| *count) as Id;
    let end = labels.len() as Id;
    Ok(DataSet {
        name: name.into(),
        items: ImageSet::new(Images::new(shape, pixels, Origin::Records(records))?, labels, classes)?,
        pool: (0..pool_end).collect(),
        test: (pool_end..end).collect(),
    })
}

/// Reads a folder of `train-images-idx3-ubyte`, `train-labels-idx1-ubyte` and, where there is a
/// test set, `t10k-…` (or `test-…`), each plain or with `.gz`. Class names are `classes`, or else
/// the lines of `classes.txt`, or else the label numbers.
///
/// # Errors
/// A missing or torn file, a wrong magic number, counts of images and labels that differ, a label
/// out of range, or [`Error::Stopped`].
pub fn read(folder: &Path, name: &str, classes: &[&str], progress: &mut Progress<'_>) -> Result<DataSet> {
    let find = |split: &str, part: &str| -> Option<PathBuf> {
        let names =
            [format!("{split}-{part}-ubyte"), format!("{split}-{}-ubyte", part.replace("-idx", ".idx"))];
        let candidates = names.iter().flat_map(|name| [folder.join(name), folder.join(format!("{name}.gz"))]);
        candidates.into_iter().find(|path| path.is_file())
    };
    let open = |split: &str| -> Result<Option<Pair<'static>>> {
        let pair = (find(split, "images-idx3"), find(split, "labels-idx1"));
        let (images, labels) = match pair {
            (Some(images), Some(labels)) => (images, labels),
            (None, None) => return Ok(None),
            (None, Some(_)) => return Err(missing(folder, &format!("{split}-images-idx3-ubyte.gz"))),
            (Some(_), None) => return Err(missing(folder, &format!("{split}-labels-idx1-ubyte.gz"))),
        };
        let opened = |path: &Path, dimensions, what| {
            let file = File::open(path).map_err(Error::io("read", path))?;
            Idx::open(file, &path.display().to_string(), dimensions, what)
        };
        Pair::new(opened(&images, 3, "images")?, opened(&labels, 1, "labels")?).map(Some)
    };
    let train = open("train")?.ok_or_else(|| missing(folder, "train-images-idx3-ubyte.gz"))?;
    let test = match open("t10k")? {
        Some(test) => Some(test),
        None => open("test")?,
    };
    let mut names: Vec<String> = classes.iter().map(|name| (*name).into()).collect();
    let list = folder.join("classes.txt");
    if names.is_empty() && list.is_file() {
        let text = std::fs::read_to_string(&list).map_err(Error::io("read", &list))?;
        names = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(Into::into).collect();
    }
    let total = train.images.dimensions[0] + test.as_ref().map_or(0, |test| test.images.dimensions[0]);
    let mut tell = |done| {
        let total = total.max(1);
        report(progress, Event::Progress { phase: "read", done, total, unit: "image", loss: None })
    };
    tell(0)?;
    let set = assemble(name, std::iter::once(train).chain(test).collect(), names)?;
    tell(total.max(1))?;
    Ok(set)
}

fn missing(folder: &Path, file: &str) -> Error {
    let complaint = Error::input("an IDX file is missing")
        .at(folder.display())
        .expected(format!("{file}, with or without .gz"))
        .got(if folder.is_dir() { "a folder without it" } else { "no such folder" });
    complaint.hint("for Fashion-MNIST, run `vabal fetch fashion-mnist`").into()
}

/// A file in memory: its name for messages, and its bytes.
pub(super) type Bytes<'a> = (&'a str, &'a [u8]);

/// Reads the same as [`read`] from memory: (images, labels) of the pool, then of the test set.
pub(super) fn read_bytes(name: &str, pairs: [[Bytes<'_>; 2]; 2], classes: &[&str]) -> Result<DataSet> {
    let mut opened = Vec::new();
    for [images, labels] in pairs {
        let images = Idx::open(images.1, images.0, 3, "images")?;
        opened.push(Pair::new(images, Idx::open(labels.1, labels.0, 1, "labels")?)?);
    }
    assemble(name, opened, classes.iter().map(|name| (*name).into()).collect())
}

#[cfg(test)]
mod tests;
