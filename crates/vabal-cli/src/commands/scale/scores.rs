//! The best rows of some parts as a file: a line of JSON that says what they are of, then a line
//! for each row.
//!
//! Never here: scoring.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};
use vabal::query::plan::{Candidate, Name, Top};
use vabal::{Error, Result, files};

/// Of the layout.
const VERSION: u64 = 1;

/// Scores by a plan.
pub struct Scores {
    /// The digest of the plan.
    pub plan: String,
    /// The most picks.
    pub n: usize,
    /// The best rows.
    pub top: Top,
}

impl Scores {
    /// Writes them, whole or not at all.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let head = json!({
            "vabal.scores": VERSION, "plan": self.plan, "n": self.n, "rows": self.top.rows(), "terms": self.top.terms(),
            "candidates": self.top.candidates().count(),
        });
        files::write_with(path, |file| {
            use std::io::Write as _;
            let mut out = std::io::BufWriter::new(file);
            writeln!(out, "{head}")?;
            for candidate in self.top.candidates() {
                let mut line = Map::new();
                let id = match &candidate.name {
                    Name::Number(number) => json!(number),
                    Name::Text(_, text) => json!(text),
                };
                line.insert("id".into(), id);
                line.insert("score".into(), json!(candidate.score));
                line.insert("key".into(), json!(candidate.key));
                line.insert("class".into(), json!(candidate.class));
                line.insert("terms".into(), json!(candidate.terms));
                writeln!(out, "{}", Value::Object(line))?;
            }
            out.flush()
        })
    }

    /// Reads them.
    ///
    /// # Errors
    /// A file that cannot be read, is torn, or of another kind or version.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(Error::io("read", path))?;
        let foreign = |line: usize, got: String| -> Error {
            Error::input("invalid scores file")
                .at(format!("{}, line {line}", path.display()))
                .expected("a file that `vabal score` wrote")
                .got(got)
                .hint("score these parts again")
                .into()
        };
        let mut lines = text.lines().zip(1..);
        let head = lines.next().and_then(|(line, _)| serde_json::from_str::<Value>(line).ok());
        let head = head.unwrap_or_default();
        if head["vabal.scores"] != VERSION {
            return Err(foreign(1, format!("version {}", head["vabal.scores"])));
        }
        let broken = |what: &str| foreign(1, format!("no {what}"));
        let plan = head["plan"].as_str().ok_or_else(|| broken("plan"))?.to_owned();
        let whole =
            |key: &str| head[key].as_u64().and_then(|n| usize::try_from(n).ok()).ok_or_else(|| broken(key));
        let (n, count) = (whole("n")?, whole("candidates")?);
        let rows: Vec<u64> = serde_json::from_value(head["rows"].clone()).map_err(|_| broken("rows"))?;
        let terms: Vec<String> =
            serde_json::from_value(head["terms"].clone()).map_err(|_| broken("terms"))?;
        let mut candidates = Vec::new();
        for (line, number) in lines {
            let found = candidate(line).ok_or_else(|| foreign(number, line.chars().take(60).collect()))?;
            candidates.push(found);
        }
        if candidates.len() != count || rows.is_empty() {
            return Err(foreign(candidates.len() + 1, format!("{} of {count} rows", candidates.len())));
        }
        Ok(Self { plan, n, top: Top::of(n, rows, terms, candidates)? })
    }
}

fn candidate(line: &str) -> Option<Candidate> {
    let value: Value = serde_json::from_str(line).ok()?;
    let name = match &value["id"] {
        Value::Number(number) => Name::Number(number.as_u64()?),
        Value::String(text) => Name::text(text),
        _ => return None,
    };
    Some(Candidate {
        name,
        score: value["score"].as_f64()?,
        key: value["key"].as_u64()?,
        class: usize::try_from(value["class"].as_u64()?).ok()?,
        terms: serde_json::from_value(value["terms"].clone()).ok()?,
    })
}
