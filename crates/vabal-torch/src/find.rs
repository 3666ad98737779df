//! Where the user's PyTorch is.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use vabal_query::error::{Complaint, Error, Result};

/// Says where the package is without importing it, which takes seconds.
const PROGRAM: &str =
    "from importlib.util import find_spec; print(find_spec('torch').submodule_search_locations[0])";

/// The folder of the user's PyTorch: `given`, the value of the variable `VABAL_LIBTORCH`, or else
/// the package `torch` of the `python3` that the shell would run.
///
/// # Errors
/// No such variable, and no `python3` that has it.
pub fn find(given: Option<OsString>) -> Result<PathBuf> {
    match given.filter(|given| !given.is_empty()) {
        Some(given) => Ok(given.into()),
        None => ask("python3"),
    }
}

/// What `python` says.
fn ask(python: &str) -> Result<PathBuf> {
    let said = Command::new(python).args(["-c", PROGRAM]).stdin(Stdio::null()).output();
    let said = said.map_err(|error| missing().got(format!("{python}: {error}")))?;
    let folder = String::from_utf8_lossy(&said.stdout).trim_end().to_owned();
    if !said.status.success() || folder.is_empty() {
        return Err(missing().got(format!("a {python} without the package torch")).into());
    }
    Ok(folder.into())
}

/// The complaint that there is no PyTorch.
pub(crate) fn missing() -> Complaint {
    Error::input("PyTorch is not found")
        .expected("PyTorch 2.10 or newer, which --device cuda and torch-cpu compute with")
        .hint("`pip install torch`, or name the folder of another one: VABAL_LIBTORCH=…/site-packages/torch")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_goes_first() {
        assert_eq!(find(Some("some/folder".into())).unwrap(), PathBuf::from("some/folder"));
    }

    #[test]
    fn without_a_python_there_is_no_pytorch() {
        let text = ask("no-such-python").unwrap_err().to_string();
        assert!(
            text.contains("got: no-such-python: ") && text.contains("hint: `pip install torch`"),
            "{text}"
        );
        // A program that takes any argument and says nothing.
        let text = ask("true").unwrap_err().to_string();
        assert!(text.contains("got: a true without the package torch"), "{text}");
    }
}
