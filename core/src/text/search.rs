//! How text is found: the terms it is indexed under, and the terms a query asks for.
//!
//! Words are found by their beginnings, because people type "mini" for "MiniLM-L6-v2". Scripts written without spaces
//! (Chinese, Japanese, Korean) are found by single characters and pairs of neighbours: that needs no dictionary and can't
//! miss. Both sides are folded alike, so the terms that are stored change with the rules here: then index again.

use std::collections::BTreeSet;

use unicode_normalization::char::is_combining_mark;

use super::fold::fold;

/// Most terms one text is indexed under; what comes later in the text is then not found. Names of 200 characters in each
/// of three languages stay below it; it bounds what a single statement can add to the index.
pub const TERMS_MAX: usize = 1_024;

/// Longest query, in characters: the longest name.
pub const QUERY_CHARACTERS_MAX: usize = super::NAME_CHARACTERS_MAX;

/// Most terms a query asks for; each costs one look-up.
pub const QUERY_TERMS_MAX: usize = 32;

/// Words are told apart by this many characters: enough for a SHA-256 in hexadecimal.
const WORD_CHARACTERS_MAX: usize = 64;

/// Shortest beginning of a word that finds it; shorter ones would find nearly everything.
const PREFIX_CHARACTERS_MIN: usize = 3;

/// Longest beginning of a word that finds it; beyond, the whole word has to be typed.
const PREFIX_CHARACTERS_MAX: usize = 16;

/// Why a query can't be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// No letter and no digit in it.
    #[error("the query has no letter and no digit to look for")]
    Empty,
    /// More than [`QUERY_CHARACTERS_MAX`] characters.
    #[error("the query has {characters} characters; at most {QUERY_CHARACTERS_MAX} are allowed")]
    TooLong {
        /// Characters sent.
        characters: usize,
    },
    /// More than [`QUERY_TERMS_MAX`] different terms.
    #[error("the query asks for {terms} terms at once; at most {QUERY_TERMS_MAX} are allowed, so leave some words out")]
    TooManyTerms {
        /// Terms asked for.
        terms: usize,
    },
}

/// The terms `text` is indexed under, at most [`TERMS_MAX`]; takes time linear in the text.
///
/// Of each word: itself, its beginnings of 3 to 16 characters, the same for its runs of letters and of digits ("llama" of
/// "llama3"), and for two neighbours that people also write as one ("gpt4" of "GPT-4").
pub fn search_terms(text: &str) -> BTreeSet<String> {
    let text = fold(text);
    let mut terms = Terms(BTreeSet::new());
    let mut previous = "";
    for run in runs(&text) {
        match run {
            Run::Unspaced(run) => {
                let singles = run.char_indices().map(|(start, character)| (start, start + character.len_utf8()));
                singles.filter_map(|(start, end)| run.get(start..end)).for_each(|term| terms.insert(term));
                pairs(run).for_each(|term| terms.insert(term));
                previous = "";
            }
            Run::Word(word) => {
                terms.insert_word(word);
                parts(word).filter(|part| *part != word).for_each(|part| terms.insert_word(part));
                if may_be_joined(previous, word) {
                    terms.insert_word(&format!("{previous}{word}"));
                }
                previous = word;
            }
        }
    }
    terms.0
}

/// The terms a text must all have to be found by `query`, in ascending order; at least one.
///
/// # Errors
/// A [`QueryError`] for a query that is too long, asks for too much or for nothing.
pub fn query_terms(query: &str) -> Result<Vec<String>, QueryError> {
    let characters = query.chars().count();
    if characters > QUERY_CHARACTERS_MAX {
        return Err(QueryError::TooLong { characters });
    }
    let query = fold(query);
    let mut terms = BTreeSet::new();
    for run in runs(&query) {
        match run {
            Run::Unspaced(run) if run.chars().nth(1).is_some() => terms.extend(pairs(run).map(str::to_owned)),
            Run::Unspaced(run) => _ = terms.insert(run.to_owned()),
            Run::Word(word) => _ = terms.insert(beginning(word, WORD_CHARACTERS_MAX).to_owned()),
        }
    }
    match terms.len() {
        0 => Err(QueryError::Empty),
        1..=QUERY_TERMS_MAX => Ok(terms.into_iter().collect()),
        terms => Err(QueryError::TooManyTerms { terms }),
    }
}

/// Terms up to the limit.
struct Terms(BTreeSet<String>);

impl Terms {
    fn insert(&mut self, term: &str) {
        if self.0.len() < TERMS_MAX && !self.0.contains(term) {
            self.0.insert(term.to_owned());
        }
    }

    fn insert_word(&mut self, word: &str) {
        self.insert(beginning(word, WORD_CHARACTERS_MAX));
        let ends = word.char_indices().map(|(start, character)| start + character.len_utf8());
        let ends = ends.take(PREFIX_CHARACTERS_MAX).skip(PREFIX_CHARACTERS_MIN - 1);
        ends.filter_map(|end| word.get(..end)).for_each(|prefix| self.insert(prefix));
    }
}

/// A stretch of folded text that is looked at as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Run<'a> {
    /// Letters and digits of scripts that put spaces between words.
    Word(&'a str),
    /// Characters of scripts that don't, or whose words are short enough to be treated alike.
    Unspaced(&'a str),
}

/// What of a text is indexed, in order; everything that is neither letter nor digit separates.
fn runs(text: &str) -> impl Iterator<Item = Run<'_>> {
    stretches(text, |character| {
        let counts = character.is_alphanumeric() || is_combining_mark(character);
        counts.then(|| is_unspaced(character))
    })
    .map(|(unspaced, run)| if unspaced { Run::Unspaced(run) } else { Run::Word(run) })
}

/// The runs of digits and of everything else in a word.
fn parts(word: &str) -> impl Iterator<Item = &str> {
    stretches(word, |character| Some(character.is_numeric())).map(|(_, part)| part)
}

/// Longest stretches of characters of one class, each with its class; characters without a class are left out.
fn stretches<C: PartialEq>(text: &str, class: impl Fn(char) -> Option<C>) -> impl Iterator<Item = (C, &str)> {
    let mut rest = text;
    core::iter::from_fn(move || {
        rest = rest.trim_start_matches(|character| class(character).is_none());
        let first = class(rest.chars().next()?);
        let end = rest.find(|character| class(character) != first).unwrap_or(rest.len());
        let (stretch, after) = rest.split_at(end);
        rest = after;
        first.map(|first| (first, stretch))
    })
}

/// Every two neighbours of a run.
fn pairs(run: &str) -> impl Iterator<Item = &str> {
    let starts = run.char_indices().map(|(start, _)| start);
    let ends = run.char_indices().skip(2).map(|(start, _)| start).chain([run.len()]);
    let second = run.chars().nth(1).is_some();
    starts.zip(ends).take_while(move |_| second).filter_map(|(start, end)| run.get(start..end))
}

/// Whether people also write two neighbouring words as one: a letter meets a digit ("GPT-4", "4 bit").
fn may_be_joined(one: &str, other: &str) -> bool {
    match (one.chars().next_back(), other.chars().next()) {
        (Some(last), Some(first)) => last.is_numeric() != first.is_numeric(),
        _ => false,
    }
}

/// The first `characters` of a word.
fn beginning(word: &str, characters: usize) -> &str {
    let end = word.char_indices().nth(characters).map_or(word.len(), |(end, _)| end);
    word.get(..end).unwrap_or(word)
}

/// Han, kana, bopomofo, Hangul and Yi by their blocks.
fn is_unspaced(character: char) -> bool {
    matches!(
        character,
        '\u{1100}'..='\u{11FF}'         // Hangul letters
        | '\u{2E80}'..='\u{A4CF}'       // radicals, kana, bopomofo, Han and its extension A, Yi
        | '\u{A960}'..='\u{A97F}'       // more Hangul letters
        | '\u{AC00}'..='\u{D7FF}'       // Hangul syllables, more letters
        | '\u{F900}'..='\u{FAFF}'       // the compatibility ideographs that folding leaves alone
        | '\u{1AFF0}'..='\u{1B16F}'     // more kana
        | '\u{20000}'..='\u{3FFFF}' // the further extensions of Han
    )
}

#[cfg(test)]
mod tests;
