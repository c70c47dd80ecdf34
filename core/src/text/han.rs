//! One form for the Han characters that are written differently in different places: 國 and 国, 臺 and 台, 裡 and 里.
//!
//! For comparing and finding only, never for showing: the usual reading is taken where several simplifications exist, so
//! some characters that differ in meaning meet (乾 and 干). What is found too often does less harm than what is not found.

mod table;

/// The form `character` is compared in; itself where there is only one form.
pub(super) fn simplified(character: char) -> char {
    if character < '\u{3400}' {
        return character; // below the first Han character; most text is
    }
    let found = table::PAIRS.binary_search_by_key(&character, |(from, _)| *from);
    found.ok().and_then(|place| table::PAIRS.get(place)).map_or(character, |(_, to)| *to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_forms_meet() {
        for forms in [
            "國国",
            "臺台檯枱",
            "爲為为",
            "麼麽么",
            "祇衹只隻",
            "裏裡里",
            "髮發发",
            "後后",
            "學学",
            "衆眾众",
            "線綫线",
            "著着",
            "汙污",
            "煙菸烟",
            "説說说",
            "啓啟启",
            "鍾钟锺",
            "餘余馀",
            "諮咨谘",
            "線线缐",
            "鉅巨钜",
            "託托讬",
        ] {
            let folded: Vec<char> = forms.chars().map(simplified).collect();
            assert!(folded.iter().all(|character| *character == folded[0]), "{forms}: {folded:?}");
        }
        let different: Vec<char> = "林林氏大太天夫人入木本末未土士".chars().map(simplified).collect();
        assert_eq!(different, "林林氏大太天夫人入木本末未土士".chars().collect::<Vec<_>>());
    }

    #[test]
    fn the_table_is_sorted_and_has_no_chains() {
        assert!(table::PAIRS.len() > 4_000);
        assert!(table::PAIRS.is_sorted_by(|one, other| one.0 < other.0));
        for (from, to) in table::PAIRS {
            assert!(from >= &'\u{3400}', "{from}");
            assert_eq!(simplified(*to), *to, "{from}");
        }
    }
}
