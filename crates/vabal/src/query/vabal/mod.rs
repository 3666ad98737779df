//! VaB-AL: asks for the images that the classifier is most likely to mislabel, by Bayes' rule over how
//! hard a class is, how likely the image is under it, and how abundant it is (Choi, Yi et al., CVPR 2021).
//!
//! One file per idea. No tensor framework: the VAE is small, and written by hand it is faster than a
//! framework, the same bit for bit with any number of threads, and usable on features from anywhere.

pub mod settings;

use serde::{Deserialize, Serialize};

pub use settings::{Absence, Adapter, ClassSum, Hidden, Likelihood, Preset, Prior, Settings};

use super::{Needs, Query, Selection, Strategy};
use crate::error::Result;
use crate::progress::Progress;

/// The state of the VAE after fitting: whether its terms can be trusted, and what they are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// Mean squared error of the reconstruction on P_U, per input feature.
    pub reconstruction: f64,
    /// KL term on P_U, per latent.
    pub kl: f64,
    /// Class loss (Eq. 8) on P_U.
    pub class_loss: f64,
    /// Share of draws on P_U whose ŷ is the classifier's prediction.
    pub agreement_unlabelled: f64,
    /// Share of draws on P_L whose ŷ is the true label.
    pub agreement_labelled: f64,
    /// Why the VAE must not be trusted, or `None` when it has learnt.
    pub warning: Option<String>,
    /// d_n of Eq. 11, smoothed, by class.
    pub difficulty: Vec<f64>,
    /// π_n of Eq. 12, smoothed, by class, as the settings read it; 1 where it is off.
    pub prior: Vec<f64>,
}

/// The strategy.
#[derive(Debug, Clone, PartialEq)]
pub struct VaBal {
    settings: Settings,
}

impl VaBal {
    /// The strategy with these settings.
    ///
    /// # Errors
    /// A setting out of range.
    pub fn new(settings: Settings) -> Result<Self> {
        settings.check()?;
        Ok(Self { settings })
    }
}

impl Strategy for VaBal {
    fn needs(&self) -> Needs {
        Needs::STAGES.and(Needs::PROBABILITIES)
    }

    fn select(&self, query: &Query<'_>, progress: &mut Progress<'_>) -> Result<Selection> {
        let _ = (&self.settings, query, progress);
        todo!()
    }
}
