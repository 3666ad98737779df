//! What an experiment tells while it runs: its events, and how those of a phase find their place in
//! the whole.
//!
//! Never here: what the phases do, how a front end shows them.

use std::sync::{Mutex, MutexGuard, PoisonError};

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
    /// Something happened within a phase of a round, or, without strategy, while the data were
    /// read.
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

/// The callback that an experiment reports to: by one thread at a time, but not always the same.
pub type Observer<'a> = dyn FnMut(Event<'_>) -> Flow + Send + 'a;

/// Where all workers report: how much of the whole is done, and the one observer that hears of it.
pub(super) struct Reporter<'o> {
    /// Image passes of the whole experiment.
    pub(super) total: f64,
    state: Mutex<State<'o>>,
}

struct State<'o> {
    observer: &'o mut Observer<'o>,
    /// Image passes of the steps that are over.
    done: f64,
    /// Image passes of the step that each worker is at, as far as it has come.
    under_way: Vec<f64>,
    stopped: bool,
}

impl State<'_> {
    fn whole(&self, total: f64) -> f64 {
        ((self.done + self.under_way.iter().sum::<f64>()) / total).min(1.0)
    }

    /// After the first [`Flow::Stop`] the observer hears no more, and every worker stops.
    fn tell(&mut self, event: Event<'_>) -> Flow {
        self.stopped = self.stopped || (self.observer)(event) == Flow::Stop;
        if self.stopped { Flow::Stop } else { Flow::Continue }
    }
}

impl<'o> Reporter<'o> {
    /// For so many workers.
    pub(super) fn new(observer: &'o mut Observer<'o>, workers: usize) -> Self {
        let state = State { observer, done: 0.0, under_way: vec![0.0; workers], stopped: false };
        Self { total: 1.0, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State<'o>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passes an event on; the answer is the observer's.
    pub(super) fn tell(&self, event: Event<'_>) -> Flow {
        self.state().tell(event)
    }

    /// A step of a worker is over, or was before this start: what it cost.
    pub(super) fn finish(&self, worker: usize, cost: f64) {
        let mut state = self.state();
        state.done += cost;
        state.under_way[worker] = 0.0;
    }

    /// A round is trained, measured and stored.
    pub(super) fn round(&self, strategy: &str, seed: u64, record: &RoundRecord, rare_share: f64) -> Flow {
        let mut state = self.state();
        let whole = state.whole(self.total);
        state.tell(Event::Round { strategy, seed, record, rare_share, whole })
    }

    /// Lets every worker stop at its next report.
    pub(super) fn stop(&self) {
        self.state().stopped = true;
    }

    /// Whether the observer or a worker has stopped the experiment.
    pub(super) fn is_stopped(&self) -> bool {
        self.state().stopped
    }
}

/// Passes a phase's events on, with its place in the whole, and keeps its warnings for the store.
pub(super) struct Listener<'l, 'o> {
    reporter: &'l Reporter<'o>,
    worker: usize,
    at: (&'l str, u64, usize),
    phase: &'static str,
    /// Image passes of this step before the phase, and of the phase.
    span: (f64, f64),
    /// How much of the phase is done, from 0 to 1. Never goes back: within a phase several networks
    /// may be trained, each of which counts from 0.
    share: f64,
    pub(super) warnings: Vec<String>,
}

impl<'l, 'o> Listener<'l, 'o> {
    /// Listens to one step of a worker, at strategy, seed and round.
    pub(super) fn new(reporter: &'l Reporter<'o>, worker: usize, at: (&'l str, u64, usize)) -> Self {
        Self { reporter, worker, at, phase: TRAIN, span: (0.0, 0.0), share: 0.0, warnings: Vec::new() }
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
        let mut state = self.reporter.state();
        state.under_way[self.worker] = self.span.0 + self.span.1 * self.share;
        let whole = state.whole(self.reporter.total);
        state.tell(Event::Work { at: Some(self.at), whole, event })
    }
}
