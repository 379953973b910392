//! Owns buffers that are not in use, so that busy connections pass them on and idle ones hold none.

/// Larger buffers go back to the allocator.
const LARGEST: usize = 512 << 10;
/// Bytes that wait stand in a buffer at most so many times as large.
const WASTE: usize = 4;
/// What one thread keeps at most.
const KEPT_BYTES: usize = 8 << 20;

/// A small stock of empty buffers; one per thread.
#[derive(Debug, Default)]
pub(crate) struct Spare {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
}

impl Spare {
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let buffer = self.buffers.pop().unwrap_or_default();
        self.bytes -= buffer.capacity();
        buffer
    }

    /// A buffer for bytes that may wait for long. From one that is far larger than they are, a queue of many would take
    /// many times the memory that it counts.
    pub(crate) fn take_for(&mut self, bytes: usize) -> Vec<u8> {
        let buffer = self.take();
        if buffer.capacity() / WASTE <= bytes {
            return buffer;
        }
        self.put(buffer);
        Vec::with_capacity(bytes)
    }

    /// Moves bytes that may wait for long, where their buffer is far larger than they are.
    pub(crate) fn fit(&mut self, bytes: Vec<u8>) -> Vec<u8> {
        if bytes.capacity() / WASTE <= bytes.len() {
            return bytes;
        }
        let fitting = bytes.as_slice().to_vec();
        self.put(bytes);
        fitting
    }

    pub(crate) fn put(&mut self, mut buffer: Vec<u8>) {
        let capacity = buffer.capacity();
        if capacity > 0 && capacity <= LARGEST && self.bytes + capacity <= KEPT_BYTES {
            buffer.clear();
            self.bytes += capacity;
            self.buffers.push(buffer);
        }
    }
}
