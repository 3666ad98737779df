//! What an experiment tells while it runs: its events, and how those of a phase find their place in the whole.
//!
//! Never here: what the phases do, how a front end shows them.

use super::record::{RoundRecord, Summary};
use crate::progress::{self, Flow};

pub(super) const TRAIN: &str = "train";
pub(super) const EVALUATE: &str = "evaluate";
pub(super) const FEATURES: &str = "features";
pub(super) const SELECT: &str = "select";

/// Something that happened to an experiment.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The data are read and the folder is ready; the rounds come next.
    Begun {
        /// The experiment.
        summary: &'a Summary,
        /// The rounds that an earlier start has finished.
        done: usize,
        /// The rounds in all.
        rounds: usize,
    },
    /// Something happened within a phase of a round, or, without strategy, while the data were read.
    Work {
        /// Strategy, seed and round.
        at: Option<(&'a str, u64, usize)>,
        /// How much of the whole experiment is done, from 0 to 1: an estimate by image passes.
        whole: f64,
        /// What happened.
        event: progress::Event<'a>,
    },
    /// A round is trained, measured and stored.
    Round {
        /// The strategy.
        strategy: &'a str,
        /// The seed.
        seed: u64,
        /// The round; its picks come after.
        record: &'a RoundRecord,
        /// Share of rare classes among the labelled images.
        rare_share: f64,
        /// How much of the whole experiment is done, from 0 to 1.
        whole: f64,
    },
}

/// The callback that an experiment reports to.
pub type Observer<'a> = dyn FnMut(Event<'_>) -> Flow + 'a;

/// Passes a phase's events on, with its place in the whole, and keeps its warnings for the store.
pub(super) struct Listener<'l, 'o> {
    observer: &'l mut Observer<'o>,
    at: (&'l str, u64, usize),
    done: f64,
    total: f64,
    phase: &'static str,
    /// Image passes of this step before the phase, and of the phase.
    span: (f64, f64),
    /// How much of the phase is done, from 0 to 1. Never goes back: within a phase several networks may be trained,
    /// each of which counts from 0.
    share: f64,
    pub(super) warnings: Vec<String>,
}

impl<'l, 'o> Listener<'l, 'o> {
    /// Listens to one step at strategy, seed and round; `done` of `total` image passes are over before it.
    pub(super) fn new(
        (done, total): (f64, f64),
        at: (&'l str, u64, usize),
        observer: &'l mut Observer<'o>,
    ) -> Self {
        Self { observer, at, done, total, phase: TRAIN, span: (0.0, 0.0), share: 0.0, warnings: Vec::new() }
    }

    /// A phase begins: the image passes of the step before it, and its own.
    pub(super) fn phase(&mut self, phase: &'static str, before: f64, cost: f64) {
        (self.phase, self.span, self.share) = (phase, (before, cost), 0.0);
    }

    /// Passes an event on; the answer is the observer's.
    pub(super) fn hear(&mut self, event: progress::Event<'_>) -> Flow {
        let event = match event {
            progress::Event::Progress { phase, done, total, unit, loss } => {
                self.share = self.share.max(done as f64 / total.max(1) as f64);
                // A test set is looked at like a pool; only the loop knows which it is.
                let phase = if self.phase == EVALUATE { EVALUATE } else { phase };
                progress::Event::Progress { phase, done, total, unit, loss }
            }
            progress::Event::Warning(text) => {
                let (strategy, seed, round) = self.at;
                self.warnings.push(format!("{strategy}, seed {seed}, round {round}: {text}"));
                event
            }
            _ => event,
        };
        let whole = (self.done + self.span.0 + self.span.1 * self.share) / self.total;
        (self.observer)(Event::Work { at: Some(self.at), whole: whole.min(1.0), event })
    }
}
