/* A whole shard in one call: read, inflate, encode, prove, count, write. And chunks back, in batches.

   Called without the interpreter's lock, one worker a thread. Nothing is allocated here; what a job
   needs is in its worker, whose sizes the caller computes. A failure is a code, a chunk and an errno. */

#define _GNU_SOURCE
#include "planes.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#ifndef O_DIRECT
#define O_DIRECT 0 /* a system without it writes through its cache */
#endif

enum { PAGE = 4096, FLUSH = 4 << 20, SMALL_FILE = 1 << 20, MERGE = 256 << 10, GAP = 4096, PART = 4096 };
enum { FAR = 4 << 20 }; /* results larger than that are not in a cache when they are read */

/* ---- reading ---------------------------------------------------------------------------------- */

typedef struct { int32_t fd; int64_t start, end; } Window;

static int64_t read_span(int fd, uint8_t *to, int64_t nbytes, int64_t offset, int64_t *error) {
    int64_t done = 0;
    while (done < nbytes) {
        const ssize_t got = pread(fd, to + done, (size_t)(nbytes - done), offset + done);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) { *error = errno; return -1; }
        if (got == 0) break;
        done += got;
    }
    return done;
}

/* The stored bytes of chunk i. Small neighbours in the file are read at once. */
static int fetch(const Worker *t, Job *job, int64_t i, Window *seen, const uint8_t **bytes) {
    const int64_t *piece = job->pieces + 3 * i, start = piece[1];
    if (!job->files) { *bytes = (const uint8_t *)(intptr_t)start; return FINE; }
    const int32_t fd = job->files[piece[0]];
    int64_t end = start + piece[2];
    if (fd != seen->fd || start < seen->start || end > seen->end) {
        if (piece[2] > t->read_bytes) return WRONG_SIZE;
        for (int64_t k = i + 1; k < job->n_chunks; k++) {
            const int64_t *next = job->pieces + 3 * k, stop = next[1] + next[2];
            if (next[0] != piece[0] || next[1] < end || next[1] > end + GAP) break;
            if (stop - start > MERGE || stop - start > t->read_bytes) break;
            end = stop;
        }
        const int64_t got = read_span(fd, t->read, end - start, start, &job->error);
        if (got < 0) return UNREADABLE;
        *seen = (Window){fd, start, start + got};
        if (got < piece[2]) return CUT;
    }
    *bytes = t->read + (start - seen->start);
    return FINE;
}

/* zlib's frame by hand, so that its checksum is told apart from a broken stream, and kept. */
static int inflate_chunk(const Worker *t, const uint8_t *from, int64_t nbytes, int64_t whole, uint32_t *check) {
    size_t used, made;
    if (nbytes < 8 || (from[0] & 15) != 8 || (from[0] * 256 + from[1]) % 31 || from[1] & 32) return NOT_INFLATED;
    const int code = t->inflate(t->inflater, from + 2, (size_t)(nbytes - 6), t->inflated, (size_t)whole, &used, &made);
    if (code == 3) return WRONG_SIZE;
    if (code) return NOT_INFLATED;
    if ((int64_t)made != whole) return WRONG_SIZE;
    const uint8_t *end = from + 2 + used;
    *check = (uint32_t)end[0] << 24 | (uint32_t)end[1] << 16 | (uint32_t)end[2] << 8 | end[3];
    return t->adler32(1, t->inflated, (size_t)whole) == *check ? FINE : WRONG_SUM;
}

/* ---- one chunk -------------------------------------------------------------------------------- */

static int blosc_values(const Worker *t, const uint8_t *chunk, int64_t nbytes, int64_t whole, uint8_t *values) {
    size_t claimed = 0;
    if (t->blosc_validate(chunk, (size_t)nbytes, &claimed) < 0 || (int64_t)claimed != whole) return DAMAGED;
    return t->blosc_decompress(chunk, values, (size_t)whole, 1) == whole ? FINE : DAMAGED;
}

/* Hold a chunk that was just encoded against the source's own bytes, and count its values: part by part,
   so that what is decoded is compared, joined and counted while it is in the nearest cache. */
static int prove_planes(const Worker *t, Job *job, const uint8_t *source, const uint8_t *const plane[8],
                        const uint8_t *out, int64_t size) {
    const int64_t n = job->count;
    const int w = (int)job->width, big = (int)job->big, planar = job->shuffle || w == 1;
    _Alignas(64) uint8_t again[8 * PART], values[8 * PART];
    Planes found;
    Lanes lanes = {.seen = 0};
    if (open_planes(t, out, size, n, w, &found) != FINE) return UNPROVED;
    for (int64_t at = 0, now; at < n; at += now) {
        now = n - at < PART ? n - at : PART;
        byte_planes(t, &found, at, now, w, again, PART);
        if (planar) {
            for (int j = 0; j < w; j++)
                if (memcmp(again + j * PART, plane[j] + at, (size_t)now)) return UNPROVED;
        } else {
            join(t->isa, again, PART, now, w, big, values);
            if (memcmp(values, source + at * w, (size_t)(now * w))) return UNPROVED;
        }
        if (!job->kind) continue;
        if (planar || big) join(t->isa, again, PART, now, w, 0, values);
        count_part(t, job, &lanes, values, now, at + now == n);
    }
    if (!job->kind) job->tally.count += n;
    return FINE;
}

/* The same for Blosc, which takes values in one piece, and for values that are stored as they are. */
static int prove_values(const Worker *t, Job *job, const uint8_t *source, const uint8_t *const plane[8],
                        const uint8_t *out, int64_t size) {
    const int64_t n = job->count, whole = n * job->width;
    const int w = (int)job->width, big = (int)job->big;
    const uint8_t *values = out;
    if (job->codec != NONE) {
        if (blosc_values(t, out, size, whole, t->bits) != FINE) return UNPROVED;
        values = t->bits;
    }
    spread(t->isa, values, n, w, 0, t->again, n);
    if (job->shuffle || w == 1) {
        for (int j = 0; j < w; j++)
            if (memcmp(t->again + j * n, plane[j], (size_t)n)) return UNPROVED;
    } else {
        join(t->isa, t->again, n, n, w, big, t->values);
        if (memcmp(t->values, source, (size_t)whole)) return UNPROVED;
    }
    if (job->kind) count_values(t, job, values, n);
    else job->tally.count += n;
    return FINE;
}

/* Encode into `out`, decode that again, compare with the source's own bytes, count. Size, or -code. */
static int64_t encode_and_prove(const Worker *t, Job *job, const uint8_t *source, uint8_t *out) {
    const int64_t n = job->count, whole = n * job->width;
    const int w = (int)job->width, big = (int)job->big;
    const uint8_t *plane[8], *planes = source;
    int64_t size = whole;
    if (!job->shuffle && w > 1) spread(t->isa, source, n, w, 0, t->bytes, n), planes = t->bytes;
    for (int j = 0; j < w; j++) plane[j] = planes + (big ? w - 1 - j : j) * n;
    if (job->codec == PLANES) {
        size = encode_planes(t, plane, n, w, (int)job->level, out);
        return prove_planes(t, job, source, plane, out, size) == FINE ? size : -UNPROVED;
    }
    join(t->isa, planes, n, n, w, big, t->values);
    if (job->codec == NONE) memcpy(out, t->values, (size_t)whole);
    else {
        const char *name = job->codec == LZ4 ? "lz4" : "zstd";
        size = t->blosc_compress((int)job->level, 2, (size_t)w, (size_t)whole, t->values, out, (size_t)whole + 16, name, 0, 1);
        if (size <= 0) return -UNENCODED;
    }
    return prove_values(t, job, source, plane, out, size) == FINE ? size : -UNPROVED;
}

/* ---- writing ---------------------------------------------------------------------------------- */

typedef struct { const char *path; uint8_t *buffer; int64_t held, written; int fd, direct; } Out;

/* Past the page cache where the file system lets us: copying there costs more than encoding's writes. */
static int open_out(Out *o, int direct) {
    const int flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC;
    o->direct = direct && (o->fd = open(o->path, flags | O_DIRECT, 0644)) >= 0;
    if (!o->direct) o->fd = open(o->path, flags, 0644);
    return o->fd < 0 ? errno : 0;
}

/* Write whole pages and keep the rest, or all of it at the end; 0 or an errno. */
static int flush(Out *o, int last) {
    int error = 0;
    if (o->fd < 0 && (error = open_out(o, !(last && o->held < SMALL_FILE)))) return error;
    const int64_t held = o->held, pages = held / PAGE * PAGE;
    int64_t now = last ? held : pages;
    if (last && o->direct && held > pages) memset(o->buffer + held, 0, (size_t)(pages + PAGE - held)), now = pages + PAGE;
    for (int64_t done = 0; done < now;) {
        const ssize_t got = pwrite(o->fd, o->buffer + done, (size_t)(now - done), o->written + done);
        if (got > 0) { done += got; continue; }
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EINVAL && o->direct) { /* opened so, but not written so */
            o->direct = 0;
            if (fcntl(o->fd, F_SETFL, fcntl(o->fd, F_GETFL) & ~O_DIRECT) == 0) continue;
        }
        return got < 0 ? errno : EIO;
    }
    if (last) return ftruncate(o->fd, o->written + held) ? errno : 0;
    memmove(o->buffer, o->buffer + pages, (size_t)(held - pages));
    o->written += pages, o->held -= pages;
    return 0;
}

static uint32_t crc32c(const uint8_t *p, int64_t nbytes) {
    uint32_t crc = ~0u;
    for (; nbytes > 0; nbytes--) {
        crc ^= *p++;
        for (int k = 0; k < 8; k++) crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78u : 0);
    }
    return ~crc;
}

static int finish(Out *o, Job *job) {
    uint8_t *index = o->buffer + o->held;
    for (int64_t i = 0; i < 2 * job->n_chunks; i++) {
        const int64_t number = job->spans[i / 2 * 2] < 0 ? -1 : job->spans[i];
        memcpy(index + 8 * i, &number, 8);
    }
    const uint32_t crc = crc32c(index, 16 * job->n_chunks);
    memcpy(index + 16 * job->n_chunks, &crc, 4);
    o->held += 16 * job->n_chunks + 4;
    job->nbytes = o->written + o->held;
    return flush(o, 1);
}

/* ---- what is called --------------------------------------------------------------------------- */

/* Chunks copied as they are; theirs is the checksum that deflate put at their ends. */
static int pass_chunk(const Worker *t, Job *job, int64_t i, Window *seen, uint8_t *out, int64_t *size) {
    const uint8_t *from;
    const int code = fetch(t, job, i, seen, &from);
    if (code) return code;
    *size = job->pieces[3 * i + 2];
    if (*size < 8 || (from[0] & 15) != 8 || (from[0] * 256 + from[1]) % 31) return NOT_INFLATED;
    memcpy(out, from, (size_t)*size);
    const uint8_t *end = from + *size - 4;
    job->checks[i] = (uint32_t)end[0] << 24 | (uint32_t)end[1] << 16 | (uint32_t)end[2] << 8 | end[3];
    return FINE;
}

static int add_chunk(const Worker *t, Job *job, int64_t i, Window *seen, uint8_t *out, int64_t *size) {
    const int64_t whole = job->count * job->width;
    const uint8_t *source;
    int code = fetch(t, job, i, seen, &source);
    if (code) return code;
    if (job->deflate) {
        code = inflate_chunk(t, source, job->pieces[3 * i + 2], whole, &job->checks[i]);
        if (code) return code;
        source = t->inflated;
    } else job->checks[i] = t->adler32(1, source, (size_t)whole);
    *size = encode_and_prove(t, job, source, out);
    return *size < 0 ? (int)-*size : FINE;
}

int write_shard(const Worker *t, Job *job) {
    Out o = {job->target, t->out, 0, 0, -1, 0};
    Window seen = {-1, 0, 0};
    int code = FINE;
    const int64_t most = job->codec == DEFLATE ? t->read_bytes : room_bytes(job->count * job->width);
    for (int64_t i = 0; i < job->n_chunks && !code; i++) {
        job->failed = i;
        if (job->pieces[3 * i + 1] < 0) {
            job->spans[2 * i] = -1, job->spans[2 * i + 1] = 0, job->checks[i] = 0;
            if (job->codec != DEFLATE && job->files) job->tally.count += job->count, job->tally.missing += job->count;
            continue;
        }
        int64_t size = 0;
        code = (job->codec == DEFLATE ? pass_chunk : add_chunk)(t, job, i, &seen, o.buffer + o.held, &size);
        if (code) break;
        job->spans[2 * i] = o.written + o.held, job->spans[2 * i + 1] = size;
        o.held += size;
        if (o.held >= FLUSH || o.held + most + 16 * job->n_chunks + 2 * PAGE > t->out_bytes)
            if ((job->error = flush(&o, 0))) code = UNWRITABLE;
    }
    if (!code && (job->error = finish(&o, job))) code = UNWRITABLE;
    if (o.fd >= 0 && close(o.fd) && !code) job->error = errno, code = UNWRITABLE;
    return code;
}

/* `far`: to memory that no cache will hold, not before the next chunk at any rate. */
static void join_planes(const Worker *t, const Planes *found, int64_t n, int w, int far, uint8_t *to) {
    _Alignas(64) uint8_t bytes[8 * PART], values[8 * PART];
    for (int64_t at = 0, now; at < n; at += now) {
        now = n - at < PART ? n - at : PART;
        byte_planes(t, found, at, now, w, bytes, PART);
        join(t->isa, bytes, PART, now, w, 0, far ? values : to + at * w);
        if (far) stream(t->isa, to + at * w, values, now * w);
    }
}

/* Chunks of a store, read and decoded to where they belong; job->checks and its target are not used. */
int read_chunks(const Worker *t, Job *job, uint8_t *const *target) {
    const int64_t n = job->count, w = job->width, whole = n * w;
    const int far = job->n_chunks * whole > FAR;
    Window seen = {-1, 0, 0};
    for (int64_t i = 0; i < job->n_chunks; i++) {
        const uint8_t *chunk;
        const int64_t nbytes = job->pieces[3 * i + 2];
        uint8_t *to = target[i];
        uint32_t check;
        job->failed = i;
        if (job->pieces[3 * i + 1] < 0) {
            for (int64_t k = 0; k < n; k++) memcpy(to + k * w, job->fill, (size_t)w);
            continue;
        }
        int code = fetch(t, job, i, &seen, &chunk);
        if (code) return code;
        if (job->codec == NONE) {
            if (nbytes != whole) return WRONG_SIZE;
            memcpy(to, chunk, (size_t)whole);
        } else if (job->codec == DEFLATE) {
            code = inflate_chunk(t, chunk, nbytes, whole, &check);
            const uint8_t *planes = t->inflated;
            if (code) return code;
            if (!job->shuffle && w > 1) spread(t->isa, planes, n, (int)w, 0, t->bytes, n), planes = t->bytes;
            join(t->isa, planes, n, n, (int)w, (int)job->big, to);
        } else {
            Planes found;
            code = open_planes(t, chunk, nbytes, n, (int)w, &found);
            if (code == -1) code = blosc_values(t, chunk, nbytes, whole, to);
            else if (code == FINE) join_planes(t, &found, n, (int)w, far, to);
            if (code) return DAMAGED;
        }
    }
    if (far) streamed(t->isa);
    return FINE;
}
