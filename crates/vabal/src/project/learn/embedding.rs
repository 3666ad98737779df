//! Every image of a project as a row of features, for what is not a training: those of its
//! backbone, else the embedding of the network that was trained last.
//!
//! Never here: what they are used for.

use std::path::PathBuf;

use ndarray::Array2;
use sha2::{Digest as _, Sha256};

use super::{Context, MODEL, Model, model};
use crate::Id;
use crate::backbone::Hash;
use crate::data::folder;
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::project::{ImageId, Project};
use crate::query::Needs;
use crate::rng::Seed;

/// What the rows depend on: the network, the seed, the images. Else why there are none, in plain
/// words.
///
/// # Errors
/// The backbone or the store cannot be opened.
pub(in crate::project) fn source(
    project: &Project,
    context: &Context,
) -> Result<std::result::Result<Hash, String>> {
    let settings = project.settings()?;
    let network = match context.backbone(project, &settings)? {
        Some(backbone) => backbone.key(),
        None => match std::fs::read(project.folder().join(MODEL)) {
            Ok(bytes) => format!("{:?}", Sha256::digest(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Err("This project has no features yet: its network is trained from scratch, and was not \
                               trained so far. Label some images of two classes; the map can be made after the first \
                               training. Or take a pretrained network: vabal set PROJECT backbone=auto."
                    .into()));
            }
            Err(error) => return Err(Error::io("read", &project.folder().join(MODEL))(error)),
        },
    };
    let images = project.contents()?;
    if images.is_empty() {
        return Ok(Err(
            "This project has no images that are there: put them back, or vabal scan PROJECT.".into()
        ));
    }
    let mut hash = Sha256::new().chain_update(network).chain_update(settings.seed.to_le_bytes());
    for (image, content) in &images {
        hash.update(image.0.to_le_bytes());
        hash.update(content);
    }
    Ok(Ok(hash.finalize().into()))
}

/// The images that can be read, by id, and their rows.
///
/// # Errors
/// No network yet, no image that can be read; what the network says; [`Error::Stopped`].
pub(in crate::project) fn rows(
    project: &Project,
    context: &Context,
    progress: &mut Progress<'_>,
) -> Result<(Vec<ImageId>, Array2<f32>)> {
    let settings = project.settings()?;
    if let Some(backbone) = context.backbone(project, &settings)? {
        let seen = context.see(project, &backbone, settings.seed, progress)?;
        let rows: Vec<Id> = (0..seen.rows.len() as Id).collect();
        let images = rows.iter().map(|&row| seen.rows.image(row)).collect();
        return Ok((images, seen.features.rows(&rows)?));
    }
    let Model::Network(scorer) = Model::newest(project, context.device)?.0 else {
        return Err(Error::input("the newest model is of a backbone, and the project has none by now")
            .at(project.folder().join(MODEL).display())
            .hint("train once: `vabal train`")
            .into());
    };
    let (ids, paths): (Vec<ImageId>, Vec<PathBuf>) = project.paths()?.into_iter().unzip();
    let root = project.images_folder()?;
    let root = std::fs::canonicalize(&root).map_err(Error::io("read", &root))?;
    let cache = project.folder().join("cache");
    let (images, kept) =
        folder::read_files(&root, &paths, model::reading_of(&scorer), Some(&cache), progress)?;
    let rows: Vec<Id> = (0..images.len() as Id).collect();
    let signals = scorer.signals(&images, &rows, Needs::EMBEDDING, Seed::new(settings.seed), progress)?;
    Ok((kept.into_iter().map(|place| ids[place]).collect(), signals.embedding()?.to_owned()))
}
