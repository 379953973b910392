//! Owns buffers that are not in use, so that busy connections pass them on and idle ones hold none.

/// Larger buffers go back to the allocator.
pub(crate) const LARGEST: usize = 512 << 10;
/// What one thread keeps at most.
const KEPT_BYTES: usize = 8 << 20;

/// A small stock of buffers; one per thread.
#[derive(Debug, Default)]
pub(crate) struct Spare {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
}

impl Spare {
    /// An empty buffer.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let mut buffer = self.take_any();
        buffer.clear();
        buffer
    }

    /// A buffer of so many bytes of any value. One that had as many when it was put is not written to.
    pub(crate) fn take_full(&mut self, bytes: usize) -> Vec<u8> {
        let mut buffer = self.take_any();
        buffer.resize(bytes, 0);
        buffer
    }

    fn take_any(&mut self) -> Vec<u8> {
        let buffer = self.buffers.pop().unwrap_or_default();
        self.bytes -= buffer.capacity();
        buffer
    }

    pub(crate) fn put(&mut self, buffer: Vec<u8>) {
        let capacity = buffer.capacity();
        if capacity > 0 && capacity <= LARGEST && self.bytes + capacity <= KEPT_BYTES {
            self.bytes += capacity;
            self.buffers.push(buffer);
        }
    }
}
