//! How long a key press waits in a large project: `cargo run --release --package vabal --example
//! bench_project -- [IMAGES] [ANSWERS] [FOLDER]`.
//!
//! The project is made of rows alone, without files. Times are of this thread: the request and the
//! page come on top.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::path::PathBuf;
use std::time::Instant;

use rusqlite::{Connection, params};
use vabal::project::{
    Act, Answer, Answers, ImageId, ListQuery, Prediction, Project, Queued, ReviewKind, Settings, Sort,
    Source, Summary,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let images: i64 = arguments.next().map_or(Ok(100_000), |text| text.parse())?;
    let answers: i64 = arguments.next().map_or(Ok(20_000), |text| text.parse())?;
    let folder = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = folder.join(format!("bench-project-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("images"))?;
    let classes: Vec<String> = (0..10).map(|n| format!("class {n}")).collect();
    let project =
        Project::create(&folder.join("project"), &folder.join("images"), &classes, Settings::default())?;
    fill(project.folder(), images, answers)?;
    drop(project);

    let mut project = Project::open(&folder.join("project"))?;
    let trained = project.training_set()?.0;
    let round = project.begin_round("vabal", trained.len(), 1)?;
    let summary = Summary { classes: (0..10).collect(), prior: vec![0.1; 10], ..Summary::default() };
    let predictions = (1..=images).map(|image| {
        let probabilities = (0..10).map(|class| if class == image % 10 { 0.55 } else { 0.05 }).collect();
        Prediction { image: ImageId(image), probabilities }
    });
    let candidates = time("candidates", 1, || project.candidates())?;
    let queue = candidates.iter().take(1000).map(|candidate| Queued {
        image: candidate.image,
        score: 0.0,
        terms: vec![("predicted".into(), 1.0), ("energy".into(), 0.5)],
    });
    let queue: Vec<Queued> = queue.collect();
    time("finish_round", 1, || {
        project.finish_round(round, &summary, &trained, predictions.clone(), queue.clone())
    })?;

    let mut waits = Vec::new();
    let mut have = Vec::new();
    for n in 0..2_000 {
        if have.is_empty() {
            have = project.next("ann", 12, &[])?.questions.iter().map(|image| image.id).collect();
        }
        let start = Instant::now();
        let image = have.remove(0);
        let answer =
            Answer { image, act: Act::Label, class: Some(n % 10), seconds: Some(1.0), suggested: None };
        project.answer(&Answers {
            person: "ann".into(),
            token: format!("bench {n}"),
            answers: vec![answer],
            duplicates: false,
            source: Source::Page,
        })?;
        have.extend(project.next("ann", 1, &have)?.questions.iter().map(|image| image.id));
        waits.push(start.elapsed().as_secs_f64() * 1e3);
        if n % 5 == 4 {
            project.undo("ann", None)?;
        }
    }
    waits.sort_by(f64::total_cmp);
    println!(
        "answer + next: median {:.2} ms, 99 % below {:.2} ms, longest {:.2} ms",
        waits[1000], waits[1980], waits[1999]
    );
    time("overview", 20, || project.overview())?;
    time("training_set", 5, || project.training_set())?;
    let list = |sort| ListQuery { sort: Some(sort), ..ListQuery::default() };
    for sort in [Sort::Id, Sort::Path, Sort::Confidence, Sort::Doubt, Sort::Recent] {
        time(&format!("list by {}", sort.word()), 5, || project.list(&list(sort)))?;
    }
    let search = ListQuery { search: Some("999".into()), ..ListQuery::default() };
    time("search", 5, || project.list(&search))?;
    time("review of doubts", 5, || project.review(ReviewKind::Doubt, None, None))?;
    time("duplicates", 5, || project.duplicates(false, None, None))?;
    time("near-duplicates", 5, || project.duplicates(true, None, None))?;
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

fn time<T>(what: &str, times: u32, mut work: impl FnMut() -> vabal::Result<T>) -> vabal::Result<T> {
    let start = Instant::now();
    for _ in 1..times {
        work()?;
    }
    let last = work()?;
    println!("{what}: {:.1} ms", start.elapsed().as_secs_f64() * 1e3 / f64::from(times));
    Ok(last)
}

/// Rows as an import would have written them, and answers of two persons.
fn fill(folder: &std::path::Path, images: i64, answers: i64) -> rusqlite::Result<()> {
    let mut sql = Connection::open(folder.join("project.sqlite"))?;
    let sql = sql.transaction()?;
    let mut state = 1_u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state ^ state >> 31
    };
    let mut hash = vec![0_u8; 32];
    for image in 1..=images {
        // One in fifty is a copy of the one before.
        if image % 50 != 0 {
            hash.chunks_exact_mut(8).for_each(|eight| eight.copy_from_slice(&random().to_le_bytes()));
        }
        let holdout = hash[0] < 51;
        let path = format!("folder {:03}/image {image:06}.png", image % 100);
        sql.prepare_cached(
            "INSERT INTO images (path, hash, bytes, changed, width, height, look, holdout, added, draw)
             VALUES (?1, ?2, 1000, 1, 64, 64, ?3, ?4, 1, ?5)",
        )?
        .execute(params![path, hash, random().cast_signed(), holdout, random().cast_signed()])?;
    }
    for n in 0..answers {
        let image = 1 + (n * 7) % images;
        sql.prepare_cached(
            "INSERT INTO answers (image, person, at, act, class, source, token)
             VALUES (?1, ?2, ?3, 'label', ?4, 'page', ?5)",
        )?
        .execute(params![
            image,
            if n % 3 == 0 { "ann" } else { "bob" },
            n,
            image % 10,
            format!("old {n}/0")
        ])?;
    }
    sql.execute_batch(
        "INSERT INTO states SELECT image, state, class, at, answers FROM current;
         UPDATE images SET ask = 0 WHERE hash IN (SELECT hash FROM images JOIN states USING (image));",
    )?;
    sql.commit()
}
