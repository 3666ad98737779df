//! Configurations resolved: presets under files under `--set`, and every refusal by its key.

use super::*;
use crate::query::strategies::vabal_paper as vabal;
use proptest::prelude::*;

fn parse(text: &str, sets: &[&str]) -> Result<Config> {
    let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
    Config::parse(text, "test.toml", "test", &sets)
}

fn complaint(text: &str, sets: &[&str]) -> String {
    parse(text, sets).unwrap_err().to_string()
}

/// Those of a VaB-AL of the configuration.
fn settings(config: &Config, name: &str) -> vabal::Settings {
    assert_eq!(config.strategy[name].kind(), vabal::KIND);
    config.strategy[name].settings::<vabal::Bundle>().unwrap().settings
}

#[test]
fn an_empty_file_is_the_papers_numbers_and_the_files_name() {
    let config = parse("", &[]).unwrap();
    assert_eq!(config.classifier.network().unwrap(), &classify::Settings::paper());
    assert_eq!((config.rounds.initial, config.rounds.budget, config.rounds.count), (500, 500, 6));
    assert_eq!((config.name.as_str(), config.seeds.as_slice()), ("test", &[1, 2, 3][..]));
}

#[test]
fn a_file_may_be_called_anything() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("Blood cells, 2nd try.v3.toml");
    std::fs::write(&path, "").unwrap();
    assert_eq!(Config::read(&path, &[]).unwrap().name, "Blood-cells--2nd-try-v3");
}

#[test]
fn the_file_overrides_the_preset_and_set_overrides_the_file() {
    let text = "preset = \"quick\"\n[classifier]\nwidth = 8\nepochs = 3\n";
    let config = parse(text, &["classifier.epochs=4", "name=other", "classifier.learning_rate=1"]).unwrap();
    assert_eq!(config.preset, Preset::Quick);
    assert_eq!(
        (config.classifier.network().unwrap().width, config.classifier.network().unwrap().epochs),
        (8, 4)
    );
    assert_eq!(config.classifier.network().unwrap().learning_rate, 1.0);
    assert_eq!(config.classifier.network().unwrap().batch, classify::Settings::quick().batch);
    assert_eq!(config.name, "other");
}

#[test]
fn set_takes_bare_words_lists_and_tables() {
    let config =
        parse("", &["strategies=[random, vabal-paper]", "seeds=[7]", "strategy.vabal-paper.prior=off"]);
    let config = config.unwrap();
    assert_eq!(config.strategies, ["random", "vabal-paper"]);
    assert_eq!(config.seeds, [7]);
    assert_eq!(settings(&config, "vabal-paper").prior, vabal::Prior::Off);
}

#[test]
fn a_strategy_table_is_a_preset_with_differences() {
    let text = "strategies = [\"no-prior\", \"vabal-official\"]\n[strategy.no-prior]\nkind = \"vabal-paper\"\npreset = \"paper\"\n\
                prior = \"off\"\n";
    let config = parse(text, &[]).unwrap();
    let expected =
        vabal::Settings { prior: vabal::Prior::Off, ..vabal::Settings::preset(vabal::Preset::Paper) };
    assert_eq!(settings(&config, "no-prior"), expected);
    assert_eq!(settings(&config, "vabal-official"), vabal::Settings::preset(vabal::Preset::Official));
    assert!(config.strategy("no-prior").is_ok());
}

#[test]
fn a_table_never_takes_the_place_of_a_built_in_strategy_of_another_kind() {
    for name in ["random", "entropy", "margin", "least-confidence"] {
        for kind in ["kind = \"vabal-paper\"", "preset = \"paper\"", ""] {
            let refusal = complaint(&format!("[strategy.{name}]\n{kind}"), &[]);
            for part in [
                "a built-in strategy cannot be defined anew",
                &format!("where: strategy.{name}\n"),
                "vabal-official",
                &format!("got: [strategy.{name}]"),
                "hint: give the table a name of its own",
            ] {
                assert!(refusal.contains(part), "{part:?} is not in:\n{refusal}");
            }
        }
        let mut config = parse("strategies = [\"vabal\"]", &[]).unwrap();
        let variant = config.strategy["vabal"].clone();
        config.strategy.insert(name.into(), variant);
        assert!(config.check().is_err(), "{name}");
    }
    assert!(complaint("", &["strategy.random.kind=vabal"]).contains("strategy.random"));
    for name in ["vabal-paper", "vabal-official"] {
        let config =
            parse("", &[&format!("strategy.{name}.kind=vabal-paper"), &format!("strategy.{name}.draws=7")]);
        assert_eq!(settings(&config.unwrap(), name).draws, 7);
    }
}

#[test]
fn every_setting_of_the_strategies_in_use_stands_in_the_resolved_configuration() {
    // Else a run folder would silently change its meaning when a default changes.
    let text = parse("", &[]).unwrap().to_toml().unwrap();
    assert!(text.contains("[strategy.vabal]") && text.contains("ridge = 0.1"), "{text}");
}

#[test]
fn the_resolved_configuration_resolves_to_itself() {
    let variant = "strategies = [\"x\", \"entropy\", \"vabal-official\"]\n[strategy.x]\nkind = \"vabal-paper\"\nlambda = 0\n\
                   [data.imbalance]\nkind = \"dominant\"\nclasses = [0, \"bag\", \"3..4\"]\n";
    for (text, sets) in [("", vec![]), ("preset = \"quick\"", vec!["rounds.count=2"]), (variant, vec![])] {
        let config = parse(text, &sets).unwrap();
        let printed = config.to_toml().unwrap();
        let again = Config::parse(&printed, "printed", "another-name", &[]).unwrap();
        assert_eq!(again, config);
        assert_eq!(again.to_toml().unwrap(), printed);
        assert_eq!(config.first_difference(&printed).unwrap(), None);
    }
}

#[test]
fn wrong_keys_and_values_are_named_with_both_values() {
    let check = |text: &str, sets: &[&str], parts: &[&str]| {
        let complaint = complaint(text, sets);
        for part in parts {
            assert!(complaint.contains(part), "{part:?} is not in:\n{complaint}");
        }
        assert!(complaint.contains("\n  hint: "), "{complaint}");
    };
    check("sedes = [1]", &[], &["unknown setting", "sedes, in test.toml", "did you mean \"seeds\"?"]);
    check("[classifier]\nepoch = 1", &[], &["classifier.epoch,", "did you mean \"epochs\"?"]);
    check("[data.imbalance]\nkeeps = 1", &[], &["data.imbalance.keeps,", "\"keep\""]);
    check("", &["rounds.budgte=1"], &["rounds.budgte, in --set rounds.budgte=1", "\"budget\""]);
    check("[strategy.vabal-paper]\nlamda = 1", &[], &["strategy.vabal-paper.lamda", "\"lambda\""]);
    check("", &["classifier.epochs=many"], &["wrong type", "a whole number", "got: \"many\", a text"]);
    check("[classifier]\nepochs = 2.5", &[], &["wrong type", "classifier.epochs", "got: 2.5, a number"]);
    check("classifier = 3", &[], &["wrong type", "a table"]);
    check("[seeds]\na = 1", &[], &["wrong type", "a list"]);
    check("[classifier]\nepochs = -1", &[], &["classifier.epochs", "0 or more", "got: -1"]);
    check("seeds = [1, \"two\"]", &[], &["wrong value", "seeds"]);
    check("", &["data.kind=cifar11"], &["data.kind", "cifar100", "did you mean \"cifar10\"?"]);
    check("preset = \"fast\"", &[], &["preset, in test.toml", "paper or quick", "\"fast\""]);
    check(
        "",
        &["strategy.vabal-paper.preset=papr"],
        &["strategy.vabal-paper.preset", "did you mean \"paper\"?"],
    );
    check("", &["strategy.vabal-paper.prior=of"], &["strategy.vabal-paper.prior", "did you mean \"off\"?"]);
    check(
        "",
        &["strategy.vabal-paper.draws=0"],
        &["out of range", "strategy.vabal-paper.draws", "1 to 100000", "got: 0"],
    );
    check("", &["rounds.budget=0"], &["out of range", "rounds.budget", "at least 1", "got: 0"]);
    check("", &["data.imbalance.keep=2"], &["data.imbalance.keep", "got: 2"]);
    check("", &["strategies=[entorpy]"], &["unknown strategy", "did you mean \"entropy\"?"]);
    check("", &["strategies=[]"], &["strategies", "at least one"]);
    check("", &["seeds=[1,1]"], &["seeds", "1 twice"]);
    check("[strategy.mine]\nprior = \"off\"", &[], &["strategy.mine.kind", "kind = \"vabal\""]);
    check("", &["name=../up"], &["name", "../up"]);
    check("", &["rounds"], &["--set rounds", "key=value"]);
    check("", &["rounds..budget=1"], &["key=value"]);
    check("a = [1,", &[], &["not TOML", "test.toml, line 1"]);
    check("a = 1\nb = = 2", &[], &["test.toml, line 2"]);
}

#[test]
fn a_strategy_by_name_takes_the_settings_laid_over_it_and_refuses_what_it_does_not_know() {
    let of = |name: &str, sets: &[&str]| {
        super::strategy(name, &sets.iter().map(|set| (*set).to_string()).collect::<Vec<_>>())
    };
    assert_eq!(Some(of("entropy", &[]).unwrap()), STRATEGIES.named("entropy"));
    assert_eq!(of("vabal-paper", &[]).unwrap(), of("vabal-official", &["preset=paper"]).unwrap());
    let cross = of("vabal-paper", &["preset=cross"]).unwrap().settings::<vabal::Bundle>().unwrap();
    assert_eq!(cross.settings, vabal::Settings::preset(vabal::Preset::Cross));
    // The preset comes first, wherever it stands.
    let spec = of("vabal-paper", &["draws=7", "preset=official", "lambda=1"]).unwrap();
    let official = vabal::Settings::preset(vabal::Preset::Official);
    let settings = spec.settings::<vabal::Bundle>().unwrap().settings;
    assert_eq!(settings, vabal::Settings { draws: 7, lambda: 1.0, ..official });
    let balanced = of("balanced-entropy", &["of=margin"]).unwrap();
    assert_eq!(balanced.values()["of"], "margin");
    for (name, set, parts) in [
        ("entrpy", "a=1", &["unknown strategy", "did you mean \"entropy\"?"] as &[&str]),
        ("vabal-paper", "draw=1", &["unknown setting", "draw, in --set draw=1", "did you mean \"draws\"?"]),
        ("vabal-paper", "draws=many", &["wrong type", "draws, in --set", "a whole number"]),
        ("vabal-paper", "draws=0", &["out of range", "1 to 100000", "got: 0", "docs/strategies.md"]),
        ("vabal-paper", "prior=of", &["wrong value", "did you mean \"off\"?"]),
        ("vabal-paper", "preset=papr", &["preset, in --set", "did you mean \"paper\"?"]),
        ("vabal-paper", "kind=entropy", &["unknown setting", "kind"]),
        ("vabal-paper", "draws.x=1", &["wrong type"]),
        ("random", "beta=1", &["unknown setting", "no key here"]),
        ("vabal-paper", "draws", &["key=value"]),
    ] {
        let error = of(name, &[set]).unwrap_err().to_string();
        for part in parts.iter().chain(&["hint: "]) {
            assert!(error.contains(part), "{name} {set}: {error}");
        }
    }
}

#[test]
fn the_first_difference_names_key_and_both_values() {
    let config = parse("", &[]).unwrap();
    let other = parse("", &["classifier.epochs=7"]).unwrap().to_toml().unwrap();
    let (key, stored, ours) = config.first_difference(&other).unwrap().unwrap();
    assert_eq!((key.as_str(), stored.as_str(), ours.as_str()), ("classifier.epochs", "7", "200"));
}

#[test]
fn seeds_and_strategies_are_no_difference_and_their_settings_are() {
    let of = |sets: &[&str]| parse("", sets).unwrap();
    let stored = of(&["seeds=[2]", "strategies=[random,bald]"]).to_toml().unwrap();
    let difference = |sets: &[&str]| of(sets).first_difference(&stored).unwrap();
    for strategies in ["[vabal,random,bald]", "[random]", "[entropy]"] {
        assert_eq!(difference(&["seeds=[1,2]", &format!("strategies={strategies}")]), None, "{strategies}");
    }
    assert_eq!(difference(&["strategies=[random,b]", "strategy.b={kind=\"bald\",draws=3}"]), None);
    let key = |sets: &[&str]| difference(sets).unwrap().0;
    assert_eq!(key(&["seeds=[1,2]", "rounds.count=3"]), "rounds.count");
    assert_eq!(key(&["strategies=[bald,random]", "strategy.bald.draws=3"]), "strategy.bald.draws");
}

#[test]
fn a_configuration_takes_on_the_runs_of_another_after_its_own() {
    let stored =
        parse("", &["seeds=[3,1]", "strategies=[b,random]", "strategy.b={kind=\"bald\",draws=3}"]).unwrap();
    let ours = parse("", &["seeds=[1,2]", "strategies=[vabal,random]"]).unwrap();
    let all = ours.with_runs_of(&stored.to_toml().unwrap()).unwrap();
    assert_eq!(
        (all.seeds.clone(), all.strategies.clone()),
        (vec![1, 2, 3], ["vabal", "random", "b"].map(String::from).into())
    );
    assert_eq!(all.strategy.keys().collect::<Vec<_>>(), ["b", "vabal"]);
    assert_eq!(all.with_runs_of(&ours.to_toml().unwrap()).unwrap(), all);
    assert_eq!(ours.with_runs_of(&ours.to_toml().unwrap()).unwrap(), ours);
    let runs: Vec<(String, u64)> = ours.runs().collect();
    assert_eq!(runs[..3], [("vabal".into(), 1), ("random".into(), 1), ("vabal".into(), 2)]);
}

#[test]
fn features_come_with_the_linear_classifier_and_nothing_else() {
    let features = "[data]\nkind = \"features\"\npath = \"a.npz\"\n";
    let config = parse(features, &["classifier.l2=10"]).unwrap();
    assert_eq!(config.classifier.linear().unwrap().l2, 10.0);
    assert_eq!(config.classifier.kind(), "linear");
    let printed = config.to_toml().unwrap();
    assert!(printed.contains("kind = \"linear\"") && !printed.contains("milestones"), "{printed}");
    assert_eq!(Config::parse(&printed, "printed", "other", &[]).unwrap(), config);
    let check = |sets: &[&str], parts: &[&str]| {
        let complaint = complaint(features, sets);
        for part in parts.iter().chain(&["hint: "]) {
            assert!(complaint.contains(part), "{part:?} is not in:\n{complaint}");
        }
    };
    check(&["classifier.kind=network"], &["classifier.kind", "\"linear\"", "got: \"network\""]);
    check(&["strategies=[random,vaal]"], &["needs images", "got: \"vaal\""]);
    check(&["classifier.epochs=3"], &["unknown setting", "classifier.epochs", "l2"]);
    check(&["classifier.kind=forest"], &["classifier.kind", "\"network\", \"linear\" or \"frozen\""]);
    check(&["classifier.kind=3"], &["wrong type", "classifier.kind"]);
    check(&["classifier.l2=0"], &["classifier.l2"]);
    check(&["data.path="], &["data.path", "file of the arrays"]);
    check(&["data.size=32"], &["data.size", "no images"]);
    let error = parse("", &["classifier.kind=linear"]).unwrap_err().to_string();
    assert!(error.contains("\"network\" or \"frozen\": the data are images"), "{error}");
}

#[test]
fn frozen_features_are_of_images_with_a_backbone_that_is_named() {
    let frozen = parse("", &["classifier.kind=frozen", "classifier.size=96"]).unwrap();
    let Classifier::Frozen(settings) = &frozen.classifier else { panic!("{:?}", frozen.classifier) };
    assert_eq!((settings.backbone.as_str(), settings.size, settings.components), ("auto", 96, 128));
    assert_eq!(Config::parse(&frozen.to_toml().unwrap(), "printed", "other", &[]).unwrap(), frozen);
    for (sets, part) in [
        (["classifier.kind=frozen", "classifier.size=4"], "8 to 2048"),
        (["classifier.kind=frozen", "classifier.backbone="], "backbone"),
        (["classifier.kind=frozen", "strategies=[vaal]"], "frozen features"),
        (["classifier.kind=frozen", "classifier.l2=1"], "unknown setting"),
        (["classifier.kind=frozen", "classifier.balanced=2"], "balanced"),
    ] {
        let complaint = complaint("", &sets);
        assert!(complaint.contains(part) && complaint.contains("hint: "), "{complaint}");
    }
    let error = parse("[data]\nkind = \"features\"\npath = \"a.npz\"\n", &["classifier.kind=frozen"]);
    assert!(error.unwrap_err().to_string().contains("\"linear\": the data are features"));
}

#[test]
fn a_configuration_from_before_there_were_kinds_is_that_of_the_network() {
    let config = parse("", &[]).unwrap();
    let printed = config.to_toml().unwrap();
    let old = printed.replace("kind = \"network\"\n", "");
    assert_ne!(old, printed);
    assert_eq!(config.first_difference(&old).unwrap(), None);
    assert_eq!(Config::parse(&old, "old", "other", &[]).unwrap(), config);
}

proptest! {
    #[test]
    fn no_text_and_no_set_panics(text in "\\PC{0,60}", set in "\\PC{0,30}") {
        let _ = Config::parse(&text, "any", "any", &[set]);
    }
}
