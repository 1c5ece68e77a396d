#include "../generated/mullama_layout.hpp"
#include "../layout.hpp"

TEST(structs_lie_as_the_table_says) { check_layout(mullama_layout, MULLAMA_LAYOUT); }
