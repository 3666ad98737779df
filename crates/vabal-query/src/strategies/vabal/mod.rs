//! VaB-AL by agreement, the default: asks for images of which the classifier and a generative model
//! of their features do not both say the same class, of each class as many as bring the labels
//! nearest to balance.
//!
//! It is Eq. 3 of VaB-AL (CVPR 2021) read as a probability, without the two approximations of the
//! paper. Eq. 4 drops p(x), and so ranks by how typical an image is; kept, it makes the likelihood
//! a posterior over classes. Eq. 5 drops what the classifier says of the image itself. With both
//! kept, for class c predicted by the corrected classifier,
//!
//! > s(x) = 1 − p~(c | x) · g(c | x), where p~(n | x) ∝ p(n | x) / π(n)^τ and g(n | x) ∝ p(x | n).
//!
//! π has the class shares of the labelled pool, one imaginary label a class added. g is fitted to
//! P_U by predicted and to P_L by given classes, with a uniform prior: every class is to be right.
//! See docs/strategies.md.
//!
//! Never here: how classifiers are trained; what a generative model is made of.
//!
//! ```
//! use ndarray::array;
//! use vabal_query::strategies::vabal::{Settings, Vabal};
//! use vabal_query::progress::silent;
//! use vabal_query::{Query, Seed, Signals, Strategy};
//!
//! let unlabelled = Signals::new(vec![10, 11, 12, 13])
//!     .with_probabilities(array![[0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.9, 0.1]])?
//!     .with_embedding(array![[0.0, 0.1], [0.1, 0.0], [5.0, 5.1], [5.0, 4.9]])?;
//! let labelled = Signals::new(vec![0, 1, 2]).with_embedding(array![[0.0, 0.0], [0.1, 0.1], [5.0, 5.0]])?;
//! let query = Query { unlabelled: &unlabelled, labelled: &labelled, labels: &[0, 0, 1], classes: 2, n: 1, seed: Seed::new(1) };
//! let chosen = Vabal(Settings::default()).select(&query, &mut silent())?;
//! assert_eq!(chosen.ids, [13]); // the classifier says 0, its features say 1, which has the fewest labels
//! # Ok::<(), vabal_query::Error>(())
//! ```

mod gaussian;
mod generative;
#[cfg(test)]
mod tests;
mod vae;

use ndarray::Array2;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::balanced;
use super::rows::Rows;
use super::typiclust::TypiClust;
use crate::error::{Error, Result, within};
use crate::progress::Progress;
use crate::query::{Arrays, ByRow, Fitted, RowScore, Scored};
use crate::term;
use crate::{Column, Label, Needs, Query, Selection, Signals, Strategy, StrategySettings, Table, available};
use gaussian::Gaussian;
use generative::{Candidates, Posterior};

/// The generative model of the features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Model {
    /// One Gaussian a class with one covariance, of the features of the last stage.
    Gaussian,
    /// The paper's VAE, of the features of all stages, with p(x) kept.
    Vae,
}

/// Of [`Vabal`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What g comes from.
    pub model: Model,
    /// τ, the power of the class shares that the classifier's probabilities are divided by: 0
    /// leaves them as they are, 1 takes the prior of the labelled pool out altogether.
    pub prior_correction: f64,
    /// What is added to the diagonal of the Gaussian's covariance, as a multiple of its mean.
    pub ridge: f64,
    /// Whether each class is asked for until its labels are as many as those of the others.
    /// Without, the largest scores are taken, whatever their class.
    pub quotas: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { model: Model::Gaussian, prior_correction: 0.5, ridge: 0.1, quotas: true }
    }
}

impl Settings {
    /// Checks every value's range.
    ///
    /// # Errors
    /// The first value out of range, by its key.
    pub fn check(&self) -> Result<()> {
        within("prior_correction", self.prior_correction, 0.0..=1.0)?;
        within("ridge", self.ridge, 1e-6..=1e6)
    }
}

impl StrategySettings for Settings {
    fn build(self, _: Table) -> Result<Box<dyn Strategy>> {
        self.check()?;
        Ok(Box::new(Vabal(self)))
    }
}

/// Asks where classifier and features disagree, class by class.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Vabal(pub Settings);

impl Strategy for Vabal {
    fn needs(&self) -> Needs {
        Needs::PREDICTION.and(self.needs_of_labelled())
    }

    fn needs_of_labelled(&self) -> Needs {
        match self.0.model {
            Model::Gaussian => Needs::EMBEDDING,
            Model::Vae => Needs::STAGES,
        }
    }

    fn is_batch(&self) -> bool {
        self.0.quotas
    }

    /// TypiClust: docs/strategies.md has the measurements.
    fn cold_start(&self) -> Option<(&'static str, Box<dyn Strategy>)> {
        Some(("typiclust", Box::new(TypiClust::default())))
    }

    fn reads_rows(&self) -> bool {
        // The VAE is fitted to whole arrays.
        self.0.model == Model::Gaussian
    }

    fn by_row(&self) -> Option<&dyn ByRow> {
        Some(self)
    }

    fn select(&self, query: &Query<'_>, progress: &mut Progress<'_>) -> Result<Selection> {
        let n = available(query, progress)?;
        if n == 0 {
            return Ok(Selection::default());
        }
        let labelled = query.class_counts();
        let generative = self.generative(query, query.unlabelled.len(), progress)?;
        let score = Agreement { tau: self.0.prior_correction, labelled, generative };
        let scored = score.score(query.unlabelled, progress)?;
        if self.0.quotas {
            balanced::top(query, &scored.scores, &scored.classes, n, &scored.terms)
        } else {
            Selection::top(query, &scored.scores, scored.terms, progress)
        }
    }
}

impl Vabal {
    /// The generative model of a query, whose candidates are all of a pool's `rows` or a sample.
    fn generative(&self, query: &Query<'_>, rows: usize, progress: &mut Progress<'_>) -> Result<Generative> {
        let counts = query.class_counts();
        let predicted = Prediction::of(query.unlabelled, &counts, self.0.prior_correction)?.class;
        if self.0.model == Model::Vae {
            return Ok(Generative::Vae(Box::new(vae::Fitted::fit(query, rows, &predicted, progress)?)));
        }
        let candidates = Candidates::of(query, progress)?;
        let gaussian = Gaussian::fit(&candidates, &predicted, self.0.ridge, progress)?;
        Ok(Generative::Gaussian { gaussian, scale: candidates.scale })
    }
}

impl ByRow for Vabal {
    fn quotas(&self) -> bool {
        self.0.quotas
    }

    fn fits(&self) -> bool {
        true
    }

    fn fit(&self, sample: &Query<'_>, rows: usize, progress: &mut Progress<'_>) -> Result<Arrays> {
        Ok(match self.generative(sample, rows, progress)? {
            Generative::Vae(vae) => vae.to_arrays(),
            Generative::Gaussian { gaussian, scale } => {
                let mut arrays = gaussian.into_arrays();
                arrays.insert(SCALE.into(), Array2::from_elem((1, 1), scale));
                arrays
            }
        })
    }

    fn scorer(&self, fitted: &Fitted) -> Result<Box<dyn RowScore>> {
        let Fitted { seed, labelled, arrays } = fitted;
        let generative = match self.0.model {
            Model::Vae => Generative::Vae(Box::new(vae::Fitted::of_plan(labelled.len(), *seed, arrays)?)),
            Model::Gaussian => Generative::Gaussian {
                gaussian: Gaussian::from_arrays(arrays, labelled.len())?,
                scale: arrays.get(SCALE).and_then(|array| array.first()).copied().unwrap_or(1.0),
            },
        };
        Ok(Box::new(Agreement { tau: self.0.prior_correction, labelled: labelled.clone(), generative }))
    }
}

/// The name of the array with what features are multiplied by.
const SCALE: &str = "scale";

/// A generative model, fitted.
enum Generative {
    /// With what the features are to be multiplied by.
    Gaussian {
        gaussian: Gaussian,
        scale: f64,
    },
    Vae(Box<vae::Fitted>),
}

/// The score with a fitted generative model.
struct Agreement {
    tau: f64,
    labelled: Vec<usize>,
    generative: Generative,
}

impl RowScore for Agreement {
    fn score(&self, rows: &Signals<'_>, progress: &mut Progress<'_>) -> Result<Scored> {
        if rows.is_empty() {
            return Ok(Scored::default());
        }
        let prediction = Prediction::of(rows, &self.labelled, self.tau)?;
        let seen = match &self.generative {
            Generative::Vae(vae) => vae.posterior(rows, &prediction.class, progress)?,
            Generative::Gaussian { gaussian, scale } => {
                let features = Rows::scaled(rows, *scale)?;
                if features.width() != gaussian.width() {
                    return Err(Error::input("unexpected width of features")
                        .expected(format!("{} columns, as of the sample", gaussian.width()))
                        .got(format!("{} columns", features.width()))
                        .hint("score with the features that the plan was made of")
                        .into());
                }
                gaussian.of_rows(&features, &prediction.class, progress)?
            }
        };
        Ok(scored(prediction, seen, &self.labelled))
    }
}

/// s(x) and its terms.
fn scored(prediction: Prediction, seen: Posterior, labelled: &[usize]) -> Scored {
    let product = prediction.confidence.iter().zip(&seen.support);
    let scores: Vec<f64> = product.map(|(confidence, support)| 1.0 - confidence * support).collect();
    let values = |classes: &[Label]| classes.iter().map(|&class| f64::from(class)).collect();
    let terms = vec![
        Column { name: term::PREDICTED, values: values(&prediction.class) },
        Column { name: term::CORRECTED, values: prediction.confidence },
        Column { name: term::CLASS, values: values(&seen.class) },
        Column { name: term::SUPPORT, values: seen.support },
        Column {
            name: term::LABELLED,
            values: seen.class.iter().map(|&class| labelled[class as usize] as f64).collect(),
        },
    ];
    Scored { scores, keys: Vec::new(), classes: seen.class, terms }
}

/// What the classifier says of each candidate, corrected for its prior.
struct Prediction {
    class: Vec<Label>,
    /// p~ of that class.
    confidence: Vec<f64>,
}

impl Prediction {
    /// Where there are no probabilities, the predicted label is taken for certain.
    fn of(rows: &Signals<'_>, labelled: &[usize], tau: f64) -> Result<Self> {
        if !rows.has_probabilities() {
            let class = rows.predicted()?;
            return Ok(Self { confidence: vec![1.0; class.len()], class });
        }
        let p = rows.probability_rows()?;
        let total = (labelled.iter().sum::<usize>() + labelled.len()) as f64;
        let factor: Vec<f64> =
            labelled.iter().map(|&count| ((count + 1) as f64 / total).powf(-tau)).collect();
        let of = |p: &[f32]| {
            let (mut sum, mut best) = (0.0, (0, f64::NEG_INFINITY));
            for (class, (&p, factor)) in p.iter().zip(&factor).enumerate() {
                let corrected = f64::from(p) * factor;
                sum += corrected;
                if corrected > best.1 {
                    best = (class, corrected);
                }
            }
            (best.0 as Label, best.1 / sum)
        };
        let (class, confidence) = p.par_iter(1024).map(of).unzip();
        Ok(Self { class, confidence })
    }
}
