//! How long work tells of itself and is asked to stop: one callback, shared by the terminal, the
//! page and Python. The library never prints; it reports an [`Event`] and obeys the [`Flow`].
//!
//! ```
//! use vabal_query::progress::{Event, Flow, report};
//!
//! let mut seen = Vec::new();
//! let mut progress = |event: Event<'_>| {
//!     if let Event::Progress { phase, done, total, .. } = event {
//!         seen.push(format!("{phase}: {done} of {total}"));
//!     }
//!     Flow::Continue // Flow::Stop ends the work with Error::Stopped
//! };
//! report(&mut progress, Event::Progress { phase: "score", done: 1, total: 2, unit: "image", loss: None })?;
//! assert_eq!(seen, ["score: 1 of 2"]);
//! # Ok::<(), vabal_query::Error>(())
//! ```

use crate::error::{Error, Result};

/// Something that happened during long work.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A phase advanced: `done` of `total` units, in order, from 0 to `total`.
    Progress {
        /// The phase: "train", "features", "vae", "score", …
        phase: &'a str,
        /// Units finished.
        done: usize,
        /// Units in all, at least 1.
        total: usize,
        /// What a unit is: "step", "image".
        unit: &'a str,
        /// The current loss, where the phase has one.
        loss: Option<f64>,
    },
    /// Something the person should know that is no error: one sentence, no full stop.
    Warning(&'a str),
    /// Something worth a line in the log: one sentence, no full stop.
    Note(&'a str),
}

/// What the caller answers to an [`Event`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    Continue,
    /// Stop as soon as nothing can be lost; the work returns [`Error::Stopped`].
    Stop,
}

/// The callback that long work reports to. A closure `|event| Flow::Continue` is one.
pub type Progress<'a> = dyn FnMut(Event<'_>) -> Flow + 'a;

/// Reports `event` and turns [`Flow::Stop`] into [`Error::Stopped`], so that `?` stops the work.
///
/// # Errors
/// [`Error::Stopped`] when the callback asks for it.
pub fn report(progress: &mut Progress<'_>, event: Event<'_>) -> Result<()> {
    match progress(event) {
        Flow::Continue => Ok(()),
        Flow::Stop => Err(Error::Stopped),
    }
}

/// How many items to work on, on all cores, between two reports, where one takes `each` multiplications: enough for a tenth
/// of a second or so, but from `least` to `most`. What comes out must not depend on it.
pub(crate) fn between_reports(each: usize, least: usize, most: usize) -> usize {
    const OF_A_CORE: usize = 1 << 30;
    let enough = OF_A_CORE.saturating_mul(rayon::current_num_threads()) / each.max(1);
    enough.clamp(least, most.max(least))
}

/// A callback that listens to nothing and never stops.
pub fn silent() -> impl FnMut(Event<'_>) -> Flow {
    |_| Flow::Continue
}
