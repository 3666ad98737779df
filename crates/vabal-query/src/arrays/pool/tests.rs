//! What a pool makes of its arrays, and every error once.

use std::collections::BTreeMap;
use std::sync::Arc;

use ndarray::Array2;
use proptest::prelude::*;

use super::super::{MonteCarlo, Values, text_id};
use super::*;
use crate::STRATEGIES;
use crate::progress::silent;

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

fn column(name: &str, values: impl IntoIterator<Item = i64>) -> Array {
    let values: Vec<i64> = values.into_iter().collect();
    Array::new(name, [values.len()], values)
}

fn named(name: &str, values: &[&str]) -> Array {
    Array::new(name, [values.len()], texts(values))
}

fn floats(name: &str, shape: &[usize], values: Vec<f32>) -> Array {
    Array::new(name, shape, values)
}

fn probs(rows: usize, classes: usize) -> Array {
    floats("probs", &[rows, classes], vec![1.0 / classes as f32; rows * classes])
}

fn one(arrays: Vec<Array>, classes: Classes) -> Result<Pool> {
    Pool::new(Group::new(arrays).at("a.npz"), None, &classes, &mut silent())
}

fn two(unlabelled: Vec<Array>, labelled: Vec<Array>) -> Result<Pool> {
    let labelled = Group::new(labelled).at("b.npz");
    Pool::new(Group::new(unlabelled).at("a.npz"), Some(labelled), &Classes::Guess, &mut silent())
}

const DRAWS: MonteCarlo = MonteCarlo { draws: 2, dropout: 0.5 };

/// Looks at all arrays that are there.
fn look(pool: &Pool) -> Result<(Signals<'static>, Signals<'static>)> {
    let draws = Needs { monte_carlo: Some(DRAWS), committee: 1, ..Needs::IMAGES };
    let needs = draws.and(Needs::STAGES).and(Needs::PREDICTED).and(Needs::PROBABILITIES);
    pool.signals(needs, needs, &mut silent())
}

/// That it is an error whose lines hold `expected`.
fn refuses<T>(result: Result<T>, expected: &str) {
    let text = result.map_or_else(|error| error.to_string(), |_| "nothing".into()).replace("\n  ", "; ");
    assert!(text.contains(expected) && text.contains("; hint: "), "refused: {text}\nexpected: {expected}");
}

#[test]
fn names_stand_for_arrays_and_others_for_none() {
    assert_eq!(Name::of("stage12"), Some(Name::Stage(12)));
    assert_eq!((Name::of("id"), Name::of("label")), (Some(Name::Ids), Some(Name::Labels)));
    for name in Name::ALL.split(", ").filter(|name| *name != "…") {
        assert_eq!(Name::of(name).map(|name| name.to_string()).as_deref(), Some(name));
    }
    for name in ["", "stage", "stage-1", "stage+1", "stage99999999999", "Probs", "embedding"] {
        assert_eq!(Name::of(name), None, "{name}");
    }
}

#[test]
fn what_a_strategy_lacks_is_named_all_at_once_with_what_there_is() {
    let require = |pool: Pool, needs: Needs, of_labelled: Needs| {
        pool.require("bald", needs, of_labelled)
            .map_or_else(|complaint| complaint.to_string(), |()| "all".into())
    };
    let pool = || one(vec![column("labels", [0, -1]), column("emb", [1, 2, 3])], Classes::Guess).unwrap();
    let text = require(pool(), Needs::STAGES.and(Needs::PREDICTED).and(Needs::IMAGES), Needs::IDS);
    assert_eq!(
        text.lines().take(4).collect::<Vec<_>>().join("; "),
        "arrays are missing;   where: a.npz;   expected: features [n, d], or those of each stage; probs [n, C] or \
         predicted [n]; images [n, channels, height, width], for the strategy bald;   got: labels, emb"
    );
    let draws = Needs { monte_carlo: Some(DRAWS), committee: 2, ..Needs::IDS };
    let text = require(pool(), draws, Needs::IDS);
    assert!(text.contains("expected: mc_probs [n, T, C]; committee_probs [n, M, C], for"), "{text}");
    assert!(require(pool(), Needs::PROBABILITIES, Needs::IDS).contains("expected: probs [n, C], for"));
    // What is read of labelled rows is not needed where there are none.
    assert!(require(pool(), Needs::IDS, Needs::EMBEDDING).contains("expected: features"));
    let cold = one(vec![column("ids", [0, 1])], Classes::Guess).unwrap();
    assert_eq!(require(cold, Needs::IDS, Needs::EMBEDDING), "all");
    // Of two groups each for itself.
    let pair = || two(vec![probs(2, 2)], vec![column("labels", [0])]).unwrap();
    assert_eq!(require(pair(), Needs::PREDICTED, Needs::IDS), "all");
    assert!(require(pair(), Needs::PREDICTED, Needs::PREDICTED).contains("where: b.npz\n  expected: probs"));
    let nothing = one(vec![column("emb", [1])], Classes::Guess).unwrap();
    assert!(require(nothing, Needs::IDS, Needs::IDS).contains("expected: ids [n], or any other array"));
}

#[test]
fn stages_and_features_stand_in_for_each_other() {
    let array = |name: &str, value: f32| floats(name, &[1, 1], vec![value]);
    let seen = |names: &[(&str, f32)], needs: Needs| {
        let pool =
            one(names.iter().map(|&(name, value)| array(name, value)).collect(), Classes::Guess).unwrap();
        let (unlabelled, _) = pool.signals(needs, Needs::IDS, &mut silent()).unwrap();
        unlabelled.stages().unwrap().iter().map(|stage| stage[(0, 0)]).collect::<Vec<f32>>()
    };
    let all = [("stage10", 10.0), ("stage9", 9.0), ("features", 1.0)];
    assert_eq!(seen(&all, Needs::STAGES), [9.0, 10.0]);
    assert_eq!(seen(&all, Needs::EMBEDDING), [1.0]);
    assert_eq!(seen(&all[..2], Needs::EMBEDDING), [10.0]);
    assert_eq!(seen(&all[2..], Needs::STAGES), [1.0]);
}

#[test]
fn arrays_that_cannot_be_a_pool_are_refused_by_their_place() {
    let ids = |shape: &[usize], values: Values| Array::new("ids", shape, values);
    let guess = [
        (
            vec![probs(3, 2), column("ids", [1, 2])],
            "on the number of rows; where: ids; expected: 3 rows, as probs has",
        ),
        (vec![floats("features", &[], vec![1.0])], "unexpected array shape; where: features"),
        (vec![floats("features", &[usize::MAX, 0], vec![])], "unexpected array shape; where: features"),
        (vec![floats("mc_probs", &[0, usize::MAX, 2], vec![])], "unexpected array shape; where: mc_probs"),
        (
            vec![column("label", [0]), column("labels", [0])],
            "duplicate array; where: labels; expected: each array once",
        ),
        (vec![column("ids", [7, 5, 7, 5])], "duplicate id; where: ids, rows 0 and 2; expected: ids"),
        (vec![named("ids", &["a", "b", "b"])], "rows 1 and 2; expected: ids that do not repeat; got: b"),
        (vec![ids(&[2], Values::Whole([Some(1), None].into()))], "an id is missing; where: ids, row 1"),
        (
            vec![ids(&[1, 1], vec![1_i64].into())],
            "[n], a whole number or a text each; got: [1, 1]; hint: flatten",
        ),
        (
            vec![ids(&[1], vec![1.0_f32].into())],
            "where: ids; expected: whole numbers or texts; got: floating",
        ),
        (vec![ids(&[3], vec![1_i64].into())], "another number of values"),
        (vec![column("labels", [0, -2])], "a label is out of range; where: labels, row 1; expected: whole"),
        (vec![column("labels", [1 << 40])], "a label is out of range"),
        (vec![Array::new("labels", [2, 3], vec![0_i64; 6])], "hint: for one column a class: array.argmax(1)"),
        (vec![named("labels", &["cat"])], "where: labels, row 0; expected: whole numbers from 0; got: cat"),
        (
            vec![probs(2, 3), column("ids", [8, 9]), column("labels", [-1, 3])],
            "a class is out of range; where: labels, row 1, id 9; expected: 0 to 2, for 3 classes; got: 3",
        ),
        (vec![probs(2, 3), column("predicted", [5, 0])], "a class is out of range; where: predicted, row 0;"),
        (
            vec![probs(1, 3), floats("mc_probs", &[1, 1, 2], vec![0.5; 2])],
            "where: mc_probs; expected: 3; got: 2",
        ),
    ];
    let of_probs = |classes: Classes| one(vec![probs(1, 3)], classes);
    let many = Classes::Names((0..12).map(|class| format!("c{class}")).collect());
    let told = [
        (of_probs(Classes::Count(1)), "fewer than two classes; where: classes; expected: 2 or more; got: 1"),
        (of_probs(Classes::Names(texts(&["a"]))), "fewer than two classes"),
        (of_probs(Classes::Names(texts(&["a", "b", "a"]))), "duplicate class name; where: classes"),
        (of_probs(Classes::Count(4)), "another number of classes; where: probs; expected: 4; got: 3"),
        (
            one(vec![named("labels", &["c11", "dog"])], many),
            "row 1; expected: c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, …",
        ),
    ];
    let guess = guess.into_iter().map(|(arrays, expected)| (one(arrays, Classes::Guess), expected));
    guess.chain(told).for_each(|(result, expected)| refuses(result, expected));
}

#[test]
fn two_groups_that_do_not_go_together_are_refused() {
    let labels = || column("labels", [0, 1]);
    let cases = [
        (
            two(vec![probs(1, 2)], vec![probs(2, 2)]),
            "an array is missing; where: b.npz; expected: labels [n]; got: probs",
        ),
        (two(vec![probs(1, 2)], vec![column("labels", [0, -1])]), "a label is missing; where: labels, row 1"),
        (
            two(vec![probs(1, 2)], vec![labels(), probs(2, 3)]),
            "number of classes; where: probs; expected: 2; got: 3",
        ),
        (
            two(vec![column("ids", [4, 9])], vec![labels(), column("ids", [7, 4])]),
            "an id is in both pools; where: ids, row 0; ids, row 1",
        ),
        (
            two(vec![named("ids", &["a"])], vec![labels(), named("ids", &["b", "a"])]),
            "an id is in both pools",
        ),
        (
            two(vec![named("ids", &["a"])], vec![labels(), column("ids", [1, 2])]),
            "of two kinds; where: ids; expected: texts",
        ),
    ];
    cases.into_iter().for_each(|(result, expected)| refuses(result, expected));
    // Labels of what is chosen from are not looked at; where one group has names, nothing can be in
    // both.
    let pool = two(vec![column("labels", [-7]), column("ids", [3])], vec![labels()]).unwrap();
    assert_eq!((pool.labels(), pool.candidates()), (&[0, 1][..], 1));
    assert_eq!((pool.unlabelled.ids, pool.labelled.ids), (vec![3], vec![4, 5]));
}

#[test]
fn a_value_that_is_wrong_is_named_by_array_row_and_id() {
    let of = |array: Array| {
        let labels = column("labels", [0, -1, -1]);
        look(&one(vec![labels, named("ids", &["a", "b", "c"]), array], Classes::Count(2)).unwrap())
    };
    let features = |name: &str, wrong: f32| floats(name, &[3, 1], vec![0.0, 0.0, wrong]);
    let p = |a: f32, b: f32| floats("probs", &[3, 2], vec![0.5, 0.5, a, b, 0.5, 0.5]);
    let draws = |name: &str, a: f32| floats(name, &[3, 2, 2], [vec![0.5; 10], vec![a, 0.0]].concat());
    let cases = [
        (
            features("features", f32::INFINITY),
            "a feature is not finite; where: features, row 2, id c; expected: finite numbers; got: inf",
        ),
        (features("stage1", f32::NAN), "where: stage1, row 2, id c; expected: finite numbers; got: NaN"),
        (
            p(-3.5, 4.5),
            "a probability is out of range; where: probs, row 1, id b; expected: numbers from 0 to 1; got: -3.5",
        ),
        (p(0.5, f32::NAN), "where: probs, row 1, id b; expected: numbers from 0 to 1; got: NaN"),
        (
            p(0.7, 0.7),
            "do not sum to 1; where: probs, row 1, id b; expected: a sum of 1, within 0.01; got: 1.4",
        ),
        (draws("mc_probs", 0.9), "do not sum to 1; where: mc_probs, row 2, id c"),
        (
            draws("committee_probs", 2.0),
            "out of range; where: committee_probs, row 2, id c; expected: numbers from 0 to 1; got: 2",
        ),
        (
            column("predicted", [0, 1, -1]),
            "a candidate without a predicted class; where: predicted, row 2, id c; expected: a class, 0 to 1",
        ),
    ];
    cases.into_iter().for_each(|(array, expected)| refuses(of(array), expected));
    // What 16 bits round off is still a probability.
    assert!(of(p(0.998, 0.001)).is_ok());
}

#[test]
fn an_array_of_a_shape_that_is_none_is_refused_when_it_is_needed() {
    for (name, shape, expected) in [
        (
            "features",
            &[4][..],
            "expected: [n, d], a row of numbers each; got: [4]; hint: it has one dimension: give a row each",
        ),
        (
            "stage2",
            &[4, 3, 1, 1],
            "got: [4, 3, 1, 1]; hint: average over height and width: array.mean((2, 3))",
        ),
        ("probs", &[4, 1], "expected: [n, C], C of 2 or more; got: [4, 1]; hint: for two classes give both"),
        ("probs", &[4], "hint: for two classes give both"),
        ("mc_probs", &[4, 2], "expected: [n, T, C], C of 2 or more"),
        ("committee_probs", &[4, 2, 1], "expected: [n, M, C], C of 2 or more"),
        ("images", &[4, 2, 5, 5], "1 or 3 channels; got: [4, 2, 5, 5]"),
        ("images", &[4, 3, 1, 1], "expected: bytes; got: floating"),
    ] {
        let values = vec![0.5; shape.iter().product()];
        let pool = one(vec![floats(name, shape, values)], Classes::Guess).unwrap();
        assert!(pool.signals(Needs::IDS, Needs::IDS, &mut silent()).is_ok());
        refuses(look(&pool), expected);
    }
}

#[test]
fn arrays_in_parts_are_one_array_and_its_messages_name_every_part() {
    let part = |name: &str, rows: usize, first: i64| {
        let values = (0..2 * rows).map(|n| first as f32 + n as f32).collect();
        vec![
            floats("features", &[rows, 2], values).at(format!("{name}, features")),
            column("ids", first..first + rows as i64).at(format!("{name}, ids")),
        ]
    };
    let joined = |parts: Vec<Vec<Array>>| -> Result<Vec<Array>> {
        let (mut features, mut ids) = (Vec::new(), Vec::new());
        for part in parts {
            let [a, b] = <[Array; 2]>::try_from(part).ok().unwrap();
            features.push(a);
            ids.push(b);
        }
        Ok(vec![Array::joined(features)?, Array::joined(ids)?])
    };
    let arrays = joined(vec![part("a", 2, 10), part("b", 0, 0), part("c", 3, 30)]).unwrap();
    let pool = one(arrays, Classes::Guess).unwrap();
    let (signals, _) = pool.signals(Needs::EMBEDDING, Needs::IDS, &mut silent()).unwrap();
    assert_eq!(signals.ids(), [10, 11, 30, 31, 32]);
    let expected = ndarray::array![[10.0, 11.0], [12.0, 13.0], [30.0, 31.0], [32.0, 33.0], [34.0, 35.0]];
    assert_eq!(signals.embedding().unwrap(), expected);
    let twice = one(joined(vec![part("a", 2, 10), part("c", 3, 11)]).unwrap(), Classes::Guess);
    refuses(twice, "duplicate id; where: a, ids; c, ids, rows 1 and 2");
    let narrow =
        Array::joined(vec![floats("probs", &[1, 3], vec![0.0; 3]), floats("probs", &[1, 2], vec![0.0; 2])]);
    refuses(narrow, "rows of other shapes; where: probs; expected: rows as of probs, [1, 3]; got: [1, 2]");
    let kinds = Array::joined(vec![column("ids", [1]), named("ids", &["a"])]).unwrap();
    refuses(
        one(vec![kinds], Classes::Guess),
        "unsupported array type; where: ids; expected: whole numbers; got: texts",
    );
}

#[test]
fn images_come_with_their_channels_first_last_or_without() {
    let seen = |shape: &[usize]| {
        let pixels = (0..shape.iter().product::<usize>()).map(|n| n as u8).collect::<Vec<u8>>();
        let pool =
            one(vec![Array::new("images", shape, Values::Bytes(Arc::new(pixels)))], Classes::Guess).unwrap();
        look(&pool).unwrap().0.images().unwrap().to_owned()
    };
    let first = seen(&[2, 3, 4, 5]);
    assert_eq!((first.dim(), first[(1, 2, 3, 4)]), ((2, 3, 4, 5), 119));
    let last = seen(&[2, 4, 5, 3]);
    assert_eq!((last.dim(), last[(0, 1, 0, 0)], last[(0, 0, 0, 1)]), ((2, 3, 4, 5), 1, 3));
    assert_eq!(seen(&[2, 4, 5]).dim(), (2, 1, 4, 5));
}

#[test]
fn the_number_of_classes_is_told_or_that_of_the_columns_or_guessed_from_labels() {
    let classes = |arrays: Vec<Array>, told: Classes| one(arrays, told).unwrap().classes();
    let labels = || column("labels", [-1, 4]);
    assert_eq!(classes(vec![labels()], Classes::Count(9)), 9);
    assert_eq!(classes(vec![labels(), probs(2, 7)], Classes::Guess), 7);
    assert_eq!(classes(vec![labels(), column("predicted", [6, -1])], Classes::Guess), 7);
    assert_eq!(classes(vec![labels()], Classes::Guess), 5);
    assert_eq!(classes(vec![column("labels", [-1, 0])], Classes::Guess), 2);
    assert_eq!(classes(vec![column("ids", [1])], Classes::Guess), 2);
    // One column says nothing: that it is no array of probabilities is said when it is needed.
    assert_eq!(classes(vec![labels(), floats("probs", &[2, 1], vec![0.5; 2])], Classes::Guess), 5);
    let named = one(vec![named("labels", &["b", "c"])], Classes::Names(texts(&["a", "b", "c"]))).unwrap();
    assert_eq!((named.classes(), named.labels()), (3, &[1, 2][..]));
}

proptest! {
    /// Whatever is labelled, each row goes to one side with its own values and id, and nothing is
    /// lost.
    #[test]
    fn rows_are_split_by_their_labels(labels in prop::collection::vec(-1_i64..4, 0..40), shuffle in any::<bool>()) {
        let n = labels.len();
        let id = |row: usize| if shuffle { (row * 7919) % 997 } else { row } as i64;
        let values: Vec<f32> = (0..3 * n).map(|value| value as f32).collect();
        let arrays = vec![
            column("labels", labels.clone()), column("ids", (0..n).map(id)), floats("features", &[n, 3], values.clone()),
        ];
        let pool = one(arrays, Classes::Count(4)).unwrap();
        let (unlabelled, labelled) = pool.signals(Needs::EMBEDDING, Needs::EMBEDDING, &mut silent()).unwrap();
        let all = Array2::from_shape_vec((n, 3), values).unwrap();
        for (signals, open) in [(&unlabelled, true), (&labelled, false)] {
            let rows: Vec<usize> = (0..n).filter(|&row| (labels[row] == -1) == open).collect();
            prop_assert_eq!(signals.ids(), rows.iter().map(|&row| id(row) as Id).collect::<Vec<Id>>());
            prop_assert_eq!(signals.embedding().unwrap(), all.select(ndarray::Axis(0), &rows));
        }
        prop_assert_eq!(pool.candidates() + pool.labels().len(), n);
        let known: Vec<Label> = labels.iter().filter(|&&label| label >= 0).map(|&label| label as Label).collect();
        prop_assert_eq!(pool.labels(), &known);
        let back = pool.rows(unlabelled.ids());
        prop_assert!(back.iter().all(|&row| labels[row] == -1) && back.is_sorted());
        prop_assert_eq!(pool.names(unlabelled.ids()), Names::Numbers(back.into_iter().map(id).collect()));
    }

    /// The id of a name does not change with the place of its row, nor with the group that it
    /// stands in. A pool is asked by strategies, and again with its candidates side by side, as a
    /// copy of them lies.
    #[test]
    fn candidates_that_lie_apart_are_not_copied_and_picks_are_those_of_the_copy(
        labels in prop::collection::vec(prop_oneof![3 => Just(-1_i64), 1 => 0_i64..3], 12..60),
        width in 1_usize..6, seed in 0_u64..9, scale in prop::sample::select(vec![1.0_f32, 1e-9]),
    ) {
        let (n, classes, draws) = (labels.len(), 3, 2);
        let mut rng = Seed::new(seed).stream("values");
        let features: Vec<f32> = (0..n * width).map(|_| scale * rng.random::<f32>()).collect();
        let mut probs = |rows: usize| -> Vec<f32> {
            let row = |_| {
                let p: [f32; 3] = [rng.random(), rng.random(), 0.1 + rng.random::<f32>()];
                p.map(|value| value / p.iter().sum::<f32>())
            };
            (0..rows).flat_map(row).collect()
        };
        let pool = one(
            vec![
                floats("features", &[n, width], features),
                floats("probs", &[n, classes], probs(n)),
                floats("mc_probs", &[n, draws, classes], probs(n * draws)),
                floats("committee_probs", &[n, draws, classes], probs(n * draws)),
                column("labels", labels),
            ],
            Classes::Count(classes),
        )
        .unwrap();
        for name in STRATEGIES.names() {
            // Little training, for those that train.
            let brief: &[(&str, i32)] = match name {
                "vabal-paper" | "vabal-official" => &[("epochs", 1), ("minimum_steps", 0), ("draws", 2)],
                "learning-loss" => &[("steps", 2)],
                _ => &[],
            };
            let mut spec = STRATEGIES.find(name).unwrap();
            for &(key, value) in brief {
                spec.set(STRATEGIES, key, &value.into()).unwrap();
            }
            let strategy = STRATEGIES.build(&spec).unwrap();
            assert!(strategy.reads_rows(), "{name}");
            let needs = strategy.needs();
            let ask = |signals: &(Signals<'static>, Signals<'static>)| {
                let query = pool.query(signals, 5, Seed::new(1));
                query.check(&*strategy).and_then(|()| strategy.select(&query, &mut silent()))
            };
            let apart = pool.signals_for(&*strategy, Needs::IDS, &mut silent()).unwrap();
            let copied = pool.signals(needs, strategy.needs_of_labelled(), &mut silent()).unwrap();
            let (chosen, expected) = (ask(&apart), ask(&copied));
            // Learning loss wants two labels, nothing else wants any.
            let refused = name == "learning-loss" && pool.labels().len() < 2;
            prop_assert_eq!(chosen.is_err(), refused, "{}: {:?}", name, chosen);
            prop_assert_eq!(format!("{chosen:?}"), format!("{expected:?}"), "{}", name);
            prop_assert!(!apart.0.is_copied(), "{} asked for a copy", name);
            prop_assert_eq!(&apart.0, &copied.0);
        }
    }

    #[test]
    fn ids_follow_names_and_not_places(names in prop::collection::hash_set("[a-c]{1,4}", 2..12), turn in 0_usize..12, at in 1_usize..12) {
        let mut names: Vec<String> = names.into_iter().collect();
        let array = |names: &[String]| Array::new("ids", [names.len()], names.to_vec());
        let of = |ids: &[Id], names: &[String]| -> BTreeMap<String, Id> { names.iter().cloned().zip(ids.iter().copied()).collect() };
        let first = one(vec![array(&names)], Classes::Guess).unwrap();
        let expected = of(&first.unlabelled.ids, &names);
        prop_assert!(expected.iter().all(|(name, &id)| id == text_id(name)));
        let turn = turn % names.len();
        names.rotate_left(turn);
        let turned = one(vec![array(&names)], Classes::Guess).unwrap();
        prop_assert_eq!(of(&turned.unlabelled.ids, &names), expected.clone());
        prop_assert_eq!(turned.names(&turned.unlabelled.ids), Names::Texts(names.clone()));
        let (u, l) = names.split_at(at.min(names.len() - 1));
        let labels = column("labels", vec![0; l.len()]);
        let pool = two(vec![array(u)], vec![array(l), labels]).unwrap();
        prop_assert_eq!(of(&[pool.unlabelled.ids, pool.labelled.ids].concat(), &names), expected);
    }

    #[test]
    fn numbers_are_ids_themselves_unless_one_is_below_zero(numbers in prop::collection::hash_set(-5_i64..90, 1..9)) {
        let numbers: Vec<i64> = numbers.into_iter().collect();
        let ids = one(vec![column("ids", numbers.clone())], Classes::Guess).unwrap().unlabelled.ids;
        let rank = |number: i64| numbers.iter().filter(|&&other| other < number).count() as i64;
        let below = numbers.iter().any(|&number| number < 0);
        let expected = numbers.iter().map(|&number| if below { rank(number) } else { number } as Id);
        prop_assert_eq!(ids, expected.collect::<Vec<Id>>());
    }
}
