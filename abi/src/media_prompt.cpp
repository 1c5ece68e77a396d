#include "media_prompt.h"

#include <algorithm>
#include <memory>

#include "failure.h"
#include "mtmd-helper.h"

namespace mullama {

namespace {

// Where llama.cpp's marks stand. One that was typed lies in a literal place and is none.
std::vector<size_t> marks_of(const shielded_text &prompt) {
    const std::string mark = get_media_marker();
    std::vector<size_t> marks;
    for (size_t at = prompt.text.find(mark); at != std::string::npos; at = prompt.text.find(mark, at)) {
        const bool is_typed = std::any_of(prompt.literal.begin(), prompt.literal.end(), [&](const auto &place) { return place.first < at + mark.size() && at < place.second; });
        if (!is_typed) marks.push_back(at);
        at += is_typed ? 1 : mark.size();
    }
    return marks;
}

shielded_text between(const shielded_text &prompt, size_t start, size_t end) {
    shielded_text part{prompt.text.substr(start, end - start), {}};
    for (const auto &[from, to] : prompt.literal) {
        if (from >= start && to <= end) part.literal.emplace_back(from - start, to - start);
    }
    return part;
}

// What mtmd_tokenize_from_parts takes, with all that it points to.
class prompt_parts {
  public:
    void add(const special_tokens &special, shielded_text text) {
        const shielded_text &kept = *texts_.emplace_back(std::make_unique<shielded_text>(std::move(text)));
        if (kept.literal.empty()) {
            add(kept.text, true);
        } else {
            for (const text_piece &piece : special.pieces(kept)) add(piece.text, piece.token != LLAMA_TOKEN_NULL);
        }
    }
    void add(const medium &medium) { parts_.push_back(std::make_unique<part>(part{{}, {nullptr, medium.bitmap.get()}})); }

    // Null if llama.cpp cannot take it.
    mtmd::input_chunks_ptr tokenized(const mtmd_context *projector, bool add_special) const {
        std::vector<const mtmd_input_part *> pointers;
        for (const auto &one : parts_) pointers.push_back(&one->given);
        mtmd::input_chunks_ptr chunks(mtmd_input_chunks_init());
        if (mtmd_tokenize_from_parts(projector, chunks.get(), pointers.data(), pointers.size(), add_special) != 0) chunks.reset();
        return chunks;
    }

  private:
    struct part {
        mtmd_input_text text;
        mtmd_input_part given;
    };
    void add(std::string_view text, bool special) {
        auto one = std::make_unique<part>(part{{text.data(), text.size(), false, special}, {}});
        one->given.text = &one->text;
        parts_.push_back(std::move(one));
    }

    std::vector<std::unique_ptr<shielded_text>> texts_;
    std::vector<std::unique_ptr<part>> parts_;
};

// llama.cpp tells only its log which one it could not take.
[[noreturn]] void refuse_media(const engine_llama &llama, const std::vector<const medium *> &media) {
    const medium *found = media.front();
    for (const medium *one : media) {
        prompt_parts alone;
        alone.add(*one);
        if (alone.tokenized(llama.projector(), false)) continue;
        found = one;
        break;
    }
    const mtmd_bitmap *bitmap = found->bitmap.get();
    const std::string what = mtmd_bitmap_is_audio(bitmap) ? "a sound of " + std::to_string(mtmd_bitmap_get_nx(bitmap)) + " samples"
                                                          : "an image of " + std::to_string(mtmd_bitmap_get_nx(bitmap)) + " x " + std::to_string(mtmd_bitmap_get_ny(bitmap)) + " pixels";
    throw failure(MULLAMA_E_MEDIA_INVALID, found->name + " holds " + what + ", which this projector cannot take; send it in another size");
}

}  // namespace

server_tokens tokens_of(const engine_llama &llama, const shielded_text &prompt, const std::vector<const medium *> &media) {
    if (media.empty()) return server_tokens(llama.special().tokenize(prompt, true), llama.has_projector());
    const std::vector<size_t> marks = marks_of(prompt);
    if (marks.size() != media.size()) {
        throw failure(MULLAMA_E_TEMPLATE_FAILED, "the chat template writes " + std::to_string(marks.size()) + " of the " + std::to_string(media.size()) + " images and sounds of the messages (the first is " + media.front()->name +
                                                     "); use a template that writes the content of every message once");
    }
    prompt_parts parts;
    size_t at = 0;
    for (size_t i = 0; i < media.size(); ++i) {
        parts.add(llama.special(), between(prompt, at, marks[i]));
        parts.add(*media[i]);
        at = marks[i] + std::string_view(get_media_marker()).size();
    }
    parts.add(llama.special(), between(prompt, at, prompt.text.size()));

    // All at once: some projectors need to know what stands before an image, or how many images.
    mtmd::input_chunks chunks(parts.tokenized(llama.projector(), true).release());
    if (!chunks.ptr) refuse_media(llama, media);
    for (size_t i = 0; i < chunks.size(); ++i) {
        const mtmd_input_chunk *chunk = chunks[i];
        if (mtmd_input_chunk_get_type(chunk) == MTMD_INPUT_CHUNK_TYPE_TEXT) continue;
        const size_t n_tokens = mtmd_input_chunk_get_n_tokens(chunk);
        if (n_tokens == 0) throw failure(MULLAMA_E_MEDIA_INVALID, "an image or sound of the messages gives no tokens; send one that is larger or longer");
        // An image whose tokens see each other both ways is evaluated in one piece.
        if (mtmd_decode_use_non_causal(llama.projector(), chunk) && n_tokens > static_cast<size_t>(llama.params().n_ubatch)) {
            throw failure(MULLAMA_E_UNSUPPORTED, "an image of the messages has " + std::to_string(n_tokens) + " tokens, which this model must evaluate at once, but n_ubatch is " + std::to_string(llama.params().n_ubatch) +
                                                     "; open the engine with an n_ubatch and n_batch of at least " + std::to_string(n_tokens));
        }
    }
    if (mtmd_input_chunk_get_type(chunks[chunks.size() - 1]) != MTMD_INPUT_CHUNK_TYPE_TEXT) {
        throw failure(MULLAMA_E_UNSUPPORTED, media.back()->name + " ends the prompt, and nothing can be generated behind an image or sound; leave add_generation_prompt true, or put a text behind it");
    }
    return server_tokens(chunks, true);
}

std::string shown_prompt(const shielded_text &prompt) {
    const size_t size = std::string_view(get_media_marker()).size();
    std::string shown;
    size_t at = 0;
    for (size_t mark : marks_of(prompt)) {
        shown.append(prompt.text, at, mark - at).append(mtmd_default_marker());
        at = mark + size;
    }
    return shown.append(prompt.text, at, std::string::npos);
}

}  // namespace mullama
