//! The library's errors as Python's exceptions.

use pyo3::PyErr;
use pyo3::exceptions::{PyFloatingPointError, PyKeyboardInterrupt, PyOSError, PyRuntimeError, PyValueError};
use vabal_query::Error;

/// `ValueError` for what the caller gave, `OSError` (with its number, so that it is a
/// `FileNotFoundError` where it is one) for files, `FloatingPointError` for a loss that is not
/// finite, `KeyboardInterrupt` where work was stopped.
pub fn raise(error: Error) -> PyErr {
    let text = error.to_string();
    match error {
        Error::Input(_) => PyValueError::new_err(text),
        Error::Io { path, source, .. } => match source.raw_os_error() {
            Some(number) => PyOSError::new_err((number, text, path.display().to_string())),
            None => PyOSError::new_err(text),
        },
        Error::Diverged { .. } => PyFloatingPointError::new_err(text),
        Error::Stopped => PyKeyboardInterrupt::new_err(text),
        _ => PyRuntimeError::new_err(text),
    }
}
