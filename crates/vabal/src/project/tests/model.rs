//! Any sequence of acts gives the state that a simple model gives, also across restarts.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const PEOPLE: [&str; 3] = ["ann", "bob", "cy"];
/// Images 1 to 6; 1 and 2 have one content, as have 3, 4 and 5.
const CONTENT: [u8; 6] = [0, 0, 1, 1, 1, 2];

#[derive(Debug, Clone)]
enum Step {
    Answer {
        person: usize,
        images: Vec<usize>,
        act: usize,
        class: usize,
        duplicates: bool,
        review: bool,
    },
    Append {
        person: usize,
        image: usize,
        class: usize,
    },
    Undo {
        person: usize,
    },
    /// The same request again, as a browser does that got no reply.
    Resend,
    Add,
    Rename {
        class: usize,
    },
    Merge {
        class: usize,
        into: usize,
    },
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let answer =
        (0..3_usize, prop::collection::vec(0..6_usize, 1..4), 0..6_usize, 0..9_usize, any::<bool>(), 0..6_u8);
    prop_oneof![
        12 => answer.prop_map(|(person, images, act, class, duplicates, review)| {
            Step::Answer { person, images, act, class, duplicates, review: review == 0 }
        }),
        1 => (0..3_usize, 0..6_usize, 0..9_usize).prop_map(|(person, image, class)| Step::Append { person, image, class }),
        5 => (0..3_usize).prop_map(|person| Step::Undo { person }),
        2 => Just(Step::Resend),
        1 => Just(Step::Add),
        1 => (0..9_usize).prop_map(|class| Step::Rename { class }),
        2 => (0..9_usize, 0..9_usize).prop_map(|(class, into)| Step::Merge { class, into }),
        1 => Just(Step::Reopen),
    ]
}

#[derive(Debug, Clone)]
struct Row {
    image: usize,
    person: usize,
    act: Act,
    class: Option<Label>,
    source: Source,
    gesture: usize,
    undone: bool,
}

/// Everything said, in order; undoing is a mark.
#[derive(Debug, Default)]
struct Model {
    rows: Vec<Row>,
    undoings: usize,
    gestures: usize,
    /// Name and what it was merged into.
    classes: Vec<(String, Option<Label>)>,
}

impl Model {
    fn followed(&self, mut class: Label) -> Label {
        while let Some(into) = self.classes[class as usize].1 {
            class = into;
        }
        class
    }

    /// Person → their latest answer that counts.
    fn standing(&self, image: usize) -> BTreeMap<usize, (usize, &Row)> {
        let live = || self.rows.iter().enumerate().filter(|(_, row)| row.image == image && !row.undone);
        let review =
            live().filter(|(_, row)| row.source == Source::Review).map(|(n, _)| n).max().unwrap_or(0);
        let mut latest: BTreeMap<usize, (usize, &Row)> = BTreeMap::new();
        for (n, row) in live() {
            latest.insert(row.person, (n, row));
        }
        latest.retain(|_, (n, _)| *n >= review);
        latest
    }

    fn state(&self, image: usize) -> (State, Option<Label>) {
        let standing = self.standing(image);
        let verdict = |row: &Row| match row.act {
            Act::Label => Some(row.class.map(|class| self.followed(class))),
            Act::Discard => Some(None),
            _ => None,
        };
        let verdicts: BTreeSet<Option<Label>> =
            standing.values().filter_map(|(_, row)| verdict(row)).collect();
        match (verdicts.len(), verdicts.first()) {
            (1, Some(Some(class))) => (State::Labelled, Some(*class)),
            (1, _) => (State::Discarded, None),
            (0, _) => match standing.values().max_by_key(|(n, _)| *n) {
                Some((_, row)) if row.act == Act::Later => (State::Later, None),
                Some(_) => (State::Unsure, None),
                None => (State::Open, None),
            },
            _ => (State::Conflict, None),
        }
    }

    fn say(
        &mut self,
        answers: &[(usize, Act, Option<Label>)],
        person: usize,
        duplicates: bool,
        source: Source,
    ) {
        let gesture = self.gestures;
        self.gestures += 1;
        let add = |rows: &mut Vec<Row>, image, act, class, source| {
            rows.push(Row { image, person, act, class, source, gesture, undone: false });
        };
        for &(image, act, class) in answers {
            add(&mut self.rows, image, act, class, source);
        }
        if !duplicates {
            return;
        }
        for &(image, act, class) in answers {
            for other in (0..6).filter(|&other| CONTENT[other] == CONTENT[image] && other != image) {
                let named = answers.iter().any(|(image, ..)| *image == other);
                let decided = self
                    .standing(other)
                    .iter()
                    .any(|(&who, (_, row))| who != person && matches!(row.act, Act::Label | Act::Discard));
                if !named && (source == Source::Review || !decided) {
                    let source = if source == Source::Review { source } else { Source::Duplicate };
                    self.rows.push(Row { image: other, person, act, class, source, gesture, undone: false });
                }
            }
        }
    }

    fn undo(&mut self, person: usize) -> bool {
        let mine = |row: &&Row| row.person == person && !row.undone && row.source != Source::Import;
        let Some(gesture) = self.rows.iter().rfind(mine).map(|row| row.gesture) else { return false };
        for row in self.rows.iter_mut().filter(|row| row.gesture == gesture && !row.undone) {
            row.undone = true;
            self.undoings += 1;
        }
        true
    }
}

fn agree(model: &Model, project: &Project) {
    check_kept(project);
    let images = project.images(&[1, 2, 3, 4, 5, 6].map(ImageId)).unwrap();
    for (n, image) in images.iter().enumerate() {
        assert_eq!((image.state, image.class), model.state(n), "image {}", image.id);
    }
    let rows: usize =
        project.connection.query_row("SELECT count(*) FROM answers", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, model.rows.len() + model.undoings);
    let classes: Vec<(Label, String)> =
        project.classes().unwrap().into_iter().map(|c| (c.id, c.name)).collect();
    let mut expected: Vec<(Label, String)> = Vec::new();
    for (id, (name, into)) in model.classes.iter().enumerate() {
        if into.is_none() {
            expected.push((id as Label, name.clone()));
        }
    }
    assert_eq!(classes, expected);
    for class in project.classes().unwrap() {
        let of = (0..6).filter(|&n| model.state(n) == (State::Labelled, Some(class.id))).count();
        assert_eq!(class.labels, of);
    }
    let (ids, labels) = project.training_set().unwrap();
    let expected: Vec<(ImageId, Label)> = (0..6)
        .filter_map(|n| {
            Some((ImageId(n as i64 + 1), model.state(n).1.filter(|_| model.state(n).0 == State::Labelled)?))
        })
        .collect();
    assert_eq!(ids.into_iter().zip(labels).collect::<Vec<_>>(), expected);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn any_sequence_of_acts_gives_the_state_of_a_simple_model(steps in prop::collection::vec(step(), 1..40)) {
        let place = Place::new(0);
        for (n, content) in CONTENT.iter().enumerate() {
            place.draw(&format!("{n}.png"), *content);
        }
        let mut project = place.made(plain());
        let classes = ["a", "b", "c", "d"].iter().map(|name| ((*name).to_string(), None)).collect();
        let mut model = Model { classes, ..Model::default() };
        let mut last = None;
        for (n, step) in steps.into_iter().enumerate() {
            let class_of = |k: usize, model: &Model| (k % model.classes.len()) as Label;
            match step {
                Step::Answer { person, images, act, class, duplicates, review } => {
                    let act = [Act::Label, Act::Label, Act::Label, Act::Later, Act::Discard, Act::Unsure][act];
                    let class = (act == Act::Label).then(|| class_of(class, &model));
                    let source = if review { Source::Review } else { Source::Page };
                    let given = Answers {
                        person: PEOPLE[person].into(),
                        token: format!("gesture {n}"),
                        answers: images
                            .iter()
                            .map(|&n| Answer { image: ImageId(n as i64 + 1), act, class, seconds: Some(1.5), suggested: None })
                            .collect(),
                        duplicates,
                        source,
                    };
                    let all: Vec<_> = images.iter().map(|&n| (n, act, class)).collect();
                    model.say(&all, person, duplicates, source);
                    let answered = project.answer(&given).unwrap();
                    for image in &answered.images {
                        prop_assert_eq!((image.state, image.class), model.state(image.id.0 as usize - 1));
                    }
                    last = Some(given);
                }
                Step::Append { person, image, class } => {
                    let class = class_of(class, &model);
                    let row = Appended {
                        image: ImageId(image as i64 + 1),
                        person: PEOPLE[person].into(),
                        at: Some(12),
                        act: Act::Label,
                        class: Some(class),
                        seconds: None,
                        suggested: None,
                    };
                    project.append(&[row]).unwrap();
                    model.say(&[(image, Act::Label, Some(class))], person, false, Source::Import);
                }
                Step::Undo { person } => {
                    let undone = project.undo(PEOPLE[person], Some(&format!("undo {n}"))).unwrap();
                    prop_assert_eq!(undone.is_some(), model.undo(person));
                    if let Some(undone) = &undone {
                        for image in &undone.images {
                            prop_assert_eq!((image.state, image.class), model.state(image.id.0 as usize - 1));
                        }
                        // The same request again takes nothing more back.
                        let again = project.undo(PEOPLE[person], Some(&format!("undo {n}"))).unwrap().unwrap();
                        prop_assert_eq!((ids(&again.images), again.act), (ids(&undone.images), undone.act));
                    }
                }
                Step::Resend => {
                    if let Some(given) = &last {
                        let answered = project.answer(given).unwrap();
                        for image in &answered.images {
                            prop_assert_eq!((image.state, image.class), model.state(image.id.0 as usize - 1));
                        }
                    }
                }
                Step::Add => {
                    let name = format!("class {n}");
                    let added = project.add_class(&NewClass { name: name.clone(), ..NewClass::default() }).unwrap();
                    prop_assert_eq!(added.id as usize, model.classes.len());
                    model.classes.push((name, None));
                }
                Step::Rename { class } => {
                    let class = class_of(class, &model);
                    let name = format!("renamed {n}");
                    let change = ClassChange { name: Some(name.clone()), ..ClassChange::default() };
                    let renamed = project.change_class(class, &change).unwrap();
                    prop_assert_eq!(renamed.is_some(), model.classes[class as usize].1.is_none());
                    if renamed.is_some() {
                        model.classes[class as usize].0 = name;
                    }
                }
                Step::Merge { class, into } => {
                    let (class, into) = (class_of(class, &model), class_of(into, &model));
                    let is = |class: Label| model.classes[class as usize].1.is_none();
                    let merged = project.merge_class(class, into);
                    if !is(class) {
                        prop_assert!(merged.unwrap().is_none());
                    } else if class == into || !is(into) {
                        prop_assert!(merged.is_err());
                    } else {
                        prop_assert!(merged.unwrap().is_some());
                        model.classes[class as usize].1 = Some(into);
                    }
                }
                Step::Reopen => {
                    // As when the process ends: nothing is closed in order.
                    std::mem::forget(std::mem::replace(&mut project, place.open()));
                }
            }
            agree(&model, &project);
        }
    }
}

#[test]
fn an_answer_is_never_changed_and_never_deleted() {
    let place = Place::new(2);
    let mut project = place.made(plain());
    label(&mut project, "ann", 1, 0);
    for sql in ["UPDATE answers SET class = 1", "DELETE FROM answers"] {
        let error = project.connection.execute(sql, []).unwrap_err().to_string();
        assert!(error.contains("never"), "{error}");
    }
}
