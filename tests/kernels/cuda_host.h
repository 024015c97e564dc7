// CUDA's names for a host compiler, so that a .cu file runs without a GPU: blocks one after the other, the
// threads of a block as fibers in turn. A fiber runs until it waits for others, in __syncthreads or a
// shuffle; every other turn goes backwards, so that a barrier that is missing is seen in the results.
#pragma once
#include <ucontext.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __shared__ static
#define DYNAMIC_SHARED(type, name) type* name = reinterpret_cast<type*>(host::now->dynamic.data())

struct dim3 {
    unsigned x = 1, y = 1, z = 1;
};
inline dim3 blockIdx, threadIdx, blockDim, gridDim;

namespace host {

struct Barrier {
    unsigned arrived = 0, turn = 0;
};

struct Fiber {
    ucontext_t context;
    std::unique_ptr<char[]> stack;
    bool done = false;
};

struct Block {
    std::vector<Fiber> fibers;
    ucontext_t scheduler;
    unsigned alive, here = 0;
    bool moved = false;  // whether anything went on in this turn
    Barrier all;
    std::map<std::pair<unsigned, unsigned>, Barrier> groups;  // by warp and mask
    std::vector<uint64_t> slots;                              // what each thread shows in a shuffle
    std::vector<std::max_align_t> dynamic;                    // dynamic shared memory

    Block(unsigned threads, std::size_t bytes)
        : fibers(threads), alive(threads), slots(threads), dynamic(bytes / sizeof(std::max_align_t) + 1) {}

    void wait(Barrier& barrier, unsigned (*wanted)(Block&, unsigned), unsigned mask) {
        const unsigned turn = barrier.turn;
        ++barrier.arrived;
        while (barrier.turn == turn) {
            if (barrier.arrived >= wanted(*this, mask)) {
                barrier.arrived = 0;
                ++barrier.turn;
                moved = true;
            } else {
                swapcontext(&fibers[here].context, &scheduler);
            }
        }
    }
};

inline Block* now = nullptr;
inline std::function<void()> body;

inline void enter() {
    body();
    now->fibers[now->here].done = now->moved = true;
    --now->alive;  // who has left is not waited for
    swapcontext(&now->fibers[now->here].context, &now->scheduler);
}

}  // namespace host

inline void __syncthreads() {
    host::now->wait(host::now->all, [](host::Block& b, unsigned) { return b.alive; }, 0);
}
inline void host_meet(unsigned mask) {
    auto& group = host::now->groups[{threadIdx.x / 32, mask}];
    host::now->wait(group, [](host::Block&, unsigned m) { return unsigned(__builtin_popcount(m)); }, mask);
}

template <class T>
T host_shuffle(unsigned mask, T value, unsigned from) {
    static_assert(sizeof(T) <= 8);
    std::memcpy(&host::now->slots[threadIdx.x], &value, sizeof value);
    host_meet(mask);
    T found;
    std::memcpy(&found, &host::now->slots[threadIdx.x / 32 * 32 + from], sizeof found);
    host_meet(mask);
    return found;
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32) {
    const unsigned lane = threadIdx.x % 32;
    return host_shuffle(mask, value, lane % width + by < unsigned(width) ? lane + by : lane);
}
template <class T>
T __shfl_sync(unsigned mask, T value, int from, int width = 32) {
    const unsigned lane = threadIdx.x % 32;
    return host_shuffle(mask, value, lane / width * width + from);
}

inline int atomicMin(int* at, int value) {  // one fiber runs at a time
    const int before = *at;
    *at = value < before ? value : before;
    return before;
}

template <class To, class From>
To host_bits(From value) {
    To found;
    static_assert(sizeof found == sizeof value);
    std::memcpy(&found, &value, sizeof found);
    return found;
}
inline unsigned __float_as_uint(float x) { return host_bits<unsigned>(x); }
inline float __uint_as_float(unsigned x) { return host_bits<float>(x); }
inline double __longlong_as_double(long long x) { return host_bits<double>(x); }
using std::fabs;
using std::floor;
using std::sqrt;

namespace host {

inline void run_block(unsigned threads, std::size_t bytes) {
    constexpr std::size_t stack = 1 << 16;
    Block block(threads, bytes);
    now = &block;
    for (auto& fiber : block.fibers) {
        fiber.stack.reset(new char[stack]);
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = fiber.stack.get();
        fiber.context.uc_stack.ss_size = stack;
        fiber.context.uc_link = nullptr;
        makecontext(&fiber.context, enter, 0);
    }
    for (unsigned turn = 0; block.alive; ++turn) {
        block.moved = false;
        for (unsigned k = 0; k < threads; ++k) {
            block.here = turn % 2 ? threads - 1 - k : k;
            if (block.fibers[block.here].done) continue;
            threadIdx = {block.here, 0, 0};
            swapcontext(&block.scheduler, &block.fibers[block.here].context);
        }
        if (!block.moved && turn > 0) {
            std::fputs("cuda_host.h: the threads of a block wait for one another for ever\n", stderr);
            std::abort();
        }
    }
}

inline void launch(dim3 grid, unsigned threads, std::size_t bytes, std::function<void()> kernel) {
    gridDim = grid;
    blockDim = {threads, 1, 1};
    body = std::move(kernel);
    for (blockIdx.z = 0; blockIdx.z < grid.z; ++blockIdx.z)
        for (blockIdx.y = 0; blockIdx.y < grid.y; ++blockIdx.y)
            for (blockIdx.x = 0; blockIdx.x < grid.x; ++blockIdx.x) run_block(threads, bytes);
}

}  // namespace host
