//! What the score asks of a fitted p(x | n) of every class n, read as a posterior with a uniform
//! prior: g(n | x) = p(x | n) / Σ_m p(x | m).
//!
//! Never here: how one is fitted.

use ndarray::ArrayViewMut1;

use super::super::rows::Rows;
use crate::error::Result;
use crate::progress::Progress;
use crate::{Label, Query};

/// The unlabelled pool, and the labelled one beside it.
pub(super) struct Candidates<'a> {
    /// The embedding of both, by the same scale, and the order of the ids.
    pub open: (Rows<'a>, Vec<usize>),
    pub closed: (Rows<'a>, Vec<usize>),
    /// What both were multiplied by.
    pub scale: f64,
    /// The labels of the labelled pool.
    pub labels: &'a [Label],
    /// C.
    pub classes: usize,
}

impl<'a> Candidates<'a> {
    /// Of both pools of a query.
    ///
    /// # Errors
    /// Features that are missing, not finite, or far too large in one row; [`Error::Stopped`].
    ///
    /// [`Error::Stopped`]: crate::Error::Stopped
    pub fn of(query: &'a Query<'a>, progress: &mut Progress<'_>) -> Result<Self> {
        let Query { unlabelled, labelled, labels, classes, .. } = *query;
        let ([open, closed], scale) = Rows::of([unlabelled, labelled], progress)?;
        let (open, closed) = ((open, unlabelled.rows_by_id()), (closed, labelled.rows_by_id()));
        Ok(Self { open, closed, scale, labels, classes })
    }
}

/// What a generative model says of each candidate, row by row.
pub(super) struct Posterior {
    /// The class with the largest g, the lowest among equals.
    pub class: Vec<Label>,
    /// g of the predicted class.
    pub support: Vec<f64>,
}

/// For logits ln p(x | n) + anything, [C], which become g: the class with the largest g, and g of
/// the predicted class.
pub(super) fn read(mut logits: ArrayViewMut1<'_, f64>, predicted: Label) -> (Label, f64) {
    let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    logits.mapv_inplace(|z| (z - most).exp());
    let best = logits.iter().position(|&g| g >= 1.0).unwrap_or(0);
    (best as Label, logits[predicted as usize] / logits.sum())
}
