/* The product of all experts in one launch, with their sizes read on the device: no copy of the
 * loads to the host, no wait. Tensor cores (mma.sync, which sm_80 and sm_90 both have) for bf16 and
 * fp16, plain fused multiply-adds for fp32. All matrices are row-major; R_e the rows of expert e:
 *
 *   forward      C[R_e, n] = A[R_e, k] B[e][n, k]^T     rows times weights
 *   data         C[R_e, n] = A[R_e, k] B[e][k, n]       gradient of the rows
 *   weight       C[e][m, n] = A[R_e, m]^T B[R_e, n]     gradient of the weights; zeros when R_e = 0
 *
 * n, k and m are multiples of 8, so that every 16-byte chunk lies inside its row or outside.
 */
#ifndef HW_CALIBRATION_CUDA_GROUPED_GEMM_CUH
#define HW_CALIBRATION_CUDA_GROUPED_GEMM_CUH

#include "hw/calibration/cuda/devport.h"

namespace moe
{

enum Product { PRODUCT_FORWARD, PRODUCT_DATA, PRODUCT_WEIGHT };

/* `m` is used by the weight gradient alone, `k` by the other two. */
template <typename T> struct GroupedProduct {
    const T *a, *b;
    T *c;
    const uint32_t *first_row;  /* [E + 1] */
    const uint32_t *first_tile; /* [E + 1], in tiles of the kernel's rows */
    int experts, m, n, k;
};

/* One tile of C and the operands behind it: what is left of the sizes once the expert is known. */
template <typename T> struct Tile {
    const T *a, *b;
    T *c;
    int m0, m, n0, n, k;        /* the tile's corner, C's size, the length of the sums */
    int a_line, b_line, c_line; /* elements from one row to the next */
};

/* The expert that owns tile number `tile`: the last e with first_tile[e] <= tile. */
static __device__ __forceinline__ int owner_of_tile(const uint32_t *first_tile, int experts,
                                                    uint32_t tile)
{
    int low = 0, high = experts; /* first_tile[low] <= tile < first_tile[high] */
    while (high - low > 1) {
        const int middle = (low + high) / 2;
        if (first_tile[middle] <= tile)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* Grid: x tiles of rows (forward, data: more than there are, the rest leave) or of m, y tiles of n,
 * z experts (weight gradient). False when this block has no tile. */
template <typename T, Product P>
static __device__ __forceinline__ bool find_tile(const GroupedProduct<T> &g, int tile_m, int tile_n,
                                                 Tile<T> *tile)
{
    tile->n0 = (int)blockIdx.y * tile_n;
    tile->n = g.n;
    tile->c_line = g.n;
    if (P == PRODUCT_WEIGHT) {
        const size_t row = g.first_row[blockIdx.z];
        tile->m0 = (int)blockIdx.x * tile_m;
        tile->m = g.m;
        tile->k = (int)(g.first_row[blockIdx.z + 1] - row);
        tile->a = g.a + row * g.m;
        tile->b = g.b + row * g.n;
        tile->c = g.c + (size_t)blockIdx.z * g.m * g.n;
        tile->a_line = g.m;
        tile->b_line = g.n;
        return true;
    }
    if (blockIdx.x >= g.first_tile[g.experts])
        return false;
    const int e = owner_of_tile(g.first_tile, g.experts, blockIdx.x);
    const size_t row = g.first_row[e];
    tile->m0 = (int)(blockIdx.x - g.first_tile[e]) * tile_m;
    tile->m = (int)(g.first_row[e + 1] - row);
    tile->k = g.k;
    tile->a = g.a + row * g.k;
    tile->b = g.b + (size_t)e * g.n * g.k;
    tile->c = g.c + row * g.n;
    tile->a_line = g.k;
    tile->b_line = P == PRODUCT_FORWARD ? g.k : g.n;
    return true;
}

/* -------------------------------------------------------------------------- tensor cores: 16 bit
 */

enum {
    MMA_THREADS = 256, /* 8 warps: 2 along m, 4 along n */
    MMA_N = 128,
    MMA_K = 32,
    MMA_STAGES = 3
};

/* How an operand's tile lies in shared memory, as it lies in global memory. K_ALONG: a line is one
 * m or n, k along it. Else a line is one k, m or n along it. A line is padded by 16 bytes, so that
 * the eight lines that one 8x8 matrix takes fall on different banks. */
template <bool K_ALONG, int SPAN> struct OperandTile {
    enum {
        LINES = K_ALONG ? SPAN : MMA_K,
        WIDTH = K_ALONG ? MMA_K : SPAN,
        LINE = WIDTH + 8,
        ELEMENTS = LINES * LINE
    };
};

/* Loads lines [line0, ...) and columns [column0, ...) of an operand; zeros outside of its limits.
 */
template <typename T, bool K_ALONG, int SPAN>
static __device__ __forceinline__ void load_operand(T *shared, const T *operand, int line_elements,
                                                    int line0, int lines, int column0, int columns)
{
    typedef OperandTile<K_ALONG, SPAN> Place;
    const int chunks_in_line = Place::WIDTH / 8;
    for (int chunk = (int)threadIdx.x; chunk < Place::LINES * chunks_in_line;
         chunk += MMA_THREADS) {
        const int line = chunk / chunks_in_line, column = chunk % chunks_in_line * 8;
        const bool inside = (PLANTED(8) || line0 + line < lines) && column0 + column < columns;
        const T *from =
            inside ? operand + (size_t)(line0 + line) * line_elements + column0 + column : operand;
        cp_async_16(shared + line * Place::LINE + column, from, inside ? 16 : 0);
    }
}

/* Where lane `lane` points ldmatrix for the 16x16 block at (outer, k), outer being m or n.
 * A wants the matrices in the order (m 0, k 0), (m 8, k 0), (m 0, k 8), (m 8, k 8);
 * B (n 0, k 0), (n 0, k 8), (n 8, k 0), (n 8, k 8). */
template <typename T, bool K_ALONG, int SPAN, bool IS_A>
static __device__ __forceinline__ void load_fragment(uint32_t r[4], const T *shared, int outer,
                                                     int k)
{
    typedef OperandTile<K_ALONG, SPAN> Place;
    const int lane = (int)(threadIdx.x % 32), matrix = lane / 8, line = lane % 8;
    const int outer_block = (IS_A ? matrix % 2 : matrix / 2) * 8;
    const int k_block = (IS_A ? matrix / 2 : matrix % 2) * 8;
    if (K_ALONG)
        ldmatrix_x4<false>(r, shared + (outer + outer_block + line) * Place::LINE + k + k_block);
    else
        ldmatrix_x4<true>(r, shared + (k + k_block + line) * Place::LINE + outer + outer_block);
}

template <typename T, Product P, int TILE_M>
__global__ void __launch_bounds__(MMA_THREADS) grouped_mma_kernel(GroupedProduct<T> g)
{
    enum { A_ALONG = P != PRODUCT_WEIGHT, B_ALONG = P == PRODUCT_FORWARD };
    typedef OperandTile<A_ALONG, TILE_M> PlaceA;
    typedef OperandTile<B_ALONG, MMA_N> PlaceB;
    enum { STAGE = PlaceA::ELEMENTS + PlaceB::ELEMENTS, M_BLOCKS = TILE_M / 32 };
    MOE_DYNAMIC_SHARED(dynamic);
    T *const shared = reinterpret_cast<T *>(dynamic);

    Tile<T> tile;
    if (!find_tile<T, P>(g, TILE_M, MMA_N, &tile))
        return; /* the whole block */

    const int steps = (tile.k + MMA_K - 1) / MMA_K;
    /* One stage of the pipeline: both operands' tiles of step number `step`. */
    const auto load = [&](int step) {
        T *const stage = shared + step % MMA_STAGES * STAGE;
        const int k0 = step * MMA_K;
        if (A_ALONG)
            load_operand<T, A_ALONG, TILE_M>(stage, tile.a, tile.a_line, tile.m0, tile.m, k0,
                                             tile.k);
        else
            load_operand<T, A_ALONG, TILE_M>(stage, tile.a, tile.a_line, k0, tile.k, tile.m0,
                                             tile.m);
        if (B_ALONG)
            load_operand<T, B_ALONG, MMA_N>(stage + PlaceA::ELEMENTS, tile.b, tile.b_line, tile.n0,
                                            tile.n, k0, tile.k);
        else
            load_operand<T, B_ALONG, MMA_N>(stage + PlaceA::ELEMENTS, tile.b, tile.b_line, k0,
                                            tile.k, tile.n0, tile.n);
    };
    for (int step = 0; step < MMA_STAGES - 1; ++step) {
        if (step < steps)
            load(step);
        cp_async_commit(); /* empty groups keep the count that the waits rely on */
    }

    const int warp = (int)(threadIdx.x / 32), lane = (int)(threadIdx.x % 32);
    const int warp_m = warp / 4 * (TILE_M / 2), warp_n = warp % 4 * 32;
    float sums[M_BLOCKS][4][4] = {};
    for (int step = 0; step < steps; ++step) {
        if (PLANTED(6))
            cp_async_wait<MMA_STAGES - 1>();
        else
            cp_async_wait<MMA_STAGES - 2>();
        if (!PLANTED(7))
            __syncthreads(); /* this step has landed for all; the stage before is free again */
        if (step + MMA_STAGES - 1 < steps)
            load(step + MMA_STAGES - 1);
        cp_async_commit();
        const T *const a = shared + step % MMA_STAGES * STAGE, *const b = a + PlaceA::ELEMENTS;
        for (int k = 0; k < MMA_K; k += 16) {
            uint32_t fragment_a[M_BLOCKS][4], fragment_b[2][4];
#pragma unroll
            for (int i = 0; i < M_BLOCKS; ++i)
                load_fragment<T, A_ALONG, TILE_M, true>(fragment_a[i], a, warp_m + 16 * i, k);
#pragma unroll
            for (int j = 0; j < 2; ++j)
                load_fragment<T, B_ALONG, MMA_N, false>(fragment_b[j], b, warp_n + 16 * j, k);
#pragma unroll
            for (int i = 0; i < M_BLOCKS; ++i)
#pragma unroll
                for (int j = 0; j < 4; ++j)
                    mma_16816(sums[i][j], fragment_a[i], fragment_b[j / 2] + j % 2 * 2, T());
        }
    }
    cp_async_wait<0>();

    /* Sum 0 and 1 of a lane stand in row lane / 4, columns 2 (lane % 4) and the next; 2 and 3 eight
     * rows below. */
#pragma unroll
    for (int i = 0; i < M_BLOCKS; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j)
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                const int row = tile.m0 + warp_m + 16 * i + 8 * half + lane / 4;
                const int column = tile.n0 + warp_n + 8 * j + lane % 4 * 2;
                if (row >= tile.m || column >= tile.n)
                    continue;
                T *const c = tile.c + (size_t)row * tile.c_line + column;
                c[0] = from_float<T>(sums[i][j][2 * half]);
                c[1] = from_float<T>(sums[i][j][2 * half + 1]);
            }
}

template <typename T, Product P, int TILE_M> static size_t grouped_mma_shared_bytes()
{
    return MMA_STAGES * sizeof(T) *
           (OperandTile<P != PRODUCT_WEIGHT, TILE_M>::ELEMENTS +
            OperandTile<P == PRODUCT_FORWARD, MMA_N>::ELEMENTS);
}

/* ---------------------------------------------------------------------------------------- fp32 */

enum { FMA_THREADS = 256, FMA_TILE = 64, FMA_K = 16 };

/* 64 x 64 tiles of C, 4 x 4 elements a thread; operands through shared memory, k the outer index
 * of both, one element of padding against bank conflicts. */
template <Product P>
__global__ void __launch_bounds__(FMA_THREADS) grouped_fma_kernel(GroupedProduct<float> g)
{
    enum { LINE = FMA_TILE + 1, A_ALONG = P != PRODUCT_WEIGHT, B_ALONG = P == PRODUCT_FORWARD };
    MOE_SHARED(float, a, FMA_K *LINE);
    MOE_SHARED(float, b, FMA_K *LINE);
    Tile<float> tile;
    if (!find_tile<float, P>(g, FMA_TILE, FMA_TILE, &tile))
        return;
    const int row = (int)(threadIdx.x / 16) * 4, column = (int)(threadIdx.x % 16) * 4;
    float sums[4][4] = {};
    for (int k0 = 0; k0 < tile.k; k0 += FMA_K) {
        for (int i = (int)threadIdx.x; i < FMA_TILE * FMA_K; i += FMA_THREADS) {
            /* Neighbouring threads read along the operand's lines. */
            const int ka = A_ALONG ? i % FMA_K : i / FMA_TILE;
            const int ma = A_ALONG ? i / FMA_K : i % FMA_TILE;
            const int kb = B_ALONG ? i % FMA_K : i / FMA_TILE;
            const int nb = B_ALONG ? i / FMA_K : i % FMA_TILE;
            const size_t m = (size_t)(tile.m0 + ma), n = (size_t)(tile.n0 + nb);
            const size_t in_a =
                A_ALONG ? m * tile.a_line + k0 + ka : (size_t)(k0 + ka) * tile.a_line + m;
            const size_t in_b =
                B_ALONG ? n * tile.b_line + k0 + kb : (size_t)(k0 + kb) * tile.b_line + n;
            a[ka * LINE + ma] = tile.m0 + ma < tile.m && k0 + ka < tile.k ? tile.a[in_a] : 0.0F;
            b[kb * LINE + nb] = tile.n0 + nb < tile.n && k0 + kb < tile.k ? tile.b[in_b] : 0.0F;
        }
        __syncthreads();
        for (int k = 0; k < FMA_K; ++k)
            for (int i = 0; i < 4; ++i)
                for (int j = 0; j < 4; ++j)
                    sums[i][j] = fmaf(a[k * LINE + row + i], b[k * LINE + column + j], sums[i][j]);
        if (!PLANTED(13))
            __syncthreads();
    }
    for (int i = 0; i < 4; ++i)
        for (int j = 0; j < 4; ++j)
            if (tile.m0 + row + i < tile.m && tile.n0 + column + j < tile.n)
                tile.c[(size_t)(tile.m0 + row + i) * tile.c_line + tile.n0 + column + j] =
                    sums[i][j];
}

} // namespace moe

#endif
