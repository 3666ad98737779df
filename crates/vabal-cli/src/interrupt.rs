//! Ctrl-C: the first asks the work to stop at the next place where nothing is lost, the second ends
//! the process at once, which loses no more than the step at hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use vabal::{Error, Result};

/// A flag that Ctrl-C raises, from now on.
///
/// # Errors
/// The system does not let a handler be set.
pub fn flag() -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&flag);
    ctrlc::set_handler(move || {
        if raised.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
        crate::output::complain("stopping after this step; press Ctrl-C again to stop at once");
    })
    .map_err(|error| Error::input("cannot listen for Ctrl-C").got(error))?;
    Ok(flag)
}
