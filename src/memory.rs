//! BASE: gives the system back what the allocator keeps: a cycle needs more memory than the hours between two of them.

/// Gives it back; a few milliseconds at most. Nothing happens where the allocator is another one than glibc's.
pub(crate) fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc::trim();
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
