// Decides which part of a generated text is certain: whole characters that cannot become part of a stop text.
#pragma once

#include <string>
#include <vector>

namespace mullama {

class text_release {
  public:
    explicit text_release(std::vector<std::string> stops) : stops_(std::move(stops)) {}

    // Takes the bytes of a token and gives the text that became certain. Sets `stopped` when a stop text is complete;
    // it and what follows are dropped.
    std::string add(const std::string &bytes);
    // The rest when nothing follows any more.
    std::string finish();

    const std::string *stopped() const { return stopped_; }
    bool has_rest() const { return !held_.empty(); }

  private:
    size_t length_to_hold() const;

    const std::vector<std::string> stops_;
    std::string held_;
    const std::string *stopped_ = nullptr;
};

}  // namespace mullama
