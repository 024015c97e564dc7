// Sums along rows of latitude in one read of a variable; zonal.py is the twin, lanes.py states the order.
//
// Sixteen threads are the sixteen lanes of a row: thread k adds columns k, k + 16, ... in their order, and
// the lanes are added as a tree, the upper half to the lower half. Two rows to a warp, which reads them in
// pieces of 64 bytes or more. A block takes neighbouring rows of a sample and goes down through a few
// layers, so that the rows' pressure, which each layer needs again, is found in the first cache.

#define LANES 16

typedef decltype(value_of(X())) Value;

// Extremes are kept in the type of the values: an A100 does few comparisons of doubles.
struct Row {
    f64 x, xp, xx, xxp;
    Value low, high;
};

__device__ __forceinline__ f64 nowhere() { return __longlong_as_double(0x7ff8000000000000ll); }
__device__ __forceinline__ f64 infinity() { return __longlong_as_double(0x7ff0000000000000ll); }
__device__ __forceinline__ bool is_finite(f64 x) { return fabs(x) < infinity(); }

// The sums of one lane. Where `mend`, values that are not finite count as nought and are no extremes.
__device__ __forceinline__ Row lane_sums(const X* x, const P* p, i32 lane, i32 columns, bool mend) {
    Row r = {0.0, 0.0, 0.0, 0.0, (Value)infinity(), -(Value)infinity()};
#pragma unroll 4
    for (i32 i = lane; i < columns; i += LANES) {
        const Value value = value_of(x[i]);
        const f64 weight = p ? value_of(p[i]) : nowhere();
        const bool counts = !mend || is_finite(value);
        const f64 wide = counts ? value : (Value)0;
        const f64 with_p = wide * weight;
        r.x = r.x + wide;
        r.xp = r.xp + with_p;
        r.xx = r.xx + wide * wide;
        r.xxp = r.xxp + wide * with_p;
        r.low = counts && value < r.low ? value : r.low;
        r.high = counts && value > r.high ? value : r.high;
    }
    return r;
}

// Sixteen lanes to one; the first lane has the result.
__device__ __forceinline__ Row tree(Row r, u32 group) {
    for (i32 width = LANES / 2; width > 0; width /= 2) {
        r.x = r.x + __shfl_down_sync(group, r.x, width, LANES);
        r.xp = r.xp + __shfl_down_sync(group, r.xp, width, LANES);
        r.xx = r.xx + __shfl_down_sync(group, r.xx, width, LANES);
        r.xxp = r.xxp + __shfl_down_sync(group, r.xxp, width, LANES);
        const Value low = __shfl_down_sync(group, r.low, width, LANES);
        const Value high = __shfl_down_sync(group, r.high, width, LANES);
        r.low = low < r.low ? low : r.low;
        r.high = high > r.high ? high : r.high;
    }
    return r;
}

// The first column that is not finite, or -1; every lane has the result.
__device__ __forceinline__ i32 first_bad(const X* x, i32 lane, i32 columns, u32 group) {
    i32 found = columns;
    for (i32 i = lane; i < columns && found == columns; i += LANES)
        if (!is_finite(value_of(x[i]))) found = i;
    for (i32 width = LANES / 2; width > 0; width /= 2) {
        const i32 other = __shfl_down_sync(group, found, width, LANES);
        found = other < found ? other : found;
    }
    found = __shfl_sync(group, found, 0, LANES);
    return found < columns ? found : -1;
}

// x is [sample, level, row, column] with x_step values from sample to sample, p [sample, row, column] likewise
// or null; sums [6, sample, channel, row], bad [sample, channel, row], of which this variable's levels are the
// channels from `channel` on. blockIdx.x counts samples and rows, blockIdx.y layers by `deep`.
extern "C" __global__ void __launch_bounds__(256) zonal(
    const X* __restrict__ x, i64 x_step, const P* __restrict__ p, i64 p_step, i32 samples, i32 levels,
    i32 rows, i32 columns, i32 channel, i32 channels, i32 deep, f64* __restrict__ sums,
    i32* __restrict__ bad) {
    const i32 lane = threadIdx.x % LANES, abreast = blockDim.x / LANES;
    const u32 group = 0xffffu << (threadIdx.x & 16);
    const i32 blocks = (rows + abreast - 1) / abreast;
    const i64 s = blockIdx.x / blocks;
    const i32 row = blockIdx.x % blocks * abreast + threadIdx.x / LANES;
    if (row >= rows) return;  // all lanes of a row together
    const i32 first = blockIdx.y * deep;
    const i32 last = first + deep < levels ? first + deep : levels;
    const P* weights = p ? p + s * p_step + (i64)row * columns : p;
    const i64 plane = (i64)samples * channels * rows;
    for (i32 level = first; level < last; ++level) {
        const X* values = x + s * x_step + ((i64)level * rows + row) * columns;
        Row r = tree(lane_sums(values, weights, lane, columns, false), group);
        i32 at = -1;
        if (!is_finite(__shfl_sync(group, r.xx, 0, LANES))) {
            at = first_bad(values, lane, columns, group);
            if (at >= 0) {
                r = tree(lane_sums(values, weights, lane, columns, true), group);
                const bool some = r.low <= r.high;
                r.low = some ? r.low : (Value)nowhere();
                r.high = some ? r.high : (Value)nowhere();
            }
        }
        if (lane == 0) {
            const i64 place = (s * channels + channel + level) * rows + row;
            sums[place] = r.x;
            sums[plane + place] = r.xp;
            sums[2 * plane + place] = r.xx;
            sums[3 * plane + place] = r.xxp;
            sums[4 * plane + place] = r.low;
            sums[5 * plane + place] = r.high;
            bad[place] = at;
        }
    }
}
