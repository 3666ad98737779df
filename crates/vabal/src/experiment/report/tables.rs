//! The tables of the report as rows of cells, and those rows as Markdown.
//!
//! The page renders the same rows as HTML, so that no number has two sources.

use super::section::{BASELINE, Section};
use super::text::{
    capital, count, duration, enumerate, markdown_cell, percent, plural, points, spread, term, whole_percent,
};
use crate::config::is_bound;
use crate::experiment::record::RoundRecord;
use crate::experiment::summary::{self, Figure, Measure, Paired, Spread};
use crate::query::Health;

/// One cell.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cell {
    /// What it says.
    pub text: String,
    /// Whether it is the best of its column.
    pub best: bool,
    /// Whether it is bad news.
    pub bad: bool,
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self { text, ..Self::default() }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

/// A table: a head, and rows as long as it. The first cell of a row names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// What it shows and how to read it.
    pub caption: String,
    /// The names of the columns.
    pub head: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<Cell>>,
}

impl Table {
    /// The table in GitHub's Markdown. The best of a column is bold.
    #[must_use]
    pub fn markdown(&self) -> String {
        let line = |cells: &mut dyn Iterator<Item = String>| {
            format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
        };
        let mut out = format!("{}\n\n", self.caption);
        out += &line(&mut self.head.iter().map(|name| markdown_cell(name)));
        out +=
            &line(&mut (0..self.head.len()).map(|n| if n == 0 { "---".into() } else { "---:".to_owned() }));
        for row in &self.rows {
            out += &line(&mut row.iter().map(|cell| {
                let text = markdown_cell(&cell.text);
                if cell.best { format!("**{text}**") } else { text }
            }));
        }
        out
    }
}

/// Accuracy and balanced accuracy: mean ± standard deviation of average, area and final, the best
/// of each column marked.
#[must_use]
pub fn results(section: &Section<'_>) -> Table {
    let over = over(section);
    let caption = format!(
        "Quality on the test set in percent, {over}. Average: mean over rounds; area: under the curve over \
         the number of labels, divided by its range; final: the last round. The best of each column is marked."
    );
    quality(section, [Measure::Accuracy, Measure::BalancedAccuracy], caption)
}

/// The same of macro-F1 and of the calibration error.
#[must_use]
pub fn further_results(section: &Section<'_>) -> Table {
    let over = over(section);
    let caption = format!(
        "Macro-F1, the mean of F1 over classes, and the expected calibration error, the distance between confidence \
         and accuracy in 15 bins of confidence, weighted by their images, on the test set in percent, {over}. Of \
         the calibration error the lowest is the best."
    );
    quality(section, [Measure::MacroF1, Measure::CalibrationError], caption)
}

fn over(section: &Section<'_>) -> &'static str {
    if section.seeds > 1 { "mean ± standard deviation over seeds" } else { "one seed" }
}

fn quality(section: &Section<'_>, measures: [Measure; 2], caption: String) -> Table {
    let columns: Vec<(Measure, Figure)> =
        measures.into_iter().flat_map(|measure| Figure::ALL.map(|figure| (measure, figure))).collect();
    let mut head = vec!["Strategy".to_owned(), "Seeds".to_owned()];
    head.extend(
        columns.iter().map(|(measure, figure)| format!("{}, {}", capital(measure.name()), figure.name())),
    );
    let of = |name: &str, (measure, figure): (Measure, Figure)| {
        summary::spread(&section.judged, name, measure, figure)
    };
    let best: Vec<Option<f64>> = columns.iter().map(|&column| best(section, column)).collect();
    let rows = section.strategies.iter().map(|(name, _)| {
        let mut row = vec![Cell::from(Section::called(name)), Cell::from(seeds(section, name))];
        row.extend(columns.iter().zip(&best).map(|(&column, &best)| match of(name, column) {
            Some(value) => {
                Cell { text: spread(value), best: !is_bound(name) && best == Some(value.mean), bad: false }
            }
            None => "–".into(),
        }));
        row
    });
    Table { caption, head, rows: rows.collect() }
}

/// Balanced accuracy round by round; `None` before the first.
#[must_use]
pub fn by_round(section: &Section<'_>) -> Option<Table> {
    let strategies = section.judged_strategies();
    let rounds = section.judged.iter().map(|run| run.rounds.len()).max().unwrap_or(0);
    let rows: Vec<Vec<Cell>> = (0..rounds)
        .map(|n| {
            let labelled =
                section.judged.iter().filter_map(|run| run.rounds.get(n)).map(RoundRecord::labelled);
            let mut row: Vec<Cell> =
                vec![count(n + 1).into(), labelled.max().map_or("–".into(), count).into()];
            row.extend(strategies.iter().map(|(name, _)| {
                let value = section.judged_round(name, n, Measure::BalancedAccuracy);
                Cell::from(value.map_or("–".into(), |(_, value)| spread(value)))
            }));
            row
        })
        .collect();
    let mut head = vec!["Round".to_owned(), "Labels".to_owned()];
    head.extend(strategies.into_iter().map(|(name, _)| name));
    let over = over(section);
    (!rows.is_empty()).then(|| Table {
        caption: format!("Balanced accuracy on the test set in percent, round by round, {over}."),
        head,
        rows,
    })
}

/// Recall of each class in the last round; `None` before the first.
#[must_use]
pub fn recall(section: &Section<'_>) -> Option<Table> {
    let strategies = section.judged_strategies();
    let summary = &section.experiment.summary;
    let row = |class: usize| {
        let rare = if section.rare(class) { " (rare)" } else { "" };
        let mut row: Vec<Cell> = vec![
            format!("{}{rare}", section.class(class)).into(),
            count(summary.test_counts.get(class).copied().unwrap_or(0)).into(),
        ];
        row.extend(strategies.iter().map(|(name, _)| {
            let value = section.last_round(name, |round| round.metrics.recall.get(class).copied().flatten());
            Cell::from(value.map_or("–".into(), spread))
        }));
        row
    };
    let rows: Vec<Vec<Cell>> = (0..summary.classes.len()).map(row).collect();
    let mut head = vec!["Class".to_owned(), "Test images".to_owned()];
    head.extend(strategies.iter().map(|(name, _)| name.clone()));
    let over = over(section);
    (!strategies.is_empty()).then(|| Table {
        caption: format!(
            "Recall of each class in the last round in percent: the share of its test images that are recognised, {over}."
        ),
        head,
        rows,
    })
}

/// The best mean of a column, where there are several to choose from; bounds are left out.
#[must_use]
pub fn best(section: &Section<'_>, (measure, figure): (Measure, Figure)) -> Option<f64> {
    let means: Vec<f64> = section
        .compared()
        .filter_map(|name| Some(summary::spread(&section.judged, name, measure, figure)?.mean))
        .collect();
    let better = if measure.lower_is_better() { f64::min } else { f64::max };
    if means.len() > 1 { means.into_iter().reduce(better) } else { None }
}

fn seeds(section: &Section<'_>, name: &str) -> String {
    let judged = section.judged.iter().filter(|run| run.strategy == name).count();
    let begun = section.runs(name).len();
    if judged == begun { count(judged) } else { format!("{judged} of {begun}") }
}

/// What a paired comparison says, in words; the sign and the word say the same.
#[must_use]
pub fn verdict(paired: &Paired) -> Cell {
    let sure = match paired.interval {
        Some((low, high)) => low > 0.0 || high < 0.0,
        None => false,
    };
    let mean = paired.spread.mean;
    if sure {
        let text = if mean > 0.0 { "▲ better" } else { "▼ worse" };
        return Cell { text: text.into(), best: mean > 0.0, bad: mean < 0.0 };
    }
    if paired.interval.is_some() {
        return "no clear difference".into();
    }
    let few = plural(paired.spread.count, "seed");
    match mean {
        mean if mean > 0.0 => format!("▲ ahead ({few}, may be chance)").into(),
        mean if mean < 0.0 => {
            Cell { text: format!("▼ behind ({few}, may be chance)"), best: false, bad: true }
        }
        _ => format!("equal ({few})").into(),
    }
}

/// Every strategy against random choice, seed by seed; `None` where there is no such pair.
#[must_use]
pub fn comparison(section: &Section<'_>) -> Option<Table> {
    let mut rows = Vec::new();
    let bound = section.judged.iter().any(|run| is_bound(&run.strategy));
    for (name, _) in section.strategies.iter().filter(|(name, _)| name != BASELINE) {
        for (measure, figure) in
            section.measures().iter().flat_map(|&m| [Figure::Average, Figure::Final].map(|f| (m, f)))
        {
            let Some(paired) = summary::against(&section.judged, name, BASELINE, measure, figure) else {
                continue;
            };
            let sd = paired.spread.sd.map_or(String::new(), |sd| format!(" ± {}", percent(sd)));
            let interval = paired
                .interval
                .map_or("–".to_owned(), |(low, high)| format!("{} to {}", points(low), points(high)));
            let mut row = vec![
                Section::called(name).into(),
                format!("{}, {}", capital(measure.name()), figure.name()).into(),
                format!("{}{sd}", points(paired.spread.mean)).into(),
                interval.into(),
                format!("{} of {}", paired.won, paired.spread.count).into(),
            ];
            if bound {
                let pair = summary::beside_bound(&section.judged, name, BASELINE, measure, figure);
                let way = pair.and_then(|pair| summary::way(&[pair]));
                row.push(way.map_or("–".into(), whole_percent).into());
            }
            row.push(match is_bound(name) {
                // Not the word for a strategy that is better.
                true => "bound".into(),
                false => verdict(&paired),
            });
            rows.push(row);
        }
    }
    let mut head = ["Strategy", "Measure", "Difference, points", "95 % interval", "Seeds won"].to_vec();
    let mut caption = "Each strategy against random choice in percentage points, paired by seed: both began with the \
                       same labels and the same initial weights. Mean ± standard deviation of the differences; the \
                       interval is that of the paired t-test and is given from three seeds on. The intervals are not \
                       corrected for the number of comparisons."
        .to_owned();
    if bound {
        head.push("Way to the bound, %");
        caption += " The way to the bound is the mean difference divided by that of the bound, which knows the labels.";
    }
    head.push("Against random");
    (!rows.is_empty()).then(|| Table { caption, head: head.into_iter().map(String::from).collect(), rows })
}

/// Whether strategies asked where the classifier errs, round by round; `None` where nothing is
/// recorded of it.
#[must_use]
pub fn asked(section: &Section<'_>) -> Option<Table> {
    let mut rows = Vec::new();
    for (name, _) in &section.strategies {
        let wrong = section.by_round(name, |round| Some(round.asked?.wrong_share));
        let auc = section.by_round(name, |round| round.asked?.error_auc);
        let rare = section.by_round(name, |round| Some(rare_of_picks(section, round)));
        for (round, _, share) in wrong {
            let of = |series: &[(usize, f64, Spread)]| {
                series.iter().find(|(other, ..)| *other == round).map_or("–".to_owned(), |s| spread(s.2))
            };
            rows.push(vec![
                Section::called(name).into(),
                count(round).into(),
                spread(share).into(),
                of(&auc).into(),
                of(&rare).into(),
            ]);
        }
    }
    let head =
        ["Strategy", "Round", "Picks that are wrong, %", "AUC for errors, %", "Picks of rare classes, %"];
    let over = over(section);
    (!rows.is_empty()).then(|| Table {
        caption: format!(
            "What was asked at the end of each round: the share of the picks whose class the round’s classifier gets wrong; the area \
             under the ROC curve of the score against the classifier’s errors over the whole unlabelled pool, 50 being chance, of \
             strategies that rank the pool; and the share of the picks that belong to rare classes; {over}."
        ),
        head: head.map(String::from).to_vec(),
        rows,
    })
}

fn rare_of_picks(section: &Section<'_>, round: &RoundRecord) -> f64 {
    let rare = round.picks.iter().filter(|pick| section.rare(pick.label as usize)).count();
    rare as f64 / round.picks.len().max(1) as f64
}

/// Images of each class in pool and test set, and among the labels at the end.
#[must_use]
pub fn data(section: &Section<'_>) -> Table {
    let summary = &section.experiment.summary;
    let total: usize = summary.pool_counts.iter().sum();
    let mut head: Vec<String> = ["Class", "Pool", "Share of pool, %", "Test"].map(String::from).to_vec();
    head.extend(section.strategies.iter().map(|(name, _)| format!("Labelled by {name}")));
    let labelled = |name: &str, value: &dyn Fn(&RoundRecord) -> f64| {
        section.last_round(name, |round| Some(value(round))).map_or("–".to_owned(), mean_count)
    };
    let mut rows: Vec<Vec<Cell>> = (0..summary.classes.len())
        .map(|class| {
            let pool = summary.pool_counts.get(class).copied().unwrap_or(0);
            let rare = if section.rare(class) { " (rare)" } else { "" };
            let mut row: Vec<Cell> = vec![
                format!("{}{rare}", section.class(class)).into(),
                count(pool).into(),
                percent(pool as f64 / total.max(1) as f64).into(),
                count(summary.test_counts.get(class).copied().unwrap_or(0)).into(),
            ];
            row.extend(section.strategies.iter().map(|(name, _)| {
                Cell::from(labelled(name, &|round| round.class_counts.get(class).map_or(0.0, |&n| n as f64)))
            }));
            row
        })
        .collect();
    let mut last: Vec<Cell> = vec![
        "All".into(),
        count(total).into(),
        percent(1.0).into(),
        count(summary.test_counts.iter().sum()).into(),
    ];
    last.extend(
        section
            .strategies
            .iter()
            .map(|(name, _)| Cell::from(labelled(name, &|round| round.labelled() as f64))),
    );
    rows.push(last);
    let means = if section.seeds > 1 { ", means over seeds" } else { "" };
    Table {
        caption: format!(
            "Images of each class in the pool before the first round, in the test set, and among the labels of \
             the last round{means}."
        ),
        head,
        rows,
    }
}

fn mean_count(spread: Spread) -> String {
    match spread.mean {
        mean if mean.fract() == 0.0 || mean >= 100.0 => count(mean.round() as usize),
        mean => format!("{mean:.1}"),
    }
}

/// The state of every strategy's VAE by round; `None` where there is none.
#[must_use]
pub fn health(section: &Section<'_>) -> Option<Table> {
    type Column = (&'static str, fn(&Health) -> f64);
    let columns: [Column; 5] = [
        ("Reconstruction", |vae| vae.reconstruction),
        ("KL", |vae| vae.kl),
        ("Class loss", |vae| vae.class_loss),
        ("Agrees with classifier, %", |vae| vae.agreement_unlabelled),
        ("Agrees with truth, %", |vae| vae.agreement_labelled),
    ];
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for (name, _) in &section.strategies {
        let series = columns.map(|(_, value)| section.by_round(name, |round| round.vae.as_ref().map(value)));
        let warned = |n: usize| {
            let vaes =
                section.runs(name).into_iter().flat_map(|run| &run.rounds).filter(|round| round.round == n);
            let all: Vec<&Health> = vaes.filter_map(|round| round.vae.as_ref()).collect();
            (all.iter().filter(|vae| vae.warning.is_some()).count(), all.len())
        };
        for (k, &(round, _, _)) in series[0].iter().enumerate() {
            let mut row: Vec<Cell> = vec![name.clone().into(), count(round).into()];
            row.extend(series.iter().enumerate().map(|(n, values)| {
                let mean = values[k].2.mean;
                Cell::from(if n < 3 { term(mean) } else { percent(mean) })
            }));
            row.push(match warned(round) {
                (0, _) => "none".into(),
                (bad, all) => {
                    Cell { text: format!("⚠ {bad} of {}", plural(all, "seed")), best: false, bad: true }
                }
            });
            rows.push(row);
        }
    }
    let mut head: Vec<String> = vec!["Strategy".into(), "Round".into()];
    head.extend(columns.iter().map(|column| column.0.to_owned()));
    head.push("Warnings".into());
    (!rows.is_empty()).then(|| Table {
        caption:
            "The state of the VAE after each fit, means over seeds: squared error of the reconstruction per \
                  input feature, KL per latent, class loss, and how often its own class is the classifier’s \
                  (unlabelled pool) and the true one (labelled pool)."
                .into(),
        head,
        rows,
    })
}

/// Time and memory by phase; `None` where no phase was timed.
#[must_use]
pub fn time(section: &Section<'_>) -> Option<Table> {
    let phases = section.phases();
    if phases.is_empty() {
        return None;
    }
    let mut head = vec!["Strategy".to_owned()];
    head.extend(phases.iter().cloned());
    head.extend(["All".to_owned(), "Peak memory, MiB".to_owned()]);
    let rows = section.strategies.iter().map(|(name, _)| {
        let seconds = super::figures::seconds(section, name, &phases);
        let mut row = vec![Cell::from(name.clone())];
        row.extend(seconds.iter().map(|&s| Cell::from(duration(s))));
        row.push(duration(seconds.iter().sum()).into());
        let peak = section
            .runs(name)
            .into_iter()
            .flat_map(|run| &run.rounds)
            .flat_map(|round| &round.phases)
            .filter_map(|phase| phase.peak_bytes)
            .max();
        row.push(peak.map_or("–".into(), |bytes| count((bytes >> 20) as usize).into()));
        row
    });
    Some(Table {
        caption: "Time of one run by phase, mean over seeds, and the highest memory of any phase.".into(),
        head,
        rows: rows.collect(),
    })
}

/// What the numbers say, as sentences.
#[must_use]
pub fn findings(section: &Section<'_>) -> Vec<String> {
    let mut out = Vec::new();
    for &measure in section.measures() {
        let column = (measure, Figure::Average);
        let Some(best) = best(section, column) else { continue };
        let winners: Vec<String> = section
            .compared()
            .filter_map(|name| {
                let value = summary::spread(&section.judged, name, measure, Figure::Average)?;
                (value.mean == best).then(|| format!("{name} ({} %)", spread(value)))
            })
            .collect();
        out.push(format!("Highest {}, average over rounds: {}.", measure.name(), enumerate(&winners)));
    }
    let others = || section.compared().filter(|name| *name != BASELINE);
    let compared: Vec<(&str, Paired)> = others()
        .filter_map(|name| {
            let paired =
                summary::against(&section.judged, name, BASELINE, Measure::Accuracy, Figure::Average)?;
            Some((name, paired))
        })
        .collect();
    if compared.is_empty() {
        if others().next().is_some() {
            out.push("No strategy can be compared with random: they share no finished seed.".into());
        }
        return out;
    }
    let list = |which: &dyn Fn(f64) -> bool| -> Vec<String> {
        let chosen = compared.iter().filter(|(_, paired)| which(paired.spread.mean));
        chosen.map(|(name, paired)| format!("{name} ({} points)", points(paired.spread.mean))).collect()
    };
    let (above, below) = (list(&|mean| mean > 0.0), list(&|mean| mean < 0.0));
    if !above.is_empty() {
        out.push(format!("Ahead of random in average accuracy: {}.", enumerate(&above)));
    }
    if !below.is_empty() {
        out.push(format!("Behind random in average accuracy: {}.", enumerate(&below)));
    }
    let unclear: Vec<String> = compared
        .iter()
        .filter(|(_, paired)| paired.interval.is_some_and(|(low, high)| low <= 0.0 && high >= 0.0))
        .map(|(name, _)| (*name).to_owned())
        .collect();
    if !unclear.is_empty() {
        out.push(format!(
            "Not told apart from random by the 95 % interval of the paired differences: {}.",
            enumerate(&unclear)
        ));
    }
    out
}
