//! The data set inside the library, for examples that need no download.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::complain::raise;

/// Pixels, labels, (n, channels, height, width) and the names of the classes.
type Images = (Py<PyBytes>, Vec<u32>, (usize, usize, usize, usize), Vec<String>);

/// The embedded subset of Fashion-MNIST, its pool or its test set.
#[pyfunction]
pub fn demo(py: Python<'_>, test: bool) -> PyResult<Images> {
    let set = py.detach(vabal::data::demo::read).map_err(raise)?;
    let (ids, shape) = (if test { &set.test } else { &set.pool }, set.images.shape());
    let pixels: Vec<u8> = ids.iter().flat_map(|&id| set.images.pixels(id)).copied().collect();
    let labels = ids.iter().map(|&id| set.images.label(id)).collect();
    let shape = (ids.len(), shape.channels, shape.height, shape.width);
    Ok((PyBytes::new(py, &pixels).unbind(), labels, shape, set.images.classes().to_vec()))
}
