//! The newest model of a project, of either kind, and what it says of other images.
//!
//! Never here: training it.

use std::path::{Path, PathBuf};

use super::context::FEATURES;
use super::{Context, MODEL};
use crate::Id;
use crate::backbone::{self, LinearModel, Source};
use crate::classify::Scorer;
use crate::data::folder::{self, Aspect, Reading};
use crate::device::Device;
use crate::error::{Complaint, Error, Result};
use crate::progress::Progress;
use crate::project::Project;
use crate::query::Needs;
use crate::rng::Seed;

/// A model of a project.
pub(in crate::project) enum Model {
    /// A network that was trained from scratch.
    Network(Scorer),
    /// A head on the features of a backbone.
    Linear(LinearModel),
}

impl Model {
    /// Writes it to a file, whole or not at all.
    pub(in crate::project) fn save(&self, path: &Path) -> Result<()> {
        match self {
            Self::Network(scorer) => scorer.save(path),
            Self::Linear(model) => model.save(path),
        }
    }

    /// The newest model of a project, with its file.
    pub(in crate::project) fn newest(project: &Project, device: Device) -> Result<(Self, PathBuf)> {
        let path = project.folder().join(MODEL);
        if !path.is_file() {
            return Err(no_model(project).into());
        }
        let model = match LinearModel::load(&path)? {
            Some(model) => Self::Linear(model),
            None => Self::Network(Scorer::load(&path, device)?),
        };
        Ok((model, path))
    }
}

/// A complaint that a project has no model yet.
fn no_model(project: &Project) -> Complaint {
    Error::input("this project has no model yet")
        .at(project.folder().display())
        .expected(format!("{MODEL}, which a training leaves"))
        .hint("label some images, then `vabal train`")
}

/// How images are read for a network: as it was trained, whatever the settings say by now.
pub(super) fn reading_of(scorer: &Scorer) -> Reading {
    let shape = scorer.shape();
    let colour = if shape.channels == 1 { folder::Colour::Grey } else { folder::Colour::Rgb };
    Reading { size: shape.height, aspect: Aspect::Pad, colour, skip_bad: true }
}

/// What a model says of an image: a probability for each class; `None` of one that cannot be read.
pub type Guess = Option<Vec<f32>>;

/// What the newest model of a project says of other images: class names and probabilities, path by
/// path, in the order of `paths`; `None` of what cannot be read.
///
/// # Errors
/// No model yet, or one of another backbone; no image that can be read; [`Error::Stopped`].
pub fn predict(
    project: &Project,
    root: &Path,
    paths: &[PathBuf],
    context: &Context,
    progress: &mut Progress<'_>,
) -> Result<(Vec<String>, Vec<Guess>)> {
    let mut answers = vec![None; paths.len()];
    match Model::newest(project, context.device)?.0 {
        Model::Linear(model) => {
            if !paths.is_empty() {
                let backbone = context.backbone_of(project, &model)?;
                let files: Vec<Source<'_>> = paths.iter().map(|path| Source { path, hash: None }).collect();
                let cache = project.folder().join(FEATURES);
                let embedded = backbone::embed(&backbone, &files, Some(&cache), progress)?;
                let probabilities = model.probabilities(embedded.features.view())?;
                for (&place, p) in embedded.places.iter().zip(probabilities.rows()) {
                    answers[place] = Some(p.to_vec());
                }
            }
            Ok((model.classes, answers))
        }
        Model::Network(scorer) => {
            let reading = reading_of(&scorer);
            let classes = scorer.classes().to_vec();
            if paths.is_empty() {
                return Ok((classes, answers));
            }
            let (images, kept) = folder::read_files(root, paths, reading, None, progress)?;
            let rows: Vec<Id> = (0..images.len() as Id).collect();
            let signals = scorer.signals(&images, &rows, Needs::PROBABILITIES, Seed::new(0), progress)?;
            for (&row, p) in kept.iter().zip(signals.probabilities()?.rows()) {
                answers[row] = Some(p.to_vec());
            }
            Ok((classes, answers))
        }
    }
}
