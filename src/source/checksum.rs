//! The checksum beside an export (`directory.csv.sha256`), in the forms in which programs and shells write it.

use super::utf16::Decoder;
use crate::files::{self, Role};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The longest checksum file that is looked at, in bytes.
pub(super) const CHECKSUM_BYTES_MAX: usize = 4096;
/// How many hex digits a SHA-256 has.
const DIGITS_COUNT: usize = 64;

/// Other checksums, by their number of hex digits.
const OTHERS: [(usize, &str); 4] = [
    (32, "it is an MD5, not a SHA-256"),
    (40, "it is a SHA-1, not a SHA-256"),
    (96, "it is a SHA-384, not a SHA-256"),
    (128, "it is a SHA-512, not a SHA-256"),
];

/// Where the checksum of an export lies.
pub(super) fn beside(export: &Path) -> PathBuf {
    let mut path = export.to_path_buf().into_os_string();
    path.push(".sha256");
    path.into()
}

/// What a checksum file holds.
pub(super) enum Checksum {
    /// One or more SHA-256, as lower-case hex: the export's must be among them. Which file each is of is not asked: no other
    /// file has the export's.
    Sha256(Vec<String>),
    /// Nothing of the kind; what it holds instead.
    Odd(&'static str),
}

/// Reads a checksum file; `None` if there is none.
///
/// # Errors
/// It is there and cannot be read.
pub(super) fn read(path: &Path) -> std::io::Result<Option<Checksum>> {
    match files::read_start(path, Role::Export, CHECKSUM_BYTES_MAX as u64) {
        Ok(bytes) => Ok(Some(parse(&bytes))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Finds the SHA-256 in a text, as `sha256sum`, `openssl`, BSD's `sha256`, `certutil`, `gpg` and PowerShell's `Get-FileHash`
/// write it: alone, before or behind a name, in a table, with blanks in it. UTF-8, or UTF-16 with a mark.
pub(super) fn parse(bytes: &[u8]) -> Checksum {
    let mut text = Vec::new();
    if let Some(mut decoder) = Decoder::of_mark(bytes) {
        if decoder.decode(bytes, &mut text).is_err() || decoder.decode(&[], &mut text).is_err() {
            return Checksum::Odd("it is not text");
        }
    } else {
        text.extend_from_slice(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes));
    }
    let Ok(text) = String::from_utf8(text) else { return Checksum::Odd("it is not text") };
    if text.trim().is_empty() {
        return Checksum::Odd("it is empty");
    }
    let words = || text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| is_hex(word));
    let alone = words().filter(|word| word.len() == DIGITS_COUNT).map(str::to_ascii_lowercase);
    let found: Vec<_> = alone.chain(in_parts(&text)).collect();
    if !found.is_empty() {
        return Checksum::Sha256(found);
    }
    if text.contains("...") || text.contains('\u{2026}') {
        return Checksum::Odd("its SHA-256 is cut off: write it with `(Get-FileHash FILE).Hash`");
    }
    let other = words().find_map(|word| OTHERS.iter().find(|(count, _)| *count == word.len()));
    Checksum::Odd(other.map_or("it contains no SHA-256 of 64 hex digits", |(_, what)| what))
}

fn is_hex(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A SHA-256 with blanks between its parts, as `certutil` of old and `gpg --print-md` write it.
fn in_parts(text: &str) -> Option<String> {
    let mut parts = String::new();
    for word in text.split_whitespace().chain([""]) {
        if is_hex(word) && word.len() < DIGITS_COUNT {
            parts.push_str(word);
        } else if parts.len() == DIGITS_COUNT {
            return Some(parts.to_ascii_lowercase());
        } else {
            parts.clear();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_however_a_program_writes_it() {
        let digits = "0123456789abcdef".repeat(4);
        let upper = digits.to_uppercase();
        let spaced: Vec<_> = digits.as_bytes().chunks(2).map(|pair| String::from_utf8_lossy(pair)).collect();
        let utf16 = |text: &str| -> Vec<u8> {
            std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
        };
        let table = format!(
            "\r\nAlgorithm       Hash                                                                   Path\r\n---------       \
             ----                                                                   ----\r\nSHA256          {upper}       \
             C:\\export\\directory.csv\r\n\r\n"
        );
        let certutil = |hash: &str| {
            format!(
                "SHA256 hash of directory.csv:\r\n{hash}\r\nCertUtil: -hashfile command completed successfully.\r\n"
            )
        };
        for good in [
            digits.clone(),
            format!("{upper} *directory.csv\r\n"),
            format!("\u{feff}{digits}  directory.csv\n"),
            format!("\\{digits}  a\\nb.csv\n"),
            format!("SHA256 (directory.csv) = {digits}\n"),
            format!("SHA2-256(directory.csv)= {digits}\n"),
            table,
            format!("Algorithm : SHA256\r\nHash      : {upper}\r\nPath      : C:\\export\\directory.csv\r\n"),
            format!("\"Algorithm\",\"Hash\",\"Path\"\r\n\"SHA256\",\"{upper}\",\"C:\\directory.csv\"\r\n"),
            format!("{{\"Algorithm\":\"SHA256\",\"Hash\":\"{upper}\"}}\r\n"),
            certutil(&digits),
            certutil(&spaced.join(" ")),
            format!("directory.csv: {}\r\n    {}\r\n", spaced[..16].concat(), spaced[16..].concat()),
        ] {
            for bytes in [good.clone().into_bytes(), utf16(&good)] {
                assert!(matches!(parse(&bytes), Checksum::Sha256(found) if found == [digits.as_str()]), "{good}");
            }
        }
    }

    #[test]
    fn the_exports_may_be_one_of_several() {
        let (one, other) = ("0".repeat(64), "f".repeat(64));
        let list = format!("{one}  members.csv\n{other}  directory.csv\n");
        assert!(matches!(parse(list.as_bytes()), Checksum::Sha256(found) if found == [one, other]));
    }

    #[test]
    fn what_is_not_one_is_named() {
        let hex = |count| "0123456789abcdef".repeat(8)[..count].to_owned();
        for (odd, said) in [
            (String::new(), "empty"),
            ("\n".to_owned(), "empty"),
            ("the sum of it".to_owned(), "no SHA-256 of 64 hex digits"),
            (hex(63), "no SHA-256 of 64 hex digits"),
            (hex(65), "no SHA-256 of 64 hex digits"),
            (hex(32), "an MD5"),
            (hex(40), "a SHA-1"),
            (format!("{}  directory.csv", hex(96)), "a SHA-384"),
            (format!("SHA512 (directory.csv) = {}", hex(128)), "a SHA-512"),
            (format!("SHA256          {}...", hex(54)), "cut off"),
            ("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=".to_owned(), "no SHA-256 of 64 hex digits"),
        ] {
            assert!(matches!(parse(odd.as_bytes()), Checksum::Odd(what) if what.contains(said)), "{odd}");
        }
        assert!(matches!(parse(&[0xff, 0xfe, 0x41]), Checksum::Odd(_)), "half a character");
    }
}
