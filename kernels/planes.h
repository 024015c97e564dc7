/* What the kernel's files share: a worker's tools and buffers, a call's work, and what they do for each other. */
#ifndef PLANES_H
#define PLANES_H

#include <stddef.h>
#include <stdint.h>

enum { SCALAR, AVX2, AVX512, GFNI };                   /* Worker.isa */
enum { PLANES, BLOSC, LZ4, DEFLATE, NONE };            /* codecs, in the order of codec.NAMES */
enum { FINE, CUT, UNREADABLE, NOT_INFLATED, WRONG_SIZE, WRONG_SUM, UNPROVED, UNWRITABLE, UNENCODED, DAMAGED };

/* Room that one encoded chunk may use while it is made. */
static inline int64_t room_bytes(int64_t nbytes) { return nbytes + nbytes / 1024 + 4096; }

/* Everything a thread needs; pointers to functions come from the libraries that wheels carry. */
typedef struct {
    size_t (*zstd_set)(void *, int, int);
    size_t (*zstd_compress)(void *, void *, size_t, const void *, size_t);
    size_t (*zstd_decompress)(void *, void *, size_t, const void *, size_t);
    unsigned (*zstd_failed)(size_t);
    int (*blosc_compress)(int, int, size_t, size_t, const void *, void *, size_t, const char *, size_t, int);
    int (*blosc_decompress)(const void *, void *, size_t, int);
    int (*blosc_validate)(const void *, size_t, size_t *);
    int (*inflate)(void *, const void *, size_t, void *, size_t, size_t *, size_t *);
    uint32_t (*adler32)(uint32_t, const void *, size_t);
    void *zstd_encoder, *zstd_decoder, *inflater;
    uint8_t *read, *inflated, *bytes, *bits, *again, *values, *out;
    int64_t read_bytes, chunk_bytes, out_bytes;        /* sizes: of read; of each up to values; of out */
    int64_t isa;
} Worker;

int64_t best_isa(void);
/* A chunk of n values of w bytes, given as w byte planes, becomes a Blosc chunk; its size, or -1. */
int64_t encode_planes(const Worker *, const uint8_t *const plane[8], int64_t n, int w, int level, uint8_t *out);
/* The reverse, to byte planes one after the other. FINE, DAMAGED, or -1: Blosc, but not of our form. */
int decode_planes(const Worker *, const uint8_t *chunk, int64_t nbytes, int64_t n, int w, uint8_t *bytes);

/* A chunk opened, so that its byte planes can be had part by part, each part's in the nearest cache. */
typedef struct {
    const uint8_t *row[64]; /* of m bytes: the bit planes, in the chunk or in the worker's memory */
    const uint8_t *tail;    /* values beyond them */
    const uint8_t *values;  /* if not NULL, the chunk has values instead of planes */
    int64_t m;
} Planes;
int open_planes(const Worker *, const uint8_t *chunk, int64_t nbytes, int64_t n, int w, Planes *found);
/* `count` values from `start` on, both multiples of eight but at the end, as byte planes `stride` apart. */
void byte_planes(const Worker *, const Planes *, int64_t start, int64_t count, int w, uint8_t *bytes, int64_t stride);

#pragma GCC visibility push(hidden) /* names that other libraries may have, too */
/* One byte plane of 8 m values to its eight bit planes, one after the other, and back from any eight rows. */
void split(int64_t isa, const uint8_t *plane, int64_t m, uint8_t *bits);
void merge(int64_t isa, const uint8_t *const row[8], int64_t m, uint8_t *plane);
/* Values to byte planes, which lie `stride` apart, and back; `big` reverses the order of the planes. */
void spread(int64_t isa, const uint8_t *values, int64_t n, int w, int big, uint8_t *bytes, int64_t stride);
void join(int64_t isa, const uint8_t *bytes, int64_t stride, int64_t n, int w, int big, uint8_t *values);
/* Copy past the caches; after `streamed` other threads see it. */
void stream(int64_t isa, uint8_t *to, const uint8_t *from, int64_t nbytes);
void streamed(int64_t isa);
#pragma GCC visibility pop

typedef struct { int64_t count, missing; double minimum, maximum, total; } Tally;

/* One call's work. */
typedef struct {
    const char *target;
    const int32_t *files;                  /* NULL: offsets are addresses in memory */
    const int64_t *pieces;                 /* file number, offset, length of each chunk; offset -1: absent */
    uint32_t *checks;                      /* result, one a chunk */
    int64_t *spans;                        /* result: offset and length in the shard */
    int64_t n_chunks, count, width, kind, big, deflate, shuffle, codec, level, has_fill;
    uint8_t fill[8];
    Tally tally;                           /* result */
    int64_t nbytes, failed, error;         /* result: of the file; the chunk that failed; errno */
} Job;

enum { LANES = 16 };
/* Of values that come part by part, each part but the last a multiple of LANES. */
typedef struct {
    double sum[LANES];
    union { int64_t i[LANES]; float f[LANES]; double d[LANES]; } low, high; /* of the values' own type */
    int64_t missing, seen;
} Lanes;
/* Count a part of a chunk's values; with `last` what its lanes hold is added to the job's tally. */
void count_part(const Worker *, Job *, Lanes *, const void *values, int64_t n, int last);
/* The same of values that are all there. */
void count_values(const Worker *, Job *, const void *values, int64_t n);

#endif
