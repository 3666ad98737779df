//! What the newest model of a project says of a folder of other images.
//!
//! Never here: the model, where what it says is written.

use std::path::Path;

use super::learn::{self, Context};
use super::{Bad, Project};
use crate::Flow;
use crate::data::{folder, walk};
use crate::error::{Error, Result};
use crate::progress::{Event, Progress};
use crate::query::arrays::argmax;

/// What a model says.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Predictions {
    /// The names of the classes, in the order of the probabilities.
    pub classes: Vec<String>,
    /// Every image, by path.
    pub images: Vec<Predicted>,
    /// Files that claim to be images and cannot be used, and folders that cannot be read.
    pub bad: Vec<Bad>,
}

/// An image.
#[derive(Debug, Clone, PartialEq)]
pub struct Predicted {
    /// Below the folder, with `/`.
    pub path: String,
    /// \[C\], adding up to 1.
    pub probabilities: Vec<f32>,
}

impl Predicted {
    /// The place of the class and its probability; the first of equal ones.
    #[must_use]
    pub fn best(&self) -> (usize, f32) {
        let place = argmax(self.probabilities.iter().copied()) as usize;
        (place, self.probabilities.get(place).copied().unwrap_or_default())
    }
}

impl Project {
    /// Predicts all images of a folder and those below: JPEG, PNG, BMP, WebP and TIFF. Hidden files
    /// and the folders of projects are left out, links to folders not followed. All of them are in
    /// memory at once, in the size that the model wants.
    ///
    /// # Errors
    /// No model yet, no such folder, no image in it that can be read; [`Error::Stopped`].
    pub fn predict_folder(
        &self,
        folder: &Path,
        context: &Context,
        progress: &mut Progress<'_>,
    ) -> Result<Predictions> {
        if !folder.is_dir() {
            return Err(Error::input("no such folder of images")
                .at(folder.display())
                .got(if folder.exists() { "a file" } else { "nothing there" })
                .hint("name the folder that the images are in")
                .into());
        }
        let root = std::fs::canonicalize(folder).map_err(Error::io("read", folder))?;
        let (paths, mut bad) = walk::images(&root)?;
        // Those that cannot be read are listed, which says more than the sentences that are made of
        // them.
        let mut hear = |event: Event<'_>| match event {
            Event::Warning(text) if text.starts_with(folder::LEFT_OUT) => Flow::Continue,
            event => progress(event),
        };
        let (classes, answers) = learn::predict(self, &root, &paths, context, &mut hear)?;
        let mut images = Vec::with_capacity(paths.len());
        for (path, answer) in paths.iter().zip(answers) {
            let name = walk::below(&root, path);
            match answer {
                Some(probabilities) => images.push(Predicted { path: name, probabilities }),
                None => {
                    let reason = folder::open(path).err();
                    let reason = reason.unwrap_or_else(|| "it could not be read".into());
                    bad.push(Bad { path: name, reason });
                }
            }
        }
        images.sort_by(|a, b| a.path.cmp(&b.path));
        bad.sort_by(|a, b| a.path.cmp(&b.path));
        if images.is_empty() {
            return Err(walk::no_images(folder, &bad).into());
        }
        Ok(Predictions { classes, images, bad })
    }
}
