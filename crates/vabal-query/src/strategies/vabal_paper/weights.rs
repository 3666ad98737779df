//! A fitted VAE as one safetensors file: its arrays under PyTorch's names and layout, everything
//! else that scoring needs in the metadata. Written under a temporary name, then renamed. The same
//! arrays are those of a plan.

use std::collections::HashMap;
use std::path::Path;

use ndarray::Array2;
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};

use super::fit::Fitted;
use super::loss::Losses;
use super::vae::{Architecture, Vae};
use super::{Model, Settings};
use crate::error::{Error, Result};
use crate::query::Arrays;
use crate::rng::Seed;
use crate::strategies::layers::Named;

/// Said by the file of itself, so that a classifier's weights are not mistaken for it.
const KIND: &str = "vabal.vae";
/// Of the layout. A reader refuses a larger one.
const VERSION: u32 = 1;

#[derive(serde::Serialize, serde::Deserialize)]
struct Header {
    version: u32,
    settings: Settings,
    architecture: Architecture,
    reconstruction: f64,
    kl: f64,
    class_loss: f64,
    target_variance: f64,
}

pub(super) fn save(model: &Model, path: &Path) -> Result<()> {
    crate::files::write(path, &to_bytes(model)?)
}

/// The file's bytes.
pub(super) fn to_bytes(model: &Model) -> Result<Vec<u8>> {
    let Fitted { vae, losses, target_variance } = &model.fitted;
    let header = Header {
        version: VERSION,
        settings: model.settings.clone(),
        architecture: vae.architecture.clone(),
        reconstruction: losses.reconstruction,
        kl: losses.kl,
        class_loss: losses.class,
        target_variance: *target_variance,
    };
    let bytes: Vec<Vec<u8>> = (vae.named.iter())
        .map(|named| {
            let from = if named.running { &vae.running } else { &vae.parameters };
            from[named.range.clone()].iter().flat_map(|v| v.to_le_bytes()).collect()
        })
        .collect();
    let broken = |what: String| Error::from(Error::input("the VAE cannot be written").got(what));
    let tensors = (vae.named.iter().zip(&bytes))
        .map(|(named, bytes)| {
            Ok((named.name.as_str(), TensorView::new(Dtype::F32, named.shape.clone(), bytes)?))
        })
        .collect::<std::result::Result<Vec<_>, safetensors::SafeTensorError>>()
        .map_err(|error| broken(error.to_string()))?;
    let json = serde_json::to_string(&header).map_err(|error| broken(error.to_string()))?;
    serialize(tensors, Some(HashMap::from([(KIND.to_string(), json)])))
        .map_err(|error| broken(error.to_string()))
}

pub(super) fn load(path: &Path) -> Result<Model> {
    let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
    from_bytes(&bytes, path.display())
}

/// Reads the file's bytes; `place` names them in an error.
pub(super) fn from_bytes(bytes: &[u8], place: impl std::fmt::Display) -> Result<Model> {
    let foreign = |got: String| {
        Error::from(
            Error::input("invalid VAE file")
                .at(&place)
                .expected("a safetensors file that vabal wrote")
                .got(got)
                .hint("fit the VAE again, or give the file that holds it"),
        )
    };
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| foreign(error.to_string()))?;
    let json = metadata.metadata().as_ref().and_then(|metadata| metadata.get(KIND));
    let json = json.ok_or_else(|| foreign("a file of another kind".to_string()))?;
    let version = serde_json::from_str::<serde_json::Value>(json).ok().and_then(|v| v["version"].as_u64());
    if version.is_none_or(|version| version > u64::from(VERSION)) {
        return Err(foreign(format!("version {}", version.map_or("unknown".into(), |v| v.to_string()))));
    }
    let header: Header = serde_json::from_str(json).map_err(|error| foreign(error.to_string()))?;
    let tensors = SafeTensors::deserialize(bytes).map_err(|error| foreign(error.to_string()))?;
    // Before anything is made of it: settings out of range, and networks larger than the file.
    header.settings.check().map_err(|error| foreign(error.to_string()))?;
    let shape = |name: &str| tensors.tensor(name).map(|tensor| tensor.shape().to_vec()).unwrap_or_default();
    check_sizes(&header.architecture, shape)
        .map_err(|()| foreign("a header that says other networks than the file holds".to_string()))?;
    let values = |named: &Named| {
        let tensor = tensors.tensor(&named.name).map_err(|error| foreign(error.to_string()))?;
        if tensor.dtype() != Dtype::F32 || tensor.shape() != named.shape {
            let (name, shape, dtype) = (&named.name, tensor.shape(), tensor.dtype());
            return Err(foreign(format!("{name} of shape {shape:?} and type {dtype:?}")));
        }
        Ok(tensor.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    };
    let losses = Losses { reconstruction: header.reconstruction, kl: header.kl, class: header.class_loss };
    let vae = filled(header.architecture, values)?;
    Ok(Model {
        settings: header.settings,
        fitted: Fitted { vae, losses, target_variance: header.target_variance },
    })
}

/// Of the arrays of a plan: those of the VAE, as they are called in a file of its own, behind this.
const PREFIX: &str = "vae.";
/// Losses and the variance of what is reconstructed, [1, 4].
const LOSSES: &str = "vae.losses";

/// The model as arrays of a plan, without its settings; vectors are [1, n].
pub(super) fn to_arrays(model: &Model) -> Arrays {
    let Fitted { vae, losses, target_variance } = &model.fitted;
    let of = |named: &Named| {
        let from = if named.running { &vae.running } else { &vae.parameters };
        let values = from[named.range.clone()].iter().copied().map(f64::from).collect();
        let array = Array2::from_shape_vec(two(&named.shape), values).expect("a shape of its values");
        (format!("{PREFIX}{}", named.name), array)
    };
    let losses = ndarray::array![[losses.reconstruction, losses.kl, losses.class, *target_variance]];
    vae.named.iter().map(of).chain([(LOSSES.to_owned(), losses)]).collect()
}

/// Reads what [`to_arrays`] gave of a model with these settings and so many classes.
///
/// # Errors
/// Arrays that are missing, or of another shape.
pub(super) fn from_arrays(settings: &Settings, classes: usize, arrays: &Arrays) -> Result<Model> {
    let foreign = |got: String| {
        Error::from(
            Error::input("the arrays of the plan are of another VAE").got(got).hint("make the plan again"),
        )
    };
    let find = |name: &str| arrays.get(&format!("{PREFIX}{name}"));
    let width = |stage: usize| find(&format!("adapter.{stage}.linear.weight")).map(Array2::ncols);
    let stages = (0..).map_while(width).collect();
    let architecture = Architecture::new(settings, stages, classes);
    let shape = |name: &str| find(name).map(|array| array.shape().to_vec()).unwrap_or_default();
    check_sizes(&architecture, shape).map_err(|()| foreign("other networks".to_string()))?;
    let values = |named: &Named| match find(&named.name) {
        Some(array) if array.dim() == two(&named.shape) => {
            Ok(array.iter().map(|&value| value as f32).collect())
        }
        Some(array) => Err(foreign(format!("{} of shape {:?}", named.name, array.shape()))),
        None => Err(foreign(format!("no {}", named.name))),
    };
    let vae = filled(architecture, values)?;
    let losses = arrays.get(LOSSES).filter(|losses| losses.dim() == (1, 4));
    let losses = losses.ok_or_else(|| foreign(format!("no {LOSSES} of four numbers")))?;
    let target_variance = losses[[0, 3]];
    let losses = Losses { reconstruction: losses[[0, 0]], kl: losses[[0, 1]], class: losses[[0, 2]] };
    Ok(Model { settings: settings.clone(), fitted: Fitted { vae, losses, target_variance } })
}

/// The width of a row of features, where there is one stage.
pub(crate) fn width(arrays: &Arrays) -> Option<usize> {
    let of = |stage| arrays.get(&format!("{PREFIX}adapter.{stage}.linear.weight")).map(Array2::ncols);
    of(0).filter(|_| of(1).is_none())
}

/// A shape of one or two dimensions as two.
fn two(shape: &[usize]) -> (usize, usize) {
    match *shape {
        [rows, columns] => (rows, columns),
        _ => (1, shape.iter().product()),
    }
}

/// Whether the arrays with these shapes are as large as the networks that are said to be in them,
/// so that nothing larger is made.
fn check_sizes(
    architecture: &Architecture,
    shape: impl Fn(&str) -> Vec<usize>,
) -> std::result::Result<(), ()> {
    let Architecture { stages, classes, latents, .. } = architecture;
    let code = classes.checked_mul(*latents).filter(|_| *classes >= 2).ok_or(())?;
    let fits =
        |(l, width): (usize, &usize)| shape(&format!("adapter.{l}.linear.weight")).get(1) == Some(width);
    let all = shape("mean.weight").first() == Some(&code) && stages.iter().enumerate().all(fits);
    if all { Ok(()) } else { Err(()) }
}

/// The networks with given numbers. The first values are overwritten: every array must be there.
fn filled(architecture: Architecture, values: impl Fn(&Named) -> Result<Vec<f32>>) -> Result<Vae<f32>> {
    let mut vae = Vae::<f32>::new(architecture, Seed::new(0));
    for named in vae.named.clone() {
        let into = if named.running { &mut vae.running } else { &mut vae.parameters };
        into[named.range.clone()].copy_from_slice(&values(&named)?);
    }
    Ok(vae)
}
