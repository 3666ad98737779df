//! What a strategy may look at: ids always, every other array only when asked for.
//!
//! The loop fills [`Signals`] from the frozen classifier; `vabal rank` and Python fill it from the
//! user's own arrays. Shapes are checked once, here; values where they are read.

use ndarray::{Array2, ArrayView2};

use crate::error::{Error, Result};
use crate::{Id, Label};

/// The arrays a strategy reads. Combine with [`Needs::and`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    /// Class probabilities [n, C].
    pub probabilities: bool,
    /// The features of every residual stage, each [n, d_l].
    pub stages: bool,
}

impl Needs {
    /// Nothing but ids.
    pub const IDS: Self = Self { probabilities: false, stages: false };
    /// Class probabilities.
    pub const PROBABILITIES: Self = Self { probabilities: true, stages: false };
    /// Stage features.
    pub const STAGES: Self = Self { probabilities: false, stages: true };

    /// What either needs.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self { probabilities: self.probabilities || other.probabilities, stages: self.stages || other.stages }
    }
}

/// One pool as the strategies see it: row i of every array belongs to `ids()[i]`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Signals {
    ids: Vec<Id>,
    probabilities: Option<Array2<f32>>,
    stages: Option<Vec<Array2<f32>>>,
}

impl Signals {
    /// A pool of ids with no arrays yet.
    #[must_use]
    pub fn new(ids: Vec<Id>) -> Self {
        Self { ids, ..Self::default() }
    }

    /// Adds class probabilities [n, C]; rows need not sum to exactly 1.
    ///
    /// # Errors
    /// A number of rows that is not the number of ids, fewer than two columns.
    pub fn with_probabilities(mut self, probabilities: Array2<f32>) -> Result<Self> {
        self.check_rows("probabilities", probabilities.nrows())?;
        if probabilities.ncols() < 2 {
            return Err(Error::input("probabilities of fewer than two classes")
                .expected("at least 2 columns, one per class")
                .got(probabilities.ncols())
                .hint("for two classes give both: p and 1 − p")
                .into());
        }
        self.probabilities = Some(probabilities);
        Ok(self)
    }

    /// Adds the features of every stage, each [n, d_l], shallow to deep.
    ///
    /// # Errors
    /// A number of rows that is not the number of ids, or no stage at all.
    pub fn with_stages(mut self, stages: Vec<Array2<f32>>) -> Result<Self> {
        if stages.is_empty() {
            return Err(Error::input("the list of stage features is empty")
                .expected("at least one array")
                .into());
        }
        for stage in &stages {
            self.check_rows("stage features", stage.nrows())?;
        }
        self.stages = Some(stages);
        Ok(self)
    }

    fn check_rows(&self, name: &str, rows: usize) -> Result<()> {
        if rows == self.ids.len() {
            return Ok(());
        }
        Err(Error::input(format!("{name} and ids disagree"))
            .expected(format!("{} rows, one per id", self.ids.len()))
            .got(format!("{rows} rows"))
            .into())
    }

    /// Number of images n.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether the pool is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The ids, row by row.
    #[must_use]
    pub fn ids(&self) -> &[Id] {
        &self.ids
    }

    /// Class probabilities [n, C].
    ///
    /// # Errors
    /// They were not given.
    pub fn probabilities(&self) -> Result<ArrayView2<'_, f32>> {
        self.probabilities.as_ref().map(|array| array.view()).ok_or_else(|| missing("probabilities"))
    }

    /// The features of every stage, each [n, d_l].
    ///
    /// # Errors
    /// They were not given.
    pub fn stages(&self) -> Result<&[Array2<f32>]> {
        self.stages.as_deref().ok_or_else(|| missing("stage features"))
    }

    /// The classifier's predicted label of each row: arg-max of the probabilities, lowest class on ties.
    ///
    /// # Errors
    /// The probabilities were not given.
    pub fn predicted(&self) -> Result<Vec<Label>> {
        Ok(self.probabilities()?.rows().into_iter().map(|row| argmax(row.iter().copied())).collect())
    }
}

fn missing(name: &str) -> Error {
    Error::input(format!("this strategy needs {name}, which were not given"))
        .hint(format!("add the {name}, or choose a strategy that does without them"))
        .into()
}

/// Position of the largest value, the first among equals; NaN never wins.
pub(crate) fn argmax(values: impl Iterator<Item = f32>) -> Label {
    let mut best = (0, f32::NEG_INFINITY);
    for (n, value) in values.enumerate() {
        if value > best.1 {
            best = (n, value);
        }
    }
    best.0 as Label
}
