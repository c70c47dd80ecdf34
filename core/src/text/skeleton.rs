//! Which names can't be told apart by eye: UTS 39 skeletons, over the folding that search uses.

use unicode_security::skeleton as confusable_skeleton;

use super::fold::fold;

/// The form two names share when they look alike: folded (case, width, Chinese script), without spaces and punctuation,
/// every letter replaced by the one it can be taken for (UTS 39, section 4). For comparing only.
pub fn skeleton(name: &str) -> String {
    // Letters that are alike in one case only are brought together before folding as well as after it.
    let seen: String = confusable_skeleton(name).collect();
    let folded = fold(&seen);
    let kept: String = folded.chars().filter(|character| character.is_alphanumeric()).collect();
    let alike: String = confusable_skeleton(&kept).collect();
    fold(&alike).chars().filter(|character| character.is_alphanumeric()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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
        ] {
            assert_eq!(skeleton(one), skeleton(other), "{one} {other}");
        }
    }

    #[test]
    fn ordinary_names_differ() {
        let names = ["Lam AI Limited", "Lam AI (HK) Limited", "Lim AI Limited", "林氏", "林", "Alpha", "Alpha 2"];
        for (position, one) in names.iter().enumerate() {
            for other in &names[position + 1..] {
                assert_ne!(skeleton(one), skeleton(other), "{one} {other}");
            }
        }
    }
}
