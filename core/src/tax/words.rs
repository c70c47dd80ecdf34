//! Codes and sentences in English, 繁體 and 简体; data, like the rules.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::lines::{Flag, Line};
use super::rules::Status;

/// The words as shipped.
const WORDS: &str = include_str!("../../rules/words.toml");

/// The words, read once. A test shows that they can be read and that none is missing.
static TABLE: LazyLock<Table> = LazyLock::new(|| toml::from_str(WORDS).unwrap_or_default());

/// By group and code.
type Table = BTreeMap<String, BTreeMap<String, Word>>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Word {
    en: String,
    #[serde(rename = "zh-Hant")]
    traditional: String,
    #[serde(rename = "zh-Hans")]
    simplified: String,
}

/// A language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Language {
    /// English.
    #[default]
    English,
    /// 繁體中文.
    TraditionalChinese,
    /// 简体中文.
    SimplifiedChinese,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::English, Self::TraditionalChinese, Self::SimplifiedChinese];

    /// Its tag (BCP 47).
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::TraditionalChinese => "zh-Hant",
            Self::SimplifiedChinese => "zh-Hans",
        }
    }
}

impl core::str::FromStr for Language {
    type Err = String;

    fn from_str(tag: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|language| language.tag() == tag);
        found.ok_or_else(|| format!("{tag:?} is not one of en, zh-Hant, zh-Hans"))
    }
}

/// What groups of words there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Kinds of lines.
    Kind,
    /// Whether a rule is law.
    Status,
    /// Whose a line is.
    Claimant,
    /// Types of intellectual property.
    IpType,
    /// Reasons of nils.
    Reason,
    /// Flags.
    Flag,
    /// Sections of the law.
    Section,
    /// Sentences with places to fill in.
    Sentence,
    /// Labels of a report.
    Label,
}

impl Group {
    const fn name(self) -> &'static str {
        match self {
            Self::Kind => "kind",
            Self::Status => "status",
            Self::Claimant => "claimant",
            Self::IpType => "ip_type",
            Self::Reason => "reason",
            Self::Flag => "flag",
            Self::Section => "section",
            Self::Sentence => "sentence",
            Self::Label => "label",
        }
    }
}

/// What a code means; nothing when there is no such code.
pub fn word(group: Group, code: &str, language: Language) -> Option<&'static str> {
    let word = TABLE.get(group.name())?.get(code)?;
    Some(match language {
        Language::English => &word.en,
        Language::TraditionalChinese => &word.traditional,
        Language::SimplifiedChinese => &word.simplified,
    })
}

/// What a code means, or the code itself.
pub fn say(group: Group, code: &str, language: Language) -> String {
    word(group, code, language).unwrap_or(code).to_owned()
}

/// The sentence of a line: the year, the right, how much, under which section, or why nothing.
pub fn sentence(line: &Line<'_>, language: Language) -> String {
    let template = if line.reason.is_some() { "nil" } else { "figure" };
    let asset = line.asset.map_or_else(|| say(Group::Sentence, "no_asset", language), str::to_owned);
    let reason = line.reason.map(|reason| say(Group::Reason, reason.as_str(), language)).unwrap_or_default();
    let year = line.year.to_string();
    let amount = line.amount.to_string();
    let kind = say(Group::Kind, line.kind.as_str(), language);
    let what = say(Group::Section, line.section, language);
    let values = [
        ("year", year.as_str()),
        ("asset", &asset),
        ("kind", &kind),
        ("amount", &amount),
        ("section", line.section),
        ("what", &what),
        ("reason", &reason),
    ];
    let sentence = fill(&say(Group::Sentence, template, language), &values);
    match line.status {
        Status::Enacted => sentence,
        Status::Proposed => format!("[{}] {sentence}", say(Group::Status, line.status.as_str(), language)),
    }
}

/// The sentence of a flag.
pub fn flag_sentence(flag: &Flag<'_>, language: Language) -> String {
    say(Group::Flag, flag.code.as_str(), language)
}

/// Puts values into a template in one pass, so that what is put in is never read as a place itself.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let Some((name, after)) = after.split_once('}') else { break };
        let value = values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value);
        filled.push_str(value);
        rest = after;
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tax::facts::IpType;
    use crate::tax::hk::HongKong;
    use crate::tax::lines::{FlagCode, Kind, Reason};
    use crate::tax::{Jurisdiction as _, jurisdiction};

    #[test]
    fn every_code_has_words_in_every_language() {
        let rules = HongKong.rules().unwrap();
        let mut codes: Vec<(Group, &str)> = Vec::new();
        codes.extend(Kind::ALL.iter().map(|kind| (Group::Kind, kind.as_str())));
        codes.extend(Reason::ALL.iter().map(|reason| (Group::Reason, reason.as_str())));
        codes.extend(FlagCode::ALL.iter().map(|flag| (Group::Flag, flag.as_str())));
        codes.extend(IpType::ALL.iter().map(|ip_type| (Group::IpType, ip_type.as_str())));
        codes.extend(["enacted", "proposed"].map(|status| (Group::Status, status)));
        codes.extend(["taxpayer", "predecessor"].map(|claimant| (Group::Claimant, claimant)));
        codes.extend(rules.rules().iter().map(|rule| (Group::Section, rule.section.as_str())));
        // Sections that lines have and no rule.
        codes.extend(
            ["15(1)(a), 21A", "15(1)(b), 21A", "15(1)(ba), 21A", "16EA(2)", "16EA(5)", "16EA(6)", "16EB(2)"]
                .map(|section| (Group::Section, section)),
        );
        for (group, code) in codes {
            let said: Vec<&str> =
                Language::ALL.map(|language| word(group, code, language)).into_iter().flatten().collect();
            assert_eq!(said.len(), 3, "{group:?} {code}");
            assert!(said.iter().all(|said| !said.trim().is_empty()), "{group:?} {code}");
            assert!(said[0].is_ascii() || said[0].contains('¶') || said[0].contains('–'), "{code}: {}", said[0]);
            let is_chinese = |said: &str| said.chars().any(|character| ('\u{4e00}'..='\u{9fff}').contains(&character));
            assert!(is_chinese(said[1]) && is_chinese(said[2]), "{group:?} {code}: {said:?}");
        }
    }

    /// A nil may be a receipt that is not taxed, so its kind says nothing about deductions.
    #[test]
    fn nothing_is_called_nothing() {
        let said = Language::ALL.map(|language| word(Group::Kind, Kind::Denied.as_str(), language).unwrap());
        assert_eq!(said, ["nil", "款額為零", "款额为零"]);
    }

    /// Each variant is written in its own characters: the table of differences knows which belong to which.
    #[test]
    fn traditional_and_simplified_are_not_mixed() {
        let simplified_only = "税课评应专权产识业标识册许连费减扣";
        let traditional_only = "稅課評應專權產識業標識冊許連費減";
        for (group, words) in TABLE.iter() {
            for (code, word) in words {
                for character in simplified_only.chars().filter(|character| !traditional_only.contains(*character)) {
                    if character != '扣' {
                        assert!(
                            !word.traditional.contains(character),
                            "{group} {code}: {character} in {}",
                            word.traditional
                        );
                    }
                }
                for character in traditional_only.chars().filter(|character| !simplified_only.contains(*character)) {
                    assert!(!word.simplified.contains(character), "{group} {code}: {character} in {}", word.simplified);
                }
            }
        }
    }

    #[test]
    fn what_is_put_in_is_not_read_again() {
        assert_eq!(fill("{a} and {b}.", &[("a", "{b}"), ("b", "2")]), "{b} and 2.");
        assert_eq!(fill("no places", &[]), "no places");
        assert!(jurisdiction("hk").is_some() && jurisdiction("xx").is_none());
    }
}
