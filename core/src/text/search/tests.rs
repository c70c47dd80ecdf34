use proptest::prelude::*;

use super::*;
use crate::text::NAME_CHARACTERS_MAX;

/// Whether `query` finds `text`.
fn finds(query: &str, text: &str) -> bool {
    let terms = search_terms(text);
    query_terms(query).unwrap().iter().all(|term| terms.contains(term))
}

fn terms(text: &str) -> Vec<String> {
    search_terms(text).into_iter().collect()
}

#[test]
fn english_names_are_found_by_words_and_beginnings() {
    let text = "sentence-transformers/all-MiniLM-L6-v2";
    for query in ["mini", "MINILM", "minilm l6", "all-MiniLM-L6-v2", "v2", "sent", "transformers", "L", "6", "l6 all"] {
        assert!(finds(query, text), "{query}");
    }
    for query in ["maxi", "lm", "mi", "minilm l7", "sentences", "entence"] {
        assert!(!finds(query, text), "{query}");
    }
    assert!(finds("muller & son", "Müller & Son A/S") && finds("strasse", "Große Straße"));
}

#[test]
fn the_terms_are_exactly_these() {
    assert_eq!(terms("Lam 林氏AI"), ["ai", "lam", "林", "林氏", "氏"]);
    assert_eq!(terms("Llama3"), ["3", "lla", "llam", "llama", "llama3"]);
    assert_eq!(terms("GPT-4"), ["4", "gpt", "gpt4"]);
    assert_eq!(terms("… – !"), Vec::<String>::new());
    assert_eq!(query_terms("林氏AI lam").unwrap(), ["ai", "lam", "林氏"]);
    assert_eq!(query_terms("人工智能").unwrap(), ["人工", "工智", "智能"]);
    assert_eq!(query_terms("林").unwrap(), ["林"]);
}

#[test]
fn either_chinese_script_finds_the_other() {
    let pairs = [
        ("林氏人工智慧實驗室有限公司", "林氏人工智慧实验室有限公司"),
        ("臺灣積體電路製造", "台湾积体电路制造"),
        ("鍾氏科技諮詢", "锺氏科技谘询"),
        ("鍾氏科技諮詢", "钟氏科技咨询"),
    ];
    for (traditional, simplified) in pairs {
        assert_eq!(search_terms(traditional), search_terms(simplified));
        assert!(finds(traditional, simplified) && finds(simplified, traditional));
    }
    for query in ["實驗", "实验", "實", "实", "限公", "林氏 公司"] {
        assert!(finds(query, pairs[0].0) && finds(query, pairs[0].1), "{query}");
    }
    assert!(!finds("驗實", pairs[0].0) && !finds("國", pairs[0].0));
}

#[test]
fn one_and_two_characters_find_where_they_stand_alone() {
    for (query, text) in
        [("a", "Plan A"), ("ai", "Lam AI Limited"), ("lam 氏a", "Lam 林氏A"), ("3", "Llama 3"), ("々", "佐々木")]
    {
        assert!(finds(query, text), "{query} in {text}");
    }
    assert!(!finds("li", "Lam AI Limited"));
}

#[test]
fn japanese_and_korean_are_found_inside_a_run() {
    assert!(finds("のモデル", "日本語のモデルです") && finds("ﾓﾃﾞﾙ", "日本語のモデルです"));
    assert!(finds("모델", "한국어모델") && !finds("델모", "한국어모델"));
}

#[test]
fn letters_and_digits_are_found_together_and_apart() {
    for text in ["llama3", "Llama 3", "LLaMA-3", "meta_llama_3"] {
        for query in ["llama3", "llama 3", "llama-3", "llama"] {
            assert!(finds(query, text), "{query} in {text}");
        }
    }
    assert!(finds("4bit", "Q4 4-bit") && finds("gpt4", "GPT-4o") && !finds("llama4", "llama 3"));
}

#[test]
fn a_query_without_sense_or_end_is_refused() {
    for query in ["", "   ", "?!…", "、。", "\u{200B}", "\u{0301}"] {
        assert_eq!(query_terms(query), Err(QueryError::Empty), "{query:?}");
    }
    let long = "x".repeat(QUERY_CHARACTERS_MAX + 1);
    assert_eq!(query_terms(&long), Err(QueryError::TooLong { characters: 201 }));
    assert_eq!(query_terms(&long[1..]).unwrap(), ["x".repeat(WORD_CHARACTERS_MAX)]);
    let words = |count: u32| (0..count).map(|number| format!("w{number} ")).collect::<Vec<_>>().concat();
    assert_eq!(query_terms(&words(32)).unwrap().len(), QUERY_TERMS_MAX);
    assert_eq!(query_terms(&words(33)), Err(QueryError::TooManyTerms { terms: 33 }));
    assert_eq!(query_terms(&"same ".repeat(40)).unwrap(), ["same"]);
}

#[test]
fn a_long_word_is_found_by_its_beginning_or_as_a_whole() {
    let digest = "0e1f2a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f7";
    assert!(finds(digest, &format!("sha256:{digest}")));
    assert!(finds(&digest[..PREFIX_CHARACTERS_MAX], digest));
    assert!(!finds(&digest[..=PREFIX_CHARACTERS_MAX], digest));
}

#[test]
fn the_number_of_terms_is_bounded_and_three_long_names_fit() {
    let han: String = ('\u{4E00}'..).take(NAME_CHARACTERS_MAX).collect();
    let english: String = (0..25).map(|word| format!("word{word:03} ")).collect::<Vec<_>>().concat();
    let names = format!("{english}\n{han}\n{}", han.chars().rev().collect::<String>());
    assert!(search_terms(&names).len() < TERMS_MAX, "{}", search_terms(&names).len());
    let endless: String = ('\u{4E00}'..'\u{9FFF}').collect();
    assert_eq!(search_terms(&endless).len(), TERMS_MAX);
}

/// What names are made of: words, words with digits, Han, kana and Hangul characters, punctuation.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z]{1,20}",
        "[a-z]{1,8}[0-9]{1,4}[a-z]{0,4}",
        "[A-ZÄÖÜß]{1,5}",
        "[а-яё]{1,8}",
        "[\u{4E00}-\u{4FFF}國臺爲麽祇]{1,6}",
        "[ぁ-んァ-ン]{1,4}",
        "[가-힣]{1,3}",
    ]
}

proptest! {
    #[test]
    fn whatever_whole_words_and_characters_are_asked_for_are_found(
        pieces in prop::collection::vec((piece(), "[ -/,、・]{1,2}"), 1..8),
        from in any::<prop::sample::Index>(),
        to in any::<prop::sample::Index>(),
    ) {
        let (from, to) = (from.index(pieces.len()), to.index(pieces.len()));
        let text = |pieces: &[(String, String)]| pieces.iter().flat_map(|(word, gap)| [&**word, gap]).collect::<String>();
        let found = search_terms(&text(&pieces));
        for term in query_terms(&text(&pieces[from.min(to)..=from.max(to)])).unwrap() {
            prop_assert!(found.contains(&term), "{term}");
        }
    }

    #[test]
    fn any_stretch_of_unspaced_text_is_found(text in "[\u{4E00}-\u{9FFF}\u{3400}-\u{3FFF}國臺爲麽祇ぁ-ん]{1,30}", a in 0_usize..30, b in 0_usize..30) {
        let characters: Vec<char> = text.chars().collect();
        let (a, b) = (a.min(b) % characters.len(), a.max(b) % characters.len());
        let query: String = characters[a.min(b)..=a.max(b)].iter().collect();
        let found = search_terms(&text);
        prop_assert!(query_terms(&query).unwrap().iter().all(|term| found.contains(term)), "{query}");
    }

    #[test]
    fn any_text_has_terms_that_a_query_could_ask_for(text in any::<String>()) {
        for term in search_terms(&text) {
            prop_assert!(!term.is_empty() && query_terms(&term).is_ok(), "{term:?}");
        }
    }
}
