//! The three classic measures of uncertainty, from class probabilities alone: entropy, margin and
//! least confidence (Settles 2009, "Active Learning Literature Survey", section 3.1).

use super::{Column, Needs, Query, Selection, Strategy};
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::query::signals::argmax;

/// Which measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// −Σ p log p, in nats.
    Entropy,
    /// Minus the gap between the two largest probabilities, in [−1, 0].
    Margin,
    /// 1 − max p.
    LeastConfidence,
}

/// Asks for the images whose probabilities are the most uncertain by the given measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uncertainty(pub Measure);

impl Measure {
    /// The uncertainty of one row of probabilities; larger is more uncertain. Computed in f64.
    #[must_use]
    pub fn of(self, probabilities: impl Iterator<Item = f32>) -> f64 {
        let p = probabilities.map(f64::from);
        match self {
            // 0 − Σ, so that certainty is 0 and not −0.
            Measure::Entropy => 0.0 - p.filter(|&p| p != 0.0).map(|p| p * p.ln()).sum::<f64>(),
            Measure::Margin => {
                let (first, second) = p.fold((f64::NEG_INFINITY, f64::NEG_INFINITY), |(first, second), p| {
                    if p > first { (p, first) } else { (first, second.max(p)) }
                });
                second - first
            }
            Measure::LeastConfidence => 1.0 - p.fold(f64::NEG_INFINITY, f64::max),
        }
    }
}

impl Strategy for Uncertainty {
    fn needs(&self) -> Needs {
        Needs::PROBABILITIES
    }

    fn select(&self, query: &Query<'_>, progress: &mut Progress<'_>) -> Result<Selection> {
        let probabilities = query.unlabelled.probabilities()?;
        let mut scores = Vec::with_capacity(probabilities.nrows());
        let mut predicted = Vec::with_capacity(probabilities.nrows());
        let mut confidence = Vec::with_capacity(probabilities.nrows());
        for (row, &id) in probabilities.rows().into_iter().zip(query.unlabelled.ids()) {
            if let Some(&bad) = row.iter().find(|p| !(0.0..=1.0001).contains(*p)) {
                return Err(Error::input("a probability is out of range")
                    .at(format!("id {id}"))
                    .expected("numbers from 0 to 1")
                    .got(bad)
                    .hint("give probabilities (after the softmax), not logits")
                    .into());
            }
            let class = argmax(row.iter().copied());
            scores.push(self.0.of(row.iter().copied()));
            predicted.push(f64::from(class));
            confidence.push(f64::from(row[class as usize]));
        }
        let terms = vec![
            Column { name: "predicted", values: predicted },
            Column { name: "confidence", values: confidence },
        ];
        Selection::top(query, &scores, terms, progress)
    }
}
