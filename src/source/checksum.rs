//! The checksum beside an export (`directory.csv.sha256`), in the forms in which programs and shells write it.

use super::utf16::Decoder;
use crate::files::{self, Role};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The longest checksum file that is looked at, in bytes.
pub(super) const CHECKSUM_BYTES_MAX: usize = 4096;
/// How many hex digits a SHA-256 has.
const DIGITS_COUNT: usize = 64;

/// Where the checksum of an export lies.
pub(super) fn beside(export: &Path) -> PathBuf {
    let mut path = export.to_path_buf().into_os_string();
    path.push(".sha256");
    path.into()
}

/// What a checksum file holds.
pub(super) enum Checksum {
    /// SHA-256, as lower-case hex.
    Sha256(String),
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

/// `HEX`, `HEX  NAME`, or BSD's `SHA256 (NAME) = HEX`; UTF-8, or UTF-16 with a mark.
pub(super) fn parse(bytes: &[u8]) -> Checksum {
    let mut text = Vec::new();
    if let Some(mut decoder) = Decoder::of_mark(bytes) {
        if decoder.decode(bytes, &mut text).is_err() {
            return Checksum::Odd("it is not text");
        }
    } else {
        text.extend_from_slice(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes));
    }
    let Ok(text) = String::from_utf8(text) else { return Checksum::Odd("it is not text") };
    let Some(line) = text.lines().find(|line| !line.trim().is_empty()) else { return Checksum::Odd("it is empty") };
    let word = match line.rsplit_once(") = ") {
        Some((_, digits)) if line.starts_with("SHA256 (") => digits.trim(),
        Some(_) | None => line.split_whitespace().next().unwrap_or_default().trim_start_matches('\\'),
    };
    if word.len() != DIGITS_COUNT || !word.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Checksum::Odd("it does not begin with a SHA-256 of 64 hex digits");
    }
    Checksum::Sha256(word.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_however_a_program_writes_it() {
        let digits = "0123456789abcdef".repeat(4);
        let upper = digits.to_uppercase();
        let utf16 =
            |text: &str| std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
        for good in [
            digits.clone().into_bytes(),
            format!("{upper} *directory.csv\r\n").into_bytes(),
            format!("\u{feff}{digits}  directory.csv\n").into_bytes(),
            format!("SHA256 (directory.csv) = {digits}\n").into_bytes(),
            utf16(&format!("{digits}\r\n")),
        ] {
            assert!(matches!(parse(&good), Checksum::Sha256(found) if found == digits), "{good:?}");
        }
        for odd in ["", "\n", "md5 of it", &digits[1..], "SHA512 (x) = 00"] {
            assert!(matches!(parse(odd.as_bytes()), Checksum::Odd(_)), "{odd}");
        }
    }
}
