//! Against shortest paths by breadth-first search in the graphs themselves, and lines worked by
//! hand.

use std::collections::VecDeque;

use ndarray::Array2;
use proptest::prelude::{ProptestConfig, prop, prop_assert_eq, proptest};

use super::*;
use crate::progress::silent;
use crate::term;
use crate::{Seed, Signals};

/// Rows of probabilities; `labels` says which are labelled. Ids are rows.
fn select(p: &Array2<f32>, labels: &[Option<Label>], n: usize) -> Selection {
    let signals = |is_labelled: bool| {
        let rows: Vec<usize> = (0..labels.len()).filter(|&i| labels[i].is_some() == is_labelled).collect();
        let ids = rows.iter().map(|&row| row as Id).collect();
        Signals::new(ids).with_probabilities(p.select(ndarray::Axis(0), &rows)).unwrap()
    };
    let known: Vec<Label> = labels.iter().filter_map(|&label| label).collect();
    let query = Query {
        unlabelled: &signals(false),
        labelled: &signals(true),
        labels: &known,
        classes: p.ncols(),
        n,
        seed: Seed::new(3),
    };
    Galaxy.select(&query, &mut silent()).unwrap()
}

/// Steps from the nearest of the marks of one kind to every place, in the graph of an order.
fn steps(marks: &[Option<bool>], order: usize, of_class: bool) -> Vec<usize> {
    let mut steps = vec![usize::MAX; marks.len()];
    let mut queue: VecDeque<usize> = (0..marks.len()).filter(|&i| marks[i] == Some(of_class)).collect();
    queue.iter().for_each(|&i| steps[i] = 0);
    while let Some(i) = queue.pop_front() {
        for j in i.saturating_sub(order)..(i + order + 1).min(marks.len()) {
            let is_cut = marks[i].is_some() && marks[j].is_some() && marks[i] != marks[j];
            if j != i && !is_cut && steps[j] == usize::MAX {
                steps[j] = steps[i] + 1;
                queue.push_back(j);
            }
        }
    }
    steps
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn every_pick_is_the_middle_of_a_shortest_path_at_the_smallest_order_that_has_one(
        rows in prop::collection::vec((prop::array::uniform3(1_u8..9), prop::option::weighted(0.25, 0_u32..3)), 1..50),
        n in 1_usize..50,
    ) {
        let weight = |i: usize, class: usize| f32::from(rows[i].0[class]);
        let p = Array2::from_shape_fn((rows.len(), 3), |(i, class)| {
            weight(i, class) / (0..3).map(|class| weight(i, class)).sum::<f32>()
        });
        let mut labels: Vec<Option<Label>> = rows.iter().map(|&(_, label)| label).collect();
        let n = n.min(labels.iter().filter(|label| label.is_none()).count());
        let selection = select(&p, &labels, n);
        prop_assert_eq!(selection.ids.len(), n);
        if n == 0 {
            return Ok(());
        }

        let mut counts = [0; 3];
        labels.iter().flatten().for_each(|&label| counts[label as usize] += 1);
        let mut turns = vec![0, 1, 2];
        turns.sort_by_key(|&class| counts[class]);
        turns.truncate(n);
        let mut orders = [1; 3];
        let (class, path) = (selection.term(term::CLASS).unwrap(), selection.term(term::PATH).unwrap());
        for (place, &id) in selection.ids.iter().enumerate() {
            let predicted = argmax(p.row(id as usize).iter().copied());
            if selection_has_no_labels(&counts) {
                prop_assert_eq!(path[place], 0.0);
                continue;
            }
            let turn = turns[place % turns.len()];
            prop_assert_eq!(class[place], turn as f64);
            let mut line: Vec<usize> = (0..rows.len()).collect();
            let margin = |i: usize| {
                let largest = p.row(i).iter().copied().fold(0.0, f32::max);
                (p[[i, turn]] - largest, largest)
            };
            line.sort_by(|&a, &b| margin(a).partial_cmp(&margin(b)).unwrap().then(a.cmp(&b)));
            let marks: Vec<Option<bool>> =
                line.iter().map(|&i| labels[i].map(|label| label as usize == turn)).collect();
            let both = marks.contains(&Some(true)) && marks.contains(&Some(false));
            if both {
                let at = line.iter().position(|&i| i as Id == id).unwrap();
                let shortest = |order: usize| {
                    let steps = steps(&marks, order, true);
                    (0..line.len()).filter(|&i| marks[i] == Some(false)).map(|i| steps[i]).min().unwrap()
                };
                while shortest(orders[turn]) == usize::MAX {
                    orders[turn] += 1;
                }
                let order = orders[turn];
                let length = shortest(order);
                prop_assert_eq!(path[place] as usize, length);
                prop_assert_eq!(steps(&marks, order, true)[at], length / 2);
                prop_assert_eq!(steps(&marks, order, false)[at], length - length / 2);
            } else {
                prop_assert_eq!(path[place], 0.0);
            }
            // Until an answer comes, the classifier's prediction stands for it.
            labels[id as usize] = Some(predicted);
        }
    }
}

fn selection_has_no_labels(counts: &[i32]) -> bool {
    counts.iter().sum::<i32>() == 0
}

/// Two classes in one line: the chance of class 1 grows with the row.
fn line(rows: usize) -> Array2<f32> {
    Array2::from_shape_fn((rows, 2), |(i, class)| {
        let p = (i as f32 + 0.6) / rows as f32;
        if class == 1 { p } else { 1.0 - p }
    })
}

#[test]
fn a_line_is_bisected_towards_where_the_classifier_changes_its_mind() {
    // 17 rows, the ends labelled; the classifier says 1 from row 8 on.
    let mut labels = vec![None; 17];
    (labels[0], labels[16]) = (Some(0), Some(1));
    let chosen = select(&line(17), &labels, 4);
    // Class 0 first: the middle, taken for 1; then class 1: the middle below; and so on to the cut.
    assert_eq!(chosen.ids, [8, 4, 6, 7]);
    assert_eq!(chosen.term(term::PATH).unwrap(), [16.0, 8.0, 4.0, 2.0]);
    assert_eq!(chosen.term(term::CLASS).unwrap(), [0.0, 1.0, 0.0, 1.0]);
    assert_eq!(chosen.term(term::PREDICTED).unwrap(), [1.0, 0.0, 0.0, 0.0]);
    assert_eq!(chosen.scores, [0.0, -1.0, -2.0, -3.0]);
    // After the cut at 7 | 8 is found, what lies round it, at ever larger orders.
    let more = select(&line(17), &labels, 8);
    assert_eq!(more.ids[..4], chosen.ids);
    assert_eq!(more.ids[4..].iter().map(|&id| id.abs_diff(8)).max(), Some(3), "{:?}", more.ids);
    assert!(more.term(term::PATH).unwrap()[4..].iter().all(|&path| path == 2.0));
}

#[test]
fn rare_classes_get_their_turn_first_and_classes_without_labels_a_draw() {
    // Of 5 classes, 3 has no label, 2 has one, 0 and 1 two and three.
    let p =
        Array2::from_shape_fn((60, 5), |(i, class)| if i % 5 == class { 0.6 } else { 0.1 } + i as f32 * 1e-5);
    let mut labels = vec![None; 60];
    for (i, label) in [(0, 0), (5, 0), (1, 1), (6, 1), (11, 1), (2, 2), (4, 4), (9, 4)] {
        labels[i] = Some(label);
    }
    let chosen = select(&p, &labels, 3);
    assert_eq!(chosen.term(term::CLASS).unwrap(), [3.0, 2.0, 0.0]);
    assert_eq!(chosen.term(term::PATH).unwrap()[0], 0.0);
    assert!(chosen.term(term::PATH).unwrap()[1..].iter().all(|&path| path > 1.0));
}

#[test]
fn with_many_classes_and_few_picks_only_as_many_lines_are_made() {
    let p = Array2::from_shape_fn(
        (300, 1000),
        |(i, class)| if (i * 7 + class) % 1000 == 0 { 0.5 } else { 0.0005 },
    );
    let labels: Vec<Option<Label>> = (0..300).map(|i| (i % 10 == 0).then_some(i as Label)).collect();
    let chosen = select(&p, &labels, 50);
    assert_eq!(chosen.ids.len(), 50);
}
