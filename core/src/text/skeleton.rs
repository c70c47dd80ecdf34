//! Which names can't be told apart by eye: UTS 39 skeletons, over the folding that search uses.

use unicode_normalization::UnicodeNormalization;
use unicode_security::skeleton as confusable_skeleton;

use super::fold::fold;

/// The form two names share when they look alike: folded (case, width, Chinese script), without spaces and punctuation,
/// every letter replaced by the one it can be taken for (UTS 39, section 4). A name that has neither letter nor digit is
/// compared by its signs. For comparing only.
pub fn skeleton(name: &str) -> String {
    // Letters that are alike in one case only are brought together before folding as well as after it.
    let seen = alike(name);
    let letters: String = seen.chars().filter(|character| character.is_alphanumeric()).collect();
    let letters: String = alike(&letters).chars().filter(|character| character.is_alphanumeric()).collect();
    if letters.is_empty() {
        let signs: String = confusable_skeleton(&name.nfkd().collect::<String>()).collect();
        return signs.split_whitespace().collect();
    }
    letters
}

fn alike(text: &str) -> String {
    fold(&confusable_skeleton(text).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::validate_name;

    #[test]
    fn names_that_look_alike_share_a_skeleton() {
        for (one, other) in [
            ("Lеnovo", "Lenovo"), // Cyrillic е
            ("國泰", "国泰"),
            ("modem", "modern"),
            ("Lam AI", "LAM-AI"),
            ("PayPal", "PaypaI"),
            ("Οpen", "Open"), // Greek omicron
            ("G00gle", "GOOgle"),
            ("鍾氏科技", "锺氏科技"),
            ("–", "‐"), // two dashes
            ("＆", "&"),
        ] {
            assert_eq!(skeleton(one), skeleton(other), "{one} {other}");
        }
    }

    #[test]
    fn no_name_is_taken_for_nothing() {
        let is_nothing =
            |sign: &char| validate_name(&sign.to_string()).is_ok() && skeleton(&sign.to_string()).is_empty();
        assert_eq!(('\0'..=char::MAX).filter(is_nothing).collect::<Vec<_>>(), []);
    }

    #[test]
    fn ordinary_names_differ() {
        let names = [
            "Lam AI Limited",
            "Lam AI (HK) Limited",
            "Lim AI Limited",
            "林氏",
            "林",
            "Alpha",
            "Alpha 2",
            "🦙",
            "🐍",
            "🦙🦙",
            "llama",
            "&",
            "@",
        ];
        for (position, one) in names.iter().enumerate() {
            for other in &names[position + 1..] {
                assert_ne!(skeleton(one), skeleton(other), "{one} {other}");
            }
        }
    }
}
