//! Uniform random choice without replacement: the baseline every other strategy must beat.

use rand::seq::index;

use crate::error::Result;
use crate::progress::Progress;
use crate::{Needs, Query, Selection, Strategy, available};

/// Draws ids uniformly, without replacement. Every score is 0: no image is preferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Random;

impl Strategy for Random {
    fn needs(&self) -> Needs {
        Needs::IDS
    }

    fn select(&self, query: &Query<'_>, progress: &mut Progress<'_>) -> Result<Selection> {
        let n = available(query, progress)?;
        // By id, not by row, so that the order in which a pool is listed changes nothing.
        let mut ids = query.unlabelled.ids().to_vec();
        ids.sort_unstable();
        let mut rng = query.seed.stream("random");
        let ids: Vec<_> = index::sample(&mut rng, ids.len(), n).into_iter().map(|row| ids[row]).collect();
        Ok(Selection { scores: vec![0.0; ids.len()], ids, ..Selection::default() })
    }
}
