//! Uniform random choice without replacement: the baseline every other strategy must beat.

use rayon::prelude::*;

use crate::error::Result;
use crate::progress::Progress;
use crate::query::{Arrays, ByRow, Fitted, RowScore, Scored};
use crate::rng::Seed;
use crate::{Needs, Query, Selection, Signals, Strategy, available};

/// Of the keys.
const NAME: &str = "random";

/// Draws ids uniformly, without replacement. Every score is 0: no image is preferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Random;

impl Strategy for Random {
    fn needs(&self) -> Needs {
        Needs::IDS
    }

    fn reads_rows(&self) -> bool {
        true
    }

    fn by_row(&self) -> Option<&dyn ByRow> {
        Some(self)
    }

    fn select(&self, query: &Query<'_>, progress: &mut Progress<'_>) -> Result<Selection> {
        let n = available(query, progress)?;
        // By a key of each id: with the same seed, the next round goes on where this one stopped, and no pick has to do with
        // the place of another in the list.
        let ids = query.unlabelled.ids();
        let ids: Vec<_> = query.seed.order(NAME, ids).into_iter().take(n).map(|row| ids[row]).collect();
        Ok(Selection { scores: vec![0.0; ids.len()], ids, ..Selection::default() })
    }
}

impl ByRow for Random {
    fn fit(&self, _: &Query<'_>, _: &mut Progress<'_>) -> Result<Arrays> {
        Ok(Arrays::new())
    }

    fn scorer(&self, fitted: &Fitted) -> Result<Box<dyn RowScore>> {
        Ok(Box::new(Keys(fitted.seed)))
    }
}

/// No score, and the key of each id.
struct Keys(Seed);

impl RowScore for Keys {
    fn score(&self, rows: &Signals<'_>, _: &mut Progress<'_>) -> Result<Scored> {
        let keys = rows.ids().par_iter().map(|&id| self.0.key(NAME, id)).collect();
        Ok(Scored { scores: vec![0.0; rows.len()], keys, ..Scored::default() })
    }
}
