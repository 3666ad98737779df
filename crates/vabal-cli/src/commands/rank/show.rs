//! What a person or a program sees of a ranking: a bar, then what it takes to trust it, on standard
//! error; the picks on standard output where no file is named. JSON lines on standard output on
//! request.
//!
//! Never here: numbers that are not in the selection, or in `vabal::query::summary`.

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use vabal::query::summary::Class;
use vabal::{Error, Event, Result, Selection};
use vabal_arrays::Data;

use super::Facts;
use crate::output::{complain, say};
use crate::table;

/// The longest list of classes that is shown.
const CLASSES: usize = 24;
/// A program that reads JSON lines is told of progress at most this often.
const EVERY: Duration = Duration::from_millis(100);

/// Shows one ranking.
#[derive(Debug)]
pub struct Show {
    quiet: bool,
    json: bool,
    bar: ProgressBar,
    told: Option<Instant>,
}

impl Show {
    /// As the flags say.
    pub fn new(quiet: bool, json: bool) -> Self {
        // It hides itself where standard error is no terminal.
        let bar = if quiet || json { ProgressBar::hidden() } else { ProgressBar::new(0) };
        if let Ok(style) = ProgressStyle::with_template("  {bar:24} {eta:>6} left  {msg}") {
            bar.set_style(style);
        }
        Self { quiet, json, bar, told: None }
    }

    /// Shows what the library reports.
    pub fn event(&mut self, event: &Event<'_>) {
        let (kind, text) = match event {
            Event::Progress { phase, done, total, unit, loss } => {
                return self.progress(phase, *done, *total, unit, *loss);
            }
            Event::Warning(text) => ("warning", text),
            Event::Note(text) => ("note", text),
            _ => return,
        };
        if self.json {
            say(json!({ "event": kind, "text": text }));
        } else if !self.quiet {
            self.bar.suspend(|| complain(format_args!("{kind}: {text}")));
        }
    }

    fn progress(&mut self, phase: &str, done: usize, total: usize, unit: &str, loss: Option<f64>) {
        if self.json {
            if done < total && self.told.is_some_and(|told| told.elapsed() < EVERY) {
                return;
            }
            self.told = Some(Instant::now());
            return say(
                json!({ "event": "progress", "phase": phase, "done": done, "total": total, "unit": unit,
                "loss": loss }),
            );
        }
        if (done as u64) < self.bar.position() {
            self.bar.reset();
        }
        self.bar.set_length(total as u64);
        self.bar.set_position(done as u64);
        let loss = loss.map_or_else(String::new, |loss| format!(", loss {loss:.3}"));
        self.bar.set_message(format!("{phase}, {unit} {done} of {total}{loss}"));
    }

    /// Takes the bar away.
    pub fn clear(&mut self) {
        self.bar.finish_and_clear();
    }

    /// Shows what the picks are, class by class, and whether the VAE can be trusted.
    pub fn result(&self, facts: &Facts, selection: &Selection) {
        if self.json {
            return objects(facts, selection).into_iter().for_each(say);
        }
        if !self.quiet {
            lines(facts, selection).into_iter().for_each(complain);
        }
    }

    /// Prints the picks.
    ///
    /// # Errors
    /// Standard output that takes no more; a reader that has gone away is none.
    pub fn picks(&self, picks: &[(&str, Data)]) -> Result<()> {
        if self.json {
            for mut object in table::objects(picks) {
                object.insert("event".into(), json!("pick"));
                say(Value::Object(object));
            }
            return Ok(());
        }
        let mut stdout = std::io::stdout().lock();
        match stdout.write_all(table::csv(picks).as_bytes()).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(Error::io("write", "standard output")(error))
            }
            _ => Ok(()),
        }
    }

    /// Shows what was written.
    pub fn finished(&self, picks: usize, out: Option<&Path>, model: Option<&Path>) {
        if self.json {
            return say(json!({ "event": "finished", "picks": picks, "out": out, "model": model }));
        }
        if self.quiet {
            return;
        }
        let picks = format!("{picks} pick{}", if picks == 1 { "" } else { "s" });
        for (what, path) in [(picks.as_str(), out), ("the VAE", model)] {
            if let Some(path) = path {
                complain(format_args!("{what} in {}", path.display()));
            }
        }
    }
}

fn objects(facts: &Facts, selection: &Selection) -> Vec<Value> {
    let Facts { unlabelled, labelled, strategy, seed, classes } = facts;
    let mut objects = vec![json!({ "event": "pools", "unlabelled": unlabelled, "labelled": labelled,
        "classes": classes.len(), "strategy": strategy, "seed": seed })];
    if let Some(health) = &selection.health {
        objects.push(json!({ "event": "vae", "reconstruction": health.reconstruction, "kl": health.kl,
            "class_loss": health.class_loss, "agreement_unlabelled": health.agreement_unlabelled,
            "agreement_labelled": (*labelled > 0).then_some(health.agreement_labelled),
            "warning": health.warning }));
    }
    for (n, class) in classes.iter().enumerate() {
        objects.push(json!({ "event": "class", "class": n, "labelled": class.labelled, "pool": class.pool,
            "picks": class.picks, "difficulty": class.difficulty, "prior": class.prior }));
    }
    objects
}

fn lines(facts: &Facts, selection: &Selection) -> Vec<String> {
    let Facts { unlabelled, labelled, strategy, seed, classes } = facts;
    let mut lines = vec![format!(
        "{unlabelled} rows to choose from, {labelled} labelled, {} classes; {strategy}, seed {seed}",
        classes.len()
    )];
    if let Some(health) = &selection.health {
        let labels = if *labelled == 0 {
            String::new()
        } else {
            format!(", with the labels on {:.0} % of the labelled", 100.0 * health.agreement_labelled)
        };
        lines.push(format!(
            "VAE: reconstruction {:.4}, KL {:.4}, class loss {:.3}; it agrees with the predictions on {:.0} % of the \
             rows{labels}",
            health.reconstruction,
            health.kl,
            health.class_loss,
            100.0 * health.agreement_unlabelled
        ));
    }
    lines.extend(table(classes));
    lines
}

/// Labels, shares and terms of each class; those that are picked most where there are many.
fn table(classes: &[Class]) -> Vec<String> {
    let share = |value: Option<f64>| value.map(|value| format!("{:.1}", 100.0 * value));
    type Cell<'a> = &'a dyn Fn(&Class) -> Option<String>;
    let columns: [(&str, Cell<'_>); 5] = [
        ("labelled", &|class| Some(class.labelled.to_string())),
        ("pool %", &|class| share(class.pool)),
        ("picks %", &|class| share(class.picks)),
        ("difficulty", &|class| class.difficulty.map(|value| format!("{value:.3}"))),
        ("prior", &|class| class.prior.map(|value| format!("{value:.4}"))),
    ];
    // A column that says nothing of any class is left out.
    let columns: Vec<_> =
        columns.iter().filter(|(_, cell)| classes.iter().any(|class| cell(class).is_some())).collect();
    let mut order: Vec<usize> = (0..classes.len()).collect();
    if order.len() > CLASSES {
        let most = |n: usize| (classes[n].picks.unwrap_or(0.0), classes[n].labelled as f64);
        order.sort_by(|&a, &b| most(b).partial_cmp(&most(a)).unwrap_or(std::cmp::Ordering::Equal));
        order.truncate(CLASSES);
    }
    let line = |first: &str, cells: &mut dyn Iterator<Item = (usize, String)>| {
        let mut line = format!("{first:>5}");
        for (width, cell) in cells {
            line += &format!("  {cell:>width$}");
        }
        line
    };
    let width = |name: &str| name.len().max(6);
    let mut lines =
        vec![line("class", &mut columns.iter().map(|(name, _)| (width(name), (*name).to_owned())))];
    for &n in &order {
        let cells = columns.iter().map(|(name, cell)| (width(name), cell(&classes[n]).unwrap_or_default()));
        lines.push(line(&n.to_string(), &mut { cells }));
    }
    if classes.len() > order.len() {
        let rest = classes.len() - order.len();
        lines.push(format!("  and {rest} classes that are picked less; --json shows all"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(count: usize) -> Vec<Class> {
        let class = |n: usize| Class {
            labelled: 10 * n,
            pool: Some(1.0 / count as f64),
            picks: Some((n + 1) as f64 / (count * (count + 1) / 2) as f64),
            difficulty: None,
            prior: Some(0.25),
        };
        (0..count).map(class).collect()
    }

    #[test]
    fn a_class_is_a_line_and_columns_that_say_nothing_are_left_out() {
        insta::assert_snapshot!(table(&classes(3)).join("\n"), @r"
        class  labelled  pool %  picks %   prior
            0         0    33.3     16.7  0.2500
            1        10    33.3     33.3  0.2500
            2        20    33.3     50.0  0.2500
        ");
    }

    #[test]
    fn of_many_classes_those_that_are_picked_most_are_shown() {
        let lines = table(&classes(1000));
        assert_eq!(lines.len(), CLASSES + 2);
        assert!(lines[1].starts_with("  999 ") && lines[CLASSES].starts_with("  976 "), "{lines:?}");
        assert!(lines[CLASSES + 1].contains("976 classes"));
    }
}
