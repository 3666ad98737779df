//! Query by committee: the images over which several classifiers, trained from different first
//! weights, disagree (Seung et al. 1992; of deep networks, Beluch et al. 2018, "The Power of
//! Ensembles for Active Learning").
//!
//! Never here: how the members are trained.
//!
//! ```
//! use ndarray::array;
//! use vabal_query::strategies::committee::{Committee, Disagreement, Settings};
//! use vabal_query::progress::silent;
//! use vabal_query::{Query, Seed, Signals, Strategy};
//!
//! let unlabelled = Signals::new(vec![10, 11])
//!     .with_committee(array![[[0.9, 0.1], [0.1, 0.9]], [[0.5, 0.5], [0.5, 0.5]]])?;
//! let labelled = Signals::default();
//! let query = Query { unlabelled: &unlabelled, labelled: &labelled, labels: &[], classes: 2, n: 1, seed: Seed::new(1) };
//! let chosen = Committee(Settings { measure: Disagreement::MutualInformation, members: 2 }).select(&query, &mut silent())?;
//! assert_eq!(chosen.ids, [10]); // its two members disagree
//! # Ok::<(), vabal_query::Error>(())
//! ```

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::bald::{columns, disagreement};
use crate::arrays::argmax;
use crate::error::{Result, within};
use crate::progress::Progress;
use crate::query::{ByRow, Fitted, RowScore, Scored};
use crate::{Needs, Query, Selection, Signals, Strategy, StrategySettings, Table, available};

/// How disagreement is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Disagreement {
    /// 1 − the share of the members that vote for the class of most votes.
    #[default]
    VariationRatio,
    /// Entropy of the shares of votes, in nats.
    VoteEntropy,
    /// H(mean p) − mean H(p), as BALD with members in place of draws.
    MutualInformation,
}

/// Of [`Committee`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How disagreement is measured.
    pub measure: Disagreement,
    /// M, classifiers in the committee, the round's own among them.
    pub members: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { measure: Disagreement::default(), members: 5 }
    }
}

impl Settings {
    /// Checks every value's range.
    ///
    /// # Errors
    /// The first value out of range, by its key.
    pub fn check(&self) -> Result<()> {
        within("members", self.members, 2..=1000)
    }
}

impl StrategySettings for Settings {
    fn build(self, _: Table) -> Result<Box<dyn Strategy>> {
        self.check()?;
        Ok(Box::new(Committee(self)))
    }
}

/// Asks for the images that a committee disagrees on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Committee(pub Settings);

impl Strategy for Committee {
    fn needs(&self) -> Needs {
        Needs { committee: self.0.members, ..Needs::IDS }
    }

    fn by_row(&self) -> Option<&dyn ByRow> {
        Some(self)
    }

    fn reads_rows(&self) -> bool {
        true
    }

    fn select(&self, query: &Query<'_>, progress: &mut Progress<'_>) -> Result<Selection> {
        let Scored { scores, keys, terms, .. } = self.score(query.unlabelled, progress)?;
        if keys.is_empty() {
            return Selection::top(query, &scores, terms, progress);
        }
        let n = available(query, progress)?;
        let ids = query.unlabelled.ids();
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_unstable_by(|&a, &b| {
            scores[b].total_cmp(&scores[a]).then(keys[a].cmp(&keys[b])).then(ids[a].cmp(&ids[b]))
        });
        order.truncate(n);
        let chosen = order.iter().map(|&row| scores[row]).collect();
        Ok(Selection::chosen(query.unlabelled, &order, chosen, &terms))
    }
}

impl ByRow for Committee {
    fn scorer(&self, _: &Fitted) -> Result<Box<dyn RowScore>> {
        Ok(Box::new(*self))
    }
}

impl RowScore for Committee {
    fn score(&self, rows: &Signals<'_>, progress: &mut Progress<'_>) -> Result<Scored> {
        let members = rows.committee_rows()?;
        let of = disagreement(members, "score", progress)?;
        let terms = columns(&of);
        let information = of.iter().map(|d| d.information);
        if self.0.measure == Disagreement::MutualInformation {
            return Ok(Scored { scores: information.collect(), terms, ..Scored::default() });
        }
        let votes = (0..of.len()).into_par_iter();
        let scores = votes.map(|row| self.0.measure.of_votes(members.matrix(row))).collect();
        // Votes have few values. Among equals the mutual information decides, the larger first, and
        // then the id, which in a folder of classes would prefer the first of them. The bits of
        // numbers from 0 on are ordered as they are.
        let keys = information.map(|information| !(information + 0.0).to_bits()).collect();
        Ok(Scored { scores, keys, terms, ..Scored::default() })
    }
}

impl Disagreement {
    /// The disagreement of the votes of the members, whose probabilities are [M, C].
    fn of_votes(self, members: ndarray::ArrayView2<'_, f32>) -> f64 {
        let mut votes: Vec<u32> = members.rows().into_iter().map(|p| argmax(p.iter().copied())).collect();
        votes.sort_unstable();
        // In order of size, so that equal votes give equal sums whatever the classes.
        let mut counts: Vec<usize> = votes.chunk_by(|a, b| a == b).map(<[u32]>::len).collect();
        counts.sort_unstable();
        let shares = counts.into_iter().map(|count| count as f64 / votes.len() as f64);
        match self {
            Self::VoteEntropy => shares.map(|share| 0.0 - share * share.ln()).sum(),
            _ => 1.0 - shares.fold(0.0, f64::max),
        }
    }
}
