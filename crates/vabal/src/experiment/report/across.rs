//! Several experiments as one table: how strategies rank over data sets.
//!
//! Never here: the arithmetic of ranks ([`crate::experiment::ranking`]).

use super::section::Section;
use super::tables::Table;
use super::text::{plural, points};
use crate::experiment::ranking::Ranking;
use crate::experiment::summary::{self, Figure, Measure};
use crate::metrics::mean;

/// The measure that strategies are ranked by.
const MEASURE: Measure = Measure::BalancedAccuracy;
const FIGURE: Figure = Figure::Average;

/// The strategies that all of `sections` have, best mean rank first, each against the first; `None` where there is nothing
/// to rank.
#[must_use]
pub fn table(sections: &[&Section<'_>]) -> Option<Table> {
    let first = sections.first()?;
    let value = |section: &Section<'_>, name: &str| {
        summary::spread(&section.judged, name, MEASURE, FIGURE).map(|spread| spread.mean)
    };
    let names: Vec<&str> = (first.strategies.iter().map(|(name, _)| name.as_str()))
        .filter(|name| sections.iter().all(|section| value(section, name).is_some()))
        .collect();
    let quality: Vec<Vec<f64>> = (sections.iter())
        .map(|section| names.iter().filter_map(|name| value(section, name)).collect())
        .collect();
    let ranking = Ranking::of(&quality)?;
    let mut order: Vec<usize> = (0..names.len()).collect();
    order.sort_by(|&a, &b| ranking.mean_ranks[a].total_cmp(&ranking.mean_ranks[b]));
    let best = order[0];
    let p = ranking.against(best);
    let rows = (order.iter())
        .map(|&k| {
            let difference = mean(quality.iter().map(|row| row[k] - row[best]));
            let mut counts = [0; 3];
            for section in sections {
                let pair = summary::against(&section.judged, names[k], names[best], MEASURE, FIGURE);
                let place = match pair.and_then(|pair| pair.interval) {
                    Some((low, _)) if low > 0.0 => 0,
                    Some((_, high)) if high < 0.0 => 2,
                    _ => 1,
                };
                counts[place] += 1;
            }
            let near = ranking.mean_ranks[k] - ranking.mean_ranks[best] <= ranking.critical_difference;
            let (difference, counts, p) = match k == best {
                true => ["–"; 3].map(String::from).into(),
                false => {
                    let [won, tied, lost] = counts;
                    (points(difference), format!("{won} / {tied} / {lost}"), format!("{:.3}", p[k]))
                }
            };
            vec![
                names[k].into(),
                format!("{:.2}", ranking.mean_ranks[k]).into(),
                (if near { "yes" } else { "no" }).into(),
                difference.into(),
                counts.into(),
                p.into(),
            ]
        })
        .collect();
    Some(Table {
        caption: format!(
            "Strategies over {}, by {} ({} over rounds, mean over seeds): mean rank, 1 being best everywhere. Friedman test that \
             all are equal: p = {:.1e}. Mean ranks less than {:.2} apart are not told apart (Nemenyi, 5 %). Against the first: mean difference in \
             percentage points; data sets where the 95 % interval of the paired difference is above 0, holds it, and is below it, \
             given from three seeds on; p of the mean ranks being equal, corrected by Holm (Demšar 2006).",
            plural(sections.len(), "data set"),
            MEASURE.name(),
            FIGURE.name(),
            ranking.friedman,
            ranking.critical_difference,
        ),
        head: vec![
            "Strategy".into(),
            "Mean rank".into(),
            "Within the critical difference".into(),
            format!("Against {}, points", names[best]),
            "Won / tied / lost".into(),
            "p, Holm".into(),
        ],
        rows,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::report::synthetic::{Shape, experiment};

    #[test]
    fn the_first_is_best_and_only_common_strategies_of_several_experiments_are_ranked() {
        let of = |strategies: Vec<&'static str>| {
            experiment(&Shape { strategies, seeds: 3, rounds: 3, classes: 4 })
        };
        let (one, other) = (of(vec!["random", "entropy", "vabal"]), of(vec!["random", "vabal"]));
        let (one, other) = (Section::new(&one), Section::new(&other));
        assert!(table(&[&one]).is_none());
        let table = table(&[&one, &other]).unwrap();
        let names: Vec<&str> = table.rows.iter().map(|row| row[0].text.as_str()).collect();
        assert_eq!(names.len(), 2);
        assert!(!names.contains(&"entropy"));
        let ranks: Vec<f64> = table.rows.iter().map(|row| row[1].text.parse().unwrap()).collect();
        assert!(ranks.is_sorted() && (ranks.iter().sum::<f64>() - 3.0).abs() < 0.011, "{ranks:?}");
        let counts = table.rows[1][4].text.split(" / ").map(|n| n.parse::<usize>().unwrap());
        assert_eq!(counts.sum::<usize>(), 2);
    }
}
