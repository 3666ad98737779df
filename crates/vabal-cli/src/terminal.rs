//! What a person or a program sees of an experiment: bars and a growing table in a terminal, plain
//! lines elsewhere, JSON lines on request, nothing when asked for quiet.
//!
//! Never here: numbers that are not in the records, or in `vabal::experiment::summary`.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use vabal::config::{CLASS_BALANCED, is_bound};
use vabal::experiment::record::{RoundRecord, Summary};
use vabal::experiment::summary::{self, Figure, Measure, Spread};
use vabal::experiment::{Event, Outcome};

use crate::output::{complain, say};

/// How to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A terminal: bars below a growing table.
    Bars,
    /// No terminal: the same table, no control codes.
    Plain,
    /// One JSON object a line.
    Json,
    /// Nothing.
    Quiet,
}

impl Mode {
    /// The mode that the flags and the terminal make.
    pub fn of(quiet: bool, json: bool) -> Self {
        let terminal = std::io::stdout().is_terminal() && std::io::stderr().is_terminal();
        match (quiet, json, terminal) {
            (true, ..) => Mode::Quiet,
            (_, true, _) => Mode::Json,
            (.., true) => Mode::Bars,
            _ => Mode::Plain,
        }
    }
}

/// The longest list of classes that is shown one below another.
const CLASSES: usize = 24;
/// How wide a longer list, which stands side by side, may be.
const WIDTH: usize = 100;
/// A program that reads JSON lines is told of progress at most this often.
const EVERY: Duration = Duration::from_millis(100);

/// Shows one experiment.
#[derive(Debug)]
pub struct Screen {
    mode: Mode,
    folder: PathBuf,
    bars: MultiProgress,
    whole: ProgressBar,
    phase: ProgressBar,
    /// When this process began to work, and how much was done then.
    begun: Option<(Instant, f64)>,
    /// When the last row was shown.
    row: Instant,
    told: Option<Instant>,
    width: usize,
}

impl Screen {
    /// A screen for the run in `folder`.
    pub fn new(mode: Mode, folder: &Path) -> Self {
        let bars = MultiProgress::new();
        let hidden = |_: &MultiProgress| ProgressBar::hidden();
        let shown = |bars: &MultiProgress| bars.add(ProgressBar::new(0));
        let make = if mode == Mode::Bars { shown } else { hidden };
        let (phase, whole) = (make(&bars), make(&bars));
        // The bars stand still while the words beside them change.
        for (bar, template) in
            [(&phase, "  {bar:24} {eta:>6} left  {msg}"), (&whole, "  {bar:24} {percent:>4} %{msg}")]
        {
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
        }
        whole.set_length(1000);
        let now = Instant::now();
        Self { mode, folder: folder.into(), bars, whole, phase, begun: None, row: now, told: None, width: 8 }
    }

    /// Shows an event.
    pub fn show(&mut self, event: &Event<'_>) {
        match event {
            Event::Begun { summary, done, rounds } => self.begin(summary, *done, *rounds),
            Event::Work { at, whole, event } => self.work(*at, *whole, event),
            Event::Round { strategy, seed, record, rare_share, whole } => {
                self.round(strategy, *seed, record, *rare_share);
                self.advance(*whole);
            }
            _ => {}
        }
    }

    fn begin(&mut self, summary: &Summary, done: usize, rounds: usize) {
        if self.mode == Mode::Json {
            let class = |(n, name): (usize, &String)| {
                json!({ "name": name, "pool": summary.pool_counts[n], "test": summary.test_counts[n],
                        "rare": summary.rare.contains(&(n as u32)) })
            };
            let classes: Vec<Value> = summary.classes.iter().enumerate().map(class).collect();
            return self.json(json!({ "event": "begun", "name": summary.name, "data": summary.data,
                "folder": self.folder, "classes": classes, "done": done, "rounds": rounds }));
        }
        for line in class_table(summary) {
            self.line(line);
        }
        let start = if done == 0 { "starting".into() } else { format!("going on after {done} of them") };
        self.line(format!("\n{rounds} rounds in {}, {start}\n", self.folder.display()));
        self.width = summary_width(summary);
        self.line(row(
            self.width,
            ["strategy", "seed", "round", "labels", "accuracy", "balanced", "macro-F1", "rare", "seconds"]
                .map(String::from),
        ));
        self.row = Instant::now();
    }

    fn round(&mut self, strategy: &str, seed: u64, record: &RoundRecord, rare_share: f64) {
        let seconds = self.row.elapsed().as_secs_f64();
        self.row = Instant::now();
        let m = &record.metrics;
        if self.mode == Mode::Json {
            return self.json(json!({ "event": "round", "strategy": strategy, "seed": seed,
                "round": record.round, "labels": record.labelled(), "unlabelled": record.unlabelled,
                "accuracy": m.accuracy, "balanced_accuracy": m.balanced_accuracy, "macro_f1": m.macro_f1,
                "calibration_error": m.calibration_error, "recall": m.recall,
                "class_counts": record.class_counts, "rare_share": rare_share, "seconds": seconds }));
        }
        let cells = [
            strategy.to_string(),
            seed.to_string(),
            record.round.to_string(),
            record.labelled().to_string(),
            percent(m.accuracy),
            percent(m.balanced_accuracy),
            percent(m.macro_f1),
            percent(rare_share),
            format!("{seconds:.1}"),
        ];
        self.line(row(self.width, cells));
    }

    fn work(&mut self, at: Option<(&str, u64, usize)>, whole: f64, event: &vabal::Event<'_>) {
        let (text, kind) = match event {
            vabal::Event::Progress { phase, done, total, unit, loss } => {
                return self.progress(at, whole, (phase, *done, *total, unit, *loss));
            }
            vabal::Event::Warning(text) => (text, "warning"),
            vabal::Event::Note(text) => (text, "note"),
            _ => return,
        };
        if self.mode == Mode::Json {
            let (strategy, seed, round) = place(at);
            self.json(
                json!({ "event": kind, "strategy": strategy, "seed": seed, "round": round, "text": text }),
            );
        } else if self.mode != Mode::Quiet {
            let place =
                at.map_or_else(String::new, |(s, seed, round)| format!("{s}, seed {seed}, round {round}: "));
            self.bars.suspend(|| complain(format!("{kind}: {place}{text}")));
        }
    }

    fn progress(
        &mut self,
        at: Option<(&str, u64, usize)>,
        whole: f64,
        (phase, done, total, unit, loss): (&str, usize, usize, &str, Option<f64>),
    ) {
        match self.mode {
            Mode::Json => {
                if done < total && self.told.is_some_and(|told| told.elapsed() < EVERY) {
                    return;
                }
                self.told = Some(Instant::now());
                let (strategy, seed, round) = place(at);
                self.json(json!({ "event": "progress", "strategy": strategy, "seed": seed, "round": round,
                    "phase": phase, "done": done, "total": total, "unit": unit, "loss": loss, "whole": whole }));
            }
            Mode::Bars => {
                if done == 0 || (done as u64) < self.phase.position() {
                    self.phase.reset();
                }
                self.phase.set_length(total as u64);
                self.phase.set_position(done as u64);
                let place = at.map_or_else(String::new, |(s, seed, round)| {
                    format!("{s}, seed {seed}, round {round}: ")
                });
                let loss = loss.map_or_else(String::new, |loss| format!(", loss {loss:.3}"));
                self.phase.set_message(format!("{place}{phase}, {unit} {done} of {total}{loss}"));
                if at.is_some() {
                    self.advance(whole);
                }
            }
            Mode::Plain | Mode::Quiet => {}
        }
    }

    fn advance(&mut self, whole: f64) {
        let (since, start) = *self.begun.get_or_insert_with(|| (Instant::now(), whole));
        self.whole.set_position((whole * 1000.0) as u64);
        let done = whole - start;
        if done > 0.0 {
            let left = since.elapsed().as_secs_f64() * (1.0 - whole) / done;
            self.whole.set_message(format!(" of all, {} left", duration(left)));
        }
    }

    /// Takes the bars away.
    pub fn clear(&mut self) {
        self.phase.finish_and_clear();
        self.whole.finish_and_clear();
    }

    /// Shows the results.
    pub fn finish(&mut self, outcome: &Outcome) {
        if self.mode == Mode::Json {
            for line in results(outcome) {
                self.json(line);
            }
            return self
                .json(json!({ "event": "finished", "folder": self.folder, "already": outcome.already }));
        }
        if outcome.already {
            self.line(format!("{} is complete already; nothing to do", self.folder.display()));
        }
        for line in result_table(outcome) {
            self.line(line);
        }
    }

    /// Shows what to do next.
    pub fn hint(&mut self, command: &str) {
        if self.mode != Mode::Json {
            self.line(format!("\nNext: {command}"));
        }
    }

    /// Shows where the report of the run is.
    pub fn reported(&mut self, page: &Path, files: &Path) {
        if self.mode == Mode::Json {
            return self.json(json!({ "event": "report", "page": page, "files": files }));
        }
        self.hint(&format!("open {}", page.display()));
    }

    fn json(&self, value: Value) {
        say(value);
    }

    fn line(&self, line: String) {
        if self.mode == Mode::Bars {
            self.bars.suspend(|| say(line));
        } else if self.mode == Mode::Plain {
            say(line);
        }
    }
}

fn place(at: Option<(&str, u64, usize)>) -> (Option<&str>, Option<u64>, Option<usize>) {
    at.map_or((None, None, None), |(strategy, seed, round)| (Some(strategy), Some(seed), Some(round)))
}

/// The longest name of a strategy, which stands in the stored configuration.
fn summary_width(summary: &Summary) -> usize {
    let config: Option<vabal::config::Config> =
        vabal::config::Config::parse(&summary.config, "the run", "run", &[]).ok();
    config
        .iter()
        .flat_map(|config| &config.strategies)
        .map(|name| name.chars().count())
        .max()
        .unwrap_or(8)
        .max(8)
}

fn percent(value: f64) -> String {
    format!("{:.1}", 100.0 * value)
}

fn row(width: usize, cells: [String; 9]) -> String {
    let [strategy, seed, round, labels, rest @ ..] = cells;
    let mut line = format!("{strategy:width$} {seed:>5} {round:>6} {labels:>7}");
    for cell in rest {
        line += &format!(" {cell:>9}");
    }
    line
}

fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5400.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

/// Images of each class; the most frequent first, and side by side, where there are many.
fn class_table(summary: &Summary) -> Vec<String> {
    let (pool, test) = (&summary.pool_counts, &summary.test_counts);
    let mut lines = vec![format!(
        "{}: {} images to choose from, {} to test on",
        summary.data,
        pool.iter().sum::<usize>(),
        test.iter().sum::<usize>()
    )];
    let mut order: Vec<usize> = (0..summary.classes.len()).collect();
    let mut columns = 1;
    let width = summary.classes.iter().map(|name| name.chars().count()).max().unwrap_or(5).clamp(5, 40);
    let cell = width + " 1234567 1234567  rare".len();
    if order.len() > CLASSES {
        order.sort_by_key(|&n| std::cmp::Reverse(pool[n]));
        let each = match (pool.iter().min(), pool.iter().max()) {
            (Some(least), Some(most)) if least < most => format!("{least} to {most} images"),
            (Some(1), _) => "1 image".into(),
            (least, _) => format!("{} images", least.unwrap_or(&0)),
        };
        lines.push(format!("{} classes with {each} each", order.len()));
        columns = ((WIDTH + 3) / (cell + 3)).max(1);
    }
    let head = format!("{:width$} {:>7} {:>7}", "class", "pool", "test");
    let class = |&n: &usize| {
        let rare = if summary.rare.contains(&(n as u32)) { "  rare" } else { "" };
        format!("{:width$} {:>7} {:>7}{rare}", summary.classes[n], pool[n], test[n])
    };
    // Read down, then across.
    let rows = order.len().div_ceil(columns).max(1);
    let across = |cells: Vec<String>| {
        let line: Vec<String> = cells.iter().map(|text| format!("{text:cell$}")).collect();
        line.join("   ").trim_end().to_string()
    };
    lines.push(across(vec![head; order.len().div_ceil(rows)]));
    lines.extend((0..rows).map(|row| across(order.iter().skip(row).step_by(rows).map(class).collect())));
    lines
}

fn spread(spread: Spread) -> String {
    match spread.sd {
        Some(sd) => format!("{} ± {}", percent(spread.mean), percent(sd)),
        None => percent(spread.mean),
    }
}

/// Mean and spread over seeds, and the difference from random, seed by seed.
fn result_table(outcome: &Outcome) -> Vec<String> {
    let strategies = summary::strategies(&outcome.runs);
    let bound = strategies.iter().any(|name| is_bound(name));
    let width = strategies.iter().map(|name| name.chars().count()).max().unwrap_or(8).max(8);
    let mut lines = Vec::new();
    for measure in [Measure::Accuracy, Measure::BalancedAccuracy] {
        lines.push(format!("\n{} in %, mean ± standard deviation over seeds", measure.name()));
        lines.push(format!(
            "{:width$} {:>13} {:>13} {:>13}   final against random",
            "strategy", "average", "area", "final"
        ));
        for &strategy in &strategies {
            let mut line = format!("{strategy:width$}");
            for figure in Figure::ALL {
                let cell =
                    summary::spread(&outcome.runs, strategy, measure, figure).map_or("–".into(), spread);
                line += &format!(" {cell:>13}");
            }
            let pair = summary::against(&outcome.runs, strategy, "random", measure, Figure::Final);
            if let Some(pair) = pair.filter(|_| strategy != "random") {
                let sign = if pair.spread.mean >= 0.0 { "+" } else { "" };
                let (won, seeds) = (pair.won, pair.spread.count);
                line += &format!("   {sign}{}, better with {won} of {seeds} seeds", spread(pair.spread));
            }
            lines.push(line);
        }
    }
    if bound {
        lines.push(format!("\n{CLASS_BALANCED} knows the labels: a bound and no strategy"));
    }
    lines
}

fn results(outcome: &Outcome) -> Vec<Value> {
    let mut lines = Vec::new();
    for strategy in summary::strategies(&outcome.runs) {
        for measure in Measure::ALL {
            for figure in Figure::ALL {
                let Some(value) = summary::spread(&outcome.runs, strategy, measure, figure) else { continue };
                let pair = summary::against(&outcome.runs, strategy, "random", measure, figure)
                    .filter(|_| strategy != "random");
                lines.push(json!({ "event": "result", "strategy": strategy, "bound": is_bound(strategy),
                    "measure": measure, "figure": figure, "seeds": value.count, "mean": value.mean, "sd": value.sd,
                    "against_random": pair.map(|pair| json!({ "mean": pair.spread.mean, "sd": pair.spread.sd,
                        "won": pair.won, "seeds": pair.spread.count, "interval": pair.interval })) }));
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(classes: usize, pool: impl Fn(usize) -> usize) -> Summary {
        Summary {
            name: "x".into(),
            data: "set".into(),
            classes: (0..classes).map(|n| format!("class-{n}")).collect(),
            pool_counts: (0..classes).map(pool).collect(),
            test_counts: vec![4; classes],
            rare: vec![1],
            config: String::new(),
            machine: Vec::new(),
        }
    }

    #[test]
    fn every_class_is_shown_and_many_stand_side_by_side() {
        let few = class_table(&summary(3, |n| 30 - n)).join("\n");
        insta::assert_snapshot!(few, @r"
        set: 87 images to choose from, 12 to test on
        class      pool    test
        class-0      30       4
        class-1      29       4  rare
        class-2      28       4
        ");
        let many = class_table(&summary(26, |n| 30 - n)).join("\n");
        insta::assert_snapshot!(many, @r"
        set: 455 images to choose from, 104 to test on
        26 classes with 5 to 30 images each
        class       pool    test         class       pool    test         class       pool    test
        class-0       30       4         class-9       21       4         class-18      12       4
        class-1       29       4  rare   class-10      20       4         class-19      11       4
        class-2       28       4         class-11      19       4         class-20      10       4
        class-3       27       4         class-12      18       4         class-21       9       4
        class-4       26       4         class-13      17       4         class-22       8       4
        class-5       25       4         class-14      16       4         class-23       7       4
        class-6       24       4         class-15      15       4         class-24       6       4
        class-7       23       4         class-16      14       4         class-25       5       4
        class-8       22       4         class-17      13       4
        ");
        for classes in [1, 2, 24, 25, 27, 100, 1000] {
            let lines = class_table(&summary(classes, |n| n));
            for n in 0..classes {
                let name = format!("class-{n}");
                assert_eq!(
                    lines.iter().flat_map(|line| line.split(' ')).filter(|word| *word == name).count(),
                    1
                );
            }
            assert!(lines.iter().all(|line| line.chars().count() <= WIDTH && line.trim_end() == line));
        }
    }

    #[test]
    fn equal_counts_are_one_number() {
        assert_eq!(class_table(&summary(30, |_| 10))[1], "30 classes with 10 images each");
        assert_eq!(class_table(&summary(30, |_| 1))[1], "30 classes with 1 image each");
        assert_eq!(class_table(&summary(30, |n| n + 1))[1], "30 classes with 1 to 30 images each");
    }
}
