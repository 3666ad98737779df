//! One round of active learning: train on what is labelled, look at what is not, choose, ask.
//!
//! The parts are traits, so that the same round serves a hidden label, a person and a test without
//! a network. Never here: files, the order of runs, what an experiment records.
//!
//! ```
//! use ndarray::{Array2, Axis};
//! use vabal::active::{Oracle, Partition, choose};
//! use vabal::progress::silent;
//! use vabal::query::head::{LinearHead, Settings};
//! use vabal::{Id, Label, Result, STRATEGIES, Seed, Signals};
//!
//! /// Whoever labels: here a rule, else a person, a queue, a web service.
//! struct Rule;
//!
//! impl Oracle for Rule {
//!     fn label(&mut self, ids: &[Id]) -> Result<Vec<Label>> {
//!         Ok(ids.iter().map(|id| Label::from(id % 10 == 0)).collect())
//!     }
//! }
//!
//! // A rare class: one image in ten, apart from the others by its first feature.
//! let features = Array2::from_shape_fn((200, 4), |(row, column)| {
//!     ((row * 7 + column * 3) % 11) as f32 / 10.0 + if row % 10 == 0 && column == 0 { 2.0 } else { 0.0 }
//! });
//! let of = |ids: &[Id]| features.select(Axis(0), &ids.iter().map(|&id| id as usize).collect::<Vec<_>>());
//! let (strategy, seed) = (STRATEGIES.by_name("vabal")?, Seed::new(1));
//! let mut pool = Partition::new(&(0..200).collect::<Vec<Id>>())?;
//! let mut ask = pool.draw(10, seed)?;
//! for round in 0..4 {
//!     let labels = Rule.label(&ask)?;
//!     pool.learn(&ask, &labels)?;
//!     let rows = of(pool.labelled());
//!     let head = LinearHead::fit(rows.view(), pool.labels(), 2, &Settings::default(), None, None, &mut silent())?;
//!     let signals = |ids: &[Id]| -> Result<_> {
//!         let probabilities = head.probabilities(of(ids).view())?;
//!         Signals::new(ids.to_vec()).with_embedding(of(ids))?.with_probabilities(probabilities)
//!     };
//!     let both = (&signals(pool.unlabelled())?, &signals(pool.labelled())?);
//!     ask = choose(&*strategy, &pool, both, 2, 10, seed.child("round", round), &mut silent())?.ids;
//! }
//! assert!(pool.class_counts(2)[1] > 4); // more of the rare class than its share of 40
//! # Ok::<(), vabal::Error>(())
//! ```

mod heads;
mod trainer;

use std::collections::HashSet;
use std::path::Path;

use ndarray::{Array3, Axis};
use rand::seq::index;

use crate::data::{Images, Items, Labelled};
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::query::arrays::MonteCarlo;
use crate::query::{Needs, Query, Selection, Signals, Strategy};
use crate::rng::Seed;
use crate::{Id, Label};

pub(crate) use heads::{Heads, Strength};
pub(crate) use trainer::Trainer;

/// Who answers which class an image is of.
pub trait Oracle {
    /// The label of each id, in the same order.
    ///
    /// # Errors
    /// Whatever keeps the answer from coming, or [`Error::Stopped`].
    fn label(&mut self, ids: &[Id]) -> Result<Vec<Label>>;
}

/// The oracle of experiments: the labels are known, and hidden from the strategy.
#[derive(Debug, Clone, Copy)]
pub struct HiddenLabels<'a, T = Images>(pub &'a Labelled<T>);

impl<T: Items> Oracle for HiddenLabels<'_, T> {
    fn label(&mut self, ids: &[Id]) -> Result<Vec<Label>> {
        Ok(ids.iter().map(|&id| self.0.label(id)).collect())
    }
}

/// What a classifier is trained for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Role {
    /// To be the round's own.
    Round,
    /// To be another member of a committee beside it.
    Member,
    /// To give these Monte-Carlo draws.
    Draws(MonteCarlo),
}

/// Makes classifiers, on several threads at a time where experiments are shared out.
pub trait Learner: Sync {
    /// Trains from scratch on `ids` with their `labels`; every random draw comes from `seed`.
    ///
    /// # Errors
    /// A training that fails, or [`Error::Stopped`].
    fn train(
        &self,
        ids: &[Id],
        labels: &[Label],
        role: Role,
        seed: Seed,
        progress: &mut Progress<'_>,
    ) -> Result<Box<dyn Classifier + '_>>;

    /// Reads back what [`Classifier::save`] wrote.
    ///
    /// # Errors
    /// A file that is missing, torn, or of another network.
    fn load(&self, path: &Path) -> Result<Box<dyn Classifier + '_>>;
}

/// A frozen classifier.
pub trait Classifier {
    /// Computes what `needs` names for `ids`, but for a committee, which one classifier cannot be.
    /// Every draw of a Monte-Carlo pass comes from `seed` and the image's id.
    ///
    /// # Errors
    /// Images that do not fit, or [`Error::Stopped`].
    fn signals(
        &self,
        ids: &[Id],
        needs: Needs,
        seed: Seed,
        progress: &mut Progress<'_>,
    ) -> Result<Signals<'static>>;

    /// Whether it gives these Monte-Carlo draws itself; if not, another one is trained for them.
    fn gives(&self, monte_carlo: MonteCarlo) -> bool;

    /// Writes it to a file, whole or not at all.
    ///
    /// # Errors
    /// The file cannot be written.
    fn save(&self, path: &Path) -> Result<()>;
}

/// What is labelled, in the order it was asked, and what is not. Ids only: a position means
/// nothing.
///
/// Labelled and unlabelled ids are disjoint, and together always the ids it was made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    labelled: Vec<Id>,
    labels: Vec<Label>,
    /// Ascending.
    unlabelled: Vec<Id>,
}

impl Partition {
    /// A pool with nothing labelled.
    ///
    /// # Errors
    /// An id that is there twice.
    pub fn new(ids: &[Id]) -> Result<Self> {
        let mut unlabelled = ids.to_vec();
        unlabelled.sort_unstable();
        if let Some(pair) = unlabelled.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::input("an image is in the pool twice")
                .at(format!("id {}", pair[0]))
                .expected("ids that do not repeat")
                .into());
        }
        Ok(Self { labelled: Vec::new(), labels: Vec::new(), unlabelled })
    }

    /// The labelled ids, in the order they were asked.
    #[must_use]
    pub fn labelled(&self) -> &[Id] {
        &self.labelled
    }

    /// The labels of [`Partition::labelled`], row by row.
    #[must_use]
    pub fn labels(&self) -> &[Label] {
        &self.labels
    }

    /// The ids without a label, ascending.
    #[must_use]
    pub fn unlabelled(&self) -> &[Id] {
        &self.unlabelled
    }

    /// Labelled images of each of `classes` classes.
    #[must_use]
    pub fn class_counts(&self, classes: usize) -> Vec<usize> {
        let mut counts = vec![0; classes];
        for &label in &self.labels {
            if let Some(count) = counts.get_mut(label as usize) {
                *count += 1;
            }
        }
        counts
    }

    /// Checks that `ids` may be asked: each unlabelled, none twice.
    fn check(&self, ids: &[Id]) -> Result<()> {
        let mut seen = HashSet::new();
        let complaint = |what: &str, id: Id| {
            let place = format!("id {id}");
            Error::from(Error::input(what).at(place).expected("ids of the unlabelled pool, each once"))
        };
        for &id in ids {
            if self.unlabelled.binary_search(&id).is_err() {
                return Err(complaint("an image was chosen that is not in the unlabelled pool", id));
            }
            if !seen.insert(id) {
                return Err(complaint("an image was chosen twice", id));
            }
        }
        Ok(())
    }

    /// Moves `ids` to the labelled side, in this order. On an error nothing has moved.
    ///
    /// # Errors
    /// An id that is not unlabelled or is there twice; another number of labels than of ids.
    pub fn learn(&mut self, ids: &[Id], labels: &[Label]) -> Result<()> {
        self.check(ids)?;
        if labels.len() != ids.len() {
            return Err(Error::input("labels and ids disagree")
                .expected(format!("{} labels, one per id", ids.len()))
                .got(format!("{} labels", labels.len()))
                .into());
        }
        let gone: HashSet<Id> = ids.iter().copied().collect();
        self.unlabelled.retain(|id| !gone.contains(id));
        self.labelled.extend(ids);
        self.labels.extend(labels);
        Ok(())
    }

    /// The first images to label: `n` of the unlabelled, uniformly, without replacement.
    ///
    /// # Errors
    /// Fewer unlabelled images than asked for.
    pub fn draw(&self, n: usize, seed: Seed) -> Result<Vec<Id>> {
        if n > self.unlabelled.len() {
            return Err(Error::input("the pool is smaller than the first budget")
                .at("rounds.initial")
                .expected(format!("at most {}, the images of the pool", self.unlabelled.len()))
                .got(n)
                .hint("lower rounds.initial, or keep more images of the data")
                .into());
        }
        let mut rng = seed.stream("initial-pool");
        Ok(index::sample(&mut rng, self.unlabelled.len(), n)
            .into_iter()
            .map(|row| self.unlabelled[row])
            .collect())
    }
}

/// What a round is looked at with: who trains, and the frozen classifier of the round.
#[derive(Clone, Copy)]
pub struct Lens<'a> {
    /// Trains what a strategy needs beside the classifier.
    pub learner: &'a dyn Learner,
    /// The classifier of the round.
    pub classifier: &'a dyn Classifier,
    /// Where the draws of its training came from.
    pub seed: Seed,
}

/// What `strategy` needs to see of both pools: (unlabelled, labelled), from the frozen classifier.
///
/// A strategy that asks for Monte-Carlo draws gets them of a classifier trained for them: the
/// round's own, or one trained for it alone, on the same labels from the same seed. The members of
/// a committee but the first, which is the round's own, are trained from seeds of their own. The
/// round's classifier, and so the measured curve, is the same for every strategy.
///
/// # Errors
/// As [`Classifier::signals`] and [`Learner::train`].
pub fn look(
    lens: Lens<'_>,
    pool: &Partition,
    strategy: &dyn Strategy,
    progress: &mut Progress<'_>,
) -> Result<(Signals<'static>, Signals<'static>)> {
    Ok((
        lens.signals(pool, &pool.unlabelled, strategy.needs(), progress)?,
        lens.signals(pool, &pool.labelled, strategy.needs_of_labelled(), progress)?,
    ))
}

impl Lens<'_> {
    fn signals(
        self,
        pool: &Partition,
        ids: &[Id],
        needs: Needs,
        progress: &mut Progress<'_>,
    ) -> Result<Signals<'static>> {
        let Self { learner, classifier, seed } = self;
        let pass = seed.child("look", 0);
        if needs == Needs::IDS {
            return Ok(Signals::new(ids.to_vec()));
        }
        let mut signals = classifier.signals(ids, needs.of_one_pass(), pass, progress)?;
        if let Some(monte_carlo) = needs.monte_carlo {
            let wish = Needs { monte_carlo: Some(monte_carlo), ..Needs::IDS };
            let draws = if classifier.gives(monte_carlo) {
                classifier.signals(ids, wish, pass, progress)?
            } else {
                let role = Role::Draws(monte_carlo);
                let with = learner.train(&pool.labelled, &pool.labels, role, seed, progress)?;
                with.signals(ids, wish, pass, progress)?
            };
            signals = signals.with_monte_carlo(draws.into_monte_carlo()?)?;
        }
        if needs.committee > 0 {
            let mut members: Option<Array3<f32>> = None;
            for member in 0..needs.committee {
                let wish = Needs::PROBABILITIES;
                let of = if member == 0 {
                    classifier.signals(ids, wish, pass, progress)?
                } else {
                    let seed = seed.child("member", member as u64);
                    let another =
                        learner.train(&pool.labelled, &pool.labels, Role::Member, seed, progress)?;
                    another.signals(ids, wish, pass, progress)?
                };
                let p = of.probabilities()?;
                let shape = (p.nrows(), needs.committee, p.ncols());
                members
                    .get_or_insert_with(|| Array3::zeros(shape))
                    .index_axis_mut(Axis(1), member)
                    .assign(&p);
            }
            if let Some(members) = members {
                signals = signals.with_committee(members)?;
            }
        }
        Ok(signals)
    }
}

/// Lets `strategy` choose `n` images of `pool`, and checks its answer: unlabelled ids, each once,
/// as many as asked or as are left.
///
/// # Errors
/// What the strategy says, an answer that is not allowed, or [`Error::Stopped`].
pub fn choose(
    strategy: &dyn Strategy,
    pool: &Partition,
    (unlabelled, labelled): (&Signals<'_>, &Signals<'_>),
    classes: usize,
    n: usize,
    seed: Seed,
    progress: &mut Progress<'_>,
) -> Result<Selection> {
    let query = Query { unlabelled, labelled, labels: &pool.labels, classes, n, seed };
    query.check(strategy)?;
    let selection = strategy.select(&query, progress)?;
    pool.check(&selection.ids)?;
    let expected = n.min(pool.unlabelled.len());
    if selection.ids.len() != expected || selection.scores.len() != expected {
        return Err(Error::input("a strategy chose another number of images than it was asked for")
            .expected(expected)
            .got(format!("{} ids, {} scores", selection.ids.len(), selection.scores.len()))
            .into());
    }
    Ok(selection)
}

#[cfg(test)]
mod tests;
