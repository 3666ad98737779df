//! Uniform random choice without replacement: the baseline every other strategy must beat.
//!
//! ```
//! use vabal_query::progress::silent;
//! use vabal_query::strategies::random::Random;
//! use vabal_query::{Query, Seed, Signals, Strategy};
//!
//! let choose = |ids: Vec<u64>| {
//!     let unlabelled = Signals::new(ids);
//!     let query = Query { unlabelled: &unlabelled, labelled: &Signals::default(), labels: &[], classes: 2, n: 2, seed: Seed::new(1) };
//!     Random.select(&query, &mut silent()).map(|chosen| chosen.ids)
//! };
//! // Each id has a draw of its own: the order of the pool changes nothing.
//! assert_eq!(choose(vec![4, 5, 6, 7])?, choose(vec![7, 5, 6, 4])?);
//! # Ok::<(), vabal_query::Error>(())
//! ```

use rayon::prelude::*;

use crate::error::Result;
use crate::progress::Progress;
use crate::query::{ByRow, Fitted, RowScore, Scored};
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
