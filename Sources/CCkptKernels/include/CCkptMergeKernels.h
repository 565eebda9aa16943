// Loops of the merge methods, over blocks of float64 that lie in a cache. None of them allocates or keeps state.

#ifndef CCKPTMERGEKERNELS_H
#define CCKPTMERGEKERNELS_H

#include <stddef.h>
#include <stdint.h>

/// target = left - right
void ck_subtract(const double *left, const double *right, double *target, size_t count);
/// sum += values * factor
void ck_add_scaled(double *sum, const double *values, double factor, size_t count);
/// sum[i] += values[i] * factors[i]
void ck_add_products(double *sum, const double *values, const double *factors, size_t count);
/// values *= factor
void ck_scale(double *values, double factor, size_t count);
/// The sum of the products.
double ck_dot(const double *left, const double *right, size_t count);
/// The sum of the absolute values.
double ck_sum_of_magnitudes(const double *values, size_t count);
/// How many are NaN.
size_t ck_count_nan(const double *values, size_t count);

/// The bits of the absolute values as float32: they order as the values do, NaN last.
void ck_magnitude_bits(const double *values, uint32_t *bits, size_t count);
/// The bits, as above, of the variance over `rows` rows.
void ck_variance_bits(const double *const *rows, size_t rows_count, uint32_t *bits, size_t count);
/// The bits, as above, of |left - right| * factor.
void ck_difference_bits(
    const double *left, const double *right, double factor, uint32_t *bits, size_t count);

/// Counts the upper 16 of 31 bits.
void ck_count_upper_bits(const uint32_t *bits, uint64_t *counts, size_t count);
/// Counts the lower 15 bits of those whose upper 16 are `upper`.
void ck_count_lower_bits(const uint32_t *bits, uint32_t upper, uint64_t *counts, size_t count);
/// How many are `value`.
size_t ck_count_equal(const uint32_t *bits, uint32_t value, size_t count);

/// Lets values be 0 whose bits lie outside [low, high].
void ck_keep_between(double *values, const uint32_t *bits, uint32_t low, uint32_t high, size_t count);
/// Of those whose bits are `value`, lets all be 0 but the ones from number `first` up to `end`, where `seen` came
/// before; gives how many have been seen then.
uint64_t ck_keep_ties(
    double *values, const uint32_t *bits, uint32_t value, uint64_t seen, uint64_t first, uint64_t end,
    size_t count);

/// Random numbers of Philox4x32-10 (Salmon et al., 2011): number `start + i` of stream `stream` under `key`,
/// whatever the block. `start` is a multiple of 4.
void ck_random(
    uint32_t *numbers, uint64_t start, uint64_t stream, uint64_t key, size_t count);
/// Lets values be 0 whose random number is not below `limit`, of 2^32.
void ck_keep_below(double *values, const uint32_t *numbers, uint64_t limit, size_t count);
/// The same with a probability for each value.
void ck_keep_with_probabilities(
    double *values, const uint32_t *numbers, const double *probabilities, size_t count);

/// The sum of those deltas that have the sign of the sum of all. With `weighs`, each counts times its weight, else
/// it has been weighted before. With `normalizes`, the sum is divided by the weights of those that count, unless
/// that is not above `least` in size, when it is divided by `otherwise`.
void ck_consensus(
    const double *const *deltas, const double *weights, size_t deltas_count, int weighs, int normalizes,
    double least, double otherwise, double *target, size_t count);
/// Where left and right are nearer than `t`, right; elsewhere left moved by `t` towards right.
void ck_near_swap(
    const double *left, const double *right, double t, double *target, size_t count);
/// right where its bits reach `limit`, else left.
void ck_choose(
    const double *left, const double *right, const uint32_t *bits, uint32_t limit, double *target,
    size_t count);

#endif
