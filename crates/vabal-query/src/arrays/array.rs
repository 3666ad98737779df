//! One array of a pool: its name, its shape, and where its values are, which are read when they are
//! asked for.
//!
//! Never here: which arrays a strategy needs, what the values may be.

use std::fmt;
use std::sync::Arc;

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::progress::Progress;

/// What an array is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// `features` [n, d]: of the last layer but one.
    Features,
    /// `stage1`, `stage2`, … [n, d_l]: of every stage, shallow to deep.
    Stage(u32),
    /// `probs` [n, C]: class probabilities.
    Probabilities,
    /// `predicted` \[n\]: the class alone.
    Predicted,
    /// `mc_probs` [n, T, C]: class probabilities of T passes under dropout.
    MonteCarlo,
    /// `committee_probs` [n, M, C]: class probabilities of M classifiers.
    Committee,
    /// `labels` \[n\], also `label`.
    Labels,
    /// `ids` \[n\], also `id`: what the rows are called.
    Ids,
    /// `images` [n, channels, height, width], or with the channels last, or without.
    Images,
}

/// All but the stages, and the shape of each.
const NAMES: [(Name, &str, &str); 8] = [
    (Name::Features, "features", "[n, d], a row of numbers each"),
    (Name::Probabilities, "probs", "[n, C], C of 2 or more"),
    (Name::Predicted, "predicted", "[n], a class each"),
    (Name::MonteCarlo, "mc_probs", "[n, T, C], C of 2 or more"),
    (Name::Committee, "committee_probs", "[n, M, C], C of 2 or more"),
    (Name::Labels, "labels", "[n], a class each"),
    (Name::Ids, "ids", "[n], a whole number or a text each"),
    (Name::Images, "images", "[n, channels, height, width] or [n, height, width, channels], 1 or 3 channels"),
];

impl Name {
    /// All of them, for messages.
    pub const ALL: &str =
        "features, stage1, stage2, …, probs, predicted, mc_probs, committee_probs, labels, ids, images";

    /// The array that `name` stands for, if it stands for one.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        let digits = |number: &&str| number.bytes().all(|byte| byte.is_ascii_digit());
        match (name, NAMES.iter().find(|(_, known, _)| *known == name)) {
            ("id", _) => Some(Self::Ids),
            ("label", _) => Some(Self::Labels),
            (_, Some((name, ..))) => Some(*name),
            _ => Some(Self::Stage(name.strip_prefix("stage").filter(digits)?.parse().ok()?)),
        }
    }

    fn row(self) -> (&'static str, &'static str) {
        let row = NAMES.iter().find(|(name, ..)| *name == self);
        row.map_or(("stage", "[n, d], a row of numbers each"), |(_, name, shape)| (name, shape))
    }

    /// The shape that its array has, for messages.
    #[must_use]
    pub fn shape(self) -> &'static str {
        self.row().1
    }

    /// Whether an array of this name may have `shape`.
    pub(super) fn takes(self, shape: &[usize]) -> bool {
        match (self, shape) {
            (Self::Features | Self::Stage(_), &[_, width]) => width > 0,
            (Self::Probabilities, &[_, classes]) => classes >= 2,
            (Self::MonteCarlo | Self::Committee, &[_, draws, classes]) => draws > 0 && classes >= 2,
            (Self::Predicted | Self::Labels | Self::Ids, shape) => shape.len() == 1,
            (Self::Images, shape) => layout(shape).is_some_and(|(pixels, _)| !pixels.contains(&0)),
            _ => false,
        }
    }
}

/// Images of a shape as [n, a, b, c], and whether the channels come last.
pub(super) fn layout(shape: &[usize]) -> Option<([usize; 4], bool)> {
    match *shape {
        [n, height, width] => Some(([n, 1, height, width], false)),
        [n, a, b, c] if [1, 3].contains(&a) => Some(([n, a, b, c], false)),
        [n, a, b, c] if [1, 3].contains(&c) => Some(([n, a, b, c], true)),
        _ => None,
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stage(number) => write!(f, "stage{number}"),
            _ => f.write_str(self.row().0),
        }
    }
}

/// Values that stay where they are: in a vector, a mapped file, the memory of another language.
pub trait Store<T>: AsRef<[T]> + Send + Sync {
    /// These rows of `width` values each, one after another: in memory, gathered on all cores.
    ///
    /// # Errors
    /// None here; of a store that keeps them elsewhere, that there is no room, or
    /// [`Error::Stopped`].
    fn rows(&self, rows: &[usize], width: usize, _: &mut Progress<'_>) -> Result<Arc<dyn Store<T>>>
    where
        T: Copy + Default + Send + Sync + 'static,
    {
        let values = self.as_ref();
        let mut gathered = vec![T::default(); rows.len() * width];
        if width > 0 {
            gathered
                .par_chunks_exact_mut(width)
                .zip(rows)
                .with_min_len(64)
                .for_each(|(to, &row)| to.copy_from_slice(&values[row * width..(row + 1) * width]));
        }
        Ok(Arc::new(gathered))
    }
}

impl<T: Send + Sync> Store<T> for Vec<T> {}

/// The values of an array, row-major.
#[derive(Clone)]
pub enum Values {
    /// Features, probabilities.
    Floats(Arc<dyn Store<f32>>),
    /// Pixels.
    Bytes(Arc<dyn Store<u8>>),
    /// Labels, ids; `None` where there is none.
    Whole(Arc<[Option<i64>]>),
    /// Ids, labels that are names of classes; `None` where there is none.
    Texts(Arc<[Option<String>]>),
}

/// Labels or ids.
pub(super) enum Column {
    Whole(Arc<[Option<i64>]>),
    Texts(Arc<[Option<String>]>),
}

/// What the values of an array are read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// [`Values::Floats`].
    Floats,
    /// [`Values::Bytes`].
    Bytes,
    /// [`Values::Whole`], or [`Values::Texts`] for names of classes.
    Labels,
    /// [`Values::Whole`] or [`Values::Texts`].
    Ids,
}

/// Where the values of an array are read from, for those that are not in memory yet.
pub trait Source: Send + Sync {
    /// The values as `kind`.
    ///
    /// # Errors
    /// Values of a type that cannot be read so; what reading them may meet; [`Error::Stopped`].
    fn read(&self, kind: Kind, progress: &mut Progress<'_>) -> Result<Values>;
}

impl Values {
    /// What they are, for messages.
    fn kind(&self) -> &'static str {
        match self {
            Self::Floats(_) => "floating-point numbers",
            Self::Bytes(_) => "bytes",
            Self::Whole(_) => "whole numbers",
            Self::Texts(_) => "texts",
        }
    }
}

impl Source for Values {
    fn read(&self, _: Kind, _: &mut Progress<'_>) -> Result<Values> {
        Ok(self.clone())
    }
}

impl From<Vec<f32>> for Values {
    fn from(values: Vec<f32>) -> Self {
        Self::Floats(Arc::new(values))
    }
}

impl From<Vec<i64>> for Values {
    fn from(values: Vec<i64>) -> Self {
        Self::Whole(values.into_iter().map(Some).collect())
    }
}

impl From<Vec<String>> for Values {
    fn from(values: Vec<String>) -> Self {
        Self::Texts(values.into_iter().map(Some).collect())
    }
}

/// An array under a name.
pub struct Array {
    pub(super) name: String,
    pub(super) place: String,
    pub(super) shape: Vec<usize>,
    /// The number of its first row, for messages, and for ids of rows without an array `ids`.
    pub(super) first: usize,
    source: Box<dyn Source>,
}

impl Array {
    /// An array in memory. What is not one of [`Name::ALL`] is left alone.
    pub fn new(name: &str, shape: impl Into<Vec<usize>>, values: impl Into<Values>) -> Self {
        Self::from_source(name, shape, values.into())
    }

    /// An array that is read when it is needed.
    pub fn from_source(name: &str, shape: impl Into<Vec<usize>>, source: impl Source + 'static) -> Self {
        let (place, shape, source) = (name.into(), shape.into(), Box::new(source));
        Self { name: name.into(), place, shape, first: 0, source }
    }

    /// The rows of `parts`, each behind those of the part before, under the name of the first: a
    /// pool that came in several files. They are read into memory.
    ///
    /// # Errors
    /// Parts whose rows have other shapes.
    pub fn joined(parts: Vec<Self>) -> Result<Self> {
        let Some(first) = parts.first() else {
            return Err(Error::input("no part of an array").hint("give one at least").into());
        };
        let (name, mut shape) = (first.name.clone(), first.shape.clone());
        let places: Vec<&str> = parts.iter().map(|part| part.place.as_str()).collect();
        let place = places.join("; ");
        for part in &parts[1..] {
            let row = part.shape.get(1..);
            let rows = part.shape.first().and_then(|&rows| shape.first()?.checked_add(rows));
            let (Some(rows), true) = (rows, row == shape.get(1..)) else {
                return Err(Error::input("the parts of an array have rows of other shapes")
                    .at(&part.place)
                    .expected(format!("rows as of {}, {:?}", first.place, first.shape))
                    .got(format!("{:?}", part.shape))
                    .hint("files with the same arrays are read as one pool; leave one of them out")
                    .into());
            };
            shape[0] = rows;
        }
        Ok(Self::from_source(&name, shape, Joined(parts)).at(place))
    }

    /// The same with a place for messages, which is else its name: "pool.npz, probs".
    #[must_use]
    pub fn at(self, place: impl fmt::Display) -> Self {
        Self { place: place.to_string(), ..self }
    }

    /// The same as the rows from `first` on of a larger array: rows are called by their numbers in
    /// that.
    #[must_use]
    pub fn from_row(self, first: usize) -> Self {
        Self { first, ..self }
    }

    pub(super) fn floats(&self, progress: &mut Progress<'_>) -> Result<Arc<dyn Store<f32>>> {
        match self.read(Kind::Floats, progress)? {
            Values::Floats(values) => Ok(values),
            other => Err(self.of_another_type("floating-point numbers", &other)),
        }
    }

    pub(super) fn bytes(&self, progress: &mut Progress<'_>) -> Result<Arc<dyn Store<u8>>> {
        match self.read(Kind::Bytes, progress)? {
            Values::Bytes(values) => Ok(values),
            other => Err(self.of_another_type("bytes", &other)),
        }
    }

    /// Labels or ids.
    pub(super) fn column(&self, kind: Kind, progress: &mut Progress<'_>) -> Result<Column> {
        match self.read(kind, progress)? {
            Values::Whole(whole) => Ok(Column::Whole(whole)),
            Values::Texts(texts) => Ok(Column::Texts(texts)),
            other => Err(self.of_another_type("whole numbers or texts", &other)),
        }
    }

    /// The values, once the shape is known to be one that the name takes.
    fn read(&self, kind: Kind, progress: &mut Progress<'_>) -> Result<Values> {
        let values = self.source.read(kind, progress)?;
        // Behind what is wrong with the values themselves, for of some nothing is known but their
        // number.
        if let Some(name) = Name::of(&self.name).filter(|name| !name.takes(&self.shape)) {
            return Err(self.of_another_shape(name.shape()));
        }
        let got = match &values {
            Values::Floats(values) => (**values).as_ref().len(),
            Values::Bytes(values) => (**values).as_ref().len(),
            Values::Whole(values) => values.len(),
            Values::Texts(values) => values.len(),
        };
        let expected = self.shape.iter().try_fold(1_usize, |count, &length| count.checked_mul(length));
        if expected == Some(got) {
            return Ok(values);
        }
        Err(Error::input("an array of another number of values than its shape has")
            .at(&self.place)
            .expected(format!("as many as {:?} has", self.shape))
            .got(got)
            .hint("give the shape that the values have")
            .into())
    }

    pub(super) fn of_another_shape(&self, expected: &str) -> Error {
        let hint = match (self.shape.as_slice(), expected.starts_with("[n]")) {
            ([_, 1], true) => "flatten it: array.ravel()",
            ([_, _], true) => "for one column a class: array.argmax(1)",
            ([_], _) if expected.starts_with("[n, d]") => {
                "it has one dimension: give a row each; of one number a row, array.reshape(-1, 1)"
            }
            ([_, _, _, _], _) if expected.starts_with("[n, d]") => {
                "average over height and width: array.mean((2, 3))"
            }
            ([_] | [_, 1] | [_, _, 1], _) if expected.contains('C') => {
                "for two classes give both: numpy.stack([1 - p, p], -1)"
            }
            _ => "give a row each: array.reshape(len(array), -1)",
        };
        Error::input("unexpected array shape")
            .at(&self.place)
            .expected(expected)
            .got(format!("{:?}", self.shape))
            .hint(hint)
            .into()
    }

    fn of_another_type(&self, expected: &str, got: &Values) -> Error {
        Error::input("unsupported array type")
            .at(&self.place)
            .expected(expected)
            .got(got.kind())
            .hint("convert it")
            .into()
    }
}

/// Arrays one behind another.
struct Joined(Vec<Array>);

impl Source for Joined {
    fn read(&self, kind: Kind, progress: &mut Progress<'_>) -> Result<Values> {
        let (mut floats, mut bytes) = (Vec::new(), Vec::new());
        let (mut whole, mut texts) = (Vec::new(), Vec::new());
        let mut first = None;
        for part in &self.0 {
            let values = part.read(kind, progress)?;
            let expected = *first.get_or_insert(values.kind());
            if values.kind() != expected {
                return Err(part.of_another_type(expected, &values));
            }
            match values {
                Values::Floats(values) => floats.extend_from_slice((*values).as_ref()),
                Values::Bytes(values) => bytes.extend_from_slice((*values).as_ref()),
                Values::Whole(values) => whole.extend_from_slice(&values),
                Values::Texts(values) => texts.extend_from_slice(&values),
            }
        }
        Ok(match (bytes.is_empty(), whole.is_empty(), texts.is_empty()) {
            (false, ..) => Values::Bytes(Arc::new(bytes)),
            (_, false, _) => Values::Whole(whole.into()),
            (.., false) => Values::Texts(texts.into()),
            _ if kind == Kind::Bytes => Values::Bytes(Arc::new(bytes)),
            _ if kind == Kind::Floats => Values::Floats(Arc::new(floats)),
            _ => Values::Whole(whole.into()),
        })
    }
}
