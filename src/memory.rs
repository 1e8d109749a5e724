//! BASE: gives the system back what this process does not need: what the allocator keeps, for a cycle needs more memory than the hours
//! between two of them; and code that only the start of the program needs.

/// Gives back what the allocator keeps; a few milliseconds at most. Nothing happens where the allocator is another one than glibc's.
pub(crate) fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc::trim();
}

/// The same, and the program's own code: what of it is needed again comes from the page cache.
pub(crate) fn rest() {
    give_back();
    #[cfg(target_os = "linux")]
    code::give_back();
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code, reason = "the one call of glibc that no library wraps")]
mod glibc {
    unsafe extern "C" {
        /// malloc_trim(3): safe from any thread, at any time.
        safe fn malloc_trim(pad: usize) -> std::ffi::c_int;
    }

    pub(super) fn trim() {
        malloc_trim(0);
    }
}

#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "madvise(2) on pages that nobody can have written to")]
mod code {
    use rustix::mm::{Advice, madvise};

    /// What can be run and not written to, and is no other process's to see changes of.
    const CODE: &str = "r-xp";

    /// Without `/proc`, nothing is given back.
    pub(super) fn give_back() {
        let (Ok(maps), Ok(program)) = (std::fs::read_to_string("/proc/self/maps"), std::env::current_exe()) else {
            return;
        };
        let program = program.to_string_lossy();
        for (start, length) in maps.lines().filter(|line| line.ends_with(&*program)).filter_map(place) {
            // SAFETY: a private mapping of a file that was never writable has only the file's own bytes, and every page that is
            // dropped is read from the file again when it is next touched.
            let _ = unsafe { madvise(start as *mut std::ffi::c_void, length, Advice::LinuxDontNeed) };
        }
    }

    /// `START-END PERMISSIONS …`, in hexadecimal; of code only.
    fn place(line: &str) -> Option<(usize, usize)> {
        let mut words = line.split(' ');
        let (start, end) = words.next()?.split_once('-')?;
        let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
        (words.next()? == CODE).then_some((start, end.checked_sub(start)?))
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn only_code_is_given_back() {
            let line =
                |permissions: &str| format!("55d0a000-55d0c000 {permissions} 00001000 fe:00 17 /usr/bin/rhombus-sync");
            assert_eq!(place(&line("r-xp")), Some((0x55d0_a000, 0x2000)));
            for other in ["r--p", "rw-p", "rwxp", "r-xs", "---p"] {
                assert_eq!(place(&line(other)), None, "{other}");
            }
            assert_eq!((place(""), place("2000-1000 r-xp")), (None, None));
        }
    }
}
