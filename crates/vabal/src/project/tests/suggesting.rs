//! Suggestions of another model: shown until a training is newer, and nothing else.

use super::*;
use crate::project::exchange::{Format, Reading, read};

fn take(project: &mut Project, text: &str) -> Taken {
    let reading = Reading { suggestions: true, ..Reading::default() };
    let labels = read(text.as_bytes(), Format::Csv, &reading).unwrap();
    project.suggest(&labels, "model.csv", false, &mut silent()).unwrap()
}

fn shown(project: &Project, id: i64) -> Option<(Label, f64)> {
    let image = project.images(&[ImageId(id)]).unwrap().pop().unwrap();
    image.suggestion.map(|one| (one.class, one.confidence))
}

fn train(project: &mut Project) {
    let round = project.begin_round("vabal", 4, 1).unwrap();
    let summary = Summary { classes: vec![0, 1], ..Summary::default() };
    let predictions =
        (1..=6).map(|image| Prediction { image: ImageId(image), probabilities: vec![0.75, 0.25] });
    project.finish_round(round, &summary, &[], predictions, []).unwrap();
}

#[test]
fn they_are_shown_listed_and_sorted_until_a_training_is_newer() {
    let place = Place::new(6);
    let mut project = place.made(plain());
    let taken = take(&mut project, "path,a,b,new\n000.png,0.5,0.375,0.125\n001.png,0.125,0.25,0.625\n");
    assert_eq!((taken.added, &taken.new_classes[..]), (2, &["new".to_owned()][..]));
    assert_eq!(
        (shown(&project, 1), shown(&project, 2), shown(&project, 3)),
        (Some((0, 0.5)), Some((4, 0.625)), None)
    );
    let image = project.images(&[ImageId(2)]).unwrap().pop().unwrap();
    assert_eq!(
        image.top.iter().map(|top| (top.class, top.p)).collect::<Vec<_>>(),
        [(4, 0.625), (1, 0.25), (0, 0.125)]
    );
    let detail = project.detail(ImageId(2)).unwrap().unwrap();
    assert_eq!(detail.probabilities.unwrap().len(), 3);
    let by = |query: ListQuery| ids(&project.list(&query).unwrap().images);
    assert_eq!(by(ListQuery { sort: Some(Sort::Confidence), ..ListQuery::default() }), [1, 2].map(ImageId));
    assert_eq!(by(ListQuery { predicted: Some(4), ..ListQuery::default() }), [ImageId(2)]);
    assert_eq!(by(ListQuery { low: Some(0.6), ..ListQuery::default() }), [ImageId(2)]);
    let about = project.suggestions().unwrap().unwrap();
    assert_eq!((about.source.as_str(), about.images, about.shown), ("model.csv", 2, true));
    // They are no labels, and no prediction of a training.
    assert_eq!(project.counts().unwrap().labelled, 0);
    assert!(project.training_set().unwrap().0.is_empty() && project.predicted().unwrap().is_empty());

    train(&mut project);
    assert_eq!((shown(&project, 2), shown(&project, 3)), (Some((0, 0.75)), Some((0, 0.75))));
    assert!(!project.suggestions().unwrap().unwrap().shown);
    // Taken in after it, others are shown again; those of before are gone.
    take(&mut project, "path,class\n002.png,b\n");
    assert_eq!((shown(&project, 2), shown(&project, 3)), (None, Some((1, 1.0))));
    let image = project.images(&[ImageId(3)]).unwrap().pop().unwrap();
    assert!(image.top.is_empty(), "a class without a probability has a number");
    assert_eq!(project.detail(ImageId(3)).unwrap().unwrap().probabilities, None);
    // What the model doubts stays its own.
    label(&mut project, "ann", 2, 1);
    let doubts = project.review(ReviewKind::Doubt, None, None).unwrap();
    assert_eq!(doubts.images[0].image.suggestion.map(|one| one.class), Some(0));
    // A merged class is what it is now.
    project.merge_class(1, 0).unwrap();
    assert_eq!(shown(&project, 3), Some((0, 1.0)));
    let project = place.open();
    assert_eq!(shown(&project, 3), Some((0, 1.0)));
}

#[test]
fn the_holdout_gets_none_and_what_contradicts_itself_is_left_out() {
    let place = Place::new(8);
    let mut project = place.made(Settings { holdout: 0.5, ..Settings::default() });
    let all = by_path(&project);
    let (held, open): (Vec<_>, Vec<_>) = all.values().partition(|image| image.holdout);
    assert!(!held.is_empty() && open.len() > 1);
    let mut text = "path,class,confidence\n".to_owned();
    for image in all.values() {
        text += &format!("{},a,0.5\n", image.path);
    }
    text += &format!("{},b,0.5\nnowhere.png,a,0.5\n", open[0].path);
    let taken = take(&mut project, &text);
    assert_eq!((taken.added, taken.conflicts, taken.unknown), (open.len() - 1, 1, 1));
    assert_eq!(taken.left_out.values().sum::<usize>(), held.len());
    for image in held {
        assert_eq!(shown(&project, image.id.0), None);
    }
    assert_eq!(shown(&project, open[0].id.0), None);
    assert_eq!(shown(&project, open[1].id.0), Some((0, 0.5)));
}
