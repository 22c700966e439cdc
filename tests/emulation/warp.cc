/* What the lanes of a warp do together: shuffles, votes, and the twins of ldmatrix and mma. */
#include "tests/emulation/device.h"

namespace emulation
{

void complete_shuffle(Payloads &lanes)
{
    for (unsigned i = 0; i < 32; ++i) {
        if ((lanes.mask >> i & 1) == 0)
            continue;
        Shuffle *const mine = static_cast<Shuffle *>(lanes.of[i]);
        const unsigned source = (unsigned)mine->source % 32;
        if ((lanes.mask >> source & 1) == 0)
            fail("a shuffle from lane %u, which mask %08x does not name", source, lanes.mask);
        mine->result = static_cast<Shuffle *>(lanes.of[source])->value;
    }
}

void complete_ballot(Payloads &lanes)
{
    unsigned result = 0;
    for (unsigned i = 0; i < 32; ++i)
        if ((lanes.mask >> i & 1) != 0 && static_cast<Vote *>(lanes.of[i])->value != 0)
            result |= 1U << i;
    for (unsigned i = 0; i < 32; ++i)
        if ((lanes.mask >> i & 1) != 0)
            static_cast<Vote *>(lanes.of[i])->result = result;
}

void complete_match(Payloads &lanes)
{
    for (unsigned i = 0; i < 32; ++i) {
        if ((lanes.mask >> i & 1) == 0)
            continue;
        Vote *const mine = static_cast<Vote *>(lanes.of[i]);
        mine->result = 0;
        for (unsigned j = 0; j < 32; ++j)
            if ((lanes.mask >> j & 1) != 0 &&
                static_cast<Vote *>(lanes.of[j])->value == mine->value)
                mine->result |= 1U << j;
    }
}

/* PTX ISA, ldmatrix: register j of lane l is row l / 4, columns 2 (l % 4) and the next, of matrix
 * j, whose rows lanes 8 j .. 8 j + 7 named. */
void complete_ldmatrix(Payloads &lanes)
{
    for (int j = 0; j < 4; ++j) {
        uint16_t matrix[8][8];
        for (int row = 0; row < 8; ++row) {
            const void *const from = static_cast<MatrixLoad *>(lanes.of[8 * j + row])->row;
            require_shared(from, 16, 16, "ldmatrix reads");
            saw_read(from, 16);
            memcpy(matrix[row], from, 16);
        }
        for (int l = 0; l < 32; ++l) {
            MatrixLoad *const mine = static_cast<MatrixLoad *>(lanes.of[l]);
            const int row = l / 4, column = l % 4 * 2;
            const uint32_t low = mine->transposed ? matrix[column][row] : matrix[row][column];
            const uint32_t high =
                mine->transposed ? matrix[column + 1][row] : matrix[row][column + 1];
            mine->r[j] = low | high << 16;
        }
    }
}

/* PTX ISA, mma.m16n8k16. Of lane l, with g = l / 4 and c = 2 (l % 4): a[0] rows g, columns c, c +
 * 1; a[1] rows g + 8; a[2] and a[3] the same eight columns on. b[0] rows c, c + 1 of column g, b[1]
 * eight rows on. d[0], d[1] row g, columns c, c + 1; d[2], d[3] row g + 8. */
void complete_mma(Payloads &lanes)
{
    float a[16][16], b[16][8];
    for (int l = 0; l < 32; ++l) {
        const MatrixProduct *const lane = static_cast<MatrixProduct *>(lanes.of[l]);
        const int g = l / 4, c = l % 4 * 2;
        for (int half = 0; half < 2; ++half) {
            const int shift = 16 * half;
            for (int i = 0; i < 4; ++i)
                a[g + i % 2 * 8][c + i / 2 * 8 + half] =
                    lane->widen((uint16_t)(lane->a[i] >> shift));
            for (int i = 0; i < 2; ++i)
                b[c + i * 8 + half][g] = lane->widen((uint16_t)(lane->b[i] >> shift));
        }
    }
    for (int l = 0; l < 32; ++l) {
        MatrixProduct *const lane = static_cast<MatrixProduct *>(lanes.of[l]);
        for (int i = 0; i < 4; ++i) {
            const int row = l / 4 + i / 2 * 8, column = l % 4 * 2 + i % 2;
            for (int k = 0; k < 16; ++k)
                lane->d[i] += a[row][k] * b[k][column];
        }
    }
}

float widen_bf16(uint16_t bits)
{
    return __bfloat162float(__nv_bfloat16{bits});
}

float widen_fp16(uint16_t bits)
{
    return __half2float(__half{bits});
}

} // namespace emulation
