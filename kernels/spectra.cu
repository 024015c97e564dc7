// Everything that is done to a spectrum while it lies in shared memory: spectra.py is the twin, whose order
// of operations and sums this follows.
//
// A block of threads does one spectrum after the other: reads it once, writes it once. Sums are made in
// pieces of PIECE bins, a piece by one thread (totals: by four, a lane each), and pieces are added in their
// order by the first. Running sums and what is weighed of them lie in two rooms by turns: sums by edge in the
// first, seen at nodes in the second, weighed in the first, read at edges in the second.
//
// `spectra` has its rooms in shared memory; `spectra_long`, for spectra that do not fit there, in memory of
// which each block has a part.

// As in spectra_desk.py.
#define PIECE 64
#define NOISE 0x53500001u
enum { FINE, NOT_FINITE, NOT_POSITIVE, LOST };
enum { SOURCE, WANTED, RETURNED, GONE };
enum { NO_NOISE, PHOTON, EVEN, GIVEN };

#define ROUNDING 1e-9  // of a wavelength: an edge that is the grid's own lies within the grid
// Neighbouring nodes that a thread weighs at once, so that it reads two sums for so many. An odd number: then
// no two threads of a warp want the same bank of shared memory.
#define ABREAST 5

// All of a call: members have 8 bytes, in the order of spectra_gpu.py.
struct Job {
    const X* values;
    X* out;
    const f32* given;  // [sample, bin] or null
    f32* sigma;        // the same
    f64* totals;       // [sample, 4]
    i64* state;        // [sample, 2]
    f64* room;         // of each block, or null
    i64 samples, bins, edges, nodes, stretches, weights, knots, gaps;
    const f64* edge;
    const i32 *at, *of;
    const f64 *width, *stretch_low, *stretch_high, *node, *inverse_width;
    const i32* under;
    const f32* place;
    f64 lean;
    i64 first, step;
    const i32* resampled;
    const f64 *offset_um, *inverse, *gain, *factor;
    const i32* half;
    const f64 *weight, *low, *high;
    const f32 *knot, *snr;
    const i64* sample;
    const i32* gap;
    i64 seed;
    f64 amplitude;
    i64 noise, keep_total, positive;

    __device__ __forceinline__ i32 sums() const { return (i32)(edges > nodes ? edges : nodes) + ABREAST; }
    __device__ __forceinline__ i32 pieces() const {
        return ((i32)(edges > bins ? edges : bins) + PIECE - 1) / PIECE;
    }
};

// Where a block works: so many words of 8 bytes as room_words of spectra_gpu.py says.
struct Room {
    f64 *one, *two, *parts;  // [sums], [sums], [2, pieces]
    f32* bins;
    f64* found;  // [2], for all threads
    i32* bad;
};

__device__ __forceinline__ bool is_number(f32 x) { return x == x; }
__device__ __forceinline__ f32 no_number() { return bits_float(0x7fc00000u); }
__device__ __forceinline__ i32 least(i32 a, i32 b) { return a < b ? a : b; }
__device__ __forceinline__ f32 stored_as(f32 value, f32) { return bits_float(to_word(value, 0)); }
__device__ __forceinline__ bf16 stored_as(f32 value, bf16) {
    bf16 stored;
    stored.bits = (unsigned short)to_word(value, 1);
    return stored;
}

// ---------------------------------------------------------------------------- sums of all threads
// Terms from `first` to `end`, in pieces; every thread has the result.
template <class Term>
__device__ __forceinline__ f64 sum_of(const Room& room, i32 first, i32 end, Term term) {
    const i32 pieces = (end - first + PIECE - 1) / PIECE;
    for (i32 q = threadIdx.x; q < pieces; q += blockDim.x) {
        const i32 start = first + q * PIECE, stop = least(start + PIECE, end);
        f64 part = 0.0;
        for (i32 i = start; i < stop; ++i) part += term(i);
        room.parts[q] = part;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        f64 sum = 0.0;
        for (i32 q = 0; q < pieces; ++q) sum += room.parts[q];
        room.found[0] = sum;
    }
    __syncthreads();
    return room.found[0];
}

struct Total {
    f64 whole, size;
};

// Value times width of all bins that have a value, with and without signs.
__device__ __forceinline__ Total total_of(const Job& job, const Room& room) {
    const i32 n = (i32)job.bins, pieces = (n + PIECE - 1) / PIECE;
    const i32 lane = threadIdx.x % 4;
    const u32 group = 0xfu << (threadIdx.x & 28);
    for (i32 q = threadIdx.x / 4; q < pieces; q += blockDim.x / 4) {
        const i32 stop = least((q + 1) * PIECE, n);
        f64 sum = 0.0, bare = 0.0;
        for (i32 i = q * PIECE + lane; i < stop; i += 4) {
            f64 x = (f64)room.bins[i] * job.width[i];
            x = x == x ? x : 0.0;
            sum += x;
            bare += fabs(x);
        }
        for (i32 by = 1; by < 4; by *= 2) {
            sum = sum + __shfl_down_sync(group, sum, by, 4);
            bare = bare + __shfl_down_sync(group, bare, by, 4);
        }
        if (lane == 0) room.parts[2 * q] = sum, room.parts[2 * q + 1] = bare;
    }
    __syncthreads();
    if (threadIdx.x < 2) {
        f64 sum = 0.0;
        for (i32 q = 0; q < pieces; ++q) sum += room.parts[2 * q + threadIdx.x];
        room.found[threadIdx.x] = sum;
    }
    __syncthreads();
    return {room.found[0], room.found[1]};
}

// All bins by the one factor that gives them the total that is wanted; LOST where there is none.
__device__ __forceinline__ bool restored(const Job& job, const Room& room, f64 wanted) {
    const Total total = total_of(job, room);
    if (total.size == 0.0) return true;
    if (!(total.whole > 0.5 * total.size && wanted > 0.0)) return false;
    const f64 factor = wanted / total.whole;
    for (i32 i = threadIdx.x; i < (i32)job.bins; i += blockDim.x)
        room.bins[i] = (f32)((f64)room.bins[i] * factor);
    __syncthreads();
    return true;
}

// ---------------------------------------------------------------------------- resample
// The first of `n` places that ends beyond x, or the last of them.
__device__ __forceinline__ i32 ends_beyond(const f64* end, i32 n, f64 x, bool or_at) {
    i32 low = 0, high = n - 1;
    while (low < high) {
        const i32 middle = (low + high) / 2;
        if (x < end[middle] || (or_at && x == end[middle]))
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

// What a bin has above an edge: nothing where a gap is.
__device__ __forceinline__ f64 value_above(const Job& job, const Room& room, i32 e) {
    const i32 i = job.of[e];
    return i < 0 ? 0.0 : (f64)room.bins[i];
}

__device__ __forceinline__ f64 slope_above(const Job& job, const Room& room, i32 e) {
    const i32 i = job.of[e];
    if (i < 0 || e == 0 || e >= (i32)job.edges - 2 || job.of[e - 1] < 0 || job.of[e + 1] < 0) return 0.0;
    const f64* edge = job.edge + e;
    return slope_within((f64)room.bins[i - 1], (f64)room.bins[i], (f64)room.bins[i + 1],
                        0.5 * (edge[1] - edge[-1]), 0.5 * (edge[2] - edge[0]), 0.5 * (edge[1] - edge[0]));
}

// The running sum of light at each edge, in the first room.
__device__ __forceinline__ void sum_up(const Job& job, const Room& room) {
    const i32 spans = (i32)job.edges - 1, pieces = (spans + PIECE - 1) / PIECE;
    for (i32 q = threadIdx.x; q < pieces; q += blockDim.x) {
        const i32 stop = least((q + 1) * PIECE, spans);
        f64 part = 0.0;
        for (i32 e = q * PIECE; e < stop; ++e) {
            part += value_above(job, room, e) * (job.edge[e + 1] - job.edge[e]);
            room.one[e + 1] = part;
        }
        room.parts[q] = part;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        f64 base = 0.0;
        for (i32 q = 0; q < pieces; ++q) {
            const f64 part = room.parts[q];
            room.parts[q] = base;
            base += part;
        }
        room.one[0] = 0.0;
    }
    __syncthreads();
    for (i32 e = threadIdx.x; e < spans; e += blockDim.x) room.one[e + 1] = room.parts[e / PIECE] + room.one[e + 1];
    __syncthreads();
}

// That sum shifted and stretched, at places, in the second room.
__device__ __forceinline__ void see(const Job& job, const Room& room, i64 k, const f64* places, i32 count) {
    const f64 factor = job.factor[k], offset = job.offset_um[k], inverse = job.inverse[k], gain = job.gain[k];
    for (i32 p = threadIdx.x; p < count; p += blockDim.x) {
        const f64 at = seen_at(places[p], factor, offset, inverse);
        const i32 e = ends_beyond(job.edge + 1, (i32)job.edges - 1, at, false);
        room.two[p] = gain * light_below(room.one[e], value_above(job, room, e), slope_above(job, room, e),
                                         job.edge[e], job.edge[e + 1], at);
    }
    __syncthreads();
}

// Weighted means over nodes on either side, from the second room into the first. Where a thread's last nodes
// lie beyond the end it weighs what is behind the room's, and leaves the result.
__device__ __forceinline__ void blur(const Job& job, const Room& room, i64 k) {
    const i32 half = job.half[k], end = (i32)job.nodes - half;
    const f64* weight = job.weight + k * job.weights;
    for (i32 n = half + ABREAST * threadIdx.x; n < end; n += ABREAST * blockDim.x) {
        f64 sum[ABREAST], before[ABREAST], after[ABREAST];
#pragma unroll
        for (i32 c = 0; c < ABREAST; ++c) {
            before[c] = after[c] = room.two[n + c];
            sum[c] = weight[0] * before[c];
        }
#pragma unroll 5
        for (i32 j = 1; j <= half; ++j) {
#pragma unroll
            for (i32 c = ABREAST - 1; c > 0; --c) before[c] = before[c - 1];
            before[0] = room.two[n - j];
#pragma unroll
            for (i32 c = 0; c < ABREAST - 1; ++c) after[c] = after[c + 1];
            after[ABREAST - 1] = room.two[n + ABREAST - 1 + j];
            const f64 w = weight[j];
#pragma unroll
            for (i32 c = 0; c < ABREAST; ++c) sum[c] = blurred(sum[c], w, before[c], after[c]);
        }
#pragma unroll
        for (i32 c = 0; c < ABREAST; ++c)
            if (n + c < end) room.one[n + c] = sum[c];
    }
    __syncthreads();
}

__device__ __forceinline__ f64 slope_after(const Job& job, const Room& room, i32 n) {
    return (room.one[n + 1] - room.one[n]) * job.inverse_width[n];
}

// The weighted sums at the edges, which lie between nodes, in the second room.
__device__ __forceinline__ void read_between(const Job& job, const Room& room) {
    for (i32 e = threadIdx.x; e < (i32)job.edges; e += blockDim.x) {
        const i32 n = job.under[e];
        room.two[e] = curve_between(room.one[n], slope_after(job, room, n - 1), slope_after(job, room, n),
                                    slope_after(job, room, n + 1), job.lean, job.inverse_width[n],
                                    job.edge[e] - job.node[n]);
    }
    __syncthreads();
}

// Shift, stretch and broaden; bins whose light was not measured become NaN. The total of the others.
__device__ __forceinline__ f64 resample(const Job& job, const Room& room, i64 k) {
    sum_up(job, room);
    if (job.half[k] == 0) {
        see(job, room, k, job.edge, (i32)job.edges);
    } else {
        see(job, room, k, job.node, (i32)job.nodes);
        blur(job, room, k);
        read_between(job, room);
    }
    const f64 offset = job.offset_um[k], inverse = job.inverse[k], low = job.low[k], high = job.high[k];
    for (i32 i = threadIdx.x; i < (i32)job.bins; i += blockDim.x) {
        const i32 e = job.at[i];
        const f64 first = seen_at(job.edge[e], low, offset, inverse);
        const f64 final = seen_at(job.edge[e + 1], high, offset, inverse);
        const f64 near = first * ROUNDING;
        // A bin that begins where a stretch ends has its light in the next one.
        const i32 here = ends_beyond(job.stretch_high, (i32)job.stretches, first + near, true);
        const bool known = first >= job.stretch_low[here] - near && final <= job.stretch_high[here] + near;
        room.bins[i] = known ? mean_between(room.two[e], room.two[e + 1], job.width[i]) : no_number();
    }
    __syncthreads();
    return sum_of(room, 0, (i32)job.bins, [&](i32 i) {
        const f64* sum = room.two + job.at[i];
        return is_number(room.bins[i]) ? sum[1] - sum[0] : 0.0;
    });
}

// ---------------------------------------------------------------------------- respond, noise, gaps
__device__ __forceinline__ bool responded(const Job& job, const Room& room, i64 k, f64 wanted) {
    if (job.knots == 0) return true;
    const f32* knots = job.knot + k * job.knots;
    for (i32 i = threadIdx.x; i < (i32)job.bins; i += blockDim.x) {
        const i32 first = (i32)job.place[i];
        const f32 curve = smooth_curve(job.place[i] - (f32)first, knots[first], knots[first + 1],
                                       knots[first + 2], knots[first + 3]);
        room.bins[i] = answered(room.bins[i], (f32)job.amplitude, curve);
    }
    __syncthreads();
    return restored(job, room, wanted);
}

// Noise, and the total again if that is kept; what went wrong.
__device__ __forceinline__ i64 disturbed_all(const Job& job, const Room& room, i64 k, f64 wanted, i64 wrong) {
    const i32 n = (i32)job.bins;
    f32* used = job.sigma ? job.sigma + k * n : nullptr;
    if (job.noise == NO_NOISE) {
        for (i32 i = threadIdx.x; used && i < n; i += blockDim.x) used[i] = 0.0f;
        return wrong;
    }
    const f64 width = sum_of(room, 0, n, [&](i32 i) { return is_number(room.bins[i]) ? job.width[i] : 0.0; });
    const f32 mean = width > 0.0 ? (f32)(wanted / width) : 0.0f;
    if (job.noise == PHOTON && !(mean > 0.0f) && width > 0.0) return NOT_POSITIVE;
    const u32 low = (u32)job.sample[k], high = (u32)((u64)job.sample[k] >> 32);
    for (i32 cell = threadIdx.x; cell < (n + 3) / 4; cell += blockDim.x) {
        const auto four = normals4((u32)cell, 0u, low, high, (u32)job.seed, NOISE);
        const f32 normal[4] = {four._0, four._1, four._2, four._3};
#pragma unroll
        for (i32 c = 0; c < 4; ++c) {
            const i32 i = 4 * cell + c;
            if (i >= n) break;
            const i64 at = job.first + job.step * i;
            f32 spread;
            if (job.noise == GIVEN)
                spread = job.given[k * n + at];
            else if (job.noise == PHOTON)
                spread = photon_noise(room.bins[i], mean, job.snr[k]);
            else
                spread = even_noise(mean, job.snr[k]);
            const f32 x = disturbed(room.bins[i], spread, normal[c]);
            room.bins[i] = job.positive && x < 0.0f ? 0.0f : x;
            if (used) used[at] = is_number(x) ? spread : no_number();
        }
    }
    __syncthreads();
    return job.keep_total && !restored(job, room, wanted) ? (i64)LOST : wrong;
}

// Into the array, in its order and precision, with gaps; and the totals of what is written.
__device__ __forceinline__ void write(const Job& job, const Room& room, i64 k) {
    const i32 n = (i32)job.bins;
    for (i32 i = threadIdx.x; i < n; i += blockDim.x) room.bins[i] = value_of(stored_as(room.bins[i], X()));
    __syncthreads();
    const f64 returned = total_of(job, room).whole;
    f64 gone = 0.0;
    for (i32 g = 0; g < (i32)job.gaps; ++g) {
        const i32* gap = job.gap + 2 * (k * job.gaps + g);
        const i32 first = gap[0], end = gap[1];
        for (i32 start = first; start < end; start += PIECE * blockDim.x) {
            const i32 q = start + PIECE * threadIdx.x, stop = least(q + PIECE, end);
            f64 part = 0.0;
            for (i32 i = q; i < stop; ++i) {
                const f64 x = (f64)room.bins[i];
                part += x == x ? x * job.width[i] : 0.0;
                room.bins[i] = no_number();
            }
            if (q < end) room.parts[threadIdx.x] = part;
            __syncthreads();
            if (threadIdx.x == 0)
                for (i32 t = 0; t < (i32)blockDim.x && start + PIECE * t < end; ++t) gone += room.parts[t];
            __syncthreads();
        }
    }
    if (threadIdx.x == 0) job.totals[4 * k + RETURNED] = returned, job.totals[4 * k + GONE] = gone;
    for (i32 i = threadIdx.x; i < n; i += blockDim.x)
        job.out[k * n + job.first + job.step * i] = stored_as(room.bins[i], X());
}

// One spectrum.
__device__ __forceinline__ void augment_one(const Job& job, const Room& room, i64 k) {
    const i32 n = (i32)job.bins;
    if (threadIdx.x == 0) *room.bad = n;
    __syncthreads();
    for (i32 i = threadIdx.x; i < n; i += blockDim.x) {
        const i32 at = (i32)(job.first + job.step * i);
        const f32 x = value_of(job.values[k * n + at]);
        room.bins[i] = x;
        if (!(x - x == 0.0f)) atomicMin(room.bad, at);
    }
    __syncthreads();
    const i32 bad = *room.bad;
    const f64 source = total_of(job, room).whole;
    i64 wrong = bad < n ? NOT_FINITE : FINE;
    if (threadIdx.x == 0) {
        job.totals[4 * k + SOURCE] = source;
        job.state[2 * k] = wrong;
        job.state[2 * k + 1] = bad < n ? bad : -1;
    }
    if (wrong != FINE) return;
    const f64 wanted = job.resampled[k] ? resample(job, room, k) : source;
    if (!responded(job, room, k, wanted)) wrong = LOST;
    wrong = disturbed_all(job, room, k, wanted, wrong);
    write(job, room, k);
    if (threadIdx.x == 0) job.totals[4 * k + WANTED] = wanted, job.state[2 * k] = wrong;
}

__device__ __forceinline__ void augment_all(const Job& job, f64* words) {
    __shared__ f64 found[2];
    __shared__ i32 bad;
    const i32 sums = job.sums(), pieces = job.pieces();
    f64* parts = words + 2 * sums;
    const Room room = {words, words + sums, parts, (f32*)(parts + 2 * pieces), found, &bad};
    for (i64 k = blockIdx.x; k < job.samples; k += gridDim.x) {
        augment_one(job, room, k);
        __syncthreads();
    }
}

extern "C" __global__ void __launch_bounds__(512) spectra(const Job* given) {
    DYNAMIC_SHARED(f64, words);
    augment_all(*given, words);
}

extern "C" __global__ void __launch_bounds__(512, 1) spectra_long(const Job* given) {
    const Job& job = *given;
    const i64 words = 2 * job.sums() + 2 * job.pieces() + (job.bins + 1) / 2;
    augment_all(job, job.room + blockIdx.x * words);
}
