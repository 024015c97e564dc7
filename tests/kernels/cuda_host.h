// CUDA's names for a host compiler, so that a .cu file runs without a GPU: blocks one after the other, the
// threads of a block as threads of the system, __syncthreads and shuffles as barriers among them.
#pragma once
#include <barrier>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static
#define DYNAMIC_SHARED(type, name) type* name = reinterpret_cast<type*>(host::now->dynamic.data())

struct dim3 {
    unsigned x = 1, y = 1, z = 1;
};

namespace host {

struct Block {
    std::barrier<> all;
    std::vector<uint64_t> slots;        // what each thread shows in a shuffle
    std::vector<std::max_align_t> dynamic;  // dynamic shared memory
    std::mutex lock;
    std::map<std::pair<unsigned, unsigned>, std::unique_ptr<std::barrier<>>> groups;  // by warp and mask

    Block(unsigned threads, std::size_t bytes)
        : all(threads), slots(threads), dynamic(bytes / sizeof(std::max_align_t) + 1) {}

    std::barrier<>& group(unsigned warp, unsigned mask) {
        std::lock_guard<std::mutex> held(lock);
        auto& found = groups[{warp, mask}];
        if (!found) found = std::make_unique<std::barrier<>>(__builtin_popcount(mask));
        return *found;
    }
};

inline thread_local Block* now = nullptr;

}  // namespace host

inline thread_local dim3 blockIdx, threadIdx;
inline dim3 blockDim, gridDim;

inline void __syncthreads() { host::now->all.arrive_and_wait(); }

template <class T>
T host_shuffle(unsigned mask, T value, unsigned from) {
    static_assert(sizeof(T) <= 8);
    const unsigned warp = threadIdx.x / 32;
    auto& group = host::now->group(warp, mask);
    std::memcpy(&host::now->slots[threadIdx.x], &value, sizeof value);
    group.arrive_and_wait();
    T found;
    std::memcpy(&found, &host::now->slots[warp * 32 + from], sizeof found);
    group.arrive_and_wait();
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

template <class Kernel>
void launch(dim3 grid, unsigned threads, std::size_t bytes, Kernel kernel) {
    gridDim = grid;
    blockDim = {threads, 1, 1};
    for (unsigned z = 0; z < grid.z; ++z)
        for (unsigned y = 0; y < grid.y; ++y)
            for (unsigned x = 0; x < grid.x; ++x) {
                Block block(threads, bytes);
                std::vector<std::thread> crew;
                for (unsigned t = 0; t < threads; ++t)
                    crew.emplace_back([&, t] {
                        now = &block;
                        blockIdx = {x, y, z};
                        threadIdx = {t, 0, 0};
                        kernel();
                        block.all.arrive_and_drop();  // who has left is not waited for
                    });
                for (auto& each : crew) each.join();
            }
}

}  // namespace host
