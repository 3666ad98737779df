//! A test set for data that come without one: some images are held out, seeded.
//!
//! Never here: which images are labelled first, which is the loop's.

use std::collections::BTreeMap;

use rand::seq::{SliceRandom, index};
use serde::{Deserialize, Serialize};

use super::{Items, Labelled};
use crate::Id;
use crate::error::{Error, Result};
use crate::rng::Seed;

/// The table `holdout` of a configuration file. It takes part only where the data have no test set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HoldOut {
    /// The share of the images that is held out for testing, between 0 and 1.
    pub fraction: f64,
    /// How they are chosen.
    pub by: By,
    /// The text that ends the name of a group within a file's name: with `"_"`, `patient7_03.png`
    /// is of group `patient7`. Only for `by = "group"`.
    pub separator: String,
}

impl Default for HoldOut {
    fn default() -> Self {
        Self { fraction: 0.2, by: By::Stratified, separator: "_".into() }
    }
}

/// How held-out images are chosen. Rounded up throughout: stratified, 20 % of NEU-CLS-64 are the
/// paper's 1,448.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// From all images alike.
    Random,
    /// The same share from every class; a class with two images or more keeps one in the pool.
    Stratified,
    /// Whole groups, in random order, as long as the share is not exceeded: images of one group
    /// (a patient, a slide, a coil of steel) are never on both sides.
    Group,
}

/// The pool and the test set, both ascending.
pub type Split = (Vec<Id>, Vec<Id>);

impl HoldOut {
    /// Checks every value's range.
    ///
    /// # Errors
    /// The first value out of range, by its key below `prefix`.
    pub fn check(&self, prefix: &str) -> Result<()> {
        let complaint = if !(self.fraction > 0.0 && self.fraction < 1.0) {
            Error::input("a setting is out of range")
                .at(format!("{prefix}fraction"))
                .expected("between 0 and 1")
                .got(self.fraction)
        } else if self.by == By::Group && self.separator.is_empty() {
            Error::input("a setting is out of range")
                .at(format!("{prefix}separator"))
                .expected("the text that ends a group's name within a file's name")
                .got("\"\"")
        } else {
            return Ok(());
        };
        Err(complaint.into())
    }

    /// Splits `ids`. The same seed and the same set of ids give the same answer in any order.
    ///
    /// # Errors
    /// By group: images without a file of their own, or no group small enough.
    pub fn split<T: Items>(&self, images: &Labelled<T>, ids: &[Id], seed: Seed) -> Result<Split> {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        let mut test = match self.by {
            By::Random => self.draw(&ids, seed),
            By::Stratified => {
                let mut by_class = vec![Vec::new(); images.classes().len()];
                for &id in &ids {
                    by_class[images.label(id) as usize].push(id);
                }
                let draw = |(n, ids): (usize, &Vec<Id>)| self.draw(ids, seed.child("class", n as u64));
                by_class.iter().enumerate().flat_map(draw).collect()
            }
            By::Group => self.groups(images, &ids, seed)?,
        };
        test.sort_unstable();
        ids.retain(|id| test.binary_search(id).is_err());
        Ok((ids, test))
    }

    /// How many of `n` are held out: rounded up, but never all.
    fn share(&self, n: usize) -> usize {
        // 1e-9: 0.2 × 775 must be 155, not the next whole number.
        ((self.fraction * n as f64 - 1e-9).ceil() as usize).min(n.saturating_sub(1))
    }

    fn draw(&self, ids: &[Id], seed: Seed) -> Vec<Id> {
        let mut rng = seed.stream("hold-out");
        index::sample(&mut rng, ids.len(), self.share(ids.len())).into_iter().map(|n| ids[n]).collect()
    }

    fn groups<T: Items>(&self, images: &Labelled<T>, ids: &[Id], seed: Seed) -> Result<Vec<Id>> {
        let mut groups: BTreeMap<&str, Vec<Id>> = BTreeMap::new();
        for &id in ids {
            let path = images.items().path(id).ok_or_else(|| {
                Error::input(format!("{} without a file of their own have no group", T::SEVERAL))
                    .at(images.items().source(id))
                    .hint("use data.holdout.by = \"stratified\"")
            })?;
            let name = path.rsplit('/').next().unwrap_or(path);
            let group = name.split_once(self.separator.as_str()).map_or(name, |(group, _)| group);
            groups.entry(group).or_default().push(id);
        }
        let mut order: Vec<_> = groups.into_iter().collect();
        let count = order.len();
        order.shuffle(&mut seed.stream("hold-out"));
        let wanted = self.share(ids.len());
        let mut test = Vec::new();
        for (_, group) in order {
            if test.len() + group.len() <= wanted {
                test.extend(group);
            }
        }
        if test.is_empty() {
            return Err(Error::input("no group is small enough to be held out")
                .at("data.holdout.separator")
                .expected(format!("a group of at most {wanted} images"))
                .got(format!("{count} groups of {} images", ids.len()))
                .hint("check the separator against the files' names, or raise data.holdout.fraction")
                .into());
        }
        Ok(test)
    }
}

#[cfg(test)]
mod tests;
