//! Submissions of every kind, and thousands of ways to change them: the inputs of the comparison.
//!
//! Keys, times and choices come from labels and a seed, so every run makes the same inputs. What is changed in one place is
//! marked `exact`: its code and its pointer have to agree too.

use chopmark_core::digest::Sha256Digest;
use chopmark_core::key::PublicKey;
use chopmark_core::statement::Envelope;
use chopmark_core::strict::to_canonical;
use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD, HEXLOWER};
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Value, json};

use super::bases::{Base, bases};
use super::signers::{self, Registered};
use super::{licensed, payments, values};
use crate::harness::is_soak;
use crate::json;
use crate::make::{Random, key};
use crate::statement::changes;

/// One input of the comparison.
pub struct Case {
    /// What it is, for a person.
    pub what: String,
    pub body: Vec<u8>,
    /// Whether one thing in one place is wrong, or nothing.
    pub exact: bool,
}

/// All inputs, and what counts as registered.
pub struct Cases {
    pub cases: Vec<Case>,
    pub registered: Registered,
}

struct Maker {
    cases: Vec<Case>,
    random: Random,
}

/// Every input.
pub fn cases() -> Cases {
    let bases = bases();
    let mut maker = Maker { cases: Vec::new(), random: Random::new(9) };
    for base in &bases {
        maker.exact(format!("{} as it is", base.kind), base.request(&base.payload));
        maker.other_spellings(base);
        maker.payloads(base);
        maker.rules(base);
        maker.words(base);
        maker.requests(base);
        maker.damage(base);
    }
    let find = |kind: &str| bases.iter().find(|base| base.kind == kind).unwrap();
    maker.names(find("artefact"));
    for kind in ["sealed terms", "expenditure", "use", "correction of a payment"] {
        for (what, body) in licensed::openings(find(kind)) {
            maker.exact(what, body);
        }
    }
    let sealed = ["expenditure", "royalty", "upfront fee", "research", "credit note", "use"];
    let sealed = sealed.into_iter().chain(["correction of a payment", "correction of a use"]);
    maker.cases.extend(sealed.flat_map(|kind| payments::figures(find(kind))));
    maker.cases.extend(payments::natures(find("upfront fee")));
    maker.cases.extend(payments::openings_of_nothing(find("reversal"), find("use")));
    maker.keys(find("party"));
    maker.signatures(find("artefact of two"));
    maker.sizes(find("endorsement"), find("artefact"));
    maker.manifests(find("artefact"));
    maker.cases.extend(signers::cases());
    let keys = bases.iter().flat_map(|base| &base.signers).map(PublicKey::from);
    // Keys that a claim introduces are nobody's before it is admitted.
    let introduced = ["independent new", "independent operator"].map(|label| PublicKey::from(&key(label)));
    let mut registered = signers::registered();
    registered.keys.extend(keys.filter(|key| *key != introduced[0]).map(|key| (key.id(), key)));
    Cases { cases: maker.cases, registered }
}

impl Maker {
    fn exact(&mut self, what: String, body: Vec<u8>) {
        self.cases.push(Case { what, body, exact: true });
    }

    fn damaged(&mut self, what: String, body: Vec<u8>) {
        self.cases.push(Case { what, body, exact: false });
    }

    /// The same in other spellings: white space, order of members, escapes. All are accepted.
    fn other_spellings(&mut self, base: &Base) {
        let value = base.value();
        for round in 0..6 {
            let text = self.spelled(&value);
            self.exact(format!("{} spelled otherwise, {round}", base.kind), base.request(text.as_bytes()));
        }
        let request: Value = serde_json::from_slice(&base.request(&base.payload)).unwrap();
        for round in 0..6 {
            let text = self.spelled(&request);
            self.exact(format!("{} requested otherwise, {round}", base.kind), text.into_bytes());
        }
        let pretty = serde_json::to_vec_pretty(&value).unwrap();
        self.exact(format!("{} pretty", base.kind), base.request(&pretty));
        let mut alone = request.clone();
        alone.as_object_mut().unwrap().remove("documents");
        self.exact(format!("{} without documents", base.kind), alone.to_string().into_bytes());
        for (list, place) in [
            ("identifiers", "party"),
            ("parents", "artefact of two"),
            ("under", "grant"),
            ("under", "offer"),
            ("metric", "sealed terms"),
            ("consideration", "terms"),
            ("artefacts", "asset"),
        ] {
            if base.kind == place {
                let mut spelled_out = value.clone();
                spelled_out["predicate"]["claim"][list] = json!([]);
                self.exact(format!("{place} with no {list}, said so"), base.request_about(&spelled_out));
                // The subject is what it was without the list.
                if place == "sealed terms" {
                    let text = spelled_out.to_string();
                    self.exact(format!("{place} with no {list}, of the same id"), base.request(text.as_bytes()));
                }
            }
        }
    }

    /// A document with its members in any order, white space anywhere, and characters escaped at will.
    fn spelled(&mut self, value: &Value) -> String {
        let space = ["", "", " ", "\n", "\t", "\r\n  "][self.random.below(6)];
        let parts: Vec<String> = match value {
            Value::String(text) => {
                let characters = text.chars().map(|character| match (self.random.below(12), u32::from(character)) {
                    (0, code @ 0..=0xFFFF) => format!("\\u{code:04x}"),
                    (1, 0x2F) => "\\/".to_owned(),
                    _ => Value::from(character.to_string()).to_string().trim_matches('"').to_owned(),
                });
                return format!("\"{}\"", characters.collect::<String>());
            }
            Value::Array(items) => items.iter().map(|item| self.spelled(item)).collect(),
            Value::Object(members) => {
                let mut parts: Vec<_> = members
                    .iter()
                    .map(|(name, member)| {
                        let name = self.spelled(&Value::from(name.as_str()));
                        format!("{name}{space}:{}", self.spelled(member))
                    })
                    .collect();
                for last in (1..parts.len()).rev() {
                    parts.swap(last, self.random.below(last + 1));
                }
                parts
            }
            other => return other.to_string(),
        };
        let (open, close) = if value.is_array() { ('[', ']') } else { ('{', '}') };
        format!("{space}{open}{space}{}{space}{close}", parts.join(&format!("{space},{space}")))
    }

    /// What parsers are known to disagree about, at every place of the payload.
    fn payloads(&mut self, base: &Base) {
        for (what, text, _) in changes(&base.value()) {
            self.exact(format!("{}: {what}", base.kind), base.request(&text));
        }
        for (what, text) in [
            ("nothing", Vec::new()),
            ("a byte order mark", [b"\xef\xbb\xbf", base.payload.as_slice()].concat()),
            ("twice", [base.payload.as_slice(), &base.payload].concat()),
            ("a NUL behind it", [base.payload.as_slice(), b"\0"].concat()),
            ("nested deeply", format!("{}{}", "[".repeat(33), "]".repeat(33)).into_bytes()),
            ("nested too deeply", format!("{}{}", "[".repeat(34), "]".repeat(34)).into_bytes()),
        ] {
            self.exact(format!("{}: {what}", base.kind), base.request(&text));
        }
    }

    /// Values that are of the right type and break a rule, or just keep it, by the name of the member.
    fn rules(&mut self, base: &Base) {
        let payload = base.value();
        for pointer in json::pointers(&payload) {
            let here = payload.pointer(&pointer).unwrap();
            let name = pointer.rsplit('/').next().unwrap();
            let others = values::of_its_type(here).into_iter().chain(values::of_its_name(name));
            // A new value at one place can break a rule about another, and then there are two faults to choose from.
            let exact = !matches!(name, "predicateType" | "keys" | "root_keys" | "party") && !pointer.is_empty();
            for other in others {
                let what = format!("{}: {pointer} as {:.80}", base.kind, other.to_string());
                let body = base.request_about(&json::with(&payload, &pointer, other));
                self.cases.push(Case { what, body, exact });
            }
        }
    }

    /// A word as an object that holds nothing, which some readers take for the word.
    fn words(&mut self, base: &Base) {
        let payload = base.value();
        for pointer in json::pointers(&payload) {
            if let Some(word) = payload.pointer(&pointer).unwrap().as_str() {
                for inside in [Value::Null, json!({}), json!([])] {
                    let other = json!({ word: inside });
                    let body = base.request_about(&json::with(&payload, &pointer, other.clone()));
                    // Whether the place is the object or what is in it is a matter of taste.
                    self.damaged(format!("{}: {pointer} as {other}", base.kind), body);
                }
            }
        }
    }

    /// The envelope and what is around it.
    fn requests(&mut self, base: &Base) {
        let honest: Value = serde_json::from_slice(&base.request(&base.payload)).unwrap();
        for (what, text, _) in changes(&honest) {
            self.exact(format!("{} request: {what}", base.kind), text);
        }
        let bytes =
            |pointer: &str| BASE64.decode(honest.pointer(pointer).unwrap().as_str().unwrap().as_bytes()).unwrap();
        for pointer in ["/envelope/payload", "/envelope/signatures/0/sig", "/documents/0"] {
            if honest.pointer(pointer).is_none() {
                continue;
            }
            let data = bytes(pointer);
            let padded = BASE64.encode(&data);
            let (head, tail) = data.split_at(data.len() / 2 / 3 * 3 + 1);
            for (what, text) in [
                ("in the other alphabet", BASE64URL.encode(&data)),
                ("without padding", BASE64_NOPAD.encode(&data)),
                ("in the other alphabet without padding", BASE64URL_NOPAD.encode(&data)),
                ("in two padded pieces", BASE64.encode(head) + &BASE64.encode(tail)),
                ("in two pieces, the second bare", BASE64.encode(head) + &BASE64_NOPAD.encode(tail)),
                ("with a line end", format!("{padded}\n")),
                ("with a line end within", format!("{}\r\n{}", &padded[..4], &padded[4..])),
                ("with a space before", format!(" {padded}")),
                ("with padding more", format!("{padded}=")),
                ("with four of padding more", format!("{padded}====")),
                ("with padding before", format!("===={padded}")),
                ("in both alphabets", format!("{padded}+A-A")),
                ("with bits behind the end", with_trailing_bits(&data)),
                ("with a full-width letter", padded.replacen('A', "Ａ", 1)),
                ("one character short", padded[..padded.len() - 1].to_owned()),
            ] {
                let changed = json::with(&honest, pointer, Value::from(text)).to_string();
                // A padded piece may end where the text does, and then the two spellings are one.
                self.exact(format!("{} request: {pointer} {what}", base.kind), changed.into_bytes());
            }
        }
        for text in
            ["application/vnd.in-toto+json; charset=utf-8", "application/json", "", "APPLICATION/VND.IN-TOTO+JSON"]
        {
            let changed = json::with(&honest, "/envelope/payloadType", json!(text)).to_string();
            self.exact(format!("{} request: payloadType {text}", base.kind), changed.into_bytes());
        }
        // The right signatures, over something else than the pre-authentication encoding.
        let mut envelope = honest["envelope"].clone();
        for (position, signer) in sorted(&base.signers).iter().enumerate() {
            let direct = signer.sign(&base.payload).to_bytes();
            envelope["signatures"][position]["sig"] = BASE64.encode(&direct).into();
        }
        let changed = json::with(&honest, "/envelope", envelope).to_string();
        self.exact(format!("{} request: signed bare", base.kind), changed.into_bytes());
        let six = vec![Value::from(""); 6];
        self.exact(
            format!("{} request: six documents", base.kind),
            json::with(&honest, "/documents", json!(six)).to_string().into_bytes(),
        );
        self.exact(
            format!("{} request: a document nobody names", base.kind),
            json::with(&honest, "/documents", json!([BASE64.encode(b"{}")])).to_string().into_bytes(),
        );
    }

    /// Bytes changed, added, taken away at random: in what is sent, and in what is signed.
    fn damage(&mut self, base: &Base) {
        let request = base.request(&base.payload);
        for round in 0..if is_soak() { 1_000 } else { 40 } {
            let (what, body) = self.random.damage(&request);
            self.damaged(format!("{} request, {what}, {round}", base.kind), body);
            let (what, payload) = self.random.damage(&base.payload);
            self.damaged(format!("{}, {what}, {round}", base.kind), base.request(&payload));
        }
    }

    /// Names as threat 11 has them, and every character that can't be seen.
    fn names(&mut self, base: &Base) {
        let payload = base.value();
        let mut names: Vec<String> = [
            "Lеnovo",
            "國泰",
            "国泰",
            "PayPaI",
            "Οpen",
            "O'Neil & Søn, Inc.",
            "微軟（中國）",
            "ｶﾀｶﾅ",
            "Ｌam",
            "Lam２",
            "A  B",
            " A",
            "A ",
            "Lam\u{202e}IA",
            "\u{2066}Lam\u{2069}",
            "e\u{301}",
            "é",
            "\u{1f600}",
            "\u{d7ff}",
            "ẞ",
            "½",
            "Ⅷ",
            "🄰",
            "\u{212b}",
            "가",
            "\u{1100}\u{1161}",
            "林\u{fe00}",
            "नमस्ते",
        ]
        .map(str::to_owned)
        .into();
        // White space, controls, format characters, private use, noncharacters: the edges and a few within.
        let ranges: [(u32, u32); 24] = [
            (0x00, 0x2F),
            (0x7F, 0xA1),
            (0xAC, 0xAE),
            (0x34E, 0x350),
            (0x61B, 0x61D),
            (0x115E, 0x1161),
            (0x1680, 0x1680),
            (0x17B3, 0x17B6),
            (0x180A, 0x1810),
            (0x2000, 0x2031),
            (0x205E, 0x2070),
            (0x2800, 0x2801),
            (0x3000, 0x3001),
            (0x3163, 0x3165),
            (0xE000, 0xE001),
            (0xF8FF, 0xF8FF),
            (0xFDD0, 0xFDEF),
            (0xFE00, 0xFE10),
            (0xFEFE, 0xFF00),
            (0xFF0F, 0xFF5F),
            (0xFF9F, 0xFFA1),
            (0xFFF0, 0xFFFF),
            (0x1BC9F, 0x1BCA4),
            (0x1D172, 0x1D17B),
        ];
        let edges = [
            0xE0000, 0xE0001, 0xE0041, 0xE007F, 0xE0100, 0xE01EF, 0xE0FFF, 0xF0000, 0x1FFFE, 0x1FFFF, 0x10_0000,
            0x10_FFFF,
        ];
        let codes = ranges.iter().flat_map(|(first, last)| *first..=*last).chain(edges);
        names.extend(codes.filter_map(char::from_u32).map(|character| format!("Lam{character}AI")));
        for name in names {
            let changed = json::with(&payload, "/predicate/claim/name/en", json!(name));
            self.exact(format!("an artefact named {name:?}"), base.request_about(&changed));
        }
        for language in ["zh-hant", "zh", "EN", "zh-Hant-HK", ""] {
            let changed = json::with_member(&payload, "/predicate/claim/name", language, json!("x"));
            self.exact(format!("a name in {language:?}"), base.request_about(&changed));
        }
    }

    /// Public keys that verifiers disagree about, in place of one that can be registered.
    fn keys(&mut self, base: &Base) {
        let payload = base.value();
        let hex = |text: &str| HEXLOWER.decode(text.as_bytes()).unwrap();
        let good = PublicKey::from(&base.signers[0]);
        let mut bytes: Vec<(String, Vec<u8>)> = [
            "0100000000000000000000000000000000000000000000000000000000000000",
            "0000000000000000000000000000000000000000000000000000000000000000",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "0000000000000000000000000000000000000000000000000000000000000080",
            "0100000000000000000000000000000000000000000000000000000000000080",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
            // Of mixed order: vector 3 of ed25519-speccheck.
            "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d",
        ]
        .map(|text| (text.to_owned(), hex(text)))
        .into();
        for bit in [0, 1, 7, 100, 200, 254, 255] {
            let mut flipped = good.as_bytes().to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            bytes.push((format!("bit {bit} flipped"), flipped));
        }
        bytes.push(("31 bytes".to_owned(), good.as_bytes()[..31].to_vec()));
        bytes.push(("33 bytes".to_owned(), [good.as_bytes().as_slice(), &[0]].concat()));
        let padded = |bytes: &[u8]| BASE64.encode(bytes);
        let mut spelled: Vec<_> = bytes.into_iter().map(|(what, bytes)| (what, padded(&bytes))).collect();
        let text = good.to_string();
        let pieces = padded(&good.as_bytes()[..10]) + &padded(&good.as_bytes()[10..]);
        spelled.push(("in two padded pieces".to_owned(), pieces));
        spelled.push(("without padding".to_owned(), text.trim_end_matches('=').to_owned()));
        spelled.push(("in the other alphabet".to_owned(), BASE64URL.encode(good.as_bytes())));
        spelled.push(("with bits behind the end".to_owned(), with_trailing_bits(good.as_bytes())));
        let others = payload["predicate"]["claim"]["root_keys"]["keys"].as_array().unwrap();
        let position = others.iter().position(|key| *key == json!(text)).unwrap();
        for (what, text) in spelled {
            let pointer = format!("/predicate/claim/root_keys/keys/{position}");
            let changed = json::with(&payload, &pointer, json!(text));
            // A flipped bit may leave a good key, in the wrong place and with nobody's signature.
            self.damaged(format!("a root key {what}"), base.request_about(&changed));
        }
    }

    /// Signatures over an honest payload: altered, malleable, swapped, by others, in any order.
    fn signatures(&mut self, base: &Base) {
        let honest: Value = serde_json::from_slice(&base.request(&base.payload)).unwrap();
        let signatures = honest["envelope"]["signatures"].as_array().unwrap().clone();
        let send = |signatures: Vec<Value>| json::with(&honest, "/envelope/signatures", json!(signatures)).to_string();
        let order = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        for order in order {
            let reordered: Vec<_> = order.iter().map(|position| signatures[*position].clone()).collect();
            self.exact(format!("signatures in order {order:?}"), send(reordered.clone()).into_bytes());
            for (place, signature) in reordered.iter().enumerate() {
                let honest = BASE64.decode(signature["sig"].as_str().unwrap().as_bytes()).unwrap();
                for (what, changed) in self.altered(&honest) {
                    let mut all = reordered.clone();
                    all[place]["sig"] = BASE64.encode(&changed).into();
                    self.exact(format!("signature {place} of {order:?} {what}"), send(all).into_bytes());
                }
                let mut all = reordered.clone();
                all.remove(place);
                self.exact(format!("without signature {place} of {order:?}"), send(all).into_bytes());
                let mut all = reordered.clone();
                all[place]["keyid"] = Sha256Digest::of(b"nobody").to_hex().into();
                self.exact(format!("signature {place} of {order:?} by nobody"), send(all).into_bytes());
            }
        }
        let stranger = key("a stranger");
        let mut all = signatures.clone();
        let envelope = Envelope::sign(base.payload.clone(), &[&stranger]).to_bytes();
        let theirs: Value = serde_json::from_slice(&envelope).unwrap();
        all.push(theirs["signatures"][0].clone());
        self.exact("one signature more, by a stranger".to_owned(), send(all).into_bytes());
        let mut all = signatures.clone();
        all[0]["sig"] = signatures[1]["sig"].clone();
        self.exact("one signature twice".to_owned(), send(all).into_bytes());
        let mut all = signatures.clone();
        all.push(signatures[0].clone());
        self.exact("one signer twice".to_owned(), send(all).into_bytes());
        // Listed by the payload and signing well, but registered nowhere.
        let mut payload = base.value();
        let unknown = PublicKey::from(&stranger).id().to_string();
        payload["predicate"]["signers"][1]["keys"] = json!([unknown]);
        let signers = [&base.signers[0], &base.signers[1], &stranger];
        let envelope = Envelope::sign(payload.to_string().into_bytes(), &signers).to_bytes();
        let changed = json::with(&honest, "/envelope", serde_json::from_slice(&envelope).unwrap());
        self.exact("a signer nobody knows".to_owned(), changed.to_string().into_bytes());
    }

    /// One signature in other ways, none of which verifies.
    fn altered(&mut self, honest: &[u8]) -> Vec<(String, Vec<u8>)> {
        // The order of the base point, in little-endian bytes (RFC 8032, section 5.1).
        const ORDER: [u8; 32] = [
            0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0,
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
        ];
        let mut all = Vec::new();
        let mut malleable = honest.to_vec();
        let mut carry = 0;
        for (byte, more) in malleable[32..].iter_mut().zip(ORDER) {
            let sum = u16::from(*byte) + u16::from(more) + carry;
            *byte = u8::try_from(sum & 0xFF).unwrap();
            carry = sum >> 8;
        }
        all.push(("plus the group order".to_owned(), malleable));
        let small = [[0; 32], {
            let mut one = [0; 32];
            one[0] = 1;
            one
        }];
        for (name, r) in [("zero", small[0]), ("one", small[1]), ("all ones", [0xFF; 32])] {
            all.push((format!("with R {name}"), [r.as_slice(), &honest[32..]].concat()));
            all.push((format!("with S {name}"), [&honest[..32], r.as_slice()].concat()));
        }
        all.push(("backwards".to_owned(), honest.iter().rev().copied().collect()));
        for _ in 0..4 {
            let bit = self.random.below(512);
            let mut flipped = honest.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            all.push((format!("bit {bit} flipped"), flipped));
        }
        all
    }

    /// At the limits, and one beyond.
    fn sizes(&mut self, small: &Base, artefact: &Base) {
        let payload = small.value();
        // White space counts, so any size can be had; an entry is base64 of the payload and what is around it.
        let empty = Envelope::sign(Vec::new(), &small.signers.iter().collect::<Vec<_>>()).to_bytes().len();
        let largest = (65_535 - empty) / 4 * 3;
        for size in [largest - 3, largest - 1, largest, largest + 1, largest + 3, 70_000] {
            let text = payload.to_string();
            let spaces = " ".repeat(size - text.len());
            self.exact(format!("a payload of {size} bytes"), small.request((text + &spaces).as_bytes()));
        }
        let mut many = artefact.value();
        for count in [63, 64, 65] {
            let parents = (0..count).map(|number| {
                json!({"relation": "merge", "digest": Sha256Digest::of(format!("{number}").as_bytes()).to_hex()})
            });
            many["predicate"]["claim"]["parents"] = parents.collect();
            self.exact(format!("{count} parents"), artefact.request_about(&many));
        }
        for count in [63, 64, 65] {
            let mut payload = small.value();
            let own = payload["predicate"]["signers"][0]["keys"][0].as_str().unwrap().to_owned();
            let mut keys: Vec<_> =
                (1..count).map(|number| Sha256Digest::of(format!("{number}").as_bytes()).to_hex()).collect();
            keys.push(own);
            keys.sort();
            payload["predicate"]["signers"][0]["keys"] = json!(keys);
            self.exact(format!("{count} keys listed"), small.request_about(&payload));
        }
    }

    /// The document beside the statement; the statement names its bytes, whatever they are.
    fn manifests(&mut self, base: &Base) {
        let honest: Value = serde_json::from_slice(&base.documents[0]).unwrap();
        let naming = |bytes: &[u8]| {
            let mut payload = base.value();
            let digest = Sha256Digest::of(bytes).to_hex();
            payload["predicate"]["claim"]["manifest"]["sha256"] = digest.as_str().into();
            payload["subject"][0]["digest"]["sha256"] = digest.into();
            let beside = Base { documents: vec![bytes.to_vec()], payload: Vec::new(), ..base.clone() };
            beside.request(payload.to_string().as_bytes())
        };
        for (what, text, _) in changes(&honest) {
            self.damaged(format!("manifest: {what}"), naming(&text));
        }
        let paths = [
            "",
            "/x",
            "x/",
            "a//b",
            "./a",
            "../a",
            "a/..",
            "a\\b",
            "a\0",
            "a\u{202e}b",
            "a\u{200b}",
            "e\u{301}",
            "é",
            ".git/x",
            "b/__pycache__/c",
            "model.sig",
            "x.chop",
            "b.b3tree",
            ".cache/huggingface/x",
            "...",
            "a b",
            "z/z/z",
            "config.json/x",
            "\u{1bca0}",
            "a\u{ff21}",
            "a\u{3000}b",
        ];
        for path in paths.map(str::to_owned).into_iter().chain([
            "x".repeat(255),
            "x".repeat(256),
            vec!["x"; 64].join("/"),
            vec!["x"; 65].join("/"),
        ]) {
            let mut changed = json::with(&honest, "/files/0/path", json!(path));
            changed["files"].as_array_mut().unwrap().sort_by(|a, b| a["path"].as_str().cmp(&b["path"].as_str()));
            for profile in ["chopmark-exclude/v1", "none"] {
                changed["exclusions"] = profile.into();
                self.damaged(
                    format!("manifest, {profile}: a file named {path:?}"),
                    naming(&to_canonical(&changed).unwrap()),
                );
            }
        }
        for (what, text) in [
            ("pretty", serde_json::to_vec_pretty(&honest).unwrap()),
            ("spelled otherwise", self.spelled(&honest).into_bytes()),
            ("with a line end", [base.documents[0].as_slice(), b"\n"].concat()),
            ("without files", to_canonical(&json::with(&honest, "/files", json!([]))).unwrap()),
            ("without a file", to_canonical(&json::without(&honest, "/files/2")).unwrap()),
            ("with a file twice", to_canonical(&json::with(&honest, "/files/1", honest["files"][0].clone())).unwrap()),
            ("of another size", to_canonical(&json::with(&honest, "/files/1/size_bytes", json!(8))).unwrap()),
        ] {
            self.damaged(format!("manifest {what}"), naming(&text));
        }
    }
}

fn sorted(keys: &[SigningKey]) -> Vec<SigningKey> {
    let mut keys = keys.to_vec();
    keys.sort_by_key(|key| PublicKey::from(key).id());
    keys
}

/// Base64 whose last character holds bits that belong to no byte, where there is room for some.
fn with_trailing_bits(data: &[u8]) -> String {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let text = BASE64.encode(data);
    let bare = text.trim_end_matches('=');
    let last = ALPHABET.find(&bare[bare.len() - 1..]).unwrap();
    if bare.len() == text.len() {
        text + "!"
    } else {
        format!("{}{}{}", &bare[..bare.len() - 1], &ALPHABET[last + 1..last + 2], &text[bare.len()..])
    }
}
