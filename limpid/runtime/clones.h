#pragma once
// Hot loops are compiled for several instruction sets and chosen when the program starts; the sanitizers do not get along with that.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(LIMPID_SANITIZE)
#define LIMPID_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define LIMPID_CLONES
#endif
