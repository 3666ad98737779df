//! A project as something that others read: a file of labels, or its labelled images as folders;
//! beside it the newest model.
//!
//! Never here: what files and folders look like (`exchange`), what a project's rows are
//! (`transfer`).

use std::path::{Path, PathBuf};

use super::exchange::label_studio::{LOCAL_FILES, Writing};
use super::exchange::sheet::{Quality, Sheet};
use super::exchange::{Detail, Format, Layout, Means, Row, csv, json_lines, label_studio, layout};
use super::learn::{Context, Model};
use super::{Project, RoundState, pictures, status};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::files;
use crate::progress::Progress;

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A file of labels, or of answers.
    File(Format, Detail),
    /// Folders with the labelled images.
    Folders(Layout, Means),
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exported {
    /// Labelled images.
    pub images: usize,
    /// Every file, or the folder, and the files of the model.
    pub files: Vec<PathBuf>,
}

impl Project {
    /// Writes the project to `out`: a file, or a folder with a data sheet. With `model`, the newest
    /// model goes with it: into the folder as `model.safetensors` and `model.onnx`, beside a file
    /// with these endings. Whole or not at all; an earlier file is replaced, a folder only by what
    /// `exchange::layout::write` says.
    ///
    /// # Errors
    /// No labelled image for folders, no model where one is wanted, a place that cannot be written;
    /// the store cannot be read; [`Error::Stopped`]. An earlier export is then as it was.
    pub fn export(
        &self,
        shape: Shape,
        model: Option<&Context>,
        out: &Path,
        progress: &mut Progress<'_>,
    ) -> Result<Exported> {
        let rows = self.rows()?;
        match shape {
            Shape::File(format, detail) => {
                let text = self.text(&rows, format, detail)?;
                self.export_bytes(&rows, text.as_bytes(), model, out)
            }
            Shape::Folders(layout, means) => {
                let models = self.model_files(model)?;
                let (name, sheet) = (sheet_name(layout), self.sheet(&rows)?);
                let mut extra: Vec<(&str, &[u8])> = vec![(name, sheet.as_bytes())];
                extra.extend(models.iter().map(|(name, bytes)| (*name, bytes.as_slice())));
                let images = pictures::root(&self.images_folder()?)?;
                let written = layout::write(&rows, &images, out, (layout, means), &extra, progress)?;
                Ok(Exported { images: written.images, files: vec![out.to_path_buf()] })
            }
        }
    }

    /// Writes a file that another program's format is made of, from [`Project::rows`], as
    /// [`Project::export`] writes its own.
    ///
    /// # Errors
    /// As [`Project::export`].
    pub fn export_bytes(
        &self,
        rows: &[Row],
        bytes: &[u8],
        model: Option<&Context>,
        out: &Path,
    ) -> Result<Exported> {
        let mut all = vec![(out.to_path_buf(), bytes)];
        let models = self.model_files(model)?;
        for (name, bytes) in &models {
            let ending = name.strip_prefix("model.").unwrap_or(name);
            let path = out.with_extension(ending);
            if path == out {
                return Err(Error::input("the model would be written over the labels")
                    .at(out.display())
                    .expected("a file with the ending of its format")
                    .got(format!(".{ending}"))
                    .into());
            }
            all.push((path, bytes.as_slice()));
        }
        files::write_all(all.iter().map(|(path, bytes)| (path.clone(), *bytes)))?;
        let images = rows.iter().filter(|row| row.class.is_some()).count();
        Ok(Exported { images, files: all.into_iter().map(|(path, _)| path).collect() })
    }

    /// The text of a file of these rows.
    ///
    /// # Errors
    /// Answers in a format that has none; the store cannot be read.
    pub fn text(&self, rows: &[Row], format: Format, detail: Detail) -> Result<String> {
        Ok(match (format, detail) {
            (Format::Csv, detail) => csv::write(rows, detail),
            (Format::JsonLines, detail) => json_lines::write(rows, &self.listed_classes()?, detail),
            (Format::LabelStudio, Detail::Labels) => {
                let folder = self.images_folder()?;
                let folder = std::fs::canonicalize(&folder).unwrap_or(folder);
                // Label Studio's document root is the folder that this one lies in, unless somebody
                // says otherwise.
                let name = folder.file_name().map(|name| name.to_string_lossy().into_owned());
                let prefix = format!("{LOCAL_FILES}{}/", label_studio::encode(&name.unwrap_or_default()));
                // By the strategy that chose then: the setting may be another by now.
                let done = self.rounds()?.into_iter().rfind(|round| round.state == RoundState::Done);
                let model = match done {
                    Some(round) => format!("{}, round {}", round.strategy, round.round),
                    None => self.settings()?.strategy,
                };
                label_studio::write(rows, &Writing { prefix: &prefix, model: &model })
            }
            (Format::LabelStudio, Detail::Answers) => {
                return Err(Error::input("Label Studio has no place for every answer")
                    .expected("csv or jsonl")
                    .got(format.word())
                    .hint("jsonl is what makes the same project again")
                    .into());
            }
        })
    }

    /// The data sheet of these rows, as Markdown.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn sheet(&self, rows: &[Row]) -> Result<String> {
        let settings = self.settings()?;
        let status = status::of(self)?;
        let last = status.rounds.last();
        let quality = |value: Option<f64>, low: Option<f64>, high: Option<f64>| {
            Some(Quality { value: value?, low: low?, high: high?, images: last?.holdout })
        };
        let described = self.listed_classes()?.into_iter().filter(|class| !class.description.is_empty());
        let sheet = Sheet {
            descriptions: described.map(|class| (class.name, class.description)).collect(),
            name: settings.name,
            folder: settings.images,
            classes: status.classes.into_iter().map(|class| class.name).collect(),
            model: last.filter(|last| last.size > 0).map(|last| (last.size, last.passes)),
            backbone: last.and_then(|last| last.backbone.clone()),
            changes: self.changes()?,
            missing: status.counts.missing,
            accuracy: last.and_then(|r| quality(r.accuracy, r.accuracy_low, r.accuracy_high)),
            balanced_accuracy: last
                .and_then(|r| quality(r.balanced_accuracy, r.balanced_low, r.balanced_high)),
            rounds: status.rounds.iter().map(|round| (round.round, round.strategy.clone())).collect(),
        };
        Ok(sheet.write(rows))
    }

    /// The newest model by file name: as vabal reads it, and as ONNX; of a head on a backbone also
    /// the head alone.
    fn model_files(&self, context: Option<&Context>) -> Result<Vec<(&'static str, Vec<u8>)>> {
        let Some(context) = context else { return Ok(Vec::new()) };
        let (model, path) = Model::newest(self, Device::Cpu)?;
        let bytes = std::fs::read(&path).map_err(Error::io("read", &path))?;
        let mut files = vec![("model.safetensors", bytes)];
        match model {
            Model::Network(scorer) => files.push(("model.onnx", scorer.onnx()?)),
            Model::Linear(model) => {
                let backbone = context.backbone_of(self, &model)?;
                files.push(("model.onnx", model.onnx(&backbone)?));
                files.push(("model.head.onnx", model.head_onnx()));
            }
        }
        Ok(files)
    }
}

/// The data sheet's name: in Hugging Face's layout, that of a data set's card.
fn sheet_name(layout: Layout) -> &'static str {
    match layout {
        Layout::Classes | Layout::Yolo => "DATASHEET.md",
        Layout::HuggingFace => "README.md",
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Place, label, plain};
    use super::*;
    use crate::progress::silent;

    #[test]
    fn a_project_goes_out_as_files_and_as_folders_each_with_its_sheet() {
        let place = Place::new(5);
        let mut project = place.made(plain());
        label(&mut project, "ann", 1, 0);
        label(&mut project, "ann", 2, 1);
        let folder = tempfile::tempdir().unwrap();
        let export = |shape, name: &str| {
            project.export(shape, None, &folder.path().join(name), &mut silent()).unwrap()
        };
        for (format, name) in
            [(Format::Csv, "a.csv"), (Format::JsonLines, "a.jsonl"), (Format::LabelStudio, "a.json")]
        {
            assert_eq!(export(Shape::File(format, Detail::Labels), name).images, 2);
        }
        for (layout, name, sheet) in [
            (Layout::Classes, "classes", "DATASHEET.md"),
            (Layout::HuggingFace, "hugging-face", "README.md"),
            (Layout::Yolo, "yolo", "DATASHEET.md"),
        ] {
            assert_eq!(export(Shape::Folders(layout, Means::Copy), name).images, 2);
            let sheet = std::fs::read_to_string(folder.path().join(name).join(sheet)).unwrap();
            assert!(sheet.starts_with("# project\n\n2 of 5 images are labelled"), "{sheet}");
        }
        let tasks = std::fs::read_to_string(folder.path().join("a.json")).unwrap();
        assert!(tasks.contains("/data/local-files/?d=images/000.png"), "{tasks}");
    }

    #[test]
    fn what_cannot_be_written_leaves_nothing() {
        let place = Place::new(5);
        let project = place.made(plain());
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        for (shape, model) in [
            (Shape::Folders(Layout::Classes, Means::Copy), false),
            (Shape::Folders(Layout::Classes, Means::Copy), true),
            (Shape::File(Format::Csv, Detail::Labels), true),
            (Shape::File(Format::LabelStudio, Detail::Answers), false),
        ] {
            let context = Context::plain(Device::Cpu);
            let model = model.then_some(&context);
            let error = project.export(shape, model, &out, &mut silent()).unwrap_err().to_string();
            assert!(error.contains("hint: "), "{error}");
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        }
    }
}
