//! The embedded data set, for examples that need no download. Python decodes it.

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use vabal_demo::{IMAGES, LABELS, TEST_IMAGES, TEST_LABELS};

/// Images and labels of the pool or the test set, as gzipped IDX files.
#[pyfunction]
pub fn demo(py: Python<'_>, test: bool) -> (Py<PyBytes>, Py<PyBytes>) {
    let (images, labels) = if test { (TEST_IMAGES, TEST_LABELS) } else { (IMAGES, LABELS) };
    (PyBytes::new(py, images).unbind(), PyBytes::new(py, labels).unbind())
}
