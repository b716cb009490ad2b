#include "band.h"

#include <cstdio>

namespace {

void print(const Band &band) {
    for (const auto &row : band.text) {
        std::puts(row);
    }
}

} // namespace

template <> const Band &band<0>();
template <> const Band &band<1>();
template <> const Band &band<2>();
template <> const Band &band<3>();
template <> const Band &band<4>();
template <> const Band &band<5>();

int main() {
    print(band<0>());
    print(band<1>());
    print(band<2>());
    print(band<3>());
    print(band<4>());
    print(band<5>());
}
