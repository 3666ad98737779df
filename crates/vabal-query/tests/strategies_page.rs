//! The page of strategies is of the repository, so that this stays out of the package.

use vabal_query::strategies::vabal_paper::settings::{Preset, Settings};

#[test]
fn the_table_of_strategies_md_is_the_presets() {
    let page = include_str!("../../../docs/strategies.md");
    let presets = [Preset::Paper, Preset::Official, Preset::Cross];
    let presets = presets.map(|preset| toml::Table::try_from(Settings::preset(preset)).unwrap());
    for (column, preset) in presets.iter().enumerate() {
        for (key, value) in preset {
            let row = page.lines().find(|line| line.starts_with(&format!("| `{key}` |"))).unwrap();
            let written = row.split('|').nth(2 + column).unwrap().trim().trim_matches('`');
            let same = match value {
                toml::Value::Float(value) => written.parse() == Ok(*value),
                toml::Value::String(value) => written == value,
                other => written == other.to_string(),
            };
            assert!(same, "{key}: the page says {written}, the preset {value}");
        }
    }
}
