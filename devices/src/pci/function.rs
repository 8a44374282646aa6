//! What the bus asks of a function.

/// A function on the bus. All methods may be called by several vCPU threads at once.
pub trait PciFunction: Send + Sync {
    /// Reads configuration registers: `data.len()` bytes (1 to 8) from `register` (0 to 4095) on.
    fn config_read(&self, register: usize, data: &mut [u8]);

    /// Writes configuration registers.
    fn config_write(&self, register: usize, data: &[u8]);

    /// The BAR that decodes `address` at present, and the offset into it.
    fn claim(&self, address: u64) -> Option<(usize, u64)>;

    /// Reads `data.len()` bytes (1 to 8) of a BAR, after [`claim`](Self::claim) named it. The access starts inside
    /// the BAR and may end outside it.
    fn memory_read(&self, bar: usize, offset: u64, data: &mut [u8]);

    /// Writes to a BAR, after [`claim`](Self::claim) named it.
    fn memory_write(&self, bar: usize, offset: u64, data: &[u8]);
}
