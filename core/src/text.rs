//! Text that people will read as a name: what may stand in it, and in which languages it comes.
//!
//! Names decide disputes, so anything invisible, direction-changing or drawn like something else by width alone is
//! refused outright (UTS 39; threat 11). Confusable letters are a question of comparison, not of form, and live elsewhere.

mod fold;
mod han;
pub mod search;
mod skeleton;

pub use skeleton::skeleton;

use serde::{Deserialize, Serialize};
use unicode_normalization::{UnicodeNormalization as _, is_nfc};

use crate::strict::{StrictError, present};

/// Longest name, in characters.
pub const NAME_CHARACTERS_MAX: usize = 200;

/// A text in up to three languages; at least one is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Texts {
    /// English.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub en: Option<String>,
    /// Chinese in traditional characters (繁體).
    #[serde(rename = "zh-Hant", default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub zh_hant: Option<String>,
    /// Chinese in simplified characters (简体).
    #[serde(rename = "zh-Hans", default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub zh_hans: Option<String>,
}

/// A name in up to three languages.
pub type Names = Texts;

impl Texts {
    /// The texts present, each with its BCP 47 language tag, English first.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [("en", &self.en), ("zh-Hant", &self.zh_hant), ("zh-Hans", &self.zh_hans)]
            .into_iter()
            .filter_map(|(language, text)| text.as_deref().map(|text| (language, text)))
    }

    /// The first text present, for places with room for one.
    pub fn display(&self) -> &str {
        self.iter().next().map_or("", |(_, text)| text)
    }

    /// Checks that there is a text, and every one by itself: names with [`validate_name`].
    ///
    /// # Errors
    /// A [`StrictError`] with a pointer relative to this object.
    pub fn validate(&self, each: impl Fn(&str) -> Result<(), String>) -> Result<(), StrictError> {
        if self.iter().next().is_none() {
            return Err(StrictError::new("", "a text in at least one of en, zh-Hant, zh-Hans is needed"));
        }
        for (language, text) in self.iter() {
            each(text).map_err(|reason| StrictError::new(format!("/{language}"), reason))?;
        }
        Ok(())
    }
}

/// Checks one name.
///
/// # Errors
/// A sentence that names the offending character.
pub fn validate_name(name: &str) -> Result<(), String> {
    let characters = name.chars().count();
    if characters == 0 {
        return Err("the name is empty".to_owned());
    }
    if characters > NAME_CHARACTERS_MAX {
        return Err(format!("the name has {characters} characters; at most {NAME_CHARACTERS_MAX} are allowed"));
    }
    if name.trim() != name || name.contains("  ") {
        return Err("the name starts or ends with a space, or has two in a row".to_owned());
    }
    // As in every text that is signed (`crate::strict`): said of a name before it gets so far.
    if !is_nfc(name) {
        let normal: String = name.nfc().collect();
        return Err(format!("the name is not in Unicode normal form C; write it as {normal:?}"));
    }
    match name.chars().find_map(|character| refusal(character).map(|why| (character, why))) {
        Some((character, why)) => Err(format!("the name contains U+{:04X}, {why}", u32::from(character))),
        None => Ok(()),
    }
}

/// Why a character may not stand in a name. Full-width punctuation is allowed: Chinese company names use （ ）.
fn refusal(character: char) -> Option<&'static str> {
    Some(match character {
        '\u{FF10}'..='\u{FF19}' | '\u{FF21}'..='\u{FF3A}' | '\u{FF41}'..='\u{FF5A}' => {
            "a full-width letter or digit; write its ordinary form"
        }
        '\u{E000}'..='\u{F8FF}' | '\u{F0000}'..='\u{10FFFF}' => "a private-use character",
        '\u{FFFC}' | '\u{FFFD}' | '\u{FDD0}'..='\u{FDEF}' => "which is not a character for interchange",
        _ if u32::from(character) & 0xFFFE == 0xFFFE => "which is not a character for interchange",
        _ if is_invisible(character) => "which is invisible or changes the reading direction",
        _ if character.is_whitespace() && character != ' ' => "a space that is not an ordinary space",
        _ => return None,
    })
}

/// Characters that change how the text around them is shown without being seen themselves: controls, zero-width and
/// directional characters, fillers, selectors, tags (UTS 39, section 3.1; UAX 9). Everything that Unicode calls
/// `Default_Ignorable_Code_Point` is among them.
pub(crate) fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{00AD}' | '\u{034F}'      // soft hyphen, grapheme joiner
            | '\u{061C}'                // Arabic letter mark
            | '\u{115F}' | '\u{1160}' | '\u{3164}' | '\u{FFA0}' // Hangul fillers
            | '\u{17B4}' | '\u{17B5}'    // Khmer inherent vowels
            | '\u{180B}'..='\u{180F}'   // Mongolian selectors
            | '\u{200B}'..='\u{200F}'   // zero-width characters and directional marks
            | '\u{2028}'..='\u{202E}'   // line and paragraph separators, bidirectional embeddings and overrides
            | '\u{2060}'..='\u{206F}'   // word joiner, invisible operators, isolates, deprecated controls
            | '\u{2800}'                // blank Braille pattern
            | '\u{FE00}'..='\u{FE0F}'   // variation selectors
            | '\u{FEFF}'                // byte order mark
            | '\u{FFF0}'..='\u{FFFB}'   // unassigned and ignorable, interlinear annotation
            | '\u{1BCA0}'..='\u{1BCA3}' // shorthand format controls
            | '\u{1D173}'..='\u{1D17A}' // musical format controls
            | '\u{E0000}'..='\u{E0FFF}' // tags, more variation selectors
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_in_three_languages_pass() {
        for name in
            ["Lam AI Limited", "林氏人工智能有限公司", "微軟（中國）有限公司", "Müller & Søn A/S", "O'Neil, Inc."]
        {
            assert_eq!(validate_name(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn deceptive_names_are_refused_with_the_code_point() {
        for (name, code) in [
            ("Lam\u{202E}IA", "U+202E"),
            ("Lam\u{200B}AI", "U+200B"),
            ("Ｌam", "U+FF2C"),
            ("Lam\u{E0041}", "U+E0041"),
            ("Lam\nAI", "U+000A"),
            ("Lam\u{00A0}AI", "U+00A0"),
            ("Lam\u{3164}", "U+3164"),
            ("Lam\u{FE0F}", "U+FE0F"),
            ("Lam\u{1D173}AI", "U+1D173"),
        ] {
            let reason = validate_name(name).unwrap_err();
            assert!(reason.contains(code), "{name:?}: {reason}");
        }
        let reason = validate_name("Cafe\u{301}").unwrap_err();
        assert!(reason.ends_with("write it as \"Caf\u{e9}\""), "{reason}");
        assert!(validate_name("").is_err() && validate_name(" Lam").is_err() && validate_name("L  am").is_err());
        assert!(validate_name(&"x".repeat(NAME_CHARACTERS_MAX + 1)).is_err());
    }

    #[test]
    fn a_party_without_any_name_is_refused() {
        assert!(Names::default().validate(validate_name).is_err());
        let bad = Names { zh_hans: Some("林\u{200D}".into()), ..Names::default() };
        assert_eq!(bad.validate(validate_name).unwrap_err().pointer, "/zh-Hans");
    }

    #[test]
    fn a_name_is_there_or_not_and_never_null() {
        assert!(serde_json::from_str::<Names>(r#"{"en":"A"}"#).is_ok());
        assert!(serde_json::from_str::<Names>(r#"{"en":"A","zh-Hant":null}"#).is_err());
    }
}
