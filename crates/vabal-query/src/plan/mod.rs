//! A pool of any size, scored in parts: a [`Plan`], made of a sample of the pool and of the
//! labelled rows; scores row by row, which need nothing but the plan; and the best of all parts, by
//! [`Top`].
//!
//! ```
//! use ndarray::array;
//! use vabal_query::plan::{Name, Plan};
//! use vabal_query::progress::silent;
//! use vabal_query::{Query, STRATEGIES, Seed, Signals};
//!
//! let sample = Signals::new(vec![1, 2]).with_probabilities(array![[0.9, 0.1], [0.6, 0.4]])?;
//! let none = Signals::default();
//! let query = Query { unlabelled: &sample, labelled: &none, labels: &[], classes: 2, n: 2, seed: Seed::new(1) };
//! let plan = Plan::make(&STRATEGIES.find("margin")?, STRATEGIES, &query, 2, &mut silent())?;
//! let plan = Plan::from_bytes(&plan.to_bytes()?, "margin.plan")?;
//!
//! // On any number of machines, a part of the pool each.
//! let score = plan.scorer(STRATEGIES)?;
//! let mut top = plan.top_of(STRATEGIES)?;
//! for (ids, p) in [(vec![1, 2], array![[0.9, 0.1], [0.6, 0.4]]), (vec![3], array![[0.5, 0.5]])] {
//!     let rows = Signals::new(ids.clone()).with_probabilities(p)?;
//!     top.push(&score.score(&rows, &mut silent())?, |row| Name::Number(ids[row]))?;
//! }
//! let picks = top.finish(2, &plan.labelled)?;
//! assert_eq!(picks.iter().map(|pick| pick.name.to_string()).collect::<Vec<_>>(), ["3", "2"]);
//! # Ok::<(), vabal_query::Error>(())
//! ```
//!
//! Never here: files, processes, engines.

mod centres;
mod sample;
mod seeding;
mod shortlist;
mod sum;
#[cfg(test)]
mod tests;
mod top;

use std::collections::HashMap;

use ndarray::Array2;
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

pub use centres::Centres;
pub use sample::{Collected, Sample};
pub use seeding::{PASSES, Pass, Seeding};
pub use top::{Candidate, Name, Top, text_id};

pub use crate::query::{RowScore, SAMPLE, Scored};

use crate::error::{Complaint, Error, Result};
use crate::progress::Progress;
use crate::query::{Arrays, ByRow, Fitted, InParts};
use crate::rng::Seed;
use crate::{Id, Needs, Query, Selection, Signals, Spec, Strategy, Table};

/// The most picks of one plan.
pub const MOST_PICKS: usize = 500_000;
/// Rows of a predicted class in the sample below which what was fitted to them is to be doubted.
pub const FEW: usize = 20;

pub use shortlist::{LONGEST, Listed, Shortlist};

/// Ids from here on are nobody's: of labelled rows that have none.
pub const UNNAMED: Id = 1 << 63;

/// The key of its metadata, and the version of its layout.
const KIND: &str = "vabal.plan";
const VERSION: u32 = 1;

/// All that scoring a row needs beside the row.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The strategy and its settings.
    pub spec: Spec,
    /// The most picks.
    pub n: usize,
    /// Labels of each class, \[C\].
    pub labelled: Vec<usize>,
    /// Rows of the sample.
    pub sampled: usize,
    seed: Seed,
    arrays: Arrays,
}

#[derive(Serialize, Deserialize)]
struct Header {
    version: u32,
    kind: String,
    settings: Map<String, Value>,
    n: usize,
    labelled: Vec<usize>,
    sampled: usize,
    seed: [u8; 32],
}

impl Plan {
    /// Makes a plan for at most `query.n` picks; the candidates of `query` are a sample of the
    /// pool's `rows`, or all of them.
    ///
    /// # Errors
    /// A strategy that compares rows with each other, and has no way to do so [in
    /// parts](InParts); more picks than [`MOST_PICKS`]; what [`Query::check`] and the strategy say.
    pub fn make(
        spec: &Spec,
        table: Table,
        query: &Query<'_>,
        rows: usize,
        progress: &mut Progress<'_>,
    ) -> Result<Self> {
        let strategy = table.build(spec)?;
        if query.n > MOST_PICKS {
            return Err(Error::input("more picks than a plan can have")
                .at("n")
                .expected(format!("at most {MOST_PICKS}"))
                .got(query.n)
                .hint("pick fewer, label them, and plan again")
                .into());
        }
        query.check(&*strategy)?;
        let arrays = match strategy.in_parts() {
            Some(InParts::Seeding) => of_seeding(query)?,
            Some(InParts::Centres) => of_centres(query, rows)?,
            None => by_row(&*strategy, spec)?.fit(query, rows, progress)?,
        };
        let labelled = query.class_counts();
        let (n, sampled, seed) = (query.n, query.unlabelled.len(), query.seed);
        Ok(Self { spec: spec.clone(), n, labelled, sampled, seed, arrays })
    }

    /// The score of a row.
    ///
    /// # Errors
    /// A strategy that is not in `table`; arrays that do not fit it.
    pub fn scorer(&self, table: Table) -> Result<Box<dyn RowScore>> {
        let strategy = table.build(&self.spec)?;
        let fitted = Fitted { seed: self.seed, labelled: self.labelled.clone(), arrays: self.arrays.clone() };
        let score = by_row(&*strategy, &self.spec)?.scorer(&fitted)?;
        Ok(Box::new(Checked { score, classes: self.labelled.len() }))
    }

    /// How it chooses, where it does not score each row alone.
    ///
    /// # Errors
    /// A strategy that is not in `table`.
    pub fn in_parts(&self, table: Table) -> Result<Option<InParts>> {
        Ok(table.build(&self.spec)?.in_parts())
    }

    /// For [`InParts::Seeding`], before the first pass.
    #[must_use]
    pub fn seeding(&self) -> Seeding {
        Seeding::new(self.n, self.labelled.len(), self.seed)
    }

    /// For [`InParts::Centres`], how the pool is cut.
    #[must_use]
    pub fn centres(&self) -> Centres {
        let parts = self.arrays.get(PARTS).and_then(|parts| parts.first()).copied().unwrap_or(1.0);
        Centres::new(parts as usize, self.seed)
    }

    /// For [`InParts::Centres`]: at most `n` of the rows of a part, or of those that were chosen
    /// from all parts, beside what is labelled.
    ///
    /// # Errors
    /// What [`Query::check`] and the strategy say.
    pub fn choose(
        &self,
        table: Table,
        rows: &Signals<'_>,
        n: usize,
        progress: &mut Progress<'_>,
    ) -> Result<Selection> {
        let strategy = table.build(&self.spec)?;
        let labelled = match self.arrays.get(LABELLED) {
            Some(features) => Signals::new((UNNAMED..).take(features.nrows()).collect())
                .with_embedding(features.mapv(|value| value as f32))?,
            None => Signals::default(),
        };
        let labels = vec![0; labelled.len()];
        let (classes, n) = (self.labelled.len(), n.min(rows.len()));
        let query =
            Query { unlabelled: rows, labelled: &labelled, labels: &labels, classes, n, seed: self.seed };
        query.check(&*strategy)?;
        strategy.select(&query, progress)
    }

    /// The arrays of a row that the score reads.
    ///
    /// # Errors
    /// As [`Plan::scorer`].
    pub fn needs(&self, table: Table) -> Result<Needs> {
        Ok(table.build(&self.spec)?.needs())
    }

    /// What was fitted, by name.
    #[must_use]
    pub fn arrays(&self) -> &Arrays {
        &self.arrays
    }

    /// Empty, for the rows of the pool or of a part of it.
    ///
    /// # Errors
    /// As [`Plan::scorer`].
    pub fn top_of(&self, table: Table) -> Result<Top> {
        let strategy = table.build(&self.spec)?;
        let quotas = by_row(&*strategy, &self.spec)?.quotas();
        Ok(Top::new(self.n, if quotas { self.labelled.len() } else { 1 }))
    }

    /// The number of features of a row, where the plan says it.
    #[must_use]
    pub fn features(&self) -> Option<usize> {
        let width = |name| self.arrays.get(name).map(Array2::ncols);
        let told = self.arrays.get(WIDTH).and_then(|width| width.first()).map(|&width| width as usize);
        let known = told.or_else(|| width("gaussian.origin")).or_else(|| width(LABELLED));
        known.or_else(|| crate::strategies::vabal_paper::width(&self.arrays))
    }

    /// SHA-256 of its bytes, in hexadecimal digits: what scores are of.
    ///
    /// # Errors
    /// As [`Plan::to_bytes`].
    pub fn digest(&self) -> Result<String> {
        Ok(Sha256::digest(self.to_bytes()?).iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The plan as a safetensors file: arrays of f64, or of f32 where that loses nothing, everything
    /// else as JSON in the metadata.
    ///
    /// # Errors
    /// A file that cannot be made.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let broken = |what: String| Error::from(Error::input("the plan cannot be written").got(what));
        let header = Header {
            version: VERSION,
            kind: self.spec.kind().to_owned(),
            settings: self.spec.values().clone(),
            n: self.n,
            labelled: self.labelled.clone(),
            sampled: self.sampled,
            seed: self.seed.bytes(),
        };
        let json = serde_json::to_string(&header).map_err(|error| broken(error.to_string()))?;
        let bytes: Vec<(&String, Dtype, Vec<usize>, Vec<u8>)> = (self.arrays.iter())
            .map(|(name, array)| {
                let short = array.iter().all(|&value| f64::from(value as f32).to_bits() == value.to_bits());
                let (dtype, bytes) = match short {
                    true => {
                        (Dtype::F32, array.iter().flat_map(|&value| (value as f32).to_le_bytes()).collect())
                    }
                    false => (Dtype::F64, array.iter().flat_map(|value| value.to_le_bytes()).collect()),
                };
                (name, dtype, array.shape().to_vec(), bytes)
            })
            .collect();
        let tensors = (bytes.iter())
            .map(|(name, dtype, shape, bytes)| {
                Ok((name.as_str(), TensorView::new(*dtype, shape.clone(), bytes)?))
            })
            .collect::<std::result::Result<Vec<_>, safetensors::SafeTensorError>>()
            .map_err(|error| broken(error.to_string()))?;
        serialize(tensors, Some(HashMap::from([(KIND.to_owned(), json)])))
            .map_err(|error| broken(error.to_string()))
    }

    /// Reads what [`Plan::to_bytes`] gave; `place` names it in errors.
    ///
    /// # Errors
    /// Another file, a torn one, or one of a later version.
    pub fn from_bytes(bytes: &[u8], place: &str) -> Result<Self> {
        let foreign = |got: String| Error::from(unreadable(place, got));
        let json = header(bytes, KIND).map_err(foreign)?;
        let version = serde_json::from_str::<Value>(&json).ok().and_then(|v| v["version"].as_u64());
        if version != Some(u64::from(VERSION)) {
            let got = version.map_or("a file without a version".into(), |v| format!("version {v}"));
            let expected = format!("version {VERSION}");
            return Err(unreadable(place, got)
                .expected(expected)
                .hint("make the plan with this vabal")
                .into());
        }
        let header: Header = serde_json::from_str(&json).map_err(|error| foreign(error.to_string()))?;
        let tensors = SafeTensors::deserialize(bytes).map_err(|error| foreign(error.to_string()))?;
        let mut arrays = Arrays::new();
        for (name, tensor) in tensors.tensors() {
            let &[rows, columns] = tensor.shape() else {
                return Err(foreign(format!("{name} of shape {:?}", tensor.shape())));
            };
            let data = tensor.data();
            let values = match tensor.dtype() {
                Dtype::F32 => data.as_chunks().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect(),
                Dtype::F64 => data.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
                other => return Err(foreign(format!("{name} of type {other:?}"))),
            };
            let array = Array2::from_shape_vec((rows, columns), values);
            let array = array.map_err(|error| foreign(format!("{name}: {error}")))?;
            if let Some(value) = array.iter().find(|value| !value.is_finite()) {
                return Err(foreign(format!("{name} with {value}")));
            }
            arrays.insert(name, array);
        }
        let Header { kind, settings, n, labelled, sampled, seed, .. } = header;
        if labelled.len() < 2 || labelled.len() > crate::query::MOST_CLASSES || n > MOST_PICKS {
            return Err(foreign(format!("{} classes, {n} picks", labelled.len())));
        }
        let spec = Spec::of(kind, settings);
        Ok(Self { spec, n, labelled, sampled, seed: Seed::of_bytes(seed), arrays })
    }
}

/// What the metadata of a safetensors file say under `kind`, or what is wrong with it.
fn header(bytes: &[u8], kind: &str) -> std::result::Result<String, String> {
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| error.to_string())?;
    let json = metadata.metadata().as_ref().and_then(|metadata| metadata.get(kind));
    json.cloned().ok_or_else(|| "a file of another kind".to_owned())
}

/// A score that looks at no array of other classes.
struct Checked {
    score: Box<dyn RowScore>,
    classes: usize,
}

impl RowScore for Checked {
    fn score(&self, rows: &Signals<'_>, progress: &mut Progress<'_>) -> Result<Scored> {
        match rows.all_classes().find(|&got| got != self.classes) {
            Some(got) => Err(Error::input("probabilities of another number of classes")
                .expected(format!("{}, as in the plan", self.classes))
                .got(got)
                .hint("score with the classifier that the plan was made with")
                .into()),
            None => self.score.score(rows, progress),
        }
    }
}

fn unreadable(place: &str, got: String) -> Complaint {
    Error::input("invalid plan file")
        .at(place)
        .expected("a file that `vabal plan` wrote")
        .got(got)
        .hint("make it again")
}

/// Of a plan of core-set: the features of what is labelled, and in how many parts a pool is cut.
const LABELLED: &str = "labelled.features";
const PARTS: &str = "parts";

/// Of a plan of BADGE: the number of features of a row.
const WIDTH: &str = "features.width";

fn of_seeding(query: &Query<'_>) -> Result<Arrays> {
    if query.unlabelled.is_empty() {
        return Ok(Arrays::new());
    }
    let width = query.unlabelled.embedding()?.ncols() as f64;
    Ok(Arrays::from([(WIDTH.to_owned(), Array2::from_elem((1, 1), width))]))
}

fn of_centres(query: &Query<'_>, rows: usize) -> Result<Arrays> {
    let width = query.unlabelled.embedding().map_or(1, |features| features.ncols());
    let parts = Centres::of(rows, width, query.seed).parts;
    let mut arrays = Arrays::from([(PARTS.to_owned(), Array2::from_elem((1, 1), parts as f64))]);
    if !query.labelled.is_empty() {
        let features = query.labelled.checked_embedding_rows()?;
        let values = features.iter().flatten().copied().map(f64::from).collect();
        let array = Array2::from_shape_vec((features.len(), features.columns()), values);
        arrays.insert(LABELLED.to_owned(), array.expect("rows of one width"));
    }
    Ok(arrays)
}

/// Checks that a strategy scores each row alone.
///
/// # Errors
/// One that compares rows with each other.
pub fn check_by_row(strategy: &dyn Strategy, spec: &Spec) -> Result<()> {
    by_row(strategy, spec).map(drop)
}

fn by_row<'a>(strategy: &'a dyn Strategy, spec: &Spec) -> Result<&'a dyn ByRow> {
    strategy.by_row().ok_or_else(|| {
        Error::input("this strategy does not score each row alone")
            .at(format!("strategy {}", spec.kind()))
            .expected("vabal, vabal-paper, vabal-official, a measure of uncertainty or of a committee, bald, power-bald, or random")
            .hint("`vabal rank` takes badge and core-set on a pool of any size on one machine, and after `vabal shortlist` every strategy")
            .into()
    })
}
