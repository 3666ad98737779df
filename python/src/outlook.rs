//! When to stop: what a holdout says of the trainings of a loop.

use pyo3::prelude::*;
use vabal_query::estimate::{self, Held, Stop};

use crate::pool::whole;

/// Labels, agreement with the training before, and of each class: how many of its held-out rows are predicted right, how
/// many there are, whether it was learnt.
type Training = (usize, Option<f64>, Vec<(usize, usize, bool)>);
/// A share with its interval.
type Share = (f64, f64, f64);
/// Why stopping is reasonable or not, how many steps there are, what more labels are expected to add, the balanced accuracy of
/// the last training, which has no value where a class is not held out, and the recall of each class.
type Outlook = (&'static str, usize, Option<f64>, Option<(Option<f64>, f64, f64)>, Vec<Option<Share>>);

/// What trainings, in order, say of `more` labels.
#[pyfunction]
pub fn outlook(trainings: Vec<Training>, more: usize) -> Outlook {
    let held = |of: &Vec<(usize, usize, bool)>| -> Vec<Held> {
        of.iter().map(|&(right, n, trained)| Held { right, n, trained }).collect()
    };
    let trainings: Vec<_> =
        trainings.iter().map(|(labels, agreement, of)| (*labels, *agreement, held(of))).collect();
    let all = trainings.iter().map(|(labels, agreement, held)| Some((*labels, *agreement, &**held)));
    let found = estimate::outlook(all, more);
    let last = trainings.last().map_or(&[][..], |(.., held)| held);
    let reason = match found.stop {
        Stop::Early => "early",
        Stop::Unmeasured => "unmeasured",
        Stop::GoOn => "go on",
        Stop::Stable => "stable",
        Stop::Flat => "flat",
    };
    let accuracy = estimate::balanced(last).map(|of| (of.value(), of.low, of.high));
    let recall = |of: &Held| estimate::share(of.right, of.n).map(|of| (of.value, of.low, of.high));
    (reason, found.steps, found.gain, accuracy, last.iter().map(recall).collect())
}

/// Cohen's kappa of two lists of predictions of the same rows, classes counted from 0.
#[pyfunction]
pub fn agreement(first: &Bound<'_, PyAny>, second: &Bound<'_, PyAny>) -> PyResult<Option<f64>> {
    let (first, second) = (whole(first)?, whole(second)?);
    Ok(estimate::agreement(first.into_iter().zip(second).map(|(a, b)| (a as u64, b as u64))))
}
