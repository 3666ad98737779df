//! The report as one HTML page that needs nothing else: no network, no script, font and pictures
//! inside.
//!
//! Never here: numbers that are not in [`super::tables`] or [`super::figures`]. Everything that
//! comes from a user passes through [`escape`].

use std::fmt::Write as _;

use super::across;
use super::figures::{Figure, Part, asked};
use super::section::{Experiment, Section};
use super::svg::{INKS, Theme};
use super::tables::{self, Cell, Table};
use super::text::{base64, count, enumerate, escape, plural};
use super::{raster, reasons};
use crate::error::Result;
use crate::experiment::record::{Pick, RoundRecord};
use crate::experiment::thumbnail::PER_ROUND;
use crate::query::Health;

/// More rows than this are read by those who look for them.
const MOST_ROWS: usize = 12;

const STYLE: &str = include_str!("assets/page.css");

/// The page for these sections, each with its figures.
///
/// # Errors
/// A picture whose bytes do not match its size.
pub fn html(sections: &[(Section<'_>, Vec<Figure>)], files: &str) -> Result<String> {
    let several = sections.len() > 1;
    let names: Vec<String> = sections.iter().map(|(s, _)| s.experiment.summary.name.clone()).collect();
    let title = escape(&enumerate(&names));
    let mut page = String::new();
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title} – vabal report</title>\n\
         <style>\n{}{STYLE}</style>\n</head>\n<body{}>\n<header>\n<h1>{title}</h1>\n",
        head_style(),
        if several { " class=\"several\"" } else { "" },
    );
    if several {
        let _ =
            writeln!(page, "<p class=\"lead\">{} side by side.</p>", plural(sections.len(), "experiment"));
        page.push_str("<nav aria-label=\"Experiments\"><ul>\n");
        for (n, name) in names.iter().enumerate() {
            let _ = writeln!(page, "<li><a href=\"#e{n}\">{}</a></li>", escape(name));
        }
        page.push_str("</ul></nav>\n");
    }
    let mut body = String::new();
    let all: Vec<&Section<'_>> = sections.iter().map(|(section, _)| section).collect();
    if let Some(table) = across::table(&all) {
        body.push_str("<section>\n<h2>Across data sets</h2>\n");
        if let Some(figure) = across::figure(&all) {
            write_figure(&mut body, &figure, "across")?;
        }
        write_table(&mut body, &table);
        body.push_str("</section>\n");
    }
    for (n, (section, figures)) in sections.iter().enumerate() {
        let mut writer = Writer {
            section,
            figures,
            n,
            level: if several { 3 } else { 2 },
            contents: Vec::new(),
            out: String::new(),
        };
        writer.all()?;
        let lead = format!("<p class=\"lead\">{}</p>\n", escape(&lead(section.experiment)));
        let contents: String = writer
            .contents
            .iter()
            .map(|(id, name)| format!("<li><a href=\"#{id}\">{name}</a></li>\n"))
            .collect();
        let whose = if several { format!("experiment {}, {}", n + 1, names[n]) } else { names[n].clone() };
        let nav = format!("<nav aria-label=\"Parts of {}\"><ul>\n{contents}</ul></nav>\n", escape(&whose));
        if several {
            let _ = writeln!(
                body,
                "<section id=\"e{n}\">\n<h2>{}</h2>\n{lead}{nav}{}</section>",
                escape(&names[n]),
                writer.out
            );
        } else {
            page.push_str(&lead);
            page.push_str(&nav);
            body.push_str(&writer.out);
        }
    }
    let _ = write!(
        page,
        "</header>\n<main>\n{body}</main>\n<footer>\n<p>The same numbers as CSV and Markdown, and every figure as SVG and PNG, are in \
         the folder <code>{}</code>. Made by vabal; set in Inter, licensed under the SIL Open Font License 1.1.</p>\n\
         </footer>\n</body>\n</html>\n",
        escape(files)
    );
    Ok(page)
}

/// Colours by theme, and the font.
fn head_style() -> String {
    let inks = |pick: fn(&(&str, &'static str, &'static str)) -> &'static str| -> String {
        INKS.iter().map(|ink| format!("--{}: {}; ", ink.0, pick(ink))).collect()
    };
    let (light, dark) = (inks(|ink| ink.1), inks(|ink| ink.2));
    let face = |weight: &str, bytes: &[u8]| {
        format!(
            "@font-face {{ font-family: Inter; font-weight: {weight}; src: url(data:font/ttf;base64,{}) format(\"truetype\"); }}\n",
            base64(bytes)
        )
    };
    format!(
        ":root {{ {light}}}\n@media screen and (prefers-color-scheme: dark) {{ :root {{ {dark}}} }}\n{}{}",
        face("400", raster::REGULAR),
        face("600 700", raster::SEMI_BOLD)
    )
}

/// What was run, in one sentence or two.
fn lead(experiment: &Experiment) -> String {
    let summary = &experiment.summary;
    let section = Section::new(experiment);
    let labelled = || experiment.runs.iter().flat_map(|run| &run.rounds).map(|round| round.labelled());
    let labels = match (labelled().min(), labelled().max()) {
        (Some(first), Some(last)) if first < last => {
            format!(
                "from {} to {} labels",
                count(first),
                plural(last, "label").replace(" labels", "").replace(" label", "")
            )
        }
        (Some(first), _) => format!("with {}", plural(first, "label")),
        _ => "no round finished yet".into(),
    };
    let strategies = match section.strategies.len() {
        1 => "1 strategy".to_owned(),
        n => format!("{n} strategies"),
    };
    format!(
        "{strategies} × {} × {} on {}: {}, out of a pool of {} images of {} classes.",
        plural(section.seeds, "seed"),
        plural(section.rounds, "round"),
        summary.data,
        labels,
        count(summary.pool_counts.iter().sum()),
        summary.classes.len()
    )
}

fn write_table(out: &mut String, table: &Table) {
    // A wide table scrolls within its own box, which a keyboard must be able to reach.
    let _ = writeln!(
        out,
        "<div class=\"wide\" tabindex=\"0\" role=\"group\" aria-label=\"Table: {}\">\n<table>\n<caption>{}</caption>\n<thead><tr>",
        escape(&table.head.join(", ")),
        escape(&table.caption)
    );
    for (n, name) in table.head.iter().enumerate() {
        let class = if n > 0 && words(table, n) { " class=\"words\"" } else { "" };
        let _ = write!(out, "<th scope=\"col\"{class}>{}</th>", escape(name));
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    let mut above = None;
    for row in &table.rows {
        let name = row.first().map(|cell| cell.text.as_str());
        out.push_str(if name == above { "<tr class=\"same\">" } else { "<tr>" });
        above = name;
        for (n, cell) in row.iter().enumerate() {
            if n == 0 {
                let _ = write!(out, "<th scope=\"row\">{}</th>", escape(&cell.text));
            } else {
                out.push_str(&html_cell(cell, words(table, n)));
            }
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table>\n</div>\n");
}

/// A figure; its ids begin with `prefix`.
fn write_figure(out: &mut String, figure: &Figure, prefix: &str) -> Result<()> {
    let id = format!("{prefix}-{}", figure.slug);
    let svg = figure.draw(Theme::Page)?.finish(&id, &figure.title, &figure.caption);
    let _ = writeln!(
        out,
        "<figure>\n{svg}<figcaption><strong>{}.</strong> {}</figcaption>\n</figure>",
        escape(&figure.title),
        escape(&figure.caption)
    );
    Ok(())
}

struct Writer<'a> {
    section: &'a Section<'a>,
    figures: &'a [Figure],
    n: usize,
    /// Level of the headings of parts.
    level: usize,
    contents: Vec<(String, &'static str)>,
    out: String,
}

impl Writer<'_> {
    fn all(&mut self) -> Result<()> {
        self.part("results", "Results");
        self.findings();
        self.notes();
        self.table(&tables::results(self.section));
        self.table(&tables::further_results(self.section));
        if let Some(comparison) = tables::comparison(self.section) {
            self.part("random", "Against random choice");
            self.table(&comparison);
        }
        self.part("curves", "Learning curves");
        self.figures(Part::Curves, "figures")?;
        self.foldable("Balanced accuracy of every round as a table", tables::by_round(self.section));
        self.part("rare", "Rare classes");
        if self.has(Part::Rare) {
            self.figures(Part::Rare, "figures two")?;
        } else {
            self.paragraph(
                "No class of this pool is rare: none has less than three quarters of an equal share.",
            );
        }
        self.part("classes", "Class by class");
        self.figures(Part::Classes, "figures two")?;
        self.foldable("Recall of every class as a table", tables::recall(self.section));
        if let Some(table) = tables::asked(self.section) {
            self.part("asked", "What was asked");
            self.foldable(
                "Whether the picks are those that the classifier gets wrong, as a table",
                Some(table),
            );
        }
        self.part("images", "What was asked first, and why");
        self.pictures()?;
        if self.section.has_vae() {
            self.part("vae", "Health of the VAE");
            self.warnings();
            self.figures(Part::Vae, "figures two")?;
            if let Some(health) = tables::health(self.section) {
                self.folded("Every round as a table", |writer| writer.table(&health));
            }
        }
        if let Some(time) = tables::time(self.section) {
            self.part("time", "Where the time went");
            self.figures(Part::Time, "figures two")?;
            self.table(&time);
        }
        self.part("data", "Data");
        let data = tables::data(self.section);
        self.table(&data);
        self.part("setup", "Configuration and machine");
        self.setup();
        Ok(())
    }

    fn part(&mut self, id: &str, name: &'static str) {
        let id = format!("e{}-{id}", self.n);
        let level = self.level;
        let _ = writeln!(self.out, "<h{level} id=\"{id}\">{name}</h{level}>");
        self.contents.push((id, name));
    }

    fn paragraph(&mut self, text: &str) {
        let _ = writeln!(self.out, "<p>{}</p>", escape(text));
    }

    fn findings(&mut self) {
        let items: String = tables::findings(self.section)
            .iter()
            .map(|text| format!("<li>{}</li>\n", escape(text)))
            .collect();
        if !items.is_empty() {
            let _ = writeln!(self.out, "<ul class=\"findings\">\n{items}</ul>");
        }
    }

    fn notes(&mut self) {
        self.note(&self.section.notes);
    }

    fn note(&mut self, sentences: &[String]) {
        if sentences.is_empty() {
            return;
        }
        let items: String = sentences.iter().map(|text| format!("<p>{}</p>\n", escape(text))).collect();
        let _ = writeln!(self.out, "<div class=\"note\" role=\"note\">\n{items}</div>");
    }

    fn warnings(&mut self) {
        let warnings = self.section.warnings();
        match warnings.len() {
            0 => self.paragraph("No fit gave a warning."),
            1..=5 => self.note(&warnings.iter().map(|text| format!("⚠ {text}")).collect::<Vec<_>>()),
            n => {
                self.note(&[format!("⚠ {} fits gave a warning.", count(n))]);
                self.folded("Every warning", |writer| {
                    let items: String =
                        warnings.iter().map(|text| format!("<li>{}</li>\n", escape(text))).collect();
                    let _ = writeln!(writer.out, "<ul>\n{items}</ul>");
                });
            }
        }
    }

    fn folded(&mut self, name: &str, fill: impl FnOnce(&mut Self)) {
        let _ = writeln!(self.out, "<details>\n<summary>{}</summary>", escape(name));
        fill(self);
        self.out.push_str("</details>\n");
    }

    /// A table, folded where it is long.
    fn foldable(&mut self, name: &str, table: Option<Table>) {
        match table {
            Some(table) if table.rows.len() > MOST_ROWS => self.folded(name, |writer| writer.table(&table)),
            Some(table) => self.table(&table),
            None => {}
        }
    }

    fn has(&self, part: Part) -> bool {
        self.figures.iter().any(|figure| figure.part == part)
    }

    fn figures(&mut self, part: Part, class: &str) -> Result<()> {
        let figures = self.figures;
        if !self.has(part) {
            self.paragraph("There is no finished round to show.");
            return Ok(());
        }
        let _ = writeln!(self.out, "<div class=\"{class}\">");
        for figure in figures.iter().filter(|figure| figure.part == part) {
            write_figure(&mut self.out, figure, &format!("e{}", self.n))?;
        }
        self.out.push_str("</div>\n");
        Ok(())
    }

    fn table(&mut self, table: &Table) {
        write_table(&mut self.out, table);
    }

    fn pictures(&mut self) -> Result<()> {
        let section = self.section;
        let asked = asked(section);
        if asked.is_empty() {
            self.paragraph("Nothing has been asked yet.");
        }
        let (first, later) = asked.split_at(asked.len().min(1));
        for (round, strategies) in first {
            self.asked(*round, strategies)?;
        }
        for (round, strategies) in later {
            self.out.push_str("<details>\n<summary>The same in the last round that asked</summary>\n");
            self.asked(*round, strategies)?;
            self.out.push_str("</details>\n");
        }
        Ok(())
    }

    fn asked(&mut self, round: usize, strategies: &[(&str, &RoundRecord)]) -> Result<()> {
        let level = self.level + 1;
        let shared = if round == 1 {
            "Every strategy saw the same labels and the same classifier."
        } else {
            "By now the strategies have labelled different images, and each saw its own classifier."
        };
        let _ = writeln!(
            self.out,
            "<h{level}>At the end of round {round}</h{level}>\n<p>{shared} One seed, best first.</p>"
        );
        for (name, record) in strategies {
            let _ = writeln!(self.out, "<h{0}>{1}</h{0}>\n<ol class=\"picks\">", level + 1, escape(name));
            for pick in record.picks.iter().take(PER_ROUND) {
                self.pick(pick, record.vae.as_ref())?;
            }
            self.out.push_str("</ol>\n");
        }
        Ok(())
    }

    fn pick(&mut self, pick: &Pick, vae: Option<&Health>) -> Result<()> {
        let class = escape(&self.section.class(pick.label as usize));
        let reason = reasons::of(self.section, pick, vae);
        let picture = match self.section.experiment.thumbnails.get(&pick.id) {
            Some(thumbnail) => {
                format!(
                    "<img alt=\"Image {}, {class}\" src=\"data:image/png;base64,{}\">",
                    pick.id,
                    base64(&thumbnail.to_png()?)
                )
            }
            None => format!("<div class=\"none\">image<br>{}</div>", pick.id),
        };
        let mut words: Vec<String> =
            reason.predicted.iter().map(|class| format!("predicted {class}")).collect();
        if !reason.why.is_empty() {
            words.push(reason.why);
        }
        let _ =
            writeln!(self.out, "<li>{picture}<b>{class}</b><span>{}</span></li>", escape(&words.join(": ")));
        Ok(())
    }

    fn setup(&mut self) {
        let summary = &self.section.experiment.summary;
        let machine = Table {
            caption: "The machine and the versions.".into(),
            head: vec!["What".into(), "Value".into()],
            rows: summary
                .machine
                .iter()
                .map(|(name, value)| vec![name.clone().into(), value.clone().into()])
                .collect(),
        };
        self.folded("Machine", |writer| writer.table(&machine));
        let config = escape(&summary.config);
        self.folded("Configuration, as resolved", |writer| {
            let _ = writeln!(
                writer.out,
                "<pre class=\"wide\" tabindex=\"0\" role=\"group\" aria-label=\"Configuration\"><code>{config}</code></pre>"
            );
        });
    }
}

/// Whether a column holds words, which are read from their beginning, and not numbers, from their
/// end.
fn words(table: &Table, column: usize) -> bool {
    let begins =
        |cell: &Cell| cell.text.chars().next().is_some_and(|c| c.is_alphabetic() || "▲▼⚠".contains(c));
    table.rows.iter().filter_map(|row| row.get(column)).any(begins)
}

fn html_cell(cell: &Cell, words: bool) -> String {
    let classes: Vec<&str> = [(cell.best, "best"), (cell.bad, "bad"), (words, "words")]
        .into_iter()
        .filter_map(|(on, class)| on.then_some(class))
        .collect();
    let class = if classes.is_empty() { String::new() } else { format!(" class=\"{}\"", classes.join(" ")) };
    let tag = if cell.best && !words { "<span class=\"tag\">best</span>" } else { "" };
    format!("<td{class}>{tag}{}</td>", escape(&cell.text))
}
