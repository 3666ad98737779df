//! Uniform random choice without replacement: the baseline every other strategy must beat.

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
        // By a key of each id: with the same seed, the next round goes on where this one stopped, and no pick has to do with
        // the place of another in the list.
        let ids = query.unlabelled.ids();
        let ids: Vec<_> = query.seed.order("random", ids).into_iter().take(n).map(|row| ids[row]).collect();
        Ok(Selection { scores: vec![0.0; ids.len()], ids, ..Selection::default() })
    }
}
