// Products of matrices in Q4_1. ggml has kernels for several columns at once for many formats, but not for this one: it takes
// a dot product for each row and column, and unpacks the row again each time. Here a row is unpacked once for four columns.
// Each sum is made in the order of ggml_vec_dot_q4_1_q8_1, so that every bit of the result is the same, however many columns
// come together. ggml-cpu.c is compiled so that it calls this in place of llamafile_sgemm (cmake/gemm.cmake).
#define GGML_COMMON_DECL_C
#include "ggml-common.h"
#include "ggml-cpu-impl.h"
#include "llamafile/sgemm.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

#include <immintrin.h>

#include <algorithm>

namespace {

constexpr int columns_at_once = 4;
constexpr int64_t most_blocks = 1024;                      // of a row: their scales are kept on the stack
constexpr int64_t fewest_rows = 4, most_rows = 32;         // of a job; with more, their blocks would leave the first-level cache

float to_float(ggml_half half) { return _cvtsh_ss(half); }

__m256i unpack(const uint8_t *nibbles) {
    const __m128i packed = _mm_loadu_si128(reinterpret_cast<const __m128i *>(nibbles));
    return _mm256_and_si256(_mm256_set1_epi8(0xF), _mm256_set_m128i(_mm_srli_epi16(packed, 4), packed));
}

// Sums of four products each; integers, so their order does not matter.
__m256 dot(__m256i row, __m256i column) {
#if defined(__AVX512VNNI__) && defined(__AVX512VL__)
    return _mm256_cvtepi32_ps(_mm256_dpbusd_epi32(_mm256_setzero_si256(), row, column));
#elif defined(__AVXVNNI__)
    return _mm256_cvtepi32_ps(_mm256_dpbusd_avx_epi32(_mm256_setzero_si256(), row, column));
#else
    return _mm256_cvtepi32_ps(_mm256_madd_epi16(_mm256_set1_epi16(1), _mm256_maddubs_epi16(row, column)));
#endif
}

float sum(__m256 lanes) {
    __m128 half = _mm_add_ps(_mm256_extractf128_ps(lanes, 1), _mm256_castps256_ps128(lanes));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}

// The scales of up to four columns, block after block.
struct column_scales {
    float d[columns_at_once], s[columns_at_once];
};

// A row by some columns; their results lie `ldc` apart.
template <int n_columns>
void multiply(int64_t n_blocks, const block_q4_1 *row, const block_q8_1 *columns, int64_t ldb, const column_scales *scales, float *results, int64_t ldc) {
    __m256 sums[n_columns];
    for (__m256 &each : sums) each = _mm256_setzero_ps();
    __m128 offsets = _mm_setzero_ps();
    for (int64_t block = 0; block < n_blocks; ++block) {
        const __m256i quants = unpack(row[block].qs);
        const __m256 d = _mm256_set1_ps(to_float(row[block].d));
        offsets = _mm_fmadd_ps(_mm_set1_ps(to_float(row[block].m)), _mm_loadu_ps(scales[block].s), offsets);
        for (int i = 0; i < n_columns; ++i) {
            const __m256i values = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(columns[i * ldb + block].qs));
            sums[i] = _mm256_fmadd_ps(_mm256_mul_ps(d, _mm256_set1_ps(scales[block].d[i])), dot(quants, values), sums[i]);
        }
    }
    float offset[columns_at_once];
    _mm_storeu_ps(offset, offsets);
    for (int i = 0; i < n_columns; ++i) results[i * ldc] = sum(sums[i]) + offset[i];
}

constexpr decltype(&multiply<1>) kernels[columns_at_once] = {multiply<1>, multiply<2>, multiply<3>, multiply<4>};

// Rows [start, end) by all columns.
void multiply_rows(int64_t start, int64_t end, int64_t n, int64_t n_blocks, const block_q4_1 *a, int64_t lda, const block_q8_1 *b, int64_t ldb, float *c, int64_t ldc) {
    column_scales scales[most_blocks];
    for (int64_t column = 0; column < n; column += columns_at_once) {
        const int n_columns = static_cast<int>(std::min<int64_t>(columns_at_once, n - column));
        const block_q8_1 *columns = b + column * ldb;
        for (int64_t block = 0; block < n_blocks; ++block) {
            for (int i = 0; i < n_columns; ++i) {
                scales[block].d[i] = to_float(columns[i * ldb + block].d);
                scales[block].s[i] = to_float(columns[i * ldb + block].s);
            }
        }
        for (int64_t row = start; row < end; ++row) {
            kernels[n_columns - 1](n_blocks, a + row * lda, columns, ldb, scales, c + column * ldc + row, ldc);
        }
    }
}

}  // namespace

extern "C" bool mullama_gemm(const ggml_compute_params *params, int64_t m, int64_t n, int64_t k, const void *a, int64_t lda, const void *b, int64_t ldb, void *c, int64_t ldc, int a_type, int b_type, int c_type) {
    if (a_type != GGML_TYPE_Q4_1 || b_type != GGML_TYPE_Q8_1 || n < 2 || k > most_blocks) return llamafile_sgemm(params, m, n, k, a, lda, b, ldb, c, ldc, a_type, b_type, c_type);
    if (params->ith == 0) ggml_threadpool_chunk_set(params->threadpool, params->nth);
    ggml_barrier(params->threadpool);
    const int64_t n_rows = std::clamp(m / (4 * params->nth), fewest_rows, most_rows);
    for (int64_t job = params->ith; job * n_rows < m; job = ggml_threadpool_chunk_add(params->threadpool, 1)) {
        multiply_rows(job * n_rows, std::min(m, (job + 1) * n_rows), n, k, static_cast<const block_q4_1 *>(a), lda, static_cast<const block_q8_1 *>(b), ldb, static_cast<float *>(c), ldc);
    }
    ggml_barrier(params->threadpool);  // the count of jobs is free for the next product
    return true;
}

#else

extern "C" bool mullama_gemm(const ggml_compute_params *params, int64_t m, int64_t n, int64_t k, const void *a, int64_t lda, const void *b, int64_t ldb, void *c, int64_t ldc, int a_type, int b_type, int c_type) {
    return llamafile_sgemm(params, m, n, k, a, lda, b, ldb, c, ldc, a_type, b_type, c_type);
}

#endif
