//! What happens while Rust works: Ctrl-C is looked for and the caller's callback is called, not
//! more than twenty times a second, for both take the GIL.

use std::time::{Duration, Instant};

use pyo3::prelude::*;
use vabal_query::{Event, Flow};

use crate::complain::raise;

const PAUSE: Duration = Duration::from_millis(50);

/// The library's progress callback.
pub struct Watch {
    callback: Option<Py<PyAny>>,
    warnings: Vec<String>,
    error: Option<PyErr>,
    last: Option<Instant>,
}

impl Watch {
    /// `callback` is called with phase, done, total, unit and loss.
    pub fn new(callback: Option<Py<PyAny>>) -> Self {
        Self { callback, warnings: Vec::new(), error: None, last: None }
    }

    /// Takes note of an event.
    pub fn hear(&mut self, event: Event<'_>) -> Flow {
        if let Event::Warning(text) = event {
            self.warnings.push(text.to_string());
            return Flow::Continue;
        }
        let Event::Progress { phase, done, total, unit, loss } = event else { return Flow::Continue };
        // The end of a phase is always told, so that a bar is full.
        if self.last.is_some_and(|last| last.elapsed() < PAUSE) && done < total {
            return Flow::Continue;
        }
        let told = Python::attach(|py| {
            py.check_signals()?;
            if let Some(callback) = &self.callback {
                callback.call1(py, (phase, done, total, unit, loss))?;
            }
            PyResult::Ok(())
        });
        self.last = Some(Instant::now());
        match told {
            Ok(()) => Flow::Continue,
            Err(error) => {
                self.error = Some(error);
                Flow::Stop
            }
        }
    }

    /// What the work came to, and the warnings on the way; or the exception that stopped it.
    pub fn finish<T>(self, result: vabal_query::Result<T>) -> PyResult<(T, Vec<String>)> {
        match (self.error, result) {
            (Some(error), _) => Err(error),
            (None, Ok(value)) => Ok((value, self.warnings)),
            (None, Err(error)) => Err(raise(error)),
        }
    }
}
