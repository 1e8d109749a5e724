//! Whether a record that was parsed has the id or the username of one that was skipped. No two skipped ones have: the reading
//! that wrote the table saw to that.

/// So many bits say that a hash is none of those looked for.
const FILTER_BITS: usize = 1 << 19;

/// The hashes of what was parsed, and of the usernames of links whose ids no record has.
pub struct Doubles {
    ids: Among,
    names: Among,
}

impl Doubles {
    /// None: some of these are the same already, or seem so.
    #[must_use]
    pub fn of(ids: Vec<u64>, names: Vec<u64>, absent_names: &[u64]) -> Option<Self> {
        let (ids, mut names) = (Among::of(ids)?, Among::of(names)?);
        if absent_names.iter().any(|name| names.has(*name)) {
            return None;
        }
        absent_names.iter().for_each(|name| names.add(*name));
        names.sorted.sort_unstable();
        Some(Self { ids, names })
    }

    /// Whether nothing is looked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.sorted.is_empty() && self.names.sorted.is_empty()
    }

    /// Whether one of them has the id or the username of a skipped record.
    #[must_use]
    pub fn meets(&self, id: u64, name: u64) -> bool {
        self.ids.has(id) || self.names.has(name)
    }
}

struct Among {
    sorted: Vec<u64>,
    filter: Vec<u64>,
}

impl Among {
    /// None: a hash is there twice.
    fn of(mut hashes: Vec<u64>) -> Option<Self> {
        hashes.sort_unstable();
        if hashes.windows(2).any(|pair| pair[0] == pair[1]) {
            return None;
        }
        let mut among = Self { sorted: Vec::new(), filter: vec![0; FILTER_BITS / 64] };
        for hash in &hashes {
            among.note(*hash);
        }
        among.sorted = hashes;
        Some(among)
    }

    fn add(&mut self, hash: u64) {
        self.note(hash);
        self.sorted.push(hash);
    }

    fn note(&mut self, hash: u64) {
        let (word, bit) = place(hash);
        self.filter[word] |= bit;
    }

    fn has(&self, hash: u64) -> bool {
        let (word, bit) = place(hash);
        self.filter[word] & bit != 0 && self.sorted.binary_search(&hash).is_ok()
    }
}

fn place(hash: u64) -> (usize, u64) {
    let bit = hash as usize % FILTER_BITS;
    (bit / 64, 1 << (bit % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_twice_is_found() {
        assert!(Doubles::of(vec![1, 2, 1], vec![4], &[]).is_none());
        assert!(Doubles::of(vec![1, 2], vec![4, 4], &[]).is_none());
        assert!(Doubles::of(vec![1, 2], vec![4], &[4]).is_none());
        let doubles = Doubles::of(vec![1, 2], vec![4], &[5, 3]).expect("none is there twice");
        let found = |id, name| doubles.meets(id, name);
        assert!(found(1, 9) && found(2, 9) && found(9, 4) && found(9, 5) && found(9, 3));
        assert!(!found(4, 1) && !found(1 + FILTER_BITS as u64, 4 + FILTER_BITS as u64));
        assert!(Doubles::of(Vec::new(), Vec::new(), &[]).is_some_and(|doubles| doubles.is_empty()));
        assert!(Doubles::of(vec![7], Vec::new(), &[]).is_some_and(|doubles| !doubles.is_empty()));
    }
}
