//! Another process that leads by the name of this host. Our own last process, killed a moment ago, leaves a lease that lapses; one that
//! is renewed, or taken anew, is somebody's.

/// By how much a renewal must be later to be one: etcd says in whole seconds how old a lease is.
const LATER_MS: i64 = 2_000;

/// The lease by our name that was seen first: the revision that made its key, and when it was renewed.
#[derive(Default)]
pub(super) struct Twin {
    first: Option<(i64, i64)>,
}

impl Twin {
    /// Whether whoever leads by our name is alive.
    pub(super) fn is_alive(&mut self, made_at: i64, renewed_ms: i64) -> bool {
        let (first_made_at, first_renewed_ms) = *self.first.get_or_insert((made_at, renewed_ms));
        made_at != first_made_at || renewed_ms > first_renewed_ms + LATER_MS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_that_only_lapses_is_nobodys_and_one_that_is_renewed_is_somebodys() {
        let mut twin = Twin::default();
        assert!(!twin.is_alive(7, 1_000));
        assert!(!twin.is_alive(7, 1_900), "etcd counts whole seconds");
        assert!(twin.is_alive(7, 3_100));
        let mut twin = Twin::default();
        assert!(!twin.is_alive(7, 1_000));
        assert!(twin.is_alive(9, 1_500), "another term by our name, and not ours");
    }
}
