//! A linear memory as data, and the module that holds nothing else.

use wasm_encoder::{
    ConstExpr, DataSection, ExportKind, ExportSection, MemorySection, MemoryType, Module,
};

pub(crate) const PAGE_BYTES: usize = 64 * 1024;
/// The granularity at which zeroes are left out of an image: a page of the
/// host's memory, the unit of copy-on-write.
const CHUNK_BYTES: usize = 4096;

/// A linear memory: its size and what in it is not zero.
pub(crate) struct Memory {
    /// In wasm pages of 64 KiB.
    pub(crate) pages: u64,
    /// Offset and bytes, in ascending order, not overlapping.
    pub(crate) segments: Vec<(u32, Vec<u8>)>,
}

impl Memory {
    /// `(module (memory (export "memory") PAGES) (data …)…)`
    pub(crate) fn encode(&self) -> Vec<u8> {
        encode(self.pages, self.segments.iter().map(|(at, bytes)| (*at, bytes.as_slice())))
    }
}

/// Encodes a whole memory, as read from an instance, as an image module.
pub(crate) fn encode_bytes(memory: &[u8]) -> Vec<u8> {
    encode((memory.len() / PAGE_BYTES) as u64, runs(memory))
}

fn encode<'a>(pages: u64, segments: impl Iterator<Item = (u32, &'a [u8])>) -> Vec<u8> {
    let mut memories = MemorySection::new();
    memories.memory(MemoryType {
        minimum: pages,
        maximum: None,
        memory64: false,
        shared: false,
        page_size_log2: None,
    });
    let mut exports = ExportSection::new();
    exports.export("memory", ExportKind::Memory, 0);
    let mut data = DataSection::new();
    for (offset, bytes) in segments {
        data.active(0, &ConstExpr::i32_const(offset.cast_signed()), bytes.iter().copied());
    }
    let mut module = Module::new();
    module.section(&memories).section(&exports).section(&data);
    module.finish()
}

/// The stretches of memory whose chunks are not all zero.
fn runs(memory: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    let mut chunks = memory.chunks(CHUNK_BYTES).enumerate().peekable();
    std::iter::from_fn(move || {
        let (first, _) = chunks.by_ref().find(|(_, chunk)| !is_zero(chunk))?;
        let mut last = first;
        while chunks.next_if(|(_, chunk)| !is_zero(chunk)).is_some() {
            last += 1;
        }
        let start = first * CHUNK_BYTES;
        let end = ((last + 1) * CHUNK_BYTES).min(memory.len());
        Some((u32::try_from(start).ok()?, memory.get(start..end)?))
    })
}

fn is_zero(chunk: &[u8]) -> bool {
    chunk.iter().all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_zero_is_kept() {
        let mut memory = vec![0; PAGE_BYTES];
        memory[5] = 1;
        memory[CHUNK_BYTES] = 2;
        memory[PAGE_BYTES - 1] = 3;
        let runs: Vec<_> = runs(&memory).map(|(at, bytes)| (at as usize, bytes.len())).collect();
        assert_eq!(runs, [(0, 2 * CHUNK_BYTES), (PAGE_BYTES - CHUNK_BYTES, CHUNK_BYTES)]);
        assert_eq!(super::runs(&vec![0; PAGE_BYTES]).count(), 0);
    }
}
