//! TypiClust: of every cluster of the embedding that has the fewest labels, the image that is most
//! typical of it; for small budgets and for the very first round (Hacohen, Dekel & Weinshall 2022,
//! "Active Learning on a Budget: Opposite Strategies Suit High and Low Budgets", Algorithm 1).
//!
//! Never here: the classifier's predictions; a label but by which cluster has some.
//!
//! ```
//! use ndarray::array;
//! use vabal_query::strategies::typiclust::{Settings, TypiClust};
//! use vabal_query::progress::silent;
//! use vabal_query::{Query, Seed, Signals, Strategy};
//!
//! let unlabelled = Signals::new(vec![10, 11, 12, 13])
//!     .with_embedding(array![[0.0, 0.0], [0.1, 0.0], [5.0, 5.0], [9.0, 0.0]])?;
//! let labelled = Signals::default();
//! let query = Query { unlabelled: &unlabelled, labelled: &labelled, labels: &[], classes: 2, n: 2, seed: Seed::new(1) };
//! let chosen = TypiClust(Settings::default()).select(&query, &mut silent())?;
//! assert_eq!(chosen.ids.len(), 2); // each of another cluster
//! # Ok::<(), vabal_query::Error>(())
//! ```

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::k_means::k_means;
use super::neighbours::{Place, Points, both};
use crate::error::{Result, within};
use crate::progress::{Event, Progress, between_reports, report};
use crate::term;
use crate::{Column, Needs, Query, Selection, Strategy, StrategySettings, Table, available};

/// Of [`TypiClust`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The most clusters; fewer while labels and budget together are fewer.
    pub max_clusters: usize,
    /// Neighbours that typicality is the mean distance to; of a small cluster half of what it has.
    pub neighbours: usize,
    /// Images below which a cluster is left alone while there are others.
    pub min_cluster: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { max_clusters: 500, neighbours: 20, min_cluster: 5 }
    }
}

impl Settings {
    /// Checks every value's range.
    ///
    /// # Errors
    /// The first value out of range, by its key.
    pub fn check(&self) -> Result<()> {
        within("max_clusters", self.max_clusters, 1..=100_000)?;
        within("neighbours", self.neighbours, 1..=1000)?;
        within("min_cluster", self.min_cluster, 1..=1_000_000)
    }
}

impl StrategySettings for Settings {
    fn build(self, _: Table) -> Result<Box<dyn Strategy>> {
        self.check()?;
        Ok(Box::new(TypiClust(self)))
    }
}

/// Asks for typical images of clusters without labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TypiClust(pub Settings);

impl Strategy for TypiClust {
    fn needs(&self) -> Needs {
        Needs::EMBEDDING
    }

    fn needs_of_labelled(&self) -> Needs {
        Needs::EMBEDDING
    }

    fn is_batch(&self) -> bool {
        true
    }

    fn reads_rows(&self) -> bool {
        true
    }

    fn select(&self, query: &Query<'_>, progress: &mut Progress<'_>) -> Result<Selection> {
        let n = available(query, progress)?;
        if n == 0 {
            return Ok(Selection::default());
        }
        let images = both(query, progress)?;
        let points = Points::new(images.iter().map(|&(.., features)| features).collect());
        let k = (query.labelled.len() + n).min(self.0.max_clusters);
        let found = k_means(&points, k, &mut query.seed.stream("k-means"), progress)?;
        let open = |&point: &usize| matches!(images[point].1, Place::Unlabelled(_));
        let mut clusters: Vec<Cluster> =
            found.members.into_iter().map(|members| Cluster::new(&members, open)).collect();
        // Stable, and clusters come in the order of their lowest ids.
        clusters.sort_by_key(|cluster| {
            (cluster.size < self.0.min_cluster, cluster.labelled, std::cmp::Reverse(cluster.size))
        });
        let small = clusters.partition_point(|cluster| cluster.size >= self.0.min_cluster);
        let (large, small) = clusters.split_at_mut(small);
        let mut picks = Vec::with_capacity(n);
        for clusters in [large, small] {
            while picks.len() < n && clusters.iter().any(|cluster| !cluster.open.is_empty()) {
                self.round(&points, clusters, n, &mut picks, progress)?;
            }
        }
        let column =
            |name, value: fn(&Pick) -> f64| Column { name, values: picks.iter().map(value).collect() };
        Ok(Selection {
            ids: picks.iter().map(|pick| images[pick.point].0).collect(),
            scores: (0..picks.len()).map(|place| 0.0 - place as f64).collect(),
            terms: vec![
                column(term::TYPICALITY, |pick| pick.typicality),
                column(term::CLUSTER_SIZE, |pick| pick.size as f64),
                column(term::CLUSTER_LABELLED, |pick| pick.labelled as f64),
            ],
            ..Selection::default()
        })
    }
}

impl TypiClust {
    /// One image of every cluster that has any left, up to `n` in all.
    fn round(
        &self,
        points: &Points<'_>,
        clusters: &mut [Cluster],
        n: usize,
        picks: &mut Vec<Pick>,
        progress: &mut Progress<'_>,
    ) -> Result<()> {
        let mut open: Vec<&mut Cluster> =
            clusters.iter_mut().filter(|cluster| !cluster.open.is_empty()).collect();
        open.truncate(n - picks.len());
        for cluster in
            open.iter_mut().filter(|cluster| cluster.open.len() > at_once(points, cluster.open.len()))
        {
            cluster.measure(points, self.0.neighbours, progress)?;
        }
        // Enough for all cores, and no more, so that stopping is heard between them.
        for some in open.chunks_mut(2 * rayon::current_num_threads()) {
            picks.par_extend(some.par_iter_mut().map(|cluster| cluster.pick(points, self.0.neighbours)));
            let done = picks.len();
            report(progress, Event::Progress { phase: "choose", done, total: n, unit: "image", loss: None })?;
        }
        Ok(())
    }
}

/// Images of a cluster of a size whose neighbours are looked for between two times of asking
/// whether to stop.
fn at_once(points: &Points<'_>, size: usize) -> usize {
    between_reports(size * points.scaled().ncols(), 1, AT_ONCE)
}

/// The most of these.
const AT_ONCE: usize = 4096;

/// An image of the batch.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Pick {
    point: usize,
    /// 1 / (mean distance to the nearest neighbours + 10⁻⁵), in the units of the features; 0 for an
    /// image alone.
    typicality: f64,
    /// Of its cluster.
    size: usize,
    /// Labelled images of its cluster, those of the batch left out.
    labelled: usize,
}

#[derive(Debug, Clone, PartialEq)]
struct Cluster {
    /// Images of both pools.
    size: usize,
    labelled: usize,
    /// Unlabelled points that are not yet chosen, ascending.
    open: Vec<usize>,
    /// The nearest neighbours of each of `open` among them: squared distance and point; empty
    /// before the first pick.
    near: Vec<Vec<(f64, usize)>>,
    /// Chosen since `near` was up to date.
    chosen: Option<usize>,
}

impl Cluster {
    fn new(members: &[usize], open: impl Fn(&usize) -> bool) -> Self {
        let unlabelled: Vec<usize> = members.iter().copied().filter(|point| open(point)).collect();
        let labelled = members.len() - unlabelled.len();
        Self { size: members.len(), labelled, open: unlabelled, near: Vec::new(), chosen: None }
    }

    /// Looks for the neighbours of a large cluster before its first pick, some images at a time.
    fn measure(&mut self, points: &Points<'_>, neighbours: usize, progress: &mut Progress<'_>) -> Result<()> {
        if !self.near.is_empty() {
            return Ok(());
        }
        let (k, total) = (self.neighbours(neighbours), self.open.len());
        for of in self.open.chunks(at_once(points, total)) {
            self.near.extend(points.neighbours(of, &self.open, k));
            let (phase, unit, done) = ("neighbours", "image", self.near.len());
            report(progress, Event::Progress { phase, done, total, unit, loss: None })?;
        }
        Ok(())
    }

    /// Neighbours that typicality is measured by.
    fn neighbours(&self, most: usize) -> usize {
        most.min(self.open.len() / 2).max(1)
    }

    /// Takes out the most typical image that is open, the first among equals. Of `open` there must
    /// be any.
    fn pick(&mut self, points: &Points<'_>, neighbours: usize) -> Pick {
        let k = self.neighbours(neighbours);
        if self.near.is_empty() {
            self.near = points.neighbours(&self.open, &self.open, k);
        } else if let Some(chosen) = self.chosen {
            // Only the lists that name it change; the others may be longer than is asked for now.
            let named = |near: &Vec<(f64, usize)>| near.iter().any(|&(_, point)| point == chosen);
            let places: Vec<usize> = (0..self.near.len()).filter(|&place| named(&self.near[place])).collect();
            let of: Vec<usize> = places.iter().map(|&place| self.open[place]).collect();
            for (place, near) in places.into_iter().zip(points.neighbours(&of, &self.open, k)) {
                self.near[place] = near;
            }
        }
        let far = |near: &Vec<(f64, usize)>| {
            let near = &near[..k.min(near.len())];
            near.iter().map(|&(squared, _)| points.length(squared)).sum::<f64>() / near.len() as f64
        };
        let mean: Vec<f64> = self.near.iter().map(far).collect();
        // Equal but for how a sum was rounded is equal.
        let least = mean.iter().copied().fold(f64::INFINITY, f64::min);
        let best = mean.iter().position(|&mean| mean <= least + 1e-12 * least).unwrap_or(0);
        let alone = self.open.len() == 1;
        self.near.remove(best);
        let point = self.open.remove(best);
        self.chosen = Some(point);
        let typicality = if alone { 0.0 } else { 1.0 / (mean[best] + 1e-5) };
        Pick { point, typicality, size: self.size, labelled: self.labelled }
    }
}

#[cfg(test)]
mod tests;
