//! Sixteen numbers at once, in the registers of three kinds of processor.
//!
//! The network is written once, for anything that is [`Lanes`]; a kind of processor
//! brings the few operations that differ. Nothing here knows what is computed.
//!
//! [`Avx2`] and [`Avx512`] must not be used where the processor lacks them. They are
//! seen in this folder only, and `level.rs` alone names them, behind its check.

#![allow(unsafe_code, reason = "instructions that not every processor has")]

/// Numbers that are worked on together.
pub(super) const LANES: usize = 16;

/// Sixteen numbers in memory, in one cache line.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(align(64))]
pub(super) struct Tile(pub(super) [f32; LANES]);

/// Four numbers of a tile: one of each frame of the spectrum.
pub(super) type Quad = [f32; 4];

/// Sixteen numbers in registers.
pub(super) trait Lanes: Copy {
    fn splat(value: f32) -> Self;
    fn load(from: &Tile) -> Self;
    fn store(self, to: &mut Tile);
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn div(self, other: Self) -> Self;
    /// `self × factor + summand`.
    fn mul_add(self, factor: Self, summand: Self) -> Self;
    fn min(self, other: Self) -> Self;
    fn max(self, other: Self) -> Self;
    fn sqrt(self) -> Self;
    /// Two to the power of the lowest bits of the number's mantissa, as an integer.
    fn exp2_of_mantissa(self) -> Self;
    fn load_run(from: &[Quad; 4]) -> Self;
    fn store_run(self, to: &mut [Quad; 4]);
    fn load_quads(from: [&Quad; 4]) -> Self;
    fn store_quads(self, to: [&mut Quad; 4]);
    /// Makes the first quad of all first numbers, the second of all second ones …
    fn transpose_quads(self) -> Self;
    /// The quads in reverse order.
    fn reverse_quads(self) -> Self;
}

/// Any processor. The compiler makes of it what the target allows.
#[derive(Clone, Copy)]
pub(super) struct Plain([f32; LANES]);

impl Plain {
    #[inline(always)]
    fn map(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        Self(std::array::from_fn(|n| f(self.0[n], other.0[n])))
    }
}

impl Lanes for Plain {
    #[inline(always)]
    fn splat(value: f32) -> Self {
        Self([value; LANES])
    }

    #[inline(always)]
    fn load(from: &Tile) -> Self {
        Self(from.0)
    }

    #[inline(always)]
    fn store(self, to: &mut Tile) {
        to.0 = self.0;
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.map(other, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.map(other, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.map(other, |a, b| a * b)
    }

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        self.map(other, |a, b| a / b)
    }

    /// Rounds twice: the fused operation is a library call where it is no instruction.
    #[inline(always)]
    fn mul_add(self, factor: Self, summand: Self) -> Self {
        self.mul(factor).add(summand)
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        self.map(other, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self.map(other, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        Self(self.0.map(f32::sqrt))
    }

    #[inline(always)]
    fn exp2_of_mantissa(self) -> Self {
        Self(self.0.map(|x| f32::from_bits((x.to_bits() << 23).wrapping_add(ONE_BITS))))
    }

    #[inline(always)]
    fn load_run(from: &[Quad; 4]) -> Self {
        Self(std::array::from_fn(|n| from[n / 4][n % 4]))
    }

    #[inline(always)]
    fn store_run(self, to: &mut [Quad; 4]) {
        to.copy_from_slice(self.0.as_chunks().0);
    }

    #[inline(always)]
    fn load_quads(from: [&Quad; 4]) -> Self {
        Self(std::array::from_fn(|n| from[n / 4][n % 4]))
    }

    #[inline(always)]
    fn store_quads(self, to: [&mut Quad; 4]) {
        for (quad, to) in self.0.as_chunks::<4>().0.iter().zip(to) {
            *to = *quad;
        }
    }

    #[inline(always)]
    fn transpose_quads(self) -> Self {
        Self(std::array::from_fn(|n| self.0[n % 4 * 4 + n / 4]))
    }

    #[inline(always)]
    fn reverse_quads(self) -> Self {
        Self(std::array::from_fn(|n| self.0[12 - n / 4 * 4 + n % 4]))
    }
}

/// The bits of the number one: an exponent of nothing.
const ONE_BITS: u32 = 1.0_f32.to_bits();

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Avx512};

// SAFETY of all that follows: the methods run only in functions that are compiled for,
// and run on, a processor with these instructions (see the module's comment). Memory is
// read and written through references to exactly as many numbers; `Tile` is aligned for
// the aligned loads.
#[cfg(target_arch = "x86_64")]
#[allow(clippy::undocumented_unsafe_blocks, reason = "one reason for all of them, above")]
mod x86 {
    #[allow(clippy::wildcard_imports, reason = "the names say by themselves what they are of")]
    use std::arch::x86_64::*;

    use super::{Lanes, ONE_BITS, Quad, Tile};

    /// A processor with AVX2 and FMA.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Avx2(__m256, __m256);

    impl Lanes for Avx2 {
        #[inline(always)]
        fn splat(value: f32) -> Self {
            let half = unsafe { _mm256_set1_ps(value) };
            Self(half, half)
        }

        #[inline(always)]
        fn load(from: &Tile) -> Self {
            let at = from.0.as_ptr();
            unsafe { Self(_mm256_load_ps(at), _mm256_load_ps(at.add(8))) }
        }

        #[inline(always)]
        fn store(self, to: &mut Tile) {
            let at = to.0.as_mut_ptr();
            unsafe {
                _mm256_store_ps(at, self.0);
                _mm256_store_ps(at.add(8), self.1);
            }
        }

        #[inline(always)]
        fn add(self, other: Self) -> Self {
            unsafe { Self(_mm256_add_ps(self.0, other.0), _mm256_add_ps(self.1, other.1)) }
        }

        #[inline(always)]
        fn sub(self, other: Self) -> Self {
            unsafe { Self(_mm256_sub_ps(self.0, other.0), _mm256_sub_ps(self.1, other.1)) }
        }

        #[inline(always)]
        fn mul(self, other: Self) -> Self {
            unsafe { Self(_mm256_mul_ps(self.0, other.0), _mm256_mul_ps(self.1, other.1)) }
        }

        #[inline(always)]
        fn div(self, other: Self) -> Self {
            unsafe { Self(_mm256_div_ps(self.0, other.0), _mm256_div_ps(self.1, other.1)) }
        }

        #[inline(always)]
        fn mul_add(self, factor: Self, summand: Self) -> Self {
            unsafe {
                Self(
                    _mm256_fmadd_ps(self.0, factor.0, summand.0),
                    _mm256_fmadd_ps(self.1, factor.1, summand.1),
                )
            }
        }

        #[inline(always)]
        fn min(self, other: Self) -> Self {
            unsafe { Self(_mm256_min_ps(self.0, other.0), _mm256_min_ps(self.1, other.1)) }
        }

        #[inline(always)]
        fn max(self, other: Self) -> Self {
            unsafe { Self(_mm256_max_ps(self.0, other.0), _mm256_max_ps(self.1, other.1)) }
        }

        #[inline(always)]
        fn sqrt(self) -> Self {
            unsafe { Self(_mm256_sqrt_ps(self.0), _mm256_sqrt_ps(self.1)) }
        }

        #[inline(always)]
        fn exp2_of_mantissa(self) -> Self {
            let half = |x| unsafe {
                let exponent = _mm256_slli_epi32::<23>(_mm256_castps_si256(x));
                let one = _mm256_set1_epi32(ONE_BITS as i32);
                _mm256_castsi256_ps(_mm256_add_epi32(exponent, one))
            };
            Self(half(self.0), half(self.1))
        }

        #[inline(always)]
        fn load_run(from: &[Quad; 4]) -> Self {
            let at = from.as_flattened().as_ptr();
            unsafe { Self(_mm256_loadu_ps(at), _mm256_loadu_ps(at.add(8))) }
        }

        #[inline(always)]
        fn store_run(self, to: &mut [Quad; 4]) {
            let at = to.as_flattened_mut().as_mut_ptr();
            unsafe {
                _mm256_storeu_ps(at, self.0);
                _mm256_storeu_ps(at.add(8), self.1);
            }
        }

        #[inline(always)]
        fn load_quads(from: [&Quad; 4]) -> Self {
            let pair = |low: &Quad, high: &Quad| unsafe {
                _mm256_loadu2_m128(high.as_ptr(), low.as_ptr())
            };
            Self(pair(from[0], from[1]), pair(from[2], from[3]))
        }

        #[inline(always)]
        fn store_quads(self, to: [&mut Quad; 4]) {
            let [a, b, c, d] = to;
            unsafe {
                _mm256_storeu2_m128(b.as_mut_ptr(), a.as_mut_ptr(), self.0);
                _mm256_storeu2_m128(d.as_mut_ptr(), c.as_mut_ptr(), self.1);
            }
        }

        #[inline(always)]
        fn transpose_quads(self) -> Self {
            // Rows a b | c d. First a c | b d, then pairs of columns, then rows.
            unsafe {
                let ac = _mm256_permute2f128_ps::<0x20>(self.0, self.1);
                let bd = _mm256_permute2f128_ps::<0x31>(self.0, self.1);
                let low = _mm256_unpacklo_ps(ac, bd);
                let high = _mm256_unpackhi_ps(ac, bd);
                // low: a0 b0 a1 b1 | c0 d0 c1 d1; high: a2 b2 a3 b3 | c2 d2 c3 d3.
                let order = _mm256_setr_epi32(0, 1, 4, 5, 2, 3, 6, 7);
                Self(_mm256_permutevar8x32_ps(low, order), _mm256_permutevar8x32_ps(high, order))
            }
        }

        #[inline(always)]
        fn reverse_quads(self) -> Self {
            unsafe {
                Self(
                    _mm256_permute2f128_ps::<0x01>(self.1, self.1),
                    _mm256_permute2f128_ps::<0x01>(self.0, self.0),
                )
            }
        }
    }

    /// A processor with AVX-512F.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Avx512(__m512);

    impl Lanes for Avx512 {
        #[inline(always)]
        fn splat(value: f32) -> Self {
            unsafe { Self(_mm512_set1_ps(value)) }
        }

        #[inline(always)]
        fn load(from: &Tile) -> Self {
            unsafe { Self(_mm512_load_ps(from.0.as_ptr())) }
        }

        #[inline(always)]
        fn store(self, to: &mut Tile) {
            unsafe { _mm512_store_ps(to.0.as_mut_ptr(), self.0) }
        }

        #[inline(always)]
        fn add(self, other: Self) -> Self {
            unsafe { Self(_mm512_add_ps(self.0, other.0)) }
        }

        #[inline(always)]
        fn sub(self, other: Self) -> Self {
            unsafe { Self(_mm512_sub_ps(self.0, other.0)) }
        }

        #[inline(always)]
        fn mul(self, other: Self) -> Self {
            unsafe { Self(_mm512_mul_ps(self.0, other.0)) }
        }

        #[inline(always)]
        fn div(self, other: Self) -> Self {
            unsafe { Self(_mm512_div_ps(self.0, other.0)) }
        }

        #[inline(always)]
        fn mul_add(self, factor: Self, summand: Self) -> Self {
            unsafe { Self(_mm512_fmadd_ps(self.0, factor.0, summand.0)) }
        }

        #[inline(always)]
        fn min(self, other: Self) -> Self {
            unsafe { Self(_mm512_min_ps(self.0, other.0)) }
        }

        #[inline(always)]
        fn max(self, other: Self) -> Self {
            unsafe { Self(_mm512_max_ps(self.0, other.0)) }
        }

        #[inline(always)]
        fn sqrt(self) -> Self {
            unsafe { Self(_mm512_sqrt_ps(self.0)) }
        }

        #[inline(always)]
        fn exp2_of_mantissa(self) -> Self {
            unsafe {
                let exponent = _mm512_slli_epi32::<23>(_mm512_castps_si512(self.0));
                let one = _mm512_set1_epi32(ONE_BITS as i32);
                Self(_mm512_castsi512_ps(_mm512_add_epi32(exponent, one)))
            }
        }

        #[inline(always)]
        fn load_run(from: &[Quad; 4]) -> Self {
            unsafe { Self(_mm512_loadu_ps(from.as_flattened().as_ptr())) }
        }

        #[inline(always)]
        fn store_run(self, to: &mut [Quad; 4]) {
            unsafe { _mm512_storeu_ps(to.as_flattened_mut().as_mut_ptr(), self.0) }
        }

        #[inline(always)]
        fn load_quads(from: [&Quad; 4]) -> Self {
            unsafe {
                let [a, b, c, d] = from.map(|quad| _mm_loadu_ps(quad.as_ptr()));
                let first = _mm512_castps128_ps512(a);
                let two = _mm512_insertf32x4::<1>(first, b);
                let three = _mm512_insertf32x4::<2>(two, c);
                Self(_mm512_insertf32x4::<3>(three, d))
            }
        }

        #[inline(always)]
        fn store_quads(self, to: [&mut Quad; 4]) {
            let [a, b, c, d] = to;
            unsafe {
                _mm_storeu_ps(a.as_mut_ptr(), _mm512_extractf32x4_ps::<0>(self.0));
                _mm_storeu_ps(b.as_mut_ptr(), _mm512_extractf32x4_ps::<1>(self.0));
                _mm_storeu_ps(c.as_mut_ptr(), _mm512_extractf32x4_ps::<2>(self.0));
                _mm_storeu_ps(d.as_mut_ptr(), _mm512_extractf32x4_ps::<3>(self.0));
            }
        }

        #[inline(always)]
        fn transpose_quads(self) -> Self {
            unsafe {
                let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
                Self(_mm512_permutexvar_ps(order, self.0))
            }
        }

        #[inline(always)]
        fn reverse_quads(self) -> Self {
            // The second bits of the two masks: quad 3, 2, 1, 0.
            unsafe { Self(_mm512_shuffle_f32x4::<0b00_01_10_11>(self.0, self.0)) }
        }
    }
}
