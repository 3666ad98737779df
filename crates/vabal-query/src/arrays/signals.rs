//! What a strategy may look at: ids always, every other array only when asked for.
//!
//! The loop fills [`Signals`] from the frozen classifier; other front ends fill it from the user's
//! own arrays, which it borrows where it can. Shapes and probabilities are checked once, here;
//! features where they are read, by the accessors called `checked`.

use ndarray::{ArrayView2, ArrayView3, ArrayView4, Dimension, Ix2, Ix3, Ix4};
use rayon::prelude::*;

use super::dense::{ArrayRows, Dense};
use super::probabilities::wrong;
use crate::error::{Error, Result};
use crate::{Id, Label};

/// The arrays a strategy reads. Combine with [`Needs::and`].
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Needs {
    /// The classifier's predicted label \[n\]; class probabilities say it too.
    pub predicted: bool,
    /// Class probabilities [n, C].
    pub probabilities: bool,
    /// Class probabilities [n, C], or predicted labels where those are not known.
    pub prediction: bool,
    /// The features of the last stage [n, d].
    pub embedding: bool,
    /// The features of every stage, each [n, d_l].
    pub stages: bool,
    /// Class probabilities of several passes under dropout [n, T, C].
    pub monte_carlo: Option<MonteCarlo>,
    /// Class probabilities of several classifiers [n, M, C]: how many, the first being the round's
    /// own; 0 is none.
    pub committee: usize,
    /// The images themselves [n, channels, height, width].
    pub images: bool,
}

/// Monte-Carlo dropout: T passes, each with its own random mask.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MonteCarlo {
    /// T, passes an image.
    pub draws: usize,
    /// Probability of dropping a value before each residual stage, while training and in the T
    /// passes.
    pub dropout: f64,
}

impl Needs {
    /// Nothing but ids.
    pub const IDS: Self = Self {
        predicted: false,
        probabilities: false,
        prediction: false,
        embedding: false,
        stages: false,
        monte_carlo: None,
        committee: 0,
        images: false,
    };
    /// The predicted label.
    pub const PREDICTED: Self = Self { predicted: true, ..Self::IDS };
    /// Class probabilities.
    pub const PROBABILITIES: Self = Self { probabilities: true, ..Self::IDS };
    /// Class probabilities, or predicted labels where those are not known.
    pub const PREDICTION: Self = Self { prediction: true, ..Self::IDS };
    /// The features of the last stage.
    pub const EMBEDDING: Self = Self { embedding: true, ..Self::IDS };
    /// The features of every stage.
    pub const STAGES: Self = Self { stages: true, ..Self::IDS };
    /// The images.
    pub const IMAGES: Self = Self { images: true, ..Self::IDS };

    /// What either needs. Of two wishes for Monte-Carlo draws the first is kept.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            predicted: self.predicted || other.predicted,
            probabilities: self.probabilities || other.probabilities,
            prediction: self.prediction || other.prediction,
            embedding: self.embedding || other.embedding,
            stages: self.stages || other.stages,
            monte_carlo: if self.monte_carlo.is_some() { self.monte_carlo } else { other.monte_carlo },
            committee: if self.committee > other.committee { self.committee } else { other.committee },
            images: self.images || other.images,
        }
    }

    /// The part that one pass of one classifier answers.
    #[must_use]
    pub fn of_one_pass(self) -> Self {
        let probabilities = self.probabilities || self.prediction;
        Self { monte_carlo: None, committee: 0, probabilities, prediction: false, ..self }
    }
}

/// Where a row stands, for messages.
pub(super) type Place<'p> = Option<&'p dyn Fn(usize) -> String>;

/// One pool as the strategies see it: row i of every array belongs to `ids()[i]`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Signals<'a> {
    ids: Vec<Id>,
    predicted: Option<Vec<Label>>,
    probabilities: Option<Dense<'a, f32, Ix2>>,
    monte_carlo: Option<Dense<'a, f32, Ix3>>,
    committee: Option<Dense<'a, f32, Ix3>>,
    stages: Option<Vec<Dense<'a, f32, Ix2>>>,
    images: Option<Dense<'a, u8, Ix4>>,
}

impl<'a> Signals<'a> {
    /// A pool of ids with no arrays yet. Ids that repeat are taken as they are, since only both
    /// pools together can tell: [`Query::check`](crate::Query::check), which every caller of
    /// `select` calls, refuses them.
    #[must_use]
    pub fn new(ids: Vec<Id>) -> Self {
        Self { ids, ..Self::default() }
    }

    /// The same rows with other ids.
    ///
    /// # Errors
    /// A number of ids that is not the number of rows.
    pub fn with_ids(self, ids: Vec<Id>) -> Result<Self> {
        self.check_rows("other ids", ids.len())?;
        Ok(Self { ids, ..self })
    }

    /// Adds the predicted labels \[n\], for when there are no probabilities.
    ///
    /// # Errors
    /// A number of labels that is not the number of ids.
    pub fn with_predicted(mut self, predicted: Vec<Label>) -> Result<Self> {
        self.check_rows("predicted labels", predicted.len())?;
        self.predicted = Some(predicted);
        Ok(self)
    }

    /// Adds class probabilities [n, C]; a row sums to 1, within 0.01.
    ///
    /// # Errors
    /// A number of rows that is not the number of ids, fewer than two columns; the first row that
    /// is no distribution, by its id.
    pub fn with_probabilities(self, probabilities: impl Into<Dense<'a, f32, Ix2>>) -> Result<Self> {
        self.with_probabilities_at(probabilities.into(), None)
    }

    /// Adds the class probabilities of T passes under dropout, [n, T, C], each of which sums to 1,
    /// within 0.01.
    ///
    /// # Errors
    /// As of [`Signals::with_probabilities`]; no draw.
    pub fn with_monte_carlo(self, draws: impl Into<Dense<'a, f32, Ix3>>) -> Result<Self> {
        self.with_monte_carlo_at(draws.into(), None)
    }

    /// Adds the class probabilities of M classifiers, [n, M, C], each of which sums to 1, within
    /// 0.01.
    ///
    /// # Errors
    /// As of [`Signals::with_probabilities`]; no member.
    pub fn with_committee(self, members: impl Into<Dense<'a, f32, Ix3>>) -> Result<Self> {
        self.with_committee_at(members.into(), None)
    }

    /// As [`Signals::with_probabilities`], with `place` for a row in messages, else its id.
    pub(super) fn with_probabilities_at(
        mut self,
        probabilities: Dense<'a, f32, Ix2>,
        place: Place<'_>,
    ) -> Result<Self> {
        self.check_distributions("probabilities", &probabilities, place)?;
        self.probabilities = Some(probabilities);
        Ok(self)
    }

    pub(super) fn with_monte_carlo_at(
        mut self,
        draws: Dense<'a, f32, Ix3>,
        place: Place<'_>,
    ) -> Result<Self> {
        self.check_distributions("Monte-Carlo probabilities", &draws, place)?;
        self.monte_carlo = Some(draws);
        Ok(self)
    }

    pub(super) fn with_committee_at(
        mut self,
        members: Dense<'a, f32, Ix3>,
        place: Place<'_>,
    ) -> Result<Self> {
        self.check_distributions("committee probabilities", &members, place)?;
        self.committee = Some(members);
        Ok(self)
    }

    /// Adds the features of every stage, each [n, d_l], shallow to deep. The last is the embedding.
    ///
    /// # Errors
    /// A number of rows that is not the number of ids, no stage at all, a stage without columns.
    pub fn with_stages<A: Into<Dense<'a, f32, Ix2>>>(mut self, stages: Vec<A>) -> Result<Self> {
        if stages.is_empty() {
            return Err(Error::input("the list of stage features is empty")
                .expected("at least one array")
                .into());
        }
        let stages: Vec<Dense<'a, f32, Ix2>> = stages.into_iter().map(Into::into).collect();
        for stage in &stages {
            self.check_rows("stage features", stage.shape[0])?;
            if stage.shape[1] == 0 {
                return Err(Error::input("features without columns").expected("at least 1 column").into());
            }
        }
        self.stages = Some(stages);
        Ok(self)
    }

    /// Adds an embedding [n, d], where the features of the earlier stages are not known.
    ///
    /// # Errors
    /// As [`Signals::with_stages`].
    pub fn with_embedding(self, embedding: impl Into<Dense<'a, f32, Ix2>>) -> Result<Self> {
        self.with_stages(vec![embedding])
    }

    /// Adds the images, [n, channels, height, width].
    ///
    /// # Errors
    /// A number of images that is not the number of ids, images without pixels.
    pub fn with_images(mut self, images: impl Into<Dense<'a, u8, Ix4>>) -> Result<Self> {
        let images = images.into();
        let (n, channels, height, width) = images.shape.into_pattern();
        self.check_rows("images", n)?;
        if ![1, 3].contains(&channels) || height == 0 || width == 0 {
            return Err(Error::input("invalid image shape")
                .expected("[n, channels, height, width], with 1 or 3 channels")
                .got(format!("{:?}", (n, channels, height, width)))
                .into());
        }
        self.images = Some(images);
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

    /// Checks an array whose last dimension is over classes and its first over rows.
    fn check_distributions<D: Dimension>(
        &self,
        name: &str,
        array: &Dense<'_, f32, D>,
        place: Place<'_>,
    ) -> Result<()> {
        let rows = array.rows();
        self.check_rows(name, rows.len())?;
        check_classes(name, rows.columns())?;
        if rows.lines() == 0 {
            return Err(Error::input(format!("{name} without a draw")).expected("[n, draws, C]").into());
        }
        let Some((row, complaint)) = wrong(rows) else {
            return Ok(());
        };
        let place = place.map_or_else(|| format!("id {}", self.ids[row]), |place| place(row));
        Err(complaint.at(place).into())
    }

    /// Whether rows that lie apart were brought together after all, in any array.
    #[cfg(test)]
    pub(super) fn is_copied(&self) -> bool {
        let draws = [&self.monte_carlo, &self.committee].into_iter().flatten().any(Dense::is_copied);
        let flat = self.stages.iter().flatten().chain(&self.probabilities).any(Dense::is_copied);
        draws || flat
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

    /// The rows in ascending order of their ids: what a strategy goes by where order matters, so
    /// that the order in which a pool is listed changes nothing.
    #[must_use]
    pub fn rows_by_id(&self) -> Vec<usize> {
        let mut rows: Vec<usize> = (0..self.ids.len()).collect();
        rows.sort_unstable_by_key(|&row| self.ids[row]);
        rows
    }

    /// Whether there are class probabilities.
    #[must_use]
    pub fn has_probabilities(&self) -> bool {
        self.probabilities.is_some()
    }

    /// Class probabilities [n, C].
    ///
    /// # Errors
    /// They were not given.
    pub fn probabilities(&self) -> Result<ArrayView2<'_, f32>> {
        self.probabilities.as_ref().map(|array| array.view()).ok_or_else(|| missing("probabilities"))
    }

    /// Class probabilities of each row \[C\], read where they lie.
    ///
    /// # Errors
    /// They were not given.
    pub(crate) fn probability_rows(&self) -> Result<ArrayRows<'_, f32>> {
        self.probabilities.as_ref().map(Dense::rows).ok_or_else(|| missing("probabilities"))
    }

    /// Class probabilities of each row under T passes [T, C], read where they lie.
    ///
    /// # Errors
    /// They were not given.
    pub(crate) fn monte_carlo_rows(&self) -> Result<ArrayRows<'_, f32>> {
        self.monte_carlo.as_ref().map(Dense::rows).ok_or_else(|| missing("Monte-Carlo probabilities"))
    }

    /// Class probabilities of each row by M classifiers [M, C], read where they lie.
    ///
    /// # Errors
    /// They were not given.
    pub(crate) fn committee_rows(&self) -> Result<ArrayRows<'_, f32>> {
        self.committee.as_ref().map(Dense::rows).ok_or_else(|| missing("committee probabilities"))
    }

    /// The features of the last stage of each row \[d\], read where they lie.
    ///
    /// # Errors
    /// They were not given.
    pub(crate) fn embedding_rows(&self) -> Result<ArrayRows<'_, f32>> {
        let last = self.stages.as_ref().and_then(|stages| stages.last());
        last.map(Dense::rows).ok_or_else(|| missing("features"))
    }

    /// d_l of every stage, where there are features.
    pub(crate) fn widths(&self) -> Option<Vec<usize>> {
        Some(self.stages.as_ref()?.iter().map(|stage| stage.shape[1]).collect())
    }

    /// Class probabilities of T passes under dropout, [n, T, C].
    ///
    /// # Errors
    /// They were not given.
    pub fn monte_carlo(&self) -> Result<ArrayView3<'_, f32>> {
        self.monte_carlo
            .as_ref()
            .map(|array| array.view())
            .ok_or_else(|| missing("Monte-Carlo probabilities"))
    }

    /// Class probabilities of M classifiers, [n, M, C].
    ///
    /// # Errors
    /// They were not given.
    pub fn committee(&self) -> Result<ArrayView3<'_, f32>> {
        self.committee.as_ref().map(|array| array.view()).ok_or_else(|| missing("committee probabilities"))
    }

    /// The features of every stage, each [n, d_l].
    ///
    /// # Errors
    /// They were not given.
    pub fn stages(&self) -> Result<Vec<ArrayView2<'_, f32>>> {
        let stages = self.stages.as_ref().ok_or_else(|| missing("features"))?;
        Ok(stages.iter().map(|stage| stage.view()).collect())
    }

    /// The features of every stage of each row [d_l], read where they lie.
    ///
    /// # Errors
    /// They were not given.
    pub(crate) fn stage_rows(&self) -> Result<Vec<ArrayRows<'_, f32>>> {
        let stages = self.stages.as_ref().ok_or_else(|| missing("features"))?;
        Ok(stages.iter().map(Dense::rows).collect())
    }

    /// The features of every stage of each row [d_l], every value finite, read where they lie.
    ///
    /// # Errors
    /// They were not given; the first value that is wrong, by the id of its row.
    pub(crate) fn checked_stage_rows(&self) -> Result<Vec<ArrayRows<'_, f32>>> {
        let stages = self.stage_rows()?;
        for (l, stage) in stages.iter().enumerate() {
            self.check_features(*stage, l + 1)?;
        }
        Ok(stages)
    }

    /// The ids and the features of every stage, borrowed.
    ///
    /// # Errors
    /// They were not given.
    pub(crate) fn features_alone(&self) -> Result<Signals<'_>> {
        let stages = self.stages.as_ref().ok_or_else(|| missing("features"))?;
        Signals::new(self.ids.clone()).with_stages(stages.iter().map(Dense::borrow).collect())
    }

    /// The features of the last stage, [n, d].
    ///
    /// # Errors
    /// They were not given.
    pub fn embedding(&self) -> Result<ArrayView2<'_, f32>> {
        let last = self.stages.as_ref().and_then(|stages| stages.last());
        last.map(|stage| stage.view()).ok_or_else(|| missing("features"))
    }

    /// The images, [n, channels, height, width].
    ///
    /// # Errors
    /// They were not given.
    pub fn images(&self) -> Result<ArrayView4<'_, u8>> {
        self.images.as_ref().map(|array| array.view()).ok_or_else(|| missing("images"))
    }

    /// The classifier's predicted label of each row: as given, else the arg-max of the
    /// probabilities, lowest class on ties.
    ///
    /// # Errors
    /// Neither was given.
    pub fn predicted(&self) -> Result<Vec<Label>> {
        match (&self.predicted, &self.probabilities) {
            (Some(predicted), _) => Ok(predicted.clone()),
            (None, Some(p)) => Ok(p.rows().par_iter(1024).map(|row| argmax(row.iter().copied())).collect()),
            (None, None) => Err(missing("probabilities or predicted labels")),
        }
    }

    /// The Monte-Carlo probabilities themselves, without a copy where they are owned.
    ///
    /// # Errors
    /// They were not given.
    pub fn into_monte_carlo(self) -> Result<Dense<'a, f32, Ix3>> {
        self.monte_carlo.ok_or_else(|| missing("Monte-Carlo probabilities"))
    }

    /// The number of classes that each array of probabilities says, where there is any.
    pub(crate) fn all_classes(&self) -> impl Iterator<Item = usize> {
        let columns = self.probabilities.iter().map(|p| p.shape[1]);
        columns.chain([&self.monte_carlo, &self.committee].into_iter().flatten().map(|p| p.shape[2]))
    }

    /// Number of classes C, where an array says it.
    #[must_use]
    pub fn classes(&self) -> Option<usize> {
        self.all_classes().next()
    }

    /// The embedding [n, d], every value finite.
    ///
    /// # Errors
    /// It was not given; the first value that is wrong, by the id of its row.
    pub fn checked_embedding(&self) -> Result<ArrayView2<'_, f32>> {
        self.checked_embedding_rows()?;
        self.embedding()
    }

    /// The features of the last stage of each row \[d\], every value finite, read where they lie.
    ///
    /// # Errors
    /// As [`Signals::checked_embedding`].
    pub(crate) fn checked_embedding_rows(&self) -> Result<ArrayRows<'_, f32>> {
        let rows = self.embedding_rows()?;
        self.check_features(rows, self.stages.as_ref().map_or(0, Vec::len))?;
        Ok(rows)
    }

    /// The features of every stage [n, d_l], every value finite.
    ///
    /// # Errors
    /// They were not given; the first value that is wrong, by the id of its row.
    pub fn checked_stages(&self) -> Result<Vec<ArrayView2<'_, f32>>> {
        self.checked_stage_rows()?;
        self.stages()
    }

    fn check_features(&self, rows: ArrayRows<'_, f32>, number: usize) -> Result<()> {
        let Some((row, value)) = first_not_finite(rows) else { return Ok(()) };
        Err(Error::input("a feature is not finite")
            .at(format!("id {}, stage {number}", self.ids[row]))
            .expected("finite numbers")
            .got(value)
            .hint("look for divisions by zero or an overflow in the network that made the features")
            .into())
    }
}

/// The first row with a value that is not finite, and that value.
pub(super) fn first_not_finite(rows: ArrayRows<'_, f32>) -> Option<(usize, f32)> {
    // Without an early end, so that whole vectors are looked at.
    let good = |row: &[f32]| row.iter().fold(true, |good, value| good & value.is_finite());
    let (row, values) = rows.par_iter(1024).enumerate().find_first(|(_, row)| !good(row))?;
    Some((row, values.iter().copied().find(|value| !value.is_finite()).unwrap_or(f32::NAN)))
}

fn check_classes(name: &str, classes: usize) -> Result<()> {
    if classes >= 2 {
        return Ok(());
    }
    Err(Error::input(format!("{name} of fewer than two classes"))
        .expected("at least 2 columns, one per class")
        .got(classes)
        .hint("for two classes give both: p and 1 − p")
        .into())
}

fn missing(name: &str) -> Error {
    Error::input(format!("this strategy needs {name}, which were not given"))
        .hint(format!("add the {name}, or choose a strategy that does without them"))
        .into()
}

/// Position of the largest value, the first among equals; NaN never wins.
#[must_use]
pub fn argmax(values: impl Iterator<Item = f32>) -> Label {
    let mut best = (0, f32::NEG_INFINITY);
    for (n, value) in values.enumerate() {
        if value > best.1 {
            best = (n, value);
        }
    }
    best.0 as Label
}
