#include <stdio.h>
// After the above, which it needs.
#include <jpeglib.h>
