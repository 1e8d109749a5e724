//! Stable words for what differs from run to run: ids, times, durations, processes.

/// Stands for the digits of an id.
const DIGITS: &str = "4717ae51c02fc22a7f65e4b91d3806fe4717ae51c02fc22a7f65e4b91d3806fe";

pub(super) fn stable(text: &str) -> String {
    text.split_inclusive('\n').map(line).collect()
}

fn line(text: &str) -> String {
    durations(&text.split(' ').map(one).collect::<Vec<_>>().join(" "))
}

/// A word that is a date, a time, or has an id in it.
fn one(word: &str) -> String {
    let bare = word.trim_matches(|letter: char| "(),;.:\n".contains(letter));
    let is_like = |shape: &str| {
        bare.len() == shape.len()
            && bare
                .bytes()
                .zip(shape.bytes())
                .all(|(byte, shape)| byte == shape || (shape == b'0' && byte.is_ascii_digit()))
    };
    if is_like("0000-00-00") {
        return word.replace(bare, "2026-11-29");
    }
    if is_like("00:00:00") {
        return word.replace(bare, "03:00:00");
    }
    if is_like("0000-00-00T00:00:00.000Z") {
        return word.replace(bare, "2026-11-29T03:00:00.000Z");
    }
    ids(word)
}

/// Runs of eight or more hexadecimal digits, as far as they are not words.
fn ids(word: &str) -> String {
    let mut out = String::new();
    let mut run = String::new();
    for letter in word.chars().chain(['\0']) {
        if letter.is_ascii_hexdigit() && !letter.is_ascii_uppercase() {
            run.push(letter);
            continue;
        }
        let is_id = run.len() >= 8 && run.len() <= DIGITS.len();
        out.push_str(if is_id { &DIGITS[..run.len()] } else { &run });
        run.clear();
        if letter != '\0' {
            out.push(letter);
        }
    }
    out
}

/// `7 ms`, `3 s`, `process 4711`: numbers before or behind these words.
fn durations(text: &str) -> String {
    let mut words: Vec<String> = text.split(' ').map(str::to_owned).collect();
    for at in 1..words.len() {
        let unit = words[at].trim_matches(|letter: char| "(),;.:\n".contains(letter));
        let value = match unit {
            "ms" => "120",
            "s" => "3",
            _ => continue,
        };
        let number = words[at - 1].trim_start_matches('(').to_owned();
        if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) {
            words[at - 1] = words[at - 1].replace(&number, value);
        }
    }
    words.join(" ")
}

#[test]
fn what_differs_from_run_to_run_gets_stable_words() {
    let said = "written 17 s ago (2026-01-02 10:11:12 UTC), in 5 ms; approve 0f0f0f0f; deadline\n";
    let expected = "written 3 s ago (2026-11-29 03:00:00 UTC), in 120 ms; approve 4717ae51; deadline\n";
    assert_eq!(stable(said), expected);
}
