//! The demo: the whole loop on the embedded set, at an input small enough for a test.

use std::fs;

use crate::support::{Place, succeeded};

#[test]
fn the_demo_needs_no_data_and_ends_with_a_report_of_its_strategies() {
    let place = Place::new();
    let sets = ["classifier.size=16", "seeds=[1]", "rounds.count=2"];
    let mut command = place.vabal(&["demo", "--out", "shown"]);
    let said = succeeded(command.args(sets.iter().flat_map(|set| ["--set", set])).output().unwrap());
    assert!(said.contains("1680 images to choose from, 1000 to test on"), "{said}");
    assert!(said.contains("Next: open shown/report.html"), "{said}");
    let page = fs::read_to_string(place.path().join("shown/report.html")).unwrap();
    for part in ["random", "margin", "vabal", "T-shirt/top", "Ankle boot"] {
        assert!(page.contains(part), "{part} is not on the page");
    }
    let rounds = fs::read_to_string(place.path().join("shown/report-files/rounds.csv")).unwrap();
    assert_eq!(rounds.lines().count(), 1 + 4 * 2);
    // Only what the command names is written.
    assert!(!place.path().join("runs").exists());

    // Finished already: the second start shows the same as events, the report last.
    let mut command = place.vabal(&["demo", "--out", "shown", "--json"]);
    let said = succeeded(command.args(sets.iter().flat_map(|set| ["--set", set])).output().unwrap());
    let events: Vec<serde_json::Value> =
        said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [.., finished, report] = events.as_slice() else { panic!("{said}") };
    assert_eq!((&finished["event"], &finished["already"]), (&"finished".into(), &true.into()));
    assert_eq!(report["event"], "report");
    let path = |key: &str| place.path().join(report[key].as_str().unwrap());
    assert!(path("page").is_file() && path("files").join("results.csv").is_file(), "{report}");
}
