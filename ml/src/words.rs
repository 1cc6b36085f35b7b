//! Numbers from their bytes.

/// The numbers of little-endian bytes, `N` each, read by `read`.
pub(crate) fn words<T, const N: usize>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|word| read(*word)).collect()
}
