//! Suggestions in columns: a class and how probable it is, or a probability for each class.
//!
//! Never here: which image a line means; that is as with labels (`columns`).

use super::columns::{Columns, Known};
use super::{MOST_CLASSES, shortened};
use crate::error::{Error, Result};

/// Classes with their probabilities.
type Probabilities = Vec<(String, f64)>;

/// What a column of the probability of the class may be called, in small letters with `_`.
const CONFIDENCE: [&str; 5] = ["confidence", "probability", "prob", "score", "p"];
/// What a column of the class may be called, beside what it is called in files of labels.
const CLASS: [&str; 5] = ["prediction", "predicted", "predicted_class", "predicted_label", "suggestion"];
/// Before the name of a class, in the file that `vabal predict` writes.
const PREFIX: &str = "p ";

/// The columns of a file that say what a model takes images for.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Guesses {
    class: Option<usize>,
    confidence: Option<usize>,
    /// Columns that are the probability of a class each.
    classes: Vec<(usize, String)>,
}

impl Guesses {
    /// Finds them by name: the class and its probability, columns named `p CLASS`; where there is
    /// no class, every column that is not known otherwise and has a number in the first line.
    pub fn find(names: &[&str], columns: &Columns, first: impl Fn(usize) -> bool) -> Self {
        let plain: Vec<String> =
            names.iter().map(|name| name.trim().to_lowercase().replace([' ', '-'], "_")).collect();
        let named = |words: &[&str]| words.iter().find_map(|word| plain.iter().position(|name| name == word));
        let class = columns.place(Known::Class).or_else(|| named(&CLASS));
        let confidence = class.and_then(|_| named(&CONFIDENCE));
        let prefixed = |&(_, name): &(usize, &&str)| name.starts_with(PREFIX) && name.len() > PREFIX.len();
        let all = || names.iter().enumerate();
        let mut classes: Vec<(usize, String)> =
            all().filter(prefixed).map(|(n, name)| (n, name[PREFIX.len()..].to_owned())).collect();
        if class.is_none() && classes.is_empty() {
            let free = all().filter(|&(n, _)| !columns.knows(n) && first(n));
            classes = free.map(|(n, name)| (n, (*name).to_owned())).collect();
        }
        Self { class, confidence, classes }
    }

    /// Makes sure that there are some. `what` is what the file calls a column.
    ///
    /// # Errors
    /// None, or more classes than a project has.
    pub fn check(&self, what: &str, names: &[&str]) -> Result<()> {
        if self.class.is_none() && self.classes.is_empty() {
            return Err(Error::input(format!("no {what} says what the model takes an image for"))
                .expected(format!("a {what} for the class, or one with a probability for each class"))
                .got(shortened(&names.join(", ")))
                .hint("such as path,class,confidence or path,crack,scratch")
                .into());
        }
        if self.classes.len() > MOST_CLASSES {
            return Err(Error::input("more classes than a project can have")
                .expected(format!("at most {MOST_CLASSES}"))
                .got(self.classes.len())
                .into());
        }
        Ok(())
    }

    /// What a line says: the class, and the classes with their probabilities, the most probable
    /// first.
    ///
    /// # Errors
    /// What is no probability.
    pub fn of<'a>(
        &self,
        value: impl Fn(usize) -> Option<&'a str>,
    ) -> Result<(Option<String>, Probabilities)> {
        let said = |place: usize, name: &str| value(place).map(|text| probability(text, name)).transpose();
        let mut all = Probabilities::new();
        for (place, class) in &self.classes {
            if let Some(p) = said(*place, class)? {
                all.push((class.clone(), p));
            }
        }
        all.sort_by(|a, b| b.1.total_cmp(&a.1));
        let class = self.class.and_then(&value).map(str::to_owned);
        let class = class.or_else(|| all.first().map(|(class, _)| class.clone()));
        let confidence = self.confidence.map(|place| said(place, "confidence")).transpose()?.flatten();
        if let (Some(class), Some(confidence), true) = (&class, confidence, all.is_empty()) {
            all.push((class.clone(), confidence));
        }
        Ok((class, all))
    }
}

/// A probability.
///
/// # Errors
/// What is none.
pub(super) fn probability(text: &str, at: &str) -> Result<f64> {
    let p = text.parse().ok().filter(|p: &f64| (0.0..=1.0).contains(p));
    p.ok_or_else(|| {
        Error::input("a value that is no probability")
            .at(shortened(at))
            .expected("a number from 0 to 1")
            .got(shortened(text))
            .hint(
                "percents are divided by 100, and scores without bounds turned into probabilities (softmax)",
            )
            .into()
    })
}
