//! UTF-16, as Windows PowerShell writes it, turned into UTF-8 block by block. Only a mark says so: nothing is guessed, and
//! half a character refuses the file.

/// One 16-bit unit becomes three bytes at most.
const BYTES_PER_UNIT_MAX: usize = 3;

/// What a decoder holds between two blocks.
pub(super) struct Decoder {
    little_endian: bool,
    at_mark: bool,
    odd: Option<u8>,
    high: Option<u16>,
}

impl Decoder {
    /// A decoder for a file that begins with these bytes; `None` without a UTF-16 byte order mark.
    pub(super) fn of_mark(start: &[u8]) -> Option<Self> {
        let little_endian = match start {
            // The mark of UTF-32.
            [0xff, 0xfe, 0, 0, ..] => return None,
            [0xff, 0xfe, ..] => true,
            [0xfe, 0xff, ..] => false,
            _ => return None,
        };
        Some(Self { little_endian, at_mark: true, odd: None, high: None })
    }

    /// Writes a block in UTF-8 behind what `text` holds; an empty one ends the file.
    ///
    /// # Errors
    /// A surrogate stands alone, or the file ends in half a character.
    pub(super) fn decode(&mut self, bytes: &[u8], text: &mut Vec<u8>) -> Result<(), &'static str> {
        if bytes.is_empty() {
            return match (self.odd, self.high) {
                (None, None) => Ok(()),
                (Some(_), _) | (_, Some(_)) => Err("it is UTF-16 and ends in the middle of a character"),
            };
        }
        text.reserve(BYTES_PER_UNIT_MAX * (bytes.len() / 2 + 1));
        let mut bytes = bytes;
        if let (Some(first), [second, rest @ ..]) = (self.odd.take(), bytes) {
            self.unit([first, *second], text)?;
            bytes = rest;
        }
        let (pairs, odd) = bytes.as_chunks::<2>();
        for pair in pairs {
            self.unit(*pair, text)?;
        }
        self.odd = odd.first().copied();
        Ok(())
    }

    fn unit(&mut self, pair: [u8; 2], text: &mut Vec<u8>) -> Result<(), &'static str> {
        let unit = if self.little_endian { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) };
        if std::mem::take(&mut self.at_mark) {
            return Ok(());
        }
        if unit < 0x80 && self.high.is_none() {
            text.push(unit as u8);
            return Ok(());
        }
        let lone = "it is UTF-16 with an unpaired surrogate";
        let code = match (self.high.take(), unit) {
            (None, 0xd800..=0xdbff) => {
                self.high = Some(unit);
                return Ok(());
            }
            (Some(high), 0xdc00..=0xdfff) => 0x1_0000 + ((u32::from(high) - 0xd800) << 10) + (u32::from(unit) - 0xdc00),
            (None, 0xdc00..=0xdfff) | (Some(_), _) => return Err(lone),
            (None, _) => u32::from(unit),
        };
        let letter = char::from_u32(code).ok_or(lone)?;
        text.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(bytes: &[u8], piece: usize) -> Result<String, &'static str> {
        let mut decoder = Decoder::of_mark(bytes).ok_or("no mark")?;
        let mut text = Vec::new();
        for piece in bytes.chunks(piece) {
            decoder.decode(piece, &mut text)?;
        }
        decoder.decode(&[], &mut text)?;
        Ok(String::from_utf8(text).expect("it writes UTF-8"))
    }

    #[test]
    fn it_is_decoded_whatever_the_pieces_and_strictly() {
        let text = "a\u{e9}\u{4e2d}\u{1f511}\r\n";
        let little: Vec<u8> = std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_be_bytes).collect();
        for piece in [1, 2, 3, 5, 100] {
            assert_eq!(decode(&little, piece).as_deref(), Ok(text), "{piece}");
            assert_eq!(decode(&big, piece).as_deref(), Ok(text), "{piece}");
        }
        assert!(decode(&little[..little.len() - 1], 4).is_err(), "an odd byte");
        for units in [&[0xd83d_u16][..], &[0xd83d, 0x41], &[0xdd11], &[0xd83d, 0xd83d, 0xdd11]] {
            let bytes: Vec<u8> =
                std::iter::once(&0xfeff_u16).chain(units).flat_map(|unit| unit.to_le_bytes()).collect();
            assert!(decode(&bytes, 3).is_err(), "{units:x?}");
        }
        assert!(Decoder::of_mark(b"a\0b\0").is_none());
    }
}
