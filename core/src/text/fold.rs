//! One spelling for what people take for the same text when they look for it. For comparing only, never for showing.

use unicode_normalization::UnicodeNormalization;

use super::han::simplified;
use super::is_invisible;

/// `text` without differences of width, case, accent, Chinese script and invisible characters. Folding twice changes
/// nothing more.
///
/// Lower case by way of upper case brings together what Unicode's case folding does: `ß` and `ss`, the two small sigmas.
/// The first step is for `ẞ`, which has no further capital.
pub(super) fn fold(text: &str) -> String {
    text.chars()
        .filter(|character| character.is_whitespace() || !is_invisible(*character))
        .nfkd()
        .filter(|character| !is_accent(*character))
        .flat_map(char::to_lowercase)
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .nfc()
        .map(simplified)
        .collect()
}

/// Combining diacritical marks: accents of Latin, Greek and Cyrillic. Vowel signs of other scripts stay.
fn is_accent(character: char) -> bool {
    matches!(character, '\u{0300}'..='\u{036F}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_people_take_for_the_same_meets() {
        for (one, other) in [
            ("Müller", "MULLER"),
            ("Ｌａｍ　ＡＩ", "lam ai"),
            ("Straße", "STRASSE"),
            ("ΟΔΟΣ", "οδός"),
            ("İstanbul", "istanbul"),
            ("ﬁne", "FINE"),
            ("人工智慧實驗室", "人工智慧实验室"),
            ("臺灣", "台湾"),
            ("ﾗﾑ", "ラム"),
            ("한글", "\u{1112}\u{1161}\u{11AB}\u{1100}\u{1173}\u{11AF}"),
            ("Lam\u{200B}AI\u{FE0F}", "lamai"),
        ] {
            assert_eq!(fold(one), fold(other), "{one} {other}");
        }
        assert_ne!(fold("が"), fold("か"));
    }

    #[test]
    fn folding_any_character_twice_changes_nothing_more() {
        let changed = |character: &char| {
            let once = fold(&character.to_string());
            fold(&once) != once
        };
        assert_eq!(('\0'..=char::MAX).filter(changed).collect::<Vec<_>>(), []);
    }

    proptest! {
        #[test]
        fn folding_twice_changes_nothing_more(text in any::<String>()) {
            let once = fold(&text);
            prop_assert_eq!(fold(&once), once);
        }
    }
}
