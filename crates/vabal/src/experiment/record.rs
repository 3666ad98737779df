//! What an experiment leaves behind, as plain structs: the store writes them, the report reads
//! them.
//!
//! ```
//! use vabal::experiment::record::Phase;
//!
//! let phase: Phase = serde_json::from_str(r#"{"name": "train", "seconds": 1.5}"#).expect("as the store has it");
//! assert_eq!(phase.name, "train");
//! ```

use serde::{Deserialize, Serialize};

use crate::metrics::Metrics;
use crate::query::Health;
use crate::{Id, Label};

/// One strategy with one seed, from the first pool to the last round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The strategy's name in the configuration.
    pub strategy: String,
    /// The seed.
    pub seed: u64,
    /// Round by round, the first pool's round first.
    pub rounds: Vec<RoundRecord>,
}

/// One round: a classifier trained on the labelled pool, its quality, and what was asked next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoundRecord {
    /// Counted from 1.
    pub round: usize,
    /// Labelled images of each class that this round's classifier was trained on.
    pub class_counts: Vec<usize>,
    /// Images left unlabelled.
    pub unlabelled: usize,
    /// Quality on the test set.
    pub metrics: Metrics,
    /// What was asked at the end of this round, best first; empty in the last round.
    pub picks: Vec<Pick>,
    /// What the round's classifier made of what was asked; none in the last round, and of stores
    /// from before it was recorded.
    pub asked: Option<Asked>,
    /// The state of the VAE that chose, where one did.
    pub vae: Option<Health>,
    /// Where the time went.
    pub phases: Vec<Phase>,
}

impl RoundRecord {
    /// Number of labelled images.
    #[must_use]
    pub fn labelled(&self) -> usize {
        self.class_counts.iter().sum()
    }
}

/// One image asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pick {
    /// The image.
    pub id: Id,
    /// The answer.
    pub label: Label,
    /// The strategy's score; larger was asked first.
    pub score: f64,
    /// The terms behind the score, by name.
    pub terms: Vec<(String, f64)>,
}

/// Whether a strategy asked where the round's classifier errs, by the true labels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// Share of the picks whose class the classifier gets wrong.
    pub wrong_share: f64,
    /// Area under the ROC curve of the score against the classifier's errors over the unlabelled
    /// pool, equal scores counting half: 0.5 is chance. `None` of a strategy that puts batches
    /// together and ranks no pool, and where all or none of the pool is wrong.
    pub error_auc: Option<f64>,
}

/// One phase of a round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// "train", "features", "evaluate", "select".
    pub name: String,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// Highest resident memory of the process during the phase, where the system tells.
    pub peak_bytes: Option<u64>,
}

/// What the report must know of the experiment beside its runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The experiment's name.
    pub name: String,
    /// The data set's name.
    pub data: String,
    /// Class names, by label.
    pub classes: Vec<String>,
    /// Images of each class in the pool before the first round.
    pub pool_counts: Vec<usize>,
    /// Images of each class in the test set.
    pub test_counts: Vec<usize>,
    /// The rare classes.
    pub rare: Vec<Label>,
    /// The resolved configuration, as TOML.
    pub config: String,
    /// Version of vabal, processor, cores, device: one "name: value" each.
    pub machine: Vec<(String, String)>,
}
