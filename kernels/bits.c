/* Bits and bytes in other orders: byte planes to bit planes, values to byte planes, and back.

   All that vectorises exists for several instruction sets and gives the same bytes on each; the worker
   says which to use, so that one binary serves the login node and the compute nodes. */

#include "planes.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#define HAVE_X86 1
#endif

/* The widest vectors that this processor has. */
int64_t best_isa(void) {
#ifdef HAVE_X86
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512bw")) return __builtin_cpu_supports("gfni") ? GFNI : AVX512;
    if (__builtin_cpu_supports("avx2")) return AVX2;
#endif
    return SCALAR;
}

static inline uint32_t load32(const uint8_t *p) { uint32_t v; memcpy(&v, p, 4); return v; }
static inline void store32(uint8_t *p, uint32_t v) { memcpy(p, &v, 4); }
static inline uint64_t load64(const uint8_t *p) { uint64_t v; memcpy(&v, p, 8); return v; }
static inline void store64(uint8_t *p, uint64_t v) { memcpy(p, &v, 8); }

/* Eight bytes as a square of bits, mirrored at its diagonal; its own inverse. */
static inline uint64_t mirror(uint64_t x) {
    uint64_t t = (x ^ (x >> 7)) & 0x00AA00AA00AA00AAu;
    x ^= t ^ (t << 7);
    t = (x ^ (x >> 14)) & 0x0000CCCC0000CCCCu;
    x ^= t ^ (t << 14);
    t = (x ^ (x >> 28)) & 0x00000000F0F0F0F0u;
    return x ^ t ^ (t << 28);
}

/* One byte plane of 8 m values to its eight bit planes of m bytes, from byte `at` of them on. */
static void split_scalar(const uint8_t *plane, int64_t at, int64_t m, uint8_t *bits) {
    for (; at < m; at++) {
        uint64_t x = mirror(load64(plane + 8 * at));
        for (int i = 0; i < 8; i++, x >>= 8) bits[i * m + at] = (uint8_t)x;
    }
}

static void merge_scalar(const uint8_t *const row[8], int64_t at, int64_t m, uint8_t *plane) {
    for (; at < m; at++) {
        uint64_t x = 0;
        for (int i = 0; i < 8; i++) x |= (uint64_t)row[i][at] << (8 * i);
        store64(plane + 8 * at, mirror(x));
    }
}

#ifdef HAVE_X86
__attribute__((target("avx2"))) static int64_t split_avx2(const uint8_t *plane, int64_t m, uint8_t *bits) {
    int64_t at = 0;
    for (; at + 4 <= m; at += 4) {
        __m256i v = _mm256_loadu_si256((const __m256i *)(plane + 8 * at));
        for (int i = 7; i >= 0; i--, v = _mm256_add_epi8(v, v))
            store32(bits + i * m + at, (uint32_t)_mm256_movemask_epi8(v));
    }
    return at;
}

__attribute__((target("avx2"))) static int64_t merge_avx2(const uint8_t *const row[8], int64_t m, uint8_t *plane) {
    const __m256i of_byte = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1,
                                             2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
    const __m256i one_bit = _mm256_set1_epi64x((long long)0x8040201008040201u);
    int64_t at = 0;
    for (; at + 4 <= m; at += 4) {
        __m256i v = _mm256_setzero_si256();
        for (int i = 0; i < 8; i++) {
            __m256i x = _mm256_shuffle_epi8(_mm256_set1_epi32((int)load32(row[i] + at)), of_byte);
            x = _mm256_cmpeq_epi8(_mm256_and_si256(x, one_bit), one_bit);
            v = _mm256_or_si256(v, _mm256_and_si256(x, _mm256_set1_epi8((char)(1 << i))));
        }
        _mm256_storeu_si256((__m256i *)(plane + 8 * at), v);
    }
    return at;
}

__attribute__((target("avx512bw"))) static int64_t split_avx512(const uint8_t *plane, int64_t m, uint8_t *bits) {
    int64_t at = 0;
    for (; at + 8 <= m; at += 8) {
        __m512i v = _mm512_loadu_si512(plane + 8 * at);
        for (int i = 7; i >= 0; i--, v = _mm512_add_epi8(v, v))
            store64(bits + i * m + at, (uint64_t)_mm512_movepi8_mask(v));
    }
    return at;
}

__attribute__((target("avx512bw"))) static int64_t merge_avx512(const uint8_t *const row[8], int64_t m, uint8_t *plane) {
    int64_t at = 0;
    for (; at + 8 <= m; at += 8) {
        __m512i v = _mm512_setzero_si512();
        for (int i = 0; i < 8; i++)
            v = _mm512_mask_add_epi8(v, (__mmask64)load64(row[i] + at), v, _mm512_set1_epi8((char)(1 << i)));
        _mm512_storeu_si512(plane + 8 * at, v);
    }
    return at;
}

/* Rows to squares of eight by eight bits by three rounds of interleaving, and each mirrored by one product. */
__attribute__((target("avx512bw,gfni"))) static int64_t merge_gfni(const uint8_t *const row[8], int64_t m, uint8_t *plane) {
    const __m512i one = _mm512_set1_epi64((long long)0x8040201008040201u);
    int64_t at = 0;
    for (; at + 64 <= m; at += 64) {
        __m512i r[8], a[8];
        for (int i = 0; i < 8; i++) r[i] = _mm512_loadu_si512(row[7 - i] + at);
        for (int i = 0; i < 4; i++) {
            a[i] = _mm512_unpacklo_epi8(r[2 * i], r[2 * i + 1]);
            a[4 + i] = _mm512_unpackhi_epi8(r[2 * i], r[2 * i + 1]);
        }
        for (int i = 0; i < 4; i++) { /* i: two of rows; low and high half of each lane */
            const __m512i x = a[4 * (i / 2) + 2 * (i % 2)], y = a[4 * (i / 2) + 2 * (i % 2) + 1];
            r[i] = _mm512_unpacklo_epi16(x, y), r[4 + i] = _mm512_unpackhi_epi16(x, y);
        }
        for (int half = 0; half < 2; half++) {
            const __m512i low0 = r[2 * half], low1 = r[2 * half + 1], high0 = r[4 + 2 * half], high1 = r[5 + 2 * half];
            a[4 * half] = _mm512_unpacklo_epi32(low0, low1), a[4 * half + 1] = _mm512_unpackhi_epi32(low0, low1);
            a[4 * half + 2] = _mm512_unpacklo_epi32(high0, high1), a[4 * half + 3] = _mm512_unpackhi_epi32(high0, high1);
        }
        for (int half = 0; half < 2; half++) { /* lanes to their places */
            __m512i *g = a + 4 * half;
            for (int i = 0; i < 4; i++) g[i] = _mm512_gf2p8affine_epi64_epi8(one, g[i], 0);
            const __m512i t0 = _mm512_shuffle_i64x2(g[0], g[1], 0x44), t1 = _mm512_shuffle_i64x2(g[2], g[3], 0x44);
            const __m512i t2 = _mm512_shuffle_i64x2(g[0], g[1], 0xEE), t3 = _mm512_shuffle_i64x2(g[2], g[3], 0xEE);
            uint8_t *to = plane + 8 * at + 64 * half;
            _mm512_storeu_si512(to, _mm512_shuffle_i64x2(t0, t1, 0x88));
            _mm512_storeu_si512(to + 128, _mm512_shuffle_i64x2(t0, t1, 0xDD));
            _mm512_storeu_si512(to + 256, _mm512_shuffle_i64x2(t2, t3, 0x88));
            _mm512_storeu_si512(to + 384, _mm512_shuffle_i64x2(t2, t3, 0xDD));
        }
    }
    return at;
}
#endif

void split(int64_t isa, const uint8_t *plane, int64_t m, uint8_t *bits) {
    int64_t at = 0;
#ifdef HAVE_X86
    if (isa >= AVX512) at = split_avx512(plane, m, bits);
    else if (isa == AVX2) at = split_avx2(plane, m, bits);
#endif
    (void)isa;
    split_scalar(plane, at, m, bits);
}

void merge(int64_t isa, const uint8_t *const row[8], int64_t m, uint8_t *plane) {
    int64_t at = 0;
#ifdef HAVE_X86
    if (isa == GFNI) at = merge_gfni(row, m, plane);
    else if (isa == AVX512) at = merge_avx512(row, m, plane);
    else if (isa == AVX2) at = merge_avx2(row, m, plane);
#endif
    (void)isa;
    merge_scalar(row, at, m, plane);
}

/* The compiler vectorises these by itself, given a constant width and the instruction set. */
#define ALWAYS static inline __attribute__((always_inline))
ALWAYS void spread_wide(const uint8_t *restrict values, int64_t n, const int w, int flip, uint8_t *restrict bytes, int64_t stride) {
    for (int64_t k = 0; k < n; k++)
        for (int j = 0; j < w; j++) bytes[(j ^ flip) * stride + k] = values[k * w + j];
}
ALWAYS void join_wide(const uint8_t *restrict bytes, int64_t stride, int64_t n, const int w, int flip, uint8_t *restrict values) {
    for (int64_t k = 0; k < n; k++)
        for (int j = 0; j < w; j++) values[k * w + j] = bytes[(j ^ flip) * stride + k];
}
ALWAYS void spread_any(const uint8_t *values, int64_t n, int w, int big, uint8_t *bytes, int64_t stride) {
    if (w == 1) memcpy(bytes, values, (size_t)n);
    else if (w == 2) spread_wide(values, n, 2, big ? 1 : 0, bytes, stride);
    else if (w == 4) spread_wide(values, n, 4, big ? 3 : 0, bytes, stride);
    else spread_wide(values, n, 8, big ? 7 : 0, bytes, stride);
}
ALWAYS void join_any(const uint8_t *bytes, int64_t stride, int64_t n, int w, int big, uint8_t *values) {
    if (w == 1) memcpy(values, bytes, (size_t)n);
    else if (w == 2) join_wide(bytes, stride, n, 2, big ? 1 : 0, values);
    else if (w == 4) join_wide(bytes, stride, n, 4, big ? 3 : 0, values);
    else join_wide(bytes, stride, n, 8, big ? 7 : 0, values);
}
#ifdef HAVE_X86
__attribute__((target("avx2"))) static void spread_avx2(const uint8_t *values, int64_t n, int w, int big, uint8_t *bytes, int64_t stride) {
    spread_any(values, n, w, big, bytes, stride);
}
__attribute__((target("avx2"))) static void join_avx2(const uint8_t *bytes, int64_t stride, int64_t n, int w, int big, uint8_t *values) {
    join_any(bytes, stride, n, w, big, values);
}
#endif

void spread(int64_t isa, const uint8_t *values, int64_t n, int w, int big, uint8_t *bytes, int64_t stride) {
#ifdef HAVE_X86
    if (isa != SCALAR) { spread_avx2(values, n, w, big, bytes, stride); return; }
#endif
    (void)isa;
    spread_any(values, n, w, big, bytes, stride);
}

void join(int64_t isa, const uint8_t *bytes, int64_t stride, int64_t n, int w, int big, uint8_t *values) {
#ifdef HAVE_X86
    if (isa != SCALAR) { join_avx2(bytes, stride, n, w, big, values); return; }
#endif
    (void)isa;
    join_any(bytes, stride, n, w, big, values);
}

/* memcpy past the caches, for what is larger than they are: lines that are written whole need not be read
   first. What is written so is seen by other threads after `streamed`. */
#ifdef HAVE_X86
__attribute__((target("avx2"))) static void stream_avx2(uint8_t *to, const uint8_t *from, int64_t nbytes) {
    const int64_t head = -(intptr_t)to & 31;
    if (nbytes < head + 32) { memcpy(to, from, (size_t)nbytes); return; }
    memcpy(to, from, (size_t)head);
    int64_t at = head;
    for (; at + 32 <= nbytes; at += 32)
        _mm256_stream_si256((__m256i *)(to + at), _mm256_loadu_si256((const __m256i *)(from + at)));
    memcpy(to + at, from + at, (size_t)(nbytes - at));
}
#endif

void stream(int64_t isa, uint8_t *to, const uint8_t *from, int64_t nbytes) {
#ifdef HAVE_X86
    if (isa != SCALAR) { stream_avx2(to, from, nbytes); return; }
#endif
    (void)isa;
    memcpy(to, from, (size_t)nbytes);
}

void streamed(int64_t isa) {
#ifdef HAVE_X86
    if (isa != SCALAR) _mm_sfence();
#endif
    (void)isa;
}
