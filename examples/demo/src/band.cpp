#include "band.h"

namespace {

constexpr int most_steps = 6000;

// How long the point stays near zero under z -> z*z + c.
constexpr int steps(double re, double im) {
    double x = 0, y = 0;
    int count = 0;
    while (count < most_steps && x * x + y * y < 4) {
        const double next = x * x - y * y + re;
        y = 2 * x * y + im;
        x = next;
        ++count;
    }
    return count;
}

constexpr Band draw(std::size_t number) {
    Band band{};
    for (std::size_t row = 0; row < rows; ++row) {
        const double im = -1.2 + 2.4 * static_cast<double>(number * rows + row) / (bands * rows - 1);
        for (std::size_t column = 0; column < columns; ++column) {
            const double re = -2.1 + 2.8 * static_cast<double>(column) / (columns - 1);
            const int count = steps(re, im);
            band.text[row][column] = count >= most_steps ? '#' : count > 12 ? '*' : count > 5 ? '.' : ' ';
        }
        band.text[row][columns] = '\0';
    }
    return band;
}

constexpr Band drawn = draw(BAND);

} // namespace

template <> const Band &band<BAND>() { return drawn; }
