// Compares where a C++ compiler puts the members of the structs with a table beside the headers.
#pragma once

#include <fstream>
#include <map>
#include <string>

#include "check.hpp"

template <class Place, std::size_t n>
void check_layout(const Place (&places)[n], const char *table) {
    std::map<std::string, std::size_t> expected, found;
    std::ifstream file(table);
    for (std::string line; std::getline(file, line);) {
        const auto tab = line.find('\t');
        if (line[0] != '#') expected[line.substr(0, tab)] = std::stoul(line.substr(tab));
    }
    for (const Place &place : places) found[place.name] = place.value;
    CHECK(found.size() > 10 && found == expected);
}
