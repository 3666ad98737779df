//! What is said of files that cannot be read or written.

use super::super::*;

fn says(bytes: &[u8], format: Format) -> String {
    read(bytes, format, &Reading::default()).unwrap_err().to_string()
}

#[test]
fn every_complaint_says_where_and_what() {
    let csv = |text: &str| says(text.as_bytes(), Format::Csv);
    let lines = |text: &str| says(text.as_bytes(), Format::JsonLines);
    let studio = |text: &str| says(text.as_bytes(), Format::LabelStudio);
    let twice = "answer,path,act,class,undoes\n1,a,label,x,\n";
    let cases = [
        csv(""),
        csv("\n \n"),
        csv("name,class\na,b\n"),
        csv("path,x\na,b\n"),
        csv("path,Label,label\na,b,c\n"),
        csv("path,class\na,b\na,b,c\n"),
        csv("path,class\n,b\n"),
        csv("path,class\n\"a,b\nc,d\n"),
        csv("path,class\n\"a\"x,b\n"),
        csv("path,class,act\n\na,b,lable\n"),
        csv("path,class,act\na,,label\n"),
        csv("path,class,act\na,,undo\n"),
        csv("path,class,source\na,b,me\n"),
        csv("path,class,at\na,b,yesterday\n"),
        csv("path,class,seconds\na,b,-1\n"),
        csv("path,class,answer\na,b,one\n"),
        csv("path,class,answer\na,b,\n"),
        csv(&format!("path,class\na,{}\n", "x".repeat(40_000))),
        csv("path,class,answer\na,b,1\nb,b,1\n"),
        csv(&format!("{twice}2,a,undo,,3\n")),
        csv(&format!("{twice}2,a,undo,,1\n3,a,undo,,1\n")),
        csv(&format!("{twice}2,a,undo,,1\n3,a,undo,,2\n")),
        csv(&(0..=1001).fold("path,class\n".to_owned(), |text, n| format!("{text}a,{n}\n"))),
        says(b"path,class\na,b\n\xff,x\n", Format::Csv),
        lines("{\"path\": \"a\", \"class\": \"b\"},\n"),
        lines("[{\"path\": \"a\"}]"),
        lines("\n{\"name\": \"a\", \"class\": \"b\"}\n"),
        lines("{\"path\": \"a\", \"class\": \"b\", \"act\": \"go\"}\n"),
        lines("{\"vabal\": \"labels\", \"format\": 2}\n"),
        lines("{\"vabal\": \"labels\", \"format\": 1}\n"),
        studio("{\"a\": 1}\n{\"a\": 2}"),
        studio("{\"a\": 1}"),
        studio("[{\"image\": \"/data/upload/a.png\", \"choice\": \"x\"}]"),
        studio(
            "[{\"data\": {\"image\": \"a\"}, \"annotations\": []}, {\"data\": {\"text\": \"a\"}, \"annotations\": []}]",
        ),
        Format::of_path(Path::new("labels.xlsx")).unwrap_err().to_string(),
        Format::of("xml").unwrap_err().to_string(),
    ];
    insta::assert_snapshot!(cases.join("\n\n"));
}

#[test]
fn a_file_is_named_and_told_by_its_ending() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let bad = read_file(&file("bad.CSV", "path,class\na,b,c\n"), None, &Reading::default())
        .unwrap_err()
        .to_string();
    assert!(bad.contains("bad.CSV, line 2"), "{bad}");
    for (name, text) in [
        ("a.tsv", "path\tclass\na\tb\n"),
        ("a.ndjson", "{\"path\":\"a\",\"class\":\"b\"}"),
        (
            "a.json",
            "[{\"data\":{\"image\":\"a\"},\"annotations\":[{\"result\":[{\"value\":{\"choices\":[\"b\"]}}]}]}]",
        ),
    ] {
        let labels = read_file(&file(name, text), None, &Reading::default()).unwrap();
        assert_eq!((labels.records[0].path.as_str(), labels.records.len()), ("a", 1), "{name}");
    }
    assert!(read_file(&folder.path().join("none.csv"), None, &Reading::default()).is_err());
    assert!(read_file(folder.path(), Some(Format::Csv), &Reading::default()).is_err());
}
