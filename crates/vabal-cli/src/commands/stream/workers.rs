//! Units of a stream on all cores, each of which has a state of its own.
//!
//! Never here: what a state is, how states are joined.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;

use vabal::{Error, Event, Flow, Progress, Result};

use super::{Slice, Stream};

/// How long before the caller is asked whether to stop.
const OFTEN: Duration = Duration::from_millis(100);

/// What the cores share.
struct Shared {
    /// The next unit.
    next: AtomicUsize,
    /// The first unit that is not to be worked on: behind one that failed, or any after a stop.
    end: AtomicUsize,
    /// The first unit that failed, and why.
    failed: Mutex<Option<(usize, Error)>>,
}

impl Shared {
    fn fail(&self, unit: usize, error: Error) {
        self.end.fetch_min(unit, Ordering::SeqCst);
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if failed.as_ref().is_none_or(|(other, _)| unit < *other) {
            *failed = Some((unit, error));
        }
    }
}

impl Stream {
    /// Does `work` with every slice that is `wanted`, on all cores: each with a state of its own,
    /// which come back in no order. Of several errors the first in the order of the pool counts.
    ///
    /// # Errors
    /// What `new` and `work` say, [`Error::Stopped`].
    pub fn each<T: Send>(
        &self,
        phase: &str,
        wanted: impl Fn(usize) -> bool + Sync,
        new: impl Fn() -> Result<T> + Sync,
        work: impl Fn(&mut T, &Slice<'_>, &mut Progress<'_>) -> Result<()> + Sync,
        progress: &mut Progress<'_>,
    ) -> Result<Vec<T>> {
        let cores = rayon::current_num_threads();
        let threads = cores.min(self.units.len()).max(1);
        let (next, end) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
        let shared = Shared { next, end, failed: Mutex::new(None) };
        let (send, receive) = mpsc::channel::<usize>();
        let run = |send: mpsc::Sender<usize>| -> Result<T> {
            let mut state = new()?;
            loop {
                let number = shared.next.fetch_add(1, Ordering::SeqCst);
                let Some(unit) = self.units.get(number) else { return Ok(state) };
                let mut heard = |_: Event<'_>| match shared.end.load(Ordering::SeqCst) > number {
                    true => Flow::Continue,
                    false => Flow::Stop,
                };
                for slice in self.slices(unit) {
                    if heard(Event::Note("")) == Flow::Stop {
                        return Ok(state);
                    }
                    if wanted(slice.number)
                        && let Err(error) = work(&mut state, &slice, &mut heard)
                    {
                        shared.fail(number, error);
                        return Ok(state);
                    }
                    // Nobody hears it only where all is over.
                    let _ = send.send(slice.rows.len());
                }
            }
        };
        // What is parallel in the work is done by the thread that has the unit, and by cores that
        // have none: not by those of all, of which this thread, which waits, is one.
        let run = |send: mpsc::Sender<usize>| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(cores.div_ceil(threads));
            match pool.use_current_thread().build() {
                Ok(pool) => pool.install(|| run(send)),
                Err(_) => run(send),
            }
        };
        let states: Vec<Result<T>> = std::thread::scope(|scope| {
            let handles: Vec<_> = (0..threads)
                .map(|_| {
                    let send = send.clone();
                    scope.spawn(|| run(send))
                })
                .collect();
            drop(send);
            let mut done = 0;
            loop {
                match receive.recv_timeout(OFTEN) {
                    Ok(rows) => done += rows,
                    Err(mpsc::RecvTimeoutError::Timeout) => {}
                    Err(mpsc::RecvTimeoutError::Disconnected) => break,
                }
                let event = Event::Progress { phase, done, total: self.rows.max(1), unit: "row", loss: None };
                if progress(event) == Flow::Stop {
                    shared.end.store(0, Ordering::SeqCst);
                    shared.fail(0, Error::Stopped);
                }
            }
            let joined = handles.into_iter().map(std::thread::ScopedJoinHandle::join);
            joined.map(|state| state.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        });
        match shared.failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some((_, error)) => Err(error),
            None => states.into_iter().collect(),
        }
    }
}
