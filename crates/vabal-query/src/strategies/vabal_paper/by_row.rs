//! The score of each row alone, for a pool in parts: the VAE is fitted to a sample, and so is
//! whatever is counted over a pool.
//!
//! Never here: the score itself.

use ndarray::Array2;

use super::posterior::{ClassTerms, Votes};
use super::{Decoder, Model, Settings, VabalPaper, score, weights};
use crate::error::{Error, Result};
use crate::progress::{Event, Progress, report};
use crate::query::{Arrays, ByRow, Fitted, RowScore, SAMPLE, Scored};
use crate::{Query, Signals};

/// d_n and π_n as the score takes them, [2, C].
const TERMS: &str = "class.terms";

/// These settings for a sample of `sampled` of a pool's `rows`: with as many steps as training on
/// `rows` rows takes, or on [`SAMPLE`] where there are more. How much a VAE learns depends on the
/// number of steps, not on the number of epochs.
pub(in crate::strategies) fn of_sample(settings: &Settings, sampled: usize, rows: usize) -> Settings {
    let mut settings = settings.clone();
    if sampled < rows {
        let steps = settings.epochs.saturating_mul(rows.min(SAMPLE).div_ceil(settings.batch));
        settings.minimum_steps = settings.minimum_steps.max(steps);
    }
    settings
}

impl ByRow for VabalPaper {
    fn fits(&self) -> bool {
        true
    }

    fn fit(&self, sample: &Query<'_>, rows: usize, progress: &mut Progress<'_>) -> Result<Arrays> {
        let settings = of_sample(&self.settings, sample.unlabelled.len(), rows);
        let model = Model::fit(&settings, sample.unlabelled, sample.classes, sample.seed, progress)?;
        model.check_widths(sample.labelled)?;
        let frozen = model.decoder(sample.seed).frozen;
        let votes_labelled = frozen.votes(sample.labelled, "difficulty", progress)?;
        let votes = frozen.votes(sample.unlabelled, "prior", progress)?;
        let votes: Vec<&Votes> = votes.iter().collect();
        let (terms, health) = model.terms(sample, &votes_labelled, &votes)?;
        if let Some(warning) = &health.warning {
            report(progress, Event::Warning(warning))?;
        }
        let mut arrays = weights::to_arrays(&model);
        let values = [terms.difficulty, terms.prior].concat();
        let terms = Array2::from_shape_vec((2, sample.classes), values).expect("two terms of each class");
        arrays.insert(TERMS.into(), terms);
        Ok(arrays)
    }

    fn scorer(&self, fitted: &Fitted) -> Result<Box<dyn RowScore>> {
        let classes = fitted.labelled.len();
        let model = Model::of_plan(&self.settings, classes, &fitted.arrays)?;
        let terms = fitted.arrays.get(TERMS).filter(|terms| terms.dim() == (2, classes));
        let terms = terms.ok_or_else(|| {
            Error::input("the plan has no terms of its classes")
                .expected(format!("{TERMS} of shape [2, {classes}]"))
                .hint("make the plan again")
        })?;
        let terms = ClassTerms { difficulty: terms.row(0).to_vec(), prior: terms.row(1).to_vec() };
        Ok(Box::new(Score { decoder: model.decoder(fitted.seed), model, terms }))
    }
}

impl Model {
    /// The model of a plan's arrays.
    ///
    /// # Errors
    /// Arrays that are missing, or of another shape.
    pub(in crate::strategies) fn of_plan(
        settings: &Settings,
        classes: usize,
        arrays: &Arrays,
    ) -> Result<Self> {
        weights::from_arrays(settings, classes, arrays)
    }

    /// As arrays of a plan.
    pub(in crate::strategies) fn to_arrays(&self) -> Arrays {
        weights::to_arrays(self)
    }
}

/// Eq. 6 with a fitted VAE.
struct Score {
    model: Model,
    decoder: Decoder,
    terms: ClassTerms,
}

impl RowScore for Score {
    fn score(&self, rows: &Signals<'_>, progress: &mut Progress<'_>) -> Result<Scored> {
        if rows.is_empty() {
            return Ok(Scored::default());
        }
        self.model.check_widths(rows)?;
        let Settings { class_sum, draws, .. } = self.model.settings;
        let drawn = self.model.drawn(&self.decoder, rows, progress)?;
        let scored = score::score(&drawn, &self.terms, class_sum, draws);
        let terms = self.model.columns(rows, &self.terms, &drawn, &scored)?;
        Ok(Scored { scores: scored.iter().map(|scored| scored.score).collect(), terms, ..Scored::default() })
    }
}
