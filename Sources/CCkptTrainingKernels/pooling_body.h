// The loops of max pooling, included by vectors_body.h.

/// The largest of one window.
static inline void VARIANT(max_of)(
    const float *plane, int32_t width, int32_t first_line, int32_t last_line, int32_t first,
    int32_t last, float *value, int32_t *index) {
  int32_t winner = first_line * width + first;
  float best = plane[winner];
  for (int32_t line = first_line; line < last_line; line++) {
    const float *row = plane + (int64_t)line * width;
    for (int32_t x = first; x < last; x++) {
      int wins = (row[x] > best) | (row[x] != row[x]);
      best = wins ? row[x] : best;
      winner = wins ? line * width + x : winner;
    }
  }
  *value = best;
  *index = winner;
}

/// Every `stride`th number.
static inline vec VARIANT(strided)(const float *from, int32_t stride) {
  if (stride == 1) return LOAD(from);
#if VL >= 8
  if (stride == 2) {
    // The second load ends with the last number, not behind it.
    vec low = LOAD(from), high = LOAD(from + VL - 1);
#if VL == 16
    return __builtin_shufflevector(
        low, high, 0, 2, 4, 6, 8, 10, 12, 14, 17, 19, 21, 23, 25, 27, 29, 31);
#else
    return __builtin_shufflevector(low, high, 0, 2, 4, 6, 9, 11, 13, 15);
#endif
  }
#endif
  vec result;
  for (int l = 0; l < VL; l++) result[l] = from[l * stride];
  return result;
}

static void VARIANT(max_row)(
    const float *plane, int32_t width, int32_t first_line, int32_t last_line,
    const int32_t *first, const int32_t *last, int32_t count, int32_t stride, float *values,
    int32_t *indices) {
  int32_t i = 0;
  while (i < count) {
    // Windows of the same size in even steps go together.
    int32_t size = last[i] - first[i];
    int even = i + VL <= count && first[i + VL - 1] - first[i] == (VL - 1) * stride &&
               last[i + VL - 1] - first[i + VL - 1] == size;
    if (!even) {
      VARIANT(max_of)(
          plane, width, first_line, last_line, first[i], last[i], values + i, indices + i);
      i++;
      continue;
    }
    vec best = {0};
    ints winners = {0}, steps;
    for (int l = 0; l < VL; l++) steps[l] = l * stride;
    for (int32_t line = first_line; line < last_line; line++) {
      for (int32_t x = 0; x < size; x++) {
        int32_t index = line * width + first[i] + x;
        vec value = VARIANT(strided)(plane + index, stride);
        ints at = index + steps;
        if (line == first_line && x == 0) {
          best = value;
          winners = at;
          continue;
        }
        ints wins = (value > best) | (value != value);
        best = SELECT(wins, value, best);
        winners = (at & wins) | (winners & ~wins);
      }
    }
    STORE(values + i, best);
    *(VARIANT(iu) *)(indices + i) = winners;
    i += VL;
  }
}
