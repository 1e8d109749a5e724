//! Markdown of our own documents as roff: headings, paragraphs, lists, tables and short samples. A sample whose lines do not fit
//! on a terminal is left out.

use std::fmt::Write;

/// The longest line of a sample that is shown.
const SAMPLE_COLUMNS_MAX: usize = 140;

/// A line of text as roff takes it for text.
pub(super) fn plain(text: &str) -> String {
    at_line_start(part(text))
}

/// A control character of roff begins only a line.
fn at_line_start(text: String) -> String {
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

fn part(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' => out.push_str("\\e"),
            '-' => out.push_str("\\-"),
            '\n' => out.push(' '),
            '…' => out.push_str("..."),
            letter => out.push(letter),
        }
    }
    out
}

/// A section of one paragraph.
pub(super) fn section(page: &mut String, name: &str, text: &str) {
    let _ = write!(page, ".SH {name}\n{}\n", inline(text));
}

/// A document without its title.
pub(super) fn of(document: &str) -> String {
    let mut page = ".SH DESCRIPTION\n".to_owned();
    let mut lines = document.lines().peekable();
    while let Some(line) = lines.next() {
        if line.starts_with("# ") || line.starts_with("<!--") || line.trim().is_empty() {
        } else if let Some(name) = line.strip_prefix("## ") {
            let _ = writeln!(page, ".SH {}", plain(&name.replace('`', "")));
        } else if let Some(name) = line.strip_prefix("### ") {
            let _ = writeln!(page, ".SS {}", plain(&name.replace('`', "")));
        } else if line.starts_with("```") {
            let sample: Vec<_> = lines.by_ref().take_while(|line| !line.starts_with("```")).collect();
            self::sample(&mut page, &sample);
        } else if line.starts_with('|') {
            let header = cells(line);
            while let Some(row) = lines.next_if(|line| line.starts_with('|')) {
                self::row(&mut page, &header, &cells(row));
            }
        } else {
            let mut text = line.trim().to_owned();
            while let Some(more) = lines.next_if(|line| goes_on(line)) {
                text = format!("{text} {}", more.trim());
            }
            paragraph(&mut page, &text);
        }
    }
    page
}

/// Whether a line continues the paragraph or item before it.
fn goes_on(line: &str) -> bool {
    let begins = ["#", "|", "```", "- ", "<!--"].iter().any(|sign| line.trim_start().starts_with(sign));
    let is_numbered = line.split_once(". ").is_some_and(|(number, _)| number.parse::<u8>().is_ok());
    !line.trim().is_empty() && !begins && !is_numbered
}

fn paragraph(page: &mut String, text: &str) {
    let numbered = text.split_once(". ").filter(|(number, _)| number.parse::<u8>().is_ok());
    let _ = match (text.strip_prefix("- "), numbered) {
        (Some(item), _) => write!(page, ".IP \\(bu 2\n{}\n", inline(item)),
        (None, Some((number, item))) => write!(page, ".IP {number}. 4\n{}\n", inline(item)),
        (None, None) => {
            let begin = begin(page);
            writeln!(page, "{begin}{}", inline(text))
        }
    };
}

/// What begins a paragraph; the first one of a section needs nothing.
fn begin(page: &str) -> &'static str {
    let last = page.trim_end().lines().next_back().unwrap_or_default();
    if last.starts_with(".SH") || last.starts_with(".SS") { "" } else { ".PP\n" }
}

fn sample(page: &mut String, lines: &[&str]) {
    if lines.iter().any(|line| line.len() > SAMPLE_COLUMNS_MAX) {
        *page += &format!("{}The samples are in docs/events.md.\n", begin(page));
        return;
    }
    *page += &format!("{}.nf\n", begin(page));
    lines.iter().for_each(|line| *page += &format!("{}\n", plain(line)));
    page.push_str(".fi\n");
}

fn cells(row: &str) -> Vec<String> {
    let row = row.trim().trim_start_matches('|').trim_end_matches('|').replace("\\|", "\u{1}");
    row.split('|').map(|cell| cell.trim().replace('\u{1}', "|")).collect()
}

/// The first cell names the row; what it means comes first, then the other cells with their heads.
fn row(page: &mut String, header: &[String], cells: &[String]) {
    let Some(name) = cells.first().filter(|name| !name.starts_with("---")) else { return };
    let mut rest: Vec<_> = header.iter().zip(cells).skip(1).filter(|(_, cell)| !cell.is_empty()).collect();
    rest.sort_by_key(|(head, _)| *head != "meaning");
    let said = rest.iter().map(|(head, cell)| match head.as_str() {
        "meaning" | "" => inline(cell),
        head => format!("{}: {}.", plain(head), inline(cell)),
    });
    let said = said.collect::<Vec<_>>().join(" ");
    let _ = write!(page, ".TP\n{}\n{}\n", inline(name), if said.is_empty() { "\\&" } else { &said });
}

/// Code and what is stressed in bold, links as their text.
fn inline(text: &str) -> String {
    let mut out = String::new();
    for (number, part) in text.split('`').enumerate() {
        if number % 2 == 1 {
            let _ = write!(out, "\\fB{}\\fR", self::part(part));
            continue;
        }
        for (number, part) in without_links(part).split("**").enumerate() {
            let part = self::part(part);
            let _ = if number % 2 == 1 { write!(out, "\\fB{part}\\fR") } else { write!(out, "{part}") };
        }
    }
    at_line_start(out)
}

/// `[text](address)` as its text. The brackets of a link around code are cut with the code's signs.
fn without_links(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("](") {
        let (before, after) = rest.split_at(at);
        let end = after.find(')').map_or(after.len(), |end| end + 1);
        match before.rfind('[') {
            Some(open) => {
                out.push_str(&before[..open]);
                out.push_str(&before[open + 1..]);
            }
            None => out.push_str(before),
        }
        rest = &after[end..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_becomes_roff_and_nothing_in_it_is_a_request() {
        for (markdown, roff) in [
            ("text of `code` and **more**.\nSecond line.", "text of \\fBcode\\fR and \\fBmore\\fR. Second line.\n"),
            (".hidden is a file", "\\&.hidden is a file\n"),
            ("See [sources](sources.md) there", "See sources there\n"),
            ("- one\n  more\n- two", ".IP \\(bu 2\none more\n.IP \\(bu 2\ntwo\n"),
            ("1. one", ".IP 1. 4\none\n"),
            ("## `[scope]`", ".SH [scope]\n"),
            (
                "| key | value | meaning |\n|---|---|---|\n| `a` | x \\| y | It is so. |",
                ".TP\n\\fBa\\fR\nIt is so. value: x | y.\n",
            ),
            ("```sh\n.x -y \\n\n```", ".nf\n\\&.x \\-y \\en\n.fi\n"),
            ("# Title\n\n<!-- not shown -->", ""),
        ] {
            assert_eq!(of(markdown), format!(".SH DESCRIPTION\n{roff}"), "{markdown}");
        }
    }
}
