//! Lists, page by page.

use super::*;

/// 30 images with predictions, some answered.
fn project(place: &Place) -> Project {
    let mut project = place.made(Settings { holdout: 0.2, ..Settings::default() });
    let round = project.begin_round("vabal", 4, 1).unwrap();
    let summary = Summary { classes: vec![0, 1], ..Summary::default() };
    let predictions = (1..=30).map(|image| {
        let p = (image % 7) as f32 / 7.0;
        Prediction { image: ImageId(image), probabilities: vec![p, 1.0 - p] }
    });
    project.finish_round(round, &summary, &[], predictions, []).unwrap();
    for id in 1..=9 {
        label(&mut project, "ann", id, id as Label % 2);
    }
    project.answer(&one("bob", "other", 1, Act::Label, Some(2))).unwrap();
    project.answer(&one("ann", "later", 10, Act::Later, None)).unwrap();
    project
}

/// Every page of a list, with pages of 4.
fn pages(project: &Project, query: &ListQuery) -> Vec<Image> {
    let mut query = ListQuery { limit: Some(4), ..query.clone() };
    let (mut all, mut total) = (Vec::new(), None);
    loop {
        let page = project.list(&query).unwrap();
        assert!(page.images.len() <= 4);
        all.extend(page.images);
        total = total.or(page.total);
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    assert_eq!(total, Some(all.len()), "{query:?}");
    let whole = project.list(&ListQuery { limit: Some(1000), after: None, ..query }).unwrap();
    assert_eq!(whole.images, all);
    all
}

#[test]
fn pages_put_together_are_the_whole_list_in_every_order() {
    let place = Place::new(30);
    let project = project(&place);
    let by = |sort| pages(&project, &ListQuery { sort: Some(sort), ..ListQuery::default() });
    assert_eq!(by(Sort::Id).len(), 30);
    let paths: Vec<String> = by(Sort::Path).into_iter().map(|image| image.path).collect();
    assert!(paths.is_sorted() && paths.len() == 30);
    let sure: Vec<f64> =
        by(Sort::Confidence).iter().map(|image| image.suggestion.unwrap().confidence).collect();
    assert!(sure.is_sorted() && sure.len() == 30 - project.counts().unwrap().holdout.images);
    assert_eq!(by(Sort::Recent).len(), 10);
    let doubted = by(Sort::Doubt);
    assert!(doubted.iter().all(|image| image.state == State::Labelled && !image.holdout));
    let reviewed = project.review(ReviewKind::Doubt, None, None).unwrap();
    assert_eq!(reviewed.images.iter().map(|row| row.image.id).collect::<Vec<_>>(), ids(&doubted));
    assert!(reviewed.images.windows(2).all(|pair| pair[0].doubt >= pair[1].doubt));
    assert!(!reviewed.images[0].answers.is_empty());
}

#[test]
fn filters_and_searches_find_what_they_say() {
    let place = Place::new(30);
    place.draw("50%_off/A b.png", 77);
    let project = project(&place);
    let with = |change: serde_json::Value| pages(&project, &serde_json::from_value(change).unwrap());
    let labelled = with(serde_json::json!({"state": "labelled"}));
    assert_eq!(labelled.len(), 8);
    assert_eq!(
        with(serde_json::json!({"class": 1})).len(),
        labelled.iter().filter(|i| i.class == Some(1)).count()
    );
    assert_eq!(with(serde_json::json!({"state": "open"})).len(), 31 - 10);
    assert_eq!(ids(&with(serde_json::json!({"state": "conflict"}))), [1]);
    assert_eq!(ids(&with(serde_json::json!({"state": "later"}))), [10]);
    for image in with(serde_json::json!({"predicted": 1, "low": 0.6, "high": 0.9})) {
        let suggestion = image.suggestion.unwrap();
        assert!(suggestion.class == 1 && (0.6..=0.9).contains(&suggestion.confidence));
    }
    for (search, n) in
        [("50%_off", 1), ("50%%", 0), ("5__o", 0), ("a B.PNG", 1), ("\\", 0), ("00", 10), ("", 31)]
    {
        assert_eq!(with(serde_json::json!({ "search": search })).len(), n, "{search}");
    }
    for wrong in [
        serde_json::json!({"after": "nonsense"}),
        serde_json::json!({"limit": 0}),
        serde_json::json!({"limit": 100_000}),
    ] {
        assert!(project.list(&serde_json::from_value(wrong).unwrap()).is_err());
    }
    assert!(serde_json::from_value::<ListQuery>(serde_json::json!({"state": "lost"})).is_err());
}

#[test]
fn what_the_model_says_of_the_holdout_is_shown_nowhere() {
    let place = Place::new(30);
    let mut project = project(&place);
    let held: Vec<ImageId> = by_path(&project).into_values().filter(|i| i.holdout).map(|i| i.id).collect();
    assert!(!held.is_empty());
    for &id in &held {
        label(&mut project, "ann", id, 0);
        let detail = project.detail(id).unwrap().unwrap();
        assert!(detail.image.suggestion.is_none() && detail.probabilities.is_none());
    }
    for query in [
        serde_json::json!({"predicted": 0}),
        serde_json::json!({"low": 0.0}),
        serde_json::json!({"sort": "confidence"}),
        serde_json::json!({"sort": "doubt"}),
    ] {
        let images = pages(&project, &serde_json::from_value(query).unwrap());
        assert!(images.iter().all(|image| !image.holdout));
    }
}

#[test]
fn conflicts_show_who_said_what_and_a_review_settles_them() {
    let place = Place::new(30);
    let mut project = project(&place);
    let page = project.review(ReviewKind::Conflict, None, None).unwrap();
    assert_eq!((page.images.len(), page.total, page.images[0].doubt), (1, Some(1), None));
    let said: Vec<(&str, Option<Label>)> =
        page.images[0].answers.iter().map(|said| (said.person.as_str(), said.class)).collect();
    assert_eq!(said, [("ann", Some(1)), ("bob", Some(2))]);
    let mut settle = one("cy", "settle", 1, Act::Label, Some(2));
    settle.source = Source::Review;
    assert_eq!(project.answer(&settle).unwrap().images[0].state, State::Labelled);
    assert!(project.review(ReviewKind::Conflict, None, None).unwrap().images.is_empty());
    let detail = project.detail(ImageId(1)).unwrap().unwrap();
    assert_eq!(
        detail.history.iter().map(|event| event.source).collect::<Vec<_>>(),
        [Source::Page, Source::Page, Source::Review]
    );
    project.undo("cy", None).unwrap().unwrap();
    assert_eq!(project.images(&[ImageId(1)]).unwrap()[0].state, State::Conflict);
    assert!(project.detail(ImageId(1)).unwrap().unwrap().history[2].undone);
    assert!(project.detail(ImageId(999)).unwrap().is_none());
}

#[test]
fn near_duplicates_are_listed_group_by_group() {
    let place = Place::new(6);
    for k in 0..3_u8 {
        let mut near = picture(k);
        near.put_pixel(0, 0, image::Luma([near.get_pixel(0, 0).0[0] ^ 1]));
        near.save(place.images().join(format!("near {k}.png"))).unwrap();
    }
    let project = project_of(&place);
    let page = project.duplicates(true, None, Some(2)).unwrap();
    assert_eq!(page.groups.len(), 2);
    assert!(page.groups.iter().all(|group| group.count == 2 && group.images.len() == 2));
    let rest = project.duplicates(true, page.next.as_deref(), Some(2)).unwrap();
    assert_eq!((rest.groups.len(), rest.next), (1, None));
    assert!(project.duplicates(false, None, None).unwrap().groups.is_empty());
    assert!(project.duplicates(false, Some("x"), None).is_err());
}

fn project_of(place: &Place) -> Project {
    place.made(plain())
}

#[test]
fn json_has_the_names_of_the_contract() {
    let place = Place::new(30);
    let mut project = project(&place);
    let keys =
        |value: serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    let next = project.next("ann", 1, &[]).unwrap();
    assert_eq!(keys(serde_json::to_value(&next).unwrap()), "left questions round");
    let image =
        "class duplicates flag hash height holdout id missing note path rank state suggestion top why width";
    assert_eq!(keys(serde_json::to_value(&next.questions[0]).unwrap()), image);
    assert_eq!(
        keys(serde_json::to_value(&next.questions[0].why[0]).unwrap()),
        "classes kind numbers strength text"
    );
    let answered = serde_json::to_value(label(&mut project, "ann", 12, 0)).unwrap();
    assert_eq!(keys(answered.clone()), "classes counts images labels_until_training");
    assert_eq!(keys(answered["images"][0].clone()), "class id state");
    assert_eq!(keys(answered["classes"][0].clone()), "id labels");
    let counts = "conflict discarded holdout images labelled later missing open unsure";
    assert_eq!(keys(answered["counts"].clone()), counts);
    assert_eq!(keys(answered["counts"]["holdout"].clone()), "images labelled");
    let undone = serde_json::to_value(project.undo("ann", None).unwrap()).unwrap();
    assert_eq!(keys(undone), "act classes counts images");
    let overview = serde_json::to_value(project.overview().unwrap()).unwrap();
    assert_eq!(
        keys(overview.clone()),
        "classes counts guides id images merged name people round settings suggestions"
    );
    assert_eq!(keys(overview["classes"][0].clone()), "colour id key labels name place");
    let page = project.review(ReviewKind::Doubt, None, Some(1)).unwrap();
    let page = serde_json::to_value(page).unwrap();
    assert_eq!(keys(page.clone()), "images next total");
    assert_eq!(
        keys(page["images"][0].clone()),
        "answers class doubt duplicates flag hash height holdout id missing note path rank state suggestion top why width"
    );
    let id = page["images"][0]["id"].as_i64().unwrap();
    let detail = serde_json::to_value(project.detail(ImageId(id)).unwrap()).unwrap();
    assert_eq!(keys(detail.clone()), "history image probabilities");
    assert_eq!(keys(detail["history"][0].clone()), "act answer at class person source undone");
    assert_eq!(keys(detail["probabilities"][0].clone()), "class p");
    let groups = serde_json::to_value(project.duplicates(false, None, None).unwrap()).unwrap();
    assert_eq!(keys(groups), "groups next");
}
