//! What the system is called: by `uname`, in `/proc/sys/kernel`, by `sethostname` and `setdomainname`.

use alloc::vec::Vec;
use septum_abi::linux::Errno;
use septum_guest_hal::sync::Mutex;

/// Most bytes of a name (`__NEW_UTS_LEN`).
pub const LIMIT: usize = 64;

/// A name that can be changed.
pub struct Name {
    name: Mutex<Vec<u8>>,
    /// What is said while there is none.
    none: &'static [u8],
}

/// The node's.
pub static HOST: Name = Name { name: Mutex::new(Vec::new()), none: b"" };
/// The NIS domain's.
pub static DOMAIN: Name = Name { name: Mutex::new(Vec::new()), none: b"(none)" };

impl Name {
    /// The name.
    pub fn get(&self) -> Vec<u8> {
        let name = self.name.lock();
        if name.is_empty() { self.none.to_vec() } else { name.clone() }
    }

    /// Changes it. EINVAL if it is too long.
    pub fn set(&self, name: &[u8]) -> Result<(), Errno> {
        if name.len() > LIMIT {
            return Err(Errno::EINVAL);
        }
        *self.name.lock() = name.to_vec();
        Ok(())
    }
}
