//! `vabal shortlist`, `vabal score --all`, and what is wrong in one row of a part.

use std::fs;

use crate::arrays::{Array, STORED, changed, f4, i8s, npz, of, rows, texts, without};
use crate::support::Place;

/// Rows of features, probabilities and ids.
fn part(n: usize, first: usize, ids: Array) -> Vec<Array> {
    let mut arrays = changed(&rows(n, first), ids);
    arrays.retain(|array| array.name != "stage1" && array.name != "labels");
    arrays.iter_mut().filter(|array| array.name == "stage2").for_each(|array| array.name = "features");
    arrays
}

fn numbers(n: usize, first: usize) -> Array {
    i8s("ids", (first..first + n).map(|row| (row * 7_919 % 100_003) as i64))
}

fn names(n: usize, first: usize) -> Array {
    texts("ids", &(first..first + n).map(|row| format!("a/{row}.png")).collect::<Vec<_>>())
}

/// `0.npz` to `2.npz`, 900 rows in parts of unlike length, `whole.npz`, all of them, and `l.npz`,
/// 30 labelled rows.
fn place(ids: impl Fn(usize, usize) -> Array) -> Place {
    let place = Place::new();
    for (name, n, first) in [("0", 500, 0), ("1", 1, 500), ("2", 399, 501), ("whole", 900, 0)] {
        npz(&place.path().join(format!("{name}.npz")), &part(n, first, ids(n, first)), STORED);
    }
    let labels = of(&rows(30, 900), "labels").clone();
    npz(&place.path().join("l.npz"), &changed(&part(30, 900, ids(30, 900)), labels), STORED);
    place
}

fn read(place: &Place, name: &str) -> String {
    fs::read_to_string(place.path().join(name)).unwrap()
}

#[test]
fn a_shortlist_is_the_same_rows_however_the_pool_is_split_and_rank_reads_it() {
    for ids in [numbers, names] {
        let place = place(ids);
        let rank = |pool: &str, out: &str| {
            place.runs(&format!(
                "rank --unlabelled {pool} --labelled l.npz -n 20 --strategy badge --out {out} --quiet"
            ));
            read(&place, out)
        };
        place.runs("shortlist whole.npz --labelled l.npz -n 120 --out whole.parquet --quiet");
        let said = place.runs("shortlist 2.npz 0.npz 1.npz --labelled l.npz -n 120 --out parts.parquet");
        assert!(said.contains("of 900 rows in parts.parquet"), "{said}");
        let bytes = |name: &str| fs::read(place.path().join(name)).unwrap();
        assert!(bytes("whole.parquet") == bytes("parts.parquet"));
        assert_eq!(rank("whole.parquet", "a.csv"), rank("parts.parquet", "b.csv"));
        // As long as the pool, it is the pool.
        place.runs("shortlist whole.npz -n 3000 --out all.parquet --quiet");
        assert_eq!(rank("all.parquet", "a.csv"), rank("whole.npz", "b.csv"));
    }
}

#[test]
fn the_scores_of_all_rows_come_in_the_order_of_the_pool() {
    let place = place(names);
    place.runs("plan 0.npz 1.npz 2.npz --labelled l.npz -n 900 --out p.plan --quiet");
    place.runs("score 0.npz 1.npz 2.npz --plan p.plan --all --out all.csv --quiet");
    place.runs("score 0.npz 1.npz 2.npz --plan p.plan --all --out all.jsonl --quiet");
    place.runs("score 0.npz 1.npz 2.npz --plan p.plan --out best.jsonl --quiet");
    place.runs("pick best.jsonl --plan p.plan --out picks.csv --quiet");
    let (all, picks) = (read(&place, "all.csv"), read(&place, "picks.csv"));
    let ids: Vec<&str> = all.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!(ids, (0..900).map(|row| format!("a/{row}.png")).collect::<Vec<_>>());
    // The same numbers as those of the picks, of which there are as many.
    let mut lines: Vec<&str> = all.lines().collect();
    let mut of_picks: Vec<&str> = picks.lines().map(|line| line.split_once(',').unwrap().1).collect();
    lines.sort_unstable();
    of_picks.sort_unstable();
    assert_eq!(lines, of_picks);
    let first: serde_json::Value =
        serde_json::from_str(read(&place, "all.jsonl").lines().next().unwrap()).unwrap();
    assert_eq!((&first["id"], first["predicted"].is_u64()), (&"a/0.png".into(), true));
    let line = "score 0.npz --plan p.plan --all --out all.parquet";
    assert!(place.refuses(line).contains("with --all, a file ending in .csv"));
}

#[test]
fn what_is_wrong_in_a_part_is_one_error_with_the_id() {
    let place = place(numbers);
    place.runs("plan whole.npz --labelled l.npz -n 5 --out p.plan --quiet");
    let all = part(300, 0, numbers(300, 0));
    let id = 250 * 7_919 % 100_003;
    let broken = |name: &'static str, value: f32| {
        let mut array = of(&all, name).clone();
        let at = array.bytes.len() / 300 * 250 + 4;
        array.bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        changed(&all, array)
    };
    let score = |arrays: &[Array]| {
        npz(&place.path().join("bad.npz"), arrays, STORED);
        place.refuses("score 0.npz bad.npz --plan p.plan --out s.jsonl")
    };
    for (name, what) in [("features", "a feature is not finite"), ("probs", "a probability is out of range")]
    {
        let error = score(&broken(name, f32::NAN));
        assert!(error.contains(what) && error.contains(&format!("row 250, id {id}")), "{error}");
    }
    let four = f4("probs", &[300, 4], (0..1200).map(|_| 0.25));
    let error = score(&changed(&all, four));
    assert!(error.contains("another number of classes") && error.contains("bad.npz"), "{error}");
    let error = score(&without(&all, "probs"));
    assert!(error.contains("an array is missing") && error.contains("bad.npz"), "{error}");
    let ids = |value: f64| {
        let values = (0..300).map(move |row| if row == 250 { value } else { f64::from(row) });
        let bytes = values.flat_map(f64::to_le_bytes).collect();
        changed(&all, Array { name: "ids", descr: "<f8", shape: vec![300], bytes })
    };
    let error = score(&ids(f64::NAN));
    assert!(error.contains("bad.npz, ids"), "{error}");
    let below = i8s("ids", (0..300).map(|row| if row == 250 { -3 } else { row }));
    let error = score(&changed(&all, below));
    assert!(error.contains("an id is below 0") && error.contains("got: -3"), "{error}");
    assert!(!place.path().join("s.jsonl").exists());

    let list = |line: &str| place.refuses(line);
    let error = list("shortlist whole.npz --labelled l.npz -n 8 --out c.parquet");
    assert!(error.contains("9, three a class, to 1000000"), "{error}");
    let error = list("shortlist whole.npz --labelled l.npz --out c.csv");
    assert!(error.contains("a file ending in .parquet"), "{error}");
    npz(&place.path().join("none.npz"), &without(&all, "ids"), STORED);
    let error = list("shortlist 0.npz none.npz --out c.parquet");
    assert!(error.contains("a part without ids"), "{error}");
    npz(&place.path().join("both.npz"), &changed(&all, numbers(300, 700)), STORED);
    let error = list("shortlist 0.npz both.npz --labelled l.npz --out c.parquet");
    assert!(error.contains("an id is in both pools"), "{error}");
}
