//! Names for files and folders that every file system takes: Windows', macOS', Linux'.
//!
//! Never here: files.

use std::collections::{HashMap, HashSet};

use sha2::{Digest as _, Sha256};

/// Longer names are cut, in bytes. File systems take 255, encrypted ones less.
const LONGEST: usize = 140;

/// A name that is one part of a path everywhere, and not hidden. A good name stays as it is.
pub(super) fn safe(name: &str) -> String {
    let bad = |letter: char| letter.is_control() || "/\\:*?\"<>|".contains(letter);
    let mut safe: String = name.chars().map(|letter| if bad(letter) { '_' } else { letter }).collect();
    // A leading dot hides, trailing dots and spaces are dropped by Windows.
    let kept = safe.trim_end_matches(['.', ' ']).len();
    let dropped = safe.len() - kept;
    safe.truncate(kept);
    safe.extend(std::iter::repeat_n('_', dropped));
    if safe.starts_with(['.', ' ']) {
        safe.replace_range(..1, "_");
    }
    if safe.is_empty() {
        safe.push('_');
    }
    let stem = safe.split('.').next().unwrap_or_default().trim_end().to_uppercase();
    let device = |stem: &str| {
        let numbered = stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT"));
        numbered.is_some_and(|rest| {
            rest.chars().count() == 1 && rest.chars().all(|c| "0123456789¹²³".contains(c))
        }) || ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "__MACOSX"].contains(&stem)
    };
    if device(&stem) {
        safe.insert(0, '_');
    }
    shorten(&safe)
}

/// A name cut to [`LONGEST`] bytes: ending kept, and told from others that begin alike.
fn shorten(name: &str) -> String {
    if name.len() <= LONGEST {
        return name.to_owned();
    }
    let (stem, ending) = parts(name);
    let sum: String = Sha256::digest(name).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let room = LONGEST - sum.len() - 1 - ending.len();
    format!("{}-{sum}{ending}", &stem[..stem.floor_char_boundary(room)])
}

/// A name and its ending with the dot, if that is as short as endings are.
fn parts(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(dot) if dot > 0 && name.len() - dot <= 16 => name.split_at(dot),
        _ => (name, ""),
    }
}

/// The names of a folder, none of which is another one where capitals do not count.
#[derive(Default)]
pub(super) struct Taken {
    names: HashSet<String>,
    next: HashMap<String, usize>,
}

/// As file systems that do not tell capitals apart compare names; they differ in details, so this
/// is the coarsest.
pub(super) fn fold(name: &str) -> String {
    name.to_uppercase().to_lowercase()
}

impl Taken {
    /// This name of a file, or with a number before its ending if it is taken.
    pub fn file(&mut self, name: &str) -> String {
        self.take(name, parts(name))
    }

    /// This name of a folder, or with a number behind it if it is taken.
    pub fn folder(&mut self, name: &str) -> String {
        self.take(name, (name, ""))
    }

    fn take(&mut self, name: &str, (stem, ending): (&str, &str)) -> String {
        if self.names.insert(fold(name)) {
            return name.to_owned();
        }
        let next = self.next.entry(fold(name)).or_insert(2);
        loop {
            let numbered = format!("{stem}-{next}{ending}");
            *next += 1;
            if self.names.insert(fold(&numbered)) {
                return numbered;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn good_names_stay_and_bad_ones_become_good() {
        for good in
            ["a.png", "Rolled-in scale", "größe", "日本", "a..b", "conifer", "com10", "nul_", "x.tar.gz"]
        {
            assert_eq!(safe(good), good);
        }
        for (bad, good) in [
            ("", "_"),
            (".", "_"),
            ("..", "__"),
            ("../../etc", "_._.._etc"),
            ("a/b", "a_b"),
            ("a\\b", "a_b"),
            ("a.", "a_"),
            ("a. .", "a___"),
            (" a", "_a"),
            (".hidden", "_hidden"),
            ("CON", "_CON"),
            ("nul.png", "_nul.png"),
            ("aux .txt", "_aux .txt"),
            ("Lpt1", "_Lpt1"),
            ("com¹.x", "_com¹.x"),
            ("a\nb\0c", "a_b_c"),
            ("a:b|c", "a_b_c"),
            ("__MACOSX", "___MACOSX"),
        ] {
            assert_eq!(safe(bad), good, "{bad:?}");
        }
    }

    #[test]
    fn long_names_are_cut_and_keep_their_ending_and_their_difference() {
        let (a, b) = ("é".repeat(300) + "1.jpeg", "é".repeat(300) + "2.jpeg");
        assert!(safe(&a).len() <= LONGEST && safe(&a).ends_with(".jpeg") && safe(&a) != safe(&b));
        assert!(safe(&("a.".to_owned() + &"x".repeat(400))).len() <= LONGEST);
    }

    #[test]
    fn taken_names_get_numbers_before_the_ending() {
        let mut taken = Taken::default();
        let names: Vec<String> =
            ["a.png", "A.png", "a-2.png", "a.PNG", "b", "b"].iter().map(|n| taken.file(n)).collect();
        assert_eq!(names, ["a.png", "A-2.png", "a-2-2.png", "a-3.PNG", "b", "b-2"]);
    }

    proptest! {
        #[test]
        fn every_name_is_safe_for_good(name in ".*", near in "[./ \\\\conCON1a:]{0,12}") {
            for name in [name, near] {
                let safe_name = safe(&name);
                prop_assert_eq!(&safe(&safe_name), &safe_name);
                let path = std::path::Path::new(&safe_name);
                prop_assert_eq!(path.components().count(), 1);
                let normal = matches!(path.components().next(), Some(std::path::Component::Normal(_)));
                prop_assert!(normal && !safe_name.starts_with('.') && !safe_name.ends_with(['.', ' ']));
                prop_assert!(safe_name.len() <= LONGEST + 1 && !safe_name.contains(['/', '\\', '\0', '\n']));
            }
        }
    }
}
