//! The three classic measures of uncertainty, from class probabilities alone: entropy, margin and
//! least confidence (Settles 2009, "Active Learning Literature Survey", section 3.1).
//!
//! ```
//! use ndarray::array;
//! use vabal_query::strategies::uncertainty::{Criterion, Uncertainty};
//! use vabal_query::progress::silent;
//! use vabal_query::{Query, Seed, Signals, Strategy};
//!
//! let unlabelled = Signals::new(vec![10, 11, 12])
//!     .with_probabilities(array![[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]])?;
//! let labelled = Signals::default();
//! let query = Query { unlabelled: &unlabelled, labelled: &labelled, labels: &[], classes: 2, n: 1, seed: Seed::new(1) };
//! let chosen = Uncertainty(Criterion::Margin).select(&query, &mut silent())?;
//! assert_eq!(chosen.ids, [11]);
//! # Ok::<(), vabal_query::Error>(())
//! ```

use rayon::prelude::*;

use crate::error::Result;
use crate::kernels::{entropy_of, two_largest, wide};
use crate::progress::Progress;
use crate::query::{ByRow, Fitted, RowScore, Scored};
use crate::term;
use crate::{Column, Needs, Query, Selection, Signals, Strategy};

/// Rows looked at in one go.
const BLOCK: usize = 1024;

/// Which measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Criterion {
    /// −Σ p log p, in nats.
    Entropy,
    /// Minus the gap between the two largest probabilities, in [−1, 0].
    Margin,
    /// 1 − max p.
    LeastConfidence,
}

/// Asks for the images whose probabilities are the most uncertain by the given measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uncertainty(pub Criterion);

impl Criterion {
    /// The uncertainty of one row of probabilities, of which `largest` and `next` are the two
    /// largest; larger is more uncertain. Entropy is right to about 1e-6 of its size.
    #[inline(always)]
    fn of(self, probabilities: &[f32], largest: f32, next: f32) -> f64 {
        match self {
            Criterion::Entropy => entropy_of(probabilities),
            Criterion::Margin => f64::from(next) - f64::from(largest),
            Criterion::LeastConfidence => 1.0 - f64::from(largest),
        }
    }
}

impl Strategy for Uncertainty {
    fn needs(&self) -> Needs {
        Needs::PROBABILITIES
    }

    fn reads_rows(&self) -> bool {
        true
    }

    fn by_row(&self) -> Option<&dyn ByRow> {
        Some(self)
    }

    fn select(&self, query: &Query<'_>, progress: &mut Progress<'_>) -> Result<Selection> {
        let Scored { scores, terms, .. } = self.score(query.unlabelled, progress)?;
        Selection::top(query, &scores, terms, progress)
    }
}

impl ByRow for Uncertainty {
    fn scorer(&self, _: &Fitted) -> Result<Box<dyn RowScore>> {
        Ok(Box::new(*self))
    }
}

impl RowScore for Uncertainty {
    fn score(&self, rows: &Signals<'_>, _: &mut Progress<'_>) -> Result<Scored> {
        let p = rows.probability_rows()?;
        let n = p.len();
        let (mut scores, mut predicted, mut confidence) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
        let blocks = scores
            .par_chunks_mut(BLOCK)
            .zip(predicted.par_chunks_mut(BLOCK).zip(confidence.par_chunks_mut(BLOCK)))
            .enumerate();
        blocks.for_each(|(block, (scores, (predicted, confidence)))| {
            let values = (block * BLOCK..).map(|row| p.row(row));
            let rows = scores.iter_mut().zip(predicted.iter_mut().zip(confidence)).zip(values);
            wide(
                #[inline(always)]
                || {
                    for ((score, (predicted, confidence)), values) in rows {
                        let (largest, place, next) = two_largest(values);
                        *score = self.0.of(values, largest, next);
                        *predicted = place as f64;
                        *confidence = f64::from(largest);
                    }
                },
            );
        });
        let terms = vec![
            Column { name: term::PREDICTED, values: predicted },
            Column { name: term::CONFIDENCE, values: confidence },
        ];
        Ok(Scored { scores, terms, ..Scored::default() })
    }
}
