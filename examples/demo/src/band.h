// A picture in bands of rows, each computed by the compiler in a file of its own.
#pragma once
#include <cstddef>

constexpr std::size_t bands = 6;
constexpr std::size_t rows = 4;
constexpr std::size_t columns = 72;

struct Band {
    char text[rows][columns + 1];
};

template <std::size_t number> const Band &band();
