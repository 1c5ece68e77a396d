// Tail-free sampling (T. Phénix and K. Egan, "Tail Free Sampling", 2019, trentbrick.github.io/Tail-Free-Sampling):
// with p sorted in descending order and the second differences s_i = |(p_i - p_(i+1)) - (p_(i+1) - p_(i+2))|, normalised
// to sum 1, the tail begins where their running sum exceeds z.
#include "tail_free.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace mullama {

namespace {

struct tail_free {
    float z;
    size_t min_keep;
};

tail_free &state(const llama_sampler *sampler) { return *static_cast<tail_free *>(sampler->ctx); }

void apply(llama_sampler *sampler, llama_token_data_array *candidates) {
    const tail_free &settings = state(sampler);
    const size_t size = candidates->size;
    if (settings.z >= 1.0f || size <= 2) return;
    llama_token_data *data = candidates->data;
    if (!candidates->sorted) {
        std::sort(data, data + size, [](const llama_token_data &a, const llama_token_data &b) { return a.logit > b.logit; });
        candidates->sorted = true;
    }
    double sum = 0;
    for (size_t i = 0; i < size; ++i) sum += data[i].p = std::exp(data[i].logit - data[0].logit);
    for (size_t i = 0; i < size; ++i) data[i].p = static_cast<float>(data[i].p / sum);

    std::vector<double> curvature(size - 2);
    double total = 0;
    for (size_t i = 0; i < curvature.size(); ++i) {
        curvature[i] = std::fabs((static_cast<double>(data[i].p) - data[i + 1].p) - (static_cast<double>(data[i + 1].p) - data[i + 2].p));
        total += curvature[i];
    }
    size_t kept = size;
    double running = 0;
    for (size_t i = 0; i < curvature.size(); ++i) {
        // A flat distribution has no tail: every token counts alike.
        running += total > 1e-6 ? curvature[i] / total : 1.0 / static_cast<double>(curvature.size());
        if (running > settings.z && i >= settings.min_keep) {
            kept = i;
            break;
        }
    }
    candidates->size = std::max<size_t>(kept, 1);
}

llama_sampler *clone(const llama_sampler *sampler) { return init_tail_free(state(sampler).z, state(sampler).min_keep); }

llama_sampler_i make_interface() {
    llama_sampler_i interface{};
    interface.name = [](const llama_sampler *) { return "tail-free"; };
    interface.apply = apply;
    interface.clone = clone;
    interface.free = [](llama_sampler *sampler) { delete &state(sampler); };
    return interface;
}

}  // namespace

llama_sampler *init_tail_free(float z, size_t min_keep) {
    static llama_sampler_i interface = make_interface();
    return llama_sampler_init(&interface, new tail_free{z, min_keep});
}

}  // namespace mullama
