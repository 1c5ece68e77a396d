// Compares a product in Q4_1, as ggml's graphs compute it in this library, with ggml's dot product of each row and column, bit
// by bit: run by test_gemm.py.
//
// It links the library's objects. Usage: gemm-test, prints the number of values compared.
#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "ggml-cpu.h"
#include "ggml.h"

namespace {

std::vector<float> numbers(size_t count, std::mt19937 &random) {
    std::normal_distribution<float> normal;
    std::vector<float> values(count);
    for (float &value : values) value = normal(random);
    return values;
}

// `n_matrices` of `columns` share the rows, as heads share the weights.
int compare(int64_t width, int64_t n_rows, int64_t n_columns, int64_t n_matrices, int n_threads, std::mt19937 &random) {
    ggml_init_params memory = {256 << 20, nullptr, false};
    ggml_context *context = ggml_init(memory);
    ggml_tensor *rows = ggml_new_tensor_2d(context, GGML_TYPE_Q4_1, width, n_rows);
    ggml_tensor *columns = ggml_new_tensor_3d(context, GGML_TYPE_F32, width, n_columns, n_matrices);
    const std::vector<float> weights = numbers(static_cast<size_t>(width * n_rows), random), values = numbers(static_cast<size_t>(width * n_columns * n_matrices), random);
    ggml_quantize_chunk(GGML_TYPE_Q4_1, weights.data(), rows->data, 0, n_rows, width, nullptr);
    std::memcpy(columns->data, values.data(), values.size() * sizeof(float));
    ggml_tensor *product = ggml_mul_mat(context, rows, columns);
    ggml_cgraph *graph = ggml_new_graph(context);
    ggml_build_forward_expand(graph, product);
    ggml_graph_compute_with_ctx(context, graph, n_threads);

    const ggml_type_traits_cpu *traits = ggml_get_type_traits_cpu(GGML_TYPE_Q4_1);
    std::vector<char> packed(ggml_row_size(traits->vec_dot_type, width));
    int n_compared = 0;
    for (int64_t column = 0; column < n_columns * n_matrices; ++column) {
        ggml_get_type_traits_cpu(traits->vec_dot_type)->from_float(values.data() + column * width, packed.data(), width);
        for (int64_t row = 0; row < n_rows; ++row, ++n_compared) {
            float expected = 0;
            traits->vec_dot(static_cast<int>(width), &expected, 0, static_cast<char *>(rows->data) + row * rows->nb[1], 0, packed.data(), 0, 1);
            const float found = static_cast<float *>(product->data)[column * n_rows + row];
            if (std::memcmp(&expected, &found, sizeof(float)) == 0) continue;
            std::printf("%lld x %lld by %lld columns, %d threads: row %lld, column %lld is %.9g, %.9g as a dot product\n", static_cast<long long>(width), static_cast<long long>(n_rows),
                        static_cast<long long>(n_columns), n_threads, static_cast<long long>(row), static_cast<long long>(column), found, expected);
            std::exit(1);
        }
    }
    ggml_free(context);
    return n_compared;
}

}  // namespace

int main() {
    std::mt19937 random(1);
    ggml_cpu_init();
    int n_compared = 0;
    for (int64_t n_columns : {1, 2, 3, 4, 5, 7, 8, 33}) {
        for (int n_threads : {1, 3}) {
            n_compared += compare(576, 192, n_columns, 1, n_threads, random);
            n_compared += compare(32, 37, n_columns, 2, n_threads, random);
        }
    }
    n_compared += compare(1024 * 32, 5, 6, 1, 2, random);  // as wide as what is ours, and wider
    n_compared += compare(1025 * 32, 5, 6, 1, 2, random);
    std::printf("%d\n", n_compared);
}
