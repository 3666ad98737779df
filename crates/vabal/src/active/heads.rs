//! The linear classifier on features as the learner of a round, for experiments: a head a round,
//! fitted from scratch.
//!
//! A head has no dropout. Where a strategy asks for passes under dropout, or for a committee, it
//! gets heads that are fitted to bootstrap samples of the labelled rows, which differ as much as
//! the labels leave open. Never here: how a head is fitted.

use std::path::Path;

use ndarray::{Array3, ArrayView2, Axis};
use rand::RngExt as _;
use rayon::prelude::*;

use super::{Classifier, Learner, Role};
use crate::backbone::file::Kind;
use crate::data::Features;
use crate::error::{Error, Result};
use crate::progress::{Event, Progress, report, silent};
use crate::query::arrays::MonteCarlo;
use crate::query::head::{LinearHead, Settings};
use crate::query::{Needs, Signals, class_counts};
use crate::rng::Seed;
use crate::{Id, Label};

/// The linear classifier as a [`Learner`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heads<'a> {
    pub(crate) features: &'a Features,
    pub(crate) classes: usize,
    pub(crate) strength: Strength<'a>,
}

/// How strong the penalty is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Strength<'a> {
    /// As it is set.
    Fixed(&'a Settings),
    /// Chosen by cross-validation, with calibrated probabilities; of a pool where every class has
    /// as many images as any other, if it is to be `balanced`.
    Validated { balanced: bool },
}

impl<'a> Heads<'a> {
    /// As [`Learner::train`] for the round itself, of a type that is known.
    pub(crate) fn fit(
        &self,
        ids: &[Id],
        labels: &[Label],
        seed: Seed,
        progress: &mut Progress<'_>,
    ) -> Result<Frozen<'a>> {
        let &Self { features, classes, strength } = self;
        let rows = features.rows(ids)?;
        let (head, held_out) = match strength {
            Strength::Fixed(settings) => {
                (LinearHead::fit(rows.view(), labels, classes, settings, None, None, progress)?, Vec::new())
            }
            Strength::Validated { balanced } => {
                let found = LinearHead::fit_validated(rows.view(), ids, labels, classes, seed, progress)?;
                let (head, mut held_out) = (found.head, found.held_out);
                if balanced {
                    let counts = class_counts(labels, classes);
                    held_out.iter_mut().for_each(|(_, p)| even(p, &counts));
                    (head.balanced(&counts)?, held_out)
                } else {
                    (head, held_out)
                }
            }
        };
        Ok(Frozen { features, heads: vec![head], draws: false, held_out })
    }

    /// The settings of heads beside that of the round.
    fn settings(
        &self,
        (ids, labels): (&[Id], &[Label]),
        rows: ArrayView2<'_, f32>,
        seed: Seed,
        progress: &mut Progress<'_>,
    ) -> Result<Settings> {
        Ok(match self.strength {
            Strength::Fixed(settings) => *settings,
            Strength::Validated { .. } => {
                let chosen = LinearHead::fit_validated(rows, ids, labels, self.classes, seed, progress)?;
                Settings { l2: chosen.l2, ..Settings::default() }
            }
        })
    }

    /// The draws of a posterior over heads: each is fitted to a bootstrap sample of its own, from
    /// the head of all rows on.
    fn draws(
        &self,
        rows: ArrayView2<'_, f32>,
        labels: &[Label],
        (draws, settings): (usize, &Settings),
        seed: Seed,
        progress: &mut Progress<'_>,
    ) -> Result<Vec<LinearHead>> {
        let classes = self.classes;
        let all = LinearHead::fit(rows, labels, classes, settings, None, None, progress)?;
        let mut heads = Vec::with_capacity(draws);
        let fit = |draw: usize| {
            let weights = bootstrap(labels, seed.child("draw", draw as u64));
            LinearHead::fit(rows, labels, classes, settings, Some(&weights), Some(&all), &mut silent())
        };
        // As many at a time as there are threads: between them it can be stopped.
        let step = rayon::current_num_threads().max(1);
        for first in (0..draws).step_by(step) {
            let some: Vec<_> = (first..draws.min(first + step)).into_par_iter().map(fit).collect();
            for head in some {
                heads.push(head?);
            }
            let event =
                Event::Progress { phase: "head", done: heads.len(), total: draws, unit: "head", loss: None };
            report(progress, event)?;
        }
        Ok(heads)
    }
}

impl Learner for Heads<'_> {
    fn train(
        &self,
        ids: &[Id],
        labels: &[Label],
        role: Role,
        seed: Seed,
        progress: &mut Progress<'_>,
    ) -> Result<Box<dyn Classifier + '_>> {
        if role == Role::Round {
            return Ok(Box::new(self.fit(ids, labels, seed, progress)?));
        }
        let &Self { features, classes, .. } = self;
        let rows = features.rows(ids)?;
        let rows = rows.view();
        let settings = self.settings((ids, labels), rows, seed, progress)?;
        let (heads, draws) = match role {
            Role::Draws(MonteCarlo { draws, .. }) => {
                (self.draws(rows, labels, (draws, &settings), seed, progress)?, true)
            }
            Role::Round | Role::Member => {
                let weights = bootstrap(labels, seed);
                let head = LinearHead::fit(rows, labels, classes, &settings, Some(&weights), None, progress)?;
                (vec![head], false)
            }
        };
        Ok(Box::new(Frozen { features, heads, draws, held_out: Vec::new() }))
    }

    fn load(&self, path: &Path) -> Result<Box<dyn Classifier + '_>> {
        let read = KIND.read(path)?;
        let (_, head) = read.ok_or_else(|| KIND.foreign(path, format!("no {} in its metadata", KIND.key)))?;
        let (got, expected) = (head.weights().dim(), (self.classes, self.features.width()));
        if got != expected {
            return Err(KIND.foreign(path, format!("weights of shape {got:?}, not {expected:?}")).into());
        }
        Ok(Box::new(Frozen {
            features: self.features,
            heads: vec![head],
            draws: false,
            held_out: Vec::new(),
        }))
    }
}

/// Probabilities as a head gives them that [`LinearHead::balanced`] has made.
fn even(p: &mut [f32], counts: &[usize]) {
    p.iter_mut().zip(counts).for_each(|(p, &count)| *p /= count as f32 + 1.0);
    let total: f32 = p.iter().sum();
    if total > 0.0 {
        p.iter_mut().for_each(|p| *p /= total);
    }
}

/// How often each row is in a bootstrap sample: as many draws as rows, with replacement, of two
/// classes at least.
fn bootstrap(labels: &[Label], seed: Seed) -> Vec<f64> {
    let mut rng = seed.stream("bootstrap");
    let alone = labels.iter().all(|label| Some(label) == labels.first());
    loop {
        let mut weights = vec![0.0; labels.len()];
        (0..labels.len()).for_each(|_| weights[rng.random_range(0..labels.len())] += 1.0);
        let mut drawn =
            labels.iter().zip(&weights).filter(|(_, weight)| **weight > 0.0).map(|(label, _)| label);
        let first = drawn.next();
        // Else there is nothing to tell apart.
        if alone || drawn.any(|label| Some(label) != first) {
            return weights;
        }
    }
}

/// Fitted heads with the features that they are asked about: one, or those of Monte-Carlo draws.
#[derive(Debug)]
pub(crate) struct Frozen<'a> {
    features: &'a Features,
    pub(crate) heads: Vec<LinearHead>,
    draws: bool,
    /// Labelled rows with what heads say of them that were fitted without them, where the strength
    /// was chosen so.
    pub(crate) held_out: Vec<(Id, Vec<f32>)>,
}

impl Classifier for Frozen<'_> {
    fn signals(
        &self,
        ids: &[Id],
        needs: Needs,
        _: Seed,
        progress: &mut Progress<'_>,
    ) -> Result<Signals<'static>> {
        let rows = self.features.rows(ids)?;
        let mut signals = Signals::new(ids.to_vec());
        if needs.images {
            let hint = "give images, or leave the strategy out";
            return Err(Error::input("features have no images")
                .expected("images")
                .got("features")
                .hint(hint)
                .into());
        }
        if needs.probabilities || needs.predicted {
            signals = signals.with_probabilities(self.heads[0].probabilities(rows.view())?)?;
        }
        if needs.monte_carlo.is_some() {
            let classes = self.heads[0].bias().len();
            let mut draws = Array3::zeros((ids.len(), self.heads.len(), classes));
            for (draw, head) in self.heads.iter().enumerate() {
                draws.index_axis_mut(Axis(1), draw).assign(&head.probabilities(rows.view())?);
                let (done, total) = (draw + 1, self.heads.len());
                report(
                    progress,
                    Event::Progress { phase: "features", done, total, unit: "pass", loss: None },
                )?;
            }
            signals = signals.with_monte_carlo(draws)?;
        }
        if needs.embedding || needs.stages {
            signals = signals.with_embedding(rows)?;
        }
        Ok(signals)
    }

    fn gives(&self, monte_carlo: MonteCarlo) -> bool {
        self.draws && self.heads.len() == monte_carlo.draws
    }

    fn save(&self, path: &Path) -> Result<()> {
        KIND.write(path, &self.heads[0], [])
    }
}

const KIND: Kind = Kind {
    key: "vabal.linear",
    format: "1",
    what: "this is no linear classifier of this experiment",
    hint: "the file may be cut short or damaged: delete it, and it is made again",
};

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    #[test]
    fn a_balanced_head_takes_all_classes_for_equally_frequent() {
        let ids: Vec<Id> = (0..60).collect();
        let labels: Vec<Label> = ids.iter().map(|&id| Label::from(id % 6 == 0)).collect();
        let rows = Array2::from_shape_fn((60, 4), |(row, column)| {
            let noise = ((row * 7 + column * 5) % 11) as f32 / 5.0;
            noise + f32::from(u8::from(row % 6 == 0 && column == 0))
        });
        let features = Features::new(rows, None).unwrap();
        let bias = |balanced: bool| {
            let heads = Heads { features: &features, classes: 2, strength: Strength::Validated { balanced } };
            let fitted = heads.fit(&ids, &labels, Seed::new(1), &mut silent()).unwrap();
            fitted.heads[0].bias().to_owned()
        };
        // 10 labels of the one, 50 of the other, and one imaginary label of each.
        let shift = bias(true) - bias(false);
        assert!((shift[1] - shift[0] - (51.0_f64 / 11.0).ln()).abs() < 1e-12, "{shift}");
    }
}
