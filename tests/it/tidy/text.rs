//! Rust source as the house rules need it: code without comments and strings, the strings alone, and function lengths.

/// A source file, taken apart.
pub(super) struct Text {
    /// Line for line the file, its comments and the insides of its strings blanked.
    pub(super) code: String,
    /// What its string literals hold, with the line on which each begins.
    pub(super) strings: Vec<(usize, String)>,
}

impl Text {
    pub(super) fn of(source: &str) -> Self {
        let characters: Vec<char> = source.chars().collect();
        let (mut code, mut strings) = (String::new(), Vec::new());
        let blank = |code: &mut String, from: usize, to: usize| {
            code.extend(characters[from..to].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
        };
        let mut at = 0;
        while at < characters.len() {
            let before = at.checked_sub(1).map_or(' ', |before| characters[before]);
            let rest = &characters[at..];
            let starts = |text: &str| text.chars().eq(rest.iter().copied().take(text.len()));
            if starts("//") {
                let end = rest.iter().position(|c| *c == '\n').map_or(characters.len(), |end| at + end);
                blank(&mut code, at, end);
                at = end;
            } else if let Some((open, end)) = literal(rest, before) {
                let line = code.matches('\n').count() + 1;
                strings.push((line, characters[at + open..at + end].iter().collect()));
                code.push('"');
                blank(&mut code, at + 1, at + end);
                at += end;
            } else if starts("'") && (rest.get(2) == Some(&'\'') || rest.get(1) == Some(&'\\')) {
                let end = 2 + rest[2..].iter().position(|c| *c == '\'').expect("a character ends");
                blank(&mut code, at, at + end + 1);
                at += end + 1;
            } else {
                code.push(characters[at]);
                at += 1;
            }
        }
        Self { code, strings }
    }

    /// Each function with the lines from its name to its closing brace. The source is formatted, so that a function ends
    /// where a brace stands alone as deep as it began.
    pub(super) fn functions(&self) -> Vec<(String, usize)> {
        let lines: Vec<&str> = self.code.lines().collect();
        let mut found = Vec::new();
        for (number, line) in lines.iter().enumerate() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let Some(at) = words.iter().position(|word| *word == "fn") else { continue };
            let modifiers = ["pub", "const", "async", "unsafe", "extern"];
            if !words[..at].iter().all(|word| modifiers.contains(word) || word.starts_with("pub(")) {
                continue;
            }
            let name = words[at + 1].split(['(', '<']).next().unwrap_or_default().to_owned();
            let indent = line.len() - line.trim_start().len();
            let close = format!("{}}}", " ".repeat(indent));
            let body = &lines[number..];
            let length =
                match body.iter().position(|line| line.ends_with(';') || line.ends_with('{') || line.ends_with('}')) {
                    Some(opened) if body[opened].ends_with('{') => {
                        1 + body.iter().position(|line| *line == close).unwrap_or(body.len())
                    }
                    opened => 1 + opened.unwrap_or(0),
                };
            found.push((name, length));
        }
        found
    }
}

/// The string literal at the start of `rest`: where its inside begins, and where it ends with its quotes.
fn literal(rest: &[char], before: char) -> Option<(usize, usize)> {
    if rest[0] == '"' {
        let mut end = 1;
        while rest[end] != '"' {
            end += if rest[end] == '\\' { 2 } else { 1 };
        }
        return Some((1, end + 1));
    }
    let hashes = rest.iter().skip(1).take_while(|c| **c == '#').count();
    if rest[0] != 'r' || before.is_alphanumeric() || before == '_' || rest.get(1 + hashes) != Some(&'"') {
        return None;
    }
    let close: String = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let inside = 2 + hashes;
    let end = (inside..rest.len()).find(|end| close.chars().eq(rest[*end..].iter().copied().take(close.len())))?;
    Some((inside, end + close.len()))
}
