//! The report of experiments: one self-contained page, and the same as CSV, Markdown, SVG and PNG.
//!
//! The same records give the same bytes: no time, no path, no machine but the one in the records.
//! Never here: how numbers over runs are computed ([`super::summary`]), how a run is stored.
//!
//! ```no_run
//! use std::path::Path;
//! use vabal::experiment::report;
//!
//! let experiments = report::read(&["runs/demo".into()])?;
//! let made = report::make(&experiments, "demo")?;
//! report::write(&made, Path::new("demo.html"), Path::new("demo"))?;
//! # Ok::<(), vabal::Error>(())
//! ```

mod across;
mod axis;
mod chart;
mod csv;
mod figures;
mod gather;
mod page;
mod raster;
mod reasons;
mod section;
mod svg;
mod tables;
mod text;

use std::path::{Path, PathBuf};

pub use gather::{join, read};
pub use raster::{REGULAR as FONT, SEMI_BOLD as FONT_SEMI_BOLD};
pub use section::Experiment;

use crate::error::{Error, Result};
use crate::files;
use section::Section;
use svg::Theme;

/// Everything a report is made of: the page, and the files beside it by their names in their
/// folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The page.
    pub page: String,
    /// Relative path, with `/`, and content.
    pub files: Vec<(String, Vec<u8>)>,
}

/// Makes the report of `experiments`, as [`read`] or [`join`] give them. `files` is what the page
/// calls the folder beside it.
///
/// # Errors
/// No experiment, or a picture whose bytes do not match its size.
pub fn make(experiments: &[Experiment], files: &str) -> Result<Report> {
    if experiments.is_empty() {
        return Err(Error::input("there is nothing to report").expected("at least one run folder").into());
    }
    let sections: Vec<_> = experiments
        .iter()
        .map(|experiment| {
            let section = Section::new(experiment);
            let figures = figures::all(&section);
            (section, figures)
        })
        .collect();
    let mut out: Vec<(String, Vec<u8>)> = [
        ("rounds.csv", csv::rounds(experiments)),
        ("results.csv", csv::results(experiments)),
        ("curves.csv", csv::curves(experiments)),
        ("recall.csv", csv::recall(experiments)),
        ("picks.csv", csv::picks(experiments)),
        ("classes.csv", csv::classes(experiments)),
        ("phases.csv", csv::phases(experiments)),
        ("results.md", markdown(&sections)),
    ]
    .map(|(name, text)| (name.to_owned(), text.into_bytes()))
    .to_vec();
    let mut draw = |folder: &str, figure: &figures::Figure| -> Result<()> {
        let svg = figure.draw(Theme::Paper)?;
        let text = svg.finish(&figure.slug, &figure.title, &figure.caption);
        let png = raster::png(&svg, &text)?;
        out.push((format!("{folder}{}.svg", figure.slug), text.into_bytes()));
        out.push((format!("{folder}{}.png", figure.slug), png));
        Ok(())
    };
    let all: Vec<&Section<'_>> = sections.iter().map(|(section, _)| section).collect();
    if let Some(figure) = across::figure(&all) {
        draw("", &figure)?;
    }
    for (n, (section, figures)) in sections.iter().enumerate() {
        // One experiment needs no folder of its own; among several, the number keeps equal names
        // apart.
        let folder = match sections.len() {
            1 => String::new(),
            _ => format!("{}-{}/", n + 1, text::slug(&section.experiment.summary.name)),
        };
        figures.iter().try_for_each(|figure| draw(&folder, figure))?;
    }
    Ok(Report { page: page::html(&sections, files)?, files: out })
}

fn markdown(sections: &[(Section<'_>, Vec<figures::Figure>)]) -> String {
    let mut out = String::new();
    let all: Vec<&Section<'_>> = sections.iter().map(|(section, _)| section).collect();
    if let Some(table) = across::table(&all) {
        out += &format!("# Across data sets\n\n{}\n", table.markdown());
    }
    for (section, _) in sections {
        let summary = &section.experiment.summary;
        out += &format!(
            "# {}\n\nData: {}.\n\n",
            text::markdown_cell(&summary.name),
            text::markdown_cell(&summary.data)
        );
        for note in section.notes.iter().chain(&tables::findings(section)) {
            out += &format!("- {}\n", text::markdown_cell(note));
        }
        let tables = [
            ("Results", Some(tables::results(section))),
            ("Macro-F1 and calibration", Some(tables::further_results(section))),
            ("Against random choice", tables::comparison(section)),
            ("Round by round", tables::by_round(section)),
            ("Class by class", tables::recall(section)),
            ("What was asked", tables::asked(section)),
            ("Time", tables::time(section)),
            ("VAE", tables::health(section)),
            ("Data", Some(tables::data(section))),
        ];
        for (name, table) in tables {
            if let Some(table) = table {
                out += &format!("\n## {name}\n\n{}", table.markdown());
            }
        }
        out.push('\n');
    }
    out
}

/// Writes a report: the files into `folder`, and the page to `page`, all of them or none.
///
/// # Errors
/// What [`check_place`] says, a folder that cannot be created, a file that cannot be written. What
/// was there before is then kept.
pub fn write(report: &Report, page: &Path, folder: &Path) -> Result<()> {
    check_place(page, folder)?;
    let files = report.files.iter().map(|(name, bytes)| (folder.join(name), bytes.as_slice()));
    // The page last: where it is new, everything it speaks of is there.
    files::write_all(files.chain([(page.to_path_buf(), report.page.as_bytes())]))
}

/// Checks where a report shall go, before the work of making it.
///
/// # Errors
/// A folder in the place of the page, or a file in the place of the folder.
pub fn check_place(page: &Path, folder: &Path) -> Result<()> {
    if page.is_dir() || page.file_name().is_none() {
        return Err(Error::input("the page cannot be written to a folder")
            .at(page.display())
            .expected("the name of a file")
            .got("a folder")
            .hint(format!("name the file, such as {}", page.join("report.html").display()))
            .into());
    }
    if folder.is_file() {
        return Err(Error::input("the report's tables and figures need a folder")
            .at(folder.display())
            .expected("a folder, or nothing yet")
            .got("a file")
            .hint("choose another page with --out, or another folder with --files")
            .into());
    }
    Ok(())
}

/// The folder for the files of a page where none is named: `report.html` has `report-files` beside
/// it.
#[must_use]
pub fn files_beside(page: &Path) -> PathBuf {
    let stem = page.file_stem().unwrap_or_default();
    let mut name = stem.to_owned();
    name.push("-files");
    page.with_file_name(name)
}

#[cfg(test)]
mod synthetic;
#[cfg(test)]
mod tests;
