//! A fitted VAE as one safetensors file: its arrays under PyTorch's names and layout, everything
//! else that scoring needs in the metadata. Written under a temporary name, then renamed.

use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};

use super::fit::Fitted;
use super::vae::{Architecture, Vae};
use super::{Model, Settings};
use crate::error::{Error, Result};
use crate::rng::Seed;

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
    // Before anything is made of it: settings that are none, and networks larger than the file.
    header.settings.check().map_err(|error| foreign(error.to_string()))?;
    let shape = |name: &str| tensors.tensor(name).map(|tensor| tensor.shape().to_vec()).unwrap_or_default();
    let Architecture { stages, classes, latents, .. } = &header.architecture;
    let code = classes.checked_mul(*latents).filter(|_| *classes >= 2);
    let fits =
        |(l, width): (usize, &usize)| shape(&format!("adapter.{l}.linear.weight")).get(1) == Some(width);
    if code.is_none() || shape("mean.weight").first() != code.as_ref() || !stages.iter().enumerate().all(fits)
    {
        return Err(foreign("a header that says other networks than the file holds".to_string()));
    }
    // The first values are overwritten: every array of the file must be there, in its shape.
    let mut vae = Vae::<f32>::new(header.architecture, Seed::new(0));
    for named in vae.named.clone() {
        let tensor = tensors.tensor(&named.name).map_err(|error| foreign(error.to_string()))?;
        if tensor.dtype() != Dtype::F32 || tensor.shape() != named.shape {
            return Err(foreign(format!(
                "{} of shape {:?} and type {:?}",
                named.name,
                tensor.shape(),
                tensor.dtype()
            )));
        }
        let into = if named.running { &mut vae.running } else { &mut vae.parameters };
        for (value, bytes) in into[named.range].iter_mut().zip(tensor.data().chunks_exact(4)) {
            *value = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
    }
    let losses = super::loss::Losses {
        reconstruction: header.reconstruction,
        kl: header.kl,
        class: header.class_loss,
    };
    Ok(Model {
        settings: header.settings,
        fitted: Fitted { vae, losses, target_variance: header.target_variance },
    })
}
