//! Where data sets and decoded images are kept, as this machine's environment says.

use std::env;
use std::path::PathBuf;

/// `$VABAL_DATA`, or `vabal` in the platform's folder for caches, or a folder beside the current
/// one.
#[must_use]
pub fn data_dir() -> PathBuf {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = || {
        if cfg!(windows) {
            set("LOCALAPPDATA")
        } else if cfg!(target_os = "macos") {
            env::home_dir().map(|home| home.join("Library/Caches"))
        } else {
            set("XDG_CACHE_HOME").or_else(|| env::home_dir().map(|home| home.join(".cache")))
        }
    };
    set("VABAL_DATA")
        .or_else(|| cache().map(|cache| cache.join("vabal")))
        .unwrap_or_else(|| "vabal-data".into())
}
