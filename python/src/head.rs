//! The linear classifier on frozen features. Its weights stay with Python, as arrays of numpy.

use ndarray::{Array1, Array2, ArrayView2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use vabal_query::head::{LinearHead, Settings};
use vabal_query::{Event, Id, Label, Seed, class_counts};

use crate::array::Held;
use crate::bytes;
use crate::complain::raise;
use crate::pool::whole;
use crate::threads::with_workers;
use crate::watch::Watch;

/// Weights [C, d] and biases [C], f64.
type Weights = (Py<PyBytes>, Py<PyBytes>);
/// Strength, temperature, loss and accuracy by cross-validation; warnings.
type Said = (f64, f64, Option<f64>, Option<f64>, Vec<String>);

/// Fits a classifier to features [n, d] and their classes \[n\], counted from 0: with the strength `l2`, or, without it, with a
/// strength and a temperature chosen by cross-validation; for classes as frequent as each other where `balanced`.
#[pyfunction]
#[pyo3(signature = (features, labels, classes, l2, balanced, seed, progress=None))]
#[expect(clippy::too_many_arguments, reason = "the arguments of a call of Python's")]
pub fn head_fit(
    py: Python<'_>,
    features: &Bound<'_, PyAny>,
    labels: &Bound<'_, PyAny>,
    classes: usize,
    l2: Option<f64>,
    balanced: bool,
    seed: u64,
    progress: Option<Py<PyAny>>,
) -> PyResult<(Weights, Said)> {
    let features = Held::<f32>::new(features)?;
    let labels: Vec<Label> = whole(labels)?.into_iter().map(|label| label as Label).collect();
    let mut watch = Watch::new(progress);
    let result = py.detach(|| {
        with_workers(|| {
            let x = matrix(&features);
            let mut hear = |event: Event<'_>| watch.hear(event);
            let (head, said) = match l2 {
                Some(l2) => {
                    let settings = Settings { l2, ..Settings::default() };
                    let head = LinearHead::fit(x, &labels, classes, &settings, None, None, &mut hear)?;
                    (head, (l2, 1.0, None, None))
                }
                None => {
                    let ids: Vec<Id> = (0..).take(labels.len()).collect();
                    let found =
                        LinearHead::fit_validated(x, &ids, &labels, classes, Seed::new(seed), &mut hear)?;
                    (found.head, (found.l2, found.temperature, found.loss, found.accuracy))
                }
            };
            let head = if balanced { head.balanced(&class_counts(&labels, classes))? } else { head };
            Ok((head, said))
        })
    });
    let ((head, (l2, temperature, loss, accuracy)), warnings) = watch.finish(result)?;
    let reals = |values: Vec<f64>| bytes(py, values.iter().flat_map(|value| value.to_ne_bytes()));
    let weights = (reals(head.weights().iter().copied().collect()), reals(head.bias().to_vec()));
    Ok((weights, (l2, temperature, loss, accuracy, warnings)))
}

/// Logits, or probabilities, of features [n, d] by the classifier of weights [C, d] and biases \[C\]: f32, [n, C].
#[pyfunction]
pub fn head_predict(
    py: Python<'_>,
    weights: &Bound<'_, PyAny>,
    bias: &Bound<'_, PyAny>,
    features: &Bound<'_, PyAny>,
    probabilities: bool,
) -> PyResult<Py<PyBytes>> {
    let (weights, bias) = (Held::<f64>::new(weights)?, Held::<f64>::new(bias)?);
    let features = Held::<f32>::new(features)?;
    let found = py.detach(|| {
        with_workers(|| {
            let &[classes, width] = weights.shape() else { return Ok(None) };
            let values = Array2::from_shape_vec((classes, width), weights.as_ref().to_vec()).ok();
            let Some(values) = values else { return Ok(None) };
            let head = LinearHead::of(values, Array1::from(bias.as_ref().to_vec()))?;
            let x = matrix(&features);
            if probabilities { head.probabilities(x).map(Some) } else { head.logits(x).map(Some) }
        })
    });
    let found = found.map_err(raise)?.ok_or_else(|| PyValueError::new_err("weights of another shape"))?;
    Ok(bytes(py, found.iter().flat_map(|value| value.to_ne_bytes())))
}

/// Features as rows, none where they are of another shape.
fn matrix(features: &Held<f32>) -> ArrayView2<'_, f32> {
    let (shape, values) = match *features.shape() {
        [n, width] => ((n, width), features.as_ref()),
        _ => ((0, 0), &[][..]),
    };
    ArrayView2::from_shape(shape, values).expect("as many values as the shape has")
}
