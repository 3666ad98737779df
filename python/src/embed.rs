//! Features of images by a pretrained network. Which things are images is told apart in Python
//! (`vabal/_embed.py`).

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use image::{DynamicImage, ImageBuffer};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rayon::prelude::*;
use vabal_backbone::{OnnxRuntime, Settings, Wish, Worker, open};
use vabal_query::{Event, Flow, Result};

use crate::array::Held;
use crate::complain::raise;
use crate::threads::with_workers;
use crate::watch::Watch;

/// A pretrained network.
#[pyclass(frozen, module = "vabal._vabal")]
pub struct Backbone(vabal_backbone::Backbone);

/// The one ONNX Runtime that a process can open.
static RUNTIME: Mutex<Option<OnnxRuntime>> = Mutex::new(None);

fn runtime(library: PathBuf) -> Result<OnnxRuntime> {
    let mut opened = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    match &*opened {
        Some(runtime) => Ok(runtime.clone()),
        None => Ok(opened.insert(OnnxRuntime::open(&library)?).clone()),
    }
}

#[pymethods]
impl Backbone {
    /// Opens a network by its name or its file, with settings as JSON, for images of `side` pixels;
    /// with a `library` ONNX Runtime runs it.
    #[new]
    fn new(
        py: Python<'_>,
        name: String,
        settings: &str,
        side: usize,
        library: Option<PathBuf>,
    ) -> PyResult<Self> {
        let settings: Settings =
            serde_json::from_str(settings).map_err(|error| PyValueError::new_err(error.to_string()))?;
        let opened = py.detach(|| {
            let backbone = open(&Wish { name, settings, side })?;
            match library {
                Some(library) => backbone.with_runtime(&runtime(library)?),
                None => Ok(backbone),
            }
        });
        opened.map(Self).map_err(raise)
    }

    /// How it is used, as JSON.
    #[getter]
    fn spec(&self) -> PyResult<String> {
        serde_json::to_string(self.0.spec()).map_err(|error| PyValueError::new_err(error.to_string()))
    }

    /// Features of images, f32 in rows: each image [h, w, c], of u8. `done` images of `total` came
    /// before, as far as `progress` is concerned.
    #[pyo3(signature = (images, done=0, total=0, progress=None))]
    fn features(
        &self,
        py: Python<'_>,
        images: Vec<Bound<'_, PyAny>>,
        done: usize,
        total: usize,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Py<PyBytes>> {
        let images = images.iter().map(picture).collect::<PyResult<Vec<DynamicImage>>>()?;
        let mut watch = Watch::new(progress);
        let result = py.detach(|| {
            with_workers(|| {
                compute(&self.0, &images, &mut |n| {
                    let total = total.max(done + n);
                    watch.hear(Event::Progress {
                        phase: "embed",
                        done: done + n,
                        total,
                        unit: "image",
                        loss: None,
                    })
                })
            })
        });
        let (rows, _) = watch.finish(result)?;
        let bytes: Vec<u8> = rows.into_iter().flat_map(f32::to_ne_bytes).collect();
        Ok(PyBytes::new(py, &bytes).unbind())
    }
}

/// Features of images on all cores, each image on one of them; `hear` is told how many are through.
fn compute(
    backbone: &vabal_backbone::Backbone,
    images: &[DynamicImage],
    hear: &mut (dyn FnMut(usize) -> Flow + Send),
) -> Result<Vec<f32>> {
    let batch = backbone.spec().batch;
    let count = rayon::current_num_threads().min(images.len().div_ceil(batch));
    let mut workers = (0..count).map(|_| backbone.worker()).collect::<Result<Vec<Worker<'_>>>>()?;
    let mut rows = Vec::with_capacity(images.len() * backbone.spec().features);
    // Between two of these the caller is heard.
    for some in images.chunks((8 * count * batch).max(1)) {
        let parts: Vec<&[DynamicImage]> = some.chunks(some.len().div_ceil(count)).collect();
        let work = |(worker, images): (&mut Worker<'_>, &&[DynamicImage])| {
            worker.features(&images.iter().collect::<Vec<_>>())
        };
        let found = workers.par_iter_mut().zip(&parts).map(work).collect::<Result<Vec<_>>>()?;
        found.iter().for_each(|part| rows.extend(part));
        if hear(rows.len() / backbone.spec().features) == Flow::Stop {
            return Err(vabal_query::Error::Stopped);
        }
    }
    Ok(rows)
}

/// An image of numpy's, [h, w, c] with 1 to 4 channels, u8.
fn picture(array: &Bound<'_, PyAny>) -> PyResult<DynamicImage> {
    let held = Held::<u8>::new(array)?;
    let values = || held.as_ref().to_vec();
    let image = match *held.shape() {
        [h, w, channels] => {
            let (w, h) = (w as u32, h as u32);
            match channels {
                1 => ImageBuffer::from_raw(w, h, values()).map(DynamicImage::ImageLuma8),
                2 => ImageBuffer::from_raw(w, h, values()).map(DynamicImage::ImageLumaA8),
                3 => ImageBuffer::from_raw(w, h, values()).map(DynamicImage::ImageRgb8),
                4 => ImageBuffer::from_raw(w, h, values()).map(DynamicImage::ImageRgba8),
                _ => None,
            }
        }
        _ => None,
    };
    image.ok_or_else(|| PyValueError::new_err(format!("no image: an array of shape {:?}", held.shape())))
}
