//! What runs a network in place of rten: the ONNX Runtime that the user has, a shared library that
//! is opened at run time.
//!
//! Never here: which of the two runs; what features are.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ort::environment::Environment;
use ort::session::Session;
use ort::value::TensorRef;
use vabal_query::error::{Complaint, Error, Result};

use crate::refused;

/// The user's ONNX Runtime, 1.17 or newer. A process can open one, once.
#[derive(Clone)]
pub struct OnnxRuntime {
    environment: Environment,
    library: PathBuf,
}

impl std::fmt::Debug for OnnxRuntime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OnnxRuntime").field("library", &self.library).finish_non_exhaustive()
    }
}

/// Says where the package is without importing it.
const PROGRAM: &str =
    "from importlib.util import find_spec; print(find_spec('onnxruntime').submodule_search_locations[0])";

impl OnnxRuntime {
    /// Finds the shared library: `given`, the value of the variable `VABAL_ONNXRUNTIME`, a file; or
    /// else that of the package `onnxruntime` of the `python3` that the shell would run.
    ///
    /// # Errors
    /// No such variable, and no `python3` that has it.
    pub fn find(given: Option<OsString>) -> Result<PathBuf> {
        match given.filter(|given| !given.is_empty()) {
            Some(given) => Ok(given.into()),
            None => ask("python3"),
        }
    }

    /// Opens the shared library.
    ///
    /// # Errors
    /// No such file, not ONNX Runtime, an older one, or a second one in this process.
    pub fn open(library: &Path) -> Result<Self> {
        let found = fs::canonicalize(library).map_err(|error| missing().at(library.display()).got(error))?;
        let builder = ort::init_from(&found).map_err(|error| missing().at(found.display()).got(error))?;
        // Nothing is sent to anyone.
        let environment = builder.with_telemetry(false).build();
        let environment = environment.map_err(|error| missing().at(found.display()).got(error))?;
        Ok(Self { environment, library: found })
    }

    /// The file of the shared library.
    #[must_use]
    pub fn library(&self) -> &Path {
        &self.library
    }

    /// A network ready to run on one thread, that of the caller.
    pub(crate) fn session(&self, onnx: &[u8], place: &str) -> Result<Session> {
        let session = Session::builder(&self.environment)
            .and_then(|builder| Ok(builder.with_intra_threads(1)?.with_inter_threads(1)?))
            .and_then(|mut builder| builder.commit_from_memory(onnx));
        session.map_err(|error| refused(place, error).into())
    }
}

/// Runs a network on values of this shape: the shape of its output, and the output.
pub(crate) fn run(
    session: &mut Session,
    input: &str,
    shape: [usize; 4],
    values: &[f32],
) -> ort::Result<(Vec<usize>, Vec<f32>)> {
    let tensor = TensorRef::from_array_view((shape, values))?;
    let outputs = session.run(ort::inputs![input => tensor])?;
    let (shape, values) = outputs[0].try_extract_tensor::<f32>()?;
    // No axis is negative: of a value, not of what a file declares.
    Ok((shape.iter().map(|&length| length as usize).collect(), values.to_vec()))
}

/// What `python` says.
fn ask(python: &str) -> Result<PathBuf> {
    let said = Command::new(python).args(["-c", PROGRAM]).stdin(Stdio::null()).output();
    let said = said.map_err(|error| missing().got(format!("{python}: {error}")))?;
    let folder = String::from_utf8_lossy(&said.stdout).trim_end().to_owned();
    if !said.status.success() || folder.is_empty() {
        return Err(missing().got(format!("a {python} without the package onnxruntime")).into());
    }
    let folder = Path::new(&folder).join("capi");
    library_in(&folder).ok_or_else(|| {
        missing().got(format!("no shared library of ONNX Runtime in {}", folder.display())).into()
    })
}

/// The shared library of ONNX Runtime in a folder: `libonnxruntime.so.1.23.2`,
/// `libonnxruntime.1.23.2.dylib`, `onnxruntime.dll`.
fn library_in(folder: &Path) -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).collect();
    found.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let base = name.strip_prefix("lib").unwrap_or(&name);
        let rest = base.strip_prefix("onnxruntime.");
        rest.is_some_and(|rest| rest == "dll" || rest.starts_with("so") || rest.ends_with("dylib"))
    });
    found.sort();
    found.pop()
}

/// The complaint that there is no ONNX Runtime.
fn missing() -> Complaint {
    Error::input("ONNX Runtime cannot be used")
        .expected("ONNX Runtime 1.17 or newer")
        .hint("`pip install onnxruntime`, or name its shared library: VABAL_ONNXRUNTIME=…/libonnxruntime.so; without --runtime, rten runs the backbone")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_goes_first_and_without_a_python_there_is_none() {
        assert_eq!(OnnxRuntime::find(Some("a/file.so".into())).unwrap(), PathBuf::from("a/file.so"));
        for (python, got) in [
            ("no-such-python", "got: no-such-python: "),
            ("true", "got: a true without the package onnxruntime"),
        ] {
            let error = ask(python).unwrap_err();
            let text = error.to_string();
            assert!(
                error.exit_code() == 2 && text.contains(got) && text.contains("pip install onnxruntime"),
                "{text}"
            );
        }
    }

    #[test]
    fn the_library_is_told_from_what_lies_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["libonnxruntime_providers_shared.so", "__init__.py", "onnxruntime_pybind11_state.so"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(library_in(folder.path()), None);
        for name in ["libonnxruntime.so.1.23.2", "libonnxruntime.1.23.2.dylib", "onnxruntime.dll"] {
            let path = folder.path().join(name);
            fs::write(&path, "").unwrap();
            assert_eq!(library_in(folder.path()), Some(path.clone()));
            fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn a_file_that_is_no_onnx_runtime_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("libonnxruntime.so");
        for content in [None, Some(""), Some("not a shared library")] {
            if let Some(content) = content {
                fs::write(&path, content).unwrap();
            }
            let error = OnnxRuntime::open(&path).unwrap_err();
            let text = error.to_string();
            assert!(error.exit_code() == 2 && text.starts_with("ONNX Runtime cannot be used\n"), "{text}");
            assert!(text.contains("libonnxruntime.so") && text.contains("hint: "), "{text}");
        }
    }
}
