//! Tokens that are not good are refused with the same words, whatever is wrong with them. That time ends them, and challenges,
//! is tested where the clock can be set: with the store.

use std::cell::RefCell;
use std::time::Instant;

use serde_json::{Value, json};

use super::{get_as, login, service, token_made, token_of};
use crate::harness::{Answer, Home, is_soak};
use crate::shared;

/// A refusal without what names the request.
fn refusal(answer: &Answer) -> (Option<String>, Value) {
    assert_eq!(answer.status, 401, "{}", answer.text());
    let mut problem = answer.problem();
    problem.as_object_mut().unwrap().remove("instance");
    (answer.header("www-authenticate").map(str::to_owned), problem)
}

#[test]
fn whatever_is_wrong_with_a_token_the_answer_is_the_same() {
    let service = service();
    let author = shared::author(service, "tokens");
    let path = format!("/v1/statements/{}/openings", author.party.to_hex());
    let good = token_of(service, &author);
    assert_eq!(get_as(service, &path, &good).status, 404, "a good token, and nothing sealed");

    let none = refusal(&service.get(&path));
    let (altered, altered_id) = token_made(service, &["--role", "officer", "--jurisdiction", "HK"]);
    service.sql(&format!("UPDATE vault.token SET expires_at = now() WHERE id = '{altered_id}'")).unwrap();
    let (revoked, revoked_id) = token_made(service, &["--role", "officer", "--jurisdiction", "HK"]);
    let data = service.directory.to_str().unwrap();
    let home = Home::new();
    assert_eq!(home.json(&["token", "revoke", &revoked_id, "--data-dir", data]).0, 0);
    assert_eq!(home.json(&["token", "revoke", "aaaaaaaaaaaaaaaa", "--data-dir", data]).0, 5);
    let (narrow, _) = token_made(service, &["--role", "officer", "--jurisdiction", "HK", "--scope", "accesses"]);
    let (auditor, _) = token_made(service, &["--role", "auditor"]);
    let (id, rest) = good["chop_live_".len()..].split_once('_').unwrap();
    let (secret, checksum) = rest.split_once('_').unwrap();
    let flip = |text: &str| match text.strip_prefix('a') {
        Some(rest) => format!("b{rest}"),
        None => format!("a{}", &text[1..]),
    };
    let mut guessed = [0; 32];
    guessed[0] = 1;
    let guessed_secret = chopmark_core::token::Token::from_random([1; 10], &guessed);
    for (what, token) in [
        ("of a row that was altered", altered.as_str()),
        ("revoked", &revoked),
        ("of another scope", &narrow),
        ("of a role without the scope", &auditor),
        ("cut short", &good[..good.len() - 1]),
        ("of another checksum", &format!("chop_live_{id}_{secret}_{}", flip(checksum))),
        ("of another secret", &format!("chop_live_{id}_{}_{checksum}", flip(secret))),
        ("of a guessed id", guessed_secret.expose()),
        ("empty", ""),
        ("no token at all", "x"),
    ] {
        assert_eq!(refusal(&get_as(service, &path, token)), none, "{what}");
    }
    // The right id with a secret of one's own, well formed.
    let id = data_encoding::BASE32_NOPAD.decode(id.to_ascii_uppercase().as_bytes()).unwrap();
    let forged = chopmark_core::token::Token::from_random(id.try_into().unwrap(), &guessed);
    assert_eq!(forged.id().as_str(), good["chop_live_".len()..].split_once('_').unwrap().0);
    assert_eq!(refusal(&get_as(service, &path, forged.expose())), none);

    // Logins: every one of these is refused in the same words, too.
    let post = |request: &Value| service.post_to("/v1/tokens", request.to_string().as_bytes());
    let other = shared::author(service, "tokens of another");
    let origin = &author.registry.origin;
    let used = login(service, &author, origin);
    assert_eq!(post(&used).status, 201);
    let mut of_another = login(service, &author, origin);
    of_another["party"] = json!(other.party);
    let mut unknown_key = login(service, &author, origin);
    unknown_key["key_id"] = json!("ab".repeat(32));
    let mut made_up = login(service, &author, origin);
    made_up["challenge"] = json!("ab".repeat(32));
    let mut unsigned = login(service, &author, origin);
    unsigned["signature"] = json!("");
    for (what, request) in [
        ("a used challenge", used),
        ("another origin", login(service, &author, "elsewhere.example/log")),
        ("another party", of_another),
        ("an unknown key", unknown_key),
        ("a challenge that was never made", made_up),
        ("no signature", unsigned),
    ] {
        assert_eq!(refusal(&post(&request)), none, "{what}");
    }
    // Those that wait for an answer are not kept, so nobody can fill a table with them; only what was used is.
    let waiting = login(service, &author, origin)["challenge"].as_str().unwrap().to_owned();
    let used = login(service, &author, origin);
    assert_eq!(post(&used).status, 201);
    for (challenge, kept) in [(waiting.as_str(), "0"), (used["challenge"].as_str().unwrap(), "1")] {
        let count = format!("SELECT count(*) FROM vault.challenge WHERE id = '{challenge}'");
        assert_eq!(service.sql(&count).unwrap(), kept);
    }
    assert_eq!(post(&json!({"party": "x"})).status, 400);
    // Nothing larger than a login is read.
    assert_eq!(post(&json!({"party": "x".repeat(5 << 10)})).status, 413);

    // What is kept is the hash alone.
    let kept = service.sql("SELECT string_agg(token::text, ' ') FROM vault.token").unwrap();
    assert!(kept.contains(&altered_id) && !kept.contains(secret), "{kept}");
    let (code, listed) = home.json(&["token", "list", "--data-dir", data]);
    assert!(code == 0 && listed.to_string().contains(&revoked_id) && !listed.to_string().contains("chop_live"));
}

/// How often times are measured before they are found to differ.
const TRIES: usize = 5;

type Request<'a> = (&'static str, Box<dyn Fn() -> Answer + 'a>);

/// Median time of each request in milliseconds, sent in turn so that whatever else runs slows all of them down.
fn medians(requests: &[Request<'_>], rounds: usize) -> Vec<f64> {
    let mut took = vec![Vec::with_capacity(rounds); requests.len()];
    for round in 0..rounds {
        for offset in 0..requests.len() {
            // Not always behind the same one.
            let at = (round * 3 + offset) % requests.len();
            let begun = Instant::now();
            let answer = requests[at].1();
            took[at].push(begun.elapsed().as_secs_f64() * 1_000.0);
            assert!(answer.status == 401 || answer.status == 404, "{}: {}", requests[at].0, answer.text());
        }
    }
    for all in &mut took {
        all.sort_by(f64::total_cmp);
    }
    took.iter().map(|all| all[all.len() / 2]).collect()
}

#[test]
fn whatever_is_wrong_with_a_token_the_answer_takes_the_same_time() {
    let service = service();
    let author = shared::author(service, "timed tokens");
    let path = format!("/v1/statements/{}/openings", author.party.to_hex());
    let good = token_of(service, &author);
    let (altered, altered_id) = token_made(service, &["--role", "officer", "--jurisdiction", "HK"]);
    service.sql(&format!("UPDATE vault.token SET expires_at = now() WHERE id = '{altered_id}'")).unwrap();
    let (narrow, _) = token_made(service, &["--role", "officer", "--jurisdiction", "HK", "--scope", "accesses"]);
    let of = |id: [u8; 10], secret: u8| chopmark_core::token::Token::from_random(id, &[secret; 32]).expose().to_owned();
    let id = good["chop_live_".len()..].split_once('_').unwrap().0.to_ascii_uppercase();
    let id: [u8; 10] = data_encoding::BASE32_NOPAD.decode(id.as_bytes()).unwrap().try_into().unwrap();
    let asked = |token: String| -> Box<dyn Fn() -> Answer + '_> {
        let path = path.clone();
        Box::new(move || get_as(service, &path, &token))
    };
    let requests = [
        ("cut short", asked(good[..good.len() - 1].to_owned())),
        ("of a guessed id", asked(of([7; 10], 1))),
        ("of another secret", asked(of(id, 1))),
        ("of a row that was altered", asked(altered)),
        ("of another scope", asked(narrow)),
        // The control: a page that looks nothing up.
        ("no page at all", Box::new(|| service.get("/v1/nothing")) as Box<dyn Fn() -> Answer + '_>),
    ];
    take_as_long(&requests, 200);
}

/// Logins that are refused: those that use a challenge up, and those that have none to use. Whoever asks knows which it is.
#[test]
fn whatever_is_wrong_with_a_login_the_answer_takes_the_same_time() {
    let service = service();
    let (author, other) = (shared::author(service, "timed logins"), shared::author(service, "timed logins of another"));
    let rounds = if is_soak() { 200 } else { 20 };
    let origin = &author.registry.origin;
    let post = |request: &Value| service.post_to("/v1/tokens", request.to_string().as_bytes());
    // Made beforehand: making one is not what is timed.
    let prepared = |change: &dyn Fn(&mut Value), origin: &str| -> Box<dyn Fn() -> Answer + '_> {
        let made = |_| {
            let mut request = login(service, &author, origin);
            change(&mut request);
            request
        };
        let requests: RefCell<Vec<Value>> = RefCell::new((0..rounds * TRIES).map(made).collect());
        Box::new(move || post(&requests.borrow_mut().pop().unwrap()))
    };
    let control = || -> Request<'_> { ("no page at all", Box::new(|| service.get("/v1/nothing"))) };
    let using_up = [
        ("of another origin", prepared(&|_| {}, "elsewhere.example/log")),
        ("of another party", prepared(&|request| request["party"] = json!(other.party), origin)),
        ("of an unknown key", prepared(&|request| request["key_id"] = json!("ab".repeat(32)), origin)),
        control(),
    ];
    take_as_long(&using_up, rounds);
    let used = login(service, &author, origin);
    assert_eq!(post(&used).status, 201);
    let mut made_up = used.clone();
    made_up["challenge"] = json!("ab".repeat(32));
    let using_none: [Request<'_>; 3] = [
        ("of a used challenge", Box::new(|| post(&used))),
        ("of a challenge never made", Box::new(|| post(&made_up))),
        control(),
    ];
    take_as_long(&using_none, rounds);
}

/// Measures until all but the last, the control, take as long, a few times at most; prints the medians.
fn take_as_long(requests: &[Request<'_>], rounds: usize) {
    let mut last = String::new();
    for _ in 0..TRIES {
        let medians = medians(requests, rounds);
        let told = requests.iter().zip(&medians).map(|((what, _), median)| format!("{what} {median:.3} ms"));
        last = told.collect::<Vec<_>>().join("; ");
        let (control, refusals) = medians.split_last().unwrap();
        let slowest = refusals.iter().copied().fold(0.0, f64::max);
        let fastest = refusals.iter().copied().fold(f64::MAX, f64::min);
        // What is compared is small beside the looking up that the control does without, which is seen.
        // Only the long run judges: a machine that does other things meanwhile says nothing about time.
        if !is_soak() || (slowest < fastest * 1.2 && *control < fastest * 0.8) {
            println!("{last}");
            return;
        }
    }
    panic!("{last}");
}
