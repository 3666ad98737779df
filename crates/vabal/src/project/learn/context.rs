//! What a training of a project works with beside the project: a device, pretrained networks by
//! name, and the features of the images, which stay in memory from one round to the next.
//!
//! Never here: training, choosing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::backbone::{self, Backbone, Hash, Known, LinearModel, Open, Source, Wish};
use crate::data::Features;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::progress::{Event, Progress};
use crate::project::{ImageId, Project, Settings};
use crate::query::pca::Pca;
use crate::rng::Seed;
use crate::{Flow, Id};

/// The value of the setting `backbone` for none: a network is trained from scratch.
pub const NONE: &str = "none";
/// The folder of features, in the project's.
pub(super) const FEATURES: &str = "features";
/// Columns that the classifier and the strategies work on: principal components of the features.
const COMPONENTS: usize = 128;

/// What a training works with.
pub struct Context {
    /// Where networks are trained from scratch.
    pub device: Device,
    open: Box<Open>,
    opened: Mutex<Option<(Wish, Backbone)>>,
    seen: Mutex<Option<Arc<Seen>>>,
    /// Held by whoever computes features: a training and a map that begin together compute them
    /// once.
    seeing: Mutex<()>,
    known: Mutex<Option<Arc<Known>>>,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("device", &self.device).finish_non_exhaustive()
    }
}

impl Context {
    /// With `open` for backbones by name.
    #[must_use]
    pub fn new(device: Device, open: Box<Open>) -> Self {
        Self {
            device,
            open,
            opened: Mutex::default(),
            seen: Mutex::default(),
            seeing: Mutex::default(),
            known: Mutex::default(),
        }
    }

    /// With the backbone inside the program, and with files.
    #[must_use]
    pub fn plain(device: Device) -> Self {
        Self::new(device, Box::new(backbone::open))
    }

    /// The backbone of a project; `None` where it has none.
    pub(super) fn backbone(&self, project: &Project, settings: &Settings) -> Result<Option<Backbone>> {
        if settings.backbone == NONE {
            return Ok(None);
        }
        let wish = Wish::new(&settings.backbone, settings.size, project.usual_side()?);
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, backbone)) = opened.as_ref().filter(|(known, _)| *known == wish) {
            return Ok(Some(backbone.clone()));
        }
        let backbone = (self.open)(&wish).map_err(|error| error.or_hint(HINT))?;
        *opened = Some((wish, backbone.clone()));
        Ok(Some(backbone))
    }

    /// The backbone that a model was trained with, at the size it had then.
    pub(in crate::project) fn backbone_of(&self, project: &Project, model: &LinearModel) -> Result<Backbone> {
        let settings = project.settings()?;
        let name = if settings.backbone == NONE { model.spec.name.clone() } else { settings.backbone };
        let wish = Wish::new(&name, model.spec.height, 0);
        let backbone = (self.open)(&wish).map_err(|error| error.or_hint(HINT))?;
        model.check(&backbone)?;
        Ok(backbone)
    }

    /// The features of a project as far as they are computed, all columns of them; `None` where
    /// none are.
    pub(super) fn known(&self, project: &Project, backbone: &Backbone) -> Result<Option<Arc<Known>>> {
        let mut held = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = project.folder().join(FEATURES);
        if held.as_ref().is_none_or(|known| !known.is_all_of(&folder, backbone)) {
            *held = Known::open(&folder, backbone)?.map(Arc::new);
        }
        Ok(held.clone())
    }

    /// All images of a project as features. Those that were computed once come from memory or from
    /// the project's folder.
    pub(super) fn see(
        &self,
        project: &Project,
        backbone: &Backbone,
        seed: u64,
        progress: &mut Progress<'_>,
    ) -> Result<Arc<Seen>> {
        let sources = project.sources()?;
        let what = What {
            key: backbone.key(),
            images: sources.iter().map(|source| (source.image, source.hash)).collect(),
            seed,
        };
        let _seeing = self.seeing.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(seen) = known.filter(|seen| seen.what == what) {
            return Ok(seen);
        }
        let seen = Arc::new(Seen::new(project, backbone, what, &sources, progress)?);
        // Of a file without a hash it cannot be told whether it has changed.
        let sure = sources.iter().all(|source| source.hash.is_some());
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = sure.then(|| Arc::clone(&seen));
        Ok(seen)
    }
}

const HINT: &str = "`vabal set PROJECT backbone=auto` takes the network inside the program, backbone=none trains one from scratch";

/// Where an image is, and what it is known by.
#[derive(Debug, Clone)]
pub(in crate::project) struct Located {
    pub(in crate::project) image: ImageId,
    pub(in crate::project) path: std::path::PathBuf,
    /// `None` where the file is another than it was when it was imported.
    pub(in crate::project) hash: Option<Hash>,
}

/// What features depend on.
#[derive(Debug, Clone, PartialEq)]
struct What {
    key: String,
    images: Vec<(ImageId, Option<Hash>)>,
    seed: u64,
}

/// The images of a project as features.
#[derive(Debug)]
pub(super) struct Seen {
    what: What,
    /// Principal components.
    pub(super) features: Features,
    pub(super) rows: Rows,
    pub(super) pca: Pca,
}

impl Seen {
    fn new(
        project: &Project,
        backbone: &Backbone,
        what: What,
        images: &[Located],
        progress: &mut Progress<'_>,
    ) -> Result<Self> {
        let sources: Vec<Source<'_>> =
            images.iter().map(|image| Source { path: &image.path, hash: image.hash }).collect();
        let embedded = backbone::embed(backbone, &sources, Some(&project.folder().join(FEATURES)), progress)?;
        for (place, reason) in embedded.bad.iter().take(MOST_WARNINGS) {
            let text = format!("left out {}: {reason}", images[*place].path.display());
            if progress(Event::Warning(&text)) == Flow::Stop {
                return Err(Error::Stopped);
            }
        }
        if embedded.places.is_empty() {
            return Err(Error::input("no image of the project can be read")
                .at(project.folder().display())
                .got(embedded.bad.first().map_or("none".into(), |(_, reason)| reason.clone()))
                .hint("put the images back where they were, or `vabal scan PROJECT --images DIR`")
                .into());
        }
        let rows = Rows::new(embedded.places.iter().map(|&place| images[place].image).collect());
        let ids: Vec<Id> = rows.images.iter().map(|image| image.0.cast_unsigned()).collect();
        let seed = Seed::new(what.seed);
        let pca = Pca::fit(embedded.features.view(), &ids, COMPONENTS, seed, progress)?;
        let features = Features::new(pca.transform(embedded.features.view())?, None)?;
        Ok(Self { what, features, rows, pca })
    }

    /// Some images of a project, for a choice among them.
    pub(super) fn sample(
        project: &Project,
        backbone: &Backbone,
        chosen: &[ImageId],
        seed: u64,
        progress: &mut Progress<'_>,
    ) -> Result<Self> {
        let mut sources = project.sources()?;
        let chosen: std::collections::HashSet<ImageId> = chosen.iter().copied().collect();
        sources.retain(|source| chosen.contains(&source.image));
        let what = What { key: backbone.key(), images: Vec::new(), seed };
        Self::new(project, backbone, what, &sources, progress)
    }
}

/// Files that cannot be read and are named.
const MOST_WARNINGS: usize = 20;

/// The images of a project by their row in a set of images or features, and the way back: the only
/// place where an [`ImageId`] becomes an [`Id`].
#[derive(Debug)]
pub(super) struct Rows {
    images: Vec<ImageId>,
    rows: HashMap<ImageId, Id>,
}

impl Rows {
    pub(super) fn new(images: Vec<ImageId>) -> Self {
        let rows = images.iter().enumerate().map(|(row, &image)| (image, row as Id)).collect();
        Self { images, rows }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.images.len()
    }

    /// The image in a row of the set.
    pub(super) fn image(&self, row: Id) -> ImageId {
        self.images[row as usize]
    }

    /// The row of an image; `None` where it could not be read.
    pub(super) fn row(&self, image: ImageId) -> Option<Id> {
        self.rows.get(&image).copied()
    }

    /// The rows of those of `images` that could be read, in their order.
    pub(super) fn of(&self, images: impl IntoIterator<Item = ImageId>) -> Vec<Id> {
        images.into_iter().filter_map(|image| self.row(image)).collect()
    }
}
