//! The report as a whole: numbers worked out by hand, hostile names, torn runs, files.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::synthetic::{Shape, experiment};
use super::*;
use crate::experiment::record::{Asked, Phase, Pick, RoundRecord, RunRecord, Summary};
use crate::experiment::thumbnail::Thumbnail;
use crate::metrics::Metrics;

const TRAP: &str = "<script>alert(1)</script>";

fn round(round: usize, class_counts: [usize; 2], recall: [f64; 2], last: bool) -> RoundRecord {
    let pick = Pick { id: 7, label: 1, score: 0.5, terms: vec![("predicted".into(), 0.0)] };
    RoundRecord {
        round,
        class_counts: class_counts.to_vec(),
        unlabelled: 90,
        // Three test images of the first class for each of the second.
        metrics: Metrics {
            accuracy: 0.75 * recall[0] + 0.25 * recall[1],
            balanced_accuracy: (recall[0] + recall[1]) / 2.0,
            macro_f1: 0.5,
            recall: recall.map(Some).to_vec(),
            calibration_error: 0.125,
        },
        picks: if last { Vec::new() } else { vec![pick] },
        // Half of what is asked is wrong, of batches.
        asked: (!last).then_some(Asked { wrong_share: 0.5, error_auc: None }),
        vae: None,
        phases: vec![Phase { name: "train".into(), seconds: 1.5, peak_bytes: Some(3 << 20) }],
    }
}

fn run(strategy: &str, seed: u64, last: [f64; 2]) -> RunRecord {
    let rounds = vec![round(1, [9, 1], [0.5, 0.25], false), round(2, [15, 5], last, true)];
    RunRecord { strategy: strategy.into(), seed, rounds }
}

/// Two strategies, two seeds, two rounds: every number can be worked out by hand.
fn small() -> Experiment {
    let summary = Summary {
        name: "small".into(),
        data: "toy".into(),
        classes: vec!["bolt".into(), "crack".into()],
        pool_counts: vec![90, 10],
        test_counts: vec![3, 1],
        rare: vec![1],
        config: "rounds = 2\nseeds = [1, 2]\n".into(),
        machine: vec![("cores".into(), "2".into())],
    };
    let runs = vec![
        run("random", 1, [0.5, 0.5]),
        run("random", 2, [0.75, 0.5]),
        run("vabal", 1, [0.75, 0.75]),
        run("vabal", 2, [1.0, 0.75]),
    ];
    let thumbnail = Thumbnail { width: 2, height: 2, rgb: [10, 200, 30].repeat(4) };
    Experiment { summary, runs, thumbnails: BTreeMap::from([(7, thumbnail)]) }
}

fn file<'a>(report: &'a Report, name: &str) -> &'a str {
    let (_, bytes) = report.files.iter().find(|(other, _)| other == name).unwrap();
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn results_agree_with_a_case_worked_by_hand() {
    let report = make(&[small()], "files").unwrap();
    // Accuracy in round 1 is 0.75 · 0.5 + 0.25 · 0.25 = 0.4375 throughout. In round 2 random has
    // 0.5 and 0.6875, vabal 0.75 and 0.9375: averages 0.46875 and 0.5625, then 0.59375 and 0.6875.
    // The differences are 0.125 in both seeds.
    let csv = file(&report, "results.csv");
    let line = |start: &str| csv.lines().find(|line| line.starts_with(start)).unwrap();
    let sd = (2.0_f64 * 0.046_875 * 0.046_875).sqrt();
    assert_eq!(
        line("small,toy,random,accuracy,average"),
        format!("small,toy,random,accuracy,average,2,0.515625,{sd},false,,,,,,,false,")
    );
    assert_eq!(
        line("small,toy,vabal,accuracy,average"),
        format!("small,toy,vabal,accuracy,average,2,0.640625,{sd},true,0.125,0,,,2,2,false,")
    );
    assert!(line("small,toy,vabal,accuracy,final").contains(",2,0.84375,"));
    let markdown = file(&report, "results.md");
    assert!(markdown.contains("| vabal | 2 | **64.1 ± 6.6** |"), "{markdown}");
    // Balanced accuracy of random is 0.375 in round 1, then 0.5 and 0.625; recall of the first
    // class 0.5 and 0.75.
    for row in [
        "| Round | Labels | random | vabal |",
        "| 1 | 10 | 37.5 ± 0.0 | 37.5 ± 0.0 |",
        "| 2 | 20 | 56.2 ± 8.8 | 81.2 ± 8.8 |",
        "| bolt | 3 | 62.5 ± 17.7 | 87.5 ± 17.7 |",
        "| crack (rare) | 1 | 50.0 ± 0.0 | 75.0 ± 0.0 |",
        "| Macro-F1, final | Calibration error, average |",
    ] {
        assert!(markdown.contains(row), "{row} is not in\n{markdown}");
    }
    let (curves, recall) = (file(&report, "curves.csv"), file(&report, "recall.csv"));
    assert_eq!(curves.lines().count(), 1 + 2 * 4 * 2);
    assert!(curves.contains("\nsmall,toy,vabal,balanced accuracy,1,10,2,0.375,0\n"), "{curves}");
    assert!(curves.contains("\nsmall,toy,random,calibration error,2,20,2,0.125,0\n"), "{curves}");
    assert_eq!(recall.lines().count(), 1 + 2 * 2);
    assert!(recall.contains("\nsmall,toy,random,1,crack,true,1,2,0.5,0\n"), "{recall}");
    assert!(
        markdown.contains(
            "| vabal | Accuracy, average | +12.5 ± 0.0 | – | 2 of 2 | ▲ ahead (2 seeds, may be chance) |"
        ),
        "{markdown}"
    );
}

#[test]
fn the_other_tables_hold_every_record() {
    let report = make(&[small()], "files").unwrap();
    let rounds = file(&report, "rounds.csv");
    assert_eq!(rounds.lines().count(), 1 + 8);
    assert!(
        rounds.contains("\nsmall,toy,vabal,2,2,20,90,0.9375,0.875,0.5,0.125,0.25,1.5,3145728,,,,,,,,\n"),
        "{rounds}"
    );
    let picks = file(&report, "picks.csv");
    assert_eq!(picks.lines().next().unwrap().split(',').next_back(), Some("term_predicted"));
    assert!(picks.contains("\nsmall,toy,random,1,1,1,7,1,crack,0.5,0\n"), "{picks}");
    let classes = file(&report, "classes.csv");
    assert!(classes.contains("\nsmall,toy,vabal,1,2,1,crack,true,5,0.75\n"), "{classes}");
    assert!(file(&report, "phases.csv").contains("\nsmall,toy,random,2,1,train,1.5,3145728\n"));
}

#[test]
fn the_page_of_a_small_experiment_reads_as_recorded() {
    let report = make(&[small()], "report-files").unwrap();
    insta::assert_snapshot!(words(&report.page));
}

/// The text of a page, without style, drawings and pictures.
fn words(page: &str) -> String {
    let (mut out, mut rest) = (String::new(), page);
    while let Some(start) = rest.find('<') {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        let skipped = ["style", "svg"].iter().find(|tag| rest[1..].starts_with(**tag));
        let end = match skipped {
            Some(tag) => rest.find(&format!("</{tag}>")).unwrap() + tag.len() + 3,
            None => rest.find('>').unwrap() + 1,
        };
        let tag = rest[1..end - 1].split(' ').next().unwrap();
        out.push_str(match tag {
            "th" | "td" => " | ",
            "h1" | "h2" | "h3" | "h4" => "\n## ",
            "li" => "- ",
            "svg" => "[figure] ",
            "img" => "[picture] ",
            "b" | "span" => " ",
            _ => "",
        });
        rest = &rest[end..];
    }
    let lines: Vec<&str> = out.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join("\n")
}

#[test]
fn nothing_that_a_user_named_becomes_markup() {
    let mut trapped = small();
    trapped.summary.name = TRAP.into();
    trapped.summary.data = TRAP.into();
    trapped.summary.classes = vec![TRAP.into(), format!("\"'&{TRAP}")];
    trapped.summary.config = TRAP.into();
    trapped.summary.machine = vec![(TRAP.into(), TRAP.into())];
    for run in &mut trapped.runs {
        run.strategy += TRAP;
        for round in &mut run.rounds {
            round.phases[0].name = TRAP.into();
            for pick in &mut round.picks {
                pick.terms.push((TRAP.into(), 1.0));
            }
        }
    }
    let report = make(&[trapped.clone(), trapped], TRAP).unwrap();
    assert!(!report.page.contains("<script"));
    for (name, bytes) in &report.files {
        assert!(!name.contains(['<', '>']), "{name}");
        if name.ends_with(".svg") || name.ends_with(".md") {
            assert!(!std::str::from_utf8(bytes).unwrap().contains("<script"), "{name}");
        }
    }
}

#[test]
fn the_page_needs_no_network_and_no_script() {
    let all = vec!["random", "entropy", "vabal"];
    let made = experiment(&Shape { strategies: all, seeds: 2, rounds: 3, classes: 4 });
    let page = make(&[made], "files").unwrap().page;
    let page = page.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
    for bad in ["http:", "https:", "//", "<script", "<link", "@import", "javascript:"] {
        // Base64 may hold two slashes, but always between quotes or brackets after "base64,".
        let held = without_data(&page);
        assert!(!held.contains(bad), "{bad}");
    }
    for (attribute, good) in
        [("src=\"", "data:image/png;base64,"), ("href=\"", "#"), ("url(", "data:font/ttf;base64,")]
    {
        let mut values = page.split(attribute).skip(1).peekable();
        assert!(values.peek().is_some());
        for value in values {
            assert!(value.starts_with(good), "{attribute}{}", &value[..30]);
        }
    }
}

fn without_data(page: &str) -> String {
    let mut parts = page.split("base64,");
    let mut out = parts.next().unwrap().to_owned();
    for part in parts {
        out.push_str(&part[part.find(['"', ')']).unwrap()..]);
    }
    out
}

#[test]
fn every_anchor_of_the_page_has_its_one_target() {
    let two = [small(), small()];
    let page = make(&two, "files").unwrap().page;
    let ids: Vec<&str> = page.split(" id=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    let unique: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!(unique.len(), ids.len());
    for target in page.split("href=\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(ids.contains(&target), "{target}");
    }
}

#[test]
fn every_figure_is_sound_svg_and_a_png_of_its_size_that_is_not_blank() {
    let all = vec!["random", "entropy", "vabal"];
    let made = experiment(&Shape { strategies: all, seeds: 2, rounds: 3, classes: 4 });
    let report = make(&[made], "files").unwrap();
    let mut figures = 0;
    for (name, bytes) in report.files.iter().filter(|(name, _)| name.ends_with(".svg")) {
        let text = std::str::from_utf8(bytes).unwrap();
        let document = resvg::usvg::roxmltree::Document::parse(text).unwrap();
        let millimetres: f64 =
            document.root_element().attribute("width").unwrap().trim_end_matches("mm").parse().unwrap();
        let column = if name == "top-images.svg" { 174.0 } else { 85.0 };
        assert!((millimetres - column).abs() < 0.1, "{name}: {millimetres} mm");
        let png = name.replace(".svg", ".png");
        let (_, bytes) = report.files.iter().find(|(other, _)| *other == png).unwrap();
        let picture = image::load_from_memory(bytes).unwrap().to_rgba8();
        assert_eq!(picture.width(), (column / 25.4 * 300.0_f64).round() as u32, "{name}");
        let first = picture.get_pixel(0, 0);
        let marked = picture.pixels().filter(|pixel| *pixel != first).count();
        assert!(marked * 200 > picture.pixels().len(), "{name} is nearly blank: {marked}");
        figures += 1;
    }
    assert_eq!(figures, 10);
}

#[test]
fn the_pictures_of_the_first_picks_are_in_the_raster_image() {
    let report = make(&[small()], "files").unwrap();
    let (_, png) = report.files.iter().find(|(name, _)| name == "top-images.png").unwrap();
    let picture = image::load_from_memory(png).unwrap().to_rgb8();
    assert!(picture.pixels().filter(|pixel| pixel.0 == [10, 200, 30]).count() > 20_000);
}

#[test]
fn what_was_asked_first_is_shown_of_one_seed_that_all_strategies_have() {
    let mut made = small();
    let seeds = |made: &Experiment| {
        let section = Section::new(made);
        let (_, asked) = figures::asked(&section).remove(0);
        let of = |record: &RoundRecord| {
            made.runs.iter().find(|run| run.rounds.contains(record)).map(|run| run.seed)
        };
        asked.iter().map(|(_, record)| of(record).unwrap()).collect::<Vec<_>>()
    };
    for run in &mut made.runs {
        // The rounds of each run are its own.
        run.rounds[0].unlabelled = 90 + run.seed as usize;
    }
    assert_eq!(seeds(&made), [1, 1]);
    // Seed 1 was added and has not come to the second strategy.
    made.runs.retain(|run| (run.strategy.as_str(), run.seed) != ("vabal", 1));
    assert_eq!(seeds(&made), [2, 2]);
}

#[test]
fn the_same_records_give_the_same_bytes() {
    let shape = Shape { strategies: vec!["random", "vabal"], seeds: 2, rounds: 2, classes: 3 };
    assert_eq!(make(&[experiment(&shape)], "f").unwrap(), make(&[experiment(&shape)], "f").unwrap());
}

#[test]
fn the_lowest_calibration_error_is_the_best() {
    let mut made = small();
    for run in made.runs.iter_mut().filter(|run| run.strategy == "random") {
        run.rounds[1].metrics.calibration_error = 0.0625;
    }
    let report = make(&[made], "files").unwrap();
    let csv = file(&report, "results.csv");
    assert!(csv.contains("random,calibration error,final,2,0.0625,0,true,"), "{csv}");
    assert!(csv.contains("vabal,calibration error,final,2,0.125,0,false,0.0625,0,,,0,2"), "{csv}");
}

#[test]
fn a_bound_is_marked_and_never_best_and_tells_how_far_the_others_go() {
    let mut made = small();
    made.runs.push(run("class-balanced", 1, [1.0, 1.0]));
    made.runs.push(run("class-balanced", 2, [1.0, 1.0]));
    let report = make(&[made], "files").unwrap();
    let markdown = file(&report, "results.md");
    // In the last round random has accuracies of 0.5 and 0.6875, vabal 0.75 and 0.9375, the bound 1
    // and 1: 0.5 / 0.8125.
    for part in [
        "| class-balanced (knows the labels) | 2 | 71.9 ± 0.0 |",
        "| vabal | 2 | **64.1 ± 6.6** |",
        "| vabal | Accuracy, final | +25.0 ± 0.0 | – | 2 of 2 | 62 | ▲ ahead (2 seeds, may be chance) |",
        "| class-balanced (knows the labels) | Accuracy, final | +40.6 ± 13.3 | – | 2 of 2 | – | bound |",
        "Way to the bound, %",
        "class-balanced is a bound and no strategy: it knows the labels",
        "Highest accuracy, average over rounds: vabal (",
    ] {
        assert!(markdown.contains(part), "{part} is not in\n{markdown}");
    }
    assert!(
        !markdown.contains("Ahead of random in average accuracy: vabal (+12.5 points) and"),
        "{markdown}"
    );
    let csv = file(&report, "results.csv");
    let line = |start: &str| csv.lines().find(|line| line.starts_with(start)).unwrap();
    assert!(line("small,toy,vabal,accuracy,final").ends_with(&format!(",false,{}", 0.5 / 0.8125)));
    let bound = line("small,toy,class-balanced,accuracy,final");
    assert!(bound.contains(",2,1,0,false,") && bound.ends_with(",true,"), "{bound}");
}

#[test]
fn long_tables_are_folded() {
    let made = |classes| experiment(&Shape { strategies: vec!["random"], seeds: 1, rounds: 2, classes });
    let folded = "<summary>Recall of every class as a table</summary>";
    assert!(!make(&[made(12)], "files").unwrap().page.contains(folded));
    assert!(make(&[made(13)], "files").unwrap().page.contains(folded));
}

#[test]
fn one_seed_has_no_band_and_says_so() {
    let mut one = small();
    one.runs.retain(|run| run.seed == 1);
    let report = make(&[one], "files").unwrap();
    assert!(report.page.contains("One seed: there is no spread"));
    assert!(!report.page.contains("fill-opacity") && !file(&report, "accuracy.svg").contains("fill-opacity"));
    assert!(make(&[small()], "files").unwrap().page.contains("fill-opacity"));
}

#[test]
fn a_strategy_that_loses_is_shown_as_losing() {
    let mut lost = small();
    lost.runs[2] = run("vabal", 1, [0.25, 0.25]);
    lost.runs[3] = run("vabal", 2, [0.25, 0.25]);
    let page = make(&[lost], "files").unwrap().page;
    assert!(page.contains("Behind random in average accuracy: vabal ("));
    assert!(page.contains("<td class=\"bad words\">▼ behind (2 seeds, may be chance)</td>"));
}

#[test]
fn an_unfinished_run_is_named_and_kept_out_of_the_tables() {
    let mut torn = small();
    torn.runs[3].rounds.truncate(1);
    // Cut short between its training and its question.
    torn.runs[3].rounds[0].picks.clear();
    let report = make(&[torn], "files").unwrap();
    assert!(report.page.contains("Unfinished: vabal with seed 2 (1 round)."));
    let markdown = file(&report, "results.md");
    assert!(markdown.contains("| vabal | 1 of 2 | **59.4** |"), "{markdown}");
    assert_eq!(file(&report, "rounds.csv").lines().count(), 1 + 7);
}

#[test]
fn without_any_finished_run_the_rounds_in_common_are_compared() {
    let mut torn = small();
    for run in &mut torn.runs {
        run.rounds.truncate(1);
    }
    torn.runs.push(RunRecord { strategy: "entropy".into(), seed: 1, rounds: Vec::new() });
    let report = make(&[torn], "files").unwrap();
    assert!(report.page.contains("No run is finished: the tables compare the first 1 round"));
    let markdown = file(&report, "results.md");
    assert!(markdown.contains("| random | 2 | **43.8 ± 0.0** |"), "{markdown}");
    assert!(!markdown.contains("| entropy"));
}

#[test]
fn an_experiment_without_a_round_has_a_page_that_says_so() {
    let mut empty = small();
    empty.runs.clear();
    let page = make(&[empty], "files").unwrap().page;
    assert!(page.contains("There is no finished round to show.") && page.contains("no round finished yet"));
    assert!(make(&[], "files").is_err());
}

#[test]
fn odd_counts_of_everything_are_drawn() {
    let many: Vec<&'static str> =
        vec!["random", "a", "b", "c", "d", "e", "f", "g", "h", "a strategy with a very long name indeed"];
    for (strategies, seeds, rounds, classes) in
        [(many, 1, 2, 2), (vec!["entropy"], 1, 1, 1000), (vec!["random", "vabal"], 2, 12, 60)]
    {
        let made = experiment(&Shape { strategies, seeds, rounds, classes });
        let report = make(&[made], "files").unwrap();
        for bad in ["NaN", "inf\"", "=\"-inf"] {
            assert!(!without_data(&report.page).contains(bad), "{bad}");
        }
    }
}

#[test]
fn folders_of_one_configuration_are_joined_and_others_stand_side_by_side() {
    let part = |seed: u64| {
        let mut part = small();
        part.runs.retain(|run| run.seed == seed);
        part.summary.config = format!("rounds = 2\nseeds = [{seed}]\n");
        part
    };
    let folder = |text: &str| PathBuf::from(text);
    let joined = join(vec![(folder("a"), part(1)), (folder("b"), part(2))]).unwrap();
    assert_eq!(joined.len(), 1);
    assert_eq!(joined[0].runs.len(), 4);
    assert!(
        joined[0].summary.config.contains("seeds = [1]") && joined[0].summary.config.contains("seeds = [2]")
    );
    let settings = |seed: u64, text: &str| {
        let mut part = part(seed);
        part.summary.config += text;
        (folder(text), part)
    };
    let groups = |given| join(given).unwrap().len();
    assert_eq!(groups(vec![settings(1, "[strategy.a]\nk = 1"), settings(2, "[strategy.b]\nk = 2")]), 1);
    assert_eq!(groups(vec![settings(1, "[strategy.a]\nk = 1"), settings(2, "[strategy.a]\nk = 2")]), 2);
    let mut other = part(2);
    other.summary.config = "rounds = 3".into();
    assert_eq!(join(vec![(folder("a"), part(1)), (folder("b"), other)]).unwrap().len(), 2);
    let error = join(vec![(folder("a"), part(1)), (folder("b"), part(1))]).unwrap_err().to_string();
    assert!(error.contains("a and b") && error.contains("seed 1"), "{error}");
}

#[test]
fn experiments_of_one_name_keep_their_files_apart() {
    let report = make(&[small(), small()], "files").unwrap();
    let names: std::collections::BTreeSet<_> = report.files.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), report.files.len());
    assert!(names.contains(&"2-small/accuracy.svg".to_owned()));
    let (_, svg) = report.files.iter().find(|(name, _)| name == "critical-difference.svg").unwrap();
    assert!(resvg::usvg::roxmltree::Document::parse(std::str::from_utf8(svg).unwrap()).is_ok());
    assert!(report.page.contains("id=\"across-critical-difference-title\""));
}

#[test]
fn the_page_is_written_after_its_files_and_not_at_all_where_they_cannot_be() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("out/report.html");
    let report = make(&[small()], "report-files").unwrap();
    write(&report, &page, &files_beside(&page)).unwrap();
    assert_eq!(std::fs::read_to_string(&page).unwrap(), report.page);
    assert!(folder.path().join("out/report-files/accuracy.png").exists());

    let page = folder.path().join("second.html");
    std::fs::write(folder.path().join("second-files"), "in the way").unwrap();
    let error = write(&report, &page, &files_beside(&page)).unwrap_err().to_string();
    assert!(error.contains("second-files") && error.contains("got: a file"), "{error}");
    assert!(!page.exists());

    let taken = folder.path().join("out");
    let error = write(&report, &taken, &files_beside(&taken)).unwrap_err().to_string();
    assert!(error.contains("got: a folder") && error.contains("report.html"), "{error}");
    assert!(!files_beside(&taken).exists());
}

#[test]
fn a_folder_that_holds_no_run_is_named_with_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    let error = read(&[folder.path().to_path_buf()]).unwrap_err().to_string();
    assert!(error.contains(&folder.path().display().to_string()) && error.contains("hint:"), "{error}");
}
