//! Settings files, presets and `--set`.
