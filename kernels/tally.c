/* Count, missing, least, greatest and sum of values of every type that is counted. */

#include "planes.h"

#include <math.h>
#include <string.h>

typedef double Doubles __attribute__((vector_size(4 * sizeof(double))));

/* In LANES lanes, added in order at the end, so that sums do not depend on the width of vectors. The
   loops over lanes are kept simple and of one type each: only then does the compiler vectorise them. */
#define COUNT(T, M, LOWEST, HIGHEST)                                                               \
    {                                                                                              \
        const T *p = values, *const end = p + n;                                                   \
        T fill, low[LANES], high[LANES], kept[LANES];                                              \
        double sum[LANES];                                                                         \
        Doubles sums[LANES / 4];                                                                   \
        typedef T Four __attribute__((vector_size(4 * sizeof(T))));                                \
        Four four;                                                                                 \
        const M has = job->has_fill != 0;                                                          \
        memcpy(&fill, job->fill, sizeof fill);                                                     \
        for (int k = 0; k < LANES; k++) low[k] = HIGHEST, high[k] = LOWEST, sum[k] = 0;            \
        if (lanes->seen) {                                                                         \
            memcpy(low, &lanes->low, sizeof low), memcpy(high, &lanes->high, sizeof high);         \
            memcpy(sum, lanes->sum, sizeof sum);                                                   \
        }                                                                                          \
        memcpy(sums, sum, sizeof sum);                                                             \
        while (end - p >= LANES) {                                                                 \
            M lost[LANES] = {0};                                                                   \
            /* so few rows that a lane's count cannot outgrow the narrowest type */                \
            for (int rows = 100; rows && end - p >= LANES; rows--, p += LANES) {                   \
                for (int k = 0; k < LANES; k++) {                                                  \
                    const T x = p[k];                                                              \
                    const M gone = (M)((x != x) | ((x == fill) & has));                            \
                    const T lower = gone ? HIGHEST : x, upper = gone ? LOWEST : x;                 \
                    lost[k] += gone;                                                               \
                    kept[k] = gone ? 0 : x;                                                        \
                    low[k] = lower < low[k] ? lower : low[k];                                      \
                    high[k] = upper > high[k] ? upper : high[k];                                   \
                }                                                                                  \
                for (int k = 0; k < LANES / 4; k++) {                                              \
                    memcpy(&four, kept + 4 * k, sizeof four);                                      \
                    sums[k] += __builtin_convertvector(four, Doubles);                             \
                }                                                                                  \
            }                                                                                      \
            for (int k = 0; k < LANES; k++) lanes->missing += lost[k];                             \
        }                                                                                          \
        memcpy(sum, sums, sizeof sum);                                                             \
        for (int k = 0; p < end; k++, p++) {                                                       \
            if ((*p != *p) | ((*p == fill) & has)) { lanes->missing++; continue; }                 \
            sum[k] += (double)*p;                                                                  \
            low[k] = *p < low[k] ? *p : low[k], high[k] = *p > high[k] ? *p : high[k];             \
        }                                                                                          \
        memcpy(&lanes->low, low, sizeof low), memcpy(&lanes->high, high, sizeof high);             \
        memcpy(lanes->sum, sum, sizeof sum);                                                       \
        if (!last) break;                                                                          \
        for (int k = 1; k < LANES; k++) {                                                          \
            low[0] = low[k] < low[0] ? low[k] : low[0];                                            \
            high[0] = high[k] > high[0] ? high[k] : high[0];                                       \
        }                                                                                          \
        lowest = (double)low[0], highest = (double)high[0];                                        \
        break;                                                                                     \
    }

static inline __attribute__((always_inline))
void count_any(Job *job, Lanes *lanes, const void *values, int64_t n, int last) {
    double lowest = INFINITY, highest = -INFINITY, total = 0;
    switch (job->kind) {
        case 1: COUNT(int8_t, int8_t, INT8_MIN, INT8_MAX)
        case 2: COUNT(uint8_t, int8_t, 0, UINT8_MAX)
        case 3: COUNT(int16_t, int16_t, INT16_MIN, INT16_MAX)
        case 4: COUNT(uint16_t, int16_t, 0, UINT16_MAX)
        case 5: COUNT(int32_t, int32_t, INT32_MIN, INT32_MAX)
        case 6: COUNT(uint32_t, int32_t, 0, UINT32_MAX)
        case 7: COUNT(int64_t, int64_t, INT64_MIN, INT64_MAX)
        case 8: COUNT(uint64_t, int64_t, 0, UINT64_MAX)
        case 9: COUNT(float, int32_t, -INFINITY, INFINITY)
        case 10: COUNT(double, int64_t, -INFINITY, INFINITY)
    }
    lanes->seen += n;
    if (!last) return;
    for (int k = 0; k < LANES; k++) total += lanes->sum[k];
    Tally *tally = &job->tally;
    tally->count += lanes->seen, tally->missing += lanes->missing, tally->total += total;
    if (lanes->missing < lanes->seen && lowest < tally->minimum) tally->minimum = lowest;
    if (lanes->missing < lanes->seen && highest > tally->maximum) tally->maximum = highest;
}

static void count_scalar(Job *job, Lanes *lanes, const void *values, int64_t n, int last) {
    count_any(job, lanes, values, n, last);
}
#if defined(__x86_64__)
__attribute__((target("avx2"))) static void count_avx2(Job *job, Lanes *lanes, const void *values, int64_t n, int last) {
    count_any(job, lanes, values, n, last);
}
__attribute__((target("avx512bw,prefer-vector-width=512")))
static void count_avx512(Job *job, Lanes *lanes, const void *values, int64_t n, int last) {
    count_any(job, lanes, values, n, last);
}
#else
#define count_avx2 count_scalar
#define count_avx512 count_scalar
#endif

void count_part(const Worker *t, Job *job, Lanes *lanes, const void *values, int64_t n, int last) {
    if (t->isa >= AVX512) count_avx512(job, lanes, values, n, last);
    else if (t->isa == AVX2) count_avx2(job, lanes, values, n, last);
    else count_scalar(job, lanes, values, n, last);
}

/* Add the statistics of values in memory to the job's. */
void count_values(const Worker *t, Job *job, const void *values, int64_t n) {
    Lanes lanes = {.seen = 0};
    count_part(t, job, &lanes, values, n, 1);
}
