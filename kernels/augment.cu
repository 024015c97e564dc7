// One pass over a batch of fields: augment.py is the twin, whose order of operations and sums this follows.
//
// Four kernels, one after the other on one stream. `augment_trace`, a block of threads a sample, finds where
// each cell comes from. `augment_weigh`, a block a sample and time, does surface pressure, which weighs
// all others. `augment`, and for winds `augment_wind`, does every other variable of a sample and time in a
// block of its own: warps take rows, go down through the levels, gather from this variable's own memory (which stays in the second cache
// meanwhile) and leave a draft; row sums tell what is missing, and the draft is mended while it is written.
// Column i of a row belongs to thread i mod 32 of a warp, whose sums are added in pairs: 16 and 16, 8 and 8.

// Columns of the table, kinds, rules and codes: as in desk.py and totals.py.
enum { FIRST, LEVELS, KIND, RULE, MATE };
enum { SCALAR, EASTWARD, NORTHWARD, CATEGORY };
enum { FINE, OWN_BAD, PARTNER_BAD, THIN, NEGATIVE };
enum { BEFORE, AFTER, PARTNER, RESULT };
enum { NONE, MEAN, FACTOR, SHARE, SPIN, ROWS, ROWS_ZERO };
#define WITHOUT_PRESSURE_PA 1e5f
#define WARP 32
#define WHOLE_WARP 0xffffffffu

typedef unsigned char u8;

// All of a call: members have 8 bytes, in the order of augment_gpu.py.
struct Job {
    const X *own, *other;
    X* out;
    f32* draft;
    i64 samples, times, channels, rows, columns, draft_channels;
    const f64* lat;
    const i64* row;
    const f64 *cos_lat, *sin_lat, *cos_lon, *sin_lon;
    f64 per_rad;
    const u8* pole;
    const f64 *area, *arm;
    const f64* points;
    f64 edge, scale;
    i64 n_points;
    const i64* table;
    const f32 *low, *high;
    const f64 *da, *db;
    i64 pressure, n_blocks, n_layers;
    const i64* before;
    const f32* part;
    const u8* warped;
    const f64* half;
    const i64* upper;
    const f32* weight;
    const i64* partner;
    const f32* mixture;
    const u8* capped;
    const f64* caps;
    const f32* sigma;
    const u32 *id_low, *id_high;
    i64 seed, operation;
    const f64* spin;
    u32* taps;    // [sample, 4, cell]: south-west, south-east, north-west, north-east
    f32* parts;   // [sample, 6, cell]: fx, fy, first, second, cosine, sine
    f32* share;   // [sample, cell]: the partner's
    f32* ps;      // [sample, time, 5, cell]
    f64* mass;    // [sample, time, 4, row]
    f64* own_share;
    i64* wrong;   // [sample, time, block]
    f64* totals;  // [sample, time, block, 3]

    // Positions within a plane have 32 bits: fewer registers.
    __device__ __forceinline__ i32 cells() const { return (i32)rows * (i32)columns; }
};

__device__ __forceinline__ bool is_finite(f64 x) { return x - x == 0.0; }
__device__ __forceinline__ f32 stored_as(f32 value, f32) { return value; }
__device__ __forceinline__ bf16 stored_as(f32 value, bf16) {
    bf16 stored;
    stored.bits = (unsigned short)to_bfloat16(value);
    return stored;
}

__device__ __forceinline__ f64 sum_of_warp(f64 x) {
    for (i32 width = WARP / 2; width > 0; width /= 2)
        x = x + __shfl_down_sync(WHOLE_WARP, x, width, WARP);
    return x;  // of the first thread
}

// ---------------------------------------------------------------------------- where cells come from
struct Source {
    f64 x, y, z;
    f32 cosine, sine;
};

__device__ __forceinline__ Source source_of(const Job& job, i64 s, i64 j, i64 i) {
    const f64 up = job.sin_lat[j], out = job.cos_lat[j];
    const f64 cos_lon = job.cos_lon[i], sin_lon = job.sin_lon[i];
    f64 total = 0.0, gx = 0.0, gy = 0.0, gz = 0.0;
    for (i64 k = 0; k < job.n_points; ++k) {
        const f64* at = job.points + 3 * k;
        const f64* turn = job.half + 3 * (s * job.n_points + k);
        const f64 cx = out * at[0], cy = out * at[1], cz = up * at[2];
        const f64 heard = control_weight(cos_lon * cx + sin_lon * cy + cz, job.edge, job.scale);
        total += heard;
        gx += heard * turn[0];
        gy += heard * turn[1];
        gz += heard * turn[2];
    }
    const f64 ax = gx / total, ay = gy / total, az = gz / total;
    const f64 radial = cos_lon * ax + sin_lon * ay, east = cos_lon * ay - sin_lon * ax;
    const auto from = turned(radial, east, az, out, 0.0, up);
    const auto edge = turned(radial, east, az, 0.0, 1.0, 0.0);
    const auto wind = carried(from._0, from._1, from._2, edge._0, edge._1, edge._2);
    return {from._0, from._1, from._2, wind._0, wind._1};
}

__device__ __forceinline__ void tap(const Job& job, i64 row, f64 column, bool across, u32* west,
                                    u32* east, f32* part) {
    const f64 where = place(across ? column + 0.5 * (f64)job.columns : column);
    const i64 floored = (i64)floor(where);
    const i64 first = (floored % job.columns + job.columns) % job.columns;
    *west = (u32)(row * job.columns + first);
    *east = (u32)(row * job.columns + (first + 1 < job.columns ? first + 1 : 0));
    *part = (f32)(where - (f64)floored);
}

extern "C" __global__ void __launch_bounds__(512) augment_trace(const Job* given) {
    const Job& job = *given;
    DYNAMIC_SHARED(f64, found);  // [row]
    const i64 s = blockIdx.x, cells = job.cells();
    u32* taps = job.taps + 4 * s * cells;
    f32* parts = job.parts + 6 * s * cells;
    for (i64 n = threadIdx.x; n < cells && job.warped[s]; n += blockDim.x) {
        const i64 j = n / job.columns, i = n % job.columns;
        const Source own = source_of(job, s, j, i);
        parts[4 * cells + n] = own.cosine;
        parts[5 * cells + n] = own.sine;
        const i64 seen = job.pole[j] ? 0 : i;  // one place, one value
        const Source from = seen == i ? own : source_of(job, s, j, seen);
        const f64 lat = angle(from.z, sqrt(from.x * from.x + from.y * from.y));
        i64 at = 1;
        while (at > 0 && lat < job.lat[at]) --at;
        while (at < job.rows && lat >= job.lat[at + 1]) ++at;
        const f64 gap = job.lat[at + 1] - job.lat[at];
        f64 part = gap > 0.0 ? (lat - job.lat[at]) / gap : 0.0;
        part = part > 0.0 ? part : 0.0;
        part = place(part < 1.0 ? part : 1.0);
        const f64 column = (f64)seen + angle(from.y, from.x) * job.per_rad;
        tap(job, job.row[at], column, at == 0, taps + n, taps + cells + n, parts + n);
        tap(job, job.row[at + 1], column, at == job.rows, taps + 2 * cells + n, taps + 3 * cells + n,
            parts + cells + n);
        parts[2 * cells + n] = (f32)(at == 0 ? part - 1.0 : 1.0 - part);
        parts[3 * cells + n] = (f32)(at == job.rows ? -part : part);
    }
    f32* share = job.share + s * cells;
    const bool mixes = job.partner[s] >= 0;
    for (i64 j = threadIdx.x; j < job.rows && mixes; j += blockDim.x) {
        f64 row = 0.0;
        for (i64 i = 0; i < job.columns; ++i) {
            f32 inside = 0.0f;
            if (job.capped[s]) {
                const f64* of = job.caps + 5 * s;
                const f64 level = job.cos_lon[i] * of[0] + job.sin_lon[i] * of[1];
                inside = cap(job.cos_lat[j] * level + job.sin_lat[j] * of[2], of[3], of[4]);
            }
            share[j * job.columns + i] = both(job.mixture[s], inside);
            row += (f64)share[j * job.columns + i];
        }
        found[j] = row;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        f64 others = 0.0;
        for (i64 j = 0; j < job.rows && mixes; ++j) others += found[j] * job.area[j];
        job.own_share[s] = mixes ? 1.0 - others : 1.0;
    }
}

// ---------------------------------------------------------------------------- one value
// What a block of threads works on: a variable, or the two parts of a wind, of a sample and time.
struct Task {
    i32 s, t, b[2];
    i32 kind;
    i32 levels, partner;
    bool layered, warped;
    f32 time_part;
    const f32* ps;  // [5, cell]
    const u32* taps;
    const f32* split;
};

__device__ __forceinline__ const X* plane_of(const Job& job, const X* of, i32 s, i32 t, i32 channel) {
    return of + (((i64)s * job.times + t) * job.channels + channel) * job.cells();
}

// The value of a cell at the sample's time.
__device__ __forceinline__ f32 in_time(const Job& job, const Task& task, const X* before, f32 a, f32 b, i32 n) {
    const f32 first = value_of(before[n]);
    if (!(task.time_part > 0.0f)) return first;
    const f32 second = value_of(before[job.channels * job.cells() + n]);
    if (task.kind == CATEGORY) return (f64)task.time_part > 0.5 ? second : first;
    f32 share = task.time_part;
    if (b != 0.0f) share = mass_share(share, a, b, task.ps[n], task.ps[job.cells() + n]);
    return mixed(share, first, second);
}

// Values of the one or two parts at their source on a level.
template <i32 PARTS>
__device__ __forceinline__ void gathered(const Job& job, const Task& task, i32 level, i32 n, f32* values) {
    const i32 cells = job.cells();
    const f32 a = task.layered ? (f32)job.da[level] : 1.0f, b = task.layered ? (f32)job.db[level] : 0.0f;
    const i32 time = (i32)job.before[task.s * job.times + task.t];
    for (i32 c = 0; c < PARTS; ++c) {
        const X* before = plane_of(job, job.own, task.s, time, (i32)job.table[5 * task.b[c] + FIRST] + level);
        if (!task.warped) {
            values[c] = in_time(job, task, before, a, b, n);
            continue;
        }
        const u32 *taps = task.taps + n;
        const f32* split = task.split + n;
        f32 fx = split[0], fy = split[cells], first = split[2 * cells], second = split[3 * cells];
        if (task.kind == CATEGORY) {
            const bool north = fabs_of(second) > 0.5f;
            const bool east = (north ? fy : fx) > 0.5f;
            values[c] = in_time(job, task, before, a, b, taps[(2 * north + east) * cells]);
            continue;
        }
        if (PARTS == 1) {
            first = fabs_of(first);
            second = fabs_of(second);
        }
        values[c] = between(first, second, fx, fy, in_time(job, task, before, a, b, taps[0]),
                            in_time(job, task, before, a, b, taps[cells]),
                            in_time(job, task, before, a, b, taps[2 * cells]),
                            in_time(job, task, before, a, b, taps[3 * cells]));
    }
    if (task.warped && PARTS == 2) {
        const f32 cosine = task.split[4 * cells + n], sine = task.split[5 * cells + n];
        const f32 u = values[0], v = values[PARTS - 1];
        values[0] = onward(cosine, sine, u, v);
        values[PARTS - 1] = onward(cosine, -sine, v, u);
    }
}

__device__ __forceinline__ f32 normal_of(const Job& job, const Task& task, i32 channel, i32 n) {
    const i32 columns = (i32)job.columns, j = n / columns;
    if (job.pole[j]) {  // one place: one noise, and none for a wind, whose parts turn along the row
        if (task.kind != SCALAR) return 0.0f;
        n = j * columns;
    }
    const u32 number = (u32)(task.t * job.channels + channel);
    const auto words = philox((u32)n, number / 4, job.id_low[task.s], job.id_high[task.s],
                              (u32)job.seed, (u32)job.operation);
    const bool later = number & 2;
    const auto two = normal_pair(later ? words._2 : words._0, later ? words._3 : words._1);
    return number & 1 ? two._1 : two._0;
}

// Mixed with the partner's, noisy and bounded: the value of a draft.
__device__ __forceinline__ f32 drafted(const Job& job, const Task& task, i32 c, i32 level, i32 n, f32 value,
                                       const X* theirs) {
    const i32 cells = job.cells(), b = task.b[c], channel = (i32)job.table[5 * b + FIRST] + level;
    if (theirs) {
        const f32 other = value_of(theirs[n]);
        f32 share = job.share[(i64)task.s * cells + n];
        if (task.kind == CATEGORY) {
            value = share > 0.5f ? other : value;
        } else {
            if (task.layered && job.db[level] != 0.0)
                share = mass_share(share, (f32)job.da[level], (f32)job.db[level], task.ps[2 * cells + n],
                                   task.ps[3 * cells + n]);
            value = mixed(share, value, other);
        }
    }
    const f32 sigma = job.sigma[task.s * job.channels + channel];
    if (sigma > 0.0f && task.kind != CATEGORY)
        value = noisy(value, sigma, normal_of(job, task, channel, n));
    return is_finite(job.low[b]) ? bounded(value, job.low[b], job.high[b]) : value;
}

// ---------------------------------------------------------------------------- totals
// Of one thread each, and seldom: calls, so that they take no registers of what is done to every value.
__device__ __forceinline__ f64 total_of(const f64* rows, const f64* weight, i64 n) {
    f64 found = 0.0;
#pragma unroll 1
    for (i64 j = 0; j < n; ++j) found += rows[j] * weight[j];
    return found;
}

// What the air ought to have of the planet's own turning, less what it has in its new places.
__device__ __noinline__ f64 turning_of(const Job& job, i64 s, f64 part, const f64* mass, f64 mine) {
    f64 found[4] = {0.0, 0.0, 0.0, 0.0};
    for (i32 k = 0; k < 4; ++k)
#pragma unroll 1
        for (i64 j = 0; j < job.rows; ++j)
            found[k] += mass[k * job.rows + j] * job.area[j] * job.arm[j] * job.arm[j];
    const f64 spin = job.spin[2 * s], other = job.spin[2 * s + 1];
    const f64 before = part > 0.0 ? (1.0 - part) * found[BEFORE] + part * found[AFTER] : found[BEFORE];
    const f64 turning = mine * spin + (1.0 - mine) * other;
    return mine * spin * before + (1.0 - mine) * other * found[PARTNER] - turning * found[RESULT];
}

// The gain, and the shift of each row, that restore a total; of one thread.
__device__ __noinline__ f64 restored(const Job& job, i64 rule, const f64* target, const f64* rows,
                                        const f64* mass, f64 more, f32* shift) {
    const i64 n = job.rows;
#pragma unroll 1
    for (i64 j = 0; j < n; ++j) shift[j] = 0.0f;
    if (rule == NONE) return 0.0;
    if (rule == ROWS || rule == ROWS_ZERO) {
#pragma unroll 1
        for (i64 j = 0; j < n; ++j)
            if (!job.pole[j]) shift[j] = (f32)(((rule == ROWS ? target[j] : 0.0) - rows[j]) / mass[j]);
        return 0.0;
    }
    if (rule == SPIN) {
        f64 wanted = more, found = 0.0, inertia = 0.0;
#pragma unroll 1
        for (i64 j = 0; j < n; ++j) {
            const f64 lever = job.area[j] * job.arm[j];
            wanted += target[j] * lever;
            found += rows[j] * lever;
            inertia += mass[j] * lever * job.cos_lat[j];
        }
#pragma unroll 1
        for (i64 j = 0; j < n; ++j) shift[j] = (f32)((wanted - found) / inertia * job.cos_lat[j]);
        return 0.0;
    }
    const f64 wanted = total_of(target, job.area, n), found = total_of(rows, job.area, n);
    const f64 air = total_of(mass, job.area, n);
    f64 all = wanted / air;  // where none is left to multiply it comes back everywhere
    f64 gain = 0.0;
    if (rule == MEAN) {
        all = (wanted - found) / air;
    } else if (rule == SHARE && found < wanted) {
        const f64 part = air > found ? (wanted - found) / (air - found) : 0.0;
        all = part < 1.0 ? part : 1.0;
        gain = -all;
    } else if (found > 0.0) {
        return wanted / found - 1.0;
    }
#pragma unroll 1
    for (i64 j = 0; j < n; ++j) shift[j] = (f32)all;
    return gain;
}

__device__ __noinline__ void tell(const Job& job, i64 rule, const f64* target, const f64* rows,
                                     const f64* sizes, f64 more, f64* told) {
    told[0] = told[1] = told[2] = 0.0;
    if (rule == ROWS || rule == ROWS_ZERO) {
        f64 worst = -1.0;
#pragma unroll 1
        for (i64 j = 0; j < job.rows; ++j) {
            const f64 wanted = rule == ROWS ? target[j] : 0.0;
            const f64 off = sizes[j] > 0.0 ? fabs(rows[j] - wanted) / sizes[j] : 0.0;
            if (!job.pole[j] && off > worst) {
                worst = off;
                told[0] = wanted, told[1] = rows[j], told[2] = sizes[j];
            }
        }
        return;
    }
    told[0] = more;
#pragma unroll 1
    for (i64 j = 0; j < job.rows; ++j) {
        const f64 lever = job.area[j] * (rule == SPIN ? job.arm[j] : 1.0);
        told[0] += target[j] * lever;
        told[1] += rows[j] * lever;
        told[2] += sizes[j] * lever;
    }
}

// ---------------------------------------------------------------------------- one block of a sample and time
__device__ __forceinline__ f64 term(const Job& job, const Task& task, i32 level, i32 which, i32 n, f32 value) {
    const f64 da = task.layered ? job.da[level] : 1.0, db = task.layered ? job.db[level] : 0.0;
    return lane_term(value, da, db, task.ps[which * job.cells() + n]);
}

__device__ __forceinline__ f32* draft_of(const Job& job, const Task& task, i32 c, i32 level) {
    const i32 channel = (i32)job.table[5 * task.b[c] + FIRST] + level;
    if ((const void*)job.draft == (const void*)job.out)
        return job.draft + ((task.s * job.times + task.t) * job.channels + channel) * job.cells();
    return job.draft + (blockIdx.x * job.draft_channels + c * job.n_layers + level) * job.cells();
}

__device__ __forceinline__ Task task_of(const Job& job, i32 s, i32 t, i32 b) {
    Task task;
    const i64* row = job.table + 5 * b;
    task.s = s, task.t = t, task.b[0] = b, task.b[1] = (i32)row[MATE];
    task.kind = (i32)row[KIND];
    task.layered = row[LEVELS] > 0;
    task.levels = task.layered ? (i32)row[LEVELS] : 1;
    task.partner = (i32)job.partner[s];
    task.warped = job.warped[s];
    task.time_part = job.part[s * job.times + t];
    task.ps = job.ps + 5 * (s * job.times + t) * job.cells();
    task.taps = job.taps + 4 * (i64)s * job.cells();
    task.split = job.parts + 6 * (i64)s * job.cells();
    return task;
}

// The drafts of a row on all its levels, and the row's sums [2, 4, row]; of a warp.
template <i32 PARTS>
__device__ __forceinline__ void draft_row(const Job& job, const Task& task, i32 j, f64* sums) {
    const i32 lane = threadIdx.x % WARP, columns = (i32)job.columns;
    const i32 time = (i32)job.before[task.s * job.times + task.t], rows = (i32)job.rows;
    if (lane == 0)
        for (i32 k = 0; k < 4 * PARTS; ++k) sums[k * rows + j] = 0.0;
#pragma unroll 1
    for (i32 level = 0; level < task.levels; ++level) {
        const i32 upper = task.layered ? (i32)job.upper[task.s * job.n_layers + level] : 0;
        const f32 weight = task.layered ? job.weight[task.s * job.n_layers + level] : 0.0f;
        const bool lower = weight != 0.0f && (task.kind != CATEGORY || weight > 0.5f);
        f64 lanes[PARTS][4] = {};
#pragma unroll 1
        for (i32 i = lane; i < columns; i += WARP) {
            const i32 n = j * columns + i;
            f32 values[PARTS] = {}, others[PARTS] = {};
            gathered<PARTS>(job, task, upper, n, values);
            if (lower) gathered<PARTS>(job, task, upper - 1, n, others);
            for (i32 c = 0; c < PARTS; ++c) {
                const i32 channel = (i32)job.table[5 * task.b[c] + FIRST] + level;
                const X* before = plane_of(job, job.own, task.s, time, channel);
                lanes[c][BEFORE] += term(job, task, level, 0, n, value_of(before[n]));
                if (task.time_part > 0.0f) {
                    const X* after = before + job.channels * job.cells();
                    lanes[c][AFTER] += term(job, task, level, 1, n, value_of(after[n]));
                }
                const X* theirs = nullptr;
                if (task.partner >= 0) {
                    theirs = plane_of(job, job.other, task.partner, task.t, channel);
                    lanes[c][PARTNER] += term(job, task, level, 3, n, value_of(theirs[n]));
                }
                f32 value = values[c];
                if (lower) value = task.kind == CATEGORY ? others[c] : mixed(weight, value, others[c]);
                value = drafted(job, task, c, level, n, value, theirs);
                draft_of(job, task, c, level)[n] = value;
                lanes[c][RESULT] += term(job, task, level, 4, n, value);
            }
        }
        for (i32 c = 0; c < PARTS; ++c)
            for (i32 k = 0; k < 4; ++k) {
                const f64 sum = sum_of_warp(lanes[c][k]);
                if (lane == 0) sums[(4 * c + k) * rows + j] += sum;
            }
    }
}

// The row written as it shall be, and its sums with and without signs; of a warp.
__device__ __forceinline__ void mend_row(const Job& job, const Task& task, i32 c, i32 j, f32 gain, f32 shift,
                                         f64* found, f64* size) {
    const i32 lane = threadIdx.x % WARP;
    const i32 b = task.b[c], columns = (i32)job.columns;
    const bool as_it_is = job.table[5 * b + RULE] == NONE;
    f64 row = 0.0, sizes = 0.0;
#pragma unroll 1
    for (i32 level = 0; level < task.levels; ++level) {
        const f32* draft = draft_of(job, task, c, level);
        X* out = job.out + ((task.s * job.times + task.t) * job.channels + job.table[5 * b + FIRST] + level)
                               * job.cells();
        f64 sum = 0.0, sum_of_sizes = 0.0;
#pragma unroll 2
        for (i32 i = lane; i < columns; i += WARP) {
            const i32 n = j * columns + i;
            f32 value = draft[n];
            if (!as_it_is) value = bounded(mended(value, gain, shift), job.low[b], job.high[b]);
            const X last = stored_as(value, X());
            out[n] = last;
            const f64 each = term(job, task, level, 4, n, value_of(last));
            sum += each;
            sum_of_sizes += fabs(each);
        }
        row += sum_of_warp(sum);
        sizes += sum_of_warp(sum_of_sizes);
    }
    if (lane == 0) found[j] = row, size[j] = sizes;
}

// desk: [11, row] of shared memory: sums [2, 4], target, sizes, shift; and the gain behind them.
template <i32 PARTS>
__device__ __forceinline__ void do_block(const Job& job, const Task& task, f64* desk) {
    const i32 rows = (i32)job.rows, first = threadIdx.x / WARP, warps = blockDim.x / WARP;
    f64 *target = desk + 8 * rows, *sizes = desk + 9 * rows;
    f32* shift = (f32*)(desk + 10 * rows);
    f64* more = desk + 11 * rows;
    f32* gain = (f32*)(desk + 11 * rows + 1);
    const f64* mass = task.layered ? job.mass + 4 * (task.s * job.times + task.t) * rows : nullptr;
    const f64 mine = job.own_share[task.s], part = task.time_part;
#pragma unroll 1
    for (i32 j = first; j < rows; j += warps) draft_row<PARTS>(job, task, j, desk);
#pragma unroll
    for (i32 c = 0; c < PARTS; ++c) {
        f64* sums = desk + 4 * c * rows;
        const i64 rule = job.table[5 * task.b[c] + RULE];
        const i64 told = (task.s * job.times + task.t) * job.n_blocks + task.b[c];
        __syncthreads();
#pragma unroll 1
        for (i32 j = threadIdx.x; j < rows; j += blockDim.x) {
            f64 value = sums[BEFORE * rows + j];
            if (part > 0.0) value = (1.0 - part) * value + part * sums[AFTER * rows + j];
            target[j] = task.partner >= 0 ? mine * value + (1.0 - mine) * sums[PARTNER * rows + j] : value;
            if (!mass) sizes[j] = (f64)job.columns;
        }
        __syncthreads();
        if (threadIdx.x == 0) {
            i64 wrong = FINE;
            if (rule == FACTOR && total_of(target, job.area, rows) < 0.0) wrong = NEGATIVE;
            for (i32 k = PARTNER; k >= BEFORE; --k)
                if (!is_finite(total_of(sums + k * rows, job.area, rows)))
                    wrong = k == PARTNER ? PARTNER_BAD : OWN_BAD;
            job.wrong[told] = wrong;
            *more = rule == SPIN && mass ? turning_of(job, task.s, part, mass, mine) : 0.0;
            *gain = (f32)restored(job, rule, target, sums + RESULT * rows, mass ? mass + RESULT * rows : sizes,
                                  *more, shift);
        }
        __syncthreads();
#pragma unroll 1
        for (i32 j = first; j < rows; j += warps)
            mend_row(job, task, c, j, *gain, shift[j], sums + RESULT * rows, sizes);
        __syncthreads();
        if (threadIdx.x == 0)
            tell(job, rule, target, sums + RESULT * rows, sizes, *more, job.totals + 3 * told);
    }
    __syncthreads();
}

// Surface pressure of a sample and time, and what it makes of the mass of columns.
extern "C" __global__ void __launch_bounds__(256) augment_weigh(const Job* given) {
    const Job& job = *given;
    DYNAMIC_SHARED(f64, desk);
    const i64 at = blockIdx.x, s = at / job.times, t = at % job.times, b = job.pressure;
    const i64 cells = job.cells(), rows = job.rows, lane = threadIdx.x % WARP;
    f32* ps = job.ps + 5 * at * cells;
    for (i64 n = threadIdx.x; n < 5 * cells; n += blockDim.x) ps[n] = WITHOUT_PRESSURE_PA;
    __syncthreads();
    const f32 part = job.part[s * job.times + t];
    if (b >= 0) {
        const Task task = task_of(job, s, t, b);
        do_block<1>(job, task, desk);
        const i64 channel = job.table[5 * b + FIRST];
        const X* before = plane_of(job, job.own, s, job.before[s * job.times + t], channel);
        for (i64 n = threadIdx.x; n < cells; n += blockDim.x) {
            gathered<1>(job, task, 0, n, ps + 2 * cells + n);
            ps[n] = value_of(before[n]);
            if (part > 0.0f) ps[cells + n] = value_of(before[job.channels * cells + n]);
            if (task.partner >= 0) ps[3 * cells + n] = value_of(plane_of(job, job.other, task.partner, t, channel)[n]);
            ps[4 * cells + n] = value_of(plane_of(job, job.out, s, t, channel)[n]);
        }
        __syncthreads();
    }
    f64 whole_a = 0.0, whole_b = 0.0;
#pragma unroll 1
    for (i64 level = 0; level < job.n_layers; ++level) whole_a += job.da[level], whole_b += job.db[level];
    bool thin = false;
    for (i32 k = 0; k < 4; ++k) {
        const bool there = (k != AFTER || part > 0.0f) && (k != PARTNER || job.partner[s] >= 0);
        const f32* plane = ps + (k < 2 ? k : k + 1) * cells;
        for (i64 n = threadIdx.x; n < cells && there; n += blockDim.x)
#pragma unroll 1
            for (i64 level = 0; level < job.n_layers; ++level)
                thin |= !(job.da[level] + job.db[level] * (f64)plane[n] > 0.0);
#pragma unroll 1
        for (i64 j = threadIdx.x / WARP; j < rows; j += blockDim.x / WARP) {
            f64 sum = 0.0;
            for (i64 i = lane; i < job.columns && there; i += WARP)
                sum += lane_term(plane[j * job.columns + i], whole_b, 0.0, plane[j * job.columns + i]);
            sum = sum_of_warp(sum);
            if (lane == 0)
                job.mass[(4 * at + k) * rows + j] = there ? sum + whole_a * (f64)job.columns : 0.0;
        }
    }
    if (threadIdx.x == 0) desk[0] = 0.0;
    __syncthreads();
    if (thin) desk[0] = 1.0;  // whoever found one writes the same
    __syncthreads();
    i64* wrong = job.wrong + at * job.n_blocks + (b >= 0 ? b : 0);
    if (threadIdx.x == 0 && desk[0] > 0.0 && (b < 0 || *wrong == FINE)) *wrong = THIN;
    if (threadIdx.x == 0 && desk[0] > 0.0) job.mass[4 * at * rows] = -1.0;  // for augment to stop at
}

// All other variables: a block of threads takes one after the other. Winds have a kernel of their own, for
// they need more registers.
template <i32 PARTS>
__device__ __forceinline__ void do_all(const Job& job, f64* desk) {
    const i64 tasks = job.samples * job.times * job.n_blocks;
    for (i64 number = blockIdx.x; number < tasks; number += gridDim.x) {
        const i64 at = number / job.n_blocks, b = number % job.n_blocks;
        const i64* row = job.table + 5 * b;
        const bool mine = b != job.pressure && row[KIND] != NORTHWARD && (row[MATE] >= 0) == (PARTS == 2);
        if (mine && !(job.mass[4 * at * job.rows] < 0.0))
            do_block<PARTS>(job, task_of(job, at / job.times, at % job.times, b), desk);
    }
}

extern "C" __global__ void __launch_bounds__(256) augment(const Job* given) {
    DYNAMIC_SHARED(f64, desk);
    do_all<1>(*given, desk);
}

extern "C" __global__ void __launch_bounds__(256) augment_wind(const Job* given) {
    DYNAMIC_SHARED(f64, desk);
    do_all<2>(*given, desk);
}
