#pragma once
#include <stddef.h>
#include <stdint.h>

// Of libFuzzer, which is linked without its own main().

/// Runs the fuzzer with the options of the command line; calls `test` with each input.
int LLVMFuzzerRunDriver(int *argc, char ***argv, int (*test)(const uint8_t *data, size_t size));

/// Changes `data`, of which `size` bytes are used and `limit` are there; returns the new size.
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t limit);
