// What `lanes_body.h` defines for one instruction set only.
#undef vec
#undef LOAD
#undef STORE
#undef NR
