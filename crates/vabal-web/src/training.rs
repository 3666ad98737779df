//! Training, and other long work, in the background: when it begins, how far it is, how it ends.
//! The page goes on meanwhile.
//!
//! Never here: what is trained, and what is chosen then (`vabal::project::learn`).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::Serialize;
use vabal::{Error, Event, Flow, Progress, Result};

/// What a training does, on a connection of its own.
pub type Learn = dyn Fn(&mut Progress<'_>) -> Result<()> + Send + Sync;

/// How the training stands, as the page shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pulse {
    /// "idle", "running" or "failed".
    pub state: &'static str,
    /// What it does, in a word of the library.
    pub phase: Option<String>,
    /// Units of the phase that are finished.
    pub done: usize,
    /// Units of the phase in all.
    pub total: usize,
    /// Seconds until all of it ends, where that can be guessed.
    pub seconds_left: Option<f64>,
    /// Why it failed.
    pub error: Option<String>,
    /// Why it cannot begin, in plain words; filled in by who knows the project.
    pub needs: Option<String>,
}

/// The trainings of one server, one at a time.
#[derive(Debug, Default)]
pub struct Training {
    stand: Mutex<Stand>,
    stop: AtomicBool,
}

#[derive(Debug, Default)]
struct Stand {
    state: State,
    thread: Option<JoinHandle<()>>,
    /// How long the last one took that was finished.
    took: Option<Duration>,
    /// Answers at the time of the last beginning; none begins by itself before there are enough new
    /// ones, so that one that fails or is stopped is not begun again at once.
    begun_at: Option<u64>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Idle,
    Running {
        begun: Instant,
        phase: String,
        phase_begun: Instant,
        done: usize,
        total: usize,
    },
    Failed(String),
}

impl Training {
    fn stand(&self) -> MutexGuard<'_, Stand> {
        self.stand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins one; false where one is under way. `labels` is how many there are now; `None` for a
    /// first choice, before there are any.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn begin(self: &Arc<Self>, labels: Option<u64>, learn: Arc<Learn>) -> Result<bool> {
        let mut stand = self.stand();
        if matches!(stand.state, State::Running { .. }) {
            return Ok(false);
        }
        self.stop.store(false, Ordering::SeqCst);
        let now = Instant::now();
        let this = Arc::clone(self);
        let thread =
            std::thread::Builder::new().name("training".into()).spawn(move || this.work(now, &*learn));
        stand.thread = Some(thread.map_err(|error| {
            Error::from(
                Error::input("the system gives no thread to work in").got(error).hint("end other programs"),
            )
        })?);
        stand.begun_at = labels.or(stand.begun_at);
        stand.state =
            State::Running { begun: now, phase: "start".into(), phase_begun: now, done: 0, total: 1 };
        Ok(true)
    }

    fn work(&self, begun: Instant, learn: &Learn) {
        let mut progress = |event: Event<'_>| self.hear(&event);
        let result = catch_unwind(AssertUnwindSafe(|| learn(&mut progress)));
        let mut stand = self.stand();
        stand.state = match result {
            Ok(Ok(())) => {
                stand.took = Some(begun.elapsed());
                State::Idle
            }
            Ok(Err(Error::Stopped)) => State::Idle,
            Ok(Err(error)) => State::Failed(error.to_string()),
            Err(_) => State::Failed("it broke off by a mistake of the program".into()),
        };
    }

    fn hear(&self, event: &Event<'_>) -> Flow {
        if let Event::Progress { phase, done, total, .. } = event
            && let State::Running { phase: known, phase_begun, done: d, total: t, .. } =
                &mut self.stand().state
        {
            if known != phase || done < d {
                (*phase).clone_into(known);
                *phase_begun = Instant::now();
            }
            (*d, *t) = (*done, *total);
        }
        if self.stop.load(Ordering::SeqCst) { Flow::Stop } else { Flow::Continue }
    }

    /// Asks the one under way to stop; false where none is.
    pub fn stop(&self) -> bool {
        self.stop.store(true, Ordering::SeqCst);
        matches!(self.stand().state, State::Running { .. })
    }

    /// Stops the one under way and waits until it has.
    pub fn end(&self) {
        self.stop();
        let thread = self.stand().thread.take();
        if let Some(thread) = thread {
            // It catches its own panics.
            let _ = thread.join();
        }
    }

    /// Whether one is under way.
    pub fn is_running(&self) -> bool {
        matches!(self.stand().state, State::Running { .. })
    }

    /// Whether one may begin by itself at this number of labels, when `every` new ones are enough.
    pub fn may_begin(&self, labels: u64, every: u64) -> bool {
        let mut stand = self.stand();
        // Labels that were taken back are not waited for again.
        stand.begun_at = stand.begun_at.map(|begun| begun.min(labels));
        !matches!(stand.state, State::Running { .. })
            && stand.begun_at.is_none_or(|begun| labels >= begun.saturating_add(every))
    }

    /// How it stands.
    pub fn pulse(&self) -> Pulse {
        let stand = self.stand();
        let idle = Pulse {
            state: "idle",
            phase: None,
            done: 0,
            total: 0,
            seconds_left: None,
            error: None,
            needs: None,
        };
        match &stand.state {
            State::Idle => idle,
            State::Failed(error) => Pulse { state: "failed", error: Some(error.clone()), ..idle },
            State::Running { begun, phase, phase_begun, done, total } => {
                let share = *done as f64 / (*total).max(1) as f64;
                let phase_left =
                    (share > 0.05).then(|| phase_begun.elapsed().as_secs_f64() * (1.0 - share) / share);
                // The last one says how long all of it takes; the phase at hand cannot take longer
                // than all.
                let whole_left =
                    stand.took.map(|took| (took.as_secs_f64() - begun.elapsed().as_secs_f64()).max(0.0));
                let seconds_left = match (whole_left, phase_left) {
                    (Some(whole), Some(phase)) => Some(whole.max(phase)),
                    (whole, phase) => whole.or(phase),
                };
                Pulse {
                    state: "running",
                    phase: Some(phase.clone()),
                    done: *done,
                    total: *total,
                    seconds_left,
                    ..idle
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn wait(training: &Training) -> Pulse {
        while training.is_running() {
            std::thread::sleep(Duration::from_millis(1));
        }
        training.pulse()
    }

    #[test]
    fn one_at_a_time_with_its_progress_and_it_ends() {
        let training = Arc::new(Training::default());
        let (go, gone) = mpsc::channel::<()>();
        let gone = Mutex::new(gone);
        let learn: Arc<Learn> = Arc::new(move |progress| {
            vabal::progress::report(
                progress,
                Event::Progress { phase: "train", done: 3, total: 10, unit: "step", loss: None },
            )?;
            gone.lock().unwrap().recv().unwrap();
            Ok(())
        });
        assert!(training.may_begin(10, 50));
        assert!(training.begin(Some(10), Arc::clone(&learn)).unwrap());
        while training.pulse().phase.as_deref() != Some("train") {
            std::thread::sleep(Duration::from_millis(1));
        }
        let pulse = training.pulse();
        assert_eq!((pulse.state, pulse.done, pulse.total), ("running", 3, 10));
        assert!(pulse.seconds_left.is_some());
        assert!(!training.begin(Some(10), learn).unwrap() && !training.may_begin(1000, 50));
        go.send(()).unwrap();
        assert_eq!(wait(&training).state, "idle");
        assert!(!training.may_begin(59, 50) && training.may_begin(60, 50));
        assert!(!training.may_begin(4, 50) && !training.may_begin(53, 50) && training.may_begin(54, 50));
    }

    #[test]
    fn a_failure_and_a_panic_are_told_and_the_next_begins() {
        let training = Arc::new(Training::default());
        training
            .begin(Some(0), Arc::new(|_| Err(Error::input("no images").hint("add some").into())))
            .unwrap();
        let pulse = wait(&training);
        assert_eq!((pulse.state, pulse.error.unwrap().as_str()), ("failed", "no images\n  hint: add some"));
        training.begin(Some(0), Arc::new(|_| panic!("on purpose"))).unwrap();
        assert!(wait(&training).error.unwrap().contains("mistake"));
        training.begin(Some(0), Arc::new(|_| Ok(()))).unwrap();
        assert_eq!(wait(&training).state, "idle");
    }

    #[test]
    fn it_stops_when_asked_and_that_is_no_failure() {
        let training = Arc::new(Training::default());
        let learn: Arc<Learn> = Arc::new(|progress| {
            loop {
                vabal::progress::report(progress, Event::Note("still here"))?;
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        assert!(!training.stop());
        training.begin(Some(0), learn).unwrap();
        assert!(training.stop());
        training.end();
        assert_eq!(training.pulse().state, "idle");
    }
}
