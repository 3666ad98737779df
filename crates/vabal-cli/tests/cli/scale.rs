//! `vabal plan`, `score` and `pick`: a pool in parts, as one.

use std::fs;

use crate::arrays::{Array, STORED, changed, i8s, npz, rows, texts, without};
use crate::support::{Place, succeeded, text};

/// `0.npz` to `3.npz`, 100 rows in parts of unlike length, `whole.npz`, all of them, and `l.npz`,
/// 30 labelled rows.
fn place(ids: impl Fn(usize, usize) -> Array) -> Place {
    let place = Place::new();
    let write = |name: &str, n: usize, first: usize, labels: bool| {
        let mut arrays: Vec<Array> = changed(&rows(n, first), ids(n, first));
        arrays.retain(|array| array.name != "stage1" && (labels || array.name != "labels"));
        arrays.iter_mut().filter(|array| array.name == "stage2").for_each(|array| array.name = "features");
        npz(&place.path().join(name), &arrays, STORED);
    };
    for (part, (n, first)) in [(37, 0), (1, 37), (50, 38), (12, 88)].into_iter().enumerate() {
        write(&format!("{part}.npz"), n, first, false);
    }
    write("whole.npz", 100, 0, false);
    write("l.npz", 30, 100, true);
    place
}

fn numbers(n: usize, first: usize) -> Array {
    i8s("ids", (first..first + n).map(|row| (row * 7_919 % 1_009) as i64))
}

fn names(n: usize, first: usize) -> Array {
    texts("ids", &(first..first + n).map(|row| format!("a/{row}.png")).collect::<Vec<_>>())
}

fn read(place: &Place, name: &str) -> String {
    fs::read_to_string(place.path().join(name)).unwrap()
}

#[test]
fn a_pool_in_parts_gives_the_picks_of_rank_byte_for_byte_however_it_is_split() {
    for ids in [numbers, names] {
        let place = place(ids);
        for strategy in ["vabal", "vabal-official", "margin", "random"] {
            let rank = format!(
                "rank --unlabelled whole.npz --labelled l.npz -n 20 --strategy {strategy} --out rank.csv --quiet"
            );
            place.runs(&rank);
            place.runs(&format!(
                "plan 2.npz 0.npz 3.npz 1.npz --labelled l.npz -n 30 --strategy {strategy} --out pool.plan"
            ));
            // On three machines, of which the last has no part.
            for share in 1..=3 {
                place.runs(&format!(
                    "score 0.npz 1.npz --plan pool.plan --part {share}/3 --out s{share}.jsonl"
                ));
            }
            place.runs("score 3.npz 2.npz --plan pool.plan --out rest.jsonl");
            place.runs("pick s3.jsonl rest.jsonl s1.jsonl s2.jsonl --plan pool.plan -n 20 --out picks.csv");
            assert_eq!(read(&place, "picks.csv"), read(&place, "rank.csv"), "{strategy}");
            // The whole as one part.
            place.runs("score whole.npz --plan pool.plan --out whole.jsonl --quiet");
            place.runs("pick whole.jsonl --plan pool.plan -n 20 --out picks.csv --quiet");
            assert_eq!(read(&place, "picks.csv"), read(&place, "rank.csv"), "{strategy}");
        }
    }
}

#[test]
fn labels_may_be_in_the_parts_and_what_is_done_is_said() {
    let place = place(numbers);
    place.runs("rank --unlabelled whole.npz --labelled l.npz -n 9 --out rank.csv --quiet");
    // The labelled rows are in a part of their own, and the others say that they have no label.
    for (name, n, first) in [("0.npz", 37, 0), ("1.npz", 1, 37), ("2.npz", 50, 38), ("3.npz", 12, 88)] {
        let mut arrays = changed(&rows(n, first), numbers(n, first));
        arrays.retain(|array| array.name != "stage1");
        arrays.iter_mut().filter(|array| array.name == "stage2").for_each(|array| array.name = "features");
        npz(&place.path().join(name), &changed(&arrays, i8s("labels", vec![-1; n])), STORED);
    }
    let said = [
        place.runs("plan 0.npz 1.npz 2.npz 3.npz l.npz -n 9 --out pool.plan"),
        place.runs("score 0.npz 1.npz 2.npz 3.npz l.npz --plan pool.plan --out scores.jsonl"),
        place.runs("pick scores.jsonl --plan pool.plan --out picks.csv"),
    ];
    assert_eq!(read(&place, "picks.csv"), read(&place, "rank.csv"));
    // A VAE takes the steps of the rows without a label.
    let vae = "--strategy vabal-official --set minimum_steps=0";
    place.runs(&format!("rank --unlabelled whole.npz --labelled l.npz -n 9 {vae} --out rank.csv --quiet"));
    place.runs(&format!("plan 0.npz 1.npz 2.npz 3.npz l.npz -n 9 {vae} --out vae.plan --quiet"));
    place.runs("score 0.npz 1.npz 2.npz 3.npz l.npz --plan vae.plan --out vae.jsonl --quiet");
    place.runs("pick vae.jsonl --plan vae.plan --out picks.csv --quiet");
    assert_eq!(read(&place, "picks.csv"), read(&place, "rank.csv"));
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn a_sample_is_the_same_rows_however_the_pool_is_split() {
    let place = place(numbers);
    let plan = |parts: &str, out: &str| {
        let output = place.vabal(
            &format!("plan {parts} --labelled l.npz -n 9 --sample 40 --out {out}")
                .split(' ')
                .collect::<Vec<_>>(),
        );
        let output = { output }.output().unwrap();
        let warned = text(&output.stderr);
        succeeded(output);
        warned
    };
    let warned = plan("0.npz 1.npz 2.npz 3.npz", "one.plan");
    assert!(warned.contains("fewer than 20 rows of the sample are predicted as class 1, 2"), "{warned}");
    plan("whole.npz", "other.plan");
    let bytes = |name: &str| fs::read(place.path().join(name)).unwrap();
    assert_eq!(bytes("one.plan"), bytes("other.plan"));
}

#[test]
fn what_does_not_fit_together_is_one_error() {
    let place = place(numbers);
    place.runs("plan 0.npz 1.npz --labelled l.npz -n 5 --out pool.plan");
    place.runs("score 0.npz --plan pool.plan --out a.jsonl");
    place.runs("plan 0.npz --labelled l.npz -n 6 --out other.plan");
    npz(&place.path().join("none.npz"), &without(&rows(5, 300), "ids"), STORED);
    let mut narrow = changed(&rows(5, 300), numbers(5, 300));
    narrow.retain(|array| array.name != "stage2" && array.name != "labels");
    narrow.iter_mut().filter(|array| array.name == "stage1").for_each(|array| array.name = "features");
    npz(&place.path().join("narrow.npz"), &narrow, STORED);
    npz(
        &place.path().join("below.npz"),
        &without(&changed(&rows(2, 0), i8s("ids", [-1, 2])), "labels"),
        STORED,
    );
    let whole = read(&place, "a.jsonl");
    fs::write(place.path().join("torn.jsonl"), &whole[..whole.len() - 30]).unwrap();
    fs::write(place.path().join("short.jsonl"), whole.lines().take(3).collect::<Vec<_>>().join("\n"))
        .unwrap();
    let lines = [
        "plan 0.npz none.npz -n 5 --out x.plan",
        "plan below.npz -n 5 --strategy margin --out x.plan",
        "plan 0.npz 1.npz --labelled l.npz -n 5 --strategy badge --out x.plan",
        "plan 0.npz --labelled l.npz -n 600000 --out x.plan",
        "plan 0.npz -n 0 --out x.plan",
        "plan 0.npz -n 5 --out 0.npz",
        "score narrow.npz --plan pool.plan --out x.jsonl",
        "score 0.npz --plan 0.npz --out x.jsonl",
        "pick a.jsonl a.jsonl --plan pool.plan --out x.csv",
        "pick a.jsonl --plan other.plan --out x.csv",
        "pick a.jsonl --plan pool.plan -n 6 --out x.csv",
        "pick torn.jsonl --plan pool.plan --out x.csv",
        "pick short.jsonl --plan pool.plan --out x.csv",
        "pick pool.plan --plan pool.plan --out x.csv",
        "pick a.jsonl --plan pool.plan --out x.txt",
    ];
    let all: Vec<String> = lines.iter().map(|line| format!("## {line}\n{}", place.refuses(line))).collect();
    assert!(!place.path().join("x.plan").exists() && !place.path().join("x.csv").exists());
    insta::assert_snapshot!(all.join("\n"));
    let share = ["score", "0.npz", "--plan", "pool.plan", "--part", "4/3", "--out", "x.jsonl"];
    assert!(text(&place.vabal(&share).output().unwrap().stderr).contains("3/8 for the third of eight"));
}
