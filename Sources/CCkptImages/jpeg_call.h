// What decoding and encoding by libjpeg-turbo have in common: how an error ends the call.

#ifndef JPEG_CALL_H
#define JPEG_CALL_H

#include <setjmp.h>
#include <string.h>
// After <stdio.h>, which it needs.
#include "result.h"
#include <jpeglib.h>
#include <jerror.h>

/// One call of the library. It is the first member of the decoder and of the encoder, and `client_data` points to it.
struct jpeg_call {
  struct jpeg_error_mgr errors;
  /// Where the call continues after an error: `setjmp` is called before the library.
  jmp_buf escape;
  struct ck_image_result result;
  /// The status of errors other than a lack of memory.
  int failure;
};

/// Ends the call with a status and a message, which may be NULL.
_Noreturn static inline void jpeg_end(struct jpeg_call *call, int status, const char *message) {
  call->result = result(status, message);
  longjmp(call->escape, 1);
}

/// Ends the call with an error of the library.
_Noreturn static inline void jpeg_fail(j_common_ptr library) {
  struct jpeg_call *call = library->client_data;
  char message[JMSG_LENGTH_MAX];
  library->err->format_message(library, message);
  jpeg_end(call, library->err->msg_code == JERR_OUT_OF_MEMORY ? CK_IMAGE_NO_MEMORY : call->failure, message);
}

/// Drops a warning, which the library would print.
static inline void jpeg_say_nothing(j_common_ptr library) { (void)library; }

/// Lets the library report errors to `call`; before jpeg_create_decompress or jpeg_create_compress, which keep `err` and
/// `client_data` alone.
static inline void jpeg_report_to(struct jpeg_call *call, j_common_ptr library, int failure) {
  call->failure = failure;
  library->client_data = call;
  library->err = jpeg_std_error(&call->errors);
  call->errors.error_exit = jpeg_fail;
  call->errors.output_message = jpeg_say_nothing;
}

#endif
