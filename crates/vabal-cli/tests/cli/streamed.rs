//! Pools in slices: the same picks whatever the layout, the row groups and the parts; and `vabal
//! rank` of a pool that is too large to be held.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use parquet::data_type::{ByteArray, ByteArrayType, FloatType, Int64Type};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use crate::arrays::{Array, STORED, changed, f4, i8s, npz, of, rows, texts, without};
use crate::support::{Place, refused, succeeded, text};

/// How numbers lie in a column.
#[derive(Clone, Copy, Debug)]
enum Layout {
    Lists,
    Bytes,
    Halves,
    /// Under a name that does not say the type.
    Untold(bool),
}

/// Writes whole numbers and floats as Parquet, in groups of rows.
fn parquet(path: &Path, arrays: &[Array], group: usize, layout: Layout) {
    let column = |array: &Array| match (array.descr, layout) {
        ("<i8", _) => format!("required int64 {};", array.name),
        (_, Layout::Lists) => {
            format!(
                "optional group {} (LIST) {{ repeated group list {{ optional float element; }} }}",
                array.name
            )
        }
        (_, Layout::Bytes) => format!("required binary {}_f32;", array.name),
        (_, Layout::Untold(_)) => format!("required binary {};", array.name),
        (_, Layout::Halves) => format!("required binary {}_f16;", array.name),
    };
    let schema: String = arrays.iter().map(column).collect();
    let schema = parse_message_type(&format!("message schema {{ {schema} }}")).unwrap();
    let file = fs::File::create(path).unwrap();
    let mut writer = SerializedFileWriter::new(file, Arc::new(schema), Arc::default()).unwrap();
    let n = arrays[0].shape[0];
    for first in (0..n).step_by(group) {
        let rows = first..(first + group).min(n);
        let mut next = writer.next_row_group().unwrap();
        for array in arrays {
            let width: usize = array.shape[1..].iter().product();
            let mut column = next.next_column().unwrap().unwrap();
            if array.descr == "<i8" {
                let values: Vec<i64> =
                    array.bytes.as_chunks().0[rows.clone()].iter().map(|b| i64::from_le_bytes(*b)).collect();
                column.typed::<Int64Type>().write_batch(&values, None, None).unwrap();
            } else if let Layout::Lists = layout {
                let values = &array.values()[rows.start * width..rows.end * width];
                let lists: Vec<i16> = (0..values.len()).map(|n| i16::from(n % width > 0)).collect();
                let there = vec![3; values.len()];
                column.typed::<FloatType>().write_batch(values, Some(&there), Some(&lists)).unwrap();
            } else {
                let half = matches!(layout, Layout::Halves | Layout::Untold(true));
                let array = if half { array.as_f2() } else { array.clone() };
                let size = array.bytes.len() / n;
                let values: Vec<ByteArray> =
                    array.bytes.chunks(size).map(|row| row.to_vec().into()).collect();
                column.typed::<ByteArrayType>().write_batch(&values[rows.clone()], None, None).unwrap();
            }
            column.close().unwrap();
        }
        next.close().unwrap();
    }
    writer.close().unwrap();
}

/// Rows `first` to `first + n` of a pool: features, probabilities, ids.
fn pool(n: usize, first: usize) -> Vec<Array> {
    let mut arrays = changed(&rows(n, first), i8s("ids", (first..first + n).map(|row| row as i64 * 3 + 7)));
    arrays.retain(|array| array.name != "stage1" && array.name != "labels");
    arrays.iter_mut().filter(|array| array.name == "stage2").for_each(|array| array.name = "features");
    arrays
}

fn labelled(place: &Place) {
    let mut arrays = changed(&rows(30, 9_000_000), i8s("ids", 9_000_000..9_000_030));
    arrays.retain(|array| array.name != "stage1");
    arrays.iter_mut().filter(|array| array.name == "stage2").for_each(|array| array.name = "features");
    npz(&place.path().join("l.npz"), &arrays, STORED);
}

fn read(place: &Place, name: &str) -> Vec<u8> {
    fs::read(place.path().join(name)).unwrap()
}

#[test]
fn layout_row_groups_and_parts_change_no_byte_of_the_picks() {
    let place = Place::new();
    labelled(&place);
    let n = 1500;
    npz(&place.path().join("whole.npz"), &pool(n, 0), STORED);
    for strategy in ["margin", "vabal"] {
        place.runs(&format!(
            "rank --unlabelled whole.npz --labelled l.npz -n 70 --strategy {strategy} --out rank.csv --quiet"
        ));
        for (case, (group, layout)) in [1, 7, 1000]
            .into_iter()
            .flat_map(|group| [Layout::Lists, Layout::Bytes, Layout::Halves].map(|layout| (group, layout)))
            .enumerate()
        {
            // With each layout 1, 2 and 7 parts, each scored by a process of its own.
            let count = [1, 2, 7][(case + case / 3) % 3];
            let size = usize::div_ceil(n, count);
            let names: Vec<String> = (0..count).map(|part| format!("{part}.parquet")).collect();
            for (part, name) in names.iter().enumerate() {
                let (first, end) = (part * size, n.min((part + 1) * size));
                parquet(&place.path().join(name), &pool(end - first, first), group, layout);
            }
            let names = names.join(" ");
            place.runs(&format!(
                "plan {names} --labelled l.npz -n 70 --strategy {strategy} --out p.plan --quiet"
            ));
            let mut scores = Vec::new();
            for part in 1..=count {
                place.runs(&format!(
                    "score {names} --plan p.plan --part {part}/{count} --out {part}.jsonl --quiet"
                ));
                scores.push(format!("{part}.jsonl"));
            }
            place.runs(&format!("pick {} --plan p.plan --out picks.csv --quiet", scores.join(" ")));
            let case = format!("{strategy} {group} {layout:?} {count}");
            assert_eq!(read(&place, "picks.csv"), read(&place, "rank.csv"), "{case}");
            // All parts in one process: the same file of scores each time.
            place.runs(&format!("score {names} --plan p.plan --out all.jsonl --quiet"));
            let once = read(&place, "all.jsonl");
            place.runs(&format!("score {names} --plan p.plan --out all.jsonl --quiet"));
            assert_eq!(read(&place, "all.jsonl"), once, "{case}");
        }
    }
}

#[test]
fn bytes_without_a_type_in_their_name_are_as_wide_as_the_plan_says() {
    let place = Place::new();
    labelled(&place);
    let all = pool(300, 0);
    let layouts = [Layout::Lists, Layout::Untold(false), Layout::Untold(true)];
    for (layout, name) in layouts.into_iter().zip(["lists", "f32", "f16"]) {
        parquet(&place.path().join(format!("{name}.parquet")), &all, 64, layout);
    }
    place.runs("plan lists.parquet --labelled l.npz -n 40 --out p.plan --quiet");
    for name in ["lists", "f32", "f16"] {
        place.runs(&format!("score {name}.parquet --plan p.plan --out {name}.jsonl --quiet"));
        assert_eq!(read(&place, &format!("{name}.jsonl")), read(&place, "lists.jsonl"));
    }
    let line = "plan f16.parquet --labelled l.npz -n 40 --out q.plan";
    let error = refused(&place, &mut place.vabal(&line.split(' ').collect::<Vec<_>>()));
    assert!(error.contains("features_f16 or features_f32"), "{error}");
}

/// Rows from which a pool is read in slices.
const MANY: usize = 200_000;

/// As [`pool`], with few operations a row.
fn large(n: usize, first: usize) -> Vec<Array> {
    let all = first..first + n;
    let p = all.clone().flat_map(|row| {
        let a = (row * 7_919 % 127) as f32 / 256.0;
        let b = (row * 104_729 % 89) as f32 / 256.0;
        [a, b, 1.0 - a - b]
    });
    let noise = |row: usize, j: usize| ((row * 37 + j * 53 + row * j * 7) % 64) as f32 / 64.0;
    let features = all.clone().flat_map(|row| {
        (0..9).map(move |j| noise(row, j) + if j % 3 == row * 7_919 % 3 { 2.0 } else { 0.0 })
    });
    vec![
        f4("probs", &[n, 3], p.collect::<Vec<_>>()),
        f4("features", &[n, 9], features.collect::<Vec<_>>()),
        i8s("ids", all.map(|row| row as i64 * 3 + 7)),
    ]
}

#[test]
fn a_pool_that_is_too_large_to_be_held_is_ranked_as_one_that_is_held() {
    let place = Place::new();
    labelled(&place);
    let n = MANY + 501;
    let path = |name: &str| place.path().join(name);
    let all = large(n, 0);
    parquet(&path("all.parquet"), &all, 3000, Layout::Lists);
    npz(&path("all.npz"), &all, STORED);
    for (part, (first, end)) in [(0, 60_001), (60_001, n)].into_iter().enumerate() {
        let arrays = large(end - first, first);
        npz(&path(&format!("{part}.npz")), &arrays, STORED);
        // Parts of several files side by side are looked at as a whole.
        npz(&path(&format!("p{part}.npz")), &without(&arrays, "ids"), STORED);
        npz(&path(&format!("i{part}.npz")), &[of(&arrays, "ids").clone()], STORED);
    }
    let ways = ["all.parquet", "all.npz", "0.npz 1.npz", "1.npz 0.npz"];
    for strategy in ["margin", "entropy", "least-confidence", "random"] {
        let rank = |pool: &str, out: &str| {
            place.runs(&format!(
                "rank --unlabelled {pool} --labelled l.npz -n 300 --strategy {strategy} --out {out} --quiet"
            ))
        };
        rank("p0.npz p1.npz i0.npz i1.npz", "held.csv");
        for way in ways {
            rank(way, "picks.csv");
            assert_eq!(read(&place, "picks.csv"), read(&place, "held.csv"), "{strategy} {way}");
        }
    }
    // The Gaussian is of the sample, as in a plan.
    place.runs("plan 1.npz 0.npz --labelled l.npz -n 300 --out p.plan --quiet");
    place.runs("score 0.npz 1.npz --plan p.plan --out s.jsonl --quiet");
    place.runs("pick s.jsonl --plan p.plan --out planned.csv --quiet");
    for way in ways {
        place.runs(&format!("rank --unlabelled {way} --labelled l.npz -n 300 --out picks.csv --quiet"));
        assert_eq!(read(&place, "picks.csv"), read(&place, "planned.csv"), "{way}");
    }
    // What is said, without ids and with labels among the rows.
    let labels: Vec<i64> =
        (0..n).map(|row| if row % 1000 == 1 { (row / 1000 % 3) as i64 } else { -1 }).collect();
    npz(&path("one.npz"), &changed(&without(&all, "ids"), i8s("labels", labels.clone())), STORED);
    let output = place
        .vabal(&["rank", "--unlabelled", "one.npz", "-n", "4", "--strategy", "margin"])
        .output()
        .unwrap();
    let said = text(&output.stderr);
    insta::assert_snapshot!(format!("{}\n{said}", succeeded(output)));
    // In two files, rows are called by their numbers in both together.
    for (name, (first, end)) in [("a.npz", (0, 90_000)), ("b.npz", (90_000, n))] {
        let part = |array: &Array| {
            let row = array.bytes.len() / n;
            let shape = [&[end - first], &array.shape[1..]].concat();
            Array { bytes: array.bytes[first * row..end * row].to_vec(), shape, ..array.clone() }
        };
        let arrays = changed(&without(&all, "ids"), i8s("labels", labels.clone()));
        npz(&path(name), &arrays.iter().map(part).collect::<Vec<_>>(), STORED);
    }
    for strategy in ["margin", "random", "vabal"] {
        let rank =
            |pool: &str| place.runs(&format!("rank --unlabelled {pool} -n 50 --strategy {strategy} --quiet"));
        assert_eq!(rank("a.npz b.npz"), rank("one.npz"), "{strategy}");
    }
    let events = place.runs("rank --unlabelled all.npz --labelled l.npz -n 2 --strategy margin --json");
    assert!(events.contains("\"phase\":\"score\"") && events.contains("\"event\":\"pick\""), "{events}");
}

/// Rows with two classes and two features, of which few lie far away.
fn wide_apart(rows: std::ops::Range<usize>) -> Vec<Array> {
    let n = rows.len();
    let p = rows.clone().flat_map(|row| {
        let p = (row * 7_919 % 127 + 1) as f32 / 256.0;
        [p, 1.0 - p]
    });
    let features = rows.clone().flat_map(|row| {
        let far = if row * 7_919 % 100_003 < 3 { 40.0 } else { 1.0 };
        [(row * 37 % 1_009) as f32 / 1_009.0 * far, (row * 53 % 997) as f32 / 997.0 * far]
    });
    vec![
        f4("probs", &[n, 2], p.collect::<Vec<_>>()),
        f4("features", &[n, 2], features.collect::<Vec<_>>()),
        i8s("ids", rows.map(|row| row as i64 * 3 + 7)),
    ]
}

#[test]
fn strategies_that_compare_rows_choose_from_a_pool_in_slices_however_it_is_split() {
    let place = Place::new();
    let n = 1_000_501;
    let path = |name: &str| place.path().join(name);
    parquet(&path("all.parquet"), &wide_apart(0..n), 100_000, Layout::Lists);
    npz(&path("0.npz"), &wide_apart(0..600_001), STORED);
    npz(&path("1.npz"), &wide_apart(600_001..n), STORED);
    let mut labelled = wide_apart(2_000_000..2_000_020);
    labelled.push(i8s("labels", (0..20).map(|row| row % 2)));
    npz(&path("l.npz"), &labelled, STORED);
    // Several files side by side, in several parts, are held.
    for (part, rows) in [0..600_001, 600_001..n].into_iter().enumerate() {
        let arrays = wide_apart(rows);
        npz(&path(&format!("p{part}.npz")), &without(&arrays, "ids"), STORED);
        npz(&path(&format!("i{part}.npz")), &[of(&arrays, "ids").clone()], STORED);
    }
    for (strategy, note) in [
        ("badge", "candidates are drawn and counted in 5 passes"),
        ("core-set", "core-set chooses in 1 part, and then among what is chosen there"),
    ] {
        let rank = |pool: &str, out: &str| {
            place.runs(&format!(
                "rank --unlabelled {pool} --labelled l.npz -n 40 --strategy {strategy} --out {out} --json"
            ))
        };
        let said = rank("all.parquet", "all.csv");
        assert!(said.contains(note), "{said}");
        for way in ["0.npz 1.npz", "1.npz 0.npz"] {
            rank(way, "picks.csv");
            assert_eq!(read(&place, "picks.csv"), read(&place, "all.csv"), "{strategy} {way}");
        }
        if strategy == "core-set" {
            // One part, of which all that is chosen is chosen again.
            rank("p0.npz p1.npz i0.npz i1.npz", "held.csv");
            assert_eq!(read(&place, "held.csv"), read(&place, "all.csv"));
        }
        let picks = fs::read_to_string(path("all.csv")).unwrap();
        let ids: std::collections::BTreeSet<usize> = (picks.lines().skip(1))
            .map(|line| line.split(',').nth(1).unwrap().parse::<usize>().unwrap())
            .collect();
        assert_eq!(ids.len(), 40);
        let far = ids.iter().filter(|&&id| (id - 7) / 3 * 7_919 % 100_003 < 3).count();
        assert!(far > 4, "{far} of the few that lie far away\n{picks}");
    }
    // What is labelled lies in the pool, the largest label last.
    for (part, rows) in [0..600_001, 600_001..n].into_iter().enumerate() {
        let labels = rows.clone().map(|row| if row + 20 < n { -1 } else { (row % 5) as i64 });
        let features = without(&wide_apart(rows.clone()), "probs");
        let arrays = changed(&features, i8s("labels", labels.collect::<Vec<_>>()));
        npz(&path(&format!("q{part}.npz")), &arrays, STORED);
    }
    for (pool, out) in [("q0.npz q1.npz", "one.csv"), ("q1.npz q0.npz", "other.csv")] {
        place.runs(&format!("rank --unlabelled {pool} -n 40 --strategy core-set --out {out} --quiet"));
    }
    assert_eq!(read(&place, "one.csv"), read(&place, "other.csv"));
}

#[test]
fn what_is_wrong_in_one_row_of_a_large_pool_is_named() {
    let place = Place::new();
    labelled(&place);
    let n = MANY + 2;
    let all = large(n, 0);
    let rank = |arrays: &[Array]| {
        npz(&place.path().join("u.npz"), arrays, STORED);
        let args = [
            "rank",
            "--unlabelled",
            "u.npz",
            "--labelled",
            "l.npz",
            "-n",
            "5",
            "--strategy",
            "margin",
            "--quiet",
        ];
        refused(&place, &mut place.vabal(&args))
    };
    let ids = |at: usize, id: i64| {
        let ids = (0..n).map(move |row| if row == at { id } else { row as i64 * 3 + 7 });
        changed(&all, i8s("ids", ids))
    };
    let mut probs = of(&all, "probs").clone();
    let at = (n - 1) * 12 + 4;
    probs.bytes[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    let names: Vec<String> = (0..n).map(|row| format!("{row}.png")).collect();
    let errors = [
        rank(&changed(&all, probs)),
        rank(&ids(n - 1, 9_000_004)),
        rank(&ids(150_000, 150_000 * 3 + 10)),
        rank(&changed(&all, texts("ids", &names))),
    ];
    assert!(errors[0].contains(&format!("row {}, id {}", n - 1, (n - 1) * 3 + 7)), "{}", errors[0]);
    assert!(errors[1].contains("an id is in both pools") && errors[1].contains("9000004"), "{}", errors[1]);
    assert!(errors[2].contains("duplicate id") && errors[2].contains("450010"), "{}", errors[2]);
    assert!(errors[3].contains("of two kinds"), "{}", errors[3]);
    // Ids below 0 are numbered over the whole pool, which is then held.
    npz(&place.path().join("u.npz"), &ids(3, -5), STORED);
    place.runs("rank --unlabelled u.npz --labelled l.npz -n 5 --strategy margin --quiet");
}
