/* The codec of one chunk: bit planes, those that are noise stored as they are, the others by zstd.

   What comes out is a Blosc-1 chunk of one bit-shuffled block, its one stream being several zstd frames
   in a row, which every decoder of zstd takes as one. Runs of planes that look like noise are frames of
   raw blocks, made by hand: nothing is gained by compressing them, and it costs most of the time.
   Values beyond the last multiple of eight, which bit-shuffle cannot take, are a second, raw block. */

#include "planes.h"

#include <string.h>

enum { HEADER = 16, RAW_BLOCK = 128 << 10, SAMPLE = 1024, TRIAL = 32 << 10, QUICK = 256 << 10 };
enum { BITSHUFFLE = 0x4, COPIED = 0x2, ONE_STREAM = 0x10, ZSTD = 4 << 5 };

static inline uint32_t load32(const uint8_t *p) { uint32_t v; memcpy(&v, p, 4); return v; }
static inline void store32(uint8_t *p, uint32_t v) { memcpy(p, &v, 4); }

/* Whether a bit plane looks like noise: pairs of equal bytes in a sample are nearly as rare as in random
   ones (1 of 256). Up to half again as many count as noise, by measurement: a plane that zstd gains
   little on spoils the tables which it shares with its neighbours, and the whole grows. Of short planes
   too little is seen, and a frame of their own costs more than it saves. */
static int is_noise(const uint8_t *plane, int64_t m) {
    if (m < SAMPLE) return 0;
    enum { RUN = 64, RUNS = SAMPLE / RUN };
    const int64_t step = (m - RUN) / (RUNS - 1);
    uint16_t seen[4][256] = {0}; /* four, so that a count need not wait for the one before it */
    uint32_t squares = 0;
    for (int run = 0; run < RUNS; run++)
        for (const uint8_t *p = plane + run * step, *end = p + RUN; p < end; p += 4)
            for (int k = 0; k < 4; k++) seen[k][p[k]]++;
    for (int k = 0; k < 256; k++) {
        const uint32_t same = (uint32_t)seen[0][k] + seen[1][k] + seen[2][k] + seen[3][k];
        squares += same * same;
    }
    const int64_t pairs = (squares - SAMPLE) / 2, of_noise = (int64_t)SAMPLE * (SAMPLE - 1) / 2 / 256;
    return pairs * 2 < of_noise * 3;
}

/* A zstd frame of raw blocks; a block ends where a plane does, so that decoding need not copy. */
static int64_t raw_frame(const uint8_t *from, int64_t nbytes, int64_t m, uint8_t *out) {
    const int64_t most = m < RAW_BLOCK ? RAW_BLOCK / m * m : RAW_BLOCK;
    uint8_t *to = out;
    store32(to, 0xFD2FB528u);
    to[4] = 0xA0; /* single segment, content size in four bytes, no checksum */
    store32(to + 5, (uint32_t)nbytes);
    to += 9;
    while (nbytes > 0) {
        const int64_t now = nbytes < most ? nbytes : most;
        const uint32_t head = (uint32_t)(now << 3) | (now == nbytes);
        to[0] = (uint8_t)head, to[1] = (uint8_t)(head >> 8), to[2] = (uint8_t)(head >> 16);
        memcpy(to + 3, from, (size_t)now);
        to += 3 + now, from += now, nbytes -= now;
    }
    return to - out;
}

/* The most that frames can need of `nbytes`: a header each, a block head for every plane or block. */
static int64_t raw_bound(int64_t nbytes, int64_t m) { return nbytes + 9 + 3 * (nbytes / m + nbytes / RAW_BLOCK + 2); }

static int64_t copied(const uint8_t *const plane[8], int64_t n, int w, uint8_t *out) {
    out[2] |= COPIED;
    for (int j = 0; j < w; j++)
        for (int64_t k = 0; k < n; k++) out[HEADER + k * w + j] = plane[j][k];
    store32(out + 12, (uint32_t)(n * w + HEADER));
    return n * w + HEADER;
}

/* At level 1 zstd seeks matches of seven bytes in large chunks, not five or six, and at every third byte:
   bits that differ by chance seldom repeat, and shorter matches take twice the time and save nothing (by
   measurement; of chunks below QUICK they save some tenths of a per cent). */
static void set_level(const Worker *t, int level, int64_t nbytes) {
    enum { LEVEL = 100, HASH_LOG = 102, MIN_MATCH = 105, TARGET = 106, STRATEGY = 107, LITERALS = 1002 };
    const int quick = level == 1 && nbytes >= QUICK;
    t->zstd_set(t->zstd_encoder, LEVEL, level);
    t->zstd_set(t->zstd_encoder, STRATEGY, quick);
    t->zstd_set(t->zstd_encoder, HASH_LOG, quick ? 13 : 0);
    t->zstd_set(t->zstd_encoder, MIN_MATCH, quick ? 7 : 0);
    /* by steps zstd gives up packing literals, too, unless these are asked for by this newer setting */
    const size_t packed = t->zstd_set(t->zstd_encoder, LITERALS, quick);
    t->zstd_set(t->zstd_encoder, TARGET, quick && !t->zstd_failed(packed) ? 2 : 0);
}

int64_t encode_planes(const Worker *t, const uint8_t *const plane[8], int64_t n, int w, int level, uint8_t *out) {
    const int64_t m = n / 8, tail = n % 8, planes = 8 * w, block = 8 * m * w;
    const int64_t room = n * w + HEADER; /* what is longer is stored as it is */
    out[0] = 2, out[1] = 1, out[2] = BITSHUFFLE | ONE_STREAM | ZSTD, out[3] = (uint8_t)w;
    store32(out + 4, (uint32_t)(n * w));
    store32(out + 8, (uint32_t)(m ? block : n * w));
    if (!m) return copied(plane, n, w, out);
    set_level(t, level, block);
    for (int j = 0; j < w; j++) split(t->isa, plane[j], m, t->bits + 8 * j * m);
    uint8_t noise[64];
    for (int64_t p = 0; p < planes; p++) noise[p] = (uint8_t)is_noise(t->bits + p * m, m);
    const int64_t stream = HEADER + (tail ? 8 : 4);
    int64_t at = stream + 4;
    for (int64_t p = 0, end; p < planes; p = end) {
        for (end = p + 1; end < planes && noise[end] == noise[p];) end++;
        const uint8_t *run = t->bits + p * m;
        const int64_t nbytes = (end - p) * m, most = room_bytes(n * w) - at;
        if (most < raw_bound(nbytes, m)) return copied(plane, n, w, out);
        int raw = noise[p];
        if (raw) { /* single bytes tell nothing of values that repeat: zstd looks at some of a plane */
            const int64_t some = m < TRIAL ? m : TRIAL;
            const size_t got = t->zstd_compress(t->zstd_encoder, out + at, (size_t)most, run, (size_t)some);
            raw = t->zstd_failed(got) || (int64_t)got * 20 > some * 19;
        }
        if (!raw) {
            const size_t got = t->zstd_compress(t->zstd_encoder, out + at, (size_t)most, run, (size_t)nbytes);
            raw = t->zstd_failed(got) || (int64_t)got >= nbytes;
            if (!raw) at += (int64_t)got;
        }
        if (raw) at += raw_frame(run, nbytes, m, out + at);
    }
    store32(out + HEADER, (uint32_t)stream);
    store32(out + stream, (uint32_t)(at - stream - 4));
    if (tail) {
        store32(out + HEADER + 4, (uint32_t)at);
        store32(out + at, (uint32_t)(tail * w));
        at += 4;
        for (int64_t k = 0; k < tail; k++)
            for (int j = 0; j < w; j++) out[at++] = plane[j][8 * m + k];
    }
    if (at >= room || at - stream - 4 >= block) return copied(plane, n, w, out);
    store32(out + 12, (uint32_t)at);
    return at;
}

typedef struct { int64_t head, content, total; int raw; } Frame;

/* Measure the zstd frame at `p`; 0 if it is none, is cut short, or has what ours never have. */
static int frame(const uint8_t *p, int64_t nbytes, Frame *f) {
    if (nbytes < 9 || load32(p) != 0xFD2FB528u || p[4] & 0x1F) return 0;
    const int size = p[4] >> 6, single = p[4] >> 5 & 1;
    const uint8_t *at = p + (single ? 5 : 6), *end = p + nbytes;
    if (size == 0 && !single) return 0;
    const int width = size == 0 ? 1 : size == 1 ? 2 : size == 2 ? 4 : 8;
    if (end - at < width || width == 8) return 0;
    f->content = width == 1 ? *at : width == 2 ? at[0] + 256 * at[1] + 256 : (int64_t)load32(at);
    at += width;
    f->head = at - p, f->raw = 1;
    for (int last = 0; !last;) {
        if (end - at < 3) return 0;
        const uint32_t head = at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16;
        const int64_t body = (head >> 1 & 3) == 1 ? 1 : head >> 3;
        if ((head >> 1 & 3) == 3 || end - at < 3 + body) return 0;
        last = head & 1, f->raw &= (head >> 1 & 3) == 0, at += 3 + body;
    }
    f->total = at - p;
    return 1;
}

/* Find the bit planes of a chunk, those that zstd packed unpacked into the worker's own memory. */
int open_planes(const Worker *t, const uint8_t *chunk, int64_t nbytes, int64_t n, int w, Planes *found) {
    const int64_t m = n / 8, tail = n % 8, block = 8 * m * w, planes = 8 * w;
    if (nbytes < HEADER || load32(chunk + 12) != nbytes || load32(chunk + 4) != n * w) return DAMAGED;
    if (chunk[0] != 2 || chunk[3] != w) return -1;
    found->m = m, found->values = NULL;
    if (chunk[2] & COPIED) {
        found->values = chunk + HEADER;
        return nbytes == n * w + HEADER ? FINE : DAMAGED;
    }
    const int64_t stream = HEADER + (tail ? 8 : 4);
    if (chunk[2] != (BITSHUFFLE | ONE_STREAM | ZSTD) || !m || load32(chunk + 8) != block) return -1;
    if (nbytes < stream + 4 || load32(chunk + HEADER) != stream) return -1;
    const int64_t length = load32(chunk + stream), end = stream + 4 + length;
    if (end != nbytes - (tail ? 4 + tail * w : 0)) return -1;
    if (tail && (load32(chunk + HEADER + 4) != end || load32(chunk + end) != tail * w)) return -1;
    found->tail = chunk + end + 4;
    const uint8_t **row = found->row;
    for (int64_t p = 0; p < planes; p++) row[p] = (length == block ? chunk + stream + 4 : t->bits) + p * m;
    int64_t done = 0, at = stream + 4;
    while (length != block && at < end) {
        Frame f;
        if (!frame(chunk + at, end - at, &f) || f.content > block - done) return DAMAGED;
        const int64_t whole = done + f.content;
        if (f.raw) {
            const uint8_t *from = chunk + at + f.head;
            for (int64_t now; done < whole || from < chunk + at + f.total; from += 3 + now, done += now) {
                if (from >= chunk + at + f.total) return DAMAGED;
                now = (from[0] | from[1] << 8 | from[2] << 16) >> 3;
                if (now > whole - done) return DAMAGED;
                if (done % m == 0 && now % m == 0)
                    for (int64_t p = 0; p < now / m; p++) row[done / m + p] = from + 3 + p * m;
                else memcpy(t->bits + done, from + 3, (size_t)now);
            }
        } else {
            const size_t got = t->zstd_decompress(t->zstd_decoder, t->bits + done, (size_t)f.content, chunk + at, (size_t)f.total);
            if (t->zstd_failed(got) || (int64_t)got != f.content) return DAMAGED;
            done = whole;
        }
        at += f.total;
    }
    return length != block && done != block ? DAMAGED : FINE;
}

void byte_planes(const Worker *t, const Planes *found, int64_t start, int64_t count, int w, uint8_t *bytes, int64_t stride) {
    if (found->values) {
        spread(t->isa, found->values + start * w, count, w, 0, bytes, stride);
        return;
    }
    const int64_t at = start / 8, stop = (start + count) / 8 < found->m ? (start + count) / 8 : found->m;
    for (int j = 0; j < w; j++) {
        const uint8_t *row[8];
        for (int i = 0; i < 8; i++) row[i] = found->row[8 * j + i] + at;
        merge(t->isa, row, stop - at, bytes + j * stride);
        for (int64_t k = 8 * (stop - at); k < count; k++)
            bytes[j * stride + k] = found->tail[(start + k - 8 * found->m) * w + j];
    }
}

int decode_planes(const Worker *t, const uint8_t *chunk, int64_t nbytes, int64_t n, int w, uint8_t *bytes) {
    Planes found;
    const int code = open_planes(t, chunk, nbytes, n, w, &found);
    if (code == FINE) byte_planes(t, &found, 0, n, w, bytes, n);
    return code;
}
