//! Names as people see them: one form of letters that can be written in several, and no invisible
//! characters.
//!
//! Never here: which names there are.

use std::borrow::Cow;

use unicode_normalization::{IsNormalized, UnicodeNormalization as _, is_nfc_quick};

/// A text in Unicode's normal form NFC, as most systems write it: macOS hands out `e` and an accent
/// for `é`.
pub(crate) fn composed(text: &str) -> Cow<'_, str> {
    match text.is_ascii() || is_nfc_quick(text.chars()) == IsNormalized::Yes {
        true => text.into(),
        false => text.nfc().collect::<String>().into(),
    }
}

/// The first character of a name that cannot be seen or told from a space, and what Unicode calls
/// it. Joiners between letters of scripts that need them are none of these.
pub(crate) fn invisible(name: &str) -> Option<(char, &'static str)> {
    let letters: Vec<char> = name.chars().collect();
    letters.iter().enumerate().find_map(|(n, &letter)| {
        let called = match letter {
            '\u{a0}' => "NO-BREAK SPACE",
            '\u{ad}' => "SOFT HYPHEN",
            '\u{34f}' => "COMBINING GRAPHEME JOINER",
            '\u{61c}' => "ARABIC LETTER MARK",
            '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' => "HANGUL FILLER",
            '\u{180e}' => "MONGOLIAN VOWEL SEPARATOR",
            '\u{2000}'..='\u{200a}' | '\u{205f}' => "a space of another width",
            '\u{200b}' => "ZERO WIDTH SPACE",
            '\u{200c}' => "ZERO WIDTH NON-JOINER",
            '\u{200d}' => "ZERO WIDTH JOINER",
            '\u{200e}' => "LEFT-TO-RIGHT MARK",
            '\u{200f}' => "RIGHT-TO-LEFT MARK",
            '\u{2028}' => "LINE SEPARATOR",
            '\u{2029}' => "PARAGRAPH SEPARATOR",
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => "a mark of the direction of writing",
            '\u{202f}' => "NARROW NO-BREAK SPACE",
            '\u{2060}' => "WORD JOINER",
            '\u{2061}'..='\u{2064}' | '\u{206a}'..='\u{206f}' => "an invisible operator",
            '\u{feff}' => "ZERO WIDTH NO-BREAK SPACE, the mark of byte order",
            '\u{e0000}'..='\u{e007f}' => "a tag",
            _ => return None,
        };
        let beside = |other: Option<&char>| other.is_some_and(|other| !other.is_ascii());
        let joins = matches!(letter, '\u{200c}' | '\u{200d}')
            && beside(letters.get(n + 1))
            && beside(n.checked_sub(1).and_then(|n| letters.get(n)));
        (!joins).then_some((letter, called))
    })
}

/// Whether a name is what programs write for nothing: pandas' `nan`, a spreadsheet's `#N/A`.
pub(crate) fn says_nothing(name: &str) -> bool {
    let nothing = [
        "nan",
        "nat",
        "none",
        "null",
        "nil",
        "na",
        "n/a",
        "<na>",
        "#n/a",
        "#na",
        "undefined",
        "#ref!",
        "#value!",
        "#name?",
        "#null!",
        "#div/0!",
        "#num!",
    ];
    nothing.contains(&name.trim().to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_and_accents_are_one_letter() {
        assert_eq!(composed("cafe\u{301}"), "café");
        assert!(matches!(composed("café"), Cow::Borrowed(_)));
        assert_eq!(composed("plain"), "plain");
    }

    #[test]
    fn what_nobody_sees_is_named_and_scripts_keep_their_joiners() {
        assert_eq!(invisible("crack\u{200b}"), Some(('\u{200b}', "ZERO WIDTH SPACE")));
        assert_eq!(invisible("\u{feff}crack").map(|found| found.0), Some('\u{feff}'));
        assert_eq!(invisible("rolled\u{a0}in").map(|found| found.1), Some("NO-BREAK SPACE"));
        assert_eq!(invisible("cra\u{200d}ck").map(|found| found.1), Some("ZERO WIDTH JOINER"));
        for good in ["crack", "Rolled-in scale", "größe", "می\u{200c}خواهم", "👩\u{200d}🔬", "❤\u{fe0f}"]
        {
            assert_eq!(invisible(good), None, "{good}");
        }
    }

    #[test]
    fn words_for_nothing_are_known_in_any_case() {
        assert!(["nan", "NaN", "None", " NULL", "#N/A"].into_iter().all(says_nothing));
        assert!(!["nano", "nonempty", "0", "unknown"].into_iter().any(says_nothing));
    }
}
