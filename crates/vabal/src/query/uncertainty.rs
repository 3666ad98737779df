//! The three classic measures of uncertainty, from class probabilities alone: entropy, margin and
//! least confidence (Settles 2009, "Active Learning Literature Survey", section 3.1).

use ndarray::ArrayView1;
use rayon::prelude::*;

use super::signals::{argmax, is_probability};
use super::{Column, Needs, Query, Selection, Strategy};
use crate::error::Result;
use crate::kernels::entropy_sum;
use crate::progress::Progress;

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
    /// The uncertainty of one row of probabilities; larger is more uncertain. Entropy is right to about 1e-6 of its size.
    #[must_use]
    pub fn of(self, probabilities: ArrayView1<'_, f32>) -> f64 {
        match self {
            Measure::Entropy => match probabilities.to_slice() {
                Some(values) => entropy_sum(values),
                None => entropy_sum(&probabilities.to_vec()),
            },
            Measure::Margin => {
                let of = |(first, second): (f32, f32), &p: &f32| {
                    if p > first { (p, first) } else { (first, second.max(p)) }
                };
                let (first, second) = probabilities.iter().fold((f32::NEG_INFINITY, f32::NEG_INFINITY), of);
                f64::from(second) - f64::from(first)
            }
            Measure::LeastConfidence => {
                1.0 - f64::from(probabilities.iter().copied().fold(f32::NEG_INFINITY, f32::max))
            }
        }
    }
}

impl Strategy for Uncertainty {
    fn needs(&self) -> Needs {
        Needs::PROBABILITIES
    }

    fn select(&self, query: &Query<'_>, progress: &mut Progress<'_>) -> Result<Selection> {
        let p = query.unlabelled.probabilities()?;
        let of = |row: usize| {
            let values = p.row(row);
            if !values.iter().fold(true, |good, p| good & is_probability(p)) {
                return Err(query.unlabelled.bad_probability(row, values.iter()));
            }
            let class = argmax(values.iter().copied());
            Ok((self.0.of(values), f64::from(class), f64::from(values[class as usize])))
        };
        let rows: Vec<Result<_>> = (0..p.nrows()).into_par_iter().with_min_len(1024).map(of).collect();
        let (mut scores, mut predicted, mut confidence) = (Vec::new(), Vec::new(), Vec::new());
        for row in rows {
            let (score, class, largest) = row?;
            scores.push(score);
            predicted.push(class);
            confidence.push(largest);
        }
        let terms = vec![
            Column { name: "predicted", values: predicted },
            Column { name: "confidence", values: confidence },
        ];
        Selection::top(query, &scores, terms, progress)
    }
}
