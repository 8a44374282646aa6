//! From pinned memory to the segments of a request.

use super::queue::Segment;
use crate::platform::Region;
use alloc::vec::Vec;
use septum_abi::layout::PAGE_SIZE;
use septum_guest_core::io::Pinned;
use septum_guest_hal::address::PhysAddr;
use septum_guest_hal::frame::Frame;

/// The segment of `len` bytes at `offset` of a frame.
#[must_use]
pub fn of_frame(frame: &Frame, offset: usize, len: usize) -> Segment {
    let len = len.min(PAGE_SIZE.saturating_sub(offset));
    Segment { address: PhysAddr(frame.address().0 + offset as u64), len: u32::try_from(len).unwrap_or(0) }
}

/// The segment of `len` bytes at `offset` of a region, as far as they lie in it.
#[must_use]
pub fn of_region(region: &Region, offset: usize, len: usize) -> Segment {
    let len = len.min(region.len().saturating_sub(offset));
    Segment { address: PhysAddr(region.address().0 + offset as u64), len: u32::try_from(len).unwrap_or(0) }
}

/// Appends `segment`, joined to the last one if it follows it in memory and `first` does not forbid it: segments
/// before index `first` are left alone.
pub fn append(segments: &mut Vec<Segment>, first: usize, segment: Segment) {
    let count = segments.len();
    if count > first
        && let Some(last) = segments.last_mut()
        && last.address.0 + u64::from(last.len) == segment.address.0
    {
        last.len += segment.len;
        return;
    }
    segments.push(segment);
}

/// Whole frames, neighbours joined.
#[must_use]
pub fn of_frames(frames: &[Frame]) -> Vec<Segment> {
    let mut segments = Vec::new();
    let mut rest = frames.iter();
    let mut next = rest.next();
    while let Some(first) = next {
        let start = first.address().0;
        let mut end = start + PAGE_SIZE as u64;
        next = loop {
            match rest.next() {
                Some(frame) if frame.address().0 == end => end += PAGE_SIZE as u64,
                other => break other,
            }
        };
        let Ok(len) = u32::try_from(end - start) else { continue };
        segments.push(Segment { address: PhysAddr(start), len });
    }
    segments
}

/// Appends pinned memory until `segments` holds `limit`. Returns the bytes appended.
pub fn gather(pieces: &[Pinned], segments: &mut Vec<Segment>, limit: usize) -> usize {
    let first = segments.len();
    let mut bytes = 0;
    for piece in pieces {
        let count = segments.len();
        append(segments, first, of_frame(&piece.frame, piece.offset, piece.len));
        if segments.len() > limit {
            segments.truncate(count);
            break;
        }
        bytes += piece.len;
    }
    bytes
}
