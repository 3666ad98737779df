//! The classifier of this library as the learner of a round, for experiments and projects alike.
//!
//! Never here: how it trains, what is done with what it says.

use std::path::Path;

use super::{Classifier, Learner, Role};
use crate::classify::{Scorer, Settings, Training};
use crate::data::Images;
use crate::device::Device;
use crate::error::Result;
use crate::progress::Progress;
use crate::query::arrays::MonteCarlo;
use crate::query::{Needs, Signals};
use crate::rng::Seed;
use crate::{Id, Label};

/// The classifier of this library as a [`Learner`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trainer<'a> {
    pub(crate) images: &'a Images,
    pub(crate) classes: &'a [String],
    pub(crate) settings: &'a Settings,
    pub(crate) device: Device,
}

impl<'a> Trainer<'a> {
    /// As [`Learner::train`], of a type that is known.
    pub(crate) fn fit(
        &self,
        ids: &[Id],
        labels: &[Label],
        dropout: Option<f64>,
        seed: Seed,
        progress: &mut Progress<'_>,
    ) -> Result<Frozen<'a>> {
        let &Self { images, classes, settings, device } = self;
        let settings = &Settings { dropout: dropout.unwrap_or(settings.dropout), ..settings.clone() };
        let scorer = Training { images, classes, settings, device, seed }.fit(ids, labels, progress)?;
        Ok(Frozen { scorer, images })
    }
}

impl Learner for Trainer<'_> {
    fn train(
        &self,
        ids: &[Id],
        labels: &[Label],
        role: Role,
        seed: Seed,
        progress: &mut Progress<'_>,
    ) -> Result<Box<dyn Classifier + '_>> {
        // Members differ by their seeds alone.
        let dropout = match role {
            Role::Round | Role::Member => None,
            Role::Draws(monte_carlo) => Some(monte_carlo.dropout),
        };
        Ok(Box::new(self.fit(ids, labels, dropout, seed, progress)?))
    }

    fn load(&self, path: &Path) -> Result<Box<dyn Classifier + '_>> {
        Ok(Box::new(Frozen { scorer: Scorer::load(path, self.device)?, images: self.images }))
    }
}

/// A [`Scorer`] with the images that it is asked about.
#[derive(Debug)]
pub(crate) struct Frozen<'a> {
    pub(crate) scorer: Scorer,
    images: &'a Images,
}

impl Classifier for Frozen<'_> {
    fn signals(
        &self,
        ids: &[Id],
        needs: Needs,
        seed: Seed,
        progress: &mut Progress<'_>,
    ) -> Result<Signals<'static>> {
        self.scorer.signals(self.images, ids, needs, seed, progress)
    }

    fn gives(&self, monte_carlo: MonteCarlo) -> bool {
        self.scorer.settings().dropout == monte_carlo.dropout
    }

    fn save(&self, path: &Path) -> Result<()> {
        self.scorer.save(path)
    }
}
