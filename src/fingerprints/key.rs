//! The key of a table: records are hashed with it, so that whoever can write a record cannot choose one that hashes like
//! another; and each segment is sealed with it.

use super::Torn;
use sha2::{Digest, Sha256};
use xxhash_rust::xxh3::xxh3_128_with_secret;

/// How many random bytes a key is made of.
pub const SEED_BYTES: usize = 32;
/// As long as the secret that xxh3 comes with.
const SECRET_BYTES: usize = 192;
/// What stands behind a segment: its reading, part and number, and the seal.
const TRAILER_BYTES: usize = 8 + 1 + 4 + 16;

/// Which part of a table a segment belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// The records of a reading, in their order.
    Base,
    /// How later readings differ from it.
    Edits,
}

impl Part {
    /// The number that stands for it.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Base => 0,
            Self::Edits => 1,
        }
    }
}

/// Where the segments lie.
pub trait Shelf {
    /// Replaces the buffer with a segment as it was sealed; false: there is none, or it cannot be read.
    fn fetch(&mut self, part: Part, number: u32, into: &mut Vec<u8>) -> bool;
}

/// The key of a table.
#[derive(Clone)]
pub struct Key {
    secret: [u8; SECRET_BYTES],
}

impl Key {
    /// The key of a seed.
    #[must_use]
    pub fn of(seed: &[u8; SEED_BYTES]) -> Self {
        let mut secret = [0; SECRET_BYTES];
        for (number, part) in (0_u8..).zip(secret.chunks_mut(32)) {
            let digest = Sha256::new().chain_update(seed).chain_update([number]).finalize();
            part.copy_from_slice(&digest[..part.len()]);
        }
        Self { secret }
    }

    /// The hash of a text.
    #[must_use]
    #[inline]
    pub fn hash(&self, bytes: &[u8]) -> u128 {
        xxh3_128_with_secret(bytes, &self.secret)
    }

    /// Seals a segment in place.
    pub(super) fn seal(&self, reading: u64, part: Part, number: u32, segment: &mut Vec<u8>) {
        segment.extend_from_slice(&reading.to_le_bytes());
        segment.push(part.number());
        segment.extend_from_slice(&number.to_le_bytes());
        let seal = self.hash(segment);
        segment.extend_from_slice(&seal.to_le_bytes());
    }

    /// The bytes of a sealed segment.
    ///
    /// # Errors
    /// It is another one, or not as it was sealed.
    pub(super) fn unseal(&self, reading: u64, part: Part, number: u32, segment: &mut Vec<u8>) -> Result<(), Torn> {
        let length = segment.len().checked_sub(TRAILER_BYTES).ok_or(Torn)?;
        let found = segment.split_off(length);
        self.seal(reading, part, number, segment);
        let same = segment.get(length..) == Some(&found);
        segment.truncate(length);
        if same { Ok(()) } else { Err(Torn) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_believed_only_where_it_belongs_and_as_it_was() {
        let (key, other) = (Key::of(&[1; 32]), Key::of(&[2; 32]));
        assert_ne!(key.hash(b"a record"), other.hash(b"a record"));
        let mut sealed = b"some entries".to_vec();
        key.seal(7, Part::Base, 3, &mut sealed);
        let opened = |key: &Key, reading, part, number, mut segment: Vec<u8>| {
            key.unseal(reading, part, number, &mut segment).map(|()| segment)
        };
        assert_eq!(opened(&key, 7, Part::Base, 3, sealed.clone()), Ok(b"some entries".to_vec()));
        assert_eq!(opened(&other, 7, Part::Base, 3, sealed.clone()), Err(Torn));
        assert_eq!(opened(&key, 8, Part::Base, 3, sealed.clone()), Err(Torn));
        assert_eq!(opened(&key, 7, Part::Edits, 3, sealed.clone()), Err(Torn));
        assert_eq!(opened(&key, 7, Part::Base, 4, sealed.clone()), Err(Torn));
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert_eq!(opened(&key, 7, Part::Base, 3, damaged), Err(Torn), "{at}");
            assert_eq!(opened(&key, 7, Part::Base, 3, sealed[..at].to_vec()), Err(Torn), "{at}");
        }
    }
}
