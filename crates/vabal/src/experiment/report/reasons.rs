//! Why an image was asked, in plain words, from the terms behind its score.

use super::section::Section;
use super::text::term;
use crate::experiment::record::Pick;
use crate::query::Health;
use crate::query::term;

/// A reason for one pick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// The class that the classifier predicted, where the strategy knew it.
    pub predicted: Option<String>,
    /// The rest, as one phrase.
    pub why: String,
}

/// The reason for a pick. Rare and hard are told by comparison with the other classes of the round.
#[must_use]
pub fn of(section: &Section<'_>, pick: &Pick, vae: Option<&Health>) -> Reason {
    let find = |name: &str| pick.terms.iter().find(|(other, _)| other == name).map(|&(_, value)| value);
    let predicted = find(term::PREDICTED).map(|label| section.class(label.max(0.0) as usize));
    let mut words = Vec::new();
    for (name, value) in &pick.terms {
        let value = *value;
        let phrase = match name.as_str() {
            term::PREDICTED => continue,
            term::VAE_PREDICTED if find(term::PREDICTED) == Some(value) => continue,
            term::VAE_PREDICTED => format!("the VAE says {}", section.class(value.max(0.0) as usize)),
            term::CONFIDENCE if value < 0.5 => format!("only {:.0} % sure", 100.0 * value),
            term::CONFIDENCE => format!("{:.0} % sure", 100.0 * value),
            term::PRIOR => match compare(value, vae.map(|vae| vae.prior.as_slice())) {
                Compared::Unknown | Compared::Middle => format!("prior {}", term(value)),
                Compared::Low => format!("rare (prior {})", term(value)),

                Compared::High => format!("common (prior {})", term(value)),
            },
            // Eq. 11 is the share of right predictions, so that a low value is a hard class.
            term::DIFFICULTY => match compare(value, vae.map(|vae| vae.difficulty.as_slice())) {
                Compared::Unknown | Compared::Middle => format!("difficulty {}", term(value)),
                Compared::Low => format!("hard (difficulty {})", term(value)),

                Compared::High => format!("easy (difficulty {})", term(value)),
            },
            term::CORRECTED => format!("{:.0} % sure after correction", 100.0 * value),
            term::SUPPORT => format!("{:.0} % by its features", 100.0 * value),
            term::LABELLED => format!("which has {value:.0} labels"),
            term::CLASS if find(term::SUPPORT).is_some() => {
                format!("its features say {}", section.class(value.max(0.0) as usize))
            }
            term::CLASS => format!("for {}", section.class(value.max(0.0) as usize)),
            other => format!("{other} {}", term(value)),
        };
        words.push(phrase);
    }
    if pick.terms.is_empty() {
        words.push(if pick.score == 0.0 {
            "drawn at random".into()
        } else {
            format!("score {}", term(pick.score))
        });
    }
    Reason { predicted, why: words.join(", ") }
}

enum Compared {
    /// Nothing to compare with.
    Unknown,
    Low,
    Middle,
    High,
}

/// Below three quarters, or above five quarters, of the mean over classes.
fn compare(value: f64, classes: Option<&[f64]>) -> Compared {
    let Some(classes) = classes.filter(|classes| !classes.is_empty()) else {
        return Compared::Unknown;
    };
    let mean = crate::metrics::mean(classes.iter().copied());
    match value / mean {
        ratio if ratio < 0.75 => Compared::Low,
        ratio if ratio > 1.25 => Compared::High,
        _ => Compared::Middle,
    }
}
