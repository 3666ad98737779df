//! What another model says, in every way that a file may have it.

use super::super::*;

fn guesses(text: &str, format: Format) -> Result<Labels> {
    read(text.as_bytes(), format, &Reading { suggestions: true, ..Reading::default() })
}

/// Path, class and probabilities of a record.
type Told<'a> = (&'a str, &'a str, Vec<(&'a str, f64)>);

fn all(labels: &Labels) -> Vec<Told<'_>> {
    labels
        .records
        .iter()
        .map(|record| {
            let p = record.probabilities.iter().map(|(class, p)| (class.as_str(), *p)).collect();
            (record.path.as_str(), record.answer.class.as_deref().unwrap_or_default(), p)
        })
        .collect()
}

#[test]
fn a_class_with_or_without_its_probability() {
    let csv =
        guesses("path,class,confidence\na.png,crack,0.9\nb.png,dent,\nc.png,,0.5\n", Format::Csv).unwrap();
    assert_eq!(all(&csv), [("a.png", "crack", vec![("crack", 0.9)]), ("b.png", "dent", vec![])]);
    assert_eq!(csv.left_out.values().sum::<usize>(), 1);
    let others = guesses("image;prediction;score\na.png;crack;0.25\n", Format::Csv).unwrap();
    assert_eq!(all(&others), [("a.png", "crack", vec![("crack", 0.25)])]);
    let lines =
        guesses("{\"path\":\"a.png\",\"label\":\"crack\",\"probability\":1}\n", Format::JsonLines).unwrap();
    assert_eq!(all(&lines), [("a.png", "crack", vec![("crack", 1.0)])]);
    // As labels, a file of suggestions is read as ever.
    let labels =
        read(b"path,class,confidence\na.png,crack,many\n", Format::Csv, &Reading::default()).unwrap();
    assert!(labels.records[0].probabilities.is_empty());
}

#[test]
fn a_probability_for_each_class() {
    let expected = [
        ("a.png", "crack", vec![("crack", 0.7), ("dent", 0.3)]),
        ("b.png", "dent", vec![("dent", 0.6), ("crack", 0.4)]),
    ];
    let wide = guesses("path,hash,crack,dent\na.png,,0.7,0.3\nb.png,,0.4,0.6\n", Format::Csv).unwrap();
    assert_eq!(all(&wide), expected);
    // As `vabal predict` writes it.
    let text = "path,class,confidence,p crack,p dent\na.png,crack,0.7,0.7,0.3\nb.png,dent,0.6,0.4,0.6\n";
    assert_eq!(all(&guesses(text, Format::Csv).unwrap()), expected);
    let text = "{\"path\":\"a.png\",\"probabilities\":{\"dent\":0.3,\"crack\":0.7}}\n\
                {\"path\":\"b.png\",\"crack\":0.4,\"dent\":0.6}\n";
    assert_eq!(all(&guesses(text, Format::JsonLines).unwrap()), expected);
}

#[test]
fn the_predictions_of_label_studio_and_not_its_annotations() {
    let says = |class: &str| {
        format!("[{{\"type\":\"choices\",\"from_name\":\"class\",\"value\":{{\"choices\":[\"{class}\"]}}}}]")
    };
    let task = format!(
        "[{{\"data\":{{\"image\":\"a.png\"}},\"annotations\":[{{\"result\":{}}}],\
         \"predictions\":[{{\"score\":0.8,\"result\":{}}}]}},\
         {{\"data\":{{\"image\":\"b.png\"}},\"predictions\":[]}}]",
        says("dent"),
        says("crack"),
    );
    let found = guesses(&task, Format::LabelStudio).unwrap();
    assert_eq!(all(&found), [("a.png", "crack", vec![("crack", 0.8)])]);
    let labels = read(task.as_bytes(), Format::LabelStudio, &Reading::default()).unwrap();
    assert_eq!(all(&labels), [("a.png", "dent", vec![])]);
}

#[test]
fn what_is_no_suggestion_is_named_by_line() {
    for (text, says) in [
        ("path,class,confidence\na.png,crack,90\n", "line 2"),
        ("path,crack,dent\na.png,0.5,0.5\nb.png,0.5,-1\n", "line 3"),
        ("path,crack,dent\na.png,NaN,0.5\n", "no probability"),
        ("path,note\na.png,good\n", "what the model takes an image for"),
        ("class,confidence\ncrack,0.5\n", "which image"),
    ] {
        let error = guesses(text, Format::Csv).unwrap_err().to_string();
        assert!(error.contains(says) && error.contains("hint: "), "{text}: {error}");
    }
    let error = guesses("{\"path\":\"a\",\"probabilities\":{\"x\":\"y\"}}", Format::JsonLines)
        .unwrap_err()
        .to_string();
    assert!(error.contains("line 1") && error.contains("no probability"), "{error}");
}
