//! A bar for work whose progress is one phase after another.
//!
//! Never here: what the work is.

use std::sync::atomic::Ordering;

use indicatif::{ProgressBar, ProgressStyle};
use vabal::{Event, Flow, Progress, Result};

use crate::interrupt;
use crate::output::complain;

/// Does work that reports its progress: with a bar, unless `quiet`, and until Ctrl-C stops it.
///
/// # Errors
/// What the work says.
pub fn watched<T>(quiet: bool, work: impl FnOnce(&mut Progress<'_>) -> Result<T>) -> Result<T> {
    let stop = interrupt::flag()?;
    let bar = Bar::new(quiet);
    let done = work(&mut |event| {
        bar.show(&event);
        if stop.load(Ordering::SeqCst) { Flow::Stop } else { Flow::Continue }
    });
    bar.clear();
    done
}

/// Shows what the library reports on standard error: a bar where that is a terminal, warnings and
/// notes as lines.
#[derive(Debug)]
pub struct Bar {
    bar: ProgressBar,
    quiet: bool,
}

impl Bar {
    /// A bar that begins with the first event; nothing at all where `quiet`.
    pub fn new(quiet: bool) -> Self {
        let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::new(0) };
        if let Ok(style) = ProgressStyle::with_template("  {bar:24} {eta:>6} left  {msg}") {
            bar.set_style(style);
        }
        Self { bar, quiet }
    }

    /// Shows an event.
    pub fn show(&self, event: &Event<'_>) {
        match event {
            Event::Progress { phase, done, total, unit, .. } => {
                if (*done as u64) < self.bar.position() {
                    self.bar.reset();
                }
                self.bar.set_length(*total as u64);
                self.bar.set_position(*done as u64);
                self.bar.set_message(format!("{phase}, {unit} {done} of {total}"));
            }
            Event::Warning(text) if !self.quiet => {
                self.bar.suspend(|| complain(format_args!("warning: {text}")));
            }
            Event::Note(text) if !self.quiet => self.bar.suspend(|| complain(format_args!("note: {text}"))),
            _ => {}
        }
    }

    /// Takes the bar away.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
