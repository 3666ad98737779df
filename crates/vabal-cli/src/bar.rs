//! A bar for work whose progress is one phase after another.
//!
//! Never here: what the work is.

use indicatif::{ProgressBar, ProgressStyle};
use vabal::Event;

use crate::output::complain;

/// Shows what the library reports on standard error: a bar where that is a terminal, warnings and notes as lines.
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
