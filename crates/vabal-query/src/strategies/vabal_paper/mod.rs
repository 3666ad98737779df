//! VaB-AL as the paper has it: asks for the images that the classifier is most likely to mislabel,
//! by Bayes' rule over how hard a class is, how likely the image is under it, and how abundant it
//! is (Choi, Yi et al., CVPR 2021).
//!
//! One file per idea. No tensor framework: the VAE is small, and written by hand it is faster than
//! with a framework, the same bit for bit with any number of threads, and usable on features from
//! anywhere.
//!
//! ```
//! use vabal_query::strategies::vabal_paper::{Preset, Settings, VabalPaper};
//! use vabal_query::Strategy;
//!
//! let strategy = VabalPaper::new(Settings::preset(Preset::Paper))?;
//! assert!(strategy.needs().stages && strategy.needs().predicted);
//! # Ok::<(), vabal_query::Error>(())
//! ```

mod by_row;
mod fit;
mod loss;
mod posterior;
mod score;
pub mod settings;
#[cfg(test)]
mod tests;
mod vae;
mod weights;

use std::path::Path;
use std::sync::Arc;

pub(super) use by_row::of_sample;
pub(super) use score::Decoder;
pub use settings::{Absence, Adapter, Bundle, ClassSum, Hidden, KIND, Likelihood, Preset, Prior, Settings};
pub(crate) use weights::width;

use crate::Signals;
use crate::arrays::ArrayRows;
use crate::error::{Error, Result};
use crate::progress::{Event, Progress, report};
use crate::query::{ByRow, MOST_CLASSES};
use crate::rng::Seed;
use crate::term;
use crate::{Column, Health, Needs, Query, Selection, Strategy};

/// The strategy.
#[derive(Debug, Clone, PartialEq)]
pub struct VabalPaper {
    settings: Settings,
}

impl VabalPaper {
    /// The strategy with these settings.
    ///
    /// # Errors
    /// A setting out of range.
    pub fn new(settings: Settings) -> Result<Self> {
        settings.check()?;
        Ok(Self { settings })
    }
}

impl Strategy for VabalPaper {
    fn needs(&self) -> Needs {
        Needs::STAGES.and(Needs::PREDICTED)
    }

    fn needs_of_labelled(&self) -> Needs {
        Needs::STAGES
    }

    fn reads_rows(&self) -> bool {
        true
    }

    fn by_row(&self) -> Option<&dyn ByRow> {
        Some(self)
    }

    fn select(&self, query: &Query<'_>, progress: &mut Progress<'_>) -> Result<Selection> {
        if query.unlabelled.is_empty() || query.n == 0 {
            return Selection::top(query, &vec![0.0; query.unlabelled.len()], Vec::new(), progress);
        }
        let model = Model::fit(&self.settings, query.unlabelled, query.classes, query.seed, progress)?;
        model.select(query, progress)
    }
}

/// A VAE fitted to one unlabelled pool, with the settings it was fitted and will score by.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    settings: Settings,
    fitted: fit::Fitted,
}

impl Model {
    /// Fits a VAE to the stage features of `unlabelled` and the classifier's predictions on it:
    /// Eqs. 7–10.
    ///
    /// # Errors
    /// Missing arrays, a pool without images, fewer than two classes, a prediction that is not
    /// below `classes`, features that are not finite, [`Error::Diverged`], [`Error::Stopped`].
    pub fn fit(
        settings: &Settings,
        unlabelled: &Signals<'_>,
        classes: usize,
        seed: Seed,
        progress: &mut Progress<'_>,
    ) -> Result<Self> {
        settings.check()?;
        if unlabelled.is_empty() {
            return Err(Error::input("the unlabelled pool is empty").expected("at least one image").into());
        }
        let columns = unlabelled.classes().unwrap_or(classes);
        if !(2..=MOST_CLASSES).contains(&classes) || columns != classes {
            return Err(Error::input("the number of classes does not fit")
                .expected("2 or more, one column of probabilities each")
                .got(format!("{classes} classes and {columns} columns"))
                .into());
        }
        let predicted = unlabelled.predicted()?;
        if let Some(row) = predicted.iter().position(|&label| label as usize >= classes) {
            return Err(Error::input("a predicted label is out of range")
                .at(format!("id {}", unlabelled.ids()[row]))
                .expected(format!("0 to {}", classes - 1))
                .got(predicted[row])
                .into());
        }
        // Batch normalisation divides by what they vary.
        let constant = |stage: &ArrayRows<'_, f32>| stage.iter().all(|row| row == stage.row(0));
        if unlabelled.len() > 1 && unlabelled.stage_rows()?.iter().all(constant) {
            return Err(Error::input("the features are constant")
                .at("features")
                .expected("rows that differ")
                .got(format!("{} equal rows", unlabelled.len()))
                .hint(
                    "look at how they were made: a layer that is dead, an array that was never filled; entropy, margin and \
                     others do without features",
                )
                .into());
        }
        let fitted = fit::fit(settings, unlabelled, classes, seed, progress)?;
        Ok(Self { settings: settings.clone(), fitted })
    }

    /// Chooses `query.n` of the unlabelled pool by Eqs. 6, 11 and 12.
    ///
    /// # Errors
    /// Missing arrays or arrays of other widths than the VAE was fitted to, another number of
    /// classes, labels out of range, [`Error::Stopped`].
    pub fn select(&self, query: &Query<'_>, progress: &mut Progress<'_>) -> Result<Selection> {
        for signals in [query.unlabelled, query.labelled] {
            self.check_widths(signals)?;
        }
        let classes = self.classes();
        if query.classes != classes {
            return Err(Error::input("another number of classes than the VAE was fitted to")
                .expected(classes)
                .got(query.classes)
                .hint("score the classes that it was fitted to, or fit another VAE")
                .into());
        }
        if let Some(row) = query.labels.iter().position(|&label| label as usize >= classes) {
            return Err(Error::input("a label is out of range")
                .at(format!("id {}", query.labelled.ids()[row]))
                .expected(format!("0 to {}", classes - 1))
                .got(query.labels[row])
                .into());
        }
        let decoder = self.decoder(query.seed);
        let votes_labelled = decoder.frozen.votes(query.labelled, "difficulty", progress)?;
        let drawn = self.drawn(&decoder, query.unlabelled, progress)?;
        let votes: Vec<&posterior::Votes> = drawn.iter().map(|drawn| &drawn.votes).collect();
        let (terms, health) = self.terms(query, &votes_labelled, &votes)?;
        if let Some(warning) = &health.warning {
            report(progress, Event::Warning(warning))?;
        }
        let scored = score::score(&drawn, &terms, self.settings.class_sum, self.settings.draws);
        let columns = self.columns(query.unlabelled, &terms, &drawn, &scored)?;
        let scores: Vec<f64> = scored.iter().map(|s| s.score).collect();
        let mut selection = Selection::top(query, &scores, columns, progress)?;
        selection.health = Some(health);
        selection.model = Some(weights::to_bytes(self)?);
        Ok(selection)
    }

    /// The networks at work: the draws of an image go by `seed` and its id alone.
    pub(super) fn decoder(&self, seed: Seed) -> Decoder {
        Decoder::new(Arc::new(posterior::Frozen::new(&self.fitted.vae, &self.settings, seed)))
    }

    fn drawn(
        &self,
        decoder: &Decoder,
        rows: &Signals<'_>,
        progress: &mut Progress<'_>,
    ) -> Result<Vec<score::Drawn>> {
        let Settings { class_sum, likelihood, .. } = self.settings;
        score::drawn(decoder, (class_sum, likelihood), rows, progress)
    }

    /// The terms of classes as the score takes them, and the state of the VAE, from the votes on
    /// both pools.
    fn terms(
        &self,
        query: &Query<'_>,
        votes_labelled: &[posterior::Votes],
        votes_unlabelled: &[&posterior::Votes],
    ) -> Result<(posterior::ClassTerms, Health)> {
        let (classes, draws) = (self.classes(), self.settings.draws);
        let measured = posterior::class_terms(votes_labelled, query.labels, classes, draws);
        let mut terms = measured.clone();
        match self.settings.prior {
            Prior::Labelled => {}
            Prior::Unlabelled => {
                terms.prior = posterior::prior(votes_unlabelled.iter().copied(), classes, draws);
            }
            Prior::Off => terms.prior.fill(1.0),
        }
        if !self.settings.difficulty {
            terms.difficulty.fill(1.0);
        }
        let prior = if self.settings.prior == Prior::Off { &measured.prior } else { &terms.prior };
        let health = self.health(query, votes_labelled, votes_unlabelled, &measured.difficulty, prior)?;
        Ok((terms, health))
    }

    /// Calls `each` on every row with ln p(x | n) of all classes n, but for what is the same for
    /// all: the decoder's output has the variance of its error, and z is drawn by the encoder.
    pub(super) fn log_likelihoods<R: Send>(
        &self,
        decoder: &Decoder,
        rows: &Signals<'_>,
        each: impl Fn(usize, ndarray::ArrayViewMut1<'_, f64>) -> R + Sync,
        progress: &mut Progress<'_>,
    ) -> Result<Vec<R>> {
        self.check_widths(rows)?;
        score::log_likelihoods(decoder, self.fitted.losses.reconstruction, rows, each, progress)
    }

    /// The terms behind the scores, as far as they take part: the classifier's prediction, the
    /// VAE's; d and π of that class where the sum is over it alone; ℓ, called "energy" where it is
    /// L itself.
    fn columns(
        &self,
        unlabelled: &Signals<'_>,
        terms: &posterior::ClassTerms,
        drawn: &[score::Drawn],
        scored: &[score::Scored],
    ) -> Result<Vec<Column>> {
        let Settings { class_sum, likelihood, prior, difficulty, .. } = self.settings;
        let of_predicted = |name, value: &dyn Fn(usize) -> f64| Column {
            name,
            values: drawn.iter().map(|drawn| value(drawn.votes.most())).collect(),
        };
        let predicted = unlabelled.predicted()?.into_iter().map(f64::from).collect();
        let mut columns = vec![
            Column { name: term::PREDICTED, values: predicted },
            of_predicted(term::VAE_PREDICTED, &|n| n as f64),
        ];
        let of_one_class = class_sum == ClassSum::Predicted;
        if of_one_class && difficulty {
            columns.push(of_predicted(term::DIFFICULTY, &|n| terms.difficulty[n]));
        }
        if of_one_class && prior != Prior::Off {
            columns.push(of_predicted(term::PRIOR, &|n| terms.prior[n]));
        }
        if likelihood != Likelihood::None {
            let name = if likelihood == Likelihood::Energy { term::ENERGY } else { term::LIKELIHOOD };
            let values = scored.iter().map(|s| s.likelihood.unwrap_or(f64::NAN)).collect();
            columns.push(Column { name, values });
        }
        Ok(columns)
    }

    fn check_widths(&self, signals: &Signals<'_>) -> Result<()> {
        if signals.is_empty() {
            return Ok(());
        }
        let got = signals.widths().unwrap_or_default();
        let expected = &self.fitted.vae.architecture.stages;
        if &got == expected {
            return Ok(());
        }
        Err(Error::input("stage features of other widths than the VAE was fitted to")
            .expected(format!("{expected:?}"))
            .got(format!("{got:?}"))
            .hint("give the features it was fitted to, or fit another VAE")
            .into())
    }

    fn health(
        &self,
        query: &Query<'_>,
        votes_labelled: &[posterior::Votes],
        votes_unlabelled: &[&posterior::Votes],
        difficulty: &[f64],
        prior: &[f64],
    ) -> Result<Health> {
        let classes = self.fitted.vae.architecture.classes;
        let draws = f64::from(u32::try_from(self.settings.draws).unwrap_or(u32::MAX));
        let predicted = query.unlabelled.predicted()?;
        let n = votes_unlabelled.len() as f64;
        let (mut means, mut agree) = (vec![0.0; classes], 0.0);
        for (votes, &label) in votes_unlabelled.iter().zip(&predicted) {
            agree += f64::from(votes.of(label)) / draws / n;
            means[label as usize] += 1.0 / n;
        }
        let says = posterior::votes_by_class(votes_unlabelled.iter().copied(), classes);
        let says = says.iter().map(|&said| said as f64 / draws / n);
        let right = votes_labelled.iter().zip(query.labels);
        let right = right.map(|(votes, &label)| f64::from(votes.of(label)) / draws);
        let losses = self.fitted.losses;
        // Cohen's kappa: agreement beyond what two independent answers with these shares would
        // reach.
        let chance: f64 = says.zip(&means).map(|(a, b)| a * b).sum();
        let kappa = if chance < 1.0 { (agree - chance) / (1.0 - chance) } else { 1.0 };
        let warning = if kappa < 0.5 {
            Some(format!(
                "the VAE has not learnt the classes: its prediction agrees with the classifier's on {:.0} % of the \
                 unlabelled pool, where chance gives {:.0} %, and its class loss is {:.2} nats, where guessing has {:.2}; raise \
                 lambda (now {}), epochs or learning_rate",
                100.0 * agree,
                100.0 * chance,
                losses.class,
                (classes as f64).ln(),
                self.settings.lambda
            ))
        } else if losses.reconstruction >= self.fitted.target_variance {
            Some(format!(
                "the VAE has not learnt the features: its reconstruction error {:.3} is no better than answering \
                 with the mean ({:.3}); raise epochs or learning_rate",
                losses.reconstruction, self.fitted.target_variance
            ))
        } else {
            None
        };
        Ok(Health {
            reconstruction: losses.reconstruction,
            kl: losses.kl,
            class_loss: losses.class,
            agreement_unlabelled: agree,
            agreement_labelled: crate::metrics::mean(right),
            warning,
            difficulty: difficulty.to_vec(),
            prior: prior.to_vec(),
        })
    }

    /// Writes networks, settings and shapes as safetensors, names and layout as PyTorch's.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        weights::save(self, path)
    }

    /// Reads what [`Model::save`] wrote.
    ///
    /// # Errors
    /// A file that is missing, torn, of another kind, or from a newer version.
    pub fn load(path: &Path) -> Result<Self> {
        weights::load(path)
    }

    /// The bytes of the file that [`Model::save`] writes.
    ///
    /// # Errors
    /// None for a model that was fitted or read.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        weights::to_bytes(self)
    }

    /// Reads what [`Model::to_bytes`] gave.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        weights::from_bytes(bytes, "bytes in memory")
    }

    /// What it was fitted by and will score by.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// C, the number of classes that it was fitted to.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.fitted.vae.architecture.classes
    }

    /// d_l, the width of every stage's features.
    #[must_use]
    pub fn widths(&self) -> &[usize] {
        &self.fitted.vae.architecture.stages
    }
}
