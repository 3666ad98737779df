//! Threads after a fork. rayon's workers stay behind in the parent, where a child would wait for
//! them for ever: a child gets workers of its own.

use std::process;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rayon::{ThreadPool, ThreadPoolBuilder};

/// The process that rayon's global workers are of.
static FIRST: OnceLock<u32> = OnceLock::new();
/// The workers of a forked child.
static CHILD: Mutex<Option<(u32, Arc<ThreadPool>)>> = Mutex::new(None);

/// Runs `work` where its parallel parts find workers. In a forked child it runs on one of these, so
/// that Ctrl-C is heard there only between calls.
pub fn with_workers<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let here = process::id();
    if *FIRST.get_or_init(|| here) == here {
        return work();
    }
    let workers = {
        let mut child = CHILD.lock().unwrap_or_else(PoisonError::into_inner);
        match &*child {
            Some((of, workers)) if *of == here => Some(workers.clone()),
            _ => ThreadPoolBuilder::new().build().ok().map(|workers| {
                let workers = Arc::new(workers);
                // The parent's, where there were some, must not be waited for either.
                std::mem::forget(child.replace((here, workers.clone())));
                workers
            }),
        }
    };
    match workers {
        Some(workers) => workers.install(work),
        None => work(),
    }
}
