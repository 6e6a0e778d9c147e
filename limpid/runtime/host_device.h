#pragma once
// Marks functions that kernels on a device call too.
#ifdef __CUDACC__
#define LIMPID_HD __host__ __device__
#else
#define LIMPID_HD
#endif
