//! The VAE body of the generative model: that of the paper, with p(x) kept and a calibrated
//! decoder.
//!
//! p(x | n) is the mean over draws of z of N(x; x̂(z without the block of class n), σ²), as the
//! paper's L(x, z, n) has it, and σ² the mean squared error of the reconstruction, which is the
//! variance that makes the features most probable (Rybkin, Daniilidis & Levine 2021, "Simple and
//! Effective VAE Training with Calibrated Decoders", Eq. 4). Never here: how a VAE is fitted.

use super::super::vabal_paper::{Decoder, Model, Preset, Settings, of_sample};
use super::generative::{Posterior, read};
use crate::error::Result;
use crate::progress::Progress;
use crate::query::Arrays;
use crate::rng::Seed;
use crate::{Label, Query, Signals};

/// λ of Eq. 10, at which the VAE learns the classes; with the paper's 0.005 it hardly does
/// (docs/strategies.md).
const LAMBDA: f64 = 0.5;

/// A VAE, and its networks at work.
pub(super) struct Fitted {
    model: Model,
    decoder: Decoder,
}

fn settings() -> Settings {
    Settings { lambda: LAMBDA, ..Settings::preset(Preset::Cross) }
}

impl Fitted {
    /// Fits to the features of the unlabelled pool, a sample of `rows` rows or all of them, and the
    /// predicted classes.
    ///
    /// # Errors
    /// As [`Model::fit`].
    pub fn fit(
        query: &Query<'_>,
        rows: usize,
        predicted: &[Label],
        progress: &mut Progress<'_>,
    ) -> Result<Self> {
        let settings = of_sample(&settings(), query.unlabelled.len(), rows);
        let signals = query.unlabelled.features_alone()?.with_predicted(predicted.to_vec())?;
        let model = Model::fit(&settings, &signals, query.classes, query.seed, progress)?;
        Ok(Self { decoder: model.decoder(query.seed), model })
    }

    /// Of the arrays of a plan.
    ///
    /// # Errors
    /// Arrays that are missing, or of another shape.
    pub fn of_plan(classes: usize, seed: Seed, arrays: &Arrays) -> Result<Self> {
        let model = Model::of_plan(&settings(), classes, arrays)?;
        Ok(Self { decoder: model.decoder(seed), model })
    }

    /// As arrays of a plan.
    pub fn to_arrays(&self) -> Arrays {
        self.model.to_arrays()
    }

    /// What it says of each candidate, row by row.
    ///
    /// # Errors
    /// [`crate::Error::Stopped`].
    pub fn posterior(
        &self,
        signals: &Signals<'_>,
        predicted: &[Label],
        progress: &mut Progress<'_>,
    ) -> Result<Posterior> {
        let read = |row: usize, logits: ndarray::ArrayViewMut1<'_, f64>| read(logits, predicted[row]);
        let found = self.model.log_likelihoods(&self.decoder, signals, read, progress)?;
        let (class, support) = found.into_iter().unzip();
        Ok(Posterior { class, support })
    }
}
