//! What a file of labels comes to in a project: an image for each answer, and what does not fit
//! together.
//!
//! Never here: how an image is found (`matching`), storing answers.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::matching::{Found, Index};
use super::{Act, Answer, Class, Labels, Note, Record, Remark, shortened};
use crate::project::ImageId;

/// What is to be stored of a file, and what cannot be.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// Answers for images of the project, in the order in which they were given. Their numbers, and
    /// those that an undo names, are the file's.
    pub answers: Vec<Planned>,
    /// Images that the project does not have, or has several of, as the file calls them, each once.
    pub unknown: Vec<Unknown>,
    /// Images of which the file says two things at once, by their paths.
    pub conflicts: Vec<Conflict>,
    /// Classes that the project does not have: those the file lists first, then in the order of the
    /// answers, also those that were only suggested.
    pub new_classes: Vec<Class>,
    /// Notes and flags.
    pub remarks: Vec<(ImageId, Note)>,
    /// Images that show a class, by its name.
    pub examples: Vec<(String, ImageId)>,
}

/// An answer and its image.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// The image.
    pub image: ImageId,
    /// The answer.
    pub answer: Answer,
    /// Whether the file contradicts it.
    pub contested: bool,
    /// Of a suggestion, classes and their probabilities.
    pub probabilities: Vec<(String, f64)>,
}

/// An image that a file names and that cannot be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// As the file calls it.
    pub path: String,
    /// What there is instead.
    pub why: Why,
}

/// Why an image cannot be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// There is nothing like it.
    Absent,
    /// So many images may be meant.
    Several(usize),
    /// This image has its name, in another folder.
    OnlyTheName(String),
    /// Another path of the file would be this image too.
    SameAs(String, String),
}

impl std::fmt::Display for Unknown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = &self.path;
        match &self.why {
            Why::Absent => f.write_str(path),
            Why::Several(count) => write!(f, "{path}: may be any of {count} images"),
            Why::OnlyTheName(image) => write!(f, "{path}: only its name is that of {image}"),
            Why::SameAs(other, image) => write!(f, "{path}: would be {image}, as {other} would"),
        }
    }
}

/// Several things that a file says of one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The image's path in the project.
    pub path: String,
    /// What is said, and the first line that says so.
    pub says: Vec<(String, usize)>,
}

impl std::fmt::Display for Conflict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let says: Vec<String> =
            self.says.iter().map(|(class, line)| format!("{} ({line})", shortened(class))).collect();
        write!(f, "{}: {}", self.path, says.join(", "))
    }
}

/// Finds the image of every answer. `known` are the classes of the project, `person` is who
/// answered where the file does not say.
///
/// Of one person the newest answer by its time comes last. Where a file has neither numbers nor
/// times and says two things of an image, the second is of another person, "ada (2)": the image
/// becomes a conflict, for a person to settle.
#[must_use]
pub fn plan<'a>(
    labels: &Labels,
    images: &Index<'_>,
    known: impl IntoIterator<Item = &'a str>,
    person: &str,
) -> Plan {
    let mut plan = Plan::default();
    let mut classes: HashSet<&str> = known.into_iter().collect();
    for class in &labels.classes {
        if classes.insert(&class.name) {
            plan.new_classes.push(class.clone());
        }
    }
    let mut found: Vec<(&Record, ImageId)> = Vec::new();
    for (record, image) in match_all(labels, images, &mut plan.unknown) {
        let named = [&record.answer.class, &record.answer.suggested];
        for class in named.into_iter().flatten().filter(|class| classes.insert(class)) {
            plan.new_classes.push(Class { name: class.clone(), ..Class::default() });
        }
        found.push((record, image));
    }
    if !labels.ordered {
        // Stable: without times, the order of the file.
        found.sort_by_key(|(record, _)| record.answer.at);
    }
    let others = if labels.ordered { HashMap::new() } else { contradictions(&found, person) };
    let mut conflicts: BTreeMap<&str, Conflict> = BTreeMap::new();
    for (place, (record, image)) in found.iter().enumerate() {
        let mut answer = record.answer.clone();
        let number = others.get(&place);
        if let Some(&number) = number {
            let path = images.path_of(*image);
            let says = claim(&record.answer).unwrap_or("discard").to_owned();
            let conflict =
                conflicts.entry(path).or_insert_with(|| Conflict { path: path.to_owned(), says: Vec::new() });
            if !conflict.says.iter().any(|(other, _)| *other == says) {
                conflict.says.push((says, record.line));
            }
            if number > 1 {
                let person: String =
                    answer.person.as_deref().unwrap_or(person).chars().take(LONGEST_NAME).collect();
                answer.person = Some(format!("{person} ({number})"));
            }
        }
        let (contested, probabilities) = (number.is_some(), record.probabilities.clone());
        plan.answers.push(Planned { image: *image, answer, contested, probabilities });
    }
    plan.conflicts = conflicts.into_values().collect();
    plan.remarks = remarks(labels, images, &mut plan.unknown);
    for class in &labels.classes {
        let seen = class.examples.iter().filter_map(|path| match images.look(path, None).0 {
            Found::Image(id) => Some((class.name.clone(), id)),
            _ => None,
        });
        plan.examples.extend(seen);
    }
    plan
}

/// Notes and flags with their images. An image that cannot be told is listed once, with those of
/// the answers.
fn remarks(labels: &Labels, images: &Index<'_>, unknown: &mut Vec<Unknown>) -> Vec<(ImageId, Note)> {
    let mut seen: HashSet<String> = unknown.iter().map(|unknown| unknown.path.clone()).collect();
    let mut all = Vec::new();
    for Remark { path, hash, note } in &labels.remarks {
        let why = match images.look(path, hash.as_deref()).0 {
            Found::Image(id) => {
                all.push((id, note.clone()));
                continue;
            }
            Found::Ambiguous(count) => Why::Several(count),
            Found::Named(id) => Why::OnlyTheName(images.path_of(id).to_owned()),
            Found::Unknown => Why::Absent,
        };
        if seen.insert(path.clone()) {
            unknown.push(Unknown { path: path.clone(), why });
        }
    }
    all
}

/// Letters of a person's name to which a number is added: it stays below what a name may have.
const LONGEST_NAME: usize = 90;

/// The image of each record that has one. Two paths that are one image only by their ends are of
/// neither.
fn match_all<'a>(
    labels: &'a Labels,
    images: &Index<'_>,
    unknown: &mut Vec<Unknown>,
) -> Vec<(&'a Record, ImageId)> {
    let looked: Vec<(Found, bool)> =
        labels.records.iter().map(|record| images.look(&record.path, record.hash.as_deref())).collect();
    // Of every image, the paths that say so themselves, and the first two of those that only end as
    // it does.
    let mut claimed: HashMap<ImageId, (Option<&str>, Vec<&str>)> = HashMap::new();
    for (record, (found, sure)) in labels.records.iter().zip(&looked) {
        let Found::Image(id) = found else { continue };
        let (whole, ends) = claimed.entry(*id).or_default();
        if *sure {
            whole.get_or_insert(&record.path);
        } else if ends.len() < 2 && !ends.contains(&record.path.as_str()) {
            ends.push(&record.path);
        }
    }
    let mut seen: HashSet<&str> = HashSet::new();
    let mut all = Vec::new();
    for (record, (found, sure)) in labels.records.iter().zip(looked) {
        let path = |id| images.path_of(id).to_owned();
        let why = match found {
            Found::Image(id) => {
                let rival =
                    claimed.get(&id).filter(|_| !sure && !images.is_by_name()).and_then(|(whole, ends)| {
                        whole.or_else(|| ends.iter().find(|other| **other != record.path).copied())
                    });
                match rival {
                    None => {
                        all.push((record, id));
                        continue;
                    }
                    Some(other) => Why::SameAs(other.to_owned(), path(id)),
                }
            }
            Found::Ambiguous(count) => Why::Several(count),
            Found::Named(id) => Why::OnlyTheName(path(id)),
            Found::Unknown => Why::Absent,
        };
        if seen.insert(&record.path) {
            unknown.push(Unknown { path: record.path.clone(), why });
        }
    }
    all
}

/// What an answer says that an image is: its class, or none of them.
fn claim(answer: &Answer) -> Option<&str> {
    answer.class.as_deref().filter(|_| answer.act == Act::Label)
}

/// The answers that another of the same person contradicts, without a time that tells which is
/// newer: by their places, the number of what they say among what is said.
fn contradictions(found: &[(&Record, ImageId)], person: &str) -> HashMap<usize, usize> {
    let mut groups: HashMap<(ImageId, &str), Vec<usize>> = HashMap::new();
    for (place, (record, image)) in found.iter().enumerate() {
        if matches!(record.answer.act, Act::Label | Act::Discard) {
            let person = record.answer.person.as_deref().unwrap_or(person);
            groups.entry((*image, person)).or_default().push(place);
        }
    }
    let mut others = HashMap::new();
    for places in groups.into_values().filter(|places| places.len() > 1) {
        let answer = |place: usize| &found[place].0.answer;
        let newest = places.iter().map(|&place| answer(place).at).max().flatten();
        // By time they are in order, unless several are the newest, or one has no time.
        let open: Vec<usize> = places
            .iter()
            .copied()
            .filter(|&place| answer(place).at.is_none() || answer(place).at == newest)
            .collect();
        let mut said: Vec<Option<&str>> = Vec::new();
        for &place in &open {
            if !said.contains(&claim(answer(place))) {
                said.push(claim(answer(place)));
            }
        }
        if said.len() < 2 {
            continue;
        }
        for place in open {
            let number = said.iter().position(|other| *other == claim(answer(place))).unwrap_or_default() + 1;
            others.insert(place, number);
        }
    }
    others
}
