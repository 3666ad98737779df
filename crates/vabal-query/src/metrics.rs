//! How good a classifier is on a test set, in f64: accuracy and its balanced kin, calibration.
//!
//! ```
//! use ndarray::array;
//! use vabal_query::metrics::Metrics;
//!
//! let probabilities = array![[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.4, 0.6]];
//! let metrics = Metrics::of(probabilities.view(), &[0, 0, 1, 1]);
//! assert_eq!(metrics.recall, [Some(1.0), Some(0.5)]);
//! assert_eq!(metrics.balanced_accuracy, 0.75);
//! ```

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use crate::Label;
use crate::arrays::argmax;

/// The quality of one classifier on one test set. Fractions, from 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Share of the images whose predicted class is right.
    pub accuracy: f64,
    /// Mean recall over the classes that the test set holds.
    pub balanced_accuracy: f64,
    /// Mean F1 over the classes that the test set holds or that were predicted.
    pub macro_f1: f64,
    /// Recall of each class; `None` where the test set holds none of it.
    pub recall: Vec<Option<f64>>,
    /// Expected calibration error over 15 equal bins of confidence (Guo et al. 2017, Eq. 3).
    pub calibration_error: f64,
}

impl Metrics {
    /// Measures the probabilities of n images, [n, C], against their n labels.
    #[must_use]
    pub fn of(probabilities: ArrayView2<'_, f32>, labels: &[Label]) -> Self {
        const BINS: usize = 15;
        let classes = probabilities.ncols();
        let (mut hit, mut truth, mut predicted) =
            (vec![0_usize; classes], vec![0_usize; classes], vec![0_usize; classes]);
        let mut bins = [(0.0_f64, 0.0_f64); BINS];
        for (row, &label) in probabilities.rows().into_iter().zip(labels) {
            let class = argmax(row.iter().copied()) as usize;
            truth[label as usize] += 1;
            predicted[class] += 1;
            let right = class == label as usize;
            hit[class] += usize::from(right);
            let confidence = f64::from(row[class]);
            let bin = &mut bins[((confidence * BINS as f64) as usize).min(BINS - 1)];
            bin.0 += confidence;
            bin.1 += f64::from(u8::from(right));
        }
        let n = labels.len().max(1) as f64;
        let recall: Vec<Option<f64>> =
            (0..classes).map(|c| (truth[c] > 0).then(|| hit[c] as f64 / truth[c] as f64)).collect();
        let f1 = (0..classes)
            .filter(|&c| truth[c] + predicted[c] > 0)
            .map(|c| 2.0 * hit[c] as f64 / (truth[c] + predicted[c]) as f64);
        Self {
            accuracy: hit.iter().sum::<usize>() as f64 / n,
            balanced_accuracy: mean(recall.iter().flatten().copied()),
            macro_f1: mean(f1),
            calibration_error: bins.iter().map(|(confidence, right)| (confidence - right).abs()).sum::<f64>()
                / n,
            recall,
        }
    }
}

/// The arithmetic mean; 0 of nothing.
#[must_use]
pub fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0_usize), |(sum, count), value| (sum + value, count + 1));
    if count == 0 { 0.0 } else { sum / count as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn a_case_worked_by_hand() {
        // Truth 0 0 0 1, predicted 0 0 1 1; class 2 is neither held nor predicted.
        let p = array![[0.9, 0.1, 0.0], [0.8, 0.2, 0.0], [0.4, 0.6, 0.0], [0.3, 0.7, 0.0]];
        let metrics = Metrics::of(p.view(), &[0, 0, 0, 1]);
        assert_eq!(metrics.accuracy, 0.75);
        assert_eq!(metrics.recall, [Some(2.0 / 3.0), Some(1.0), None]);
        assert!((metrics.balanced_accuracy - 5.0 / 6.0).abs() < 1e-12);
        assert!((metrics.macro_f1 - (0.8 + 2.0 / 3.0) / 2.0).abs() < 1e-12);
        // Every image has a bin of its own: the mean of |confidence − right|.
        assert!((metrics.calibration_error - (0.1 + 0.2 + 0.6 + 0.3) / 4.0).abs() < 1e-6);
    }
}
