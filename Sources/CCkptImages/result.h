// How the files of this folder say how a call ended.

#ifndef RESULT_H
#define RESULT_H

#include <stdio.h>

#include "CCkptImages.h"

static inline struct ck_image_result result(int status, const char *message) {
  struct ck_image_result made = {status, ""};
  if (message) snprintf(made.message, sizeof made.message, "%s", message);
  return made;
}

#endif
