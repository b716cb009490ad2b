#include <stdio.h>

int main(void) {
    printf("greeting: %s from %s\n", GREETING, PREFIX "/share/greet");
    return 0;
}
