//! The contract's structures as plain bytes, so that they can be copied to and from guest memory.

use septum_abi::boot::BootPage;
use septum_abi::clock::ClockPage;
use septum_abi::ready::ReadyDevice;
use septum_abi::report::GuestReport;
use septum_abi::service::Call;
use vm_memory::ByteValued;

/// A structure of the contract, copied as a whole.
#[repr(transparent)]
#[derive(Clone, Copy, Debug)]
pub struct Plain<T: Copy>(pub T);

/// A value of zeros that was never on the stack: for structures that are large.
#[must_use]
pub fn boxed_zeros<T: ByteValued>() -> Box<T> {
    // SAFETY: 1. any bit pattern is a valid value, as `ByteValued` says.
    unsafe { Box::new_zeroed().assume_init() }
}

// SAFETY: 1. `repr(C)` structures of integers and arrays of integers; 2. without padding, since every field
// lies at a multiple of its size, as the assertions below check; 3. any bit pattern is valid.
unsafe impl ByteValued for Plain<BootPage> {}
// SAFETY: as above.
unsafe impl ByteValued for Plain<ClockPage> {}
// SAFETY: as above.
unsafe impl ByteValued for Plain<GuestReport> {}
// SAFETY: as above.
unsafe impl ByteValued for Plain<Call> {}

const _: () = {
    use septum_abi::counters::{BUCKETS, CLASSES, COUNTED_CALLS, SHARDS, Shard};
    use septum_abi::report::{LOG_SIZE, PanicRecord};
    assert!(size_of::<BootPage>() == 16 + 64 + 32 + 8 + 16 + 16 + 16 + 2 * size_of::<ReadyDevice>() + 96);
    assert!(size_of::<ReadyDevice>() == 16 + 4 * 24);
    assert!(size_of::<ClockPage>() == 40);
    assert!(size_of::<Call>() == 32 + 16);
    assert!(size_of::<Shard>() == 8 * (3 + (BUCKETS + 1) * CLASSES + COUNTED_CALLS));
    assert!(
        size_of::<GuestReport>()
            == 40 + 72 + SHARDS * size_of::<Shard>() + 1024 * 4 + size_of::<PanicRecord>() + LOG_SIZE
    );
    assert!(size_of::<PanicRecord>() == 16 + 16 + 18 * 8 + 32 * 8 + 512);
};
